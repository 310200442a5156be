//! Faults in a run whose events wait: a termination signal, killed workers, a service that does not answer or answers
//! with garbage, a hostile event.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use super::{numbered, run};
use crate::support::Dir;
use crate::support::live::Live;
use crate::support::web_server::{Reply, Web};

const ASK: &str = "export async function transformEvent(event) {
  return { n: event.n, got: await fetch('$URL' + event.n) };
}";

/// A server that answers when it is allowed to, and never for `/never`.
fn held() -> (Web, Arc<(Mutex<bool>, Condvar)>) {
    let go = Arc::new((Mutex::new(false), Condvar::new()));
    let let_go = go.clone();
    let web = Web::start(move |asked| {
        drop(go.1.wait_while(go.0.lock().unwrap(), |go| !*go || asked.path == "/never").unwrap());
        Reply::json(&format!("\"{}\"", asked.path))
    });
    (web, let_go)
}

fn let_go(held: &(Mutex<bool>, Condvar)) {
    *held.0.lock().unwrap() = true;
    held.1.notify_all();
}

/// Lines that were read are finished, or fail by the wall limit, and all of them are counted.
#[test]
fn a_run_that_is_told_to_end_finishes_what_waits() {
    let (web, go) = held();
    let code = ASK.replace("event.n)", "(event.n === 3 ? 'never' : event.n))").replace("$URL", &web.url("/"));
    let dir = Dir::with(&code);
    let flags = ["run", "t.js", "-j1", "--wall-limit", "2s", "--allow-net", &web.address.to_string()];
    let mut live = Live::start(dir.command(&flags));
    live.write(numbered(6));
    web.wait(6);
    live.signal(Signal::TERM);
    let_go(&go);
    let (done, _) = live.end();
    let expected: Vec<String> = (0..6).filter(|n| *n != 3).map(|n| format!("{{\"n\":{n},\"got\":\"/{n}\"}}")).collect();
    assert_eq!(done.lines(), expected, "{}", done.err);
    assert!(done.summary().starts_with("6 in = 5 ok + 0 dropped + 1 failed (1 timeout) · "), "{}", done.err);
}

/// The same with batches: a batch that reaches the wall limit fails as a whole.
#[test]
fn a_run_that_is_told_to_end_finishes_batches_that_wait() {
    let (web, go) = held();
    let code = "export const transformBatch = (events) => Promise.all(events.map(async (event) => {
      event.got = await fetch('$URL' + (event.n === 3 ? 'never' : event.n));
      return event;
    }));";
    let dir = Dir::with(&code.replace("$URL", &web.url("/")));
    let address = web.address.to_string();
    let flags = ["run", "t.js", "-j1", "--batch-size", "2", "--wall-limit", "800ms", "--allow-net", &address];
    let mut live = Live::start(dir.command(&flags));
    live.write(numbered(6));
    web.wait(6);
    live.signal(Signal::TERM);
    let_go(&go);
    let (done, _) = live.end();
    assert!(done.summary().starts_with("6 in = 4 ok + 0 dropped + 2 failed (2 timeout) · "), "{}", done.err);
}

#[test]
fn what_a_killed_worker_has_asked_is_counted_as_asked_again() {
    let first = Arc::new(AtomicBool::new(true));
    let silent = first.clone();
    let web = Web::start(move |asked| {
        if silent.load(Ordering::SeqCst) {
            let never = (Mutex::new(()), Condvar::new());
            drop(never.1.wait_while(never.0.lock().unwrap(), |()| true).unwrap());
        }
        Reply::json(&format!("\"{}\"", asked.path))
    });
    let dir = Dir::with(&ASK.replace("$URL", &web.url("/")));
    let address = web.address.to_string();
    let flags = ["run", "t.js", "-j1", "--stats", "json", "--wall-limit", "60s", "--allow-net", &address];
    let mut live = Live::start(dir.command(&flags));
    live.write(numbered(12));
    web.wait(12);
    first.store(false, Ordering::SeqCst);
    for worker in live.workers() {
        kill_process(worker, Signal::KILL).unwrap();
    }
    let done = live.finish();
    assert_eq!(done.lines().len(), 12, "{}", done.err);
    let stats: Value = serde_json::from_str(&done.err).unwrap();
    assert_eq!((&stats["requests_repeated"], &stats["workers_replaced"]), (&json!(12), &json!(1)));
}

/// An answer that is not JSON: the code gets the error, and other events are not affected.
#[test]
fn a_service_that_answers_with_garbage_or_hangs_up_hurts_those_that_asked() {
    let web = Web::start(|asked| match asked.path.as_str() {
        "/1" => Reply { head: "200 Whatever\r\nContent-Length: 5\r\n".to_owned(), body: vec![0xff, 0, b'{', 1, 2] },
        "/2" => Reply { head: "not a status\r\n".to_owned(), body: Vec::new() },
        "/3" => Reply {
            head: "200 Whatever\r\nContent-Length: 10\r\nConnection: close\r\n".to_owned(),
            body: b"1".to_vec(),
        },
        path => Reply::json(&format!("\"{path}\"")),
    });
    let (_, done) = run(ASK, &web, &["--wall-limit", "2s"], &numbered(6));
    let of = |n: usize| done.lines().into_iter().find(|line| line.contains(&format!("\"n\":{n},"))).map(str::to_owned);
    for n in [0, 4, 5] {
        assert_eq!(of(n), Some(format!("{{\"n\":{n},\"got\":\"/{n}\"}}")), "{}", done.err);
    }
    for n in [1, 2] {
        assert_eq!(of(n), Some(format!("{{\"n\":{n},\"got\":\"ERROR\"}}")), "{}", done.err);
    }
}

/// One of the events in flight misbehaves after it has waited. It alone is blamed.
#[test]
fn one_hostile_event_among_many_that_wait_fails_alone() {
    let deeds = [
        ("for (;;);", "timeout"),
        ("const all = []; for (;;) all.push(new Array(1000).fill(all.length));", "memory"),
        ("await new Promise(() => {});", "never_settles"),
        ("throw { toString() { for (;;); } };", "timeout"),
        ("return { get n() { for (;;); } };", "timeout"),
        ("return { toJSON() { throw new Error('no'); } };", "exception"),
        ("for (;;) await null;", "timeout"),
        ("const deep = () => deep() + 1; deep();", "exception"),
        ("return 7;", "bad_return"),
    ];
    let web = super::web();
    for (deed, kind) in deeds {
        let code = format!(
            "export async function transformEvent(event) {{
              const got = await fetch('$URL' + event.n);
              if (event.n === 5) {{ {deed} }}
              const more = await fetch('$URL' + event.n);
              return {{ n: event.n, got, more }};
            }}"
        );
        let flags = ["--cpu-limit", "1s", "--wall-limit", "1m", "--heap-limit", "32MiB", "--emit", "verdicts"];
        let (_, done) = run(&code, &web, &[&flags[..], &["--fail-on", "never"]].concat(), &numbered(12));
        let lines = done.lines();
        assert_eq!(lines.len(), 12, "{deed}\n{}", done.err);
        for (n, line) in lines.iter().enumerate() {
            let verdict: Value = serde_json::from_str(line).unwrap();
            if n == 5 {
                assert_eq!(verdict["kind"], kind, "{deed}: {line}");
            } else {
                let event = json!([{"n": n, "got": format!("/{n}"), "more": format!("/{n}")}]);
                assert_eq!(verdict["events"], event, "{deed}: {line}\n{}", done.err);
            }
        }
    }
}

/// Code that assigns to inherited properties gets an isolate that allows it, even after the code has waited.
#[test]
fn what_wants_overrides_gets_them_after_it_has_waited() {
    let code = "export async function transformEvent(event) {
      const got = await fetch('$URL' + event.n);
      class Mine extends Map {}
      const mine = new Mine();
      mine.get = () => got;
      return { n: event.n, got: mine.get() };
    }";
    let (_, done) = run(code, &super::web(), &[], &numbered(8));
    let expected: Vec<String> = (0..8).map(|n| format!("{{\"n\":{n},\"got\":\"/{n}\"}}")).collect();
    assert_eq!(done.lines(), expected, "{}", done.err);
}

/// Workers die at random while all their events or batches wait. Every event has its output once and in order, and
/// repeated requests are counted.
#[test]
fn workers_that_are_killed_while_everything_waits_change_nothing() {
    const EVENTS: usize = 3000;
    let batch = "export const transformBatch = (events) => Promise.all(events.map(async (event) => {
      event.got = await fetch('$URL' + event.n);
      return event;
    }));";
    for (code, flags) in [(ASK, [""; 0].as_slice()), (batch, &["--batch-size", "50"])] {
        let web = super::web();
        let dir = Dir::with(&code.replace("$URL", &web.url("/")));
        let address = web.address.to_string();
        let flags = [&["run", "t.js", "-j2", "--stats", "json", "--wall-limit", "30s", "--allow-net", &address], flags]
            .concat();
        let mut live = Live::start(dir.command(&flags));
        let mut input = live.take_input();
        let feeder = std::thread::spawn(move || {
            for at in (0..EVENTS).step_by(100) {
                let some: String = (at..at + 100).map(|n| format!("{{\"n\":{n}}}\n")).collect();
                std::io::Write::write_all(&mut input, some.as_bytes()).unwrap();
            }
        });
        // A worker dies after every three hundred requests.
        for round in 1..=5 {
            web.wait(300 * round);
            if let Some(worker) = live.workers().first() {
                // The worker may already have ended.
                let _ = kill_process(*worker, Signal::KILL);
            }
        }
        feeder.join().unwrap();
        let done = live.finish();
        let expected: Vec<String> = (0..EVENTS).map(|n| format!("{{\"n\":{n},\"got\":\"/{n}\"}}")).collect();
        assert!(done.lines() == expected, "{}", done.err);
        let stats: Value = serde_json::from_str(&done.err).unwrap();
        let (repeated, asked) = (stats["requests_repeated"].as_u64().unwrap(), web.requests().len() as u64);
        assert!(asked <= EVENTS as u64 + repeated, "{asked} requests, {repeated} of them again");
    }
}
