//! A state that is a copy of tables in the warehouse: tracks
//! which keys it has changed, and copies rows in both directions.

use rusqlite::{params, params_from_iter};
use serde_json::{Map, Value};

use super::super::config::Config;
use super::super::error::{Error, Result, plain};
use super::super::row::unhex;
use super::{Settlement, State, wrong};

/// Meta key: the version of the warehouse tables that the copy matches.
pub const TOKEN: &str = "warehouse token";

/// Meta key: the version that is being written.
pub const NEXT_TOKEN: &str = "next warehouse token";

/// Meta key: marks a state as a copy.
pub const MARK: &str = "is a copy";

/// Meta keys that exist in the copy only.
const OWN_META: &str = "'name', 'key', 'is a copy', 'warehouse token', 'next warehouse token'";

/// A row of a warehouse table, without the name of the sync.
pub type CopiedRow = Vec<Option<String>>;

/// Removes the copy.
///
/// # Errors
/// When the copy can't be removed.
pub fn remove(config: &Config) -> Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut path = config.state.clone().into_os_string();
        path.push(end);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let path = path.display();
                return Err(Error::new(format!("cannot replace the copy of the state {path}: {}", plain(&error))));
            }
            _ => {}
        }
    }
    Ok(())
}

impl State {
    /// Records from now on every key whose rows change.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn note_changes(&self) -> Result<()> {
        self.each("CREATE TABLE IF NOT EXISTS changed (key TEXT PRIMARY KEY) WITHOUT ROWID")?;
        for table in ["settled", "problems", "doubts"] {
            for (event, row) in [("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")] {
                self.each(&format!(
                    "CREATE TRIGGER IF NOT EXISTS {table}_{event} AFTER {event} ON {table} \
                     BEGIN INSERT INTO changed SELECT {row}.key WHERE {row}.key NOT IN (SELECT key FROM changed); END"
                ))?;
            }
        }
        Ok(())
    }

    /// Returns up to `most` changed keys, in order.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn changed_keys(&self, most: usize) -> Result<Vec<String>> {
        let read = || {
            let mut statement = self.connection.prepare("SELECT key FROM changed ORDER BY key LIMIT ?1")?;
            statement.query_map([most as i64], |row| row.get(0))?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| wrong(&self.path, &error))
    }

    /// Records that these keys are written to the warehouse, whose tables now have the version `token`.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn forget_changes(&self, keys: &[String], token: &str) -> Result<()> {
        let write = || -> rusqlite::Result<()> {
            let transaction = self.connection.unchecked_transaction()?;
            for key in keys {
                transaction.prepare_cached("DELETE FROM changed WHERE key = ?1")?.execute([key])?;
            }
            transaction.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![TOKEN, token])?;
            transaction.commit()
        };
        write().map_err(|error| wrong(&self.path, &error))
    }

    /// Returns rows of a table for the warehouse: those of `keys`, the invalid rows of the last run, the last two runs,
    /// or all shared meta.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn rows_of(&self, table: &str, keys: &[String]) -> Result<Vec<CopiedRow>> {
        let marks = vec!["?"; keys.len()].join(", ");
        let of_keys = format!("JOIN sinks ON sinks.id = t.sink WHERE t.key IN ({marks}) ORDER BY t.key, t.sink");
        let sql = match table {
            "settled" => format!(
                "SELECT t.key, sinks.name, lower(hex(t.fingerprint)), t.status, t.run, \
                 CASE WHEN t.acknowledged IS NULL THEN NULL WHEN length(t.acknowledged) = 0 THEN lower(hex(t.fingerprint)) \
                 ELSE lower(hex(t.acknowledged)) END, \
                 (SELECT CAST(row AS TEXT) FROM versions WHERE versions.key = t.key AND versions.fingerprint = \
                  iif(length(t.acknowledged) = 0, t.fingerprint, t.acknowledged)) FROM settled t {of_keys}"
            ),
            "problems" => format!(
                "SELECT t.key, sinks.name, lower(hex(t.fingerprint)), kind, stage, reason, answer, tries, code, run, at \
                 FROM problems t {of_keys}"
            ),
            "doubts" => format!("SELECT t.key, sinks.name FROM doubts t {of_keys}"),
            "invalid" => {
                "SELECT run, line, key, kind, reason FROM invalid WHERE run = (SELECT max(id) FROM runs)".to_owned()
            }
            "runs" => "SELECT id, uuid, command, started, ended, result, code, mapping, counts FROM runs \
                       ORDER BY id DESC LIMIT 2"
                .to_owned(),
            _ => format!("SELECT key, value FROM meta WHERE key NOT IN ({OWN_META})"),
        };
        let read = || -> rusqlite::Result<Vec<CopiedRow>> {
            let mut statement = self.connection.prepare(&sql)?;
            let count = statement.column_count();
            let mut rows = statement.query(params_from_iter(keys))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let text = |index: usize| -> rusqlite::Result<Option<String>> {
                    Ok(match row.get::<_, rusqlite::types::Value>(index)? {
                        rusqlite::types::Value::Null => None,
                        rusqlite::types::Value::Integer(number) if table == "settled" && index == 3 => {
                            Some(Settlement::from_number(number).name().to_owned())
                        }
                        rusqlite::types::Value::Integer(number) => Some(number.to_string()),
                        rusqlite::types::Value::Text(text) => Some(text),
                        rusqlite::types::Value::Real(number) => Some(number.to_string()),
                        rusqlite::types::Value::Blob(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                    })
                };
                found.push((0..count).map(text).collect::<rusqlite::Result<_>>()?);
            }
            Ok(found)
        };
        read().map_err(|error| wrong(&self.path, &error))
    }

    /// Inserts the rows of a warehouse table into the copy.
    ///
    /// # Errors
    /// When the state cannot be written, or a row lacks a required value.
    pub fn load(&mut self, table: &str, rows: &[Map<String, Value>]) -> Result<()> {
        let path = self.path.clone();
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            for row in rows {
                let text = |name: &str| row.get(name).and_then(Value::as_str);
                let number = |name: &str| row.get(name).and_then(Value::as_i64);
                let bytes = |name: &str| text(name).map(unhex);
                let sink = match text("sink") {
                    Some(sink) => {
                        transaction
                            .prepare_cached("INSERT OR IGNORE INTO sinks (name) VALUES (?1)")?
                            .execute([sink])?;
                        let mut known = transaction.prepare_cached("SELECT id FROM sinks WHERE name = ?1")?;
                        Some(known.query_row([sink], |row| row.get::<_, i64>(0))?)
                    }
                    None => None,
                };
                match table {
                    "settled" => {
                        let how = text("status").map(Settlement::from_name);
                        let acknowledged = bytes("acknowledged");
                        transaction.prepare_cached("INSERT INTO settled VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(
                            params![
                                text("key"),
                                sink,
                                bytes("fingerprint"),
                                how.map(|how| how as i64),
                                number("run"),
                                acknowledged
                            ],
                        )?;
                        if let (Some(acknowledged), Some(kept)) = (acknowledged, text("kept_row")) {
                            transaction
                                .prepare_cached("INSERT OR IGNORE INTO versions VALUES (?1, ?2, ?3)")?
                                .execute(params![text("key"), acknowledged, kept.as_bytes()])?;
                        }
                    }
                    "problems" => {
                        let sql = "INSERT INTO problems VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
                        transaction.prepare_cached(sql)?.execute(params![
                            text("key"),
                            sink,
                            bytes("fingerprint"),
                            text("kind"),
                            text("stage"),
                            text("reason"),
                            text("answer"),
                            number("tries"),
                            text("code"),
                            number("run"),
                            text("tried_at")
                        ])?;
                    }
                    "doubts" => {
                        transaction
                            .prepare_cached("INSERT INTO doubts VALUES (?1, ?2)")?
                            .execute(params![text("key"), sink])?;
                    }
                    "invalid" => {
                        transaction.prepare_cached("INSERT INTO invalid VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(
                            params![number("run"), number("line"), text("key"), text("kind"), text("reason")],
                        )?;
                    }
                    _ => {
                        let sql = "INSERT INTO runs (id, uuid, command, started, ended, result, code, mapping, counts) \
                                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
                        transaction.prepare_cached(sql)?.execute(params![
                            number("id"),
                            text("uuid"),
                            text("command"),
                            text("started"),
                            text("ended"),
                            text("result"),
                            text("code"),
                            text("mapping"),
                            text("counts")
                        ])?;
                    }
                }
            }
            transaction.commit()
        };
        write().map_err(|error| wrong(&path, &error))
    }
}
