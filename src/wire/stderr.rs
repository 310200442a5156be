//! Standard error of a host that may not read it.
//!
//! A program that starts this one and never reads the pipe would hold the run up as soon as the pipe is full. So nobody writes
//! to it and waits for ever: what is not read within `PATIENCE` stays unwritten, and the caller is told how far it came.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;

/// How long a reader may read nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// A pipe that has room takes this much without waiting: `PIPE_BUF`.
const PIECE: usize = 4096;

/// Whether a reader has been waited for in vain. It is not waited for again.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// Writes a message; the last words of a run, for example. Gives the number of bytes that were written, and counts those as
/// written that a closed stream refuses: they can be told to no one.
pub fn say(bytes: &[u8]) -> usize {
    write(bytes, 0)
}

/// Writes what there may be much of. It leaves half of the pipe free, for messages.
pub fn write_many(bytes: &[u8]) -> usize {
    let capacity = rustix::pipe::fcntl_getpipe_size(io::stderr()).unwrap_or(0);
    write(bytes, capacity)
}

/// As an [`io::Write`] that fails where the reader is given up; otherwise as [`write_many`].
pub struct Many;

impl Write for Many {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match write_many(bytes) {
            0 if !bytes.is_empty() => Err(io::Error::new(io::ErrorKind::TimedOut, "standard error is not read")),
            n => Ok(n),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `capacity` is that of the pipe, if half of it is to stay free.
fn write(bytes: &[u8], capacity: usize) -> usize {
    let mut stderr = io::stderr().lock();
    let kind = rustix::fs::fstat(&stderr).map(|stat| FileType::from_raw_mode(stat.st_mode));
    // A person at a terminal may have stopped it, and goes on when it suits.
    if !matches!(kind, Ok(FileType::Fifo | FileType::Socket)) {
        let _ = stderr.write_all(bytes);
        return bytes.len();
    }
    let mut written = 0;
    while written < bytes.len() {
        let piece = &bytes[written..bytes.len().min(written + PIECE)];
        if !has_room(&stderr, piece.len(), capacity) {
            return written;
        }
        match rustix::io::write(&stderr, piece) {
            Ok(n) => written += n,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => return bytes.len(),
        }
    }
    written
}

/// Waits until a piece can be written without waiting.
fn has_room(stderr: &impl AsFd, piece: usize, capacity: usize) -> bool {
    // Pieces of a bit more than half a page may each take a whole one.
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
                // An error shows when it is written to.
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
