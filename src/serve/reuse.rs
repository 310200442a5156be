//! Predicts which warm program will be requested last; that program is evicted.
//!
//! Time is counted in requests. Each program, warm or not, has an entry with its last request and a moving average of
//! the time between its requests. From these follows its next expected request. With plain least-recently-used
//! eviction, programs that are requested in rotation would evict each other, each one shortly before it is needed. With
//! this policy most of them stay warm, and only one is replaced at a time.

use std::collections::HashMap;
use std::hash::Hash;

/// The number of remembered programs per warm program.
const REMEMBERED: usize = 4;

/// The minimum number of remembered programs.
const MIN_REMEMBERED: usize = 4096;

/// The history of all programs.
pub struct Reuse<K> {
    now: u64,
    max: usize,
    seen: HashMap<K, Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    last: u64,
    /// The average number of requests between two requests for this program; `None` after the first one.
    interval: Option<u64>,
}

impl<K: Hash + Eq> Reuse<K> {
    /// Creates an empty history for this many warm programs.
    pub fn new(warm: usize) -> Self {
        Self { now: 0, max: warm.saturating_mul(REMEMBERED).max(MIN_REMEMBERED), seen: HashMap::new() }
    }

    /// Records a request for this program.
    pub fn asked(&mut self, key: K) {
        self.now += 1;
        let now = self.now;
        if self.seen.len() >= self.max && !self.seen.contains_key(&key) {
            self.forget();
        }
        let seen = self.seen.entry(key).or_insert(Seen { last: now, interval: None });
        let gap = now - seen.last;
        if gap > 0 {
            seen.interval = Some(seen.interval.map_or(gap, |interval| (3 * interval + gap) / 4));
        }
        seen.last = now;
    }

    /// Returns the number of requests until this program is expected again.
    pub fn expected_in(&self, key: &K) -> u64 {
        let Some(Seen { last, interval }) = self.seen.get(key).copied() else { return u64::MAX };
        let since = self.now - last;
        match interval {
            Some(interval) if since <= 2 * interval => interval.saturating_sub(since),
            // The program is overdue: the longer ago its last request, the later the next one is expected. A program
            // with a single request is expected even later, because its interval is unknown.
            Some(_) => since,
            None => self.now.max(since),
        }
    }

    /// Forgets the half of the programs whose last requests are oldest.
    fn forget(&mut self) {
        let mut times: Vec<u64> = self.seen.values().map(|seen| seen.last).collect();
        let half = times.len() / 2;
        let (_, middle, _) = times.select_nth_unstable(half);
        let middle = *middle;
        self.seen.retain(|_, seen| seen.last >= middle);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Returns the share of requests that find their program warm, with this many warm programs.
    fn hits(places: usize, requests: impl Iterator<Item = u32>) -> f64 {
        let mut reuse = Reuse::new(places);
        let mut warm = HashSet::new();
        let (mut all, mut hits) = (0, 0);
        for program in requests {
            reuse.asked(program);
            all += 1;
            if warm.contains(&program) {
                hits += 1;
                continue;
            }
            if warm.len() == places {
                let last = *warm.iter().max_by_key(|key| reuse.expected_in(key)).unwrap();
                warm.remove(&last);
            }
            warm.insert(program);
        }
        f64::from(hits) / f64::from(all)
    }

    #[test]
    fn a_scan_leaves_most_programs_where_they_are() {
        let in_turn = hits(100, (0..50_000).map(|n| n % 1000));
        assert!(in_turn > 0.09, "{in_turn}");
    }

    #[test]
    fn what_is_asked_for_often_stays() {
        let mut state = 1_u64;
        let weights: Vec<f64> = (1..=1000).map(|n| f64::from(n).powf(-1.1)).collect();
        let whole: f64 = weights.iter().sum();
        let zipf = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut left = (state >> 11) as f64 / (1_u64 << 53) as f64 * whole;
            weights.iter().position(|weight| {
                left -= weight;
                left < 0.0
            })
        });
        let by_zipf = hits(100, zipf.map(|found| found.unwrap_or(0) as u32).take(50_000));
        assert!(by_zipf > 0.6, "{by_zipf}");
    }

    #[test]
    fn programs_of_yesterday_go_and_memory_is_bounded() {
        let mut reuse = Reuse::new(1);
        for n in 0..3 * MIN_REMEMBERED {
            reuse.asked(n);
        }
        assert!(reuse.seen.len() <= MIN_REMEMBERED);
        assert_eq!(reuse.expected_in(&0), u64::MAX);
        let mut reuse = Reuse::new(10);
        (0..10).for_each(|_| reuse.asked("yesterday's"));
        (0..100).for_each(|n| reuse.asked(if n % 2 == 0 { "one" } else { "two" }));
        assert!(reuse.expected_in(&"yesterday's") > reuse.expected_in(&"one"));
    }
}
