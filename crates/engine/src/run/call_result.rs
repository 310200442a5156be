//! The result of a call into the author's code, and the only way to wait for a promise that it returned.

use deno_core::v8;

use crate::lazy::Edits;
use crate::run::driver_functions::Driver;
use crate::run::fetch;
use crate::v8::errors;
use crate::verdict::{Failure, FailureKind};

/// The result of a call. Its handles belong to the current scope.
pub(crate) enum CallResult<'s> {
    Finished(v8::Local<'s, v8::Value>),
    /// Like `Finished`, with markers for unchanged parts of the current lazy event.
    Parts(v8::Local<'s, v8::Value>),
    /// The event is lazy and unchanged except for these values. The second field has their texts.
    Edits(Edits<'s>, v8::Local<'s, v8::Value>),
    /// The text of the current lazy event, with markers for values that are still lazy.
    Lazy(v8::Local<'s, v8::String>),
    Failed(Failure),
    /// The promise is pending, and an answer from the network could settle it.
    Waits(v8::Local<'s, v8::Promise>),
    Terminated,
}

enum Settled<'s> {
    Fulfilled(v8::Local<'s, v8::Value>),
    Rejected(v8::Local<'s, v8::Value>),
    /// Pending, and an answer from the network could settle it.
    Waits,
    Never,
}

/// Returns the state of a promise after all microtasks have run.
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

/// Returns the value that a promise of the author's `function` was fulfilled with, after all microtasks have
/// run; otherwise the result of the call.
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

/// Registers for the settling of a promise that the event waits for.
fn waits<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    promise: v8::Local<'s, v8::Promise>,
    is_source: &dyn Fn(&str) -> bool,
) -> CallResult<'s> {
    let settled = v8::Local::new(scope, &driver.settled);
    // This may run the author's code: the promise can be of a subclass.
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

/// Describes the current exception. A termination is not one.
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
