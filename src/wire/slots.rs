//! Slots of the shared input region. The owner of a slot may fill it, and the slot is free again when the last lines in
//! it are dropped. The reader fills slots from files and pipes; [`Slots`] is for events that are already in memory.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::line_block::{Lines, Slot};
use super::shared::Mapping;

/// All slots of a region.
pub struct Slots {
    memory: Arc<Mapping>,
    slot_len: usize,
    /// The free slots. The most recently returned slot is last: it may still be in the processor's cache.
    free: Vec<usize>,
    given_back: Receiver<usize>,
    give_back: Sender<usize>,
}

impl Slots {
    /// Creates the slots of `memory`, all of them free: `count` slots of `slot_len` bytes.
    pub fn new(memory: Arc<Mapping>, slot_len: usize, count: usize) -> Self {
        let (give_back, given_back) = channel();
        Self { memory, slot_len, free: (0..count).collect(), given_back, give_back }
    }

    /// Releases the memory of the free slots.
    pub fn trim(&mut self) {
        self.free.extend(self.given_back.try_iter());
        for index in &self.free {
            self.memory.release(index * self.slot_len, self.slot_len);
        }
    }

    /// Takes a free slot, if there is one.
    pub fn take(&mut self) -> Option<Filling> {
        self.free.extend(self.given_back.try_iter());
        let index = self.free.pop()?;
        let start = index * self.slot_len;
        let slot = Slot { memory: self.memory.clone(), start, len: 0, index, free: self.give_back.clone() };
        Some(Filling { slot, room: self.slot_len, count: 0 })
    }
}

/// A slot that is being filled.
pub struct Filling {
    slot: Slot,
    room: usize,
    count: u64,
}

impl Filling {
    /// Returns the number of bytes that still fit.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Returns the number of bytes in the slot.
    pub fn len(&self) -> usize {
        self.slot.len
    }

    /// Returns whether the slot is empty.
    pub fn is_empty(&self) -> bool {
        self.slot.len == 0
    }

    /// Returns the number of lines in the slot.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Appends a part of a line. Replaces line ends in it with blanks: the text is JSON, in which line ends can
    /// only be white space.
    ///
    /// # Panics
    /// When it does not fit.
    pub fn push(&mut self, bytes: &[u8]) {
        let here = self.copy(bytes);
        let mut from = 0;
        while let Some(at) = memchr::memchr2(b'\n', b'\r', &here[from..]) {
            here[from + at] = b' ';
            from += at + 1;
        }
    }

    /// Appends text that contains no line ends.
    ///
    /// # Panics
    /// When it does not fit.
    #[inline]
    pub fn push_plain(&mut self, bytes: &[u8]) {
        let here = self.copy(bytes);
        debug_assert!(memchr::memchr2(b'\n', b'\r', here).is_none());
    }

    #[inline]
    fn copy(&mut self, bytes: &[u8]) -> &mut [u8] {
        assert!(bytes.len() <= self.room, "a line is limited to less than a slot");
        let to = self.slot.memory.at(self.slot.start + self.slot.len, bytes.len());
        self.slot.len += bytes.len();
        self.room -= bytes.len();
        // SAFETY: the range lies inside the slot, which has no other user until it is finished.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
            std::slice::from_raw_parts_mut(to, bytes.len())
        }
    }

    /// Ends a line.
    ///
    /// # Panics
    /// When the line end does not fit.
    pub fn end_line(&mut self) {
        assert!(self.room > 0, "a line is limited to less than a slot");
        // SAFETY: as above.
        unsafe { *self.slot.memory.at(self.slot.start + self.slot.len, 1) = b'\n' };
        self.slot.len += 1;
        self.room -= 1;
        self.count += 1;
    }

    /// Returns the lines for the workers. They belong to the input with this number and are numbered from `first_line`.
    pub fn finish(self, input: usize, first_line: u64) -> Lines {
        let (start, len) = (self.slot.start, self.slot.len);
        Lines { slot: Arc::new(self.slot), start, len, count: self.count, first_line, offset: 0, input }
    }
}

#[cfg(test)]
mod tests {
    use super::super::line_block::FILL;
    use super::super::shared::{create, pages};
    use super::*;

    #[test]
    fn a_slot_is_free_again_when_its_lines_are_dropped() {
        let (_fd, memory) = create("test", 2 * pages(FILL), true).unwrap();
        let mut slots = Slots::new(Arc::new(memory), pages(FILL), 2);
        let (mut one, two) = (slots.take().unwrap(), slots.take().unwrap());
        assert!(slots.take().is_none() && two.is_empty());
        one.push(b"{\"a\":\n1,\r\n");
        one.push(b"\"b\":2}");
        one.end_line();
        one.push(b"{}");
        one.end_line();
        let lines = one.finish(3, 7);
        assert_eq!(lines.bytes(), b"{\"a\": 1,  \"b\":2}\n{}\n");
        assert_eq!((lines.count, lines.input, lines.part(1, 1).first_line), (2, 3, 8));
        drop(lines);
        assert!(slots.take().is_some());
    }
}
