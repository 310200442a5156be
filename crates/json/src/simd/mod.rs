//! The loop over the blocks of a text, and the instructions that it uses.
//!
//! A text is read in blocks of 64 bytes. A [`Pass`] makes checks on a block, such as "which bytes are quotes?", and
//! gets the 64 results as the bits of one word: bit `n` is for byte `n`. [`Isa`] has these checks. It is
//! implemented by [`scalar`], which needs no special instructions, and on x86-64 by `avx2` and `avx512`. [`run`]
//! takes the best of them that the processor supports. Each pass is written once, and gives the same result in
//! every form: the tests run all of them.

mod scalar;
mod strings;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU8, Ordering};

pub use strings::Strings;

/// The number of bytes in a block.
pub const BLOCK: usize = 64;

/// A set of instructions. A value of an implementation proves that this processor has them.
pub trait Isa: Copy {
    /// The bytes of a block, in the form that these instructions need.
    type Block: Copy;

    /// Loads a block.
    fn load(self, bytes: &[u8; BLOCK]) -> Self::Block;

    /// Loads the last bytes of a text, fewer than a block, padded with zeros.
    #[inline(always)]
    fn load_rest(self, rest: &[u8]) -> Self::Block {
        let mut last = [0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        self.load(&last)
    }

    /// The bytes of a block.
    fn store(self, block: Self::Block) -> [u8; BLOCK];

    /// The bytes that equal `byte`.
    fn equal(self, block: Self::Block, byte: u8) -> u64;

    /// The bytes that equal `byte` after the bits of `set` are set in them.
    fn equal_with(self, block: Self::Block, set: u8, byte: u8) -> u64;

    /// The bytes from `first` to `last`, which is below 0x80.
    fn within(self, block: Self::Block, first: u8, last: u8) -> u64;

    /// Brackets, braces, colons and commas. Some control characters may be among them.
    #[inline(always)]
    fn operators(self, block: Self::Block) -> u64 {
        // A brace is a bracket with one more bit.
        self.equal_with(block, 0x20, b'{')
            | self.equal_with(block, 0x20, b'}')
            | self.equal(block, b':')
            | self.equal(block, b',')
    }

    /// Spaces, tabs, line feeds and carriage returns.
    #[inline(always)]
    fn spaces(self, block: Self::Block) -> u64 {
        self.equal(block, b' ') | self.equal(block, b'\t') | self.equal(block, b'\n') | self.equal(block, b'\r')
    }

    /// The digits of hexadecimal numbers.
    #[inline(always)]
    fn hex_digits(self, block: Self::Block) -> u64 {
        self.within(block, b'0', b'9') | self.within(block, b'A', b'F') | self.within(block, b'a', b'f')
    }

    /// Each bit is the exclusive or of all bits up to and including it.
    fn prefix_xor(self, bits: u64) -> u64;

    /// Appends to `out` the bytes of a block whose bits are set in `kept`.
    #[inline(always)]
    fn push_kept(self, block: Self::Block, kept: u64, out: &mut Vec<u8>) {
        push_runs(&self.store(block), kept, out);
    }

    /// Runs the pass made by `start`, in a function that is compiled for these instructions.
    fn run<P: Pass>(self, text: &[u8], start: impl FnOnce() -> P) -> P::Output;
}

/// A computation over the blocks of a text.
pub trait Pass: Sized {
    /// What the pass returns.
    type Output;

    /// Whether the pass uses [`Isa::push_kept`], for which some processors have special instructions.
    const COMPRESSES: bool = false;

    /// Processes the block at offset `base`. The set bits of `inside` are the bytes that belong to the text: all,
    /// except in the last block, where zeros follow the text. `Break` ends the pass.
    fn block<I: Isa>(&mut self, isa: I, block: I::Block, base: usize, inside: u64) -> ControlFlow<Self::Output>;

    /// The result, after all blocks.
    fn finish(self) -> Self::Output;
}

/// Runs a pass over a text with the best instructions that this processor has. `start` makes the pass inside the
/// function that has the loop, so that its fields are in registers.
#[inline]
pub fn run<P: Pass>(text: &[u8], start: impl FnOnce() -> P) -> P::Output {
    match Form::current() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `current` returns only forms that the processor supports, and each constructor says what it needs.
        form @ (Form::Avx2 | Form::Avx512 | Form::Avx512Compress) => unsafe {
            match form {
                Form::Avx512Compress if P::COMPRESSES => avx512::Avx512::<true>::new_unchecked().run(text, start),
                Form::Avx512 | Form::Avx512Compress => avx512::Avx512::<false>::new_unchecked().run(text, start),
                _ => avx2::Avx2::new_unchecked().run(text, start),
            }
        },
        _ => scalar::Scalar.run(text, start),
    }
}

/// The bytes `from`, where each byte in white space is moved to the first byte after the white space; and 1 if that is
/// the first byte of the next block. Bytes of `from` in white space are at its start.
#[inline(always)]
pub fn skip_space(from: u64, space: u64) -> (u64, u64) {
    // The sum carries from the first bit of white space to the bit after the last one.
    let (sum, over) = space.overflowing_add(from & space);
    ((from | sum) & !space, u64::from(over))
}

/// See [`Isa::push_kept`]: copies one run of bytes after the other.
#[inline(always)]
fn push_runs(bytes: &[u8; BLOCK], mut kept: u64, out: &mut Vec<u8>) {
    /// Most runs are short: this many bytes are copied at once, without a call.
    const STEP: usize = 16;
    let mut padded = [0; BLOCK + STEP];
    padded[..BLOCK].copy_from_slice(bytes);
    let (mut packed, mut len) = ([0; BLOCK + STEP], 0);
    while kept != 0 {
        let start = kept.trailing_zeros() as usize;
        let run = (kept >> start).trailing_ones() as usize;
        let mut done = 0;
        while done < run {
            // Both offsets are at most 64. Bytes copied beyond the run are overwritten, or dropped at the end.
            let from = padded[start + done..].first_chunk::<STEP>().expect("there is padding behind the block");
            let to = packed[len + done..].first_chunk_mut::<STEP>().expect("no more bytes are kept than there are");
            *to = *from;
            done += STEP;
        }
        len += run;
        // The sum clears the lowest run of bits. The bit after it, which the sum sets, is not set in `kept`.
        kept &= kept.wrapping_add(1 << start);
    }
    out.extend_from_slice(&packed[..len]);
}

/// The loop itself.
#[inline(always)]
fn walk<I: Isa, P: Pass>(isa: I, text: &[u8], mut pass: P) -> P::Output {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let mut base = 0;
    for block in blocks {
        if let ControlFlow::Break(output) = pass.block(isa, isa.load(block), base, !0) {
            return output;
        }
        base += BLOCK;
    }
    if !rest.is_empty()
        && let ControlFlow::Break(output) = pass.block(isa, isa.load_rest(rest), base, !0 >> (BLOCK - rest.len()))
    {
        return output;
    }
    pass.finish()
}

/// The forms in which a pass is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Form {
    /// No special instructions.
    Scalar = 1,
    /// Vectors of 32 bytes: x86-64 processors since about 2015.
    Avx2,
    /// Vectors of 64 bytes.
    Avx512,
    /// Vectors of 64 bytes, and an instruction that compresses bytes by a mask.
    Avx512Compress,
}

impl Form {
    const ALL: [Self; 4] = [Self::Scalar, Self::Avx2, Self::Avx512, Self::Avx512Compress];

    /// The form to use.
    #[inline]
    fn current() -> Self {
        static BEST: AtomicU8 = AtomicU8::new(0);
        #[cfg(test)]
        if let Some(form) = tests::FORCED.get() {
            return form;
        }
        match BEST.load(Ordering::Relaxed) {
            0 => Self::detect(&BEST),
            number => Self::ALL[usize::from(number - 1) % Self::ALL.len()],
        }
    }

    #[cold]
    fn detect(best: &AtomicU8) -> Self {
        let form = Self::ALL.into_iter().rfind(|form| form.is_available()).unwrap_or(Self::Scalar);
        best.store(form as u8, Ordering::Relaxed);
        form
    }

    /// Whether this processor supports the form.
    fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Self::Scalar => true,
            Self::Avx2 => avx2::is_available(),
            Self::Avx512 => avx512::is_available(),
            Self::Avx512Compress => avx512::is_available() && is_x86_feature_detected!("avx512vbmi2"),
        };
        #[cfg(not(target_arch = "x86_64"))]
        return self == Self::Scalar;
    }
}

#[cfg(test)]
pub mod tests;
