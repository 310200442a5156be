//! The results of tests: of each test, of each unit, and the totals.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::protocol::TestError;
use sluicegate_engine::verdict::Position;
use sluicegate_engine::{LoadError, LogLine, ScriptCoverage, UnsafeRead, frame_position};

/// The result of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It did not run.
    Skipped,
    /// It is not written yet.
    Todo,
}

/// A test and its result.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// Its name, including the groups around it.
    pub name: String,
    /// Its result.
    pub status: Status,
    /// The error, if it failed.
    pub error: Option<TestError>,
    /// Further errors.
    pub others: Vec<TestError>,
    /// Why it was skipped, if known.
    pub reason: Option<String>,
    /// The file of a case, if that differs from the unit's name.
    pub file: Option<String>,
    /// The position of the author's first frame, otherwise of the test's start.
    pub position: Option<Position>,
    /// Its log lines.
    pub logs: Vec<LogLine>,
    /// The first unsafe integer that the transformation has read in this file.
    pub unsafe_read: Option<UnsafeRead>,
    /// The duration, in milliseconds.
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
    /// The number of tests that the filter left out.
    pub filtered: usize,
    /// The number of snapshots that were written.
    pub written: usize,
    /// The coverage of each isolate, if asked for.
    pub coverage: Vec<ScriptCoverage>,
    /// The files of the transformation's libraries, by import name.
    pub libraries: BTreeMap<String, PathBuf>,
}

impl FileResult {
    /// Corrects places in a file after lines were inserted: each entry is a line and the number of lines added after
    /// it.
    pub(super) fn move_lines(&mut self, file: &str, moves: &[(u32, i64)]) {
        if moves.is_empty() {
            return;
        }
        for test in &mut self.tests {
            if let Some(at) = test.position.as_mut().filter(|at| at.file == file) {
                at.line = moved(at.line, moves);
            }
            for stack in test.error.iter_mut().chain(&mut test.others).filter_map(|error| error.stack.as_mut()) {
                *stack = stack.split_inclusive('\n').map(|line| moved_frame(line, file, moves)).collect();
            }
        }
    }
}

fn moved(line: u32, moves: &[(u32, i64)]) -> u32 {
    let more: i64 = moves.iter().filter(|(before, _)| *before < line).map(|(_, more)| more).sum();
    u32::try_from(i64::from(line) + more).unwrap_or(line)
}

fn moved_frame(line: &str, file: &str, moves: &[(u32, i64)]) -> String {
    let Some(at) = frame_position(line.trim_end_matches('\n')).filter(|at| at.file == file) else {
        return line.to_owned();
    };
    let place = |line| format!(":{line}:{}", at.column);
    match line.rsplit_once(&place(at.line)) {
        Some((before, after)) => format!("{before}{}{after}", place(moved(at.line, moves))),
        None => line.to_owned(),
    }
}

/// The totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that did not run.
    pub skipped: usize,
    /// Tests that are not written yet.
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

    /// Returns whether no test failed and every file could be loaded.
    pub fn good(&self) -> bool {
        self.failed == 0 && self.broken == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_behind_lines_that_were_written_move() {
        let at = |line| Position { file: "t.test.js".to_owned(), line, column: 7 };
        let error = |stack: &str| TestError { stack: Some(stack.to_owned()), ..TestError::default() };
        let test = TestResult {
            name: String::new(),
            status: Status::Failed,
            error: Some(error("Error: x\n    at t.test.js:9:7\n    at f (t.test.js:2:7)\n    at other.js:9:7")),
            others: vec![],
            reason: None,
            file: None,
            position: Some(at(9)),
            logs: vec![],
            millis: 0.0,
            unsafe_read: None,
        };
        let mut result = FileResult { tests: vec![test], ..FileResult::default() };
        result.move_lines("t.test.js", &[(5, 4), (3, -1), (10, 8)]);
        assert_eq!(result.tests[0].position, Some(at(12)));
        let stack = result.tests[0].error.as_ref().unwrap().stack.as_deref().unwrap();
        assert_eq!(stack, "Error: x\n    at t.test.js:12:7\n    at f (t.test.js:2:7)\n    at other.js:9:7");
    }
}
