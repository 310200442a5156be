//! Lineage: what a transformation reads of its input, and what of it reaches what goes out.
//!
//! Nothing is guessed from the source text. Reads are noted while real events run; flows are found by running an event
//! again with one value changed at a time and comparing what it becomes. The clock, chance, and the network's answers are
//! held meanwhile; what changes by itself all the same is reported and not taken for a flow.
//!
//! - `path`: places in inputs and outputs, and patterns for them.
//! - `vary`: other values for a place.
//! - `compare`: in which places two outputs differ.
//! - `literals`: what stands in the code.
//! - `network`: requests, and answers from a record.
//! - `runner`: runs one input, in the worker process.
//! - `analyze`: which inputs are run, and what follows from it.
//! - `worker`: processes, each with a share of the events.
//! - `findings`, `report`: what was found, counted, and what follows from the counts.

mod analyze;
mod compare;
mod findings;
mod literals;
mod network;
pub mod path;
pub mod pii;
pub mod report;
mod runner;
mod vary;
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
    /// The status; 200 if it is not given.
    #[serde(default)]
    pub status: Option<u16>,
    /// Headers, names in small letters.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// The body: text, or what its JSON means.
    #[serde(default)]
    pub body: Value,
}

/// What is measured, and with what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LineageSetup {
    /// The code.
    pub program: Program,
    /// Its limits.
    pub options: Options,
    /// Which function it exports.
    pub export: Export,
    /// Recorded answers by URL, `METHOD URL`, or `geolocation`.
    pub answers: BTreeMap<String, Answer>,
    /// For how long values are changed. Every event is run twice in any case.
    pub time: Duration,
    /// How many events of a kind are looked at closely.
    pub per_kind: usize,
    /// Whether V8 makes no machine code.
    pub jitless: bool,
    /// Whether every wall around the workers must stand.
    pub require_sandbox: bool,
    /// How many worker processes.
    pub workers: usize,
}
