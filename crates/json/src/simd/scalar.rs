//! The checks without vector instructions: eight bytes in each of eight words.

use super::{BLOCK, Isa, Pass, walk};

/// Needs no optional instructions.
#[derive(Clone, Copy)]
pub struct Scalar;

const HIGH: u64 = 0x8080_8080_8080_8080;
const LOW: u64 = !HIGH;

/// The byte in every byte of a word.
#[inline(always)]
fn splat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Applies `ask` to each word, which returns its results in the highest bits of the bytes, and gathers these bits.
#[inline(always)]
fn gather(block: [u64; 8], ask: impl Fn(u64) -> u64) -> u64 {
    block.iter().rev().fold(0, |bits, word| {
        // The product moves bit 8k to bit 56 + k. No two bits collide, so nothing carries.
        bits << 8 | ((ask(*word) & HIGH) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

/// Sets the highest bit of each byte that is zero. The sums stay within their bytes.
#[inline(always)]
fn zeros(word: u64) -> u64 {
    !(((word & LOW) + LOW) | word)
}

impl Isa for Scalar {
    type Block = [u64; 8];

    #[inline(always)]
    fn load(self, bytes: &[u8; BLOCK]) -> Self::Block {
        let (words, _) = bytes.as_chunks::<8>();
        std::array::from_fn(|word| u64::from_le_bytes(words[word]))
    }

    #[inline(always)]
    fn store(self, block: Self::Block) -> [u8; BLOCK] {
        let mut bytes = [0; BLOCK];
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(block) {
            *chunk = word.to_le_bytes();
        }
        bytes
    }

    #[inline(always)]
    fn equal(self, block: Self::Block, byte: u8) -> u64 {
        gather(block, |word| zeros(word ^ splat(byte)))
    }

    #[inline(always)]
    fn equal_with(self, block: Self::Block, set: u8, byte: u8) -> u64 {
        gather(block, |word| zeros((word | splat(set)) ^ splat(byte)))
    }

    #[inline(always)]
    fn within(self, block: Self::Block, first: u8, last: u8) -> u64 {
        // A sum sets the highest bit of its byte from `first` on, or beyond `last`.
        let (from, beyond) = (splat(0x80 - first), splat(0x7F - last));
        gather(block, |word| ((word & LOW) + from) & !((word & LOW) + beyond) & !word)
    }

    #[inline(always)]
    fn prefix_xor(self, mut bits: u64) -> u64 {
        for shift in [1, 2, 4, 8, 16, 32] {
            bits ^= bits << shift;
        }
        bits
    }

    // Not inlined, so that the other forms need not prepare the stack for it.
    #[inline(never)]
    fn run<P: Pass>(self, text: &[u8], start: impl FnOnce() -> P) -> P::Output {
        walk(self, text, start())
    }
}
