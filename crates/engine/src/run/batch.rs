//! `transformBatch`: several events in one call.
//!
//! An output belongs to the input that is the same object, else to the input with the same
//! `messageId`, else to the input of the previous output. A batch waits like an event, see
//! [`crate::run::waiting`]: other batches start meanwhile.
//!
//! If the call fails as a whole, each event is run alone, so that one event's fault does not affect the others. A batch
//! that ran out of time is not repeated: that would take as long again, or send every network request twice.

mod call;
mod print;

use std::time::Instant;

use deno_core::v8;

use crate::run::call_result::{CallResult, never_settles};
use crate::run::in_flight::Waiting;
use crate::run::parse::{carry, parse};
use crate::run::state::State;
use crate::run::ticket::Ticket;
use crate::run::transform_isolate::{self, Overrides};
use crate::run::waiting::{self, ALONE, WaitResult};
use crate::run::window;
use crate::unsafe_reads::{self, UnsafeReads};
use crate::v8::event_number::NO_EVENT;
use crate::v8::override_attempts;
use crate::verdict::{Failure, FailureKind, Verdict};
use crate::{Attempt, Engine, Event, LogLine, OutputFraming};
use call::{Call, call_batch, close, finish_call};
use print::{Input, Printer, print_groups, put_failures};
use sluicegate_json::canonical;
use sluicegate_json::roundtrip;

/// Receives the result of each event of a batch, in order: the verdict, its framed outputs, and the log lines. A failed
/// event has outputs only if its framing asks for them, see [`OutputFraming::keep_partial_output`].
pub type OnVerdict<'a> = dyn FnMut(Verdict, Vec<u8>, &[LogLine]) + 'a;

/// Returns the framing of the outputs of the event with this index in the batch.
pub type FramingOf<'f, 'a> = dyn FnMut(usize) -> OutputFraming<'a> + 'f;

/// The verdicts of the events of a batch, each with its framed outputs.
pub type Verdicts = Vec<(Verdict, Vec<u8>)>;

/// The state of a batch after a step.
#[derive(Debug)]
pub enum BatchStep {
    /// Its events have their verdicts. [`Engine::logs`] has the log lines.
    Done(Verdicts),
    /// The call failed as a whole: each event must be run alone.
    RunAlone,
    /// The batch waits for the network; see [`Engine::settled`]. The list has the indices of its lines that are not
    /// events: they have failed, and the batch continues without them.
    Waits(Vec<(usize, Failure)>),
}

/// The result of a step inside the engine.
pub(crate) enum Batched {
    Verdicts(Verdicts),
    Failed(Failure),
    Waits,
}

impl Batched {
    /// Whether the batch or one of its events failed because it needs [`Overrides::All`].
    fn wants_overrides(&self) -> bool {
        let wants = |verdict: &Verdict| matches!(verdict, Verdict::Failed(failure) if Overrides::were_wanted(failure));
        match self {
            Batched::Verdicts(verdicts) => verdicts.iter().any(|(verdict, _)| wants(verdict)),
            Batched::Failed(failure) => Overrides::were_wanted(failure),
            Batched::Waits => false,
        }
    }
}

impl From<Failure> for Batched {
    fn from(failure: Failure) -> Self {
        Batched::Failed(failure)
    }
}

impl Engine {
    /// Transforms `events` in one call and passes each result to `on_verdict`, in order.
    pub fn transform_batch<'a>(
        &mut self,
        events: &[Event<'a>],
        framing: &mut FramingOf<'_, 'a>,
        on_verdict: &mut OnVerdict<'_>,
    ) {
        match self.run_batch(events, framing) {
            Some(verdicts) => {
                let logs = std::mem::take(&mut self.logs);
                for (index, (verdict, text)) in verdicts.into_iter().enumerate() {
                    on_verdict(verdict, text, if index == 0 { &logs } else { &[] });
                }
                self.logs = logs;
            }
            None => {
                for (index, event) in events.iter().enumerate() {
                    let was_read = self.unsafe_read_report.read.is_some();
                    self.transform_batch(&[*event], &mut |_| framing(index), on_verdict);
                    if let Some(read) = self.unsafe_read_report.read.as_mut().filter(|_| !was_read) {
                        read.index = index as u32;
                    }
                }
            }
        }
    }

    /// Transforms `events` in one call and waits until it is done. `None` if it failed as a
    /// whole, and each event must be run alone.
    pub fn run_batch<'a>(&mut self, events: &[Event<'a>], framing: &mut FramingOf<'_, 'a>) -> Option<Verdicts> {
        loop {
            let faults = match self.start_batch(ALONE, events, framing) {
                BatchStep::Done(verdicts) => return Some(verdicts),
                BatchStep::RunAlone => return None,
                BatchStep::Waits(faults) => faults,
            };
            let fresh = self.isolate.as_ref().is_some_and(|isolate| isolate.events == 1);
            let is_event = |index: &usize| !faults.iter().any(|(fault, _)| fault == index);
            let places: Vec<usize> = (0..events.len()).filter(is_event).collect();
            let present: Vec<Event<'_>> = places.iter().map(|place| events[*place]).collect();
            let step =
                self.wait_alone(&mut |engine, settled| match engine
                    .finish_batch(settled, &present, &mut |index| framing(places[index]))
                {
                    BatchStep::Waits(_) => None,
                    step => Some(step),
                });
            let step = match step {
                Ok(step) => {
                    step.unwrap_or_else(|| self.step_of(never_settles("transformBatch").into(), present.len(), 0))
                }
                // In a fresh isolate, only this batch can have filled the heap.
                Err(lost) if lost.alone && fresh => self.step_of(self.out_of_memory().into(), present.len(), 0),
                Err(_) => continue,
            };
            let BatchStep::Done(verdicts) = step else { return None };
            let mut all: Verdicts = Vec::with_capacity(events.len());
            let (mut verdicts, mut faults) = (verdicts.into_iter(), faults.into_iter().peekable());
            for index in 0..events.len() {
                match faults.next_if(|(fault, _)| *fault == index) {
                    Some((_, failure)) => all.push((failure.into(), Vec::new())),
                    None => all.extend(verdicts.next()),
                }
            }
            return Some(all);
        }
    }

    /// Starts to transform a batch. If it waits for the network, the embedder can start others
    /// meanwhile; the ticket identifies this one.
    pub fn start_batch<'a>(
        &mut self,
        ticket: Ticket,
        events: &[Event<'a>],
        framing: &mut FramingOf<'_, 'a>,
    ) -> BatchStep {
        if events.is_empty() {
            return BatchStep::Done(Vec::new());
        }
        let batched = self.retrying(|engine| engine.attempt_batch(ticket, events, framing));
        self.step_of(batched, events.len(), self.in_flight.made)
    }

    /// Prints a batch that waited. `events` are the events that it was started with, without the lines that were not
    /// events. The batch may wait again, or become one of [`Engine::lost`].
    pub fn finish_batch<'a>(
        &mut self,
        settled: waiting::Settled,
        events: &[Event<'a>],
        framing: &mut FramingOf<'_, 'a>,
    ) -> BatchStep {
        self.logs.clear();
        let number = match settled.result {
            WaitResult::Failed(mut failure, made) => {
                self.mask_failure(&mut failure);
                self.in_flight.made = made;
                return self.step_of(Batched::Failed(*failure), events.len(), made);
            }
            WaitResult::Settled(number) => number,
        };
        let (attempt, in_time) = self.finish_batch_attempt(number, events, framing);
        let made = self.in_flight.made;
        match self.conclude_finish(attempt, in_time, number, settled.ticket) {
            Some(batched) => self.step_of(batched, events.len(), made),
            None => BatchStep::Waits(Vec::new()),
        }
    }

    /// Converts the result of a batch of `count` events that made `made` requests.
    fn step_of(&mut self, batched: Batched, count: usize, made: u32) -> BatchStep {
        let faults = std::mem::take(&mut self.in_flight.faults);
        match batched {
            Batched::Verdicts(verdicts) => BatchStep::Done(verdicts),
            Batched::Waits => BatchStep::Waits(faults),
            Batched::Failed(failure) if count > 1 && failure.kind != FailureKind::Timeout => {
                self.in_flight.repeated += u64::from(made);
                BatchStep::RunAlone
            }
            Batched::Failed(failure) => {
                let mut verdicts: Verdicts = (0..count).map(|_| (failure.clone().into(), Vec::new())).collect();
                for (index, failure) in faults {
                    verdicts[index].0 = failure.into();
                }
                BatchStep::Done(verdicts)
            }
        }
    }

    fn attempt_batch<'a>(
        &mut self,
        ticket: Ticket,
        events: &[Event<'a>],
        framing: &mut FramingOf<'_, 'a>,
    ) -> Attempt<Batched> {
        let mut watched = None;
        self.validator.restorer.lost.clear();
        let Some(isolate) = self.isolate.as_mut() else { return Attempt::OutOfMemory };
        let entered = isolate.enter();
        let (context, function, driver) = entered.handles;
        self.logs.clear();
        self.in_flight.faults.clear();
        let is_source = |file: &str| transform_isolate::is_source(&self.program, file);
        let (mut in_time, mut number, mut reads) = (true, None, NO_EVENT);
        let started = self.in_flight.measured().then(Instant::now);
        let batched = 'batch: {
            v8::scope_with_context!(scope, &mut *entered.isolate, context);
            v8::tc_scope!(let scope, scope);
            if let Some(state) = scope.get_slot_mut::<State>() {
                number = state.start(ticket);
                state.set_metadata(None, self.laziness);
            }
            // Lines that are not events get their verdict at once and are not part of the call.
            let mut present = Vec::with_capacity(events.len());
            let mut inputs = Vec::with_capacity(events.len());
            for (index, event) in events.iter().enumerate() {
                let clean = canonical::round_trips(event.json);
                window::no_code!(scope);
                match parse(scope, driver, event.json, clean.is_some(), &mut self.scratch) {
                    Ok(input) => {
                        let lossy = clean.is_none() && roundtrip::may_hold_lossy(event.json);
                        if lossy {
                            let (report, mode) = (&mut self.unsafe_read_report, self.options.unsafe_integers);
                            let is_first = watched.is_none();
                            let watched = *watched.get_or_insert_with(|| report.is_wanted(mode));
                            if watched && is_first {
                                reads = unsafe_reads::begin(scope, number, mode, State::knows).unwrap_or_default();
                            }
                            if let Some(state) = scope.get_slot_mut::<UnsafeReads>().filter(|_| watched) {
                                state.begin_in_batch(present.len() as u32);
                            }
                            let (validator, scratch) = (&mut self.validator, &mut self.scratch);
                            carry(scope, driver, input, event.json, validator, scratch, watched);
                        }
                        present.push(Input { index, clean, lossy });
                        inputs.push(input);
                        if let Some(state) = scope.get_slot_mut::<State>() {
                            state.add_metadata(event.metadata);
                        }
                    }
                    Err(failure) => self.in_flight.faults.push((index, failure)),
                }
            }
            let mut verdicts: Verdicts = events.iter().map(|_| (Verdict::Dropped, Vec::new())).collect();
            for (index, failure) in &self.in_flight.faults {
                verdicts[*index].0 = failure.clone().into();
            }
            if present.is_empty() {
                break 'batch Some(Batched::Verdicts(verdicts));
            }
            let count = present.len() as u32;
            if let Some(state) = scope.get_slot_mut::<State>() {
                state.set_events(count);
            }
            let inputs = v8::Array::new_with_elements(scope, &inputs).into();
            let lossy = present.iter().any(|input| input.lossy);
            let call = Call::new(scope, number.unwrap_or(NO_EVENT), count, lossy);
            self.watch.set_events(count);
            driver.begin_event(scope);
            match number {
                Some(number) => self.in_flight.begin_first(scope, &self.watch, number),
                None => self.watch.begin(),
            }
            let answer = call_batch(scope, driver, function, inputs, &call, &is_source);
            let answer = close(scope, driver, &call, answer);
            in_time = match number {
                Some(_) => self.in_flight.end_first(scope, &self.watch),
                None => self.watch.end(),
            };
            self.watch.set_events(1);
            window::no_code!(scope);
            if let Some(state) = scope.get_slot_mut::<State>() {
                self.in_flight.made = state.of(number.unwrap_or(NO_EVENT)).map_or(0, |event| event.made);
            }
            match answer {
                _ if !in_time => None,
                CallResult::Failed(failure) => Some(Batched::Failed(failure)),
                CallResult::Waits(promise) => {
                    if let Some(state) = scope.get_slot_mut::<State>() {
                        state.wait();
                    }
                    let promise = v8::Global::new(scope, promise);
                    let waiting = Waiting { ticket, promise, lazy: false };
                    let wall = self.options.limits.batch_wall(count);
                    self.in_flight.wait(number.unwrap_or_default(), waiting, started, wall);
                    Some(Batched::Waits)
                }
                CallResult::Finished(grouped) => {
                    let printer = Printer {
                        validator: &mut self.validator,
                        text: &mut self.text,
                        limit: self.options.limits.output,
                        lossy,
                    };
                    let mut batched =
                        print_groups(scope, grouped, (events, &present), framing, printer, verdicts, &is_source);
                    if watched == Some(true) {
                        let (mode, report) = (self.options.unsafe_integers, &mut self.unsafe_read_report);
                        let was_read = report.read.is_some();
                        let lost = &mut self.validator.restorer.lost;
                        let failures = unsafe_reads::settle(scope, reads, mode, report, lost, &is_source);
                        if let Some(read) = report.read.as_mut().filter(|_| !was_read) {
                            read.index = present[read.index as usize].index as u32;
                        }
                        let failures =
                            failures.into_iter().map(|(place, failure)| (present[place as usize].index, failure));
                        put_failures(&mut batched, failures);
                    }
                    batched
                }
                _ => None,
            }
        };
        if let Some(state) = entered.isolate.get_slot_mut::<State>() {
            if self.options.logs {
                state.swap_logs(&mut self.logs);
            }
            self.in_flight.take_settled(state);
        }
        drop(entered);
        let attempt = self.conclude_batch(batched, in_time);
        if !matches!(attempt, Attempt::Done(_)) {
            self.in_flight.remove(number);
        }
        attempt
    }

    fn finish_batch_attempt<'a>(
        &mut self,
        number: u32,
        events: &[Event<'a>],
        framing: &mut FramingOf<'_, 'a>,
    ) -> (Attempt<Batched>, bool) {
        let waiting = self.in_flight.waiting.remove(&number);
        let (Some(isolate), Some(waiting)) = (self.isolate.as_mut(), waiting) else {
            return (Attempt::OutOfMemory, true);
        };
        let entered = isolate.enter();
        let driver = entered.handles.2;
        let is_source = |file: &str| transform_isolate::is_source(&self.program, file);
        let in_time;
        let batched = {
            v8::scope_with_context!(scope, &mut *entered.isolate, entered.handles.0);
            v8::tc_scope!(let scope, scope);
            let promise = v8::Local::new(scope, &waiting.promise);
            let of_event = |(index, event): (usize, &Event<'_>)| {
                let clean = canonical::round_trips(event.json);
                Input { index, clean, lossy: clean.is_none() && roundtrip::may_hold_lossy(event.json) }
            };
            let present: Vec<Input> = events.iter().enumerate().map(of_event).collect();
            let lossy = present.iter().any(|input| input.lossy);
            let call = Call::new(scope, number, present.len() as u32, lossy);
            self.in_flight.begin(scope, &self.watch, number);
            let answer = finish_call(scope, driver, promise.into(), &call, &is_source);
            let answer = close(scope, driver, &call, answer);
            in_time = self.in_flight.end(scope, &self.watch);
            window::no_code!(scope);
            let batched = match answer {
                _ if !in_time => None,
                CallResult::Failed(failure) => Some(Batched::Failed(failure)),
                CallResult::Waits(promise) => {
                    let promise = v8::Global::new(scope, promise);
                    let wall = self.options.limits.batch_wall(present.len() as u32);
                    self.in_flight.wait(number, Waiting { promise, ..waiting }, None, wall);
                    Some(Batched::Waits)
                }
                CallResult::Finished(grouped) => {
                    let verdicts = events.iter().map(|_| (Verdict::Dropped, Vec::new())).collect();
                    let printer = Printer {
                        validator: &mut self.validator,
                        text: &mut self.text,
                        limit: self.options.limits.output,
                        lossy,
                    };
                    let mut batched =
                        print_groups(scope, grouped, (events, &present), framing, printer, verdicts, &is_source);
                    let (mode, report) = (self.options.unsafe_integers, &mut self.unsafe_read_report);
                    let lost = &mut self.validator.restorer.lost;
                    let failures = unsafe_reads::settle(scope, number, mode, report, lost, &is_source);
                    put_failures(&mut batched, failures.into_iter().map(|(place, failure)| (place as usize, failure)));
                    batched
                }
                _ => None,
            };
            if let Some(state) = scope.get_slot_mut::<State>() {
                self.in_flight.made = state.of(number).map_or(0, |event| event.made);
                if batched.as_ref().is_some_and(|batched| !matches!(batched, Batched::Waits)) {
                    self.logs = state.finish(number);
                }
                self.in_flight.take_settled(state);
            }
            batched
        };
        drop(entered);
        (self.conclude_batch(batched, in_time), in_time)
    }

    /// Decides the result of an attempt at a batch.
    fn conclude_batch(&mut self, batched: Option<Batched>, in_time: bool) -> Attempt<Batched> {
        let out_of_memory = self.isolate.as_ref().is_none_or(|isolate| isolate.heap_was_hit());
        let attempted = override_attempts::take();
        match batched {
            _ if !in_time => Attempt::OutOfTime,
            Some(batched) if self.overrides != Overrides::All && (attempted || batched.wants_overrides()) => {
                Attempt::WantsOverrides
            }
            Some(mut batched) if !out_of_memory => {
                match &mut batched {
                    Batched::Verdicts(verdicts) => {
                        verdicts.iter_mut().for_each(|(verdict, _)| self.mask_everything(Some(verdict)));
                    }
                    Batched::Failed(failure) => self.mask_failure(failure),
                    Batched::Waits => {}
                }
                Attempt::Done(batched)
            }
            _ => Attempt::OutOfMemory,
        }
    }

    /// Makes the driver forget a batch that failed while it waited.
    pub(crate) fn close_batch(&mut self, number: u32) {
        let Some(isolate) = self.isolate.as_mut() else { return };
        let entered = isolate.enter();
        v8::scope_with_context!(scope, &mut *entered.isolate, entered.handles.0);
        let close = v8::Local::new(scope, &entered.handles.2.close_batch);
        let (undefined, number) = (v8::undefined(scope).into(), v8::Integer::new_from_unsigned(scope, number).into());
        close.call(scope, undefined, &[number]);
    }
}
