//! A file of JSON lines, one event per line, appended in whole batches.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{FlockOperation, flock};

use super::super::error::plain;
use super::{ItemAnswer, Reply};

/// The sink.
pub struct FileSink {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl FileSink {
    /// Creates the sink. The file is opened by the first write.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: Mutex::new(None) }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a batch.
    pub fn send(&self, items: &[&[u8]]) -> Reply {
        let mut lines = Vec::with_capacity(items.iter().map(|item| item.len() + 1).sum());
        for item in items {
            lines.extend_from_slice(item);
            lines.push(b'\n');
        }
        match self.append(&lines) {
            Ok(()) => Reply::Items(vec![ItemAnswer::Accepted; items.len()]),
            Err(error) => Reply::Stop {
                reason: format!("cannot write {}: {}", self.path.display(), plain(&error)),
                help: "see to the file and the disk, and run the sync again".to_owned(),
            },
        }
    }

    fn append(&self, lines: &[u8]) -> io::Result<()> {
        let mut place = self.file.lock().map_err(|_| io::Error::other("the file is in an unknown state"))?;
        let file = match &mut *place {
            Some(file) => file,
            none => none.insert(open(&self.path)?),
        };
        // A pipe can't seek.
        let end = file.seek(SeekFrom::End(0)).unwrap_or(0);
        file.write_all(lines).and_then(|()| synced(file)).inspect_err(|_| {
            // A partly written batch is not acknowledged and must not stay in the file.
            let _ = file.set_len(end);
        })
    }
}

/// Waits until the disk has the data: the state must not be ahead of the file. Pipes and devices have nothing to sync.
fn synced(file: &File) -> io::Result<()> {
    match file.sync_data() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// Opens the file exclusively, and removes an incomplete last line, left by a process that was killed.
fn open(path: &Path) -> io::Result<File> {
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| io::Error::new(io::ErrorKind::WouldBlock, "another sync writes to it"))?;
    if !file.metadata()?.is_file() {
        return Ok(file);
    }
    let len = file.metadata()?.len();
    let mut end = len;
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = memchr::memrchr(b'\n', part) {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < len {
        file.set_len(end)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_not_finished_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        for (before, expected) in [("", "x\n"), ("a\nb\n", "a\nb\nx\n"), ("a\nb", "a\nx\n"), ("{\"par", "x\n")] {
            std::fs::write(&path, before).unwrap();
            let sink = FileSink::new(&path);
            assert!(matches!(sink.send(&[b"x"]), Reply::Items(_)));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        }
    }

    #[test]
    fn two_syncs_do_not_write_to_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        let (one, other) = (FileSink::new(&path), FileSink::new(&path));
        one.send(&[b"a"]);
        assert!(matches!(other.send(&[b"b"]), Reply::Stop { .. }));
    }
}
