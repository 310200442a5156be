//! What the state holds, and what changes it.

use std::sync::Arc;

use super::super::row::Fingerprint;

/// How a row is settled with a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The destination has it.
    Sent = 1,
    /// The transformation dropped it.
    Dropped = 2,
    /// It was marked as sent.
    Baseline = 3,
    /// Its `integrations` do not name the sink.
    NotForSink = 4,
}

impl Settlement {
    /// Its name.
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

/// How far a sink is with the rows of a key.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The sink's number in the state.
    pub sink: i64,
    /// The fingerprint of the row that was settled last.
    pub fingerprint: Fingerprint,
    /// How.
    pub how: Settlement,
    /// The fingerprint of the row that the sink has: it acknowledged that one last. `None` if it never got one of this key.
    /// It is another row than the settled one if that was dropped.
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
    /// Why.
    pub reason: String,
    /// What the destination answered.
    pub answer: Option<String>,
    /// How often it was tried.
    pub tries: u64,
    /// The hash of the code that it was tried with.
    pub code: String,
    /// The run in which it happened last.
    pub run: i64,
    /// When.
    pub at: String,
}

/// A change of the state.
pub struct Change {
    /// The row's key.
    pub key: Arc<str>,
    /// The sink's number in the state.
    pub sink: i64,
    /// What changes.
    pub what: What,
}

/// What changes.
pub enum What {
    /// The row is settled.
    Settled {
        /// Its fingerprint.
        fingerprint: Fingerprint,
        /// How.
        how: Settlement,
        /// Its mapped columns, if they are kept.
        row: Option<Arc<[u8]>>,
    },
    /// The key is gone: its delete is acknowledged, or nothing of it was ever sent.
    Gone,
    /// It is about to be sent: until there is an answer, the sink may have it or not.
    Doubt,
    /// The row is not settled.
    Problem {
        /// Its fingerprint; `None` for a delete.
        fingerprint: Option<Fingerprint>,
        /// Whether it counts as a try.
        failed: bool,
        /// Whether it is sure that the sink does not have it.
        sure: bool,
        /// Where it happened.
        stage: &'static str,
        /// Why.
        reason: String,
        /// What the destination answered.
        answer: Option<String>,
    },
}

/// A run, as it is kept.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its number.
    pub id: i64,
    /// Its id in events.
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
