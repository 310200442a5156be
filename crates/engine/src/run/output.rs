//! What an event leaves as: the driver's text, or the line itself, with what V8 has lost put back.
//!
//! Nothing here runs code of the author's; it has answered already.

use deno_core::v8;

use crate::OutputFraming;
use crate::lazy::{self, Edits};
use crate::run::driver_functions::Driver;
use crate::run::window;
use crate::v8::v8_string;
use crate::verdict::{Failure, FailureKind, Verdict};
use sluicegate_json::canonical;
use sluicegate_json::roundtrip::{self, Likeness, Originals, ScanReport};
use sluicegate_json::sink::Sink;
use sluicegate_json::validator::Validator;

/// The driver's numbers for a return value that is not an event.
pub(crate) fn bad_return(code: f64, function: &str) -> Failure {
    let message = match code as u32 {
        1 => format!("returned event from {function}(event) is not an object"),
        3 => format!("returned events from {function}(event) is not an array"),
        _ => {
            let argument = if function == "transformBatch" { "events" } else { "event" };
            format!("returned event in events array from {function}({argument}) is not an object")
        }
    };
    Failure::new(FailureKind::BadReturn, message)
}

/// The text that V8 makes of a line when nothing is changed, worked out at most once per event.
pub(crate) enum Canonical {
    Unknown,
    Known(Vec<u8>),
}

/// Writes what the driver's `finish` gave.
pub(crate) struct Print<'a> {
    pub(crate) line: &'a [u8],
    /// How many keys the line has, if V8 loses nothing of it but those that occur twice.
    pub(crate) clean: Option<usize>,
    pub(crate) survey: Option<ScanReport>,
    pub(crate) originals: Option<Originals<'a>>,
    pub(crate) validator: &'a mut Validator,
    pub(crate) rendering: &'a OutputFraming<'a>,
    pub(crate) limit: usize,
    pub(crate) used: usize,
    pub(crate) text: &'a mut Vec<u8>,
    pub(crate) canonical: Canonical,
}

/// What the lazy event in hand prints as if nothing was done to it but reading, with markers for what is still lazy.
struct Expected {
    text: Vec<u8>,
    /// How many keys that has, if V8 loses nothing of it but those that occur twice.
    keys: Option<usize>,
    /// Whether some may, if it was asked for.
    twins: Option<bool>,
}

impl Expected {
    fn of(state: &lazy::State) -> Self {
        let mut text = Vec::new();
        state.expected(&mut text);
        Self { keys: canonical::round_trips(&text), text, twins: None }
    }
}

/// Writes one output.
type One<'a, 's, P> = dyn FnMut(
        &mut P,
        &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        v8::Local<'s, v8::String>,
        &mut dyn Sink,
    ) -> Result<(), Failure>
    + 'a;

impl Print<'_> {
    /// One text, several, none, or the number of a bad return.
    pub(crate) fn all<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        driver: &Driver,
        texts: v8::Local<'s, v8::Value>,
        function: &str,
        out: &mut dyn Sink,
    ) -> Verdict {
        self.each(scope, texts, function, out, &mut |print, scope, text, out| print.one(scope, driver, text, out))
    }

    /// Writes each text with `one`, and what belongs around them.
    fn each<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        texts: v8::Local<'s, v8::Value>,
        function: &str,
        out: &mut dyn Sink,
        one: &mut One<'_, 's, Self>,
    ) -> Verdict {
        if let Ok(text) = v8::Local::<v8::String>::try_from(texts) {
            out.push(self.rendering.open);
            if let Err(failure) = one(self, scope, text, out) {
                return failure.into();
            }
            out.push(self.rendering.close);
            return Verdict::Ok { outputs: 1 };
        }
        if texts.is_undefined() {
            return Verdict::Dropped;
        }
        let Ok(texts) = v8::Local::<v8::Array>::try_from(texts) else {
            return bad_return(texts.number_value(scope).unwrap_or_default(), function).into();
        };
        out.push(self.rendering.open);
        for index in 0..texts.length() {
            let text = texts.get_index(scope, index).and_then(|text| v8::Local::<v8::String>::try_from(text).ok());
            let Some(text) = text else { return bad_return(2.0, function).into() };
            if index > 0 {
                out.push(self.rendering.between);
            }
            if let Err(failure) = one(self, scope, text, out) {
                return failure.into();
            }
        }
        out.push(self.rendering.close);
        Verdict::Ok { outputs: texts.length() }
    }

    /// The lazy event in hand, as it came but for some values; the texts of those that were not known yet.
    pub(crate) fn edits<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        driver: &Driver,
        mut edits: Edits<'s>,
        texts: v8::Local<'s, v8::Value>,
        out: &mut dyn Sink,
    ) -> Verdict {
        let Some(shared) = scope.get_slot::<lazy::Shared>().cloned() else { return Verdict::Dropped };
        let list: Option<v8::Local<v8::Array>> = texts.try_into().ok();
        for (number, hole) in (0..).zip(edits.list.iter_mut().filter(|hole| hole.is_unprinted())) {
            let text = list.map_or(Some(texts), |list| list.get_index(scope, number));
            let Some(text) = text.and_then(|text| v8::Local::<v8::String>::try_from(text).ok()) else {
                return bad_return(1.0, "transformEvent").into();
            };
            let start = edits.texts.len();
            if let Err(error) = v8_string::write(scope, text, self.limit, &mut edits.texts) {
                return self.too_large(self.around() + error.size).into();
            }
            hole.text = Some(start..edits.texts.len());
        }
        let verdict = self.filled(scope, driver, &shared.borrow(), &edits, out);
        shared.borrow_mut().reuse(edits);
        match verdict {
            Ok(()) => Verdict::Ok { outputs: 1 },
            Err(failure) => failure.into(),
        }
    }

    /// The same, with all texts.
    fn filled<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        driver: &Driver,
        state: &lazy::State,
        edits: &Edits<'s>,
        out: &mut dyn Sink,
    ) -> Result<(), Failure> {
        // Where properties were added or deleted it is known already that V8 loses nothing.
        let replaced = edits.list.iter().all(|hole| hole.replaces().is_some());
        let faithful = !replaced
            || edits.list.iter().all(|hole| {
                let came = &self.line[hole.replaces().unwrap_or_default()];
                let text = edits.text(hole);
                text == came
                    || canonical::round_trips(came).is_some_and(|keys| is_edited(came, keys, text))
                    || self.validator.survey_value(came).is_some_and(|survey| !survey.any())
            });
        if !faithful {
            state.marked(edits, self.text);
            out.push(self.rendering.open);
            self.marked(scope, driver, state, &mut Expected::of(state), out)?;
            out.push(self.rendering.close);
            return Ok(());
        }
        let size = (self.around() + self.line.len()).saturating_add_signed(edits.growth());
        if size > self.limit {
            return Err(self.too_large(size));
        }
        out.push(self.rendering.open);
        out.push(self.rendering.around.0);
        state.replace(edits, out);
        out.push(self.rendering.around.1);
        out.push(self.rendering.close);
        Ok(())
    }

    /// What the driver gave for a lazy event, printed with markers for what is still lazy.
    pub(crate) fn lazy<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        driver: &Driver,
        texts: v8::Local<'s, v8::Value>,
        out: &mut dyn Sink,
    ) -> Verdict {
        let Some(shared) = scope.get_slot::<lazy::Shared>().cloned() else { return Verdict::Dropped };
        let state = shared.borrow();
        let mut expected = Expected::of(&state);
        self.each(scope, texts, "transformEvent", out, &mut |print, scope, text, out| {
            print.text.clear();
            if let Err(error) = v8_string::write(scope, text, print.limit, print.text) {
                return Err(print.too_large(print.used + print.around() + error.size));
            }
            print.marked(scope, driver, &state, &mut expected, out)
        })
    }

    /// What `self.text` holds, with markers for what is still lazy.
    fn marked<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        driver: &Driver,
        state: &lazy::State,
        expected: &mut Expected,
        out: &mut dyn Sink,
    ) -> Result<(), Failure> {
        let mut faithful = Vec::new();
        let Expected { text, keys, twins } = expected;
        let mut has_twins = || *twins.get_or_insert_with(|| state.may_have_twins(self.validator));
        let text = if self.text == text {
            self.line
        } else if keys.is_some_and(|keys| is_edited(text, keys, self.text) || !has_twins()) {
            self.text.as_slice()
        } else {
            self.faithfully(scope, driver, text, &mut faithful);
            &faithful
        };
        // One part may stand in many places; and a slot has room for the limit.
        let mut size = self.used + self.around();
        state.spliced(text, |part| size += part.len());
        if size > self.limit {
            return Err(self.too_large(size));
        }
        self.used = size + self.rendering.between.len();
        let (before, after) = self.rendering.around;
        out.push(before);
        state.spliced(text, |part| out.push(part));
        out.push(after);
        Ok(())
    }

    /// How many bytes stand around an output.
    fn around(&self) -> usize {
        self.rendering.around.0.len() + self.rendering.around.1.len()
    }

    fn one<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        driver: &Driver,
        text: v8::Local<'s, v8::String>,
        out: &mut dyn Sink,
    ) -> Result<(), Failure> {
        let (before, after) = self.rendering.around;
        let frame = before.len() + after.len() + self.rendering.between.len();
        let start = out.len();
        out.push(before);
        let Some(room) = (self.limit - self.used).checked_sub(frame) else {
            return Err(self.too_large(self.used + frame + text.length()));
        };
        self.text.clear();
        if let Err(too_large) = v8_string::write(scope, text, room, self.text) {
            return Err(self.too_large(self.used + frame + too_large.size));
        }
        if *self.text == self.line {
            out.push(self.line);
        } else if self.clean.is_some_and(|keys| is_edited(self.line, keys, self.text)) {
            out.push(self.text);
        } else {
            self.faithfully(scope, driver, self.line, out);
        }
        out.push(after);
        // The digits that were put back may have made it a little larger than V8's text.
        self.used = (self.used + out.len() - start + self.rendering.between.len()).min(self.limit);
        Ok(())
    }

    fn too_large(&self, size: usize) -> Failure {
        let message = format!("the event's output of {size} bytes is over the limit of {} bytes", self.limit);
        Failure::new(FailureKind::OutputTooLarge, message)
    }

    /// Appends `self.text`, which became of `line`, with what V8 has lost put back.
    fn faithfully<'s>(
        &mut self,
        scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
        driver: &Driver,
        line: &[u8],
        out: &mut dyn Sink,
    ) {
        let is_whole = std::ptr::eq(line, self.line);
        if self.survey.is_some_and(|survey| is_whole && !survey.any()) {
            out.push(self.text);
            return;
        }
        // For many small outputs the line is not gone through again and again.
        let worth_it = self.used == 0 || self.text.len() >= line.len() / 4;
        if worth_it && self.validator.merger.restore(line, self.text, out) {
            return;
        }
        let survey = match self.survey {
            Some(survey) if is_whole => survey,
            _ => roundtrip::survey(line, self.validator),
        };
        if is_whole {
            self.survey = Some(survey);
        }
        if !survey.any() {
            out.push(self.text);
            return;
        }
        let same = match roundtrip::compare(line, survey, self.text) {
            Likeness::Same => true,
            Likeness::Different => false,
            Likeness::Unsure => {
                if let Canonical::Unknown = self.canonical {
                    self.canonical = Canonical::Known(canonical(scope, driver, line).unwrap_or_default());
                }
                matches!(&self.canonical, Canonical::Known(text) if text == self.text)
            }
        };
        if same {
            out.push(line);
        } else if survey.losses.numbers {
            if is_whole {
                // An event may have many outputs.
                self.originals.get_or_insert_with(|| Originals::of(self.line)).restore(self.text, out);
            } else {
                Originals::of(line).restore(self.text, out);
            }
        } else {
            out.push(self.text);
        }
    }
}

/// Whether a text is not what V8 makes of a line that it is not, and that is clean and has so many keys: then of two keys
/// in one object it would have lost one.
fn is_edited(line: &[u8], keys: usize, text: &[u8]) -> bool {
    text.len() >= line.len() || canonical::keys(text).is_some_and(|left| left >= keys)
}

fn canonical<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    driver: &Driver,
    line: &[u8],
) -> Option<Vec<u8>> {
    let lists = roundtrip::as_lists(line);
    let line = lists.as_deref().unwrap_or(line);
    let text = v8_string::to_v8(scope, line, &mut v8_string::Scratch::default())?;
    let function = v8::Local::new(scope, &driver.canonical);
    let undefined = v8::undefined(scope).into();
    let text = {
        window::own_code!(scope);
        function.call(scope, undefined, &[text.into()])
    };
    let Some(text) = text else {
        scope.reset();
        return None;
    };
    let mut bytes = Vec::new();
    v8_string::write(scope, text.try_into().ok()?, usize::MAX, &mut bytes).ok()?;
    Some(bytes)
}
