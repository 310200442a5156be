//! How numbers are written: what V8 would print otherwise, and what a double does not hold.

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
