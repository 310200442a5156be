//! What a JSON string means, for strings that are known to be valid.
//!
//! A column that holds JSON text is full of escapes, one for every few bytes, and V8 decodes them one by one.

#[cfg(target_arch = "x86_64")]
use crate::structural_index::{BLOCK, Carry};
use crate::validator::next_stop;

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
        let escape = next_stop(text, at);
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
    }
}
