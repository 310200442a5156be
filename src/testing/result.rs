//! What came of tests, by test, by unit, and added up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::protocol::TestError;
use sluicegate_engine::verdict::Position;
use sluicegate_engine::{LoadError, LogLine, ScriptCoverage, UnsafeRead};

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
    /// A number that the transformation has read and JavaScript can't hold: the first one of its file.
    pub unsafe_read: Option<UnsafeRead>,
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
