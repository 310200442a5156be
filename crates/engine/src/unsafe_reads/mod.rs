//! Integers that JavaScript can't hold, and whether the code reads them.
//!
//! `String(event.id)` of an integer beyond 2^53 gives wrong digits in every engine, without a word. So the rare events that hold
//! such a number are made with it as a native data property: to the code it is the data property that it would be, but
//! its getter notes who reads it. An object that is moved is not read, and neither is what is printed.
//!
//! A number that is read and leaves elsewhere with its digits (`event.userId = event.id`) was only moved; the driver tells of
//! such numbers as it prints them. What copies an object (`{...event}`) reads nothing, unless a text leaves with the wrong
//! digits in it. Nor does what looks at a number without seeing its digits: `if (event.id)`, `event.id == null`.

mod callbacks;
mod numbers;
mod sees;

use deno_core::v8;
use serde::{Deserialize, Serialize};

pub(crate) use callbacks::{moved, silently, text_leaves, unwatch, watch};
pub(crate) use numbers::{UnsafeReads, begin};

use crate::v8::errors;
use crate::v8::v8_string;
use crate::verdict::{Failure, FailureKind, Position};
use numbers::{MAX_NUMBERS, Number, Read};

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
    /// How many events read such numbers so often that it was not looked at each time.
    much: u8,
    /// Whether looking has cost an event its time, so that nothing is looked for any more.
    is_over: bool,
}

impl ToldRead {
    pub(crate) fn take(&mut self) -> Option<UnsafeRead> {
        self.read.take().inspect(|_| self.was_told = true)
    }

    /// Whether it is looked for what the code reads of an event, or batch, with such a number. Of a stream that has one in
    /// every line most events are left alone after a while.
    pub(crate) fn is_wanted(&mut self, mode: UnsafeIntegers) -> bool {
        const ALL: u32 = 1000;
        const ONE_IN: u32 = 64;
        const MAX_MUCH: u8 = 3;
        match mode {
            UnsafeIntegers::Ignore => false,
            UnsafeIntegers::Warn if self.is_over || self.was_told || self.read.is_some() => false,
            UnsafeIntegers::Warn if self.much >= MAX_MUCH => false,
            UnsafeIntegers::Warn => {
                self.events = self.events.wrapping_add(1);
                self.events < ALL || self.events.is_multiple_of(ONE_IN)
            }
            UnsafeIntegers::Fail => true,
        }
    }

    /// An event has hit its time limit in an isolate where some were looked at. To be told something must not cost it that: whether
    /// it is run again in a fresh one, where nothing is looked for any more.
    pub(crate) fn excuses(&mut self, mode: UnsafeIntegers) -> bool {
        let excuses = mode == UnsafeIntegers::Warn;
        self.is_over |= excuses;
        excuses
    }
}

/// Settles what the code of an event, or batch, has read. Answers the failures that it comes to, each with the place in the batch;
/// otherwise the first read is told. `lost` are moved numbers whose digits are not known.
pub(crate) fn settle(
    scope: &mut v8::PinScope<'_, '_>,
    event: u32,
    mode: UnsafeIntegers,
    told: &mut ToldRead,
    lost: &mut Vec<f64>,
    sources: &dyn Fn(&str) -> bool,
) -> Vec<(u32, Failure)> {
    let lost = std::mem::take(lost);
    let Some(taken) = scope.get_slot_mut::<UnsafeReads>().and_then(|reads| reads.take(event, &lost)) else {
        return Vec::new();
    };
    if taken.was_read_much {
        told.much = told.much.saturating_add(1);
    }
    let mut failures = Vec::new();
    for (Number { path, double, index, .. }, Read { stack, .. }) in taken.reads {
        let path = v8::Local::new(scope, &path);
        let (path, digits) = path_text(scope, path);
        let seen = printed(f64::from_bits(double));
        let position = stack.lines().filter_map(errors::frame_position).find(|at| sources(&at.file));
        let read = UnsafeRead { path, digits, seen, position, index };
        if mode == UnsafeIntegers::Fail {
            let failure = Failure::new(FailureKind::Exception, read.message());
            failures.push((index, errors::located(failure, stack, sources).help(UnsafeRead::HELP)));
        } else if told.read.is_none() && !told.was_told {
            told.read = Some(read);
        }
    }
    if mode == UnsafeIntegers::Fail {
        failures.extend(taken.overfull.into_iter().map(|index| (index, too_many())));
    }
    failures
}

/// An event holds more such numbers than are looked at. What is read of them is not known, so it does not leave.
fn too_many() -> Failure {
    let message =
        format!("the event has more than {MAX_NUMBERS} integers that JavaScript can't hold, too many to look at");
    Failure::new(FailureKind::Exception, message)
        .help("have such numbers sent as strings, or say `--on-unsafe-integer warn`")
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
