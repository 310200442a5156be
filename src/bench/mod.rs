//! `sluicegate bench`: what a transformation costs, measured so that the figures can be believed.
//!
//! Every measurement is a [`step`] in a process of its own, the steps of a run take turns, and a run is repeated: what
//! else the machine does hits all of them. The warm-up is left out everywhere. Three things are measured:
//!
//! - **Throughput**: supervisor and workers over the events, for several numbers of workers, as `run` does it.
//! - **Latency**: the engine alone, event after event. It is the time that an event takes, not that it waits: how long
//!   it waits depends on how fast events come.
//! - **Where the time goes**, by leaving parts out rather than by instruments inside, which would cost more than what
//!   they measure. The engine runs a function that returns at once (`parse`), the author's function with its result
//!   thrown away (`execute` is the difference), and the author's function (`stringify` is the difference). The line
//!   reader is measured alone. What the whole costs beyond the sum of these is `queue`: frames, shared memory, threads,
//!   order, books. Runs write to `/dev/null`, so `write` is measured apart, to a pipe.
//!
//! A part that is a difference can come out below zero when the machine is busy; it is shown as measured.

pub mod generate;
pub mod report;
pub mod source;
pub mod stats;
pub mod step;
pub mod svg;
pub mod usage;

use std::path::Path;
use std::time::Duration;

use self::report::{Memory, Report, Split, Throughput};
use self::source::Source;
use self::stats::{Latency, Spread};
use self::step::{Measured, Part, Step};
use crate::workers::{self, RunError, Sandbox};
use sluicegate_engine::{Export, LoadError, Options, Program};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The code.
    pub program: Program,
    /// How it is run.
    pub options: Options,
    /// The most events per call of `transformBatch`.
    pub batch_size: usize,
    /// What events.
    pub source: Source,
    /// How many are measured; if not said, as many as make a run of about a second.
    pub events: Option<u64>,
    /// How many come before those; if not said, half as many, at most [`MAX_WARM_UP`].
    pub warm_up: Option<u64>,
    /// How often everything is measured.
    pub runs: usize,
    /// The numbers of workers.
    pub workers: Vec<usize>,
    /// After how long the code's requests are answered; if not said, none is.
    pub fetch_latency: Option<Duration>,
}

/// The most events of warm-up, unless told otherwise: V8's last compiler has long been at work by then.
pub const MAX_WARM_UP: u64 = 10_000;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The program could not be loaded.
    #[error(transparent)]
    Load(#[from] Box<LoadError>),
    /// A measurement did not get through.
    #[error("a measurement failed: {0}")]
    Step(String),
    /// There is nothing to measure.
    #[error("{0} holds no events")]
    NoEvents(String),
    /// The system refused something.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Told before every step: how many are done, how many there are, what comes now.
pub type OnStep<'a> = dyn FnMut(usize, usize, &str) + 'a;

/// The handle under which the author's module is known to the modules that measure it.
const MEASURED: &str = "sluicegate-bench";

/// Measures.
///
/// # Errors
/// When the program does not load, there are no events, or a measurement did not get through.
pub fn run(plan: &Plan, on_step: &mut OnStep<'_>) -> Result<Report, BenchError> {
    let export = match workers::check(&plan.program, &plan.options, Sandbox::default()) {
        Ok((loaded, _)) => loaded.export,
        Err(RunError::Load(error)) => return Err(Box::new(error).into()),
        Err(error) => return Err(BenchError::Step(error.to_string())),
    };
    let folder = tempfile::Builder::new().prefix("sluicegate-bench-").tempdir()?;
    let prepared = plan.source.prepare(folder.path(), plan.events, plan.warm_up)?;
    let step = |program: Program, part: Part| Step {
        program,
        options: plan.options.clone(),
        batch_size: plan.batch_size,
        warm_up: prepared.warm_up_file.clone(),
        events: prepared.events_file.clone(),
        part,
        fetch_latency: plan.fetch_latency,
    };
    let mut series = vec![
        ("read", step(plan.program.clone(), Part::Read)),
        ("parse", step(returns_at_once(export), Part::Engine)),
        ("parse and execute", step(result_thrown_away(&plan.program, export), Part::Engine)),
        ("one event", step(plan.program.clone(), Part::Engine)),
    ];
    for workers in &plan.workers {
        series.push(("all", step(plan.program.clone(), Part::Pipeline { workers: *workers })));
    }
    // One more per run for writing, of which the size is known only then.
    let total = plan.runs * (series.len() + 1);
    let others = usage::Others::watch();
    let mut rounds: Vec<Vec<Measured>> = Vec::new();
    for run in 0..plan.runs {
        let mut round: Vec<Measured> = Vec::new();
        for (name, step) in &series {
            let workers = match step.part {
                Part::Pipeline { workers } => format!(" with {workers} workers"),
                _ => String::new(),
            };
            on_step(run * (series.len() + 1) + round.len(), total, &format!("{name}{workers}"));
            round.push(step.run()?);
        }
        on_step(run * (series.len() + 1) + round.len(), total, "write");
        let bytes = round.last().map_or(0, |all| all.bytes_out);
        round.push(step(plan.program.clone(), Part::Write { bytes }).run()?);
        rounds.push(round);
    }
    Ok(Report { others: others.share(), ..report(plan, &prepared, &rounds) })
}

fn report(plan: &Plan, prepared: &source::Prepared, rounds: &[Vec<Measured>]) -> Report {
    let events = prepared.events as f64;
    let spread = |of: &dyn Fn(&[Measured]) -> f64| Spread::of(rounds.iter().map(|round| of(round)));
    let micros = |of: &dyn Fn(&[Measured]) -> f64| spread(&|round| of(round) / events * 1e6);
    let first = &rounds[0];
    let pipeline = |index: usize| 4 + index;
    let throughput = plan.workers.iter().enumerate().map(|(index, workers)| {
        let at = pipeline(index);
        Throughput {
            workers: *workers,
            events_per_second: spread(&|round| events / round[at].wall),
            mb_in_per_second: spread(&|round| prepared.bytes as f64 / 1e6 / round[at].wall),
            mb_out_per_second: spread(&|round| round[at].bytes_out as f64 / 1e6 / round[at].wall),
            cpu_micros_per_event: micros(&|round| round[at].cpu),
            cpu_per_wall: spread(&|round| round[at].cpu / round[at].wall),
        }
    });
    let least = plan.workers.iter().enumerate().min_by_key(|(_, workers)| **workers).map_or(0, |(index, _)| index);
    let latencies: Vec<Latency> = rounds.iter().map(|round| round[3].latency.clone()).collect();
    let most = |of: fn(&Measured) -> u64| rounds.iter().flatten().map(of).max().unwrap_or(0);
    let [ok, dropped, failed] = first[3].verdicts;
    Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        machine: usage::machine(),
        transformation: plan.program.name.clone(),
        code_hash: plan.program.code_hash(),
        source: plan.source.to_string(),
        events: prepared.events,
        warm_up: prepared.warm_up,
        bytes: prepared.bytes,
        runs: rounds.len(),
        ok,
        dropped,
        failed,
        throughput: throughput.collect(),
        latency: Latency::merge(&latencies),
        split: Split {
            read: micros(&|round| round[0].cpu),
            queue: micros(&|round| round[pipeline(least)].cpu - round[0].cpu - round[3].cpu),
            parse: micros(&|round| round[1].cpu),
            execute: micros(&|round| round[2].cpu - round[1].cpu),
            stringify: micros(&|round| round[3].cpu - round[2].cpu),
            write: micros(&|round| round.last().map_or(0.0, |write| write.cpu)),
        },
        memory: Memory {
            heap: most(|measured| measured.heap),
            worker_rss: most(|measured| measured.worker_rss),
            supervisor_rss: most(|measured| measured.supervisor_rss),
        },
        others: 0.0,
    }
}

/// A program that parses its events and does nothing with them.
fn returns_at_once(export: Export) -> Program {
    let (function, nothing) = match export {
        Export::Event => ("transformEvent", "null"),
        Export::Batch => ("transformBatch", "[]"),
    };
    Program::new("nothing.js", format!("export function {function}() {{ return {nothing}; }}"))
}

/// The author's program without what comes after it: the function runs to its end, but nothing goes out.
fn result_thrown_away(program: &Program, export: Export) -> Program {
    let (function, nothing) = match export {
        Export::Event => ("transformEvent", "null"),
        Export::Batch => ("transformBatch", "[]"),
    };
    // What is kept cannot be optimised away. A promise is waited for, as its work would be otherwise.
    let code = format!(
        "import {{ {function} as measured }} from '{MEASURED}';
let kept;
const drop = (result) => {{ kept = result; return {nothing}; }};
export function {function}(events, metadata) {{
  const result = measured(events, metadata);
  return result instanceof Promise ? result.then(drop) : drop(result);
}}
export const last = () => kept;"
    );
    let mut wrapped = program.clone().with_library(MEASURED, program.code.clone());
    wrapped.code = code;
    wrapped
}

/// What an earlier bench wrote with `--json`.
///
/// # Errors
/// When the file cannot be read, or holds something else.
pub fn read_report(path: &Path) -> Result<Report, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("it is not what `sluicegate bench --json` writes: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_engine::Engine;
    use sluicegate_engine::verdict::Verdict;

    #[test]
    fn the_measured_programs_load_and_let_nothing_out() {
        for (export, code) in [
            (Export::Event, "export async function transformEvent(event) { event.a = 1; return event; }"),
            (Export::Event, "export function transformEvent(event) { return [event, event]; }"),
            (Export::Batch, "export function transformBatch(events) { return events; }"),
        ] {
            let program = Program::new("t.js", code);
            for program in [returns_at_once(export), result_thrown_away(&program, export)] {
                let mut engine = Engine::new(program, Options::default()).unwrap();
                assert_eq!(engine.transform(b"{}", &mut Vec::new()), Verdict::Dropped, "{code}");
            }
        }
    }
}
