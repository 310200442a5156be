//! The results of the tests, for people: a line per file, and for each failure its name, the line of the assertion with
//! a caret, what differs, what was logged, and the author's own frames.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use sluicegate_engine::ModuleId;

use super::diagnostic::{Diagnostic, Place, visible};
use super::report::Voice;
use crate::config::When;
use crate::testing::report::headline;
use crate::testing::run::author_frames;
use crate::testing::{Difference, FileResult, Status, TestError, TestResult, Totals};

/// The most lines of a value, logs or frames that are shown.
const MAX_LINES: usize = 30;

/// The reporter for people.
pub(super) struct Pretty {
    color: bool,
}

impl Pretty {
    pub(super) fn new(voice: Voice) -> Self {
        use std::io::IsTerminal;
        // Results go to standard output, so that is what has to be a terminal.
        let color = match voice.color {
            When::Auto => voice.colored() && std::io::stdout().is_terminal(),
            _ => voice.colored(),
        };
        Self { color }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// One unit.
    pub(super) fn file(&self, file: &FileResult) -> String {
        let mut totals = Totals::default();
        totals.add(file);
        if file.tests.is_empty() && file.load_error.is_none() {
            return String::new();
        }
        let (sign, code) = if totals.good() { ("✓", "32") } else { ("✗", "31") };
        let millis = file.tests.iter().fold(0.0, |sum, test| sum + test.millis);
        let mut out = format!("{} {} ({}", self.paint(code, sign), visible(&file.file), count(&totals));
        out.push_str(&format!(", {millis:.0} ms)\n"));
        if let Some(error) = &file.load_error {
            out.push_str(&indent(&Diagnostic::from_load_error(error, &file.libraries).render(self.color)));
        }
        for test in file.tests.iter().filter(|test| test.status == Status::Failed) {
            out.push('\n');
            out.push_str(&self.failure(file, test, &file.libraries));
        }
        out
    }

    fn failure(&self, file: &FileResult, test: &TestResult, libraries: &BTreeMap<String, PathBuf>) -> String {
        let mut out = format!("  {} {}\n", self.paint("1;31", "✗"), self.paint("1", &visible(&test.name)));
        let Some(error) = &test.error else { return out };
        let title = headline(error);
        let (first, rest) = title.split_once('\n').unwrap_or((&title, ""));
        let place = test.position.as_ref().map(|at| {
            let handle = ModuleId::parse(&at.file).library();
            let path =
                handle.and_then(|handle| libraries.get(handle)).map_or_else(|| PathBuf::from(&at.file), Clone::clone);
            let source = is_shown(&path, file, libraries).then(|| std::fs::read_to_string(&path).ok()).flatten();
            let line = source.as_ref().and_then(|text| text.lines().nth(at.line as usize - 1)).map(str::to_owned);
            let length = line.as_deref().map_or(1, |line| word_length(line, at.column));
            Place {
                file: path.display().to_string(),
                alias: handle.and_then(|handle| libraries.get(handle)).map(|_| at.file.clone()),
                line: at.line,
                columns: at.column..at.column + length,
                source: line,
            }
        });
        let diagnostic = Diagnostic { message: first.to_owned(), place, ..Diagnostic::default() };
        let rendered = diagnostic.render(self.color);
        // The test's name stands above; "error: " would say nothing more.
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
        self.differences(error, &mut out);
        if !test.logs.is_empty() {
            out.push_str("\n    logs:\n");
            for line in test.logs.iter().take(MAX_LINES) {
                out.push_str(&format!("      {}: {}\n", line.level, visible(&line.message).replace('\n', "\n      ")));
            }
            if test.logs.len() > MAX_LINES {
                out.push_str(&format!("      … and {} more\n", test.logs.len() - MAX_LINES));
            }
        }
        let frames: Vec<&str> = error.stack.iter().flat_map(|stack| author_frames(stack)).collect();
        // One frame says no more than the place above.
        if frames.len() > 1 {
            out.push('\n');
            for frame in frames.iter().take(MAX_LINES) {
                out.push_str(&format!("    {}\n", self.paint("2", &visible(frame.trim_start()))));
            }
        }
        out.push('\n');
        out
    }

    fn differences(&self, error: &TestError, out: &mut String) {
        if error.differences.is_empty() {
            return;
        }
        let (minus, plus) = (self.paint("32", "- expected"), self.paint("31", "+ received"));
        out.push_str(&format!("\n    {minus}  {plus}\n"));
        for Difference { path, expected, actual } in error.differences.iter().take(MAX_LINES) {
            if !path.is_empty() {
                out.push_str(&format!("      {}\n", visible(path)));
            }
            for (sign, code, side) in [('-', "32", expected), ('+', "31", actual)] {
                // A field that is on one side only has no line on the other, but a word.
                for line in side.as_deref().unwrap_or("(nothing)").lines().take(MAX_LINES) {
                    let line = self.paint(code, &format!("{sign} {}", visible(line)));
                    out.push_str(&format!("    {line}\n"));
                }
            }
        }
        if error.differences.len() > MAX_LINES {
            out.push_str(&format!("      … and {} more places\n", error.differences.len() - MAX_LINES));
        }
    }

    /// The last lines.
    pub(super) fn end(&self, files: &[FileResult], totals: &Totals, elapsed: Duration) -> String {
        let written: usize = files.iter().map(|file| file.written).sum();
        let snapshots = if written > 0 { format!(" · {written} snapshots written") } else { String::new() };
        let ran = files.iter().filter(|file| !file.tests.is_empty() || file.load_error.is_some()).count();
        if ran == 0 {
            return String::new();
        }
        let files = if ran == 1 { "1 file".to_owned() } else { format!("{ran} files") };
        format!("{} in {files}{snapshots} · {} ms\n", count(totals), elapsed.as_millis())
    }
}

/// Whether a line of this file may be shown. Its name comes out of a stack, in which a test can write what it likes.
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
        (totals.filtered, "filtered out"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    }
    if parts.is_empty() { "no tests".to_owned() } else { parts.join(", ") }
}

/// How long the word is that begins at a column, in UTF-16 units.
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
