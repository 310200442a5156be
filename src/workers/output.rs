//! The only module that writes a run's results: outputs to standard output or a file, failures to the dead letters, log
//! lines to the logs. It runs on its own thread, so that a slow reader of the output delays only the output.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::output_check::OutputFormat;
use super::side_stream::SideStream;
use super::work_queue::{self, Chunk, LineRef};
use crate::config::{Emit, LineFormat, OnError, Target, VerdictDetail};
use crate::tally::Tally;
use crate::wire::dead_letter::Origin;
use crate::wire::frame::{LineFailure, Part};
use crate::wire::lines::{FILL, Lines};
use crate::wire::shared::{Layout, Mapping};
use crate::wire::{dead_letter, envelope, verdict_line};
use sluicegate_engine::verdict::Failure;

/// A message from the writer to the supervisor.
pub(super) enum Written {
    /// An output slot is free again.
    Free { worker: usize, generation: u64, slot: u32 },
    /// The reader of standard output closed it.
    Closed,
    /// Standard output cannot be written; the report contains the error.
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
    pub(super) line: LineFormat,
    pub(super) verdict_detail: VerdictDetail,
    pub(super) origins: Option<Arc<[Origin]>>,
    pub(super) layout: Layout,
}

impl Config {
    /// Returns the dead letter for a line of an input.
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
            envelope: self.line == LineFormat::Envelope,
            input_field: match &self.line {
                LineFormat::Field(name) => Some(name.as_str().into()),
                LineFormat::Event | LineFormat::Envelope => None,
            },
            run: Some(self.run.as_str().into()),
        }
    }
}

/// The writer's results.
#[derive(Default)]
pub(super) struct Report {
    pub(super) bytes_out: u64,
    /// Verdicts and events that the writer received and did not write.
    pub(super) unwritten: Tally,
    /// The temporary file with the dead letters.
    pub(super) kept: Option<std::path::PathBuf>,
    /// The error that ended standard output early, unless its reader closed it.
    pub(super) out: Option<io::Error>,
    /// Side streams that could not be written, once each.
    pub(super) failed: Vec<(String, io::Error)>,
}

/// The number of bytes that are copied before their lines are counted.
const COUNTED: usize = 16 << 10;

/// The writer.
pub(super) struct Writer {
    config: Config,
    out: Output,
    errors: SideStream,
    logs: SideStream,
    report: Report,
    scratch: Vec<u8>,
    /// The output of one part, in memory that no worker can access.
    copy: Vec<u8>,
    closed: bool,
}

impl Writer {
    /// Opens the side streams. The output goes to `file`, or to standard output.
    pub(super) fn open(config: Config, file: Option<File>) -> Result<Self, (String, io::Error)> {
        Ok(Self {
            out: Output { file, written: 0 },
            errors: SideStream::open("dead letters", &config.errors, config.truncate)?,
            logs: SideStream::open("logs", config.logs.as_ref().unwrap_or(&Target::Nowhere), config.truncate)?,
            config,
            report: Report::default(),
            scratch: Vec::new(),
            copy: Vec::new(),
            closed: false,
        })
    }

    /// Writes all chunks until the channel closes.
    pub(super) fn run(mut self, chunks: &Receiver<Chunk>, tell: &mut dyn FnMut(Written)) -> Report {
        while let Ok(chunk) = chunks.recv() {
            let slot = match &chunk {
                Chunk::Answer { part, output: work_queue::Output::Slot(_), worker, generation, .. }
                    if part.holds_slot() =>
                {
                    Some(Written::Free { worker: *worker, generation: *generation, slot: part.slot })
                }
                _ => None,
            };
            if let Err(error) = self.chunk(&chunk) {
                self.closed = true;
                self.lose(&chunk);
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
        self.errors.end();
        self.logs.end();
        self.report.bytes_out = self.out.written;
        self.report.kept = self.errors.kept().map(Into::into);
        self.report.failed.extend(self.errors.failed.take());
        self.report.failed.extend(self.logs.failed.take());
        self.report
    }

    /// Counts the verdicts and events of a chunk that is not written.
    fn lose(&mut self, chunk: &Chunk) {
        let verdicts = self.config.emit.has_verdicts();
        let failures = verdicts || self.config.on_error == OnError::Pass;
        let unwritten = &mut self.report.unwritten;
        match chunk {
            Chunk::Answer { part, .. } => {
                unwritten.ok += u64::from(part.ok);
                unwritten.events_out += part.events_out;
                if verdicts {
                    unwritten.dropped += u64::from(part.dropped);
                    unwritten.blank += u64::from(part.blank);
                }
                if failures {
                    part.failures.iter().for_each(|failed| unwritten.fail(failure_of(failed).kind));
                }
            }
            Chunk::Blamed { failure, .. } if failures => unwritten.fail(failure.kind),
            Chunk::Blamed { .. } => {}
        }
    }

    /// Writes a chunk. Returns only errors of standard output; the side streams record their own.
    fn chunk(&mut self, chunk: &Chunk) -> io::Result<()> {
        match chunk {
            Chunk::Answer { part, lines, output, .. } => {
                if !part.logs.is_empty() && self.logs.wanted() {
                    self.logs.write(&part.logs);
                }
                if !part.failures.is_empty() && self.errors.wanted() {
                    self.scratch.clear();
                    let mut records = std::mem::take(&mut self.scratch);
                    for (line, failed) in failed_lines(part, lines) {
                        self.record(&line, failure_of(failed), &mut records);
                    }
                    self.errors.write(&records);
                    self.scratch = records;
                }
                if part.bytes == 0 {
                    return Ok(());
                }
                if self.closed {
                    self.lose(chunk);
                    return Ok(());
                }
                self.answer(part, lines, output)
            }
            Chunk::Blamed { line, failure } => self.blamed(chunk, line, failure),
        }
    }

    /// Writes the output of a part. The output was checked when the part was booked (see [`super::output_check`]).
    fn answer(&mut self, part: &Part, answered: &Lines, output: &work_queue::Output) -> io::Result<()> {
        match output {
            // The copy was checked, and nothing can have changed it since.
            work_queue::Output::Checked(copy) => self.write(part, answered, copy.bytes()),
            work_queue::Output::Aside(bytes) => self.write_if_the_same(part, answered, bytes, lines_in(bytes)),
            work_queue::Output::Slot(memory) => {
                let mut copy = std::mem::take(&mut self.copy);
                let has = self.copy_from(memory, part, &mut copy);
                let written = self.write_if_the_same(part, answered, &copy, has);
                copy.shrink_to(2 * FILL);
                self.copy = copy;
                written
            }
        }
    }

    /// Copies the output of a part out of its slot. Returns the number of its lines.
    fn copy_from(&self, memory: &Mapping, part: &Part, copy: &mut Vec<u8>) -> u64 {
        let (start, len) = (self.config.layout.output_start(part.slot as usize), part.bytes as usize);
        copy.clear();
        copy.reserve(len);
        // SAFETY: the range was checked against the region when the part was booked. The worker does not write to
        // the slot until it is told that the slot is free. A compromised worker may, hence the copy, which no
        // worker can access.
        let shared = unsafe { std::slice::from_raw_parts(memory.at(start, len), len) };
        let mut has = 0;
        for piece in shared.chunks(COUNTED) {
            let before = copy.len();
            copy.extend_from_slice(piece);
            // Counts lines in the copy, which is still in the processor's cache.
            has += lines_in(&copy[before..]);
        }
        has
    }

    /// Writes a copy of output that was made after the output was checked. Fails if the copy does not match the part,
    /// because the output has changed since. `has` is the number of lines in the copy.
    fn write_if_the_same(&mut self, part: &Part, answered: &Lines, bytes: &[u8], has: u64) -> io::Result<()> {
        let as_checked = match (self.config.emit, self.config.on_error) {
            (Emit::Verdicts, _) => has == u64::from(part.lines),
            // Only their text shows which lines are verdicts.
            (Emit::Framed, _) => OutputFormat::Framed.fits(part, answered, 0, bytes),
            (Emit::Events, OnError::Pass) => has == part.events_out + part.failures.len() as u64,
            (Emit::Events, _) => has == part.events_out,
        };
        if as_checked { self.write(part, answered, bytes) } else { Err(changed_later()) }
    }

    fn write(&mut self, part: &Part, answered: &Lines, bytes: &[u8]) -> io::Result<()> {
        match self.config.emit {
            Emit::Verdicts | Emit::Framed if self.has_full_failures(part) => self.answer_in_full(part, answered, bytes),
            Emit::Events | Emit::Verdicts | Emit::Framed => self.out.write_all(bytes),
        }
    }

    fn has_full_failures(&self, part: &Part) -> bool {
        self.config.verdict_detail == VerdictDetail::Full && !part.failures.is_empty()
    }

    /// Writes verdict lines. Those of failed events get the full details.
    fn answer_in_full(&mut self, part: &Part, answered: &Lines, output: &[u8]) -> io::Result<()> {
        let mut text = Vec::with_capacity(2 * output.len());
        let mut written = 0;
        for (line, failed) in failed_lines(part, answered) {
            let at = failed.output_at as usize;
            text.extend_from_slice(output.get(written..at).ok_or_else(changed_later)?);
            written = memchr::memchr(b'\n', &output[at..]).map_or(output.len(), |end| at + end + 1);
            self.failed_in_full(&line, failure_of(failed), &mut text);
        }
        text.extend_from_slice(&output[written..]);
        self.out.write_all(&text)
    }

    fn failed_in_full(&self, line: &Lines, failure: Failure, out: &mut Vec<u8>) {
        let record = self.config.record(line.input, line.first_line, line.offset, failure);
        let event = trimmed(line.bytes());
        verdict_line::failed_in_full(&record, event, self.metadata(event).as_deref(), out);
    }

    /// Returns the metadata that a verdict line repeats.
    fn metadata<'b>(&self, line: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        if self.config.line == LineFormat::Envelope { envelope::metadata(line) } else { None }
    }

    fn record(&self, line: &Lines, failure: Failure, out: &mut Vec<u8>) {
        let record = self.config.record(line.input, line.first_line, line.offset, failure);
        dead_letter::write(out, &record, trimmed(line.bytes()));
    }

    /// Writes the verdict on a line that no worker could answer.
    fn blamed(&mut self, chunk: &Chunk, line: &LineRef, failure: &Failure) -> io::Result<()> {
        if self.errors.wanted() {
            match line {
                LineRef::Short(line) => {
                    let mut record = Vec::new();
                    self.record(line, failure.clone(), &mut record);
                    self.errors.write(&record);
                }
                LineRef::Long(line) => self.long_record(line, failure),
            }
        }
        if self.closed {
            self.lose(chunk);
            return Ok(());
        }
        match (self.config.emit, self.config.on_error, line) {
            (Emit::Verdicts | Emit::Framed, _, LineRef::Long(line)) => {
                let mut text = Vec::new();
                if self.config.verdict_detail == VerdictDetail::Short {
                    verdict_line::failed(failure, None, &mut text);
                    return self.out.write_all(&text);
                }
                let record = self.config.record(line.input, line.line, line.offset, failure.clone());
                let mut out = io::BufWriter::with_capacity(256 << 10, &mut self.out);
                verdict_line::failed_in_full_long(&mut out, &record, line.reader())?;
                out.flush()
            }
            (Emit::Verdicts | Emit::Framed, _, LineRef::Short(line)) => {
                let mut text = Vec::new();
                if self.config.verdict_detail == VerdictDetail::Full {
                    self.failed_in_full(line, failure.clone(), &mut text);
                } else {
                    verdict_line::failed(failure, self.metadata(trimmed(line.bytes())).as_deref(), &mut text);
                }
                self.out.write_all(&text)
            }
            (Emit::Events, OnError::Pass, LineRef::Short(line)) => {
                let mut text = trimmed(line.bytes()).to_vec();
                text.push(b'\n');
                self.out.write_all(&text)
            }
            (Emit::Events, OnError::Pass, LineRef::Long(line)) => {
                let mut reader = line.reader();
                let mut buffer = vec![0; 256 << 10];
                loop {
                    match reader.read(&mut buffer)? {
                        0 => return self.out.write_all(b"\n"),
                        n => self.out.write_all(&buffer[..n])?,
                    }
                }
            }
            (Emit::Events, ..) => Ok(()),
        }
    }

    fn long_record(&mut self, line: &crate::wire::lines::Long, failure: &Failure) {
        let record = self.config.record(line.input, line.line, line.offset, failure.clone());
        self.errors.write_with(&mut |out| dead_letter::write_long(out, &record, line.reader()));
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

fn changed_later() -> io::Error {
    io::Error::other("a worker changed its output after it had been checked; nothing of it was written")
}

/// Standard output, or the file that replaces it.
struct Output {
    file: Option<File>,
    written: u64,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stdout = io::stdout();
        let out = self.file.as_ref().map_or(stdout.as_fd(), File::as_fd);
        loop {
            // Not through `Stdout`, which would buffer lines and copy output that is already contiguous.
            match rustix::io::write(out, bytes) {
                Ok(n) => {
                    self.written += n as u64;
                    return Ok(n);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let mut fds = [rustix::event::PollFd::new(&out, rustix::event::PollFlags::OUT)];
                    let _ = rustix::event::poll(&mut fds, None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the failures of a part, each with its line.
fn failed_lines<'a>(part: &'a Part, lines: &'a Lines) -> impl Iterator<Item = (Lines, &'a LineFailure)> {
    let mut rest = lines.part(0, lines.count);
    let mut passed = 0;
    part.failures.iter().map(move |failed| {
        // Continues after the previous failure instead of starting again.
        rest = rest.part(u64::from(failed.line) - passed, rest.count + passed - u64::from(failed.line));
        passed = u64::from(failed.line);
        (rest.part(0, 1), failed)
    })
}

fn failure_of(failed: &LineFailure) -> Failure {
    serde_json::from_slice(&failed.failure).unwrap_or_else(|_| unreadable())
}

/// Returns a line without its line end.
fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

pub(super) fn unreadable() -> Failure {
    Failure::new(sluicegate_engine::verdict::FailureKind::Crashed, "the worker's account of the failure cannot be read")
}
