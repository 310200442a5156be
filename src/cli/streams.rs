//! The state of the standard streams at the start of the process.

use std::sync::atomic::{AtomicBool, Ordering};

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before the standard library, which opens `/dev/null` for a standard stream that is closed. Afterwards the two
/// cases look the same, and all output would be lost without an error.
#[used]
// SAFETY: the section contains pointers to functions that the loader calls before `main`, and this one has their type.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: reads a descriptor's flags and needs nothing that is initialized later.
    let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
    STDOUT_WAS_CLOSED.store(closed, Ordering::Relaxed);
}

/// Whether standard output was closed when the process started.
pub fn stdout_was_closed() -> bool {
    // Without this, the linker may drop the pointer.
    std::hint::black_box(&LOOK);
    STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
}
