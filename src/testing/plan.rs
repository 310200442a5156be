//! The plan of a run: units of tests, and settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::Subject;
use crate::workers::Sandbox;
use sluicegate_engine::testing::Module;

/// A test file, or the cases of a folder.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its name in results: the path that the user would open.
    pub name: String,
    /// Its tests.
    pub tests: UnitTests,
    /// The transformation under test, or the reason why there is none.
    pub subject: Result<Subject, String>,
    /// The files of the transformation's libraries, by import name.
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

/// The units to run, and all settings.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The units, in the order of the report.
    pub units: Vec<Unit>,
    /// Only tests whose name matches.
    pub filter: Option<String>,
    /// Whether snapshots that differ are rewritten.
    pub update: bool,
    /// Whether this runs unattended: no snapshot is written.
    pub ci: bool,
    /// Whether the first failure ends the run.
    pub fail_fast: bool,
    /// Whether tests are only listed.
    pub list_only: bool,
    /// The seed for transformations that get none from their test.
    pub seed: Option<u32>,
    /// The time limit of one test.
    pub time: Duration,
    /// The number of worker processes.
    pub workers: usize,
    /// Whether coverage is recorded.
    pub coverage: bool,
    /// Whether each test also runs alone and in another order, see `testing::isolation`.
    pub isolation: bool,
    /// The required sandbox of the workers.
    pub sandbox: Sandbox,
}

/// Resolves a test's imports and other transformations. Called from several threads.
pub trait Sources: Sync {
    /// Returns the module that `importer`, a file, means by `specifier`. `form` is the type of the import, e.g. `json`.
    ///
    /// # Errors
    /// When there is no such module; the text says why.
    fn module(&self, specifier: &str, importer: &Path, form: Option<&str>) -> Result<Module, String>;
    /// Returns the transformation at a path relative to the test file `from`.
    ///
    /// # Errors
    /// As above.
    fn subject(&self, path: &str, from: &Path) -> Result<Subject, String>;
    /// Returns the path of a snapshot file, given relative to the test file `from`.
    ///
    /// # Errors
    /// When a test may not write to it; the text says why.
    fn file(&self, path: &str, from: &Path) -> Result<PathBuf, String>;
}
