//! Groups the failures of a run by kind and position in the code, to show them to a person.

use sluicegate_engine::verdict::{Failure, FailureKind, Position};

/// The most groups that are kept.
const MAX_GROUPS: usize = 50;

/// Events that failed for the same reason in the same place.
#[derive(Clone, Debug)]
pub struct FailureGroup {
    /// The number of events in the group.
    pub count: u64,
    /// The failure of the first one.
    pub failure: Failure,
    /// The input of the first event; `None` for standard input.
    pub input: Option<String>,
    /// The line of the first event in that input, from 1.
    pub line: u64,
}

/// All failure groups, in the order in which their first failures were written.
#[derive(Clone, Debug, Default)]
pub struct FailureGroups {
    /// The first `MAX_GROUPS` groups.
    pub groups: Vec<FailureGroup>,
    /// Events of other groups.
    pub others: u64,
}

impl FailureGroups {
    /// Counts a failure; `place` gives the position of its event in the input.
    pub(super) fn add(&mut self, failure: Failure, place: impl FnOnce() -> (Option<String>, u64)) {
        fn key(failure: &Failure) -> (FailureKind, Option<&Position>) {
            (failure.kind, failure.position.as_ref())
        }
        if let Some(known) = self.groups.iter_mut().find(|known| key(&known.failure) == key(&failure)) {
            known.count += 1;
        } else if self.groups.len() < MAX_GROUPS {
            let (input, line) = place();
            self.groups.push(FailureGroup { count: 1, failure, input, line });
        } else {
            self.others += 1;
        }
    }
}
