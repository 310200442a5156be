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
//! The drawing of all parts, one event's way and where to add what: `ARCHITECTURE.md`.
//!
//! # Modules, from the top down
//!
//! - [`cli`]: arguments as typed, the settings that they resolve to, one file per command.
//! - [`play`]: the playground, a local page to write and try a transformation.
//! - [`serve`]: the same over HTTP, for hosts that send events in requests.
//! - [`testing`]: unit tests of transformations: found, run in workers of their own, reported.
//! - [`explore`]: a transformation on invented events, and against the version before it.
//! - [`mod@bench`]: what a transformation costs.
//! - [`workers`]: worker processes: spawned, fed, put back in order, blamed, replaced.
//! - [`net`]: requests to the network on behalf of the code.
//! - [`wire`]: bytes to events and back: the line reader, frames, shared memory, dead letters, verdict lines.
//! - [`parser_process`]: parsing in a process of its own.
//! - [`tally`]: verdicts added up, and the exit code that follows.
//! - [`config`]: what a run is asked to do, as plain data.
//!
//! Below them are the crates `sluicegate_engine` and `sluicegate_json`.
//!
//! # Where this differs from a plain deno_core embedder
//!
//! V8 is used through `deno_core::v8`, but without a `JsRuntime`. A runtime brings an event loop, some ninety ops and a
//! global full of host objects, all of which would have to be taken away again, and costs about 15 ms to make; an
//! isolate of our own has nothing to take away and is there in a third of that, which is what an event that hits a limit
//! waits for. `serde_v8` carries what is not per event.

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
