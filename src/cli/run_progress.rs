//! The view of a run on a terminal: a progress line that vanishes at the end, the first
//! failure at each place in the code when it occurs, and a table of all failures.

use std::io::IsTerminal;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::config::RunConfig;
use super::diagnostic::{Diagnostic, visible};
use super::report::{read_message, warn};
use super::values::thousands;
use crate::config::{LogFormat, Target, When};
use crate::wire::input::{self, Format, Open, Source};
use crate::wire::stderr;
use crate::workers::{FailureGroup, Summary};

/// The maximum number of failures shown during the run; the table has all of them.
const MAX_SHOWN: usize = 8;

/// Returns whether failures are shown as they occur. That needs standard error to be a terminal.
pub(super) fn shows_progress(config: &RunConfig) -> bool {
    std::io::stderr().is_terminal()
        && !config.quiet
        && !config.stats_json
        && config.message_style.format == LogFormat::Text
        && config.errors != Target::Stderr
}

/// The display of a run.
pub(super) struct RunProgress<'a> {
    config: &'a RunConfig,
    bar: ProgressBar,
    /// The size of all inputs in bytes, if known.
    bytes: Option<u64>,
    started: Instant,
    shown: usize,
    has_warned: bool,
}

impl<'a> RunProgress<'a> {
    pub(super) fn new(config: &'a RunConfig, inputs: &[Open]) -> Self {
        // The progress line and other lines on the same terminal, such as the output, would garble each other.
        let apart = config.output.is_some() || !std::io::stdout().is_terminal();
        let alone = apart && config.errors != Target::Stderr && config.logs != Some(Target::Stderr);
        let progress = if config.progress == When::Auto && !alone { When::Never } else { config.progress };
        let bytes = inputs.iter().map(len).sum();
        Self {
            config,
            bar: spinner(progress, config.quiet),
            bytes,
            started: Instant::now(),
            shown: 0,
            has_warned: false,
        }
    }

    /// Updates the view. Called several times a second.
    pub(super) fn tick(&mut self, summary: &Summary) {
        self.show_failures(summary);
        self.bar.set_message(progress(summary, self.bytes, self.started.elapsed()));
        self.bar.tick();
    }

    /// Removes the progress line and prints the table.
    pub(super) fn end(mut self, summary: &Summary) {
        self.bar.finish_and_clear();
        self.show_failures(summary);
        stderr::say(table(summary).as_bytes());
    }

    /// Warns once that the code has read an unsafe integer. Prints nothing if a host reads standard error as answers.
    fn show_read(&mut self, summary: &Summary) {
        let Some(at) = summary.unsafe_read.as_ref().filter(|_| !self.has_warned && self.config.tells_reads) else {
            return;
        };
        self.has_warned = true;
        let message = format!("{}: {}", input_and_line(at.input.as_deref(), at.line), read_message(&at.read));
        self.bar.suspend(|| warn(&message, self.config.message_style.format));
    }

    fn show_failures(&mut self, summary: &Summary) {
        self.show_read(summary);
        let groups = &summary.failure_groups.groups;
        for group in groups.iter().take(MAX_SHOWN).skip(self.shown) {
            let diagnostic = Diagnostic::from_failure(&group.failure, &self.config.program, &self.config.library_paths)
                .help(help(group));
            self.bar.suspend(|| self.config.message_style.error(&diagnostic.into()));
        }
        self.shown = self.shown.max(groups.len().min(MAX_SHOWN));
    }
}

/// Returns the event's position in the input, and the help for its failure if there is any.
fn help(group: &FailureGroup) -> String {
    let event = format!("the event is {}", input_of(group));
    match &group.failure.help {
        Some(help) => format!("{event}; {help}"),
        None => event,
    }
}

/// Returns the position of an event, in the form that editors open.
fn input_of(group: &FailureGroup) -> String {
    input_and_line(group.input.as_deref(), group.line)
}

fn input_and_line(input: Option<&str>, line: u64) -> String {
    match input {
        Some(input) => format!("{input}:{line}"),
        None => format!("line {line} of standard input"),
    }
}

/// Returns a table of the failures by kind and place; empty if fewer than two events failed.
fn table(summary: &Summary) -> String {
    let groups = &summary.failure_groups.groups;
    if groups.iter().map(|group| group.count).sum::<u64>() < 2 {
        return String::new();
    }
    let mut rows = vec![["events", "failed as", "in the code", "the first"].map(str::to_owned)];
    rows.extend(groups.iter().map(|group| {
        let code = group.failure.position.as_ref().map(|at| format!("{}:{}:{}", at.file, at.line, at.column));
        [
            thousands(group.count),
            group.failure.kind.to_string(),
            code.unwrap_or_else(|| "–".to_owned()),
            input_of(group),
        ]
    }));
    if summary.failure_groups.others > 0 {
        let [kind, code, first] = ["", "in other places", ""].map(str::to_owned);
        rows.push([thousands(summary.failure_groups.others), kind, code, first]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [count, kind, code] = [0, 1, 2].map(width);
    rows.iter()
        .map(|row| {
            let line = format!("  {:>count$}  {:<kind$}  {:<code$}  {}", row[0], row[1], row[2], row[3]);
            format!("{}\n", visible(line.trim_end()))
        })
        .collect()
}

/// Returns the text of the progress line. Lines without a verdict do not count yet.
fn progress(summary: &Summary, bytes: Option<u64>, elapsed: Duration) -> String {
    let tally = &summary.tally;
    let seconds = elapsed.as_secs_f64().max(1e-3);
    let done = tally.ok + tally.dropped + tally.failures();
    let mut text = String::new();
    if let Some(bytes) = bytes.filter(|bytes| *bytes > 0) {
        let share = (summary.bytes_in as f64 / bytes as f64).min(1.0);
        text.push_str(&format!("{:.0} %", share * 100.0));
        if share > 0.01 && seconds > 1.0 {
            let left = Duration::from_secs((seconds * (1.0 - share) / share).ceil() as u64);
            text.push_str(&format!(", {} left", humantime::format_duration(left)));
        }
        text.push_str(" · ");
    }
    text.push_str(&format!("{} events · {} events/s", thousands(done), thousands((done as f64 / seconds) as u64)));
    if tally.failures() > 0 {
        text.push_str(&format!(" · {} failed", thousands(tally.failures())));
    }
    text
}

/// Returns the size of an input in bytes; `None` unless it is an uncompressed regular file.
fn len(input: &Open) -> Option<u64> {
    let opened;
    let file = match &input.source {
        Source::File(file) => file,
        Source::Path(path) => {
            opened = std::fs::File::open(path).ok()?;
            &opened
        }
    };
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let mut head = [0; 4];
    let read = file.read_at(&mut head, 0).ok()?;
    let packed = input::check_head(&head[..read], Format { decompress: true, ..Format::default() }, "").ok()?;
    packed.is_none().then_some(metadata.len())
}

/// Returns a spinner on standard error, hidden unless progress is wanted.
pub(super) fn spinner(when: When, quiet: bool) -> ProgressBar {
    let wanted = match when {
        When::Always => true,
        When::Never => false,
        When::Auto => !quiet && std::io::stderr().is_terminal(),
    };
    if !wanted {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    // The message is as wide as the terminal.
    bar.set_style(ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}").expect("the template is fixed"));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;
    use sluicegate_engine::verdict::{Failure, FailureKind, Position};

    #[test]
    fn progress_tells_how_much_is_left_of_files() {
        let tally = Tally { lines_in: 5000, ok: 3999, ..Tally::default() };
        let mut summary = Summary { tally, bytes_in: 250, ..Summary::default() };
        summary.tally.fail(FailureKind::Exception);
        let text = |bytes| progress(&summary, bytes, Duration::from_secs(10));
        assert_eq!(text(Some(1000)), "25 %, 30s left · 4 000 events · 400 events/s · 1 failed");
        assert_eq!(text(None), "4 000 events · 400 events/s · 1 failed");
    }

    #[test]
    fn failures_are_counted_by_group() {
        let mut summary = Summary::default();
        let mut failure = Failure::new(FailureKind::Exception, "boom");
        failure.position = Some(Position { file: "t.js".into(), line: 3, column: 9 });
        let mut add = |failure: &Failure, line| {
            let input = (line < 100).then(|| "in.jsonl".to_owned());
            let group = FailureGroup { count: line, failure: failure.clone(), input, line };
            summary.failure_groups.groups.push(group);
        };
        add(&failure, 12);
        add(&Failure::new(FailureKind::InvalidJson, "no"), 1200);
        assert_eq!(
            table(&summary),
            "  events  failed as     in the code  the first\n      12  exception     t.js:3:9     in.jsonl:12\n   1 200  invalid_json  –            line 1200 of standard input\n"
        );
        summary.failure_groups.groups.truncate(1);
        summary.failure_groups.groups[0].count = 1;
        assert_eq!(table(&summary), "");
    }
}
