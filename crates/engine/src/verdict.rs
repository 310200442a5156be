//! The possible results of an event.
//!
//! Every input line gets exactly one [`Verdict`]: `ok`, `dropped` or `failed` with a [`FailureKind`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The event produced this many output events (one or more).
    Ok {
        /// The number of output events.
        outputs: u32,
    },
    /// The transformation chose to output nothing.
    Dropped,
    /// The event could not be transformed. Boxed: failures are rare and large, verdicts are passed around by value.
    Failed(Box<Failure>),
}

/// Why an event failed, with everything that helps to fix it.
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
    /// The position in the author's code, if known.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
    /// What to type instead, for known mistakes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub help: Option<String>,
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
    /// A failure with only a kind and a message.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, name: None, message: message.into(), stack: None, position: None, help: None }
    }
}

impl Failure {
    /// Adds what to type instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
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

            /// The name in verdict lines, dead letters and summaries.
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
    /// The event's output is larger than the limit.
    OutputTooLarge = "output_too_large",
    /// The transformation returned a promise that nothing can settle.
    NeverSettles = "never_settles",
    /// The event alone killed a fresh worker process.
    Crashed = "crashed",
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
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
}
