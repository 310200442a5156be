//! Many events: all of them are accounted for, each output is as expected, and memory use is as low at the end as at
//! the start. `scripts/million` runs this with a million events and prints the figures.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use serde_json::Value;

use crate::support::Dir;
use crate::support::live::{Live, status};

/// Passes, drops, doubles, changes or fails an event, by its number.
const CODE: &str = "export function transformEvent(event) {
  const { id, order } = event;
  if (id % 1000 === 999) throw new RangeError('no such order: ' + id);
  if (id % 10 === 3) return null;
  if (id % 10 === 4) return [event, { copyOf: id, first: order.items[0].name }];
  if (id % 10 === 5) return event;
  let cents = 0;
  for (const item of order.items) cents += item.cents * item.count;
  event.total = cents;
  event.customer.name = event.customer.first + ' ' + event.customer.last;
  delete order.note;
  return event;
}";

/// An event of about 400 bytes, generated from its number.
struct Order {
    id: u64,
    items: Vec<(u64, u64, u64)>,
}

impl Order {
    fn new(id: u64) -> Self {
        // Pseudo-random numbers from a multiplicative hash.
        let random = |n: u64, below: u64| (id + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ (n << 17 | 1)) % below;
        Self { id, items: (0..1 + random(1, 4)).map(|n| (random(n + 2, 900), random(n + 9, 99_999), 1 + n)).collect() }
    }

    /// The event's members up to the customer's, which are the same before and after.
    fn customer(&self, out: &mut String, name: &str) {
        let id = self.id;
        let _ = write!(
            out,
            "{{\"id\":{id},\"type\":\"track\",\"messageId\":\"m-{id:08x}\",\"big\":{},\"customer\":{{\"first\":\"Ähnlich\",\
             \"last\":\"O'Brien \\\"{}\\\"\"{name}}},\"order\":{{\"items\":[",
            9_007_199_254_740_993 + id % 2,
            id % 77,
        );
        for (index, (name, cents, count)) in self.items.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let _ = write!(out, "{comma}{{\"name\":\"thing {name}\",\"cents\":{cents},\"count\":{count}}}");
        }
    }

    fn line(&self, out: &mut String) {
        self.customer(out, "");
        let _ = writeln!(out, "],\"note\":\"as discussed\",\"weight\":{}.50}}}}", self.id % 1000);
    }

    /// The expected output.
    fn expected(&self, out: &mut String) {
        let id = self.id;
        match id % 10 {
            _ if id % 1000 == 999 => {}
            3 => {}
            5 => self.line(out),
            4 => {
                self.line(out);
                let _ = writeln!(out, "{{\"copyOf\":{id},\"first\":\"thing {}\"}}", self.items[0].0);
            }
            _ => {
                self.customer(out, &format!(",\"name\":\"Ähnlich O'Brien \\\"{}\\\"\"", id % 77));
                let total: u64 = self.items.iter().map(|(_, cents, count)| cents * count).sum();
                // A number whose value did not change keeps its digits even if the event around it changed.
                let _ = writeln!(out, "],\"weight\":{}.50}},\"total\":{total}}}", id % 1000);
            }
        }
    }
}

/// The memory peaks of the supervisor and of each of its workers so far.
fn peaks(live: &Live) -> (u64, Vec<u64>) {
    let mut workers: Vec<u64> = live.workers().into_iter().map(|pid| status(pid, "VmHWM:")).collect();
    workers.sort_unstable();
    (live.peak(), workers)
}

#[test]
fn events_by_the_hundred_thousand_are_conserved_and_memory_stays_flat() {
    let events: u64 = std::env::var("SLUICEGATE_TEST_EVENTS").map_or(150_000, |text| text.parse().unwrap());
    // The last event has output, so that its line shows that everything is done.
    let events = events - events % 10;
    let early = events / 10;
    let dir = Dir::with(CODE);
    let mut live = Live::start(dir.command(&["run", "t.js", "-j", "2", "--stats", "json", "--errors", "dead.jsonl"]));
    let mut input = live.take_input();
    let started = Instant::now();
    let feed = std::thread::spawn(move || {
        let mut text = String::new();
        for id in 0..=events {
            Order::new(id).line(&mut text);
            if text.len() > 60_000 || id == events {
                input.write_all(text.as_bytes()).unwrap();
                text.clear();
            }
        }
        // The input stays open, so that the processes live until their memory has been measured.
        input
    });
    let mut early_peaks = None;
    let mut expected = String::new();
    for id in 0..=events {
        expected.clear();
        Order::new(id).expected(&mut expected);
        for want in expected.lines() {
            assert_eq!(live.line(), want, "event {id}");
        }
        if id == early {
            early_peaks = Some(peaks(&live));
        }
    }
    let elapsed = started.elapsed();
    let (supervisor, workers) = peaks(&live);
    drop(feed.join().unwrap());
    let done = live.finish();

    let stats: Value = serde_json::from_str(&done.err).unwrap();
    let (failed, dropped) = (events / 1000, (events + 6) / 10);
    assert_eq!(stats["in"], events + 1, "{stats}");
    assert_eq!((&stats["dropped"], &stats["failed"]), (&dropped.into(), &failed.into()), "{stats}");
    assert_eq!((&stats["ok"], &stats["conserved"]), (&(events + 1 - dropped - failed).into(), &true.into()), "{stats}");
    let letters = dir.read("dead.jsonl");
    assert_eq!(letters.lines().count() as u64, failed);
    for (n, letter) in letters.lines().enumerate() {
        let letter: Value = serde_json::from_str(letter).unwrap();
        assert_eq!(letter["input_line"], 1000 * (n + 1));
        assert_eq!(letter["message"], format!("no such order: {}", 1000 * n + 999));
    }

    let mib = |bytes: u64| bytes as f64 / 1048576.0;
    let (early_supervisor, early_workers) = early_peaks.unwrap();
    // For `scripts/million`. Other runs don't show the output of a passing test.
    #[allow(clippy::print_stdout, reason = "figures for a person")]
    {
        println!(
            "{} events in {:.1} s: {:.0} events/s",
            events + 1,
            elapsed.as_secs_f64(),
            events as f64 / elapsed.as_secs_f64()
        );
        println!("peak memory after {early} events and at the end, MiB:");
        println!("  supervisor {:6.1} {:6.1}", mib(early_supervisor), mib(supervisor));
        for (before, after) in early_workers.iter().zip(&workers) {
            println!("  worker     {:6.1} {:6.1}", mib(*before), mib(*after));
        }
    }
    // If a stream of this length were kept in memory, it would take far more than the buffers and V8's young heap.
    assert!(supervisor < early_supervisor + (8 << 20), "supervisor: {early_supervisor}, then {supervisor} bytes");
    assert_eq!(workers.len(), 2, "one worker for each -j");
    for (before, after) in early_workers.iter().zip(&workers) {
        assert!(*after < before + (24 << 20), "worker: {before}, then {after} bytes");
    }
}
