//! The supervisor's side: worker processes, each fed with one unit after the other.
//!
//! A worker that dies takes one test with it, the one that it said it would start; the unit goes on in a new worker with
//! the test after that.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use serde_json::json;

use super::protocol::{Change, Ended, Finished, FromWorker, Job, Listed, Setup, Subject, TestError, Tests, ToWorker};
use super::snapshots;
use crate::own_process::own_command;
use crate::workers::{Sandbox, sandbox};
use sluicegate_engine::testing::{Module, TESTING_SCRIPT};
use sluicegate_engine::verdict::Position;
use sluicegate_engine::{Limits, LoadError, LogLine, Look, ScriptCoverage, frame_position};

/// A test file, or the cases of a folder.
#[derive(Clone, Debug)]
pub struct Unit {
    /// How results call it: its path as the user would open it.
    pub name: String,
    /// Its tests.
    pub tests: UnitTests,
    /// The transformation that it is about, or why there is none.
    pub subject: Result<Subject, String>,
    /// The files of the transformation's libraries, by handle.
    pub libraries: BTreeMap<String, PathBuf>,
}

/// The tests of a unit.
#[derive(Clone, Debug)]
pub enum UnitTests {
    /// JavaScript, without its types.
    Code(String),
    /// Data: the text of a JSON array, see `js/testing/cases.js`.
    Cases(String),
}

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order in which they are reported.
    pub units: Vec<Unit>,
    /// Only tests whose name matches.
    pub filter: Option<String>,
    /// Whether snapshots that differ are written anew.
    pub update: bool,
    /// Whether this runs unattended: no snapshot is written.
    pub ci: bool,
    /// Whether the first failure ends it.
    pub fail_fast: bool,
    /// Whether tests are only listed.
    pub list_only: bool,
    /// The seed for transformations that get none from their test.
    pub seed: Option<u32>,
    /// What one test may take.
    pub time: Duration,
    /// How many worker processes.
    pub workers: usize,
    /// Whether it is counted how often the code runs.
    pub coverage: bool,
    /// Whether each test is run alone and in another order too, see `testing::isolation`.
    pub isolation: bool,
    /// What is asked of the walls around the workers.
    pub sandbox: Sandbox,
}

/// Where a test's imports and other transformations come from. Called from several threads.
pub trait Sources: Sync {
    /// The module that `importer`, a file, means by `specifier`; `form` is what the import says the file is, e.g. `json`.
    ///
    /// # Errors
    /// When there is none; the text says why.
    fn module(&self, specifier: &str, importer: &Path, form: Option<&str>) -> Result<Module, String>;
    /// The transformation at a path relative to the test file `from`.
    ///
    /// # Errors
    /// As above.
    fn subject(&self, path: &str, from: &Path) -> Result<Subject, String>;
    /// Where a file is that a snapshot is kept in, by its path from the test file `from`.
    ///
    /// # Errors
    /// When a test may not write there; the text says why.
    fn file(&self, path: &str, from: &Path) -> Result<PathBuf, String>;
}

/// The result of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It was not to be run.
    Skipped,
    /// It has yet to be written.
    Todo,
}

/// A test and its result.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// Its name, with those of the groups around it.
    pub name: String,
    /// Its result.
    pub status: Status,
    /// What was wrong.
    pub error: Option<TestError>,
    /// What else was wrong.
    pub others: Vec<TestError>,
    /// Why it was skipped, if that is known.
    pub reason: Option<String>,
    /// The file of a case, which is not the one that its unit is named after.
    pub file: Option<String>,
    /// Where: the first frame of the author's, else where the test begins.
    pub position: Option<Position>,
    /// What it logged.
    pub logs: Vec<LogLine>,
    /// How long it took.
    pub millis: f64,
}

/// The result of a unit.
#[derive(Clone, Debug, Default)]
pub struct FileResult {
    /// The unit's name.
    pub file: String,
    /// Its tests, in order.
    pub tests: Vec<TestResult>,
    /// Why it could not be loaded.
    pub load_error: Option<LoadError>,
    /// How many tests the filter left out.
    pub filtered: usize,
    /// Snapshots that were written.
    pub written: usize,
    /// How often the code ran, in each isolate, if that was asked for.
    pub coverage: Vec<ScriptCoverage>,
    /// The files of the transformation's libraries, by handle.
    pub libraries: BTreeMap<String, PathBuf>,
}

/// Results added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tests that hold.
    pub passed: usize,
    /// Tests that do not.
    pub failed: usize,
    /// Tests that were not run.
    pub skipped: usize,
    /// Tests that have yet to be written.
    pub todo: usize,
    /// Files that could not be loaded.
    pub broken: usize,
    /// Tests that the filter left out.
    pub filtered: usize,
}

impl Totals {
    /// Adds a unit.
    pub fn add(&mut self, file: &FileResult) {
        for test in &file.tests {
            match test.status {
                Status::Passed => self.passed += 1,
                Status::Failed => self.failed += 1,
                Status::Skipped => self.skipped += 1,
                Status::Todo => self.todo += 1,
            }
        }
        self.broken += usize::from(file.load_error.is_some());
        self.filtered += file.filtered;
    }

    /// Whether everything that was run holds.
    pub fn good(&self) -> bool {
        self.failed == 0 && self.broken == 0
    }
}

/// Runs the plan; `done` is told of each unit, in the order of the plan.
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
        // After --fail-fast there may be gaps.
        waiting.into_values().for_each(|result| tell(result, &mut totals));
        Ok(totals)
    })
}

/// A worker process.
pub(super) struct Worker {
    child: Child,
    socket: BufReader<UnixStream>,
}

impl Worker {
    fn start(plan: &Plan) -> std::io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = own_command("suite-worker");
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .fd_mappings(vec![FdMapping { parent_fd: theirs.into(), child_fd: sandbox::SOCKET }])
            .map_err(std::io::Error::other)?;
        let child = command.spawn()?;
        // Holds the other end of the socket: a worker that dies must be noticed.
        drop(command);
        let mut worker = Self { child, socket: BufReader::new(ours) };
        let heaps = plan.units.iter().filter_map(|unit| Some(unit.subject.as_ref().ok()?.options.limits.heap));
        let largest = heaps.chain([Limits::default().heap]).max().unwrap_or_default();
        let heap = super::worker::HEAP + super::worker::MAX_ENGINES * largest;
        worker.send(&ToWorker::Setup(Setup { heap, jitless: plan.sandbox.jitless }))?;
        match worker.read() {
            Some(FromWorker::SandboxReport(walls)) => plan.sandbox.judge(&walls).map_err(std::io::Error::other)?,
            _ => return Err(std::io::Error::other("a worker process could not be started")),
        }
        Ok(worker)
    }

    fn send(&mut self, message: &ToWorker) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(message)?;
        text.push(b'\n');
        self.socket.get_ref().write_all(&text)
    }

    /// The next message; `None` when the worker is gone.
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

/// How a unit is run once more, see [`super::isolation`].
#[derive(Clone, Debug, Default)]
pub(super) struct Pass {
    /// Which tests, in which order.
    pub(super) order: Option<Vec<usize>>,
    /// Whether each gets fresh isolates.
    pub(super) alone: bool,
}

/// One pass of a unit: its result, and what each of its tests changed, by the test's place in the file.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub(super) result: FileResult,
    /// Which of the results belongs to which of the listed tests.
    pub(super) places: BTreeMap<usize, usize>,
    pub(super) changes: BTreeMap<usize, Vec<Change>>,
    finished: Finished,
}

impl Ran {
    /// The result of the test at this place in the file.
    pub(super) fn test(&self, index: usize) -> Option<&TestResult> {
        self.result.tests.get(*self.places.get(&index)?)
    }
}

/// What a unit is run with.
pub(super) struct Runner<'a> {
    pub(super) plan: &'a Plan,
    pub(super) unit: &'a Unit,
    pub(super) sources: &'a dyn Sources,
    pub(super) worker: &'a mut Option<Worker>,
    stop: &'a AtomicBool,
}

fn run_unit(
    plan: &Plan,
    unit: &Unit,
    sources: &dyn Sources,
    worker: &mut Option<Worker>,
    stop: &AtomicBool,
) -> std::io::Result<FileResult> {
    let mut runner = Runner { plan, unit, sources, worker, stop };
    let mut ran = runner.pass(&Pass::default())?;
    let locate = |path: &str| sources.file(path, Path::new(&unit.name)).ok();
    ran.result.written = snapshots::write(&ran.finished, &snapshots::path(Path::new(&unit.name)), &unit.name, &locate)?;
    if plan.isolation && !plan.list_only && ran.result.load_error.is_none() {
        super::isolation::compare(&mut runner, &mut ran)?;
    }
    Ok(ran.result)
}

impl Runner<'_> {
    fn job(&self, pass: &Pass) -> Job {
        let Self { plan, unit, .. } = self;
        let known = match &unit.tests {
            UnitTests::Code(_) => std::fs::read_to_string(snapshots::path(Path::new(&unit.name))).ok(),
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
            // A key that is null would be a value; one that is absent is none.
            host: without_nulls(host),
            time: plan.time,
            order: pass.order.clone(),
            from: 0,
            alone: pass.alone,
            look: Look { coverage: plan.coverage && !pass.alone && pass.order.is_none(), variables: plan.isolation },
            list_only: plan.list_only,
            seed: plan.seed,
        }
    }

    /// Runs the unit's tests; a worker that dies is replaced, and costs one test.
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
                None => self.worker.insert(Worker::start(self.plan)?),
            };
            // If it is dead, that shows where it is read from.
            let _ = one.send(&ToWorker::Job(Box::new(job.clone())));
            while let Some(message) = one.read() {
                match message {
                    FromWorker::SandboxReport(_) => {}
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
                    FromWorker::Ended { index, millis, result: ended, changes } => {
                        running = None;
                        ran.record(index, millis, ended);
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
    /// Takes note of the tests that there are.
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
                millis: 0.0,
            });
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

/// The frames of a stack that are the author's.
pub fn author_frames(stack: &str) -> impl Iterator<Item = &str> {
    stack
        .lines()
        .filter(|line| line.starts_with("    at ") && !line.contains(TESTING_SCRIPT) && !line.contains("<anonymous>"))
}

/// The place of the first frame of the author's.
pub fn first_place(stack: &str) -> Option<Position> {
    author_frames(stack).find_map(frame_position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_that_of_the_first_frame_of_the_authors() {
        let stack = "AssertionError: no\n    at fail (sluicegate:testing:1:2)\n    at Array.map (<anonymous>)\n    at a.test.js:3:4";
        assert_eq!(first_place(stack), Some(Position { file: "a.test.js".into(), line: 3, column: 4 }));
        assert_eq!(first_place("Error: x"), None);
    }
}
