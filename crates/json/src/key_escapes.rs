//! Detects keys with escapes, block by block, in a text without white space.

use crate::simd::BLOCK;

/// The state after the blocks so far.
#[derive(Clone, Copy, Default)]
pub struct KeyEscapeTracker {
    /// The offset after the last escaped byte.
    escape: usize,
    /// The offset after the quote that opened the last string.
    string: usize,
    /// Whether the string that ended with the last byte of the previous block has an escape.
    last_string_escaped: bool,
}

/// The offset after the last set bit of the block at `base`, or `before` if no bit is set.
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

    /// Records the block at `base`, which is entirely inside a string.
    #[inline(always)]
    pub fn in_string(&mut self, base: usize, escaped: u64) {
        self.escape = behind_last(base, escaped, self.escape);
    }

    /// Records the block at `base`. `None` if a key has an escape. Must be called for the first block that has an
    /// escape, and for each block after it.
    ///
    /// `escaped` are the escaped bytes, `opening` and `closing` the quotes, `colon` the colons outside strings.
    /// `after_string` says whether the last byte of the previous block is a closing quote.
    #[inline(never)]
    pub fn none_in_keys(
        mut self,
        base: usize,
        escaped: u64,
        (opening, closing): (u64, u64),
        colon: u64,
        after_string: bool,
    ) -> Option<Self> {
        // Whether the string that is open before the bit `end` has an escape.
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
