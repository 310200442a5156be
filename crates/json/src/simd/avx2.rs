//! The checks with vectors of 32 bytes.

use std::arch::x86_64::{
    __m256i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8, _mm256_cmpeq_epi8,
    _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_setr_epi8,
    _mm256_shuffle_epi8, _mm256_storeu_si256, _mm256_sub_epi8,
};

use super::{BLOCK, Isa, Pass, walk};

/// Whether this processor has what [`Avx2`] needs.
pub fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("popcnt")
}

/// Proves that [`is_available`] is true.
#[derive(Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// # Safety
    ///
    /// [`is_available`] must be true.
    pub unsafe fn new_unchecked() -> Self {
        Self(())
    }

    /// The bytes for which `is` returns a byte of ones.
    #[inline(always)]
    fn bits(self, [low, high]: [__m256i; 2], is: impl Fn(__m256i) -> __m256i) -> u64 {
        // SAFETY: an `Avx2` exists only where the processor has AVX2.
        let bits = |half| u64::from(unsafe { _mm256_movemask_epi8(is(half)) }.cast_unsigned());
        bits(low) | bits(high) << 32
    }

    /// The byte in every lane.
    #[inline(always)]
    fn splat(self, byte: u8) -> __m256i {
        // SAFETY: an `Avx2` exists only where the processor has AVX2.
        unsafe { _mm256_set1_epi8(byte.cast_signed()) }
    }
}

impl Isa for Avx2 {
    type Block = [__m256i; 2];

    #[inline(always)]
    fn load(self, bytes: &[u8; BLOCK]) -> Self::Block {
        // SAFETY: an `Avx2` exists only where the processor has AVX2. Each load reads 32 of the block's
        // 64 bytes, and needs no alignment.
        unsafe { [_mm256_loadu_si256(bytes.as_ptr().cast()), _mm256_loadu_si256(bytes.as_ptr().add(BLOCK / 2).cast())] }
    }

    #[inline(always)]
    fn store(self, [low, high]: Self::Block) -> [u8; BLOCK] {
        let mut bytes = [0; BLOCK];
        // SAFETY: an `Avx2` exists only where the processor has AVX2. Each store writes 32 of the
        // 64 bytes, and needs no alignment.
        unsafe {
            _mm256_storeu_si256(bytes.as_mut_ptr().cast(), low);
            _mm256_storeu_si256(bytes.as_mut_ptr().add(BLOCK / 2).cast(), high);
        }
        bytes
    }

    #[inline(always)]
    fn equal(self, block: Self::Block, byte: u8) -> u64 {
        // SAFETY: an `Avx2` exists only where the processor has AVX2.
        self.bits(block, |half| unsafe { _mm256_cmpeq_epi8(half, self.splat(byte)) })
    }

    #[inline(always)]
    fn equal_with(self, block: Self::Block, set: u8, byte: u8) -> u64 {
        // SAFETY: an `Avx2` exists only where the processor has AVX2.
        self.bits(block, |half| unsafe { _mm256_cmpeq_epi8(_mm256_or_si256(half, self.splat(set)), self.splat(byte)) })
    }

    #[inline(always)]
    fn within(self, block: Self::Block, first: u8, last: u8) -> u64 {
        // SAFETY: an `Avx2` exists only where the processor has AVX2.
        self.bits(block, |half| unsafe {
            let from = if first == 0 { half } else { _mm256_sub_epi8(half, self.splat(first)) };
            _mm256_cmpeq_epi8(_mm256_min_epu8(from, self.splat(last - first)), from)
        })
    }

    #[inline(always)]
    fn operators(self, block: Self::Block) -> u64 {
        // SAFETY: an `Avx2` exists only where the processor has AVX2.
        unsafe {
            // The low four bits of a byte select the operator with the same low bits. A brace is a bracket with one
            // more bit, which is also set in colons and commas.
            let table = _mm256_setr_epi8(
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 58, 123, 44, 125, 0, 0, //
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 58, 123, 44, 125, 0, 0,
            );
            self.bits(block, |half| {
                _mm256_cmpeq_epi8(_mm256_or_si256(half, self.splat(0x20)), _mm256_shuffle_epi8(table, half))
            })
        }
    }

    #[inline(always)]
    fn spaces(self, block: Self::Block) -> u64 {
        // SAFETY: an `Avx2` exists only where the processor has AVX2.
        unsafe {
            // The low four bits of a byte select the white space with the same low bits. The other entries differ
            // from every byte that selects them.
            let table = _mm256_setr_epi8(
                32, 100, 100, 100, 17, 100, 113, 2, 100, 9, 10, 112, 100, 13, 100, 100, //
                32, 100, 100, 100, 17, 100, 113, 2, 100, 9, 10, 112, 100, 13, 100, 100,
            );
            self.bits(block, |half| _mm256_cmpeq_epi8(half, _mm256_shuffle_epi8(table, half)))
        }
    }

    #[inline(always)]
    fn prefix_xor(self, bits: u64) -> u64 {
        // SAFETY: an `Avx2` exists only where the processor has PCLMULQDQ.
        unsafe { prefix_xor(bits) }
    }

    #[inline(always)]
    fn run<P: Pass>(self, text: &[u8], start: impl FnOnce() -> P) -> P::Output {
        #[target_feature(enable = "avx2,bmi1,lzcnt,pclmulqdq,popcnt")]
        fn enter<P: Pass>(isa: Avx2, text: &[u8], start: impl FnOnce() -> P) -> P::Output {
            walk(isa, text, start())
        }
        // SAFETY: an `Avx2` exists only where the processor has these features.
        unsafe { enter(self, text, start) }
    }
}

/// A carry-less product with all ones.
#[inline]
#[target_feature(enable = "pclmulqdq")]
pub fn prefix_xor(bits: u64) -> u64 {
    let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, bits.cast_signed()), _mm_set1_epi8(-1));
    _mm_cvtsi128_si64(product).cast_unsigned()
}
