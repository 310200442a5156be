//! A worker process that exchanges JSON texts with its supervisor, one per line. These workers run tests and measure
//! lineage, in the same sandbox as the workers of a run.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{RunError, Sandbox, SandboxReport, sandbox};
use crate::own_process::own_command;
use sluicegate_engine as engine;

/// The first message to a worker, with the parameters of its sandbox. The worker answers with a [`SandboxReport`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Setup {
    /// The total heap limit of all its isolates, in bytes.
    heap: usize,
    /// Whether V8 runs without generating machine code.
    jitless: bool,
}

/// The supervisor's side. The process is killed when this is dropped.
pub struct JsonWorker {
    child: Child,
    socket: JsonSocket,
}

impl JsonWorker {
    /// Starts this program with a hidden subcommand whose code begins with [`JsonSocket::enter_sandbox`]. `heap` is the
    /// total limit for all isolates of the worker, in bytes.
    ///
    /// # Errors
    /// When no process can be started, or its sandbox does not satisfy `sandbox`.
    pub fn start(subcommand: &str, heap: usize, sandbox: &Sandbox) -> Result<Self, RunError> {
        let failed = |error: io::Error| RunError::Start(error.to_string());
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut command = own_command(subcommand);
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .fd_mappings(vec![FdMapping { parent_fd: theirs.into(), child_fd: sandbox::SOCKET }])
            .map_err(|error| RunError::Start(error.to_string()))?;
        let child = command.spawn().map_err(failed)?;
        // The command holds the other end of the socket. While that is open, the death of the worker goes unnoticed.
        drop(command);
        let mut worker = Self { child, socket: JsonSocket(BufReader::new(ours)) };
        worker.send(&Setup { heap, jitless: sandbox.jitless }).map_err(failed)?;
        match worker.read::<SandboxReport>() {
            Some(report) => sandbox.judge(&report)?,
            None => return Err(RunError::Start("a worker process could not be started".to_owned())),
        }
        Ok(worker)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the worker is gone.
    pub fn send<M: Serialize>(&self, message: &M) -> io::Result<()> {
        self.socket.write(message)
    }

    /// Waits for the next message. Returns `None` if the worker is gone or the message is invalid.
    pub fn read<M: DeserializeOwned>(&mut self) -> Option<M> {
        self.socket.read()
    }
}

impl Drop for JsonWorker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One end of the socket between supervisor and worker.
pub struct JsonSocket(BufReader<UnixStream>);

impl JsonSocket {
    /// Sets up the sandbox and V8 on the worker's side, and sends the report. Returns `None` if the supervisor is gone.
    /// Must be called first, in a process that a [`JsonWorker`] started.
    ///
    /// # Errors
    /// When the report cannot be sent.
    pub fn enter_sandbox() -> io::Result<Option<Self>> {
        let mut report = sandbox::first();
        // SAFETY: the supervisor starts workers with exactly this descriptor open, and nothing else in this process
        // uses it.
        let socket = unsafe { UnixStream::from_raw_fd(sandbox::SOCKET) };
        let mut socket = Self(BufReader::new(socket));
        let Some(Setup { heap, jitless }) = socket.read() else { return Ok(None) };
        engine::initialize_with(engine::Protection::Keys, jitless);
        // The sandbox allows no new threads.
        engine::start_watchdog();
        sandbox::last(&mut report, engine::max_memory(heap), jitless);
        socket.write(&report)?;
        Ok(Some(socket))
    }

    /// Waits for the next message. Returns `None` if the other side is gone or the message is invalid.
    pub fn read<M: DeserializeOwned>(&mut self) -> Option<M> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn write(&self, message: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(message)?;
        text.push(b'\n');
        self.0.get_ref().write_all(&text)
    }
}
