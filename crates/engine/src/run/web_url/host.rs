//! Hosts of URLs.

use std::borrow::Cow;

use super::Failure;
use super::percent::{is_in_c0_set, percent_encode};

/// Code points that no host may contain.
const FORBIDDEN: &str = "\0\t\n\r #/:<>?@[\\]^|";

/// Parses a host; one of a URL that is not special is opaque.
pub(super) fn parse(input: &str, is_opaque: bool) -> Result<String, Failure> {
    let by_crate = |input: &str| url::Host::parse(input).map(|host| host.to_string()).map_err(|_| Failure);
    if input.starts_with('[') {
        return by_crate(input);
    }
    if is_opaque {
        let is_bad = input.contains(|char| FORBIDDEN.contains(char));
        return if is_bad { Err(Failure) } else { Ok(percent_encode(input, is_in_c0_set)) };
    }
    let decoded = percent_decode(input);
    // A host that is already ASCII is left unchanged, even an invalid Punycode label.
    match std::str::from_utf8(&decoded) {
        Ok(domain) if domain.is_ascii() => {
            let domain = domain.to_ascii_lowercase();
            let is_bad = |char: char| FORBIDDEN.contains(char) || char < ' ' || matches!(char, '%' | '\x7f');
            if domain.is_empty() || domain.contains(is_bad) {
                return Err(Failure);
            }
            if ends_in_number(&domain) { by_crate(&domain) } else { Ok(domain) }
        }
        _ => by_crate(input),
    }
}

/// Whether a domain must be parsed as an IPv4 address.
fn ends_in_number(domain: &str) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let last = domain.rsplit('.').next().unwrap_or_default();
    let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    is_number || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn percent_decode(input: &str) -> Cow<'_, [u8]> {
    if !input.contains('%') {
        return Cow::Borrowed(input.as_bytes());
    }
    let (bytes, mut out) = (input.as_bytes(), Vec::with_capacity(input.len()));
    let hex = |byte: Option<&u8>| byte.and_then(|byte| (*byte as char).to_digit(16));
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}
