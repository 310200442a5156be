//! `sluicegate bench`: measures the cost of a transformation.
//!
//! Every measurement is a [`step`] in a process of its own. The steps of a run take turns, and a run is repeated, so
//! that other load on the machine affects all steps alike. The warm-up never counts. Three things are measured:
//!
//! - **Throughput**: supervisor and workers over the events, for several numbers of workers, as in `run`.
//! - **Latency**: the engine alone, one event after the other. It is the time that an event takes, without the time
//!   that it waits, which depends on how fast events arrive.
//! - **Where the time goes**: measured by leaving parts out, because instruments inside would cost more than the
//!   parts themselves. The engine runs a function that returns at once (`parse`), then the author's function
//!   with its result discarded (`execute` is the difference), then the author's function (`stringify` is the
//!   difference). The line reader is measured alone. The rest of the total is `queue`: frames, shared memory,
//!   threads, order and counts. Runs write to `/dev/null`, so `write` is measured separately, with a pipe.
//!
//! A part that is a difference can be below zero on a busy machine; it is shown as measured.

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

/// The settings of a bench.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The code.
    pub program: Program,
    /// The limits and options of the engine.
    pub options: Options,
    /// The maximum number of events per call of `transformBatch`.
    pub batch_size: usize,
    /// The events.
    pub source: Source,
    /// The number of events to measure; by default, enough for a run of about a second.
    pub events: Option<u64>,
    /// The number of warm-up events; by default half as many, at most [`MAX_WARM_UP`].
    pub warm_up: Option<u64>,
    /// How often everything is measured.
    pub runs: usize,
    /// The numbers of workers.
    pub workers: Vec<usize>,
    /// The delay of answers to the code's requests; by default, requests are not answered.
    pub fetch_latency: Option<Duration>,
}

/// The default maximum number of warm-up events: V8's last compiler tier has run long before.
pub const MAX_WARM_UP: u64 = 10_000;

/// Why a bench failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The program could not be loaded.
    #[error(transparent)]
    Load(#[from] Box<LoadError>),
    /// A measurement failed.
    #[error("a measurement failed: {0}")]
    Step(String),
    /// There is nothing to measure.
    #[error("{0} holds no events")]
    NoEvents(String),
    /// The system reported an error.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Called before every step: the number of steps done, the number of all steps, the name of the next one.
pub type OnStep<'a> = dyn FnMut(usize, usize, &str) + 'a;

/// The import name of the author's module, for the modules that measure it.
const MEASURED: &str = "sluicegate-bench";

/// Runs all measurements.
///
/// # Errors
/// When the program does not load, there are no events, or a measurement fails.
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
    // One more step per run measures writing; its size is known only later.
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

/// Returns a program that parses its events and does nothing else.
fn returns_at_once(export: Export) -> Program {
    let (function, nothing) = match export {
        Export::Event => ("transformEvent", "null"),
        Export::Batch => ("transformBatch", "[]"),
    };
    Program::new("nothing.js", format!("export function {function}() {{ return {nothing}; }}"))
}

/// Returns the author's program without output: the function runs to its end, and its result is discarded.
fn result_thrown_away(program: &Program, export: Export) -> Program {
    let (function, nothing) = match export {
        Export::Event => ("transformEvent", "null"),
        Export::Batch => ("transformBatch", "[]"),
    };
    // The result is stored, so that V8 cannot optimise the work away. A promise is awaited, as in a run.
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

/// Reads a report that an earlier bench wrote with `--json`.
///
/// # Errors
/// When the file cannot be read or is not such a report.
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
