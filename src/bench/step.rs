//! One measurement, in a process of its own: earlier measurements must
//! not warm anything up, and a process never resets its memory peak.
//!
//! The bench starts this program as `sluicegate bench-step`, sends it a [`Step`] on standard input, and reads a
//! [`Measured`] from the last line of its standard error. Standard output is `/dev/null`, because a run writes to it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use serde::{Deserialize, Serialize};

use super::BenchError;
use super::stats::Latency;
use super::usage::{Usage, peak_rss, thread_cpu};
use crate::net::{Client, PRETENDED, Policy};
use crate::own_process::own_command;
use crate::wire::input::Open;
use crate::wire::lines::{FILL, Reader, slot_len};
use crate::wire::shared;
use crate::workers::{self, Job, Summary};
use sluicegate_engine::verdict::Verdict;
use sluicegate_engine::{Engine, Event, Export, Network, Options, OutputFraming, Program};

/// The settings of a measurement.
#[derive(Clone, Serialize, Deserialize)]
pub struct Step {
    /// The code.
    pub program: Program,
    /// The limits and options of the engine.
    pub options: Options,
    /// The maximum number of events per call of `transformBatch`.
    pub batch_size: usize,
    /// The file of warm-up events, which are not counted.
    pub warm_up: PathBuf,
    /// The file of measured events.
    pub events: PathBuf,
    /// The part to measure.
    pub part: Part,
    /// The delay of answers to the code's requests. The engine alone, whose CPU time is measured, does not wait for it.
    pub fetch_latency: Option<Duration>,
}

/// The parts that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// The line reader, on the file.
    Read,
    /// Writing this many bytes to a pipe.
    Write {
        /// The number of bytes.
        bytes: u64,
    },
    /// The engine in this process, one event after the other.
    Engine,
    /// The whole program: supervisor and this many workers.
    Pipeline {
        /// The number of workers.
        workers: usize,
    },
}

/// The results of a step. Times are in seconds, sizes in bytes; figures that a part does not measure stay zero.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// The wall time.
    pub wall: f64,
    /// The CPU time.
    pub cpu: f64,
    /// The size of the outputs.
    pub bytes_out: u64,
    /// The number of events with verdict ok, dropped and failed.
    pub verdicts: [u64; 3],
    /// The latency of single events.
    pub latency: Latency,
    /// The peak of V8's heap in use.
    pub heap: u64,
    /// The memory peak of the largest worker.
    pub worker_rss: u64,
    /// The memory peak of the supervisor.
    pub supervisor_rss: u64,
}

/// The main function of the measuring process. Returns its exit code.
pub fn main() -> u8 {
    let mut text = String::new();
    let step: Result<Step, _> =
        std::io::stdin().read_to_string(&mut text).map_err(|error| error.to_string()).and_then(|_| {
            serde_json::from_str(&text).map_err(|error| format!("this is started by `sluicegate bench` only: {error}"))
        });
    let (line, code) = match step.and_then(|step| measure(&step).map_err(|error| error.to_string())) {
        Ok(measured) => (serde_json::to_string(&measured).unwrap_or_default(), 0),
        Err(message) => (message, 2),
    };
    let _ = writeln!(std::io::stderr(), "{line}");
    code
}

impl Step {
    /// Runs the step in a new process.
    ///
    /// # Errors
    /// When the process cannot be started or fails.
    pub fn run(&self) -> Result<Measured, BenchError> {
        let mut child =
            own_command("bench-step").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let text = serde_json::to_vec(self).expect("plain data");
        child.stdin.take().expect("it is piped").write_all(&text)?;
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().last().unwrap_or("it said nothing");
        serde_json::from_str(last).map_err(|_| BenchError::Step(last.to_owned()))
    }
}

fn measure(step: &Step) -> Result<Measured, BenchError> {
    match step.part {
        Part::Read => read(step),
        Part::Write { bytes } => write(bytes),
        Part::Engine => engine(step),
        Part::Pipeline { workers } => pipeline(step, workers),
    }
}

fn open(path: &Path) -> Result<Open, BenchError> {
    Ok(Open::lines(path.display().to_string(), File::open(path)?))
}

fn read(step: &Step) -> Result<Measured, BenchError> {
    const SLOTS: usize = 6;
    let slot = slot_len(step.options.limits.line);
    let (_fd, memory) = shared::create("sluicegate-bench", slot * SLOTS, true)?;
    let memory = Arc::new(memory);
    let pass = |path: &Path| -> Result<(), BenchError> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
        let reader = Reader::new(memory.clone(), slot, SLOTS, stop);
        reader.run(vec![open(path)?], &mut |_| true).map_err(|error| BenchError::Step(error.to_string()))
    };
    pass(&step.warm_up)?;
    let (cpu, wall) = (thread_cpu(), Instant::now());
    pass(&step.events)?;
    Ok(Measured { wall: wall.elapsed().as_secs_f64(), cpu: (thread_cpu() - cpu).as_secs_f64(), ..Measured::default() })
}

/// Measures writing to a pipe. Only this thread's time counts: the reader of the pipe stands for another program.
fn write(bytes: u64) -> Result<Measured, BenchError> {
    let (mut from, mut to) = std::io::pipe()?;
    let _ = rustix::pipe::fcntl_setpipe_size(&to, 1 << 20);
    let drain = std::thread::spawn(move || {
        let mut buffer = vec![0; FILL];
        while from.read(&mut buffer).is_ok_and(|n| n > 0) {}
    });
    let chunk = vec![b' '; FILL];
    let (cpu, wall) = (thread_cpu(), Instant::now());
    let mut left = bytes;
    while left > 0 {
        let n = left.min(FILL as u64);
        to.write_all(&chunk[..n as usize])?;
        left -= n;
    }
    let measured =
        Measured { wall: wall.elapsed().as_secs_f64(), cpu: (thread_cpu() - cpu).as_secs_f64(), ..Measured::default() };
    drop(to);
    let _ = drain.join();
    Ok(measured)
}

/// A network that answers at once.
#[derive(Default)]
struct InstantNetwork(VecDeque<u64>);

impl Network for InstantNetwork {
    fn send(&mut self, id: u64, _: &str) -> Result<(), String> {
        self.0.push_back(id);
        Ok(())
    }

    fn wait(&mut self, _: &dyn Fn() -> bool) -> Option<(u64, String)> {
        Some((self.0.pop_front()?, PRETENDED.to_owned()))
    }

    fn forget(&mut self) {
        self.0.clear();
    }
}

/// The number of events between two readings of the heap and two runs of V8's own tasks.
const LOOK_EVERY: usize = 500;

fn engine(step: &Step) -> Result<Measured, BenchError> {
    let mut engine = Engine::new(step.program.clone(), step.options.clone()).map_err(Box::new)?;
    if step.fetch_latency.is_some() {
        engine.connect(Rc::new(RefCell::new(InstantNetwork::default())));
    }
    let batch = if engine.export() == Export::Batch { step.batch_size.max(1) } else { 1 };
    let (warm_up, events) = (std::fs::read(&step.warm_up)?, std::fs::read(&step.events)?);
    let mut unused = Measured::default();
    pass(&mut engine, &warm_up, batch, &mut unused);
    let mut measured = Measured::default();
    let (cpu, wall) = (Usage::now().cpu, Instant::now());
    let each = pass(&mut engine, &events, batch, &mut measured);
    measured.wall = wall.elapsed().as_secs_f64();
    measured.cpu = (Usage::now().cpu - cpu).as_secs_f64();
    measured.latency = Latency::of(each);
    Ok(measured)
}

/// Runs every event in the engine; returns the duration of each in nanoseconds, in a batch its share.
fn pass(engine: &mut Engine, bytes: &[u8], batch: usize, measured: &mut Measured) -> Vec<u64> {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
    let mut each = Vec::with_capacity(lines.len());
    let mut out = Vec::with_capacity(FILL);
    let verdicts = &mut measured.verdicts;
    for some in lines.chunks(LOOK_EVERY) {
        let mut before = Instant::now();
        for chunk in some.chunks(batch) {
            out.clear();
            if let ([event], 1) = (chunk, batch) {
                count(verdicts, &engine.transform(event, &mut out));
            } else {
                let events: Vec<Event<'_>> = chunk.iter().map(|json| Event { json, metadata: None }).collect();
                engine.transform_batch(&events, &mut |_| OutputFraming::LINES, &mut |verdict, text, _| {
                    count(verdicts, &verdict);
                    out.extend_from_slice(&text);
                });
            }
            let after = Instant::now();
            let share = (after - before).as_nanos() as u64 / chunk.len() as u64;
            each.extend(std::iter::repeat_n(share, chunk.len()));
            before = after;
            measured.bytes_out += out.len() as u64;
        }
        measured.heap = measured.heap.max(engine.heap_used() as u64);
        engine.idle();
    }
    each
}

fn count(verdicts: &mut [u64; 3], verdict: &Verdict) {
    let index = match verdict {
        Verdict::Ok { .. } => 0,
        Verdict::Dropped => 1,
        Verdict::Failed(_) => 2,
    };
    verdicts[index] += 1;
}

/// Runs the warm-up alone, then the warm-up with the events: the difference is the cost of the events when everything
/// is warm.
fn pipeline(step: &Step, workers: usize) -> Result<Measured, BenchError> {
    let run = |inputs: &[&PathBuf]| -> Result<(Summary, f64), BenchError> {
        let network = step.fetch_latency.map(|latency| Client::start(Policy::pretended(latency)));
        let network = network.transpose().map_err(|error| BenchError::Step(error.to_string()))?;
        let job = Job {
            workers,
            network,
            batch_size: step.batch_size,
            ..Job::new(step.program.clone(), step.options.clone())
        };
        let inputs = inputs.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
        let before = Usage::now().cpu;
        let (summary, result) = workers::run(job, inputs, &mut |_| {});
        result.map_err(|error| BenchError::Step(error.to_string()))?;
        Ok((summary, (Usage::now().cpu - before).as_secs_f64()))
    };
    let (warm, warm_cpu) = run(&[&step.warm_up])?;
    let (all, cpu) = run(&[&step.warm_up, &step.events])?;
    let difference = |field: fn(&Summary) -> u64| field(&all).saturating_sub(field(&warm));
    Ok(Measured {
        // At least a microsecond, because a rate is computed from it.
        wall: (all.elapsed.as_secs_f64() - warm.elapsed.as_secs_f64()).max(1e-6),
        cpu: (cpu - warm_cpu).max(1e-6),
        bytes_out: difference(|summary| summary.bytes_out),
        verdicts: [
            difference(|summary| summary.tally.ok),
            difference(|summary| summary.tally.dropped),
            difference(|summary| summary.tally.failures()),
        ],
        worker_rss: Usage::now().child_rss,
        supervisor_rss: peak_rss(),
        ..Measured::default()
    })
}
