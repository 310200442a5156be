//! Output of a lazy event: the line, with the values replaced that were read or assigned.

use std::io::Write;
use std::ops::Range;

use deno_core::v8;

use super::callbacks::field;
use super::shape_check::{Addition, Additions, Others, UnchangedProps};
use super::{LazyEntry, Node, Shared, State, Template};
use sluicegate_json::duplicates::Duplicates;
use sluicegate_json::sink::Sink;
use sluicegate_json::validator::Entry;

/// Strings longer than this, in characters, are left to V8's path, which first checks that the
/// output has room for them.
const MAX_SIMPLE_LEN: usize = 16 << 10;

/// Initial capacity; most events have fewer edits.
const INITIAL_EDITS: usize = 8;

/// The changes to a lazy event, in the line's order.
pub(crate) struct Edits<'s> {
    pub(crate) list: Vec<Edit<'s>>,
    /// The texts of values, each after its `before` text.
    pub(crate) texts: Vec<u8>,
}

/// The kind of an edit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Replaces the value of this entry.
    Replace(usize),
    /// Deletes this entry and its key.
    Delete(usize),
    /// Adds a property.
    Add,
}

/// Replaces a span of the line. `value` is `None` if nothing replaces it.
pub(crate) struct Edit<'s> {
    action: Action,
    span: Range<usize>,
    value: Option<v8::Local<'s, v8::Value>>,
    /// The part of `texts` to write before the value: the key of an added property.
    before: Range<usize>,
    /// The part of `texts` that is the value's text, once known.
    pub(crate) text: Option<Range<usize>>,
}

/// Collects the changes to the event. `None` if it can't be sure that everything else is unchanged. The memory of the
/// texts is taken from the state and is given back with [`State::reuse`].
pub(crate) fn edits<'s>(scope: &mut v8::PinScope<'s, '_>, event: v8::Local<'s, v8::Object>) -> Option<Edits<'s>> {
    let shared = scope.get_slot::<Shared>()?.clone();
    let state = &mut *shared.borrow_mut();
    if !state.plain_prototypes {
        return None;
    }
    let edits = state.edits(scope, event);
    if edits.is_none() {
        state.entries.iter().for_each(|lazy| lazy.same.set(false));
    }
    edits
}

impl<'s> Edits<'s> {
    /// An empty list that reuses the memory of `texts`.
    fn new(mut texts: Vec<u8>) -> Self {
        texts.clear();
        Self { list: Vec::with_capacity(INITIAL_EDITS), texts }
    }

    /// Adds an edit: `value` replaces `span`, or is inserted there after `before` if a property was added.
    fn replace(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        action: Action,
        span: Range<usize>,
        before: [&str; 2],
        value: v8::Local<'s, v8::Value>,
    ) {
        let start = self.texts.len();
        before.iter().for_each(|part| self.texts.extend_from_slice(part.as_bytes()));
        let middle = self.texts.len();
        let simple = put_simple(scope, value, &mut self.texts);
        let text = simple.then_some(middle..self.texts.len());
        self.list.push(Edit { action, span, value: Some(value), before: start..middle, text });
    }

    /// Adds an edit that deletes a property.
    fn delete(&mut self, entry: usize, span: Range<usize>) {
        self.list.push(Edit { action: Action::Delete(entry), span, value: None, before: 0..0, text: None });
    }

    /// Restores what V8 lost of the replaced values. `restore` gets a value's text in `line` and V8's text for it, and
    /// appends the text to output. It is called only if `may_have_lost` returns true for these two.
    pub(crate) fn restore(
        &mut self,
        line: &[u8],
        may_have_lost: impl Fn(&[u8], &[u8]) -> bool,
        mut restore: impl FnMut(&[u8], &[u8], &mut Vec<u8>),
    ) {
        for edit in &mut self.list {
            let (Action::Replace(_), Some(text)) = (edit.action, edit.text.clone()) else { continue };
            let original = &line[edit.span.clone()];
            let text = &self.texts[text];
            if text == original || !may_have_lost(original, text) {
                continue;
            }
            let (text, start) = (text.to_vec(), self.texts.len());
            restore(original, &text, &mut self.texts);
            edit.text = Some(start..self.texts.len());
        }
    }

    /// Drops edits whose text equals the line's.
    pub(crate) fn forget_unchanged(&mut self, line: &[u8]) {
        let Self { list, texts } = self;
        list.retain(|edit| {
            let same = |text: &Range<usize>| texts[text.clone()] == line[edit.span.clone()];
            !(matches!(edit.action, Action::Replace(_)) && edit.text.as_ref().is_some_and(same))
        });
    }

    /// The values whose texts are not known yet.
    pub(crate) fn unprinted(&self) -> impl Iterator<Item = v8::Local<'s, v8::Value>> {
        self.list.iter().filter(|edit| edit.is_unprinted()).filter_map(|edit| edit.value)
    }

    /// The text of an edit's value.
    pub(crate) fn text(&self, edit: &Edit<'_>) -> &[u8] {
        edit.text.clone().map_or(&[], |text| &self.texts[text])
    }

    /// The number of bytes by which the line grows.
    pub(crate) fn growth(&self) -> isize {
        let growth =
            |edit: &Edit<'_>| (edit.before.len() + self.text(edit).len()).cast_signed() - edit.span.len().cast_signed();
        self.list.iter().map(growth).sum()
    }
}

impl Edit<'_> {
    /// Whether the value is still to be printed.
    pub(crate) fn is_unprinted(&self) -> bool {
        self.value.is_some() && self.text.is_none()
    }
}

impl State {
    /// Takes back the memory that [`edits`] has given out.
    pub(crate) fn reuse(&mut self, edits: &mut Edits<'_>) {
        // A swap avoids moves through the stack: they would wait for the output just written,
        // whose memory is rarely in the cache.
        std::mem::swap(&mut self.texts, &mut edits.texts);
    }

    fn edits<'s>(&mut self, scope: &mut v8::PinScope<'s, '_>, event: v8::Local<'s, v8::Object>) -> Option<Edits<'s>> {
        let mut edits = Edits::new(std::mem::take(&mut self.texts));
        self.changes(scope, event, 0, &mut edits)?;
        Some(edits)
    }

    fn changes<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
        node: usize,
        edits: &mut Edits<'s>,
    ) -> Option<()> {
        let Node { shape, entries, end, .. } = self.nodes.get(node)?;
        let template = self.shapes[*shape].template.as_ref()?;
        let kept = template.reference.as_ref()?.kept(scope, object)?;
        // A property whose value is undefined is not printed either.
        let mut printed = kept.own;
        for (number, entry) in entries.clone().enumerate() {
            if self.entries[entry].assigned && self.is_undefined(field(scope, object, number)?) {
                printed &= !(1 << number);
            }
        }
        for (number, entry) in entries.clone().enumerate() {
            let lazy = &self.entries[entry];
            if printed >> number & 1 == 0 {
                edits.delete(entry, self.deleted_span(entries, number, printed));
                continue;
            }
            if !lazy.touched() {
                continue;
            }
            let value = field(scope, object, number)?;
            // A primitive value can't have been changed in place.
            if !lazy.assigned && !value.is_object() {
                lazy.same.set(true);
                continue;
            }
            if let Some(child) = lazy.child
                && let Ok(object) = v8::Local::<v8::Object>::try_from(value)
                && self.node(object) == Some(child)
            {
                self.changes(scope, object, child, edits)?;
            } else {
                edits.replace(scope, Action::Replace(entry), lazy.entry.value.clone(), ["", ""], value);
            }
        }
        if !kept.others.none() {
            self.additions(scope, object, template, &kept, printed != 0, *end, edits)?;
        }
        Some(())
    }

    /// The span to delete with a property: it includes the comma before it, or after it if no
    /// property is left before it.
    fn deleted_span(&self, entries: &Range<usize>, number: usize, kept: u64) -> Range<usize> {
        let entry = |number: usize| &self.entries[entries.start + number].entry;
        let end = entry(number).value.end;
        if kept & ((1 << number) - 1) != 0 {
            entry(number - 1).value.end..end
        } else if number + 1 < entries.len() {
            entry(number).key.start - 1..entry(number + 1).key.start - 1
        } else {
            entry(number).key.start - 1..end
        }
    }

    /// Adds the properties that are not in the line. They follow all others; `behind` says
    /// whether there are any others.
    #[allow(clippy::too_many_arguments)]
    fn additions<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
        template: &Template,
        kept: &UnchangedProps,
        mut behind: bool,
        end: usize,
        edits: &mut Edits<'s>,
    ) -> Option<()> {
        let additions = match &kept.others {
            Others::Known(additions) => additions.clone(),
            Others::Unknown(count) => self.record_dictionary(scope, object, template, kept, *count)?,
        };
        for Addition { name, key } in additions.iter() {
            let name = v8::Local::new(scope, name);
            let value = object.get(scope, name.into())?;
            let plain = value.is_object() && !value.is_function()
                || value.is_string()
                || value.is_number()
                || value.is_boolean()
                || value.is_null();
            if !plain {
                return None;
            }
            edits.replace(scope, Action::Add, end..end, [if behind { "," } else { "" }, key], value);
            behind = true;
        }
        Some(())
    }

    /// Finds the properties that are not in the line, if they are ordinary and follow all others, and
    /// remembers them for objects like this one.
    fn record_dictionary<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
        template: &Template,
        kept: &UnchangedProps,
        count: usize,
    ) -> Option<Additions> {
        let names = object.get_own_property_names(scope, v8::GetPropertyNamesArgs::default())?;
        // Symbols and non-enumerable properties may affect how the event is printed.
        if names.length() as usize != kept.own.count_ones() as usize + count {
            return None;
        }
        let known = v8::Local::new(scope, &template.names);
        let own = (0..known.length()).filter(|number| kept.own >> number & 1 == 1);
        let value_key = v8::String::new(scope, "value")?;
        let mut at = 0;
        for number in own {
            if names.get_index(scope, at)? != known.get_index(scope, number)? {
                return None;
            }
            at += 1;
        }
        let mut additions = Vec::new();
        for number in at..names.length() {
            let name: v8::Local<v8::String> = names.get_index(scope, number)?.try_into().ok()?;
            // A property that was deleted and created again has another position but may have kept its meaning.
            if (0..known.length()).any(|number| known.get_index(scope, number) == Some(name.into())) {
                return None;
            }
            // An accessor would have to be called.
            let descriptor: v8::Local<v8::Object> =
                object.get_own_property_descriptor(scope, name.into())?.try_into().ok()?;
            descriptor.has_own_property(scope, value_key.into())?.then_some(())?;
            additions.push(Addition::new(scope, name)?);
        }
        let additions = Additions::from(additions);
        template.reference.as_ref()?.record_dictionary(scope, object, &additions);
        Some(additions)
    }

    /// Whether any object in the entry's value has a duplicate key.
    pub(crate) fn has_duplicates(&self, entry: usize, duplicates: &mut Duplicates) -> bool {
        let LazyEntry { entry, duplicates: known, .. } = &self.entries[entry];
        let text = &self.line[entry.value.clone()];
        // The shortest object with a duplicate key is `{"":1,"":2}`.
        if text.len() < 11 || !matches!(text[0], b'{' | b'[') || !self.line_has_duplicates(duplicates) {
            return false;
        }
        let known_now = known.get().unwrap_or_else(|| duplicates.any(text));
        known.set(Some(known_now));
        known_now
    }

    /// Whether any object of the line may have a duplicate key.
    pub(crate) fn line_has_duplicates(&self, duplicates: &mut Duplicates) -> bool {
        let Some(keys) = self.validator.keys() else { return true };
        let known = self.duplicates.get().unwrap_or_else(|| duplicates.any_of(&self.line, keys));
        self.duplicates.set(Some(known));
        known
    }

    /// Appends the marker of an entry whose value is still lazy.
    pub(crate) fn put_marker(&self, entry: usize, text: &mut Vec<u8>) {
        text.extend_from_slice(self.secret.needle());
        text.extend([100, 10, 1].map(|unit| b'0' + (entry / unit % 10) as u8));
        text.push(b'"');
    }

    /// Writes the line with the markers that `printed` contains in place of their values.
    pub(crate) fn expected(&self, printed: &[u8], text: &mut Vec<u8>) {
        let mut marked = vec![false; self.entries.len()];
        self.spliced(printed, |_, entry| {
            if let Some(entry) = entry {
                marked[entry] = true;
            }
        });
        text.clear();
        let copied = self.with_markers(0, &marked, 0, text);
        text.extend_from_slice(&self.line[copied..]);
    }

    /// Appends the line from `copied` to the last marker in the node. Returns the position up to
    /// which the line was copied.
    fn with_markers(&self, node: usize, marked: &[bool], mut copied: usize, text: &mut Vec<u8>) -> usize {
        let Some(node) = self.nodes.get(node) else { return copied };
        for entry in node.entries.clone() {
            let lazy = &self.entries[entry];
            if marked[entry] {
                text.extend_from_slice(&self.line[copied..lazy.entry.value.start]);
                self.put_marker(entry, text);
                copied = lazy.entry.value.end;
            } else if let Some(child) = lazy.child {
                copied = self.with_markers(child, marked, copied, text);
            }
        }
        copied
    }

    /// Appends the line with `edits` applied. The line must have no white space between tokens.
    pub(crate) fn replace(&self, edits: &Edits<'_>, out: &mut dyn Sink) {
        let mut copied = 0;
        for edit in &edits.list {
            out.push(&self.line[copied..edit.span.start]);
            if edit.value.is_some() {
                out.push(&edits.texts[edit.before.clone()]);
                out.push(edits.text(edit));
            }
            copied = edit.span.end;
        }
        out.push(&self.line[copied..]);
    }

    /// Does the same for any line: objects around an edit are written without white space, as V8
    /// does, and everything else is copied.
    pub(crate) fn replace_spaced(&self, edits: &Edits<'_>, out: &mut Vec<u8>) {
        self.node_replaced(0, &mut edits.list.as_slice(), &edits.texts, out);
    }

    fn node_replaced(&self, node: usize, edits: &mut &[Edit<'_>], texts: &[u8], out: &mut Vec<u8>) {
        let Some(Node { entries, end, .. }) = self.nodes.get(node) else { return };
        let mut separator = b'{';
        for entry in entries.clone() {
            let Entry { key, value } = &self.entries[entry].entry;
            if edits.first().is_some_and(|edit| edit.action == Action::Delete(entry)) {
                *edits = &edits[1..];
                continue;
            }
            out.push(std::mem::replace(&mut separator, b','));
            out.extend_from_slice(&self.line[key.start - 1..key.end + 1]);
            out.push(b':');
            match (edits.first(), self.entries[entry].child) {
                (Some(edit), _) if edit.action == Action::Replace(entry) => {
                    out.extend_from_slice(&texts[edit.text.clone().unwrap_or_default()]);
                    *edits = &edits[1..];
                }
                (Some(edit), Some(child)) if value.contains(&edit.span.start) => {
                    self.node_replaced(child, edits, texts, out);
                }
                _ => out.extend_from_slice(&self.line[value.clone()]),
            }
        }
        if separator == b'{' {
            out.push(b'{');
        }
        while let Some((edit, rest)) = edits.split_first().filter(|(edit, _)| edit.span == (*end..*end)) {
            out.extend_from_slice(&texts[edit.before.clone()]);
            out.extend_from_slice(&texts[edit.text.clone().unwrap_or_default()]);
            *edits = rest;
        }
        out.push(b'}');
    }

    /// Calls `with` for the parts of `printed` in order. Each marker becomes the bytes of its value in the
    /// line, passed with the entry's index.
    pub(crate) fn spliced<'t>(&'t self, printed: &'t [u8], mut with: impl FnMut(&'t [u8], Option<usize>)) {
        let mut copied = 0;
        for at in self.secret.find_iter(printed) {
            let digits = at + self.secret.needle().len();
            let Some([hundreds, tens, ones, b'"']) = printed.get(digits..digits + 4) else { continue };
            let number =
                [hundreds, tens, ones].iter().fold(0, |all, digit| all * 10 + usize::from(digit.wrapping_sub(b'0')));
            let Some(lazy) = self.entries.get(number) else { continue };
            with(&printed[copied..at], None);
            with(&self.line[lazy.entry.value.clone()], Some(number));
            copied = digits + 4;
        }
        with(&printed[copied..], None);
    }
}

/// Appends the JSON text of a primitive value if it is simple to write. Returns whether it did.
fn put_simple<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>, texts: &mut Vec<u8>) -> bool {
    let word: &[u8] = match () {
        () if value.is_string() => return put_string(scope, value.cast(), texts),
        () if value.is_number() => return put_number(value.cast::<v8::Number>().value(), texts),
        () if value.is_true() => b"true",
        () if value.is_false() => b"false",
        () if value.is_null() => b"null",
        () => return false,
    };
    texts.extend_from_slice(word);
    true
}

fn put_string(scope: &mut v8::PinScope<'_, '_>, text: v8::Local<v8::String>, texts: &mut Vec<u8>) -> bool {
    if text.length() > MAX_SIMPLE_LEN {
        return false;
    }
    let view = v8::ValueView::new(scope, text);
    let v8::ValueViewData::OneByte(bytes) = view.data() else { return false };
    let plain = bytes.iter().all(|byte| matches!(byte, b' '..=0x7E) && !matches!(byte, b'"' | b'\\'));
    if plain {
        texts.push(b'"');
        texts.extend_from_slice(bytes);
        texts.push(b'"');
    }
    plain
}

fn put_number(number: f64, texts: &mut Vec<u8>) -> bool {
    // JavaScript writes -0 without a sign. Larger numbers may be written with zeros in place of their last digits.
    const EXACT: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;
    if number.abs() < EXACT && number.trunc() == number {
        let written = write!(texts, "{}", number as i64);
        debug_assert!(written.is_ok(), "memory takes what it is given");
        return true;
    }
    // These are the shortest digits, as in JavaScript, but JavaScript uses exponents in other cases.
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format(number).as_bytes();
    let easy = number.is_finite() && number.abs() < EXACT && !text.contains(&b'e');
    if easy {
        texts.extend_from_slice(text);
    }
    easy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_javascript_or_left_to_it() {
        for (number, expected) in [
            (0.0, Some("0")),
            (-0.0, Some("0")),
            (-7.0, Some("-7")),
            (9_007_199_254_740_991.0, Some("9007199254740991")),
            (9_007_199_254_740_992.0, None),
            (0.1, Some("0.1")),
            (-12.34, Some("-12.34")),
            (1.1 + 2.2, Some("3.3000000000000003")),
            (123_456_789.123_456_7, Some("123456789.1234567")),
            (0.0001, Some("0.0001")),
            (1.5e-7, None),
            (5e-324, None),
            (1e21, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            let mut text = Vec::new();
            let easy = put_number(number, &mut text);
            let text = String::from_utf8(text).expect("digits");
            assert_eq!((easy, text.as_str()), (expected.is_some(), expected.unwrap_or_default()), "{number}");
        }
    }
}
