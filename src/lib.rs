//! sluicegate runs a user's JavaScript over every event of a stream: each event passes, passes changed, or is stopped.
//!
//! ```text
//!             ┌──────────── supervisor process (Rust only, no V8) ────────────┐
//!  stdin ───▶ │ wire: lines, offsets ─▶ pool: batches, order, blame ─▶ wire   │ ──▶ stdout
//!             └───────────────┬───────────────▲───────────────────────────────┘ ──▶ dead letters
//!           sealed shared     │               │ the worker's shared memory,
//!           memory, frames    │               │ frames
//!             ┌───────────────▼───────────────┴──┐   one per core; no files, no environment;
//!             │ worker process: engine (1 isolate)│   dies alone, is replaced, loses nothing
//!             └──────────────────────────────────┘
//! ```
//!
//! # The rooms
//!
//! - [`verdict`]: what can become of an event, the books, and the exit codes that follow. Depends on nothing.
//! - [`config`]: what a run is asked to do, as plain data.
//! - [`engine`]: one isolate; source in, verdicts out. The crate's public face for a program that embeds it.
//! - [`wire`]: bytes to events and back: the line reader, frames, shared memory, dead letters, verdict lines.
//! - [`net`]: requests to the network on behalf of the code, for the supervisor.
//! - [`mod@apart`]: parsing in a process of its own, for those who must outlive what they read.
//! - [`pool`]: workers: spawned, fed, put back in order, blamed, replaced.
//! - [`mod@bench`]: what a transformation costs, measured with the rooms above.
//! - [`serve`]: the same over HTTP, for hosts that send events in requests.
//! - [`suite`]: unit tests of transformations: found, run in workers of their own, reported.
//! - [`trial`]: a transformation on events that nobody sent yet, and against the version before it.
//! - [`play`]: the playground, a local page to write and try a transformation.
//! - [`cli`]: arguments as typed, the config they resolve to, one file per command.
//!
//! Arrows go down only: cli → play → suite, trial, bench, serve → pool, apart → engine, net and wire → verdict. `js/runtime` is what
//! lives inside the isolate, `js/testing` what tests can call, `js/lib` what is shipped to authors, `js/play` the
//! playground's page.
//!
//! # One event's way
//!
//! The reader reads from the pipe straight into a slot of sealed shared memory, which every worker can read and none can
//! write. A frame names a batch of lines; the worker's engine parses a line from there (of a large one only what the code
//! reads), calls the transformation under the watchdog, and writes the output into shared memory of its own, from which the supervisor writes it to standard
//! output when it is its turn. Nothing per event allocates a future, makes a system call, or takes a lock.
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
pub mod net;
pub mod parser_process;
pub mod play;
mod random;
mod root_cause;
pub mod serve;
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
