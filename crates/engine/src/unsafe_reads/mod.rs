//! Integers that JavaScript cannot hold, and whether the code reads them.
//!
//! `String(event.id)` of an integer beyond 2^53 gives wrong digits in every engine, without an error. Events with such
//! numbers are rare. In these events the number becomes a native data property: to the code it is an ordinary data
//! property, but its getter records who reads it. Code that moves the whole object does not read the number, and
//! neither does printing.
//!
//! A number that is read and then printed elsewhere (`event.userId = event.id`) was only moved; the driver reports such
//! numbers as it prints them. Copying an object (`{...event}`) does not count as a read unless a printed text contains
//! the wrong digits. Checks that do not depend on the digits do not count either: `if (event.id)`, `event.id == null`.

mod callbacks;
mod number_use;
mod numbers;

use deno_core::v8;
use serde::{Deserialize, Serialize};

pub(crate) use callbacks::{moved, silently, text_leaves, unwatch, watch};
pub(crate) use numbers::{UnsafeReads, begin};

use crate::v8::errors;
use crate::v8::v8_string;
use crate::verdict::{Failure, FailureKind, Position};
use numbers::{MAX_NUMBERS, Number, Read};

/// What happens when the code reads an integer that JavaScript cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnsafeIntegers {
    /// Nothing; reads are not recorded.
    #[default]
    Ignore,
    /// The first read is reported, see [`crate::Engine::unsafe_read`].
    Warn,
    /// Its event fails.
    Fail,
}

/// A read of an integer that JavaScript cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsafeRead {
    /// The number's path in the event, e.g. `user.ids[0]`.
    pub path: String,
    /// The number's digits.
    pub digits: String,
    /// The digits that the code sees.
    pub seen: String,
    /// The place in the code that reads it, if known.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
    /// The event's place in its batch, from 0.
    #[serde(default)]
    pub index: u32,
}

impl UnsafeRead {
    /// The read as one sentence.
    pub fn message(&self) -> String {
        let Self { path, digits, seen, .. } = self;
        format!("the code reads {path}, which is {digits}; JavaScript can't hold that, and makes {seen} of it")
    }

    /// What to do about such numbers.
    pub const HELP: &str = "have such numbers sent as strings; what the code only moves keeps its digits";
}

/// The read to report, at most once in an engine's life.
#[derive(Default)]
pub(crate) struct UnsafeReadReport {
    pub(crate) read: Option<UnsafeRead>,
    was_taken: bool,
    /// The number of events with such numbers.
    events: u32,
    /// The number of events that read such numbers so often that some reads were not recorded.
    much: u8,
    /// Whether recording made an event hit its time limit. If so, nothing is recorded afterwards.
    is_over: bool,
}

impl UnsafeReadReport {
    pub(crate) fn take(&mut self) -> Option<UnsafeRead> {
        self.read.take().inspect(|_| self.was_taken = true)
    }

    /// Whether reads of an event, or batch, with such a number are recorded. In a stream with such a number in every
    /// line, only some events are checked after a while.
    pub(crate) fn is_wanted(&mut self, mode: UnsafeIntegers) -> bool {
        const ALL: u32 = 1000;
        const ONE_IN: u32 = 64;
        const MAX_MUCH: u8 = 3;
        match mode {
            UnsafeIntegers::Ignore => false,
            UnsafeIntegers::Warn if self.is_over || self.was_taken || self.read.is_some() => false,
            UnsafeIntegers::Warn if self.much >= MAX_MUCH => false,
            UnsafeIntegers::Warn => {
                self.events = self.events.wrapping_add(1);
                self.events < ALL || self.events.is_multiple_of(ONE_IN)
            }
            UnsafeIntegers::Fail => true,
        }
    }

    /// Called if an event hits its time limit in an isolate that records reads. A warning must not cost an event its
    /// result: returns whether to run the event again in a fresh isolate, without recording.
    pub(crate) fn excuses(&mut self, mode: UnsafeIntegers) -> bool {
        let excuses = mode == UnsafeIntegers::Warn;
        self.is_over |= excuses;
        excuses
    }
}

/// Handles the reads of an event or batch. Returns the failures, each with the event's index in the batch. In warning
/// mode, it reports the first read instead. `lost` has the moved numbers whose digits are unknown.
pub(crate) fn settle(
    scope: &mut v8::PinScope<'_, '_>,
    event: u32,
    mode: UnsafeIntegers,
    report: &mut UnsafeReadReport,
    lost: &mut Vec<f64>,
    sources: &dyn Fn(&str) -> bool,
) -> Vec<(u32, Failure)> {
    let lost = std::mem::take(lost);
    let Some(taken) = scope.get_slot_mut::<UnsafeReads>().and_then(|reads| reads.take(event, &lost)) else {
        return Vec::new();
    };
    if taken.was_read_much {
        report.much = report.much.saturating_add(1);
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
        } else if report.read.is_none() && !report.was_taken {
            report.read = Some(read);
        }
    }
    if mode == UnsafeIntegers::Fail {
        failures.extend(taken.overfull.into_iter().map(|index| (index, too_many())));
    }
    failures
}

/// The failure of an event with more such numbers than can be watched: reads of the others would go unnoticed.
fn too_many() -> Failure {
    let message =
        format!("the event has more than {MAX_NUMBERS} integers that JavaScript can't hold, too many to look at");
    Failure::new(FailureKind::Exception, message)
        .help("have such numbers sent as strings, or say `--on-unsafe-integer warn`")
}

/// A number as JavaScript prints it.
fn printed(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number.abs() < 1e21 { number.to_string() } else { format!("{number:e}").replace('e', "e+") }
}

/// The path of a number as the code would write it, and its digits, which are the last element.
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
