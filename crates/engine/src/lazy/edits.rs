//! What goes out of a lazy event: the line, but for the values that were read or assigned.

use std::io::Write;
use std::ops::Range;

use deno_core::v8;

use super::callbacks::field;
use super::shape_check::{Addition, Additions, Others, UnchangedProps};
use super::{LazyEntry, Node, Shared, State, Template};
use sluicegate_json::duplicates::Duplicates;
use sluicegate_json::sink::Sink;
use sluicegate_json::validator::Entry;

/// Longer strings, in characters, are left to V8: of those it is looked at first whether there is room.
const MAX_SIMPLE_LEN: usize = 16 << 10;

/// This many edits mostly suffice.
const HOLES: usize = 8;

/// What has changed in a lazy event, in the line's order.
pub(crate) struct Edits<'s> {
    pub(crate) list: Vec<Edit<'s>>,
    /// The texts of values, and what goes before them.
    pub(crate) texts: Vec<u8>,
}

/// What an edit does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Another value takes the place of this entry's.
    Replace(usize),
    /// This entry is gone, with its key.
    Cut(usize),
    /// A property is added.
    Add,
}

/// A part of a line that is left out, and what comes in its place, if anything does.
pub(crate) struct Edit<'s> {
    action: Action,
    span: Range<usize>,
    value: Option<v8::Local<'s, v8::Value>>,
    /// Which part of the texts goes before the value: a key, if it is a property that was added.
    before: Range<usize>,
    /// Which part is its text, if that is known already.
    pub(crate) text: Option<Range<usize>>,
}

/// What has changed in the event; nothing if it is not sure that all else is as it was. The memory of the texts is the
/// state's, to be given back.
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
    /// None yet, in memory that is reused.
    fn new(mut texts: Vec<u8>) -> Self {
        texts.clear();
        Self { list: Vec::with_capacity(HOLES), texts }
    }

    /// Another value goes where that of an entry stands, or `before` and that where a property was added.
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

    /// Nothing takes the place of a property that was deleted.
    fn cut(&mut self, entry: usize, span: Range<usize>) {
        self.list.push(Edit { action: Action::Cut(entry), span, value: None, before: 0..0, text: None });
    }

    /// Puts back what V8 has lost of the values that were replaced. `restore` appends what goes out for a value of `line` and what
    /// V8 has printed in its place; it is called where `may_have_lost` says so of these two.
    pub(crate) fn restore(
        &mut self,
        line: &[u8],
        may_have_lost: impl Fn(&[u8], &[u8]) -> bool,
        mut restore: impl FnMut(&[u8], &[u8], &mut Vec<u8>),
    ) {
        for hole in &mut self.list {
            let (Action::Replace(_), Some(text)) = (hole.action, hole.text.clone()) else { continue };
            let came = &line[hole.span.clone()];
            let text = &self.texts[text];
            if text == came || !may_have_lost(came, text) {
                continue;
            }
            let (text, start) = (text.to_vec(), self.texts.len());
            restore(came, &text, &mut self.texts);
            hole.text = Some(start..self.texts.len());
        }
    }

    /// Forgets values that are as they came.
    pub(crate) fn forget_unchanged(&mut self, line: &[u8]) {
        let Self { list, texts } = self;
        list.retain(|hole| {
            let same = |text: &Range<usize>| texts[text.clone()] == line[hole.span.clone()];
            !(matches!(hole.action, Action::Replace(_)) && hole.text.as_ref().is_some_and(same))
        });
    }

    /// The values whose texts are not known yet.
    pub(crate) fn unprinted(&self) -> impl Iterator<Item = v8::Local<'s, v8::Value>> {
        self.list.iter().filter(|hole| hole.is_unprinted()).filter_map(|hole| hole.value)
    }

    /// The text of a hole's value.
    pub(crate) fn text(&self, hole: &Edit<'_>) -> &[u8] {
        hole.text.clone().map_or(&[], |text| &self.texts[text])
    }

    /// By how many bytes the line grows.
    pub(crate) fn growth(&self) -> isize {
        let growth =
            |hole: &Edit<'_>| (hole.before.len() + self.text(hole).len()).cast_signed() - hole.span.len().cast_signed();
        self.list.iter().map(growth).sum()
    }
}

impl Edit<'_> {
    /// Whether its text is still to be printed.
    pub(crate) fn is_unprinted(&self) -> bool {
        self.value.is_some() && self.text.is_none()
    }
}

impl State {
    /// Takes memory back that [`edits`] has given away.
    pub(crate) fn reuse(&mut self, edits: &mut Edits<'_>) {
        // To move all of it by way of the stack would wait for the output that was just written: its memory is rarely in the cache.
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
        // What is undefined is not printed either.
        let mut printed = kept.own;
        for (number, entry) in entries.clone().enumerate() {
            if self.entries[entry].assigned && self.is_undefined(field(scope, object, number)?) {
                printed &= !(1 << number);
            }
        }
        for (number, entry) in entries.clone().enumerate() {
            let lazy = &self.entries[entry];
            if printed >> number & 1 == 0 {
                edits.cut(entry, self.cut(entries, number, printed));
                continue;
            }
            if !lazy.touched() {
                continue;
            }
            let value = field(scope, object, number)?;
            // What is no object cannot have been changed.
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

    /// What goes with a property that was deleted: the comma before it, or behind it where nothing is left before it.
    fn cut(&self, entries: &Range<usize>, number: usize, kept: u64) -> Range<usize> {
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

    /// Properties that the line does not have stand behind all others, if there are any others.
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

    /// The properties that the line does not have, if they are ordinary ones and stand behind all others; they are known
    /// from then on.
    fn record_dictionary<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
        template: &Template,
        kept: &UnchangedProps,
        count: usize,
    ) -> Option<Additions> {
        let names = object.get_own_property_names(scope, v8::GetPropertyNamesArgs::default())?;
        // Symbols, and what is not enumerated, may mean something to the code that prints the event.
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
            // One that was deleted and made again stands elsewhere, but may mean what it meant.
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

    /// Whether a key stands twice in an object of an entry's text.
    pub(crate) fn has_duplicates(&self, entry: usize, duplicates: &mut Duplicates) -> bool {
        let LazyEntry { entry, duplicates: known, .. } = &self.entries[entry];
        let text = &self.line[entry.value.clone()];
        // The shortest is `{"":1,"":2}`.
        if text.len() < 11 || !matches!(text[0], b'{' | b'[') || !self.line_has_duplicates(duplicates) {
            return false;
        }
        let known_now = known.get().unwrap_or_else(|| duplicates.any(text));
        known.set(Some(known_now));
        known_now
    }

    /// Whether a key may stand twice in any object of the line.
    pub(crate) fn line_has_duplicates(&self, duplicates: &mut Duplicates) -> bool {
        let Some(keys) = self.validator.keys() else { return true };
        let known = self.duplicates.get().unwrap_or_else(|| duplicates.any_of(&self.line, keys));
        self.duplicates.set(Some(known));
        known
    }

    /// Appends what stands for an entry whose value is still lazy.
    pub(crate) fn put_marker(&self, entry: usize, text: &mut Vec<u8>) {
        text.extend_from_slice(self.secret.needle());
        text.extend([100, 10, 1].map(|unit| b'0' + (entry / unit % 10) as u8));
        text.push(b'"');
    }

    /// The line with those markers that `printed` holds.
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

    /// Appends the line from `copied` on up to the last marker in a node; gives where that ends.
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

    /// Appends the line with `edits` in it, and in each what comes in its place. The line has no white space between tokens.
    pub(crate) fn replace(&self, edits: &Edits<'_>, out: &mut dyn Sink) {
        let mut copied = 0;
        for hole in &edits.list {
            out.push(&self.line[copied..hole.span.start]);
            if hole.value.is_some() {
                out.push(&edits.texts[hole.before.clone()]);
                out.push(edits.text(hole));
            }
            copied = hole.span.end;
        }
        out.push(&self.line[copied..]);
    }

    /// The same for any line: an object around an edit is written without white space, as V8 writes it, and all else as it came.
    pub(crate) fn replace_spaced(&self, edits: &Edits<'_>, out: &mut Vec<u8>) {
        self.node_replaced(0, &mut edits.list.as_slice(), &edits.texts, out);
    }

    fn node_replaced(&self, node: usize, edits: &mut &[Edit<'_>], texts: &[u8], out: &mut Vec<u8>) {
        let Some(Node { entries, end, .. }) = self.nodes.get(node) else { return };
        let mut separator = b'{';
        for entry in entries.clone() {
            let Entry { key, value } = &self.entries[entry].entry;
            if edits.first().is_some_and(|hole| hole.action == Action::Cut(entry)) {
                *edits = &edits[1..];
                continue;
            }
            out.push(std::mem::replace(&mut separator, b','));
            out.extend_from_slice(&self.line[key.start - 1..key.end + 1]);
            out.push(b':');
            match (edits.first(), self.entries[entry].child) {
                (Some(hole), _) if hole.action == Action::Replace(entry) => {
                    out.extend_from_slice(&texts[hole.text.clone().unwrap_or_default()]);
                    *edits = &edits[1..];
                }
                (Some(hole), Some(child)) if value.contains(&hole.span.start) => {
                    self.node_replaced(child, edits, texts, out);
                }
                _ => out.extend_from_slice(&self.line[value.clone()]),
            }
        }
        if separator == b'{' {
            out.push(b'{');
        }
        while let Some((hole, rest)) = edits.split_first().filter(|(hole, _)| hole.span == (*end..*end)) {
            out.extend_from_slice(&texts[hole.before.clone()]);
            out.extend_from_slice(&texts[hole.text.clone().unwrap_or_default()]);
            *edits = rest;
        }
        out.push(b'}');
    }

    /// The parts of `printed`, which holds a marker for each value that is still lazy, with the bytes of the line instead, and
    /// which entry's they are.
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

/// Appends the JSON text of a value that is no object, if it is an easy one; whether it is.
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
    // Of -0, JavaScript writes no sign; larger ones may have zeros for digits.
    const EXACT: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;
    if number.abs() < EXACT && number.trunc() == number {
        let written = write!(texts, "{}", number as i64);
        debug_assert!(written.is_ok(), "memory takes what it is given");
        return true;
    }
    // The shortest digits, as in JavaScript; it writes exponents of other numbers.
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
