//! Results for machines: JSON, JUnit's XML, TAP version 14, and GitHub's annotations.
//! Each is written when all units are done, except for TAP, which is a stream.

use std::fmt::Write;

use serde_json::{Value, json};

use super::frames::author_frames;
use super::protocol::{Difference, TestError};
use super::result::{FileResult, Status, TestResult, Totals};
use sluicegate_engine::ModuleId;
use sluicegate_engine::verdict::Position;

/// Returns one JSON object for the complete run.
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
        "todo": totals.todo,
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
    if let Some(file) = &test.file {
        value["file"] = json!(file);
    }
    if let Some(reason) = &test.reason {
        value["reason"] = json!(reason);
    }
    if let Some(read) = &test.unsafe_read {
        value["unsafe_read"] = json!(read);
    }
    if let Some(error) = &test.error {
        value["error"] = error_json(error);
        if !test.others.is_empty() {
            value["more_errors"] = test.others.iter().map(error_json).collect();
        }
        value["logs"] = json!(test.logs);
    }
    value
}

fn error_json(error: &TestError) -> Value {
    let mut error = error.clone();
    error.stack = error.stack.as_deref().map(frames);
    json!(error)
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Passed => "passed",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
        Status::Todo => "todo",
    }
}

fn frames(stack: &str) -> String {
    author_frames(stack).map(str::trim_start).collect::<Vec<_>>().join("\n")
}

/// Formats a failure as plain text: the message, the differences, logs, frames.
pub fn plain(test: &TestResult) -> String {
    let mut out = String::new();
    for error in test.error.iter().chain(&test.others) {
        plain_error(error, &mut out);
    }
    for line in &test.logs {
        let _ = writeln!(out, "  {}: {}", line.level, line.message);
    }
    out
}

fn plain_error(error: &TestError, out: &mut String) {
    let _ = writeln!(out, "{}", headline(error));
    for difference in &error.differences {
        let _ = writeln!(out, "  {}", if difference.path.is_empty() { "(the value)" } else { &difference.path });
        for line in difference_lines(difference) {
            let _ = writeln!(out, "  {line}");
        }
    }
    for line in error.failure.iter().flat_map(|stack| stack.lines()) {
        let _ = writeln!(out, "  {line}");
    }
    for frame in error.stack.iter().flat_map(|stack| author_frames(stack)) {
        let _ = writeln!(out, "{frame}");
    }
}

/// Returns the lines for one difference, with a sign for each line of the values: `-` was expected, `+` was received.
pub fn difference_lines(difference: &Difference) -> Vec<String> {
    if !difference.lines.is_empty() {
        let signed = difference.lines.iter().map(|line| {
            let (sign, text) = line.split_at_checked(1).unwrap_or((line, ""));
            format!("{sign} {text}")
        });
        return signed.collect();
    }
    // For a side without the field, a word is shown instead of the value.
    let side = |sign: char, text: &Option<String>| {
        let text = text.as_deref().unwrap_or("(nothing)");
        text.lines().map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    [side('-', &difference.expected), side('+', &difference.actual)].concat()
}

/// Returns the first line of a failure: the error's name, unless a matcher threw it, and its message.
pub fn headline(error: &TestError) -> String {
    match (&error.matcher, &error.name) {
        (None, Some(name)) if name != "AssertionError" => format!("{name}: {}", error.message),
        _ => error.message.clone(),
    }
}

/// Returns JUnit's XML, as Jenkins and GitLab read it.
pub fn junit(files: &[FileResult], totals: &Totals, seconds: f64) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let count = totals.passed + totals.failed + totals.skipped + totals.todo + totals.broken;
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
            own.skipped + own.todo
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
                name = xml(test.file.as_ref().unwrap_or(&file.file)),
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
                (None, Status::Skipped | Status::Todo) => {
                    let why = test.reason.as_ref().map(|why| format!(" message=\"{}\"", xml(why))).unwrap_or_default();
                    let _ = writeln!(out, ">\n      <skipped{why}/>\n    </testcase>");
                }
                (None, _) => out.push_str("/>\n"),
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Escapes text for XML. Characters that XML cannot contain are replaced, because they cannot be escaped.
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

    /// Returns the lines of one unit.
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
            let directive = match test.status {
                Status::Skipped => " # SKIP",
                Status::Todo => " # TODO",
                Status::Passed | Status::Failed => "",
            };
            let why = test.reason.as_ref().map(|why| format!(" {}", tap(why))).unwrap_or_default();
            let name = test.file.as_ref().unwrap_or(&file.file);
            let _ = writeln!(out, "{ok} {} - {} › {}{directive}{why}", self.number, tap(name), tap(&test.name));
            if test.error.is_some() {
                diagnostics(&mut out, &test_json(test));
            }
        }
        out
    }

    /// Returns the last line.
    pub fn plan(&self) -> String {
        format!("1..{}\n", self.number)
    }
}

/// Writes a YAML block. JSON values are valid YAML.
fn diagnostics(out: &mut String, value: &Value) {
    out.push_str("  ---\n");
    for (key, value) in value.as_object().into_iter().flatten() {
        let _ = writeln!(out, "  {key}: {value}");
    }
    out.push_str("  ...\n");
}

/// Returns a description on one line, with directives escaped.
fn tap(text: &str) -> String {
    text.replace('\\', "\\\\").replace('#', "\\#").replace(['\n', '\r'], " ")
}

/// Returns GitHub's workflow commands, which show a failure at its line in the diff of a pull request.
pub fn github(files: &[FileResult]) -> String {
    let mut out = String::new();
    for file in files {
        if let Some(error) = &file.load_error {
            let at = error.position.as_ref();
            annotate(
                &mut out,
                &file.file,
                at.filter(|at| at.file == file.file),
                "it could not be loaded",
                &error.to_string(),
            );
        }
        for test in file.tests.iter().filter(|test| test.status == Status::Failed) {
            let name = test.file.as_ref().unwrap_or(&file.file);
            // A failure inside a library is shown at the test's file, without a line: a library's name is not a path.
            let known = test.position.as_ref().filter(|at| ModuleId::parse(&at.file).library().is_none());
            annotate(&mut out, known.map_or(name, |at| &at.file), known, &test.name, &plain(test));
        }
    }
    out
}

/// Appends an annotation that GitHub shows at a line of a file.
pub fn annotate(out: &mut String, file: &str, at: Option<&Position>, title: &str, message: &str) {
    let place = at.map(|at| format!(",line={},col={}", at.line, at.column)).unwrap_or_default();
    let property = |text: &str| command(text).replace(':', "%3A").replace(',', "%2C");
    let _ = writeln!(
        out,
        "::error file={}{place},title={}::{}",
        property(file.trim_start_matches("./")),
        property(title),
        command(message.trim_end())
    );
}

/// Escapes text that must stay on the line of its command.
fn command(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> (Vec<FileResult>, Totals) {
        let test = |name: &str, status, error| TestResult {
            name: name.to_owned(),
            status,
            error,
            others: Vec::new(),
            reason: None,
            file: None,
            position: None,
            logs: Vec::new(),
            unsafe_read: None,
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
    fn github_gets_the_place_and_the_whole_text_on_one_line() {
        let (mut files, _) = results();
        files[0].tests[1].position = Some(Position { file: "a.test.js".to_owned(), line: 3, column: 7 });
        files[0].tests[1].error.as_mut().unwrap().message = "50% off:\nno".to_owned();
        let text = github(&files);
        assert_eq!(text, "::error file=a.test.js,line=3,col=7,title=fails \"<&>\"::50%25 off:%0Ano\n");
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
