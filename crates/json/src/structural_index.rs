//! Where the structure of a JSON line is, found sixty-four bytes at a time.
//!
//! [`StructuralIndex::find`] lists the places of everything outside of strings that is not white space: each bracket, colon and
//! comma, each quote, and the first byte of each number or literal. What walks over a line after that looks at these and
//! nothing in between. It is the first stage of simdjson (Langdale and Lemire, "Parsing Gigabytes of JSON per Second",
//! <https://arxiv.org/abs/1902.08318>), with closing quotes listed too. Nothing is judged here but two things that only
//! this stage sees: strings that do not end, and control characters in strings.

/// How many bytes are looked at together.
pub const BLOCK: usize = 64;

/// More places than this are not kept room for until the next line.
const KEEP: usize = 1 << 18;

/// The structure of the line that was looked at last; its memory is reused.
#[derive(Default)]
pub struct StructuralIndex {
    /// The places, and behind them the line's length.
    places: Vec<u32>,
    count: usize,
    /// Which bytes are backslashes that escape the next byte, a word for each block.
    escapes: Vec<u64>,
    any_escape: bool,
    any_space: bool,
}

/// What one block of bytes is made of, a bit for each byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Masks {
    backslash: u64,
    quote: u64,
    /// Control characters.
    control: u64,
    /// Brackets, colons and commas. May have control characters too, which are an error anyway.
    operator: u64,
    /// White space.
    space: u64,
}

/// What goes over from one block to the next.
#[derive(Default)]
pub struct Carry {
    /// 1 if the first byte of the next block is escaped.
    pub escaped: u64,
    /// All ones inside of a string.
    pub in_string: u64,
    /// 1 if the last byte was one of a number or literal.
    pub scalar: u64,
    /// Control characters in strings, all blocks' together.
    errors: u64,
    /// White space outside of strings, likewise.
    space: u64,
    escape: u64,
}

impl StructuralIndex {
    /// Looks through a line. `false` if it holds a string that does not end, or a control character in a string, or is
    /// longer than 4 GiB.
    pub fn find(&mut self, text: &[u8]) -> bool {
        let Ok(len) = u32::try_from(text.len()) else { return false };
        if self.places.len() > KEEP {
            self.places = Vec::new();
        }
        self.count = 0;
        self.escapes.clear();
        let mut carry = Carry::default();
        self.scan(text, &mut carry);
        self.any_escape = carry.escape != 0;
        self.any_space = carry.space != 0;
        self.room()[0] = len;
        carry.in_string == 0 && carry.errors == 0
    }

    /// Where the structure is, in order, and then the line's length.
    #[inline]
    pub fn positions(&self) -> &[u32] {
        &self.places[..=self.count]
    }

    /// Whether there is white space outside of strings.
    pub fn any_space(&self) -> bool {
        self.any_space
    }

    /// Whether any backslash escapes something.
    pub fn any_escape(&self) -> bool {
        self.any_escape
    }

    /// The places of the backslashes from `start` to before `end` that escape something.
    #[inline]
    pub fn escapes(&self, start: usize, end: usize) -> EscapePositions<'_> {
        if !self.any_escape || start >= end {
            return EscapePositions { words: &[], word: 0, base: 0, end: 0 };
        }
        let words = &self.escapes[start / BLOCK..=(end - 1) / BLOCK];
        EscapePositions { words: &words[1..], word: words[0] & !0 << (start % BLOCK), base: start - start % BLOCK, end }
    }

    #[cfg(target_arch = "x86_64")]
    fn scan(&mut self, text: &[u8], carry: &mut Carry) {
        if x86::available() {
            // SAFETY: this processor has what it wants, it was just asked.
            unsafe { x86::scan(self, text, carry) }
        } else {
            self.scan_with(text, carry, plain::masks, plain::prefix_xor);
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn scan(&mut self, text: &[u8], carry: &mut Carry) {
        self.scan_with(text, carry, plain::masks, plain::prefix_xor);
    }

    #[inline(always)]
    fn scan_with(
        &mut self,
        text: &[u8],
        carry: &mut Carry,
        masks: impl Fn(&[u8; BLOCK]) -> Masks,
        prefix_xor: impl Fn(u64) -> u64,
    ) {
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let mut base = 0;
        for block in blocks {
            self.block(base, masks(block), !0, carry, &prefix_xor);
            base += BLOCK as u32;
        }
        if !rest.is_empty() {
            let mut last = [0; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            self.block(base, masks(&last), !0 >> (BLOCK - rest.len()), carry, &prefix_xor);
        }
    }

    /// Takes a block into account, as far as it lies `inside` the line.
    #[inline(always)]
    fn block(&mut self, base: u32, masks: Masks, inside: u64, carry: &mut Carry, prefix_xor: &impl Fn(u64) -> u64) {
        let Masks { backslash, quote, control, operator, space } = masks;
        let escaped = carry.escaped(backslash);
        let (quote, escape) = (quote & !escaped, backslash & !escaped);
        self.escapes.push(escape);
        carry.escape |= escape;
        // From each opening quote up to before the closing one.
        let in_string = prefix_xor(quote) ^ carry.in_string;
        carry.in_string = (in_string.cast_signed() >> 63).cast_unsigned();
        carry.errors |= control & in_string & inside;
        carry.space |= space & !in_string;
        let scalar = !(operator | space | quote | in_string) & inside;
        let starts = scalar & !(scalar << 1 | carry.scalar);
        carry.scalar = scalar >> 63;
        self.put(base, (operator & !in_string) | quote | starts);
    }

    /// Lists the places of the bits that are set.
    #[inline(always)]
    fn put(&mut self, base: u32, mut bits: u64) {
        let count = bits.count_ones() as usize;
        let places = self.room();
        // Mostly there are as many as in the block before, give or take: in steps of eight, so that the loop's end is
        // seldom a surprise to the processor. What is written too much is written over.
        let mut at = 0;
        while at < count {
            for place in &mut places[at..at + 8] {
                *place = base.wrapping_add(bits.trailing_zeros());
                bits &= bits.wrapping_sub(1);
            }
            at += 8;
        }
        self.count += count;
    }

    #[inline(always)]
    fn room(&mut self) -> &mut [u32; BLOCK] {
        if self.places.len() < self.count + BLOCK {
            self.grow();
        }
        self.places[self.count..].first_chunk_mut().expect("there is room for a block")
    }

    #[cold]
    fn grow(&mut self) {
        self.places.resize((self.places.len() * 2).max(16 * BLOCK), 0);
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

impl Carry {
    /// Which bytes are escaped: those behind an odd number of backslashes.
    #[inline(always)]
    pub fn escaped(&mut self, backslash: u64) -> u64 {
        if backslash == 0 {
            return std::mem::take(&mut self.escaped);
        }
        const EVEN: u64 = 0x5555_5555_5555_5555;
        // A backslash that is itself escaped escapes nothing.
        let backslash = backslash & !self.escaped;
        let follows = backslash << 1 | self.escaped;
        // Runs that start at an odd place carry into an even one, and the other way round.
        let (even, over) = (backslash & !EVEN & !follows).overflowing_add(backslash);
        self.escaped = u64::from(over);
        (EVEN ^ (even << 1)) & follows
    }
}

/// The same, byte by byte.
pub(crate) mod plain {
    use super::{BLOCK, Masks};

    pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
        let of = |is: fn(u8) -> bool| block.iter().rev().fold(0, |bits, byte| bits << 1 | u64::from(is(*byte)));
        Masks {
            backslash: of(|byte| byte == b'\\'),
            quote: of(|byte| byte == b'"'),
            control: of(|byte| byte < b' '),
            operator: of(|byte| matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',')),
            space: of(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')),
        }
    }

    /// Each bit is the exclusive or of all bits up to it.
    pub fn prefix_xor(mut bits: u64) -> u64 {
        for shift in [1, 2, 4, 8, 16, 32] {
            bits ^= bits << shift;
        }
        bits
    }
}

/// The same with vectors of 32 bytes, which all x86-64 processors since about 2015 have.
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use std::arch::x86_64::{
        __m256i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8, _mm256_cmpeq_epi8,
        _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_setr_epi8,
        _mm256_shuffle_epi8,
    };

    use super::{BLOCK, Carry, Masks, StructuralIndex};

    pub fn available() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("popcnt")
    }

    #[target_feature(enable = "avx2,bmi1,pclmulqdq,popcnt")]
    pub fn scan(structure: &mut StructuralIndex, text: &[u8], carry: &mut Carry) {
        structure.scan_with(text, carry, |block| masks(block), |bits| prefix_xor(bits));
    }

    #[target_feature(enable = "avx2")]
    fn masks(block: &[u8; BLOCK]) -> Masks {
        // SAFETY: both loads are of 32 of the block's 64 bytes, aligned or not.
        let halves = unsafe {
            [_mm256_loadu_si256(block.as_ptr().cast()), _mm256_loadu_si256(block.as_ptr().add(BLOCK / 2).cast())]
        };
        let one = |byte: u8| _mm256_set1_epi8(byte.cast_signed());
        // A byte is looked up by its low four bits: it is one of these if it is what stands there.
        let spaces = _mm256_setr_epi8(
            32, 100, 100, 100, 17, 100, 113, 2, 100, 9, 10, 112, 100, 13, 100, 100, //
            32, 100, 100, 100, 17, 100, 113, 2, 100, 9, 10, 112, 100, 13, 100, 100,
        );
        // Brackets are braces but for one bit, which colons and commas have too.
        let operators = _mm256_setr_epi8(
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 58, 123, 44, 125, 0, 0, //
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 58, 123, 44, 125, 0, 0,
        );
        let [low, high] = halves;
        let equal = |to: __m256i| bits(_mm256_cmpeq_epi8(low, to), _mm256_cmpeq_epi8(high, to));
        let control = |half| _mm256_cmpeq_epi8(_mm256_min_epu8(half, one(0x1F)), half);
        let operator = |half| _mm256_cmpeq_epi8(_mm256_or_si256(half, one(0x20)), _mm256_shuffle_epi8(operators, half));
        let space = |half| _mm256_cmpeq_epi8(half, _mm256_shuffle_epi8(spaces, half));
        Masks {
            backslash: equal(one(b'\\')),
            quote: equal(one(b'"')),
            control: bits(control(low), control(high)),
            operator: bits(operator(low), operator(high)),
            space: bits(space(low), space(high)),
        }
    }

    /// The bytes' highest bits.
    #[target_feature(enable = "avx2")]
    pub fn bits(low: __m256i, high: __m256i) -> u64 {
        let bits = |half| u64::from(_mm256_movemask_epi8(half).cast_unsigned());
        bits(low) | bits(high) << 32
    }

    /// A product without carries by all ones.
    #[target_feature(enable = "pclmulqdq")]
    pub fn prefix_xor(bits: u64) -> u64 {
        let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, bits.cast_signed()), _mm_set1_epi8(-1));
        _mm_cvtsi128_si64(product).cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is promised, said byte by byte.
    fn said_slowly(text: &[u8]) -> Option<(Vec<u32>, bool)> {
        let (mut places, mut space) = (Vec::new(), false);
        let (mut in_string, mut escaped, mut scalar) = (false, false, false);
        let mut errors = false;
        for (at, byte) in text.iter().enumerate() {
            let quote = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            let was_scalar = std::mem::take(&mut scalar);
            if quote {
                places.push(at as u32);
                in_string = !in_string;
            } else if in_string {
                errors |= *byte < b' ';
            } else if matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',') {
                places.push(at as u32);
            } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                space = true;
            } else {
                scalar = true;
                if !was_scalar {
                    places.push(at as u32);
                }
            }
        }
        places.push(text.len() as u32);
        (!in_string && !errors).then_some((places, space))
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            8 => proptest::sample::select(b"{}[]:,\"\\ \t\r\ntrue0123456789.eE-".to_vec()),
            // Control characters are told apart from brackets by the walk, and end it anyway.
            1 => proptest::num::u8::ANY.prop_filter("may count as an operator", |byte| !matches!(byte, 0x0C | 0x1A)),
        ];
        proptest::collection::vec(byte, 0..300)
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_is_there(text in bytes()) {
            let mut structure = StructuralIndex::default();
            let found = structure.find(&text).then(|| (structure.positions().to_vec(), structure.any_space()));
            prop_assert_eq!(found, said_slowly(&text));
        }

        #[test]
        fn however_it_is_looked_for(text in bytes()) {
            let (mut structure, mut carry) = (StructuralIndex::default(), Carry::default());
            structure.scan_with(&text, &mut carry, plain::masks, plain::prefix_xor);
            let slowly = structure.places[..structure.count].to_vec();
            structure.find(&text);
            prop_assert_eq!(&structure.places[..structure.count], slowly);
        }

        #[test]
        fn escapes_are_found_in_any_part(text in bytes(), from in 0..300usize, len in 0..300usize) {
            let mut structure = StructuralIndex::default();
            structure.find(&text);
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
            prop_assert_eq!(structure.escapes(from, to).collect::<Vec<_>>(), escapes);
        }
    }
}
