//! The bounded line reader: reads files and pipes into shared memory and splits them into batches of whole lines.
//!
//! It reads directly into a slot of the shared input region, and records the line numbers and byte offsets of each
//! batch. It counts lines itself, so the counts of a run do not depend on the workers' reports. A batch is sent as soon
//! as the input would block, so that a slow pipe gets its answers promptly. When all slots are in use, the reader
//! waits; this is the back-pressure. A line that does not fit into a slot is never held in memory. It is passed on as a
//! range of its file, or of a temporary file if it came through a pipe.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};

use super::input::{self, Feed, Format, Open};
use super::line_block::Slot;
pub use super::line_block::{FILL, Lines};
use super::shared::{Mapping, PAGE, pages};
use crate::config::InputFormat;

/// The most lines in a batch, so that small lines with slow code still spread over all workers.
const MAX_LINES: usize = 1024;

/// A line that is too long to hold in memory.
#[derive(Clone)]
pub struct Long {
    /// The file that contains it.
    pub source: Arc<File>,
    /// The offset of its first byte in `source`.
    pub start: u64,
    /// Its length in bytes, without the line end.
    pub len: u64,
    /// Its number in its file, from 1.
    pub line: u64,
    /// Its offset in its file.
    pub offset: u64,
    /// The index of the input, from 0.
    pub input: usize,
    /// Each long line keeps a file open, possibly a temporary one on disk, so at most one per slot may exist.
    _permit: Arc<Slot>,
}

impl Long {
    /// Returns a reader of the line's bytes.
    pub fn reader(&self) -> impl io::Read + '_ {
        LongReader { long: self, at: 0 }
    }
}

struct LongReader<'a> {
    long: &'a Long,
    at: u64,
}

impl io::Read for LongReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min((self.long.len - self.at) as usize);
        let n = self.long.source.read_at(&mut buffer[..most], self.long.start + self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// One result of the reader.
pub enum Piece {
    /// Lines in shared memory.
    Lines(Lines),
    /// One line that is longer than a slot.
    Long(Long),
}

/// Why reading ended before the end of the input.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {name}: {error}")]
pub struct ReadError {
    /// The input.
    pub name: String,
    /// The system's error.
    pub error: io::Error,
}

/// Reads inputs on its own thread.
pub struct Reader {
    memory: Arc<Mapping>,
    slot_len: usize,
    free: Receiver<usize>,
    give_back: Sender<usize>,
    stop: OwnedFd,
    carry: Vec<u8>,
}

impl Reader {
    /// Creates a reader into `memory`, which has `slots` slots of `slot_len` bytes. It ends early once
    /// `stop` is readable.
    pub fn new(memory: Arc<Mapping>, slot_len: usize, slots: usize, stop: OwnedFd) -> Self {
        let (give_back, free) = channel();
        for index in 0..slots {
            give_back.send(index).expect("the receiver is right here");
        }
        Self { memory, slot_len, free, give_back, stop, carry: Vec::new() }
    }

    /// Reads the inputs one after the other and passes every piece to `send`, which returns whether to continue.
    ///
    /// # Errors
    /// When an input cannot be read, or a long line cannot be stored. All lines before the error have been sent.
    pub fn run(mut self, inputs: Vec<Open>, send: &mut dyn FnMut(Piece) -> bool) -> Result<(), ReadError> {
        for (index, Open { name, source, format }) in inputs.into_iter().enumerate() {
            let done = source.open().and_then(|file| {
                self.carry.clear();
                let head = match self.head(&file, format)? {
                    Some(head) => head,
                    None => return Ok(false),
                };
                let packed = input::check_head(&head, format, &name)?;
                if packed.is_none() && format.input == InputFormat::Lines {
                    return self.one(index, &file, None, send);
                }
                let read = std::mem::take(&mut self.carry);
                let Feed { file, thread } = input::feed(read, file, packed, format, &name)?;
                self.one(index, &file, Some(thread), send)
            });
            match done {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return Err(ReadError { name, error }),
            }
        }
        Ok(())
    }

    /// Returns the first bytes of an input; `None` if reading should stop. Bytes that were read from a pipe are carried
    /// over to the first slot.
    fn head(&mut self, file: &File, format: Format) -> io::Result<Option<Vec<u8>>> {
        if format == Format::default() {
            return Ok(Some(Vec::new()));
        }
        let mut head = vec![0; input::HEAD_LEN];
        if file.metadata()?.is_file() {
            let at = (&*file).stream_position().unwrap_or(0);
            let read = file.read_at(&mut head, at)?;
            head.truncate(read);
            return Ok(Some(head));
        }
        let mut filled = 0;
        // The first piece of a pipe may be a single byte.
        while filled == 0 || input::is_undecided(&head[..filled], format) {
            if let Ready::Stop = self.wait(file.as_fd())? {
                return Ok(None);
            }
            match rustix::io::read(file, &mut head[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        head.truncate(filled);
        self.carry.clone_from(&head);
        Ok(Some(head))
    }

    fn one(
        &mut self,
        input: usize,
        file: &File,
        mut feed: Option<JoinHandle<io::Result<()>>>,
        send: &mut dyn FnMut(Piece) -> bool,
    ) -> io::Result<bool> {
        let fd = file.as_fd();
        // A larger pipe means fewer context switches between the processes at its ends. Not every kernel or
        // user may set this.
        let _ = rustix::pipe::fcntl_setpipe_size(fd, 1 << 20);
        let seekable = file.metadata().is_ok_and(|meta| meta.is_file());
        let start = if seekable { (&*file).stream_position().unwrap_or(0) } else { 0 };
        let mut at = start + self.carry.len() as u64;
        let mut place = LinePosition { input, line: 1, offset: start };
        let mut first = true;
        let mut fault = None;
        loop {
            let Some(mut slot) = self.slot() else { return Ok(false) };
            let mut filled = self.carry.len();
            // SAFETY: only this thread uses the slot until it is sent, and `carry` is shorter than a slot.
            unsafe { std::ptr::copy_nonoverlapping(self.carry.as_ptr(), self.memory.at(slot.start, filled), filled) };
            let mut searched = filled;
            // The bytes read together with the end of a long line may already contain whole lines.
            let mut last_end = memchr::memrchr(b'\n', &self.carry).map(|i| i + 1);
            let mut eof = false;
            let mut stopped = false;
            let may_leave = |filled, last_end: Option<usize>| last_end.is_some() && filled >= FILL;
            while !eof
                && filled < self.slot_len
                && !may_leave(filled, last_end)
                && (last_end.is_none() || self.more_now(fd)?)
            {
                if let Ready::Stop = self.wait(fd)? {
                    stopped = true;
                    break;
                }
                let room = if filled < FILL { FILL - filled } else { self.slot_len - filled }.min(1 << 20);
                // SAFETY: as above; the range lies inside the slot.
                let buffer = unsafe { std::slice::from_raw_parts_mut(self.memory.at(slot.start + filled, room), room) };
                let n = match rustix::io::read(fd, buffer) {
                    Ok(n) => n,
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                    Err(error) => return Err(error.into()),
                };
                eof = n == 0;
                if eof && let Some(feed) = feed.take() {
                    fault = feed.join().unwrap_or_else(|_| Err(io::Error::other("it cannot be read"))).err();
                }
                at += n as u64;
                filled += n;
                let bytes = self.bytes(&slot, 0, filled);
                last_end = memchr::memrchr(b'\n', &bytes[searched..]).map(|i| searched + i + 1).or(last_end);
                searched = filled;
            }
            let bytes = self.bytes(&slot, 0, filled);
            let mut start = 0;
            if first && bytes.starts_with(b"\xEF\xBB\xBF") {
                // A byte order mark belongs to the file, not to its first event.
                start = 3;
                place.offset += 3;
            }
            first = false;
            // A fragment that was cut off by a read error is not a line.
            let end = if eof && fault.is_none() { filled } else { last_end.unwrap_or(0).max(start) };
            if end == start && filled == self.slot_len {
                let done = self.long(file, seekable, &mut at, (slot, start), &mut place, send)?;
                if !done {
                    return Ok(false);
                }
                continue;
            }
            self.carry = bytes[end.min(filled)..].to_vec();
            slot.len = filled;
            let slot = Arc::new(slot);
            if !self.send(slot, start, end, &mut place, send) {
                return Ok(false);
            }
            if let Some(fault) = fault {
                return Err(fault);
            }
            if eof || stopped {
                return Ok(eof);
            }
        }
    }

    /// Sends the lines between `start` and `end` of a slot, in batches.
    fn send(
        &self,
        slot: Arc<Slot>,
        start: usize,
        end: usize,
        place: &mut LinePosition,
        send: &mut dyn FnMut(Piece) -> bool,
    ) -> bool {
        let mut at = start;
        while at < end {
            let bytes = self.bytes(&slot, at, end);
            let mut count = 0;
            let mut len = bytes.len();
            for newline in memchr::memchr_iter(b'\n', bytes) {
                count += 1;
                if count == MAX_LINES {
                    len = newline + 1;
                    break;
                }
            }
            // The last line of a file may have no line end.
            if bytes[len - 1] != b'\n' {
                count += 1;
            }
            let lines = Lines {
                slot: slot.clone(),
                start: slot.start + at,
                len,
                count: count as u64,
                first_line: place.line,
                offset: place.offset,
                input: place.input,
            };
            place.line += count as u64;
            place.offset += len as u64;
            at += len;
            if !send(Piece::Lines(lines)) {
                return false;
            }
        }
        true
    }

    /// Finds the end of a line that has filled a slot.
    fn long(
        &mut self,
        file: &File,
        seekable: bool,
        at: &mut u64,
        (slot, from): (Slot, usize),
        place: &mut LinePosition,
        send: &mut dyn FnMut(Piece) -> bool,
    ) -> io::Result<bool> {
        let fd = file.as_fd();
        let mut spool = if seekable { None } else { Some(tempfile::tempfile()?) };
        let head = self.bytes(&slot, from, self.slot_len);
        let mut len = head.len() as u64;
        if let Some(spool) = spool.as_mut() {
            spool.write_all(head)?;
        }
        // The slot is empty from here on. It is still held, to limit the number of long lines.
        self.memory.release(slot.start, self.slot_len);
        let mut buffer = vec![0; FILL];
        let rest = loop {
            if let Ready::Stop = self.wait(fd)? {
                return Ok(false);
            }
            let n = match rustix::io::read(fd, &mut buffer) {
                Ok(n) => n,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                Err(error) => return Err(error.into()),
            };
            *at += n as u64;
            let end = memchr::memchr(b'\n', &buffer[..n]);
            let part = &buffer[..end.unwrap_or(n)];
            len += part.len() as u64;
            if let Some(spool) = spool.as_mut() {
                spool.write_all(part)?;
            }
            match end {
                Some(end) => break buffer[end + 1..n].to_vec(),
                None if n == 0 => break Vec::new(),
                None => {}
            }
        };
        let (source, start) = match spool {
            Some(spool) => (spool, 0),
            None => (file.try_clone()?, place.offset),
        };
        let long = Long {
            source: Arc::new(source),
            start,
            len,
            line: place.line,
            offset: place.offset,
            input: place.input,
            _permit: Arc::new(slot),
        };
        place.line += 1;
        place.offset += len + 1;
        self.carry = rest;
        Ok(send(Piece::Long(long)))
    }

    fn slot(&self) -> Option<Slot> {
        // `self` holds a sender, so `recv` only waits for a slot and never fails. After a stop, slots become free too.
        let index = self.free.recv().ok()?;
        let start = index * self.slot_len;
        Some(Slot { memory: self.memory.clone(), start, len: 0, index, free: self.give_back.clone() })
    }

    fn bytes<'a>(&self, slot: &Slot, from: usize, to: usize) -> &'a [u8] {
        // SAFETY: these bytes were read from the input before. They are not overwritten until the slot is free again,
        // which is after the last use of the slice: callers do not keep it longer than their slot.
        unsafe { std::slice::from_raw_parts(self.memory.at(slot.start + from, to - from), to - from) }
    }

    fn wait(&self, fd: BorrowedFd<'_>) -> io::Result<Ready> {
        loop {
            let mut fds = [PollFd::new(&fd, PollFlags::IN), PollFd::new(&self.stop, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) if fds[1].revents().contains(PollFlags::IN) => return Ok(Ready::Stop),
                Ok(_) => return Ok(Ready::Input),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn more_now(&self, fd: BorrowedFd<'_>) -> io::Result<bool> {
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        match poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(n) => Ok(n > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

enum Ready {
    Input,
    Stop,
}

/// The position of the next line in the input.
struct LinePosition {
    input: usize,
    line: u64,
    offset: u64,
}

/// Returns the size of an input slot for lines of at most `line` bytes.
pub fn slot_len(line: usize) -> usize {
    pages(line + 2 * FILL).max(PAGE)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::OwnedFd;

    use proptest::prelude::*;
    use rustix::event::{EventfdFlags, eventfd};

    use super::super::shared;
    use super::*;

    /// Reads `chunks` through a pipe and returns the pieces: bytes, line number, offset, and whether it is a long line.
    fn pieces(chunks: Vec<Vec<u8>>, line: usize) -> Vec<(Vec<u8>, u64, u64, bool)> {
        let slot = slot_len(line);
        let (_fd, memory) = shared::create("test", slot * 2, true).unwrap();
        let stop = eventfd(0, EventfdFlags::empty()).unwrap();
        let reader = Reader::new(Arc::new(memory), slot, 2, stop);
        let (out, mut into) = std::io::pipe().unwrap();
        let feed = std::thread::spawn(move || chunks.iter().for_each(|chunk| into.write_all(chunk).unwrap()));
        let mut found = Vec::new();
        let input = Open::lines("test".into(), File::from(OwnedFd::from(out)));
        reader
            .run(vec![input], &mut |piece| {
                match piece {
                    Piece::Lines(lines) => {
                        let each = lines.bytes().split_inclusive(|b| *b == b'\n');
                        let mut offset = lines.offset;
                        let mut count = 0;
                        for (index, line) in each.enumerate() {
                            found.push((line.to_vec(), lines.first_line + index as u64, offset, false));
                            assert_eq!(lines.part(index as u64, 1).bytes(), line);
                            offset += line.len() as u64;
                            count += 1;
                        }
                        assert_eq!(count, lines.count);
                    }
                    Piece::Long(long) => {
                        let mut bytes = Vec::new();
                        long.reader().read_to_end(&mut bytes).unwrap();
                        found.push((bytes, long.line, long.offset, true));
                    }
                }
                true
            })
            .unwrap();
        feed.join().unwrap();
        found
    }

    #[test]
    fn a_byte_order_mark_is_only_skipped_at_the_start() {
        let found = pieces(vec![b"\xEF\xBB\xBF{}\n\xEF\xBB\xBF{}\n".to_vec()], 100);
        assert_eq!(found[0], (b"{}\n".to_vec(), 1, 3, false));
        assert_eq!(found[1].0, b"\xEF\xBB\xBF{}\n");
    }

    #[test]
    fn a_short_line_between_two_long_ones_is_a_line_of_its_own() {
        let long = vec![b'x'; slot_len(100) + 1000];
        let input = [long.as_slice(), b"\n{}\n", &long, b"\n"].concat();
        let found = pieces(vec![input], 100);
        let lens: Vec<_> = found.iter().map(|(bytes, line, ..)| (*line, bytes.len())).collect();
        assert_eq!(lens, [(1, long.len()), (2, 3), (3, long.len())]);
    }

    #[test]
    fn whole_lines_that_were_read_before_the_stop_are_sent() {
        let slot = slot_len(100);
        let (_fd, memory) = shared::create("test", slot * 2, true).unwrap();
        let stop = eventfd(0, EventfdFlags::empty()).unwrap();
        let reader = Reader::new(Arc::new(memory), slot, 2, stop.try_clone().unwrap());
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; slot + 1000]).unwrap();
        file.write_all(b"\n{}\n{\"torn").unwrap();
        file.rewind().unwrap();
        let mut lines = Vec::new();
        // The long line comes first. The stop comes after the next line was read together with its end.
        let send = &mut |piece| {
            match piece {
                Piece::Long(_) => drop(rustix::io::write(&stop, &1u64.to_ne_bytes()).unwrap()),
                Piece::Lines(found) => lines.push(found.bytes().to_vec()),
            }
            true
        };
        reader.run(vec![Open::lines("test".into(), file)], send).unwrap();
        assert_eq!(lines, [b"{}\n"]);
    }

    #[test]
    fn a_line_longer_than_a_slot_is_told_as_a_range_and_the_next_line_is_whole() {
        let long = vec![b'x'; slot_len(100) + 5_000_000];
        let mut input = b"{\"a\":1}\n".to_vec();
        input.extend_from_slice(&long);
        input.extend_from_slice(b"\n{\"b\":2}");
        let found = pieces(vec![input], 100);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].0, b"{\"a\":1}\n");
        assert!(found[1].3 && found[1].0 == long);
        assert_eq!((found[1].1, found[1].2), (2, 8));
        assert_eq!(found[2], (b"{\"b\":2}".to_vec(), 3, 8 + long.len() as u64 + 1, false));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_byte_comes_out_once_and_in_order(
            lines in prop::collection::vec(prop::collection::vec(any::<u8>().prop_filter("line end", |b| *b != b'\n'), 0..200), 0..100),
            cuts in prop::collection::vec(1usize..500, 0..20),
            finished: bool,
        ) {
            let mut input = lines.join(&b'\n');
            if finished && !input.is_empty() { input.push(b'\n'); }
            let bom = if input.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
            let mut rest = input.as_slice();
            let mut chunks = Vec::new();
            for cut in cuts {
                let (chunk, tail) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk.to_vec());
                rest = tail;
            }
            chunks.push(rest.to_vec());
            let found = pieces(chunks, 100);
            let joined: Vec<u8> = found.iter().flat_map(|(bytes, ..)| bytes.clone()).collect();
            prop_assert_eq!(&joined, &input[bom..]);
            let mut offset = bom as u64;
            for (index, (bytes, line, at, _)) in found.iter().enumerate() {
                prop_assert_eq!((*line, *at), (index as u64 + 1, offset));
                offset += bytes.len() as u64;
            }
        }
    }
}
