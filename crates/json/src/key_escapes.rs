//! Whether a key has an escape, block by block, in a text without white space.

use crate::simd::BLOCK;

/// What is known of the escapes in the blocks so far.
#[derive(Clone, Copy, Default)]
pub struct KeyEscapeTracker {
    /// Behind the last escaped byte.
    escape: usize,
    /// Behind the quote that opened the last string.
    string: usize,
    /// Whether the string that ended with the last byte of the block before has an escape.
    last_string_escaped: bool,
}

/// Behind the last of the bits in the block at `base`, or `before` if there is none.
#[inline(always)]
fn behind_last(base: usize, bits: u64, before: usize) -> usize {
    if bits == 0 { before } else { base + BLOCK - bits.leading_zeros() as usize }
}

impl KeyEscapeTracker {
    /// Whether there was an escape in any block.
    #[inline(always)]
    pub fn any(&self) -> bool {
        self.escape > 0
    }

    /// Takes the block at `base` into account, which is wholly inside of a string.
    #[inline(always)]
    pub fn in_string(&mut self, base: usize, escaped: u64) {
        self.escape = behind_last(base, escaped, self.escape);
    }

    /// The same with the block at `base`. `None` if a key has an escape. To be called for the first block that has an
    /// escape, and for each block after it.
    ///
    /// `escaped` are the escaped bytes, `opening` and `closing` the quotes, `colon` the colons outside of strings. `after_string`
    /// says that the last byte of the block before is a closing quote.
    #[inline(never)]
    pub fn none_in_keys(
        mut self,
        base: usize,
        escaped: u64,
        (opening, closing): (u64, u64),
        colon: u64,
        after_string: bool,
    ) -> Option<Self> {
        // Whether the string that is open right before the bit `end` has an escape.
        let is_escaped = |end: u64| {
            let before = end - 1;
            behind_last(base, escaped & before, self.escape) > behind_last(base, opening & before, self.string)
        };
        if after_string && colon & 1 != 0 && self.last_string_escaped {
            return None;
        }
        let mut keys = closing & colon >> 1;
        while keys != 0 {
            let end = keys & keys.wrapping_neg();
            keys ^= end;
            if is_escaped(end) {
                return None;
            }
        }
        self.last_string_escaped = is_escaped(1 << 63);
        self.escape = behind_last(base, escaped, self.escape);
        self.string = behind_last(base, opening, self.string);
        Some(self)
    }
}
