//! Lines that are not events: each has a verdict and a dead letter with its exact bytes, and affects no other line.

use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::Dir;
use crate::support::live::Live;

const IDENTITY: &str = "export function transformEvent(event) { return event; }";

/// The bytes of the event in a dead letter.
fn event(letter: &Value) -> Vec<u8> {
    match (&letter["event"], &letter["event_base64"]) {
        (Value::String(text), Value::Null) => text.clone().into_bytes(),
        (Value::Null, Value::String(text)) => STANDARD.decode(text).unwrap(),
        _ => panic!("neither text nor base64, or both: {letter}"),
    }
}

#[test]
fn every_bad_line_is_in_the_dead_letters_as_it_came() {
    let bad: &[(&[u8], &str)] = &[
        (b"{\"a\":1", "invalid_json"),
        (b"{'a':1}", "invalid_json"),
        (b"plain text", "invalid_json"),
        (b"{} {}", "invalid_json"),
        (b"\x00", "invalid_json"),
        (b"{\"a\":\"\xff\xfe\"}", "invalid_json"),
        (b"{\"cut\":\"\xe2\x82", "invalid_json"),
        (b"\xed\xa0\x80", "invalid_json"),
        (b"[]", "not_an_object"),
        (b"[{\"a\":1}]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"\"text\"", "not_an_object"),
        (b"17", "not_an_object"),
        (b"1e400", "not_an_object"),
    ];
    let mut input = Vec::new();
    let mut starts = Vec::new();
    for (n, (line, _)) in bad.iter().enumerate() {
        input.extend_from_slice(format!("{{\"n\":{n}}}\n").as_bytes());
        starts.push(input.len());
        input.extend_from_slice(line);
        input.push(b'\n');
    }
    let done = Dir::with(IDENTITY).run(&["run", "t.js"], &input);
    assert_eq!(done.code, 1);
    let good: Vec<String> = (0..bad.len()).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(done.lines(), good);
    assert_eq!(
        done.summary(),
        "28 in = 14 ok + 0 dropped + 14 failed (8 invalid_json, 6 not_an_object) · 14 events out"
    );
    let letters = done.dead_letters();
    assert_eq!(letters.len(), bad.len());
    for (n, (letter, (line, kind))) in letters.iter().zip(bad).enumerate() {
        assert_eq!((letter["kind"].as_str(), event(letter).as_slice()), (Some(*kind), *line));
        assert_eq!(letter["input_line"], 2 * n + 2);
        assert_eq!(letter["input_offset"], starts[n]);
    }
}

#[test]
fn the_limit_on_a_line_is_exact() {
    let line = |len: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(len - 8));
    let input = [line(100), line(101), line(100)].join("\n") + "\r\n";
    let done = Dir::with(IDENTITY).run(&["run", "t.js", "--line-limit", "100"], &input);
    assert_eq!(done.lines(), [line(100), line(100)]);
    let letters = done.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["message"], "the line of 101 bytes is over the limit of 100 bytes; raise --line-limit");
    assert_eq!(event(&letters[0]), line(101).as_bytes());
}

/// Short lines between lines far longer than the limit, from a file and through a pipe.
#[test]
fn short_lines_between_long_ones_are_lines_of_their_own() {
    let long = |n: u32| format!("{{\"n\":{n},\"l\":\"{}\"}}", "x".repeat(700_000));
    let input = [long(1), "{\"s\":2}".into(), long(3), long(4), "{\"s\":5}".into(), long(6)].join("\n");
    let dir = Dir::with(IDENTITY);
    dir.file("events.jsonl", &input);
    let flags = ["run", "t.js", "--line-limit", "1KiB", "-j", "2", "--on-error"];
    for (mode, out) in [("dead-letter", "{\"s\":2}\n{\"s\":5}\n".to_owned()), ("pass", format!("{input}\n"))] {
        let piped = dir.run(&[&flags[..], &[mode]].concat(), &input);
        let read = dir.run(&[&flags[..], &[mode, "events.jsonl"]].concat(), "");
        for done in [piped, read] {
            assert!(done.out == out.as_bytes(), "{mode}: {} bytes of output", done.out.len());
            assert_eq!(done.summary(), "6 in = 2 ok + 0 dropped + 4 failed (4 line_too_long) · 2 events out");
            if mode == "dead-letter" {
                let letters = done.dead_letters();
                let lines: Vec<_> = letters.iter().map(|letter| letter["input_line"].as_u64().unwrap()).collect();
                assert_eq!(lines, [1, 3, 4, 6]);
                for (letter, n) in letters.iter().zip([1, 3, 4, 6]) {
                    assert!(event(letter) == long(n).as_bytes());
                    let offset = letter["input_offset"].as_u64().unwrap() as usize;
                    assert!(input.as_bytes()[offset..].starts_with(format!("{{\"n\":{n},").as_bytes()));
                }
            }
        }
    }
}

/// Lines that are read together with the end of a long line are answered at once, not only when the next line comes.
#[test]
fn a_line_behind_a_long_one_is_answered_while_the_input_pauses() {
    let dir = Dir::with(IDENTITY);
    let mut live = Live::start(dir.command(&["run", "t.js", "--line-limit", "1KiB", "--errors", "dead.jsonl"]));
    live.write([&vec![b'x'; 600_000][..], b"\n{\"short\":1}\n"].concat());
    assert_eq!(live.line(), "{\"short\":1}");
    let done = live.finish();
    assert_eq!(done.summary(), "2 in = 1 ok + 0 dropped + 1 failed (1 line_too_long) · 1 events out");
}

/// A hundred long lines wait for one slow event: none of them may keep a file open that another one needs.
#[test]
fn many_long_lines_need_few_files() {
    let dir = Dir::with("export function transformEvent(event) { for (;;); }");
    let mut input = b"{}\n".to_vec();
    (0..100).for_each(|_| input.extend_from_slice(&[&vec![b'x'; 530_000][..], b"\n"].concat()));
    dir.file("events.jsonl", &input);
    let binary = env!("CARGO_BIN_EXE_sluicegate");
    let line = "ulimit -n 64 && exec \"$0\" run t.js events.jsonl --line-limit 1KiB --errors dead.jsonl --cpu-limit 300ms -j 2";
    let mut command = Command::new("sh");
    command.args(["-c", line, binary]).current_dir(dir.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let done = crate::support::finish(command.spawn().unwrap(), Vec::new());
    assert_eq!(done.summary(), "101 in = 0 ok + 0 dropped + 101 failed (100 line_too_long, 1 timeout) · 0 events out");
    assert_eq!(dir.read("dead.jsonl").lines().count(), 101);
}

/// A line of 100 MB through a pipe: it is never held in memory, its dead letter is exact, and the next line is
/// answered.
#[test]
fn a_line_of_100_mb_costs_no_memory() {
    const LEN: usize = 100_000_000;
    let dir = Dir::with(IDENTITY);
    let mut live = Live::start(dir.command(&["run", "t.js", "-j", "1", "--errors", "dead.jsonl"]));
    let chunk = vec![b'x'; 1_000_000];
    (0..LEN / chunk.len()).for_each(|_| live.write(&chunk));
    live.write("\n{\"next\":1}\n");
    assert_eq!(live.line(), "{\"next\":1}");
    let peak = live.peak();
    assert!(peak > 0 && peak < 60_000_000, "the supervisor took {peak} bytes");
    let done = live.finish();
    assert_eq!(done.summary(), "2 in = 1 ok + 0 dropped + 1 failed (1 line_too_long) · 1 events out");
    let letter: Value = serde_json::from_str(&dir.read("dead.jsonl")).unwrap();
    let bytes = event(&letter);
    assert!(bytes.len() == LEN && bytes.iter().all(|byte| *byte == b'x'));
}

#[test]
fn a_line_nested_100_000_deep_is_an_event_like_any_other() {
    let deep = |open: &str, close: &str| format!("{{\"a\":{}1{}}}", open.repeat(100_000), close.repeat(100_000));
    let torn = format!("{{\"a\":{}", "[".repeat(100_000));
    let lines = [deep("[", "]"), deep("{\"b\":", "}"), torn.clone(), "{\"n\":1}".to_owned()];
    let done = Dir::with(IDENTITY).run(&["run", "t.js"], lines.join("\n"));
    assert!(done.lines() == [&lines[0], &lines[1], &lines[3]], "{}", done.err);
    assert_eq!(done.summary(), "4 in = 3 ok + 0 dropped + 1 failed (1 invalid_json) · 3 events out");
    assert!(event(&done.dead_letters()[0]) == torn.as_bytes());
}

/// Code that changes a deep event makes V8 print it again. The result affects only this event's verdict.
#[test]
fn a_deep_event_that_is_changed_fails_alone_if_at_all() {
    let dir = Dir::with("export function transformEvent(event) { event.more = 1; return event; }");
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let done = dir.run(&["run", "t.js", "--stats", "json"], format!("{{}}\n{deep}\n{{}}\n"));
    let lines = done.lines();
    assert_eq!((lines.first(), lines.last()), (Some(&"{\"more\":1}"), Some(&"{\"more\":1}")));
    let stats: Value = serde_json::from_str(done.err.lines().last().unwrap()).unwrap();
    assert_eq!((&stats["in"], &stats["conserved"]), (&3.into(), &true.into()), "{stats}");
    if stats["failed"] == 1 {
        assert_eq!(event(&done.dead_letters()[0]), deep.as_bytes());
    } else {
        assert!(lines[1].starts_with("{\"a\":[[[[") && lines[1].ends_with("]]]],\"more\":1}"));
    }
}

/// Invalid JSON has the same message in every input format. The help suggests `--input-format array` only if that is
/// not set already.
#[test]
fn one_fault_has_one_text() {
    let dir = Dir::with(IDENTITY);
    let verdict = |args: &[&str], input: &str| -> Value {
        let args = [&["run", "t.js", "-q", "--emit", "verdicts", "--fail-on", "never"], args].concat();
        serde_json::from_str(dir.run(&args, input).lines().first().unwrap()).unwrap()
    };
    for line in ["bad", "{\"message\":{}", "{\"message\":{},}", "[1"] {
        let plain = verdict(&[], line);
        for args in [&["--envelope"][..], &["--input-field", "message"]] {
            let other = verdict(args, line);
            assert_eq!((&other["message"], &other["kind"]), (&plain["message"], &plain["kind"]), "{line} {args:?}");
        }
    }
    assert!(verdict(&[], "[[1]]")["help"].as_str().unwrap().contains("--input-format array"));
    assert_eq!(verdict(&["--input-format", "array"], "[[1]]")["help"], Value::Null);
}
