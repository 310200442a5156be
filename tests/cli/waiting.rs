//! Several events in flight in one worker: the state of an event stays with it across every `await`, the right event is
//! blamed, and no answer is lost. The test servers answer when a condition holds, never after a time.

mod batch;
mod client;
mod faults;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::support::live::Live;
use crate::support::web_server::{Reply, Web};
use crate::support::{Dir, Done};

/// A server that answers with the path after it has got `size` requests; the last one is answered first.
fn crowd(size: usize) -> Web {
    let here = Arc::new((Mutex::new((0, size)), Condvar::new()));
    Web::start(move |asked| {
        let mut state = here.0.lock().unwrap();
        state.0 += 1;
        let mine = state.0;
        here.1.notify_all();
        let mut state = here.1.wait_while(state, |(came, next)| *came < size || mine < size && *next != mine).unwrap();
        // A later request has no turn: it may come while earlier ones still wait for theirs.
        if mine <= size {
            state.1 = mine - 1;
        }
        here.1.notify_all();
        drop(state);
        Reply::json(&format!("\"{}\"", asked.path))
    })
}

/// A server that never answers `/never…`.
fn web() -> Web {
    Web::start(|asked| {
        if asked.path.starts_with("/never") {
            let never = (Mutex::new(()), Condvar::new());
            drop(never.1.wait_while(never.0.lock().unwrap(), |()| true).unwrap());
        }
        Reply::json(&format!("\"{}\"", asked.path))
    })
}

fn run(code: &str, web: &Web, flags: &[&str], input: &str) -> (Dir, Done) {
    let dir = Dir::with(&code.replace("$URL", &web.url("/")));
    let done = dir.run(&[&["run", "t.js", "-j1", "--allow-net", &web.address.to_string()], flags].concat(), input);
    (dir, done)
}

fn numbered(count: usize) -> String {
    (0..count).map(|n| format!("{{\"n\":{n}}}\n")).collect()
}

#[test]
fn events_wait_together_and_leave_in_the_order_of_the_input() {
    let code = "export async function transformEvent(event) {
      if (event.n % 3 === 0) return event;
      return { n: event.n, got: await fetch('$URL' + event.n) };
    }";
    let (_, done) = run(code, &crowd(20), &[], &numbered(30));
    let expected: Vec<String> = (0..30)
        .map(|n| if n % 3 == 0 { format!("{{\"n\":{n}}}") } else { format!("{{\"n\":{n},\"got\":\"/{n}\"}}") })
        .collect();
    assert_eq!(done.lines(), expected, "{}", done.err);
}

#[test]
fn metadata_logs_and_budgets_stay_with_their_event() {
    let code = "export async function transformEvent(event, metadata) {
      log('before', event.n);
      const got = await fetch('$URL' + event.n);
      log('after', event.n, metadata(event).sourceId);
      await null;
      const all = await Promise.all([1, 2].map(async (k) => { await null; log('inner', event.n, k); return metadata(event).sourceId; }));
      let refused = 0;
      if (event.n === 0) for (let i = 0; i < 256; i++) await fetchV2('$URL' + 'more').catch(() => refused++);
      return { n: event.n, got, all, refused };
    }";
    let web = crowd(8);
    let input: String =
        (0..8).map(|n| format!("{{\"message\":{{\"n\":{n}}},\"metadata\":{{\"sourceId\":\"s{n}\"}}}}\n")).collect();
    let (dir, done) = run(code, &web, &["--envelope", "--logs", "logs.jsonl"], &input);
    for (n, line) in done.lines().iter().enumerate() {
        let out: Value = serde_json::from_str(line).unwrap();
        let source = format!("s{n}");
        assert_eq!(
            out["message"],
            json!({"n": n, "got": format!("/{n}"), "all": [source, source], "refused": usize::from(n == 0)}),
            "{}",
            done.err
        );
    }
    assert_eq!(done.lines().len(), 8, "{}", done.err);
    let logs = dir.read("logs.jsonl");
    let logs: Vec<Value> = logs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |n: usize| -> Vec<&str> {
        logs.iter().filter(|log| log["line"] == n + 1).map(|log| log["message"].as_str().unwrap()).collect()
    };
    for n in 0..8 {
        let expected =
            [format!("before {n}"), format!("after {n} s{n}"), format!("inner {n} 1"), format!("inner {n} 2")];
        assert_eq!(of(n), expected);
    }
}

/// The first event starts a request, keeps the promise in module state, and fails before it waits for it.
#[test]
fn an_answer_reaches_all_that_wait_for_it_also_when_the_event_that_asked_is_over() {
    let code = "let plans;
    export async function transformEvent(event) {
      plans ??= fetchV2('$URL' + 'plans');
      const plan = event.traits.plan;
      const { body } = await plans;
      return { plan, body };
    }";
    for concurrency in ["1", "256"] {
        let web = web();
        let input = format!("{{}}\n{}", "{\"traits\":{\"plan\":\"pro\"}}\n".repeat(500));
        let (_, done) = run(code, &web, &["--concurrency", concurrency], &input);
        assert_eq!(
            done.summary(),
            "501 in = 500 ok + 0 dropped + 1 failed (1 exception) · 500 events out",
            "{}",
            done.err
        );
        assert_eq!(web.requests().len(), 1);
    }
}

#[test]
fn who_computes_too_long_after_waiting_fails_alone() {
    let code = "export async function transformEvent(event) {
      const got = await fetch('$URL' + event.n);
      if (event.n === 3) for (;;);
      return { n: event.n, got };
    }";
    let web = web();
    let (_, done) = run(code, &web, &["--cpu-limit", "300ms", "--wall-limit", "30s"], &numbered(8));
    let expected: Vec<String> = (0..8).filter(|n| *n != 3).map(|n| format!("{{\"n\":{n},\"got\":\"/{n}\"}}")).collect();
    assert_eq!(done.lines(), expected, "{}", done.err);
    let letters = done.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0]["kind"], &letters[0]["input_line"]), (&json!("timeout"), &json!(4)));
    assert_eq!(letters[0]["message"], "the event took more than 300ms of CPU time");
}

/// All events continue in one turn, because the answer that they share settles them together.
#[test]
fn who_computes_too_long_in_a_turn_of_many_is_found() {
    let code = "let shared;
    export async function transformEvent(event) {
      shared ??= fetch('$URL');
      await shared;
      if (event.n === 5) for (;;);
      let sum = 0;
      for (let i = 0; i < 1e6; i++) sum += i;
      return { n: event.n, sum };
    }";
    let (_, done) = run(code, &web(), &["--cpu-limit", "500ms", "--wall-limit", "60s"], &numbered(40));
    assert_eq!(done.lines().len(), 39, "{}", done.err);
    let letters = done.dead_letters();
    assert_eq!((letters.len(), &letters[0]["kind"], &letters[0]["input_line"]), (1, &json!("timeout"), &json!(6)));
}

#[test]
fn who_fills_the_heap_after_waiting_fails_alone() {
    let code = "export async function transformEvent(event) {
      const got = await fetch('$URL' + event.n);
      const all = [];
      if (event.n === 2) for (;;) all.push(new Array(1000).fill(all.length));
      return { n: event.n, got };
    }";
    let (_, done) =
        run(code, &web(), &["--heap-limit", "32MiB", "--cpu-limit", "20s", "--wall-limit", "60s"], &numbered(6));
    let expected: Vec<String> = (0..6).filter(|n| *n != 2).map(|n| format!("{{\"n\":{n},\"got\":\"/{n}\"}}")).collect();
    assert_eq!(done.lines(), expected, "{}", done.err);
    let letters = done.dead_letters();
    assert_eq!((letters.len(), &letters[0]["kind"], &letters[0]["input_line"]), (1, &json!("memory"), &json!(3)));
}

/// The isolate is not replaced: its state is still there.
#[test]
fn who_waits_too_long_fails_alone_and_its_isolate_goes_on() {
    let code = "let seen = 0;
    export async function transformEvent(event) {
      seen++;
      const got = await fetch('$URL' + (event.n === 1 ? 'never' : event.n));
      return { n: event.n, seen };
    }";
    let (_, done) = run(code, &web(), &["--wall-limit", "3s"], &numbered(5));
    let expected = ["{\"n\":0,\"seen\":5}", "{\"n\":2,\"seen\":5}", "{\"n\":3,\"seen\":5}", "{\"n\":4,\"seen\":5}"];
    assert_eq!(done.lines().len(), expected.len(), "{}", done.err);
    let letters = done.dead_letters();
    assert_eq!(
        letters[0]["message"],
        "the event took more than 3s by the clock, with a request to the network unanswered"
    );
    assert_eq!((letters.len(), &letters[0]["input_line"]), (1, &json!(2)));
}

/// The second event waits for a promise that the third one's answer settles, and the last one for a promise that is
/// never settled.
#[test]
fn never_settles_is_said_when_nothing_under_way_could_settle_it() {
    let code = "let resolve;
    const shared = new Promise((done) => { resolve = done; });
    export async function transformEvent(event) {
      if (event.n === 0) return { got: await fetch('$URL') };
      if (event.n === 1) return { shared: await shared };
      if (event.n === 2) { resolve(await fetch('$URL' + 'two')); return { n: 2 }; }
      return new Promise(() => {});
    }";
    let (_, done) = run(code, &crowd(2), &[], &numbered(4));
    assert_eq!(done.lines(), ["{\"got\":\"/\"}", "{\"shared\":\"/two\"}", "{\"n\":2}"], "{}", done.err);
    let letters = done.dead_letters();
    assert_eq!(
        (letters.len(), &letters[0]["kind"], &letters[0]["input_line"]),
        (1, &json!("never_settles"), &json!(4))
    );
}

#[test]
fn a_worker_that_is_killed_with_events_in_flight_loses_none() {
    let code = "export async function transformEvent(event) {
      return { n: event.n, got: await fetch('$URL' + event.n) };
    }";
    // The first twelve are never answered.
    let count = AtomicUsize::new(0);
    let web = Web::start(move |asked| {
        if count.fetch_add(1, Ordering::SeqCst) < 12 {
            let never = (Mutex::new(()), Condvar::new());
            drop(never.1.wait_while(never.0.lock().unwrap(), |()| true).unwrap());
        }
        Reply::json(&format!("\"{}\"", asked.path))
    });
    let dir = Dir::with(&code.replace("$URL", &web.url("/")));
    let mut live = Live::start(dir.command(&["run", "t.js", "-j1", "--allow-net", &web.address.to_string()]));
    live.write(numbered(12));
    web.wait(12);
    for worker in live.workers() {
        kill_process(worker, Signal::KILL).unwrap();
    }
    let done = live.finish();
    let expected: Vec<String> = (0..12).map(|n| format!("{{\"n\":{n},\"got\":\"/{n}\"}}")).collect();
    assert_eq!(done.lines(), expected, "{}", done.err);
}

/// An event that waits has the same bytes as one that does not: lazy events, digits that JavaScript loses, duplicate
/// keys and numbers beyond all doubles.
#[test]
fn what_waits_has_the_same_bytes_as_what_does_not() {
    let wide: String =
        (0..20).map(|n| format!(",\"k{n}\":{{\"a\":[{n},1.50,\"x\"],\"b\":\"{}\"}}", "y".repeat(60))).collect();
    let lines = [
        format!("{{\"n\":1,\"id\":12345678901234567890,\"big\":1e400{wide}}}"),
        format!("{{\"n\":2,\"id\":0.1000{wide},\"__proto__\":{{\"a\":1}}}}"),
        format!("{{\"n\":3{wide},\"t\":{{\"x\":9007199254740993}}}}"),
        "{\"n\":4,\"a\":1,\"a\":2}".to_owned(),
    ];
    let input: String = lines.iter().cycle().take(400).map(|line| format!("{line}\n")).collect();
    let code = |wait: &str| {
        format!(
            "export async function transformEvent(event) {{
               event.k1 && (event.k1.a[0]);
               {wait}
               if (event.n === 3) {{ event.t.y = event.k2; delete event.k3; }}
               event.seen = true;
               return event;
             }}"
        )
    };
    let (_, plain) = run(&code(""), &web(), &[], &input);
    for flags in [["--concurrency", "1"], ["--concurrency", "64"]] {
        let (_, waited) = run(&code("await fetch('$URL');"), &web(), &flags, &input);
        assert_eq!(plain.lines(), waited.lines(), "{}", waited.err);
    }
}

/// Possible steps of an event. No result depends on the order of answers.
const STEPS: [&str; 12] = [
    "out.push(await fetch('$URL' + event.n));",
    "out.push(await Promise.all([fetch('$URLa'), 1, fetch('$URLb' + event.n)]));",
    "out.push(await Promise.race([fetch('$URLr'), Promise.resolve(event.n)]));",
    "out.push(await (shared ??= fetch('$URLshared')));",
    "for (let i = 0; i < event.n % 4; i++) out.push((await fetch('$URL' + i)).length);",
    "await fetch('$URLx').then(() => { if (event.n % 5 === 0) throw new Error('late'); });",
    "out.push(await new Promise((done) => { fetch('$URL').then(() => done(event.n)); }));",
    "fetch('$URLignored').then(() => { throw new Error('nobody hears it'); });",
    "await null; out.push(metadata(event).messageId);",
    "if (event.n % 7 === 3) return null;",
    "if (event.n % 6 === 1) return { then(done) { fetch('$URL').then((got) => done({ n: event.n, got })); } };",
    "out.push(...(await Promise.allSettled([fetchV2('$URL').then(() => Promise.reject(1)), 2])).map((one) => one.status));",
];

/// A generator of pseudo-random numbers below a bound; a seed always gives the same sequence.
pub fn dice(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    }
}

#[test]
fn any_number_of_events_in_flight_gives_the_same_verdicts_and_bytes() {
    let web = web();
    let mut next = dice(0x9e37_79b9_7f4a_7c15);
    let input: String =
        (0..60).map(|n| format!("{{\"message\":{{\"n\":{n}}},\"metadata\":{{\"messageId\":\"m{n}\"}}}}\n")).collect();
    for _ in 0..8 {
        let steps: Vec<&str> = (0..2 + next(5)).map(|_| STEPS[next(STEPS.len())]).collect();
        let code = format!(
            "let shared;\nexport async function transformEvent(event, metadata) {{\n  const out = [];\n  {}\n  return {{ n: event.n, out }};\n}}",
            steps.join("\n  ")
        );
        let flags =
            |concurrency| ["--envelope", "--emit", "verdicts", "--fail-on", "never", "--concurrency", concurrency];
        let (_, one) = run(&code, &web, &flags("1"), &input);
        for concurrency in ["7", "256"] {
            let (_, many) = run(&code, &web, &flags(concurrency), &input);
            assert_eq!(one.lines(), many.lines(), "{code}\n{}", many.err);
        }
        assert_eq!(one.lines().len(), 60, "{code}\n{}", one.err);
    }
}
