//! Writes a worker's outputs to slots of the shared region, and reports them in parts.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{MAX_PENDING, Worker, thread_cpu};
use crate::wire::frame::{Part, Work};
use crate::wire::lines::FILL;
use crate::wire::shared::progress;
use sluicegate_json::Sink;

/// An output slot of the shared region as a buffer.
pub(super) struct ShmSink {
    pub(super) start: *mut u8,
    pub(super) capacity: usize,
    pub(super) len: usize,
    pub(super) slot: Option<u32>,
}

impl Sink for ShmSink {
    fn len(&self) -> usize {
        self.len
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    fn push(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.capacity - self.len, "an event's output is limited to less than a slot");
        // SAFETY: the length was just checked. The slot belongs to this process until it is reported.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.add(self.len), bytes.len()) };
        self.len += bytes.len();
    }

    fn append_with(&mut self, max: usize, write: &mut dyn FnMut(&mut [u8]) -> usize) {
        assert!(max <= self.capacity - self.len, "an event's output is limited to less than a slot");
        // SAFETY: as above.
        let wrote = write(unsafe { std::slice::from_raw_parts_mut(self.start.add(self.len), max) });
        debug_assert!(wrote <= max);
        self.len += wrote.min(max);
    }
}

impl ShmSink {
    /// Inserts bytes at `at`.
    pub(super) fn insert(&mut self, at: usize, bytes: &[u8]) {
        let end = self.len;
        self.push(bytes);
        // SAFETY: the range lies in the written part of the slot, which belongs to this process until it is reported.
        let written = unsafe { std::slice::from_raw_parts_mut(self.start, end + bytes.len()) };
        written[at..].rotate_right(bytes.len());
    }
}

impl Worker {
    /// Records the current line and makes room for its output.
    pub(super) fn begin(&mut self, number: u32) -> io::Result<()> {
        self.make_room_here()?;
        let progress = progress(self.output);
        progress.line.store(number, Ordering::Relaxed);
        progress.events.store(progress.events.load(Ordering::Relaxed) + 1, Ordering::Release);
        Ok(())
    }

    /// Makes room for the output of a line of this unit.
    pub(super) fn make_room(&mut self, work: Work) -> io::Result<()> {
        if self.part.unit != work.unit {
            self.tell()?;
            self.part = Part { unit: work.unit, ..Part::default() };
        }
        self.make_room_here()
    }

    pub(super) fn make_room_here(&mut self) -> io::Result<()> {
        let ticks = sluicegate_engine::ticks();
        // The supervisor ends a run at the first failure, so no line may follow a failure in a part.
        let failed = self.stop && !self.part.failures.is_empty();
        let due = self.line_buffered || failed || ticks != self.report_tick;
        if self.part.lines > 0 && (due || self.sink.len >= FILL || self.pending + self.part.logs.len() >= MAX_PENDING) {
            self.report_tick = ticks;
            self.tell()?;
        }
        while self.sink.slot.is_none() {
            // The most recently freed slot may still be in the processor's cache.
            let free = self.mailbox.borrow_mut().free.pop();
            match free {
                Some(slot) => {
                    let start = self.layout.output_start(slot as usize);
                    let capacity = self.layout.output_slot;
                    self.sink = ShmSink { start: self.output.at(start, capacity), capacity, len: 0, slot: Some(slot) };
                }
                None => {
                    if !self.mailbox.borrow_mut().receive()? {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                }
            }
        }
        Ok(())
    }

    /// Reports the settled lines to the supervisor.
    pub(super) fn tell(&mut self) -> io::Result<()> {
        self.mailbox.borrow_mut().flush()?;
        if self.part.lines == 0 {
            return Ok(());
        }
        let cpu = thread_cpu();
        self.part.cpu = (cpu - self.cpu).as_nanos() as u64;
        self.cpu = cpu;
        if self.rows {
            self.part.heap = self.engine.heap_used() as u64;
        }
        let repeated = self.engine.repeated_requests();
        self.part.repeated = repeated - std::mem::replace(&mut self.repeated, repeated);
        self.part.bytes = self.sink.len as u64;
        if self.part.holds_slot() {
            self.part.slot = self.sink.slot.take().unwrap_or_default();
            self.sink.len = 0;
        }
        let mut out = std::mem::take(&mut self.frame);
        out.clear();
        self.part.put(&mut out);
        self.may_give_back = true;
        self.last_report = Instant::now();
        let written = (&mut &*self.socket).write_all(&out);
        self.frame = out;
        let unit = self.part.unit;
        self.part = Part { unit, ..Part::default() };
        self.pending = 0;
        written
    }
}
