//! Where the keys of an object are, and of the objects in it.

/// The keys of a text, of which none has an escape: found by [`crate::validator`]. Its memory is reused.
#[derive(Default)]
pub struct KeyPositions {
    groups: Vec<Group>,
    spaced: bool,
}

/// The keys of one object that end in one block of the text.
struct Group {
    /// The bytes behind the closing quotes, as bits of the block.
    ends: u64,
    /// Where the block begins.
    base: u32,
    /// See [`KeyPosition`].
    depth: u32,
}

/// A key in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPosition {
    /// The offset behind its closing quote.
    pub end: usize,
    /// How many containers are around its object. In a text with white space, plus [`FIRST`] if it is the object's first key.
    pub depth: u32,
}

/// Marks the first key of an object. In a text without white space, the byte before the key says so.
pub const FIRST: u32 = 1 << 31;

impl KeyPositions {
    /// Begins a text, which may have white space between its tokens or has none.
    pub(crate) fn start(&mut self, spaced: bool) {
        self.groups.clear();
        self.spaced = spaced;
    }

    /// Adds the keys of an object at `depth` that have these ends in the block at `base`.
    #[inline(always)]
    pub(crate) fn add(&mut self, base: usize, ends: u64, depth: usize) {
        if ends != 0 {
            self.groups.push(Group { ends, base: base as u32, depth: depth as u32 });
        }
    }

    /// Adds a key of a text that may have white space.
    #[inline(always)]
    pub(crate) fn add_one(&mut self, end: usize, depth: usize, first: bool) {
        let first = if first { FIRST } else { 0 };
        self.groups.push(Group { ends: 1, base: end as u32, depth: depth as u32 | first });
    }

    /// Whether the text may have white space between its tokens.
    pub fn spaced(&self) -> bool {
        self.spaced
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.groups.iter().map(|group| group.ends.count_ones() as usize).sum()
    }

    /// The ends of keys of one object and the depth of that, again and again, in the text's order.
    #[inline(always)]
    pub(crate) fn groups(&self) -> impl Iterator<Item = (Ends, u32)> {
        self.groups.iter().map(|group| (Ends { left: group.ends, base: group.base as usize }, group.depth))
    }

    /// All of them, in the text's order.
    pub fn iter(&self) -> impl Iterator<Item = KeyPosition> {
        self.groups().flat_map(|(ends, depth)| ends.map(move |end| KeyPosition { end, depth }))
    }
}

/// The ends of the keys of a group.
pub(crate) struct Ends {
    left: u64,
    base: usize,
}

impl Iterator for Ends {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let end = self.base + self.left.trailing_zeros() as usize;
        let any = self.left != 0;
        self.left &= self.left.wrapping_sub(1);
        any.then_some(end)
    }
}

/// The key that ends before `end`, with its quotes. It has no escape.
pub fn key_before(text: &[u8], end: usize) -> &[u8] {
    let opening = memchr::memrchr(b'"', &text[..end - 1]).unwrap_or_default();
    &text[opening..end]
}
