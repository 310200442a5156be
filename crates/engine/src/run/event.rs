//! Transforms one event in the isolate: the hot path.
//!
//! Each step is a single call into V8: parse the line, call the function, run microtasks, print the result. The usual
//! event needs no future, no system call, and no allocation outside V8's heap. Everything that can run the author's
//! code (getters, `toJSON`, an error's own `message`) happens between the watch's `begin` and `end`.

use std::time::Instant;

use deno_core::v8;

use crate::lazy::{self, Laziness, LazyEvent, Sample, Strategy, Tuner};
use crate::run::call_result::{CallResult, caught, settled};
use crate::run::driver_functions::Driver;
use crate::run::in_flight::Waiting;
use crate::run::output::Print;
use crate::run::parse::{carry, parse};
use crate::run::print_plan::Planning;
use crate::run::state::State;
use crate::run::ticket::Ticket;
use crate::run::transform_isolate::{self, Overrides, TransformIsolate};
use crate::run::window;
use crate::unsafe_reads;
use crate::v8::v8_string::Scratch;
use crate::v8::{flatness, override_attempts};
use crate::verdict::{Failure, FailureKind, Verdict};
use crate::{Attempt, Engine, Event, OutputFraming};
use sluicegate_json::canonical;
use sluicegate_json::roundtrip;
use sluicegate_json::sink::Sink;

/// The state of an event after its first turn.
#[derive(Debug)]
pub enum Step {
    /// The event has its verdict.
    Done(Verdict),
    /// The event waits for the network, see [`Engine::settled`].
    Waits,
}

impl From<Failure> for Step {
    fn from(failure: Failure) -> Self {
        Step::Done(failure.into())
    }
}

impl Engine {
    pub(crate) fn attempt(
        &mut self,
        ticket: Ticket,
        event: Event<'_>,
        framing: &OutputFraming<'_>,
        out: &mut dyn Sink,
    ) -> Attempt<Step> {
        self.validator.restorer.lost.clear();
        let Some(isolate) = self.isolate.as_mut() else { return Attempt::OutOfMemory };
        let start = out.len();
        let entered = isolate.enter();
        let (context, transform, driver) = entered.handles;
        self.logs.clear();
        let is_source = |file: &str| transform_isolate::is_source(&self.program, file);
        let (mut in_time, mut number) = (true, None);
        let measured = self.in_flight.measured();
        let started = measured.then(Instant::now);
        let sample = sample(self.laziness, &mut self.tuner, measured, event.json.len());
        let step = {
            v8::scope_with_context!(scope, &mut *entered.isolate, context);
            v8::tc_scope!(let scope, scope);
            match parse_line(scope, driver, event.json, sample.strategy, &mut self.scratch) {
                Err(failure) => Some(failure.into()),
                Ok(ParsedLine { value, lazy, clean }) => {
                    if let Some(state) = scope.get_slot_mut::<State>() {
                        number = state.start(ticket);
                        state.set_metadata(event.metadata, self.laziness);
                    }
                    let lossy = lazy.is_none() && clean.is_none() && roundtrip::may_hold_lossy(event.json);
                    let mut reads = None;
                    if lossy {
                        let mode = self.options.unsafe_integers;
                        let watched = self.unsafe_read_report.is_wanted(mode);
                        if watched {
                            reads = unsafe_reads::begin(scope, number, mode, State::knows);
                        }
                        carry(scope, driver, value, event.json, &mut self.validator, &mut self.scratch, watched);
                    }
                    driver.begin_event(scope);
                    let planning = Planning { plan: entered.plan, planning: self.print_plan, line: event.json };
                    match number {
                        Some(number) => self.in_flight.begin_first(scope, &self.watch, number),
                        None => self.watch.begin(),
                    }
                    let answer = call(scope, transform, driver, value, lazy.as_ref(), lossy, planning, &is_source);
                    if let (CallResult::Waits(_), Some(lazy)) = (&answer, &lazy)
                        && roundtrip::may_hold_lossy(event.json)
                    {
                        // After the wait, the event is printed in the plain way.
                        let object = lazy.object.into();
                        carry(scope, driver, object, event.json, &mut self.validator, &mut self.scratch, false);
                    }
                    if lazy.is_some() {
                        lazy::finish_event(scope);
                    }
                    let answer = if window::drain(scope) { answer } else { CallResult::Terminated };
                    in_time = match number {
                        Some(_) => self.in_flight.end_first(scope, &self.watch),
                        None => self.watch.end(),
                    };
                    window::no_code!(scope);
                    let step = match answer {
                        _ if !in_time => None,
                        CallResult::Terminated => None,
                        CallResult::Failed(failure) => Some(failure.into()),
                        CallResult::Waits(promise) => {
                            if let Some(state) = scope.get_slot_mut::<State>() {
                                state.wait();
                            }
                            let promise = v8::Global::new(scope, promise);
                            let waiting = Waiting { ticket, promise, lazy: lazy.is_some() };
                            let wall = self.options.limits.wall;
                            self.in_flight.wait(number.unwrap_or_default(), waiting, started, wall);
                            Some(Step::Waits)
                        }
                        answer => {
                            let limit = self.options.limits.output;
                            let (validator, text) = (&mut self.validator, &mut self.text);
                            let mut print = Print::new(event.json, (clean, lossy), framing, limit, validator, text);
                            print_outputs(scope, answer, &mut print, out).map(Step::Done)
                        }
                    };
                    match (reads, step) {
                        (Some(reads), Some(Step::Done(verdict))) => {
                            let (mode, report) = (self.options.unsafe_integers, &mut self.unsafe_read_report);
                            let lost = &mut self.validator.restorer.lost;
                            let failures = unsafe_reads::settle(scope, reads, mode, report, lost, &is_source);
                            let failure =
                                failures.into_iter().next().filter(|_| !matches!(verdict, Verdict::Failed(_)));
                            Some(Step::Done(failure.map_or(verdict, |(_, failure)| failure.into())))
                        }
                        (_, step) => step,
                    }
                }
            }
        };
        if let Some(state) = entered.isolate.get_slot_mut::<State>() {
            if self.options.logs {
                state.swap_logs(&mut self.logs);
            }
            self.in_flight.made = number.map_or(0, |_| state.made());
            self.in_flight.take_settled(state);
        }
        drop(entered);
        if let Some(Step::Done(_)) = step {
            self.tuner.end(sample);
        }
        let attempt = self.conclude(step, in_time, start, out);
        if !matches!(attempt, Attempt::Done(_)) {
            self.in_flight.remove(number);
        }
        attempt
    }

    /// Determines the result of an attempt. Its output starts at `start`, and is removed unless the verdict is `Ok`.
    pub(crate) fn conclude(
        &mut self,
        mut step: Option<Step>,
        in_time: bool,
        start: usize,
        out: &mut dyn Sink,
    ) -> Attempt<Step> {
        let out_of_memory = self.isolate.as_ref().is_none_or(TransformIsolate::heap_was_hit);
        let attempted = override_attempts::take();
        if !in_time || out_of_memory || step.is_none() {
            out.truncate(start);
            self.logs.clear();
            return if !in_time { Attempt::OutOfTime } else { Attempt::OutOfMemory };
        }
        if let Some(help) = self.swapped
            && let Some(Step::Done(Verdict::Failed(failure))) = step.as_mut()
            && matches!(failure.kind, FailureKind::Exception | FailureKind::BadReturn)
        {
            failure.help = Some(help.to_owned());
        }
        if !self.masks.is_empty()
            && let Some(Step::Done(verdict)) = step.as_mut()
        {
            self.mask_everything(Some(verdict));
        }
        let wants =
            |step: &Step| matches!(step, Step::Done(Verdict::Failed(failure)) if Overrides::were_wanted(failure));
        match step {
            Some(step) if self.overrides != Overrides::All && (attempted || wants(&step)) => {
                out.truncate(start);
                Attempt::WantsOverrides
            }
            Some(step) => {
                if !matches!(step, Step::Done(Verdict::Ok { .. })) {
                    out.truncate(start);
                }
                Attempt::Done(step)
            }
            None => Attempt::OutOfMemory,
        }
    }

    pub(crate) fn mask_everything(&mut self, verdict: Option<&mut Verdict>) {
        if let Some(Verdict::Failed(failure)) = verdict {
            self.mask_failure(failure);
        }
        let mut logs = std::mem::take(&mut self.logs);
        logs.iter_mut().for_each(|line| self.mask(&mut line.message));
        self.logs = logs;
    }
}

/// A line as the author's code gets it.
struct ParsedLine<'s> {
    value: v8::Local<'s, v8::Value>,
    /// The same, if the event is lazy.
    lazy: Option<LazyEvent<'s>>,
    /// The number of keys of the line, if V8 loses nothing of it except duplicate keys. `None` for a lazy event.
    clean: Option<usize>,
}

/// Chooses how an event of this many bytes is parsed. `measured`: recent events have waited. An event that waits is printed
/// in the plain way, which is slow for a lazy event.
fn sample(laziness: Laziness, tuner: &mut Tuner, measured: bool, bytes: usize) -> Sample {
    match laziness {
        Laziness::Auto if measured => Sample::none(Strategy::Full),
        Laziness::Auto => tuner.start(bytes),
        Laziness::Always => Sample::none(Strategy::Lazy(0)),
        Laziness::Never => Sample::none(Strategy::Full),
        Laziness::From(bytes) => Sample::none(Strategy::Lazy(bytes)),
    }
}

/// Parses a line. None of the author's code runs.
#[inline(always)]
fn parse_line<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    line: &[u8],
    strategy: Strategy,
    scratch: &mut Scratch,
) -> Result<ParsedLine<'s>, Failure> {
    window::no_code!(scope);
    if let Some(lazy) = lazy::event(scope, line, strategy) {
        return Ok(ParsedLine { value: lazy.object.into(), lazy: Some(lazy), clean: None });
    }
    let clean = canonical::round_trips(line);
    let value = parse(scope, driver, line, clean.is_some(), scratch)?;
    Ok(ParsedLine { value, lazy: None, clean })
}

/// Writes what the code returned. `None` for a result that is not an output.
#[inline(always)]
fn print_outputs<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    result: CallResult<'s>,
    print: &mut Print<'_>,
    out: &mut dyn Sink,
) -> Option<Verdict> {
    match result {
        CallResult::Edits(edits, texts) => Some(print.edits(scope, edits, texts, out)),
        CallResult::Lazy(text) => Some(print.lazy(scope, text.into(), out)),
        CallResult::Parts(texts) => Some(print.lazy(scope, texts, out)),
        CallResult::Finished(texts) => Some(print.all(scope, texts, "transformEvent", out)),
        CallResult::Failed(_) | CallResult::Waits(_) | CallResult::Terminated => None,
    }
}

/// Runs the author's code for an event, and prints the result, which may run more of that code.
#[allow(clippy::too_many_arguments)]
fn call<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    transform: &v8::Global<v8::Function>,
    driver: &Driver,
    event: v8::Local<'s, v8::Value>,
    lazy: Option<&LazyEvent<'s>>,
    lossy: bool,
    mut planning: Planning<'_>,
    is_source: &dyn Fn(&str) -> bool,
) -> CallResult<'s> {
    let undefined: v8::Local<v8::Value> = v8::undefined(scope).into();
    let function = v8::Local::new(scope, transform);
    let metadata = v8::Local::new(scope, &driver.metadata);
    let mut result = function.call(scope, undefined, &[event, metadata.into()]);
    if result.is_some() {
        scope.perform_microtask_checkpoint();
    }
    if let Some(promise) = result.and_then(|value| v8::Local::<v8::Promise>::try_from(value).ok()) {
        match settled(scope, driver, promise, "transformEvent", is_source) {
            Ok(value) => result = Some(value),
            Err(other) => return other,
        }
    }
    let may_copy = lazy.is_some() && planning.plan.may_copy() && lazy::has_plain_prototypes(scope);
    if let (Some(lazy), Some(result)) = (lazy, result)
        && result == lazy.object
    {
        // If the author's code can run while a value is printed, that code must see the same event as when V8 prints
        // the whole event in order.
        if let Some(edits) = lazy::edits(scope, lazy.object)
            && (may_copy || edits.unprinted().all(|value| lazy::is_data(scope, value)))
        {
            let first_two = {
                let mut values = edits.unprinted();
                (values.next(), values.next())
            };
            let texts = match first_two {
                (None, _) => return CallResult::Edits(edits, undefined),
                (Some(value), None) => {
                    let flat = flatness::for_driver(scope, may_copy, value);
                    v8::Local::new(scope, &driver.piece).call(scope, undefined, &[value, flat])
                }
                _ => {
                    let values: Vec<_> = edits.unprinted().collect();
                    let values = v8::Array::new_with_elements(scope, &values).into();
                    v8::Local::new(scope, &driver.pieces).call(scope, undefined, &[values])
                }
            };
            match texts {
                Some(texts) if texts.is_undefined() => {}
                Some(texts) => return CallResult::Edits(edits, texts),
                None => return caught(scope, driver, is_source),
            }
        }
        if may_copy {
            let finish = v8::Local::new(scope, &driver.finish_lazy);
            match finish.call(scope, undefined, &[result, lazy.names.into()]) {
                Some(text) if text.is_string() => return CallResult::Lazy(text.cast()),
                Some(_) => {}
                None => return caught(scope, driver, is_source),
            }
        }
    }
    let parts = lazy.is_some() && may_copy;
    let mut print =
        |scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>, result| match (lossy, lazy) {
            (false, None) => planning.finish(scope, driver, result),
            _ => {
                let finish = match () {
                    () if lossy => &driver.finish_exact,
                    () if parts => &driver.finish_parts,
                    () => &driver.finish,
                };
                let finish = v8::Local::new(scope, finish);
                let flat = flatness::for_driver(scope, may_copy, result);
                unsafe_reads::silently(scope, |scope| finish.call(scope, undefined, &[result, flat]))
            }
        };
    let texts = match print_result(scope, driver, result, &mut print, is_source) {
        Ok(texts) => texts,
        Err(other) => return other,
    };
    if parts { CallResult::Parts(texts) } else { CallResult::Finished(texts) }
}

/// Calls the function of the driver that prints a result.
type PrintResult<'a, 's> = dyn FnMut(
        &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        v8::Local<'s, v8::Value>,
    ) -> Option<v8::Local<'s, v8::Value>>
    + 'a;

/// Prints a result with the driver and returns the texts.
///
/// # Errors
/// Another result of the call, if there are no texts: for example,
/// the result's promise is pending, or printing has thrown.
fn print_result<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    mut result: Option<v8::Local<'s, v8::Value>>,
    print: &mut PrintResult<'_, 's>,
    is_source: &dyn Fn(&str) -> bool,
) -> Result<v8::Local<'s, v8::Value>, CallResult<'s>> {
    loop {
        let answer = result.and_then(|result| print(scope, result));
        let Some(texts) = answer else { return Err(caught(scope, driver, is_source)) };
        // The result was a thenable. The driver wrapped it in a promise, which must settle first.
        let Ok(promise) = v8::Local::<v8::Promise>::try_from(texts) else { return Ok(texts) };
        scope.perform_microtask_checkpoint();
        result = Some(settled(scope, driver, promise, "transformEvent", is_source)?);
    }
}

/// Finishes an event that has waited: prints the value that its promise was fulfilled with.
pub(crate) fn call_finish<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    promise: v8::Local<'s, v8::Promise>,
    lossy: bool,
    is_source: &dyn Fn(&str) -> bool,
) -> CallResult<'s> {
    let result = match settled(scope, driver, promise, "transformEvent", is_source) {
        Ok(value) => value,
        Err(other) => return other,
    };
    let undefined: v8::Local<v8::Value> = v8::undefined(scope).into();
    let finish = if lossy { &driver.finish_exact } else { &driver.finish };
    let mut print = |scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>, result| {
        let finish = v8::Local::new(scope, finish);
        unsafe_reads::silently(scope, |scope| finish.call(scope, undefined, &[result]))
    };
    match print_result(scope, driver, Some(result), &mut print, is_source) {
        Ok(texts) => CallResult::Finished(texts),
        Err(other) => other,
    }
}
