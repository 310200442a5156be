//! Outputs in memory of the supervisor's own.
//!
//! A worker that has been taken over can change what stands in its memory at any time. What is copied before it is checked
//! can't be changed any more: the writer need not look at it again, and the worker has its slot back at once.

use std::sync::{Arc, Mutex, PoisonError};

use crate::wire::lines::FILL;
use crate::wire::shared::Mapping;

/// At most so many copies are there at a time. A worker's output stays in its slot beyond that, so that it waits for a slow reader.
const MAX_COPIES: usize = 8;

/// A longer output is not copied.
const MAX_LEN: usize = 2 * FILL;

/// Buffers that are used again and again.
#[derive(Clone, Default)]
pub(super) struct Copies(Arc<Mutex<Buffers>>);

#[derive(Default)]
struct Buffers {
    /// Those that are free, the one that was given back last at the end: it may still be in the processor's cache.
    free: Vec<Vec<u8>>,
    /// How many are in use.
    used: usize,
}

/// A copy of an output; its buffer is free again when it is dropped.
pub(super) struct PrivateCopy {
    bytes: Vec<u8>,
    home: Copies,
}

impl Copies {
    /// Copies a range of a worker's memory, unless it is too long or there are enough copies.
    pub(super) fn copy(&self, output: &Mapping, start: usize, len: usize) -> Option<PrivateCopy> {
        if len > MAX_LEN {
            return None;
        }
        let mut bytes = {
            let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if buffers.used == MAX_COPIES {
                return None;
            }
            buffers.used += 1;
            buffers.free.pop().unwrap_or_default()
        };
        bytes.reserve_exact(len);
        // SAFETY: the mapping has the range (`at` sees to it), the buffer has room for it, and they are different memory. Another
        // process may write to the range meanwhile: whatever is copied is just bytes, which are looked at only afterwards.
        unsafe {
            std::ptr::copy_nonoverlapping(output.at(start, len), bytes.as_mut_ptr(), len);
            bytes.set_len(len);
        }
        Some(PrivateCopy { bytes, home: self.clone() })
    }
}

impl PrivateCopy {
    /// What was copied.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut buffers = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.used -= 1;
        buffers.free.push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::shared::{PAGE, create};

    #[test]
    fn what_is_copied_stays_as_it_is() {
        let (_fd, output) = create("test", PAGE, true).unwrap();
        // SAFETY: inside of the mapping, which nothing else has.
        let write = |bytes: &[u8; 3]| unsafe { output.at(5, 3).copy_from_nonoverlapping(bytes.as_ptr(), 3) };
        write(b"{}\n");
        let copy = Copies::default().copy(&output, 5, 3).unwrap();
        write(b"[]\n");
        assert_eq!(copy.bytes(), b"{}\n");
    }

    #[test]
    fn there_are_only_so_many_copies_and_none_is_long() {
        let (_fd, output) = create("test", MAX_LEN + PAGE, true).unwrap();
        let copies = Copies::default();
        assert!(copies.copy(&output, 0, MAX_LEN + 1).is_none());
        let mut all: Vec<_> = (0..MAX_COPIES).map(|_| copies.copy(&output, 0, MAX_LEN).unwrap()).collect();
        assert!(copies.copy(&output, 0, 1).is_none());
        all.pop();
        assert!(copies.copy(&output, 0, 1).is_some());
    }
}
