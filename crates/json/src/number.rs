//! Numbers and literals: their ends, whether V8 prints a number unchanged, and which numbers a double cannot represent.

use std::io::Write;
use std::ops::ControlFlow;

use crate::simd::{self, Isa, Pass};
use crate::string::is_space;

/// Whether a byte can be part of a number.
pub fn in_number(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Returns the end of the number that starts at `start`.
pub fn number_end(text: &[u8], start: usize) -> usize {
    let rest = &text[start..];
    start + rest.iter().position(|byte| !in_number(byte)).unwrap_or(rest.len())
}

/// The double that a number is read as.
pub fn value_of(text: &[u8]) -> f64 {
    if text.len() < 20 && text.iter().all(u8::is_ascii_digit) {
        return text.iter().fold(0, |all, digit| all * 10 + u64::from(digit - b'0')) as f64;
    }
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// How a number is written, as determined by [`scan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberForm {
    /// A short whole number without a sign. V8 prints it unchanged.
    Plain,
    /// Any other number without an exponent.
    Other,
    /// A number with an exponent.
    Exponent,
}

impl NumberForm {
    /// Whether a number of this form and length may be beyond the range of doubles. A number without an exponent
    /// needs more than 300 digits for that.
    #[inline]
    pub fn may_be_infinite(self, len: usize) -> bool {
        self == Self::Exponent || len > 300
    }
}

/// Reads the number that starts at `start` by the grammar, and returns its end and its form:
/// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`. `None` if there is no number. The caller checks what follows it.
#[inline]
pub fn scan(text: &[u8], start: usize) -> Option<(usize, NumberForm)> {
    let digits = |mut at: usize| {
        let start = at;
        while text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > start).then_some(at)
    };
    let mut at = start + usize::from(text.get(start) == Some(&b'-'));
    at = if text.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    let mut form = if at - start < 15 && text[start] != b'-' { NumberForm::Plain } else { NumberForm::Other };
    if text.get(at) == Some(&b'.') {
        form = NumberForm::Other;
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        form = NumberForm::Exponent;
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = digits(at)?;
    }
    Some((at, form))
}

/// The end of `word` if it is at `at` in the text.
#[inline]
pub fn literal_end(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// The end of the number or literal that starts at `start`. The caller checks what follows it.
#[inline]
pub fn scalar_end(text: &[u8], start: usize) -> Option<usize> {
    scan_scalar(text, start).map(|(end, _)| end)
}

/// Whether a number or literal starts at `start`, is followed by a comma, a closing bracket or, if the text is
/// `SPACED`, white space, and is certainly within the range of doubles.
#[inline]
pub fn is_scalar_in_range<const SPACED: bool>(text: &[u8], start: usize) -> bool {
    scan_scalar(text, start).is_some_and(|(end, form)| {
        let ends = text.get(end).is_some_and(|byte| matches!(byte, b',' | b'}' | b']') || SPACED && is_space(byte));
        ends && !form.may_be_infinite(end - start)
    })
}

#[inline]
fn scan_scalar(text: &[u8], start: usize) -> Option<(usize, NumberForm)> {
    // One arm for each word: a comparison of known length needs no call.
    let end = match text.get(start)? {
        b't' => literal_end(text, start, b"true")?,
        b'f' => literal_end(text, start, b"false")?,
        b'n' => literal_end(text, start, b"null")?,
        _ => return scan(text, start),
    };
    Some((end, NumberForm::Plain))
}

/// Whether V8 certainly prints this number unchanged. A false negative only costs time.
pub fn is_canonical(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, fraction) = match digits.iter().position(|b| *b == b'.') {
        Some(dot) => (&digits[..dot], Some(&digits[dot + 1..])),
        None => (digits, None),
    };
    if !whole.iter().all(u8::is_ascii_digit) {
        return false;
    }
    match fraction {
        None if whole == b"0" => digits.len() == text.len(),
        None if whole.len() <= 15 => true,
        // 2^53 has 16 digits.
        None => {
            whole.len() == 16 && whole < b"9007199254740992".as_slice() || may_be_shortest(whole) && is_shortest(text)
        }
        Some(fraction) => {
            let zeros = fraction.iter().take_while(|b| **b == b'0').count();
            fraction.iter().all(u8::is_ascii_digit)
                && fraction.last().is_some_and(|last| *last != b'0')
                && (whole != b"0" || zeros < 6)
                && (whole.len() + fraction.len() <= 15 || is_shortest(text))
        }
    }
}

/// Whether a whole number has at most 17 digits before its trailing zeros: that many are enough
/// to tell any two doubles apart.
fn may_be_shortest(digits: &[u8]) -> bool {
    digits.iter().rposition(|digit| *digit != b'0').is_some_and(|last| last < 17)
}

/// Whether a number without an exponent is the shortest text for its double. Rust prints the same digits as V8, and V8
/// uses no exponent within these bounds.
fn is_shortest(text: &[u8]) -> bool {
    let value = value_of(text);
    let mut short = [0; 32];
    let mut rest = &mut short[..];
    (1e-6..1e21).contains(&value.abs())
        && text.len() <= rest.len()
        && write!(rest, "{value}").is_ok()
        && short.starts_with(text)
        && short.get(text.len()).is_none_or(|after| *after == 0)
}

/// Whether JavaScript loses value of a number: the text that it prints for the double is another number. Spelling
/// doesn't matter: `1.000000000000000000` loses nothing, `9007199254740993` and `1e400` do.
pub fn is_lossy(text: &[u8]) -> bool {
    let exponent = memchr::memchr2(b'e', b'E', text).is_some();
    if !exponent && significant_digits(text) <= 15 {
        return false;
    }
    let value = value_of(text);
    if value.is_infinite() {
        return true;
    }
    // The shortest digits that parse to the same double, which V8 prints too.
    let mut short = [0; 40];
    let mut rest = &mut short[..];
    let written = write!(rest, "{value:e}").is_ok();
    let left = rest.len();
    debug_assert!(written, "a double has at most 17 digits");
    let short = &short[..short.len() - left];
    !same_decimal(text, short) || has_twin(short, value)
}

/// Whether the double is exactly halfway between two numbers with this many digits. Rust and V8 may print different
/// ones of two numbers that are equally near.
fn has_twin(short: &[u8], value: f64) -> bool {
    let digits =
        |text: &[u8]| text.iter().take_while(|byte| **byte != b'e').filter(|byte| byte.is_ascii_digit()).count();
    let count = digits(short);
    if count < 16 {
        return false;
    }
    // All its digits: a double that is halfway between two such numbers has only a few more.
    let mut exact = [0; 64];
    let mut rest = &mut exact[..];
    if write!(rest, "{value:.40e}").is_err() {
        return true;
    }
    let more = exact.iter().take_while(|byte| **byte != b'e').filter(|byte| byte.is_ascii_digit()).skip(count);
    let mut more = more.copied();
    more.next() == Some(b'5') && more.all(|byte| byte == b'0')
}

/// Whether JavaScript loses value of a number, or whether several whole numbers have its double.
pub fn is_unsafe(text: &[u8]) -> bool {
    value_of(text).abs() >= FIRST_UNSAFE || is_lossy(text)
}

/// Whether a number is an integer written without an exponent of which JavaScript loses value.
pub fn is_lossy_integer(text: &[u8]) -> bool {
    let (whole, fraction) = match memchr::memchr(b'.', text) {
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &b""[..]),
    };
    let digits = |part: &[u8], is: fn(&u8) -> bool| part.iter().all(is);
    digits(whole.strip_prefix(b"-").unwrap_or(whole), u8::is_ascii_digit)
        && digits(fraction, |digit| *digit == b'0')
        && is_lossy(text)
}

/// From here on, the distance between doubles exceeds 1.
pub const FIRST_UNSAFE: f64 = 9_007_199_254_740_992.0;

/// The number of digits without leading zeros.
fn significant_digits(text: &[u8]) -> usize {
    let mantissa = text.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or(text);
    mantissa.iter().filter(|byte| byte.is_ascii_digit()).skip_while(|byte| **byte == b'0').count()
}

/// Whether two JSON numbers have exactly the same value.
pub fn same_decimal(one: &[u8], other: &[u8]) -> bool {
    Decimal::of(one) == Decimal::of(other)
}

/// A number without insignificant zeros. Zero has no sign, as when JavaScript prints it.
#[derive(PartialEq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    /// The power of ten of the last digit.
    exponent: i64,
}

impl Decimal {
    fn of(text: &[u8]) -> Self {
        let (mantissa, exponent) = match memchr::memchr2(b'e', b'E', text) {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, &b"0"[..]),
        };
        let exponent = std::str::from_utf8(exponent).ok().and_then(|text| text.parse::<i64>().ok());
        // An exponent that does not fit differs from all others.
        let mut exponent = exponent.unwrap_or(i64::MAX / 2);
        let point = mantissa.iter().position(|byte| *byte == b'.');
        exponent -= point.map_or(0, |point| (mantissa.len() - point - 1) as i64);
        let all = mantissa.iter().copied().filter(u8::is_ascii_digit);
        let mut digits: Vec<u8> = all.skip_while(|digit| *digit == b'0').collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent += 1;
        }
        let zero = digits.is_empty();
        Self { negative: !zero && text.first() == Some(&b'-'), digits, exponent: if zero { 0 } else { exponent } }
    }
}

/// Whether a JSON text may contain a number of which JavaScript loses value: one with too many digits, or with an
/// exponent. A string may be mistaken for one.
pub fn may_hold_lossy(text: &[u8]) -> bool {
    may_hold_lossy_digits(text) || may_hold_lossy_exponent(text)
}

/// A number without an exponent needs at least this many digits to lose value.
pub(crate) const DIGITS: u32 = 16;

/// Does the same, for numbers without an exponent only.
pub fn may_hold_lossy_digits(text: &[u8]) -> bool {
    simd::run(text, LongRun::default) && holds_lossy_digits(text)
}

/// The pass that finds [`DIGITS`] consecutive digits, points and slashes. Few lines have that many.
#[derive(Default)]
struct LongRun {
    /// The number of consecutive ones at the end of the previous block.
    run: u32,
}

impl Pass for LongRun {
    type Output = bool;

    #[inline(always)]
    fn block<I: Isa>(&mut self, isa: I, block: I::Block, _base: usize, _inside: u64) -> ControlFlow<bool> {
        let digits = isa.within(block, b'.', b'9');
        let mut long = digits & digits >> 1;
        for step in [2, 4, 8] {
            long &= long >> step;
        }
        if long != 0 || self.run + digits.trailing_ones() >= DIGITS {
            return ControlFlow::Break(true);
        }
        self.run = digits.leading_ones();
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn finish(self) -> bool {
        false
    }
}

/// Does the same for a text that may have that many consecutive digits.
pub(crate) fn holds_lossy_digits(text: &[u8]) -> bool {
    const DIGITS: usize = self::DIGITS as usize;
    let in_run = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let mut at = DIGITS - 1;
    while let Some(byte) = text.get(at) {
        if !in_run(byte) {
            at += DIGITS;
            continue;
        }
        let start = at - text[..at].iter().rev().take_while(|byte| in_run(byte)).count();
        let end = at + text[at..].iter().take_while(|byte| in_run(byte)).count();
        let sign = usize::from(start > 0 && text[start - 1] == b'-');
        let before = text[..start - sign].last();
        if end - start >= DIGITS && before.is_none_or(may_come_before) && is_lossy(&text[start..end]) {
            return true;
        }
        at = end + DIGITS;
    }
    false
}

fn may_hold_lossy_exponent(text: &[u8]) -> bool {
    memchr::memchr2_iter(b'e', b'E', text).any(|at| {
        let in_mantissa = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        let digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
        if at == 0 || !digit(at - 1) {
            return false;
        }
        let start = at - text[..at].iter().rev().take_while(in_mantissa).count();
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let digits = text[at + 1 + sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        start > 0 && may_come_before(&text[start - 1]) && digits > 0 && is_lossy(&text[start..at + 1 + sign + digits])
    })
}

/// Whether a byte may come directly before a number.
fn may_come_before(byte: &u8) -> bool {
    matches!(byte, b':' | b',' | b'[' | b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether the rest of a number, from `stop` to `end`, consists of zeros after its point.
pub fn only_zeros(text: &[u8], stop: usize, end: usize) -> bool {
    let zeros = match text[stop..end] {
        [b'.', ref zeros @ ..] => zeros,
        [b'0', ref zeros @ ..] => {
            if text[..stop].iter().rev().find(|byte| !byte.is_ascii_digit()) != Some(&b'.') {
                return false;
            }
            zeros
        }
        _ => return false,
    };
    zeros.iter().all(|digit| *digit == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::tests::same_in_every_form;

    #[test]
    fn of_two_numbers_that_are_equally_near_both_may_be_lost() {
        assert!(is_lossy(b"-954703764754993.3") && is_lossy(b"954703764754993.2") && is_lossy(b"-9547037647549933E-1"));
        assert!(!is_lossy(b"0.1234567890123456") && !is_lossy(b"1234567890123456"));
    }

    #[test]
    fn value_is_lost_not_spelling() {
        for lossy in [
            "9007199254740993",
            "-9007199254740993",
            "12345678901234567890",
            "1e400",
            "-1E400",
            "1e-400",
            "0.1000000000000000055",
            "1.00000000000000000001",
            "9007199254740993e0",
            "12345678901234567168",
        ] {
            assert!(is_lossy(lossy.as_bytes()), "{lossy}");
        }
        for exact in [
            "1.000000000000000000",
            "9007199254740992",
            "9007199254740992.0",
            "12345678901234567000",
            "100000000000000000000000",
            "0.30000000000000004",
            "1e5",
            "-0",
            "0e999",
            "5e-324",
            "1E+2",
            "0.10",
        ] {
            assert!(!is_lossy(exact.as_bytes()), "{exact}");
        }
    }

    #[test]
    fn numbers_that_lose_value_are_found_in_a_line() {
        let many = format!(r#"{{"a":"e","b":{}}}"#, "9".repeat(400));
        for pad in 0..40 {
            for number in ["9007199254740993", "-1.00000000000000000001", "1e400", "-1E400", "0.1e310", "1.5e+309"] {
                for line in
                    [format!(r#"{{"{}":{number}}}"#, "p".repeat(pad)), format!(r#"["{}", {number}]"#, "p".repeat(pad))]
                {
                    assert!(may_hold_lossy(line.as_bytes()), "{line}");
                }
            }
        }
        assert!(may_hold_lossy(many.as_bytes()));
        for line in [
            r#"{"a":1e300}"#,
            r#"{"event":"seen"}"#,
            r#"{"a":"1e400"}"#,
            r#"{"id":"881e162f"}"#,
            r#"{"id":"9007199254740993","n":123456789012345,"at":"2024-05-13T09:30:00.000000000000Z"}"#,
            r#"{"a":1.000000000000000000,"b":9007199254740992}"#,
        ] {
            assert!(!may_hold_lossy(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn whole_numbers_are_canonical_as_far_as_doubles_tell_them_apart() {
        for canonical in ["9007199254740991", "9007199254740992", "12345678901234567000", "123456789012345680000"] {
            assert!(is_canonical(canonical.as_bytes()), "{canonical}");
        }
        for odd in ["9007199254740993", "12345678901234567", "123456789012345678", "12345678901234567168"] {
            assert!(!is_canonical(odd.as_bytes()), "{odd}");
        }
    }

    #[test]
    fn zeros_are_only_zeros_behind_a_point() {
        for (original, output, only) in [
            ("3.0", "3", true),
            ("12.500", "12.5", true),
            ("0.0", "0", true),
            ("30", "3", false),
            ("1.5e10", "1.5e1", false),
            ("1e10", "1e1", false),
            ("3.01", "3", false),
            ("3.0e1", "3", false),
        ] {
            assert_eq!(only_zeros(original.as_bytes(), output.len(), original.len()), only, "{original} {output}");
        }
    }

    #[test]
    fn the_look_at_blocks_misses_no_run_wherever_it_stands() {
        for pad in (0..140).step_by(if cfg!(miri) { 9 } else { 1 }) {
            for number in
                ["9007199254740993", "0.30000000000000004", "12345678901234567890.5", "900719925474099", "1.5"]
            {
                let text = format!(r#"{{"{}":{number}}}"#, "p".repeat(pad));
                let wanted = holds_lossy_digits(text.as_bytes());
                assert_eq!(same_in_every_form(|| may_hold_lossy_digits(text.as_bytes())), wanted, "{text}");
            }
        }
    }
}
