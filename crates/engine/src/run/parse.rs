//! Converts a line to the object that the code is given, or to a failure.

use deno_core::v8;

use crate::run::driver_functions::Driver;
use crate::run::transform_isolate::TransformIsolate;
use crate::run::window;
use crate::v8::v8_string;
use crate::verdict::{Failure, FailureKind};
use sluicegate_json::roundtrip;
use sluicegate_json::validator::Validator;

/// Parses the event with V8. `clean` says whether [`sluicegate_json::canonical::round_trips`] holds for the line.
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

/// Registers with the driver the objects and arrays of an event that contain numbers JavaScript may not represent. If
/// `watched`, reads of these numbers are recorded, see [`crate::unsafe_reads`].
pub(crate) fn carry<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    event: v8::Local<'s, v8::Value>,
    line: &[u8],
    validator: &mut Validator,
    scratch: &mut v8_string::Scratch,
    watched: bool,
) {
    // The last duplicate of a key counts. Paths can't express that, so duplicates are removed first.
    let mut once = Vec::new();
    if validator.duplicates.any(line) {
        validator.restorer.without_duplicates(line, &mut once);
    }
    let Some(numbers) = roundtrip::unsafe_numbers(if once.is_empty() { line } else { &once }) else { return };
    let Some(numbers) = v8_string::to_v8(scope, &numbers, scratch) else { return };
    let function = v8::Local::new(scope, &driver.carry);
    let undefined = v8::undefined(scope).into();
    let carried = {
        let watched = v8::Boolean::new(scope, watched).into();
        window::own_code!(scope);
        function.call(scope, undefined, &[event, numbers.into(), watched])
    };
    if carried.is_none() {
        scope.reset();
    }
}

/// Builds the event from lists; `None` if they are nested too deeply.
fn from_lists<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    lists: &[u8],
    scratch: &mut v8_string::Scratch,
) -> Option<v8::Local<'s, v8::Value>> {
    let text = v8_string::to_v8(scope, lists, scratch)?;
    let function = v8::Local::new(scope, &driver.event_of);
    let undefined = v8::undefined(scope).into();
    let event = {
        window::own_code!(scope);
        function.call(scope, undefined, &[text.into()])
    };
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
    let is_array = value.is_array();
    let found = if is_array {
        "an array".to_owned()
    } else if value.is_null() {
        "null".to_owned()
    } else {
        format!("a {}", value.type_of(scope).to_rust_string_lossy(scope))
    };
    let failure = Failure::new(FailureKind::NotAnObject, format!("the line is {found}, not a JSON object"));
    if is_array { failure.help("an array of events is read with `--input-format array`") } else { failure }
}

/// V8's own message about an invalid text; `None` if V8 accepts it.
pub(crate) fn why_not_json(
    isolate: &mut TransformIsolate,
    text: &[u8],
    scratch: &mut v8_string::Scratch,
) -> Option<String> {
    let entered = isolate.enter();
    let (context, ..) = entered.handles;
    v8::scope_with_context!(scope, &mut *entered.isolate, context);
    v8::tc_scope!(let scope, scope);
    window::no_code!(scope);
    let text = match to_text(scope, text, scratch) {
        Ok(text) => text,
        Err(failure) => return Some(failure.message),
    };
    match v8::json::parse(scope, text) {
        Some(_) => None,
        None => Some(invalid_json(scope).message),
    }
}

/// V8's own message about the invalid text.
fn invalid_json(scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, '_, v8::HandleScope<'_>>>) -> Failure {
    // Reads the own property: converting the error to a string would call `toString` of a
    // prototype, possibly the author's.
    let message = scope.exception().and_then(|error| {
        let error: v8::Local<v8::Object> = error.try_into().ok()?;
        let key = v8::String::new(scope, "message")?;
        let message = error.get_real_named_property(scope, key.into())?;
        Some(v8_string::to_string(scope, message.try_into().ok()?))
    });
    scope.reset();
    Failure::new(FailureKind::InvalidJson, message.unwrap_or_default())
}
