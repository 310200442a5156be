//! A worker process, from the supervisor's side. It is started with three file descriptors and an empty environment.
//! Its standard streams lead nowhere, except that standard error is a file in memory. It is killed when dropped.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::Arc;

use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::config::{Emit, LineFormat};
use crate::net::NetAnswer;
use crate::own_process::own_command;
use crate::wire::frame::{self, Kind};
use crate::wire::shared::{self, Layout, Mapping};
use sluicegate_engine::{LoadError, Loaded, Options, Program};

use super::prepared::{Forked, PreparedProcess};
use super::sandbox::SandboxReport;
use super::worker_exit::WorkerExit;
use super::{fd, launcher};

/// The first frame to a worker: the parameters of its sandbox (see `sandbox`).
#[derive(Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) layout: Layout,
    /// V8's heap limit, in bytes.
    pub(super) heap: usize,
    /// Whether V8 runs without generating machine code.
    pub(super) jitless: bool,
    /// Whether the code may use the network, through the supervisor.
    pub(super) network: bool,
}

/// The second frame to a worker: the program and how to run it.
#[derive(Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) program: Program,
    pub(super) options: Options,
    pub(super) emit: Emit,
    pub(super) line: LineFormat,
    /// Whether lines are the elements of a JSON array.
    pub(super) elements: bool,
    /// Whether lines are rows of a request, see `wire::row`.
    pub(super) rows: bool,
    /// Whether failed lines are output unchanged.
    pub(super) pass: bool,
    /// Whether the run ends at the first failure.
    pub(super) stop: bool,
    pub(super) line_buffered: bool,
    /// Whether outputs may leave in any order.
    pub(super) unordered: bool,
    pub(super) batch_size: usize,
    /// The most events of a worker that may wait for the network at a time.
    pub(super) concurrency: usize,
    /// Whether the logs contain the cost of each event.
    pub(super) measure: bool,
    /// Whether each unit runs in a fresh state of the code.
    pub(super) fresh_state: bool,
}

/// The first frame from a worker.
#[derive(Serialize, Deserialize)]
pub(super) enum Ready {
    Loaded(Loaded, SandboxReport),
    Failed(LoadError),
}

/// The buffer for a payload is allocated in advance up to this length. Most payloads are far shorter.
const SHORT: usize = 4 << 10;

/// Waiting frames are written together up to this many bytes, so that a free slot and a unit wake the worker once.
const TOGETHER: usize = 4 << 10;

/// Frames on their way to a worker. A separate task writes them, so that a busy worker that does not read does
/// not block the supervisor. The number of waiting frames is small, because units, free slots and network
/// answers are limited.
#[derive(Clone)]
pub(super) struct Outgoing(UnboundedSender<Frame>);

/// Whole frames to be written, and a value to drop afterwards.
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) with: Option<NetAnswer>,
}

impl Outgoing {
    fn start(mut socket: OwnedWriteHalf) -> Self {
        let (sender, mut frames) = unbounded_channel::<Frame>();
        tokio::spawn(async move {
            while let Some(Frame { mut bytes, with }) = frames.recv().await {
                let mut with: Vec<NetAnswer> = with.into_iter().collect();
                while bytes.len() < TOGETHER
                    && let Ok(next) = frames.try_recv()
                {
                    bytes.extend_from_slice(&next.bytes);
                    with.extend(next.with);
                }
                // The reader of the worker's frames notices a dead worker, so the error is ignored here.
                let _ = socket.write_all(&bytes).await;
            }
        });
        Self(sender)
    }

    /// Sends a frame. Does nothing if the worker is dead.
    pub(super) fn send(&self, frame: Frame) {
        let _ = self.0.send(frame);
    }
}

/// The receiving end of a worker's socket, buffered so that one read can return several frames.
pub(super) type FramesReader = BufReader<OwnedReadHalf>;

/// A running worker.
pub(super) struct Process {
    child: ChildProcess,
    frames: Outgoing,
    /// The worker's output region.
    pub(super) output: Arc<Mapping>,
    stderr: File,
}

/// How the process was created. In both cases it is a child of this process.
enum ChildProcess {
    /// This program was started again.
    Started(Child),
    /// The prepared process forked it.
    Forked(Forked),
}

/// The resources that a worker shares with its supervisor, at both ends.
struct Ends {
    ours: StdStream,
    theirs: StdStream,
    output: Mapping,
    output_fd: OwnedFd,
    /// The output of V8's fatal errors, read only if the worker dies.
    stderr: File,
}

impl Ends {
    fn new(layout: &Layout) -> io::Result<Self> {
        let (ours, theirs) = StdStream::pair()?;
        let (output_fd, output) = shared::create("sluicegate-output", layout.output_len(), false)?;
        let stderr = File::from(memfd_create("sluicegate-stderr", MemfdFlags::CLOEXEC)?);
        Ok(Self { ours, theirs, output, output_fd, stderr })
    }
}

impl Process {
    /// Forks or starts a worker and sends it `start`, which consists of whole frames. Returns the worker and the
    /// receiving end of its socket.
    pub(super) async fn spawn(
        start: &[u8],
        layout: &Layout,
        input: &OwnedFd,
        prepared: Option<&PreparedProcess>,
    ) -> io::Result<(Self, FramesReader)> {
        let ends = Ends::new(layout)?;
        let forked = match prepared {
            Some(prepared) => {
                let given = [ends.theirs.as_fd(), input.as_fd(), ends.output_fd.as_fd(), ends.stderr.as_fd()];
                prepared.fork(given).await
            }
            None => None,
        };
        let (child, ends) = match forked {
            Some(forked) => (ChildProcess::Forked(forked), ends),
            None => {
                // A forked child that is not known yet may hold the first ends.
                let ends = if prepared.is_some() { Ends::new(layout)? } else { ends };
                (ChildProcess::Started(Self::start(&ends, input).await?), ends)
            }
        };
        let Ends { ours, theirs, output, stderr, .. } = ends;
        // An open copy here would hide the worker's exit.
        drop(theirs);
        ours.set_nonblocking(true)?;
        let (reader, socket) = UnixStream::from_std(ours)?.into_split();
        let frames = Outgoing::start(socket);
        frames.send(Frame { bytes: start.to_vec(), with: None });
        Ok((Self { child, frames, output: Arc::new(output), stderr }, FramesReader::new(reader)))
    }

    async fn start(ends: &Ends, input: &OwnedFd) -> io::Result<Child> {
        let mut command = own_command("worker");
        command
            .env_clear()
            // Ctrl-C in a terminal is meant for the supervisor, which lets its workers finish their work.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(ends.stderr.try_clone()?)
            .fd_mappings(vec![
                FdMapping { parent_fd: ends.theirs.as_fd().try_clone_to_owned()?, child_fd: fd::SOCKET },
                FdMapping { parent_fd: input.as_fd().try_clone_to_owned()?, child_fd: fd::INPUT },
                FdMapping { parent_fd: ends.output_fd.try_clone()?, child_fd: fd::OUTPUT },
            ])
            .map_err(io::Error::other)?;
        launcher::launch(command).await
    }

    /// Sends a frame.
    pub(super) fn send(&mut self, frame: &[u8]) {
        self.frames.send(Frame { bytes: frame.to_vec(), with: None });
    }

    /// Returns a handle with which other code than the supervisor's loop can send frames.
    pub(super) fn outgoing(&self) -> Outgoing {
        self.frames.clone()
    }

    /// Returns whether the prepared process forked this worker.
    pub(super) fn was_forked(&self) -> bool {
        matches!(self.child, ChildProcess::Forked(_))
    }

    /// Kills the worker.
    pub(super) fn kill(&mut self) {
        match &mut self.child {
            ChildProcess::Started(child) => drop(child.start_kill()),
            ChildProcess::Forked(child) => child.kill(),
        }
    }

    /// Kills the worker, waits for its exit, and returns the reason.
    pub(super) async fn end(&mut self) -> WorkerExit {
        self.kill();
        let status = match &mut self.child {
            ChildProcess::Started(child) => child.wait().await,
            ChildProcess::Forked(child) => child.wait().await,
        };
        WorkerExit::new(status, self.last_words())
    }

    /// Returns the line in which V8 gives the reason for a fatal error, if there is one.
    fn last_words(&self) -> Option<String> {
        let len = self.stderr.metadata().ok()?.len().min(64 << 10);
        let mut text = vec![0; len as usize];
        let n = self.stderr.read_at(&mut text, 0).ok()?;
        let text = String::from_utf8_lossy(&text[..n]).into_owned();
        let lines = || text.lines().map(|line| line.trim_matches(['#', ' '])).filter(|line| !line.is_empty());
        // V8 prints many lines before the reason.
        let says_why =
            |line: &&str| ["Fatal JavaScript", "Check failed", "out of memory"].iter().any(|it| line.contains(it));
        let line = lines().find(says_why).or_else(|| lines().next())?;
        Some(line.chars().take(300).collect())
    }
}

/// Reads one frame from a worker, whose payload may have at most `max` bytes. Returns `None` if the worker is gone or sent
/// an invalid frame.
pub(super) async fn read_frame(from: &mut FramesReader, max: usize) -> Option<(Kind, Vec<u8>)> {
    let mut head = [0; frame::HEADER];
    from.read_exact(&mut head).await.ok()?;
    let (kind, len) = frame::header(head).filter(|(_, len)| *len <= max)?;
    let mut payload = vec![0; len.min(SHORT)];
    from.read_exact(&mut payload).await.ok()?;
    let rest = len - payload.len();
    // From here on, the buffer grows with the received bytes, not with the length claimed in the header.
    let n = from.take(rest as u64).read_to_end(&mut payload).await.ok()?;
    (n == rest).then_some((kind, payload))
}
