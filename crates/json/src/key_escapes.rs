//! Whether a key is written with an escape, found block by block of a line without white space.

/// What is known of the escapes of the blocks so far.
#[derive(Default)]
pub struct KeyEscapeTracker {
    /// Behind the last byte that is escaped, and where the last string starts.
    escape: usize,
    string: usize,
    /// Whether the string that ended with the block before has an escape.
    escaped: bool,
}

impl KeyEscapeTracker {
    /// Whether there was an escape in any block.
    #[inline(always)]
    pub fn any(&self) -> bool {
        self.escape > 0
    }

    /// Takes a block into account that lies inside of a string, in which these bytes are `escaped`.
    #[inline(always)]
    pub fn inside(&mut self, base: usize, escaped: u64) {
        if escaped != 0 {
            self.escape = base + 64 - escaped.leading_zeros() as usize;
        }
    }

    /// Takes the block at `base` into account, in which these bytes are `escaped`, these quotes start and end a string,
    /// and these are the colons outside of strings. `ended` says that a string ended with the block before. To be asked
    /// for each block from the first one on that has an escape. Nothing, if a key has one.
    #[inline(never)]
    pub fn none_in_keys(
        &mut self,
        base: usize,
        escaped: u64,
        (opening, closing): (u64, u64),
        colon: u64,
        ended: bool,
    ) -> Option<()> {
        // Behind the last one of the bits in this block, or what is known from before.
        let last = |bits: u64, before: usize| match bits {
            0 => before,
            bits => base + 64 - bits.leading_zeros() as usize,
        };
        let in_string = |end: u64| last(escaped & (end - 1), self.escape) > last(opening & (end - 1), self.string);
        if ended && colon & 1 != 0 && self.escaped {
            return None;
        }
        let mut keys = closing & colon >> 1;
        while keys != 0 {
            let end = keys & keys.wrapping_neg();
            keys ^= end;
            if in_string(end) {
                return None;
            }
        }
        self.escaped = in_string(1 << 63);
        (self.escape, self.string) = (last(escaped, self.escape), last(opening, self.string));
        Some(())
    }
}
