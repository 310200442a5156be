//! `sluicegate diff`: runs two versions over the same events and prints the differences as a table or as JSON.

use std::fmt::Write as _;
use std::io::{self, Seek, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::args::{DiffArgs, Global};
use super::config::explore_setup;
use super::diagnostic::{Diagnostic, visible};
use super::files::inputs;
use super::run_progress::spinner;
use super::setting_sources::Env;
use super::values::{millis_since_1970, thousands};
use crate::config::Input;
use crate::explore::Setup;
use crate::explore::diff::{Difference, Differences, diff as run};
use crate::tally::exit;
use crate::workers::{self, RunError, Sandbox};
use sluicegate_engine::Determinism;

/// From this number of events on, the CPU time reflects the code more than the start of V8.
const ENOUGH: u64 = 1000;

/// The maximum number of rows in a table.
const MAX_ROWS: usize = 40;

/// Compares two versions; returns the exit code.
///
/// # Errors
/// When one of the versions cannot be run.
pub fn diff(args: &DiffArgs, global: &Global) -> anyhow::Result<u8> {
    // With one worker each, both versions get the same events in one isolate, whatever state they keep.
    let workers = match args.workers.unwrap_or(1) {
        0 => (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1),
        workers => workers,
    };
    // Each version reads the events, so standard input is copied to a temporary file first, whatever its size.
    let mut aside = None;
    let events: PathBuf = match inputs(std::slice::from_ref(&args.events))?.swap_remove(0) {
        Input::File(path) => path,
        Input::Stdin => {
            let mut file = tempfile::NamedTempFile::new()?;
            io::copy(&mut io::stdin().lock(), &mut file)?;
            file.rewind()?;
            aside.insert(file).path().to_owned()
        }
    };
    let now = args.now.unwrap_or_else(|| millis_since_1970(std::time::SystemTime::now()));
    let determinism = Determinism { now: Some(now), seed: Some(args.seed.unwrap_or(1)) };
    let version = |path: &Path| -> anyhow::Result<Setup> {
        let (mut setup, paths) = explore_setup(global.typed.clone(), global, path, workers, Env::here())?;
        match workers::check(&setup.program, &setup.options, Sandbox::default()) {
            Err(RunError::Load(error)) => return Err(Diagnostic::from_load_error(&error, &paths).into()),
            loaded => loaded?,
        };
        setup.program.determinism = determinism;
        Ok(Setup { events: Some(events.clone()), ..setup })
    };
    let (old, new) = (version(&args.old)?, version(&args.new)?);
    let bar = spinner(args.progress.unwrap_or_default(), false);
    let found = run(&old, &new, &args.ignore, &mut |found| {
        bar.set_message(format!("{} events · {} changed", thousands(found.events), thousands(found.changed)));
        bar.tick();
    })?;
    bar.finish_and_clear();
    let over = args.max_changes.is_some_and(|most| found.changed > most);
    super::print(if args.json { as_json(&found, over) } else { as_text(&found) }.as_bytes())?;
    if let (true, Some(most)) = (over, args.max_changes) {
        let _ = writeln!(io::stderr().lock(), "{} events changed, --max-changes allows {most}", found.changed);
    }
    Ok(if over { exit::EVENTS_FAILED } else { exit::COMPLETE })
}

/// Returns the CPU time per event in microseconds, of the old and the new version; `None` for too few events.
fn cost(found: &Differences) -> Option<[f64; 2]> {
    let each = |index: usize| found.cpu[index].as_secs_f64() * 1e6 / found.events as f64;
    (found.events >= ENOUGH).then(|| [each(0), each(1)])
}

fn as_text(found: &Differences) -> String {
    let mut out = String::new();
    table(&mut out, "changed verdicts", &found.verdicts);
    table(&mut out, "changed fields", &found.fields);
    let share = found.changed as f64 * 100.0 / found.events.max(1) as f64;
    let changed = match found.changed {
        0 => "none changed".to_owned(),
        changed => format!("{} changed ({share:.1}%)", thousands(changed)),
    };
    let _ = writeln!(out, "{} events, {changed}", thousands(found.events));
    match cost(found) {
        Some([old, new]) => {
            let delta = (new / old.max(1e-9) - 1.0) * 100.0;
            let _ = writeln!(out, "CPU time per event: {old:.1} µs → {new:.1} µs ({delta:+.0}%), V8's start included");
        }
        None => {
            let _ = writeln!(out, "CPU time is compared from {} events on", thousands(ENOUGH));
        }
    }
    out
}

/// Writes rows by count, the most frequent first, each with its example.
fn table(out: &mut String, title: &str, places: &std::collections::BTreeMap<String, Difference>) {
    if places.is_empty() {
        return;
    }
    let mut rows: Vec<(String, &Difference)> =
        places.iter().map(|(name, place)| (visible(name).into_owned(), place)).collect();
    rows.sort_by_key(|(_, place)| std::cmp::Reverse(place.count));
    let width = rows.iter().take(MAX_ROWS).map(|(name, _)| name.width()).max().unwrap_or(0).max(title.width() - 2);
    let _ = writeln!(out, "{title}{}  events  example", " ".repeat(width + 2 - title.width()));
    for (name, place) in rows.iter().take(MAX_ROWS) {
        let side =
            |text: &Option<String>| text.as_deref().map_or("nothing".to_owned(), |text| visible(text).into_owned());
        let pad = " ".repeat(width - name.width());
        let (old, new) = (side(&place.old), side(&place.new));
        let count = thousands(place.count);
        let _ = writeln!(out, "  {name}{pad}  {count:>6}  line {}: {old} → {new}", place.line);
    }
    if rows.len() > MAX_ROWS {
        let _ = writeln!(out, "  … and {} more", rows.len() - MAX_ROWS);
    }
    out.push('\n');
}

fn as_json(found: &Differences, over: bool) -> String {
    let rows = |places: &std::collections::BTreeMap<String, Difference>, key: &str| -> Vec<Value> {
        let row = |(name, place): (&String, &Difference)| {
            let mut value = json!(place);
            value[key] = json!(name);
            value
        };
        places.iter().map(row).collect()
    };
    let value = json!({
        "ok": !over,
        "events": found.events,
        "changed": found.changed,
        "verdicts": rows(&found.verdicts, "change"),
        "fields": rows(&found.fields, "path"),
        "cpu_seconds": { "old": found.cpu[0].as_secs_f64(), "new": found.cpu[1].as_secs_f64() },
        "cpu_micros_per_event": cost(found).map(|[old, new]| json!({ "old": old, "new": new })),
    });
    format!("{value}\n")
}
