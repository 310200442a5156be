//! What a JSON string means, for strings that are known to be valid.
//!
//! A column that holds JSON text is full of escapes, one for every few bytes, and V8 decodes them one by one.

#[cfg(target_arch = "x86_64")]
use crate::structural_index::{BLOCK, Carry};

/// Replaces what `out` holds by what the text between the quotes of a valid string means. `false` if it has an escape of
/// the kind `\u0041`, which is left to V8.
pub fn unescape(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512vbmi2") && is_x86_feature_detected!("avx512bw") {
        // SAFETY: this processor has what it wants, it was just asked.
        return unsafe { wide(text, out) };
    }
    narrow(text, out)
}

/// What an escape's second byte stands for.
fn meaning(kind: u8) -> Option<u8> {
    Some(match kind {
        b'"' | b'\\' | b'/' => kind,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

fn narrow(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut at = 0;
    loop {
        // A quote, or a control character, does not stand in a valid string as it is.
        let escape = next_special(text, at);
        out.extend_from_slice(&text[at..escape]);
        if escape == text.len() {
            return true;
        }
        let Some(meant) = text.get(escape + 1).copied().and_then(meaning) else { return false };
        out.push(meant);
        at = escape + 2;
    }
}

/// The same for sixty-four bytes at a time, as long as all that there is to do is to leave backslashes out.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
fn wide(text: &[u8], out: &mut Vec<u8>) -> bool {
    use std::arch::x86_64::{
        _mm512_cmpeq_epi8_mask, _mm512_loadu_si512, _mm512_maskz_compress_epi8, _mm512_set1_epi8, _mm512_storeu_si512,
    };
    let mut carry = Carry::default();
    let mut at = 0;
    while let Some(block) = text[at..].first_chunk::<BLOCK>() {
        // SAFETY: the load is of the block's 64 bytes, aligned or not.
        let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        let equal = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte.cast_signed()));
        let backslash = equal(b'\\');
        let escaped = carry.escaped(backslash);
        if escaped & !(equal(b'"') | backslash | equal(b'/')) != 0 {
            // From the start of the block, or behind the byte that ends an escape which began in the block before.
            return rest(text, at, escaped & 1 != 0, out);
        }
        let kept = !(backslash & !escaped);
        let length = out.len();
        out.reserve(BLOCK);
        // SAFETY: there is room for the whole block behind what is there, and so many bytes of it are what was kept.
        unsafe {
            _mm512_storeu_si512(out.as_mut_ptr().add(length).cast(), _mm512_maskz_compress_epi8(kept, bytes));
            out.set_len(length + kept.count_ones() as usize);
        }
        at += BLOCK;
    }
    rest(text, at, carry.escaped != 0, out)
}

/// What follows from `at` on, where the first byte may be one that is escaped.
#[cfg(target_arch = "x86_64")]
fn rest(text: &[u8], mut at: usize, escaped: bool, out: &mut Vec<u8>) -> bool {
    if escaped {
        let Some(meant) = text.get(at).copied().and_then(meaning) else { return false };
        out.push(meant);
        at += 1;
    }
    narrow(&text[at..], out)
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
pub fn next_special(text: &[u8], mut at: usize) -> usize {
    while let Some(bytes) = text.get(at..at + STEP) {
        if let Some(found) = stop(bytes.try_into().expect("as long as asked for")) {
            return at + found;
        }
        at += STEP;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

/// The UTF-16 code units that a JSON string stands for; lone surrogates stay what they are.
pub fn unescape_utf16(text: &[u8]) -> Vec<u16> {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(backslash) = memchr::memchr(b'\\', rest) {
        units.extend(String::from_utf8_lossy(&rest[..backslash]).encode_utf16());
        let escape = rest.get(backslash + 1).copied().unwrap_or(b'\\');
        let mut length = 2;
        units.push(match escape {
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => {
                length = 6;
                let hex = rest.get(backslash + 2..backslash + 6).and_then(|hex| std::str::from_utf8(hex).ok());
                hex.and_then(|hex| u16::from_str_radix(hex, 16).ok()).unwrap_or(0xFFFD)
            }
            other => u16::from(other),
        });
        rest = rest.get(backslash + length..).unwrap_or_default();
    }
    units.extend(String::from_utf8_lossy(rest).encode_utf16());
    units
}

/// The index of the quote that ends the string which starts at `at`, and whether V8 would write it the same way.
pub fn string_end(text: &[u8], mut at: usize) -> (usize, bool) {
    let mut plain = true;
    loop {
        at = next_special(text, at);
        match text.get(at) {
            None | Some(b'"') => return (at.min(text.len()), plain),
            Some(b'\\') => {
                plain &= !matches!(text.get(at + 1), Some(b'u' | b'/'));
                at += 2;
            }
            Some(_) => at += 1,
        }
    }
}

/// Whether the string that ends before `at` is a key.
pub fn is_key(text: &[u8], at: usize) -> bool {
    text[at.min(text.len())..].iter().find(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r')) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_means_what_serde_says(parts in proptest::collection::vec(
            prop_oneof!["[a-z é日]{0,70}", r#"(\\["\\/]){0,70}"#, r"\\[bfnrt]", r#"(\\"[a-z,]{1,8}){0,20}"#, r"\\u00e9"], 0..8
        )) {
            let text = parts.concat();
            let meant: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            for way in [unescape, |text: &[u8], out: &mut Vec<u8>| { out.clear(); narrow(text, out) }] {
                let mut out = b"of before".to_vec();
                let known = way(text.as_bytes(), &mut out);
                prop_assert_eq!(known, !parts.iter().any(|part| part == "\\u00e9"));
                if known {
                    prop_assert_eq!(std::str::from_utf8(&out).unwrap(), &meant);
                }
            }
        }

        #[test]
        fn every_byte_that_ends_a_run_is_found(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..70), from in 0..70usize) {
            let from = from.min(bytes.len());
            let first = bytes[from..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            prop_assert_eq!(next_special(&bytes, from), first.map_or(bytes.len(), |first| from + first));
        }
    }
}
