//! `sluicegate replay`: runs dead letters again.

use serde_json::Value;

use crate::support::{Dir, Done};

const CODE: &str = "export function transformEvent(event, metadata) {
  log('seen', event.n, metadata(event).sourceId);
  if (event.n === 3) throw new TypeError('no three');
  if (event.n === 4) for (;;);
  return event;
}
";

const INPUT: &str = "{\"n\":1,\"id\":9007199254740993}
{\"n\":3,\"id\":9007199254740993}
not JSON
{\"n\":4}
{\"n\":5}
";

/// A folder with a file of three dead letters.
fn with_dead_letters() -> Dir {
    let dir = Dir::with(CODE);
    dir.file("in.jsonl", INPUT);
    let done = dir.run(&["run", "t.js", "in.jsonl", "--errors", "dead.jsonl", "--cpu-limit", "50ms"], "");
    assert_eq!(
        done.summary(),
        "5 in = 2 ok + 0 dropped + 3 failed (1 invalid_json, 1 exception, 1 timeout) · 2 events out"
    );
    dir
}

/// The report without values that differ in each run.
fn report(done: &Done) -> String {
    let steady = |line: &str| match line.split_once(char::is_whitespace) {
        Some((name @ ("time" | "heap"), rest)) if rest.trim_start().starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{name:<9}N {}", rest.trim_start().split_once(' ').unwrap().1)
        }
        _ => line.to_owned(),
    };
    done.text().lines().map(|line| steady(line) + "\n").collect()
}

#[test]
fn one_record_tells_what_happens_and_why() {
    let dir = with_dead_letters();
    let done = dir.run(&["replay", "dead.jsonl:1"], "");
    assert_eq!((done.code, done.err.as_str()), (1, ""));
    assert_eq!(
        report(&done),
        "event    line 2 of in.jsonl, at byte 30
before   failed exception: no three
code     the same as then
verdict  failed exception
time     N ms of CPU
heap     N MiB in use afterwards
log      log seen 3 undefined
error: TypeError: no three (exception)
 --> t.js:3:28
  |
3 |   if (event.n === 3) throw new TypeError('no three');
  |                            ^
    at transformEvent (t.js:3:28)
"
    );
    let done = dir.run(&["replay", "dead.jsonl:2"], "");
    assert!(done.text().contains("verdict  failed invalid_json\n"), "{}", done.text());
    let done = dir.run(&["replay", "dead.jsonl:3", "--cpu-limit", "50ms"], "");
    assert!(report(&done).contains("verdict  failed timeout\ntime     N ms of CPU\n"), "{}", done.text());
}

#[test]
fn a_record_on_standard_input_and_code_that_was_mended() {
    let dir = with_dead_letters();
    let dead = dir.read("dead.jsonl");
    dir.file("mended.js", "export const transformEvent = (event) => ({ ...event, mended: true });");
    dir.file("metadata.json", "{\"sourceId\":\"s1\"}");
    let record = dead.lines().next().unwrap();
    let done = dir.run(&["replay", "-", "--transformation", "mended.js", "--json"], record);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let told: Value = serde_json::from_str(done.text()).unwrap();
    assert_eq!((&told["verdict"], &told["same_code"]), (&"ok".into(), &false.into()));
    assert!(done.text().contains("\"events\":[{\"n\":3,\"id\":9007199254740993,\"mended\":true}]"), "{}", done.text());
    assert_eq!(told["before"]["kind"], "exception");
    assert!(told["cpu_seconds"].as_f64().unwrap() > 0.0);

    let done = dir.run(&["replay", "-", "--metadata", "metadata.json"], record);
    assert!(done.text().contains("log      log seen 3 s1\n"), "{}", done.text());
}

#[test]
fn a_whole_file_is_run_again_and_what_fails_keeps_its_place() {
    let dir = with_dead_letters();
    dir.file("t.js", CODE.replace("=== 3", "=== 7"));
    let args = ["replay", "--all", "dead.jsonl", "--errors", "again.jsonl", "--cpu-limit", "50ms"];
    let done = dir.run(&args, "");
    assert_eq!((done.code, done.text()), (1, "{\"n\":3,\"id\":9007199254740993}\n"), "{}", done.err);
    assert!(done.err.contains("note: the code has changed since 3 of these 3 events failed\n"), "{}", done.err);
    assert_eq!(done.summary(), "3 in = 1 ok + 0 dropped + 2 failed (1 invalid_json, 1 timeout) · 1 events out");
    let places = |name: &str| -> Vec<(Value, Value, Value)> {
        let letters = dir.read(name);
        let letters = letters.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        letters.map(|it| (it["input_file"].clone(), it["input_line"].clone(), it["input_offset"].clone())).collect()
    };
    assert_eq!(places("again.jsonl"), places("dead.jsonl")[1..]);
    // A second replay, of the letters of the first one.
    dir.file("t.js", "export const transformEvent = () => null;");
    let done = dir.run(&["replay", "--all", "again.jsonl", "--errors", "third.jsonl", "--fail-on", "never"], "");
    assert_eq!((done.code, done.text()), (0, ""), "{}", done.err);
    assert_eq!(done.summary(), "2 in = 0 ok + 1 dropped + 1 failed (1 invalid_json) · 0 events out");
}

#[test]
fn envelopes_stay_envelopes() {
    let dir =
        Dir::with("export function transformEvent(event, metadata) { throw new Error(metadata(event).sourceId); }");
    let line = "{\"message\":{\"n\":1},\"metadata\":{\"sourceId\":\"s7\"}}";
    dir.run(&["run", "t.js", "--envelope", "--errors", "dead.jsonl"], line);
    let done = dir.run(&["replay", "dead.jsonl"], "");
    assert!(done.text().contains("error: Error: s7 (exception)\n"), "{}{}", done.text(), done.err);
    dir.file("t.js", "export const transformEvent = (event) => event;");
    let done = dir.run(&["replay", "--all", "dead.jsonl"], "");
    assert_eq!(done.text(), format!("{line}\n"), "{}", done.err);
}

#[test]
fn what_is_no_dead_letter_is_refused_with_its_place() {
    let dir = with_dead_letters();
    dir.file(
        "elsewhere.jsonl",
        dir.read("dead.jsonl").replace("\"transformation\":\"t.js\"", "\"transformation\":\"x.js\""),
    );
    let both = dir.read("dead.jsonl") + &dir.read("elsewhere.jsonl");
    dir.file("both.jsonl", both);
    let cases: &[(&[&str], &str)] = &[
        (
            &["dead.jsonl"],
            "error: dead.jsonl holds more than one dead letter\nhelp: name one as dead.jsonl:1, or run all of them with --all dead.jsonl\n",
        ),
        (&["dead.jsonl:9"], "error: dead.jsonl has no line 9, it ends after 3\n"),
        (
            &["in.jsonl:1"],
            "error: in.jsonl:1 is not a dead letter: missing field `input_line` at line 1 column 29\nhelp: replay takes what `run --errors FILE` wrote\n",
        ),
        (
            &["missing.jsonl:1"],
            "error: cannot read the dead letters missing.jsonl: there is no such file\nhelp: name what `run --errors FILE` wrote, and a line of it as FILE:LINE\n",
        ),
        (
            &["elsewhere.jsonl:1"],
            "error: elsewhere.jsonl:1 failed in x.js, and there is no such file\nhelp: start this in the folder of that run, or name the file with --transformation\n",
        ),
        (
            &["--all", "both.jsonl"],
            "error: both.jsonl:4 failed in x.js, and the letters before it in t.js\nhelp: name the transformation for all of them with --transformation, or split the file\n",
        ),
        (
            &["--all", "dead.jsonl", "--errors", "dead.jsonl"],
            "error: --errors dead.jsonl is also read by this run\nhelp: writing to it would overwrite it; name another file\n",
        ),
        (&["-"], "error: standard input holds no dead letters\nhelp: `run --errors FILE` writes them\n"),
    ];
    for (args, wanted) in cases {
        let done = dir.run(&[&["replay"], *args].concat(), "");
        assert_eq!((done.code, done.text(), done.err.as_str()), (2, "", *wanted), "{args:?}");
    }
}
