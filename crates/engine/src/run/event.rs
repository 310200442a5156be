//! One event through the isolate: the hot path.
//!
//! Parse, call, let microtasks run, print; each a single call into V8. No future, no system call, no allocation of ours
//! per event. Everything that can run code of the author's (getters, `toJSON`, the error's own `message`) lies between
//! the watch's `begin` and `end`.

use deno_core::v8;

use crate::lazy::{self, Edits, Laziness, LazyEvent, Sample, Strategy};
use crate::run::driver_functions::Driver;
use crate::run::fetch;
use crate::run::host_functions;
use crate::run::output::Print;
use crate::run::print_plan::Planning;
use crate::run::transform_isolate;
use crate::v8::errors;
use crate::v8::v8_string;
use crate::verdict::{Failure, FailureKind, Verdict};
use crate::{Attempt, Engine, Event, OutputFraming};
use sluicegate_json::canonical;
use sluicegate_json::roundtrip;
use sluicegate_json::sink::Sink;
use sluicegate_json::validator::Validator;

/// What the code answered, while its handles live.
enum CallResult<'s> {
    Finished(v8::Local<'s, v8::Value>),
    /// The same, with markers for parts of the lazy event in hand that are as they came.
    Parts(v8::Local<'s, v8::Value>),
    /// The event in hand is a lazy one, and as it came but for these values; their texts.
    Edits(Edits<'s>, v8::Local<'s, v8::Value>),
    /// The text of the lazy event in hand, with markers for what is still lazy.
    Lazy(v8::Local<'s, v8::String>),
    Failed(Failure),
    Terminated,
}

impl Engine {
    pub(crate) fn attempt(
        &mut self,
        event: Event<'_>,
        rendering: &OutputFraming<'_>,
        out: &mut dyn Sink,
    ) -> Attempt<Verdict> {
        let Some(realm) = self.realm.as_mut() else { return Attempt::OutOfMemory };
        let start = out.len();
        let entered = realm.enter();
        let (context, transform, driver) = entered.realm;
        self.logs.clear();
        let is_source = |file: &str| transform_isolate::is_source(&self.program, file);
        let mut in_time = true;
        let trial = match self.laziness {
            Laziness::Auto => self.choice.start(event.json.len()),
            Laziness::Always => Sample::none(Strategy::Lazy(0)),
            Laziness::Never => Sample::none(Strategy::Whole),
            Laziness::From(bytes) => Sample::none(Strategy::Lazy(bytes)),
        };
        let mut verdict = {
            v8::scope_with_context!(scope, &mut *entered.isolate, context);
            v8::tc_scope!(let scope, scope);
            let lazy = lazy::event(scope, event.json, trial.way);
            let clean = if lazy.is_none() { canonical::round_trips(event.json) } else { None };
            let parsed = match &lazy {
                Some(lazy) => Ok(lazy.object.into()),
                None => parse(scope, driver, event.json, clean.is_some(), &mut self.scratch),
            };
            match parsed {
                Err(failure) => Some(failure.into()),
                Ok(value) => {
                    if let Some(state) = scope.get_slot_mut::<host_functions::State>() {
                        state.clear();
                        state.set_metadata(event.metadata, self.laziness);
                    }
                    let lossy = lazy.is_none() && clean.is_none() && roundtrip::may_hold_lossy(event.json);
                    if lossy {
                        carry(scope, driver, value, event.json, &mut self.validator, &mut self.scratch);
                    }
                    let planning = Planning { plan: entered.plan, way: self.print_plan, line: event.json };
                    self.watch.begin();
                    let answer = call(scope, transform, driver, value, lazy.as_ref(), lossy, planning, &is_source);
                    in_time = self.watch.end();
                    if lazy.is_some() {
                        lazy::finish_event(scope);
                    }
                    match answer {
                        _ if !in_time => None,
                        CallResult::Terminated => None,
                        CallResult::Failed(failure) => Some(failure.into()),
                        answer => {
                            let mut print = Print {
                                line: event.json,
                                clean,
                                lossy,
                                is_read: false,
                                validator: &mut self.validator,
                                rendering,
                                limit: self.options.limits.output,
                                used: 0,
                                text: &mut self.text,
                            };
                            match answer {
                                CallResult::Edits(edits, texts) => Some(print.edits(scope, edits, texts, out)),
                                CallResult::Lazy(text) => Some(print.lazy(scope, text.into(), out)),
                                CallResult::Parts(texts) => Some(print.lazy(scope, texts, out)),
                                CallResult::Finished(texts) => Some(print.all(scope, texts, "transformEvent", out)),
                                _ => None,
                            }
                        }
                    }
                }
            }
        };
        if self.options.logs
            && let Some(state) = entered.isolate.get_slot_mut::<host_functions::State>()
        {
            std::mem::swap(&mut self.logs, &mut state.logs);
        }
        drop(entered);
        self.choice.end(trial);
        let out_of_memory = realm.heap_was_hit();
        if !in_time || out_of_memory || verdict.is_none() {
            out.truncate(start);
            self.logs.clear();
            return if !in_time { Attempt::OutOfTime } else { Attempt::OutOfMemory };
        }
        if !self.masks.is_empty() {
            self.mask_everything(verdict.as_mut());
        }
        match verdict {
            Some(verdict) => {
                if !matches!(verdict, Verdict::Ok { .. }) {
                    out.truncate(start);
                }
                Attempt::Done(verdict)
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

/// The event as V8 sees it, or why there is none. Whether its line is `clean`, [`canonical::round_trips`] says.
pub(crate) fn parse<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    json: &[u8],
    clean: bool,
    scratch: &mut v8_string::Scratch,
) -> Result<v8::Local<'s, v8::Value>, Failure> {
    let text = to_text(scope, json, scratch)?;
    match v8::json::parse(scope, text) {
        Some(value) if value.is_object() && !value.is_array() => {
            let lists = if clean { None } else { roundtrip::as_lists(json) };
            Ok(lists.and_then(|lists| from_lists(scope, driver, &lists, scratch)).unwrap_or(value))
        }
        Some(value) => Err(not_an_object(scope, value)),
        None => Err(invalid_json(scope)),
    }
}

/// Has the driver know the objects and arrays of an event in which there are numbers that JavaScript may not hold.
pub(crate) fn carry<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    event: v8::Local<'s, v8::Value>,
    line: &[u8],
    validator: &mut Validator,
    scratch: &mut v8_string::Scratch,
) {
    // Of a key that stands twice the last value counts, and paths know nothing of that.
    let mut once = Vec::new();
    if validator.duplicates.any(line) {
        validator.restorer.without_duplicates(line, &mut once);
    }
    let Some(numbers) = roundtrip::unsafe_numbers(if once.is_empty() { line } else { &once }) else { return };
    let Some(numbers) = v8_string::to_v8(scope, &numbers, scratch) else { return };
    let function = v8::Local::new(scope, &driver.carry);
    let undefined = v8::undefined(scope).into();
    if function.call(scope, undefined, &[event, numbers.into()]).is_none() {
        scope.reset();
    }
}

/// The event that lists stand for; nothing if they are too deep.
fn from_lists<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    lists: &[u8],
    scratch: &mut v8_string::Scratch,
) -> Option<v8::Local<'s, v8::Value>> {
    let text = v8_string::to_v8(scope, lists, scratch)?;
    let function = v8::Local::new(scope, &driver.event_of);
    let undefined = v8::undefined(scope).into();
    let event = function.call(scope, undefined, &[text.into()]);
    if event.is_none() {
        scope.reset();
    }
    event
}

pub(crate) fn to_text<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    json: &[u8],
    scratch: &mut v8_string::Scratch,
) -> Result<v8::Local<'s, v8::String>, Failure> {
    v8_string::to_v8(scope, json, scratch).ok_or_else(|| {
        let message = match std::str::from_utf8(json) {
            Err(error) => format!("the line is not UTF-8: byte {} starts no character", error.valid_up_to() + 1),
            Ok(_) => "the line is longer than V8 can hold".to_owned(),
        };
        Failure::new(FailureKind::InvalidJson, message)
    })
}

fn not_an_object(scope: &mut v8::PinScope<'_, '_>, value: v8::Local<v8::Value>) -> Failure {
    let found = if value.is_array() {
        "an array".to_owned()
    } else if value.is_null() {
        "null".to_owned()
    } else {
        format!("a {}", value.type_of(scope).to_rust_string_lossy(scope))
    };
    Failure::new(FailureKind::NotAnObject, format!("the line is {found}, not a JSON object"))
}

/// V8's own words for what is wrong with the text.
fn invalid_json(scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, '_, v8::HandleScope<'_>>>) -> Failure {
    let text = scope.exception().map(|error| error.to_rust_string_lossy(scope)).unwrap_or_default();
    scope.reset();
    let message = text.strip_prefix("SyntaxError: ").unwrap_or(&text).to_owned();
    Failure::new(FailureKind::InvalidJson, message)
}

/// Everything that runs the author's code.
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
        match settled(scope, promise) {
            Settled::Fulfilled(value) => result = Some(value),
            Settled::Rejected(thrown) => return describe(scope, driver, thrown, is_source),
            Settled::Never => return CallResult::Failed(never_settles("transformEvent")),
        }
    }
    if let (Some(lazy), Some(result)) = (lazy, result)
        && result == lazy.object
    {
        if let Some(edits) = lazy::edits(scope, lazy.object) {
            let first_two = {
                let mut values = edits.unprinted();
                (values.next(), values.next())
            };
            let texts = match first_two {
                (None, _) => return CallResult::Edits(edits, undefined),
                (Some(value), None) => v8::Local::new(scope, &driver.piece).call(scope, undefined, &[value]),
                _ => {
                    let values: Vec<_> = edits.unprinted().collect();
                    let values = v8::Array::new_with_elements(scope, &values);
                    v8::Local::new(scope, &driver.pieces).call(scope, undefined, &[values.into()])
                }
            };
            match texts {
                Some(texts) if texts.is_undefined() => {}
                Some(texts) => return CallResult::Edits(edits, texts),
                None => return caught(scope, driver, is_source),
            }
        }
        let finish = v8::Local::new(scope, &driver.finish_lazy);
        match finish.call(scope, undefined, &[result, lazy.names.into()]) {
            Some(text) if text.is_string() => return CallResult::Lazy(text.cast()),
            Some(_) => {}
            None => return caught(scope, driver, is_source),
        }
    }
    let parts = lazy.is_some() && planning.plan.may_copy();
    loop {
        let answer = result.and_then(|result| match (lossy, lazy) {
            (false, None) => planning.finish(scope, driver, result),
            _ => {
                let finish = match () {
                    () if lossy => &driver.finish_exact,
                    () if parts => &driver.finish_parts,
                    () => &driver.finish,
                };
                v8::Local::new(scope, finish).call(scope, undefined, &[result])
            }
        });
        let Some(texts) = answer else { return caught(scope, driver, is_source) };
        // A thenable: it settles like a promise, and then it is none any more.
        let Ok(promise) = v8::Local::<v8::Promise>::try_from(texts) else {
            return if parts { CallResult::Parts(texts) } else { CallResult::Finished(texts) };
        };
        scope.perform_microtask_checkpoint();
        match settled(scope, promise) {
            Settled::Fulfilled(value) => result = Some(value),
            Settled::Rejected(thrown) => return describe(scope, driver, thrown, is_source),
            Settled::Never => return CallResult::Failed(never_settles("transformEvent")),
        }
    }
}

pub(crate) enum Settled<'s> {
    Fulfilled(v8::Local<'s, v8::Value>),
    Rejected(v8::Local<'s, v8::Value>),
    Never,
}

/// What became of a promise after all microtasks have run.
pub(crate) fn settled<'s>(scope: &mut v8::PinScope<'s, '_>, promise: v8::Local<'s, v8::Promise>) -> Settled<'s> {
    match promise.state() {
        v8::PromiseState::Fulfilled => Settled::Fulfilled(promise.result(scope)),
        v8::PromiseState::Rejected => {
            promise.mark_as_handled();
            Settled::Rejected(promise.result(scope))
        }
        v8::PromiseState::Pending if fetch::drive(scope, promise) => settled(scope, promise),
        v8::PromiseState::Pending => Settled::Never,
    }
}

pub(crate) fn never_settles(function: &str) -> Failure {
    let message = format!("{function} returned a promise that can never settle: nothing is left that could resolve it");
    Failure::new(FailureKind::NeverSettles, message)
}

/// The exception in hand, if it is one and not a termination.
fn caught<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    is_source: &dyn Fn(&str) -> bool,
) -> CallResult<'s> {
    if scope.has_terminated() {
        return CallResult::Terminated;
    }
    let Some(thrown) = scope.exception() else { return CallResult::Terminated };
    scope.reset();
    describe(scope, driver, thrown, is_source)
}

fn describe<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    thrown: v8::Local<'s, v8::Value>,
    is_source: &dyn Fn(&str) -> bool,
) -> CallResult<'s> {
    let function = v8::Local::new(scope, &driver.describe);
    let failure = errors::describe(scope, function, thrown, FailureKind::Exception, is_source);
    // Code that threw may have left microtasks behind; they end with their event.
    scope.perform_microtask_checkpoint();
    if scope.has_terminated() { CallResult::Terminated } else { CallResult::Failed(failure) }
}
