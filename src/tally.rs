//! Counts verdicts, and derives the exit code.
//!
//! [`Tally`] checks conservation (`in = ok + dropped + failed`) and determines, together with [`FailOn`], the exit code
//! of a run. It depends only on the engine's verdicts.

use std::fmt;
use std::str::FromStr;

use sluicegate_engine::verdict::FailureKind;

/// The counts of verdicts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines read, counted by the reader, independently of the verdicts.
    pub lines_in: u64,
    /// Events with output.
    pub ok: u64,
    /// Events that the transformation dropped, including blank lines.
    pub dropped: u64,
    /// The number of blank lines among the dropped.
    pub blank: u64,
    /// Failed events by kind, indexed like [`FailureKind::ALL`].
    pub failed: [u64; FailureKind::ALL.len()],
    /// Output events.
    pub events_out: u64,
    /// Events that have a verdict but whose output could not be written; they count nowhere else.
    pub not_written: u64,
}

impl Tally {
    /// Counts one failure.
    pub fn fail(&mut self, kind: FailureKind) {
        self.failed[kind as usize] += 1;
    }

    /// Returns the number of all failures.
    pub fn failures(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Returns whether every line that was read has exactly one verdict.
    pub fn is_conserved(&self) -> bool {
        self.lines_in == self.ok + self.dropped + self.failures() + self.not_written
    }

    /// Moves these verdicts to `not_written`, because their output could not be written.
    pub fn take_back(&mut self, unwritten: &Self) {
        self.ok -= unwritten.ok;
        self.dropped -= unwritten.dropped;
        self.blank -= unwritten.blank;
        self.failed.iter_mut().zip(unwritten.failed).for_each(|(all, lost)| *all -= lost);
        self.events_out -= unwritten.events_out;
        self.not_written += unwritten.ok + unwritten.dropped + unwritten.failures();
    }

    /// Returns the exit code of a run that reached the end: 0 or 1, see [`FailOn`]; 2 if an event was lost or counted
    /// twice, which is a bug of this program and must never look like success.
    pub fn exit_code(&self, fail_on: FailOn) -> u8 {
        if !self.is_conserved() {
            return exit::COULD_NOT_RUN;
        }
        let failed = self.failures();
        let too_many = match fail_on {
            FailOn::Never => false,
            FailOn::Error => failed > 0,
            FailOn::Percent(limit) => failed as f64 * 100.0 > limit * self.lines_in as f64,
        };
        if too_many { exit::EVENTS_FAILED } else { exit::COMPLETE }
    }
}

/// Writes e.g. `1000 in = 612 ok + 380 dropped + 8 failed (5 exception, 2 timeout, 1 memory) · 640 events out`.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equals = if self.is_conserved() { "=" } else { "≠" };
        write!(f, "{} in {equals} {} ok + {} dropped", self.lines_in, self.ok, self.dropped)?;
        if self.blank > 0 {
            write!(f, " ({} blank)", self.blank)?;
        }
        write!(f, " + {} failed", self.failures())?;
        let kinds: Vec<String> = FailureKind::ALL
            .iter()
            .filter(|kind| self.failed[**kind as usize] > 0)
            .map(|kind| format!("{} {kind}", self.failed[*kind as usize]))
            .collect();
        if !kinds.is_empty() {
            write!(f, " ({})", kinds.join(", "))?;
        }
        if self.not_written > 0 {
            write!(f, " + {} not written", self.not_written)?;
        }
        write!(f, " · {} events out", self.events_out)
    }
}

/// The condition for exit code 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FailOn {
    /// A run that reached the end is a success, whatever its events' verdicts.
    Never,
    /// One failed event makes the run a failure.
    Error,
    /// More than this share of failed events, in percent, makes the run a failure.
    Percent(f64),
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(FailOn::Never),
            "error" => Ok(FailOn::Error),
            _ => text
                .strip_suffix('%')
                .and_then(|number| number.trim().parse::<f64>().ok())
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(FailOn::Percent)
                .ok_or_else(|| "expected `never`, `error` or a percentage such as `1%`".to_owned()),
        }
    }
}

/// The exit codes of every command.
pub mod exit {
    /// The run is complete, drops included.
    pub const COMPLETE: u8 = 0;
    /// The run is complete, and at least one event failed (see [`super::FailOn`]).
    pub const EVENTS_FAILED: u8 = 1;
    /// Could not run: flags, config, compile errors, I/O.
    pub const COULD_NOT_RUN: u8 = 2;
    /// Ended early by SIGHUP, everything in flight finished.
    pub const HUNG_UP: u8 = 129;
    /// Ended early by SIGINT, everything in flight finished.
    pub const INTERRUPTED: u8 = 130;
    /// Ended early by SIGTERM, everything in flight finished.
    pub const TERMINATED: u8 = 143;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_names_only_the_kinds_that_occurred() {
        let mut tally = Tally { lines_in: 1000, ok: 612, dropped: 380, events_out: 640, ..Tally::default() };
        for (kind, n) in [(FailureKind::Exception, 5), (FailureKind::Timeout, 2), (FailureKind::Memory, 1)] {
            (0..n).for_each(|_| tally.fail(kind));
        }
        assert_eq!(
            tally.to_string(),
            "1000 in = 612 ok + 380 dropped + 8 failed (5 exception, 2 timeout, 1 memory) · 640 events out"
        );
    }

    #[test]
    fn what_was_not_written_counts_as_such() {
        let mut tally = Tally { lines_in: 10, ok: 6, dropped: 3, events_out: 7, ..Tally::default() };
        tally.fail(FailureKind::Exception);
        let mut unwritten = Tally { ok: 2, dropped: 1, events_out: 3, ..Tally::default() };
        unwritten.fail(FailureKind::Exception);
        tally.take_back(&unwritten);
        assert_eq!(tally.to_string(), "10 in = 4 ok + 2 dropped + 0 failed + 4 not written · 4 events out");
    }

    #[test]
    fn a_lost_event_is_never_a_success() {
        let tally = Tally { lines_in: 2, ok: 1, ..Tally::default() };
        assert_eq!(tally.exit_code(FailOn::Never), exit::COULD_NOT_RUN);
        assert!(tally.to_string().contains('≠'));
    }

    #[test]
    fn fail_on_draws_the_line() {
        let mut tally = Tally { lines_in: 100, ok: 98, ..Tally::default() };
        tally.fail(FailureKind::Exception);
        tally.fail(FailureKind::Crashed);
        assert_eq!(tally.exit_code(FailOn::Error), exit::EVENTS_FAILED);
        assert_eq!(tally.exit_code(FailOn::Never), exit::COMPLETE);
        assert_eq!(tally.exit_code("2%".parse().unwrap()), exit::COMPLETE);
        assert_eq!(tally.exit_code("1.9%".parse().unwrap()), exit::EVENTS_FAILED);
        assert!("2".parse::<FailOn>().is_err());
        assert!("101%".parse::<FailOn>().is_err());
    }
}
