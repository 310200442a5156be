//! Starts worker processes on one thread that lives as long as the supervisor.
//!
//! Starting a process means a fork and a wait until the child has executed the new program. That usually takes a
//! millisecond, but never ends if the child is stopped in between. So the threads that pass events do not start
//! processes: a task that waits for a worker delays nothing else. A child that takes too long is sent a signal to
//! continue, which helps a stopped child and does not harm a slow one.
//!
//! The thread is always the same, because workers die with the thread that started them (`PR_SET_PDEATHSIG`).

use std::io;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How long a start may take before the child is sent a signal to continue.
const PATIENCE: Duration = Duration::from_millis(500);

/// The name of the thread, and of its child until the child executes the new program.
const NAME: &str = "launcher";

/// A process to be started.
struct LaunchRequest {
    command: Command,
    /// The runtime that watches for the child's exit.
    runtime: Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// The thread that starts processes.
struct Launcher {
    requests: Sender<LaunchRequest>,
    thread: Pid,
}

/// Starts `command` as a process that is killed when the handle is dropped.
///
/// # Errors
///
/// When the operating system refuses.
pub(super) async fn launch(command: Command) -> io::Result<Child> {
    let launcher = launcher()?;
    let (answer, mut child) = oneshot::channel();
    let request = LaunchRequest { command, runtime: Handle::current(), answer };
    launcher.requests.send(request).map_err(|_| gone())?;
    loop {
        match tokio::time::timeout(PATIENCE, &mut child).await {
            Ok(child) => return child.map_err(|_| gone())?,
            Err(_) => launcher.go_on(),
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts workers is gone")
}

/// Returns the single launcher of this process.
fn launcher() -> io::Result<&'static Launcher> {
    static LAUNCHER: OnceLock<Launcher> = OnceLock::new();
    if let Some(launcher) = LAUNCHER.get() {
        return Ok(launcher);
    }
    // If two threads start launchers at the same time, only one is kept. The thread of the other one ends when its
    // channel closes; it has started nothing.
    let launcher = Launcher::begin()?;
    Ok(LAUNCHER.get_or_init(|| launcher))
}

impl Launcher {
    fn begin() -> io::Result<Self> {
        let (requests, todo) = channel::<LaunchRequest>();
        let (tell, thread) = channel();
        std::thread::Builder::new().name(NAME.to_owned()).spawn(move || {
            let _ = tell.send(rustix::thread::gettid());
            for request in todo {
                let _inside = request.runtime.enter();
                let child = tokio::process::Command::from(request.command).kill_on_drop(true).spawn();
                // If the task no longer waits, the child is killed here.
                let _ = request.answer.send(child);
            }
        })?;
        Ok(Self { requests, thread: thread.recv().map_err(|_| gone())? })
    }

    /// Sends SIGCONT to the most recently forked process that has not finished its start.
    fn go_on(&self) {
        let list = format!("/proc/self/task/{}/children", self.thread);
        let list = std::fs::read_to_string(list).unwrap_or_default();
        // The list includes workers forked by a prepared process; they have other names.
        let is_forked_here =
            |pid: &&str| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == NAME);
        let last =
            list.split_whitespace().rfind(is_forked_here).and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        if let Some(pid) = last {
            let _ = kill_process(pid, Signal::CONT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;

    use super::*;

    #[tokio::test]
    async fn a_child_that_is_stopped_before_exec_does_not_block_others() {
        let mut command = Command::new("true");
        // SAFETY: raising a signal is allowed between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::raise(libc::SIGSTOP);
                Ok(())
            });
        }
        let mut child = launch(command).await.unwrap();
        assert!(child.wait().await.unwrap().success());
    }

    #[tokio::test]
    async fn what_cannot_be_started_is_an_error() {
        let error = launch(Command::new("/no/such/program")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
