//! `sluicegate replay`: runs dead letters again.
//!
//! A single record is for finding the cause: its event runs alone, everything is measured, all log lines are
//! kept, and the result is a report. A complete file is for code that was fixed: it is an ordinary run over
//! the events of the dead letters, and an event that fails again keeps its position in the first input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::args::{Global, ReplayArgs};
use super::config::{self, RunConfig};
use super::diagnostic::{Diagnostic, visible};
use super::program::plain;
use super::report::MessageStyle;
use super::setting_sources::Env;
use super::{print, run};
use crate::config::{Emit, Input, LineFormat, OnError, Target, VerdictDetail};
use crate::tally::exit;
use crate::wire::dead_letter::{self, Letter};
use crate::wire::input::Open;
use crate::workers::{self, Cost, RunError};
use sluicegate_engine::LogLine;
use sluicegate_engine::verdict::Failure;

type Result<T> = std::result::Result<T, Diagnostic>;

/// Runs dead letters again; returns the exit code.
///
/// # Errors
/// When the record does not exist, or the run fails.
pub fn replay(args: &ReplayArgs, global: &Global, message_style: &mut MessageStyle) -> anyhow::Result<u8> {
    let env = Env::here();
    let resolve = |letters: &mut Letters| -> anyhow::Result<RunConfig> {
        let first = letters.next()?.ok_or_else(|| {
            Diagnostic::new(format!("{} holds no dead letters", letters.name)).help("`run --errors FILE` writes them")
        })?;
        let transformation = transformation(args, &first, letters)?;
        let mut config = config::run(&args.as_run(transformation), global, env)?;
        if first.line != LineFormat::Event {
            config.line = first.line.clone();
        }
        letters.first = Some(first);
        Ok(config)
    };
    match (&args.all, &args.record) {
        (Some(file), _) => {
            let mut letters = Letters::open(file)?;
            let mut config = resolve(&mut letters)?;
            config.inputs = letters.input.clone().into_iter().collect();
            config::refuse_overwriting_letters(&config)?;
            *message_style = config.message_style;
            all(&config, letters, args.transformation.is_none())
        }
        (None, Some(record)) => {
            let (file, line) = place(record);
            let mut letters = Letters::open(&file)?;
            letters.skip_to(line)?;
            let config = resolve(&mut letters)?;
            *message_style = config.message_style;
            one(config, letters, line.is_some(), args.json)
        }
        (None, None) => Err(Diagnostic::new("no record is named").help("name one as FILE:LINE").into()),
    }
}

/// Splits `FILE:LINE`, unless a file of that name exists.
fn place(record: &Path) -> (PathBuf, Option<u64>) {
    let split = record.to_str().and_then(|text| text.rsplit_once(':'));
    match split.and_then(|(file, line)| Some((file, line.parse().ok().filter(|line| *line > 0)?))) {
        Some((file, line)) if !record.exists() => (file.into(), Some(line)),
        _ => (record.to_owned(), None),
    }
}

/// A file of dead letters.
struct Letters {
    /// Its name in messages.
    name: String,
    input: Option<Input>,
    lines: BufReader<Box<dyn Read>>,
    line: u64,
    /// The letter that was read to find the transformation; it is returned first.
    first: Option<Letter>,
}

impl Letters {
    fn open(path: &Path) -> Result<Self> {
        if path.as_os_str() == "-" {
            let lines: Box<dyn Read> = Box::new(io::stdin());
            let name = "standard input".to_owned();
            return Ok(Self { name, input: Some(Input::Stdin), lines: BufReader::new(lines), line: 0, first: None });
        }
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
            true => Err(io::ErrorKind::IsADirectory.into()),
            false => Ok(file),
        });
        match opened {
            Ok(file) => Ok(Self {
                name,
                input: Some(Input::File(path.to_owned())),
                lines: BufReader::new(Box::new(file)),
                line: 0,
                first: None,
            }),
            Err(error) => {
                let reason = match error.kind() {
                    io::ErrorKind::NotFound => "there is no such file".to_owned(),
                    io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
                    _ => plain(&error),
                };
                Err(Diagnostic::new(format!("cannot read the dead letters {name}: {reason}"))
                    .help("name what `run --errors FILE` wrote, and a line of it as FILE:LINE"))
            }
        }
    }

    /// Returns the next line that is not blank; `None` at the end.
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let mut line = Vec::new();
            let n = self.lines.read_until(b'\n', &mut line).map_err(|error| {
                Diagnostic::new(format!("cannot read the dead letters {}: {}", self.name, plain(&error)))
            })?;
            if n == 0 {
                return Ok(None);
            }
            self.line += 1;
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    /// Returns the next dead letter; `None` at the end.
    fn next(&mut self) -> Result<Option<Letter>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let Some(line) = self.line()? else { return Ok(None) };
        dead_letter::read(&line).map(Some).map_err(|reason| {
            Diagnostic::new(format!("{}:{} is not a dead letter: {reason}", self.name, self.line))
                .help("replay takes what `run --errors FILE` wrote")
        })
    }

    fn skip_to(&mut self, line: Option<u64>) -> Result<()> {
        let Some(wanted) = line else { return Ok(()) };
        while self.line + 1 < wanted {
            let before = self.line;
            let mut skipped = Vec::new();
            let n = self.lines.read_until(b'\n', &mut skipped).unwrap_or(0);
            if n == 0 {
                return Err(Diagnostic::new(format!("{} has no line {wanted}, it ends after {before}", self.name)));
            }
            self.line += 1;
        }
        Ok(())
    }
}

/// Returns the transformation's file, from the arguments or from the record.
fn transformation(args: &ReplayArgs, letter: &Letter, letters: &Letters) -> Result<PathBuf> {
    if let Some(path) = &args.transformation {
        return Ok(path.clone());
    }
    let place = format!("{}:{}", letters.name, letters.line);
    let Some(path) = letter.transformation.as_deref().map(PathBuf::from) else {
        return Err(Diagnostic::new(format!("{place} does not say which transformation it failed in"))
            .help("name it with --transformation"));
    };
    if path.exists() {
        return Ok(path);
    }
    Err(Diagnostic::new(format!("{place} failed in {}, and there is no such file", path.display()))
        .help("start this in the folder of that run, or name the file with --transformation"))
}

/// Describes the format of a line in words.
fn what(line: &LineFormat) -> String {
    match line {
        LineFormat::Event => "an event".to_owned(),
        LineFormat::Envelope => "an envelope".to_owned(),
        LineFormat::Field(name) => format!("a row with the event in {name:?}"),
    }
}

/// Runs the events of all letters.
fn all(config: &RunConfig, mut letters: Letters, by_name: bool) -> anyhow::Result<u8> {
    let hash = config.program.code_hash();
    let mut lines = BufWriter::new(tempfile::tempfile()?);
    let mut origins = Vec::new();
    let mut changed = 0;
    while let Some(letter) = letters.next()? {
        let place = || format!("{}:{}", letters.name, letters.line);
        if letter.line != config.line {
            let (this, others) = (what(&letter.line), what(&config.line));
            return Err(Diagnostic::new(format!("{} is {this}, and the run reads {others}", place()))
                .help("split the file, and run each kind alone")
                .into());
        }
        let named = config.transformation.display().to_string();
        if by_name && letter.transformation.as_ref() != Some(&named) {
            let other = letter.transformation.as_deref().unwrap_or("a transformation that it does not name");
            let message = format!("{} failed in {other}, and the letters before it in {named}", place());
            let help = "name the transformation for all of them with --transformation, or split the file";
            return Err(Diagnostic::new(message).help(help).into());
        }
        changed += u64::from(letter.code != hash);
        lines.write_all(&letter.event)?;
        lines.write_all(b"\n")?;
        origins.push(letter.origin);
    }
    let mut file = lines.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    if !config.quiet && changed > 0 {
        let count = origins.len();
        let text = format!("note: the code has changed since {changed} of these {count} events failed\n");
        // If standard error is closed, the run goes on.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
    let job = workers::Job { origins: Some(origins.into()), ..run::job(config)? };
    run::over(config, job, vec![Open::lines(letters.name, file)])
}

/// The result of one event.
struct ReplayResult<'a> {
    letter: &'a Letter,
    same_code: bool,
    verdict: &'a str,
    failure: Option<Failure>,
    events: Vec<&'a RawValue>,
    logs: Vec<LogLine>,
    cost: Option<Cost>,
    crashed: bool,
}

/// A line that the worker writes to the logs.
#[derive(Deserialize)]
#[serde(untagged)]
enum Logged {
    Line(LogLine),
    Cost(Cost),
}

#[derive(Deserialize)]
struct ReplayAnswer<'a> {
    verdict: String,
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
}

/// Runs one event alone.
fn one(config: RunConfig, mut letters: Letters, chosen: bool, as_json: bool) -> anyhow::Result<u8> {
    let letter = letters.next()?.expect("it was read before");
    if !chosen && letters.line()?.is_some() {
        let message = format!("{} holds more than one dead letter", letters.name);
        let help = format!("name one as {0}:1, or run all of them with --all {0}", letters.name);
        return Err(Diagnostic::new(message).help(help).into());
    }
    let logs = tempfile::NamedTempFile::new()?;
    let mut job = run::job(&config)?;
    job.options.logs = true;
    job.logs = Some(Target::File(logs.path().to_owned()));
    job.workers = 1;
    job.output = None;
    job.emit = Emit::Verdicts;
    job.verdict_detail = VerdictDetail::Short;
    job.on_error = OnError::DeadLetter;
    job.errors = Target::Nowhere;
    job.measure = true;
    let mut file = tempfile::tempfile()?;
    file.write_all(&letter.event)?;
    file.write_all(b"\n")?;
    file.rewind()?;
    let (answer, result, deaths) = captured(|| {
        let (summary, result) = workers::run(job, vec![Open::lines(letters.name.clone(), file)], &mut |_| {});
        (result, summary.deaths)
    })?;
    match result {
        Err(RunError::Load(error)) => {
            return Err(Diagnostic::from_load_error(&error, &config.library_paths).into());
        }
        other => other?,
    }
    let text = std::str::from_utf8(&answer)?;
    let parsed: ReplayAnswer<'_> = serde_json::from_str(text)?;
    let mut outcome = ReplayResult {
        letter: &letter,
        same_code: letter.code == config.program.code_hash(),
        verdict: &parsed.verdict,
        failure: serde_json::from_str(text).ok(),
        events: parsed.events,
        logs: Vec::new(),
        cost: None,
        crashed: deaths > 0,
    };
    for line in std::fs::read_to_string(logs.path())?.lines() {
        match serde_json::from_str(line) {
            Ok(Logged::Line(line)) => outcome.logs.push(line),
            Ok(Logged::Cost(cost)) => outcome.cost = Some(cost),
            Err(_) => {}
        }
    }
    let text = if as_json { format!("{}\n", outcome.json()) } else { outcome.text(&config) };
    print(text.as_bytes())?;
    Ok(if parsed.verdict == "failed" { exit::EVENTS_FAILED } else { exit::COMPLETE })
}

/// Runs `work` and returns what it wrote to standard output.
fn captured<T, U>(work: impl FnOnce() -> (T, U)) -> io::Result<(Vec<u8>, T, U)> {
    let mut memory = File::from(memfd_create("sluicegate-replay", MemfdFlags::CLOEXEC)?);
    let stdout = rustix::io::dup(rustix::stdio::stdout())?;
    rustix::stdio::dup2_stdout(&memory)?;
    let (one, other) = work();
    rustix::stdio::dup2_stdout(&stdout)?;
    let mut text = Vec::new();
    memory.rewind()?;
    memory.read_to_end(&mut text)?;
    Ok((text, one, other))
}

impl ReplayResult<'_> {
    fn heap(&self) -> Option<u64> {
        self.cost.map(|cost| cost.heap).filter(|heap| *heap > 0)
    }

    fn json(&self) -> Value {
        json!({
            "input_file": self.letter.origin.file,
            "input_line": self.letter.origin.line,
            "input_offset": self.letter.origin.offset,
            "verdict": self.verdict,
            "failure": self.failure,
            "events": self.events,
            "cpu_seconds": self.cost.map(|cost| cost.cpu as f64 / 1e9),
            "heap_bytes": self.heap(),
            "worker_died": self.crashed,
            "logs": self.logs,
            "before": self.letter.failure,
            "same_code": self.same_code,
        })
    }

    fn text(&self, config: &RunConfig) -> String {
        let mut out = String::new();
        let mut row = |name: &str, value: &str| {
            for (index, line) in value.lines().enumerate() {
                out.push_str(&format!("{:<9}{}\n", if index == 0 { name } else { "" }, visible(line)));
            }
        };
        let origin = &self.letter.origin;
        let file = origin.file.as_deref().unwrap_or("standard input");
        row("event", &format!("line {} of {file}, at byte {}", origin.line, origin.offset));
        row("before", &format!("failed {}: {}", self.letter.failure.kind, self.letter.failure.message));
        row("code", if self.same_code { "the same as then" } else { "has changed since" });
        match &self.failure {
            Some(failure) => row("verdict", &format!("{} {}", self.verdict, failure.kind)),
            None => row("verdict", self.verdict),
        }
        match self.cost {
            Some(cost) => row("time", &format!("{:.2} ms of CPU", cost.cpu as f64 / 1e6)),
            None => row("time", "not known: its worker process died"),
        }
        match self.heap() {
            Some(heap) => row("heap", &format!("{:.1} MiB in use afterwards", heap as f64 / f64::from(1 << 20))),
            None if self.crashed => row("heap", "not known: its worker process died"),
            None => row("heap", "not known: its isolate was thrown away"),
        }
        for log in &self.logs {
            row("log", &format!("{} {}", log.level, log.message));
        }
        for event in &self.events {
            row("out", event.get());
        }
        if let Some(failure) = &self.failure {
            let diagnostic = Diagnostic::from_failure(failure, &config.program, &config.library_paths);
            out.push_str(&diagnostic.render(false));
        }
        out
    }
}
