//! Writes single values as JSON, and counts those that can't be written unchanged.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Counts of a column's values that could not be written unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// NaN and infinity, written as null.
    pub not_finite: u64,
    /// Days and times that are infinity, written as null.
    pub infinite_times: u64,
    /// Texts that should be JSON but are not, written as strings.
    pub not_json: u64,
}

/// Writes the value of a row that is not null.
pub type Write = Box<dyn Fn(usize, &mut Vec<u8>, &mut Notes)>;

/// Writes null.
pub fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

/// Writes a boolean.
pub fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Writes something in quotes that needs no escapes.
pub fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// For each byte, whether it is escaped in a string.
const ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

/// Writes a string with its quotes. Invalid UTF-8 is kept: the reader of the rows finds it and reports the row.
pub fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut start = 0;
    for (index, byte) in text.iter().enumerate() {
        if !ESCAPED[usize::from(*byte)] {
            continue;
        }
        out.extend_from_slice(&text[start..index]);
        start = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&text[start..]);
    out.push(b'"');
}

/// Writes a text that should be JSON.
pub fn json(out: &mut Vec<u8>, text: &[u8], notes: &mut Notes) {
    if serde_json::from_slice::<&serde_json::value::RawValue>(text).is_err() {
        notes.not_json += 1;
        return string(out, text);
    }
    // A line end can only be between tokens, where a space is equivalent.
    out.extend(text.trim_ascii().iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
}

/// Writes a float with the shortest digits that represent it.
pub fn float(out: &mut Vec<u8>, value: impl zmij::Float, is_finite: bool, notes: &mut Notes) {
    if is_finite {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        notes.not_finite += 1;
        null(out);
    }
}

/// Writes a value whose first letter tells its type.
pub fn tagged(out: &mut Vec<u8>, value: &[u8], is_json: bool, notes: &mut Notes) {
    let Some((tag, value)) = value.split_first() else { return null(out) };
    match tag {
        b'i' => out.extend_from_slice(value),
        b'r' => {
            let number: Option<f64> = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
            let number = number.unwrap_or(f64::NAN);
            float(out, number, number.is_finite(), notes);
        }
        b't' if is_json => json(out, value, notes),
        b't' => string(out, value),
        b'b' => {
            let nibble = |digit: u8| (digit as char).to_digit(16).unwrap_or_default() as u8;
            let bytes: Vec<u8> = value.chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect();
            base64(out, &bytes);
        }
        _ => null(out),
    }
}

/// Writes bytes in base64.
pub fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    quoted(out, |out| out.extend_from_slice(STANDARD.encode(bytes).as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>, &mut Notes)) -> (String, Notes) {
        let (mut out, mut notes) = (Vec::new(), Notes::default());
        write(&mut out, &mut notes);
        (String::from_utf8(out).unwrap(), notes)
    }

    #[test]
    fn a_text_is_the_same_when_it_is_read_again() {
        let all: String = (0..0x250).filter_map(char::from_u32).collect();
        let (written, _) = text(|out, _| string(out, all.as_bytes()));
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), all);
        assert!(!written.contains('\n'));
    }

    #[test]
    fn json_stays_on_one_line_and_what_is_none_stays_a_text() {
        let none = Notes::default();
        let (written, notes) = text(|out, notes| json(out, b" {\n\"a\": [1,\r\n null]}\n", notes));
        assert_eq!((written.as_str(), notes), ("{ \"a\": [1,   null]}", none));
        for other in ["", "{", "NaN", "1,\"b\":2", "{}{}"] {
            let (written, notes) = text(|out, notes| json(out, other.as_bytes(), notes));
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), other);
            assert_eq!(notes, Notes { not_json: 1, ..none });
        }
    }

    #[test]
    fn a_tag_says_what_a_value_is() {
        for (value, is_json, expected) in [
            ("i9007199254740993", false, "9007199254740993"),
            ("r0.10000000000000001", false, "0.1"),
            ("r1.0e+300", false, "1e+300"),
            ("rInf", false, "null"),
            ("té\"", false, "\"é\\\"\""),
            ("t[1]", true, "[1]"),
            ("t", false, "\"\""),
            ("bAA00", false, "\"qgA=\""),
            ("n", false, "null"),
        ] {
            let (written, notes) = text(|out, notes| tagged(out, value.as_bytes(), is_json, notes));
            assert_eq!(written, expected, "{value}");
            assert_eq!(notes.not_finite, u64::from(value == "rInf"));
        }
    }
}
