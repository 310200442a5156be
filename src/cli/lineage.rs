//! `sluicegate lineage`: prints the lineage for people and for machines, and checks the rules.

mod graph;
mod openlineage;
mod rules;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::args::{Global, LineageArgs};
use super::config::explore_setup;
use super::diagnostic::Diagnostic;
use super::files::inputs;
use super::program::plain;
use super::run_progress::spinner;
use super::setting_sources::Env;
use super::values::thousands;
use crate::config::{Input, When};
use crate::explore::fuzz::SAMPLES;
use crate::explore::lineage::{Answer, Edge, LineageSetup, Report, path, run};
use crate::tally::exit;
use crate::testing::coverage::{BranchCoverage, Coverage, FileCoverage};
use crate::workers::{self, RunError, Sandbox};
use rules::{Broken, Rules};
use sluicegate_engine::Program;

/// The maximum number of events that are read.
const MAX_EVENTS: usize = 20_000;

/// The number of events of each kind that are studied in detail.
const PER_KIND: usize = 6;

/// The default time limit.
const TIME: Duration = Duration::from_secs(12);

/// The measured lineage of one version.
struct Measured {
    program: Program,
    report: Report,
    coverage: Vec<Covered>,
}

/// The coverage of a file by the events.
struct Covered {
    file: FileCoverage,
    branches: Vec<BranchCoverage>,
}

impl Covered {
    /// Returns the number of branch ways that were taken, and the number of all of them.
    fn ways(&self) -> (usize, usize) {
        self.branches.iter().fold((0, 0), |(taken, ways), one| (taken + one.taken, ways + one.ways))
    }

    /// Returns the lines that contain a branch of which some ways, but not all, were taken.
    fn one_sided(&self) -> Vec<u32> {
        let mut lines: Vec<u32> =
            self.branches.iter().filter(|one| one.taken > 0 && one.taken < one.ways).map(|one| one.line).collect();
        lines.dedup();
        lines
    }
}

/// The data to print.
struct Shown<'a> {
    name: String,
    report: &'a Report,
    /// The selected edges.
    edges: Vec<&'a Edge>,
    coverage: &'a [Covered],
    broken: &'a [Broken],
    /// Added and removed edges, if there is an older version.
    changes: Option<[Vec<&'a Edge>; 2]>,
}

/// Measures the lineage; returns the exit code.
///
/// # Errors
/// When the analysis cannot be run.
pub fn lineage(args: &LineageArgs, global: &Global) -> anyhow::Result<u8> {
    let rules = rules(args)?;
    let answers = answers(args.answers.as_deref())?;
    let events = events(&args.events, args.max_events.unwrap_or(MAX_EVENTS))?;
    let old = match &args.against {
        Some(old) => Some(measure(args, global, old, &answers, events.clone())?),
        None => None,
    };
    let new = measure(args, global, &args.transformation, &answers, events)?;
    let report = &new.report;
    if let (true, Some(failure)) = (report.verdicts[0] + report.verdicts[1] == 0, &report.failure) {
        return Err(Diagnostic::new(format!("every event fails, so there is nothing to follow: {failure}"))
            .help("name a file of events that the transformation is made for")
            .into());
    }
    let broken = rules.broken(report);
    let wanted = |edge: &&Edge| {
        args.from.as_deref().is_none_or(|pattern| path::matches(pattern, &edge.from))
            && args.to.as_deref().is_none_or(|pattern| path::matches(pattern, &edge.to))
    };
    let shown = Shown {
        name: args.transformation.display().to_string(),
        report,
        edges: report.edges.iter().filter(wanted).collect(),
        coverage: &new.coverage,
        broken: &broken,
        changes: old.as_ref().map(|old| [missing_in(report, &old.report), missing_in(&old.report, report)]),
    };
    let text = match () {
        () if args.json => as_json(&shown),
        () if args.svg => graph::svg(&shown),
        () if args.mermaid => graph::mermaid(&shown),
        () if args.openlineage => openlineage::event(&shown, &new.program),
        () => table::text(&shown, args),
    };
    super::print(text.as_bytes())?;
    if broken.is_empty() {
        return Ok(exit::COMPLETE);
    }
    let mut err = io::stderr().lock();
    for rule in &broken {
        let _ = writeln!(err, "{}", rule.message);
    }
    Ok(exit::EVENTS_FAILED)
}

/// Returns the edges of the first report that the second one lacks. Edges of different kinds are different edges.
fn missing_in<'a>(one: &'a Report, other: &Report) -> Vec<&'a Edge> {
    let known: BTreeSet<_> = other.edges.iter().map(|edge| (&edge.from, &edge.to, edge.kind)).collect();
    one.edges.iter().filter(|edge| !known.contains(&(&edge.from, &edge.to, edge.kind))).collect()
}

fn measure(
    args: &LineageArgs,
    global: &Global,
    transformation: &Path,
    answers: &BTreeMap<String, Answer>,
    events: Vec<(u64, Value)>,
) -> anyhow::Result<Measured> {
    let workers = match args.workers.unwrap_or(0) {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let (setup, paths) = explore_setup(global.typed.clone(), global, transformation, workers, Env::here())?;
    let loaded = match workers::check(&setup.program, &setup.options, Sandbox::default()) {
        Err(RunError::Load(error)) => return Err(Diagnostic::from_load_error(&error, &paths).into()),
        loaded => loaded?,
    };
    let program = setup.program.clone();
    let setup = LineageSetup {
        program: setup.program,
        options: setup.options,
        export: loaded.0.export,
        answers: answers.clone(),
        time: args.time.unwrap_or(TIME),
        per_kind: PER_KIND,
        jitless: setup.jitless,
        require_sandbox: setup.require_sandbox,
        workers,
    };
    let bar = spinner(args.progress.unwrap_or(When::Auto), false);
    let report = run(&setup, events, &mut |status| {
        let [studied, kinds] = status.studied;
        bar.set_message(match kinds {
            0 => format!("{} of {} events", thousands(status.events), thousands(status.all)),
            _ => format!("{} events · kind {} of {kinds}", thousands(status.all), studied + 1),
        });
        bar.tick();
    })?;
    bar.finish_and_clear();
    let coverage = coverage(&program, &report, &paths);
    Ok(Measured { program, report, coverage })
}

/// Returns the coverage of the author's lines by the events.
fn coverage(program: &Program, report: &Report, paths: &BTreeMap<String, PathBuf>) -> Vec<Covered> {
    let mut coverage = Coverage::default();
    for script in &report.coverage {
        match script.name.strip_prefix("library ") {
            Some(handle) => {
                if let (Some(path), Some(code)) = (paths.get(handle), program.libraries.get(handle)) {
                    coverage.add(path, code, script);
                }
            }
            None => coverage.add(Path::new(&script.name), &program.code, script),
        }
    }
    let files = coverage.files();
    files.into_iter().map(|file| Covered { branches: coverage.branches(&file.path), file }).collect()
}

/// Reads the events of these files with their line numbers, or the built-in ones.
fn events(files: &[PathBuf], most: usize) -> anyhow::Result<Vec<(u64, Value)>> {
    let mut events = Vec::new();
    let mut take = |from: &mut dyn BufRead| -> io::Result<()> {
        for (number, line) in from.split(b'\n').enumerate() {
            if events.len() >= most {
                break;
            }
            if let Some(event) = serde_json::from_slice::<Value>(&line?).ok().filter(Value::is_object) {
                events.push((number as u64 + 1, event));
            }
        }
        Ok(())
    };
    if files.is_empty() {
        take(&mut SAMPLES.as_bytes())?;
    } else {
        for input in inputs(files)? {
            match input {
                Input::Stdin => take(&mut io::stdin().lock())?,
                Input::File(path) => take(&mut BufReader::with_capacity(1 << 16, File::open(path)?))?,
            }
        }
    }
    if events.is_empty() {
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        return Err(Diagnostic::new(format!("there is no event in {}", names.join(", ")))
            .help("write one JSON object a line, or leave the file out: there are events built in")
            .into());
    }
    Ok(events)
}

fn rules(args: &LineageArgs) -> anyhow::Result<Rules> {
    let beside = args.transformation.with_file_name("lineage.toml");
    let path = match &args.rules {
        Some(path) => path.clone(),
        None if beside.is_file() => beside,
        None => return Ok(Rules::default()),
    };
    Ok(Rules::parse(&read(&path, "the rules")?, &path)?)
}

fn answers(path: Option<&Path>) -> anyhow::Result<BTreeMap<String, Answer>> {
    let Some(path) = path else { return Ok(BTreeMap::new()) };
    serde_json::from_str(&read(path, "the answers")?).map_err(|error| {
        Diagnostic::new(format!("cannot read the answers {}: {error}", path.display()))
            .help("it is an object by URL: {\"https://…\": {\"status\": 200, \"headers\": {}, \"body\": {}}}")
            .into()
    })
}

fn read(path: &Path, what: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Diagnostic::new(format!("cannot read {what} {}: {}", path.display(), plain(&error)))
            .help("a relative path starts in the current folder")
            .into()
    })
}

fn as_json(shown: &Shown<'_>) -> String {
    let report = shown.report;
    let [ok, dropped, failed] = report.verdicts;
    let coverage: Vec<Value> = shown
        .coverage
        .iter()
        .map(|one| {
            let (covered, lines) = one.file.line_counts();
            let (taken, ways) = one.ways();
            json!({
                "file": one.file.path, "lines": lines, "covered": covered, "missing": one.file.uncovered(),
                "partly": one.file.partly, "branches": ways, "taken": taken, "one_sided": one.one_sided(),
            })
        })
        .collect();
    let changes = shown.changes.as_ref().map(|[came, went]| json!({ "came": came, "went": went }));
    let broken: Vec<&str> = shown.broken.iter().map(|rule| rule.message.as_str()).collect();
    let value = json!({
        "ok": shown.broken.is_empty(),
        "transformation": shown.name,
        "events": { "all": report.events, "ok": ok, "dropped": dropped, "failed": failed, "first_failure": report.failure },
        "studied": { "events": report.studied, "kinds": report.kinds[0], "kinds_studied": report.kinds[1], "runs": report.runs },
        "edges": shown.edges,
        "decides": report.decides,
        "reads": report.reads,
        "came": report.came,
        "never_read": report.unread(),
        "unexplained": report.unexplained,
        "untested": report.untested,
        "changes_by_itself": report.unstable,
        "stateful": report.stateful,
        "unanswered": report.unanswered,
        "personal": report.hints,
        "broken": broken,
        "changes": changes,
        "coverage": coverage,
    });
    format!("{value}\n")
}
