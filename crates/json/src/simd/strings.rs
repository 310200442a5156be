//! Determines which bytes of a block are escaped, and which are inside strings.

use super::Isa;

/// The state that one block needs from the previous block.
#[derive(Default)]
pub struct Strings {
    /// 1 if the first byte of the next block is escaped.
    escaped: u64,
    /// All ones if the next block starts inside a string.
    in_string: u64,
}

impl Strings {
    /// The bytes that are escaped: those after an odd number of backslashes. Must be called once per
    /// block, with the block's backslashes.
    #[inline(always)]
    pub fn escaped(&mut self, backslash: u64) -> u64 {
        if backslash == 0 {
            return std::mem::take(&mut self.escaped);
        }
        const EVEN: u64 = 0x5555_5555_5555_5555;
        // A backslash that is itself escaped escapes nothing.
        let backslash = backslash & !self.escaped;
        let follows = backslash << 1 | self.escaped;
        // Runs that start at an odd offset carry into an even one, and vice versa.
        let (even, over) = (backslash & !EVEN & !follows).overflowing_add(backslash);
        self.escaped = u64::from(over);
        (EVEN ^ (even << 1)) & follows
    }

    /// The bytes inside strings: from each opening quote up to, and without, the closing one. Must be called for each
    /// block that has a quote, with the quotes that are not escaped.
    #[inline(always)]
    pub fn inside<I: Isa>(&mut self, isa: I, quote: u64) -> u64 {
        let in_string = isa.prefix_xor(quote) ^ self.in_string;
        self.in_string = (in_string.cast_signed() >> 63).cast_unsigned();
        in_string
    }

    /// Whether the blocks so far end inside a string.
    #[inline(always)]
    pub fn in_string(&self) -> bool {
        self.in_string != 0
    }

    /// Whether the blocks so far end with a backslash that escapes the next byte.
    #[inline(always)]
    pub fn ends_with_escape(&self) -> bool {
        self.escaped != 0
    }
}
