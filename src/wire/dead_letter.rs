//! Dead letters: one JSON object per failed line with all known details, for reading, searching, repairing and
//! rerunning the line. [`read`] parses a dead letter.

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::config::LineFormat;
use sluicegate_engine::verdict::Failure;

/// One dead letter, without the event itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record<'a> {
    /// The input file; `None` for standard input.
    #[serde(skip_serializing_if = "Option::is_none", default, borrow)]
    pub input_file: Option<std::borrow::Cow<'a, str>>,
    /// The line's number in its file, from 1.
    pub input_line: u64,
    /// The offset of the line's first byte in its file.
    pub input_offset: u64,
    /// What went wrong.
    #[serde(flatten)]
    pub failure: Failure,
    /// The name of the transformation, as given by the run.
    pub transformation: std::borrow::Cow<'a, str>,
    /// The hash of the transformation's code, see `Program::code_hash`.
    pub code: std::borrow::Cow<'a, str>,
    /// Whether the line is an envelope around the event.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub envelope: bool,
    /// The field of the line that holds the event; `None` if the line is the event.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub input_field: Option<std::borrow::Cow<'a, str>>,
    /// The id of the run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<std::borrow::Cow<'a, str>>,
}

/// The position of a line before it became a dead letter, kept for when the line is run again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The input file; `None` for standard input.
    pub file: Option<String>,
    /// The line's number in its file, from 1.
    pub line: u64,
    /// The offset of the line's first byte in its file.
    pub offset: u64,
}

/// A parsed dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The original position of the line.
    pub origin: Origin,
    /// What went wrong.
    pub failure: Failure,
    /// The transformation, if the letter names it.
    pub transformation: Option<String>,
    /// The hash of its code.
    pub code: String,
    /// Which part of the line is the event.
    pub line: LineFormat,
    /// The line, byte for byte.
    pub event: Vec<u8>,
}

/// Parses one line of a file of dead letters.
///
/// # Errors
/// When the line is not a dead letter; the text says why.
pub fn read(line: &[u8]) -> Result<Letter, String> {
    #[derive(Deserialize)]
    struct Stored {
        input_file: Option<String>,
        input_line: u64,
        input_offset: u64,
        #[serde(flatten)]
        failure: Failure,
        transformation: Option<String>,
        code: String,
        #[serde(default)]
        envelope: bool,
        input_field: Option<String>,
        event: Option<String>,
        event_base64: Option<String>,
    }
    let stored: Stored = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let event = match (stored.event, stored.event_base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => STANDARD.decode(text).map_err(|error| format!("event_base64: {error}"))?,
        _ => return Err("it has to have one of `event` and `event_base64`".to_owned()),
    };
    if event.contains(&b'\n') {
        return Err("the event holds a line feed, and a line never does".to_owned());
    }
    let origin = Origin { file: stored.input_file, line: stored.input_line, offset: stored.input_offset };
    let Stored { failure, transformation, code, envelope, input_field, .. } = stored;
    let line = match input_field {
        Some(field) => LineFormat::Field(field),
        None if envelope => LineFormat::Envelope,
        None => LineFormat::Event,
    };
    Ok(Letter { origin, failure, transformation, code, line, event })
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

/// Writes a dead letter whose event is too long to hold in memory.
///
/// # Errors
/// Errors of reading the event and of writing.
pub fn write_long(out: &mut (impl Write + ?Sized), record: &Record<'_>, event: impl Read) -> io::Result<()> {
    write_long_after(out, record, event, b'{')
}

/// Writes a dead letter like [`write_long`], inside an object that is already open. `first` is then a comma.
///
/// # Errors
/// As [`write_long`].
pub(super) fn write_long_after(
    out: &mut (impl Write + ?Sized),
    record: &Record<'_>,
    mut event: impl Read,
    first: u8,
) -> io::Result<()> {
    let mut head = Vec::new();
    open(&mut head, record);
    head[0] = first;
    head.extend_from_slice(b",\"event_base64\":\"");
    out.write_all(&head)?;
    {
        let mut encoder = base64::write::EncoderWriter::new(&mut *out, &STANDARD);
        io::copy(&mut event, &mut encoder)?;
        encoder.finish()?;
    }
    out.write_all(b"\"}\n")
}

/// Writes the record as an object without its closing bracket.
fn open(out: &mut Vec<u8>, record: &Record<'_>) {
    serde_json::to_writer(&mut *out, record).expect("a record is plain data");
    assert_eq!(out.pop(), Some(b'}'), "a record is an object");
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_engine::verdict::{FailureKind, Position};

    fn record() -> Record<'static> {
        let mut failure = Failure::new(FailureKind::Exception, "boom");
        failure.name = Some("Error".into());
        failure.position = Some(Position { file: "t.js".into(), line: 3, column: 9 });
        Record {
            input_file: None,
            input_line: 12,
            input_offset: 345,
            failure,
            transformation: "t.js".into(),
            code: "sha256:00".into(),
            envelope: false,
            input_field: None,
            run: None,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for event in ["{\"a\":\"é\"}".as_bytes(), b"\xff\xfe", b""] {
            let mut out = Vec::new();
            write(&mut out, &Record { envelope: true, input_file: Some("in".into()), ..record() }, event);
            let letter = read(&out).unwrap();
            assert_eq!(letter.origin, Origin { file: Some("in".into()), line: 12, offset: 345 });
            assert_eq!(letter.failure, record().failure);
            assert_eq!((letter.transformation.as_deref(), &*letter.code), (Some("t.js"), "sha256:00"));
            assert_eq!(letter.line, LineFormat::Envelope);
            assert_eq!(letter.event, event);
        }
        let mut long = Vec::new();
        write_long(&mut long, &record(), b"x".as_slice()).unwrap();
        assert_eq!(read(&long).unwrap().event, b"x");
        assert!(read(b"{}").is_err());
        assert!(read(b"{\"a\":1}").is_err());
    }

    #[test]
    fn a_dead_letter_holds_everything_flat() {
        let mut out = Vec::new();
        write(&mut out, &record(), "{\"a\":\"é\"}".as_bytes());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"input_line\":12,\"input_offset\":345,\"kind\":\"exception\",\"name\":\"Error\",\"message\":\"boom\",\
             \"file\":\"t.js\",\"line\":3,\"column\":9,\"transformation\":\"t.js\",\"code\":\"sha256:00\",\"event\":\"{\\\"a\\\":\\\"é\\\"}\"}\n"
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
