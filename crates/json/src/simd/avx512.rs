//! The checks with vectors of 64 bytes. Each comparison yields a mask of 64 bits.

use std::arch::x86_64::{
    __m512i, _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_loadu_si512, _mm512_maskz_compress_epi8,
    _mm512_maskz_loadu_epi8, _mm512_or_si512, _mm512_set1_epi8, _mm512_set4_epi32, _mm512_shuffle_epi8,
    _mm512_storeu_si512, _mm512_sub_epi8,
};

use super::{BLOCK, Isa, Pass, avx2, push_runs, walk};

/// Whether this processor has what `Avx512<false>` needs. `Avx512<true>` needs `avx512vbmi2` too.
pub fn is_available() -> bool {
    avx2::is_available() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// Proves that [`is_available`] is true, and with `COMPRESS`, that the processor has `avx512vbmi2`.
#[derive(Clone, Copy)]
pub struct Avx512<const COMPRESS: bool>(());

impl<const COMPRESS: bool> Avx512<COMPRESS> {
    /// # Safety
    ///
    /// [`is_available`] must be true, and with `COMPRESS`, the processor must have `avx512vbmi2`.
    pub unsafe fn new_unchecked() -> Self {
        Self(())
    }

    /// The byte in every lane.
    #[inline(always)]
    fn splat(self, byte: u8) -> __m512i {
        // SAFETY: an `Avx512` exists only where the processor has AVX-512.
        unsafe { _mm512_set1_epi8(byte.cast_signed()) }
    }

    /// Looks up each byte's low four bits in sixteen bytes. Returns 0 for bytes from 0x80 on.
    #[inline(always)]
    fn look_up(self, bytes: [u8; 16], block: __m512i) -> __m512i {
        let (words, _) = bytes.as_chunks::<4>();
        let [a, b, c, d] = std::array::from_fn(|word| i32::from_le_bytes(words[word]));
        // SAFETY: an `Avx512` exists only where the processor has AVX-512.
        unsafe { _mm512_shuffle_epi8(_mm512_set4_epi32(d, c, b, a), block) }
    }
}

impl<const COMPRESS: bool> Isa for Avx512<COMPRESS> {
    type Block = __m512i;

    #[inline(always)]
    fn load(self, bytes: &[u8; BLOCK]) -> Self::Block {
        // SAFETY: an `Avx512` exists only where the processor has AVX-512. The load reads the block's
        // 64 bytes, and needs no alignment.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_rest(self, rest: &[u8]) -> Self::Block {
        debug_assert!(!rest.is_empty() && rest.len() < BLOCK);
        // SAFETY: an `Avx512` exists only where the processor has AVX-512BW. The mask has one bit for each byte of
        // `rest`, from the lowest on, and no other byte is read.
        unsafe { _mm512_maskz_loadu_epi8(!0 >> ((BLOCK - rest.len()) % BLOCK), rest.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, block: Self::Block) -> [u8; BLOCK] {
        let mut bytes = [0; BLOCK];
        // SAFETY: an `Avx512` exists only where the processor has AVX-512. The store writes the
        // 64 bytes, and needs no alignment.
        unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), block) };
        bytes
    }

    #[inline(always)]
    fn equal(self, block: Self::Block, byte: u8) -> u64 {
        // SAFETY: an `Avx512` exists only where the processor has AVX-512.
        unsafe { _mm512_cmpeq_epi8_mask(block, self.splat(byte)) }
    }

    #[inline(always)]
    fn equal_with(self, block: Self::Block, set: u8, byte: u8) -> u64 {
        // SAFETY: an `Avx512` exists only where the processor has AVX-512.
        unsafe { _mm512_cmpeq_epi8_mask(_mm512_or_si512(block, self.splat(set)), self.splat(byte)) }
    }

    #[inline(always)]
    fn within(self, block: Self::Block, first: u8, last: u8) -> u64 {
        // SAFETY: an `Avx512` exists only where the processor has AVX-512.
        unsafe { _mm512_cmple_epu8_mask(_mm512_sub_epi8(block, self.splat(first)), self.splat(last - first)) }
    }

    #[inline(always)]
    fn operators(self, block: Self::Block) -> u64 {
        // The same table as with AVX2.
        let operators = self.look_up([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 58, 123, 44, 125, 0, 0], block);
        // SAFETY: an `Avx512` exists only where the processor has AVX-512.
        unsafe { _mm512_cmpeq_epi8_mask(_mm512_or_si512(block, self.splat(0x20)), operators) }
    }

    #[inline(always)]
    fn spaces(self, block: Self::Block) -> u64 {
        // The same table as with AVX2.
        let spaces = self.look_up([32, 100, 100, 100, 17, 100, 113, 2, 100, 9, 10, 112, 100, 13, 100, 100], block);
        // SAFETY: an `Avx512` exists only where the processor has AVX-512.
        unsafe { _mm512_cmpeq_epi8_mask(block, spaces) }
    }

    #[inline(always)]
    fn prefix_xor(self, bits: u64) -> u64 {
        // SAFETY: an `Avx512` exists only where the processor has PCLMULQDQ.
        unsafe { avx2::prefix_xor(bits) }
    }

    #[inline(always)]
    fn push_kept(self, block: Self::Block, kept: u64, out: &mut Vec<u8>) {
        if !COMPRESS {
            return push_runs(&self.store(block), kept, out);
        }
        out.reserve(BLOCK);
        let len = out.len();
        // SAFETY: an `Avx512<true>` exists only where the processor has `avx512vbmi2`. There is room for a whole block
        // after the content of `out`, and as many bytes of it are initialized as `kept` has bits set.
        unsafe {
            let packed = _mm512_maskz_compress_epi8(kept, block);
            _mm512_storeu_si512(out.as_mut_ptr().add(len).cast(), packed);
            out.set_len(len + kept.count_ones() as usize);
        }
    }

    #[inline(always)]
    fn run<P: Pass>(self, text: &[u8], start: impl FnOnce() -> P) -> P::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx2,bmi1,lzcnt,pclmulqdq,popcnt")]
        fn enter<P: Pass>(isa: Avx512<false>, text: &[u8], start: impl FnOnce() -> P) -> P::Output {
            walk(isa, text, start())
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,avx2,bmi1,lzcnt,pclmulqdq,popcnt")]
        fn enter_compressing<P: Pass>(isa: Avx512<true>, text: &[u8], start: impl FnOnce() -> P) -> P::Output {
            walk(isa, text, start())
        }
        // SAFETY: an `Avx512` exists only where the processor has these features.
        unsafe { if COMPRESS { enter_compressing(Avx512(()), text, start) } else { enter(Avx512(()), text, start) } }
    }
}
