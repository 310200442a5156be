//! A batch of whole lines in shared memory, and the slot that holds it.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::shared::{Mapping, pages};

/// A slot is filled up to this size in bytes, while the input has data ready.
pub const FILL: usize = 256 << 10;

/// A slot of the input region. It is free again when the last batch in it is dropped.
pub struct Slot {
    pub(super) memory: Arc<Mapping>,
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) index: usize,
    pub(super) free: Sender<usize>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // The slot is large after a long line. Releasing its memory keeps memory use steady, at the cost of page faults
        // for the next long line.
        let keep = pages(2 * FILL);
        if self.len > keep {
            self.memory.release(self.start + keep, self.len - keep);
        }
        // The reader may have ended.
        let _ = self.free.send(self.index);
    }
}

/// Whole lines. Only the last one may lack a line end.
#[derive(Clone)]
pub struct Lines {
    pub(super) slot: Arc<Slot>,
    /// The offset of their first byte in the input region.
    pub start: usize,
    /// Their length in bytes.
    pub len: usize,
    /// The number of lines.
    pub count: u64,
    /// The number of the first line in its file, from 1.
    pub first_line: u64,
    /// The offset of the first byte in its file.
    pub offset: u64,
    /// The index of the input, from 0.
    pub input: usize,
}

impl Lines {
    /// Returns the bytes. Only this process can write to them, and it does not while a batch holds the slot.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the region is sealed against other writers, the reader fills a slot only while nothing else holds it,
        // and the slot lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.slot.memory.at(self.start, self.len), self.len) }
    }

    /// Returns each line separately, starting with number `from` (counted from 0).
    pub fn each(&self, from: u64) -> impl Iterator<Item = Lines> {
        let rest = self.part(from, self.count - from);
        let mut start = 0;
        (0..rest.count).map(move |number| {
            let bytes = rest.bytes();
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at + 1);
            let line = Lines {
                slot: rest.slot.clone(),
                start: rest.start + start,
                len: end - start,
                count: 1,
                first_line: rest.first_line + number,
                offset: rest.offset + start as u64,
                input: rest.input,
            };
            start = end;
            line
        })
    }

    /// Returns `count` lines, starting with number `from` (counted from 0).
    pub fn part(&self, from: u64, count: u64) -> Lines {
        let bytes = self.bytes();
        let nth = |n: u64| match n {
            0 => 0,
            n if n >= self.count => bytes.len(),
            n => memchr::memchr_iter(b'\n', bytes).nth(n as usize - 1).map_or(bytes.len(), |end| end + 1),
        };
        let (start, end) = (nth(from), nth(from + count));
        Lines {
            slot: self.slot.clone(),
            start: self.start + start,
            len: end - start,
            count,
            first_line: self.first_line + from,
            offset: self.offset + start as u64,
            input: self.input,
        }
    }
}
