//! The state of a sync: what each destination has acknowledged, in a SQLite file.
//!
//! What is settled is written after the acknowledgement and never before. So a row that was not acknowledged differs from its state,
//! and goes out again. Before a request, its rows are noted as in doubt: if no answer is recorded, the destination may have them or
//! not, and they are sent, or deleted, again, also when the source has meanwhile gone back to what was acknowledged. The file is in WAL mode with `synchronous = NORMAL`: a process that is killed loses nothing that was
//! committed; a machine that loses power may lose the last commits, and then those rows are sent again.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use rustix::fs::{FlockOperation, flock};

use super::config::Config;
use super::error::{Error, Result, plain};
use super::row::{Fingerprint, key_hash};

/// The version of the tables.
const VERSION: i64 = 2;

/// `SlgS`, so that `file` and this program know the file.
const APPLICATION: i64 = 0x536c_6753;

/// The rows that are listed as invalid for a run.
const MAX_INVALID: usize = 1000;

const TABLES: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE sinks (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    -- The rows that are settled with each sink. status: 1 sent, 2 dropped by the code, 3 baseline, 4 not for this sink.
    -- acknowledged: the fingerprint of the row that the sink has. Empty: it is the settled one. Null: it has none of the key.
    CREATE TABLE settled (
        key TEXT NOT NULL, sink INTEGER NOT NULL, fingerprint BLOB NOT NULL, status INTEGER NOT NULL,
        run INTEGER NOT NULL, acknowledged BLOB, PRIMARY KEY (key, sink)
    ) WITHOUT ROWID;
    -- Rows as they were acknowledged, with [changes] previous = true.
    CREATE TABLE versions (
        key TEXT NOT NULL, fingerprint BLOB NOT NULL, row BLOB NOT NULL, PRIMARY KEY (key, fingerprint)
    ) WITHOUT ROWID;
    -- Rows that are not settled, and why. An empty fingerprint is a delete.
    CREATE TABLE problems (
        key TEXT NOT NULL, sink INTEGER NOT NULL, fingerprint BLOB NOT NULL, kind TEXT NOT NULL, stage TEXT NOT NULL,
        reason TEXT NOT NULL, answer TEXT, tries INTEGER NOT NULL, code TEXT NOT NULL, run INTEGER NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (key, sink)
    ) WITHOUT ROWID;
    -- Rows that were on their way to a sink and have no answer: the sink may have them, or not.
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

/// How a row is settled with a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The destination has it.
    Sent = 1,
    /// The transformation dropped it.
    Dropped = 2,
    /// It was marked as sent.
    Baseline = 3,
    /// Its `integrations` do not name the sink.
    NotForSink = 4,
}

impl Settlement {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Settlement::Sent => "sent",
            Settlement::Dropped => "dropped",
            Settlement::Baseline => "baseline",
            Settlement::NotForSink => "not for this sink",
        }
    }

    fn from_number(number: i64) -> Self {
        match number {
            2 => Settlement::Dropped,
            3 => Settlement::Baseline,
            4 => Settlement::NotForSink,
            _ => Settlement::Sent,
        }
    }
}

/// How far a sink is with the rows of a key.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The sink's number in the state.
    pub sink: i64,
    /// The fingerprint of the row that was settled last.
    pub fingerprint: Fingerprint,
    /// How.
    pub how: Settlement,
    /// The fingerprint of the row that the sink has: it acknowledged that one last. `None` if it never got one of this key.
    /// It is another row than the settled one if that was dropped.
    pub acknowledged: Option<Fingerprint>,
    /// The run in which it was settled.
    pub run: i64,
}

/// Why a row is not settled.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The key.
    pub key: String,
    /// The sink's number in the state.
    pub sink: i64,
    /// The row's fingerprint; empty for a delete.
    pub fingerprint: Vec<u8>,
    /// `failed` or `pending`.
    pub kind: String,
    /// Where it happened: `transformation`, `sink` or `destination`.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// What the destination answered.
    pub answer: Option<String>,
    /// How often it was tried.
    pub tries: u64,
    /// The hash of the code that it was tried with.
    pub code: String,
    /// The run in which it happened last.
    pub run: i64,
    /// When.
    pub at: String,
}

/// A change of the state.
pub struct Change {
    /// The row's key.
    pub key: Arc<str>,
    /// The sink's number in the state.
    pub sink: i64,
    /// What changes.
    pub what: What,
}

/// What changes.
pub enum What {
    /// The row is settled.
    Settled {
        /// Its fingerprint.
        fingerprint: Fingerprint,
        /// How.
        how: Settlement,
        /// Its mapped columns, if they are kept.
        row: Option<Arc<[u8]>>,
    },
    /// The key is gone: its delete is acknowledged, or nothing of it was ever sent.
    Gone,
    /// It is about to be sent: until there is an answer, the sink may have it or not.
    Doubt,
    /// The row is not settled.
    Problem {
        /// Its fingerprint; `None` for a delete.
        fingerprint: Option<Fingerprint>,
        /// Whether it counts as a try.
        failed: bool,
        /// Whether it is sure that the sink does not have it.
        sure: bool,
        /// Where it happened.
        stage: &'static str,
        /// Why.
        reason: String,
        /// What the destination answered.
        answer: Option<String>,
    },
}

/// A run, as it is kept.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its number.
    pub id: i64,
    /// Its id in events.
    pub uuid: String,
    /// `sync`, `retry` or `baseline`.
    pub command: String,
    /// When it started.
    pub started: String,
    /// When it ended, if it did.
    pub ended: Option<String>,
    /// How it ended.
    pub result: Option<String>,
    /// The hash of the code.
    pub code: String,
    /// The hash of the mapping.
    pub mapping: String,
    /// The counts, as JSON.
    pub counts: Option<String>,
}

/// Holds the lock of a sync while it lives.
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

/// The state of a sync.
pub struct State {
    connection: Connection,
    path: PathBuf,
    has_problems: bool,
}

/// The sinks that may have a row of a key, a bit for each in the order of the config. Keys are hashed.
pub type Doubts = HashMap<[u8; 16], u32>;

impl Lock {
    /// Takes the lock of the sync with this state.
    ///
    /// # Errors
    /// When another process has it.
    pub fn take(state: &Path) -> Result<Self> {
        let mut path = state.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let cannot = |error: &std::io::Error| {
            Error::new(format!("cannot open the lock of the state, {}: {}", path.display(), plain(error)))
                .help("the folder of the state has to exist, and this user has to be able to write in it")
        };
        let mut options = File::options();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(|error| cannot(&error))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let process = if pid.trim().is_empty() { String::new() } else { format!(" (process {})", pid.trim()) };
            return Err(Error::new(format!("another sync{process} is at work on the state {}", state.display()))
                .help("wait until it has ended; one state has one sync at a time"));
        }
        // For the message above; the lock holds without it.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self(file))
    }
}

impl State {
    /// Opens the state of a sync, and makes it if there is none.
    ///
    /// # Errors
    /// When it is the state of another sync, or no state at all.
    pub fn open(config: &Config) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut state = Self::with_flags(&config.state, flags)?;
        state.prepare(config)?;
        Ok(state)
    }

    /// Opens a state that is there.
    ///
    /// # Errors
    /// When there is none, or it is another's.
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
        } else if application != APPLICATION {
            return Err(Error::new(format!("{} is not the state of a sync", self.path.display()))
                .help("name another file with state = \"…\" in the config"));
        }
        self.is_of(config)?;
        self.each("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -49152")?;
        self.has_problems = self.one::<i64>("SELECT EXISTS (SELECT 1 FROM problems)")? == 1;
        for sink in &config.sinks {
            self.run("INSERT OR IGNORE INTO sinks (name) VALUES (?1)", params![sink.name])?;
        }
        Ok(())
    }

    /// Whether this is the state of this sync.
    fn is_of(&self, config: &Config) -> Result<()> {
        let version: i64 = self.one("PRAGMA user_version")?;
        if version != VERSION {
            return Err(Error::new(format!("the state {} has version {version}", self.path.display()))
                .help(format!("this program reads version {VERSION}; another version of it wrote the file")));
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

    /// Another connection to the same file, to read while this one writes.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn reader(&self) -> Result<Self> {
        let state = Self::with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        state.each("PRAGMA cache_size = -49152")?;
        Ok(state)
    }

    /// The numbers of the sinks of a config, in its order.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn sinks(&self, config: &Config) -> Result<Vec<i64>> {
        let number = |name: &str| {
            let found = self.connection.query_row("SELECT id FROM sinks WHERE name = ?1", [name], |row| row.get(0));
            // A sink that is new to the config has no number in a state that is only read.
            Ok(found.optional().map_err(|error| wrong(&self.path, &error))?.unwrap_or(-1))
        };
        config.sinks.iter().map(|sink| number(&sink.name)).collect()
    }

    /// A value that belongs to the state.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn meta(&self, key: &str) -> Result<Option<String>> {
        let found = self.connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0));
        found.optional().map_err(|error| wrong(&self.path, &error))
    }

    /// Sets a value that belongs to the state.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        self.run("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![key, value])
    }

    /// How many keys the sinks know, or may know.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn known(&self) -> Result<u64> {
        let settled: i64 = self.one("SELECT count(DISTINCT key) FROM settled")?;
        let doubts: i64 = self.one(
            "SELECT count(DISTINCT key) FROM doubts WHERE NOT EXISTS (SELECT 1 FROM settled WHERE settled.key = doubts.key)",
        )?;
        Ok((settled + doubts).unsigned_abs())
    }

    /// How far each sink is with a key.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn settled(&self, key: &str, found: &mut Vec<Settled>) -> Result<()> {
        found.clear();
        let mut read = || -> rusqlite::Result<()> {
            let sql = "SELECT sink, fingerprint, status, run, acknowledged FROM settled WHERE key = ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([key])?;
            while let Some(row) = rows.next()? {
                let fingerprint = row.get(1)?;
                let acknowledged = match row.get_ref(4)?.as_blob_or_null()? {
                    None => None,
                    Some([]) => Some(fingerprint),
                    Some(_) => Some(row.get(4)?),
                };
                found.push(Settled {
                    sink: row.get(0)?,
                    fingerprint,
                    how: Settlement::from_number(row.get(2)?),
                    acknowledged,
                    run: row.get(3)?,
                });
            }
            Ok(())
        };
        read().map_err(|error| wrong(&self.path, &error))
    }

    /// The row of a key with this fingerprint, if it is kept.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn version(&self, key: &str, fingerprint: &Fingerprint) -> Result<Option<Vec<u8>>> {
        let read = || {
            let sql = "SELECT row FROM versions WHERE key = ?1 AND fingerprint = ?2";
            self.connection.prepare_cached(sql)?.query_row(params![key, fingerprint], |row| row.get(0)).optional()
        };
        read().map_err(|error| wrong(&self.path, &error))
    }

    /// The sinks that may have a row, although they have not acknowledged it.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn doubts(&self, sinks: &[i64]) -> Result<Doubts> {
        let read = || -> rusqlite::Result<Doubts> {
            let mut doubts = Doubts::new();
            let mut statement = self.connection.prepare("SELECT key, sink FROM doubts")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let number: i64 = row.get(1)?;
                if let Some(bit) = sinks.iter().position(|sink| *sink == number) {
                    *doubts.entry(key_hash(row.get_ref(0)?.as_str()?)).or_default() |= 1 << bit;
                }
            }
            Ok(doubts)
        };
        read().map_err(|error| wrong(&self.path, &error))
    }

    /// Calls `each` with all keys that these sinks know or may have, in their order, and whether anything of them was ever
    /// sent.
    ///
    /// # Errors
    /// When the state cannot be read, or `each` fails.
    pub fn keys(&self, sinks: &[i64], mut each: impl FnMut(&str, bool) -> Result<()>) -> Result<()> {
        let sinks = sinks.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let doubts: i64 = self.one("SELECT EXISTS (SELECT 1 FROM doubts)")?;
        let known = match doubts {
            // In the order of the table, without sorting.
            0 => "settled",
            _ => "(SELECT key, sink, acknowledged FROM settled UNION ALL SELECT key, sink, x'' FROM doubts)",
        };
        let sql = &format!(
            "SELECT key, max(acknowledged IS NOT NULL) FROM {known} WHERE sink IN ({sinks}) GROUP BY key ORDER BY key"
        );
        let wrong = |error: rusqlite::Error| wrong(&self.path, &error);
        let mut statement = self.connection.prepare(sql).map_err(wrong)?;
        let mut rows = statement.query([]).map_err(wrong)?;
        while let Some(row) = rows.next().map_err(wrong)? {
            let was_sent = row.get(1).map_err(wrong)?;
            let key = row.get_ref(0).map_err(wrong)?;
            each(key.as_str().map_err(|error| wrong(error.into()))?, was_sent)?;
        }
        Ok(())
    }

    /// The keys that have problems, hashed.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn problem_keys(&self) -> Result<HashSet<[u8; 16]>> {
        let read = || {
            let mut statement = self.connection.prepare("SELECT DISTINCT key FROM problems")?;
            statement.query_map([], |row| Ok(key_hash(row.get_ref(0)?.as_str()?)))?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| wrong(&self.path, &error))
    }

    /// The problems of a key, or all of them, in the order of the keys.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn problems(&self, key: Option<&str>, most: usize) -> Result<Vec<Problem>> {
        let read = || {
            let sql = "SELECT key, sink, fingerprint, kind, stage, reason, answer, tries, code, run, at FROM problems \
                       WHERE ?1 IS NULL OR key = ?1 ORDER BY key, sink LIMIT ?2";
            // Two statements: one with an OR could not use the index.
            let sql = if key.is_some() { sql.replace("?1 IS NULL OR ", "") } else { sql.to_owned() };
            let mut statement = self.connection.prepare_cached(&sql)?;
            let problem = |row: &rusqlite::Row<'_>| {
                Ok(Problem {
                    key: row.get(0)?,
                    sink: row.get(1)?,
                    fingerprint: row.get(2)?,
                    kind: row.get(3)?,
                    stage: row.get(4)?,
                    reason: row.get(5)?,
                    answer: row.get(6)?,
                    tries: row.get::<_, i64>(7)?.unsigned_abs(),
                    code: row.get(8)?,
                    run: row.get(9)?,
                    at: row.get(10)?,
                })
            };
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            statement.query_map(params![key, most], problem)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| wrong(&self.path, &error))
    }

    /// Problems by sink, kind and reason, with their number; the most frequent first.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn problem_counts(&self) -> Result<Vec<(i64, String, String, u64)>> {
        let read = || {
            let sql =
                "SELECT sink, kind, reason, count(*) FROM problems GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 3 LIMIT 50";
            let mut statement = self.connection.prepare(sql)?;
            let count = |row: &rusqlite::Row<'_>| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?.unsigned_abs()))
            };
            statement.query_map([], count)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| wrong(&self.path, &error))
    }

    /// How many keys each sink has settled, by how.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn settled_counts(&self) -> Result<Vec<(i64, Settlement, u64)>> {
        let read = || {
            let mut statement =
                self.connection.prepare("SELECT sink, status, count(*) FROM settled GROUP BY 1, 2 ORDER BY 1, 2")?;
            let count = |row: &rusqlite::Row<'_>| {
                let how = Settlement::from_number(row.get(1)?);
                Ok((row.get(0)?, how, row.get::<_, i64>(2)?.unsigned_abs()))
            };
            statement.query_map([], count)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| wrong(&self.path, &error))
    }

    /// Starts a run; gives its number.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn start_run(&self, uuid: &str, command: &str, code: &str, mapping: &str) -> Result<i64> {
        self.run(
            "INSERT INTO runs (uuid, command, started, code, mapping) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![uuid, command, now(), code, mapping],
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Ends a run.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn end_run(&self, run: i64, result: &str, counts: &str) -> Result<()> {
        self.run(
            "UPDATE runs SET ended = ?2, result = ?3, counts = ?4 WHERE id = ?1",
            params![run, now(), result, counts],
        )?;
        self.run("DELETE FROM invalid WHERE run < ?1", params![run])?;
        // A year of hourly runs.
        self.run("DELETE FROM runs WHERE id <= ?1 - 10000", params![run])
    }

    /// The last runs, the latest first.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn runs(&self, most: usize) -> Result<Vec<Run>> {
        let read = || {
            let sql = "SELECT id, uuid, command, started, ended, result, code, mapping, counts FROM runs \
                       ORDER BY id DESC LIMIT ?1";
            let run = |row: &rusqlite::Row<'_>| {
                Ok(Run {
                    id: row.get(0)?,
                    uuid: row.get(1)?,
                    command: row.get(2)?,
                    started: row.get(3)?,
                    ended: row.get(4)?,
                    result: row.get(5)?,
                    code: row.get(6)?,
                    mapping: row.get(7)?,
                    counts: row.get(8)?,
                })
            };
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            self.connection.prepare(sql)?.query_map([most], run)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| wrong(&self.path, &error))
    }

    /// Keeps the invalid rows of a run: line, key, kind and reason.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn set_invalid(&mut self, run: i64, rows: &[(u64, Option<String>, &'static str, String)]) -> Result<()> {
        let path = self.path.clone();
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            for (line, key, kind, reason) in rows.iter().take(MAX_INVALID) {
                transaction.execute(
                    "INSERT OR REPLACE INTO invalid VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![run, i64::try_from(*line).unwrap_or(i64::MAX), key, kind, reason],
                )?;
            }
            transaction.commit()
        };
        write().map_err(|error| wrong(&path, &error))
    }

    /// The invalid rows of the last run that read the source: line, key and reason.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn invalid(&self, most: usize) -> Result<Vec<(u64, Option<String>, String)>> {
        let read = || {
            let sql =
                "SELECT line, key, reason FROM invalid WHERE run = (SELECT max(id) FROM runs) ORDER BY line LIMIT ?1";
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?, row.get(2)?));
            self.connection.prepare(sql)?.query_map([most], row)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| wrong(&self.path, &error))
    }

    /// Writes changes, all or none of them.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn commit(&mut self, changes: &[Change], run: i64, code: &str) -> Result<()> {
        let has_problems =
            self.has_problems || changes.iter().any(|change| matches!(change.what, What::Problem { .. }));
        self.has_problems = has_problems;
        let path = self.path.clone();
        let now = now();
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            for change in changes {
                write_change(&transaction, change, run, code, &now, has_problems)?;
            }
            transaction.commit()
        };
        write().map_err(|error| wrong(&path, &error))
    }

    /// Forgets all about keys; gives how many of them were known.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn forget(&mut self, keys: &[String]) -> Result<usize> {
        let path = self.path.clone();
        let mut write = || -> rusqlite::Result<usize> {
            let transaction = self.connection.transaction()?;
            let mut known = 0;
            for key in keys {
                let mut rows = 0;
                for table in ["settled", "versions", "problems", "doubts"] {
                    rows += transaction.execute(&format!("DELETE FROM {table} WHERE key = ?1"), [key])?;
                }
                known += usize::from(rows > 0);
            }
            transaction.commit()?;
            Ok(known)
        };
        write().map_err(|error| wrong(&path, &error))
    }

    /// Forgets the problems of keys whose hashes these are: of settled ones all of them, of missing ones all but deletes.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn forget_problems(&mut self, settled: &HashSet<[u8; 16]>, missing: &HashSet<[u8; 16]>) -> Result<()> {
        if settled.is_empty() && missing.is_empty() {
            return Ok(());
        }
        let path = self.path.clone();
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            {
                let mut keys = transaction.prepare("SELECT DISTINCT key FROM problems")?;
                let keys: Vec<String> = keys.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
                for key in keys {
                    let hash = key_hash(&key);
                    let sql = match (settled.contains(&hash), missing.contains(&hash)) {
                        (true, _) => "DELETE FROM problems WHERE key = ?1",
                        (_, true) => "DELETE FROM problems WHERE key = ?1 AND length(fingerprint) > 0",
                        _ => continue,
                    };
                    transaction.prepare_cached(sql)?.execute([key])?;
                }
            }
            transaction.commit()
        };
        write().map_err(|error| wrong(&path, &error))
    }

    /// Lets every failed row be tried again, however often it was; gives how many there are.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn reset_tries(&self) -> Result<usize> {
        let changed = self.connection.execute("UPDATE problems SET tries = 0", []);
        changed.map_err(|error| wrong(&self.path, &error))
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

fn write_change(
    transaction: &rusqlite::Transaction<'_>,
    Change { key, sink, what }: &Change,
    run: i64,
    code: &str,
    now: &str,
    has_problems: bool,
) -> rusqlite::Result<()> {
    let without_problem = || -> rusqlite::Result<()> {
        if has_problems {
            let sql = "DELETE FROM problems WHERE key = ?1 AND sink = ?2";
            transaction.prepare_cached(sql)?.execute(params![key, sink])?;
        }
        Ok(())
    };
    let without_doubt = || {
        let sql = "DELETE FROM doubts WHERE key = ?1 AND sink = ?2";
        transaction.prepare_cached(sql)?.execute(params![key, sink])
    };
    let without_old_versions = || {
        let sql = "DELETE FROM versions WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM settled WHERE key = ?1 \
                   AND versions.fingerprint = iif(acknowledged = x'', settled.fingerprint, acknowledged))";
        transaction.prepare_cached(sql)?.execute(params![key])
    };
    match what {
        What::Settled { fingerprint, how, row } => {
            // What was dropped, the sink does not have: it keeps what it acknowledged before.
            let is_acknowledged = matches!(how, Settlement::Sent | Settlement::Baseline);
            let sql = "INSERT INTO settled VALUES (?1, ?2, ?3, ?4, ?5, iif(?6, x'', NULL)) \
                       ON CONFLICT (key, sink) DO UPDATE SET fingerprint = ?3, status = ?4, run = ?5, \
                       acknowledged = iif(?6, x'', iif(acknowledged = x'', fingerprint, acknowledged))";
            let values = params![key, sink, fingerprint, *how as i64, run, is_acknowledged];
            transaction.prepare_cached(sql)?.execute(values)?;
            if let (Some(row), true) = (row, is_acknowledged) {
                let sql = "INSERT OR IGNORE INTO versions VALUES (?1, ?2, ?3)";
                transaction.prepare_cached(sql)?.execute(params![key, fingerprint, &row[..]])?;
                without_old_versions()?;
            }
            without_doubt()?;
            without_problem()
        }
        What::Doubt => {
            let sql = "INSERT OR IGNORE INTO doubts VALUES (?1, ?2)";
            transaction.prepare_cached(sql)?.execute(params![key, sink])?;
            Ok(())
        }
        What::Gone => {
            let sql = "DELETE FROM settled WHERE key = ?1 AND sink = ?2";
            transaction.prepare_cached(sql)?.execute(params![key, sink])?;
            without_old_versions()?;
            without_doubt()?;
            without_problem()
        }
        What::Problem { fingerprint, failed, sure, stage, reason, answer } => {
            if *sure {
                without_doubt()?;
            }
            let kind = if *failed { "failed" } else { "pending" };
            let fingerprint: &[u8] = fingerprint.as_ref().map_or(&[], |fingerprint| &fingerprint[..]);
            // Tries are of one row with one code: another row, or another code, starts anew.
            let sql = "INSERT INTO problems VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
                       ON CONFLICT (key, sink) DO UPDATE SET \
                       tries = iif(fingerprint = ?3 AND code = ?9, tries + ?8, ?8), fingerprint = ?3, kind = ?4, stage = ?5, \
                       reason = ?6, answer = ?7, code = ?9, run = ?10, at = ?11";
            transaction.prepare_cached(sql)?.execute(params![
                key,
                sink,
                fingerprint,
                kind,
                stage,
                reason,
                answer,
                i64::from(*failed),
                code,
                run,
                now
            ])?;
            Ok(())
        }
    }
}

/// The time, as it is kept.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Millisecond).unwrap_or(now).to_string()
}

/// An error of SQLite, in words.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &Path) -> Config {
        let text = "[source]\nstdin = true\nkey = \"id\"\n[[sink]]\nname = \"a\"\nkind = \"file\"\npath = \"a\"\n\
                    [[sink]]\nname = \"b\"\nkind = \"file\"\npath = \"b\"\n";
        Config::parse(text, &dir.join("s.toml")).unwrap()
    }

    fn settled(sink: i64, fingerprint: u8) -> Change {
        settled_as(Settlement::Sent, sink, fingerprint)
    }

    fn settled_as(how: Settlement, sink: i64, fingerprint: u8) -> Change {
        let row = Some(Arc::from(vec![fingerprint]));
        Change { key: "k".into(), sink, what: What::Settled { fingerprint: [fingerprint; 16], how, row } }
    }

    #[test]
    fn a_version_is_kept_as_long_as_a_sink_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let mut state = State::open(&config).unwrap();
        let sinks = state.sinks(&config).unwrap();
        state.commit(&[settled(sinks[0], 1), settled(sinks[1], 1)], 1, "c").unwrap();
        state.commit(&[settled(sinks[0], 2)], 2, "c").unwrap();
        assert_eq!(state.version("k", &[1; 16]).unwrap(), Some(vec![1]));
        assert_eq!(state.version("k", &[2; 16]).unwrap(), Some(vec![2]));
        state.commit(&[settled(sinks[1], 2)], 2, "c").unwrap();
        assert_eq!(state.version("k", &[1; 16]).unwrap(), None);
        let gone = |sink| Change { key: "k".into(), sink, what: What::Gone };
        state.commit(&[gone(sinks[0]), gone(sinks[1])], 3, "c").unwrap();
        assert_eq!((state.known().unwrap(), state.version("k", &[2; 16]).unwrap()), (0, None));
    }

    #[test]
    fn a_row_that_is_dropped_is_settled_and_not_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let mut state = State::open(&config).unwrap();
        let sink = state.sinks(&config).unwrap()[0];
        let mut after = |how, fingerprint: u8| {
            state.commit(&[settled_as(how, sink, fingerprint)], 1, "c").unwrap();
            let mut found = Vec::new();
            state.settled("k", &mut found).unwrap();
            assert_eq!(found[0].fingerprint, [fingerprint; 16]);
            let mut keys = Vec::new();
            let take = |_: &str, was_sent| {
                keys.push(was_sent);
                Ok(())
            };
            state.keys(&[sink], take).unwrap();
            assert_eq!(keys, [found[0].acknowledged.is_some()]);
            let kept = |fingerprint| state.version("k", &[fingerprint; 16]).unwrap().is_some();
            (found[0].acknowledged.map(|fingerprint| fingerprint[0]), kept(1), kept(2), kept(3))
        };
        assert_eq!(after(Settlement::Dropped, 1), (None, false, false, false));
        assert_eq!(after(Settlement::Sent, 2), (Some(2), false, true, false));
        assert_eq!(after(Settlement::Dropped, 3), (Some(2), false, true, false));
        assert_eq!(after(Settlement::NotForSink, 1), (Some(2), false, true, false));
        assert_eq!(after(Settlement::Sent, 3), (Some(3), false, false, true));
    }

    #[test]
    fn tries_are_of_one_row_with_one_code() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let mut state = State::open(&config).unwrap();
        let problem = |fingerprint: u8, failed| Change {
            key: "k".into(),
            sink: 1,
            what: What::Problem {
                fingerprint: Some([fingerprint; 16]),
                failed,
                sure: false,
                stage: "destination",
                reason: "no".into(),
                answer: None,
            },
        };
        let mut tries = |fingerprint, failed, code| {
            state.commit(&[problem(fingerprint, failed)], 1, code).unwrap();
            state.problems(Some("k"), 9).unwrap()[0].tries
        };
        assert_eq!(tries(1, true, "c"), 1);
        assert_eq!(tries(1, true, "c"), 2);
        assert_eq!(tries(1, false, "c"), 2, "a row that waits was not tried");
        assert_eq!(tries(1, true, "d"), 1);
        assert_eq!(tries(2, true, "d"), 1);
        state.commit(&[settled(1, 2)], 2, "d").unwrap();
        assert!(state.problems(None, 9).unwrap().is_empty());
    }

    #[test]
    fn one_state_has_one_sync() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.db");
        let held = Lock::take(&path).unwrap();
        let error = Lock::take(&path).err().unwrap();
        assert!(error.message.contains(&std::process::id().to_string()), "{error}");
        drop(held);
        Lock::take(&path).unwrap();
    }
}
