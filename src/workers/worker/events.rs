//! Parses one line or one batch, runs it, and writes its verdict.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::in_flight::Finished;
use super::output_format::{output_framing, render_logs};
use super::split::trim;
use super::{Worker, thread_cpu};
use crate::config::{Emit, LineFormat};
use crate::wire::envelope::{self, Envelope, NoEnvelope};
use crate::wire::frame::{LineFailure, LineNote, Work};
use crate::wire::shared::progress;
use crate::wire::{field, row, verdict_line};
use crate::workers::Cost;
use crate::workers::line_limit::line_too_long;
use sluicegate_engine::verdict::{Failure, FailureKind, Verdict};
use sluicegate_engine::{Event, LogLine, UnsafeRead};
use sluicegate_json::Sink;

impl Worker {
    pub(super) fn line(&mut self, work: Work, number: u32, line: &[u8]) -> io::Result<()> {
        self.begin(number)?;
        let before = self.sink.len;
        let line = trim(line);
        let whole = OnceCell::new();
        match self.event(line, &whole) {
            Ok(None) => {
                self.part.blank += 1;
                self.settle(number, line, before, Verdict::Dropped);
            }
            Ok(Some((event, around))) => {
                let framing = output_framing(self.emit, self.rows, around);
                let before_cpu = self.measure.then(thread_cpu);
                let verdict = self.engine.transform_event(event, &framing, &mut self.sink);
                self.part.requests += u64::from(self.engine.requests());
                self.cost(before_cpu);
                if let Some(read) = self.engine.unsafe_read() {
                    self.note_read(number, &read);
                }
                self.render_logs(work, number);
                self.settle(number, line, before, verdict);
            }
            Err(failure) => self.settle(number, line, before, failure.into()),
        }
        Ok(())
    }

    /// Adds the logs of the last event.
    pub(super) fn render_logs(&mut self, work: Work, number: u32) {
        render_logs(self.engine.logs(), work.first_line + u64::from(number), &mut self.part.logs);
    }

    /// Adds an unsafe number that the code has read in a line.
    pub(super) fn note_read(&mut self, line: u32, read: &UnsafeRead) {
        let note = serde_json::to_vec(read).expect("plain data");
        self.part.reads.push(LineNote { line, note });
    }

    /// Books a line that was finished out of order.
    pub(super) fn settle_kept(&mut self, work: Work, number: u32, line: &[u8], finished: Finished) {
        let before = self.sink.len;
        self.sink.push(&finished.text);
        self.part.blank += u32::from(finished.blank);
        self.part.requests += u64::from(finished.requests);
        render_logs(&finished.logs, work.first_line + u64::from(number), &mut self.part.logs);
        if let Some(read) = &finished.unsafe_read {
            self.note_read(number, read);
        }
        self.settle(number, line, before, finished.verdict);
    }

    /// Adds the cost since `before` to the logs, if the run measures costs.
    pub(super) fn cost(&mut self, before: Option<Duration>) {
        let Some(before) = before else { return };
        let cpu = thread_cpu().saturating_sub(before).as_nanos() as u64;
        let cost = Cost { cpu, heap: self.engine.heap_used() as u64 };
        serde_json::to_writer(&mut self.part.logs, &cost).expect("plain data");
        self.part.logs.push(b'\n');
    }

    /// Runs lines together in `transformBatch`.
    pub(super) fn chunk(&mut self, work: Work, first: u32, lines: &[&[u8]]) -> io::Result<()> {
        self.begin(first)?;
        let mut events = Vec::with_capacity(lines.len());
        let mut around = Vec::with_capacity(lines.len());
        let mut settled: Vec<Option<Verdict>> = Vec::with_capacity(lines.len());
        let wholes: Vec<OnceCell<Vec<u8>>> = lines.iter().map(|_| OnceCell::new()).collect();
        for (line, whole) in lines.iter().zip(&wholes) {
            match self.event(trim(line), whole) {
                Ok(Some((event, here))) => {
                    events.push(event);
                    around.push(here);
                    settled.push(None);
                }
                Ok(None) => settled.push(Some(Verdict::Dropped)),
                Err(failure) => settled.push(Some(failure.into())),
            }
        }
        let (emit, rows) = (self.emit, self.rows);
        let mut answers: VecDeque<(Verdict, Vec<u8>, Vec<LogLine>)> = VecDeque::new();
        let before_cpu = self.measure.then(thread_cpu);
        let progress = progress(self.output);
        self.engine.transform_batch(
            &events,
            &mut |index| output_framing(emit, rows, around[index]),
            &mut |verdict, text, logs| {
                // This can take a while if every event runs alone.
                progress.events.store(progress.events.load(Ordering::Relaxed) + 1, Ordering::Release);
                answers.push_back((verdict, text, logs.to_vec()));
            },
        );
        self.part.requests += u64::from(self.engine.requests());
        self.cost(before_cpu);
        let read = self.engine.unsafe_read();
        let mut event = 0;
        for (index, (line, settled)) in lines.iter().zip(settled).enumerate() {
            let number = first + index as u32;
            if index > 0 {
                // Each line needs room for its output, and the part may be reported to make room. The current line is
                // unknown in a batch.
                self.begin(number)?;
            }
            let before = self.sink.len;
            let verdict = match settled {
                Some(verdict) => {
                    // Only a blank line is dropped without being run. It is counted in the part that reports it.
                    self.part.blank += u32::from(matches!(verdict, Verdict::Dropped));
                    verdict
                }
                None => {
                    let Some((verdict, text, logs)) = answers.pop_front() else { continue };
                    if let Some(read) = read.as_ref().filter(|read| read.index == event) {
                        self.note_read(number, read);
                    }
                    event += 1;
                    self.sink.push(&text);
                    render_logs(&logs, work.first_line + u64::from(number), &mut self.part.logs);
                    verdict
                }
            };
            self.settle(number, trim(line), before, verdict);
        }
        Ok(())
    }

    /// Returns the event of a line, and the parts of the line around it; `None` for a blank line. `whole` stores the
    /// line without duplicate fields, or an event that the line contains as a string.
    #[allow(clippy::type_complexity, reason = "used twice, right here")]
    pub(super) fn event<'b>(
        &self,
        line: &'b [u8],
        whole: &'b OnceCell<Vec<u8>>,
    ) -> Result<Option<(Event<'b>, (&'b [u8], &'b [u8]))>, Failure> {
        match self.event_of(line) {
            Err(NoEnvelope::Failed(failure)) => Err(failure),
            Err(NoEnvelope::Elsewhere(event)) => {
                let json = whole.get_or_init(|| event);
                Ok(Some((Event { json, metadata: None }, (b"", b""))))
            }
            Err(NoEnvelope::Duplicates) => {
                let whole = whole.get_or_init(|| envelope::without_duplicates(line));
                let twice = || Failure::new(FailureKind::InvalidJson, "the line has a field twice");
                self.event_of(whole).map_err(|error| match error {
                    NoEnvelope::Failed(failure) => failure,
                    NoEnvelope::Duplicates | NoEnvelope::Elsewhere(_) => twice(),
                })
            }
            Ok(event) => Ok(event),
        }
    }

    /// Does the same as [`Self::event`], if no field of an envelope appears twice.
    #[allow(clippy::type_complexity, reason = "used twice, right here")]
    pub(super) fn event_of<'b>(&self, line: &'b [u8]) -> Result<Option<(Event<'b>, (&'b [u8], &'b [u8]))>, NoEnvelope> {
        if self.rows {
            let broken = || NoEnvelope::Failed(Failure::new(FailureKind::InvalidJson, "the line is not a row"));
            return row::get(line).map(Some).ok_or_else(broken);
        }
        let limit = self.engine.limits().line;
        if line.len() > limit {
            return Err(NoEnvelope::Failed(line_too_long(line.len() as u64, limit)));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        match &self.line_format {
            LineFormat::Event => return Ok(Some((Event { json: line, metadata: None }, (b"", b"")))),
            LineFormat::Field(name) => {
                let event = match field::event(line, name).map_err(NoEnvelope::Failed)? {
                    Cow::Borrowed(event) => event,
                    Cow::Owned(event) => return Err(NoEnvelope::Elsewhere(event)),
                };
                return Ok(Some((Event { json: event, metadata: None }, (b"", b""))));
            }
            LineFormat::Envelope => {}
        }
        let Envelope { message, metadata } = envelope::parse(line)?;
        let start = message.as_ptr() as usize - line.as_ptr() as usize;
        let around = (&line[..start], &line[start + message.len()..]);
        Ok(Some((Event { json: message, metadata }, around)))
    }

    /// Books one line's verdict.
    pub(super) fn settle(&mut self, number: u32, line: &[u8], before: usize, verdict: Verdict) {
        self.part.lines += 1;
        match verdict {
            Verdict::Ok { outputs } => {
                if self.emit == Emit::Framed {
                    self.sink.insert(before, &verdict_line::ok(outputs));
                }
                self.part.ok += 1;
                self.part.events_out += u64::from(outputs);
            }
            Verdict::Dropped => {
                self.part.dropped += 1;
                if self.rows {
                    self.part.dropped_lines.push(number);
                } else if self.emit.has_verdicts() {
                    let mut text = Vec::new();
                    verdict_line::dropped(self.metadata(line).as_deref(), &mut text);
                    self.sink.push(&text);
                }
            }
            Verdict::Failed(mut failure) => {
                match failure.kind {
                    // For every line format, the message about invalid JSON is the same.
                    FailureKind::InvalidJson if self.line_format != LineFormat::Event => {
                        if let Some(message) = self.engine.why_not_json(line) {
                            failure.message = message;
                        }
                    }
                    // The help text explains how to read an array, which this run already does.
                    FailureKind::NotAnObject if self.elements => failure.help = None,
                    _ => {}
                }
                if self.emit.has_verdicts() {
                    let mut text = Vec::new();
                    verdict_line::failed(&failure, self.metadata(line).as_deref(), &mut text);
                    self.sink.push(&text);
                } else if self.pass {
                    self.sink.push(line);
                    self.sink.push(b"\n");
                }
                let failure = serde_json::to_vec(&*failure).expect("a failure is plain data");
                self.pending += failure.len();
                self.part.failures.push(LineFailure { line: number, output_at: before as u64, failure });
            }
        }
    }

    /// Returns the metadata of a line's envelope, which every verdict repeats.
    pub(super) fn metadata<'b>(&self, line: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        if self.line_format == LineFormat::Envelope { envelope::metadata(line) } else { None }
    }
}
