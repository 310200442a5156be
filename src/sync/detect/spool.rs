//! Rows to send and keys that are gone, in temporary files.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use super::super::row::{Fingerprint, Row};
use super::super::sorter::Sorted;
use super::{CLASSES, Class};

/// A row to send.
pub struct Spooled {
    /// The number of its line in the source.
    pub line: u64,
    /// Its key.
    pub key: String,
    /// How it compares with the state.
    pub class: Class,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The sinks that need it, one bit each, in the order of the config.
    pub sinks: u32,
    /// The text of the line.
    pub text: Vec<u8>,
}

/// Keys in a temporary file.
pub struct Keys(pub(super) Option<BufReader<File>>);

impl Keys {
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Returns the next key, and whether any row of it was ever sent; `None` at the end.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn next_key(&mut self) -> io::Result<Option<(String, bool)>> {
        let Some(reader) = &mut self.0 else { return Ok(None) };
        let Some(was_sent) = get_byte(reader)? else { return Ok(None) };
        Ok(Some((String::from_utf8_lossy(&get(reader)?).into_owned(), was_sent == 1)))
    }
}

/// Rows to send, in a temporary file, in the order of the source.
pub struct Spool {
    pub(super) file: File,
    pub(super) duplicates: Option<Sorted<8>>,
}

impl Spool {
    pub(super) fn all(&mut self) -> io::Result<SpoolReader> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(SpoolReader { reader: BufReader::with_capacity(256 << 10, file), duplicates: None, duplicate: None })
    }

    /// Returns the rows, without those whose key occurs more than once.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn rows(mut self) -> io::Result<SpoolReader> {
        let mut rows = self.all()?;
        rows.duplicates = self.duplicates.take();
        rows.duplicate = rows.duplicates.as_mut().map_or(Ok(None), Sorted::next_record)?.map(u64::from_be_bytes);
        Ok(rows)
    }
}

/// Reads rows to send.
pub struct SpoolReader {
    reader: BufReader<File>,
    duplicates: Option<Sorted<8>>,
    duplicate: Option<u64>,
}

impl SpoolReader {
    /// Returns the next row; `None` at the end.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn next_row(&mut self) -> io::Result<Option<Spooled>> {
        while let Some(row) = self.next_of_all()? {
            while let (Some(duplicates), Some(line)) = (&mut self.duplicates, self.duplicate)
                && line < row.line
            {
                self.duplicate = duplicates.next_record()?.map(u64::from_be_bytes);
            }
            if self.duplicate != Some(row.line) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn next_of_all(&mut self) -> io::Result<Option<Spooled>> {
        let Some(class) = get_byte(&mut self.reader)? else { return Ok(None) };
        let mut head = [0; 28];
        self.reader.read_exact(&mut head)?;
        let (mut line, mut sinks, mut fingerprint) = ([0; 8], [0; 4], [0; 16]);
        line.copy_from_slice(&head[..8]);
        sinks.copy_from_slice(&head[8..12]);
        fingerprint.copy_from_slice(&head[12..]);
        Ok(Some(Spooled {
            line: u64::from_le_bytes(line),
            class: CLASSES[usize::from(class)],
            sinks: u32::from_le_bytes(sinks),
            fingerprint,
            key: String::from_utf8_lossy(&get(&mut self.reader)?).into_owned(),
            text: get(&mut self.reader)?,
        }))
    }
}

pub(super) fn write_spooled(
    out: &mut impl Write,
    line: u64,
    row: &Row,
    class: Class,
    sinks: u32,
    text: &[u8],
) -> io::Result<()> {
    out.write_all(&[class as u8])?;
    out.write_all(&line.to_le_bytes())?;
    out.write_all(&sinks.to_le_bytes())?;
    out.write_all(&row.fingerprint)?;
    put(out, row.key.as_bytes())?;
    put(out, text)
}

pub(super) fn put(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u32).to_le_bytes())?;
    out.write_all(bytes)
}

fn get(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    reader.read_exact(&mut len)?;
    let mut bytes = vec![0; u32::from_le_bytes(len) as usize];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads the next byte; `None` at the end.
fn get_byte(reader: &mut impl Read) -> io::Result<Option<u8>> {
    let mut byte = [0];
    match reader.read(&mut byte)? {
        0 => Ok(None),
        _ => Ok(Some(byte[0])),
    }
}
