//! Reads the source in blocks of whole lines: a database, a command, a file or standard input.
//!
//! A source that ends with an error counts as unread. Its rows are
//! discarded, because rows missing at its end would look deleted.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use flate2::read::MultiGzDecoder;

use super::adbc::process::{self, Reading, Script};
use super::config::{Config, Input};
use super::error::{Error, Result, plain};

/// The approximate size of a block in bytes.
const BLOCK: usize = 256 << 10;

/// The most bytes that are kept of a command's standard error.
const TAIL: usize = 4 << 10;

/// Whole lines.
pub struct Block {
    /// The lines, each with its line end; the last line of the source may lack it.
    pub bytes: Vec<u8>,
    /// The number of the first line, from 1.
    pub first_line: u64,
    /// The number and the length of a line after them that is over the limit.
    pub too_long: Option<(u64, u64)>,
}

/// Stops the command or the query of a source that is being read.
#[derive(Clone, Default)]
pub struct Stopper(Arc<Mutex<Stoppable>>);

/// What to stop. Locked while a command starts, so that no command starts after a stop.
#[derive(Default)]
struct Stoppable {
    pid: Option<rustix::process::Pid>,
    /// Dropping this ends the query.
    hold: Option<OwnedFd>,
    is_stopped: bool,
}

impl Stopper {
    /// Stops the source and all processes it has started. A source that has not started yet does not start.
    pub fn stop(&self) {
        let pid = self.0.lock().map(|mut place| {
            place.is_stopped = true;
            place.hold = None;
            place.pid.take()
        });
        if let Some(pid) = pid.unwrap_or_default() {
            // The command may have ended by itself.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::TERM);
        }
    }
}

/// An open source.
pub struct Source {
    reader: Box<dyn Read + Send>,
    name: String,
    running: Option<Running>,
    warnings: Vec<String>,
    stopper: Stopper,
    limit: usize,
    line: u64,
    /// Bytes that were read and not returned yet: the start of a line.
    rest: Vec<u8>,
    ended: bool,
    /// Whether the last line had a line end.
    is_whole: bool,
}

/// The process that writes the rows.
enum Running {
    Command { child: Child, tail: JoinHandle<Vec<u8>> },
    Query(Reading),
}

impl Source {
    /// Opens the source of a sync.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(config: &Config, stopper: Stopper) -> Result<Self> {
        Self::open_with(config, stopper, None)
    }

    /// Opens the source of a sync. `script` replaces the query of a database.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_with(config: &Config, stopper: Stopper, script: Option<Script>) -> Result<Self> {
        let input = &config.source.input;
        let name = input.to_string();
        let started_late = || Error::new("the sync was ended before its source was started");
        let (reader, running): (Box<dyn Read + Send>, _) = match input {
            Input::Stdin => (Box::new(io::stdin()), None),
            Input::File(path) => {
                let opened = File::open(path).and_then(|file| {
                    if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
                });
                let file = opened.map_err(|error| {
                    Error::new(format!("cannot read {name}: {}", plain(&error)))
                        .help("a relative path starts in the folder of the config")
                })?;
                (Box::new(file), None)
            }
            Input::Command(words) => {
                let mut place = stopper.0.lock().map_err(|_| Error::new("the source is in an unknown state"))?;
                if place.is_stopped {
                    return Err(started_late());
                }
                let (out, child, tail) = start(words, config)?;
                place.pid = Some(rustix::process::Pid::from_child(&child));
                (Box::new(out), Some(Running::Command { child, tail }))
            }
            Input::Adbc(adbc) => {
                let mut place = stopper.0.lock().map_err(|_| Error::new("the source is in an unknown state"))?;
                if place.is_stopped {
                    return Err(started_late());
                }
                let started = process::start(adbc, &config.dir, script)?;
                place.hold = Some(started.hold);
                (Box::new(started.rows), Some(Running::Query(started.reading)))
            }
        };
        let is_query = matches!(running, Some(Running::Query(_)));
        let unpacked = if is_query { Ok(reader) } else { unpacked(reader) };
        let reader = unpacked.map_err(|error| Error::new(format!("cannot read {name}: {}", plain(&error))))?;
        let limit = config.source.row_limit;
        let (warnings, rest) = (Vec::new(), Vec::new());
        Ok(Self { reader, name, running, warnings, stopper, limit, line: 1, rest, ended: false, is_whole: true })
    }

    /// Returns the next block; `None` at the end.
    ///
    /// # Errors
    /// When the source fails.
    pub fn next_block(&mut self) -> Result<Option<Block>> {
        let mut bytes = std::mem::take(&mut self.rest);
        let first_line = self.line;
        loop {
            if self.ended {
                return match bytes.is_empty() {
                    true => self.end().map(|()| None),
                    false => {
                        self.is_whole = false;
                        self.line += 1;
                        Ok(Some(Block { bytes, first_line, too_long: None }))
                    }
                };
            }
            let start = bytes.len();
            let want = BLOCK.max(start);
            bytes.resize(start + want, 0);
            let n = self.fill(&mut bytes[start..]);
            let n = n.map_err(|error| self.failed(&error))?;
            bytes.truncate(start + n);
            self.ended = n < want;
            if first_line == 1 && start == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
                bytes.drain(..3);
            }
            if let Some(end) = memchr::memrchr(b'\n', &bytes) {
                self.rest = bytes.split_off(end + 1);
                self.line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
                return Ok(Some(Block { bytes, first_line, too_long: None }));
            }
            if bytes.len() > self.limit {
                return self.skip(bytes.len() as u64).map(Some);
            }
        }
    }

    /// Reads until the buffer is full or the input ends.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut at = 0;
        while at < buffer.len() {
            match self.reader.read(&mut buffer[at..]) {
                Ok(0) => break,
                Ok(n) => at += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(at)
    }

    /// Skips the rest of a line that is over the limit.
    fn skip(&mut self, read: u64) -> Result<Block> {
        let mut len = read;
        let mut buffer = vec![0; BLOCK];
        while !self.ended {
            let n = self.fill(&mut buffer).map_err(|error| self.failed(&error))?;
            self.ended = n < buffer.len();
            if let Some(end) = memchr::memchr(b'\n', &buffer[..n]) {
                len += end as u64;
                self.rest = buffer[end + 1..n].to_vec();
                break;
            }
            len += n as u64;
        }
        let line = self.line;
        self.line += 1;
        Ok(Block { bytes: Vec::new(), first_line: line, too_long: Some((line, len)) })
    }

    /// Returns whether the last line that was read had a line end.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    fn failed(&mut self, error: &io::Error) -> Error {
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => "it is cut off: its compressed data have no end".to_owned(),
            _ => plain(error),
        };
        self.stopper.stop();
        nothing_sent(Error::new(format!("{} failed at line {}: {reason}", self.name, self.line)))
    }

    /// Returns the warnings about values that the source could not pass on unchanged; known at its end.
    pub fn warnings(self) -> Vec<String> {
        let mut source = self;
        std::mem::take(&mut source.warnings)
    }

    /// Waits for the process that writes the rows, and checks how it ended.
    fn end(&mut self) -> Result<()> {
        let lines = self.line - 1;
        let status = match self.running.take() {
            None => return Ok(()),
            Some(Running::Query(reading)) => {
                let warnings = reading.end(lines);
                self.release();
                self.warnings = warnings.map_err(query_failed)?.0;
                return Ok(());
            }
            Some(Running::Command { mut child, tail }) => {
                let status = child.wait();
                self.release();
                status.map(|status| (status, tail.join().unwrap_or_default()))
            }
        };
        match status {
            Ok((status, _)) if status.success() => Ok(()),
            Ok((status, tail)) => Err(command_failed(&self.name, &status.to_string(), lines, &tail)),
            Err(error) => Err(command_failed(&self.name, &plain(&error), lines, &[])),
        }
    }

    /// Clears the stopper, as nothing is left to stop.
    fn release(&self) {
        if let Ok(mut place) = self.stopper.0.lock() {
            (place.pid, place.hold) = (None, None);
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        match self.running.take() {
            None => {}
            Some(Running::Command { mut child, .. }) => {
                self.stopper.stop();
                let _ = child.kill();
                let _ = child.wait();
            }
            Some(Running::Query(reading)) => {
                self.stopper.stop();
                reading.give_up();
            }
        }
    }
}

fn nothing_sent(error: Error) -> Error {
    error.help("nothing was sent and nothing was deleted; run the sync again when the source works")
}

fn command_failed(name: &str, status: &str, rows: u64, tail: &[u8]) -> Error {
    let said = String::from_utf8_lossy(tail);
    let said = said.trim();
    let lines = if rows == 1 { "line" } else { "lines" };
    let mut message = format!("{name} failed after {rows} {lines} ({status})");
    if !said.is_empty() {
        message.push_str(&format!(": {said}"));
    }
    held_or_not(nothing_sent(Error::new(message)), said)
}

/// Adds help for a locked database. Its message decides only about the help.
fn held_or_not(error: Error, said: &str) -> Error {
    if said.contains("set lock on file") || said.contains("database is locked") {
        return error.help("another process, dbt perhaps, holds the database: run the sync when it has ended");
    }
    error
}

fn query_failed(error: Error) -> Error {
    let said = error.message.clone();
    held_or_not(if error.help.is_some() { error } else { nothing_sent(error) }, &said)
}

fn start(words: &[String], config: &Config) -> Result<(ChildStdout, Child, JoinHandle<Vec<u8>>)> {
    let dir = if config.dir.as_os_str().is_empty() { ".".as_ref() } else { config.dir.as_path() };
    let spawned = Command::new(&words[0])
        .args(&words[1..])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = spawned.map_err(|error| {
        let help = match error.kind() {
            io::ErrorKind::NotFound => "see that the program is installed and in PATH",
            _ => "see that the program can be run",
        };
        Error::new(format!("cannot run the source command {}: {}", words[0], plain(&error))).help(help)
    })?;
    let (Some(out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::new("the source command has no output"));
    };
    let tail = std::thread::spawn(move || {
        let (mut tail, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(n @ 1..) = err.read(&mut buffer) {
            tail.extend_from_slice(&buffer[..n]);
            let over = tail.len().saturating_sub(TAIL);
            tail.drain(..over);
        }
        tail
    });
    Ok((out, child, tail))
}

/// Decompresses input that starts like a gzip file.
fn unpacked(mut reader: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::new();
    reader.by_ref().take(2).read_to_end(&mut head)?;
    let is_gzip = head == [0x1f, 0x8b];
    let whole = io::Cursor::new(head).chain(reader);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, whole))) } else { Box::new(whole) })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;

    type Lines = (Vec<(u64, usize)>, Vec<(u64, u64)>, bool);

    fn lines(content: &[u8], limit: &str) -> Lines {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rows"), content).unwrap();
        let text = format!(
            "[source]\nfile = \"rows\"\nkey = \"id\"\nrow_limit = \"{limit}\"\n\
             [[sink]]\nname = \"o\"\nkind = \"file\"\npath = \"o\"\n"
        );
        let config = Config::parse(&text, &dir.path().join("s.toml")).unwrap();
        let mut source = Source::open(&config, Stopper::default()).unwrap();
        let (mut short, mut long) = (Vec::new(), Vec::new());
        while let Some(block) = source.next_block().unwrap() {
            for (index, line) in block.bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
                short.push((block.first_line + index as u64, line.len()));
            }
            long.extend(block.too_long);
        }
        (short, long, source.is_whole())
    }

    #[test]
    fn lines_keep_their_numbers_and_long_ones_are_skipped() {
        let long = "x".repeat(3 << 20);
        let text = format!("a\n{long}\nbb\n{}", "c\n".repeat(300_000));
        let (short, skipped, whole) = lines(text.as_bytes(), "1MiB");
        assert_eq!(skipped, [(2, 3 << 20)]);
        assert_eq!(&short[..3], [(1, 2), (3, 3), (4, 2)]);
        assert_eq!(short.last(), Some(&(300_003, 2)));
        assert!(whole);
        let (short, skipped, whole) = lines(b"a\nb", "1MiB");
        assert_eq!((short, skipped, whole), (vec![(1, 2), (2, 1)], vec![], false));
    }

    #[test]
    fn a_gzip_file_is_unpacked() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"one\ntwo\n").unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(lines(&packed, "1MiB").0, [(1, 4), (2, 4)]);
    }

    #[test]
    fn a_command_that_fails_says_what_it_said() {
        let text = "[source]\ncommand = [\"sh\", \"-c\", \"echo 1; echo no lock >&2; exit 3\"]\nkey = \"id\"\n\
                    [[sink]]\nname = \"o\"\nkind = \"file\"\npath = \"o\"\n";
        let config = Config::parse(text, Path::new("s.toml")).unwrap();
        let mut source = Source::open(&config, Stopper::default()).unwrap();
        assert!(source.next_block().unwrap().is_some());
        let error = source.next_block().err().unwrap();
        assert!(error.message.contains("failed after 1 line (exit status: 3): no lock"), "{error}");
    }
}
