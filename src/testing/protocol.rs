//! The messages between the supervisor and a worker of the tests: one JSON text per line, on the worker's only socket.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use sluicegate_engine::testing::Module;
use sluicegate_engine::{LoadError, LogLine, ObserverOptions, Options, Program, ScriptCoverage, UnsafeRead, Variable};

/// A transformation under test, as `run` would load it.
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

/// One unit, as it is sent to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) tests: Tests,
    /// The transformation under test, or the reason why there is none.
    pub(super) subject: Result<Subject, String>,
    /// The `host` of `js/testing`, as JSON text.
    pub(super) host: String,
    pub(super) time: Duration,
    /// The tests to run, by their position in the file, in this order; all tests if `None`.
    pub(super) order: Option<Vec<usize>>,
    /// The number of them that have already run.
    pub(super) from: usize,
    /// Whether each test gets fresh isolates.
    pub(super) alone: bool,
    /// What is observed while they run.
    pub(super) look: ObserverOptions,
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
    /// The test's own time limit in milliseconds, if it sets one.
    #[serde(default)]
    pub(super) timeout: Option<f64>,
}

/// A variable whose value after a test differs from the value before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) variable: Variable,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// The result of one test.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Ended {
    #[serde(default)]
    pub(super) error: Option<TestError>,
    /// Further errors: of soft assertions, and of hooks after the test.
    #[serde(default)]
    pub(super) others: Vec<TestError>,
    /// The reason if the test skipped itself; empty if it gave none.
    #[serde(default)]
    pub(super) skipped: Option<String>,
    #[serde(default)]
    pub(super) logs: Vec<LogLine>,
}

/// An error of a test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestError {
    /// The error's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// One sentence, or the thrown value as text.
    pub message: String,
    /// V8's frames, including those of `js/testing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The matcher that failed, e.g. `toEqual`; `None` for other errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matcher: Option<String>,
    /// The argument of the matcher, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrote: Option<String>,
    /// The stack of the transformation's own failure, if the test failed because of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The places in which the two values differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// One place in which two values differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The path of the place, e.g. `events[0].traits.plan`; empty for the value itself.
    pub path: String,
    /// The expected value; `None` if none was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The actual value; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// For texts of several lines: each line with its sign, ` `, `-` or `+`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// The snapshots to write after the last test.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Finished {
    /// The new text of the snapshot file.
    #[serde(default)]
    pub(super) file: Option<String>,
    /// The number of snapshots in it that are new or changed.
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
    /// The path, relative to the test file's folder.
    pub(super) path: String,
    pub(super) text: String,
}

/// A snapshot inside the test's source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inline {
    pub(super) stack: String,
    pub(super) text: String,
    /// Whether the shape of the value is passed before the snapshot.
    #[serde(default)]
    pub(super) shaped: bool,
}
