//! What to run: units of tests, and how.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::Subject;
use crate::workers::Sandbox;
use sluicegate_engine::testing::Module;

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
