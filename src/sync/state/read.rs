//! Reads from the state.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, params};

use super::super::error::Result;
use super::super::row::{Fingerprint, key_hash};
use super::{Doubts, Problem, Run, Settled, Settlement, State, wrong};

impl State {
    /// Counts the keys that a sink has settled or may have.
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

    /// Fills `found` with what each sink has settled for a key.
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

    /// Returns the row of a key with this fingerprint, if it is stored.
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

    /// Returns the sinks that may have a row although they have not acknowledged it.
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

    /// Calls `each` with every key that one of these sinks has settled or may have, in order, and whether any row of
    /// the key was ever sent.
    ///
    /// # Errors
    /// When the state cannot be read, or `each` fails.
    pub fn keys(&self, sinks: &[i64], mut each: impl FnMut(&str, bool) -> Result<()>) -> Result<()> {
        let sinks = sinks.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let doubts: i64 = self.one("SELECT EXISTS (SELECT 1 FROM doubts)")?;
        let known = match doubts {
            // In primary key order, so SQLite need not sort.
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

    /// Returns the hashes of the keys that have problems.
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

    /// Returns up to `most` problems of a key, or of all keys in order.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn problems(&self, key: Option<&str>, most: usize) -> Result<Vec<Problem>> {
        let read = || {
            let sql = "SELECT key, sink, fingerprint, kind, stage, reason, answer, tries, code, run, at FROM problems \
                       WHERE ?1 IS NULL OR key = ?1 ORDER BY key, sink LIMIT ?2";
            // A condition with OR would not use the index, hence two statements.
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

    /// Counts problems by sink, kind and reason; the most frequent first, at most 50.
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

    /// Counts the settled keys of each sink, by kind of settlement.
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

    /// Returns up to `most` runs, the latest first.
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

    /// Returns up to `most` invalid rows of the last run: line, key and reason.
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
}
