//! Detects JSON texts that V8 would print unchanged.
//!
//! V8 would print most lines unchanged: they have no white space between tokens, no `\u0041`, no number
//! such as `1.0`. This pass detects that without visiting each token. It makes a few checks per block,
//! and looks closer only at rare cases.
//!
//! It does not detect duplicate keys. V8 keeps only the last value of such a key. So an output that differs from the
//! line but has as many keys, or is as long, was changed by the code: deduplication would have lost a key.

use std::ops::ControlFlow;

use crate::key_escapes::KeyEscapeTracker;
use crate::number::{in_number, is_canonical};
use crate::simd::{self, Isa, Pass, Strings};
use crate::string::is_canonical_escape;

/// Returns the number of keys in a JSON text that `JSON.stringify(JSON.parse(text))` reproduces byte for byte, provided
/// that no object in it has a duplicate key. None of its keys has an escape.
///
/// `None` if the result may differ. This includes some texts whose result would be the same.
pub fn round_trips(text: &[u8]) -> Option<usize> {
    simd::run(text, || Scan::<true>::new(text))
}

/// The number of keys in a JSON text.
pub fn count_keys(text: &[u8]) -> usize {
    simd::run(text, || Scan::<false>::new(text)).unwrap_or_default()
}

/// The pass that counts the keys and, with `CHECK`, checks everything else.
#[derive(Default)]
struct Scan<'a, const CHECK: bool> {
    text: &'a [u8],
    strings: Strings,
    key_escapes: KeyEscapeTracker,
    /// 1 if the last byte of the previous block is an opening quote, a closing quote, or a digit outside strings.
    opened: u64,
    closed: u64,
    digit: u64,
    /// The colons outside strings among the last two bytes of the previous block.
    colons: u64,
    /// The number of consecutive digits at the end of the previous block, at most 16.
    run: u32,
    keys: usize,
}

impl<const CHECK: bool> Pass for Scan<'_, CHECK> {
    type Output = Option<usize>;

    #[inline(always)]
    fn block<I: Isa>(&mut self, isa: I, block: I::Block, base: usize, inside: u64) -> ControlFlow<Option<usize>> {
        match self.check(isa, block, base, inside) {
            Some(()) => ControlFlow::Continue(()),
            None => ControlFlow::Break(None),
        }
    }

    #[inline(always)]
    fn finish(self) -> Option<usize> {
        Some(self.keys)
    }
}

impl<'a, const CHECK: bool> Scan<'a, CHECK> {
    #[inline(always)]
    fn new(text: &'a [u8]) -> Self {
        Self { text, ..Self::default() }
    }

    #[inline(always)]
    fn check<I: Isa>(&mut self, isa: I, block: I::Block, base: usize, inside: u64) -> Option<()> {
        let backslash = isa.equal(block, b'\\');
        let all_quotes = isa.equal(block, b'"');
        let all_colons = isa.equal(block, b':');
        // White space and control characters.
        let blank = isa.within(block, 0, b' ');
        // Minus signs and points.
        let sign = isa.within(block, b'-', b'.');
        let all_digits = isa.within(block, b'0', b'9');
        let e = isa.equal_with(block, 0x20, b'e');
        let escaped = self.strings.escaped(backslash);
        let quote = all_quotes & !escaped;
        if CHECK && quote == 0 && self.strings.in_string() {
            // The middle of a long string: only escapes matter.
            (self.opened, self.closed, self.digit, self.colons, self.run) = (0, 0, 0, 0, 0);
            self.key_escapes.in_string(base, escaped);
            return self.check_escapes(base, escaped & !(all_quotes | backslash) & inside);
        }
        let in_string = self.strings.inside(isa, quote);
        let colon = all_colons & !in_string;
        self.keys += colon.count_ones() as usize;
        if !CHECK {
            return Some(());
        }
        let (opening, closing) = (quote & in_string, quote & !in_string);
        let [blank, sign, digit, e] = [blank, sign, all_digits, e].map(|mask| mask & !in_string);

        // A string that starts with a digit is not a key if it directly follows a colon. Other such strings may be
        // keys that look like array indices.
        let index = all_digits & (opening << 1 | self.opened) & !(colon << 2 | self.colons);
        let exponent = e & (digit << 1 | self.digit);
        // Sixteen consecutive digits may be more than a double keeps.
        let mut long = digit & digit >> 1;
        for step in [2, 4, 8] {
            long &= long >> step;
        }
        if (blank & inside | index | exponent | long) != 0 || self.run + digit.trailing_ones() >= 16 {
            return None;
        }
        if backslash | escaped != 0 || self.key_escapes.any() {
            self.check_escapes(base, escaped & !(all_quotes | backslash) & inside)?;
            self.key_escapes =
                self.key_escapes.none_in_keys(base, escaped, (opening, closing), colon, self.closed != 0)?;
        }
        if sign != 0 {
            self.check_numbers(base, sign, digit)?;
        }
        (self.opened, self.closed, self.digit) = (opening >> 63, closing >> 63, digit >> 63);
        self.colons = colon >> 62;
        self.run = if digit == !0 { 16 } else { digit.leading_ones() };
        Some(())
    }

    /// Whether V8 prints the escapes with these bytes after their backslashes.
    #[inline(always)]
    fn check_escapes(&self, base: usize, mut escaped: u64) -> Option<()> {
        while escaped != 0 {
            if !is_canonical_escape(self.text[base + escaped.trailing_zeros() as usize]) {
                return None;
            }
            escaped &= escaped - 1;
        }
        Some(())
    }

    /// Whether V8 prints the numbers with these minus signs and points unchanged.
    #[inline(always)]
    fn check_numbers(&self, base: usize, mut sign: u64, digit: u64) -> Option<()> {
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

    /// Whether the byte at offset `at` of the block is the point of a number such as 12.34 that is entirely in this
    /// block and has at most 15 digits, with neither the first nor the last digit zero.
    #[inline(always)]
    fn is_price(&self, base: usize, at: u32, digit: u64) -> bool {
        let before = (digit << (63 - at) << 1).leading_ones();
        let behind = (digit >> at >> 1).trailing_ones();
        // There is another byte before the first digit and after the last one.
        let is_whole = before < at && at + behind < 63;
        let is = |at: u32, byte: u8| self.text[base + at as usize] == byte;
        is_whole
            && before > 0
            && behind > 0
            && before + behind <= 15
            && is(at, b'.')
            && !is(at - before, b'0')
            && !is(at + behind, b'0')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::roundtrip::{RoundTripLoss, as_lists, survey};
    use crate::simd::tests::same_in_every_form;
    use crate::token::{Token, Tokens};
    use crate::validator::Validator;

    /// JSON of all kinds, unusual values as often as usual ones.
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
    fn a_price_is_recognized_anywhere_in_a_block() {
        for pad in (0..130).step_by(if cfg!(miri) { 13 } else { 1 }) {
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
                assert_eq!(same_in_every_form(|| round_trips(text.as_bytes())), fine.then_some(2), "{text}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_text_that_round_trips_loses_nothing(first in value(), second in value()) {
            let text = format!(r#"{{"first":{first},"second":{second}}}"#);
            let colons = Tokens::new(text.as_bytes()).filter(|token| matches!(token, Token::Key(_))).count();
            prop_assert_eq!(same_in_every_form(|| count_keys(text.as_bytes())), colons);
            if let Some(keys) = same_in_every_form(|| round_trips(text.as_bytes())) {
                prop_assert_eq!(keys, colons);
                let survey = survey(text.as_bytes(), &mut Validator::default());
                prop_assert_eq!(survey.losses, RoundTripLoss::default(), "{}", text);
                prop_assert!(as_lists(text.as_bytes()).is_none(), "{}", text);
            }
        }
    }

    #[test]
    fn ordinary_events_round_trip() {
        let long = "x".repeat(60);
        for clean in [
            r#"{"type":"track","userId":"0123456789","value":-12.5,"n":[0,1,123456789012345],"at":"2024-05-13T09:30:00.000Z"}"#,
            r#"{"a":"é \"quoted\" \\ \n","b":true,"c":{"d":null,"e":false,"f":[],"g":{}},"h":7}"#,
            &format!(r#"{{"{long}":"1","a":"{long}\n{long}","b":"{long}\\"}}"#),
        ] {
            assert!(same_in_every_form(|| round_trips(clean.as_bytes())).is_some(), "{clean}");
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
            assert!(same_in_every_form(|| round_trips(odd.as_bytes())).is_none(), "{odd}");
        }
    }
}
