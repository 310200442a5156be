//! The one place that knows what can become of an event.
//!
//! Every input line gets exactly one [`Verdict`]: `ok`, `dropped` or `failed` with a [`FailureKind`].
//! [`Tally`] adds them up, proves conservation (`in = ok + dropped + failed`) and decides, together with
//! [`FailOn`], which exit code a run ends with. Nothing here depends on anything else of the crate, so that every
//! room may speak of verdicts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The event went out, as `outputs` output events (one or more).
    Ok {
        /// How many output events it became.
        outputs: u32,
    },
    /// The transformation decided that nothing goes out.
    Dropped,
    /// The event could not be transformed. Boxed: failures are rare and large, verdicts are passed around by value.
    Failed(Box<Failure>),
}

/// Why an event failed, with all that is known for whoever has to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class of the failure; stable, for machines.
    pub kind: FailureKind,
    /// The error's `name`, e.g. `TypeError`, where there was an error object.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// One sentence for people, without the stack.
    pub message: String,
    /// `Name: message` and V8's frames, down to the last one inside the transformation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stack: Option<String>,
    /// Where in the author's code it happened, where that is known.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
}

/// A place in the author's source, as the author wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The transformation's name or path, or `library <handle>`.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in UTF-16 code units, from 1, as V8 counts.
    pub column: u32,
}

impl Failure {
    /// A failure that has nothing but its kind and a sentence.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, name: None, message: message.into(), stack: None, position: None }
    }
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        Verdict::Failed(Box::new(failure))
    }
}

macro_rules! failure_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// The classes of failure. The names are part of the output format and do not change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FailureKind { $($(#[$doc])* $variant,)+ }

        impl FailureKind {
            /// All kinds, in the order in which a summary names them.
            pub const ALL: &[FailureKind] = &[$(FailureKind::$variant,)+];

            /// The name as it stands in verdict lines, dead letters and summaries.
            pub const fn name(self) -> &'static str {
                match self { $(FailureKind::$variant => $name,)+ }
            }
        }
    };
}

failure_kinds! {
    /// The line is not JSON, or not UTF-8.
    InvalidJson = "invalid_json",
    /// The line is JSON, but not an object.
    NotAnObject = "not_an_object",
    /// The line is longer than the limit.
    LineTooLong = "line_too_long",
    /// The transformation threw, or its promise was rejected.
    Exception = "exception",
    /// The transformation returned something that is not an event.
    BadReturn = "bad_return",
    /// The limit on CPU time or wall time was hit.
    Timeout = "timeout",
    /// The limit on the heap was hit by this event alone in a fresh isolate.
    Memory = "memory",
    /// What the event became is larger than the limit.
    OutputTooLarge = "output_too_large",
    /// The transformation returned a promise that nothing can settle any more.
    NeverSettles = "never_settles",
    /// The event alone killed a fresh worker process.
    Crashed = "crashed",
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Verdicts added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines read, counted by the reader, independently of the verdicts.
    pub lines_in: u64,
    /// Events that went out.
    pub ok: u64,
    /// Events that the transformation stopped; blank lines count here.
    pub dropped: u64,
    /// How many of the dropped were blank lines.
    pub blank: u64,
    /// Failed events by kind, indexed like [`FailureKind::ALL`].
    pub failed: [u64; FailureKind::ALL.len()],
    /// Output events.
    pub events_out: u64,
}

impl Tally {
    /// Counts one failure.
    pub fn fail(&mut self, kind: FailureKind) {
        self.failed[kind as usize] += 1;
    }

    /// All failures together.
    pub fn failures(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Whether every line that came in has exactly one verdict.
    pub fn is_conserved(&self) -> bool {
        self.lines_in == self.ok + self.dropped + self.failures()
    }

    /// The exit code of a run that went through to the end: 0 or 1, see [`FailOn`]; 2 if an event was lost or counted
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
        write!(f, " · {} events out", self.events_out)
    }
}

/// Where the line between exit codes 0 and 1 lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FailOn {
    /// A run that went through is a success, whatever became of its events.
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
    /// Ended early by SIGINT, everything in flight finished.
    pub const INTERRUPTED: u8 = 130;
    /// Ended early by SIGTERM, everything in flight finished.
    pub const TERMINATED: u8 = 143;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_with_serde() {
        for kind in FailureKind::ALL {
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{kind}\""));
        }
    }

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
