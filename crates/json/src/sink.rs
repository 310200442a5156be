//! Where outputs go. The engine writes an event's outputs straight into memory that the caller chose, a `Vec` or a
//! region shared with another process, so that no copy lies in between.

/// A byte buffer that the engine appends to.
pub trait Sink {
    /// Bytes written so far.
    fn len(&self) -> usize;

    /// Whether nothing has been written yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes back everything after the first `len` bytes.
    fn truncate(&mut self, len: usize);

    /// Appends `bytes`.
    fn push(&mut self, bytes: &[u8]);

    /// Appends at most `max` bytes through `write`, which gets a zeroed or stale buffer and says how many bytes of it it
    /// wrote. A correct implementation gives a buffer of `max` bytes; `write` must not rely on that for memory safety.
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
