//! What a call into the author's code came to, and the one way to wait for a promise that it returned.

use deno_core::v8;

use crate::lazy::Edits;
use crate::run::driver_functions::Driver;
use crate::run::fetch;
use crate::v8::errors;
use crate::verdict::{Failure, FailureKind};

/// What the code answered, while its handles live.
pub(crate) enum CallResult<'s> {
    Finished(v8::Local<'s, v8::Value>),
    /// The same, with markers for parts of the current lazy event that are as they came.
    Parts(v8::Local<'s, v8::Value>),
    /// The current event is a lazy one, and as it came but for these values; their texts.
    Edits(Edits<'s>, v8::Local<'s, v8::Value>),
    /// The text of the current lazy event, with markers for what is still lazy.
    Lazy(v8::Local<'s, v8::String>),
    Failed(Failure),
    /// This promise has to settle first, and an answer from the network could settle it.
    Waits(v8::Local<'s, v8::Promise>),
    Terminated,
}

enum Settled<'s> {
    Fulfilled(v8::Local<'s, v8::Value>),
    Rejected(v8::Local<'s, v8::Value>),
    /// An answer from the network could settle it.
    Waits,
    Never,
}

/// The state of a promise after all microtasks have run.
fn state_of<'s>(scope: &mut v8::PinScope<'s, '_>, promise: v8::Local<'s, v8::Promise>) -> Settled<'s> {
    match promise.state() {
        v8::PromiseState::Fulfilled => Settled::Fulfilled(promise.result(scope)),
        v8::PromiseState::Rejected => {
            promise.mark_as_handled();
            Settled::Rejected(promise.result(scope))
        }
        v8::PromiseState::Pending if fetch::any_unanswered(scope) => Settled::Waits,
        v8::PromiseState::Pending => Settled::Never,
    }
}

/// What a promise of the author's `function` is settled with, after all microtasks have run; otherwise what the call came to.
pub(crate) fn settled<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    promise: v8::Local<'s, v8::Promise>,
    function: &str,
    is_source: &dyn Fn(&str) -> bool,
) -> Result<v8::Local<'s, v8::Value>, CallResult<'s>> {
    match state_of(scope, promise) {
        Settled::Fulfilled(value) => Ok(value),
        Settled::Rejected(thrown) => Err(describe(scope, driver, thrown, is_source)),
        Settled::Waits => Err(waits(scope, driver, promise, is_source)),
        Settled::Never => Err(CallResult::Failed(never_settles(function))),
    }
}

/// The event waits for this promise: the engine is told when it is settled.
fn waits<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    promise: v8::Local<'s, v8::Promise>,
    is_source: &dyn Fn(&str) -> bool,
) -> CallResult<'s> {
    let settled = v8::Local::new(scope, &driver.settled);
    // This may call code of the author's: a class of promises of its own.
    match promise.then2(scope, settled, settled) {
        Some(_) => CallResult::Waits(promise),
        None => caught(scope, driver, is_source),
    }
}

pub(crate) fn never_settles(function: &str) -> Failure {
    let message = format!("{function} returned a promise that can never settle: nothing is left that could resolve it");
    Failure::new(FailureKind::NeverSettles, message)
        .help("only answers to requests and the code itself settle promises; there are no timers")
}

/// The current exception, if it is one and not a termination.
pub(crate) fn caught<'s>(
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

pub(crate) fn describe<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    thrown: v8::Local<'s, v8::Value>,
    is_source: &dyn Fn(&str) -> bool,
) -> CallResult<'s> {
    let function = v8::Local::new(scope, &driver.describe);
    let failure = errors::describe(scope, function, thrown, FailureKind::Exception, is_source);
    if scope.has_terminated() { CallResult::Terminated } else { CallResult::Failed(failure) }
}
