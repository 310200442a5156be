//! A forked worker, from the supervisor's side: handled like a child that the supervisor started itself.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A child of this process. Only this value waits for it. It is killed when this is dropped.
pub(in crate::workers) struct Forked {
    pidfd: OwnedFd,
    status: Option<ExitStatus>,
}

impl Forked {
    /// Takes over the child with this pid. No one may have waited for it yet, so that the pid still belongs to it.
    pub(super) fn new(pid: i32) -> io::Result<Self> {
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self { pidfd, status: None }),
            Err(error) => {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
                let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
                Err(error.into())
            }
        }
    }

    /// Kills the worker.
    pub(in crate::workers) fn kill(&self) {
        if self.status.is_none() {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        }
    }

    /// Waits until the worker has exited.
    pub(in crate::workers) async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        // SAFETY: the descriptor stays open until `end` is dropped, here or with the future.
        let end = unsafe { AsyncFd::register_with_interest(self.pidfd.as_fd(), Interest::READABLE)? };
        let _ = end.readable().await?;
        drop(end);
        self.reap()
    }

    /// Blocks until the worker has exited, which takes a moment if it was killed.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?.ok_or(io::ErrorKind::NotFound)?,
            }
        };
        let raw = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => (code & 0xff) << 8,
            (None, signal) => signal.unwrap_or(0),
        };
        Ok(*self.status.insert(ExitStatus::from_raw(raw)))
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.kill();
            let _ = self.reap();
        }
    }
}
