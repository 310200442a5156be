//! Integers that JavaScript can't hold: a read is reported once; a move is not reported, and the number keeps its
//! digits.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::bad_input::golden;
use crate::serve::client::Server;
use crate::support::Dir;
use crate::support::live::Live;
use crate::support::web_server::{Reply, Web};

const EVENTS: &str = r#"{"id":1,"user":{"id":7,"ids":[1]}}
{"id":9007199254740993,"user":{"id":12345678901234567890,"ids":[9007199254740995,1]},"m":9007199254740997}
{"id":9007199254740999,"user":{"id":-9007199254740993,"ids":[]},"f":0.12345678901234567890,"big":1e400,"even":9007199254740994}
"#;

/// Code that reads such numbers, and the flags of the run.
const READS: &[(&str, &[&str])] = &[
    ("event.key = String(event.id);", &[]),
    ("event.key = `user-${event.user.id}`;", &[]),
    ("const { id } = event.user;\n  event.key = id + 1;", &[]),
    ("event.keys = event.user.ids.map(String);", &[]),
    ("const copy = { ...event };\n  copy.key = String(copy.id);\n  return copy;", &[]),
    ("event.raw = JSON.stringify(event.user);", &[]),
    ("if (event.id === 9007199254740992) event.same = true;", &[]),
    ("event.userId = event.id;\n  event.key = event.id.toString(16);", &[]),
    ("await null;\n  event.key = String(event.id);", &[]),
    ("return event.id > 5 ? undefined : event;", &[]),
    ("const nullId = 1;\n  if (event.id === nullId) event.none = true;", &["--on-unsafe-integer", "fail"]),
    ("const { id: x, ...rest } = event;\n  return { ...rest, big: x > 5 };", &["--on-unsafe-integer", "fail"]),
    ("event.big = Math.max(...event.user.ids) > 5;", &["--on-unsafe-integer", "fail"]),
    // Two numbers have this double, and it is unknown which one was moved.
    ("event.copy = event.m;", &[]),
    ("event.key = String(event.id);", &["--on-unsafe-integer", "fail"]),
    ("try { event.key = String(event.id); } catch {}\n  return null;", &["--on-unsafe-integer", "fail"]),
    ("event.key = String(event.id);", &["--on-unsafe-integer", "ignore"]),
    ("event.key = String(event.id);", &["--quiet"]),
    // An explicit `warn` prints the warning in spite of `--quiet`.
    ("event.key = String(event.id);", &["--quiet", "--on-unsafe-integer", "warn"]),
];

/// Code that does not read: moves, and checks that do not depend on the digits.
const MOVES: &[&str] = &[
    "return event;",
    "event.user2 = event.user;",
    "event.context = { traits: event.user }; delete event.user;",
    "return { wrapped: event };",
    "return [event, { user: event.user }];",
    "event.list = []; event.list.push(event.user);",
    "event.userId = event.id;",
    "event.userId = event.id; delete event.id;",
    "return { ...event };",
    "event.copy = { ...event.user };",
    "event.copy = Object.assign({}, event.user);",
    "const { user, ...rest } = event; return { ...rest, u: user };",
    "event.copy = structuredClone(event.user);",
    "return JSON.parse(JSON.stringify(event));",
    "event.names = Object.keys(event.user); event.has = 'id' in event.user;",
    "if (event.id) event.seen = true;",
    "if (!event.user.id || event.id == null) return null; event.seen = typeof event.id === 'number';",
    "delete event.id;",
    "event.id = 5;",
    "Object.freeze(event.user);",
    "event.fraction = event.f * 2; event.even = event.even + 2;",
    "log(event.name); await null; event.x = 1;",
];

fn code(body: &str) -> String {
    format!("export async function transformEvent(event) {{\n  {body}\n  return event;\n}}\n")
}

/// Standard error without the summary's rate and other values that differ from run to run.
fn said(done: &crate::support::Done) -> String {
    let mut text = String::new();
    for line in done.err.lines().filter(|line| !line.contains(" in = ")) {
        match serde_json::from_str::<serde_json::Value>(line) {
            Ok(letter) => {
                let part = |name: &str| letter[name].clone();
                let _ = writeln!(
                    text,
                    "failed: line {}: {} at {}:{}\nhelp: {}",
                    part("input_line"),
                    letter["message"].as_str().unwrap(),
                    part("line"),
                    part("column"),
                    letter["help"].as_str().unwrap()
                );
                assert_eq!(letter["kind"], "exception");
            }
            Err(_) => text.push_str(&format!("{line}\n")),
        }
    }
    format!("{text}{}\n", done.summary())
}

#[test]
fn who_reads_such_a_number_is_told_once() {
    let mut text = String::new();
    for (body, flags) in READS {
        let dir = Dir::with(&code(body));
        dir.file("events.jsonl", EVENTS);
        let done = dir.run(&[&["run", "t.js", "events.jsonl", "-j", "1"], *flags].concat(), "");
        let _ = writeln!(text, "# {body} {}\n{}", flags.join(" "), said(&done));
        // Watching the reads does not change the output.
        if !flags.contains(&"fail") {
            let ignored = dir.run(&["run", "t.js", "events.jsonl", "-j", "1", "--on-unsafe-integer", "ignore"], "");
            assert_eq!(done.text(), ignored.text(), "{body}");
        }
    }
    golden("tests/golden/unsafe_reads.txt", &text);
}

#[test]
fn who_only_moves_such_numbers_is_not_told() {
    for body in MOVES {
        let dir = Dir::with(&code(body));
        let outputs = ["warn", "fail", "ignore"].map(|mode| {
            let done = dir.run(&["run", "t.js", "-j", "1", "--on-unsafe-integer", mode], EVENTS);
            assert!(done.code == 0 && done.err.lines().count() == 1, "{mode}: {body}\n{}", done.err);
            done.text().to_owned()
        });
        assert!(outputs[0] == outputs[1] && outputs[1] == outputs[2], "{body}\n{outputs:#?}");
    }
}

/// Any number of moves in a row: no report, every digit is kept, and watching has no effect.
#[test]
fn programs_that_move_numbers_about_are_not_told() {
    const STEPS: &[&str] = &[
        "event[k()] = event.user;",
        "event[k()] = { ...event.user };",
        "event.user = { [k()]: event.user, ...event.user };",
        "event = { ...event };",
        "event = { [k()]: event.user, user: event.user, id: event.id };",
        "event[k()] = [event.user, event.user.ids];",
        "event.user.ids = [...event.user.ids];",
        "event.user = Object.assign({ [k()]: 1 }, event.user);",
        "event = JSON.parse(JSON.stringify(event));",
        "event.user.ids.reverse();",
        "event.user.ids.push(event.user.ids.shift());",
        "event[k()] = event.id; delete event.id;",
    ];
    let mut next = crate::waiting::dice(0x5eed);
    for _ in 0..24 {
        let steps: String = (0..1 + next(5)).map(|_| format!("  {}\n", STEPS[next(STEPS.len())])).collect();
        let body = format!("let n = 0;\n  const k = () => `k${{n++}}`;\n{steps}");
        // Each number has its own double, so that a move of the number alone is detected too.
        let numbers: Vec<u64> = (0..4).map(|n| 9_007_199_254_740_993 + 1000 * n + 2 * next(200) as u64).collect();
        let line = format!(
            r#"{{"id":{},"user":{{"id":{},"ids":[{},7,{}]}}}}"#,
            numbers[0], numbers[1], numbers[2], numbers[3]
        );
        let dir = Dir::with(&code(&body));
        let outputs = ["warn", "fail", "ignore"].map(|mode| {
            let done = dir.run(&["run", "t.js", "-j", "1", "--on-unsafe-integer", mode], &line);
            assert!(done.code == 0 && done.err.lines().count() == 1, "{mode}: {body}\n{line}\n{}", done.err);
            done.text().to_owned()
        });
        assert!(outputs[0] == outputs[1] && outputs[1] == outputs[2], "{body}\n{outputs:#?}");
        let numbers_out = outputs[0].split(|char: char| !char.is_ascii_digit()).filter(|digits| digits.len() > 9);
        let mut unknown = numbers_out.filter(|digits| !numbers.iter().any(|number| number.to_string() == **digits));
        assert_eq!(unknown.next(), None, "{body}\n{line}\n{}", outputs[0]);
    }
}

/// Watching the reads of such a number never changes the behaviour of the code.
#[test]
fn nothing_that_code_sees_depends_on_who_looks() {
    const STEPS: &[&str] = &[
        "out.push(Object.entries(event.user));",
        "for (const key in event) out.push(key, String(event[key]));",
        "out.push(Object.getOwnPropertyDescriptor(event, 'id'), Object.getOwnPropertyDescriptor(event.user.ids, 0));",
        "event.user.ids.sort(); out.push(event.user.ids.includes(7), event.user.ids.indexOf(7));",
        "out.push(event.user.ids.splice(0, 1)); event.user.ids.unshift(3);",
        "out.push(event.user.ids.map((id) => id % 1000), event.user.ids.filter((id) => id > 5));",
        "event.user.ids.length = 1; out.push(event.user.ids.at(-1), event.user.ids.concat([1]));",
        "Object.defineProperty(event, 'id', { enumerable: false });",
        "Object.defineProperty(event.user, 'id', { get: () => 5 });",
        "delete event.user.id; event.user.id = 1;",
        "event.id += 1; event.id++;",
        "Object.freeze(event.user); out.push(Object.isFrozen(event.user)); try { event.user.id = 1; } catch (error) { out.push(error.message); }",
        "Object.seal(event.user.ids); out.push(Object.isFrozen(event.user.ids), Object.isSealed(event.user.ids));",
        "const child = Object.create(event); child.id = 4; out.push(child.id, Object.keys(child));",
        "out.push(Reflect.ownKeys(event), 'id' in event, Object.hasOwn(event, 'id'), event.propertyIsEnumerable('id'));",
        "out.push(JSON.stringify(event), structuredClone(event.user), `${event.user.ids}`);",
        "const { id, ...rest } = event; out.push(typeof id, Object.keys(rest), id === rest.id);",
        "out.push(new Map(Object.entries(event)).size, event.user.ids.reduce((a, b) => a + b, 0));",
        "const proxy = new Proxy(event, {}); out.push(proxy.id, Object.keys(proxy)); proxy.id = 2;",
        "event.user.ids[0] = 5; event.user.ids[9] = 1; out.push(event.user.ids.length, Math.max(...event.user.ids.flat()));",
    ];
    let mut next = crate::waiting::dice(0x10_0c);
    let line =
        r#"{"id":9007199254740993,"user":{"id":-12345678901234567890,"ids":[9007199254741995,7,9007199254742997]}}"#;
    for round in 0..30 {
        let mut steps: Vec<&str> = (0..1 + next(3)).map(|_| STEPS[next(STEPS.len())]).collect();
        steps.extend(STEPS.get(round));
        let blocks: String = steps.iter().map(|step| format!("{{ {step} }}\n  ")).collect();
        let body = format!("const out = [];\n  {blocks}event.out = out;");
        let dir = Dir::with(&code(&body));
        let [seen, unseen] = ["warn", "ignore"].map(|mode| {
            let done = dir.run(&["run", "t.js", "-j", "1", "--on-unsafe-integer", mode], line);
            let letters: Vec<_> = done.dead_letters().iter().map(|letter| letter["message"].clone()).collect();
            (done.text().to_owned(), letters)
        });
        assert_eq!(seen, unseen, "{body}");
    }
}

#[test]
fn a_batch_names_the_line_whose_number_was_read() {
    let dir = Dir::with(
        "export function transformBatch(events) {\n  for (const event of events) event.key = String(event.id);\n  return events;\n}\n",
    );
    let done = dir.run(&["run", "t.js", "-j", "1"], format!("not json\n{EVENTS}"));
    assert!(
        done.err.contains("warning: line 3 of standard input: the code reads id, which is 9007199254740993;"),
        "{}",
        done.err
    );
    let done = dir.run(&["run", "t.js", "-j", "1", "--on-unsafe-integer", "fail"], EVENTS);
    let lines: Vec<_> = done.dead_letters().iter().map(|letter| letter["input_line"].clone()).collect();
    assert_eq!(lines, [json!(2), json!(3)], "{}", done.err);
    assert_eq!(done.text(), "{\"id\":1,\"user\":{\"id\":7,\"ids\":[1]},\"key\":\"1\"}\n");
}

/// The lines that failed.
fn failed(done: &crate::support::Done) -> Vec<u64> {
    let mut lines: Vec<u64> = done.dead_letters().iter().filter_map(|letter| letter["input_line"].as_u64()).collect();
    lines.sort_unstable();
    lines
}

/// All events have the same number under the same key: only the object distinguishes them.
#[test]
fn the_event_fails_whose_number_was_read_and_no_other() {
    let number = 9_007_199_254_740_993_u64;
    let ids = (0..9).map(|n| (number + 2 * n).to_string()).collect::<Vec<_>>().join(",");
    let line = |n: u64| format!("{{\"messageId\":\"m{n}\",\"n\":{n},\"ids\":[{ids}],\"id\":{number}}}\n");
    let events: String = (0..300).map(line).collect();
    let batch = |body: &str| {
        let dir = Dir::with(&format!("export function transformBatch(events) {{\n  {body}\n  return events;\n}}\n"));
        dir.run(&["run", "t.js", "-j", "1", "--batch-size", "150", "--on-unsafe-integer", "fail"], &events)
    };
    let one = batch("for (const event of events) if (event.n === 7) event.big = event.id > 5;");
    assert_eq!(failed(&one), [8], "{}", one.err);
    let moved = batch(
        "for (const event of events) { event.n === 7 ? (event.big = event.id > 5) : (event.userId = event.id); }",
    );
    assert_eq!(failed(&moved), [8], "{}", moved.err);
    let text = batch(
        "for (const event of events) { const id = event.id; event.key = event.n === 7 ? `number ${id}` : 'no number'; event.copy = id; }",
    );
    assert_eq!(failed(&text), [8], "{}", text.err);
    let all = batch("for (const event of events) event.big = event.id > 5;");
    assert_eq!(failed(&all).len(), 300, "{}", all.err);
}

#[test]
fn an_event_that_waits_keeps_its_numbers() {
    let web = Web::start(|_| Reply::json("1"));
    let ids = (0..900).map(|n| (9_007_199_254_740_993_u64 + 2 * n).to_string()).collect::<Vec<_>>().join(",");
    let events: String = (0..20).map(|n| format!("{{\"n\":{n},\"ids\":[{ids}],\"id\":9007199254740993}}\n")).collect();
    let code = format!(
        "export async function transformEvent(event) {{\n  await fetch('{}');\n  if (event.n % 2) event.big = event.id > 5;\n  return event;\n}}\n",
        web.url("/")
    );
    let dir = Dir::with(&code);
    let address = web.address.to_string();
    let done = dir.run(&["run", "t.js", "-j", "1", "--allow-net", &address, "--on-unsafe-integer", "fail"], &events);
    assert_eq!(failed(&done), (1..=10).map(|n| 2 * n).collect::<Vec<_>>(), "{}", done.err);
}

#[test]
fn an_event_with_more_numbers_than_are_looked_at_fails() {
    let event = |count: u64| {
        let ids = (0..count).map(|n| (9_007_199_254_740_993 + 2 * n).to_string()).collect::<Vec<_>>().join(",");
        format!("{{\"ids\":[{ids}]}}\n")
    };
    let dir = Dir::with(&code("event.seen = true;"));
    let events = [event(1000), event(1001), event(3)].concat();
    let done = dir.run(&["run", "t.js", "-j", "1", "--on-unsafe-integer", "fail"], &events);
    assert_eq!(failed(&done), [2], "{}", done.err);
    assert!(done.err.contains("more than 1000 integers"), "{}", done.err);
    let done = dir.run(&["run", "t.js", "-j", "1"], &events);
    assert!(done.code == 0 && !done.err.contains("warning"), "{}", done.err);
}

/// The code accesses the number so often, without reading its digits, that a check at each access would take many times
/// the limit.
#[test]
fn looking_costs_no_event_its_time() {
    let dir = Dir::with(&code("let n = 0;\n  for (let i = 0; i < 10_000_000; i++) if (event.id) n++;\n  event.n = n;"));
    let events = "{\"id\":9007199254740993}\n".repeat(20);
    let done = dir.run(&["run", "t.js", "-j", "1", "--cpu-limit", "3s"], &events);
    assert!(done.code == 0 && done.lines().len() == 20, "{}", done.err);
}

/// An event that hits its limit while it is watched runs again unwatched. It fails again, and is reported once.
#[test]
fn an_event_without_end_fails_in_every_mode() {
    let dir = Dir::with(&code("if (event.id) for (;;);"));
    let events = "{\"id\":9007199254740993}\n{\"id\":0}\n{\"id\":9007199254740995}\n";
    let [seen, unseen] = ["warn", "ignore"].map(|mode| {
        let done = dir.run(&["run", "t.js", "-j", "1", "--cpu-limit", "50ms", "--on-unsafe-integer", mode], events);
        (done.text().to_owned(), failed(&done), done.summary().to_owned())
    });
    assert_eq!(seen, unseen);
    assert_eq!(seen.1, [1, 3]);
}

/// The time that watching costs is unknown, so an event that hits its limit gets a second try: only the first such
/// event.
#[test]
fn the_first_event_to_hit_its_limit_is_run_again_unseen() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let web = Web::start(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Reply::json("1")
    });
    let dir = Dir::with(&code(&format!("await fetch('{}');\n  for (;;);", web.url("/"))));
    let address = web.address.to_string();
    for (mode, times) in [("warn", 3), ("ignore", 2), ("fail", 2)] {
        asked.store(0, Ordering::Relaxed);
        run_two_without_end(&dir, &address, mode);
        assert_eq!(asked.load(Ordering::Relaxed), times, "{mode}");
    }
}

/// Runs two events that never end, one after the other.
fn run_two_without_end(dir: &Dir, address: &str, mode: &str) {
    let args = ["run", "t.js", "-j", "1", "--cpu-limit", "50ms", "--allow-net", address, "--on-unsafe-integer", mode];
    let mut live = Live::start(dir.command(&[&args[..], &["--emit", "verdicts", "--line-buffered"]].concat()));
    for _ in 0..2 {
        live.write("{\"id\":9007199254740993}\n");
        assert!(live.line().contains("timeout"));
    }
    live.finish();
}

#[test]
fn a_test_that_reads_such_a_number_says_so() {
    let dir = Dir::with(&code("event.key = String(event.id);"));
    dir.file(
        "t.test.js",
        "test('keys', async () => {\n  const out = await transform(JSON.parse('{\"id\":1}'));\n  expect(out.events[0].key).toBe('1');\n});\n",
    );
    dir.file(
        "big.case.json",
        r#"{"name":"big","transformation":"./t.js","event":{"id":9007199254740993},"expect":{"events":[{"id":9007199254740993,"key":"9007199254740992"}]}}"#,
    );
    let done = dir.run(&["test", "-j", "1"], "");
    let warnings: Vec<_> = done.text().lines().filter(|line| line.contains("warning")).collect();
    assert_eq!(
        warnings,
        [
            "  warning: big: the code reads id, which is 9007199254740993; JavaScript can't hold that, and makes 9007199254740992 of it (at t.js:2:28); have such numbers sent as strings; what the code only moves keeps its digits"
        ],
        "{}{}",
        done.text(),
        done.err
    );
}

#[test]
fn a_server_says_it_once_for_each_version() {
    let server = Server::with(&[("v1.js", &code("event.key = String(event.id);"))], &["-j", "2"]);
    let body = |id: &str| {
        format!(
            r#"[{{"message":{{"id":{id}}},"metadata":{{"messageId":"m"}},"destination":{{"Transformations":[{{"VersionID":"v1"}}]}}}}]"#
        )
    };
    let send = |body: &str| {
        let headers = [crate::serve::client::JSON, &[("X-Feature-Filter-Code", "?1")]].concat();
        server.send("POST", "/customTransform", &headers, body.as_bytes())
    };
    for _ in 0..20 {
        assert_eq!(send(&body("9007199254740993")).status, 200);
    }
    let said = server.said_until_the_end();
    let told: Vec<_> = said.lines().filter(|line| line.contains("beyond 2^53")).collect();
    assert!(told.len() == 1 && told[0].contains("WARN") && told[0].contains("path=\"id\""), "{said}");
    assert!(!said.contains("9007199254740993"), "a number may be somebody's: {said}");
}
