//! The results of a bench as plain data: `--json` writes them and `--baseline` reads them.

use serde::{Deserialize, Serialize};

use super::stats::{Latency, Spread};

/// The results of a bench.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this program.
    pub version: String,
    /// The machine.
    pub machine: String,
    /// The transformation's name.
    pub transformation: String,
    /// The hash of its code.
    pub code_hash: String,
    /// The source of the events.
    pub source: String,
    /// The number of measured events in each run.
    pub events: u64,
    /// The number of warm-up events.
    pub warm_up: u64,
    /// The size of the measured events in bytes.
    pub bytes: u64,
    /// The number of runs.
    pub runs: usize,
    /// The number of events with output.
    pub ok: u64,
    /// The number of dropped events.
    pub dropped: u64,
    /// The number of failed events.
    pub failed: u64,
    /// The throughput by number of workers.
    pub throughput: Vec<Throughput>,
    /// The latency of single events in the engine, in nanoseconds.
    pub latency: Latency,
    /// The CPU time by part, in microseconds per event.
    pub split: Split,
    /// The peaks of memory use.
    pub memory: Memory,
    /// The share of the machine's CPU time that other processes used meanwhile, 0 to 1.
    #[serde(default)]
    pub others: f64,
}

/// From this share on, other processes disturb a measurement.
pub const BUSY: f64 = 0.1;

/// The throughput of the whole program with one number of workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say what they are")]
pub struct Throughput {
    pub workers: usize,
    pub events_per_second: Spread,
    pub mb_in_per_second: Spread,
    pub mb_out_per_second: Spread,
    pub cpu_micros_per_event: Spread,
    /// The average number of busy processors.
    pub cpu_per_wall: Spread,
}

/// CPU time by part, see [`crate::bench`] for how each is measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say what they are")]
pub struct Split {
    pub read: Spread,
    pub queue: Spread,
    pub parse: Spread,
    pub execute: Spread,
    pub stringify: Spread,
    pub write: Spread,
}

impl Split {
    /// Returns the parts in the order in which an event passes them.
    pub fn parts(&self) -> [(&'static str, &Spread); 6] {
        [
            ("read", &self.read),
            ("queue", &self.queue),
            ("parse", &self.parse),
            ("execute", &self.execute),
            ("stringify", &self.stringify),
            ("write", &self.write),
        ]
    }
}

/// Peaks of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// V8's heap in use, measured every few hundred events.
    pub heap: u64,
    /// The resident memory of the largest worker, including the memory that it shares with the supervisor.
    pub worker_rss: u64,
    /// The resident memory of the supervisor, with the shared part as well.
    pub supervisor_rss: u64,
}

/// A figure that got worse.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    /// Its name.
    pub what: String,
    /// The earlier value.
    pub before: f64,
    /// The current value.
    pub now: f64,
    /// The change for the worse, in percent.
    pub percent: f64,
}

impl Report {
    /// Checks that both reports measured the same events, and with a common number of workers.
    ///
    /// # Errors
    /// When they did not; the text says why they cannot be compared.
    pub fn comparable(&self, before: &Report) -> Result<(), String> {
        if self.source != before.source {
            return Err(format!("it was measured on other events: {}, now {}", before.source, self.source));
        }
        let common = self.throughput.iter().any(|now| before.with(now.workers).is_some());
        if common { Ok(()) } else { Err("it was measured with other numbers of workers".to_owned()) }
    }

    fn with(&self, workers: usize) -> Option<&Throughput> {
        self.throughput.iter().find(|throughput| throughput.workers == workers)
    }

    /// Returns the figures that are worse than in `before` by more than `percent`: events per second
    /// and CPU time for each number of workers in both reports, and the median time of an event.
    pub fn regressions(&self, before: &Report, percent: f64) -> Vec<Regression> {
        let mut found = Vec::new();
        let mut compare = |what: String, was: f64, is: f64, worse: f64| {
            if was > 0.0 && is > 0.0 && worse * 100.0 > percent {
                found.push(Regression { what, before: was, now: is, percent: worse * 100.0 });
            }
        };
        for now in &self.throughput {
            let Some(then) = before.with(now.workers) else { continue };
            let (was, is) = (then.events_per_second.median, now.events_per_second.median);
            compare(format!("events/s with -j {}", now.workers), was, is, 1.0 - is / was);
            let (was, is) = (then.cpu_micros_per_event.median, now.cpu_micros_per_event.median);
            compare(format!("µs of CPU per event with -j {}", now.workers), was, is, is / was - 1.0);
        }
        let (was, is) = (before.latency.p50 as f64 / 1000.0, self.latency.p50 as f64 / 1000.0);
        compare("µs for half of the events (p50)".to_owned(), was, is, is / was - 1.0);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rate: f64, cpu: f64, p50: u64) -> Report {
        let one = |median| Spread { median, least: median, most: median };
        let throughput = Throughput {
            workers: 1,
            events_per_second: one(rate),
            cpu_micros_per_event: one(cpu),
            ..Throughput::default()
        };
        Report { throughput: vec![throughput], latency: Latency { p50, ..Latency::default() }, ..Report::default() }
    }

    #[test]
    fn worse_is_less_for_rates_and_more_for_costs() {
        let before = report(100_000.0, 10.0, 5000);
        let names = |now: Report| -> Vec<String> {
            now.regressions(&before, 5.0).into_iter().map(|regression| regression.what).collect()
        };
        assert!(names(report(96_000.0, 10.4, 5200)).is_empty());
        assert!(names(report(200_000.0, 1.0, 50)).is_empty());
        assert_eq!(names(report(94_000.0, 10.0, 5000)), ["events/s with -j 1"]);
        assert_eq!(names(report(100_000.0, 11.0, 5300)).len(), 2);
    }

    #[test]
    fn other_events_are_not_compared() {
        let before = Report { source: "a.jsonl".into(), ..report(1.0, 1.0, 1) };
        assert!(report(1.0, 1.0, 1).comparable(&before).is_err());
        assert!(before.comparable(&before).is_ok());
        let text = serde_json::to_string(&before).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), before);
    }
}
