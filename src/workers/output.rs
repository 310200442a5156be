//! The one place that writes: outputs to standard output, failures to the dead letters, log lines to the logs. Runs on a
//! thread of its own, so that a reader that is slow to take the output holds up nothing but the output.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::work_queue::{Chunk, LineRef};
use crate::config::{Emit, OnError, Target};
use crate::wire::dead_letter::Origin;
use crate::wire::shared::Layout;
use crate::wire::{dead_letter, envelope, verdict_line};
use sluicegate_engine::verdict::Failure;

/// What the writer tells the supervisor.
pub(super) enum Written {
    /// An output slot may be used again.
    Free { worker: usize, generation: u64, slot: u32 },
    /// Whoever reads standard output went away.
    Closed,
    /// Standard output cannot be written; the report says why.
    Failed,
}

/// How to write.
pub(super) struct Config {
    pub(super) emit: Emit,
    pub(super) on_error: OnError,
    pub(super) errors: Target,
    pub(super) logs: Option<Target>,
    pub(super) truncate: bool,
    pub(super) run: String,
    pub(super) names: Vec<Option<String>>,
    pub(super) transformation: String,
    pub(super) code: String,
    pub(super) envelope: bool,
    pub(super) origins: Option<Arc<[Origin]>>,
    pub(super) layout: Layout,
}

impl Config {
    /// A dead letter for a line of an input.
    fn record(&self, input: usize, line: u64, offset: u64, failure: Failure) -> dead_letter::Record<'_> {
        let before = self.origins.as_ref().and_then(|origins| origins.get((line as usize).checked_sub(1)?));
        let (file, input_line, input_offset) = match before {
            Some(origin) => (origin.file.as_deref(), origin.line, origin.offset),
            None => (self.names[input].as_deref(), line, offset),
        };
        dead_letter::Record {
            input_file: file.map(Into::into),
            input_line,
            input_offset,
            failure,
            transformation: self.transformation.as_str().into(),
            code: self.code.as_str().into(),
            envelope: self.envelope,
            run: Some(self.run.as_str().into()),
        }
    }
}

/// What was written.
#[derive(Default)]
pub(super) struct Report {
    pub(super) bytes_out: u64,
    /// Why standard output could not be written to its end, unless its reader went away.
    pub(super) out: Option<io::Error>,
    /// Side streams that could not be written, once each.
    pub(super) failed: Vec<(String, io::Error)>,
}

/// A side stream that is never simply lost: what its file does not take goes to standard error.
struct Side {
    what: &'static str,
    name: String,
    to: Option<File>,
    stderr: bool,
}

impl Side {
    /// Opens it.
    fn open(what: &'static str, target: &Target, truncate: bool) -> Result<Self, (String, io::Error)> {
        let mut side = Self { what, name: String::new(), to: None, stderr: false };
        match target {
            Target::Nowhere => {}
            Target::Stderr => side.stderr = true,
            Target::File(path) => {
                side.name = path.display().to_string();
                // Several runs may share one file: each record goes to what is then its end.
                let opened = File::options().create(true).append(true).read(true).open(path).or_else(|error| {
                    // A pipe, say, or a file that may only be written.
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
                    Ok(file) => side.to = Some(file),
                    Err(error) => return Err((format!("{what} to {}", side.name), error)),
                }
            }
        }
        Ok(side)
    }

    fn wanted(&self) -> bool {
        self.to.is_some() || self.stderr
    }

    fn write(&mut self, bytes: &[u8], report: &mut Report) {
        if let Some(file) = self.to.as_mut()
            && let Err(error) = locked(file, |file| file.write_all(bytes))
        {
            self.give_up(error, report);
        } else if !self.stderr {
            return;
        }
        if self.stderr {
            let _ = io::stderr().write_all(bytes);
        }
    }

    /// From here on, to standard error. A record that was cut off in the file is written again as a whole.
    fn give_up(&mut self, error: io::Error, report: &mut Report) {
        let message = format!("error: cannot write {} to {}: {error}; they follow here\n", self.what, self.name);
        let _ = io::stderr().write_all(message.as_bytes());
        report.failed.push((format!("{} to {}", self.what, self.name), error));
        self.to = None;
        self.stderr = true;
    }
}

/// The writer.
pub(super) struct Writer {
    config: Config,
    errors: Side,
    logs: Side,
    report: Report,
    scratch: Vec<u8>,
    closed: bool,
}

impl Writer {
    /// Opens the side streams.
    pub(super) fn open(config: Config) -> Result<Self, (String, io::Error)> {
        Ok(Self {
            errors: Side::open("dead letters", &config.errors, config.truncate)?,
            logs: Side::open("logs", config.logs.as_ref().unwrap_or(&Target::Nowhere), config.truncate)?,
            config,
            report: Report::default(),
            scratch: Vec::new(),
            closed: false,
        })
    }

    /// Writes whatever comes, until nothing can come any more.
    pub(super) fn run(mut self, chunks: &Receiver<Chunk>, tell: &mut dyn FnMut(Written)) -> Report {
        while let Ok(chunk) = chunks.recv() {
            let slot = match &chunk {
                Chunk::Answer { part, worker, generation, .. } if part.bytes > 0 => {
                    Some(Written::Free { worker: *worker, generation: *generation, slot: part.slot })
                }
                _ => None,
            };
            if let Err(error) = self.chunk(&chunk)
                && !self.closed
            {
                self.closed = true;
                if error.kind() == io::ErrorKind::BrokenPipe {
                    tell(Written::Closed);
                } else {
                    self.report.out = Some(error);
                    tell(Written::Failed);
                }
            }
            drop(chunk);
            if let Some(free) = slot {
                tell(free);
            }
        }
        self.report
    }

    /// Only what standard output says is an error here; the side streams look after themselves.
    fn chunk(&mut self, chunk: &Chunk) -> io::Result<()> {
        match chunk {
            Chunk::Answer { part, lines, output, .. } => {
                if !part.logs.is_empty() && self.logs.wanted() {
                    self.logs.write(&part.logs, &mut self.report);
                }
                if !part.failures.is_empty() && self.errors.wanted() {
                    self.scratch.clear();
                    let mut records = std::mem::take(&mut self.scratch);
                    let mut rest = lines.part(0, lines.count);
                    let mut passed = 0;
                    for failed in &part.failures {
                        let failure = serde_json::from_slice(&failed.failure).unwrap_or_else(|_| unreadable());
                        // Onwards from the failure before, not from the start again.
                        rest = rest.part(u64::from(failed.line) - passed, rest.count + passed - u64::from(failed.line));
                        passed = u64::from(failed.line);
                        self.record(&rest.part(0, 1), failure, &mut records);
                    }
                    self.errors.write(&records, &mut self.report);
                    self.scratch = records;
                }
                if part.bytes == 0 || self.closed {
                    return Ok(());
                }
                let start = self.config.layout.output_start(part.slot as usize);
                // SAFETY: the range was checked against the region when the part was booked; the worker does not write
                // to the slot until it is told that it is free. One that did anyway could only spoil its own output.
                let bytes =
                    unsafe { std::slice::from_raw_parts(output.at(start, part.bytes as usize), part.bytes as usize) };
                self.out(bytes)
            }
            Chunk::Blamed { line, failure } => self.blamed(line, failure),
        }
    }

    fn record(&self, line: &crate::wire::lines::Lines, failure: Failure, out: &mut Vec<u8>) {
        let record = self.config.record(line.input, line.first_line, line.offset, failure);
        dead_letter::write(out, &record, trimmed(line.bytes()));
    }

    /// A line that no worker could answer.
    fn blamed(&mut self, line: &LineRef, failure: &Failure) -> io::Result<()> {
        if self.errors.wanted() {
            match line {
                LineRef::Short(line) => {
                    let mut record = Vec::new();
                    self.record(line, failure.clone(), &mut record);
                    self.errors.write(&record, &mut self.report);
                }
                LineRef::Long(line) => self.long_record(line, failure),
            }
        }
        if self.closed {
            return Ok(());
        }
        match (self.config.emit, self.config.on_error, line) {
            (Emit::Verdicts, ..) => {
                let mut text = Vec::new();
                let metadata = match line {
                    LineRef::Short(line) if self.config.envelope => envelope::metadata(trimmed(line.bytes())),
                    _ => None,
                };
                verdict_line::failed(failure, metadata.as_deref(), &mut text);
                self.out(&text)
            }
            (Emit::Events, OnError::Pass, LineRef::Short(line)) => {
                let mut text = trimmed(line.bytes()).to_vec();
                text.push(b'\n');
                self.out(&text)
            }
            (Emit::Events, OnError::Pass, LineRef::Long(line)) => {
                let mut stdout = io::stdout().lock();
                self.report.bytes_out += io::copy(&mut line.reader(), &mut stdout)? + 1;
                stdout.write_all(b"\n")?;
                stdout.flush()
            }
            (Emit::Events, ..) => Ok(()),
        }
    }

    fn long_record(&mut self, line: &crate::wire::lines::Long, failure: &Failure) {
        let record = self.config.record(line.input, line.line, line.offset, failure.clone());
        if let Some(file) = self.errors.to.as_mut() {
            let written = locked(file, |file| {
                let mut buffered = io::BufWriter::with_capacity(256 << 10, file);
                let written =
                    dead_letter::write_long(&mut buffered, &record, line.reader()).and_then(|()| buffered.flush());
                let _ = buffered.into_parts();
                written
            });
            match written {
                Ok(()) => return,
                Err(error) => self.errors.give_up(error, &mut self.report),
            }
        }
        let _ = dead_letter::write_long(&mut io::BufWriter::new(io::stderr().lock()), &record, line.reader());
    }

    fn out(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.report.bytes_out += bytes.len() as u64;
        let stdout = io::stdout();
        while !bytes.is_empty() {
            // Not through `Stdout`: it would buffer lines and copy what is already in one piece.
            match rustix::io::write(stdout.as_fd(), bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let mut fds = [rustix::event::PollFd::new(&stdout, rustix::event::PollFlags::OUT)];
                    let _ = rustix::event::poll(&mut fds, None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Writes whole lines to the end of a file that other processes may write to as well. What one of them had begun when it was killed
/// stays a line of its own.
fn locked(file: &mut File, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let Ok(metadata) = file.metadata() else { return write(file) };
    if !metadata.is_file() {
        return write(file);
    }
    // Not every file system has locks; each write goes to the end all the same.
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

/// A line without its end.
fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

pub(super) fn unreadable() -> Failure {
    Failure::new(sluicegate_engine::verdict::FailureKind::Crashed, "the worker's account of the failure cannot be read")
}
