//! Unit tests of transformations, inside the engine that runs them in production.
//!
//! A test file, or a folder's worth of cases that are data, is a [`Unit`]. Units are handed to worker processes, one
//! after the other; each gets a fresh isolate (`engine::testing`), and the transformation that it tests an
//! [`sluicegate_engine::Engine`] of its own with the driver, the lockdown and the limits of `sluicegate run`. A test that
//! never ends is stopped by its limit; one that takes the process with it is named all the same, because the worker says
//! which test it is about to start.
//!
//! - [`discover`]: which files of a project are tests, and of what.
//! - [`data`]: cases that are data: `*.case.json`, RudderStack's YAML and its action's `meta.json`.
//! - [`coverage`]: which of the author's lines ran. `isolation`: which tests depend on each other, and through what.
//! - [`run()`]: the supervisor's side, of a [`Plan`]; `runner`: one unit of it; `worker`: the other side; `protocol`: what
//!   they say to each other, a JSON text per line.
//! - [`report`]: results for machines: JSON, JUnit, TAP. For people, see `cli`.

pub mod coverage;
pub mod data;
pub mod discover;
pub mod frames;
mod inside;
mod isolation;
mod plan;
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
