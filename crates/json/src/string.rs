//! JSON strings: their ends, their escapes, and their meaning. Strings are passed without their quotes.

use std::ops::ControlFlow;

use crate::simd::{self, BLOCK, Isa, Pass, Strings};

/// The number of bytes that [`next_special`] reads at once.
const STEP: usize = 16;

/// The index of the first quote, backslash or control character.
#[inline]
#[cfg(target_arch = "x86_64")]
fn first_special(bytes: &[u8; STEP]) -> Option<usize> {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    // SAFETY: every x86-64 has SSE2. The load reads the sixteen bytes, and needs no alignment.
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
fn first_special(bytes: &[u8; STEP]) -> Option<usize> {
    bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
}

/// The position of the first quote, backslash or control character from `at` on, or the end of the text.
#[inline]
pub fn next_special(text: &[u8], mut at: usize) -> usize {
    while let Some(bytes) = text.get(at..at + STEP) {
        if let Some(found) = first_special(bytes.try_into().expect("as long as asked for")) {
            return at + found;
        }
        at += STEP;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

/// The character of an escape of two bytes, by its second byte. `None` for `u`, and for invalid escapes.
#[inline]
pub fn escaped_char(letter: u8) -> Option<u8> {
    Some(match letter {
        b'"' | b'\\' | b'/' => letter,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// The length of the escape whose backslash is at `at`. `None` if the escape is invalid.
#[inline]
pub fn escape_len(text: &[u8], at: usize) -> Option<usize> {
    match *text.get(at + 1)? {
        b'u' => text.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        letter => escaped_char(letter).map(|_| 2),
    }
}

/// Whether `JSON.stringify` also writes this escape of two bytes, given its second byte. It never writes
/// `\/`, and `\u0041` only where necessary.
#[inline]
pub fn is_canonical_escape(letter: u8) -> bool {
    matches!(letter, b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't')
}

/// Replaces the content of `out` with the characters of a valid string. `false` if the string has a lone surrogate,
/// which UTF-8 cannot encode; the content of `out` is then unspecified.
pub fn unescape(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    if simd::run(text, || Unescape { strings: Strings::default(), out }) {
        return true;
    }
    out.clear();
    unescape_unicode(text, out).is_some()
}

/// Does the same for a string with escapes such as `\u0041`. It decodes them one by one, as
/// such a string mostly has many.
fn unescape_unicode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = text;
    while let Some(backslash) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..backslash]);
        rest = &rest[backslash..];
        // Escapes of characters outside ASCII are usually adjacent.
        while let [b'\\', letter, behind @ ..] = rest {
            rest = behind;
            if *letter != b'u' {
                out.push(escaped_char(*letter)?);
                continue;
            }
            let mut unit = u32::from(next_unit(&mut rest)?);
            if let 0xD800..0xDC00 = unit {
                rest = rest.strip_prefix(b"\\u")?;
                let low = u32::from(next_unit(&mut rest)?).checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                unit = 0x1_0000 + ((unit - 0xD800) << 10) + low;
            }
            out.extend_from_slice(char::from_u32(unit)?.encode_utf8(&mut [0; 4]).as_bytes());
        }
        if rest == b"\\" {
            return None;
        }
    }
    out.extend_from_slice(rest);
    Some(())
}

/// Reads the UTF-16 code unit that `text` starts with, as four hexadecimal digits, and skips them.
#[inline]
fn next_unit(text: &mut &[u8]) -> Option<u16> {
    let (digits, rest) = text.split_first_chunk::<4>()?;
    *text = rest;
    digits.iter().all(u8::is_ascii_hexdigit).then(|| {
        // A letter has its bit 6 set, and its value is its lower four bits plus nine.
        digits.iter().fold(0, |unit, digit| unit << 4 | u16::from((digit & 0xF) + (digit >> 6) * 9))
    })
}

/// The pass of [`unescape`] for a string without escapes such as `\u0041`; it gives up at the first one. A string that
/// contains JSON has an escape every few bytes, so bytes are kept or dropped per block, without a branch for each.
struct Unescape<'a> {
    strings: Strings,
    out: &'a mut Vec<u8>,
}

impl Pass for Unescape<'_> {
    type Output = bool;
    const COMPRESSES: bool = true;

    #[inline(always)]
    fn block<I: Isa>(&mut self, isa: I, block: I::Block, _: usize, inside: u64) -> ControlFlow<bool> {
        let backslash = isa.equal(block, b'\\');
        let escaped = self.strings.escaped(backslash);
        let kept = !(backslash & !escaped) & inside;
        if escaped != 0 {
            // Escaped quotes, backslashes and slashes stand for themselves.
            let letters = escaped & !(isa.equal(block, b'"') | backslash | isa.equal(block, b'/'));
            if letters != 0 {
                let Some(bytes) = decoded(isa.store(block), letters) else { return ControlFlow::Break(false) };
                isa.push_kept(isa.load(&bytes), kept, self.out);
                return ControlFlow::Continue(());
            }
        }
        isa.push_kept(block, kept, self.out);
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn finish(self) -> bool {
        !self.strings.ends_with_escape()
    }
}

/// Returns a block with its `escaped` letters replaced by the characters that they stand for. `None` if one of
/// them is `u` or is not a valid escape.
#[inline]
fn decoded(mut bytes: [u8; BLOCK], mut escaped: u64) -> Option<[u8; BLOCK]> {
    while escaped != 0 {
        let at = escaped.trailing_zeros() as usize;
        bytes[at] = escaped_char(bytes[at])?;
        escaped &= escaped - 1;
    }
    Some(bytes)
}

/// The UTF-16 code units of a valid string. Lone surrogates are kept.
pub fn unescape_utf16(text: &[u8]) -> Vec<u16> {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(backslash) = memchr::memchr(b'\\', rest) {
        units.extend(String::from_utf8_lossy(&rest[..backslash]).encode_utf16());
        let letter = rest.get(backslash + 1).copied().unwrap_or(b'\\');
        let mut length = 2;
        units.push(match escaped_char(letter) {
            Some(character) => u16::from(character),
            None if letter == b'u' => {
                length = 6;
                next_unit(&mut rest.get(backslash + 2..).unwrap_or_default()).unwrap_or(0xFFFD)
            }
            None => u16::from(letter),
        });
        rest = rest.get(backslash + length..).unwrap_or_default();
    }
    units.extend(String::from_utf8_lossy(rest).encode_utf16());
    units
}

/// The position of the quote that ends the string at `at`, and whether `JSON.stringify` would
/// write its escapes in the same way.
pub fn string_end(text: &[u8], mut at: usize) -> (usize, bool) {
    let mut is_canonical = true;
    loop {
        at = next_special(text, at);
        match text.get(at) {
            None | Some(b'"') => return (at.min(text.len()), is_canonical),
            Some(b'\\') => {
                is_canonical &= text.get(at + 1).is_none_or(|letter| is_canonical_escape(*letter));
                at += 2;
            }
            Some(_) => at += 1,
        }
    }
}

/// Whether a byte is white space between tokens.
#[inline]
pub fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether the string that ends before `at` is a key.
pub fn is_key(text: &[u8], at: usize) -> bool {
    text[at.min(text.len())..].iter().find(|byte| !is_space(byte)) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::tests::same_in_every_form;

    proptest! {
        #[test]
        fn strings_mean_what_serde_json_reads(parts in proptest::collection::vec(
            prop_oneof!["[a-z é日]{0,70}", r#"(\\["\\/]){0,70}"#, r"(\\[bfnrt]|[a-z]){0,9}", r#"(\\"[a-z,]{1,8}){0,20}"#, r"(\\u[0-9a-cA-C][0-9a-fA-F]{3}){0,20}", r"\\ud83d\\uDE4f"], 0..8
        )) {
            let text = parts.concat();
            let meant: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            let found = same_in_every_form(|| {
                let mut out = b"from before".to_vec();
                unescape(text.as_bytes(), &mut out).then_some(out)
            });
            prop_assert_eq!(found, Some(meant.into_bytes()));
            let units: String = String::from_utf16(&unescape_utf16(text.as_bytes())).unwrap();
            prop_assert_eq!(units, serde_json::from_str::<String>(&format!("\"{text}\"")).unwrap());
        }

        #[test]
        fn every_special_byte_is_found(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..70), from in 0..70usize) {
            let from = from.min(bytes.len());
            let first = bytes[from..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            prop_assert_eq!(next_special(&bytes, from), first.map_or(bytes.len(), |first| from + first));
        }
    }

    #[test]
    fn half_a_character_and_half_an_escape_are_declined() {
        for text in [
            r"\ud83d",
            r"\ud83dx",
            r"\ud83d\n",
            r"\ud83d\u0041",
            r"\ud83d\ud83d",
            r"\ude4f",
            r"\u00e",
            r"\u00e9\",
            r"\u00g9",
        ] {
            assert!(!same_in_every_form(|| unescape(text.as_bytes(), &mut Vec::new())), "{text}");
        }
    }

    #[test]
    fn a_backslash_at_the_end_escapes_nothing() {
        for len in [0, 1, 62, 63, 64, 127, 128] {
            let text = format!("{}\\", "x".repeat(len));
            assert!(!same_in_every_form(|| unescape(text.as_bytes(), &mut Vec::new())), "{text}");
        }
    }
}
