//! Makes events of the rows to send, in the order of the source, and of the deletes after them.
//!
//! Every row is counted exactly once: it is passed on, gets a result at once, or waits for another run.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::config::Config;
use super::detect::{Class, Detected, Spooled};
use super::error::{Error, Result, plain};
use super::event::{EventBuilder, EventRow, Previous};
use super::ledger::{Ledger, Outcome, RowState, Settle};
use super::row::{Columns, Fingerprint, key_hash, mapped_object};
use super::state::{Doubts, Settled, State};
use super::transform::Batch;

/// The most events of a batch.
const MAX_EVENTS: usize = 256;

/// A batch is full when it has this many bytes.
const MAX_BYTES: usize = 1 << 20;

/// Which rows are sent in this run.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// At most this many rows.
    pub limit: Option<u64>,
    /// Only this key.
    pub key: Option<String>,
    /// Only keys with problems.
    pub only_problems: bool,
}

impl Filter {
    /// Returns whether rows are left for another run on purpose.
    pub fn is_any(&self) -> bool {
        self.limit.is_some() || self.key.is_some() || self.only_problems
    }
}

/// Makes events of the rows to send.
pub struct Feeder {
    /// The sync.
    pub config: Arc<Config>,
    /// The id of the run.
    pub run: String,
    /// The hash of the code.
    pub code: String,
    /// A connection for reading the state.
    pub state: State,
    /// The numbers of the sinks in the state.
    pub sinks: Vec<i64>,
    /// Which rows are sent.
    pub filter: Filter,
    /// Takes results that are known at once.
    pub ledger: Ledger,
    /// Whether the run is ending, so that nothing new is started.
    pub ending: watch::Receiver<bool>,
    /// Whether rows are only marked as sent.
    pub baseline: bool,
    /// The channel for batches of events.
    pub out: mpsc::Sender<Batch>,
    /// Hashes of the keys that have problems.
    pub problems: HashSet<[u8; 16]>,
    /// The sinks that may have rows they have not acknowledged.
    pub doubts: Doubts,
}

/// Counts of fed rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fed {
    /// Rows that have a result, or will have one.
    pub rows: u64,
    /// Rows that wait for another run.
    pub waiting: u64,
}

/// What the state has about a key.
struct Known {
    settled: Vec<Settled>,
    /// The sinks that have rejected this row too often, one bit each.
    given_up: u32,
    is_retry: bool,
    /// The sinks that may have another row of the key, one bit each.
    doubts: u32,
}

impl Feeder {
    /// Feeds all rows and deletes.
    ///
    /// # Errors
    /// When the state or a temporary file cannot be read.
    pub fn feed(self, detected: Detected) -> Result<Fed> {
        let config = self.config.clone();
        let builder = EventBuilder::new(&config, &self.run, &self.code);
        let (mut fed, mut batch, mut number) = (Fed::default(), Batch::default(), 0);
        let spool_error = |error: io::Error| Error::new(format!("cannot read a temporary file: {}", plain(&error)));
        let mut rows = detected.spool.rows().map_err(spool_error)?;
        while let Some(row) = rows.next_row().map_err(spool_error)? {
            if !self.takes(&row.key, &fed) {
                fed.waiting += 1;
                continue;
            }
            fed.rows += 1;
            self.row(&builder, row, &mut batch, number)?;
            self.flush(&mut batch, &mut number, false);
        }
        let mut gone = detected.gone;
        while let Some((key, was_sent)) = gone.next_key().map_err(spool_error)? {
            if was_sent && (self.baseline || !self.takes(&key, &fed)) {
                fed.waiting += 1;
                continue;
            }
            fed.rows += u64::from(was_sent);
            self.delete(&builder, &key, &mut batch, number)?;
            self.flush(&mut batch, &mut number, false);
        }
        self.flush(&mut batch, &mut number, true);
        Ok(fed)
    }

    fn takes(&self, key: &str, fed: &Fed) -> bool {
        let Filter { limit, key: only, only_problems } = &self.filter;
        limit.is_none_or(|limit| fed.rows < limit)
            && only.as_deref().is_none_or(|only| only == key)
            && (!only_problems || self.problems.contains(&key_hash(key)))
            && !*self.ending.borrow()
            && !self.ledger.is_broken()
    }

    fn flush(&self, batch: &mut Batch, number: &mut u64, all: bool) {
        if batch.entries.len() >= MAX_EVENTS || batch.size() >= MAX_BYTES || all && !batch.entries.is_empty() {
            *number += 1;
            if let Err(unsent) = self.out.blocking_send(std::mem::take(batch)) {
                // The receiver has ended with an error.
                let pending = unsent
                    .0
                    .entries
                    .iter()
                    .flat_map(|entry| self.settles(&entry.row, entry.sinks, &Outcome::Pending(None)));
                self.ledger.settle_blocking(pending.collect());
            }
        }
    }

    fn settles(&self, row: &Arc<RowState>, sinks: u32, outcome: &Outcome) -> Vec<Settle> {
        let of = |sink| Settle { row: row.clone(), sink, outcome: outcome.clone() };
        (0..self.sinks.len()).filter(|sink| sinks & 1 << sink != 0).map(of).collect()
    }

    fn settle(&self, row: &Arc<RowState>, sinks: u32, outcome: &Outcome) {
        self.ledger.settle_blocking(self.settles(row, sinks, outcome));
    }

    /// Reads what the state has about a key.
    fn known(&self, key: &str, is_new: bool, fingerprint: Option<&Fingerprint>) -> Result<Known> {
        let mut settled = Vec::new();
        if !is_new {
            self.state.settled(key, &mut settled)?;
        }
        let hash = key_hash(key);
        let doubts = self.doubts.get(&hash).copied().unwrap_or(0);
        let mut known = Known { settled, given_up: 0, is_retry: self.problems.contains(&hash), doubts };
        if known.is_retry && !self.filter.only_problems {
            let max = self.config.changes.max_tries;
            let fingerprint: &[u8] = fingerprint.map_or(&[], |fingerprint| &fingerprint[..]);
            for problem in self.state.problems(Some(key), usize::MAX)? {
                let is_same = problem.fingerprint == fingerprint && problem.code == self.code;
                if is_same
                    && problem.tries >= max
                    && let Some(bit) = self.sinks.iter().position(|sink| *sink == problem.sink)
                {
                    known.given_up |= 1 << bit;
                }
            }
        }
        Ok(known)
    }

    fn previous(&self, key: &str, fingerprint: Option<Fingerprint>) -> Result<Previous> {
        let row = match fingerprint {
            Some(fingerprint) if self.config.changes.previous => self.state.version(key, &fingerprint)?,
            _ => None,
        };
        Ok(Previous { fingerprint, row })
    }

    fn row(&self, builder: &EventBuilder<'_>, spooled: Spooled, batch: &mut Batch, number: u64) -> Result<()> {
        let Spooled { key, class, fingerprint, sinks, text, .. } = spooled;
        let known = self.known(&key, class == Class::New, Some(&fingerprint))?;
        // The text was UTF-8 when it was read.
        let line = simdutf8::basic::from_utf8(&text).map_or_else(|_| String::from_utf8_lossy(&text), Cow::Borrowed);
        let kept = match self.config.changes.previous {
            true => Columns::parse(&line).ok().map(|columns| Arc::from(mapped_object(&self.config, &columns))),
            false => None,
        };
        let state = RowState::new(&key, Some(fingerprint), kept, known.is_retry, known.doubts, sinks.count_ones());
        if self.baseline {
            self.settle(&state, sinks, &Outcome::Baseline);
            return Ok(());
        }
        self.settle(&state, sinks & known.given_up, &Outcome::GivenUp);
        // Sinks that have acknowledged different rows get different events.
        let mut left = sinks & !known.given_up;
        while left != 0 {
            let acknowledged = |bit: u32| {
                let number = self.sinks[bit as usize];
                known.settled.iter().find(|settled| settled.sink == number).and_then(|settled| settled.acknowledged)
            };
            let first = acknowledged(left.trailing_zeros());
            let group = (0..32).filter(|bit| left & 1 << bit != 0 && acknowledged(*bit) == first);
            let group = group.fold(0, |group, bit| group | 1 << bit);
            left &= !group;
            let previous = self.previous(&key, first)?;
            let event = EventRow { key: &key, fingerprint: Some(&fingerprint), previous: &previous.clone() };
            let added = batch.add(state.clone(), group, previous, |out| builder.upsert(out, &event, &line, number));
            if let Err(reason) = added {
                self.settle(&state, group, &Outcome::Failed { stage: "mapping", reason, answer: None, sure: true });
            }
        }
        Ok(())
    }

    fn delete(&self, builder: &EventBuilder<'_>, key: &str, batch: &mut Batch, number: u64) -> Result<()> {
        let known = self.known(key, false, None)?;
        let (mut sent, mut never) = (known.doubts, 0);
        for settled in &known.settled {
            // A sink that is no longer in the config keeps its rows.
            if let Some(bit) = self.sinks.iter().position(|sink| *sink == settled.sink) {
                *(if settled.acknowledged.is_some() { &mut sent } else { &mut never }) |= 1u32 << bit;
            }
        }
        never &= !sent;
        // A sink that never got a row of the key only forgets the
        // key. The key is counted only if another sink deletes it.
        let state = RowState::new(key, None, None, known.is_retry, known.doubts, (sent | never).count_ones());
        if sent == 0 {
            let forgotten = RowState::forgotten(key);
            self.settle(&forgotten, never, &Outcome::NotForSink);
            return Ok(());
        }
        self.settle(&state, never, &Outcome::NotForSink);
        self.settle(&state, sent & known.given_up, &Outcome::GivenUp);
        let sinks = sent & !known.given_up;
        if sinks == 0 {
            return Ok(());
        }
        let first = known.settled.iter().find_map(|settled| settled.acknowledged);
        let previous = self.previous(key, first)?;
        let event = EventRow { key, fingerprint: None, previous: &previous.clone() };
        if let Err(reason) = batch.add(state.clone(), sinks, previous, |out| builder.delete(out, &event, number)) {
            self.settle(&state, sinks, &Outcome::Failed { stage: "mapping", reason, answer: None, sure: true });
        }
        Ok(())
    }
}
