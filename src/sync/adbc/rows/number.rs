//! Writes numbers with all of their digits.

/// Writes a decimal. `digits` may have a sign; `scale` of them are after the point.
pub fn decimal(out: &mut Vec<u8>, digits: &str, scale: i8) {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    out.extend_from_slice(sign.as_bytes());
    match usize::try_from(scale) {
        Ok(0) => out.extend_from_slice(digits.as_bytes()),
        Ok(scale) => {
            let missing = (scale + 1).saturating_sub(digits.len());
            let padded = format!("{}{digits}", "0".repeat(missing));
            let (whole, rest) = padded.split_at(padded.len() - scale);
            out.extend_from_slice(whole.as_bytes());
            out.push(b'.');
            out.extend_from_slice(rest.as_bytes());
        }
        Err(_) => {
            out.extend_from_slice(digits.as_bytes());
            if digits != "0" {
                out.extend_from_slice("0".repeat(usize::from(scale.unsigned_abs())).as_bytes());
            }
        }
    }
}

/// Returns whether a text is a number, in a form that databases write and JSON allows.
pub fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    digits.first().is_some_and(u8::is_ascii_digit)
        && digits.last().is_some_and(u8::is_ascii_digit)
        && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

/// Writes DuckDB's BIGNUM: a head of three bytes, then the
/// digits in base 256. All bytes are inverted if it is negative.
pub fn bignum(out: &mut Vec<u8>, bytes: &[u8]) {
    let is_negative = bytes.first().is_some_and(|first| first & 0x80 == 0);
    let digits = bytes.get(3..).unwrap_or_default().iter().map(|byte| if is_negative { !byte } else { *byte });
    // In base 10^9, the lowest part first.
    let mut parts: Vec<u32> = Vec::new();
    for digit in digits {
        let mut carry = u64::from(digit);
        for part in &mut parts {
            carry += u64::from(*part) << 8;
            *part = (carry % 1_000_000_000) as u32;
            carry /= 1_000_000_000;
        }
        if carry > 0 {
            parts.push(carry as u32);
        }
    }
    let Some(first) = parts.pop() else { return out.push(b'0') };
    if is_negative {
        out.push(b'-');
    }
    out.extend_from_slice(first.to_string().as_bytes());
    parts.iter().rev().for_each(|part| out.extend_from_slice(format!("{part:09}").as_bytes()));
}

/// Writes DuckDB's BIT: the first byte tells how many bits of the second one are unused.
pub fn bits(out: &mut Vec<u8>, bytes: &[u8]) {
    let Some((unused, bytes)) = bytes.split_first() else { return };
    let text: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    out.extend_from_slice(text.get(usize::from(*unused)..).unwrap_or_default().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::adbc::rows::text;

    #[test]
    fn a_decimal_keeps_its_zeros() {
        for (digits, scale, expected) in [
            ("1234567890123456789010", 2, "12345678901234567890.10"),
            ("-5", 2, "-0.05"),
            ("0", 3, "0.000"),
            ("12", 0, "12"),
            ("-12", -3, "-12000"),
            ("0", -3, "0"),
        ] {
            assert_eq!(text(|out| decimal(out, digits, scale)), expected);
        }
    }

    #[test]
    fn a_number_is_one_that_json_can_have() {
        for number in ["0", "-0.10", "100.00", "12345678901234567890"] {
            assert!(is_number(number.as_bytes()), "{number}");
        }
        for other in ["", "-", "nan", "inf", "-inf", ".5", "5.", "1e5", "NaN"] {
            assert!(!is_number(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn bignum_and_bits_are_read() {
        let head = [0x80, 0, 2];
        assert_eq!(text(|out| bignum(out, &[&head[..], &[1, 0]].concat())), "256");
        let negative: Vec<u8> = [&head[..], &[1, 0]].concat().iter().map(|byte| !byte).collect();
        assert_eq!(text(|out| bignum(out, &negative)), "-256");
        assert_eq!(text(|out| bignum(out, &[0x80, 0, 1, 0])), "0");
        let large = [&[0x80, 0, 16][..], &u128::MAX.to_be_bytes()].concat();
        assert_eq!(text(|out| bignum(out, &large)), u128::MAX.to_string());
        assert_eq!(text(|out| bits(out, &[4, 0xf5])), "0101");
    }
}
