//! The worker processes of an analysis. Each gets a share of the
//! events and runs in the same sandbox as the workers of a run.
//!
//! Both sides exchange JSON, one text per line. A worker announces each event before it starts
//! with it. If the worker dies, its share is measured again in a new process, without that event.

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LineageSetup;
use super::analyze::{Analyzer, Progress};
use super::findings::Findings;
use super::report::Report;
use crate::workers::{JsonSocket, JsonWorker, RunError, Sandbox};
use sluicegate_engine::LoadError;

/// The maximum number of times that workers may die over one share of the events.
const MAX_DEATHS: usize = 5;

/// The maximum number of isolates that a worker has at a time.
const MAX_HEAPS: usize = 10;

/// The progress of all workers together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    /// The number of events that were run.
    pub events: u64,
    /// The number of all events.
    pub all: u64,
    /// The number of kinds of events that were studied, and of all known kinds.
    pub studied: [usize; 2],
}

/// The task of a worker: the setup, and its events with their lines.
type Task = (Box<LineageSetup>, Vec<(u64, Value)>);

#[derive(Serialize, Deserialize)]
enum FromWorker {
    LoadFailed(LoadError),
    Event(u64),
    Studied(usize, usize),
    Found(Box<Findings>),
}

/// A message from the thread that supervises a worker.
enum WorkerProgress {
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
                let _ = send.send(WorkerProgress::Done(done));
            });
        }
        drop(send);
        let mut found = Findings::default();
        let mut studied = vec![[0, 0]; workers];
        let mut failed = None;
        for progress in receive {
            match progress {
                WorkerProgress::Event => status.events = (status.events + 1).min(status.all),
                WorkerProgress::Studied(index, counts) => {
                    studied[index] = counts;
                    status.studied = studied.iter().fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
                }
                WorkerProgress::Done(Ok(findings)) => found.add(*findings),
                WorkerProgress::Done(Err(error)) => failed = Some(error),
            }
            tick(status);
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(Report::of(found)),
        }
    })
}

/// Measures a share of the events. If an event kills the worker, starts again in a new process without that event.
fn measure(
    setup: &LineageSetup,
    mut share: Vec<(u64, Value)>,
    index: usize,
    progress: &mpsc::Sender<WorkerProgress>,
) -> Result<Box<Findings>, RunError> {
    let started = Instant::now();
    let mut killed = Vec::new();
    loop {
        let mut worker = start(setup)?;
        let left = setup.time.saturating_sub(started.elapsed()).max(Duration::from_millis(500));
        let setup = LineageSetup { time: left, ..setup.clone() };
        let _ = worker.send::<Task>(&(Box::new(setup), share.clone()));
        let mut current = None;
        while let Some(message) = worker.read() {
            match message {
                FromWorker::Event(line) => {
                    current = Some(line);
                    if killed.is_empty() {
                        let _ = progress.send(WorkerProgress::Event);
                    }
                }
                FromWorker::Studied(at, all) => {
                    let _ = progress.send(WorkerProgress::Studied(index, [at, all]));
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

fn start(setup: &LineageSetup) -> Result<JsonWorker, RunError> {
    let sandbox = Sandbox { jitless: setup.jitless, require: setup.require_sandbox, ..Sandbox::default() };
    JsonWorker::start("lineage-worker", setup.options.limits.heap * MAX_HEAPS, &sandbox)
}

/// The main function of the worker process. Returns its exit code.
pub fn main() -> u8 {
    match serve() {
        Ok(()) => 0,
        Err(_) => 2,
    }
}

fn serve() -> io::Result<()> {
    let Some(mut socket) = JsonSocket::enter_sandbox()? else { return Ok(()) };
    let Some((setup, events)) = socket.read::<Task>() else { return Ok(()) };
    let analyzer = match Analyzer::new(*setup) {
        Ok(analyzer) => analyzer,
        Err(error) => return socket.write(&FromWorker::LoadFailed(error)),
    };
    let found = analyzer.run(&events, &mut |progress| {
        // If the write fails, this process is about to be killed.
        let _ = socket.write(&match progress {
            Progress::Event(line) => FromWorker::Event(line),
            Progress::Studied(at, all) => FromWorker::Studied(at, all),
        });
    });
    socket.write(&FromWorker::Found(Box::new(found)))
}
