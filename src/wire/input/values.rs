//! JSON values over any number of lines.

use std::io::{self, Read, Write};

use super::mistake;
use crate::config::InputFormat;

/// Writes each value of a stream on its own line, using brackets and quotes to find where values end. The reader of the
/// line checks whether it is valid JSON.
pub(super) struct Values {
    array: bool,
    /// The number of open brackets, not counting the array's own.
    depth: usize,
    /// Whether the array's own bracket is open.
    inside: bool,
    /// Whether the array has ended.
    done: bool,
    in_string: bool,
    escaped: bool,
    /// Whether a value has begun on the current line.
    begun: bool,
}

impl Values {
    pub(super) fn new(format: InputFormat) -> Self {
        let array = format == InputFormat::Array;
        Self { array, depth: 0, inside: false, done: false, in_string: false, escaped: false, begun: false }
    }

    pub(super) fn copy(mut self, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
        let (mut buffer, mut out) = (vec![0; 64 << 10], Vec::new());
        let mut first = true;
        loop {
            let n = match from.read(&mut buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if n == 0 {
                break;
            }
            let bytes =
                if first { buffer[..n].strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&buffer[..n]) } else { &buffer[..n] };
            first = false;
            out.clear();
            let done = bytes.iter().try_for_each(|byte| self.byte(*byte, &mut out));
            // Write the output before reporting the mistake, so that the values before it are not lost.
            to.write_all(&out)?;
            done?;
        }
        if self.begun {
            to.write_all(b"\n")?;
        }
        if self.depth > 0 || self.in_string || self.array && self.inside && !self.done {
            return mistake("it ends in the middle of a value".to_owned());
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) -> io::Result<()> {
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = byte == b'\\' && !self.escaped;
            // No valid string contains a line end, nor this replacement. The reader of the line reports the error.
            out.push(if byte == b'\n' { b'\r' } else { byte });
            return Ok(());
        }
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        if self.done {
            return match byte {
                _ if space => Ok(()),
                // For example the concatenated pages of an API.
                b'[' => {
                    self.done = false;
                    Ok(())
                }
                _ => mistake("something that is no further array follows the array's end".to_owned()),
            };
        }
        if self.array && !self.inside {
            return match byte {
                b'[' => {
                    self.inside = true;
                    Ok(())
                }
                _ if space => Ok(()),
                _ => mistake("it is no JSON array; leave --input-format array out".to_owned()),
            };
        }
        if self.depth == 0 {
            match byte {
                b']' if self.array => {
                    self.done = true;
                    self.end(out);
                    return Ok(());
                }
                b',' if self.array => {
                    self.end(out);
                    return Ok(());
                }
                // A value that is not an object ends at white space or where the next value starts.
                _ if space => {
                    self.end(out);
                    return Ok(());
                }
                b'{' | b'[' | b'"' if !self.array => self.end(out),
                _ => {}
            }
        }
        self.begun = true;
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        out.push(if space { b' ' } else { byte });
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.begun) {
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, format: InputFormat) -> Result<String, String> {
        let mut out = Vec::new();
        match Values::new(format).copy(&mut text.as_bytes(), &mut out) {
            Ok(()) => Ok(String::from_utf8(out).unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn values_become_lines() {
        for (text, expected) in [
            ("[{\"a\":1},\n {\"b\":[\"]\", \"\\\"\"]}\n]\n", "{\"a\":1}\n{\"b\":[\"]\", \"\\\"\"]}\n"),
            ("[]", ""),
            (" [ 1, [2,3] ] ", "1\n[2,3]\n"),
            ("[{\"a\":1}][]\n[2,3]", "{\"a\":1}\n2\n3\n"),
            ("[\"a\nb\"]", "\"a\rb\"\n"),
        ] {
            assert_eq!(lines(text, InputFormat::Array).as_deref(), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("{\n  \"a\": 1\n}\n{\n  \"b\": {\r\n\"c\": 2}\n}", "{   \"a\": 1 }\n{   \"b\": {  \"c\": 2} }\n"),
            ("{}{}[1]\n2 3", "{}\n{}\n[1]\n2\n3\n"),
            ("", ""),
        ] {
            assert_eq!(lines(text, InputFormat::Json).as_deref(), Ok(expected), "{text}");
        }
        for (text, format) in [
            ("{}", InputFormat::Array),
            ("[{}", InputFormat::Array),
            ("[{}] x", InputFormat::Array),
            ("[{}] [", InputFormat::Array),
            ("{\"a\":", InputFormat::Json),
        ] {
            assert!(lines(text, format).is_err(), "{text}");
        }
    }

    #[test]
    fn what_comes_before_a_mistake_is_kept() {
        let mut out = Vec::new();
        let done = Values::new(InputFormat::Array).copy(&mut &b"[1,2] x"[..], &mut out);
        assert!(done.is_err());
        assert_eq!(out, b"1\n2\n");
    }
}
