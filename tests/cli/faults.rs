//! Events that loop forever, use up memory or kill their process: each one fails alone; all others are unchanged and in
//! order.

use std::collections::BTreeMap;
use std::io::Write;

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::support::live::Live;
use crate::support::{Dir, Done};

const CODE: &str = "export function transformEvent(event) {
  switch (event.do) {
    case 'loop': for (;;);
    case 'swallow': for (;;) try { for (;;); } finally { continue; }
    case 'stuck': new Array(2 ** 32 - 1).fill(0); break;
    case 'eat': { const all = []; for (;;) all.push(new Array(1e5).fill(all.length)); }
    case 'grow': { let all = []; for (;;) all = [all, 'x'.repeat(1e5) + all.length]; }
    case 'die': 'a'.repeat(2 ** 27 + 1).split('');
  }
  return event;
}";

/// Runs events, some of which misbehave, and checks that each bad event gets the right failure and that all others come
/// out unchanged. `bad` returns what event n does, and the kind of its failure.
fn run(count: u64, flags: &[&str], bad: impl Fn(u64) -> Option<(&'static str, &'static str)>) -> Done {
    let line = |n: u64, what: Option<(&str, &str)>| match what {
        Some((what, _)) => format!("{{\"n\":{n},\"do\":\"{what}\"}}\n"),
        None => format!("{{\"n\":{n}}}\n"),
    };
    let input: String = (1..=count).map(|n| line(n, bad(n))).collect();
    let good: String = (1..=count).filter(|n| bad(*n).is_none()).map(|n| line(n, None)).collect();
    let done = Dir::with(CODE).run(&[&["run", "t.js"], flags].concat(), input);
    assert!(done.text() == good, "the others are not what they were: {}", done.err);
    assert_eq!(done.code, 1);
    let found: BTreeMap<u64, Value> =
        done.dead_letters().into_iter().map(|letter| (letter["input_line"].as_u64().unwrap(), letter)).collect();
    let wanted: Vec<u64> = (1..=count).filter(|n| bad(*n).is_some()).collect();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), wanted);
    for (n, letter) in &found {
        let (what, kind) = bad(*n).unwrap();
        assert_eq!(letter["kind"], kind, "{letter}");
        assert_eq!(letter["event"].as_str().unwrap(), line(*n, Some((what, kind))).trim_end());
    }
    let counts = format!("{count} in = {} ok + 0 dropped + {} failed", count - wanted.len() as u64, wanted.len());
    assert!(done.summary().starts_with(&counts), "{}", done.err);
    done
}

#[test]
fn one_in_a_hundred_loops_and_one_in_a_thousand_eats_memory() {
    let flags = ["-j", "2", "--cpu-limit", "300ms", "--heap-limit", "16MiB"];
    run(2000, &flags, |n| match n % 1000 {
        // The retry in a fresh isolate has its own time; the time limit does not come first.
        500 => Some(("eat", "memory")),
        n if n % 100 == 37 => Some(("loop", "timeout")),
        _ => None,
    });
}

#[test]
fn an_event_that_kills_its_process_is_blamed_and_nothing_else_is_lost() {
    let done = run(20_000, &["-j", "2", "--cpu-limit", "1m"], |n| (n % 10_000 == 5000).then_some(("die", "crashed")));
    // Each of the two events kills a worker twice: together with other events, then alone.
    assert!(done.err.trim_end().ends_with(" · 4 workers replaced"), "{}", done.err);
    let letter = &done.dead_letters()[0];
    let message = letter["message"].as_str().unwrap();
    let start = "the event killed its worker process, twice (killed by signal ";
    assert!(message.starts_with(start) && message.contains("Fatal JavaScript invalid size"), "{message}");
}

#[test]
fn an_event_at_either_end_or_beside_another_bad_one_is_told_apart() {
    // So long that a process that dies does so before, even if the machine writes down why it died.
    let flags = ["-j", "2", "--cpu-limit", "1s", "--heap-limit", "16MiB", "--line-buffered"];
    run(12, &flags, |n| match n {
        1 | 12 => Some(("loop", "timeout")),
        2 => Some(("swallow", "timeout")),
        3 | 7 | 8 => Some(("stuck", "timeout")),
        4 => Some(("die", "crashed")),
        _ => None,
    });
}

/// The time limit is so long that the memory limit comes first on any machine.
#[test]
fn an_event_that_grows_slowly_runs_out_of_memory() {
    let flags = ["-j", "2", "--cpu-limit", "10m", "--wall-limit", "10m", "--heap-limit", "16MiB"];
    run(12, &flags, |n| (n == 4).then_some(("grow", "memory")));
}

/// Workers are killed from outside; their events are not to blame.
#[test]
fn killed_workers_cost_nothing() {
    const EVENTS: usize = 20_000;
    let line = |n: usize| format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(1000));
    let dir = Dir::with(CODE);
    let mut live = Live::start(dir.command(&["run", "t.js", "-j", "2", "--stats", "json"]));
    let mut input = live.take_input();
    let feed = std::thread::spawn(move || (0..EVENTS).for_each(|n| writeln!(input, "{}", line(n)).unwrap()));
    let mut killed = 0;
    for n in 0..EVENTS {
        assert_eq!(live.line(), line(n));
        // Far enough apart that the events of the previous kill have been answered: the buffers on the way are smaller.
        if n % 6000 == 3000 {
            for worker in live.workers() {
                killed += u64::from(kill_process(worker, Signal::KILL).is_ok());
            }
        }
    }
    feed.join().unwrap();
    let done = live.finish();
    let stats: Value = serde_json::from_str(&done.err).unwrap();
    assert_eq!((done.code, &stats["ok"], &stats["failed"]), (0, &EVENTS.into(), &0.into()), "{stats}");
    let replaced = stats["workers_replaced"].as_u64().unwrap();
    assert!(killed >= 3 && (1..=killed).contains(&replaced), "{replaced} of {killed} killed workers were replaced");
}

/// A cache in the module fills the heap until an event that is not at fault hits the limit. That event runs again in a
/// fresh isolate, and no event fails.
#[test]
fn a_heap_filled_across_events_fails_no_event() {
    let dir = Dir::with(
        "const cache = new Map();
export function transformEvent(event) {
  cache.set(event.n, Array.from({ length: 1000 }, (_, i) => ({ i })));
  return { ...event, size: cache.size };
}",
    );
    const EVENTS: usize = 2000;
    let input: String = (0..EVENTS).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let done =
        dir.run(&["run", "t.js", "-j", "1", "--heap-limit", "16MiB", "--cpu-limit", "1m", "--wall-limit", "1m"], input);
    assert_eq!(done.code, 0, "{}", done.err);
    let sizes: Vec<u64> = done
        .lines()
        .iter()
        .enumerate()
        .map(|(n, line)| {
            let event: Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["n"], n);
            event["size"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(sizes.len(), EVENTS);
    let fresh = sizes.iter().filter(|size| **size == 1).count();
    assert!(fresh > 2, "the cache was to fill the heap more than once, not {fresh} times");
}

/// Code that loads only in one process out of ten. The first worker must load it. If its replacements don't, the events
/// that waited for them fail, and the run continues.
#[test]
fn code_that_a_new_worker_cannot_load_fails_events_and_not_the_run() {
    let dir = Dir::with(
        "if (Math.random() < 0.9) throw new Error('not today');
        export function transformEvent(event) {
          // V8 cannot interrupt this: the worker ends.
          if (event.kill) new Array(2 ** 32 - 1).fill(0);
          return event;
        }",
    );
    let lines: Vec<String> = (0..200)
        .map(|n| if n % 20 == 10 { format!("{{\"n\":{n},\"kill\":1}}") } else { format!("{{\"n\":{n}}}") })
        .collect();
    let input = lines.join("\n") + "\n";
    let args = ["run", "t.js", "-j1", "--emit", "verdicts", "--fail-on", "never", "--cpu-limit", "100ms", "--quiet"];
    let done = (0..400)
        .map(|_| dir.run(&args, &input))
        .find(|done| !done.err.contains("not today") || !done.out.is_empty())
        .expect("one in ten loads");
    assert_eq!(done.code, 0, "{}", done.err);
    let verdicts: Vec<Value> = done.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verdicts.len(), lines.len());
    let mut unlucky = 0;
    for (line, verdict) in lines.iter().zip(&verdicts) {
        let message = verdict["message"].as_str().unwrap_or_default();
        match message {
            "" => assert_eq!(verdict["events"][0].to_string(), *line),
            _ if message.starts_with("no worker could be started for the event: Error: not today") => {
                assert_eq!(verdict["kind"], "crashed", "{verdict}");
                unlucky += 1;
            }
            _ => assert!(line.contains("kill"), "{line}: {verdict}"),
        }
    }
    // Ten deaths; after each, three workers in a row fail in seven of ten cases.
    assert!(unlucky > 0, "every worker could load it");
}
