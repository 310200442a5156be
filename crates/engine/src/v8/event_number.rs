//! Identifies the event whose code runs. Each event has a number, which V8 keeps with everything that follows from the
//! event's first call.
//!
//! The number is V8's continuation-preserved embedder data: the value at the time when a reaction is made is current
//! again when the reaction runs. So code that awaits a promise of another event runs under its own number, no matter
//! which code settles the promise. Everything that belongs to one event is counted by this number: metadata, logs, the
//! budget of requests, CPU time.
//!
//! Only engines with a network number their events: without a network, nothing can wait.

use deno_core::v8;

/// The number of code that runs outside any event, such as modules while they load.
pub(crate) const NO_EVENT: u32 = 0;

/// After this number, counting restarts. It fits into a small integer of V8.
const MAX_NUMBER: u32 = 1 << 29;

/// The number after `number`.
pub(crate) fn next(number: u32) -> u32 {
    if number >= MAX_NUMBER { NO_EVENT + 1 } else { number + 1 }
}

/// The number of the event whose code runs.
pub(crate) fn current(scope: &v8::PinScope<'_, '_>) -> u32 {
    let number = v8::Local::<v8::Integer>::try_from(scope.get_continuation_preserved_embedder_data());
    number.map_or(NO_EVENT, |number| number.value() as u32)
}

/// Makes the event with this number the current one.
pub(crate) fn set(scope: &v8::PinScope<'_, '_>, number: u32) {
    let number = v8::Integer::new(scope, number as i32);
    scope.set_continuation_preserved_embedder_data(number.into());
}
