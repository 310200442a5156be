//! Test results for people: a line per file, and for each failure its name, the line of
//! the assertion with a caret, the differences, the logs, and the author's stack frames.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use sluicegate_engine::ModuleId;

use super::diagnostic::{Diagnostic, SourceLocation, visible};
use super::report::{MessageStyle, read_message};
use crate::config::When;
use crate::testing::frames::{author_frames, first_place};
use crate::testing::report::{difference_lines, headline};
use crate::testing::{FileResult, Status, TestError, TestResult, Totals};
use sluicegate_engine::verdict::Position;

/// The maximum number of lines shown of a value, the logs or the frames.
const MAX_LINES: usize = 30;

/// The reporter for people.
pub(super) struct Pretty {
    color: bool,
}

impl Pretty {
    pub(super) fn new(message_style: MessageStyle) -> Self {
        use std::io::IsTerminal;
        // Results go to standard output, so standard output must be a terminal too.
        let color = match message_style.color {
            When::Auto => message_style.colored() && std::io::stdout().is_terminal(),
            _ => message_style.colored(),
        };
        Self { color }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Renders the results of one unit.
    pub(super) fn file(&self, file: &FileResult) -> String {
        let mut totals = Totals::default();
        totals.add(file);
        if file.tests.is_empty() && file.load_error.is_none() {
            return String::new();
        }
        let (sign, code) = match (totals.good(), totals.passed) {
            (false, _) => ("✗", "31"),
            // No test ran.
            (true, 0) => ("-", "33"),
            (true, _) => ("✓", "32"),
        };
        let millis = file.tests.iter().fold(0.0, |sum, test| sum + test.millis);
        let mut out = format!("{} {} ({}", self.paint(code, sign), visible(&file.file), count(&totals));
        out.push_str(&format!(", {millis:.0} ms)\n"));
        if let Some(error) = &file.load_error {
            out.push_str(&indent(&Diagnostic::from_load_error(error, &file.libraries).render(self.color)));
        }
        for test in &file.tests {
            // Skipped tests without a reason are only counted, above.
            if let (Status::Skipped, Some(reason)) = (test.status, &test.reason) {
                out.push_str(&format!("  {} {}: {}\n", self.paint("33", "-"), visible(&test.name), visible(reason)));
            }
        }
        for test in &file.tests {
            if let Some(read) = &test.unsafe_read {
                let warning = format!("{}: {}", test.name, read_message(read));
                out.push_str(&format!("  {}: {}\n", self.paint("1;33", "warning"), visible(&warning)));
            }
        }
        for test in file.tests.iter().filter(|test| test.status == Status::Failed) {
            out.push('\n');
            out.push_str(&self.failure(file, test, &file.libraries));
        }
        out
    }

    fn failure(&self, file: &FileResult, test: &TestResult, libraries: &BTreeMap<String, PathBuf>) -> String {
        // A case has a file of its own.
        let of = test.file.as_ref().map(|name| format!(" ({})", visible(name))).unwrap_or_default();
        let mut out = format!("  {} {}{of}\n", self.paint("1;31", "✗"), self.paint("1", &visible(&test.name)));
        for (index, error) in test.error.iter().chain(&test.others).enumerate() {
            if index > 0 {
                out.push('\n');
            }
            let own = error.stack.as_deref().and_then(first_place);
            let at = if index == 0 { test.position.clone() } else { own };
            self.error(file, error, at.filter(|_| test.file.is_none()), libraries, &mut out);
        }
        if !test.logs.is_empty() {
            out.push_str("\n    logs:\n");
            for line in test.logs.iter().take(MAX_LINES) {
                out.push_str(&format!("      {}: {}\n", line.level, visible(&line.message).replace('\n', "\n      ")));
            }
            if test.logs.len() > MAX_LINES {
                out.push_str(&format!("      … and {} more\n", test.logs.len() - MAX_LINES));
            }
        }
        let frames: Vec<&str> =
            test.error.iter().filter_map(|error| error.stack.as_deref()).flat_map(author_frames).collect();
        // A single frame would repeat the place above.
        if frames.len() > 1 {
            out.push('\n');
            for frame in frames.iter().take(MAX_LINES) {
                out.push_str(&format!("    {}\n", self.paint("2", &visible(frame.trim_start()))));
            }
        }
        out.push('\n');
        out
    }

    /// Writes one error: its message, its place, and the differences.
    fn error(
        &self,
        file: &FileResult,
        error: &TestError,
        at: Option<Position>,
        libraries: &BTreeMap<String, PathBuf>,
        out: &mut String,
    ) {
        let title = headline(error);
        let (first, rest) = title.split_once('\n').unwrap_or((&title, ""));
        let place = at.map(|at| {
            let handle = ModuleId::parse(&at.file).library();
            let path =
                handle.and_then(|handle| libraries.get(handle)).map_or_else(|| PathBuf::from(&at.file), Clone::clone);
            let source = is_shown(&path, file, libraries).then(|| std::fs::read_to_string(&path).ok()).flatten();
            let line = source.as_ref().and_then(|text| text.lines().nth(at.line as usize - 1)).map(str::to_owned);
            let length = line.as_deref().map_or(1, |line| word_length(line, at.column));
            SourceLocation {
                file: path.display().to_string(),
                alias: handle.and_then(|handle| libraries.get(handle)).map(|_| at.file.clone()),
                line: at.line,
                columns: at.column..at.column + length,
                source: line,
            }
        });
        let diagnostic = Diagnostic { message: first.to_owned(), place, ..Diagnostic::default() };
        let rendered = diagnostic.render(self.color);
        // The test's name is printed above, so "error: " is removed.
        let rendered = rendered.split_once(": ").map_or(rendered.as_str(), |(_, text)| text);
        out.push_str(&indent(&indent(rendered)));
        for line in rest.lines().take(MAX_LINES) {
            out.push_str(&format!("    {}\n", visible(line)));
        }
        if let Some(stack) = &error.failure {
            out.push_str("\n    the transformation's failure:\n");
            for line in stack.lines().take(MAX_LINES) {
                out.push_str(&format!("      {}\n", visible(line)));
            }
        }
        self.differences(error, out);
    }

    fn differences(&self, error: &TestError, out: &mut String) {
        if error.differences.is_empty() {
            return;
        }
        let (minus, plus) = (self.paint("32", "- expected"), self.paint("31", "+ received"));
        out.push_str(&format!("\n    {minus}  {plus}\n"));
        for difference in error.differences.iter().take(MAX_LINES) {
            if !difference.path.is_empty() {
                out.push_str(&format!("      {}\n", visible(&difference.path)));
            }
            let lines = difference_lines(difference);
            for line in lines.iter().take(2 * MAX_LINES) {
                let line = visible(line);
                let line = match line.as_bytes().first() {
                    Some(b'-') => self.paint("32", &line),
                    Some(b'+') => self.paint("31", &line),
                    _ => line.into_owned(),
                };
                out.push_str(&format!("    {}\n", line.trim_end()));
            }
            if lines.len() > 2 * MAX_LINES {
                out.push_str(&format!("      … and {} more lines\n", lines.len() - 2 * MAX_LINES));
            }
        }
        if error.differences.len() > MAX_LINES {
            out.push_str(&format!("      … and {} more places\n", error.differences.len() - MAX_LINES));
        }
    }

    /// Returns the summary.
    pub(super) fn end(&self, files: &[FileResult], totals: &Totals, elapsed: Duration) -> String {
        let written: usize = files.iter().map(|file| file.written).sum();
        let snapshots = match written {
            0 => String::new(),
            1 => " · 1 snapshot written".to_owned(),
            written => format!(" · {written} snapshots written"),
        };
        let ran = files.iter().filter(|file| !file.tests.is_empty() || file.load_error.is_some()).count();
        if ran == 0 {
            return String::new();
        }
        let files = if ran == 1 { "1 file".to_owned() } else { format!("{ran} files") };
        format!("{} in {files}{snapshots} · {} ms\n", count(totals), elapsed.as_millis())
    }
}

/// Returns whether a line of this file may be shown. The file's name comes from a stack, which a test can forge.
fn is_shown(path: &Path, file: &FileResult, libraries: &BTreeMap<String, PathBuf>) -> bool {
    let climbs = path.components().any(|part| part == Component::ParentDir);
    let beside = Path::new(&file.file).parent().is_some_and(|dir| path.starts_with(dir));
    libraries.values().any(|library| library == path) || (!climbs && (path.is_relative() || beside))
}

fn count(totals: &Totals) -> String {
    let mut parts = Vec::new();
    for (number, word) in [
        (totals.failed, "failed"),
        (totals.broken, "could not be loaded"),
        (totals.passed, "passed"),
        (totals.skipped, "skipped"),
        (totals.todo, "todo"),
        (totals.filtered, "filtered out"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    }
    if parts.is_empty() { "no tests".to_owned() } else { parts.join(", ") }
}

/// Returns the length of the word at a column, in UTF-16 units.
fn word_length(line: &str, column: u32) -> u32 {
    let units: Vec<u16> = line.encode_utf16().skip(column as usize - 1).collect();
    let is_word = |unit: &u16| {
        char::from_u32(u32::from(*unit)).is_some_and(|char| char.is_alphanumeric() || char == '_' || char == '$')
    };
    (units.iter().take_while(|unit| is_word(unit)).count() as u32).max(1)
}

fn indent(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}
