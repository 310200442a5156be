//! One fast walk over a line: what its objects are made of, or what in it V8 would print differently.
//!
//! Both walks check that a line is a JSON object to the last byte. They are strict: whatever they accept, `JSON.parse`
//! accepts too, so a value that is never parsed cannot hide an error. What they will not judge (a depth beyond
//! [`MAX_DEPTH`]) they decline, and the slower ways are taken. They go from one place of the line's [`StructuralIndex`] to the
//! next.

use std::ops::Range;

use crate::merge::Merger;
use crate::object_index::{ObjectIndex, index_object};
use crate::roundtrip::{RoundTripLoss, ScanReport};
use crate::structural_index::StructuralIndex;

/// Objects with more keys count as having duplicates, which has them looked at more closely.
const MAX_KEYS: usize = 64;

/// Deeper nesting is declined.
pub const MAX_DEPTH: usize = 512;

/// A property of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where the key lies, without its quotes.
    pub key: Range<usize>,
    /// Where the value lies.
    pub value: Range<usize>,
}

/// Walks lines; its memory is reused.
#[derive(Default)]
pub struct Validator {
    /// What is below the top level is only there if the line is `compact`.
    found: ObjectIndex,
    /// Whether it is sure that there is no white space between the tokens.
    pub compact: bool,
    structure: StructuralIndex,
    open: Vec<Open>,
    hashes: Vec<u32>,
    /// Puts digits back into an output of this line.
    pub merger: Merger,
}

/// An object or array that has not ended: for an object, where its keys' hashes start.
#[derive(Clone, Copy)]
enum Open {
    Object(usize),
    Array,
}

/// What a walk looks for on its way.
trait Visitor {
    /// White space between tokens, or an escape that `JSON.stringify` writes otherwise.
    fn form(&mut self) {}
    fn number(&mut self, text: &[u8], number: Number);
    /// A key; `hashes` are those of all open objects, this one's from `first`.
    fn key(&mut self, key: &[u8], escaped: bool, hashes: &mut Vec<u32>, first: usize);
}

/// How a number is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    /// Short, whole and positive: V8 prints it as it stands.
    Plain,
    Other,
    /// With an exponent.
    Exponent,
}

/// Only whether a number may be beyond the doubles, or a key is written with an escape.
#[derive(Default)]
struct NumberRangeCheck {
    odd: bool,
}

impl Visitor for NumberRangeCheck {
    #[inline]
    fn number(&mut self, text: &[u8], number: Number) {
        // Without an exponent it takes more than three hundred digits.
        self.odd |= number == Number::Exponent || text.len() > 300;
    }

    #[inline]
    fn key(&mut self, _: &[u8], escaped: bool, _: &mut Vec<u32>, _: usize) {
        self.odd |= escaped;
    }
}

impl Visitor for ScanReport {
    fn form(&mut self) {
        self.losses.form = true;
    }

    #[inline]
    fn number(&mut self, text: &[u8], number: Number) {
        if number != Number::Plain {
            self.losses.number(text);
        }
    }

    #[inline]
    fn key(&mut self, key: &[u8], escaped: bool, hashes: &mut Vec<u32>, first: usize) {
        // A digit may be written as an escape.
        self.losses.index_keys |= key.first().is_some_and(|first| first.is_ascii_digit() || *first == b'\\');
        let hash = hash(key);
        let known = &hashes[first..];
        self.duplicates |= escaped || known.len() >= MAX_KEYS || known.contains(&hash);
        if known.len() < MAX_KEYS {
            hashes.push(hash);
        }
    }
}

impl Validator {
    /// The properties of the line that was found last, those of the top level, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.found.entries
    }

    /// Finds the properties of the top level. `false` if the line is not a JSON object, or declined, or may hold a number
    /// beyond the doubles, or a key with an escape (see [`crate::roundtrip::as_lists`]).
    pub fn find(&mut self, text: &[u8]) -> bool {
        self.compact = index_object(text, &mut self.found).is_some();
        self.compact || self.find_slowly(text)
    }

    /// The same, token by token.
    pub fn find_slowly(&mut self, text: &[u8]) -> bool {
        let mut extent = NumberRangeCheck::default();
        self.walk(text, &mut extent).is_some() && !extent.odd
    }

    /// What `JSON.stringify(JSON.parse(text))` would lose of a text, and whether a key may occur twice in one object.
    /// Nothing, if the text is not a JSON object, or declined.
    pub fn survey(&mut self, text: &[u8]) -> Option<ScanReport> {
        let mut survey = ScanReport { losses: RoundTripLoss::default(), duplicates: false };
        self.walk(text, &mut survey)?;
        Some(survey)
    }

    /// The same of a text that may be any JSON value.
    pub fn survey_value(&mut self, text: &[u8]) -> Option<ScanReport> {
        let mut survey = ScanReport { losses: RoundTripLoss::default(), duplicates: false };
        let Self { structure, open, hashes, .. } = self;
        let mut walk = Walk::over(text, structure, open, hashes, &mut survey)?;
        walk.value()?;
        (walk.at + 1 == walk.places.len()).then_some(survey)
    }

    /// Whether a text is a JSON value and nothing else, and not declined.
    pub fn is_value(&mut self, text: &[u8]) -> bool {
        let mut extent = NumberRangeCheck::default();
        let Self { structure, open, hashes, .. } = self;
        let walk = Walk::over(text, structure, open, hashes, &mut extent);
        walk.is_some_and(|mut walk| walk.value().is_some() && walk.at + 1 == walk.places.len())
    }

    /// The properties of an object that is a value of the top level of the line that was found last, in order, if they are
    /// known.
    pub fn children(&self, span: &Range<usize>, mut child: impl FnMut(Entry)) -> bool {
        if !self.compact || !self.found.entries.iter().any(|entry| entry.value == *span) {
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
                child(Entry { key: comma + 2..colon - 1, value: colon + 1..separator.at });
                comma = separator.at;
            }
        }
        if colon > comma {
            child(Entry { key: comma + 2..colon - 1, value: colon + 1..span.end - 1 });
        }
        true
    }

    fn walk(&mut self, text: &[u8], look: &mut impl Visitor) -> Option<()> {
        let Self { found: ObjectIndex { entries, .. }, structure, open, hashes, .. } = self;
        entries.clear();
        let mut walk = Walk::over(text, structure, open, hashes, look)?;
        walk.expect(b'{')?;
        if walk.byte() == Some(b'}') {
            walk.at += 1;
        } else {
            loop {
                let key = walk.key(0)?;
                let start = walk.place()?;
                let end = walk.value()?;
                entries.push(Entry { key, value: start..end });
                match walk.byte()? {
                    b',' => walk.at += 1,
                    b'}' => {
                        walk.at += 1;
                        break;
                    }
                    _ => return None,
                }
            }
        }
        (walk.at + 1 == walk.places.len()).then_some(())
    }
}

/// A walk under way.
struct Walk<'a, L> {
    text: &'a [u8],
    structure: &'a StructuralIndex,
    places: &'a [u32],
    /// The number of the place in hand.
    at: usize,
    open: &'a mut Vec<Open>,
    hashes: &'a mut Vec<u32>,
    look: &'a mut L,
}

impl<'a, L: Visitor> Walk<'a, L> {
    /// The start of a text; the rest is memory that is reused. Nothing, if the text cannot be JSON as far as its structure
    /// says.
    fn over(
        text: &'a [u8],
        structure: &'a mut StructuralIndex,
        open: &'a mut Vec<Open>,
        hashes: &'a mut Vec<u32>,
        look: &'a mut L,
    ) -> Option<Self> {
        if !structure.find(text) {
            return None;
        }
        if structure.any_space() {
            look.form();
        }
        hashes.clear();
        let structure = &*structure;
        Some(Self { text, structure, places: structure.positions(), at: 0, open, hashes, look })
    }

    #[inline(always)]
    fn place(&self) -> Option<usize> {
        self.places.get(self.at).map(|place| *place as usize)
    }

    /// The byte in hand; nothing behind the last one.
    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.text.get(self.place()?).copied()
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Option<()> {
        let there = self.byte()? == byte;
        self.at += 1;
        there.then_some(())
    }

    /// Goes past a string; gives where it lies, without its quotes, and whether it holds an escape.
    #[inline(always)]
    fn string(&mut self) -> Option<(Range<usize>, bool)> {
        // Quotes come in pairs with nothing in between.
        let (start, end) = (*self.places.get(self.at)? as usize + 1, *self.places.get(self.at + 1)? as usize);
        self.at += 2;
        let mut escaped = false;
        for at in self.structure.escapes(start, end) {
            escaped = true;
            match self.text[at + 1] {
                b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'/' => self.look.form(),
                b'u' if self.text[at + 2..].first_chunk::<4>()?.iter().all(u8::is_ascii_hexdigit) => self.look.form(),
                _ => return None,
            }
        }
        Some((start..end, escaped))
    }

    /// Goes past a key of the object whose hashes start at `first`, and its colon.
    #[inline(always)]
    fn key(&mut self, first: usize) -> Option<Range<usize>> {
        if self.byte()? != b'"' {
            return None;
        }
        let (key, escaped) = self.string()?;
        self.look.key(&self.text[key.clone()], escaped, self.hashes, first);
        self.expect(b':')?;
        Some(key)
    }

    /// Goes past the value in hand; gives where it ends.
    fn value(&mut self) -> Option<usize> {
        self.open.clear();
        loop {
            // A value starts here.
            let mut end: usize;
            match self.byte()? {
                b'"' => end = self.string()?.0.end + 1,
                b'{' => {
                    self.at += 1;
                    if self.byte()? == b'}' {
                        end = self.place()? + 1;
                        self.at += 1;
                    } else {
                        let first = self.hashes.len();
                        self.push(Open::Object(first))?;
                        self.key(first)?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if self.byte()? == b']' {
                        end = self.place()? + 1;
                        self.at += 1;
                    } else {
                        self.push(Open::Array)?;
                        continue;
                    }
                }
                first => end = self.scalar(first)?,
            }
            // A value has ended here; so may brackets.
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
                        self.hashes.truncate(first);
                        self.open.pop();
                    }
                    (b']', Open::Array) => {
                        self.open.pop();
                    }
                    _ => return None,
                }
                end = self.place()? + 1;
                self.at += 1;
            }
        }
    }

    /// Goes past a number or literal; gives where it ends.
    #[inline(always)]
    fn scalar(&mut self, first: u8) -> Option<usize> {
        let start = self.place()?;
        let end = match first {
            b't' => literal(self.text, start, b"true")?,
            b'f' => literal(self.text, start, b"false")?,
            b'n' => literal(self.text, start, b"null")?,
            _ => number(self.text, start, self.look)?,
        };
        self.at += 1;
        // What follows it directly is either of the structure too, or white space, or does not belong there.
        let next = self.place()?;
        (end == next || matches!(self.text[end], b' ' | b'\t' | b'\n' | b'\r')).then_some(end)
    }

    #[inline(always)]
    fn push(&mut self, open: Open) -> Option<()> {
        self.open.push(open);
        (self.open.len() < MAX_DEPTH).then_some(())
    }
}

/// Equal keys have equal hashes; it need not be good, only fast.
#[inline]
pub fn hash(key: &[u8]) -> u32 {
    let word = |at: usize| key.get(at..at + 8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
    let mixed = match key.len() {
        0..8 => key.iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte)),
        len => word(0).unwrap_or_default() ^ word(len - 8).unwrap_or_default().rotate_left(29),
    };
    ((mixed ^ (key.len() as u64) << 57).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

/// How many bytes are looked at together for the end of a string.
const STEP: usize = 16;

/// Where in `bytes` the first quote, backslash or control character is.
#[inline]
#[cfg(target_arch = "x86_64")]
fn stop(bytes: &[u8; STEP]) -> Option<usize> {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    // SAFETY: every x86-64 has SSE2, and the load is of sixteen bytes that are there, aligned or not.
    let found = unsafe {
        let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control))
    };
    (found != 0).then(|| found.trailing_zeros() as usize)
}

#[cfg(not(target_arch = "x86_64"))]
fn stop(bytes: &[u8; STEP]) -> Option<usize> {
    bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
}

/// Where from `at` on the first quote, backslash or control character is, or the text's end.
#[inline]
pub fn next_stop(text: &[u8], mut at: usize) -> usize {
    while let Some(bytes) = text.get(at..at + STEP) {
        if let Some(found) = stop(bytes.try_into().expect("as long as asked for")) {
            return at + found;
        }
        at += STEP;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

fn literal(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// Whether a number or literal that starts there ends where a value may, and is none that may be beyond the doubles.
#[inline]
pub fn in_range(text: &[u8], start: usize) -> bool {
    let mut extent = NumberRangeCheck::default();
    let end = match text[start] {
        b't' => literal(text, start, b"true"),
        b'f' => literal(text, start, b"false"),
        b'n' => literal(text, start, b"null"),
        _ => number(text, start, &mut extent),
    };
    !extent.odd && end.is_some_and(|end| matches!(text.get(end), Some(b',' | b'}' | b']')))
}

/// Where the number or literal that starts there ends. What follows it directly, the caller looks at.
#[inline]
pub fn scalar(text: &[u8], start: usize) -> Option<usize> {
    match text.get(start)? {
        b't' => literal(text, start, b"true"),
        b'f' => literal(text, start, b"false"),
        b'n' => literal(text, start, b"null"),
        _ => number(text, start, &mut NumberRangeCheck::default()),
    }
}

/// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
#[inline]
fn number(text: &[u8], start: usize, look: &mut impl Visitor) -> Option<usize> {
    let digits = |mut at: usize| {
        let start = at;
        while text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > start).then_some(at)
    };
    let mut at = start + usize::from(text.get(start) == Some(&b'-'));
    at = if text.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    let mut number = if at - start < 15 && text[start] != b'-' { Number::Plain } else { Number::Other };
    if text.get(at) == Some(&b'.') {
        number = Number::Other;
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        number = Number::Exponent;
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = digits(at)?;
    }
    look.number(&text[start..at], number);
    Some(at)
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
        let text = format!(r#"{{"a":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
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

        #[test]
        fn every_byte_that_ends_a_run_is_found(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..70), from in 0..70usize) {
            let from = from.min(bytes.len());
            let first = bytes[from..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            prop_assert_eq!(next_stop(&bytes, from), first.map_or(bytes.len(), |first| from + first));
        }
    }
}
