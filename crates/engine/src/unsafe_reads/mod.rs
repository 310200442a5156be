//! Integers that JavaScript can't hold, and whether the code reads them.
//!
//! `String(event.id)` of an integer beyond 2^53 gives wrong digits in every engine, without a word. So the rare events that hold
//! such a number are made with it as a native data property: to the code it is the data property that it would be, but
//! its getter notes who reads it. An object that is moved is not read, and neither is what is printed.
//!
//! A number that is read and leaves elsewhere with its digits (`event.userId = event.id`) was only moved; the driver tells of
//! such numbers as it prints them. What copies an object (`{...event}`) reads nothing, unless a text leaves with the wrong
//! digits in it. Nor does what looks at a number without seeing its digits: `if (event.id)`, `event.id == null`.

mod sees;

use std::collections::{BTreeSet, HashMap};

use deno_core::v8;
use sees::Sees;
use serde::{Deserialize, Serialize};

use crate::v8::errors;
use crate::v8::v8_string;
use crate::verdict::{Failure, FailureKind, Position};
use sluicegate_json::number::is_lossy_integer;

/// What happens when the code reads an integer that JavaScript can't hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnsafeIntegers {
    /// Nothing, and nothing is looked for.
    #[default]
    Ignore,
    /// The first one is told, see [`crate::Engine::unsafe_read`].
    Warn,
    /// Its event fails.
    Fail,
}

/// The code has read an integer that JavaScript can't hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsafeRead {
    /// Where it stands in the event, e.g. `user.ids[0]`.
    pub path: String,
    /// Its digits.
    pub digits: String,
    /// Those of what the code sees.
    pub seen: String,
    /// Where the code reads it, if that is known.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
    /// The event's place in its batch, from 0.
    #[serde(default)]
    pub index: u32,
}

impl UnsafeRead {
    /// What has happened, in one sentence.
    pub fn message(&self) -> String {
        let Self { path, digits, seen, .. } = self;
        format!("the code reads {path}, which is {digits}; JavaScript can't hold that, and makes {seen} of it")
    }

    /// What to do about it.
    pub const HELP: &str = "have such numbers sent as strings; what the code only moves keeps its digits";
}

/// The read that is told, once in an engine's life.
#[derive(Default)]
pub(crate) struct ToldRead {
    pub(crate) read: Option<UnsafeRead>,
    was_told: bool,
    /// How many events were to be looked at.
    events: u32,
}

impl ToldRead {
    pub(crate) fn take(&mut self) -> Option<UnsafeRead> {
        self.read.take().inspect(|_| self.was_told = true)
    }

    /// Whether it is looked for what the code reads of an event, or batch, with such a number. Of a stream that has one in
    /// every line most events are left alone after a while.
    pub(crate) fn is_wanted(&mut self, mode: UnsafeIntegers) -> bool {
        const ALL: u32 = 1000;
        const ONE_IN: u32 = 8;
        match mode {
            UnsafeIntegers::Ignore => false,
            UnsafeIntegers::Warn if self.was_told || self.read.is_some() => false,
            UnsafeIntegers::Warn => {
                self.events = self.events.wrapping_add(1);
                self.events < ALL || self.events.is_multiple_of(ONE_IN)
            }
            UnsafeIntegers::Fail => true,
        }
    }
}

/// What is known of such numbers and who has read them; a slot of the isolate.
#[derive(Default)]
pub(crate) struct UnsafeReads {
    /// Events that have no number of their own get one here.
    last: u32,
    /// What is being made: the event, and its place in its batch.
    event: u32,
    index: u32,
    /// The numbers of the events under way.
    numbers: Vec<Number>,
    /// The doubles that were printed without their object, and leave with their digits.
    moved: Vec<u64>,
    /// What reads at a place in the code see.
    sees: HashMap<Place, Sees>,
    /// Whether the engine itself reads.
    silent: bool,
}

/// A number that is looked at.
struct Number {
    event: u32,
    index: u32,
    /// The keys on the way to it, and at last its digits.
    path: v8::Global<v8::Array>,
    key: Box<str>,
    double: u64,
    read: Option<Box<Read>>,
}

/// Who has read a number.
struct Read {
    /// The places where it was read or copied, the stack of the first one, and whether they all copy.
    places: Vec<Place>,
    stack: String,
    copied: bool,
    /// Whether a text left with the digits of its double.
    in_text: bool,
}

/// A place in the code: its script, line and column.
type Place = [usize; 3];

/// At most this many places are told apart.
const MAX_PLACES: usize = 16;

/// At most this many numbers are told apart in an event; what is read of more is not noticed.
const MAX_NUMBERS: usize = 1000;

impl UnsafeReads {
    /// The numbers of an event, or batch, are about to be taken in. `number` is the event's own, if events have numbers; the one that
    /// counts here is the answer.
    pub(crate) fn begin(&mut self, number: Option<u32>) -> u32 {
        // Without numbers there is one event, or batch, at a time; with them, some that wait may have been given up.
        if number.is_none() || self.is_full() {
            self.numbers.clear();
            self.last = self.last.wrapping_add(1);
        }
        self.moved.clear();
        (self.event, self.index) = (number.unwrap_or(self.last), 0);
        self.event
    }

    /// The same for one event of a batch, by its place.
    pub(crate) fn begin_in_batch(&mut self, index: u32) {
        self.index = index;
    }

    /// Whether anything of an event is looked at.
    pub(crate) fn any(&self) -> bool {
        !self.numbers.is_empty()
    }

    fn is_full(&self) -> bool {
        self.numbers.len() >= MAX_NUMBERS
    }

    fn any_read(&self) -> bool {
        self.numbers.iter().any(|number| number.read.is_some())
    }

    /// An event, or batch, is printed: the numbers of it that were read and not only moved.
    fn take(&mut self, event: u32, lost: &[f64]) -> Vec<(Number, Read)> {
        let moved = std::mem::take(&mut self.moved);
        let mut taken = Vec::new();
        for mut number in self.numbers.extract_if(.., |number| number.event == event) {
            let Some(read) = number.read.take() else { continue };
            // Of several numbers with one double none is known again when it has moved.
            let is_lost = lost.iter().any(|double| double.to_bits() == number.double);
            let left = moved.iter().filter(|double| **double == number.double).count();
            if is_lost || read.in_text || !read.copied && left < read.places.len() {
                taken.push((number, *read));
            }
        }
        taken
    }
}

impl Read {
    fn add(&mut self, place: Place, copied: bool, stack: String) {
        if self.places.len() < MAX_PLACES && !self.places.contains(&place) {
            self.places.push(place);
        }
        if self.copied && !copied {
            (self.copied, self.stack) = (false, stack);
        }
    }
}

/// Settles what the code of an event, or batch, has read. Answers the failures that it comes to, each with the place in the batch;
/// otherwise the first read is put into `told`. `lost` are moved numbers whose digits are not known.
pub(crate) fn settle(
    scope: &mut v8::PinScope<'_, '_>,
    event: u32,
    mode: UnsafeIntegers,
    told: &mut Option<UnsafeRead>,
    lost: &mut Vec<f64>,
    sources: &dyn Fn(&str) -> bool,
) -> Vec<(u32, Failure)> {
    let lost = std::mem::take(lost);
    let reads = match scope.get_slot_mut::<UnsafeReads>() {
        Some(reads) if reads.any() => reads.take(event, &lost),
        _ => return Vec::new(),
    };
    let mut failures = Vec::new();
    for (Number { path, double, index, .. }, Read { stack, .. }) in reads {
        let path = v8::Local::new(scope, &path);
        let (path, digits) = path_text(scope, path);
        let seen = printed(f64::from_bits(double));
        let position = stack.lines().filter_map(errors::frame_position).find(|at| sources(&at.file));
        let read = UnsafeRead { path, digits, seen, position, index };
        if mode == UnsafeIntegers::Fail {
            let failure = Failure::new(FailureKind::Exception, read.message());
            failures.push((index, errors::located(failure, stack, sources).help(UnsafeRead::HELP)));
        } else if told.is_none() {
            *told = Some(read);
        }
    }
    failures
}

/// A number as JavaScript prints it.
fn printed(number: f64) -> String {
    if number.abs() < 1e21 { number.to_string() } else { format!("{number:e}").replace('e', "e+") }
}

/// The keys on the way to a number as the code would write them, and its digits, which are the last of the list.
fn path_text(scope: &mut v8::PinScope<'_, '_>, path: v8::Local<v8::Array>) -> (String, String) {
    let item = |scope: &mut v8::PinScope<'_, '_>, index| {
        let item = path.get_index(scope, index).and_then(|item| v8::Local::<v8::String>::try_from(item).ok());
        item.map(|item| v8_string::to_string(scope, item)).unwrap_or_default()
    };
    let mut text = String::new();
    let last = path.length().saturating_sub(1);
    for index in 0..last {
        let key = item(scope, index);
        let first = key.bytes().next();
        let is_name = first.is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$'))
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'));
        match first {
            Some(b'0'..=b'9') if key.bytes().all(|byte| byte.is_ascii_digit()) => text.push_str(&format!("[{key}]")),
            _ if is_name && text.is_empty() => text.push_str(&key),
            _ if is_name => text.push_str(&format!(".{key}")),
            _ => text.push_str(&format!("[{key:?}]")),
        }
    }
    (text, item(scope, last))
}

/// `watchNumber(holder, key, path)`: from now on, who reads this property is noted. The last of `path` is the number's text.
/// Called by the driver's `carry`, before any code of the author's has the event.
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
    let reads = scope.get_slot::<UnsafeReads>()?;
    if reads.is_full() {
        return None;
    }
    let (event, index, double) = (reads.event, reads.index, value.value().to_bits());
    let name = v8_string::to_string(scope, v8::Local::<v8::String>::try_from(key).ok()?);
    let path = v8::Global::new(scope, path);
    let number = Number { event, index, path, key: name.into(), double, read: None };
    scope.get_slot_mut::<UnsafeReads>()?.numbers.push(number);
    let accessor = v8::AccessorConfiguration::new(read).data(value.into());
    holder.set_accessor_with_configuration(scope, key, accessor)?.then_some(())
}

/// Makes ordinary properties of those that are watched: V8 takes native properties for accessors where it freezes and seals.
pub(crate) fn unwatch(scope: &mut v8::PinScope<'_, '_>, object: v8::Local<v8::Object>) -> Option<()> {
    let numbers = &scope.get_slot::<UnsafeReads>()?.numbers;
    let keys: BTreeSet<Box<str>> = numbers.iter().map(|number| number.key.clone()).collect();
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
        // Not one that the code has deleted, or made an accessor.
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

/// A number is read. What V8 does with it is not known here, only where the code is.
fn read<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    key: v8::Local<'s, v8::Name>,
    args: v8::PropertyCallbackArguments<'s>,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    answer.set(args.data());
    if let Ok(value) = v8::Local::<v8::Number>::try_from(args.data()) {
        let _ = note(scope, key, value.value().to_bits());
    }
}

fn note(scope: &mut v8::PinScope<'_, '_>, key: v8::Local<v8::Name>, double: u64) -> Option<()> {
    if scope.get_slot::<UnsafeReads>()?.silent {
        return None;
    }
    let key = v8_string::to_string(scope, v8::Local::<v8::String>::try_from(key).ok()?);
    // An object that was kept from an event before is not known: its line is not here any more.
    let is_it = |number: &Number| number.double == double && *number.key == *key;
    let at = scope.get_slot::<UnsafeReads>()?.numbers.iter().position(is_it)?;
    let (place, copied, stack) = read_by(scope, &key)?;
    let number = scope.get_slot_mut::<UnsafeReads>()?.numbers.get_mut(at)?;
    match &mut number.read {
        Some(read) => read.add(place, copied, stack),
        None => number.read = Some(Box::new(Read { places: vec![place], stack, copied, in_text: false })),
    }
    Some(())
}

/// The place of who reads `key`, whether it copies only, and the stack; nothing if that is the engine itself, which prints, or code that does not see the digits.
fn read_by(scope: &mut v8::PinScope<'_, '_>, key: &str) -> Option<(Place, bool, String)> {
    let trace = v8::StackTrace::current_stack_trace(scope, errors::MAX_FRAMES)?;
    let by = (0..trace.get_frame_count()).filter_map(|index| trace.get_frame(scope, index)).find(|frame| {
        let name = frame.get_script_name(scope).map(|name| name.to_rust_string_lossy(scope));
        // Built-ins have no script.
        name.is_some_and(|name| !name.is_empty() && !name.starts_with(errors::OWN_SCRIPTS))
    })?;
    let place = [by.get_script_id(), by.get_line_number(), by.get_column()];
    let known = scope.get_slot::<UnsafeReads>().and_then(|reads| reads.sees.get(&place).copied());
    let sees = known.unwrap_or_else(|| {
        let source = by.get_script_source(scope).map(|source| v8_string::to_string(scope, source));
        let source = source.unwrap_or_default();
        let line = source.lines().nth(place[1].saturating_sub(1)).unwrap_or_default();
        Sees::at(line, place[2], key)
    });
    if known.is_none()
        && let Some(reads) = scope.get_slot_mut::<UnsafeReads>()
    {
        reads.sees.insert(place, sees);
    }
    if sees == Sees::Nothing {
        return None;
    }
    Some((place, sees == Sees::Copies, errors::trace_text(scope, trace)))
}

/// While a result is printed nobody reads but the engine; `print` does that.
pub(crate) fn silently<'s, R>(
    scope: &mut v8::PinScope<'s, '_>,
    print: impl FnOnce(&mut v8::PinScope<'s, '_>) -> R,
) -> R {
    set_silent(scope, true);
    let printed = print(scope);
    set_silent(scope, false);
    printed
}

fn set_silent(scope: &mut v8::PinScope<'_, '_>, silent: bool) {
    if let Some(reads) = scope.get_slot_mut::<UnsafeReads>() {
        reads.silent = silent;
    }
}

/// `numberMoved(value)`: a number that V8 holds only in part is printed without the object that it came in.
pub(crate) fn moved(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments,
    _: v8::ReturnValue<v8::Value>,
) {
    if let Ok(value) = v8::Local::<v8::Number>::try_from(args.get(0))
        && let Some(reads) = scope.get_slot_mut::<UnsafeReads>()
        && reads.any_read()
    {
        reads.moved.push(value.value().to_bits());
    }
}

/// `textLeaves(text)`: a text is printed that may hold the wrong digits of a number that was read.
pub(crate) fn text_leaves(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments,
    _: v8::ReturnValue<v8::Value>,
) {
    let Ok(text) = v8::Local::<v8::String>::try_from(args.get(0)) else { return };
    if scope.get_slot::<UnsafeReads>().is_none_or(|reads| !reads.any_read()) {
        return;
    }
    let text = v8_string::to_string(scope, text);
    if let Some(reads) = scope.get_slot_mut::<UnsafeReads>() {
        for Number { double, read, .. } in &mut reads.numbers {
            if let Some(read) = read {
                read.in_text |= text.contains(&printed(f64::from_bits(*double)));
            }
        }
    }
}
