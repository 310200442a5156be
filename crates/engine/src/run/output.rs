//! Writes the outputs of an event: the driver's text with everything that V8 has lost restored, or the line itself.
//!
//! The author's code has returned by then, and none of it runs here.

use deno_core::v8;

use crate::OutputFraming;
use crate::lazy::{self, Edits};
use crate::v8::v8_string;
use crate::verdict::{Failure, FailureKind, Verdict};
use sluicegate_json::canonical;
use sluicegate_json::sink::Sink;
use sluicegate_json::validator::Validator;

const GENERATOR: &str =
    "a generator was returned: write `function` without the `*`, and `return` the events in an array";
const ITERATOR: &str = "an iterator was returned: `[...iterator]` makes an array of it";

/// Why a return value is not an event. The driver returns the number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadReturn {
    NotAnEvent = 1,
    BadElement = 2,
    NotAnArray = 3,
}

impl BadReturn {
    /// The driver's names for them; it gets this table as `host.badReturns`.
    pub(crate) const NAMES: [(&str, Self); 3] =
        [("NOT_AN_EVENT", Self::NotAnEvent), ("BAD_ELEMENT", Self::BadElement), ("NOT_AN_ARRAY", Self::NotAnArray)];

    /// The kinds of values that were returned instead, as the driver names them, and what to do about each. The driver
    /// adds eight times the index here, counted from one, to its number.
    pub(crate) const KINDS: [(&str, &str); 20] = [
        ("string", "a string was returned: return the event itself, not its JSON text"),
        ("number", "a number was returned: return the event, an array of events, or null to drop it"),
        ("boolean", "a boolean was returned: return the event, an array of events, or null to drop it"),
        ("bigint", "a BigInt was returned: return the event, an array of events, or null to drop it"),
        ("symbol", "a symbol was returned: return the event, an array of events, or null to drop it"),
        ("function", "a function was returned: call it, and return what it gives"),
        ("[object Array]", "an array was returned where an event belongs: flatten it with `.flat()`"),
        ("[object Promise]", "a promise was returned where an event belongs: `await Promise.all(…)` first"),
        ("[object Map]", "a Map was returned: `Object.fromEntries(map)` makes an object of it"),
        ("[object Set]", "a Set was returned: `[...set]` makes an array of it"),
        ("[object Date]", "a Date was returned: put it into a property of the event"),
        ("[object Error]", "an Error was returned: throw it"),
        (
            "undefined",
            "undefined was returned where an event belongs: `return` the event in the function of `.map(…)`, or take it out with `.filter(Boolean)`",
        ),
        ("[object Null]", "null was returned where an event belongs: take it out of the array with `.filter(Boolean)`"),
        ("[object Generator]", GENERATOR),
        ("[object AsyncGenerator]", GENERATOR),
        ("[object Array Iterator]", ITERATOR),
        ("[object Map Iterator]", ITERATOR),
        ("[object Set Iterator]", ITERATOR),
        ("[object Iterator Helper]", ITERATOR),
    ];

    /// The failure for the driver's answer, if that is a number.
    pub(crate) fn from_driver(answer: v8::Local<'_, v8::Value>, function: &str) -> Option<Failure> {
        let number = v8::Local::<v8::Integer>::try_from(answer).ok()?.value();
        let (_, fault) = Self::NAMES.iter().find(|(_, fault)| *fault as i64 == number % 8)?;
        let failure = fault.failure(function);
        let kind = usize::try_from(number / 8).ok().and_then(|kind| Self::KINDS.get(kind.checked_sub(1)?));
        Some(match kind {
            Some((_, help)) => failure.help(*help),
            None => failure,
        })
    }

    /// The failure of an event for which `function` returned this value.
    pub(crate) fn failure(self, function: &str) -> Failure {
        let message = match self {
            Self::NotAnEvent => format!("returned event from {function}(event) is not an object"),
            Self::NotAnArray => format!("returned events from {function}(event) is not an array"),
            Self::BadElement => {
                let argument = if function == "transformBatch" { "events" } else { "event" };
                format!("returned event in events array from {function}({argument}) is not an object")
            }
        };
        let failure = Failure::new(FailureKind::BadReturn, message);
        match self {
            Self::NotAnArray => failure.help("return an array of the events that go out"),
            Self::NotAnEvent | Self::BadElement => failure,
        }
    }
}

/// Writes the result of the driver's `finish`.
pub(crate) struct Print<'a> {
    pub(crate) line: &'a [u8],
    /// The number of keys of the line, if V8 loses nothing of it except duplicate keys.
    pub(crate) clean: Option<usize>,
    /// Whether the line has a number whose value JavaScript may change.
    pub(crate) lossy: bool,
    /// Whether the restorer has read the line.
    pub(crate) is_read: bool,
    pub(crate) validator: &'a mut Validator,
    pub(crate) framing: &'a OutputFraming<'a>,
    pub(crate) limit: usize,
    pub(crate) used: usize,
    pub(crate) text: &'a mut Vec<u8>,
}

/// Writes one output.
type One<'a, 's, P> = dyn FnMut(
        &mut P,
        &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        v8::Local<'s, v8::String>,
        &mut dyn Sink,
    ) -> Result<(), Failure>
    + 'a;

impl<'a> Print<'a> {
    /// Creates a printer for the outputs of one line. The pair has the values of [`Print::clean`] and [`Print::lossy`].
    #[inline]
    pub(crate) fn new(
        line: &'a [u8],
        (clean, lossy): (Option<usize>, bool),
        framing: &'a OutputFraming<'a>,
        limit: usize,
        validator: &'a mut Validator,
        text: &'a mut Vec<u8>,
    ) -> Self {
        Self { line, clean, lossy, is_read: false, validator, framing, limit, used: 0, text }
    }
}

impl Print<'_> {
    /// Writes one text, several, or none; or records a bad return for a number.
    pub(crate) fn all<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        texts: v8::Local<'s, v8::Value>,
        function: &str,
        out: &mut dyn Sink,
    ) -> Verdict {
        self.each(scope, texts, function, out, &mut |print, scope, text, out| print.one(scope, text, out))
    }

    /// Writes each text with `one`, and the framing around them.
    fn each<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        texts: v8::Local<'s, v8::Value>,
        function: &str,
        out: &mut dyn Sink,
        one: &mut One<'_, 's, Self>,
    ) -> Verdict {
        if let Ok(text) = v8::Local::<v8::String>::try_from(texts) {
            out.push(self.framing.open);
            if let Err(failure) = one(self, scope, text, out) {
                return failure.into();
            }
            out.push(self.framing.close);
            return Verdict::Ok { outputs: 1 };
        }
        if texts.is_undefined() {
            return Verdict::Dropped;
        }
        let Ok(texts) = v8::Local::<v8::Array>::try_from(texts) else {
            let failure = BadReturn::from_driver(texts, function);
            return failure.unwrap_or_else(|| BadReturn::BadElement.failure(function)).into();
        };
        out.push(self.framing.open);
        for index in 0..texts.length() {
            let text = texts.get_index(scope, index).and_then(|text| v8::Local::<v8::String>::try_from(text).ok());
            let Some(text) = text else { return BadReturn::BadElement.failure(function).into() };
            if index > 0 {
                out.push(self.framing.between);
            }
            if let Err(failure) = one(self, scope, text, out) {
                return failure.into();
            }
        }
        out.push(self.framing.close);
        Verdict::Ok { outputs: texts.length() }
    }

    /// Writes the current lazy event as its line with edits. First writes the texts of edited
    /// values that are still missing.
    pub(crate) fn edits<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        mut edits: Edits<'s>,
        texts: v8::Local<'s, v8::Value>,
        out: &mut dyn Sink,
    ) -> Verdict {
        let Some(shared) = scope.get_slot::<lazy::Shared>().cloned() else { return Verdict::Dropped };
        let list: Option<v8::Local<v8::Array>> = texts.try_into().ok();
        for (number, edit) in (0..).zip(edits.list.iter_mut().filter(|edit| edit.is_unprinted())) {
            let text = list.map_or(Some(texts), |list| list.get_index(scope, number));
            let Some(text) = text.and_then(|text| v8::Local::<v8::String>::try_from(text).ok()) else {
                return BadReturn::NotAnEvent.failure("transformEvent").into();
            };
            let start = edits.texts.len();
            if let Err(error) = v8_string::write(scope, text, self.text_limit(), &mut edits.texts) {
                return self.too_large(self.around() + error.size).into();
            }
            edit.text = Some(start..edits.texts.len());
        }
        let verdict = self.write_edited(&shared.borrow(), &mut edits, out);
        shared.borrow_mut().reuse(&mut edits);
        match verdict {
            Ok(()) => Verdict::Ok { outputs: 1 },
            Err(failure) => failure.into(),
        }
    }

    /// Writes the line with edits whose texts are all known.
    fn write_edited(&mut self, state: &lazy::State, edits: &mut Edits<'_>, out: &mut dyn Sink) -> Result<(), Failure> {
        let Validator { merger, restorer, duplicates, .. } = &mut *self.validator;
        // An edited value that equals the value of the line is written as it was in the line.
        let may_have_lost = |original: &[u8], text: &[u8]| {
            canonical::round_trips(original).is_none_or(|keys| !is_edited(original, keys, text))
        };
        edits.restore(self.line, may_have_lost, |original, text, out| {
            if !merger.restore(original, text, out) {
                restorer.start(original);
                restorer.restore(original, text, out);
            }
        });
        edits.forget_unchanged(self.line);
        self.is_read = false;
        if edits.list.is_empty() {
            return self.framed(self.line.len(), out, |out| out.push(self.line));
        }
        let twice = state.line_has_duplicates(duplicates);
        if state.is_compact() && !twice {
            let size = self.line.len().saturating_add_signed(edits.growth());
            return self.framed(size, out, |out| state.replace(edits, out));
        }
        self.text.clear();
        state.replace_spaced(edits, self.text);
        if twice && duplicates.any(self.text) {
            let mut once = Vec::new();
            restorer.without_duplicates(self.text, &mut once);
            *self.text = once;
        }
        self.framed(self.text.len(), out, |out| out.push(self.text))
    }

    /// Writes one output of this size with its framing.
    fn framed(&self, size: usize, out: &mut dyn Sink, write: impl FnOnce(&mut dyn Sink)) -> Result<(), Failure> {
        let size = self.around() + size;
        if size > self.limit {
            return Err(self.too_large(size));
        }
        out.push(self.framing.open);
        out.push(self.framing.around.0);
        write(out);
        out.push(self.framing.around.1);
        out.push(self.framing.close);
        Ok(())
    }

    /// Writes the driver's result for a lazy event, which has markers for the parts that are still lazy.
    pub(crate) fn lazy<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        texts: v8::Local<'s, v8::Value>,
        out: &mut dyn Sink,
    ) -> Verdict {
        let Some(shared) = scope.get_slot::<lazy::Shared>().cloned() else { return Verdict::Dropped };
        let state = shared.borrow();
        self.each(scope, texts, "transformEvent", out, &mut |print, scope, text, out| {
            print.text.clear();
            if let Err(error) = v8_string::write(scope, text, print.text_limit(), print.text) {
                return Err(print.too_large(print.used + print.around() + error.size));
            }
            print.marked(&state, out)
        })
    }

    /// Writes `self.text`, which has markers for the parts that are still lazy.
    fn marked(&mut self, state: &lazy::State, out: &mut dyn Sink) -> Result<(), Failure> {
        // A part with duplicate keys is written with the last value of each key. Such a part replaces its marker, so
        // everything around it counts as different from the line.
        let Validator { duplicates, restorer, .. } = &mut *self.validator;
        let mut twice = false;
        state
            .spliced(self.text, |_, entry| twice |= entry.is_some_and(|entry| state.has_duplicates(entry, duplicates)));
        if twice {
            let mut once = Vec::new();
            state.spliced(self.text, |part, entry| match entry {
                Some(entry) if state.has_duplicates(entry, duplicates) => restorer.without_duplicates(part, &mut once),
                Some(entry) => state.put_marker(entry, &mut once),
                None => once.extend_from_slice(part),
            });
            *self.text = once;
        }
        // The line with the same markers: this is the text if the code has only read the event.
        let mut expected = Vec::new();
        state.expected(self.text, &mut expected);
        let mut restored = Vec::new();
        let text = if *self.text == expected {
            expected.as_slice()
        } else if canonical::round_trips(&expected).is_some_and(|keys| is_edited(&expected, keys, self.text)) {
            self.text.as_slice()
        } else {
            self.restore(&expected, &mut restored);
            &restored
        };
        let is_line = *text == *expected;
        // One part may appear in many places, but a slot has room only for the limit.
        let mut size = self.used + self.around();
        if is_line {
            size += self.line.len();
        } else {
            state.spliced(text, |part, _| size += part.len());
        }
        if size > self.limit {
            return Err(self.too_large(size));
        }
        self.used = size + self.framing.between.len();
        let (before, after) = self.framing.around;
        out.push(before);
        if is_line {
            out.push(self.line);
        } else {
            state.spliced(text, |part, _| out.push(part));
        }
        out.push(after);
        Ok(())
    }

    /// The size of the framing around an output.
    fn around(&self) -> usize {
        self.framing.around.0.len() + self.framing.around.1.len()
    }

    fn one<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        text: v8::Local<'s, v8::String>,
        out: &mut dyn Sink,
    ) -> Result<(), Failure> {
        self.text.clear();
        if let Err(too_large) = v8_string::write(scope, text, self.text_limit(), self.text) {
            return Err(self.too_large(self.used + self.around() + too_large.size));
        }
        let mut restored = Bounded::new(self.limit);
        let is_line = *self.text == self.line;
        let keep = is_line || self.clean.is_some_and(|keys| is_edited(self.line, keys, self.text));
        if !keep {
            self.restore(self.line, &mut restored);
        }
        let size = self.used + self.around() + if keep { self.text.len() } else { restored.len };
        if size > self.limit {
            return Err(self.too_large(size));
        }
        let (before, after) = self.framing.around;
        out.push(before);
        out.push(if keep { self.text } else { &restored.bytes });
        out.push(after);
        self.used = size + self.framing.between.len();
        Ok(())
    }

    /// The largest text from V8. The output may be shorter than the text, such as `1e20`, so the limit on outputs does
    /// not apply to the text.
    fn text_limit(&self) -> usize {
        self.limit.saturating_mul(8)
    }

    fn too_large(&self, size: usize) -> Failure {
        let message = format!("the event's output of {size} bytes is over the limit of {} bytes", self.limit);
        Failure::new(FailureKind::OutputTooLarge, message)
            .help("send less of the event on; `--output-limit 64MiB` gives each event more")
    }

    /// Appends `self.text`, V8's output for the event of `line`, with everything that V8 has lost restored. Both may
    /// contain markers.
    fn restore(&mut self, line: &[u8], out: &mut dyn Sink) {
        let Validator { merger, restorer, .. } = &mut *self.validator;
        // With many small outputs, reading the line again for each one is not worth it.
        let worth_it = !self.lossy && (self.used == 0 || self.text.len() >= line.len() / 4);
        if worth_it && merger.restore(line, self.text, out) {
            return;
        }
        let is_whole = std::ptr::eq(line, self.line);
        if !is_whole || !self.is_read {
            restorer.start(line);
            self.is_read = is_whole;
        }
        restorer.restore(line, self.text, out);
    }
}

/// A buffer up to a limit; beyond it, only the length is counted.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    len: usize,
}

impl Bounded {
    fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, len: 0 }
    }
}

impl Sink for Bounded {
    fn len(&self) -> usize {
        self.len
    }

    fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.len = len;
    }

    fn push(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        if self.len <= self.limit {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn append_with(&mut self, max: usize, write: &mut dyn FnMut(&mut [u8]) -> usize) {
        let mut more = vec![0; max];
        let written = write(&mut more);
        self.push(&more[..written]);
    }
}

/// Whether a text was edited: it differs from the line, which is canonical, and has at least as many keys. If V8 had
/// lost a duplicate key, the text would have fewer.
fn is_edited(line: &[u8], keys: usize, text: &[u8]) -> bool {
    text.len() >= line.len() || canonical::count_keys(text) >= keys
}
