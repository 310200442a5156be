//! The metrics of the network requests that code makes.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// In seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// How a request ended: the status of its answer, or `error` if there was none.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Outcome {
    /// The value in the metric.
    pub status: String,
}

/// The counts of requests. Clones share the same counts.
#[derive(Clone)]
pub struct Stats {
    /// Finished requests.
    pub requests: Family<Outcome, Counter>,
    /// Their duration in seconds, from acquiring the last permit until the answer was read.
    pub latency: Histogram,
    /// Requests under way.
    pub in_flight: Gauge,
    /// Requests that wait for a permit.
    pub queued: Gauge,
    /// Requests that were sent again because their events ran again.
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
    /// Counts a request as waiting until the returned value is dropped.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.queued.inc();
        Waiting(self)
    }

    /// Counts a request as under way until the returned value gets its outcome or is dropped.
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
