//! The keys of an object and of all objects in it, without anything else.

use crate::simd::skip_space;

/// The keys of a text in order, each in its quotes, and the brackets around them: `{"a""b"[{"c"}]}` of
/// `{"a":1,"b":[{"c":"x"}]}`. No key has an escape, so a key ends at its second quote, and two texts with the same skeleton have
/// the same keys in the same objects. Found by [`crate::validator`]. Its memory is reused.
#[derive(Default)]
pub struct KeySkeleton {
    pub(crate) bytes: Vec<u8>,
}

impl KeySkeleton {
    /// The skeleton as it is described above.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a key, which is given without its quotes.
    #[inline]
    pub(crate) fn push_key(&mut self, key: &[u8]) {
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(key);
        self.bytes.push(b'"');
    }
}

/// Which bytes of a block belong to a skeleton: a key stands behind the brace or comma that makes it one, with nothing but white
/// space between them.
#[derive(Default)]
pub(crate) struct KeyBytes {
    /// The braces and commas of the block that have a key behind them, as far as they are known.
    pub(crate) before: u64,
    /// 1 if the block before ended with such a byte, and white space behind it.
    next: u64,
    /// 1 if the block before ended inside of a key.
    inside: u64,
}

impl KeyBytes {
    /// The bytes of keys with both of their quotes. `in_string` are the bytes of strings without the closing quotes, `opening`
    /// the opening quotes, `space` is white space between tokens. To be called once for each block, when all of `before` is known.
    #[inline(always)]
    pub(crate) fn take(&mut self, in_string: u64, opening: u64, space: u64) -> u64 {
        let (behind, over) = skip_space(self.before << 1 | self.next, space);
        let starts = behind & opening;
        self.next = std::mem::take(&mut self.before) >> 63 | over;
        // The sum carries from the opening quote of a key to its closing quote, and changes these and all bits between them.
        let (sum, over) = in_string.overflowing_add(starts | self.inside);
        self.inside = u64::from(over);
        in_string ^ sum
    }

    /// The same for a block that is wholly inside of a string.
    #[inline(always)]
    pub(crate) fn in_string(&self) -> u64 {
        self.inside.wrapping_neg()
    }
}

/// Whether two keys are the same. Most have up to sixteen bytes: they are compared without a call.
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
