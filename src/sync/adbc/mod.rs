//! Queries of a database as a source, through ADBC: a driver is a
//! library that the user installs, and rows arrive as Arrow batches.
//!
//! ```text
//!  sync ── request, on standard input ──▶ a process of its own: driver ─▶ database
//!       ◀── rows, one JSON object a line ──   batches, written as they come
//!       ◀── one answer, on a pipe ─────────   done and how many rows; or what failed
//! ```
//!
//! A driver is foreign native code that may hang or crash its process. The query therefore runs in a process that can
//! be ended: by the end of its standard input, which makes it cancel the query and exit, even if `sync` itself was
//! killed; and by the query timeout. A source has failed if it does not give the answer "done", or if its number of
//! rows differs from that of the answer.
//!
//! - [`drivers`] finds drivers, `load` loads one, [`doctor`] lists all of them.
//! - `dialect` handles what is specific to a database, so that its types arrive without loss.
//! - `rows` writes batches as JSON.
//! - [`reader`] is the process; [`process`] starts it and reports how it ended.

mod dialect;
pub mod doctor;
pub mod drivers;
mod load;
mod output;
pub mod process;
pub(super) mod query_end;
pub mod reader;
mod rows;
mod secrets;
mod sentence;
mod subtree;
mod watch;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The name of the hidden command.
pub const COMMAND: &str = "adbc";

/// The file descriptor for the answer.
const ANSWER: i32 = 3;

/// The request to the process.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    /// The library or its manifest.
    driver: PathBuf,
    /// The driver's entry point, if it is not the usual one.
    entrypoint: Option<String>,
    /// The query; without one, the driver is only loaded.
    query: Option<Query>,
    /// How long the process may take, from now to the last row.
    timeout_ms: u64,
}

/// A query.
#[derive(Debug, Serialize, Deserialize)]
struct Query {
    /// The database's name in the config.
    database: String,
    /// Options of the driver.
    options: Vec<(String, String)>,
    /// Steps before the query.
    steps: Vec<Step>,
    sql: String,
    /// Columns whose texts are JSON.
    json: Vec<String>,
}

/// A step before a query, on the same connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// A statement without rows.
    Do(String),
    /// A query that has to return exactly this value.
    Expect {
        /// The query.
        sql: String,
        /// The value.
        value: String,
    },
}

/// The answer of the process.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// The driver was loaded, and implements this version of ADBC: 1 001 000 is 1.1.0.
    Loaded(i32),
    /// All rows were written. `columns` has the name of each column, and whether its values are nested.
    Done { rows: u64, warnings: Vec<String>, columns: Vec<(String, bool)> },
    /// Something failed.
    Failed(Failure),
}

/// What failed. A driver's messages are passed on unchanged: the receiver removes the secrets before it shortens them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Failure {
    /// The library can't be loaded.
    Library(String),
    /// The library is a Python module, and Python's own library was not found.
    Python(String),
    /// The library is not a driver.
    NoDriver(String),
    /// The driver or the database is too old for something.
    Old(String),
    /// The file of the database does not exist.
    NoFile(String),
    /// The database could not be opened.
    Connect(String),
    /// The query was refused.
    Query(String),
    /// Two columns have the same name.
    Twice(String),
    /// The type of a column can't be written as JSON.
    NoForm { column: String, kind: String },
    /// A column that the config declares as JSON does not exist.
    NoJson(String),
    /// A value differs from the expected one, because another run has changed it.
    Changed,
    /// The query failed after it was accepted, or the connection was lost.
    Rows(String),
    /// Loading the driver took too long.
    LoadTimedOut,
    /// The query took too long.
    TimedOut,
    /// The rows could not be passed on.
    Output(String),
}
