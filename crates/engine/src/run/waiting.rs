//! Events that wait for the network, several in one isolate.
//!
//! If an event's promise is still pending and an answer could settle it, [`Engine::start_event`] returns
//! [`Step::Waits`] and the embedder continues with the next event. The embedder passes answers to [`Engine::deliver`]
//! as they arrive, and asks [`Engine::settled`] for events whose promises are settled, which [`Engine::finish_event`]
//! prints. Each event keeps its own state, see [`crate::v8::event_number`].
//!
//! **Blame.** The event whose turn it is gets the blame for the CPU limit. The isolate ends with that event, and the
//! other events must run again ([`Engine::lost`]). If the heap limit is hit, the culprit is unknown: all events must
//! run again, each alone. An event that only waits too long fails, and its isolate continues.

use std::time::Instant;

use deno_core::v8;
use sluicegate_json::{canonical, roundtrip};

use crate::limits::watchdog::Clock;
use crate::run::call_result::{CallResult, never_settles};
use crate::run::event::{Step, call_finish};
use crate::run::fetch;
use crate::run::in_flight::{InFlight, LostEvent, Waiting};
use crate::run::output::Print;
use crate::run::state::State;
use crate::run::ticket::Ticket;
use crate::run::transform_isolate::{self, Overrides, TransformIsolate};
use crate::run::window;
use crate::unsafe_reads::{self, UnsafeIntegers};
use crate::verdict::{Failure, Verdict};
use crate::{Attempt, Engine, Event, Export, OutputFraming, Sink};

/// The ticket of an event for which the engine itself waits.
pub(crate) const ALONE: Ticket = Ticket(u64::MAX, u32::MAX);

/// An event that is done waiting. Pass it to [`Engine::finish_event`].
#[derive(Debug)]
pub struct Settled {
    /// Which event.
    pub ticket: Ticket,
    pub(crate) result: WaitResult,
}

#[derive(Debug)]
pub(crate) enum WaitResult {
    /// Its promise is settled.
    Settled(u32),
    /// It has failed, after this many requests.
    Failed(Box<Failure>, u32),
}

/// Why an isolate is discarded while events wait in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiscardReason {
    /// The event whose turn it is hit its CPU or wall limit.
    OutOfTime,
    /// The heap limit was hit, by an unknown event.
    OutOfMemory,
    /// The program must be reloaded in another way.
    Reload,
}

impl Engine {
    /// Starts to transform an event. If it waits for the network, the embedder can start others meanwhile; the ticket
    /// identifies this one. For `transformBatch` there is [`Engine::start_batch`].
    pub fn start_event(
        &mut self,
        ticket: Ticket,
        event: Event<'_>,
        framing: &OutputFraming<'_>,
        out: &mut dyn Sink,
    ) -> Step {
        self.retrying(|engine| engine.attempt(ticket, event, framing, out))
    }

    /// The number of waiting events.
    pub fn waiting(&self) -> usize {
        self.in_flight.waiting.len()
    }

    /// The earliest wall deadline of a waiting event.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let InFlight { waiting, deadlines, .. } = &mut self.in_flight;
        while let Some((_, number)) = deadlines.front() {
            if waiting.contains_key(number) {
                break;
            }
            deadlines.pop_front();
        }
        deadlines.front().map(|(at, _)| *at)
    }

    /// The number of unanswered requests, including those of finished events.
    pub fn unanswered(&mut self) -> usize {
        self.isolate.as_mut().and_then(|isolate| isolate.state()).map_or(0, |state| state.requests.unanswered())
    }

    /// The number of requests made by the event or batch that got its verdict last.
    pub fn requests(&self) -> u32 {
        self.in_flight.made
    }

    /// The number of requests that are repeated because their event must run again.
    pub fn repeated_requests(&self) -> u64 {
        self.in_flight.repeated
    }

    /// Sets a callback that gets the event's ticket whenever code of an event that has waited runs.
    pub fn on_turn(&mut self, on_turn: impl Fn(Ticket) + 'static) {
        self.on_turn = Some(std::rc::Rc::new(on_turn));
        self.plug_in();
    }

    /// Delivers the answer to a request: runs the code that waits for it.
    pub fn deliver(&mut self, id: u64, text: &str) {
        let Some(isolate) = self.isolate.as_mut() else { return };
        let entered = isolate.enter();
        let in_time = {
            v8::scope_with_context!(scope, &mut *entered.isolate, entered.handles.0);
            v8::tc_scope!(let scope, scope);
            let Some(number) = fetch::asked_by(scope, id) else { return };
            self.in_flight.begin(scope, &self.watch, number);
            fetch::take_answer(scope, id, text);
            scope.perform_microtask_checkpoint();
            let in_time = self.in_flight.end(scope, &self.watch);
            if let Some(state) = scope.get_slot_mut::<State>() {
                state.drop_if_over(number);
                self.in_flight.take_settled(state);
            }
            in_time
        };
        drop(entered);
        if !in_time || isolate.heap_was_hit() {
            self.lose(if in_time { DiscardReason::OutOfMemory } else { DiscardReason::OutOfTime }, None);
        }
    }

    /// Fails the events that have waited too long, and all events if nothing is left that could settle them.
    pub fn expire(&mut self, now: Instant) {
        if self.in_flight.waiting.is_empty() {
            return;
        }
        if self.in_flight.settled.is_empty() && self.unanswered() == 0 {
            let stuck: Vec<u32> = self.in_flight.waiting.keys().copied().collect();
            for number in stuck {
                self.fail(number, never_settles(self.export().name()));
            }
            return;
        }
        while self.next_deadline().is_some_and(|at| at <= now) {
            let Some((_, number)) = self.in_flight.deadlines.pop_front() else { return };
            if self.in_flight.settled.contains(&number) {
                continue;
            }
            let event =
                self.isolate.as_mut().and_then(|isolate| isolate.state()?.of(number).map(|e| (e.unanswered, e.events)));
            let (unanswered, events) = event.unwrap_or_default();
            let failure = self.out_of_time(Clock::Wall, unanswered as usize, events);
            self.fail(number, failure);
        }
    }

    fn fail(&mut self, number: u32, failure: Failure) {
        if let Some(waiting) = self.in_flight.waiting.remove(&number) {
            let made = self.isolate.as_mut().and_then(|isolate| isolate.state()?.of(number).map(|event| event.made));
            self.in_flight.failed.push_back((waiting.ticket, failure, made.unwrap_or_default()));
            if self.export() == Export::Batch {
                self.close_batch(number);
            }
        }
        if let Some(state) = self.isolate.as_mut().and_then(|isolate| isolate.state()) {
            state.finish(number);
        }
    }

    /// Returns an event that is done waiting, if any.
    pub fn settled(&mut self) -> Option<Settled> {
        if let Some((ticket, failure, made)) = self.in_flight.failed.pop_front() {
            return Some(Settled { ticket, result: WaitResult::Failed(Box::new(failure), made) });
        }
        while let Some(number) = self.in_flight.settled.pop_front() {
            if let Some(waiting) = self.in_flight.waiting.get(&number) {
                return Some(Settled { ticket: waiting.ticket, result: WaitResult::Settled(number) });
            }
        }
        None
    }

    /// Returns an event that must run again, if any.
    pub fn lost(&mut self) -> Option<LostEvent> {
        self.in_flight.lost.pop_front()
    }

    /// Prints an event that waited. `event` is the event that it was started with. It may wait again,
    /// or become one of [`Engine::lost`].
    pub fn finish_event(
        &mut self,
        settled: Settled,
        event: Event<'_>,
        framing: &OutputFraming<'_>,
        out: &mut dyn Sink,
    ) -> Step {
        self.logs.clear();
        let number = match settled.result {
            WaitResult::Failed(mut failure, made) => {
                self.in_flight.made = made;
                self.mask_failure(&mut failure);
                return Step::Done(Verdict::Failed(failure));
            }
            WaitResult::Settled(number) => number,
        };
        let (attempt, in_time) = self.finish_attempt(number, event, framing, out);
        self.conclude_finish(attempt, in_time, number, settled.ticket).unwrap_or(Step::Waits)
    }

    /// Decides the result of an event or batch that has waited. `None` if it must run again.
    pub(crate) fn conclude_finish<T: From<Failure>>(
        &mut self,
        attempt: Attempt<T>,
        in_time: bool,
        number: u32,
        ticket: Ticket,
    ) -> Option<T> {
        let reason = match attempt {
            Attempt::Done(done) => return Some(done),
            Attempt::WantsOverrides => DiscardReason::Reload,
            _ if in_time => DiscardReason::OutOfMemory,
            _ => DiscardReason::OutOfTime,
        };
        let failure = self.lose(reason, Some((number, ticket)));
        if reason == DiscardReason::Reload {
            self.overrides = Overrides::All;
            // If reloading fails, the next event reports it.
            let _ = self.load_again();
        }
        failure.map(T::from)
    }

    fn finish_attempt(
        &mut self,
        number: u32,
        event: Event<'_>,
        framing: &OutputFraming<'_>,
        out: &mut dyn Sink,
    ) -> (Attempt<Step>, bool) {
        let start = out.len();
        let waiting = self.in_flight.waiting.remove(&number);
        let (Some(isolate), Some(waiting)) = (self.isolate.as_mut(), waiting) else {
            return (Attempt::OutOfMemory, true);
        };
        let entered = isolate.enter();
        let driver = entered.handles.2;
        let is_source = |file: &str| transform_isolate::is_source(&self.program, file);
        let in_time;
        let step = {
            v8::scope_with_context!(scope, &mut *entered.isolate, entered.handles.0);
            v8::tc_scope!(let scope, scope);
            let promise = v8::Local::new(scope, &waiting.promise);
            let clean = if waiting.lazy { None } else { canonical::round_trips(event.json) };
            let lossy = clean.is_none() && roundtrip::may_hold_lossy(event.json);
            self.in_flight.begin(scope, &self.watch, number);
            let answer = call_finish(scope, driver, promise, lossy, &is_source);
            let answer = if window::drain(scope) { answer } else { CallResult::Terminated };
            in_time = self.in_flight.end(scope, &self.watch);
            window::no_code!(scope);
            let step = match answer {
                _ if !in_time => None,
                CallResult::Failed(failure) => Some(failure.into()),
                CallResult::Waits(promise) => {
                    let promise = v8::Global::new(scope, promise);
                    let wall = self.options.limits.wall;
                    self.in_flight.wait(number, Waiting { promise, ..waiting }, None, wall);
                    Some(Step::Waits)
                }
                CallResult::Finished(texts) => {
                    let reason = (clean, lossy);
                    let mut print = Print::new(
                        event.json,
                        reason,
                        framing,
                        self.options.limits.output,
                        &mut self.validator,
                        &mut self.text,
                    );
                    Some(Step::Done(print.all(scope, texts, "transformEvent", out)))
                }
                _ => None,
            };
            let step = match step {
                Some(Step::Done(verdict)) if self.options.unsafe_integers != UnsafeIntegers::Ignore => {
                    let (mode, report) = (self.options.unsafe_integers, &mut self.unsafe_read_report);
                    let lost = &mut self.validator.restorer.lost;
                    let failures = unsafe_reads::settle(scope, number, mode, report, lost, &is_source);
                    let failure = failures.into_iter().next().filter(|_| !matches!(verdict, Verdict::Failed(_)));
                    Some(Step::Done(failure.map_or(verdict, |(_, failure)| failure.into())))
                }
                step => step,
            };
            if let Some(state) = scope.get_slot_mut::<State>() {
                if let Some(Step::Done(_)) = step {
                    self.in_flight.made = state.of(number).map_or(0, |event| event.made);
                    self.logs = state.finish(number);
                }
                self.in_flight.take_settled(state);
            }
            step
        };
        drop(entered);
        (self.conclude(step, in_time, start, out), in_time)
    }

    /// Discards the isolate. Records the events that must run again, `current` included unless it is to
    /// blame; then its failure is returned.
    pub(crate) fn lose(&mut self, reason: DiscardReason, current: Option<(u32, Ticket)>) -> Option<Failure> {
        let turn = self.isolate.as_mut().and_then(|isolate| isolate.state()).map(|state| state.turn());
        // If reads were recorded, the time that the event needs by itself is unknown.
        let was_watched = self.isolate.as_ref().is_some_and(TransformIsolate::was_watched);
        let excused = reason == DiscardReason::OutOfTime
            && was_watched
            && self.unsafe_read_report.excuses(self.options.unsafe_integers);
        let in_time = reason != DiscardReason::OutOfTime || excused;
        let to_blame = if in_time { None } else { turn };
        let (unanswered, events) = self.of_turn();
        let failure = (!in_time).then(|| self.out_of_time(self.watch.ran_out_of(), unanswered as usize, events));
        let waiting = std::mem::take(&mut self.in_flight.waiting);
        let mut mine = None;
        for (number, ticket) in waiting.iter().map(|(number, one)| (*number, one.ticket)).chain(current) {
            match &failure {
                Some(failure) if to_blame == Some(number) => {
                    if current.is_some_and(|(current, _)| current == number) {
                        mine = Some(failure.clone());
                    } else {
                        self.in_flight.failed.push_back((ticket, failure.clone(), 0));
                    }
                }
                _ => {
                    let made =
                        self.isolate.as_mut().and_then(|isolate| isolate.state()?.of(number).map(|event| event.made));
                    self.in_flight.repeated += u64::from(made.unwrap_or_default());
                    let lost = LostEvent { ticket, alone: reason == DiscardReason::OutOfMemory };
                    // The event whose turn it was is the most likely culprit, so it is tried first.
                    if turn == Some(number) {
                        self.in_flight.lost.push_front(lost);
                    } else {
                        self.in_flight.lost.push_back(lost);
                    }
                }
            }
        }
        self.in_flight.settled.clear();
        self.in_flight.deadlines.clear();
        self.isolate = None;
        mine
    }

    /// Transforms an event and waits until it is done.
    pub(crate) fn run_alone(&mut self, event: Event<'_>, framing: &OutputFraming<'_>, out: &mut dyn Sink) -> Verdict {
        loop {
            if let Step::Done(verdict) = self.start_event(ALONE, event, framing, out) {
                return verdict;
            }
            let fresh = self.isolate.as_ref().is_some_and(|isolate| isolate.events == 1);
            let waited =
                self.wait_alone(&mut |engine, settled| match engine.finish_event(settled, event, framing, out) {
                    Step::Done(verdict) => Some(verdict),
                    Step::Waits => None,
                });
            match waited {
                Ok(verdict) => return verdict.unwrap_or_else(|| never_settles("transformEvent").into()),
                // In a fresh isolate, only this event can have filled the heap.
                Err(lost) if lost.alone && fresh => return self.out_of_memory().into(),
                Err(_) => {}
            }
        }
    }

    /// Waits until the only waiting event or batch is finished, or must run again (`Err`).
    /// `Ok(None)` if no further answer will come.
    pub(crate) fn wait_alone<T>(
        &mut self,
        finish: &mut dyn FnMut(&mut Self, Settled) -> Option<T>,
    ) -> Result<Option<T>, LostEvent> {
        loop {
            self.expire(Instant::now());
            while let Some(settled) = self.settled() {
                if let Some(done) = finish(self, settled) {
                    return Ok(Some(done));
                }
            }
            if let Some(lost) = self.lost() {
                return Err(lost);
            }
            let deadline = self.next_deadline();
            let over = || deadline.is_some_and(|at| at <= Instant::now());
            let answer = self.network.clone().and_then(|network| network.borrow_mut().wait(&over));
            match answer {
                Some((id, text)) => self.deliver(id, &text),
                None if over() => {}
                None => return Ok(None),
            }
        }
    }
}
