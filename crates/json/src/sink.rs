//! The destination of outputs. The engine writes an event's outputs directly into memory chosen by the caller, a `Vec`
//! or a region shared with another process, without an intermediate copy.

/// A byte buffer that the engine appends to.
pub trait Sink {
    /// The number of bytes written so far.
    fn len(&self) -> usize;

    /// Whether nothing has been written yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes everything after the first `len` bytes.
    fn truncate(&mut self, len: usize);

    /// Appends `bytes`.
    fn push(&mut self, bytes: &[u8]);

    /// Appends at most `max` bytes through `write`, which gets a zeroed or stale buffer and returns how many bytes it
    /// wrote. A correct implementation passes a buffer of `max` bytes; `write` must not rely on that for memory safety.
    fn append_with(&mut self, max: usize, write: &mut dyn FnMut(&mut [u8]) -> usize);
}

impl Sink for Vec<u8> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn truncate(&mut self, len: usize) {
        Vec::truncate(self, len);
    }

    fn push(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn append_with(&mut self, max: usize, write: &mut dyn FnMut(&mut [u8]) -> usize) {
        let start = Vec::len(self);
        self.resize(start + max, 0);
        let wrote = write(&mut self[start..]);
        debug_assert!(wrote <= max);
        Vec::truncate(self, start + wrote);
    }
}
