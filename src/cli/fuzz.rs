//! `sluicegate fuzz`: prints the faults for people and for machines, and saves them as tests that fail until the code
//! is fixed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::args::{FuzzArgs, Global};
use super::config::explore_setup;
use super::diagnostic::{Diagnostic, visible};
use super::files::inputs;
use super::program::{module_stem, plain};
use super::report::MessageStyle;
use super::run_progress::spinner;
use super::setting_sources::Env;
use super::values::thousands;
use crate::config::Input;
use crate::explore::fuzz::{Fault, FaultKind, FuzzReport, Plan, SAMPLES, fuzz as run};
use crate::tally::exit;
use crate::workers::{self, RunError, Sandbox};

/// The maximum number of events of a file that are used as samples.
const MAX_SAMPLES: usize = 1000;

/// The maximum number of characters of an event that are shown.
const MAX_SHOWN: usize = 400;

/// Fuzzes a transformation; returns the exit code.
///
/// # Errors
/// When the search cannot be run.
pub fn fuzz(args: &FuzzArgs, global: &Global, message_style: MessageStyle) -> anyhow::Result<u8> {
    let workers = match args.workers.unwrap_or(0) {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let (setup, paths) = explore_setup(global.typed.clone(), global, &args.transformation, workers, Env::here())?;
    let samples = samples(args.events.as_deref())?;
    match workers::check(&setup.program, &setup.options, Sandbox::default()) {
        Err(RunError::Load(error)) => return Err(Diagnostic::from_load_error(&error, &paths).into()),
        loaded => loaded?,
    };
    let seed = args.seed.unwrap_or(1);
    let plan = Plan {
        setup,
        samples,
        seed,
        runs: args.runs.unwrap_or(10_000),
        time: args.time.unwrap_or(Duration::from_secs(60)),
    };
    let bar = spinner(args.progress.unwrap_or_default(), false);
    let outcome = run(&plan, &mut |events, faults| {
        bar.set_message(format!("{} events · {}", thousands(events), count(faults)));
        bar.tick();
    })?;
    bar.finish_and_clear();
    let saved = match &args.save {
        Some(dir) => save(dir, args, &plan, &outcome.faults)?,
        None => Vec::new(),
    };
    let text = if args.json {
        as_json(seed, &outcome, &saved)
    } else {
        as_text(args, &plan, &outcome, &saved, &paths, message_style)
    };
    super::print(text.as_bytes())?;
    Ok(if outcome.faults.is_empty() { exit::COMPLETE } else { exit::EVENTS_FAILED })
}

fn samples(path: Option<&Path>) -> anyhow::Result<Vec<Value>> {
    use std::io::BufRead;
    let from: Box<dyn BufRead> = match path {
        None => Box::new(SAMPLES.as_bytes()),
        Some(path) => match inputs(&[path.to_owned()])?.swap_remove(0) {
            Input::Stdin => Box::new(std::io::stdin().lock()),
            Input::File(path) => Box::new(std::io::BufReader::new(fs::File::open(path)?)),
        },
    };
    let lines = from.lines().map_while(Result::ok);
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok()).filter(Value::is_object);
    let events: Vec<Value> = events.take(MAX_SAMPLES).collect();
    if events.is_empty() {
        let path = path.unwrap_or(Path::new("-"));
        return Err(Diagnostic::new(format!("there is no event in {}", path.display()))
            .help("write one JSON object a line, or leave the file out: there are events built in")
            .into());
    }
    Ok(events)
}

fn count(faults: usize) -> String {
    match faults {
        0 => "no fault".to_owned(),
        1 => "1 fault".to_owned(),
        _ => format!("{faults} faults"),
    }
}

fn as_text(
    args: &FuzzArgs,
    plan: &Plan,
    outcome: &FuzzReport,
    saved: &[PathBuf],
    libraries: &std::collections::BTreeMap<String, PathBuf>,
    message_style: MessageStyle,
) -> String {
    let mut out = String::new();
    for (index, fault) in outcome.faults.iter().enumerate() {
        match &fault.kind {
            FaultKind::Failed(failure) => {
                let diagnostic = Diagnostic::from_failure(failure, &plan.setup.program, libraries);
                let text = diagnostic.render(message_style.colored());
                out.push_str(text.split_once(": ").map_or(&*text, |(_, text)| text));
            }
            FaultKind::Invalid { path, message } => {
                let _ = writeln!(out, "invalid: {} ({})", message, visible(path));
            }
        }
        let shown: String = fault.event.chars().take(MAX_SHOWN).collect();
        let more = fault.event.chars().count() - shown.chars().count();
        let more = if more > 0 { format!("… {more} more characters") } else { String::new() };
        let _ = writeln!(out, "  smallest event: {}{more}", visible(&shown));
        let times = if fault.count == 1 { "once".to_owned() } else { format!("{} times", fault.count) };
        let alone = if fault.alone { "" } else { ", and only after other events" };
        let _ = writeln!(out, "  seen {times}{alone}");
        if let Some(path) = saved.get(index) {
            let _ = writeln!(out, "  saved as {}", path.display());
        }
        out.push('\n');
    }
    let _ = writeln!(
        out,
        "{} in {} events of seed {} · {:.1} s",
        count(outcome.faults.len()),
        thousands(outcome.events),
        plan.seed,
        outcome.elapsed.as_secs_f64()
    );
    if outcome.faults.len() > saved.len() && args.save.is_none() {
        let _ = writeln!(out, "--save DIR writes each as a test that fails until it is mended");
    }
    out
}

fn as_json(seed: u64, outcome: &FuzzReport, saved: &[PathBuf]) -> String {
    let faults: Vec<Value> = outcome
        .faults
        .iter()
        .enumerate()
        .map(|(index, fault)| {
            let mut value = match &fault.kind {
                FaultKind::Failed(failure) => json!(failure),
                FaultKind::Invalid { path, message } => json!({ "kind": "invalid", "path": path, "message": message }),
            };
            // As text, because some programs cannot read every event that JSON can express.
            value["event"] = json!(fault.event);
            value["count"] = json!(fault.count);
            value["alone"] = json!(fault.alone);
            if let Some(path) = saved.get(index) {
                value["saved"] = json!(path);
            }
            value
        })
        .collect();
    let seconds = outcome.elapsed.as_secs_f64();
    format!("{}\n", json!({ "seed": seed, "events": outcome.events, "seconds": seconds, "faults": faults }))
}

/// Writes each fault as a failing case; returns the files.
fn save(dir: &Path, args: &FuzzArgs, plan: &Plan, faults: &[Fault]) -> Result<Vec<PathBuf>, Diagnostic> {
    let cannot = |what: &Path, error: &std::io::Error| {
        Diagnostic::new(format!("cannot write {}: {}", what.display(), plain(error)))
            .help("name a folder that can be written to, or leave --save out")
    };
    fs::create_dir_all(dir).map_err(|error| cannot(dir, &error))?;
    let stem = module_stem(&args.transformation).unwrap_or_else(|| "fault".to_owned());
    let mut saved = Vec::new();
    for (index, fault) in faults.iter().enumerate() {
        let path = dir.join(format!("{stem}.fuzz-{}.case.json", index + 1));
        let (name, expect) = match &fault.kind {
            FaultKind::Failed(failure) => {
                (format!("does not fail: {}: {}", failure.kind, failure.message), json!("ok"))
            }
            // Only the author knows the right output.
            FaultKind::Invalid { path, message } => {
                (format!("{path}: {message}; write down what should go out"), json!({ "events": [] }))
            }
        };
        let mut case = format!("{{\n  \"name\": {},\n", json!(name));
        if let Some(place) = relative(dir, &args.transformation) {
            let _ = writeln!(case, "  \"transformation\": {},", json!(place));
        }
        if let Some(metadata) = plan.setup.program.metadata.as_deref()
            && serde_json::from_str::<&RawValue>(metadata).is_ok()
        {
            let _ = writeln!(case, "  \"metadata\": {},", metadata.trim());
        }
        let _ = writeln!(case, "  \"event\": {},\n  \"expect\": {expect}\n}}", fault.event);
        fs::write(&path, case).map_err(|error| cannot(&path, &error))?;
        saved.push(path);
    }
    Ok(saved)
}

/// Returns the transformation's path for a case in `dir`; `None` if the case's own name is enough.
fn relative(dir: &Path, transformation: &Path) -> Option<String> {
    let (dir, file) = (dir.canonicalize().ok()?, transformation.canonicalize().ok()?);
    let folder = file.parent()?;
    if folder == dir {
        return None;
    }
    let common = dir.components().zip(folder.components()).take_while(|(one, other)| one == other).count();
    let up = dir.components().skip(common).map(|_| "..".to_owned());
    let down = file.components().skip(common).map(|part| part.as_os_str().to_string_lossy().into_owned());
    Some(up.chain(down).collect::<Vec<_>>().join("/"))
}
