//! The lines of a unit.

use crate::wire::row;

pub(super) fn trim(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Iterates over lines without their line ends. Nothing follows the last line end.
pub(super) struct Split<'a> {
    pub(super) rest: &'a [u8],
    /// Whether each line starts with its own length.
    pub(super) rows: bool,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let said = if self.rows { row::len(self.rest) } else { None };
        let end = match said {
            Some(len) if self.rest.get(len) == Some(&b'\n') => said,
            _ => memchr::memchr(b'\n', self.rest),
        };
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &self.rest[self.rest.len()..]),
        };
        self.rest = rest;
        Some(line)
    }
}
