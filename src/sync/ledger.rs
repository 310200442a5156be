//! Writes the result of each row to the state and counts it, in one place and on one thread.
//!
//! A result counts only once the state has it. A row counts once all its sinks have a result. With several sinks the
//! worst result is the row's: failed, then pending, then sent, then dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::error::{Error, Result};
use super::row::Fingerprint;
use super::state::{Change, ChangeKind, Settlement, State};

/// The most results in one transaction.
const MAX_COMMIT: usize = 4096;

/// A row that is being sent.
pub struct RowState {
    /// Its key.
    pub key: Arc<str>,
    /// Its fingerprint; `None` for a delete.
    pub fingerprint: Option<Fingerprint>,
    /// The mapped columns, if they are stored.
    pub row: Option<Arc<[u8]>>,
    /// Whether it failed in an earlier run.
    pub is_retry: bool,
    /// The sinks that may have another row of this key without having acknowledged it, one bit each.
    pub doubts: u32,
    /// Whether the row is counted: false for a key that is only forgotten.
    is_counted: bool,
    /// Sinks that have no result yet.
    remaining: AtomicU32,
    /// The worst result so far.
    worst: AtomicU8,
}

impl RowState {
    /// Creates a row that gets a result from `sinks` sinks.
    pub fn new(
        key: &str,
        fingerprint: Option<Fingerprint>,
        row: Option<Arc<[u8]>>,
        is_retry: bool,
        doubts: u32,
        sinks: u32,
    ) -> Arc<Self> {
        let (remaining, worst) = (AtomicU32::new(sinks), AtomicU8::new(0));
        Arc::new(Self { key: Arc::from(key), fingerprint, row, is_retry, doubts, is_counted: true, remaining, worst })
    }
}

impl RowState {
    /// Creates the row of a key that is gone and was never sent: the state forgets the key, and the row is not counted.
    pub fn forgotten(key: &str) -> Arc<Self> {
        let (remaining, worst) = (AtomicU32::new(0), AtomicU8::new(0));
        let key = Arc::from(key);
        Arc::new(Self {
            key,
            fingerprint: None,
            row: None,
            is_retry: false,
            doubts: 0,
            is_counted: false,
            remaining,
            worst,
        })
    }
}

/// The result of a row at one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The row is about to be sent: not a result yet.
    Sending,
    /// The sink has acknowledged it.
    Sent,
    /// The transformation dropped it.
    Dropped,
    /// The event's `integrations` do not name the sink.
    NotForSink,
    /// It was marked as sent.
    Baseline,
    /// It was rejected.
    Failed {
        /// `transformation`, `mapping`, `sink` or `destination`.
        stage: &'static str,
        /// Why.
        reason: String,
        /// The answer of the destination.
        answer: Option<String>,
        /// Whether it is certain that the destination does not have the row.
        sure: bool,
    },
    /// It was not tried, because it was rejected too often before.
    GivenUp,
    /// There is no answer yet. If there is a reason, the row was tried, and the state keeps the reason.
    Pending(Option<String>),
}

impl Outcome {
    fn rank(&self) -> u8 {
        match self {
            Outcome::Sending => 0,
            Outcome::Dropped | Outcome::NotForSink => 1,
            Outcome::Sent | Outcome::Baseline => 2,
            Outcome::Pending(_) => 3,
            Outcome::Failed { .. } | Outcome::GivenUp => 4,
        }
    }
}

/// A result of a row at one sink.
pub struct Settle {
    /// The row.
    pub row: Arc<RowState>,
    /// The index of the sink in the config.
    pub sink: usize,
    /// The result.
    pub outcome: Outcome,
}

/// Results by row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SentCounts {
    /// Rows acknowledged by at least one sink and settled by all others.
    pub sent: u64,
    /// Rows that go to no sink.
    pub dropped: u64,
    /// Rows that failed.
    pub failed: u64,
    /// Of the failed rows, those that were rejected too often and not tried.
    pub given_up: u64,
    /// Rows without an answer.
    pub pending: u64,
}

/// Results at one sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkCounts {
    /// Rows that the sink has acknowledged.
    pub sent: u64,
    /// Rows that the transformation dropped.
    pub dropped: u64,
    /// Rows that are not for the sink.
    pub not_for_sink: u64,
    /// Rows that failed.
    pub failed: u64,
    /// Rows without an answer.
    pub pending: u64,
}

/// All results.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Results by row.
    pub rows: SentCounts,
    /// Results by sink, in the order of the config.
    pub sinks: Vec<SinkCounts>,
    /// The first failures: key, sink, stage and reason.
    pub failures: Vec<(Arc<str>, usize, &'static str, String)>,
}

/// The most failures that are shown.
const MAX_SHOWN: usize = 5;

type Message = (Vec<Settle>, Option<oneshot::Sender<()>>);

/// Submits results to the writer thread.
#[derive(Clone)]
pub struct Ledger {
    sender: mpsc::Sender<Message>,
    broken: Arc<AtomicBool>,
}

impl Ledger {
    /// Submits results and waits until they are written.
    pub async fn settle(&self, results: Vec<Settle>) {
        if results.is_empty() {
            return;
        }
        let (done, written) = oneshot::channel();
        if self.sender.send((results, Some(done))).await.is_ok() {
            let _ = written.await;
        }
    }

    /// Submits results without waiting for them, from a thread that may block.
    pub fn settle_blocking(&self, results: Vec<Settle>) {
        if !results.is_empty() {
            let _ = self.sender.blocking_send((results, None));
        }
    }

    /// Returns whether writing the state has failed: nothing may be sent then.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

/// Starts the writer thread, which ends when the last [`Ledger`] is dropped. With `dry` it only counts.
pub fn start(
    mut state: State,
    numbers: Vec<i64>,
    run: i64,
    code: String,
    dry: bool,
) -> (Ledger, std::thread::JoinHandle<Written>) {
    let (sender, mut receiver) = mpsc::channel::<Message>(64);
    let broken = Arc::new(AtomicBool::new(false));
    let ledger = Ledger { sender, broken: broken.clone() };
    let thread = std::thread::spawn(move || {
        let mut results = Results { sinks: vec![SinkCounts::default(); numbers.len()], ..Results::default() };
        let mut error = None;
        while let Some((mut settles, done)) = receiver.blocking_recv() {
            let mut waiting: Vec<_> = done.into_iter().collect();
            while settles.len() < MAX_COMMIT
                && let Ok((more, done)) = receiver.try_recv()
            {
                settles.extend(more);
                waiting.extend(done);
            }
            if error.is_none()
                && !dry
                && let Err(failed) = commit(&mut state, &settles, &numbers, run, &code)
            {
                broken.store(true, Ordering::Relaxed);
                error = Some(failed);
            }
            for settle in settles {
                // The state doesn't have the result, so the row is sent again.
                let outcome = match settle.outcome {
                    Outcome::Sending => continue,
                    _ if error.is_some() => Outcome::Pending(None),
                    outcome => outcome,
                };
                count(&mut results, &settle.row, settle.sink, outcome);
            }
            for done in waiting {
                let _ = done.send(());
            }
        }
        Written { state, results, error }
    });
    (ledger, thread)
}

/// The return value of the writer thread.
pub struct Written {
    /// The state.
    pub state: State,
    /// The results.
    pub results: Results,
    /// Why the state could not be written, if writing failed.
    pub error: Option<Error>,
}

fn commit(state: &mut State, settles: &[Settle], numbers: &[i64], run: i64, code: &str) -> Result<()> {
    let changes: Vec<Change> = settles.iter().filter_map(|settle| change(settle, numbers[settle.sink])).collect();
    if changes.is_empty() { Ok(()) } else { state.commit(&changes, run, code) }
}

fn change(settle: &Settle, sink: i64) -> Option<Change> {
    let row = &settle.row;
    let settled = |how| match row.fingerprint {
        Some(fingerprint) => ChangeKind::Settled { fingerprint, how, row: row.row.clone() },
        // A delete that is acknowledged or dropped.
        None => ChangeKind::Gone,
    };
    let problem = |failed, sure, stage, reason: &String, answer: &Option<String>| ChangeKind::Problem {
        fingerprint: row.fingerprint,
        failed,
        sure,
        stage,
        reason: reason.clone(),
        answer: answer.clone(),
    };
    let kind = match &settle.outcome {
        Outcome::Sent => settled(Settlement::Sent),
        Outcome::Dropped => settled(Settlement::Dropped),
        Outcome::NotForSink => settled(Settlement::NotForSink),
        Outcome::Baseline => settled(Settlement::Baseline),
        Outcome::Sending => ChangeKind::Doubt,
        Outcome::Failed { stage, reason, answer, sure } => {
            let sure = *sure && row.doubts & 1 << settle.sink == 0;
            problem(true, sure, stage, reason, answer)
        }
        Outcome::Pending(Some(reason)) => problem(false, false, "destination", reason, &None),
        Outcome::Pending(None) | Outcome::GivenUp => return None,
    };
    Some(Change { key: row.key.clone(), sink, kind })
}

fn count(results: &mut Results, row: &RowState, sink: usize, outcome: Outcome) {
    if !row.is_counted {
        return;
    }
    let counts = &mut results.sinks[sink];
    match &outcome {
        Outcome::Sent | Outcome::Baseline => counts.sent += 1,
        Outcome::Dropped => counts.dropped += 1,
        Outcome::NotForSink => counts.not_for_sink += 1,
        Outcome::Failed { .. } | Outcome::GivenUp => counts.failed += 1,
        Outcome::Pending(_) => counts.pending += 1,
        Outcome::Sending => {}
    }
    let worst = row.worst.fetch_max(outcome.rank(), Ordering::Relaxed).max(outcome.rank());
    match outcome {
        Outcome::Failed { stage, reason, .. } if results.failures.len() < MAX_SHOWN => {
            results.failures.push((row.key.clone(), sink, stage, reason));
        }
        Outcome::GivenUp => results.rows.given_up += 1,
        _ => {}
    }
    if row.remaining.fetch_sub(1, Ordering::Relaxed) == 1 {
        *(match worst {
            0 | 1 => &mut results.rows.dropped,
            2 => &mut results.rows.sent,
            3 => &mut results.rows.pending,
            _ => &mut results.rows.failed,
        }) += 1;
    }
}
