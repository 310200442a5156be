//! What a supervisor and a worker of the tests say to each other: one JSON text per line, on the worker's one socket.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use sluicegate_engine::testing::Module;
use sluicegate_engine::{LoadError, LogLine, Look, Options, Program, ScriptCoverage, UnsafeRead, Variable};

/// A transformation under test, as `run` would have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subject {
    /// The code with its libraries.
    pub program: Program,
    /// The limits.
    pub options: Options,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Tests {
    Module(Module),
    Cases(String),
}

/// One unit, as a worker gets it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) tests: Tests,
    /// The transformation that the unit is about, or why there is none.
    pub(super) subject: Result<Subject, String>,
    /// For `host` in `js/testing`.
    pub(super) host: String,
    pub(super) time: Duration,
    /// The tests to run, by their place in the file, in this order; all of them if none are named.
    pub(super) order: Option<Vec<usize>>,
    /// How many of them have been run.
    pub(super) from: usize,
    /// Whether each test gets fresh isolates.
    pub(super) alone: bool,
    /// What is looked at while they run.
    pub(super) look: Look,
    pub(super) list_only: bool,
    /// The seed for transformations that get none from their test.
    pub(super) seed: Option<u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum ToWorker {
    Job(Box<Job>),
    Module(Result<Module, String>),
    File(Result<Option<String>, String>),
    Subject(Result<Box<Subject>, String>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum FromWorker {
    NeedModule { specifier: String, importer: String, form: Option<String> },
    NeedSubject { path: String },
    NeedFile { path: String },
    LoadFailed(LoadError),
    Listed(Vec<Listed>),
    Started(usize),
    Ended { index: usize, millis: f64, result: Ended, changes: Vec<Change>, unsafe_read: Option<Box<UnsafeRead>> },
    Coverage(Vec<ScriptCoverage>),
    Finished(Finished),
}

/// A test as `js/testing/run.js` lists it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) name: String,
    #[serde(default)]
    pub(super) skipped: bool,
    #[serde(default)]
    pub(super) todo: bool,
    #[serde(default)]
    pub(super) filtered: bool,
    pub(super) stack: Option<String>,
    /// The file of a case.
    #[serde(default)]
    pub(super) file: Option<String>,
    /// Why it is skipped.
    #[serde(default)]
    pub(super) reason: Option<String>,
    /// What it may take, in milliseconds, if it says so itself.
    #[serde(default)]
    pub(super) timeout: Option<f64>,
}

/// A variable that holds something else after a test than before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) variable: Variable,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// How one test ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Ended {
    #[serde(default)]
    pub(super) error: Option<TestError>,
    /// What else was wrong: soft assertions, and hooks after the test.
    #[serde(default)]
    pub(super) others: Vec<TestError>,
    /// Why it was not run to its end, if it skipped itself; empty if it does not say.
    #[serde(default)]
    pub(super) skipped: Option<String>,
    #[serde(default)]
    pub(super) logs: Vec<LogLine>,
}

/// What was wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestError {
    /// The error's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// One sentence, or what was thrown.
    pub message: String,
    /// V8's frames, those of `js/testing` included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The matcher that failed, e.g. `toEqual`, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matcher: Option<String>,
    /// What the matcher was given, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrote: Option<String>,
    /// The stack of the transformation's own failure, if that is what the test is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Where the two values differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// One place in which two values differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The place, e.g. `events[0].traits.plan`; empty for the value itself.
    pub path: String,
    /// What was expected there; none if nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was there; none if nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// For texts of several lines: each line with its sign, ` `, `-` or `+`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// What has to be written after the last test.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Finished {
    /// The new text of the snapshot file.
    #[serde(default)]
    pub(super) file: Option<String>,
    /// How many snapshots in it are new or others.
    #[serde(default)]
    pub(super) changed: usize,
    #[serde(default)]
    pub(super) inline: Vec<Inline>,
    #[serde(default)]
    pub(super) files: Vec<SnapshotFile>,
}

/// A snapshot that is a file of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SnapshotFile {
    /// From the test file's folder.
    pub(super) path: String,
    pub(super) text: String,
}

/// A snapshot that stands in the test itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inline {
    pub(super) stack: String,
    pub(super) text: String,
    /// Whether the shape of the value stands before it.
    #[serde(default)]
    pub(super) shaped: bool,
}
