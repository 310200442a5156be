//! Where a JSON object or list ends, found by its brackets alone.
//!
//! Sixty-four bytes at a time: it ends where as many brackets are closed as were opened, and a block with fewer closing
//! ones than are open cannot be the place. What is in it is somebody else's to judge, but for its strings: each of them
//! ends, and none has a control character in it.

use crate::structural_index::{BLOCK, Carry};

/// An object or a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Container {
    /// How many bytes.
    pub len: usize,
    /// Whether there are no control characters in it, line ends above all.
    pub one_line: bool,
}

/// What one block of bytes is made of, a bit for each byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Masks {
    backslash: u64,
    quote: u64,
    control: u64,
    /// Opening brackets of both kinds.
    open: u64,
    close: u64,
}

/// The extent of what starts with the first byte. Nothing, if that is no bracket, or what follows cannot be JSON as far as
/// this sees.
pub fn skip_container(text: &[u8]) -> Option<Container> {
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return None;
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(found) = x86::skip_container(text) {
        return found;
    }
    with(text, plain::masks, plain::prefix_xor)
}

#[inline(always)]
fn with(text: &[u8], masks: impl Fn(&[u8; BLOCK]) -> Masks, prefix_xor: impl Fn(u64) -> u64) -> Option<Container> {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let mut search = Search { text, carry: Carry::default(), depth: 0, control: 0 };
    for (number, block) in blocks.iter().enumerate() {
        if let Some(found) = search.block(number * BLOCK, masks(block), !0, &prefix_xor) {
            return found;
        }
    }
    let mut last = [0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    let inside = !(!0u64).checked_shl(rest.len() as u32).unwrap_or(0);
    search.block(text.len() - rest.len(), masks(&last), inside, &prefix_xor).flatten()
}

struct Search<'a> {
    text: &'a [u8],
    carry: Carry,
    /// How many brackets are open.
    depth: u32,
    /// Control characters so far, all blocks' together.
    control: u64,
}

impl Search<'_> {
    /// Whether it ends in this block, or cannot be.
    #[inline(always)]
    fn block(
        &mut self,
        base: usize,
        masks: Masks,
        inside: u64,
        prefix_xor: &impl Fn(u64) -> u64,
    ) -> Option<Option<Container>> {
        let quote = masks.quote & !self.carry.escaped(masks.backslash);
        let in_string = prefix_xor(quote) ^ self.carry.in_string;
        self.carry.in_string = (in_string.cast_signed() >> 63).cast_unsigned();
        let (open, mut close) = (masks.open & !in_string, masks.close & !in_string);
        let control = masks.control & inside;
        if close.count_ones() >= self.depth {
            let mut depth = self.depth;
            while close != 0 {
                let bit = close & close.wrapping_neg();
                close ^= bit;
                // Wraps below zero where a bracket before this one, in the same block, opens: the sum is what counts.
                depth = depth.wrapping_sub(1);
                if depth.wrapping_add((open & (bit - 1)).count_ones()) == 0 {
                    let at = base + bit.trailing_zeros() as usize;
                    let one_line = self.control | control & (bit - 1) == 0;
                    // What closes a bracket stands two places behind it.
                    let fits = self.text[at] == self.text[0] + 2 && control & in_string & (bit - 1) == 0;
                    return Some(fits.then_some(Container { len: at + 1, one_line }));
                }
            }
            self.depth = depth + open.count_ones();
        } else {
            self.depth += open.count_ones() - close.count_ones();
        }
        self.control |= control;
        (control & in_string != 0).then_some(None)
    }
}

/// The same, byte by byte.
mod plain {
    use super::{BLOCK, Masks};
    pub use crate::structural_index::plain::prefix_xor;

    pub fn masks(block: &[u8; BLOCK]) -> Masks {
        let of = |is: fn(u8) -> bool| block.iter().rev().fold(0, |bits, byte| bits << 1 | u64::from(is(*byte)));
        Masks {
            backslash: of(|byte| byte == b'\\'),
            quote: of(|byte| byte == b'"'),
            control: of(|byte| byte < b' '),
            open: of(|byte| matches!(byte, b'{' | b'[')),
            close: of(|byte| matches!(byte, b'}' | b']')),
        }
    }
}

/// The same with vectors of 64 or 32 bytes.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_or_si256, _mm256_set1_epi8,
        _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_loadu_si512, _mm512_or_si512, _mm512_set1_epi8,
    };

    use super::{BLOCK, Container, Masks, with};
    use crate::structural_index::x86::{available, bits, prefix_xor};

    /// Nothing, if this processor lacks something.
    pub fn skip_container(text: &[u8]) -> Option<Option<Container>> {
        if !available() {
            return None;
        }
        let is_wide = is_x86_feature_detected!("avx512bw");
        // SAFETY: this processor has what they want, it was just asked.
        Some(if is_wide { unsafe { wide(text) } } else { unsafe { narrow(text) } })
    }

    #[target_feature(enable = "avx512f,avx512bw,avx2,bmi1,pclmulqdq,popcnt,lzcnt")]
    fn wide(text: &[u8]) -> Option<Container> {
        with(text, |block| wide_masks(block), |bits| prefix_xor(bits))
    }

    #[target_feature(enable = "avx2,bmi1,pclmulqdq,popcnt,lzcnt")]
    fn narrow(text: &[u8]) -> Option<Container> {
        with(text, |block| masks(block), |bits| prefix_xor(bits))
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub fn wide_masks(block: &[u8; BLOCK]) -> Masks {
        // SAFETY: the load is of the block's 64 bytes, aligned or not.
        let block = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        let one = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
        // Brackets are braces but for one bit.
        let braces = _mm512_or_si512(block, one(0x20));
        Masks {
            backslash: _mm512_cmpeq_epi8_mask(block, one(b'\\')),
            quote: _mm512_cmpeq_epi8_mask(block, one(b'"')),
            control: _mm512_cmple_epu8_mask(block, one(0x1F)),
            open: _mm512_cmpeq_epi8_mask(braces, one(b'{')),
            close: _mm512_cmpeq_epi8_mask(braces, one(b'}')),
        }
    }

    #[target_feature(enable = "avx2")]
    pub fn masks(block: &[u8; BLOCK]) -> Masks {
        // SAFETY: both loads are of 32 of the block's 64 bytes, aligned or not.
        let halves = unsafe {
            [_mm256_loadu_si256(block.as_ptr().cast()), _mm256_loadu_si256(block.as_ptr().add(BLOCK / 2).cast())]
        };
        let one = |byte: u8| _mm256_set1_epi8(byte.cast_signed());
        let both = |is: &dyn Fn(__m256i) -> __m256i| bits(is(halves[0]), is(halves[1]));
        let bracket = |byte| both(&|half| _mm256_cmpeq_epi8(_mm256_or_si256(half, one(0x20)), one(byte)));
        Masks {
            backslash: both(&|half| _mm256_cmpeq_epi8(half, one(b'\\'))),
            quote: both(&|half| _mm256_cmpeq_epi8(half, one(b'"'))),
            control: both(&|half| _mm256_cmpeq_epi8(_mm256_min_epu8(half, one(0x1F)), half)),
            open: bracket(b'{'),
            close: bracket(b'}'),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is promised, said byte by byte.
    fn said_slowly(text: &[u8]) -> Option<Container> {
        let (mut depth, mut in_string, mut escaped, mut one_line) = (0, false, false, true);
        for (at, byte) in text.iter().enumerate() {
            let quote = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            one_line &= *byte >= b' ';
            match byte {
                _ if quote => in_string = !in_string,
                0..b' ' if in_string => return None,
                _ if in_string => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            match depth {
                0 if at == 0 => return None,
                0 => return (*byte == text[0] + 2).then_some(Container { len: at + 1, one_line }),
                _ => {}
            }
        }
        None
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            8 => prop::sample::select(b"{{[[}]:,\"\"\\ a1".to_vec()),
            1 => prop::sample::select(b"\n\t\x01\xC3;={".to_vec()),
        ];
        let of_one_kind = prop_oneof![Just(b'['), Just(b'"'), Just(b'x'), Just(b'}')];
        let run = (of_one_kind, 0..90usize).prop_map(|(byte, len)| vec![byte; len]);
        let some = prop::collection::vec(byte, 0..90);
        prop::collection::vec(prop_oneof![3 => some, 1 => run], 0..5).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn what_is_found_is_where_the_brackets_are_even(text in bytes(), list: bool) {
            let text = [if list { b"[" } else { b"{" }, &text[..]].concat();
            prop_assert_eq!(skip_container(&text), said_slowly(&text));
            prop_assert_eq!(with(&text, plain::masks, plain::prefix_xor), said_slowly(&text));
            #[cfg(target_arch = "x86_64")]
            prop_assert_eq!(skip_container(&text), x86::skip_container(&text).unwrap_or_else(|| said_slowly(&text)));
        }

        #[cfg(target_arch = "x86_64")]
        #[test]
        fn wide_or_not_the_masks_are_the_same(block in prop::collection::vec(any::<u8>(), BLOCK)) {
            let block = block.first_chunk().unwrap();
            if x86::skip_container(b"{}").is_some() {
                // SAFETY: just asked.
                unsafe { prop_assert_eq!(x86::masks(block), plain::masks(block)) }
            }
            if is_x86_feature_detected!("avx512bw") {
                // SAFETY: just asked.
                unsafe { prop_assert_eq!(x86::wide_masks(block), plain::masks(block)) }
            }
        }
    }

    #[test]
    fn an_extent_ends_with_a_bracket_of_its_own_kind() {
        for (text, found) in [
            (r#"{"a":[1,"]}"]} x"#, Some((14, true))),
            ("[\n{}]]", Some((5, false))),
            ("[]", Some((2, true))),
            ("{]", None),
            ("{", None),
            ("{\"\n\"}", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(
                skip_container(text.as_bytes()),
                found.map(|(len, one_line)| Container { len, one_line }),
                "{text}"
            );
        }
    }
}
