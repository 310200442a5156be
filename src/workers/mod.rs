//! Workers: spawned, fed, put back in order, blamed, replaced.
//!
//! The supervisor is this process, and it never runs V8. Each worker is a process with one isolate. Whole batches of
//! lines go to workers through shared memory, and answers come back the same way, so the cost per event of the wall
//! between the processes is a fraction of a microsecond.
//!
//! What it promises: every line that was read gets exactly one verdict, outputs leave in the order of the input (unless
//! asked otherwise), memory stays bounded however long the stream is, and a worker that dies or hangs costs at most the
//! event that killed it. An event is blamed for a death only when it killed a fresh worker alone.
//!
//! - [`run`] is the supervisor's side of a stream: `supervisor`, with the bookkeeping of `units`.
//! - [`ServicePool`] is the same for requests: workers of one program that stay, and answer whatever comes. Both own a
//!   `pool`, which holds all that decides over an event.
//! - [`worker_main`] is the worker's side.
//! - [`check`] loads a program in a worker and says what came of it.
//! - `prepared` is where a program's first worker is forked, in a service; `prepared_process` is that process's side.
//! - [`PreviewWorker`] keeps a worker for code that is still being written: each trial is a program and a few events.

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
pub use crate::sandbox::{SandboxReport, Wall};
pub use answer::answer;
pub use budget::{Budget, Held};
pub use failures::{FailurePlace, FailurePlaces};
pub(crate) use json_worker::{JsonSocket, JsonWorker};
pub use prepared::PreparedProcess;
pub use prepared_process::{main as prepared_main, main_with as prepared_main_with};
pub use preview::{PreviewJob, PreviewWorker, Tried};
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
    /// How dead letters name the transformation: its path, while the program has the name that stacks show.
    pub transformation: String,
    /// Limits, and whether logs are kept.
    pub options: Options,
    /// How many workers.
    pub workers: usize,
    /// Where what comes out is written; standard output if there is none.
    pub output: Option<std::fs::File>,
    /// What stands in it.
    pub emit: Emit,
    /// What of a line is the event.
    pub line: LineFormat,
    /// Whether the lines are the elements of a JSON array.
    pub elements: bool,
    /// What the verdict lines of failed events say.
    pub verdict_detail: VerdictDetail,
    /// What happens to failed events.
    pub on_error: OnError,
    /// Where dead letters go.
    pub errors: Target,
    /// Where log lines go, if they are wanted.
    pub logs: Option<Target>,
    /// Whether the files of both begin anew.
    pub truncate: bool,
    /// Whether outputs may leave in any order.
    pub unordered: bool,
    /// Whether every event's output leaves at once.
    pub line_buffered: bool,
    /// The most events per call of `transformBatch`.
    pub batch_size: usize,
    /// What is asked of the walls around the workers.
    pub sandbox: Sandbox,
    /// Who asks the network for the code, if anybody does.
    pub network: Option<crate::net::Client>,
    /// Where the lines stood before, if the input is one of dead letters: theirs say so too.
    pub origins: Option<Arc<[Origin]>>,
    /// Whether the logs say what each event cost, see [`Cost`].
    pub measure: bool,
    /// Whether the code begins anew with each unit, which in a service is a request.
    pub fresh_state: bool,
    /// Whether failures are told apart by their places, see [`Summary::places`].
    pub places: bool,
}

/// What one event cost: a line of the logs, if that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// CPU time, in nanoseconds.
    pub cpu: u64,
    /// V8's heap in use afterwards, in bytes; zero if the isolate had to be thrown away.
    pub heap: u64,
}

impl Job {
    /// A job with nothing but a program: one worker, events out, in order, side streams nowhere.
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
            places: false,
        }
    }
}

/// What is asked of the walls around the workers.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox {
    /// No machine code.
    pub jitless: bool,
    /// Do not run without all of them.
    pub require: bool,
    /// Is told, once, what the kernel lacks, if it is not required.
    pub warn: fn(&str),
}

impl Default for Sandbox {
    fn default() -> Self {
        Self { jitless: false, require: false, warn: |_| {} }
    }
}

impl Sandbox {
    /// Whether these walls will do.
    pub(crate) fn judge(&self, walls: &SandboxReport) -> Result<(), RunError> {
        match walls.lacking() {
            Some(lacking) if self.require => Err(RunError::Sandbox(lacking)),
            Some(lacking) => {
                (self.warn)(&lacking);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// What a stream came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The verdicts.
    pub tally: Tally,
    /// From the first worker's start to the last byte written.
    pub elapsed: Duration,
    /// Bytes of input read.
    pub bytes_in: u64,
    /// Bytes of output written.
    pub bytes_out: u64,
    /// Workers that had to be replaced because they died.
    pub deaths: u64,
    /// Workers that had to be replaced because they no longer answered.
    pub hangs: u64,
    /// Requests to the network that were made again, because an event beside theirs hit a limit.
    pub repeated_requests: u64,
    /// Why the stream ended before its end, if it did.
    pub ended: Ended,
    /// The first failure in the order in which verdicts left, for people to look at.
    pub first_failure: Option<Failure>,
    /// The first number that the code has read and JavaScript can't hold, if that is looked for.
    pub unsafe_read: Option<ReadAt>,
    /// All failures by their places, if the job asked for that.
    pub places: FailurePlaces,
    /// The temporary file with the dead letters, if the job asked for one and there are any.
    pub dead_letters: Option<std::path::PathBuf>,
}

/// What the code has read, and where its event stood.
#[derive(Clone, Debug)]
pub struct ReadAt {
    /// What it has read.
    pub read: UnsafeRead,
    /// The event's input, if it was not standard input.
    pub input: Option<String>,
    /// Its line there, from 1.
    pub line: u64,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// All input was read.
    #[default]
    Complete,
    /// An event failed, and the run was to stop there.
    Stopped,
    /// The reader of the output went away.
    Closed,
    /// This signal came; everything in flight was finished.
    Signal(i32),
}

/// Why a stream could not be run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An input could not be read; everything before that is done.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Output, dead letters or logs could not be written.
    #[error("cannot write {what}: {error}")]
    Write {
        /// Which of them.
        what: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// A wall around the workers is required, and the kernel lacks it.
    #[error("this kernel lacks a part of the sandbox, and --require-sandbox asks for all of it: {0}")]
    Sandbox(String),
    /// There is no memory for what a request is answered with: it is to be sent again.
    #[error("{0}")]
    Overloaded(String),
    /// Workers cannot be started.
    #[error("cannot start a worker process: {0}")]
    Start(String),
    /// The system refused something that the supervisor needs.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// What the supervisor tells while it runs, several times a second: the summary so far, in which verdicts of lines that were
/// read may be missing.
pub type OnTick<'a> = dyn FnMut(&Summary) + 'a;

/// Loads a program in a worker process, runs nothing, and says which function it exports.
///
/// # Errors
/// When it cannot be loaded, or no worker can be started.
pub fn check(program: &Program, options: &Options, sandbox: Sandbox) -> Result<(Loaded, SandboxReport), RunError> {
    let job = Job { sandbox, ..Job::new(program.clone(), options.clone()) };
    supervisor::check(job)
}

/// What events are read from. Files are opened when their turn comes.
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
            // A mistake in it is told before the code is loaded.
            let source = if index == 0 { source.open().map(Source::File) } else { Ok(source) };
            match source {
                Ok(source) => Ok(Open { name, source, format }),
                Err(error) => Err(ReadError { name, error }),
            }
        }
    });
    opened.collect()
}
