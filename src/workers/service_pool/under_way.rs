//! A request that is being answered, with the rows that are ready.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{LOGS_END_HERE, MAX_LOGS, Rows, ServiceAnswer, UnitResult, size_of};
use crate::wire::frame::Part;
use crate::wire::lines::Lines;
use crate::wire::shared::Mapping;
use crate::workers::RunError;
use crate::workers::budget::Reservation;
use crate::workers::output::unreadable;
use sluicegate_engine::LogLine;
use sluicegate_engine::verdict::{Failure, FailureKind};

/// A request under way.
pub(super) struct UnderWay {
    pub(super) rows: Rows,
    /// The number of its events that were handed to the pool.
    pub(super) handed: usize,
    /// The size to which its units are filled, in bytes: at most [`MAX_BYTES`], and about the same for all units.
    pub(super) unit: usize,
    /// The most events in one of its units.
    pub(super) most_events: u64,
    pub(super) unanswered: usize,
    /// The results so far, by the number of the first event that each covers.
    pub(super) known: Vec<(usize, Vec<UnitResult>)>,
    pub(super) answer: ServiceAnswer,
    /// The memory reserved for the answer.
    pub(super) memory: Reservation,
    /// The bytes of output from the workers, including output that was rejected for its size.
    pub(super) made: usize,
    /// Whether some logs were left out.
    pub(super) logs_are_cut: bool,
    pub(super) reply: oneshot::Sender<Result<ServiceAnswer, Arc<RunError>>>,
}

impl UnderWay {
    pub(super) fn fail(&mut self, index: usize, failure: Failure) {
        self.unanswered -= 1;
        self.answer.tally.fail(failure.kind);
        self.known.push((index, vec![UnitResult::Failed(index, failure)]));
    }

    /// Fails the events of this part because their outputs exceed the limit.
    pub(super) fn too_much(&mut self, part: &Part, first: usize, from: usize, max: usize) {
        let message = format!("the outputs of the request's events together are over the limit of {} MiB", max >> 20);
        for line in from..from + part.lines as usize {
            self.fail(first + line, Failure::new(FailureKind::OutputTooLarge, message.clone()));
        }
    }

    pub(super) fn log(&mut self, logs: &[u8]) {
        if self.logs_are_cut {
            return;
        }
        let kept = &mut self.answer.logs;
        let whole_lines = &logs[..logs.len().min(MAX_LOGS - kept.len())];
        let whole_lines = memchr::memrchr(b'\n', whole_lines).map_or(0, |end| end + 1);
        kept.extend_from_slice(&logs[..whole_lines]);
        if whole_lines < logs.len() {
            let note = LogLine { level: "warn".into(), message: LOGS_END_HERE.to_owned() };
            serde_json::to_writer(&mut *kept, &note).expect("plain data");
            kept.push(b'\n');
            self.logs_are_cut = true;
        }
    }

    /// Books a worker's answer about the lines of a unit, starting with number `from`. Its output begins at `start`.
    pub(super) fn book(&mut self, part: Part, lines: &Lines, from: u64, output: &Mapping, start: usize, max: usize) {
        let first = lines.first_line as usize;
        let bytes = part.bytes as usize;
        // SAFETY: the range was checked against the region when the part was booked, and the worker does not write to
        // the slot before it is free again. A worker that breaks this rule corrupts only its own output.
        let text: &[u8] = unsafe { std::slice::from_raw_parts(output.at(start, bytes), bytes) };
        self.made += size_of(&part);
        if self.made > max {
            return self.too_much(&part, first, from as usize, max);
        }
        let tally = &mut self.answer.tally;
        tally.ok += u64::from(part.ok);
        tally.dropped += u64::from(part.dropped);
        tally.events_out += part.events_out;
        let mut outcomes = Vec::with_capacity(1 + 2 * part.failures.len() + part.dropped_lines.len());
        outcomes.extend(part.dropped_lines.iter().map(|line| UnitResult::Dropped(first + *line as usize)));
        let mut at = 0;
        let mut rows = |to: usize, outcomes: &mut Vec<UnitResult>| {
            if at < to {
                outcomes.push(UnitResult::Rows(text[at..to].to_vec()));
                at = to;
            }
        };
        for failed in part.failures {
            rows(failed.output_at as usize, &mut outcomes);
            let failure: Failure = serde_json::from_slice(&failed.failure).unwrap_or_else(|_| unreadable());
            tally.fail(failure.kind);
            outcomes.push(UnitResult::Failed(first + failed.line as usize, failure));
        }
        rows(bytes, &mut outcomes);
        self.answer.cpu += Duration::from_nanos(part.cpu);
        self.log(&part.logs);
        if let Some(noted) = part.reads.first()
            && self.answer.unsafe_read.is_none()
        {
            self.answer.unsafe_read = serde_json::from_slice(&noted.note).ok();
        }
        self.unanswered -= part.lines as usize;
        self.known.push((first + from as usize, outcomes));
    }
}
