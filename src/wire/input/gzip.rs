//! The members of a gzip file, one after the other.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::mistake;

/// Reads the contents of all members. Like gzip(1), treats zeros after the last member as padding, for
/// example of a tape.
pub(super) struct Members<R> {
    /// `None` after the end.
    member: Option<GzDecoder<R>>,
    is_first: bool,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(from: R) -> Self {
        Self { member: Some(GzDecoder::new(from)), is_first: true }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            match member.read(buffer) {
                Ok(0) => {}
                Err(error)
                    if error.kind() == io::ErrorKind::InvalidInput && !self.is_first && member.header().is_none() =>
                {
                    return trailing();
                }
                done => return done,
            }
            self.is_first = false;
            let Some(member) = self.member.take() else { break };
            let mut rest = member.into_inner();
            match first(&mut rest)? {
                None => {}
                Some(0) => skip_padding(&mut rest)?,
                Some(0x1F) => self.member = Some(GzDecoder::new(rest)),
                Some(_) => return trailing(),
            }
        }
        Ok(0)
    }
}

fn trailing<T>() -> io::Result<T> {
    mistake("something that is not gzip follows its compressed data; cut it off".to_owned())
}

/// Returns the next byte without consuming it.
fn first(from: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        match from.fill_buf() {
            Ok(bytes) => return Ok(bytes.first().copied()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn skip_padding(from: &mut impl BufRead) -> io::Result<()> {
    while let Some(byte) = first(from)? {
        if byte != 0 {
            return trailing();
        }
        from.consume(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::default());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> (String, Option<String>) {
        let mut text = String::new();
        let done = Members::new(bytes).read_to_string(&mut text);
        (text, done.err().map(|error| error.to_string()))
    }

    #[test]
    fn members_and_padding() {
        let two = [gzip("one\n"), gzip(""), gzip("two\n")].concat();
        assert_eq!(read(&two), ("one\ntwo\n".to_owned(), None));
        assert_eq!(read(&[&two[..], &[0; 700]].concat()), ("one\ntwo\n".to_owned(), None));
    }

    #[test]
    fn what_follows_and_what_is_missing_is_an_error_after_the_content() {
        for end in [&b"garbage"[..], b"\0\0x", b"\x1F\x8Bno", b"\x1Fx"] {
            let (text, error) = read(&[&gzip("one\n")[..], end].concat());
            assert_eq!(text, "one\n", "{end:?}");
            assert!(error.is_some(), "{end:?}");
        }
        let whole = gzip("one\n");
        for len in 1..whole.len() {
            assert!(read(&whole[..len]).1.is_some(), "{len} bytes");
        }
    }
}
