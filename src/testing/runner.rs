//! Runs one unit in a worker process, once or several times.
//!
//! If a worker dies, one test fails: the test that the worker has
//! announced. The unit continues with the next test in a new worker.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::frames::{author_frames, first_place};
use super::plan::{Plan, Sources, Unit, UnitTests};
use super::protocol::{Change, Ended, Finished, FromWorker, Job, Listed, TestError, Tests, ToWorker};
use super::result::{FileResult, Status, TestResult};
use super::snapshots;
use crate::workers::JsonWorker;
use sluicegate_engine::testing::Module;
use sluicegate_engine::verdict::Position;
use sluicegate_engine::{Limits, LoadError, ObserverOptions, UnsafeRead};

/// Starts a worker process for the units of a plan.
fn start(plan: &Plan) -> std::io::Result<JsonWorker> {
    let heaps = plan.units.iter().filter_map(|unit| Some(unit.subject.as_ref().ok()?.options.limits.heap));
    let largest = heaps.chain([Limits::default().heap]).max().unwrap_or_default();
    let heap = super::worker::HEAP + super::worker::MAX_ENGINES * largest;
    JsonWorker::start("suite-worker", heap, &plan.sandbox).map_err(std::io::Error::other)
}

/// The settings of one pass over a unit, see [`super::isolation`].
#[derive(Clone, Debug, Default)]
pub(super) struct Pass {
    /// The tests to run, in this order; all tests if `None`.
    pub(super) order: Option<Vec<usize>>,
    /// Whether each test gets fresh isolates.
    pub(super) alone: bool,
}

/// One pass over a unit: its result, and the changes that each test made. Keys are positions of tests in the file.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub(super) result: FileResult,
    /// For each listed test, the index of its result.
    pub(super) places: BTreeMap<usize, usize>,
    pub(super) changes: BTreeMap<usize, Vec<Change>>,
    pub(super) finished: Finished,
}

impl Ran {
    /// Returns the result of the test at this position in the file.
    pub(super) fn test(&self, index: usize) -> Option<&TestResult> {
        self.result.tests.get(*self.places.get(&index)?)
    }
}

/// A unit, and everything that is needed to run it.
pub(super) struct Runner<'a> {
    pub(super) plan: &'a Plan,
    pub(super) unit: &'a Unit,
    pub(super) sources: &'a dyn Sources,
    pub(super) worker: &'a mut Option<JsonWorker>,
    pub(super) stop: &'a AtomicBool,
}

impl Runner<'_> {
    fn job(&self, pass: &Pass) -> Job {
        let Self { plan, unit, .. } = self;
        let known = match &unit.tests {
            UnitTests::Code(_) => {
                let path = snapshots::path(Path::new(&unit.name));
                if snapshots::leads_away(&path) { None } else { std::fs::read_to_string(path).ok() }
            }
            UnitTests::Cases(_) => None,
        };
        let host = json!({
            "file": unit.name, "filter": plan.filter, "snapshots": known, "update": plan.update, "ci": plan.ci
        });
        Job {
            tests: match &unit.tests {
                UnitTests::Code(code) => Tests::Module(Module { name: unit.name.clone(), code: code.clone() }),
                UnitTests::Cases(text) => Tests::Cases(text.clone()),
            },
            subject: unit.subject.clone(),
            // A `null` would count as a value, so keys without a value are left out.
            host: without_nulls(host),
            time: plan.time,
            order: pass.order.clone(),
            from: 0,
            alone: pass.alone,
            look: ObserverOptions {
                coverage: plan.coverage && !pass.alone && pass.order.is_none(),
                variables: plan.isolation,
            },
            list_only: plan.list_only,
            seed: plan.seed,
        }
    }

    /// Runs the unit's tests. A worker that dies is replaced, and the test that it was running fails.
    pub(super) fn pass(&mut self, pass: &Pass) -> std::io::Result<Ran> {
        let mut job = self.job(pass);
        let path = Path::new(&self.unit.name);
        let result = FileResult {
            file: self.unit.name.clone(),
            libraries: self.unit.libraries.clone(),
            ..FileResult::default()
        };
        let mut ran = Ran { result, ..Ran::default() };
        let mut running: Option<usize> = None;
        loop {
            let one = match self.worker {
                Some(one) => one,
                None => self.worker.insert(start(self.plan)?),
            };
            // If the worker is dead, the read below finds out.
            let _ = one.send(&ToWorker::Job(Box::new(job.clone())));
            while let Some(message) = one.read() {
                match message {
                    FromWorker::NeedModule { specifier, importer, form } => {
                        let module = self.sources.module(&specifier, Path::new(&importer), form.as_deref());
                        let _ = one.send(&ToWorker::Module(module));
                    }
                    FromWorker::NeedSubject { path: other } => {
                        let _ = one.send(&ToWorker::Subject(self.sources.subject(&other, path).map(Box::new)));
                    }
                    FromWorker::NeedFile { path: other } => {
                        let text = self.sources.file(&other, path).map(|path| std::fs::read_to_string(path).ok());
                        let _ = one.send(&ToWorker::File(text));
                    }
                    FromWorker::LoadFailed(mut error) => {
                        error.stack = error.stack.map(|stack| author_frames(&stack).collect::<Vec<_>>().join("\n"));
                        ran.result.load_error = Some(error);
                        return Ok(ran);
                    }
                    FromWorker::Listed(listed) => ran.list(listed),
                    FromWorker::Started(index) => {
                        job.from += 1;
                        running = Some(index);
                    }
                    FromWorker::Ended { index, millis, result: ended, changes, unsafe_read } => {
                        running = None;
                        ran.record(index, millis, ended);
                        ran.record_read(index, unsafe_read.map(|read| *read));
                        ran.changes.insert(index, changes);
                        if self.plan.fail_fast && ran.result.tests.iter().any(|test| test.status == Status::Failed) {
                            self.stop.store(true, Ordering::Relaxed);
                            *self.worker = None;
                            return Ok(ran);
                        }
                    }
                    FromWorker::Coverage(scripts) => ran.result.coverage.extend(scripts),
                    FromWorker::Finished(finished) => {
                        ran.finished = finished;
                        return Ok(ran);
                    }
                }
            }
            *self.worker = None;
            let Some(index) = running.take() else {
                let message = "the worker process died while it loaded the tests".to_owned();
                ran.result.load_error = Some(LoadError {
                    kind: sluicegate_engine::LoadErrorKind::Limit,
                    message,
                    position: None,
                    end_column: 0,
                    source_line: None,
                    stack: None,
                    help: None,
                });
                return Ok(ran);
            };
            let message = "the test could not be stopped, or killed its worker process".to_owned();
            let ended = Ended { error: Some(TestError { message, ..TestError::default() }), ..Ended::default() };
            ran.record(index, 0.0, ended);
        }
    }
}

impl Ran {
    /// Records the listed tests. Later lists, from workers that replace dead ones, are ignored.
    fn list(&mut self, listed: Vec<Listed>) {
        if !self.places.is_empty() || self.result.filtered > 0 {
            return;
        }
        for (index, test) in listed.into_iter().enumerate() {
            if test.filtered {
                self.result.filtered += 1;
                continue;
            }
            self.places.insert(index, self.result.tests.len());
            self.result.tests.push(TestResult {
                name: test.name,
                status: if test.todo { Status::Todo } else { Status::Skipped },
                error: None,
                others: Vec::new(),
                reason: test.reason,
                position: match &test.file {
                    Some(file) => Some(Position { file: file.clone(), line: 1, column: 1 }),
                    None => test.stack.as_deref().and_then(first_place),
                },
                file: test.file,
                logs: Vec::new(),
                unsafe_read: None,
                millis: 0.0,
            });
        }
    }

    /// Records the first number of this file that a transformation reads and that JavaScript cannot hold.
    fn record_read(&mut self, index: usize, read: Option<UnsafeRead>) {
        if self.result.tests.iter().all(|test| test.unsafe_read.is_none())
            && let Some(test) = self.places.get(&index).and_then(|place| self.result.tests.get_mut(*place))
        {
            test.unsafe_read = read;
        }
    }

    fn record(&mut self, index: usize, millis: f64, ended: Ended) {
        let Some(test) = self.places.get(&index).and_then(|place| self.result.tests.get_mut(*place)) else { return };
        test.status = match (&ended.error, &ended.skipped) {
            (Some(_), _) => Status::Failed,
            (None, Some(_)) => Status::Skipped,
            (None, None) => Status::Passed,
        };
        test.reason = ended.skipped.filter(|reason| !reason.is_empty());
        test.millis = millis;
        if let Some(at) = ended.error.as_ref().and_then(|error| error.stack.as_deref()).and_then(first_place) {
            test.position = Some(at);
        }
        test.error = ended.error;
        test.others = ended.others;
        test.logs = ended.logs;
    }
}

fn without_nulls(mut value: serde_json::Value) -> String {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    value.to_string()
}
