//! sluicegate runs a user's JavaScript over every event of a stream: each event passes, passes changed, or is stopped.
//!
//! ```text
//!             ┌──────────── supervisor process (Rust only, no V8) ────────────┐
//!  stdin ───▶ │ wire: lines, offsets ─▶ workers: batches, order, blame ─▶ wire│ ──▶ stdout
//!             └───────────────┬───────────────▲───────────────────────────────┘ ──▶ dead letters
//!           sealed shared     │               │ the worker's shared memory,
//!           memory, frames    │               │ frames
//!             ┌───────────────▼───────────────┴──┐   one per core; no files, no environment;
//!             │ worker process: engine (1 isolate)│   dies alone, is replaced, loses nothing
//!             └──────────────────────────────────┘
//! ```
//!
//! `ARCHITECTURE.md` shows all parts, the path of one event, and where to add what.
//!
//! # Modules, from the top down
//!
//! - [`cli`]: arguments, the settings that they resolve to, one file per command.
//! - [`play`]: the playground, a local page for writing and running a transformation.
//! - [`serve`]: transformations over HTTP, for hosts that send events in requests.
//! - [`testing`]: unit tests of transformations: finds them, runs them in their own workers, reports.
//! - [`explore`]: runs a transformation on generated events, and compares it with its previous version.
//! - [`mod@bench`]: measures the cost of a transformation.
//! - [`workers`]: starts worker processes, gives them events, orders their answers, replaces dead ones.
//! - [`net`]: network requests of the code.
//! - [`wire`]: bytes to events and back: the line reader, frames, shared memory, dead letters, verdict lines.
//! - [`parser_process`]: parsing in a separate process.
//! - [`tally`]: counts verdicts and derives the exit code.
//! - [`config`]: the settings of a run as plain data.
//!
//! Below them are the crates `sluicegate_engine` and `sluicegate_json`.
//!
//! # Where this differs from a plain deno_core embedder
//!
//! V8 is used through `deno_core::v8`, but without a `JsRuntime`. A runtime brings an event loop, about ninety ops and
//! many global host objects, all of which would have to be removed again. It takes about 15 ms to create. A plain
//! isolate has nothing to remove and is ready in a third of that time, which matters because an event that hits a limit
//! waits for it. `serde_v8` converts data that does not belong to single events.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod bench;
pub mod cli;
pub mod config;
pub mod explore;
mod machine_memory;
pub mod net;
mod own_process;
pub mod parser_process;
pub mod play;
mod random;
mod root_cause;
mod sandbox;
pub mod serve;
pub mod sync;
pub mod tally;
pub mod testing;
pub mod wire;
pub mod workers;

pub use sluicegate_engine as engine;
pub use sluicegate_engine::{Engine, verdict};

/// The README's Rust code is tested with the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
