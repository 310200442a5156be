//! What a bench found, as plain data: what `--json` writes and `--baseline` reads again.

use serde::{Deserialize, Serialize};

use super::stats::{Latency, Spread};

/// A bench.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Of this program.
    pub version: String,
    /// Where it was measured.
    pub machine: String,
    /// The transformation's name.
    pub transformation: String,
    /// The hash of its code.
    pub code_hash: String,
    /// Where the events came from.
    pub source: String,
    /// How many were measured in each run.
    pub events: u64,
    /// How many came before those.
    pub warm_up: u64,
    /// Bytes of the measured ones.
    pub bytes: u64,
    /// How often everything was measured.
    pub runs: usize,
    /// How many of the events went out.
    pub ok: u64,
    /// How many were dropped.
    pub dropped: u64,
    /// How many failed.
    pub failed: u64,
    /// By number of workers.
    pub throughput: Vec<Throughput>,
    /// Of single events in the engine, in nanoseconds.
    pub latency: Latency,
    /// Where the CPU time goes, in microseconds per event.
    pub split: Split,
    /// The peaks.
    pub memory: Memory,
}

/// Everything together, with one number of workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say what they are")]
pub struct Throughput {
    pub workers: usize,
    pub events_per_second: Spread,
    pub mb_in_per_second: Spread,
    pub mb_out_per_second: Spread,
    pub cpu_micros_per_event: Spread,
    /// How many processors were busy.
    pub cpu_per_wall: Spread,
}

/// CPU time by what it is spent on, see [`crate::bench`] for how each is measured.
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
    /// The parts in the order in which an event meets them.
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
    /// V8's heap in use, looked at every few hundred events.
    pub heap: u64,
    /// ServicePool memory of the largest worker, what it shares with the supervisor included.
    pub worker_rss: u64,
    /// ServicePool memory of the supervisor, likewise.
    pub supervisor_rss: u64,
}

/// A figure that got worse.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    /// Which.
    pub what: String,
    /// As it was.
    pub before: f64,
    /// As it is.
    pub now: f64,
    /// By how many percent it is worse.
    pub percent: f64,
}

impl Report {
    /// Whether the two measured the same code on the same events; if not, why they cannot be compared.
    ///
    /// # Errors
    /// When they cannot.
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

    /// What is worse than `before` by more than `percent`: events per second and CPU time for each number of workers
    /// that both know, and the median time of an event.
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
