//! Finds the positions of the structural characters of a JSON line, 64 bytes at a time.
//!
//! [`StructuralIndex::find`] lists the positions of all bytes outside strings that are not white space: each bracket,
//! colon and comma, each quote, and the first byte of each number or literal. A walk over the line then visits these
//! positions, and reads nothing in between. This is the first stage of simdjson (Langdale and Lemire, "Parsing
//! Gigabytes of JSON per Second", <https://arxiv.org/abs/1902.08318>), with closing quotes listed too. It checks only
//! what no later stage sees: that strings end, and contain no control characters.

use std::ops::ControlFlow;

use crate::simd::{self, BLOCK, Isa, Pass, Strings};

/// Memory for more positions than this is freed before the next line.
const MAX_KEPT: usize = 1 << 18;

/// The structure of the last line. Its memory is reused.
#[derive(Default)]
pub struct StructuralIndex {
    /// The positions, followed by the line's length.
    positions: Vec<u32>,
    count: usize,
    /// The backslashes that escape the next byte, one word per block.
    escapes: Vec<u64>,
    any_escape: bool,
    any_space: bool,
}

impl StructuralIndex {
    /// Indexes a line. `false` if a string in it does not end or contains a control character,
    /// or if the line is longer than 4 GiB.
    pub fn find(&mut self, text: &[u8]) -> bool {
        let Ok(len) = u32::try_from(text.len()) else { return false };
        if self.positions.len() > MAX_KEPT {
            self.positions = Vec::new();
        }
        self.count = 0;
        self.escapes.clear();
        let is_valid = simd::run(text, || Find::new(self));
        self.next_block()[0] = len;
        is_valid
    }

    /// The positions in order, followed by the line's length.
    #[inline]
    pub fn positions(&self) -> &[u32] {
        &self.positions[..=self.count]
    }

    /// Whether there is white space outside strings.
    #[inline]
    pub fn any_space(&self) -> bool {
        self.any_space
    }

    /// Whether the line has an escape.
    #[inline]
    pub fn any_escape(&self) -> bool {
        self.any_escape
    }

    /// The positions from `start` to before `end` of the backslashes that start an escape.
    #[inline]
    pub fn escapes(&self, start: usize, end: usize) -> EscapePositions<'_> {
        if !self.any_escape || start >= end {
            return EscapePositions { words: &[], word: 0, base: 0, end: 0 };
        }
        let words = &self.escapes[start / BLOCK..=(end - 1) / BLOCK];
        EscapePositions { words: &words[1..], word: words[0] & !0 << (start % BLOCK), base: start - start % BLOCK, end }
    }

    /// Appends the positions of the set bits.
    #[inline(always)]
    fn push(&mut self, base: u32, mut bits: u64) {
        let count = bits.count_ones() as usize;
        let positions = self.next_block();
        // Most blocks have about as many positions as the previous one. Steps of eight make the end of the loop
        // predictable; excess entries are overwritten.
        let mut at = 0;
        while at < count {
            for position in &mut positions[at..at + 8] {
                *position = base.wrapping_add(bits.trailing_zeros());
                bits &= bits.wrapping_sub(1);
            }
            at += 8;
        }
        self.count += count;
    }

    /// Returns room for the positions of one more block.
    #[inline(always)]
    fn next_block(&mut self) -> &mut [u32; BLOCK] {
        if self.positions.len() < self.count + BLOCK {
            self.grow();
        }
        self.positions[self.count..].first_chunk_mut().expect("there is room for a block")
    }

    #[cold]
    fn grow(&mut self) {
        self.positions.resize((self.positions.len() * 2).max(16 * BLOCK), 0);
    }
}

/// The pass that fills an index. It returns whether all strings end and contain no control characters.
struct Find<'a> {
    index: &'a mut StructuralIndex,
    strings: Strings,
    /// 1 if the last byte of the previous block belongs to a number or literal.
    scalar: u64,
    /// The control characters in strings, the white space outside strings, and the escapes of all blocks.
    errors: u64,
    space: u64,
    escape: u64,
}

impl<'a> Find<'a> {
    #[inline(always)]
    fn new(index: &'a mut StructuralIndex) -> Self {
        Self { index, strings: Strings::default(), scalar: 0, errors: 0, space: 0, escape: 0 }
    }
}

impl Pass for Find<'_> {
    type Output = bool;

    #[inline(always)]
    fn block<I: Isa>(&mut self, isa: I, block: I::Block, base: usize, inside: u64) -> ControlFlow<bool> {
        let backslash = isa.equal(block, b'\\');
        let escaped = self.strings.escaped(backslash);
        let (quote, escape) = (isa.equal(block, b'"') & !escaped, backslash & !escaped);
        self.index.escapes.push(escape);
        self.escape |= escape;
        let in_string = self.strings.inside(isa, quote);
        let control = isa.within(block, 0, 0x1F);
        self.errors |= control & in_string & inside;
        let (operator, space) = (isa.operators(block) & !control, isa.spaces(block));
        self.space |= space & !in_string & inside;
        let scalar = !(operator | space | quote | in_string) & inside;
        let starts = scalar & !(scalar << 1 | self.scalar);
        self.scalar = scalar >> 63;
        self.index.push(base as u32, (operator & !in_string) | quote | starts);
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn finish(self) -> bool {
        self.index.any_escape = self.escape != 0;
        self.index.any_space = self.space != 0;
        !self.strings.in_string() && self.errors == 0
    }
}

/// See [`StructuralIndex::escapes`].
pub struct EscapePositions<'a> {
    words: &'a [u64],
    word: u64,
    base: usize,
    end: usize,
}

impl Iterator for EscapePositions<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.word == 0 {
            let (first, rest) = self.words.split_first()?;
            (self.word, self.words) = (*first, rest);
            self.base += BLOCK;
        }
        let at = self.base + self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        (at < self.end).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::tests::same_in_every_form;

    /// The reference implementation, byte by byte.
    fn byte_by_byte(text: &[u8]) -> Option<(Vec<u32>, bool)> {
        let (mut positions, mut space) = (Vec::new(), false);
        let (mut in_string, mut escaped, mut scalar) = (false, false, false);
        let mut errors = false;
        for (at, byte) in text.iter().enumerate() {
            let quote = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            let was_scalar = std::mem::take(&mut scalar);
            if quote {
                positions.push(at as u32);
                in_string = !in_string;
            } else if in_string {
                errors |= *byte < b' ';
            } else if matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',') {
                positions.push(at as u32);
            } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                space = true;
            } else {
                scalar = true;
                if !was_scalar {
                    positions.push(at as u32);
                }
            }
        }
        positions.push(text.len() as u32);
        (!in_string && !errors).then_some((positions, space))
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            8 => proptest::sample::select(b"{}[]:,\"\\ \t\r\ntrue0123456789.eE-".to_vec()),
            1 => any::<u8>(),
        ];
        proptest::collection::vec(byte, 0..300)
    }

    proptest! {
        #[test]
        fn it_finds_what_a_walk_over_the_bytes_finds(text in bytes()) {
            let mut index = StructuralIndex::default();
            let found = same_in_every_form(|| {
                index.find(&text).then(|| (index.positions().to_vec(), index.any_space()))
            });
            prop_assert_eq!(found, byte_by_byte(&text));
        }

        #[test]
        fn escapes_are_found_in_any_part(text in bytes(), from in 0..300usize, len in 0..300usize) {
            let mut index = StructuralIndex::default();
            let from = from.min(text.len());
            let to = (from + len).min(text.len());
            let mut escaped = false;
            let escapes: Vec<_> = (0..to)
                .filter(|at| {
                    escaped = text[*at] == b'\\' && !escaped;
                    escaped
                })
                .filter(|at| *at >= from)
                .collect();
            let found = same_in_every_form(|| {
                index.find(&text);
                index.escapes(from, to).collect::<Vec<_>>()
            });
            prop_assert_eq!(found, escapes);
        }
    }
}
