//! The events of a bench: generated or from a file, written to files of the size that the measurements need.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::generate::{Events, Workload};
use super::{BenchError, MAX_WARM_UP};

/// The approximate size in bytes of all events, if their number is not given.
const BYTES: u64 = 48 << 20;

/// The maximum number of events, if their number is not given.
const MAX_EVENTS: u64 = 50_000;

/// The source of the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Generated events.
    Generated {
        /// Their kind.
        workload: Workload,
        /// Their seed.
        seed: u64,
    },
    /// A file. After its end, it is read from the start again.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Generated { workload, seed } => write!(f, "generated `{workload}` events, seed {seed}"),
            Source::File(path) => path.display().fmt(f),
        }
    }
}

/// The prepared files.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The warm-up events.
    pub warm_up_file: PathBuf,
    /// The measured events.
    pub events_file: PathBuf,
    /// The number of warm-up events.
    pub warm_up: u64,
    /// The number of measured events.
    pub events: u64,
    /// The size of the measured events in bytes.
    pub bytes: u64,
}

impl Source {
    /// Writes the files into `folder`.
    ///
    /// # Errors
    /// When the events cannot be read, there are none, or the files cannot be written.
    pub fn prepare(&self, folder: &Path, events: Option<u64>, warm_up: Option<u64>) -> Result<Prepared, BenchError> {
        let mut lines = Lines::new(self)?;
        let events_file = folder.join("events.jsonl");
        let (events, bytes) = lines.write(&events_file, |count, bytes| match events {
            Some(events) => count < events,
            None => count < MAX_EVENTS && bytes < BYTES,
        })?;
        let warm_up = warm_up.unwrap_or((events / 2).clamp(1, MAX_WARM_UP)).max(1);
        let warm_up_file = folder.join("warm-up.jsonl");
        lines.write(&warm_up_file, |count, _| count < warm_up)?;
        Ok(Prepared { warm_up_file, events_file, warm_up, events, bytes })
    }
}

enum Lines<'a> {
    Generated(Box<Events>, String),
    File { path: &'a Path, reader: BufReader<File>, line: Vec<u8>, found: bool },
}

impl<'a> Lines<'a> {
    fn new(source: &'a Source) -> io::Result<Self> {
        Ok(match source {
            Source::Generated { workload, seed } => {
                Lines::Generated(Box::new(Events::new(*workload, *seed)), String::new())
            }
            Source::File(path) => {
                Lines::File { path, reader: BufReader::new(File::open(path)?), line: Vec::new(), found: false }
            }
        })
    }

    /// Returns the next line that is not blank, with its line end.
    fn next(&mut self) -> Result<&[u8], BenchError> {
        match self {
            Lines::Generated(events, text) => {
                text.clear();
                events.next_into(text);
                Ok(text.as_bytes())
            }
            Lines::File { path, reader, line, found } => {
                let path: &Path = path;
                loop {
                    line.clear();
                    if reader.read_until(b'\n', line)? == 0 {
                        if !*found {
                            return Err(BenchError::NoEvents(path.display().to_string()));
                        }
                        *reader = BufReader::new(File::open(path)?);
                        *found = false;
                    } else if !line.trim_ascii().is_empty() {
                        break;
                    }
                }
                *found = true;
                if !line.ends_with(b"\n") {
                    line.push(b'\n');
                }
                Ok(line)
            }
        }
    }

    /// Writes lines while `more` returns true for the count and the bytes so far; returns both.
    fn write(&mut self, path: &Path, more: impl Fn(u64, u64) -> bool) -> Result<(u64, u64), BenchError> {
        let mut out = BufWriter::with_capacity(1 << 18, File::create(path)?);
        let (mut count, mut bytes) = (0, 0);
        while more(count, bytes) {
            let line = self.next()?;
            out.write_all(line)?;
            count += 1;
            bytes += line.len() as u64;
        }
        out.flush()?;
        Ok((count, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_file_is_read_again_and_an_empty_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.jsonl");
        std::fs::write(&path, "{\"a\":1}\n\n{\"a\":2}").unwrap();
        let prepared = Source::File(path.clone()).prepare(folder.path(), Some(5), Some(2)).unwrap();
        let text = std::fs::read_to_string(prepared.events_file).unwrap();
        assert_eq!(text, "{\"a\":1}\n{\"a\":2}\n{\"a\":1}\n{\"a\":2}\n{\"a\":1}\n");
        assert_eq!((prepared.events, prepared.warm_up, prepared.bytes), (5, 2, 40));
        std::fs::write(&path, "\n").unwrap();
        assert!(Source::File(path).prepare(folder.path(), None, None).is_err());
    }
}
