//! Processes that measure, each with a share of the events: behind the same walls as the workers of a run.
//!
//! Both sides speak JSON, one text a line. A worker says which event it takes up next; if it dies, that event is left out
//! and the share is measured again in a new process.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LineageSetup;
use super::analyze::{Analyzer, Progress};
use super::findings::Findings;
use super::report::Report;
use crate::own_process::own_command;
use crate::workers::{RunError, Sandbox, SandboxReport, sandbox};
use sluicegate_engine::{self as engine, LoadError};

/// How many deaths of its workers a share of the events may cause.
const MAX_DEATHS: usize = 5;

/// How many isolates a worker may have at a time.
const MAX_HEAPS: usize = 10;

/// How far all workers together are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    /// Events that were run.
    pub events: u64,
    /// Of this many.
    pub all: u64,
    /// Kinds of events that are studied or were, and all that are known.
    pub studied: [usize; 2],
}

#[derive(Serialize, Deserialize)]
struct Walls {
    heap: usize,
    jitless: bool,
}

#[derive(Serialize, Deserialize)]
enum ToWorker {
    Walls(Walls),
    Setup(Box<LineageSetup>, Vec<(u64, Value)>),
}

#[derive(Serialize, Deserialize)]
enum FromWorker {
    SandboxReport(SandboxReport),
    LoadFailed(LoadError),
    Event(u64),
    Studied(usize, usize),
    Found(Box<Findings>),
}

/// What a thread that minds a worker has to say.
enum News {
    Event,
    Studied(usize, [usize; 2]),
    Done(Result<Box<Findings>, RunError>),
}

/// Measures the lineage over these events, each with its line.
///
/// # Errors
/// When the program does not load, or no worker can be started.
pub fn run(setup: &LineageSetup, events: Vec<(u64, Value)>, tick: &mut dyn FnMut(Status)) -> Result<Report, RunError> {
    let workers = setup.workers.clamp(1, events.len().max(1));
    let mut shares: Vec<Vec<(u64, Value)>> = vec![Vec::new(); workers];
    let mut status = Status { all: events.len() as u64, ..Status::default() };
    for (at, event) in events.into_iter().enumerate() {
        shares[at % workers].push(event);
    }
    let (send, receive) = mpsc::channel();
    std::thread::scope(|threads| {
        for (index, share) in shares.into_iter().enumerate() {
            let send = send.clone();
            threads.spawn(move || {
                let done = measure(setup, share, index, &send);
                let _ = send.send(News::Done(done));
            });
        }
        drop(send);
        let mut found = Findings::default();
        let mut studied = vec![[0, 0]; workers];
        let mut failed = None;
        for news in receive {
            match news {
                News::Event => status.events = (status.events + 1).min(status.all),
                News::Studied(index, counts) => {
                    studied[index] = counts;
                    status.studied = studied.iter().fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
                }
                News::Done(Ok(findings)) => found.add(*findings),
                News::Done(Err(error)) => failed = Some(error),
            }
            tick(status);
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(Report::of(found)),
        }
    })
}

/// Measures a share; in a new process without the event that killed the one before.
fn measure(
    setup: &LineageSetup,
    mut share: Vec<(u64, Value)>,
    index: usize,
    news: &mpsc::Sender<News>,
) -> Result<Box<Findings>, RunError> {
    let started = Instant::now();
    let mut killed = Vec::new();
    loop {
        let mut worker = Worker::start(setup)?;
        let left = setup.time.saturating_sub(started.elapsed()).max(Duration::from_millis(500));
        let setup = LineageSetup { time: left, ..setup.clone() };
        let _ = worker.send(&ToWorker::Setup(Box::new(setup), share.clone()));
        let mut current = None;
        while let Some(message) = worker.read() {
            match message {
                FromWorker::Event(line) => {
                    current = Some(line);
                    if killed.is_empty() {
                        let _ = news.send(News::Event);
                    }
                }
                FromWorker::Studied(at, all) => {
                    let _ = news.send(News::Studied(index, [at, all]));
                }
                FromWorker::LoadFailed(error) => return Err(error.into()),
                FromWorker::Found(mut found) => {
                    found.events += killed.len() as u64;
                    found.failed += killed.len() as u64;
                    if let Some(line) = killed.first() {
                        found
                            .failure
                            .get_or_insert_with(|| format!("the event of line {line} killed its worker process"));
                    }
                    return Ok(found);
                }
                FromWorker::SandboxReport(_) => {}
            }
        }
        match current {
            Some(line) if killed.len() < MAX_DEATHS => {
                killed.push(line);
                share.retain(|(other, _)| *other != line);
            }
            Some(line) => {
                return Err(RunError::Start(format!(
                    "worker processes died {MAX_DEATHS} times, last at the event of line {line}"
                )));
            }
            None => return Err(RunError::Start("a worker process died before its first event".to_owned())),
        }
    }
}

struct Worker {
    child: Child,
    socket: BufReader<UnixStream>,
}

impl Worker {
    fn start(setup: &LineageSetup) -> Result<Self, RunError> {
        let failed = |error: io::Error| RunError::Start(error.to_string());
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut command = own_command("lineage-worker");
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .fd_mappings(vec![FdMapping { parent_fd: theirs.into(), child_fd: sandbox::SOCKET }])
            .map_err(|error| RunError::Start(error.to_string()))?;
        let child = command.spawn().map_err(failed)?;
        // Holds the other end of the socket: a worker that dies must be noticed.
        drop(command);
        let mut worker = Self { child, socket: BufReader::new(ours) };
        let heap = setup.options.limits.heap * MAX_HEAPS;
        worker.send(&ToWorker::Walls(Walls { heap, jitless: setup.jitless })).map_err(failed)?;
        match worker.read() {
            Some(FromWorker::SandboxReport(walls)) => {
                let wanted = Sandbox { jitless: setup.jitless, require: setup.require_sandbox, ..Sandbox::default() };
                wanted.judge(&walls)?;
            }
            _ => return Err(RunError::Start("a worker process could not be started".to_owned())),
        }
        Ok(worker)
    }

    fn send(&mut self, message: &ToWorker) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 16, self.socket.get_ref());
        serde_json::to_writer(&mut out, message)?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// The next message; none when the worker is gone.
    fn read(&mut self) -> Option<FromWorker> {
        let mut line = String::new();
        self.socket.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The worker's side. Returns its exit code.
pub fn main() -> u8 {
    match serve() {
        Ok(()) => 0,
        Err(_) => 2,
    }
}

fn serve() -> io::Result<()> {
    let mut walls = sandbox::first();
    // SAFETY: the supervisor starts workers with exactly this descriptor open; nothing else in this process knows it.
    let socket = unsafe { UnixStream::from_raw_fd(sandbox::SOCKET) };
    let mut reader = BufReader::new(socket);
    let read = |reader: &mut BufReader<UnixStream>| -> Option<ToWorker> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    };
    let Some(ToWorker::Walls(wanted)) = read(&mut reader) else { return Ok(()) };
    engine::initialize_with(engine::Protection::Keys, wanted.jitless);
    // Starts the watchdog, if it is not there yet.
    engine::ticks();
    sandbox::last(&mut walls, engine::max_memory(wanted.heap), wanted.jitless);
    write(&reader, &FromWorker::SandboxReport(walls))?;
    let Some(ToWorker::Setup(setup, events)) = read(&mut reader) else { return Ok(()) };
    let analyzer = match Analyzer::new(*setup) {
        Ok(analyzer) => analyzer,
        Err(error) => return write(&reader, &FromWorker::LoadFailed(error)),
    };
    let found = analyzer.run(&events, &mut |progress| {
        // If it is not read, this process is about to be killed.
        let _ = write(
            &reader,
            &match progress {
                Progress::Event(line) => FromWorker::Event(line),
                Progress::Studied(at, all) => FromWorker::Studied(at, all),
            },
        );
    });
    write(&reader, &FromWorker::Found(Box::new(found)))
}

fn write(socket: &BufReader<UnixStream>, message: &FromWorker) -> io::Result<()> {
    let mut text = serde_json::to_vec(message)?;
    text.push(b'\n');
    socket.get_ref().write_all(&text)
}
