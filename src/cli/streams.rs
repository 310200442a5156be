//! What this process was started with.

use std::sync::atomic::{AtomicBool, Ordering};

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before the standard library, which puts `/dev/null` where a standard stream is closed: after that nothing tells the two
/// apart, and all output would be lost without a word.
#[used]
// SAFETY: the section holds pointers to functions that the loader calls before `main`, and this is one of their type.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: it asks for a descriptor's flags and needs nothing that is set up later.
    let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
    STDOUT_WAS_CLOSED.store(closed, Ordering::Relaxed);
}

/// Whether standard output was closed when the process started.
pub fn stdout_was_closed() -> bool {
    // Without this the linker may leave the pointer out.
    std::hint::black_box(&LOOK);
    STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
}
