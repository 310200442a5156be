//! The failures of a run by kind and place in the code, for a person who watches it.

use sluicegate_engine::verdict::{Failure, FailureKind, Position};

/// The most places that are told apart.
const MAX_PLACES: usize = 50;

/// Events that failed alike.
#[derive(Clone, Debug)]
pub struct FailurePlace {
    /// How many.
    pub count: u64,
    /// What the first of them failed with.
    pub failure: Failure,
    /// Its input, if it was not standard input.
    pub input: Option<String>,
    /// Its line there, from 1.
    pub line: u64,
}

/// All of them, in the order in which the first of each left.
#[derive(Clone, Debug, Default)]
pub struct FailurePlaces {
    /// The first `MAX_PLACES`.
    pub places: Vec<FailurePlace>,
    /// Events that failed in other places.
    pub others: u64,
}

impl FailurePlaces {
    /// Counts a failure; `place` says where its event stood.
    pub(super) fn add(&mut self, failure: Failure, place: impl FnOnce() -> (Option<String>, u64)) {
        fn key(failure: &Failure) -> (FailureKind, Option<&Position>) {
            (failure.kind, failure.position.as_ref())
        }
        if let Some(known) = self.places.iter_mut().find(|known| key(&known.failure) == key(&failure)) {
            known.count += 1;
        } else if self.places.len() < MAX_PLACES {
            let (input, line) = place();
            self.places.push(FailurePlace { count: 1, failure, input, line });
        } else {
            self.others += 1;
        }
    }
}
