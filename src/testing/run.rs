//! The supervisor's side: runs the units of a plan on several worker processes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use super::plan::{Plan, Sources, Unit};
use super::result::{FileResult, Totals};
use super::runner::{Pass, Runner};
use super::{isolation, snapshots};
use crate::workers::JsonWorker;

/// Runs the plan; calls `done` with the result of each unit, in the order of the plan.
///
/// # Errors
/// When no worker can be started.
pub fn run(plan: &Plan, sources: &dyn Sources, done: &mut dyn FnMut(FileResult)) -> std::io::Result<Totals> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let (send, receive) = mpsc::channel();
    let mut totals = Totals::default();
    std::thread::scope(|threads| {
        for _ in 0..plan.workers.min(plan.units.len()) {
            let (send, next, stop) = (send.clone(), &next, &stop);
            threads.spawn(move || {
                let mut worker = None;
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(unit) = plan.units.get(index).filter(|_| !stop.load(Ordering::Relaxed)) else { break };
                    let result = run_unit(plan, unit, sources, &mut worker, stop);
                    if send.send((index, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut waiting = BTreeMap::new();
        let mut turn = 0;
        let mut tell = |result: FileResult, totals: &mut Totals| {
            totals.add(&result);
            done(result);
        };
        for (index, result) in receive {
            waiting.insert(index, result?);
            while let Some(result) = waiting.remove(&turn) {
                turn += 1;
                tell(result, &mut totals);
            }
        }
        // With --fail-fast, results of units may be missing in between.
        waiting.into_values().for_each(|result| tell(result, &mut totals));
        Ok(totals)
    })
}

fn run_unit(
    plan: &Plan,
    unit: &Unit,
    sources: &dyn Sources,
    worker: &mut Option<JsonWorker>,
    stop: &AtomicBool,
) -> std::io::Result<FileResult> {
    let mut runner = Runner { plan, unit, sources, worker, stop };
    let mut ran = runner.pass(&Pass::default())?;
    let locate = |path: &str| sources.file(path, Path::new(&unit.name)).ok();
    let written = snapshots::write(&ran.finished, &snapshots::path(Path::new(&unit.name)), &unit.name, &locate)?;
    ran.result.written = written.count;
    ran.result.move_lines(&unit.name, &written.moves);
    if plan.isolation && !plan.list_only && ran.result.load_error.is_none() {
        isolation::compare(&mut runner, &mut ran)?;
    }
    Ok(ran.result)
}
