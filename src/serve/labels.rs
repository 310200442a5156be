//! Decides which transformations have their own series in the metrics.
//!
//! A monitoring system keeps a series for every label that it has ever seen, so the number of labels is limited. New
//! versions appear while the server runs. When all labels are in use, a new transformation takes the label of one
//! that has had no events for a while. A transformation with steady traffic keeps its label; otherwise no series
//! would be useful.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The label that all other transformations share.
pub const OTHER: &str = "other";

/// After this time without events, a label may pass to another transformation.
const QUIET: Duration = Duration::from_secs(600);

/// The labels in use, and when each was last seen.
pub struct Labels {
    seen: HashMap<String, Instant>,
    most: usize,
}

impl Labels {
    /// Creates a table of at most this many labels.
    pub fn new(most: usize) -> Self {
        Self { seen: HashMap::new(), most }
    }

    /// Records events of this version. Returns its label, and the label that was removed for it. The caller must remove
    /// the old label's series first.
    pub fn seen<'a>(&mut self, version: &'a str, now: Instant) -> (&'a str, Option<String>) {
        if let Some(last) = self.seen.get_mut(version) {
            *last = now;
            return (version, None);
        }
        let mut gone = None;
        if self.seen.len() >= self.most {
            let quietest = self.seen.iter().min_by_key(|(_, last)| **last);
            let quiet = quietest.filter(|(_, last)| now.duration_since(**last) >= QUIET);
            let Some(name) = quiet.map(|(name, _)| name.clone()) else { return (OTHER, None) };
            self.seen.remove(&name);
            gone = Some(name);
        }
        self.seen.insert(version.to_owned(), now);
        (version, gone)
    }

    /// Returns the label for this version.
    pub fn of<'a>(&self, version: &'a str) -> &'a str {
        if self.seen.contains_key(version) { version } else { OTHER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_goes_from_one_that_is_quiet_to_one_that_is_not_and_never_from_one_in_use() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut labels = Labels::new(2);
        assert_eq!(labels.seen("a", at(0)), ("a", None));
        assert_eq!(labels.seen("b", at(1)), ("b", None));
        assert_eq!(labels.seen("c", at(2)), (OTHER, None), "both are in use");
        assert_eq!(labels.seen("a", at(590)), ("a", None));
        assert_eq!(labels.seen("c", at(600)), (OTHER, None), "b was quiet for 599 seconds");
        assert_eq!(labels.seen("c", at(601)), ("c", Some("b".to_owned())));
        assert_eq!((labels.of("a"), labels.of("b"), labels.of("c")), ("a", OTHER, "c"));
        assert_eq!(labels.seen("b", at(602)), (OTHER, None), "now it is b that comes too late");
        assert_eq!(labels.seen("b", at(1190)), ("b", Some("a".to_owned())));
    }
}
