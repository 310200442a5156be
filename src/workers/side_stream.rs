//! Writes dead letters and logs to a file that other processes may append to, or to standard error. If neither
//! accepts them, they go to a temporary file, so that they are not lost and a host that does not read standard
//! error delays nothing.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::config::Target;
use crate::wire::stderr::{self, Unwritten};

/// A stream of whole lines that is separate from the output.
pub(super) struct SideStream {
    what: &'static str,
    to: Destination,
    /// Why the target could not be written to.
    pub(super) failed: Option<(String, io::Error)>,
}

enum Destination {
    Nowhere,
    Stderr,
    /// A temporary file, created at the first write.
    Later,
    File {
        name: String,
        file: File,
    },
    /// Standard error is not read, so the rest is in this file. `torn` says whether standard error ends in a partial
    /// line; `None` if the temporary file itself was requested.
    Temporary {
        path: PathBuf,
        file: File,
        torn: Option<bool>,
    },
}

impl SideStream {
    /// Opens the stream.
    pub(super) fn open(what: &'static str, target: &Target, truncate: bool) -> Result<Self, (String, io::Error)> {
        let to = match target {
            Target::Nowhere => Destination::Nowhere,
            Target::Stderr => Destination::Stderr,
            Target::Temporary => Destination::Later,
            Target::File(path) => {
                let name = path.display().to_string();
                // Several runs may share one file; each record is appended at its current end.
                let opened = File::options().create(true).append(true).read(true).open(path).or_else(|error| {
                    // For example a pipe, or a file without read permission.
                    if error.kind() == io::ErrorKind::PermissionDenied {
                        File::options().create(true).append(true).open(path)
                    } else {
                        Err(error)
                    }
                });
                let opened = opened.and_then(|file| {
                    if truncate && file.metadata()?.is_file() {
                        file.set_len(0)?;
                    }
                    Ok(file)
                });
                match opened {
                    Ok(file) => Destination::File { name, file },
                    Err(error) => return Err((format!("{what} to {name}"), error)),
                }
            }
        };
        Ok(Self { what, to, failed: None })
    }

    pub(super) fn wanted(&self) -> bool {
        !matches!(self.to, Destination::Nowhere)
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) {
        self.make();
        let written = match &mut self.to {
            Destination::Nowhere | Destination::Later => return,
            Destination::Stderr => stderr::write_many(lines),
            Destination::File { file, .. } | Destination::Temporary { file, .. } => {
                match locked(file, |file| file.write_all(lines)) {
                    Ok(()) => return,
                    Err(error) => {
                        self.give_up(error);
                        stderr::write_many(lines)
                    }
                }
            }
        };
        if let Err(Unwritten { taken, error }) = written {
            let whole = memchr::memrchr(b'\n', &lines[..taken]).map_or(0, |end| end + 1);
            self.leave_stderr(error, taken > whole);
            self.write_to_temporary(&mut |out| out.write_all(&lines[whole..]));
        }
    }

    /// Writes one line that is too long to hold in memory.
    pub(super) fn write_with(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) {
        self.make();
        let failed = match &mut self.to {
            Destination::Nowhere | Destination::Later => return,
            Destination::Stderr => None,
            Destination::File { file, .. } | Destination::Temporary { file, .. } => {
                match locked(file, |file| buffered(file, write)) {
                    Ok(()) => return,
                    Err(error) => Some(error),
                }
            }
        };
        if let Some(error) = failed {
            self.give_up(error);
        }
        if let Err(error) = buffered(&mut stderr::StderrWriter, write) {
            self.leave_stderr(Some(error), true);
            self.write_to_temporary(write);
        }
    }

    fn write_to_temporary(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) {
        let Destination::Temporary { file, .. } = &mut self.to else { return };
        if let Err(error) = buffered(file, write) {
            self.failed.get_or_insert_with(|| (self.what.to_owned(), error));
        }
    }

    /// Switches to standard error. A line that was cut off in the file is written again in full.
    fn give_up(&mut self, error: io::Error) {
        if let Destination::File { name, .. } = &self.to {
            let message = format!("error: cannot write {} to {name}: {error}; they follow here\n", self.what);
            stderr::say(message.as_bytes());
            self.failed.get_or_insert_with(|| (format!("{} to {name}", self.what), error));
        }
        self.to = Destination::Stderr;
    }

    /// Switches from standard error to a temporary file. If nothing reads standard error, or its reader has closed it,
    /// the run has not failed.
    fn leave_stderr(&mut self, error: Option<io::Error>, torn: bool) {
        let is_fault = |error: &io::Error| !matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::BrokenPipe);
        if let Some(error) = error.filter(is_fault) {
            self.failed.get_or_insert_with(|| (format!("{} to standard error", self.what), error));
        }
        self.keep(Some(torn));
    }

    /// Switches to a temporary file that is not deleted.
    fn keep(&mut self, torn: Option<bool>) {
        let made = tempfile::Builder::new()
            .prefix(&format!("sluicegate-{}-", self.what.replace(' ', "-")))
            .suffix(".jsonl")
            .tempfile()
            .and_then(|file| file.keep().map_err(|error| error.error));
        match made {
            Ok((file, path)) => self.to = Destination::Temporary { path, file, torn },
            Err(error) => {
                self.to = Destination::Nowhere;
                self.failed = Some((format!("{} to a temporary file", self.what), error));
            }
        }
    }

    /// Creates the temporary file that was requested.
    fn make(&mut self) {
        if let Destination::Later = self.to {
            self.keep(None);
        }
    }

    /// Returns the temporary file that was requested, if anything was written.
    pub(super) fn kept(&self) -> Option<&Path> {
        match &self.to {
            Destination::Temporary { path, torn: None, .. } => Some(path.as_path()),
            _ => None,
        }
    }

    /// Writes a note with the path of the temporary file, if standard error has not accepted everything.
    pub(super) fn end(&mut self) {
        if let Destination::Temporary { path, torn: Some(torn), .. } = &self.to {
            let start = if *torn { "\n" } else { "" };
            let note = format!(
                "{start}note: standard error is not read; the rest of the {} is in {}\n",
                self.what,
                path.display()
            );
            stderr::say(note.as_bytes());
        }
    }
}

fn buffered(file: &mut dyn Write, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut buffered = BufWriter::with_capacity(256 << 10, file);
    let written = write(&mut buffered).and_then(|()| buffered.flush());
    // Does not retry bytes that could not be written.
    let _ = buffered.into_parts();
    written
}

/// Appends whole lines to a file that other processes may write to as well. If another process was killed in the middle
/// of a line, its fragment stays on a line of its own.
fn locked(file: &mut File, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let Ok(metadata) = file.metadata() else { return write(file) };
    if !metadata.is_file() {
        return write(file);
    }
    // Not every file system supports locks; each write is appended in any case.
    let has_lock = rustix::fs::flock(&*file, rustix::fs::FlockOperation::LockExclusive).is_ok();
    let mut last = [b'\n'];
    let len = file.metadata().map_or(0, |metadata| metadata.len());
    if len > 0 {
        let _ = file.read_at(&mut last, len - 1);
    }
    let written = if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }.and_then(|()| write(file));
    if has_lock {
        let _ = rustix::fs::flock(&*file, rustix::fs::FlockOperation::Unlock);
    }
    written
}
