//! Validates that a line is a JSON object, and collects its top-level properties or what V8 would print differently.
//!
//! A walk visits the positions of the line's [`StructuralIndex`]. It is strict: `JSON.parse` accepts everything
//! that it accepts, so a value that is never parsed cannot hide an error. Nesting beyond [`MAX_DEPTH`] is declined;
//! the caller then takes a slower path.

use std::ops::Range;

use crate::duplicates::Duplicates;
use crate::hash::quick_hash;
use crate::key_skeleton::KeySkeleton;
use crate::merge::Merger;
use crate::number::{self, NumberForm, literal_end};
pub use crate::object_index::{Entry, MAX_DEPTH};
use crate::object_index::{ObjectIndex, index_object};
use crate::restore::Restorer;
use crate::scan_report::{RoundTripLoss, ScanReport};
use crate::string::{escape_len, is_canonical_escape};
use crate::structural_index::StructuralIndex;

/// An object with more keys is assumed to have duplicates. An exact check follows.
const MAX_KEYS: usize = 64;

/// Validates lines. Its memory is reused from line to line.
#[derive(Default)]
pub struct Validator {
    /// All fields but the entries and the keys are valid only if the line was `indexed`.
    found: ObjectIndex,
    indexed: bool,
    /// Whether all keys of the line were recorded.
    knows_keys: bool,
    structure: StructuralIndex,
    open: Vec<Open>,
    hashes: Vec<u32>,
    /// Restores in an output what V8 lost of its line. Fast, but declines some outputs.
    pub merger: Merger,
    /// Restores any output.
    pub restorer: Restorer,
    /// Finds duplicate keys.
    pub duplicates: Duplicates,
}

/// An open object or array. For an object: the index of its first key's hash.
#[derive(Clone, Copy)]
enum Open {
    Object(usize),
    Array,
}

/// Receives the tokens of a walk.
trait Visitor {
    /// White space between tokens, or an escape that `JSON.stringify` writes in another way.
    fn form(&mut self) {}
    fn number(&mut self, text: &[u8], form: NumberForm);
    /// A key. `hashes` has the hashes of all open objects; those of the current object start at `first`.
    fn key(&mut self, key: &[u8], escaped: bool, hashes: &mut Vec<u32>, first: usize);
    /// A bracket.
    fn bracket(&mut self, _byte: u8) {}
}

/// Detects numbers that may be beyond the range of doubles, and keys with escapes.
struct NumberRangeCheck<'a> {
    odd: bool,
    /// Collects all keys.
    keys: Option<&'a mut KeySkeleton>,
}

impl Visitor for NumberRangeCheck<'_> {
    #[inline]
    fn number(&mut self, text: &[u8], form: NumberForm) {
        self.odd |= form.may_be_infinite(text.len());
    }

    #[inline]
    fn key(&mut self, key: &[u8], escaped: bool, _: &mut Vec<u32>, _: usize) {
        self.odd |= escaped;
        if let Some(keys) = &mut self.keys {
            keys.push_key(key);
        }
    }

    #[inline]
    fn bracket(&mut self, byte: u8) {
        if let Some(keys) = &mut self.keys {
            keys.bytes.push(byte);
        }
    }
}

impl Visitor for ScanReport {
    fn form(&mut self) {
        self.losses.form = true;
    }

    #[inline]
    fn number(&mut self, text: &[u8], form: NumberForm) {
        if form != NumberForm::Plain {
            self.losses.number(text);
        }
    }

    #[inline]
    fn key(&mut self, key: &[u8], escaped: bool, hashes: &mut Vec<u32>, first: usize) {
        // A digit may be written as an escape.
        self.losses.index_keys |= key.first().is_some_and(|first| first.is_ascii_digit() || *first == b'\\');
        let hash = quick_hash(key);
        let known = &hashes[first..];
        self.duplicates |= escaped || known.len() >= MAX_KEYS || known.contains(&hash);
        if known.len() < MAX_KEYS {
            hashes.push(hash);
        }
    }
}

impl Validator {
    /// The top-level properties of the last line, in order.
    #[inline]
    pub fn entries(&self) -> &[Entry] {
        &self.found.entries
    }

    /// Finds the top-level properties. `false` if the line is not a JSON object or is declined, if a number may be
    /// beyond the range of doubles, or if a key has an escape (see [`crate::roundtrip::as_lists`]).
    pub fn find(&mut self, text: &[u8]) -> bool {
        self.indexed = index_object(text, &mut self.found).is_some();
        self.knows_keys = self.indexed;
        self.indexed || self.find_slowly(text)
    }

    /// Does the same, token by token.
    pub fn find_slowly(&mut self, text: &[u8]) -> bool {
        let mut keys = std::mem::take(&mut self.found.keys);
        keys.bytes.clear();
        let mut extent = NumberRangeCheck { odd: false, keys: Some(&mut keys) };
        let found = self.walk(text, &mut extent).is_some() && !extent.odd;
        self.found.keys = keys;
        self.knows_keys = found && u32::try_from(text.len()).is_ok();
        found
    }

    /// Returns what `JSON.stringify(JSON.parse(text))` would lose, and whether an object may have a duplicate key.
    /// `None` if the text is not a JSON object or is declined.
    pub fn survey(&mut self, text: &[u8]) -> Option<ScanReport> {
        self.knows_keys = false;
        let mut survey = ScanReport { losses: RoundTripLoss::default(), duplicates: false };
        self.walk(text, &mut survey)?;
        Some(survey)
    }

    /// Whether a text is exactly one JSON value. Also `false` if it is declined.
    pub fn is_value(&mut self, text: &[u8]) -> bool {
        let mut extent = NumberRangeCheck { odd: false, keys: None };
        let Self { structure, open, hashes, .. } = self;
        let walk = Walk::over(text, structure, open, hashes, &mut extent);
        walk.is_some_and(|mut walk| walk.value().is_some() && walk.at + 1 == walk.positions.len())
    }

    /// The keys of the line that [`Self::find`] or [`Self::find_slowly`] accepted last, if no
    /// other call was made since.
    #[inline]
    pub fn keys(&self) -> Option<&KeySkeleton> {
        self.knows_keys.then_some(&self.found.keys)
    }

    /// Whether that line is known to have no white space between its tokens.
    #[inline]
    pub fn is_compact(&self) -> bool {
        self.indexed && self.found.compact
    }

    /// Whether that line, `text`, may contain a number without an exponent of which JavaScript loses value.
    #[inline]
    pub fn may_hold_lossy_digits(&self, text: &[u8]) -> bool {
        if self.indexed {
            self.found.long_scalar && number::holds_lossy_digits(text)
        } else {
            number::may_hold_lossy_digits(text)
        }
    }

    /// Whether that line is known to be all ASCII.
    #[inline]
    pub fn is_ascii(&self) -> bool {
        self.indexed && self.found.ascii
    }

    /// Calls `child` for each property of a top-level object of the last line, `text`, in order.
    /// `false` if they are unknown.
    pub fn children(&self, text: &[u8], span: &Range<usize>, child: impl FnMut(Entry)) -> bool {
        if self.is_compact() {
            self.children_of::<false>(text, span, child)
        } else {
            self.children_of::<true>(text, span, child)
        }
    }

    fn children_of<const SPACED: bool>(&self, text: &[u8], span: &Range<usize>, mut child: impl FnMut(Entry)) -> bool {
        if !self.indexed || !self.found.entries.iter().any(|entry| entry.value == *span) {
            return false;
        }
        let first = self.found.child_separators.partition_point(|separator| separator.at < span.start);
        let (mut comma, mut colon) = (span.start, 0);
        for separator in &self.found.child_separators[first..] {
            if separator.at >= span.end {
                break;
            }
            if separator.colon {
                colon = separator.at;
            } else {
                child(Entry::between::<SPACED>(text, comma, colon, separator.at));
                comma = separator.at;
            }
        }
        if colon > comma {
            child(Entry::between::<SPACED>(text, comma, colon, span.end - 1));
        }
        true
    }

    fn walk(&mut self, text: &[u8], visitor: &mut impl Visitor) -> Option<()> {
        let Self { found: ObjectIndex { entries, .. }, indexed, structure, open, hashes, .. } = self;
        *indexed = false;
        entries.clear();
        let mut walk = Walk::over(text, structure, open, hashes, visitor)?;
        walk.expect(b'{')?;
        walk.visitor.bracket(b'{');
        if walk.byte() == Some(b'}') {
            walk.visitor.bracket(b'}');
            walk.at += 1;
        } else {
            loop {
                let key = walk.key(0)?;
                let start = walk.position()?;
                let end = walk.value()?;
                entries.push(Entry { key, value: start..end });
                match walk.byte()? {
                    b',' => walk.at += 1,
                    b'}' => {
                        walk.visitor.bracket(b'}');
                        walk.at += 1;
                        break;
                    }
                    _ => return None,
                }
            }
        }
        (walk.at + 1 == walk.positions.len()).then_some(())
    }
}

/// The state of a walk.
struct Walk<'a, L> {
    text: &'a [u8],
    structure: &'a StructuralIndex,
    positions: &'a [u32],
    /// The index of the current position.
    at: usize,
    open: &'a mut Vec<Open>,
    hashes: &'a mut Vec<u32>,
    visitor: &'a mut L,
}

impl<'a, L: Visitor> Walk<'a, L> {
    /// Starts at the beginning of a text. `None` if its structure shows that it is not JSON.
    fn over(
        text: &'a [u8],
        structure: &'a mut StructuralIndex,
        open: &'a mut Vec<Open>,
        hashes: &'a mut Vec<u32>,
        visitor: &'a mut L,
    ) -> Option<Self> {
        if !structure.find(text) {
            return None;
        }
        if structure.any_space() {
            visitor.form();
        }
        hashes.clear();
        let structure = &*structure;
        Some(Self { text, structure, positions: structure.positions(), at: 0, open, hashes, visitor })
    }

    #[inline(always)]
    fn position(&self) -> Option<usize> {
        self.positions.get(self.at).map(|position| *position as usize)
    }

    /// The current byte; `None` at the end.
    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.text.get(self.position()?).copied()
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Option<()> {
        let there = self.byte()? == byte;
        self.at += 1;
        there.then_some(())
    }

    /// Skips a string. Returns its range without the quotes, and whether it has an escape.
    #[inline(always)]
    fn string(&mut self) -> Option<(Range<usize>, bool)> {
        // Quotes come in pairs without a position in between.
        let (start, end) = (*self.positions.get(self.at)? as usize + 1, *self.positions.get(self.at + 1)? as usize);
        self.at += 2;
        let mut escaped = false;
        for at in self.structure.escapes(start, end) {
            escaped = true;
            if !is_canonical_escape(self.text[at + 1]) {
                escape_len(self.text, at)?;
                self.visitor.form();
            }
        }
        Some((start..end, escaped))
    }

    /// Skips a key and its colon. The hashes of its object start at `hashes`.
    #[inline(always)]
    fn key(&mut self, hashes: usize) -> Option<Range<usize>> {
        if self.byte()? != b'"' {
            return None;
        }
        let (key, escaped) = self.string()?;
        self.visitor.key(&self.text[key.clone()], escaped, self.hashes, hashes);
        self.expect(b':')?;
        Some(key)
    }

    /// Skips the current value. Returns where it ends.
    fn value(&mut self) -> Option<usize> {
        self.open.clear();
        loop {
            // A value starts here.
            let mut end: usize;
            match self.byte()? {
                b'"' => end = self.string()?.0.end + 1,
                b'{' => {
                    self.visitor.bracket(b'{');
                    self.at += 1;
                    if self.byte()? == b'}' {
                        self.visitor.bracket(b'}');
                        end = self.position()? + 1;
                        self.at += 1;
                    } else {
                        let first = self.hashes.len();
                        self.push(Open::Object(first))?;
                        self.key(first)?;
                        continue;
                    }
                }
                b'[' => {
                    self.visitor.bracket(b'[');
                    self.at += 1;
                    if self.byte()? == b']' {
                        self.visitor.bracket(b']');
                        end = self.position()? + 1;
                        self.at += 1;
                    } else {
                        self.push(Open::Array)?;
                        continue;
                    }
                }
                first => end = self.scalar(first)?,
            }
            // A value has ended here. Containers may end too.
            loop {
                let Some(open) = self.open.last().copied() else { return Some(end) };
                match (self.byte()?, open) {
                    (b',', Open::Object(first)) => {
                        self.at += 1;
                        self.key(first)?;
                        break;
                    }
                    (b',', Open::Array) => {
                        self.at += 1;
                        break;
                    }
                    (b'}', Open::Object(first)) => {
                        self.visitor.bracket(b'}');
                        self.hashes.truncate(first);
                        self.open.pop();
                    }
                    (b']', Open::Array) => {
                        self.visitor.bracket(b']');
                        self.open.pop();
                    }
                    _ => return None,
                }
                end = self.position()? + 1;
                self.at += 1;
            }
        }
    }

    /// Skips a number or literal. Returns where it ends.
    #[inline(always)]
    fn scalar(&mut self, first: u8) -> Option<usize> {
        let start = self.position()?;
        let end = match first {
            b't' => literal_end(self.text, start, b"true")?,
            b'f' => literal_end(self.text, start, b"false")?,
            b'n' => literal_end(self.text, start, b"null")?,
            _ => {
                let (end, form) = number::scan(self.text, start)?;
                self.visitor.number(&self.text[start..end], form);
                end
            }
        };
        self.at += 1;
        // A structural character or white space must follow.
        let next = self.position()?;
        (end == next || matches!(self.text[end], b' ' | b'\t' | b'\n' | b'\r')).then_some(end)
    }

    #[inline(always)]
    fn push(&mut self, open: Open) -> Option<()> {
        self.open.push(open);
        (self.open.len() < MAX_DEPTH).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(text: &str) -> bool {
        Validator::default().find(text.as_bytes())
    }

    #[test]
    fn it_finds_the_top_level() {
        let text = r#" { "a" : [1, {"x": "]}"}] ,"b":-1.5, "c":"\u00e9\"" } "#;
        let mut validator = Validator::default();
        assert!(validator.find(text.as_bytes()));
        let found: Vec<_> =
            validator.entries().iter().map(|entry| (&text[entry.key.clone()], &text[entry.value.clone()])).collect();
        assert_eq!(found, [("a", r#"[1, {"x": "]}"}]"#), ("b", "-1.5"), ("c", r#""\u00e9\"""#)]);
        assert!(accepts("{}"));
    }

    #[test]
    fn it_accepts_nothing_that_is_not_json() {
        for text in [
            "",
            "[]",
            "1",
            "{",
            "}",
            "{}x",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":{"b":1,}}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":.5}"#,
            r#"{"a":+1}"#,
            r#"{"a":1e}"#,
            r#"{"a":-}"#,
            r#"{"a":tru}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12g4"}"#,
            "{\"a\":\"\n\"}",
            "{\"a\":\"1234567\n\"}",
            r#"{"a":"x}"#,
            r#"{"a":[}}"#,
            r#"{'a':1}"#,
            r#"{"a" 1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":NaN}"#,
            r#"{"a":[1 2]}"#,
            r#"{"a":{"b"1}}"#,
            r#"{"a":{1:2}}"#,
            r#"{"a":nullx}"#,
        ] {
            assert!(!accepts(text), "{text}");
        }
    }

    #[test]
    fn keys_that_occur_twice_are_seen() {
        for (text, twice) in [
            (r#"{"a":1,"b":{"a":2},"c":{"a":3}}"#, false),
            (r#"{"a":1,"b":{"a":2},"a":3}"#, true),
            (r#"{"a":{"b":1,"c":[{"b":1}],"b":2}}"#, true),
            (r#"{"a":1,"\u0061":2}"#, true),
            (r#"{"longer than eight bytes":1,"longer than eight pieces":2}"#, false),
        ] {
            let survey = Validator::default().survey(text.as_bytes()).unwrap();
            assert_eq!(survey.duplicates, twice, "{text}");
        }
    }

    #[test]
    fn depth_is_declined_not_followed() {
        let depth = if cfg!(miri) { 1_000 } else { 100_000 };
        let text = format!(r#"{{"a":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(!accepts(&text));
    }

    proptest! {
        #[test]
        fn numbers_are_told_apart_as_the_grammar_does(text in "-?[01]{0,2}(\\.[01]{0,2})?([eE][+-]?[01]{0,2})?") {
            let line = format!("{{\"a\":{text}}}");
            let valid = serde_json::from_str::<serde_json::Value>(&line).is_ok();
            prop_assert_eq!(Validator::default().survey(line.as_bytes()).is_some(), valid, "{}", text);
        }

        #[test]
        fn what_it_accepts_serde_json_accepts(text in r#"\{("[ab]":([\[\]{},:"\\eE0-9.+tfn -]|true|null|"x"){0,8},?){0,3}\}"#) {
            if accepts(&text) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
        }
    }
}
