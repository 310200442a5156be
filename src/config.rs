//! What a run is asked to do, as plain data: no flags, no files, no V8. The command line resolves what was typed into
//! these types; the pool and the wire only know these.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What stands on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Emit {
    /// Output events, one per line.
    #[default]
    Events,
    /// One verdict per input line.
    Verdicts,
}

/// What happens to an event that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// It becomes a dead letter.
    #[default]
    DeadLetter,
    /// Its line goes out as it came in.
    Pass,
    /// It becomes a dead letter, and the run ends there.
    Stop,
}

/// Where events come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// Where a side stream (dead letters, logs) goes. Never standard output: that carries data only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nowhere.
    Nowhere,
    /// Standard error.
    Stderr,
    /// A file, created or emptied.
    File(PathBuf),
}
