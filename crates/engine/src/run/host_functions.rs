//! The host functions that the scripts in the isolate can call: log output, the metadata of the current event, the
//! network, and native functions for the web APIs. There are no others.

use deno_core::v8;

use crate::lazy;
use crate::run::fetch;
use crate::run::output::BadReturn;
use crate::run::requests::Access;
use crate::run::state::State;
use crate::run::web;
use crate::unsafe_reads::{self, UnsafeReads};
use crate::v8::event_number;
use crate::v8::on_demand;
use crate::v8::v8_string;
use sluicegate_json::roundtrip;

/// Makes the `host` object that is passed to the scripts of `js/runtime`.
pub(crate) fn object<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    logs: bool,
    access: Access,
) -> Option<v8::Local<'s, v8::Object>> {
    let host = v8::Object::new(scope);
    // Shared memory: the driver writes two numbers and the getter of lazy values reads them, without a call in between.
    let probe = v8::ArrayBuffer::new(scope, size_of::<[u32; 2]>());
    let memory = probe.get_backing_store().data()?.as_ptr().cast::<[u32; 2]>();
    let probe = v8::Uint32Array::new(scope, probe, 0, 2)?;
    let lazy = lazy::State::new(scope, memory)?;
    scope.set_slot(lazy::Shared::new(lazy.into()));
    let lazy_part = v8::Function::new(scope, lazy::part)?;
    let write = v8::Function::new(scope, write_log)?;
    let escaped_keys = v8::Function::new(scope, escaped_keys)?;
    let shared = lazy::SharedMetadata::default();
    if let Some(state) = scope.get_slot_mut::<State>() {
        state.metadata = shared.clone();
    }
    scope.set_slot(shared);
    let documented = v8::Function::new(scope, lazy::documented)?;
    let lazy_metadata = v8::Function::new(scope, lazy::lazy_metadata)?;
    let metadata = v8::Function::new(scope, lazy::metadata_of)?;
    let logs = v8::Boolean::new(scope, logs);
    let bad_returns = v8::Object::new(scope);
    for (name, fault) in BadReturn::NAMES {
        let (name, number) = (v8::String::new(scope, name)?, v8::Integer::new(scope, fault as i32));
        bad_returns.set(scope, name.into(), number.into())?;
    }
    let kinds = deno_core::serde_v8::to_v8(scope, BadReturn::KINDS.map(|(kind, _)| kind)).ok()?;
    let name = v8::String::new(scope, "KINDS")?;
    bad_returns.set(scope, name.into(), kinds)?;
    let request = v8::Function::new(scope, fetch::request)?;
    let event_number = v8::Function::new(scope, event_number_of_turn)?;
    let on_demand = v8::Function::new(scope, on_demand::on_demand)?;
    let web_native = v8::Function::new(scope, web::native)?;
    scope.set_slot(UnsafeReads::default());
    let watch_number = v8::Function::new(scope, unsafe_reads::watch)?;
    let text_leaves = v8::Function::new(scope, text_leaves)?;
    let number_moved = v8::Function::new(scope, unsafe_reads::moved)?;
    let access = deno_core::serde_v8::to_v8(scope, access).ok()?;
    for (name, value) in [
        ("write", write.into()),
        ("documented", documented.into()),
        ("lazyMetadata", lazy_metadata.into()),
        ("metadataOf", metadata.into()),
        ("probe", probe.into()),
        ("lazyPart", lazy_part.into()),
        ("escapedKeys", escaped_keys.into()),
        ("logs", logs.into()),
        ("badReturns", bad_returns.into()),
        ("request", request.into()),
        ("eventNumber", event_number.into()),
        ("onDemand", on_demand.into()),
        ("webNative", web_native.into()),
        ("watchNumber", watch_number.into()),
        ("numberMoved", number_moved.into()),
        ("textLeaves", text_leaves.into()),
        ("access", access),
    ] {
        let key = v8::String::new(scope, name)?;
        host.set(scope, key.into(), value)?;
    }
    Some(host)
}

/// `escapedKeys(text)`: returns a valid JSON text as lists if any key contains an escape, see [`roundtrip::as_lists`].
fn escaped_keys(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    let Ok(text) = v8::Local::<v8::String>::try_from(args.get(0)) else { return };
    let text = v8_string::to_string(scope, text);
    let lists = roundtrip::as_lists(text.as_bytes());
    if let Some(lists) = lists.and_then(|lists| v8_string::to_v8(scope, &lists, &mut v8_string::Scratch::default())) {
        answer.set(lists.into());
    }
}

/// See [`unsafe_reads::text_leaves`].
fn text_leaves(scope: &mut v8::PinScope<'_, '_>, args: v8::FunctionCallbackArguments, _: v8::ReturnValue<v8::Value>) {
    let turn = scope.get_slot::<State>().map(State::turn).unwrap_or_default();
    unsafe_reads::text_leaves(scope, &args, turn);
}

/// `eventNumber()`: returns the number of the event, or batch, whose code runs.
fn event_number_of_turn(
    scope: &mut v8::PinScope<'_, '_>,
    _: v8::FunctionCallbackArguments,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    answer.set_uint32(event_number::current(scope));
}

/// `write(level, message)`: appends a log line.
fn write_log(scope: &mut v8::PinScope<'_, '_>, args: v8::FunctionCallbackArguments, _: v8::ReturnValue<v8::Value>) {
    let text = |scope: &mut v8::PinScope<'_, '_>, index| {
        v8::Local::<v8::String>::try_from(args.get(index)).map(|text| v8_string::to_string(scope, text))
    };
    if let (Ok(level), Ok(message)) = (text(scope, 0), text(scope, 1))
        && let number = event_number::current(scope)
        && let Some(state) = scope.get_slot_mut::<State>()
        && let limit = state.limit
        && let Some(event) = state.of(number)
    {
        event.log(limit, level, message);
    }
}

/// V8 calls this when the promise of a waiting event is settled.
pub(crate) fn note_settled(
    scope: &mut v8::PinScope<'_, '_>,
    _: v8::FunctionCallbackArguments,
    _: v8::ReturnValue<v8::Value>,
) {
    let number = event_number::current(scope);
    if let Some(state) = scope.get_slot_mut::<State>() {
        state.settle(number);
    }
}
