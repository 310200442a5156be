//! Chunks of lines, each preceded by a header line with its number of lines.

use std::io::{self, Read, Write};

use super::mistake;

/// Removes the header line of each chunk: ClickHouse's `send_chunk_header`.
pub(super) enum Chunks {
    /// The part of a header line that has been read.
    Header(Vec<u8>),
    /// The number of remaining lines in the chunk.
    Lines(u64),
}

impl Chunks {
    pub(super) fn copy(mut self, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
        let (mut buffer, mut torn) = (vec![0; 64 << 10], false);
        loop {
            let mut bytes = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => &buffer[..n],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            while !bytes.is_empty() {
                let rest = match &mut self {
                    Self::Header(header) => {
                        let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
                        header.extend_from_slice(&bytes[..end.min(MAX_HEADER)]);
                        if end < bytes.len() || header.len() >= MAX_HEADER {
                            self = Self::Lines(Self::count(header)?).next();
                        }
                        &bytes[bytes.len().min(end + 1)..]
                    }
                    Self::Lines(left) => {
                        let end = memchr::memchr_iter(b'\n', bytes).nth(*left as usize - 1);
                        let (lines, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
                        to.write_all(lines)?;
                        *left =
                            if end.is_some() { 0 } else { *left - memchr::memchr_iter(b'\n', lines).count() as u64 };
                        torn = !lines.ends_with(b"\n");
                        self = self.next();
                        rest
                    }
                };
                bytes = rest;
            }
        }
        match self {
            Self::Header(header) if header.is_empty() => Ok(()),
            // The last line of a file may have no line end.
            Self::Lines(1) if torn => Ok(()),
            Self::Header(header) => mistake(format!(
                "it ends in the middle of a chunk's header, after {:?}",
                String::from_utf8_lossy(&header)
            )),
            Self::Lines(left) => mistake(format!("it ends in the middle of a chunk: {left} of its lines are missing")),
        }
    }

    /// Expects a header after the last line of a chunk.
    fn next(self) -> Self {
        if matches!(self, Self::Lines(0)) { Self::Header(Vec::new()) } else { self }
    }

    fn count(header: &[u8]) -> io::Result<u64> {
        let text = String::from_utf8_lossy(header.trim_ascii());
        text.parse().ok().filter(|count| *count <= MAX_LINES).map_or_else(
            || {
                mistake(format!(
                    "a chunk starts with the number of its lines, and this one with {text:?}; is send_chunk_header set, or \
                     should --chunk-header be left out?"
                ))
            },
            Ok,
        )
    }
}

/// The longest valid header line, in bytes.
const MAX_HEADER: usize = 32;

/// The most lines in a chunk.
const MAX_LINES: u64 = u32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the output for a text in chunks, read in pieces of `cut` bytes.
    fn chunks(text: &str, cut: usize) -> Result<String, String> {
        let (start, end) = text.as_bytes().split_at(cut);
        let mut out = Vec::new();
        match Chunks::Header(Vec::new()).copy(&mut start.chain(end), &mut out) {
            Ok(()) => Ok(String::from_utf8(out).unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn chunks_lose_their_headers() {
        for (text, expected) in [
            ("2\n{\"a\":1}\n{\"b\":2}\n1\n3\n", "{\"a\":1}\n{\"b\":2}\n3\n"),
            ("0\n1\r\n{}\n0\n", "{}\n"),
            ("1\n{}", "{}"),
            ("2\n\n\n", "\n\n"),
            ("", ""),
        ] {
            for cut in 0..=text.len() {
                assert_eq!(chunks(text, cut).as_deref(), Ok(expected), "{text:?} at {cut}");
            }
        }
        for (text, error) in [
            ("{\"a\":1}\n", "this one with \"{\\\"a\\\":1}\""),
            ("2\n{}\n", "1 of its lines are missing"),
            ("2\n{}", "2 of its lines are missing"),
            ("-1\n", "this one with"),
            ("99999999999\n", "this one with"),
            ("1\n{}\n12", "in the middle of a chunk's header"),
        ] {
            for cut in 0..=text.len() {
                let found = chunks(text, cut).unwrap_err();
                assert!(found.contains(error), "{text:?} at {cut}: {found}");
            }
        }
    }
}
