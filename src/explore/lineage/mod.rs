//! Lineage: which parts of its input a transformation reads, and which of them reach the output.
//!
//! Nothing is guessed from the source text. Reads are recorded while real events run. Flows are found by running an
//! event again with one value changed at a time and comparing the outputs. The clock, random numbers and network
//! answers are fixed meanwhile. Outputs that still change by themselves are reported and do not count as flows.
//!
//! - `path`: places in inputs and outputs, and patterns for them.
//! - `variations`: other values for a place.
//! - `compare`: the places in which two outputs differ.
//! - `literals`: the literals of the code.
//! - `network`: requests, and recorded answers.
//! - `runner`: runs one input, in the worker process.
//! - `analyze`: chooses the inputs to run and draws conclusions.
//! - `worker`: processes, each with a share of the events.
//! - `findings`, `report`: counted findings, and the report made from them.

mod analyze;
mod compare;
mod findings;
mod literals;
mod network;
pub mod path;
pub mod pii;
pub mod report;
mod runner;
mod variations;
mod worker;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use report::{Edge, Kind, Report};
pub use worker::{Status, main, run};

use sluicegate_engine::{Export, Options, Program};

/// A recorded answer of the network.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The status; 200 by default.
    #[serde(default)]
    pub status: Option<u16>,
    /// The headers, with names in lower case.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// The body: text, or a JSON value.
    #[serde(default)]
    pub body: Value,
}

/// The settings of an analysis.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LineageSetup {
    /// The code.
    pub program: Program,
    /// Its limits.
    pub options: Options,
    /// The function that it exports.
    pub export: Export,
    /// Recorded answers by URL, `METHOD URL`, or `geolocation`.
    pub answers: BTreeMap<String, Answer>,
    /// The time for changing values. Every event runs twice in any case.
    pub time: Duration,
    /// The number of events of each kind that are studied in detail.
    pub per_kind: usize,
    /// Whether V8 runs without its compilers to machine code.
    pub jitless: bool,
    /// Whether every layer of the sandbox is required.
    pub require_sandbox: bool,
    /// The number of worker processes.
    pub workers: usize,
}
