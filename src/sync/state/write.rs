//! Writes to the state.

use std::collections::HashSet;

use rusqlite::params;

use super::super::error::Result;
use super::super::row::key_hash;
use super::{Change, ChangeKind, Settlement, State, now, wrong};

/// The most invalid rows that are stored for a run.
const MAX_INVALID: usize = 1000;

impl State {
    /// Starts a run; returns its number.
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
        // 10,000 runs are a year of hourly ones.
        self.run("DELETE FROM runs WHERE id <= ?1 - 10000", params![run])
    }

    /// Stores the invalid rows of a run: line, key, kind and reason.
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

    /// Writes changes in one transaction.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn commit(&mut self, changes: &[Change], run: i64, code: &str) -> Result<()> {
        let has_problems =
            self.has_problems || changes.iter().any(|change| matches!(change.kind, ChangeKind::Problem { .. }));
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

    /// Deletes everything about these keys; returns how many of them were known.
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

    /// Deletes problems of keys, given as hashes: all problems of settled keys; of missing keys all except deletes.
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

    /// Lets every failed row be tried again, however often it was tried; returns the number of problems.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn reset_tries(&self) -> Result<usize> {
        let changed = self.connection.execute("UPDATE problems SET tries = 0", []);
        changed.map_err(|error| wrong(&self.path, &error))
    }
}

fn write_change(
    transaction: &rusqlite::Transaction<'_>,
    Change { key, sink, kind }: &Change,
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
    match kind {
        ChangeKind::Settled { fingerprint, how, row } => {
            // The sink does not get a dropped row: it still has the row that it acknowledged before.
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
        ChangeKind::Doubt => {
            let sql = "INSERT OR IGNORE INTO doubts VALUES (?1, ?2)";
            transaction.prepare_cached(sql)?.execute(params![key, sink])?;
            Ok(())
        }
        ChangeKind::Gone => {
            let sql = "DELETE FROM settled WHERE key = ?1 AND sink = ?2";
            transaction.prepare_cached(sql)?.execute(params![key, sink])?;
            without_old_versions()?;
            without_doubt()?;
            without_problem()
        }
        ChangeKind::Problem { fingerprint, failed, sure, stage, reason, answer } => {
            if *sure {
                without_doubt()?;
            }
            let kind = if *failed { "failed" } else { "pending" };
            let fingerprint: &[u8] = fingerprint.as_ref().map_or(&[], |fingerprint| &fingerprint[..]);
            // Tries are counted per row and code. Another row or other code restarts the count.
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
