//! Numbers and literals: where they end, whether V8 prints a number as it is written, and which numbers a double does not hold.

use std::io::Write;

/// Whether a byte can be one of a number.
pub fn in_number(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Where the number ends that starts there.
pub fn number_end(text: &[u8], start: usize) -> usize {
    let rest = &text[start..];
    start + rest.iter().position(|byte| !in_number(byte)).unwrap_or(rest.len())
}

/// The double that a number stands for.
pub fn value_of(text: &[u8]) -> f64 {
    if text.len() < 20 && text.iter().all(u8::is_ascii_digit) {
        return text.iter().fold(0, |all, digit| all * 10 + u64::from(digit - b'0')) as f64;
    }
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// How a number is written, as [`scan`] tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberForm {
    /// A short whole number without a sign: V8 prints it as it stands.
    Plain,
    /// Any other number without an exponent.
    Other,
    /// A number with an exponent.
    Exponent,
}

impl NumberForm {
    /// Whether a number of this form and length may be beyond the range of doubles. Without an exponent it needs more
    /// than 300 digits for that.
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

/// The end of `word`, if the text has it at `at`.
#[inline]
pub fn literal_end(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// The end of the number or literal that starts at `start`. The caller checks what follows it.
#[inline]
pub fn scalar_end(text: &[u8], start: usize) -> Option<usize> {
    scan_scalar(text, start).map(|(end, _)| end)
}

/// Whether a number or literal starts at `start`, is followed by a comma or a closing bracket, and is within the range of
/// doubles for certain.
#[inline]
pub fn is_scalar_in_range(text: &[u8], start: usize) -> bool {
    scan_scalar(text, start).is_some_and(|(end, form)| {
        !form.may_be_infinite(end - start) && matches!(text.get(end), Some(b',' | b'}' | b']'))
    })
}

#[inline]
fn scan_scalar(text: &[u8], start: usize) -> Option<(usize, NumberForm)> {
    let word: &[u8] = match text.get(start)? {
        b't' => b"true",
        b'f' => b"false",
        b'n' => b"null",
        _ => return scan(text, start),
    };
    Some((literal_end(text, start, word)?, NumberForm::Plain))
}

/// Whether V8 certainly prints this number as it stands. Saying no too often only costs time.
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

/// Whether a whole number has no more digits than it takes to tell any two doubles apart, but for zeros at its end.
fn may_be_shortest(digits: &[u8]) -> bool {
    digits.iter().rposition(|digit| *digit != b'0').is_some_and(|last| last < 17)
}

/// Whether a number without an exponent is the shortest text for its double. Rust prints the same digits as V8, and within
/// these bounds V8 has no exponent either.
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

/// Whether the text holds more digits than every double keeps.
pub fn is_long(text: &[u8]) -> bool {
    let mantissa = text.split(|b| matches!(b, b'e' | b'E')).next().unwrap_or(text);
    let digits = mantissa.iter().filter(|b| b.is_ascii_digit());
    digits.skip_while(|b| **b == b'0').count() > 15
}

/// Whether there may be a number with more digits than every double keeps in a JSON text.
pub fn may_hold_long(text: &[u8]) -> bool {
    text.split(|byte| !in_number(byte)).any(|run| run.len() > 15 && is_long(run))
}

/// Whether a number goes on from `stop` to `end` with nothing but zeros behind its point.
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

/// Whether a line may hold a number that is infinite as a double: with an exponent that makes it so, or more than three
/// hundred digits.
pub fn may_hold_infinite(line: &[u8]) -> bool {
    let digit = |at: usize| line.get(at).is_some_and(u8::is_ascii_digit);
    let exponent =
        memchr::memchr2_iter(b'e', b'E', line).any(|at| at > 0 && digit(at - 1) && is_infinite_around(line, at));
    exponent || (0..line.len()).step_by(300).any(|at| digit(at) && (digit(at + 150) || digit(at.wrapping_sub(150))))
}

/// Whether an exponent belongs to an infinite number, be it in a string.
fn is_infinite_around(line: &[u8], exponent: usize) -> bool {
    // Not past another exponent: then it is none, and a long text of them is not gone through again and again.
    let in_mantissa = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let start = exponent - line[..exponent].iter().rev().take_while(in_mantissa).count();
    let sign = usize::from(matches!(line.get(exponent + 1), Some(b'+' | b'-')));
    let digits = line[exponent + 1 + sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    start > 0
        && matches!(line[start - 1], b':' | b',' | b'[' | b' ' | b'\t' | b'\n' | b'\r')
        && value_of(&line[start..exponent + 1 + sign + digits]).is_infinite()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinite_numbers_are_found_with_or_without_an_exponent() {
        let many = format!(r#"{{"a":"e","b":{}}}"#, "9".repeat(400));
        let small = format!(r#"{{"a":[1, {}e-50]}}"#, "9".repeat(400));
        for line in [
            r#"{"a":1e400}"#,
            r#"{"a":-1E400}"#,
            r#"{"a":[1.5e+309]}"#,
            "{\"a\":\t0.1e310}",
            r#"{"e1e1":"1e1","a":1e309}"#,
            many.as_str(),
            small.as_str(),
        ] {
            assert!(may_hold_infinite(line.as_bytes()), "{line}");
        }
        for line in [r#"{"a":1e300}"#, r#"{"event":"seen"}"#, r#"{"a":"1e400"}"#, r#"{"id":"881e162f","n":1e-400}"#] {
            assert!(!may_hold_infinite(line.as_bytes()), "{line}");
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
        for (came, went, only) in [
            ("3.0", "3", true),
            ("12.500", "12.5", true),
            ("0.0", "0", true),
            ("30", "3", false),
            ("1.5e10", "1.5e1", false),
            ("1e10", "1e1", false),
            ("3.01", "3", false),
            ("3.0e1", "3", false),
        ] {
            assert_eq!(only_zeros(came.as_bytes(), went.len(), came.len()), only, "{came} {went}");
        }
    }
}
