//! One worker process, as the supervisor sees it: started with nothing but three file descriptors, an empty environment
//! and no standard streams; killed when dropped.

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

/// The first frame to a worker: what it must know before it builds its walls (see `wall`).
#[derive(Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) layout: Layout,
    /// V8's heap limit, in bytes.
    pub(super) heap: usize,
    /// Whether V8 makes no machine code.
    pub(super) jitless: bool,
    /// Whether the code may use the network, through the supervisor.
    pub(super) network: bool,
}

/// The second frame to a worker: what to run and how.
#[derive(Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) program: Program,
    pub(super) options: Options,
    pub(super) emit: Emit,
    pub(super) line: LineFormat,
    /// Whether lines are the elements of a JSON array.
    pub(super) elements: bool,
    /// Whether lines are rows of an answer, see `wire::row`.
    pub(super) rows: bool,
    /// Whether failed lines go out as they came in.
    pub(super) pass: bool,
    /// Whether the run ends at the first failure.
    pub(super) stop: bool,
    pub(super) line_buffered: bool,
    /// Whether outputs leave in any order.
    pub(super) unordered: bool,
    pub(super) batch_size: usize,
    /// How many events of a worker may wait for the network at a time.
    pub(super) concurrency: usize,
    /// Whether the logs say what each event cost.
    pub(super) measure: bool,
    /// Whether the code begins anew with each unit.
    pub(super) fresh_state: bool,
}

/// The first frame from a worker.
#[derive(Serialize, Deserialize)]
pub(super) enum Ready {
    Loaded(Loaded, SandboxReport),
    Failed(LoadError),
}

/// A frame's payload of this length is made room for before it is there; most are far shorter.
const SHORT: usize = 4 << 10;

/// Frames that wait together are written together, up to this many bytes: a free slot and a unit wake their worker once.
const TOGETHER: usize = 4 << 10;

/// Frames on their way to a worker, written by a task of their own: a worker that is busy and does not read must not
/// hold up the supervisor. Few are ever waiting: units and free slots are counted, and so are answers of the network.
#[derive(Clone)]
pub(super) struct Outgoing(UnboundedSender<Frame>);

/// Whole frames to be written, and what is to live until they are.
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
                // A worker that is dead is noticed where its frames are read, not here.
                let _ = socket.write_all(&bytes).await;
            }
        });
        Self(sender)
    }

    /// Sends a frame. To one that is dead it does nothing.
    pub(super) fn send(&self, frame: Frame) {
        let _ = self.0.send(frame);
    }
}

/// The end of a socket to read a worker's frames from, several with one look.
pub(super) type FramesReader = BufReader<OwnedReadHalf>;

/// A running worker.
pub(super) struct Process {
    child: Way,
    frames: Outgoing,
    /// The worker's output region.
    pub(super) output: Arc<Mapping>,
    stderr: File,
}

/// How it came to be; in both ways it is a child of this process.
enum Way {
    /// As this program, started once more.
    Started(Child),
    /// By the prepared process.
    Forked(Forked),
}

/// What a worker and its supervisor share, at both ends.
struct Ends {
    ours: StdStream,
    theirs: StdStream,
    output: Mapping,
    output_fd: OwnedFd,
    /// V8's last words, read only if it dies.
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
    /// Starts a worker, or has it forked where it can be, and sends it `start`, whole frames. Gives the end of the socket to
    /// read its frames from.
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
            Some(forked) => (Way::Forked(forked), ends),
            None => {
                // A child that is not known yet may have the others.
                let ends = if prepared.is_some() { Ends::new(layout)? } else { ends };
                (Way::Started(Self::start(&ends, input).await?), ends)
            }
        };
        let Ends { ours, theirs, output, stderr, .. } = ends;
        // Held here too, it would hide a worker's end.
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
            // Ctrl-C in a terminal is for the supervisor, which lets its workers finish what they have.
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

    /// Where frames can be put by other code than the supervisor's loop.
    pub(super) fn outgoing(&self) -> Outgoing {
        self.frames.clone()
    }

    /// Whether it was forked from the prepared process.
    pub(super) fn was_forked(&self) -> bool {
        matches!(self.child, Way::Forked(_))
    }

    /// Kills it, whatever it is doing.
    pub(super) fn kill(&mut self) {
        match &mut self.child {
            Way::Started(child) => drop(child.start_kill()),
            Way::Forked(child) => child.kill(),
        }
    }

    /// Waits for its end and says how it came.
    pub(super) async fn end(&mut self) -> WorkerExit {
        self.kill();
        let status = match &mut self.child {
            Way::Started(child) => child.wait().await,
            Way::Forked(child) => child.wait().await,
        };
        WorkerExit::new(status, self.last_words())
    }

    /// The line in which V8 says why it gave up, if there is one.
    fn last_words(&self) -> Option<String> {
        let len = self.stderr.metadata().ok()?.len().min(64 << 10);
        let mut text = vec![0; len as usize];
        let n = self.stderr.read_at(&mut text, 0).ok()?;
        let text = String::from_utf8_lossy(&text[..n]).into_owned();
        let lines = || text.lines().map(|line| line.trim_matches(['#', ' '])).filter(|line| !line.is_empty());
        // V8 says many things before it says what it was.
        let says_why =
            |line: &&str| ["Fatal JavaScript", "Check failed", "out of memory"].iter().any(|it| line.contains(it));
        let line = lines().find(says_why).or_else(|| lines().next())?;
        Some(line.chars().take(300).collect())
    }
}

/// Reads one frame from a worker; `None` when the worker is gone or talks nonsense.
pub(super) async fn read_frame(from: &mut FramesReader) -> Option<(Kind, Vec<u8>)> {
    let mut head = [0; frame::HEADER];
    from.read_exact(&mut head).await.ok()?;
    let (kind, len) = frame::header(head)?;
    let mut payload = vec![0; len.min(SHORT)];
    from.read_exact(&mut payload).await.ok()?;
    let rest = len - payload.len();
    // From here on the buffer grows with what arrives, not with what the header claims.
    let n = from.take(rest as u64).read_to_end(&mut payload).await.ok()?;
    (n == rest).then_some((kind, payload))
}
