//! Explores a transformation: on generated events ([`mod@fuzz`]), and compared with its previous version
//! ([`mod@diff`]).
//!
//! The transformation runs as in `run`, with the same workers, limits and sandbox: an
//! [`ExploreRun`] is this same program in a process of its own, whose verdict lines are read
//! one by one. A line is dropped after it has been read, so a stream may have any length.

pub mod diff;
pub mod fuzz;
pub mod lineage;
mod mutate;
mod shrink;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::bench::usage::Usage;
use crate::config::{Emit, Input};
use crate::own_process::own_command;
use crate::wire::input::{Format, Open};
use crate::workers::{self, Job, Sandbox};
use sluicegate_engine::verdict::{Failure, FailureKind};
use sluicegate_engine::{Options, Program};

/// The settings of an exploration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// The code.
    pub program: Program,
    /// Its limits.
    pub options: Options,
    /// The number of worker processes.
    pub workers: usize,
    /// The maximum number of events per call of `transformBatch`.
    pub batch_size: usize,
    /// Whether V8 runs without its compilers to machine code.
    pub jitless: bool,
    /// Whether every layer of the sandbox is required.
    pub require_sandbox: bool,
    /// The file of events; `None` if they are passed one by one.
    pub events: Option<PathBuf>,
}

/// A verdict line.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The event has these outputs.
    Ok {
        /// The outputs, in order. A value that this program cannot hold (half of a surrogate pair, a number out of
        /// range) is replaced by its text.
        events: Vec<Value>,
    },
    /// The event was dropped.
    Dropped,
    /// The event failed.
    Failed(Failure),
}

/// How a run ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct RunEnd {
    /// CPU time of all its processes.
    cpu: Duration,
    /// The error that ended the run early.
    error: Option<String>,
}

/// A run in a separate process. The process is killed when this is dropped.
pub struct ExploreRun {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    errors: ChildStderr,
}

impl ExploreRun {
    /// Starts the process.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(setup: &Setup) -> io::Result<Self> {
        let mut child =
            own_command("trial").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().expect("piped");
        let output = BufReader::with_capacity(1 << 16, child.stdout.take().expect("piped"));
        let errors = child.stderr.take().expect("piped");
        let text = serde_json::to_vec(setup)?;
        input.write_all(&(text.len() as u64).to_le_bytes())?;
        input.write_all(&text)?;
        let input = setup.events.is_none().then_some(input);
        Ok(Self { child, input, output, errors })
    }

    /// Reads the next verdict line into `line`; `false` after the last one.
    ///
    /// # Errors
    /// When the line cannot be read.
    pub fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        Ok(self.output.read_until(b'\n', line)? > 0)
    }

    /// Returns the verdicts on these events. Each event is a JSON text without line ends.
    ///
    /// # Errors
    /// When the process ends before it has answered; the text says why, if that is known.
    pub fn verdicts(&mut self, events: &[String]) -> io::Result<Vec<Verdict>> {
        let Self { input, output, .. } = self;
        let input = input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let verdicts = std::thread::scope(|threads| {
            // Pipes have small buffers: if both sides only wrote, they would wait for each other.
            let text: String = events.iter().flat_map(|event| [event, "\n"]).collect();
            threads.spawn(move || {
                // If the write fails, the read fails too.
                let _ = input.write_all(text.as_bytes());
            });
            let mut verdicts = Vec::with_capacity(events.len());
            let mut line = Vec::new();
            while verdicts.len() < events.len() {
                line.clear();
                if output.read_until(b'\n', &mut line)? == 0 {
                    break;
                }
                verdicts.push(parse(&line));
            }
            io::Result::Ok(verdicts)
        })?;
        if verdicts.len() < events.len() {
            return Err(self.why());
        }
        Ok(verdicts)
    }

    /// Waits for the end of a run whose verdicts have all been read. Returns the CPU time that it took.
    ///
    /// # Errors
    /// When the run failed.
    pub fn end(mut self) -> io::Result<Duration> {
        self.input = None;
        match self.ended() {
            Some(RunEnd { cpu, error: None }) => Ok(cpu),
            Some(RunEnd { error: Some(error), .. }) => Err(io::Error::other(error)),
            None => Err(io::Error::other("the process of the trial died")),
        }
    }

    fn why(&mut self) -> io::Error {
        self.input = None;
        let error = self.ended().and_then(|ended| ended.error);
        io::Error::other(error.unwrap_or_else(|| "the process of the trial died".to_owned()))
    }

    /// Parses the last line of standard error; lines before it may be warnings.
    fn ended(&mut self) -> Option<RunEnd> {
        let mut text = String::new();
        self.errors.read_to_string(&mut text).ok()?;
        let _ = self.child.wait();
        serde_json::from_str(text.lines().last()?).ok()
    }
}

impl Drop for ExploreRun {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Parses a verdict line.
pub fn parse(line: &[u8]) -> Verdict {
    #[derive(Deserialize)]
    struct VerdictLine<'a> {
        verdict: &'a str,
        #[serde(borrow, default)]
        events: Vec<&'a RawValue>,
    }
    let value = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or_else(|_| Value::from(raw.get()));
    let read = || match serde_json::from_slice::<VerdictLine<'_>>(line)? {
        VerdictLine { verdict: "ok", events } => Ok(Verdict::Ok { events: events.into_iter().map(value).collect() }),
        VerdictLine { verdict: "dropped", .. } => Ok(Verdict::Dropped),
        _ => serde_json::from_slice(line).map(Verdict::Failed),
    };
    read().unwrap_or_else(|error: serde_json::Error| {
        Verdict::Failed(Failure::new(FailureKind::BadReturn, format!("the verdict cannot be read: {error}")))
    })
}

/// The main function of the process of an [`ExploreRun`]. Returns its exit code.
pub fn main() -> u8 {
    let (ended, code) = match serve() {
        Ok(()) => (RunEnd { cpu: Usage::now().cpu, error: None }, 0),
        Err(error) => (RunEnd { cpu: Duration::ZERO, error: Some(error.to_string()) }, 2),
    };
    let _ = writeln!(io::stderr(), "{}", serde_json::to_string(&ended).unwrap_or_default());
    code
}

fn serve() -> anyhow::Result<()> {
    // Read without a buffer: the rest of standard input is for the worker pool.
    let mut stdin = std::fs::File::from(rustix::io::dup(io::stdin())?);
    let mut len = [0; 8];
    stdin.read_exact(&mut len)?;
    let mut text = Vec::new();
    (&mut stdin).take(u64::from_le_bytes(len)).read_to_end(&mut text)?;
    let setup: Setup = serde_json::from_slice(&text)?;
    let input = setup.events.map_or(Input::Stdin, Input::File);
    let opened: Vec<Open> = workers::open(&[input], Format::default())?;
    let job = Job {
        workers: setup.workers,
        emit: Emit::Verdicts,
        batch_size: setup.batch_size,
        sandbox: Sandbox { jitless: setup.jitless, require: setup.require_sandbox, ..Sandbox::default() },
        ..Job::new(setup.program, setup.options)
    };
    workers::run(job, opened, &mut |_| {}).1?;
    Ok(())
}
