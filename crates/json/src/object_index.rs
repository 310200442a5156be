//! The properties of a line's top level, found without looking at each token.
//!
//! JSON without white space has a grammar that is nearly all local: what may stand behind a comma, a string or a bracket
//! is a matter of the next byte, and sixty-four of those questions are one word's. What is not local is the nesting: in
//! an object colons and commas take turns, in an array there are no colons. So each block is checked in whole words, and
//! only its brackets are looked at one by one, and numbers that are not plain integers.
//!
//! [`index_object`] is sure or says nothing: where it gives properties, the line is one JSON object to its last byte, with no
//! number that may be beyond the doubles and no key with an escape. All else is [`crate::validator`]'s to judge. [`first`]
//! is the same for an object with something behind it.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
pub use x86::{first, index_object};

/// Elsewhere nothing is known in this way.
#[cfg(not(target_arch = "x86_64"))]
pub fn index_object(_: &[u8], _: &mut ObjectIndex) -> Option<()> {
    None
}

/// See [`index_object`].
#[cfg(not(target_arch = "x86_64"))]
pub fn first(_: &[u8], _: &mut ObjectIndex) -> Option<usize> {
    None
}

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

/// What an outline is made of; the memory is reused.
#[derive(Default)]
pub struct ObjectIndex {
    /// The top level's properties, in order.
    pub entries: Vec<Entry>,
    /// The colons and commas of the objects one level below, in order.
    pub child_separators: Vec<Separator>,
    /// The objects and arrays around the innermost one, on the way.
    around: Vec<Expect>,
}

/// A colon or comma in an object that is itself a value of the top level.
#[derive(Clone, Copy, Debug)]
pub struct Separator {
    /// Its offset in the text.
    pub at: usize,
    /// Whether it is a colon; else it is a comma, a bracket or a brace.
    pub colon: bool,
}

/// What the innermost object or array expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// An object just opened: a key and its colon, or its end right away.
    First,
    /// A key and its colon, behind a comma.
    Key,
    /// Behind a colon: a value, then a comma or the end.
    Value,
    /// Behind an inner object or array: a comma or the end.
    Next,
    /// In an array there is nothing that the next byte doesn't say.
    Element,
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_or_si256, _mm256_set1_epi8,
        _mm256_sub_epi8,
    };

    use super::{Entry, Expect, MAX_DEPTH, ObjectIndex, Separator};
    use crate::key_escapes::KeyEscapeTracker;
    use crate::number::is_scalar_in_range;
    use crate::structural_index::x86::{available, bits, prefix_xor};
    use crate::structural_index::{BLOCK, Carry};

    /// What one block of bytes is made of, a bit for each byte.
    #[derive(Debug, PartialEq, Eq)]
    struct Masks {
        backslash: u64,
        quote: u64,
        control: u64,
        /// Opening brackets of both kinds.
        open: u64,
        close: u64,
        colon: u64,
        comma: u64,
        digit: u64,
        zero: u64,
        point: u64,
        minus: u64,
    }

    /// See the module.
    pub fn index_object(text: &[u8], found: &mut ObjectIndex) -> Option<()> {
        run::<true>(text, found).map(drop)
    }

    /// The object that the text starts with; gives where it ends. If what follows has white space, it may say nothing.
    pub fn first(text: &[u8], found: &mut ObjectIndex) -> Option<usize> {
        run::<false>(text, found)
    }

    fn run<const WHOLE: bool>(text: &[u8], found: &mut ObjectIndex) -> Option<usize> {
        found.entries.clear();
        found.child_separators.clear();
        found.around.clear();
        if !available() || text.first() != Some(&b'{') {
            return None;
        }
        let wide = is_x86_feature_detected!("avx512bw");
        let outline = Outline::<WHOLE>::new(text, found);
        // SAFETY: this processor has what they want, it was just asked.
        if wide { unsafe { outline.run_wide() } } else { unsafe { outline.run() } }
    }

    /// An outline under way, of a text that is to be `WHOLE` or of what it starts with.
    struct Outline<'a, const WHOLE: bool> {
        text: &'a [u8],
        entries: &'a mut Vec<Entry>,
        child_separators: &'a mut Vec<Separator>,
        carry: Carry,
        /// The bytes that stood at the end of the block before, a bit each: a comma or colon, an opening bracket, a
        /// closing quote, a closing bracket.
        last: [u64; 4],
        /// The objects and arrays around the innermost one.
        around: &'a mut Vec<Expect>,
        expect: Expect,
        /// Where the innermost one was opened, if nothing has closed since.
        opened: usize,
        /// Where the top level's last comma or brace is, and its last colon.
        comma: usize,
        colon: usize,
        escapes: KeyEscapeTracker,
        /// Behind the line's own closing brace; 0 before that.
        end: usize,
    }

    impl<'a, const WHOLE: bool> Outline<'a, WHOLE> {
        fn new(text: &'a [u8], found: &'a mut ObjectIndex) -> Self {
            let ObjectIndex { entries, child_separators, around } = found;
            let (carry, expect) = (Carry::default(), Expect::First);
            let (opened, comma, colon) = (0, 0, 0);
            Self {
                text,
                entries,
                child_separators,
                carry,
                last: [0; 4],
                around,
                expect,
                opened,
                comma,
                colon,
                escapes: KeyEscapeTracker::default(),
                end: 0,
            }
        }

        #[target_feature(enable = "avx512f,avx512bw,avx2,bmi1,pclmulqdq,popcnt,lzcnt")]
        fn run_wide(self) -> Option<usize> {
            self.run_with(|block| wide::masks(block))
        }

        #[target_feature(enable = "avx2,bmi1,pclmulqdq,popcnt,lzcnt")]
        fn run(self) -> Option<usize> {
            self.run_with(|block| masks(block))
        }

        #[inline(always)]
        fn run_with(mut self, masks: impl Fn(&[u8; BLOCK]) -> Masks) -> Option<usize> {
            let (blocks, rest) = self.text.as_chunks::<BLOCK>();
            let mut base = 0;
            for block in blocks {
                self.block(base, &masks(block), !0)?;
                if !WHOLE && self.end > 0 {
                    return Some(self.end);
                }
                base += BLOCK;
            }
            if !rest.is_empty() {
                let mut last = [0; BLOCK];
                last[..rest.len()].copy_from_slice(rest);
                self.block(base, &masks(&last), !0 >> (BLOCK - rest.len()))?;
            }
            (self.end > 0).then_some(self.end)
        }

        #[inline(always)]
        fn block(&mut self, base: usize, masks: &Masks, inside: u64) -> Option<()> {
            let was_in_string = self.carry.in_string;
            let escaped = self.carry.escaped(masks.backslash);
            let quote = masks.quote & !escaped;
            let other = escaped & !(masks.quote | masks.backslash) & inside;
            if other != 0 {
                self.are_escapes(base, other)?;
            }
            if quote == 0 && was_in_string != 0 {
                // The middle of a long string.
                self.escapes.inside(base, escaped);
                return (masks.control & inside == 0).then_some(());
            }
            // SAFETY: only called where this was made sure.
            let in_string = unsafe { prefix_xor(quote) } ^ was_in_string;
            self.carry.in_string = (in_string.cast_signed() >> 63).cast_unsigned();
            let (opening, closing) = (quote & in_string, quote & !in_string);
            let [open, close, colon, comma] =
                [masks.open, masks.close, masks.colon, masks.comma].map(|mask| mask & !in_string);
            let scalar = !(open | close | colon | comma | quote | in_string) & inside;
            let went_on = std::mem::replace(&mut self.carry.scalar, scalar >> 63);
            let starts = scalar & !(scalar << 1 | went_on);
            let ends = (scalar << 1 | went_on) & !scalar;

            // What may stand behind what.
            let value = opening | open | starts;
            let [separators, opens, strings, closes] = self.last;
            let wrong = ((colon | comma) << 1 | separators) & !value
                | (open << 1 | opens) & !(value | close)
                | (closing << 1 | strings) & !(comma | close | colon)
                | (close << 1 | closes | ends) & !(comma | close)
                // Sixty-four bytes of a number: too long to be looked at here.
                | masks.control & in_string
                | u64::from(scalar == !0);
            if wrong & inside != 0 {
                return None;
            }
            self.last = [(colon | comma) >> 63, open >> 63, closing >> 63, close >> 63];

            if masks.backslash | escaped != 0 || self.escapes.any() {
                self.escapes.none_in_keys(base, escaped, (opening, closing), colon, strings != 0)?;
            }

            let mut odd = odd(masks, scalar, starts, went_on);
            while odd != 0 {
                let at = odd.trailing_zeros();
                odd &= odd - 1;
                let before = starts & (!0 >> (63 - at));
                // A number that started in an earlier block was looked at there.
                if before != 0 && !is_scalar_in_range(self.text, base + 63 - before.leading_zeros() as usize) {
                    return None;
                }
            }

            // The nesting.
            // Every other one of the colons and commas, and all between it and the next.
            // SAFETY: as above.
            let turns = unsafe { prefix_xor(colon | comma) };
            let mut brackets = open | close;
            let mut left = !0u64;
            while brackets != 0 {
                let at = brackets.trailing_zeros();
                let bit = brackets & brackets.wrapping_neg();
                brackets ^= bit;
                self.separators(base, colon & left & (bit - 1), comma & left & (bit - 1), turns)?;
                left = !(bit | (bit - 1));
                self.bracket(base + at as usize, open & bit != 0)?;
                if !WHOLE && self.end > 0 {
                    return Some(());
                }
            }
            self.separators(base, colon & left, comma & left, turns)
        }

        /// Colons and commas between two brackets, or as many of them as are in a block.
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
            // They take turns: the first, third and so on are of one kind, the others of the other.
            let first = both & both.wrapping_neg();
            let odd = both & if turns & first != 0 { turns } else { !turns };
            if odd != if colon_first { colon } else { comma } {
                return None;
            }
            self.expect = if colon > comma { Expect::Value } else { Expect::Key };
            match self.around.len() {
                0 => self.top_level(base, both, colon),
                1 => self.one_below(base, both, colon),
                _ => {}
            }
            Some(())
        }

        fn top_level(&mut self, base: usize, mut both: u64, colon: u64) {
            while both != 0 {
                let at = base + both.trailing_zeros() as usize;
                let bit = both & both.wrapping_neg();
                both ^= bit;
                if colon & bit != 0 {
                    self.colon = at;
                } else {
                    self.property(at);
                }
            }
        }

        fn one_below(&mut self, base: usize, mut both: u64, colon: u64) {
            while both != 0 {
                let bit = both & both.wrapping_neg();
                self.child_separators
                    .push(Separator { at: base + both.trailing_zeros() as usize, colon: colon & bit != 0 });
                both ^= bit;
            }
        }

        /// A property of the top level has ended.
        fn property(&mut self, end: usize) {
            self.entries.push(Entry { key: self.comma + 2..self.colon - 1, value: self.colon + 1..end });
            self.comma = end;
        }

        #[inline(always)]
        fn bracket(&mut self, at: usize, open: bool) -> Option<()> {
            let object = self.text[at] & 0x20 != 0;
            if open {
                // The line's own brace.
                if at > 0 {
                    if !matches!(self.expect, Expect::Value | Expect::Element) || self.around.len() >= MAX_DEPTH {
                        return None;
                    }
                    self.around.push(self.expect);
                }
                self.opened = at;
                self.expect = if object { Expect::First } else { Expect::Element };
                // That a value or an end follows is known already.
                return (!object || matches!(self.text.get(at + 1), Some(b'"' | b'}'))).then_some(());
            }
            match self.expect {
                Expect::Element if object => return None,
                Expect::Element => {}
                _ if !object => return None,
                Expect::First if at == self.opened + 1 => {}
                Expect::Value | Expect::Next => {}
                Expect::First | Expect::Key => return None,
            }
            match self.around.pop() {
                Some(Expect::Element) => self.expect = Expect::Element,
                Some(_) => self.expect = Expect::Next,
                None => {
                    if WHOLE && at + 1 != self.text.len() {
                        return None;
                    }
                    if self.expect != Expect::First {
                        self.property(at);
                    }
                    self.end = at + 1;
                }
            }
            Some(())
        }

        /// Whether these bytes stand behind a backslash rightly.
        #[cold]
        fn are_escapes(&self, base: usize, mut escaped: u64) -> Option<()> {
            while escaped != 0 {
                let at = base + escaped.trailing_zeros() as usize;
                escaped &= escaped - 1;
                match self.text[at] {
                    b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' if self.text.get(at + 1..at + 5)?.iter().all(u8::is_ascii_hexdigit) => {}
                    _ => return None,
                }
            }
            Some(())
        }
    }

    /// What has to be looked at of the numbers and literals of a block, a bit in each: those that are no numbers of digits
    /// with a point and a sign, at most, and those that go on in the next block. `went_on` is 1 if the first one started
    /// in the block before, where it was looked at.
    #[inline(always)]
    fn odd(masks: &Masks, scalar: u64, starts: u64, went_on: u64) -> u64 {
        // What that one has here: the ones from the lowest bit on.
        let inside = scalar & !(scalar & !scalar.wrapping_add(1) & went_on.wrapping_neg());
        let [digit, point, minus] = [masks.digit, masks.point, masks.minus].map(|mask| mask & inside);
        // Digits in a row, and what stands behind them: one carry each.
        let first = digit & !(digit << 1);
        let fraction = first & point << 1;
        let whole = first & !fraction;
        let behind_fraction = digit.wrapping_add(fraction) & !digit;
        let behind_whole = digit.wrapping_add(whole) & !digit;
        starts & !(digit | minus)
            | minus & !starts
            | (point | minus) & !(digit >> 1)
            | point & !behind_whole
            | behind_whole & inside & !point
            | behind_fraction & inside
            | whole & masks.zero & digit >> 1
            | scalar & 1 << 63
    }

    /// The same with vectors of 64 bytes, which give a block's masks right away.
    mod wide {
        use std::arch::x86_64::{
            _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_loadu_si512, _mm512_or_si512, _mm512_set1_epi8,
            _mm512_sub_epi8,
        };

        use super::{BLOCK, Masks};

        #[target_feature(enable = "avx512f,avx512bw")]
        pub fn masks(block: &[u8; BLOCK]) -> Masks {
            // SAFETY: the load is of the block's 64 bytes, aligned or not.
            let block = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
            let one = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
            let equal = |byte| _mm512_cmpeq_epi8_mask(block, one(byte));
            // Brackets are braces but for one bit.
            let braces = _mm512_or_si512(block, one(0x20));
            Masks {
                backslash: equal(b'\\'),
                quote: equal(b'"'),
                control: _mm512_cmple_epu8_mask(block, one(0x1F)),
                open: _mm512_cmpeq_epi8_mask(braces, one(b'{')),
                close: _mm512_cmpeq_epi8_mask(braces, one(b'}')),
                colon: equal(b':'),
                comma: equal(b','),
                digit: _mm512_cmple_epu8_mask(_mm512_sub_epi8(block, one(b'0')), one(9)),
                zero: equal(b'0'),
                point: equal(b'.'),
                minus: equal(b'-'),
            }
        }
    }

    #[target_feature(enable = "avx2")]
    fn masks(block: &[u8; BLOCK]) -> Masks {
        // SAFETY: both loads are of 32 of the block's 64 bytes, aligned or not.
        let [low, high] = unsafe {
            [_mm256_loadu_si256(block.as_ptr().cast()), _mm256_loadu_si256(block.as_ptr().add(BLOCK / 2).cast())]
        };
        let one = |byte: u8| _mm256_set1_epi8(byte.cast_signed());
        let equal = |to: __m256i| bits(_mm256_cmpeq_epi8(low, to), _mm256_cmpeq_epi8(high, to));
        let at_most = |half, most| _mm256_cmpeq_epi8(_mm256_min_epu8(half, most), half);
        // Brackets are braces but for one bit.
        let (low_braces, high_braces) = (_mm256_or_si256(low, one(0x20)), _mm256_or_si256(high, one(0x20)));
        let bracket = |to: __m256i| bits(_mm256_cmpeq_epi8(low_braces, to), _mm256_cmpeq_epi8(high_braces, to));
        let digit = |half| at_most(_mm256_sub_epi8(half, one(b'0')), one(9));
        Masks {
            backslash: equal(one(b'\\')),
            quote: equal(one(b'"')),
            control: bits(at_most(low, one(0x1F)), at_most(high, one(0x1F))),
            open: bracket(one(b'{')),
            close: bracket(one(b'}')),
            colon: equal(one(b':')),
            comma: equal(one(b',')),
            digit: bits(digit(low), digit(high)),
            zero: equal(one(b'0')),
            point: equal(one(b'.')),
            minus: equal(one(b'-')),
        }
    }

    #[cfg(test)]
    mod tests {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn wide_or_not_the_masks_are_the_same(block in proptest::collection::vec(proptest::num::u8::ANY, BLOCK)) {
                let block = block.first_chunk().unwrap();
                if available() && is_x86_feature_detected!("avx512bw") {
                    // SAFETY: just asked.
                    unsafe { prop_assert_eq!(masks(block), wide::masks(block)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::validator::Validator;

    /// What the slower way finds, which asks this one first unless it is told not to.
    fn slowly(text: &[u8]) -> Option<Vec<Entry>> {
        let mut validator = Validator::default();
        validator.find_slowly(text).then(|| validator.entries().to_vec())
    }

    fn quickly(text: &[u8]) -> Option<Vec<Entry>> {
        let mut found = ObjectIndex::default();
        index_object(text, &mut found).map(|()| found.entries)
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(
            std::env::var("SLUICEGATE_OUTLINES").ok().map_or(3000, |cases| cases.parse().unwrap())
        ))]

        #[test]
        fn a_line_without_white_space_is_outlined(first in value(), second in value()) {
            let text = format!(r#"{{"first":{first},"second":{second}}}"#);
            if cfg!(target_arch = "x86_64") {
                prop_assert!(quickly(text.as_bytes()).is_some(), "{}", text);
            }
            prop_assert_eq!(quickly(text.as_bytes()), slowly(text.as_bytes()));
        }

        #[test]
        fn objects_one_level_below_are_outlined_too(first in value(), second in value()) {
            let text = format!(r#"{{"first":{first},"second":{second}}}"#);
            let mut validator = Validator::default();
            prop_assert!(validator.find(text.as_bytes()));
            for entry in validator.entries().to_vec() {
                let value = &text[entry.value.clone()];
                let mut children = Vec::new();
                if validator.children(&entry.value, |child| children.push(child)) && value.starts_with('{') {
                    let found: Vec<_> = children.iter().map(|child| (&text[child.key.clone()], &text[child.value.clone()])).collect();
                    let same = slowly(value.as_bytes()).unwrap();
                    let same: Vec<_> = same.iter().map(|child| (&value[child.key.clone()], &value[child.value.clone()])).collect();
                    prop_assert_eq!(found, same);
                }
            }
        }

        #[test]
        fn what_is_outlined_is_what_the_slow_way_finds(
            value in value(),
            edits in proptest::collection::vec((any::<proptest::sample::Index>(), 0..3u8, proptest::sample::select(b"{}[]:,\"\\0159.-+eEtfn \n\x01a".to_vec())), 1..4),
        ) {
            let mut text = format!(r#"{{"first":{value},"second":1}}"#).into_bytes();
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
        fn an_object_with_something_behind_it_is_outlined_as_it_is_alone(value in value(), rest in value(), cut in 0..3usize) {
            let text = format!(r#"{{"first":{value}}}"#);
            let whole = quickly(text.as_bytes());
            let mut found = ObjectIndex::default();
            let behind = [format!(",\"a\":{rest}}}]"), format!("}},{rest}]"), "]".to_owned()];
            let end = first(format!("{text}{}", behind[cut]).as_bytes(), &mut found);
            prop_assert_eq!(end, whole.as_ref().map(|_| text.len()), "{}", text);
            prop_assert_eq!(end.map(|_| found.entries), whole);
        }

        #[test]
        fn what_is_outlined_from_next_to_nothing_is_json(
            text in proptest::collection::vec(proptest::sample::select(vec!["{", "}", "[", "]", ":", ",", "\"a\"", "\"\\n\"", "1", "0", "-1", "01", "1.5", "1.", "true", "x", "\"", "-", ".", "0.5", "e1"]), 0..14),
        ) {
            let text = format!("{{{}}}", text.concat());
            if let Some(end) = first(text.as_bytes(), &mut ObjectIndex::default()) {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text[..end]).is_ok(), "{}", text);
            }
            if quickly(text.as_bytes()).is_some() {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
            }
        }
    }
}
