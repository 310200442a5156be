//! The state of the standard streams at the start of the process.

use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

/// Runs before the standard library's startup code, which opens `/dev/null` for a closed standard
/// stream. After that the two cases look the same, and all output would be lost without an error.
#[used]
// SAFETY: the section contains pointers to functions that the loader calls before `main`, and this one has their type.
#[unsafe(link_section = ".init_array")]
static RECORD: extern "C" fn() = record;

extern "C" fn record() {
    for (descriptor, was_closed) in (0..).zip(&WAS_CLOSED) {
        // SAFETY: reads a descriptor's flags and needs nothing that is initialized later.
        let closed = unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1;
        was_closed.store(closed, Ordering::Relaxed);
    }
}

/// A standard stream.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// Standard input.
    Input,
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Returns whether a standard stream was closed when the process started.
pub fn was_closed(stream: Stream) -> bool {
    // Without this use, the linker may drop the pointer.
    std::hint::black_box(&RECORD);
    WAS_CLOSED[stream as usize].load(Ordering::Relaxed)
}
