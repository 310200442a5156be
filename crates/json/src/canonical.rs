//! Whether there is anything about a line that has to be looked at: with all eyes on what is rare.
//!
//! Most lines hold nothing that V8 would print otherwise than it stands there: no white space between tokens, no
//! `\u0041`, no number such as `1.0`. To say so takes no walk from token to token, only a few questions to each
//! sixty-four bytes, most of which are about all of them at once.
//!
//! Only keys that occur twice in one object are not seen. Of these V8 prints one, with the last one's value: so a text
//! that has as many keys as the line, or is as long, is not what V8 makes of the line, if it is not the line.

/// How many keys a JSON text has of which `JSON.stringify(JSON.parse(text))` gives each byte back, provided that no object
/// in it has the same key twice; none of its keys is written with an escape. Nothing is known of other texts, nor of some
/// of these.
pub fn round_trips(text: &[u8]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    return x86::scan::<true>(text);
    #[cfg(not(target_arch = "x86_64"))]
    return None;
}

/// How many keys a JSON text has, if that is quickly known.
pub fn keys(text: &[u8]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    return x86::scan::<false>(text);
    #[cfg(not(target_arch = "x86_64"))]
    return None;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_or_si256, _mm256_set1_epi8,
        _mm256_sub_epi8, _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_loadu_si512, _mm512_or_si512,
        _mm512_set1_epi8, _mm512_sub_epi8,
    };

    use crate::key_escapes::KeyEscapeTracker;
    use crate::number::is_canonical;
    use crate::structural_index::x86::{available, bits, prefix_xor};
    use crate::structural_index::{BLOCK, Carry};

    /// What one block of bytes is made of, a bit for each byte.
    #[derive(Debug, PartialEq, Eq)]
    struct Masks {
        backslash: u64,
        quote: u64,
        colon: u64,
        /// White space and control characters.
        blank: u64,
        /// Minus signs and points.
        sign: u64,
        digit: u64,
        /// The letter E, large or small.
        e: u64,
    }

    #[derive(Default)]
    struct Glance<'a> {
        text: &'a [u8],
        carry: Carry,
        escapes: KeyEscapeTracker,
        /// 1 if the byte before this block was an opening quote, a closing one, or a digit outside of strings.
        opened: u64,
        closed: u64,
        digit: u64,
        /// The last two bytes that were colons outside of strings.
        colons: u64,
        /// How many digits in a row stand at the end of the last block.
        run: u32,
        keys: usize,
    }

    /// Counts the keys, and if it is to `LOOK` at them, looks at all else on the way.
    pub fn scan<const LOOK: bool>(text: &[u8]) -> Option<usize> {
        if !available() {
            return None;
        }
        let glance = Glance { text, ..Glance::default() };
        let wide = is_x86_feature_detected!("avx512bw");
        // SAFETY: this processor has what they want, it was just asked.
        if wide { unsafe { glance.wide::<LOOK>() } } else { unsafe { glance.narrow::<LOOK>() } }
    }

    impl Glance<'_> {
        #[target_feature(enable = "avx512f,avx512bw,avx2,bmi1,pclmulqdq,popcnt,lzcnt")]
        fn wide<const LOOK: bool>(self) -> Option<usize> {
            self.run_with::<LOOK>(|block| wide_masks(block))
        }

        #[target_feature(enable = "avx2,bmi1,pclmulqdq,popcnt,lzcnt")]
        fn narrow<const LOOK: bool>(self) -> Option<usize> {
            self.run_with::<LOOK>(|block| masks(block))
        }

        #[inline(always)]
        fn run_with<const LOOK: bool>(mut self, masks: impl Fn(&[u8; BLOCK]) -> Masks) -> Option<usize> {
            let (blocks, rest) = self.text.as_chunks::<BLOCK>();
            let mut base = 0;
            for block in blocks {
                self.block::<LOOK>(base, &masks(block), !0)?;
                base += BLOCK;
            }
            if !rest.is_empty() {
                let mut last = [0; BLOCK];
                last[..rest.len()].copy_from_slice(rest);
                self.block::<LOOK>(base, &masks(&last), !0 >> (BLOCK - rest.len()))?;
            }
            Some(self.keys)
        }

        #[inline(always)]
        fn block<const LOOK: bool>(&mut self, base: usize, masks: &Masks, inside: u64) -> Option<()> {
            let escaped = self.carry.escaped(masks.backslash);
            let quote = masks.quote & !escaped;
            // SAFETY: only called where this was made sure.
            let in_string = unsafe { prefix_xor(quote) } ^ self.carry.in_string;
            self.carry.in_string = (in_string.cast_signed() >> 63).cast_unsigned();
            self.keys += (masks.colon & !in_string).count_ones() as usize;
            if !LOOK {
                return Some(());
            }
            let (opening, closing) = (quote & in_string, quote & !in_string);
            let [colon, blank, sign, digit, e] =
                [masks.colon, masks.blank, masks.sign, masks.digit, masks.e].map(|mask| mask & !in_string);

            // Of strings that start with a digit, only values stand behind a colon.
            let index = masks.digit & (opening << 1 | self.opened) & !(colon << 2 | self.colons);
            let exponent = e & (digit << 1 | self.digit);
            let mut long = digit & digit >> 1;
            for step in [2, 4, 8] {
                long &= long >> step;
            }
            // Sixteen digits may be more than a double keeps.
            if (blank & inside | index | exponent | long) != 0 || self.run + digit.trailing_ones() >= 16 {
                return None;
            }
            if masks.backslash | escaped != 0 || self.escapes.any() {
                let mut other = escaped & !(masks.quote | masks.backslash) & inside;
                while other != 0 {
                    // V8 writes these as it reads them, and no others.
                    let kind = self.text[base + other.trailing_zeros() as usize];
                    if !matches!(kind, b'b' | b'f' | b'n' | b'r' | b't') {
                        return None;
                    }
                    other &= other - 1;
                }
                self.escapes.none_in_keys(base, escaped, (opening, closing), colon, self.closed != 0)?;
            }
            if sign != 0 {
                self.numbers(base, sign, digit)?;
            }
            (self.opened, self.closed, self.digit) = (opening >> 63, closing >> 63, digit >> 63);
            self.colons = colon >> 62;
            self.run = if digit == !0 { 16 } else { digit.leading_ones() };
            Some(())
        }

        /// Whether the numbers with these minus signs and points are what V8 prints.
        #[inline(always)]
        fn numbers(&self, base: usize, mut sign: u64, digit: u64) -> Option<()> {
            let in_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
            while sign != 0 {
                let at = sign.trailing_zeros();
                sign &= sign - 1;
                if self.is_price(base, at, digit) {
                    continue;
                }
                let at = base + at as usize;
                let (before, behind) = self.text.split_at(at);
                let start = at - before.iter().rev().take_while(|byte| in_number(byte)).count();
                let end = at + behind.iter().take_while(|byte| in_number(byte)).count();
                if !is_canonical(&self.text[start..end]) {
                    return None;
                }
            }
            Some(())
        }

        /// Whether what is `at` this place of the block is the point of a number such as 12.34, whole in this block: few
        /// digits, of which neither the first nor the last is a zero.
        #[inline(always)]
        fn is_price(&self, base: usize, at: u32, digit: u64) -> bool {
            let before = (digit << (63 - at) << 1).leading_ones();
            let behind = (digit >> at >> 1).trailing_ones();
            // Before the first digit, and behind the last one, there is something that is none.
            let whole = before < at && at + behind < 63;
            let is = |at: u32, byte: u8| self.text[base + at as usize] == byte;
            whole
                && before > 0
                && behind > 0
                && before + behind <= 15
                && is(at, b'.')
                && !is(at - before, b'0')
                && !is(at + behind, b'0')
        }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    fn wide_masks(block: &[u8; BLOCK]) -> Masks {
        // SAFETY: the load is of the block's 64 bytes, aligned or not.
        let block = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        let one = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
        let equal = |byte| _mm512_cmpeq_epi8_mask(block, one(byte));
        let among = |first, more| _mm512_cmple_epu8_mask(_mm512_sub_epi8(block, one(first)), one(more));
        Masks {
            backslash: equal(b'\\'),
            quote: equal(b'"'),
            colon: equal(b':'),
            blank: among(0, b' '),
            sign: among(b'-', 1),
            digit: among(b'0', 9),
            e: _mm512_cmpeq_epi8_mask(_mm512_or_si512(block, one(0x20)), one(b'e')),
        }
    }

    #[target_feature(enable = "avx2")]
    fn masks(block: &[u8; BLOCK]) -> Masks {
        // SAFETY: both loads are of 32 of the block's 64 bytes, aligned or not.
        let [low, high] = unsafe {
            [_mm256_loadu_si256(block.as_ptr().cast()), _mm256_loadu_si256(block.as_ptr().add(BLOCK / 2).cast())]
        };
        let one = |byte: u8| _mm256_set1_epi8(byte.cast_signed());
        let both = |is: &dyn Fn(__m256i) -> __m256i| bits(is(low), is(high));
        let equal = |byte: u8| both(&|half| _mm256_cmpeq_epi8(half, one(byte)));
        let among = |first: u8, more: u8| {
            both(&|half| {
                let from = _mm256_sub_epi8(half, one(first));
                _mm256_cmpeq_epi8(_mm256_min_epu8(from, one(more)), from)
            })
        };
        Masks {
            backslash: equal(b'\\'),
            quote: equal(b'"'),
            colon: equal(b':'),
            blank: among(0, b' '),
            sign: among(b'-', 1),
            digit: among(b'0', 9),
            e: both(&|half| _mm256_cmpeq_epi8(_mm256_or_si256(half, one(0x20)), one(b'e'))),
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
                    unsafe { prop_assert_eq!(masks(block), wide_masks(block)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::roundtrip::{RoundTripLoss, as_lists, survey};
    use crate::token::{Token, Tokens};
    use crate::validator::Validator;

    /// Whatever there is in JSON, the odd things as often as the ordinary ones.
    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,17})?",
            "[1-9][0-9]{12,18}",
            "[1-9](e|E|e-|E\\+)[0-9]{1,3}",
            r#""([a-z ,:{}\[\]é日]|\\["\\/bfnrt]|\\u00[0-9a-fA-F]{2}){0,40}""#,
            r#""[0-9a-z]{0,70}""#,
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let key = r#""([a-z,:]|[0-9]|\\n|\\"){0,5}""#;
            let blank = prop_oneof![30 => Just(""), 1 => Just(" "), 1 => Just("\n")];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(|values| format!("[{}]", values.join(","))),
                (proptest::collection::vec((key, inner), 0..6), blank).prop_map(|(pairs, blank)| {
                    let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}:{blank}{value}")).collect();
                    format!("{{{}{blank}}}", pairs.join(","))
                }),
            ]
        })
    }

    #[test]
    fn a_price_is_what_it_is_wherever_it_lies_in_a_block() {
        for pad in 0..130 {
            for (number, fine) in [
                ("12.5", true),
                ("-12.5", true),
                ("1.05", true),
                ("10.25", true),
                ("0.5", true),
                ("12.50", false),
                ("1.0", false),
                ("0.0000001", false),
                ("12345678.12345678901", false),
            ] {
                let text = format!(r#"{{"a":"{}","b":{number}}}"#, "x".repeat(pad));
                let expected = (cfg!(target_arch = "x86_64") && fine).then_some(2);
                assert_eq!(round_trips(text.as_bytes()), expected, "{text}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_is_clean_loses_nothing(first in value(), second in value()) {
            let text = format!(r#"{{"first":{first},"second":{second}}}"#);
            let colons = Tokens::new(text.as_bytes()).filter(|token| matches!(token, Token::Key(_))).count();
            prop_assert!(keys(text.as_bytes()).is_none_or(|keys| keys == colons));
            if let Some(keys) = round_trips(text.as_bytes()) {
                prop_assert_eq!(keys, colons);
                let survey = survey(text.as_bytes(), &mut Validator::default());
                prop_assert_eq!(survey.losses, RoundTripLoss::default(), "{}", text);
                prop_assert!(as_lists(text.as_bytes()).is_none(), "{}", text);
            }
        }
    }

    #[test]
    fn ordinary_events_are_clean() {
        if !cfg!(target_arch = "x86_64") {
            return;
        }
        let long = "x".repeat(60);
        for clean in [
            r#"{"type":"track","userId":"0123456789","value":-12.5,"n":[0,1,123456789012345],"at":"2024-05-13T09:30:00.000Z"}"#,
            r#"{"a":"é \"quoted\" \\ \n","b":true,"c":{"d":null,"e":false,"f":[],"g":{}},"h":7}"#,
            &format!(r#"{{"{long}":"1","a":"{long}\n{long}","b":"{long}\\"}}"#),
        ] {
            assert!(super::round_trips(clean.as_bytes()).is_some(), "{clean}");
        }
        for odd in [
            r#"{"a": 1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":-0}"#,
            r#"{"a":1e3}"#,
            r#"{"a":9007199254740993}"#,
            r#"{"1":1}"#,
            r#"{"a":"\u0041"}"#,
            r#"{"a":"\/"}"#,
            r#"{"a\n":1}"#,
            &format!(r#"{{"{long}\n{long}":1}}"#),
            &format!(r#"{{"{}\n":1}}"#, &long[..59]),
            &format!(r#"{{"{}\n":1}}"#, &long[..60]),
            &format!(r#"{{"{}":1,"1":2}}"#, &long[..51]),
            &format!(r#"{{"{}":1,"1":2}}"#, &long[..52]),
            &format!(r#"{{"{}":9007199254740993}}"#, &long[..52]),
            &format!(r#"{{"{}":1e3}}"#, &long[..57]),
        ] {
            assert!(super::round_trips(odd.as_bytes()).is_none(), "{odd}");
        }
    }
}
