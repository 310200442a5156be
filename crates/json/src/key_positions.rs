//! Where the keys of an object are, and of the objects in it.

/// The keys of a text without white space, of which none has an escape: found by [`crate::object_index`]. Its memory is reused.
#[derive(Default)]
pub struct KeyPositions {
    groups: Vec<Group>,
}

/// The keys of one object whose colons are in one block of the text.
struct Group {
    /// The colons, as bits of the block.
    colons: u64,
    /// Where the block begins.
    base: u32,
    /// How many containers are around the object.
    depth: u32,
}

/// A key in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPosition {
    /// The offset of its colon.
    pub colon: usize,
    /// How many containers are around its object.
    pub depth: u32,
}

impl KeyPositions {
    pub(crate) fn clear(&mut self) {
        self.groups.clear();
    }

    /// Adds the keys of an object at `depth` that have these `colons` in the block at `base`.
    #[inline(always)]
    pub(crate) fn add(&mut self, base: usize, colons: u64, depth: usize) {
        if colons != 0 {
            self.groups.push(Group { colons, base: base as u32, depth: depth as u32 });
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.groups.iter().map(|group| group.colons.count_ones() as usize).sum()
    }

    /// The colons of keys of one object and the depth of that, again and again, in the text's order.
    #[inline(always)]
    pub(crate) fn groups(&self) -> impl Iterator<Item = (Colons, u32)> {
        self.groups.iter().map(|group| (Colons { left: group.colons, base: group.base as usize }, group.depth))
    }

    /// All of them, in the text's order.
    pub fn iter(&self) -> impl Iterator<Item = KeyPosition> {
        self.groups().flat_map(|(colons, depth)| colons.map(move |colon| KeyPosition { colon, depth }))
    }
}

/// The offsets of the colons of a group.
pub(crate) struct Colons {
    left: u64,
    base: usize,
}

impl Iterator for Colons {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let colon = self.base + self.left.trailing_zeros() as usize;
        let any = self.left != 0;
        self.left &= self.left.wrapping_sub(1);
        any.then_some(colon)
    }
}

/// A key with its quotes and the byte before them, which is a comma, or the brace of its object if it is the first one. The text
/// has its colon at `colon`, no white space around it, and no escape in the key.
pub fn key_before(text: &[u8], colon: usize) -> &[u8] {
    let key = &text[..colon - 1];
    let quote = memchr::memrchr(b'"', key).unwrap_or_default();
    &text[quote.saturating_sub(1)..colon]
}
