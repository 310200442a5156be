//! The state of a sync: what each destination has acknowledged, in a SQLite file.
//!
//! A result is written after the acknowledgement, never before. A row that was not acknowledged differs from its state
//! and is sent again. Before a request, its rows are recorded as in doubt. If no answer is recorded, the destination
//! may or may not have them, and they are sent or deleted again, even if the source has meanwhile gone back to the
//! acknowledged row.
//!
//! The file is in WAL mode with `synchronous = NORMAL`: a process that is killed loses no commit; a machine that loses
//! power may lose the last commits, and their rows are sent again.

pub mod copy;
mod lock;
mod model;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use super::config::Config;
use super::error::{Error, Result};

pub use lock::Lock;
pub use model::{Change, ChangeKind, Problem, Run, Settled, Settlement};

/// The version of the tables.
const VERSION: i64 = 2;

/// `SlgS`, by which `file` and this program recognize the file.
const APPLICATION: i64 = 0x536c_6753;

const TABLES: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE sinks (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    -- The rows that are settled for each sink. status: 1 sent, 2 dropped by the code, 3 baseline, 4 not for this sink.
    -- acknowledged: the fingerprint of the row that the sink has. Empty: the same as the settled row. Null: the sink has
    -- no row of this key.
    CREATE TABLE settled (
        key TEXT NOT NULL, sink INTEGER NOT NULL, fingerprint BLOB NOT NULL, status INTEGER NOT NULL,
        run INTEGER NOT NULL, acknowledged BLOB, PRIMARY KEY (key, sink)
    ) WITHOUT ROWID;
    -- The acknowledged versions of rows, with [changes] previous = true.
    CREATE TABLE versions (
        key TEXT NOT NULL, fingerprint BLOB NOT NULL, row BLOB NOT NULL, PRIMARY KEY (key, fingerprint)
    ) WITHOUT ROWID;
    -- Rows that are not settled, and the reasons. An empty fingerprint means a delete.
    CREATE TABLE problems (
        key TEXT NOT NULL, sink INTEGER NOT NULL, fingerprint BLOB NOT NULL, kind TEXT NOT NULL, stage TEXT NOT NULL,
        reason TEXT NOT NULL, answer TEXT, tries INTEGER NOT NULL, code TEXT NOT NULL, run INTEGER NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (key, sink)
    ) WITHOUT ROWID;
    -- Rows that were sent to a sink and got no answer. The sink may or may not have them.
    CREATE TABLE doubts (key TEXT NOT NULL, sink INTEGER NOT NULL, PRIMARY KEY (key, sink)) WITHOUT ROWID;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL, command TEXT NOT NULL, started TEXT NOT NULL, ended TEXT,
        result TEXT, code TEXT NOT NULL, mapping TEXT NOT NULL, counts TEXT
    );
    CREATE TABLE invalid (
        run INTEGER NOT NULL, line INTEGER NOT NULL, key TEXT, kind TEXT NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (run, line)
    ) WITHOUT ROWID;
";

/// The state of a sync.
pub struct State {
    connection: Connection,
    path: PathBuf,
    has_problems: bool,
}

/// The sinks that may have an unacknowledged row of a key: hash
/// of the key to one bit per sink, in the order of the config.
pub type Doubts = HashMap<[u8; 16], u32>;

impl State {
    /// Opens the state of a sync; creates it if it does not exist.
    ///
    /// # Errors
    /// When the file is the state of another sync, or not a state.
    pub fn open(config: &Config) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut state = Self::with_flags(&config.state, flags)?;
        state.prepare(config)?;
        Ok(state)
    }

    /// Opens an existing state.
    ///
    /// # Errors
    /// When it does not exist, or is the state of another sync.
    pub fn existing(config: &Config) -> Result<Self> {
        if !config.state.exists() {
            return Err(Error::new(format!("there is no state yet: {} does not exist", config.state.display()))
                .help("the first `sluicegate sync` makes it"));
        }
        let state =
            Self::with_flags(&config.state, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        state.is_of(config)?;
        Ok(state)
    }

    fn with_flags(path: &Path, flags: OpenFlags) -> Result<Self> {
        let connection = Connection::open_with_flags(path, flags).map_err(|error| wrong(path, &error))?;
        let state = Self { connection, path: path.to_owned(), has_problems: false };
        state.each("PRAGMA busy_timeout = 10000")?;
        Ok(state)
    }

    fn prepare(&mut self, config: &Config) -> Result<()> {
        let application: i64 = self.one("PRAGMA application_id")?;
        let tables: i64 = self.one("SELECT count(*) FROM sqlite_schema")?;
        if tables == 0 {
            let setup = format!(
                "PRAGMA journal_mode = WAL; BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION}; \
                 PRAGMA user_version = {VERSION}; {TABLES} COMMIT;"
            );
            self.each(&setup)?;
            self.set_meta("name", &config.name)?;
            self.set_meta("key", &config.source.key)?;
            if config.in_warehouse {
                self.set_meta(copy::MARK, "yes")?;
            }
        } else if application != APPLICATION {
            return Err(Error::new(format!("{} is not the state of a sync", self.path.display()))
                .help("name another file with state = \"…\" in the config"));
        }
        self.is_of(config)?;
        // Keys come in any order, so a commit touches a page for almost every row. With a longer log each page is
        // checkpointed less often.
        self.each(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -49152; \
             PRAGMA wal_autocheckpoint = 8192",
        )?;
        self.has_problems = self.one::<i64>("SELECT EXISTS (SELECT 1 FROM problems)")? == 1;
        for sink in &config.sinks {
            self.run("INSERT OR IGNORE INTO sinks (name) VALUES (?1)", params![sink.name])?;
        }
        Ok(())
    }

    /// Returns an error if this is not the state of this sync.
    fn is_of(&self, config: &Config) -> Result<()> {
        let version: i64 = self.one("PRAGMA user_version")?;
        if version != VERSION {
            return Err(Error::new(format!("the state {} has version {version}", self.path.display()))
                .help(format!("this program reads version {VERSION}; another version of it wrote the file")));
        }
        let is_copy = self.meta(copy::MARK)?.is_some();
        if is_copy != config.in_warehouse {
            let (is, wants) =
                if is_copy { ("a copy of one in the warehouse", "a file") } else { ("a file", "in the warehouse") };
            return Err(Error::new(format!("the state {} is {is}, and the config wants it {wants}", self.path.display())).help(
                "their fingerprints differ. Move the file away; then `sluicegate sync baseline` marks all rows as sent, and a sync sends all of them",
            ));
        }
        for (what, own) in [("name", &config.name), ("key", &config.source.key)] {
            let other = self.meta(what)?.unwrap_or_default();
            if other != *own {
                let word = if what == "name" { "the sync" } else { "the key column" };
                return Err(Error::new(format!(
                    "the state {} is of another config: {word} is {other} there, and {own} here",
                    self.path.display()
                ))
                .help("name another file with state = \"…\" in the config, or give this sync its name back"));
            }
        }
        Ok(())
    }

    /// Opens another connection to the same file, to read while this one writes.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn reader(&self) -> Result<Self> {
        let state = Self::with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        state.each("PRAGMA cache_size = -49152")?;
        Ok(state)
    }

    /// Returns the numbers of the sinks of a config, in its order.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn sinks(&self, config: &Config) -> Result<Vec<i64>> {
        let number = |name: &str| {
            let found = self.connection.query_row("SELECT id FROM sinks WHERE name = ?1", [name], |row| row.get(0));
            // A sink that is new in the config has no number in a state that is only read.
            Ok(found.optional().map_err(|error| wrong(&self.path, &error))?.unwrap_or(-1))
        };
        config.sinks.iter().map(|sink| number(&sink.name)).collect()
    }

    /// Returns a value of the `meta` table.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn meta(&self, key: &str) -> Result<Option<String>> {
        let found = self.connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0));
        found.optional().map_err(|error| wrong(&self.path, &error))
    }

    /// Sets a value of the `meta` table.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        self.run("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![key, value])
    }

    fn each(&self, sql: &str) -> Result<()> {
        self.connection.execute_batch(sql).map_err(|error| wrong(&self.path, &error))
    }

    fn run(&self, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<()> {
        self.connection.execute(sql, values).map(|_| ()).map_err(|error| wrong(&self.path, &error))
    }

    fn one<T: rusqlite::types::FromSql>(&self, sql: &str) -> Result<T> {
        self.connection.query_row(sql, [], |row| row.get(0)).map_err(|error| wrong(&self.path, &error))
    }
}

/// Returns the current time in the format of the state.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Millisecond).unwrap_or(now).to_string()
}

/// Turns an error of SQLite into a message and what to do.
fn wrong(path: &Path, error: &rusqlite::Error) -> Error {
    let path = path.display();
    let code = error.sqlite_error_code();
    let (message, help) = match code {
        Some(ErrorCode::DiskFull) => (
            format!("the disk is full under the state {path}"),
            "make room and run the sync again: what was not recorded is sent again, nothing is lost",
        ),
        Some(ErrorCode::NotADatabase) => {
            (format!("{path} is not the state of a sync"), "name another file with state = \"…\" in the config")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (format!("another program holds the state {path}"), "end it, and run the sync again")
        }
        Some(ErrorCode::DatabaseCorrupt) => (
            format!("the state {path} is damaged: {error}"),
            "restore it from a backup, or move it away and mark all rows as sent with `sluicegate sync baseline`",
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (
            format!("cannot open the state {path}: {error}"),
            "its folder has to exist, and this user has to be able to write in it",
        ),
        _ => (
            format!("the state {path} cannot be read or written: {error}"),
            "see to the disk and run the sync again: what was not recorded is sent again, nothing is lost",
        ),
    };
    Error::new(message).help(help)
}
