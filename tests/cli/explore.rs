//! `sluicegate fuzz` and `sluicegate diff`.

use std::fs;

use serde_json::Value;

use crate::support::{Dir, Done};

/// A transformation whose author has never seen an unusual event.
const CODE: &str = "export function transformEvent(event) {
  const { first, last } = event.traits;
  event.traits.name = `${first.trim()} ${last}`;
  return event;
}
";

/// Compares with a file of `tests/golden/explore`; `UPDATE_GOLDEN=1` rewrites it.
fn golden(name: &str, text: &str) {
    let path = format!("tests/golden/explore/{name}.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, text).unwrap();
    } else {
        assert_eq!(fs::read_to_string(path).unwrap_or_default(), text, "{name}");
    }
}

/// The text without values that depend on the machine: seconds, and CPU time.
fn steady(text: &str) -> String {
    text.lines()
        .map(|line| match (line.rsplit_once(" · "), line.starts_with("CPU time per event")) {
            (Some((before, after)), _) if after.ends_with(" s") => format!("{before} · N s\n"),
            (_, true) => "CPU time per event: N µs → N µs\n".to_owned(),
            _ => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn faults_are_found_once_each_with_the_smallest_event() {
    let dir = Dir::with(CODE);
    dir.file("one.jsonl", r#"{"type":"identify","traits":{"first":"Ada","last":"Lovelace","plan":"team"}}"#);
    let done = dir.run(&["fuzz", "t.js", "one.jsonl", "--runs", "400", "--save", "cases"], "");
    assert_eq!(done.code, 1, "{}{}", done.text(), done.err);
    golden("fuzz", &steady(done.text()));
    // Each saved case is a failing test with the same message.
    let cases = fs::read_dir(dir.path().join("cases")).unwrap().count();
    let tests = dir.run(&["test", "--reporter", "json"], "");
    let value: Value = serde_json::from_str(tests.text()).unwrap();
    assert_eq!((tests.code, value["failed"].as_u64()), (1, Some(cases as u64)), "{}", tests.text());
    assert!(cases >= 3, "{cases}");
    golden("case", &dir.read("cases/t.fuzz-1.case.json"));
}

#[test]
fn a_seed_decides_everything_and_nothing_found_is_success() {
    let dir = Dir::with(CODE);
    let faults = |args: &[&str]| -> Value {
        let done = dir.run(&[&["fuzz", "t.js", "--runs", "300", "--json"], args].concat(), "");
        let value: Value = serde_json::from_str(done.text()).unwrap();
        value["faults"].clone()
    };
    assert_eq!(faults(&["--seed", "7", "-j", "1"]), faults(&["--seed", "7", "-j", "2"]));
    dir.file("t.js", "export function transformEvent(event) { return event; }");
    let done = dir.run(&["fuzz", "t.js", "--runs", "300"], "");
    assert_eq!((done.code, steady(done.text())), (0, "no fault in 300 events of seed 1 · N s\n".to_owned()));
}

#[test]
fn fuzz_runs_under_the_limits_and_survives_what_it_finds() {
    let dir = Dir::with(
        "export function transformEvent(event) {
          if (event.a === 1) for (;;);
          if (event.a === 2) { const all = []; for (;;) all.push('x'.repeat(1000) + all.length); }
          return event;
        }",
    );
    dir.file("events.jsonl", "{\"a\":1,\"type\":\"track\"}\nno event\n{\"a\":2,\"b\":[1,2]}\n");
    let args = ["fuzz", "t.js", "events.jsonl", "--runs", "2", "--cpu-limit", "1s", "--heap-limit", "16MiB", "--json"];
    let done = dir.run(&args, "");
    let value: Value = serde_json::from_str(done.text()).unwrap();
    let faults: Vec<(&str, &str)> = value["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (fault["kind"].as_str().unwrap(), fault["event"].as_str().unwrap()))
        .collect();
    assert_eq!(faults, [("timeout", r#"{"a":1}"#), ("memory", r#"{"a":2}"#)], "{}", done.err);
}

const OLD: &str = "export function transformEvent(event) {
  if (event.n === 3) return null;
  if (event.n === 4) throw new Error('four');
  event.total = event.n * 2;
  return event;
}
";

const NEW: &str = "export function transformEvent(event) {
  // A line more: what moves is no change.
  if (event.n === 4) throw new Error('four');
  event.total = event.n > 5 ? String(event.n * 2) : event.n * 2;
  if (event.n === 5) event.list = [{ a: 1 }];
  return event;
}
";

#[test]
fn diff_counts_verdicts_and_fields_with_an_example_each() {
    let dir = Dir::new();
    dir.file("old.js", OLD);
    dir.file("new.js", NEW);
    let events: String = (1..=2000).map(|n| format!("{{\"n\":{n},\"list\":[{{\"a\":0}}]}}\n")).collect();
    dir.file("events.jsonl", &events);
    let done = dir.run(&["diff", "old.js", "new.js", "events.jsonl"], "");
    assert_eq!(done.code, 0, "{}", done.err);
    golden("diff", &steady(done.text()));
    let done: Done = dir.run(&["diff", "old.js", "new.js", "-", "--json", "--max-changes", "10"], &events);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("1997 events changed, --max-changes allows 10"), "{}", done.err);
    let value: Value = serde_json::from_str(done.text()).unwrap();
    assert_eq!((value["events"].as_u64(), value["changed"].as_u64()), (Some(2000), Some(1997)));
    let same = dir.run(&["diff", "old.js", "old.js", "events.jsonl", "--max-changes", "0"], "");
    assert!(same.code == 0 && same.text().starts_with("2 000 events, none changed\n"), "{}", same.text());
}

#[test]
fn a_version_that_does_not_load_is_shown_where_it_is_wrong() {
    let dir = Dir::new();
    dir.file("old.js", OLD);
    dir.file("new.js", "export function transformEvent(event) { return event; ");
    dir.file("events.jsonl", "{}\n");
    for args in [&["diff", "old.js", "new.js", "events.jsonl"][..], &["fuzz", "new.js"]] {
        let done = dir.run(args, "");
        assert!(done.code == 2 && done.err.contains("--> new.js:1:"), "{}", done.err);
    }
    assert_eq!(dir.run(&["diff", "old.js", "old.js", "missing.jsonl"], "").code, 2);
    assert_eq!(dir.run(&["fuzz", "old.js", "missing.jsonl"], "").code, 2);
}

/// The clock and the random numbers are fixed, and state comes from the same events.
#[test]
fn a_version_never_differs_from_itself() {
    let dir = Dir::with(
        "let n = 0;
        export function transformEvent(e) {
          n += 1;
          return { ...e, n, at: Date.now(), iso: new Date().toISOString(), r: Math.random(), id: crypto.randomUUID() };
        }",
    );
    dir.file("events.jsonl", "{\"a\":1}\n".repeat(3000));
    let same = dir.run(&["diff", "t.js", "t.js", "events.jsonl", "--json", "--max-changes", "0"], "");
    let value: Value = serde_json::from_str(same.text()).unwrap();
    assert_eq!((same.code, value["changed"].as_u64()), (0, Some(0)), "{}", same.text());
}

#[test]
fn fields_can_be_left_out_and_the_clock_set() {
    let dir = Dir::with(
        "export const transformEvent = (e) => ({ id: 1, list: [{ id: 1 }], year: new Date().getFullYear() });",
    );
    dir.file("new.js", "export const transformEvent = (e) => ({ id: 2, list: [{ id: 2 }], year: 2024 });");
    let diff = |args: &[&str]| {
        let done = dir.run(&[&["diff", "t.js", "new.js", "-", "--json"], args].concat(), "{}\n");
        let value: Value = serde_json::from_str(done.text()).unwrap_or_else(|_| panic!("{}{}", done.text(), done.err));
        let fields: Vec<String> =
            value["fields"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect();
        fields
    };
    assert_eq!(diff(&["--now", "2024-02-29"]), ["id", "list[].id"]);
    assert_eq!(diff(&["--now", "2023-12-31T23:59:59Z", "--ignore", "id", "--ignore", "list"]), ["year"]);
    assert!(diff(&["--now", "2024-02-29", "--ignore", "id", "--ignore", "list[].id"]).is_empty());
    let wrong = dir.run(&["diff", "t.js", "new.js", "-", "--now", "yesterday"], "{}\n");
    assert!(wrong.code == 2 && wrong.err.contains("expected a time such as 2024-02-29T12:00:00Z"), "{}", wrong.err);
}
