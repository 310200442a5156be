//! One verdict per input line, for hosts that count lines: `{"verdict":"ok","events":[…]}`.

use std::io::{self, Read, Write};

use super::dead_letter;
use sluicegate_engine::OutputFraming;
use sluicegate_engine::verdict::Failure;

/// The framing of the outputs of an event with verdict `ok`.
pub const OK: OutputFraming<'static> = OutputFraming {
    open: b"{\"verdict\":\"ok\",\"events\":[",
    around: (b"", b""),
    between: b",",
    close: b"]}\n",
    keep_partial_output: false,
};

/// Returns the verdict line of an event whose outputs follow as separate lines.
pub fn ok(count: u32) -> Vec<u8> {
    format!("{OK_COUNT}{count}}}\n").into_bytes()
}

const OK_COUNT: &str = "{\"verdict\":\"ok\",\"count\":";

/// Returns the number of output lines that follow a verdict line; 0 if its outputs are inside it. Returns `None` if it
/// is not a verdict line. `line` includes its line end.
pub fn lines_behind(line: &[u8]) -> Option<u64> {
    if let Some(count) = line.strip_prefix(OK_COUNT.as_bytes()) {
        let digits = count.strip_suffix(b"}\n")?;
        return std::str::from_utf8(digits)
            .ok()
            .filter(|text| text.bytes().all(|it| it.is_ascii_digit()))?
            .parse()
            .ok();
    }
    let other = [&b"{\"verdict\":\"dropped\""[..], b"{\"verdict\":\"failed\""];
    other.iter().any(|start| line.starts_with(start)).then_some(0)
}

/// Appends the verdict line of a dropped event, with the metadata of its envelope.
pub fn dropped(metadata: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"verdict\":\"dropped\"");
    close(metadata, out);
}

/// Appends the verdict line of a failed event, with the metadata of its envelope.
pub fn failed(failure: &Failure, metadata: Option<&[u8]>, out: &mut Vec<u8>) {
    #[derive(serde::Serialize)]
    struct FailedLine<'a> {
        verdict: &'static str,
        #[serde(flatten)]
        failure: &'a Failure,
    }
    serde_json::to_writer(&mut *out, &FailedLine { verdict: "failed", failure }).expect("a failure is plain data");
    let closed = out.pop();
    debug_assert_eq!(closed, Some(b'}'), "a failure is an object");
    close(metadata, out);
}

/// Appends the verdict line of a failed event that is also a dead letter, with the metadata of its envelope.
pub fn failed_in_full(record: &dead_letter::Record<'_>, event: &[u8], metadata: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(FAILED);
    let start = out.len();
    dead_letter::write(out, record, event);
    // The line's object is already open, so a comma replaces the record's opening bracket.
    out[start] = b',';
    out.truncate(out.len() - "}\n".len());
    close(metadata, out);
}

/// Writes the same line for an event that is too long to hold in memory.
///
/// # Errors
/// Errors of reading the event and of writing.
pub fn failed_in_full_long(out: &mut impl Write, record: &dead_letter::Record<'_>, event: impl Read) -> io::Result<()> {
    out.write_all(FAILED)?;
    dead_letter::write_long_after(out, record, event, b',')
}

const FAILED: &[u8] = b"{\"verdict\":\"failed\"";

fn close(metadata: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(metadata) = metadata {
        out.extend_from_slice(b",\"metadata\":");
        out.extend_from_slice(metadata);
    }
    out.extend_from_slice(b"}\n");
}
