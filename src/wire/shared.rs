//! Memory that is shared by two processes, so that an event is read once from the pipe, written once to it, and not
//! copied in between.
//!
//! The supervisor writes the input region, which is sealed against all other writers: a faulty worker cannot change
//! the input of another worker or the text of a dead letter. Each output region belongs to one worker. The supervisor
//! reads only ranges of it that a frame has named, after checking every length. No region can be resized, so neither
//! side can make the other one fault. Regions are sparse: a slot is as large as the longest allowed line, but only
//! used pages take memory.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

/// The page size; the size of every region and slot is a multiple of it.
pub const PAGE: usize = 4096;

/// Rounds up to a multiple of the page size.
pub fn pages(bytes: usize) -> usize {
    bytes.div_ceil(PAGE) * PAGE
}

/// A mapping of shared memory. Access is through raw pointers, because another process may write to it at any time.
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is an address range. The protocol decides who may access which part of it when, see the module.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `fd`.
    pub fn new(fd: impl AsFd, len: usize, writable: bool) -> io::Result<Self> {
        let prot = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a new mapping at an address that the kernel chooses does not alias anything.
        let start = unsafe { mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, fd, 0)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    /// Returns the address of the byte at `offset`, for access to `len` bytes from there.
    ///
    /// # Panics
    /// If the range does not lie inside the mapping.
    pub fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len), "outside of the shared memory");
        // SAFETY: just checked.
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// Unmaps the whole pages of a range from this process, because pages that it has read count as its own memory.
    /// Their content stays.
    pub fn forget(&self, offset: usize, len: usize) {
        let (start, end) = (pages(offset), (offset + len) / PAGE * PAGE);
        if start < end {
            // SAFETY: these are whole pages inside a shared mapping, and the next access reads them from the shared
            // memory again. If the kernel refuses, it keeps them, which only costs memory.
            let _ = unsafe { madvise(self.at(start, end - start).cast(), end - start, Advice::LinuxDontNeed) };
        }
    }

    /// Returns the pages of a range to the kernel; they read as zeros afterwards.
    pub fn release(&self, offset: usize, len: usize) {
        if len > 0 {
            // SAFETY: the callers pass page-aligned ranges inside the mapping, and losing the content is intended. If
            // the kernel refuses, it keeps the pages, which only costs memory.
            let _ = unsafe { madvise(self.at(offset, len).cast(), len, Advice::LinuxRemove) };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and unmapped once.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Creates shared memory of `len` bytes and maps it. `mine` seals it, so that no other process can map it writable.
pub fn create(name: &str, len: usize, mine: bool) -> io::Result<(OwnedFd, Mapping)> {
    let fd = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&fd, len as u64)?;
    let mapping = Mapping::new(&fd, len, mine)?;
    let mut seals = SealFlags::SHRINK | SealFlags::GROW;
    if mine {
        seals |= SealFlags::FUTURE_WRITE;
    }
    fcntl_add_seals(&fd, seals | SealFlags::SEAL)?;
    Ok((fd, mapping))
}

/// The first page of a worker's output region: what the supervisor can read from a worker that no longer answers. Its
/// contents are hints. The supervisor only relies on them if a fresh worker confirms them.
#[repr(C)]
pub struct Progress {
    /// The number of started events.
    pub events: AtomicU64,
    /// The current unit, see `frame::Work`.
    pub unit: AtomicU64,
    /// The current line, from 0, within the unit.
    pub line: AtomicU32,
    /// One of the constants in `note`.
    pub note: AtomicU32,
}

/// The state that a worker records before it dies.
pub mod note {
    /// No note.
    pub const NONE: u32 = 0;
    /// The current event exceeded its time limit and cannot be stopped from within.
    pub const STUCK: u32 = 1;
}

/// The layout of both regions. The supervisor chooses it and sends it to the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layout {
    /// The size of an input slot, in bytes.
    pub input_slot: usize,
    /// The number of input slots.
    pub input_slots: usize,
    /// The size of an output slot, in bytes. The largest output of one event fits after the outputs of a full batch.
    pub output_slot: usize,
    /// The number of output slots per worker.
    pub output_slots: usize,
}

impl Layout {
    /// Returns the size of the input region, in bytes.
    pub fn input_len(&self) -> usize {
        self.input_slot * self.input_slots
    }

    /// Returns the size of an output region, in bytes, including its [`Progress`] page.
    pub fn output_len(&self) -> usize {
        PAGE + self.output_slot * self.output_slots
    }

    /// Returns the offset of an output slot.
    pub fn output_start(&self, slot: usize) -> usize {
        PAGE + self.output_slot * slot
    }
}

/// Returns the progress page of an output region.
pub fn progress(output: &Mapping) -> &Progress {
    // SAFETY: the page lives as long as the mapping, is aligned, starts as zeros, and is only accessed as atomics.
    unsafe { &*output.at(0, PAGE).cast::<Progress>() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_region_cannot_be_mapped_writable_or_resized() {
        let (fd, mine) = create("test", PAGE, true).unwrap();
        // SAFETY: one byte inside the mapping.
        unsafe { *mine.at(10, 1) = 7 };
        assert!(Mapping::new(&fd, PAGE, true).is_err());
        assert!(ftruncate(&fd, 0).is_err());
        let theirs = Mapping::new(&fd, PAGE, false).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { *theirs.at(10, 1) }, 7);
    }

    #[test]
    #[should_panic(expected = "outside")]
    fn a_range_beyond_the_end_is_refused() {
        let (_fd, mapping) = create("test", PAGE, true).unwrap();
        mapping.at(PAGE, 1);
    }
}
