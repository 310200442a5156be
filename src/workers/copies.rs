//! Copies of worker output in the supervisor's own memory.
//!
//! A compromised worker can change its memory at any time. A copy made before the check can't change after it: the
//! writer doesn't check it again, and the worker gets its slot back at once.

use std::sync::{Arc, Mutex, PoisonError};

use crate::wire::lines::FILL;
use crate::wire::shared::Mapping;

/// The maximum number of copies at a time. Beyond it, output stays in the worker's slot, so that the worker waits
/// for a slow reader.
const MAX_COPIES: usize = 8;

/// The maximum length of an output that is copied, in bytes.
const MAX_LEN: usize = 2 * FILL;

/// Reusable buffers.
#[derive(Clone, Default)]
pub(super) struct Copies(Arc<Mutex<Buffers>>);

#[derive(Default)]
struct Buffers {
    /// Free buffers. The most recently returned one is last: it may still be in the processor's cache.
    free: Vec<Vec<u8>>,
    /// The number of buffers in use.
    used: usize,
}

/// A copy of an output. Dropping it returns its buffer.
pub(super) struct PrivateCopy {
    bytes: Vec<u8>,
    home: Copies,
}

impl Copies {
    /// Copies a range of a worker's memory. Returns `None` if the range is too long or all copies are in use.
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
        // SAFETY: the mapping contains the range (`at` checks it), the buffer has room for it, and the two don't
        // overlap. Another process may write to the range meanwhile, but the copied bytes are only read
        // afterwards, as plain bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(output.at(start, len), bytes.as_mut_ptr(), len);
            bytes.set_len(len);
        }
        Some(PrivateCopy { bytes, home: self.clone() })
    }
}

impl PrivateCopy {
    /// Returns the copied bytes.
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
        // SAFETY: inside the mapping, which nothing else uses.
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
