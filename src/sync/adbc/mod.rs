//! A query of a database as a source, by way of ADBC: a driver is a library that the user installs, and rows come as Arrow
//! batches.
//!
//! ```text
//!  sync ── request, on standard input ──▶ a process of its own: driver ─▶ database
//!       ◀── rows, one JSON object a line ──   batches, written as they come
//!       ◀── one answer, on a pipe ─────────   done and how many rows; or what failed
//! ```
//!
//! A driver is foreign native code that may wait for ever or take its process with it. So the query runs in a process that can
//! be ended: by its standard input, whose end makes it cancel the query and leave, also when `sync` itself was killed; and by
//! the time that the query may take. A source without the answer "done", or with another number of rows than the answer says,
//! has failed.
//!
//! - [`drivers`] finds drivers, `load` loads one, [`doctor`] tells of all of them.
//! - `dialect` is what is particular to a database: how its types arrive without loss.
//! - `rows` writes batches as JSON.
//! - [`reader`] is the process, [`process`] what starts it and says in words how it ended.

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

/// What the process is asked.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    /// The library or its manifest.
    driver: PathBuf,
    /// The function that it starts with, if it is not the usual one.
    entrypoint: Option<String>,
    /// What it is for; nothing more than to be loaded, if this is not there.
    query: Option<Query>,
    /// How long it may take, from here to the last row.
    timeout_ms: u64,
}

/// A query.
#[derive(Debug, Serialize, Deserialize)]
struct Query {
    /// The database's name in the config.
    database: String,
    /// What the driver is told.
    options: Vec<(String, String)>,
    /// What comes before it.
    steps: Vec<Step>,
    sql: String,
    /// Columns whose texts are JSON.
    json: Vec<String>,
}

/// Something that comes before a query, on the same connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// A statement without rows.
    Do(String),
    /// A query whose one value has to be this one.
    Expect {
        /// The query.
        sql: String,
        /// The value.
        value: String,
    },
}

/// What comes of it.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// The driver was loaded, and speaks this version of ADBC: 1 001 000 is 1.1.0.
    Loaded(i32),
    /// All rows were written. Of each column its name, and whether its values are nested.
    Done { rows: u64, warnings: Vec<String>, columns: Vec<(String, bool)> },
    /// Something failed.
    Failed(Failure),
}

/// What failed. What a driver says is as it says it: the other side takes the secrets out of it, before it is made short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Failure {
    /// The library can't be loaded.
    Library(String),
    /// It belongs to Python, and Python's own library is not there.
    Python(String),
    /// It is a library, and no driver.
    NoDriver(String),
    /// The driver or the database is too old for something.
    Old(String),
    /// The file of the database is not there.
    NoFile(String),
    /// The database was not opened.
    Connect(String),
    /// The query was refused.
    Query(String),
    /// Two columns have one name.
    Twice(String),
    /// A column has a type without a form in JSON.
    NoForm { column: String, kind: String },
    /// There is no such column, which is said to be JSON.
    NoJson(String),
    /// A value is another than was expected: someone else has changed it.
    Changed,
    /// The query began well, and then failed.
    Rows(String),
    /// The driver's loading took too long.
    LoadTimedOut,
    /// The query took too long.
    TimedOut,
    /// The rows could not be handed on.
    Output(String),
}
