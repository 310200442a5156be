//! What a server tells of the requests that its code makes.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// In seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// How a request ended: the status of its answer, `error` if there was none.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Outcome {
    /// As it stands in the metric.
    pub status: String,
}

/// Requests made. Clones are the same numbers.
#[derive(Clone)]
pub struct Stats {
    /// Those that have ended.
    pub requests: Family<Outcome, Counter>,
    /// How long they took, from when they had a place until their answer was read, in seconds.
    pub latency: Histogram,
    /// Those under way.
    pub in_flight: Gauge,
    /// Those that wait for a place.
    pub queued: Gauge,
    /// Those that were made again because their events were run again.
    pub repeated: Counter,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            latency: Histogram::new(BUCKETS),
            in_flight: Gauge::default(),
            queued: Gauge::default(),
            repeated: Counter::default(),
        }
    }
}

impl Stats {
    /// A request waits for its place until what this gives is dropped.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.queued.inc();
        Waiting(self)
    }

    /// A request is under way until what this gives is told how it ended, or is dropped.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.in_flight.inc();
        UnderWay { stats: self, since: Instant::now() }
    }
}

/// A request that waits.
pub(super) struct Waiting<'a>(&'a Stats);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.queued.dec();
    }
}

/// A request under way.
pub(super) struct UnderWay<'a> {
    stats: &'a Stats,
    since: Instant,
}

impl UnderWay<'_> {
    pub(super) fn end(self, status: Option<u16>) {
        let status = status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        self.stats.requests.get_or_create(&Outcome { status }).inc();
        self.stats.latency.observe(self.since.elapsed().as_secs_f64());
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.stats.in_flight.dec();
    }
}
