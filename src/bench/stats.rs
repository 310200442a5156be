//! Summaries of many numbers: medians with their dispersion, percentiles, histograms.

use serde::{Deserialize, Serialize};

/// A figure over several runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Returns the summary of these values; zeros if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (values.first(), values.last()) else { return Self::default() };
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Self { median, least: *least, most: *most }
    }

    /// Returns half the distance between the extremes, in percent of the median.
    pub fn dispersion(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.most - self.least) / 2.0 / self.median.abs() * 100.0 }
    }
}

/// How long single events took, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the events took at most this long.
    pub p50: u64,
    /// The limit for nine in ten.
    pub p90: u64,
    /// The limit for 95 in 100.
    pub p95: u64,
    /// The limit for 99 in 100.
    pub p99: u64,
    /// The longest.
    pub max: u64,
    /// The number of events in each bucket of [`bucket`].
    pub histogram: Vec<u64>,
}

/// Buckets per power of two.
const FINENESS: f64 = 4.0;

/// Returns the bucket of a latency. There are four buckets for each doubling, from 1 ns on.
pub fn bucket(nanoseconds: u64) -> usize {
    ((nanoseconds.max(1) as f64).log2() * FINENESS) as usize
}

/// Returns the start of a bucket, in nanoseconds.
pub fn bucket_start(bucket: usize) -> f64 {
    (bucket as f64 / FINENESS).exp2()
}

impl Latency {
    /// Returns the summary of these durations in nanoseconds.
    pub fn of(mut each: Vec<u64>) -> Self {
        each.sort_unstable();
        let Some(max) = each.last().copied() else { return Self::default() };
        let at = |share: f64| each[((each.len() as f64 * share).ceil() as usize).clamp(1, each.len()) - 1];
        let mut histogram = vec![0; bucket(max) + 1];
        each.iter().for_each(|nanoseconds| histogram[bucket(*nanoseconds)] += 1);
        Self { p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), max, histogram }
    }

    /// Combines several runs by the medians of their percentiles, so that one disturbed run affects only the maximum.
    pub fn merge(runs: &[Latency]) -> Self {
        let median = |field: fn(&Latency) -> u64| Spread::of(runs.iter().map(|run| field(run) as f64)).median as u64;
        let buckets = runs.iter().map(|run| run.histogram.len()).max().unwrap_or(0);
        let count = |bucket: usize| runs.iter().filter_map(|run| run.histogram.get(bucket)).sum();
        Self {
            p50: median(|run| run.p50),
            p90: median(|run| run.p90),
            p95: median(|run| run.p95),
            p99: median(|run| run.p99),
            max: runs.iter().map(|run| run.max).max().unwrap_or(0),
            histogram: (0..buckets).map(count).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let latency = Latency::of((1..=100).rev().collect());
        assert_eq!((latency.p50, latency.p90, latency.p95, latency.p99, latency.max), (50, 90, 95, 99, 100));
        assert_eq!(latency.histogram.iter().sum::<u64>(), 100);
        assert_eq!(Latency::of(vec![7]).p50, 7);
        assert_eq!(Latency::of(Vec::new()), Latency::default());
    }

    #[test]
    fn the_spread_is_of_the_values_not_of_their_order() {
        let spread = Spread::of([3.0, 1.0, 2.0]);
        assert_eq!(spread, Spread { median: 2.0, least: 1.0, most: 3.0 });
        assert!((spread.dispersion() - 50.0).abs() < 1e-9);
        assert_eq!(Spread::of([1.0, 3.0]).median, 2.0);
    }

    #[test]
    fn a_value_lies_in_its_bucket() {
        for nanoseconds in [1u64, 2, 1000, 4321, 1 << 40] {
            let bucket = bucket(nanoseconds);
            assert!(bucket_start(bucket) <= nanoseconds as f64 * 1.0001);
            assert!(nanoseconds as f64 <= bucket_start(bucket + 1) * 1.0001);
        }
    }
}
