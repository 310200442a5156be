//! Results for machines: JSON, JUnit's XML, and TAP version 14. Each is written when all units are done, except TAP,
//! which is a stream.

use std::fmt::Write;

use serde_json::{Value, json};

use super::protocol::TestError;
use super::run::{FileResult, Status, TestResult, Totals, author_frames};

/// One JSON object for the whole run.
pub fn json(files: &[FileResult], totals: &Totals, seconds: f64) -> String {
    let files: Vec<Value> = files
        .iter()
        .map(|file| {
            let tests: Vec<Value> = file.tests.iter().map(test_json).collect();
            let mut value = json!({ "file": file.file, "tests": tests });
            if let Some(error) = &file.load_error {
                value["error"] = json!(error);
            }
            value
        })
        .collect();
    let value = json!({
        "ok": totals.good(),
        "passed": totals.passed,
        "failed": totals.failed,
        "skipped": totals.skipped,
        "broken_files": totals.broken,
        "seconds": seconds,
        "files": files,
    });
    format!("{value}\n")
}

fn test_json(test: &TestResult) -> Value {
    let mut value = json!({ "name": test.name, "status": word(test.status), "milliseconds": test.millis });
    if let Some(at) = &test.position {
        value["position"] = json!(at);
    }
    if let Some(error) = &test.error {
        let mut error = error.clone();
        error.stack = error.stack.as_deref().map(frames);
        value["error"] = json!(error);
        value["logs"] = json!(test.logs);
    }
    value
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Passed => "passed",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
    }
}

fn frames(stack: &str) -> String {
    author_frames(stack).map(str::trim_start).collect::<Vec<_>>().join("\n")
}

/// What was wrong, as plain text: the message, the differences, logs, frames.
pub fn plain(test: &TestResult) -> String {
    let Some(error) = &test.error else { return String::new() };
    let mut out = headline(error);
    out.push('\n');
    for difference in &error.differences {
        let _ = writeln!(out, "  {}", if difference.path.is_empty() { "(the value)" } else { &difference.path });
        for (sign, side) in [('-', &difference.expected), ('+', &difference.actual)] {
            for line in side.iter().flat_map(|text| text.lines()) {
                let _ = writeln!(out, "  {sign} {line}");
            }
        }
    }
    for line in error.failure.iter().flat_map(|stack| stack.lines()) {
        let _ = writeln!(out, "  {line}");
    }
    for line in &test.logs {
        let _ = writeln!(out, "  {}: {}", line.level, line.message);
    }
    for frame in error.stack.iter().flat_map(|stack| author_frames(stack)) {
        let _ = writeln!(out, "{frame}");
    }
    out
}

/// The first line of what was wrong: the error's name unless a matcher threw it.
pub fn headline(error: &TestError) -> String {
    match (&error.matcher, &error.name) {
        (None, Some(name)) if name != "AssertionError" => format!("{name}: {}", error.message),
        _ => error.message.clone(),
    }
}

/// JUnit's XML, as Jenkins and GitLab read it.
pub fn junit(files: &[FileResult], totals: &Totals, seconds: f64) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let count = totals.passed + totals.failed + totals.skipped + totals.broken;
    let _ = writeln!(
        out,
        "<testsuites name=\"sluicegate\" tests=\"{count}\" failures=\"{}\" errors=\"{}\" time=\"{seconds:.3}\">",
        totals.failed, totals.broken
    );
    for file in files {
        let mut own = Totals::default();
        own.add(file);
        let time: f64 = file.tests.iter().map(|test| test.millis).sum::<f64>() / 1e3;
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{time:.3}\">",
            xml(&file.file),
            file.tests.len() + own.broken,
            own.failed,
            own.broken,
            own.skipped
        );
        if let Some(error) = &file.load_error {
            let _ = writeln!(
                out,
                "    <testcase name=\"loads\" classname=\"{}\" time=\"0\">\n      <error message=\"{}\"/>\n    </testcase>",
                xml(&file.file),
                xml(&error.to_string())
            );
        }
        for test in &file.tests {
            let line = test.position.as_ref().map(|at| format!(" line=\"{}\"", at.line)).unwrap_or_default();
            let _ = write!(
                out,
                "    <testcase name=\"{}\" classname=\"{name}\" file=\"{name}\"{line} time=\"{:.3}\"",
                xml(&test.name),
                test.millis / 1e3,
                name = xml(&file.file),
            );
            match (&test.error, test.status) {
                (Some(error), _) => {
                    let (message, text) = (xml(&headline(error)), xml(&plain(test)));
                    let kind = xml(error.name.as_deref().unwrap_or("Error"));
                    let _ = writeln!(
                        out,
                        ">\n      <failure message=\"{message}\" type=\"{kind}\">{text}</failure>\n    </testcase>"
                    );
                }
                (None, Status::Skipped) => out.push_str(">\n      <skipped/>\n    </testcase>\n"),
                (None, _) => out.push_str("/>\n"),
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text that XML can hold: what it cannot is replaced, for there is no escape for it.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

/// A stream of TAP version 14.
#[derive(Debug, Default)]
pub struct Tap {
    number: usize,
}

impl Tap {
    /// The first line.
    pub const HEAD: &'static str = "TAP version 14\n";

    /// The lines of one unit.
    pub fn file(&mut self, file: &FileResult) -> String {
        let mut out = String::new();
        if let Some(error) = &file.load_error {
            self.number += 1;
            let _ = writeln!(out, "not ok {} - {}", self.number, tap(&file.file));
            diagnostics(&mut out, &json!({ "message": error.to_string() }));
        }
        for test in &file.tests {
            self.number += 1;
            let ok = if test.status == Status::Failed { "not ok" } else { "ok" };
            let skip = if test.status == Status::Skipped { " # SKIP" } else { "" };
            let _ = writeln!(out, "{ok} {} - {} › {}{skip}", self.number, tap(&file.file), tap(&test.name));
            if test.error.is_some() {
                diagnostics(&mut out, &test_json(test));
            }
        }
        out
    }

    /// The last line.
    pub fn plan(&self) -> String {
        format!("1..{}\n", self.number)
    }
}

/// A YAML block; JSON values are YAML.
fn diagnostics(out: &mut String, value: &Value) {
    out.push_str("  ---\n");
    for (key, value) in value.as_object().into_iter().flatten() {
        let _ = writeln!(out, "  {key}: {value}");
    }
    out.push_str("  ...\n");
}

/// A description on one line in which nothing is a directive.
fn tap(text: &str) -> String {
    text.replace('\\', "\\\\").replace('#', "\\#").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> (Vec<FileResult>, Totals) {
        let test = |name: &str, status, error| TestResult {
            name: name.to_owned(),
            status,
            error,
            position: None,
            logs: Vec::new(),
            millis: 1.5,
        };
        let error = TestError { message: "a < b & \u{1b}[1m".to_owned(), ..TestError::default() };
        let tests = vec![
            test("passes # 1", Status::Passed, None),
            test("fails \"<&>\"", Status::Failed, Some(error)),
            test("waits", Status::Skipped, None),
        ];
        let files = vec![FileResult { file: "a.test.js".to_owned(), tests, ..FileResult::default() }];
        let mut totals = Totals::default();
        totals.add(&files[0]);
        (files, totals)
    }

    #[test]
    fn junit_escapes_what_xml_cannot_hold() {
        let (files, totals) = results();
        let text = junit(&files, &totals, 0.1);
        assert!(text.contains("message=\"a &lt; b &amp; \u{fffd}[1m\"") && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("tests=\"3\" failures=\"1\""), "{text}");
    }

    #[test]
    fn tap_counts_and_escapes() {
        let (files, _) = results();
        let mut tap = Tap::default();
        let text = tap.file(&files[0]);
        assert!(text.starts_with("ok 1 - a.test.js › passes \\# 1\nnot ok 2 - "), "{text}");
        assert!(text.ends_with("ok 3 - a.test.js › waits # SKIP\n") && tap.plan() == "1..3\n", "{text}");
    }
}
