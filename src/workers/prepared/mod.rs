//! Workers that are forked from a prepared process.
//!
//! Starting a worker means starting this large program, setting up V8, creating an isolate, and running the engine's
//! own scripts in it. All of that is the same for every program. So one process does it in advance, and forks a child
//! for each new worker. The pages are shared until a process writes to them. The child is a direct child of the
//! supervisor, and has the same sandbox as any other worker.
//!
//! All children of one process share its address layout and V8's hash seed. So the prepared process is replaced
//! regularly, and a replacement for a worker that died is started, not forked.
//!
//! A failure here only costs time: the worker is then started normally.

mod forked;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Child;

use super::launcher;
use crate::own_process::own_command;
use crate::sandbox;
pub(super) use forked::Forked;
use sluicegate_engine::Options;

/// The number of descriptors per fork: a worker's socket, its input, its output, and its standard error.
pub(super) const DESCRIPTORS: usize = 4;

/// The maximum size of a message, in bytes.
pub(super) const MAX_ORDER: usize = 64 << 10;

/// The time limits of a prepared process for a fork, and for its preparation.
const PATIENCE: Duration = Duration::from_millis(500);
const PATIENCE_AT_START: Duration = Duration::from_secs(10);

/// A prepared process is replaced after this many children, or after this time.
const MAX_CHILDREN: u32 = 4096;
const MAX_AGE: Duration = Duration::from_secs(600);

/// The minimum time between two starts, however often the process has to be replaced.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// After this many failures in a row, the next attempt comes after a pause.
const MAX_FAILURES: u32 = 3;
const PAUSE_AFTER_FAILURES: Duration = Duration::from_secs(10);

/// The first message to a prepared process.
#[derive(Serialize, Deserialize)]
pub(super) struct Preparation {
    /// The options of the isolate.
    pub(super) options: Options,
    pub(super) jitless: bool,
    /// The pid of the supervisor. The children die when it dies.
    pub(super) supervisor: u32,
}

/// Forks workers, if that is possible. Clones share one prepared process.
#[derive(Clone)]
pub struct PreparedProcess(Arc<Inner>);

struct Inner {
    options: Options,
    jitless: bool,
    state: Mutex<State>,
    forked: AtomicU64,
    warn: fn(&str),
}

struct State {
    current: Option<Arc<Running>>,
    /// Whether a process is being started.
    starting: bool,
    /// The number of failures since the last fork.
    failures: u32,
    /// No other process is started before this time.
    not_before: Option<Instant>,
}

/// One prepared process. It is killed when this is dropped.
struct Running {
    child: Mutex<Child>,
    control: AsyncFd<OwnedFd>,
    orders: tokio::sync::Mutex<Orders>,
    children: AtomicU32,
    since: Instant,
}

/// The orders to a prepared process. Only one is under way at a time.
#[derive(Default)]
struct Orders {
    /// Whether an order has no answer yet. The next answer may belong to it, so no other order may follow.
    unanswered: bool,
    /// Children that one message has named so far. Both the prepared process and the child send the child's pid, so
    /// that the supervisor learns of every child even if one of the two is killed.
    named_once: Vec<i32>,
}

/// Why no worker was forked.
enum NotForked {
    /// The kernel refused the fork. The prepared process continues.
    Refused,
    /// The prepared process can no longer be used.
    Broken(io::Error),
}

impl From<io::Error> for NotForked {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl PreparedProcess {
    /// Creates this without a process. Isolates are made for these options. `warn` is called once if no process
    /// can be prepared.
    pub fn new(options: Options, jitless: bool, warn: fn(&str)) -> Self {
        let state = State { current: None, starting: false, failures: 0, not_before: None };
        Self(Arc::new(Inner { options, jitless, state: Mutex::new(state), forked: AtomicU64::new(0), warn }))
    }

    /// Returns the number of forked workers.
    pub fn forked(&self) -> u64 {
        self.0.forked.load(Ordering::Relaxed)
    }

    /// Starts a new prepared process, unless one is being started or was started a moment ago. Does not wait for it.
    pub fn prepare(&self) {
        let this = self.clone();
        tokio::spawn(async move { this.prepare_now().await });
    }

    /// Does the same as [`Self::prepare`], and waits. Returns whether the process was prepared.
    pub async fn prepare_now(&self) -> bool {
        let inner = &self.0;
        {
            let mut state = inner.state();
            let now = Instant::now();
            if state.starting || state.not_before.is_some_and(|time| now < time) {
                return false;
            }
            state.starting = true;
            state.not_before = Some(now + MIN_PAUSE);
        }
        let started = Running::start(&inner.options, inner.jitless).await;
        let mut state = inner.state();
        state.starting = false;
        match started {
            Ok(running) => {
                let before = state.current.replace(Arc::new(running));
                // Dropped after the lock is released.
                drop(state);
                drop(before);
                true
            }
            Err(error) => {
                drop(state);
                inner.failed(&error);
                false
            }
        }
    }

    /// Replaces the prepared process after a forked worker crashed or was compromised: its code may have learned the
    /// address layout, and must not benefit from that in another worker. Later workers get another layout.
    pub(super) fn renew(&self) {
        let before = self.0.state().current.take();
        if before.is_some() {
            self.prepare();
        }
    }

    /// Forks a worker with these descriptors. Returns `None` if the worker must be started normally. The caller must
    /// then create new descriptors: a child that is not known yet may hold these.
    pub(super) async fn fork(&self, descriptors: [BorrowedFd<'_>; DESCRIPTORS]) -> Option<Forked> {
        let running = self.0.state().current.clone();
        let Some(running) = running else {
            self.prepare();
            return None;
        };
        if running.is_old() {
            self.prepare();
        }
        match running.fork(descriptors).await {
            Ok(child) => {
                self.0.state().failures = 0;
                self.0.forked.fetch_add(1, Ordering::Relaxed);
                Some(child)
            }
            Err(NotForked::Refused) => None,
            Err(NotForked::Broken(error)) => {
                // Only the first task that finds the process broken ends it.
                let taken = self.0.state().current.take_if(|current| Arc::ptr_eq(current, &running));
                if taken.is_some() {
                    self.0.failed(&error);
                    tokio::spawn(async move { running.end().await });
                    self.prepare();
                }
                None
            }
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a failure. After a few in a row, the next attempt is delayed.
    fn failed(&self, error: &io::Error) {
        let failures = {
            let mut state = self.state();
            state.failures += 1;
            if state.failures >= MAX_FAILURES {
                state.not_before = Some(Instant::now() + PAUSE_AFTER_FAILURES);
            }
            state.failures
        };
        if failures == MAX_FAILURES {
            (self.warn)(&format!(
                "workers are not forked from a prepared process but started, which takes longer; it is tried again every {} s: \
                 {error}",
                PAUSE_AFTER_FAILURES.as_secs()
            ));
        }
    }
}

impl Running {
    async fn start(options: &Options, jitless: bool) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let mut command = own_command("prepared");
        command
            .env_clear()
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .fd_mappings(vec![FdMapping { parent_fd: theirs, child_fd: sandbox::SOCKET }])
            .map_err(io::Error::other)?;
        let child = launcher::launch(command).await?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        // SAFETY: the value owns the descriptor, which stays open until it is dropped.
        let control = unsafe { AsyncFd::register(ours)? };
        let preparation = Preparation { options: options.clone(), jitless, supervisor: std::process::id() };
        let message = serde_json::to_vec(&preparation)?;
        rustix::net::send(&control, &message, SendFlags::NOSIGNAL)?;
        let running = Self {
            child: Mutex::new(child),
            control,
            orders: tokio::sync::Mutex::default(),
            children: AtomicU32::new(0),
            since: Instant::now(),
        };
        match tokio::time::timeout(PATIENCE_AT_START, running.read(&mut [0; 8])).await {
            Ok(Ok(_)) => Ok(running),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(silent()),
        }
    }

    fn is_old(&self) -> bool {
        self.children.load(Ordering::Relaxed) >= MAX_CHILDREN || self.since.elapsed() >= MAX_AGE
    }

    async fn fork(&self, descriptors: [BorrowedFd<'_>; DESCRIPTORS]) -> Result<Forked, NotForked> {
        let mut orders = self.orders.lock().await;
        // Also set if the task that waited for the answer was dropped.
        if std::mem::replace(&mut orders.unanswered, true) {
            return Err(NotForked::Broken(silent()));
        }
        let order = |control: &OwnedFd| {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut rights = SendAncillaryBuffer::new(&mut space);
            rights.push(SendAncillaryMessage::ScmRights(&descriptors));
            let byte = [io::IoSlice::new(b"f")];
            Ok(rustix::net::sendmsg(control, &byte, &mut rights, SendFlags::NOSIGNAL)?)
        };
        self.control.async_io(Interest::WRITABLE, order).await?;
        let answer = tokio::time::timeout(PATIENCE, self.answer(&mut orders.named_once));
        let number = answer.await.map_err(|_| silent())??;
        orders.unanswered = false;
        if number <= 0 {
            return Err(NotForked::Refused);
        }
        self.children.fetch_add(1, Ordering::Relaxed);
        Ok(Forked::new(number)?)
    }

    /// Waits for the pid of a child that no message has named yet, or for the kernel's error, which is not above zero.
    async fn answer(&self, named_once: &mut Vec<i32>) -> io::Result<i32> {
        loop {
            let mut number = [0; 4];
            if self.read(&mut number).await? != number.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let number = i32::from_le_bytes(number);
            if let Some(at) = named_once.iter().position(|known| *known == number) {
                named_once.swap_remove(at);
                continue;
            }
            if number > 0 {
                named_once.push(number);
            }
            return Ok(number);
        }
    }

    /// Kills the prepared process, and each child that it forked for an unanswered order.
    async fn end(&self) {
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).start_kill();
        let mut orders = self.orders.lock().await;
        orders.unanswered = true;
        // Lasts until the prepared process, and any children about to send their pid, have closed the socket.
        let lost = async {
            while let Ok(number) = self.answer(&mut orders.named_once).await {
                if let Ok(child) = Forked::new(number) {
                    drop(child);
                }
            }
        };
        let _ = tokio::time::timeout(PATIENCE_AT_START, lost).await;
    }

    /// Reads one message.
    async fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let read = |control: &OwnedFd| Ok(rustix::net::recv(control.as_fd(), &mut *into, RecvFlags::empty())?.0);
        let mut read = read;
        match self.control.async_io(Interest::READABLE, &mut read).await {
            Ok(0) => Err(io::Error::other("the prepared process is gone")),
            read => read,
        }
    }
}

fn silent() -> io::Error {
    io::Error::other("the prepared process does not answer")
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;

    use super::*;

    /// Returns a prepared process whose own side is played by this test.
    fn running() -> (Running, AsyncFd<OwnedFd>) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let child = tokio::process::Command::new("sleep").arg("1000").kill_on_drop(true).spawn().unwrap();
        // SAFETY: both own their descriptors, which stay open until they are dropped.
        let [control, theirs] = [ours, theirs].map(|end| unsafe { AsyncFd::register(end).unwrap() });
        let running = Running {
            child: Mutex::new(child),
            control,
            orders: tokio::sync::Mutex::default(),
            children: AtomicU32::new(0),
            since: Instant::now(),
        };
        (running, theirs)
    }

    async fn order(theirs: &AsyncFd<OwnedFd>) {
        let mut byte = [0];
        let read = |socket: &OwnedFd| Ok(rustix::net::recv(socket, &mut byte, RecvFlags::empty())?.0);
        let mut read = read;
        assert_eq!(theirs.async_io(Interest::READABLE, &mut read).await.unwrap(), 1);
    }

    /// Starts a child of this process and sends both messages with its pid, as if it had been forked.
    fn name_a_child(theirs: &AsyncFd<OwnedFd>) -> i32 {
        let number = Command::new("sleep").arg("1000").spawn().unwrap().id() as i32;
        for _ in 0..2 {
            rustix::net::send(theirs, &number.to_le_bytes(), SendFlags::NOSIGNAL).unwrap();
        }
        number
    }

    fn is_there(number: i32) -> bool {
        rustix::process::test_kill_process(rustix::process::Pid::from_raw(number).unwrap()).is_ok()
    }

    #[tokio::test]
    async fn a_child_that_names_itself_too_is_not_taken_for_the_next_one() {
        let (running, theirs) = running();
        let null = File::open("/dev/null").unwrap();
        for _ in 0..3 {
            let named = async {
                order(&theirs).await;
                name_a_child(&theirs)
            };
            let (forked, number) = tokio::join!(running.fork([null.as_fd(); DESCRIPTORS]), named);
            drop(forked.ok().unwrap());
            assert!(!is_there(number), "it was another one");
        }
    }

    #[tokio::test]
    async fn a_child_whose_number_comes_too_late_ends_and_no_order_gets_that_answer() {
        let (running, theirs) = running();
        let null = File::open("/dev/null").unwrap();
        tokio::select! {
            _ = running.fork([null.as_fd(); DESCRIPTORS]) => panic!("there was no answer"),
            // The requester is gone before the answer.
            () = order(&theirs) => {}
        }
        let number = name_a_child(&theirs);
        assert!(matches!(running.fork([null.as_fd(); DESCRIPTORS]).await, Err(NotForked::Broken(_))));
        assert!(is_there(number));
        drop(theirs);
        running.end().await;
        assert!(!is_there(number), "it goes on");
    }

    #[tokio::test]
    async fn what_the_kernel_refuses_breaks_nothing() {
        let (running, theirs) = running();
        let null = File::open("/dev/null").unwrap();
        let refused = async {
            order(&theirs).await;
            rustix::net::send(&theirs, &(-libc::EAGAIN).to_le_bytes(), SendFlags::NOSIGNAL).unwrap();
        };
        let (forked, ()) = tokio::join!(running.fork([null.as_fd(); DESCRIPTORS]), refused);
        assert!(matches!(forked, Err(NotForked::Refused)));
        let named = async {
            order(&theirs).await;
            name_a_child(&theirs)
        };
        let (forked, _) = tokio::join!(running.fork([null.as_fd(); DESCRIPTORS]), named);
        assert!(forked.is_ok());
    }
}
