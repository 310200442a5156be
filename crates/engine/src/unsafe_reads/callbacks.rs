//! The getter that V8 calls when a watched number is read, and the functions that the driver calls.

use deno_core::v8;
use sluicegate_json::number::is_lossy_integer;

use super::UnsafeReads;
use super::number_use::NumberUse;
use super::numbers::{CodePosition, Id};
use crate::v8::{errors, native_property, v8_string};

/// `watchNumber(holder, key, path)`: from now on, reads of this property are recorded. The last element of `path` is
/// the number's text. The driver's `carry` calls this before any code of the author has the event.
pub(crate) fn watch(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments,
    _: v8::ReturnValue<v8::Value>,
) {
    let _ = watch_number(scope, &args);
}

fn watch_number(scope: &mut v8::PinScope<'_, '_>, args: &v8::FunctionCallbackArguments) -> Option<()> {
    let holder = v8::Local::<v8::Object>::try_from(args.get(0)).ok()?;
    let key = v8::Local::<v8::Name>::try_from(args.get(1)).ok()?;
    let path = v8::Local::<v8::Array>::try_from(args.get(2)).ok()?;
    let digits = path.get_index(scope, path.length().checked_sub(1)?)?;
    let digits = v8_string::to_string(scope, v8::Local::<v8::String>::try_from(digits).ok()?);
    if !is_lossy_integer(digits.as_bytes()) {
        return None;
    }
    let value = v8::Local::<v8::Number>::try_from(holder.get(scope, key.into())?).ok()?;
    let name = v8_string::to_string(scope, v8::Local::<v8::String>::try_from(key).ok()?);
    let path = v8::Global::new(scope, path);
    let double = value.value().to_bits();
    let id = scope.get_slot_mut::<UnsafeReads>()?.add(path, name.into(), double)?;
    let data = v8::BigInt::new_from_words(scope, false, &id.to_words(double))?;
    let accessor = v8::AccessorConfiguration::new(read).data(data.into());
    holder.set_accessor_with_configuration(scope, key, accessor)?.then_some(())
}

/// Turns watched properties into ordinary ones: when V8 freezes or seals an object, it treats native properties as
/// accessors.
pub(crate) fn unwatch(scope: &mut v8::PinScope<'_, '_>, object: v8::Local<v8::Object>) -> Option<()> {
    let keys = scope.get_slot::<UnsafeReads>()?.keys();
    if keys.is_empty() {
        return None;
    }
    set_silent(scope, true);
    let [value, writable] = ["value", "writable"].map(|key| v8::String::new(scope, key));
    for key in keys {
        let Some(key) = v8_string::to_v8(scope, key.as_bytes(), &mut v8_string::Scratch::default()) else { continue };
        let key: v8::Local<v8::Name> = key.into();
        let own =
            object.get_own_property_descriptor(scope, key).and_then(|own| v8::Local::<v8::Object>::try_from(own).ok());
        // Skips properties that the code has deleted or turned into accessors.
        if let (Some(own), Some(value), Some(writable)) = (own, value, writable)
            && own.get(scope, writable.into()).is_some_and(|writable| writable.is_true())
            && let Some(value) = own.get(scope, value.into())
            && value.is_number()
        {
            object.set(scope, key.into(), value);
        }
    }
    set_silent(scope, false);
    Some(())
}

/// The getter of a watched number. It knows where the code is, but not what V8 does with the number.
fn read<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    key: v8::Local<'s, v8::Name>,
    args: v8::PropertyCallbackArguments<'s>,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    // SAFETY: these accessors always carry a BigInt.
    let data: v8::Local<v8::BigInt> = unsafe { v8::Local::cast_unchecked(args.data()) };
    let mut words = [0; 3];
    data.to_words_array(&mut words);
    let (id, double) = Id::from_words(words);
    let value = v8::Number::new(scope, f64::from_bits(double));
    answer.set(value.into());
    let Some(reads) = scope.get_slot_mut::<UnsafeReads>() else { return };
    if reads.silent {
        return;
    }
    // The number is unknown if its object was kept from an earlier event, whose line is gone.
    if reads.number(id).is_some() && reads.may_ask(id.event) {
        let _ = note(scope, key, id);
    } else {
        let holder = args.holder();
        if holder.get_property_attributes(scope, key.into()) == Some(v8::PropertyAttribute::NONE) {
            native_property::make_ordinary(scope, holder, key, value.into());
        }
    }
}

fn note(scope: &mut v8::PinScope<'_, '_>, key: v8::Local<v8::Name>, id: Id) -> Option<()> {
    let nearest = position_of(scope, 1).filter(|position| known_use(scope, position).is_some());
    let position = nearest.or_else(|| position_of(scope, errors::MAX_FRAMES))?;
    let uses = match known_use(scope, &position) {
        Some(uses) => uses,
        None => {
            let key = v8_string::to_string(scope, v8::Local::<v8::String>::try_from(key).ok()?);
            let uses = use_at(scope, &position, &key)?;
            scope.get_slot_mut::<UnsafeReads>()?.uses.insert(position, uses);
            uses
        }
    };
    let read = &scope.get_slot_mut::<UnsafeReads>()?.number(id)?.read;
    if uses == NumberUse::Nothing || read.as_ref().is_some_and(|read| read.knows(&position)) {
        return None;
    }
    let trace = v8::StackTrace::current_stack_trace(scope, errors::MAX_FRAMES)?;
    let stack = errors::trace_text(scope, trace);
    let read = &mut scope.get_slot_mut::<UnsafeReads>()?.number(id)?.read;
    read.get_or_insert_default().add(position, uses == NumberUse::Copies, stack);
    Some(())
}

fn known_use(scope: &v8::PinScope<'_, '_>, position: &CodePosition) -> Option<NumberUse> {
    scope.get_slot::<UnsafeReads>()?.uses.get(position).copied()
}

/// The author's frame that does the read, among the topmost `frames` frames.
fn frame<'s>(scope: &mut v8::PinScope<'s, '_>, frames: usize) -> Option<v8::Local<'s, v8::StackFrame>> {
    let trace = v8::StackTrace::current_stack_trace(scope, frames)?;
    (0..trace.get_frame_count()).filter_map(|index| trace.get_frame(scope, index)).find(|frame| {
        let name = frame.get_script_name(scope).map(|name| name.to_rust_string_lossy(scope));
        // Built-ins have no script.
        name.is_some_and(|name| !name.is_empty() && !name.starts_with(errors::OWN_SCRIPTS))
    })
}

/// The place in the author's code that does the read, within this many frames; `None` if the engine itself reads, to
/// print.
fn position_of(scope: &mut v8::PinScope<'_, '_>, frames: usize) -> Option<CodePosition> {
    let by = frame(scope, frames)?;
    Some([by.get_script_id(), by.get_line_number(), by.get_column()])
}

/// How the code that reads now uses the property `key`.
fn use_at(scope: &mut v8::PinScope<'_, '_>, position: &CodePosition, key: &str) -> Option<NumberUse> {
    let by = frame(scope, errors::MAX_FRAMES)?;
    let source = by.get_script_source(scope).map(|source| v8_string::to_string(scope, source));
    let source = source.unwrap_or_default();
    let line = source.lines().nth(position[1].saturating_sub(1)).unwrap_or_default();
    Some(NumberUse::at(line, position[2], key))
}

/// Calls `print`, which prints a result. Reads during the call are the engine's own and are not recorded.
pub(crate) fn silently<'s, R>(
    scope: &mut v8::PinScope<'s, '_>,
    print: impl FnOnce(&mut v8::PinScope<'s, '_>) -> R,
) -> R {
    set_silent(scope, true);
    if let Some(reads) = scope.get_slot_mut::<UnsafeReads>() {
        reads.moved.clear();
    }
    let printed = print(scope);
    set_silent(scope, false);
    printed
}

fn set_silent(scope: &mut v8::PinScope<'_, '_>, silent: bool) {
    if let Some(reads) = scope.get_slot_mut::<UnsafeReads>() {
        reads.silent = silent;
    }
}

/// `numberMoved(value, index)`: called when a number that V8 cannot hold exactly is printed without its original
/// object. `index` is the event's index in its batch.
pub(crate) fn moved(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments,
    _: v8::ReturnValue<v8::Value>,
) {
    if let Ok(value) = v8::Local::<v8::Number>::try_from(args.get(0))
        && let index = args.get(1).uint32_value(scope).unwrap_or_default()
        && let Some(reads) = scope.get_slot_mut::<UnsafeReads>()
        && reads.any_read()
    {
        reads.moved.push((value.value().to_bits(), index));
    }
}

/// `textLeaves(text, index)`: called when a text is printed, which may contain the wrong digits of a
/// number that the code has read. `index` is the event's index in its batch; `turn` is the number of
/// the event, or batch, whose turn it is.
pub(crate) fn text_leaves(scope: &mut v8::PinScope<'_, '_>, args: &v8::FunctionCallbackArguments, turn: u32) {
    let Ok(text) = v8::Local::<v8::String>::try_from(args.get(0)) else { return };
    if scope.get_slot::<UnsafeReads>().is_none_or(|reads| !reads.any_read()) {
        return;
    }
    let text = v8_string::to_string(scope, text);
    let index = args.get(1).uint32_value(scope).unwrap_or_default();
    if let Some(reads) = scope.get_slot_mut::<UnsafeReads>() {
        reads.text_leaves(turn, index, &text);
    }
}
