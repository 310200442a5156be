//! Dead letters: everything that is known of a line that failed, as one JSON object per line, so that it can be read,
//! searched, mended and run again.

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::verdict::Failure;

/// One dead letter, without the event itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record<'a> {
    /// The input file, if it was not standard input.
    #[serde(skip_serializing_if = "Option::is_none", default, borrow)]
    pub input_file: Option<std::borrow::Cow<'a, str>>,
    /// The line's number in its file, from 1.
    pub input_line: u64,
    /// The offset of the line's first byte in its file.
    pub input_offset: u64,
    /// What went wrong.
    #[serde(flatten)]
    pub failure: Failure,
    /// Which code it failed in, see `Program::code_hash`.
    pub code: std::borrow::Cow<'a, str>,
}

/// Writes a dead letter: the record, then the event's bytes as `event`, or as `event_base64` if they are not UTF-8.
pub fn write(out: &mut Vec<u8>, record: &Record<'_>, event: &[u8]) {
    open(out, record);
    match std::str::from_utf8(event) {
        Ok(text) => {
            out.extend_from_slice(b",\"event\":");
            serde_json::to_writer(&mut *out, text).expect("text is JSON");
        }
        Err(_) => {
            out.extend_from_slice(b",\"event_base64\":\"");
            out.extend_from_slice(STANDARD.encode(event).as_bytes());
            out.push(b'"');
        }
    }
    out.extend_from_slice(b"}\n");
}

/// Writes a dead letter whose event is too long to be held in memory.
///
/// # Errors
/// Whatever reading or writing gives.
pub fn write_long(out: &mut impl Write, record: &Record<'_>, mut event: impl Read) -> io::Result<()> {
    let mut head = Vec::new();
    open(&mut head, record);
    head.extend_from_slice(b",\"event_base64\":\"");
    out.write_all(&head)?;
    {
        let mut encoder = base64::write::EncoderWriter::new(&mut *out, &STANDARD);
        io::copy(&mut event, &mut encoder)?;
        encoder.finish()?;
    }
    out.write_all(b"\"}\n")
}

/// The record as an object that is not closed yet.
fn open(out: &mut Vec<u8>, record: &Record<'_>) {
    serde_json::to_writer(&mut *out, record).expect("a record is plain data");
    assert_eq!(out.pop(), Some(b'}'), "a record is an object");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{FailureKind, Position};

    fn record() -> Record<'static> {
        let mut failure = Failure::new(FailureKind::Exception, "boom");
        failure.name = Some("Error".into());
        failure.position = Some(Position { file: "t.js".into(), line: 3, column: 9 });
        Record { input_file: None, input_line: 12, input_offset: 345, failure, code: "sha256:00".into() }
    }

    #[test]
    fn a_dead_letter_holds_everything_flat() {
        let mut out = Vec::new();
        write(&mut out, &record(), "{\"a\":\"é\"}".as_bytes());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"input_line\":12,\"input_offset\":345,\"kind\":\"exception\",\"name\":\"Error\",\"message\":\"boom\",\
             \"file\":\"t.js\",\"line\":3,\"column\":9,\"code\":\"sha256:00\",\"event\":\"{\\\"a\\\":\\\"é\\\"}\"}\n"
        );
    }

    #[test]
    fn bytes_that_are_not_text_survive() {
        let mut short = Vec::new();
        write(&mut short, &record(), b"\xff\xfe");
        let mut long = Vec::new();
        write_long(&mut long, &record(), b"\xff\xfe".as_slice()).unwrap();
        assert_eq!(short, long);
        let value: serde_json::Value = serde_json::from_slice(&short).unwrap();
        assert_eq!(STANDARD.decode(value["event_base64"].as_str().unwrap()).unwrap(), b"\xff\xfe");
    }
}
