//! Whose code runs: each event has a number, which V8 keeps with everything that follows from the event's first call.
//!
//! The number is V8's continuation-preserved embedder data: what is current when a reaction is made is current again when
//! it runs. So code that awaits a promise of another event runs under its own number, no matter which code settles it. The number counts
//! for everything that belongs to one event: metadata, logs, the budget of requests, CPU time.
//!
//! Only engines with a network number their events: without one, nothing can wait.

use deno_core::v8;

/// The number of what runs outside any event, such as the modules while they load.
pub(crate) const NO_EVENT: u32 = 0;

/// Numbers start again behind this one; a small integer of V8 holds it.
const MAX_NUMBER: u32 = 1 << 29;

/// The number behind `number`.
pub(crate) fn next(number: u32) -> u32 {
    if number >= MAX_NUMBER { NO_EVENT + 1 } else { number + 1 }
}

/// The number of the event whose code runs.
pub(crate) fn current(scope: &v8::PinScope<'_, '_>) -> u32 {
    let number = v8::Local::<v8::Integer>::try_from(scope.get_continuation_preserved_embedder_data());
    number.map_or(NO_EVENT, |number| number.value() as u32)
}

/// What runs from here on belongs to the event with this number.
pub(crate) fn set(scope: &v8::PinScope<'_, '_>, number: u32) {
    let number = v8::Integer::new(scope, number as i32);
    scope.set_continuation_preserved_embedder_data(number.into());
}
