//! The calls into the driver for a batch: open it, await its result, close it.

use deno_core::v8;

use crate::run::call_result::{CallResult, caught, settled};
use crate::run::driver_functions::Driver;
use crate::run::output::BadReturn;
use crate::run::window;
use crate::unsafe_reads;

/// The arguments of the driver's functions for a batch.
pub(super) struct Call<'s> {
    number: v8::Local<'s, v8::Value>,
    count: v8::Local<'s, v8::Value>,
    lossy: v8::Local<'s, v8::Value>,
}

pub(super) type Scope<'a, 'b, 'c, 's> = v8::PinnedRef<'a, v8::TryCatch<'b, 's, v8::HandleScope<'c>>>;

impl<'s> Call<'s> {
    pub(super) fn new(scope: &v8::PinScope<'s, '_>, number: u32, count: u32, lossy: bool) -> Self {
        Self {
            number: v8::Integer::new_from_unsigned(scope, number).into(),
            count: v8::Integer::new_from_unsigned(scope, count).into(),
            lossy: v8::Boolean::new(scope, lossy).into(),
        }
    }
}

/// Runs the first turn of a batch.
pub(super) fn call_batch<'s>(
    scope: &mut Scope<'_, '_, '_, 's>,
    driver: &Driver,
    transform: &v8::Global<v8::Function>,
    inputs: v8::Local<'s, v8::Value>,
    call: &Call<'s>,
    is_source: &dyn Fn(&str) -> bool,
) -> CallResult<'s> {
    let undefined: v8::Local<v8::Value> = v8::undefined(scope).into();
    // Opening a batch reads the events' ids, which a prototype may define, so it can throw.
    let open = v8::Local::new(scope, &driver.open_batch);
    if open.call(scope, undefined, &[inputs, call.number]).is_none() {
        return caught(scope, driver, is_source);
    }
    let transform = v8::Local::new(scope, transform);
    let metadata = v8::Local::new(scope, &driver.metadata);
    let Some(result) = transform.call(scope, undefined, &[inputs, metadata.into()]) else {
        return caught(scope, driver, is_source);
    };
    scope.perform_microtask_checkpoint();
    finish_call(scope, driver, result, call, is_source)
}

/// Finishes the batch once its result is settled. The result has the texts of each input's outputs.
pub(super) fn finish_call<'s>(
    scope: &mut Scope<'_, '_, '_, 's>,
    driver: &Driver,
    mut result: v8::Local<'s, v8::Value>,
    call: &Call<'s>,
    is_source: &dyn Fn(&str) -> bool,
) -> CallResult<'s> {
    if let Ok(promise) = v8::Local::<v8::Promise>::try_from(result) {
        match settled(scope, driver, promise, "transformBatch", is_source) {
            Ok(value) => result = value,
            Err(other) => return other,
        }
    }
    let undefined = v8::undefined(scope).into();
    let finish = v8::Local::new(scope, &driver.finish_batch);
    let arguments = [result, call.count, call.lossy, call.number];
    match unsafe_reads::silently(scope, |scope| finish.call(scope, undefined, &arguments)) {
        Some(grouped) if grouped.is_array() => CallResult::Finished(grouped),
        Some(fault) => {
            let failure = BadReturn::from_driver(fault, "transformBatch");
            CallResult::Failed(failure.unwrap_or_else(|| BadReturn::NotAnArray.failure("transformBatch")))
        }
        None => caught(scope, driver, is_source),
    }
}

/// Ends a turn: runs the pending microtasks, and forgets the batch unless it waits.
pub(super) fn close<'s>(
    scope: &mut Scope<'_, '_, '_, 's>,
    driver: &Driver,
    call: &Call<'s>,
    answer: CallResult<'s>,
) -> CallResult<'s> {
    let whole = window::drain(scope);
    if !matches!(answer, CallResult::Waits(_)) {
        let undefined = v8::undefined(scope).into();
        let close = v8::Local::new(scope, &driver.close_batch);
        close.call(scope, undefined, &[call.number]);
    }
    if whole { answer } else { CallResult::Terminated }
}
