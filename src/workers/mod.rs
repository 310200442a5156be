//! Worker processes: starts them, gives them lines, restores the order of their answers, assigns blame, replaces them.
//!
//! The supervisor is this process, and it never runs V8. Each worker is a process with one isolate. Whole batches of
//! lines go to workers through shared memory, and answers come back the same way, so process isolation costs a fraction
//! of a microsecond per event.
//!
//! Invariants: every line that was read gets exactly one verdict, outputs leave in the order of the input (unless
//! requested otherwise), memory stays bounded however long the stream is, and a worker that dies or hangs costs at most
//! the event that killed it. An event is blamed for a death only if it killed a fresh worker while it ran alone, or if
//! the worker's watchdog could not stop it in any other way.
//!
//! - [`run`] is the supervisor's side of a stream: `supervisor`, with the bookkeeping of `work_queue`.
//! - [`ServicePool`] is the same for requests: the workers of one program stay and answer request after request. Both
//!   own a `worker_pool`, which makes all decisions about an event.
//! - [`worker_main`] is the worker's side.
//! - [`check`] loads a program in a worker and reports the result.
//! - `prepared` forks the first worker of each program, in a service; `prepared_process` is the forking process's side.
//! - [`PreviewWorker`] keeps a worker for code that is still being written: each preview is a program and a few events.

mod answer;
mod budget;
mod copies;
mod failures;
mod fd;
mod fetch_relay;
mod json_worker;
mod launcher;
mod line_limit;
mod mailbox;
mod output;
mod output_check;
mod prepared;
mod prepared_process;
mod preview;
mod process;
mod service_pool;
mod side_stream;
mod supervisor;
mod turns;
mod work_queue;
mod worker;
mod worker_exit;
mod worker_pool;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use crate::sandbox;
pub use crate::sandbox::{SandboxLayer, SandboxReport};
pub use answer::answer;
pub use budget::{Budget, Reservation};
pub use failures::{FailureGroup, FailureGroups};
pub(crate) use json_worker::{JsonSocket, JsonWorker};
pub use prepared::PreparedProcess;
pub use prepared_process::{main as prepared_main, main_with as prepared_main_with};
pub use preview::{PreviewJob, PreviewResult, PreviewWorker};
pub use service_pool::{Resources, Row, Rows, ServiceAnswer, ServicePool, Status, UnitResult, WorkerPermit};
pub use supervisor::run;
pub use worker::{Hook, main as worker_main, main_with as worker_main_with};

use crate::config::{Emit, LineFormat, OnError, Target, VerdictDetail};
use crate::tally::Tally;
use crate::wire::dead_letter::Origin;
use crate::wire::input::{Format, Open, Source};
use crate::wire::lines::ReadError;
use sluicegate_engine::verdict::Failure;
use sluicegate_engine::{LoadError, Loaded, Options, Program, UnsafeRead};

/// A stream to be transformed.
pub struct Job {
    /// The transformation with its libraries.
    pub program: Program,
    /// The transformation's name in dead letters: its path. The program's own name is the one in stack traces.
    pub transformation: String,
    /// Limits, and whether logs are kept.
    pub options: Options,
    /// The number of workers.
    pub workers: usize,
    /// The output file; `None` for standard output.
    pub output: Option<std::fs::File>,
    /// The contents of the output.
    pub emit: Emit,
    /// Which part of a line is the event.
    pub line: LineFormat,
    /// Whether the lines are the elements of a JSON array.
    pub elements: bool,
    /// The contents of the verdict lines of failed events.
    pub verdict_detail: VerdictDetail,
    /// What happens to a line whose event failed.
    pub on_error: OnError,
    /// The target of dead letters.
    pub errors: Target,
    /// The target of log lines; `None` if they are not wanted.
    pub logs: Option<Target>,
    /// Whether the files of both are truncated first.
    pub truncate: bool,
    /// Whether outputs may leave in any order.
    pub unordered: bool,
    /// Whether every event's output is written at once.
    pub line_buffered: bool,
    /// The most events per call of `transformBatch`.
    pub batch_size: usize,
    /// The requirements on the workers' sandbox.
    pub sandbox: Sandbox,
    /// The client for the code's network requests; `None` if the code may not use the network.
    pub network: Option<crate::net::Client>,
    /// The original positions of the lines, if the input consists of dead letters. New dead letters repeat them.
    pub origins: Option<Arc<[Origin]>>,
    /// Whether the logs contain the cost of each event, see [`Cost`].
    pub measure: bool,
    /// Whether each unit runs in a fresh state of the code. In a service, a unit is a request.
    pub fresh_state: bool,
    /// Whether failures are grouped by position, see [`Summary::failure_groups`].
    pub group_failures: bool,
}

/// The cost of one event. Optionally logged, one line per event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// CPU time, in nanoseconds.
    pub cpu: u64,
    /// V8's heap in use afterwards, in bytes; zero if the isolate had to be discarded.
    pub heap: u64,
}

impl Job {
    /// Creates a job with defaults: one worker, output of events, in order, no side streams.
    pub fn new(program: Program, options: Options) -> Self {
        Self {
            transformation: program.name.clone(),
            program,
            options,
            workers: 1,
            output: None,
            emit: Emit::Events,
            line: LineFormat::Event,
            elements: false,
            verdict_detail: VerdictDetail::Short,
            on_error: OnError::DeadLetter,
            errors: Target::Nowhere,
            logs: None,
            truncate: false,
            unordered: false,
            line_buffered: false,
            batch_size: 1,
            sandbox: Sandbox::default(),
            network: None,
            origins: None,
            measure: false,
            fresh_state: false,
            group_failures: false,
        }
    }
}

/// The requirements on the workers' sandbox.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox {
    /// Whether V8 runs without generating machine code.
    pub jitless: bool,
    /// Whether an incomplete sandbox is an error.
    pub require: bool,
    /// Called once with the missing layers, if they are not required.
    pub warn: fn(&str),
}

impl Default for Sandbox {
    fn default() -> Self {
        Self { jitless: false, require: false, warn: |_| {} }
    }
}

impl Sandbox {
    /// Checks a sandbox against these requirements. Warns or fails if a layer is missing.
    pub(crate) fn judge(&self, report: &SandboxReport) -> Result<(), RunError> {
        match report.lacking() {
            Some(lacking) if self.require => Err(RunError::Sandbox(lacking)),
            Some(lacking) => {
                (self.warn)(&lacking);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The result of a stream.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The verdicts.
    pub tally: Tally,
    /// The time from the first worker's start to the last byte written.
    pub elapsed: Duration,
    /// Bytes of input read.
    pub bytes_in: u64,
    /// Bytes of output written.
    pub bytes_out: u64,
    /// Workers that had to be replaced because they died.
    pub deaths: u64,
    /// Workers that had to be replaced because they no longer answered.
    pub hangs: u64,
    /// Network requests that were sent again because another event in flight hit a limit.
    pub repeated_requests: u64,
    /// Why the stream ended early, if it did.
    pub ended: StreamEnd,
    /// The first failure in the order of the written verdicts, to show to a person.
    pub first_failure: Option<Failure>,
    /// The first number read by the code that JavaScript cannot represent, if the run checks for such numbers.
    pub unsafe_read: Option<ReadAt>,
    /// All failures grouped by position, if the job asked for that.
    pub failure_groups: FailureGroups,
    /// The temporary file with the dead letters, if the job asked for one and there are any.
    pub dead_letters: Option<std::path::PathBuf>,
}

/// An unsafe read, and the position of its event.
#[derive(Clone, Debug)]
pub struct ReadAt {
    /// The unsafe read.
    pub read: UnsafeRead,
    /// The event's input; `None` for standard input.
    pub input: Option<String>,
    /// The event's line in that input, from 1.
    pub line: u64,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamEnd {
    /// All input was read.
    #[default]
    Complete,
    /// An event failed, and the run stops at the first failure.
    Stopped,
    /// The reader of the output closed it.
    Closed,
    /// The run received this signal; everything in flight was finished.
    Signal(i32),
}

/// Why a stream could not be run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An input could not be read; all lines before the error are done.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Output, dead letters or logs could not be written.
    #[error("cannot write {what}: {error}")]
    Write {
        /// Which of the three.
        what: String,
        /// The system's error.
        error: std::io::Error,
    },
    /// The kernel does not support a layer of the sandbox, and the sandbox is required.
    #[error("this kernel lacks a part of the sandbox, and --require-sandbox asks for all of it: {0}")]
    Sandbox(String),
    /// There is no memory for the answer to a request; the client should retry.
    #[error("{0}")]
    Overloaded(String),
    /// Workers cannot be started.
    #[error("cannot start a worker process: {0}")]
    Start(String),
    /// The system refused something that the supervisor needs.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Called several times a second while the supervisor runs, with the summary so far. Verdicts of lines that were
/// already read may be missing from it.
pub type OnTick<'a> = dyn FnMut(&Summary) + 'a;

/// Loads a program in a worker process without running it, and returns which function it exports.
///
/// # Errors
/// When it cannot be loaded, or no worker can be started.
pub fn check(program: &Program, options: &Options, sandbox: Sandbox) -> Result<(Loaded, SandboxReport), RunError> {
    let job = Job { sandbox, ..Job::new(program.clone(), options.clone()) };
    supervisor::check(job)
}

/// Opens the inputs of a run. Files after the first are opened when their turn comes.
///
/// # Errors
/// When standard input is closed, or the first file cannot be opened.
pub fn open(inputs: &[crate::config::Input], format: Format) -> Result<Vec<Open>, ReadError> {
    use std::os::fd::AsFd;
    let opened = inputs.iter().enumerate().map(|(index, input)| match input {
        crate::config::Input::Stdin => {
            let name = "standard input".to_owned();
            match std::io::stdin().as_fd().try_clone_to_owned() {
                Ok(fd) => Ok(Open { name, source: Source::File(fd.into()), format }),
                Err(error) => Err(ReadError { name, error }),
            }
        }
        crate::config::Input::File(path) => {
            let name = path.display().to_string();
            let source = Source::Path(path.clone());
            // A mistake in the first path is reported before the code is loaded.
            let source = if index == 0 { source.open().map(Source::File) } else { Ok(source) };
            match source {
                Ok(source) => Ok(Open { name, source, format }),
                Err(error) => Err(ReadError { name, error }),
            }
        }
    });
    opened.collect()
}
