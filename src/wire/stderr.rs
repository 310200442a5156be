//! Writes to standard error, for hosts that may not read it.
//!
//! A host that starts this program and never reads the pipe would block the run as soon as the pipe is full. So
//! no write waits forever: bytes that are not read within `PATIENCE` are not written, and the caller learns how
//! many bytes were.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;

/// How long the reader may pause.
const PATIENCE: Duration = Duration::from_secs(1);

/// A pipe with room accepts this many bytes without blocking: `PIPE_BUF`.
const PIECE: usize = 4096;

/// Whether a wait for the reader has failed. Later writes do not wait again.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// A write that standard error did not fully accept.
#[derive(Debug)]
pub struct Unwritten {
    /// The number of bytes that were written.
    pub taken: usize,
    /// The system's error; `None` if the reader does not read.
    pub error: Option<io::Error>,
}

/// Writes a message, for example the last one of a run. Ignores errors, because there is no other place
/// for the message.
pub fn say(bytes: &[u8]) {
    let _ = write(bytes, 0);
}

/// Writes output that may be large. It leaves half of the pipe free for messages.
///
/// # Errors
/// When not all of it was written.
pub fn write_many(bytes: &[u8]) -> Result<(), Unwritten> {
    let capacity = rustix::pipe::fcntl_getpipe_size(io::stderr()).unwrap_or(0);
    write(bytes, capacity)
}

/// An [`io::Write`] that fails once the reader has been given up; otherwise like [`write_many`].
pub struct StderrWriter;

impl Write for StderrWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match write_many(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(Unwritten { taken: 0, error }) => {
                Err(error.unwrap_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "standard error is not read")))
            }
            Err(Unwritten { taken, .. }) => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to standard error. `capacity` is the size of the pipe if half of it should stay free, otherwise 0.
fn write(bytes: &[u8], capacity: usize) -> Result<(), Unwritten> {
    let stderr = io::stderr().lock();
    let kind = rustix::fs::fstat(&stderr).map(|stat| FileType::from_raw_mode(stat.st_mode));
    // A person may have paused the output of a terminal, and will continue it later.
    let may_block = !matches!(kind, Ok(FileType::Fifo | FileType::Socket));
    let mut taken = 0;
    while taken < bytes.len() {
        let piece = if may_block { &bytes[taken..] } else { &bytes[taken..bytes.len().min(taken + PIECE)] };
        if !may_block && !has_room(&stderr, piece.len(), capacity) {
            return Err(Unwritten { taken, error: None });
        }
        match rustix::io::write(&stderr, piece) {
            Ok(n) => taken += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => drop(poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None)),
            Err(error) => return Err(Unwritten { taken, error: Some(error.into()) }),
        }
    }
    Ok(())
}

/// Waits until a piece can be written without blocking. Returns `false` if the reader does not read in time.
fn has_room(stderr: &impl AsFd, piece: usize, capacity: usize) -> bool {
    // Pieces slightly larger than half a page may occupy a whole page each.
    let most = (capacity / 2).saturating_sub(2 * PIECE);
    let mut unread_before = u64::MAX;
    let mut since = Instant::now();
    loop {
        let given_up = GIVEN_UP.load(Ordering::Relaxed);
        let left = if given_up { Duration::ZERO } else { PATIENCE.saturating_sub(since.elapsed()) };
        let unread = if capacity > 0 { rustix::io::ioctl_fionread(stderr).unwrap_or(0) } else { 0 };
        let crowded = unread > 0 && unread + piece as u64 > most as u64;
        if !crowded {
            let mut fds = [PollFd::new(stderr, PollFlags::OUT)];
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut fds, Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => continue,
                // The write itself reports the error.
                Ok(1..) | Err(_) => return true,
                Ok(0) => {}
            }
        } else if unread < unread_before {
            (unread_before, since) = (unread, Instant::now());
            if !given_up {
                std::thread::sleep(Duration::from_micros(200));
                continue;
            }
        } else if !left.is_zero() {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        GIVEN_UP.store(true, Ordering::Relaxed);
        return false;
    }
}
