//! The report of a run: the line that proves that no row was lost, the same as JSON, and metrics for node_exporter.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::config::Config;
use super::delivery::Closed;
use super::detect::{InvalidRow, RowCounts};
use super::error::{Error, Result, plain};
use super::ledger::Results;

/// The result of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The number of the run.
    pub run: i64,
    /// Its id in events.
    pub uuid: String,
    /// Rows of the source.
    pub rows: RowCounts,
    /// Rows to send.
    pub to_send: u64,
    /// Results of the rows.
    pub results: Results,
    /// Rows that were left for another run.
    pub waiting: u64,
    /// The first invalid rows.
    pub invalid: Vec<InvalidRow>,
    /// Counts for each sink.
    pub sinks: Vec<SinkReport>,
    /// The signal that ended the run early.
    pub signal: Option<i32>,
    /// Whether rows were left for another run on purpose.
    pub is_partial: bool,
    /// Why keys that are gone were not deleted, if they were not.
    pub deletes_held: Option<String>,
    /// The key that was asked for, if none of the rows to send has it.
    pub unmatched_key: Option<String>,
    /// Why a run would stop; set by a dry run only.
    pub would_stop: Option<Error>,
    /// Keys that the state forgot because they were never sent.
    pub forgotten: u64,
    /// Warnings of the source about values that it could not pass on unchanged.
    pub warnings: Vec<String>,
    /// How long reading the source and comparing took.
    pub detecting: Duration,
    /// How long the run took.
    pub elapsed: Duration,
}

/// Counts for a sink.
#[derive(Clone, Debug, Default)]
pub struct SinkReport {
    /// Its name.
    pub name: String,
    /// Requests.
    pub requests: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Why the sink was closed, if it was.
    pub closed: Option<Closed>,
}

impl Report {
    /// Returns whether every row read and every row to send has exactly one result.
    pub fn is_conserved(&self) -> bool {
        let (rows, results) = (&self.rows, &self.results.rows);
        rows.read == rows.unchanged + rows.new + rows.changed + rows.invalid
            && self.to_send == results.sent + results.dropped + results.failed + self.pending()
    }

    /// Returns the number of rows to send that have no answer yet.
    pub fn pending(&self) -> u64 {
        self.results.rows.pending + self.waiting
    }
}

/// Formats the counts for people, without the rate.
pub fn line(report: &Report) -> String {
    let (rows, results) = (&report.rows, &report.results.rows);
    let sum = rows.unchanged + rows.new + rows.changed + rows.invalid;
    let equals = if rows.read == sum { "=" } else { "≠" };
    let mut text = format!(
        "{} read {equals} {} unchanged + {} new + {} changed + {} invalid",
        rows.read, rows.unchanged, rows.new, rows.changed, rows.invalid
    );
    let equals = if report.is_conserved() { "=" } else { "≠" };
    let deletes = match rows.deletes {
        0 => String::new(),
        1 => " (1 delete)".to_owned(),
        count => format!(" ({count} deletes)"),
    };
    let _ = write!(
        text,
        " · {} to send{deletes} {equals} {} sent + {} dropped + {} failed + {} pending",
        report.to_send,
        results.sent,
        results.dropped,
        results.failed,
        report.pending()
    );
    text
}

/// Returns the counts as JSON, for the state and for `--stats json`.
pub fn counts(report: &Report) -> Value {
    let (rows, results) = (&report.rows, &report.results.rows);
    let sinks: serde_json::Map<String, Value> = report
        .sinks
        .iter()
        .zip(&report.results.sinks)
        .map(|(sink, counts)| {
            let mut value = json!(counts);
            value["requests"] = json!(sink.requests);
            value["retries"] = json!(sink.retries);
            value["bytes"] = json!(sink.bytes);
            if let Some(Closed::Stopped { reason, .. } | Closed::GivenUp(reason)) = &sink.closed {
                value["stopped"] = json!(reason);
            }
            (sink.name.clone(), value)
        })
        .collect();
    json!({
        "run": report.run,
        "run_id": report.uuid,
        "read": rows.read,
        "unchanged": rows.unchanged,
        "new": rows.new,
        "changed": rows.changed,
        "invalid": rows.invalid,
        "deletes": rows.deletes,
        "forgotten": report.forgotten,
        "to_send": report.to_send,
        "sent": results.sent,
        "dropped": results.dropped,
        "failed": results.failed,
        "given_up": results.given_up,
        "pending": report.pending(),
        "conserved": report.is_conserved(),
        "warnings": report.warnings,
        "detecting_seconds": report.detecting.as_secs_f64(),
        "seconds": report.elapsed.as_secs_f64(),
        "sinks": sinks,
    })
}

/// Writes the metrics of a run for the textfile collector of node_exporter, atomically.
///
/// # Errors
/// When the file cannot be written.
pub fn write_metrics(path: &Path, config: &Config, report: &Report, code: u8) -> Result<()> {
    let text = metrics(config, report, code, jiff::Timestamp::now().as_second());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(text.as_bytes())?;
        // The collector runs as another user, who needs read permission.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(readable)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| {
        Error::new(format!("cannot write the metrics {}: {}", path.display(), plain(&error)))
            .help("its folder has to exist, and this user has to be able to write in it")
    })
}

fn metrics(config: &Config, report: &Report, code: u8, now: i64) -> String {
    let mut text = String::new();
    let sync = label(&config.name);
    let mut metric = |name: &str, help: &str, values: &[(String, f64)]| {
        let _ = writeln!(text, "# HELP sluicegate_sync_{name} {help}\n# TYPE sluicegate_sync_{name} gauge");
        for (labels, value) in values {
            let _ = writeln!(text, "sluicegate_sync_{name}{{sync=\"{sync}\"{labels}}} {value}");
        }
    };
    let (rows, results) = (&report.rows, &report.results.rows);
    let one = |value: f64| [(String::new(), value)];
    let of = |name: &str, word: &str, count: u64| (format!(",{name}=\"{word}\""), count as f64);
    let states = [
        of("state", "unchanged", rows.unchanged),
        of("state", "new", rows.new),
        of("state", "changed", rows.changed),
        of("state", "invalid", rows.invalid),
    ];
    metric("rows", "Rows of the source in the last run.", &states);
    let states = [
        of("result", "sent", results.sent),
        of("result", "dropped", results.dropped),
        of("result", "failed", results.failed),
        of("result", "pending", report.pending()),
    ];
    metric("rows_to_send", "Rows to send in the last run, by result.", &states);
    metric("deletes", "Deletes among the rows to send in the last run.", &one(rows.deletes as f64));
    let mut requests = Vec::new();
    for sink in &report.sinks {
        requests.push((format!(",sink=\"{}\"", label(&sink.name)), sink.requests as f64));
    }
    metric("requests", "Requests to a sink in the last run.", &requests);
    metric("duration_seconds", "How long the last run took.", &one(report.elapsed.as_secs_f64()));
    metric("exit_code", "The exit code of the last run.", &one(f64::from(code)));
    metric("last_run_timestamp_seconds", "When the last run ended.", &one(now as f64));
    text
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_proves_that_no_row_was_lost() {
        let mut report = Report { to_send: 19, waiting: 1, ..Report::default() };
        (report.rows.read, report.rows.unchanged, report.rows.new) = (1000, 980, 5);
        (report.rows.changed, report.rows.invalid) = (14, 1);
        let results = &mut report.results.rows;
        (results.sent, results.dropped, results.failed) = (15, 2, 1);
        assert_eq!(
            line(&report),
            "1000 read = 980 unchanged + 5 new + 14 changed + 1 invalid · 19 to send = 15 sent + 2 dropped + 1 failed + 1 pending"
        );
        report.rows.deletes = 2;
        report.results.rows.sent = 16;
        assert!(line(&report).contains("19 to send (2 deletes) ≠ 16 sent"), "{}", line(&report));
        assert!(!report.is_conserved());
    }
}
