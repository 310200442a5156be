//! Workers that are forked from a prepared process.
//!
//! To start a worker is to start this program, which is large, to set V8 up, to make an isolate, and to run the engine's own
//! scripts in it, all of which is the same for every program. So one process has done it in advance, and each worker that is
//! wanted is a child that it forks: the pages are shared until one of them writes to them. The child is the supervisor's own, and
//! its walls are those of any worker.
//!
//! Children of one process have one layout of addresses and one hash seed of V8's. So a prepared process is replaced every now
//! and then, and a worker that takes the place of one that died is started, not forked.
//!
//! Whatever goes wrong here costs time only: the worker is started as it was before.

mod forked;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// A worker's socket, its input, its output, and its standard error.
pub(super) const DESCRIPTORS: usize = 4;

/// The most bytes of a message.
pub(super) const MAX_ORDER: usize = 64 << 10;

/// How long a prepared process may take to fork, and to be prepared.
const PATIENCE: Duration = Duration::from_millis(500);
const PATIENCE_AT_START: Duration = Duration::from_secs(10);

/// A prepared process is replaced after so many children, or this time.
const MAX_CHILDREN: u32 = 4096;
const MAX_AGE: Duration = Duration::from_secs(600);

/// After so many failures in a row no more is tried.
const MAX_FAILURES: u32 = 3;

/// The first message to a prepared process.
#[derive(Serialize, Deserialize)]
pub(super) struct Preparation {
    /// What the isolate is made for.
    pub(super) options: Options,
    pub(super) jitless: bool,
    /// The number of the process whose death is that of the children.
    pub(super) supervisor: u32,
}

/// Where workers are forked, if they can be; shared by all who start some.
#[derive(Clone)]
pub struct PreparedProcess(Arc<Inner>);

struct Inner {
    options: Options,
    jitless: bool,
    current: Mutex<Option<Arc<Running>>>,
    starting: AtomicBool,
    failures: AtomicU32,
    forked: AtomicU64,
    warn: fn(&str),
}

/// One prepared process; it is killed when this is dropped.
struct Running {
    _child: Child,
    control: AsyncFd<OwnedFd>,
    /// One order at a time.
    turn: tokio::sync::Mutex<()>,
    children: AtomicU32,
    since: Instant,
}

impl PreparedProcess {
    /// None yet. Isolates are made for these options; `warn` is told, once, if none can be had.
    pub fn new(options: Options, jitless: bool, warn: fn(&str)) -> Self {
        Self(Arc::new(Inner {
            options,
            jitless,
            current: Mutex::new(None),
            starting: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            forked: AtomicU64::new(0),
            warn,
        }))
    }

    /// Workers that were forked.
    pub fn forked(&self) -> u64 {
        self.0.forked.load(Ordering::Relaxed)
    }

    /// Starts a new one, unless one is being started. Does not wait for it.
    pub fn prepare(&self) {
        let this = self.clone();
        tokio::spawn(async move { this.prepare_now().await });
    }

    /// Starts a new one, unless one is being started, and waits for it. Says whether it is there.
    pub async fn prepare_now(&self) -> bool {
        let inner = &self.0;
        if inner.failures.load(Ordering::Relaxed) >= MAX_FAILURES || inner.starting.swap(true, Ordering::Relaxed) {
            return false;
        }
        let started = Running::start(&inner.options, inner.jitless).await;
        inner.starting.store(false, Ordering::Relaxed);
        match started {
            Ok(running) => {
                // Dropped outside of the lock.
                let before = inner.current().replace(Arc::new(running));
                drop(before);
                true
            }
            Err(error) => {
                inner.failed(&error);
                false
            }
        }
    }

    /// A worker that was forked has crashed: what its code may have learned from that of the layout of addresses is not to
    /// be of use in another one. So there is another layout from here on.
    pub(super) fn renew(&self) {
        if self.0.current().take().is_some() {
            self.prepare();
        }
    }

    /// Forks a worker with these descriptors; `None` if it has to be started in the usual way.
    pub(super) async fn fork(&self, descriptors: [BorrowedFd<'_>; DESCRIPTORS]) -> Option<Forked> {
        let running = self.0.current().clone();
        let Some(running) = running else {
            self.prepare();
            return None;
        };
        if running.is_old() {
            self.prepare();
        }
        match running.fork(descriptors).await {
            Ok(child) => {
                self.0.failures.store(0, Ordering::Relaxed);
                self.0.forked.fetch_add(1, Ordering::Relaxed);
                Some(child)
            }
            Err(error) => {
                // Only once, whoever else has waited for it.
                if self.0.current().take_if(|current| Arc::ptr_eq(current, &running)).is_some() {
                    self.0.failed(&error);
                    self.prepare();
                }
                None
            }
        }
    }
}

impl Inner {
    fn current(&self) -> std::sync::MutexGuard<'_, Option<Arc<Running>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: &io::Error) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 == MAX_FAILURES {
            (self.warn)(&format!("workers are not forked from a prepared process, each is started anew: {error}"));
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
        // SAFETY: it owns the descriptor, which stays open until it is dropped.
        let control = unsafe { AsyncFd::register(ours)? };
        let preparation = Preparation { options: options.clone(), jitless, supervisor: std::process::id() };
        let message = serde_json::to_vec(&preparation)?;
        rustix::net::send(&control, &message, SendFlags::NOSIGNAL)?;
        let running = Self {
            _child: child,
            control,
            turn: tokio::sync::Mutex::new(()),
            children: AtomicU32::new(0),
            since: Instant::now(),
        };
        running.answer(&mut [0; 8], PATIENCE_AT_START).await?;
        Ok(running)
    }

    fn is_old(&self) -> bool {
        self.children.load(Ordering::Relaxed) >= MAX_CHILDREN || self.since.elapsed() >= MAX_AGE
    }

    async fn fork(&self, descriptors: [BorrowedFd<'_>; DESCRIPTORS]) -> io::Result<Forked> {
        let _turn = self.turn.lock().await;
        let order = |control: &OwnedFd| {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut rights = SendAncillaryBuffer::new(&mut space);
            rights.push(SendAncillaryMessage::ScmRights(&descriptors));
            let byte = [io::IoSlice::new(b"f")];
            Ok(rustix::net::sendmsg(control, &byte, &mut rights, SendFlags::NOSIGNAL)?)
        };
        self.control.async_io(Interest::WRITABLE, order).await?;
        let mut pid = [0; 4];
        if self.answer(&mut pid, PATIENCE).await? != pid.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.children.fetch_add(1, Ordering::Relaxed);
        match i32::from_le_bytes(pid) {
            pid if pid > 0 => Forked::new(pid),
            code => Err(io::Error::from_raw_os_error(-code)),
        }
    }

    /// Reads one message.
    async fn answer(&self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        let read = |control: &OwnedFd| Ok(rustix::net::recv(control.as_fd(), &mut *into, RecvFlags::empty())?.0);
        let mut read = read;
        let read = self.control.async_io(Interest::READABLE, &mut read);
        match tokio::time::timeout(patience, read).await {
            Ok(Ok(0)) => Err(io::Error::other("the prepared process is gone")),
            Ok(read) => read,
            Err(_) => Err(io::Error::other("the prepared process does not answer")),
        }
    }
}
