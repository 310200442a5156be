//! `transformBatch`: batches wait like events, and several are in flight together.

use serde_json::{Value, json};

use super::{crowd, dice, numbered, run, web};
use crate::support::Done;

/// Sends a request for each event of a batch, all at once.
const ALL: &str = "export const transformBatch = (events) => Promise.all(events.map(async (event) => {
  event.got = await fetch('$URL' + event.n);
  return event;
}));";

/// The outputs of [`ALL`] for the events from `from` to `to`.
fn got(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("{{\"n\":{n},\"got\":\"/{n}\"}}")).collect()
}

fn repeated(done: &Done) -> Value {
    serde_json::from_str::<Value>(&done.err).unwrap()["requests_repeated"].clone()
}

#[test]
fn batches_wait_together_and_leave_in_the_order_of_the_input() {
    let (_, done) = run(ALL, &crowd(40), &["--batch-size", "10"], &numbered(40));
    assert_eq!(done.lines(), got(0, 40), "{}", done.err);
}

#[test]
fn each_batch_keeps_its_metadata_and_its_ids() {
    let code = "export async function transformBatch(events, metadata) {
      log('of', events.length);
      const all = await Promise.all(events.map((event) => fetch('$URL' + event.n)));
      log('got', metadata(events[0]).sourceId);
      return events.map((event, at) => ({ messageId: event.messageId, got: all[at], source: metadata({ messageId: event.messageId }).sourceId }));
    }";
    let input: String = (0..12)
        .map(|n| {
            format!("{{\"message\":{{\"n\":{n},\"messageId\":\"m{n}\"}},\"metadata\":{{\"sourceId\":\"s{n}\"}}}}\n")
        })
        .collect();
    let flags = ["--batch-size", "4", "--envelope", "--emit", "verdicts", "--logs", "logs.jsonl"];
    let (dir, done) = run(code, &crowd(12), &flags, &input);
    for (n, line) in done.lines().iter().enumerate() {
        let verdict: Value = serde_json::from_str(line).unwrap();
        let event = json!({"messageId": format!("m{n}"), "got": format!("/{n}"), "source": format!("s{n}")});
        assert_eq!(verdict["events"][0]["message"], event, "{line}");
    }
    assert_eq!(done.lines().len(), 12, "{}", done.err);
    let logs = dir.read("logs.jsonl");
    let logs: Vec<Value> = logs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (at, log) in logs.iter().enumerate() {
        let first = at / 2 * 4;
        let message = if at % 2 == 0 { "of 4".to_owned() } else { format!("got s{first}") };
        assert_eq!((&log["line"], &log["message"]), (&json!(first + 1), &json!(message)));
    }
    assert_eq!(logs.len(), 6);
}

#[test]
fn lines_that_are_no_events_fail_in_their_places_and_are_not_waited_for() {
    let input = "\nnope\n{\"n\":0}\n[1]\n{\"n\":1}\n\n";
    for concurrency in ["1", "256"] {
        let flags = ["--emit", "verdicts", "--fail-on", "never", "--batch-size", "3", "--concurrency", concurrency];
        let (_, done) = run(ALL, &web(), &flags, input);
        let verdicts: Vec<Value> = done.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |at: usize| {
            let verdict: &Value = &verdicts[at];
            (verdict["verdict"].as_str().unwrap(), verdict["kind"].as_str())
        };
        assert_eq!(of(0), ("dropped", None), "{}", done.err);
        assert_eq!(of(1), ("failed", Some("invalid_json")));
        assert_eq!(verdicts[2]["events"], json!([{"n": 0, "got": "/0"}]));
        assert_eq!(of(3), ("failed", Some("not_an_object")));
        assert_eq!(verdicts[4]["events"], json!([{"n": 1, "got": "/1"}]));
        assert_eq!((of(5), verdicts.len()), (("dropped", None), 6));
        assert_eq!(
            done.summary(),
            "6 in = 2 ok + 2 dropped (2 blank) + 2 failed (1 invalid_json, 1 not_an_object) · 2 events out"
        );
    }
}

/// The events of the batch fail together, and no request is repeated. Other batches are not affected.
#[test]
fn a_batch_that_waits_too_long_fails_and_is_not_run_again() {
    let code = ALL.replace("event.n)", "(event.n === 6 ? 'never' : event.n))");
    for concurrency in ["1", "256"] {
        let web = web();
        let flags = ["--batch-size", "4", "--wall-limit", "250ms", "--concurrency", concurrency];
        let (_, done) = run(&code, &web, &flags, &numbered(12));
        assert_eq!(done.lines(), [got(0, 4), got(8, 12)].concat(), "{}", done.err);
        let letters = done.dead_letters();
        let of = |at: usize| (&letters[at]["kind"], &letters[at]["input_line"]);
        assert_eq!([of(0), of(3)], [(&json!("timeout"), &json!(5)), (&json!("timeout"), &json!(8))]);
        assert_eq!(letters.len(), 4);
        let message = "the batch of 4 events took more than 1s by the clock, with a request to the network unanswered";
        assert_eq!(letters[0]["message"], message);
        assert_eq!(web.requests().len(), 12);
    }
}

/// The limits of a batch grow with its events.
#[test]
fn a_batch_that_computes_too_long_fails_and_is_not_run_again() {
    let code = "export async function transformBatch(events) {
      await Promise.all(events.map((event) => fetch('$URL' + event.n)));
      if (events[0].n === 0) for (;;);
      return events;
    }";
    let web = web();
    let (_, done) = run(code, &web, &["--batch-size", "10", "--cpu-limit", "50ms"], &numbered(20));
    assert_eq!(done.lines().len(), 10, "{}", done.err);
    let letters = done.dead_letters();
    assert_eq!((letters.len(), &letters[9]["kind"]), (10, &json!("timeout")));
    assert_eq!(letters[0]["message"], "the batch of 10 events took more than 500ms of CPU time");
    // The ten events of the other batch in flight may run again.
    assert!([20, 30].contains(&web.requests().len()), "{}", web.requests().len());
}

/// The other events have outputs, and the number of repeated requests is reported.
#[test]
fn a_batch_that_throws_is_run_event_by_event_and_that_is_counted() {
    let code = "export async function transformBatch(events) {
      const all = await Promise.all(events.map((event) => fetch('$URL' + event.n)));
      return events.map((event, at) => { if (event.n === 2) throw new Error('two'); return { n: event.n, got: all[at] }; });
    }";
    let web = web();
    let flags = ["--batch-size", "4", "--stats", "json", "--errors", "dead.jsonl"];
    let (dir, done) = run(code, &web, &flags, &numbered(8));
    assert_eq!(done.lines(), [got(0, 2), got(3, 8)].concat(), "{}", done.err);
    let letter: Value = serde_json::from_str(&dir.read("dead.jsonl")).unwrap();
    assert_eq!((&letter["input_line"], &letter["kind"]), (&json!(3), &json!("exception")));
    assert_eq!((web.requests().len(), repeated(&done)), (12, json!(4)));
}

#[test]
fn a_batch_may_ask_as_much_as_its_events_alone() {
    let code = "export async function transformBatch(events) {
      const all = await Promise.allSettled(Array.from({ length: 513 }, (_, n) => fetchV2('$URL' + n)));
      const bad = all.filter((one) => one.status === 'rejected');
      return [{ ...events[0], asked: all.length - bad.length, why: bad[0].reason.message.split('reason: ')[1] }];
    }";
    let web = web();
    let (_, done) = run(code, &web, &[], &numbered(2));
    let why = "a batch may make 256 requests for each of its 2 events, and it has";
    assert_eq!(done.lines(), [format!("{{\"n\":0,\"asked\":512,\"why\":\"{why}\"}}")], "{}", done.err);
    assert_eq!(web.requests().len(), 512);
}

/// Possible steps of a batch. No result depends on the order of answers.
const STEPS: [&str; 9] = [
    "await Promise.all(events.map(async (event) => { event.got = await fetch('$URL' + event.n); }));",
    "for (const event of events) if (event.n % 3 === 0) event.one = await fetch('$URL' + event.n);",
    "shared ??= fetch('$URLshared'); const all = await shared; for (const event of events) event.shared = all;",
    "events = events.filter((event) => event.n % 5 !== 2);",
    "if (events.some((event) => event.n % 11 === 4)) throw new Error('four');",
    "await fetch('$URLx').then(() => { if (events.some((event) => event.n % 13 === 7)) throw new TypeError('late'); });",
    "events = events.map((event) => ({ ...event, messageId: metadata(event).messageId }));",
    "fetch('$URLignored').then(() => { throw new Error('nobody hears it'); });",
    "events = [...events, { more: true }];",
];

#[test]
fn any_number_of_batches_in_flight_gives_the_same_verdicts_and_bytes() {
    let web = web();
    let mut next = dice(0x2545_f491_4f6c_dd1d);
    let input: String =
        (0..60).map(|n| format!("{{\"message\":{{\"n\":{n}}},\"metadata\":{{\"messageId\":\"m{n}\"}}}}\n")).collect();
    for _ in 0..8 {
        let steps: Vec<&str> = (0..2 + next(4)).map(|_| STEPS[next(STEPS.len())]).collect();
        let steps: Vec<String> = steps.iter().map(|step| format!("{{ {step} }}")).collect();
        let code = format!(
            "let shared;\nexport async function transformBatch(events, metadata) {{\n  {}\n  return events;\n}}",
            steps.join("\n  ")
        );
        let flags = |concurrency| {
            [
                "--envelope",
                "--emit",
                "verdicts",
                "--fail-on",
                "never",
                "--batch-size",
                "7",
                "--concurrency",
                concurrency,
            ]
        };
        let (_, one) = run(&code, &web, &flags("1"), &input);
        for concurrency in ["8", "256"] {
            let (_, many) = run(&code, &web, &flags(concurrency), &input);
            assert_eq!(one.lines(), many.lines(), "{code}\n{}", many.err);
        }
        assert_eq!(one.lines().len(), 60, "{code}\n{}", one.err);
    }
}
