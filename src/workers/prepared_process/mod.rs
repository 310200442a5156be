//! The prepared process's own side.
//!
//! The process has one thread, and never contains an author's code or data: it only reads orders from its
//! supervisor, each with the descriptors of a worker. For each order it forks a child, which builds its sandbox and
//! continues as a worker.

mod fork;
mod huge_pages;

use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recv, recvmsg, send};
use rustix::process::Signal;

use crate::sandbox;
use crate::workers::fd;
use crate::workers::prepared::{DESCRIPTORS, MAX_ORDER, Preparation};
use crate::workers::worker::{self, Hook};
use fork::{Forker, inherit_memory};
use sluicegate_engine as engine;

/// Runs the prepared process, and each of its children. Returns the exit code.
pub fn main() -> u8 {
    main_with(|_| Ok(()))
}

/// Does the same with a hook for tests, see [`worker::main_with`].
pub fn main_with(hook: Hook) -> u8 {
    match serve() {
        Ok(Role::Child) => worker::main_with(hook),
        Ok(Role::Parent) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            2
        }
    }
}

/// The two processes after a fork.
enum Role {
    Parent,
    Child,
}

fn serve() -> io::Result<Role> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let _ = rustix::thread::set_name(c"prepared");
    // SAFETY: the supervisor starts this process with exactly this descriptor open; nothing else in it knows it.
    let control = unsafe { OwnedFd::from_raw_fd(sandbox::SOCKET) };
    let mut message = vec![0; MAX_ORDER];
    let (len, _) = recv(&control, &mut message[..], RecvFlags::empty())?;
    let Ok(Preparation { options, jitless, supervisor }) = serde_json::from_slice(&message[..len]) else {
        return Ok(Role::Parent);
    };
    let forker = Forker::new()?;
    engine::initialize_to_fork(jitless);
    engine::prepare(&options).map_err(|error| io::Error::other(error.to_string()))?;
    huge_pages::move_program();
    inherit_memory()?;
    // If this fails, each child sets up all layers itself.
    let _ = sandbox::prepare(jitless);
    // Set again: a change of credentials clears the parent-death signal.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid().is_none_or(|parent| parent.as_raw_nonzero().get() as u32 != supervisor) {
        return Ok(Role::Parent);
    }
    send(&control, b"ready", SendFlags::NOSIGNAL)?;
    while let Some(descriptors) = order(&control)? {
        // SAFETY: V8 is set up to start no threads, the watchdog has not started, and nothing else here does.
        match unsafe { forker.fork() } {
            Ok(None) => {
                // The parent sends the pid too. Sometimes one of the two is killed before it can.
                let own = rustix::process::getpid().as_raw_nonzero().get();
                send(&control, &own.to_le_bytes(), SendFlags::NOSIGNAL)?;
                settle(descriptors, supervisor)?;
                // The worker's socket has this number now.
                std::mem::forget(control);
                return Ok(Role::Child);
            }
            Ok(Some(pid)) => send(&control, &pid.to_le_bytes(), SendFlags::NOSIGNAL)?,
            Err(error) => {
                let code = -error.raw_os_error().unwrap_or(libc::EAGAIN);
                send(&control, &code.to_le_bytes(), SendFlags::NOSIGNAL)?
            }
        };
    }
    Ok(Role::Parent)
}

/// Waits for an order. Returns `None` at the end of all orders.
fn order(control: &OwnedFd) -> io::Result<Option<Vec<OwnedFd>>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let got = recvmsg(control, &mut [IoSliceMut::new(&mut byte)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::with_capacity(DESCRIPTORS);
    for message in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            descriptors.extend(some);
        }
    }
    if descriptors.len() == DESCRIPTORS { Ok(Some(descriptors)) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Prepares the child: moves the descriptors to the numbers that a worker expects, and makes the child die with the
/// supervisor. The sandbox closes all other descriptors, before the child reads any code.
fn settle(descriptors: Vec<OwnedFd>, supervisor: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The supervisor may have died before this call. (The sandbox changes credentials and therefore sets
    // the signal again.)
    if rustix::process::getppid().is_none_or(|parent| parent.as_raw_nonzero().get() as u32 != supervisor) {
        return Err(io::Error::other("the supervisor is gone"));
    }
    // Shown in process lists.
    let _ = rustix::thread::set_name(c"worker");
    // Ctrl-C in a terminal is meant for the supervisor.
    rustix::process::setpgid(None, None)?;
    // First moves them all above the target numbers, so that none is overwritten before it is moved.
    const ABOVE: RawFd = 16;
    let high: Vec<OwnedFd> =
        descriptors.iter().map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, ABOVE)).collect::<Result<_, _>>()?;
    for (from, to) in high.iter().zip([fd::SOCKET, fd::INPUT, fd::OUTPUT, libc::STDERR_FILENO]) {
        // SAFETY: these numbers are the worker's own from here on; `dup2` closes the descriptors that had them before.
        if unsafe { libc::dup2(from.as_fd().as_raw_fd(), to) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // Some of their numbers now belong to other descriptors.
    descriptors.into_iter().for_each(std::mem::forget);
    Ok(())
}
