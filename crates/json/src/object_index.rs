//! Finds the top-level entries of an object without visiting each token.
//!
//! Without white space, the grammar of JSON is nearly local: the byte after a comma, a string or a bracket tells
//! whether it is allowed there, and one 64-bit operation checks that for 64 bytes. Only nesting is not local: in an
//! object colons and commas alternate, in an array there are no colons. So a block is checked in whole words, and only
//! its brackets are visited one by one, and those numbers that are more than digits with a sign and a point. White
//! space between tokens makes this only a little slower: the byte after it takes the place of the byte after the token.
//!
//! [`index_object`] is exact, or declines. If it finds entries, the text is one JSON object up to its last byte, no
//! number is beyond the range of doubles, and no key has an escape. For texts that it declines, [`crate::validator`]
//! decides. [`index_first`] does the same for an object that is followed by more text.

use std::ops::{ControlFlow, Range};

use crate::key_skeleton::{KeyBytes, KeySkeleton};
use crate::number::{DIGITS, is_scalar_in_range};
use crate::simd::{self, Isa, Pass, Strings, skip_space};
use crate::string::{escaped_char, is_space};

/// Deeper nesting is declined.
pub const MAX_DEPTH: usize = 512;

/// A property of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The range of the key, without its quotes.
    pub key: Range<usize>,
    /// The range of the value.
    pub value: Range<usize>,
}

impl Entry {
    /// The property between two commas or brackets, the first of which may be the brace of its object.
    #[inline]
    pub(crate) fn between<const SPACED: bool>(text: &[u8], before: usize, colon: usize, end: usize) -> Self {
        Self {
            key: behind_space::<SPACED>(text, before + 1) + 1..before_space::<SPACED>(text, colon) - 1,
            value: behind_space::<SPACED>(text, colon + 1)..before_space::<SPACED>(text, end),
        }
    }
}

/// The first offset from `at` on that is not white space; `at` itself if the text is not `SPACED`.
#[inline(always)]
fn behind_space<const SPACED: bool>(text: &[u8], mut at: usize) -> usize {
    while SPACED && text.get(at).is_some_and(is_space) {
        at += 1;
    }
    at
}

/// The start of the white space before `end`.
#[inline(always)]
fn before_space<const SPACED: bool>(text: &[u8], mut end: usize) -> usize {
    while SPACED && end > 0 && is_space(&text[end - 1]) {
        end -= 1;
    }
    end
}

/// The index of an object. Its memory is reused.
#[derive(Default)]
pub struct ObjectIndex {
    /// The properties of the top level, in order.
    pub entries: Vec<Entry>,
    /// The colons and commas of the objects one level below, in order.
    pub child_separators: Vec<Separator>,
    /// All keys. Set by [`index_object`] only.
    pub keys: KeySkeleton,
    /// Whether a number or literal has as many bytes as a number of which JavaScript loses
    /// value. Set by [`index_object`] only.
    pub long_scalar: bool,
    /// Whether the text is all ASCII. Set by [`index_object`] only.
    pub ascii: bool,
    /// Whether there is no white space between tokens. Set by [`index_object`] only.
    pub compact: bool,
    /// What the enclosing containers expect once the current one ends. Used only during the pass.
    enclosing: Vec<Expect>,
}

/// A colon or comma in an object that is a value of the top level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Separator {
    /// Its offset in the text.
    pub at: usize,
    /// Whether it is a colon.
    pub colon: bool,
}

/// What may come next in the current container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// In an object, after its brace: a key and its colon, or the end.
    First,
    /// In an object, after a comma: a key and its colon.
    Key,
    /// In an object, after a colon: a value, then a comma or the end.
    Value,
    /// In an object, after a container: a comma or the end.
    Next,
    /// In an array: the next byte decides.
    Element,
}

/// Indexes a text that is one object. `None` if the text is declined.
pub fn index_object(text: &[u8], found: &mut ObjectIndex) -> Option<()> {
    // Most texts have the same form as the previous one.
    if found.compact && run::<true, false>(text, found).is_some() {
        return Some(());
    }
    run::<true, true>(text, found).map(drop)
}

/// Indexes the object at the start of a text. Returns the object's end. `None` if the text is declined.
pub fn index_first(text: &[u8], found: &mut ObjectIndex) -> Option<usize> {
    run::<false, false>(text, found)
}

fn run<const WHOLE: bool, const SPACED: bool>(text: &[u8], found: &mut ObjectIndex) -> Option<usize> {
    found.entries.clear();
    found.child_separators.clear();
    found.keys.bytes.clear();
    (found.long_scalar, found.ascii) = (false, true);
    found.enclosing.clear();
    if text.first() != Some(&b'{') || u32::try_from(text.len()).is_err() {
        return None;
    }
    simd::run(text, || Indexer::<WHOLE, SPACED>::new(text, found))
}

/// The pass that indexes an object: the `WHOLE` text, or the start of the text. Without `SPACED` it
/// declines white space between tokens.
struct Indexer<'a, const WHOLE: bool, const SPACED: bool> {
    text: &'a [u8],
    entries: &'a mut Vec<Entry>,
    child_separators: &'a mut Vec<Separator>,
    keys: &'a mut KeySkeleton,
    key_bytes: KeyBytes,
    /// See [`ObjectIndex`]. Stored at the end.
    found_long: &'a mut bool,
    long_scalar: bool,
    /// The number of bytes of a number or literal at the end of the previous block.
    run: u32,
    is_ascii: &'a mut bool,
    is_compact: &'a mut bool,
    /// The union of the white space of all blocks so far.
    space: u64,
    /// The bits of bytes that are ASCII in all blocks so far.
    ascii: u64,
    enclosing: &'a mut Vec<Expect>,
    strings: Strings,
    /// The first bytes of the next block that must be hexadecimal digits.
    hex: u64,
    /// 1 if the previous block ended with a byte of a number or literal.
    scalar: u64,
    /// The lowest bit is 1 if the previous block ended with a separator or an opening bracket, optionally followed by
    /// white space. The next bit is 1 if it ended, in the same way, with an opening bracket or a closing quote.
    last: u64,
    expect: Expect,
    /// The position where the current container was opened, if no other container was opened or closed since.
    opened: usize,
    /// The last comma of the top level, or the opening brace.
    comma: usize,
    /// The last colon of the top level.
    colon: usize,
    /// The offset after the closing brace of the top level; 0 until it is reached.
    end: usize,
}

impl<const WHOLE: bool, const SPACED: bool> Pass for Indexer<'_, WHOLE, SPACED> {
    type Output = Option<usize>;
    const COMPRESSES: bool = WHOLE;

    #[inline(always)]
    fn block<I: Isa>(&mut self, isa: I, block: I::Block, base: usize, inside: u64) -> ControlFlow<Option<usize>> {
        match self.check(isa, block, base, inside) {
            None => ControlFlow::Break(None),
            Some(()) if !WHOLE && self.end > 0 => ControlFlow::Break(Some(self.end)),
            Some(()) => ControlFlow::Continue(()),
        }
    }

    #[inline(always)]
    fn finish(self) -> Option<usize> {
        if WHOLE {
            (*self.found_long, *self.is_ascii, *self.is_compact) =
                (self.long_scalar, self.ascii == !0, self.space == 0);
        }
        (self.end > 0).then_some(self.end)
    }
}

impl<'a, const WHOLE: bool, const SPACED: bool> Indexer<'a, WHOLE, SPACED> {
    #[inline(always)]
    fn new(text: &'a [u8], found: &'a mut ObjectIndex) -> Self {
        let ObjectIndex { entries, child_separators, keys, long_scalar, ascii, enclosing, compact } = found;
        Self {
            text,
            entries,
            child_separators,
            keys,
            key_bytes: KeyBytes::default(),
            found_long: long_scalar,
            long_scalar: false,
            run: 0,
            is_ascii: ascii,
            is_compact: compact,
            space: 0,
            ascii: !0,
            enclosing,
            strings: Strings::default(),
            hex: 0,
            scalar: 0,
            // The text must start with a value.
            last: 1,
            expect: Expect::First,
            opened: 0,
            comma: 0,
            colon: 0,
            end: 0,
        }
    }

    /// Checks a block and records its entries. `None` declines the text.
    #[inline(always)]
    fn check<I: Isa>(&mut self, isa: I, block: I::Block, base: usize, inside: u64) -> Option<()> {
        let backslash = isa.equal(block, b'\\');
        let all_quotes = isa.equal(block, b'"');
        let control = isa.within(block, 0, 0x1F);
        // A brace is a bracket with one more bit.
        let (open, close) = (isa.equal_with(block, 0x20, b'{'), isa.equal_with(block, 0x20, b'}'));
        let (colon, comma) = (isa.equal(block, b':'), isa.equal(block, b','));
        let (digit, zero) = (isa.within(block, b'0', b'9'), isa.equal(block, b'0'));
        let (point, minus) = (isa.equal(block, b'.'), isa.equal(block, b'-'));
        if WHOLE {
            self.ascii &= isa.within(block, 0, 0x7F);
        }
        let escaped = self.strings.escaped(backslash);
        let quote = all_quotes & !escaped;
        if escaped | self.hex != 0 {
            let other = escaped & !(all_quotes | backslash) & inside;
            if other | self.hex != 0 {
                self.check_escapes(isa, block, base, other)?;
            }
        }
        if quote == 0 && self.strings.in_string() {
            // The middle of a long string.
            let key = self.key_bytes.in_string();
            if WHOLE && key != 0 {
                isa.push_kept(block, !0, &mut self.keys.bytes);
            }
            return ((control | backslash & key) & inside == 0).then_some(());
        }
        let in_string = self.strings.inside(isa, quote);
        let (opening, closing) = (quote & in_string, quote & !in_string);
        let [open, close, colon, comma] = [open, close, colon, comma].map(|mask| mask & !in_string);
        let space = if SPACED { isa.spaces(block) & !in_string } else { 0 };
        self.space |= space;
        let scalar = !(open | close | colon | comma | quote | in_string | space) & inside;
        let starts = scalar & !(scalar << 1 | self.scalar);
        self.scalar = scalar >> 63;

        // The bytes after these tokens and the white space that follows them.
        let (before_value, before_other) = (open | colon | comma, open | closing);
        let (may_start, over) = skip_space(before_value << 1 | self.last & 1, space);
        let (may_follow, other_over) = skip_space(before_other << 1 | self.last >> 1, space);
        self.last = before_value >> 63 | over | (before_other >> 63 | other_over) << 1;
        // After a separator or an opening bracket a value starts, or, after a bracket, the container ends; values start
        // nowhere else. A colon follows a string. No colon follows a bracket, because a colon does not start a value.
        let value = opening | open | starts;
        let wrong = (may_start ^ value) & !(may_follow & close)
            | colon & !may_follow
            | control & in_string
            // A number of more than 64 bytes is declined.
            | u64::from(scalar == !0);
        if wrong & inside != 0 {
            return None;
        }
        let scalars = Scalars { scalar, starts, digit, zero, point, minus };
        self.check_scalars(base, starts, scalars.unusual())?;
        // Every other separator, and all bits from it to the next one.
        let turns = isa.prefix_xor(colon | comma);
        self.nesting(base, (open, close), (colon, comma), turns)?;
        let key = self.key_bytes.take(in_string, opening, space);
        if WHOLE {
            self.find_long_scalars(scalar);
            isa.push_kept(block, key | open | close, &mut self.keys.bytes);
        }
        (backslash & key == 0).then_some(())
    }

    /// Looks for a number or literal of at least [`DIGITS`] bytes.
    #[inline(always)]
    fn find_long_scalars(&mut self, scalar: u64) {
        // Mostly there are fewer bytes than that in all of them together.
        if self.run + scalar.count_ones() >= DIGITS {
            let mut long = scalar & scalar >> 1;
            for step in [2, 4, 8] {
                long &= long >> step;
            }
            self.long_scalar |= long != 0 || self.run + scalar.trailing_ones() >= DIGITS;
        }
        self.run = scalar.leading_ones();
    }

    /// Checks the numbers and literals of a block that have an `unusual` byte.
    #[inline(always)]
    fn check_scalars(&self, base: usize, starts: u64, mut unusual: u64) -> Option<()> {
        while unusual != 0 {
            let at = unusual.trailing_zeros();
            unusual &= unusual - 1;
            let before = starts & (!0 >> (63 - at));
            // A scalar that started in an earlier block was checked there.
            if before != 0 && !is_scalar_in_range::<SPACED>(self.text, base + 63 - before.leading_zeros() as usize) {
                return None;
            }
        }
        Some(())
    }

    /// Processes the brackets of a block, and checks the separators between them.
    #[inline(always)]
    fn nesting(
        &mut self,
        base: usize,
        (open, close): (u64, u64),
        (colon, comma): (u64, u64),
        turns: u64,
    ) -> Option<()> {
        let mut brackets = open | close;
        let mut left = !0u64;
        while brackets != 0 {
            let at = brackets.trailing_zeros();
            let bit = brackets & brackets.wrapping_neg();
            brackets ^= bit;
            self.separators(base, colon & left & (bit - 1), comma & left & (bit - 1), turns)?;
            left = !(bit | (bit - 1));
            self.bracket(base + at as usize, bit, open & bit != 0)?;
            if !WHOLE && self.end > 0 {
                return Some(());
            }
        }
        self.separators(base, colon & left, comma & left, turns)
    }

    /// Checks the colons and commas between two brackets, or the part of them in one block.
    #[inline(always)]
    fn separators(&mut self, base: usize, colon: u64, comma: u64, turns: u64) -> Option<()> {
        let both = colon | comma;
        if both == 0 {
            return Some(());
        }
        let colon_first = match self.expect {
            Expect::Element => return (colon == 0).then_some(()),
            Expect::First | Expect::Key => true,
            Expect::Value | Expect::Next => false,
        };
        // They must alternate: the first, third and so on are of one kind, the others of the other kind.
        let first = both & both.wrapping_neg();
        let odd = both & if turns & first != 0 { turns } else { !turns };
        if odd != if colon_first { colon } else { comma } {
            return None;
        }
        self.expect = if colon > comma { Expect::Value } else { Expect::Key };
        self.key_bytes.before |= comma;
        match self.enclosing.len() {
            0 => self.record_top_level(base, both, colon),
            1 => self.record_children(base, both, colon),
            _ => {}
        }
        Some(())
    }

    fn record_top_level(&mut self, base: usize, mut both: u64, colon: u64) {
        while both != 0 {
            let at = base + both.trailing_zeros() as usize;
            let bit = both & both.wrapping_neg();
            both ^= bit;
            if colon & bit != 0 {
                self.colon = at;
            } else {
                self.record_entry(at);
            }
        }
    }

    fn record_children(&mut self, base: usize, mut both: u64, colon: u64) {
        while both != 0 {
            let bit = both & both.wrapping_neg();
            self.child_separators
                .push(Separator { at: base + both.trailing_zeros() as usize, colon: colon & bit != 0 });
            both ^= bit;
        }
    }

    /// Records the top-level property that ends at `end`.
    fn record_entry(&mut self, end: usize) {
        self.entries.push(Entry::between::<SPACED>(self.text, self.comma, self.colon, end));
        self.comma = end;
    }

    /// Enters or leaves a container whose bracket is at `at`, which is this `bit` of the block.
    #[inline(always)]
    fn bracket(&mut self, at: usize, bit: u64, open: bool) -> Option<()> {
        let is_object = self.text[at] & 0x20 != 0;
        if open {
            if is_object {
                self.key_bytes.before |= bit;
            }
            // No container encloses the top level's own brace.
            if at > 0 {
                if !matches!(self.expect, Expect::Value | Expect::Element) || self.enclosing.len() >= MAX_DEPTH {
                    return None;
                }
                self.enclosing.push(self.expect);
            }
            self.opened = at;
            self.expect = if is_object { Expect::First } else { Expect::Element };
            // It was already checked that a value or an end follows.
            let next = || self.text.get(behind_space::<SPACED>(self.text, at + 1));
            return (!is_object || matches!(next(), Some(b'"' | b'}'))).then_some(());
        }
        match self.expect {
            Expect::Element if is_object => return None,
            Expect::Element => {}
            _ if !is_object => return None,
            Expect::First if at == behind_space::<SPACED>(self.text, self.opened + 1) => {}
            Expect::Value | Expect::Next => {}
            Expect::First | Expect::Key => return None,
        }
        match self.enclosing.pop() {
            Some(Expect::Element) => self.expect = Expect::Element,
            Some(_) => self.expect = Expect::Next,
            None => {
                if WHOLE && at + 1 != self.text.len() {
                    return None;
                }
                if self.expect != Expect::First {
                    self.record_entry(at);
                }
                self.end = at + 1;
            }
        }
        Some(())
    }

    /// Checks the escapes with these `escaped` bytes after their backslashes, and the rest of
    /// escapes from the previous block.
    #[inline(always)]
    fn check_escapes<I: Isa>(&mut self, isa: I, block: I::Block, base: usize, escaped: u64) -> Option<()> {
        let unicode = escaped & isa.equal(block, b'u');
        let digits = self.hex | unicode << 1 | unicode << 2 | unicode << 3 | unicode << 4;
        self.hex = unicode >> 63 | unicode >> 62 | unicode >> 61 | unicode >> 60;
        if digits & !isa.hex_digits(block) != 0 {
            return None;
        }
        self.check_short_escapes(base, escaped & !unicode)
    }

    /// Checks escapes of two bytes.
    #[inline(always)]
    fn check_short_escapes(&self, base: usize, mut escaped: u64) -> Option<()> {
        while escaped != 0 {
            escaped_char(self.text[base + escaped.trailing_zeros() as usize])?;
            escaped &= escaped - 1;
        }
        Some(())
    }
}

/// The numbers and literals of a block.
struct Scalars {
    /// All of their bytes.
    scalar: u64,
    /// The first byte of each.
    starts: u64,
    /// These bytes, in strings or not.
    digit: u64,
    zero: u64,
    point: u64,
    minus: u64,
}

impl Scalars {
    /// Marks a byte of each number or literal that must be read byte by byte: those that are more than digits
    /// with a sign and a point, and those that continue in the next block. For a scalar that started in the
    /// previous block, any byte may be marked.
    #[inline(always)]
    fn unusual(self) -> u64 {
        let Self { scalar, starts, .. } = self;
        let [digit, point, minus] = [self.digit, self.point, self.minus].map(|mask| mask & scalar);
        let (before_digit, behind_digit) = (digit >> 1, digit << 1);
        // The sum carries from the first digit after a point to the byte after the last digit.
        let fraction = digit & point << 1;
        let behind_fraction = digit.wrapping_add(fraction);
        let other = scalar & !(digit | point | minus);
        other & (starts | behind_digit)
            | minus & !starts
            | (point | minus) & !before_digit
            | point & (behind_fraction | !behind_digit)
            | digit & self.zero & before_digit & !(behind_digit | point << 1)
            | scalar & 1 << 63
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::number::may_hold_lossy_digits;
    use crate::simd::tests::same_in_every_form;
    use crate::structural_index::StructuralIndex;
    use crate::validator::Validator;

    /// The result of the validator, token by token.
    fn slowly(text: &[u8]) -> Option<Vec<Entry>> {
        let mut validator = Validator::default();
        validator.find_slowly(text).then(|| validator.entries().to_vec())
    }

    fn quickly(text: &[u8]) -> Option<Vec<Entry>> {
        same_in_every_form(|| {
            let mut found = ObjectIndex::default();
            index_object(text, &mut found).map(|()| (found.entries, found.child_separators, found.compact))
        })
        .map(|(entries, ..)| entries)
    }

    fn first(text: &[u8]) -> Option<(usize, Vec<Entry>)> {
        same_in_every_form(|| {
            let mut found = ObjectIndex::default();
            index_first(text, &mut found).map(|end| (end, found.entries))
        })
    }

    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("false".to_owned()),
            "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?",
            "[1-9][0-9]{30,50}",
            r#""([a-z ,:{}\[\]é日]|\\["\\/bfnrt]|\\u00[0-9a-fA-F]{2}){0,40}""#,
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            let key = r#""[a-z,:{}\[\]]{0,12}""#;
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(|values| format!("[{}]", values.join(","))),
                proptest::collection::vec((key, inner), 0..6).prop_map(|pairs| {
                    let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                    format!("{{{}}}", pairs.join(","))
                }),
            ]
        })
    }

    /// White space of all kinds, mostly as `json.dumps` writes it.
    fn blanks() -> impl Strategy<Value = Vec<String>> {
        let blank = prop_oneof![
            4 => Just(String::new()),
            4 => Just(" ".to_owned()),
            1 => "[ \\t\\r\\n]{1,3}",
            1 => (50..140usize).prop_map(|len| " ".repeat(len)),
        ];
        proptest::collection::vec(blank, 1..9)
    }

    /// An object with these blanks, repeated in order, between its tokens.
    fn spaced(text: &str, blanks: &[String]) -> String {
        let mut structure = StructuralIndex::default();
        assert!(structure.find(text.as_bytes()));
        let (mut spaced, mut copied, mut in_string) = (String::new(), 0, false);
        let inner = structure.positions().iter().skip(1).map(|at| *at as usize).filter(|at| *at < text.len());
        for (at, blank) in inner.zip(blanks.iter().cycle()) {
            spaced += &text[copied..at];
            if !in_string {
                spaced += blank;
            }
            in_string ^= text.as_bytes()[at] == b'"';
            copied = at;
        }
        spaced + &text[copied..]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(
            std::env::var("SLUICEGATE_CASES").ok().map_or(3000, |cases| cases.parse().unwrap())
        ))]

        #[test]
        fn a_line_without_white_space_is_indexed(first in value(), second in value()) {
            let text = format!(r#"{{"first":{first},"second":{second}}}"#);
            prop_assert!(quickly(text.as_bytes()).is_some(), "{}", text);
            prop_assert_eq!(quickly(text.as_bytes()), slowly(text.as_bytes()));
        }

        #[test]
        fn a_line_with_white_space_is_indexed(first in value(), second in value(), blanks in blanks()) {
            let text = spaced(&format!(r#"{{"first":{first},"second":{second}}}"#), &blanks);
            prop_assert!(quickly(text.as_bytes()).is_some(), "{}", text);
            prop_assert_eq!(quickly(text.as_bytes()), slowly(text.as_bytes()), "{}", text);
        }

        #[test]
        fn objects_one_level_below_are_indexed_too(first in value(), second in value(), blanks in blanks()) {
            let text = spaced(&format!(r#"{{"first":{first},"second":{second}}}"#), &blanks);
            let mut validator = Validator::default();
            prop_assert!(validator.find(text.as_bytes()));
            for entry in validator.entries().to_vec() {
                let value = &text[entry.value.clone()];
                let mut children = Vec::new();
                if validator.children(text.as_bytes(), &entry.value, |child| children.push(child)) && value.starts_with('{') {
                    let found: Vec<_> = children.iter().map(|child| (&text[child.key.clone()], &text[child.value.clone()])).collect();
                    let same = slowly(value.as_bytes()).unwrap();
                    let same: Vec<_> = same.iter().map(|child| (&value[child.key.clone()], &value[child.value.clone()])).collect();
                    prop_assert_eq!(found, same);
                }
            }
        }

        #[test]
        fn keys_and_facts_are_those_of_the_slow_walk(first in value(), key in "[a-z,:{}]{0,70}", second in value(), blanks in blanks()) {
            let compact = format!(r#"{{"first":{first},"{key}":{second}}}"#);
            let text = spaced(&compact, &blanks);
            let (keys, long, ascii) = same_in_every_form(|| {
                let mut found = ObjectIndex::default();
                index_object(text.as_bytes(), &mut found).map(|()| (found.keys.bytes, found.long_scalar, found.ascii))
            }).unwrap();
            let mut validator = Validator::default();
            prop_assert!(validator.find_slowly(text.as_bytes()));
            prop_assert_eq!(keys, validator.keys().unwrap().bytes(), "{}", text);
            prop_assert_eq!(ascii, text.is_ascii());
            prop_assert_eq!(validator.find(text.as_bytes()) && validator.is_compact(), text == compact, "{}", text);
            let is_number = first.trim_start_matches('-').starts_with(|first: char| first.is_ascii_digit());
            prop_assert!(long || !(is_number && may_hold_lossy_digits(first.as_bytes())), "{}", text);
        }

        #[test]
        fn it_finds_what_the_validator_finds(
            value in value(),
            blanks in blanks(),
            edits in proptest::collection::vec((any::<proptest::sample::Index>(), 0..3u8, proptest::sample::select(b"{}[]:,\"\\0159.-+eEtfn \n\x01au".to_vec())), 1..4),
        ) {
            let mut text = spaced(&format!(r#"{{"first":{value},"second":1}}"#), &blanks).into_bytes();
            for (at, edit, byte) in edits {
                let at = at.index(text.len());
                match edit {
                    0 => text[at] = byte,
                    1 => text.insert(at, byte),
                    _ if text.len() > 1 => drop(text.remove(at)),
                    _ => {}
                }
            }
            if let Some(entries) = quickly(&text) {
                prop_assert_eq!(Some(entries), slowly(&text), "{}", String::from_utf8_lossy(&text));
            }
        }

        #[test]
        fn text_behind_an_object_changes_nothing(value in value(), rest in value(), cut in 0..3usize) {
            let text = format!(r#"{{"first":{value}}}"#);
            let whole = quickly(text.as_bytes());
            let behind = [format!(",\"a\":{rest}}}]"), format!("}},{rest}]"), "]".to_owned()];
            let found = first(format!("{text}{}", behind[cut]).as_bytes());
            prop_assert_eq!(found, whole.map(|entries| (text.len(), entries)), "{}", text);
        }

        #[test]
        fn what_is_indexed_of_random_tokens_is_json(
            text in proptest::collection::vec(proptest::sample::select(vec!["{", "}", "[", "]", ":", ",", "\"a\"", "\"\\n\"", "1", "0", "-1", "01", "1.5", "1.", "true", "x", "\"", "-", ".", "0.5", "e1", " ", "\n", "\"\\u00e9\"", "\"\\u00g9\""]), 0..14),
        ) {
            let text = format!("{{{}}}", text.concat());
            if let Some((end, _)) = first(text.as_bytes()) {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text[..end]).is_ok(), "{}", text);
            }
            if quickly(text.as_bytes()).is_some() {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
            }
        }
    }
}
