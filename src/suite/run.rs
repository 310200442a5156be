//! The supervisor's side: worker processes, each fed with one unit after the other.
//!
//! A worker that dies takes one test with it, the one that it said it would start; the unit goes on in a new worker with
//! the test after that.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

use super::protocol::{Ended, FromWorker, Job, Subject, TestError, Tests, ToWorker};
use super::snapshots;
use crate::engine::harness::{Module, TESTING_SCRIPT};
use crate::engine::{LoadError, LogLine, frame_position};
use crate::verdict::Position;

/// A test file, or the cases of a folder.
#[derive(Clone, Debug)]
pub struct Unit {
    /// How results call it: its path as the user would open it.
    pub name: String,
    /// Its tests.
    pub tests: UnitTests,
    /// The transformation that it is about, or why there is none.
    pub subject: Result<Subject, String>,
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
}

/// Where a test's imports and other transformations come from. Called from several threads.
pub trait Sources: Sync {
    /// The module that `importer`, a file, means by `specifier`.
    ///
    /// # Errors
    /// When there is none; the text says why.
    fn module(&self, specifier: &str, importer: &Path) -> Result<Module, String>;
    /// The transformation at a path relative to the test file `from`.
    ///
    /// # Errors
    /// As above.
    fn subject(&self, path: &str, from: &Path) -> Result<Subject, String>;
}

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It was not to be run.
    Skipped,
}

/// A test and what became of it.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// Its name, with those of the groups around it.
    pub name: String,
    /// What became of it.
    pub status: Status,
    /// What was wrong.
    pub error: Option<TestError>,
    /// Where: the first frame of the author's, else where the test begins.
    pub position: Option<Position>,
    /// What it logged.
    pub logs: Vec<LogLine>,
    /// How long it took.
    pub millis: f64,
}

/// What became of a unit.
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

struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Worker {
    fn start() -> std::io::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg("suite-worker")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Ok(Self { child, stdin, stdout })
    }

    fn send(&mut self, message: &ToWorker) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(message)?;
        text.push(b'\n');
        self.stdin.write_all(&text)?;
        self.stdin.flush()
    }

    /// The next message; `None` when the worker is gone.
    fn read(&mut self) -> Option<FromWorker> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run_unit(
    plan: &Plan,
    unit: &Unit,
    sources: &dyn Sources,
    worker: &mut Option<Worker>,
    stop: &AtomicBool,
) -> std::io::Result<FileResult> {
    let path = Path::new(&unit.name);
    let snapshot_path = snapshots::path(path);
    let known = match &unit.tests {
        UnitTests::Code(_) => std::fs::read_to_string(&snapshot_path).ok(),
        UnitTests::Cases(_) => None,
    };
    let host = json!({ "filter": plan.filter, "snapshots": known, "update": plan.update, "ci": plan.ci });
    let mut job = Job {
        tests: match &unit.tests {
            UnitTests::Code(code) => Tests::Module(Module { name: unit.name.clone(), code: code.clone() }),
            UnitTests::Cases(text) => Tests::Cases(text.clone()),
        },
        subject: unit.subject.clone(),
        // A key that is null would be a value; one that is absent is none.
        host: without_nulls(host),
        time: plan.time,
        heap: 256 << 20,
        from: 0,
        list_only: plan.list_only,
        seed: plan.seed,
    };
    let mut result = FileResult { file: unit.name.clone(), ..FileResult::default() };
    // Which of the results belongs to which of the listed tests.
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    let mut running: Option<usize> = None;
    loop {
        let one = match worker {
            Some(one) => one,
            None => worker.insert(Worker::start()?),
        };
        // If it is dead, that shows where it is read from.
        let _ = one.send(&ToWorker::Job(Box::new(job.clone())));
        loop {
            match one.read() {
                Some(FromWorker::NeedModule { specifier, importer }) => {
                    let _ = one.send(&ToWorker::Module(sources.module(&specifier, Path::new(&importer))));
                }
                Some(FromWorker::NeedSubject { path: other }) => {
                    let _ = one.send(&ToWorker::Subject(sources.subject(&other, path).map(Box::new)));
                }
                Some(FromWorker::LoadFailed(error)) => {
                    result.load_error = Some(error);
                    return Ok(result);
                }
                Some(FromWorker::Listed(listed)) => {
                    if !places.is_empty() || result.filtered > 0 {
                        continue;
                    }
                    for (index, test) in listed.into_iter().enumerate() {
                        if test.filtered {
                            result.filtered += 1;
                            continue;
                        }
                        places.insert(index, result.tests.len());
                        result.tests.push(TestResult {
                            name: test.name,
                            status: Status::Skipped,
                            error: None,
                            position: test.stack.as_deref().and_then(first_place),
                            logs: Vec::new(),
                            millis: 0.0,
                        });
                    }
                }
                Some(FromWorker::Started(index)) => running = Some(index),
                Some(FromWorker::Ended { index, millis, result: ended }) => {
                    running = None;
                    record(&mut result, places[&index], millis, ended);
                    if plan.fail_fast && result.tests.iter().any(|test| test.status == Status::Failed) {
                        stop.store(true, Ordering::Relaxed);
                        *worker = None;
                        return Ok(result);
                    }
                }
                Some(FromWorker::Finished(finished)) => {
                    result.written = snapshots::write(&finished, &snapshot_path, &unit.name)?;
                    return Ok(result);
                }
                None => break,
            }
        }
        *worker = None;
        let Some(index) = running.take() else {
            let message = "the worker process died while it loaded the tests".to_owned();
            result.load_error = Some(LoadError {
                kind: crate::engine::LoadErrorKind::Limit,
                message,
                position: None,
                end_column: 0,
                source_line: None,
                stack: None,
                help: None,
            });
            return Ok(result);
        };
        let message = "the test could not be stopped, or killed its worker process".to_owned();
        let ended = Ended { error: Some(TestError { message, ..TestError::default() }), logs: Vec::new() };
        record(&mut result, places[&index], 0.0, ended);
        job.from = index + 1;
    }
}

fn record(result: &mut FileResult, place: usize, millis: f64, ended: Ended) {
    let test = &mut result.tests[place];
    test.status = if ended.error.is_some() { Status::Failed } else { Status::Passed };
    test.millis = millis;
    if let Some(at) = ended.error.as_ref().and_then(|error| error.stack.as_deref()).and_then(first_place) {
        test.position = Some(at);
    }
    test.error = ended.error;
    test.logs = ended.logs;
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
pub(super) fn first_place(stack: &str) -> Option<Position> {
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
