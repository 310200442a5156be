//! The contents of the state, and its changes.

use std::sync::Arc;

use super::super::row::Fingerprint;

/// How a row was settled with a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The destination has acknowledged it.
    Sent = 1,
    /// The transformation dropped it.
    Dropped = 2,
    /// It was marked as sent.
    Baseline = 3,
    /// The event's `integrations` do not name the sink.
    NotForSink = 4,
}

impl Settlement {
    /// Returns the name, as reports and the warehouse show it.
    pub fn name(self) -> &'static str {
        match self {
            Settlement::Sent => "sent",
            Settlement::Dropped => "dropped",
            Settlement::Baseline => "baseline",
            Settlement::NotForSink => "not for this sink",
        }
    }

    pub(super) fn from_name(name: &str) -> Self {
        let all = [Settlement::Dropped, Settlement::Baseline, Settlement::NotForSink];
        all.into_iter().find(|how| how.name() == name).unwrap_or(Settlement::Sent)
    }

    pub(super) fn from_number(number: i64) -> Self {
        match number {
            2 => Settlement::Dropped,
            3 => Settlement::Baseline,
            4 => Settlement::NotForSink,
            _ => Settlement::Sent,
        }
    }
}

/// What a sink has settled for a key.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The sink's number in the state.
    pub sink: i64,
    /// The fingerprint of the row that was settled last.
    pub fingerprint: Fingerprint,
    /// How it was settled.
    pub how: Settlement,
    /// The fingerprint of the row that the sink has, the last one it acknowledged. `None` if it never got a row of this
    /// key. Differs from the settled row if that was dropped.
    pub acknowledged: Option<Fingerprint>,
    /// The run in which it was settled.
    pub run: i64,
}

/// Why a row is not settled.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The key.
    pub key: String,
    /// The sink's number in the state.
    pub sink: i64,
    /// The row's fingerprint; empty for a delete.
    pub fingerprint: Vec<u8>,
    /// `failed` or `pending`.
    pub kind: String,
    /// Where it happened: `transformation`, `sink` or `destination`.
    pub stage: String,
    /// Why it is not settled.
    pub reason: String,
    /// The answer of the destination.
    pub answer: Option<String>,
    /// How often the row was tried.
    pub tries: u64,
    /// The hash of the code it was tried with.
    pub code: String,
    /// The last run in which it happened.
    pub run: i64,
    /// When it happened last.
    pub at: String,
}

/// A change of the state.
pub struct Change {
    /// The row's key.
    pub key: Arc<str>,
    /// The sink's number in the state.
    pub sink: i64,
    /// The kind of change.
    pub kind: ChangeKind,
}

/// The kind of a change.
pub enum ChangeKind {
    /// The row is settled.
    Settled {
        /// The row's fingerprint.
        fingerprint: Fingerprint,
        /// How it was settled.
        how: Settlement,
        /// The mapped columns, if they are stored.
        row: Option<Arc<[u8]>>,
    },
    /// The key is gone: its delete was acknowledged or dropped, or no row of it was ever sent.
    Gone,
    /// The row is about to be sent: until an answer arrives, the sink may or may not have it.
    Doubt,
    /// The row is not settled.
    Problem {
        /// The row's fingerprint; `None` for a delete.
        fingerprint: Option<Fingerprint>,
        /// Whether this counts as a try.
        failed: bool,
        /// Whether it is certain that the sink does not have the row.
        sure: bool,
        /// Where it happened.
        stage: &'static str,
        /// Why it is not settled.
        reason: String,
        /// The answer of the destination.
        answer: Option<String>,
    },
}

/// A run, as stored.
#[derive(Clone, Debug)]
pub struct Run {
    /// The run's number.
    pub id: i64,
    /// The run's id in events.
    pub uuid: String,
    /// `sync`, `retry` or `baseline`.
    pub command: String,
    /// When it started.
    pub started: String,
    /// When it ended, if it did.
    pub ended: Option<String>,
    /// How it ended.
    pub result: Option<String>,
    /// The hash of the code.
    pub code: String,
    /// The hash of the mapping.
    pub mapping: String,
    /// The counts, as JSON.
    pub counts: Option<String>,
}
