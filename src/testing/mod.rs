//! Unit tests of transformations, in the engine that runs them in production.
//!
//! A [`Unit`] is a test file, or a folder of cases that are data. Worker processes run the units one after the other.
//! Each unit gets a fresh isolate (`engine::testing`), and the transformation under test gets an
//! [`sluicegate_engine::Engine`] of its own, with the driver, the lockdown and the limits of `sluicegate run`. A test
//! that never ends is stopped by its limit. A test that ends its process is still named, because the worker reports
//! each test before it starts.
//!
//! - [`discover`]: the test files of a project, and the code that they test.
//! - [`data`]: cases that are data: `*.case.json`, RudderStack's YAML and its action's `meta.json`.
//! - [`coverage`]: the author's lines that ran. `isolation`: tests that depend on each other.
//! - [`run()`]: the supervisor's side, which runs a [`Plan`]; `runner`: one unit of it; `worker`: the worker's side;
//!   `protocol`: their messages, one JSON text per line.
//! - [`report`]: results for machines: JSON, JUnit, TAP. Reports for people are in `cli`.

pub mod coverage;
pub mod data;
pub mod discover;
pub mod frames;
mod isolation;
mod plan;
mod project_files;
mod protocol;
pub mod report;
mod result;
mod run;
mod runner;
mod snapshots;
mod worker;

pub use plan::{Plan, Sources, Unit, UnitTests};
pub use protocol::{Difference, Subject, TestError};
pub use result::{FileResult, Status, TestResult, Totals};
pub use run::run;
pub use worker::main as worker_main;
