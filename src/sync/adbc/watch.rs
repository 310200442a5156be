//! Ends the process of a query: when nobody waits for it any more, and when it takes too long.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use adbc_core::CancelHandle;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process};

use super::{Answer, Failure};

/// How long a query that was cancelled has to end, before its process is killed.
const GRACE: Duration = Duration::from_secs(2);

/// What the two threads share.
#[derive(Clone)]
pub(super) struct Watch(Arc<(Mutex<Shared>, Condvar)>);

struct Shared {
    cancel: Option<Arc<dyn CancelHandle>>,
    /// Where the answer goes; there is one answer.
    answer: Option<File>,
    ended: bool,
}

impl Watch {
    pub(super) fn new(answer: File) -> Self {
        Self(Arc::new((Mutex::new(Shared { cancel: None, answer: Some(answer), ended: false }), Condvar::new())))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// How the query is cancelled.
    pub(super) fn cancel_with(&self, handle: Box<dyn CancelHandle>) {
        self.shared().cancel = Some(handle.into());
    }

    /// Gives the answer, if none has been given.
    pub(super) fn answer(&self, answer: &Answer) {
        if let Some(mut file) = self.shared().answer.take() {
            let mut line = serde_json::to_vec(answer).unwrap_or_default();
            line.push(b'\n');
            // Without a reader there is nobody to tell.
            let _ = file.write_all(&line);
        }
    }

    /// The query has ended, one way or the other.
    pub(super) fn end(&self) {
        self.shared().ended = true;
        self.0.1.notify_all();
    }

    /// Watches, in a thread of its own.
    pub(super) fn start(&self, stdin: File, timeout: Duration) {
        let watch = self.clone();
        std::thread::spawn(move || {
            if !waited_for(&stdin, timeout) {
                watch.answer(&Answer::Failed(Failure::TimedOut));
            }
            watch.cancel();
        });
    }

    /// Cancels the query. When that does not help, the process ends itself.
    fn cancel(&self) {
        if let Some(handle) = self.shared().cancel.take() {
            // To cancel may be a request to a server that does not answer.
            std::thread::spawn(move || handle.try_cancel());
        }
        let ended = self.0.1.wait_timeout_while(self.shared(), GRACE, |shared| !shared.ended);
        if ended.is_ok_and(|(_, waited)| waited.timed_out()) {
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}

/// Waits for the end of standard input; `false` if the time is over before.
fn waited_for(stdin: &File, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) => return false,
            // Nothing is sent but the end.
            Ok(_) | Err(_) => return true,
        }
    }
}
