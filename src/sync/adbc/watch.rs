//! Ends the process of a query: when the sync no longer waits for it, and when it takes too long.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::{Arc, Barrier, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use adbc_core::CancelHandle;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process, kill_process_group};

use super::{Answer, Failure, subtree};

/// How long a process has to end after its query was cancelled, before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// What the two threads share.
#[derive(Clone)]
pub(super) struct Watch(Arc<Mutex<Shared>>);

struct Shared {
    /// How far the process is.
    stage: Stage,
    /// Where the answer goes; there is one answer.
    answer: Option<File>,
}

enum Stage {
    /// The driver is being loaded.
    Loading,
    /// There is no query yet.
    Connecting,
    /// A query runs, or one has run.
    Asking(Arc<dyn CancelHandle>),
    /// Nothing is left to do but to end.
    Ending,
}

impl Watch {
    pub(super) fn new(answer: File) -> Self {
        Self(Arc::new(Mutex::new(Shared { stage: Stage::Loading, answer: Some(answer) })))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The driver is loaded.
    pub(super) fn loaded(&self) {
        self.shared().stage = Stage::Connecting;
    }

    /// How the query is cancelled.
    pub(super) fn cancel_with(&self, handle: Box<dyn CancelHandle>) {
        self.shared().stage = Stage::Asking(handle.into());
    }

    /// Gives the answer, if none has been given.
    pub(super) fn answer(&self, answer: &Answer) {
        if let Some(mut file) = self.shared().answer.take() {
            let mut line = serde_json::to_vec(answer).unwrap_or_default();
            line.push(b'\n');
            // It fails if the sync is gone; then the answer is not needed.
            let _ = file.write_all(&line);
        }
    }

    /// All is done, one way or the other.
    pub(super) fn end(&self) {
        self.shared().stage = Stage::Ending;
    }

    /// Watches, in a thread of its own, which runs when this returns: while a library is being loaded, no thread can begin.
    pub(super) fn start(&self, stdin: File, timeout: Duration) {
        let (watch, runs) = (self.clone(), Arc::new(Barrier::new(2)));
        let begun = Arc::clone(&runs);
        std::thread::spawn(move || {
            begun.wait();
            if !waited_for(&stdin, timeout) {
                let is_loading = matches!(watch.shared().stage, Stage::Loading);
                watch.answer(&Answer::Failed(if is_loading { Failure::LoadTimedOut } else { Failure::TimedOut }));
            }
            watch.cancel();
        });
        runs.wait();
    }

    /// Cancels the query. A process that does not end then is killed, as one that has nothing to cancel: it waits for a driver
    /// that is loaded or connects.
    fn cancel(&self) {
        let (handle, grace) = match &self.shared().stage {
            Stage::Loading | Stage::Connecting => (None, Duration::ZERO),
            Stage::Asking(handle) => (Some(handle.clone()), GRACE),
            Stage::Ending => (None, GRACE),
        };
        if let Some(handle) = handle {
            // To cancel may be a request to a server that does not answer.
            std::thread::spawn(move || handle.try_cancel());
        }
        std::thread::sleep(grace);
        subtree::kill_below(getpid());
        // Its group goes with it; it leads one.
        let _ = kill_process_group(getpid(), Signal::KILL);
        let _ = kill_process(getpid(), Signal::KILL);
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
