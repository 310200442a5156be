//! The metrics of `/metrics`, for Prometheus.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::App;
use super::labels::Labels;
use crate::net;
use crate::tally::Tally;
use crate::workers::{PreparedProcess, Status};
use sluicegate_engine::verdict::FailureKind;

/// The most transformations with their own series, see [`super::labels`].
const MAX_TRANSFORMATIONS: usize = 500;

/// In seconds.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Verdict {
    verdict: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Transformation {
    transformation: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    path: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

type Histograms = Family<Transformation, Histogram, fn() -> Histogram>;

/// All metrics of the server.
pub struct Metrics {
    registry: Registry,
    events: Family<Verdict, Counter>,
    requests: Family<RequestLabels, Counter>,
    latency: Histograms,
    cpu: Histograms,
    heap: Family<Transformation, Gauge>,
    restarts: Family<Reason, Counter>,
    in_flight: Gauge,
    memory: Gauge,
    processes: Gauge,
    warm_pools: Gauge,
    waiting: Gauge,
    started: Counter,
    forked: Counter,
    evicted: Counter,
    labels: Mutex<Labels>,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Metrics {
    /// Creates all metrics at zero. `memory_bound` is the maximum memory of this process, in bytes.
    pub fn new(memory_bound: usize) -> Self {
        let mut registry = Registry::with_prefix("sluicegate");
        let latency: Histograms = Family::new_with_constructor(histogram);
        let cpu: Histograms = Family::new_with_constructor(histogram);
        macro_rules! register {
            ($name:literal, $help:literal, $metric:expr) => {{
                let metric = $metric;
                registry.register($name, $help, metric.clone());
                metric
            }};
        }
        let bound = register!("memory_bound_bytes", "Most memory of this process, without workers", <Gauge>::default());
        bound.set(i64::try_from(memory_bound).unwrap_or(i64::MAX));
        Self {
            events: register!("events", "Events by verdict and, for failed ones, kind", Family::default()),
            requests: register!("requests", "Requests by path and status", Family::default()),
            latency: register!("latency_seconds", "From the request's last byte to the answer", latency),
            cpu: register!("cpu_seconds", "CPU time of the workers for one group of events", cpu),
            heap: register!("heap_bytes", "V8's heap in use, at the last look", Family::default()),
            restarts: register!("worker_restarts", "Workers that were replaced", Family::default()),
            in_flight: register!("requests_in_flight", "Requests under way or waiting", Gauge::default()),
            memory: register!(
                "request_memory_bytes",
                "Memory that bodies of requests and answers take",
                Gauge::default()
            ),
            processes: register!("workers", "Worker processes", Gauge::default()),
            warm_pools: register!("transformations_warm", "Programs with warm workers", Gauge::default()),
            waiting: register!("groups_in_workers", "Groups of events that workers have or wait for", Gauge::default()),
            started: register!("starts", "Programs that were given workers", Counter::default()),
            forked: register!("starts_forked", "Those of them whose worker was forked", Counter::default()),
            evicted: register!("evictions", "Programs that gave their workers up for another", Counter::default()),
            registry,
            labels: Mutex::new(Labels::new(MAX_TRANSFORMATIONS)),
        }
    }
}

impl Metrics {
    /// Adds the metrics of the network requests that code makes.
    pub fn show_network(&mut self, stats: &net::Stats) {
        let registry = &mut self.registry;
        registry.register(
            "network_requests",
            "Requests of the code by the status of their answers",
            stats.requests.clone(),
        );
        registry.register("network_latency_seconds", "How long a request of the code took", stats.latency.clone());
        registry.register("network_requests_in_flight", "Requests of the code under way", stats.in_flight.clone());
        let repeated = "Requests that were made again because their events were run again";
        registry.register("network_requests_repeated", repeated, stats.repeated.clone());
        registry.register(
            "network_requests_queued",
            "Requests of the code that wait for a place",
            stats.queued.clone(),
        );
    }

    /// Counts one request.
    pub fn request(&self, path: &'static str, status: u16) {
        self.requests.get_or_create(&RequestLabels { path, status }).inc();
    }

    /// Counts the results of a group.
    pub fn group(&self, version: &str, tally: &Tally, latency: Duration, cpu: Duration) {
        for (verdict, count) in [("ok", tally.ok), ("dropped", tally.dropped)] {
            if count > 0 {
                self.events.get_or_create(&Verdict { verdict, kind: "" }).inc_by(count);
            }
        }
        for (kind, count) in FailureKind::ALL.iter().zip(tally.failed).filter(|(_, count)| *count > 0) {
            self.events.get_or_create(&Verdict { verdict: "failed", kind: kind.name() }).inc_by(count);
        }
        self.observe(version, latency, cpu, Instant::now());
    }

    fn observe(&self, version: &str, latency: Duration, cpu: Duration, now: Instant) {
        // Held to the end. Otherwise, two threads could create the series of one label at the same time.
        let mut labels = self.labels.lock().expect("nothing panics in here");
        let (label, gone) = labels.seen(version, now);
        if let Some(gone) = gone.map(|transformation| Transformation { transformation }) {
            self.latency.remove(&gone);
            self.cpu.remove(&gone);
        }
        let name = Transformation { transformation: label.to_owned() };
        self.latency.get_or_create(&name).observe(latency.as_secs_f64());
        self.cpu.get_or_create(&name).observe(cpu.as_secs_f64());
    }

    /// Counts events that never reached a worker.
    pub fn not_run(&self, kind: &'static str, count: u64) {
        self.events.get_or_create(&Verdict { verdict: "failed", kind }).inc_by(count);
    }

    /// Returns all metrics in the Prometheus text format.
    pub fn text(&self, app: &App) -> String {
        let (mut warm_pools, mut waiting) = (0, 0);
        let mut restarts = Status::default().restarts();
        for ((_, count), past) in restarts.iter_mut().zip(&app.pools.table().past_restarts) {
            *count = past.load(Ordering::Relaxed);
        }
        self.heap.clear();
        app.pools.each(|key, pool| {
            let status = pool.status();
            for ((_, count), (_, more)) in restarts.iter_mut().zip(status.restarts()) {
                *count += more;
            }
            waiting += status.requests.load(Ordering::Relaxed) as i64;
            warm_pools += 1;
            let label = self.labels.lock().expect("nothing panics in here").of(key.version()).to_owned();
            self.heap
                .get_or_create(&Transformation { transformation: label })
                .set(status.heap.load(Ordering::Relaxed) as i64);
        });
        let up_to = |counter: &Counter, total: u64| {
            counter.inc_by(total.saturating_sub(counter.get()));
        };
        for (reason, count) in restarts {
            up_to(&self.restarts.get_or_create(&Reason { reason }), count);
        }
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        up_to(&self.started, load(&app.pools.table().started));
        up_to(&self.forked, app.pools.resources().prepared().map_or(0, PreparedProcess::forked));
        up_to(&self.evicted, load(&app.pools.table().evicted));
        self.in_flight.set(app.room.requests() as i64);
        self.memory.set(app.memory.used() as i64);
        self.processes.set(app.pools.resources().processes() as i64);
        self.warm_pools.set(warm_pools);
        self.waiting.set(waiting);
        let mut text = String::new();
        // Writing into a string never fails.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_without_requests_leave_their_series_to_current_ones() {
        let metrics = Metrics::new(0);
        let start = Instant::now();
        let observe = |version: &str, seconds: u64| {
            let time = Duration::from_millis(2);
            metrics.observe(version, time, time, start + Duration::from_secs(seconds));
        };
        let series = |name: &str| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &metrics.registry).unwrap();
            let label = format!("_count{{transformation=\"{name}\"}}");
            text.lines().filter(|line| line.contains(&label)).count()
        };
        let days = |day: u64| day * 24 * 3600;
        for day in 0..3 {
            (0..MAX_TRANSFORMATIONS).for_each(|n| observe(&format!("v{n} of day {day}"), days(day)));
            // One transformation too many on that day.
            observe("one more", days(day) + 1);
            assert_eq!((series("v7 of day 0"), series(&format!("v7 of day {day}"))), (2 * usize::from(day == 0), 2));
            assert_eq!((series("other"), series("one more")), (2, 0));
        }
        assert_eq!(metrics.labels.lock().unwrap().of("v7 of day 2"), "v7 of day 2");
    }
}
