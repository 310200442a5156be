//! Ends the process of a query when the sync no longer waits for it, or when it takes too long.

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

/// The state shared by the working thread and the watching thread.
#[derive(Clone)]
pub(super) struct Watch(Arc<Mutex<Shared>>);

struct Shared {
    /// What the process is doing.
    stage: Stage,
    /// Receives the answer; `None` once it was written.
    answer: Option<File>,
}

enum Stage {
    /// The driver is being loaded.
    Loading,
    /// No query has been started.
    Connecting,
    /// A query runs, or has run.
    Asking(Arc<dyn CancelHandle>),
    /// The process only has to exit.
    Ending,
}

impl Watch {
    pub(super) fn new(answer: File) -> Self {
        Self(Arc::new(Mutex::new(Shared { stage: Stage::Loading, answer: Some(answer) })))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Records that the driver is loaded.
    pub(super) fn loaded(&self) {
        self.shared().stage = Stage::Connecting;
    }

    /// Sets how the query is cancelled.
    pub(super) fn cancel_with(&self, handle: Box<dyn CancelHandle>) {
        self.shared().stage = Stage::Asking(handle.into());
    }

    /// Writes the answer, unless one has been written.
    pub(super) fn answer(&self, answer: &Answer) {
        if let Some(mut file) = self.shared().answer.take() {
            let mut line = serde_json::to_vec(answer).unwrap_or_default();
            line.push(b'\n');
            // Fails if the sync is gone; then the answer is not needed.
            let _ = file.write_all(&line);
        }
    }

    /// Records that the work is done or has failed.
    pub(super) fn end(&self) {
        self.shared().stage = Stage::Ending;
    }

    /// Starts the watching thread and waits until it runs: no thread can start while a library is being loaded.
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

    /// Cancels the query, and kills the process if it does not end then. A process that has no query yet is killed at
    /// once: it waits for a driver that loads or connects.
    fn cancel(&self) {
        let (handle, grace) = match &self.shared().stage {
            Stage::Loading | Stage::Connecting => (None, Duration::ZERO),
            Stage::Asking(handle) => (Some(handle.clone()), GRACE),
            Stage::Ending => (None, GRACE),
        };
        if let Some(handle) = handle {
            // Cancelling may be a request to a server that does not answer.
            std::thread::spawn(move || handle.try_cancel());
        }
        std::thread::sleep(grace);
        subtree::kill_below(getpid());
        // The process leads a group, which is killed with it.
        let _ = kill_process_group(getpid(), Signal::KILL);
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

/// Waits for the end of standard input; returns `false` if the timeout passes first.
fn waited_for(stdin: &File, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) => return false,
            // Nothing is sent, so this is the end.
            Ok(_) | Err(_) => return true,
        }
    }
}
