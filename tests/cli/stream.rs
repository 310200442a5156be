//! The streams of a run: order, promptness, verdict lines, failures, dead letters, logs, envelopes.

use serde_json::{Value, json};

use crate::support::Dir;
use crate::support::live::Live;

/// Drops, fails, doubles or passes an event, as the event asks.
const CODE: &str = "export function transformEvent(event) {
  switch (event.do) {
    case 'drop': return null;
    case 'fail': throw new Error('as asked');
    case 'double': return [event, { copy: event.n }];
    case 'spin': for (let i = 0, x = 0; i < 300000; i++) x += Math.sqrt(i);
  }
  return event;
}";

const MIXED: &str = "{\"n\":1}\n\n{\"n\":2,\"do\":\"drop\"}\n{\"n\":3,\"do\":\"fail\"}\n{\"n\":4,\"do\":\"double\"}\n";

/// Events, every 50th of which takes longer than the others, so that workers finish out of order.
fn uneven(count: u32) -> String {
    let spin = |n: u32| if n % 50 == 7 { ",\"do\":\"spin\"" } else { "" };
    (0..count).map(|n| format!("{{\"n\":{n}{}}}\n", spin(n))).collect()
}

#[test]
fn outputs_leave_in_the_order_of_the_input_unless_asked_otherwise() {
    let dir = Dir::with(CODE);
    let input = uneven(20_000);
    let ordered = dir.run(&["run", "t.js", "-j", "4"], &input);
    assert!(ordered.text() == input, "{}", ordered.err);
    let unordered = dir.run(&["run", "t.js", "-j", "4", "--unordered"], &input);
    let (mut got, mut want) = (unordered.lines(), ordered.lines());
    got.sort_unstable();
    want.sort_unstable();
    assert!(got == want, "{}", unordered.err);
    assert_eq!(unordered.summary(), ordered.summary());
}

/// Each line is written only after the previous one is answered: a run that held a line back would never end.
#[test]
fn a_slow_pipe_is_answered_line_by_line() {
    for flags in [&[][..], &["--line-buffered"], &["--emit", "verdicts", "-j", "3"], &["--unordered", "-j", "2"]] {
        let dir = Dir::with(CODE);
        let mut live = Live::start(dir.command(&[&["run", "t.js"], flags].concat()));
        for n in 0..50 {
            // In two pieces; the first one is not a complete line.
            live.write(format!("{{\"n\":{n}"));
            live.write("}\n");
            assert!(live.line().contains(&format!("{{\"n\":{n}}}")), "{flags:?}");
        }
        // The last line needs no end.
        live.write("{\"n\":50}");
        let done = live.finish();
        assert!(done.text().contains("{\"n\":50}"), "{flags:?}: {}", done.err);
    }
}

/// Answers do not wait for the events after a slow one.
#[test]
fn a_slow_event_does_not_hold_back_what_is_finished() {
    let dir = Dir::with("export function transformEvent(event) { if (event.loop) for (;;); return event; }");
    let args = ["run", "t.js", "-j", "1", "--line-buffered", "--cpu-limit", "1h", "--wall-limit", "1h"];
    let mut live = Live::start(dir.command(&args));
    live.write("{\"n\":1}\n{\"n\":2}\n{\"loop\":1}\n");
    assert_eq!((live.line(), live.line()), ("{\"n\":1}".into(), "{\"n\":2}".into()));
    while !live.has_ended() {
        live.signal(rustix::process::Signal::TERM);
        std::thread::yield_now();
    }
}

#[test]
fn a_slow_stretch_amid_cheap_events_keeps_the_order_on_any_number_of_workers() {
    let code = "export function transformEvent(event) { for (let n = 0; n < (event.loops ?? 0); n++) event.x = n; return event; }";
    let dir = Dir::with(code);
    let cheap = |from: u32| (from..from + 20_000).map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>();
    let slow: String = (0..30).map(|n| format!("{{\"slow\":{n},\"loops\":5000000}}\n")).collect();
    let events = [cheap(0), slow, cheap(20_000)].concat();
    let [one, three] = ["1", "3"].map(|workers| dir.run(&["run", "t.js", "--quiet", "-j", workers], &events));
    assert_eq!((one.code, three.code), (0, 0));
    assert!(one.text() == three.text(), "the outputs differ");
    assert_eq!(one.text().lines().count(), 40_030);
}

#[test]
fn verdicts_are_one_line_for_each_line() {
    let done = Dir::with(CODE).run(&["run", "t.js", "--emit", "verdicts", "--quiet"], MIXED);
    assert_eq!((done.code, done.err.as_str()), (1, ""), "nothing but verdicts, not even dead letters");
    assert_eq!(
        done.text(),
        "{\"verdict\":\"ok\",\"events\":[{\"n\":1}]}\n\
         {\"verdict\":\"dropped\"}\n\
         {\"verdict\":\"dropped\"}\n\
         {\"verdict\":\"failed\",\"kind\":\"exception\",\"name\":\"Error\",\"message\":\"as asked\",\
         \"stack\":\"Error: as asked\\n    at transformEvent (t.js:4:24)\",\"file\":\"t.js\",\"line\":4,\"column\":24}\n\
         {\"verdict\":\"ok\",\"events\":[{\"n\":4,\"do\":\"double\"},{\"copy\":4}]}\n"
    );
}

#[test]
fn a_failed_line_goes_where_it_was_asked_to() {
    let dir = Dir::with(CODE);
    let summary = "5 in = 2 ok + 2 dropped (1 blank) + 1 failed (1 exception) · 3 events out";
    let (before, after) = ("{\"n\":1}\n", "{\"n\":4,\"do\":\"double\"}\n{\"copy\":4}\n");
    let failed = "{\"n\":3,\"do\":\"fail\"}\n";

    let letters = dir.run(&["run", "t.js"], MIXED);
    assert_eq!((letters.code, letters.text()), (1, format!("{before}{after}").as_str()));
    assert_eq!((letters.summary(), letters.dead_letters().len()), (summary, 1));

    let pass = dir.run(&["run", "t.js", "--on-error", "pass"], MIXED);
    assert_eq!((pass.code, pass.text()), (1, format!("{before}{failed}{after}").as_str()));
    assert_eq!((pass.summary(), pass.dead_letters().len()), (summary, 0));

    let both = dir.run(&["run", "t.js", "--on-error", "pass", "--errors", "dead.jsonl"], MIXED);
    assert_eq!(both.out, pass.out);
    assert_eq!(dir.read("dead.jsonl").lines().count(), 1);

    let stop = dir.run(&["run", "t.js", "--on-error", "stop"], MIXED);
    assert_eq!((stop.code, stop.text()), (1, before));
    assert_eq!(stop.dead_letters().len(), 1);
    let line = stop.err.lines().last().unwrap();
    assert!(line.starts_with("4 in = 1 ok + 2 dropped (1 blank) + 1 failed (1 exception) · 1 events out · "), "{line}");
    assert!(line.ends_with(" · stopped at the first failure (--on-error stop)"), "{line}");
}

/// The run ends at the first failure in the order of the input, although several workers are far ahead.
#[test]
fn stop_ends_at_the_first_failure_whatever_the_workers_have_done() {
    let mut input = uneven(20_000);
    input.insert_str(input.find("{\"n\":11000").unwrap(), "{\"n\":0,\"do\":\"fail\"}\n");
    input.push_str("{\"n\":0,\"do\":\"fail\"}\n");
    let done = Dir::with(CODE).run(&["run", "t.js", "-j", "4", "--on-error", "stop"], &input);
    assert!(done.text() == uneven(11_000), "{}", done.err);
    assert_eq!(done.dead_letters().len(), 1);
    assert!(done.err.contains("11001 in = 11000 ok + 0 dropped + 1 failed (1 exception)"), "{}", done.err);
}

#[test]
fn fail_on_says_what_a_failure_is() {
    let dir = Dir::with(CODE);
    for (when, code) in [("never", 0), ("error", 1), ("20%", 0), ("19.9%", 1)] {
        assert_eq!(dir.run(&["run", "t.js", "--fail-on", when], MIXED).code, code, "{when}");
    }
    assert_eq!(dir.run(&["run", "t.js", "--fail-on", "0%"], "{}\n").code, 0);
    assert_eq!(dir.run(&["run", "t.js", "--fail-on", "0%"], "").code, 0);
}

/// The position of a line is its file, its line number and its byte offset, also with byte order marks, both kinds of
/// line ends and several files.
#[test]
fn a_dead_letter_finds_its_line_again() {
    let dir = Dir::with(CODE);
    let bad = "{\"do\":\"fail\"}";
    dir.file("one.jsonl", format!("\u{feff}{bad}\r\n{{\"n\":1}}\r\n\r\n{bad}"));
    dir.file("two.jsonl", format!("{{\"é\":1}}\n{bad}\n"));
    let input = format!("{{}}\n{bad}\n");
    let args = ["run", "t.js", "one.jsonl", "-", "two.jsonl", "--errors", "dead.jsonl", "--quiet"];
    let done = dir.run(&args, input);
    assert_eq!((done.code, done.err.as_str()), (1, ""));
    assert_eq!(done.text(), "{\"n\":1}\n{}\n{\"é\":1}\n");
    let mut letters: Vec<Value> =
        dir.read("dead.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for letter in &mut letters {
        assert!(letter.as_object_mut().unwrap().remove("run").is_some_and(|run| run.is_string()), "each says its run");
    }
    let code = letters[0]["code"].clone();
    assert!(code.as_str().unwrap().starts_with("sha256:"));
    let letter = |file: Option<&str>, line: u32, offset: u32| {
        let mut letter = json!({
            "input_line": line, "input_offset": offset, "kind": "exception", "name": "Error", "message": "as asked",
            "stack": "Error: as asked\n    at transformEvent (t.js:4:24)", "file": "t.js", "line": 4, "column": 24,
            "transformation": "t.js", "code": code, "event": bad,
        });
        if let Some(file) = file {
            letter["input_file"] = file.into();
        }
        letter
    };
    assert_eq!(
        letters,
        [
            letter(Some("one.jsonl"), 1, 3),
            letter(Some("one.jsonl"), 4, 29),
            letter(None, 2, 3),
            letter(Some("two.jsonl"), 2, 9),
        ]
    );
}

#[test]
fn the_numbers_can_be_read_by_machines() {
    let done = Dir::with(CODE).run(&["run", "t.js", "--stats", "json", "--errors", "dead.jsonl"], MIXED);
    let mut stats: Value = serde_json::from_str(&done.err).unwrap();
    let object = stats.as_object_mut().unwrap();
    for measured in ["seconds", "events_per_second"] {
        assert!(object.remove(measured).unwrap().as_f64().unwrap() > 0.0);
    }
    assert_eq!(
        stats,
        json!({
            "in": 5, "ok": 2, "dropped": 2, "blank": 1, "failed": 1, "failed_by_kind": { "exception": 1 },
            "conserved": true, "events_out": 3, "bytes_in": MIXED.len(), "bytes_out": done.out.len(),
            "requests_repeated": 0, "workers_replaced": 0, "workers_hung": 0, "ended": "complete",
        })
    );
}

const METADATA: &str = "export function transformEvent(event, metadata) {
  const { sourceId, destinationId } = metadata(event);
  return { ...event, sourceId, destinationId };
}";

#[test]
fn an_envelope_keeps_its_metadata_and_wins_over_the_defaults() {
    let dir = Dir::with(METADATA);
    dir.file("metadata.json", "{\"sourceId\":\"default\",\"destinationId\":\"d\"}");
    let flags = ["run", "t.js", "--metadata", "metadata.json"];
    let plain = dir.run(&flags, "{\"n\":1}\n");
    assert_eq!(plain.text(), "{\"n\":1,\"sourceId\":\"default\",\"destinationId\":\"d\"}\n");

    let input = "{\"message\":{\"n\":1}}\n\
         {\"metadata\":{\"sourceId\":\"own\",\"unknown\":9007199254740993},\"message\":{\"n\":2},\"more\":1e400}\n\
         {\"n\":3}\n{\"message\":[]}\n";
    let done = dir.run(&[&flags[..], &["--envelope"]].concat(), input);
    assert_eq!(
        done.text(),
        "{\"message\":{\"n\":1,\"sourceId\":\"default\",\"destinationId\":\"d\"}}\n\
         {\"metadata\":{\"sourceId\":\"own\",\"unknown\":9007199254740993},\
         \"message\":{\"n\":2,\"sourceId\":\"own\",\"destinationId\":\"d\"},\"more\":1e400}\n"
    );
    assert_eq!(done.summary(), "4 in = 2 ok + 0 dropped + 2 failed (2 not_an_object) · 2 events out");
}

#[test]
fn secrets_are_masked_in_errors_and_logs_and_logs_stay_off_standard_output() {
    let dir = Dir::with(
        "export function transformEvent(event) {
  const key = getCredential('api');
  log('with', key);
  console.warn({ key });
  if (event.fail) throw new Error('refused: ' + key);
  return event;
}",
    );
    dir.file("credentials.json", "{\"api\":\"s3cr3t-k3y\"}");
    let input = "{\"n\":1}\n{\"n\":2,\"fail\":true}\n";
    let args = ["run", "t.js", "--credentials", "credentials.json", "--logs"];
    let done = dir.run(&[&args[..], &["-"]].concat(), input);
    assert_eq!((done.code, done.text()), (1, "{\"n\":1}\n"));
    assert!(!done.err.contains("s3cr3t"), "{}", done.err);
    let said = done.dead_letters();
    let logs: Vec<&Value> = said.iter().filter(|line| line.get("kind").is_none()).collect();
    assert_eq!(logs.len(), 4, "{}", done.err);
    assert!(logs.iter().all(|line| line["message"].as_str().unwrap().contains("***")), "{}", done.err);
    let letter = said.iter().find(|line| line["kind"] == "exception").unwrap();
    assert!(letter["message"].as_str().unwrap().starts_with("refused: ***"), "{letter}");

    let done = dir.run(&[&args[..], &["logs.jsonl", "--emit", "verdicts"]].concat(), input);
    assert!(!done.text().contains("s3cr3t") && !dir.read("logs.jsonl").contains("s3cr3t"));
    assert_eq!(dir.read("logs.jsonl").lines().count(), 4);
}
