//! Checks all bytes that a worker has written before they are output.
//!
//! The engine frames its outputs itself, and no transformation can change that. This check holds even if an attacker
//! controls the worker: a line or a row is one JSON object, judged by its brackets and strings, contains no line end,
//! and the number of lines is what the worker announced. A row carries the metadata of an event that the worker was
//! given. If the check fails, the supervisor ends the worker and gives its events to another one.
//!
//! One pass with SIMD instructions, at 18 GB/s on the machine of `docs/benchmarks.md`.

use crate::config::Emit;
use crate::wire::frame::Part;
use crate::wire::lines::Lines;
use crate::wire::{row, verdict_line};
use sluicegate_json::skip::skip_container;

/// The format of a worker's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputFormat {
    /// One line per output. With `pass`, failed lines are output unchanged as well.
    Events { pass: bool },
    /// One line per input line.
    Verdicts,
    /// One line per input line, each followed by its outputs, one line each.
    Framed,
    /// Rows, each followed by a comma, see [`crate::wire::row`].
    Rows,
}

impl OutputFormat {
    /// Returns the output format of a pool's workers.
    pub(super) fn new(rows: bool, emit: Emit, pass: bool) -> Self {
        match emit {
            _ if rows => Self::Rows,
            Emit::Events => Self::Events { pass },
            Emit::Verdicts => Self::Verdicts,
            Emit::Framed => Self::Framed,
        }
    }

    /// Returns whether `output` matches the announcement in `part`. `lines` are the lines of the part's unit;
    /// `answered` of them were answered by earlier parts.
    pub(super) fn fits(self, part: &Part, lines: &Lines, answered: u64, output: &[u8]) -> bool {
        let outputs = match self {
            Self::Events { pass } => events(part, lines, pass, output),
            Self::Verdicts => verdicts(part, output),
            Self::Framed => framed(part, output),
            Self::Rows => rows(part, lines, answered, output),
        };
        outputs.is_some() && objects(&part.logs).is_some()
    }
}

/// Returns the number of lines; `None` if a line is not exactly one object.
fn objects(text: &[u8]) -> Option<u64> {
    let (mut at, mut count) = (0, 0);
    while at < text.len() {
        at += object_line(&text[at..])?;
        count += 1;
    }
    Some(count)
}

/// Returns the length of the first line, line end included; `None` if it is not exactly one object.
#[inline]
fn object_line(text: &[u8]) -> Option<usize> {
    let len = object(text)?;
    (text.get(len) == Some(&b'\n')).then_some(len + 1)
}

/// Returns the length of the object at the start of a text, including the blanks around it; `None` if there is none, or
/// if it contains a line end.
#[inline]
fn object(text: &[u8]) -> Option<usize> {
    let start = blanks(text);
    let found = skip_container(&text[start..]).filter(|_| text[start] == b'{')?;
    let end = start + found.len;
    if !found.one_line && memchr::memchr(b'\n', &text[start..end]).is_some() {
        return None;
    }
    Some(end + blanks(&text[end..]))
}

/// Returns the length of the blanks at the start of a text. An unchanged line keeps its leading blanks.
#[inline]
fn blanks(text: &[u8]) -> usize {
    text.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r')).unwrap_or(text.len())
}

fn events(part: &Part, lines: &Lines, pass: bool, output: &[u8]) -> Option<()> {
    let (mut at, mut count) = (0, 0);
    let (mut rest, mut passed) = (lines.part(0, lines.count), 0);
    for failed in &part.failures {
        let to = usize::try_from(failed.output_at).ok()?;
        count += objects(output.get(at..to)?)?;
        at = to;
        if pass {
            // Continues after the previous failure instead of starting again.
            rest = rest.part(u64::from(failed.line).checked_sub(passed)?, u64::MAX >> 1);
            passed = u64::from(failed.line);
            let line = rest.part(0, 1);
            let line = line.bytes();
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let end = at + line.len();
            (output.get(at..end)? == line && output.get(end) == Some(&b'\n')).then_some(())?;
            at = end + 1;
        }
    }
    count += objects(output.get(at..)?)?;
    (count == part.events_out).then_some(())
}

fn verdicts(part: &Part, output: &[u8]) -> Option<()> {
    let (mut at, mut count) = (0, 0);
    let mut failures = part.failures.iter().map(|failed| failed.output_at as usize).peekable();
    while at < output.len() {
        failures.next_if(|to| *to == at);
        at += object_line(&output[at..])?;
        count += 1;
    }
    (count == part.lines && failures.peek().is_none()).then_some(())
}

fn framed(part: &Part, output: &[u8]) -> Option<()> {
    let (mut at, mut verdicts, mut events) = (0, 0, 0);
    let mut failures = part.failures.iter().map(|failed| failed.output_at as usize).peekable();
    while at < output.len() {
        let failed = failures.next_if(|to| *to == at).is_some();
        let len = object_line(&output[at..])?;
        let behind = verdict_line::lines_behind(&output[at..at + len])?;
        (!failed || behind == 0).then_some(())?;
        at += len;
        for _ in 0..behind {
            at += object_line(output.get(at..)?)?;
        }
        verdicts += 1;
        events += behind;
    }
    (verdicts == u64::from(part.lines) && events == part.events_out && failures.peek().is_none()).then_some(())
}

fn rows(part: &Part, lines: &Lines, answered: u64, output: &[u8]) -> Option<()> {
    let unit = lines.bytes();
    let mut rest = unit;
    // Returns what surrounds the next event in its row, for the events that the part covers.
    let mut number = 0;
    let mut next = || loop {
        if number == answered + u64::from(part.lines) {
            return None;
        }
        let len =
            row::len(rest).filter(|len| rest.get(*len) == Some(&b'\n')).or_else(|| memchr::memchr(b'\n', rest))?;
        let line = &rest[..len];
        rest = &rest[len + 1..];
        number += 1;
        if number > answered {
            return row::get(line).map(|(_, around)| around);
        }
    };
    let mut around: Option<(&[u8], &[u8])> = None;
    let (mut at, mut count) = (0, 0);
    // Failures lie between rows.
    let mut failures = part.failures.iter().map(|failed| failed.output_at as usize).peekable();
    while at < output.len() {
        while failures.next_if(|to| *to == at).is_some() {}
        if failures.peek().is_some_and(|to| *to < at) {
            return None;
        }
        let text = &output[at..];
        let open = row::OPEN.len();
        (text.get(..open)? == row::OPEN).then_some(())?;
        let end = open + object(&text[open..])?;
        // The row belongs to this event or a later one: an event may have no row, or several.
        at = loop {
            if let Some((_, after)) = around
                && text[end..].strip_prefix(after).is_some_and(|rest| rest.first() == Some(&b','))
            {
                break at + end + after.len() + 1;
            }
            around = Some(next()?);
        };
        count += 1;
    }
    let between = failures.all(|to| to == output.len());
    // In a batch, an event may fail for one of its outputs and have rows for the others; `events_out` does
    // not count those.
    let partial = !part.failures.is_empty() && count > part.events_out;
    (between && (partial || count == part.events_out)).then_some(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wire::frame::LineFailure;
    use crate::wire::lines::FILL;
    use crate::wire::shared::{create, pages};
    use crate::wire::slots::Slots;

    /// Returns lines in a slot: as rows, or unchanged.
    fn lines(all: &[&str], rows: bool) -> Lines {
        let (_fd, memory) = create("test", pages(FILL), true).unwrap();
        let mut slot = Slots::new(Arc::new(memory), pages(FILL), 1).take().unwrap();
        for (number, line) in all.iter().enumerate() {
            if rows {
                row::put(&mut slot, line.as_bytes(), format!("{{\"messageId\":\"{number}\"}}").as_bytes(), true);
            } else {
                slot.push(line.as_bytes());
                slot.end_line();
            }
        }
        slot.finish(0, 1)
    }

    fn part(ok: u32, events_out: u64, failures: &[(u32, u64)]) -> Part {
        let failures: Vec<LineFailure> = failures
            .iter()
            .map(|(line, output_at)| LineFailure { line: *line, output_at: *output_at, failure: Vec::new() })
            .collect();
        Part { lines: ok + failures.len() as u32, ok, events_out, failures, ..Part::default() }
    }

    #[test]
    fn a_line_of_events_is_one_object() {
        let format = OutputFormat::Events { pass: false };
        let lines = lines(&["{}", "{}"], false);
        let fits = |events_out, output: &str| format.fits(&part(2, events_out, &[]), &lines, 0, output.as_bytes());
        assert!(fits(0, ""));
        assert!(fits(1, "{\"a\":\"}\\\"{\"}\n"));
        assert!(fits(2, "{\"a\":1}\n{\"b\":[{}]}\n"));
        assert!(fits(2, " {\t\"a\":1} \t\r\n{}\n"), "blanks stay where they came");
        for (events_out, output) in [
            (1, "{\"a\":1}\n{\"b\":2}\n"),
            (2, "{\"a\":1}\n"),
            (1, "{\"a\":1}"),
            (1, "{\"a\":\n1}\n"),
            (1, "{\"a\":1},\n"),
            (2, "{\"a\":1}{\"b\":2}\n"),
            (1, "[1]\n"),
            (1, "nobrkect\n"),
            (1, "{\"a\":\"\n\"}\n"),
            (1, "{\"a\":1]\n"),
            (1, "\n{\"a\":1}\n"),
        ] {
            assert!(!fits(events_out, output), "{output:?}");
        }
    }

    #[test]
    fn a_line_that_is_passed_on_is_the_one_that_came() {
        let format = OutputFormat::Events { pass: true };
        let lines = lines(&["{}", "no object", "{}"], false);
        let fits = |at, output: &str| format.fits(&part(2, 2, &[(1, at)]), &lines, 0, output.as_bytes());
        assert!(fits(3, "{}\nno object\n{}\n"));
        assert!(!fits(3, "{}\nno objecT\n{}\n"));
        assert!(!fits(0, "{}\nno object\n{}\n"));
        assert!(!fits(3, "{}\n{}\n"));
    }

    #[test]
    fn every_line_has_one_verdict() {
        let lines = lines(&["{}", "{}"], false);
        let fits = |output: &str| OutputFormat::Verdicts.fits(&part(1, 1, &[(1, 17)]), &lines, 0, output.as_bytes());
        assert!(fits("{\"verdict\":\"ok\"}\n{\"verdict\":\"failed\"}\n"));
        assert!(!fits("{\"verdict\":\"ok\"}\n"));
        assert!(!fits("{\"verdict\":\"ok\"}\n{}\n{}\n"));
    }

    #[test]
    fn framed_verdicts_are_followed_by_their_outputs() {
        let lines = lines(&["{}", "{}"], false);
        let fits = |output: &str| OutputFormat::Framed.fits(&part(1, 2, &[(1, 41)]), &lines, 0, output.as_bytes());
        assert!(fits("{\"verdict\":\"ok\",\"count\":2}\n{\"a\":1}\n{\"b\"}\n{\"verdict\":\"failed\"}\n"));
        for wrong in [
            "{\"verdict\":\"ok\",\"count\":1}\n{\"a\":1}\n{\"b\"}\n{\"verdict\":\"failed\"}\n",
            "{\"verdict\":\"ok\",\"count\":3}\n{\"a\":1}\n{\"b\"}\n{\"verdict\":\"failed\"}\n",
            "{\"verdict\":\"ok\",\"count\":-}\n{\"a\":1}\n{\"b\"}\n{\"verdict\":\"failed\"}\n",
            "{\"verdict\":\"ok\",\"count\":2}\n{\"a\":1}\nno obj\n{\"verdict\":\"failed\"}\n",
            "{\"verdict\":\"ok\",\"count\":2}\n{\"a\":1}\n{\"b\"}\n{\"verdict\":\"forged\"}\n",
        ] {
            assert!(!fits(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_row_has_the_metadata_of_an_event_of_its_part() {
        let lines = lines(&["{}", "{}", "{}"], true);
        let row = |output: &str, id: u32| {
            format!("{{\"output\":{output},\"metadata\":{{\"messageId\":\"{id}\"}},\"statusCode\":200}},")
        };
        let fits = |answered, part: &Part, rows: &[String]| {
            OutputFormat::Rows.fits(part, &lines, answered, rows.concat().as_bytes())
        };
        assert!(fits(0, &part(3, 3, &[]), &[row("{}", 0), row("{\"a\":1}", 1), row("{}", 2)]));
        assert!(fits(0, &part(3, 2, &[]), &[row("{}", 1), row("{}", 1)]), "several of one event, none of another");
        assert!(fits(1, &part(2, 1, &[]), &[row("{}", 2)]));
        assert!(fits(0, &part(2, 1, &[(0, 0)]), &[row("{}", 2)]));
        assert!(fits(0, &part(0, 0, &[(0, 0)]), &[]));
        assert!(fits(0, &part(2, 2, &[(1, 60)]), &[row("{}", 0), row("{}", 1), row("{}", 2)]), "of a batch");
        let swapped = [row("{}", 1), row("{}", 0)];
        let forged = [row("{},\"metadata\":{\"messageId\":\"2\"},\"statusCode\":200},{\"output\":{}", 0)];
        assert!(!fits(0, &part(3, 2, &[]), &swapped));
        assert!(!fits(0, &part(3, 1, &[]), &forged));
        assert!(!fits(0, &part(3, 1, &[]), &[row("{}", 3)]));
        assert!(!fits(1, &part(2, 1, &[]), &[row("{}", 0)]), "answered before");
        assert!(!fits(0, &part(3, 1, &[]), &[row("[]", 0)]));
        assert!(!fits(0, &part(3, 2, &[]), &[row("{}", 0)]));
        assert!(!fits(0, &part(2, 1, &[(0, 3)]), &[row("{}", 2)]), "a failure in the middle of a row");
    }
}
