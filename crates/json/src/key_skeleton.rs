//! The keys of an object and of all nested objects, without anything else.

use crate::simd::skip_space;

/// The keys of a text in order, each in its quotes, and the brackets around them: `{"a""b"[{"c"}]}` for
/// `{"a":1,"b":[{"c":"x"}]}`. No key has an escape, so a key ends at its second quote, and two texts with the same
/// skeleton have the same keys in the same objects. Filled by [`crate::validator`]. Its memory is reused.
#[derive(Default)]
pub struct KeySkeleton {
    pub(crate) bytes: Vec<u8>,
}

impl KeySkeleton {
    /// The skeleton's bytes, as described above.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends a key, passed without its quotes.
    #[inline]
    pub(crate) fn push_key(&mut self, key: &[u8]) {
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(key);
        self.bytes.push(b'"');
    }
}

/// Determines which bytes of a block belong to a skeleton: a key follows an object's brace or comma, with
/// nothing but white space in between.
#[derive(Default)]
pub(crate) struct KeyBytes {
    /// The braces and commas of the block that precede a key, as far as they are known.
    pub(crate) before: u64,
    /// 1 if the previous block ended with such a byte, optionally followed by white space.
    next: u64,
    /// 1 if the previous block ended inside a key.
    inside: u64,
}

impl KeyBytes {
    /// Returns the bytes of keys including both quotes. `in_string` are the bytes of strings without the
    /// closing quotes, `opening` the opening quotes, `space` the white space between tokens. Must be called
    /// once per block, when `before` is complete.
    #[inline(always)]
    pub(crate) fn take(&mut self, in_string: u64, opening: u64, space: u64) -> u64 {
        let (behind, over) = skip_space(self.before << 1 | self.next, space);
        let starts = behind & opening;
        self.next = std::mem::take(&mut self.before) >> 63 | over;
        // The sum carries from the opening to the closing quote of a key, and changes these two
        // bits and all bits between them.
        let (sum, over) = in_string.overflowing_add(starts | self.inside);
        self.inside = u64::from(over);
        in_string ^ sum
    }

    /// Does the same for a block that is entirely inside a string.
    #[inline(always)]
    pub(crate) fn in_string(&self) -> u64 {
        self.inside.wrapping_neg()
    }
}

/// Whether two keys are equal. Most have up to sixteen bytes, and are compared without a call.
#[inline]
pub fn same_key(one: &[u8], other: &[u8]) -> bool {
    fn ends<const N: usize>(key: &[u8]) -> Option<([u8; N], [u8; N])> {
        Some((*key.first_chunk()?, *key.last_chunk()?))
    }
    one.len() == other.len()
        && match one.len() {
            4..8 => ends::<4>(one) == ends::<4>(other),
            8..=16 => ends::<8>(one) == ends::<8>(other),
            _ => one == other,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_wherever_they_differ() {
        for len in 0..40 {
            let key = vec![b'k'; len];
            assert!(same_key(&key, &key.clone()));
            assert!(!same_key(&key, &[b"k", &*key].concat()));
            for at in 0..len {
                let mut other = key.clone();
                other[at] = b'x';
                assert!(!same_key(&key, &other), "{at} of {len}");
            }
        }
    }
}
