//! Hosts that start this program, count lines, and may not read standard error.

use serde_json::Value;

use crate::support::{Dir, finish};

const CODE: &str = "export function transformEvent(event) {
  if (event.fail) throw new Error('as asked');
  if (event.drop) return null;
  return event.twice ? [event, { again: event.n }] : event;
}";

#[test]
fn framed_verdicts_are_followed_by_their_events() {
    let dir = Dir::with(CODE);
    let input = "{\"n\":1}\n{\"drop\":1}\n\n{\"n\":9007199254740993,\"twice\":[ 1 ]}\n{\"fail\":1}\nnope\n";
    for flags in [&["-j", "1"][..], &["-j", "2"], &["--line-buffered"], &["--allow-net", "localhost:1"]] {
        let done = dir.run(&[&["run", "t.js", "-q", "--emit", "framed"], flags].concat(), input);
        let lines = done.lines();
        assert_eq!(
            lines[..6],
            [
                "{\"verdict\":\"ok\",\"count\":1}",
                "{\"n\":1}",
                "{\"verdict\":\"dropped\"}",
                "{\"verdict\":\"dropped\"}",
                "{\"verdict\":\"ok\",\"count\":2}",
                "{\"n\":9007199254740993,\"twice\":[ 1 ]}",
            ],
            "{flags:?}: {}",
            done.err
        );
        assert_eq!(lines[6], "{\"again\":9007199254740993}", "{flags:?}");
        assert!(lines[7].starts_with("{\"verdict\":\"failed\",\"kind\":\"exception\""), "{}", lines[7]);
        assert!(lines[8].starts_with("{\"verdict\":\"failed\",\"kind\":\"invalid_json\""), "{}", lines[8]);
        assert_eq!((lines.len(), done.code, done.err.as_str()), (9, 1, ""));
    }
}

#[test]
fn framed_verdicts_of_a_batch_stand_before_their_events() {
    let dir = Dir::with(
        "export function transformBatch(events) {
          return events.flatMap((event) => event.n ? [event, { ...event, again: true }] : []);
        }",
    );
    let input = "{\"n\":1,\"messageId\":\"a\"}\n{\"messageId\":\"b\"}\n{\"n\":2,\"messageId\":\"c\"}\n";
    let done = dir.run(&["run", "t.js", "-q", "--emit", "framed"], input);
    assert_eq!(
        done.lines(),
        [
            "{\"verdict\":\"ok\",\"count\":2}",
            "{\"n\":1,\"messageId\":\"a\"}",
            "{\"n\":1,\"messageId\":\"a\",\"again\":true}",
            "{\"verdict\":\"dropped\"}",
            "{\"verdict\":\"ok\",\"count\":2}",
            "{\"n\":2,\"messageId\":\"c\"}",
            "{\"n\":2,\"messageId\":\"c\",\"again\":true}",
        ]
    );
}

#[test]
fn chunks_are_answered_line_by_line() {
    let dir = Dir::with(CODE);
    let args = ["run", "t.js", "-q", "--chunk-header", "--emit", "verdicts"];
    let done = dir.run(&args, "2\n{\"n\":1}\n{\"drop\":1}\n0\n1\n{\"fail\":1}\n");
    let lines = done.lines();
    assert_eq!(
        lines[..2],
        ["{\"verdict\":\"ok\",\"events\":[{\"n\":1}]}", "{\"verdict\":\"dropped\"}"],
        "{}",
        done.err
    );
    assert!(lines.len() == 3 && lines[2].starts_with("{\"verdict\":\"failed\""), "{}", done.text());
    let wrong = dir.run(&args, "{\"n\":1}\n");
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("should --chunk-header be left out?"), "{}", wrong.err);
    let torn = dir.run(&args, "2\n{\"n\":1}\n");
    assert_eq!((torn.code, torn.lines().len()), (2, 1));
    assert!(torn.err.contains("1 of its lines are missing"), "{}", torn.err);
}

#[test]
fn a_chunk_is_answered_before_the_next_one_comes() {
    let dir = Dir::with(CODE);
    let mut live = crate::support::live::Live::start(dir.command(&["run", "t.js", "--chunk-header", "-q"]));
    for chunk in 1..4 {
        live.write(format!("2\n{{\"n\":{chunk}}}\n{{\"n\":{chunk}}}\n"));
        assert_eq!(live.line(), format!("{{\"n\":{chunk}}}"));
        assert_eq!(live.line(), format!("{{\"n\":{chunk}}}"));
    }
}

#[test]
fn the_event_may_be_a_string_in_a_field() {
    let dir = Dir::with(CODE);
    let input = "{\"id\":1,\"event\":\"{\\\"n\\\": 9007199254740993,\\n\\\"twice\\\":1}\"}\n{\"event\":{\"n\" : 2}}\n{\"id\":3}\n";
    let args = ["run", "t.js", "-q", "--input-field", "event"];
    for flags in [&[][..], &["--allow-net", "localhost:1"]] {
        let done = dir.run(&[&args[..], flags, &["--errors", "dead.jsonl", "--errors-truncate"]].concat(), input);
        assert_eq!(
            done.lines(),
            ["{\"n\": 9007199254740993, \"twice\":1}", "{\"again\":9007199254740993}", "{\"n\" : 2}"],
            "{}",
            done.err
        );
        let letter: Value = serde_json::from_str(&dir.read("dead.jsonl")).unwrap();
        assert_eq!((&letter["input_field"], &letter["event"]), (&"event".into(), &"{\"id\":3}".into()));
        assert!(letter["message"].as_str().unwrap().contains("no field \"event\""), "{letter}");
    }
    let again = dir.run(&["replay", "--all", "dead.jsonl", "-q", "--errors", "still.jsonl"], "");
    let letter: Value = serde_json::from_str(&dir.read("still.jsonl")).unwrap();
    assert_eq!((again.code, &letter["input_line"], &letter["input_field"]), (1, &3.into(), &"event".into()));
    let both = dir.run(&["run", "t.js", "--input-field", "event", "--envelope"], "");
    assert!(both.code == 2 && both.err.contains("exclude each other"), "{}", both.err);
}

#[test]
fn a_verdict_in_full_is_a_dead_letter() {
    let dir = Dir::with(CODE);
    dir.file("in.jsonl", "{\"n\":1}\n{\"fail\":1}\nn\u{e9}\n{\"n\":2}\n");
    for emit in ["verdicts", "framed"] {
        let done = dir.run(&["run", "t.js", "in.jsonl", "-q", "--emit", emit, "--verdict-detail", "full"], "");
        let failed: Vec<&str> = done.lines().into_iter().filter(|line| line.contains("failed")).collect();
        let letters: Vec<Value> = failed.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(letters.len(), 2, "{}", done.text());
        assert_eq!(letters[0]["verdict"], "failed");
        assert_eq!((&letters[0]["input_file"], &letters[0]["input_line"]), (&"in.jsonl".into(), &2.into()));
        assert_eq!((&letters[1]["event"], &letters[1]["input_offset"]), (&"n\u{e9}".into(), &19.into()));
        let again = dir.run(&["replay", "-"], failed[0]);
        assert!(again.text().contains("before   failed exception: as asked"), "{}{}", again.text(), again.err);
        assert_eq!(
            done.lines().last(),
            Some(if emit == "framed" { &"{\"n\":2}" } else { &"{\"verdict\":\"ok\",\"events\":[{\"n\":2}]}" })
        );
    }
    let envelope = "{\"message\":{\"fail\":1},\"metadata\":{\"m\":1}}\n";
    let done = dir.run(
        &["run", "t.js", "-q", "--envelope", "--emit", "verdicts", "--verdict-detail", "full", "--line-limit", "50"],
        format!("{envelope}{}\n", "x".repeat(600_000)),
    );
    let letters: Vec<Value> = done.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&letters[0]["metadata"]["m"], &letters[0]["envelope"]), (&1.into(), &true.into()), "{}", done.err);
    assert_eq!(letters[1]["kind"], "line_too_long");
    assert_eq!(letters[1]["event_base64"].as_str().unwrap().len(), 800_000);
}

#[test]
fn a_host_that_does_not_read_standard_error_is_not_held_up() {
    let dir = Dir::with(CODE);
    let input: String = (0..3000).map(|n| format!("nope {n}\n{{\"n\":{n}}}\n")).collect();
    let temporary = tempfile::tempdir().unwrap();
    let mut command = dir.command(&["run", "t.js"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.env("TMPDIR", temporary.path()).stderr(writer);
    let child = command.spawn().unwrap();
    // Closes this process's end of the pipe; the child has its own.
    drop(command);
    let done = finish(child, input.into_bytes());
    assert_eq!((done.code, done.lines().len()), (1, 3000));
    // Standard error is read only now, after the end of the run.
    let said = std::io::read_to_string(reader).unwrap();
    let (note, summary) =
        said.split_once("note: standard error is not read; the rest of the dead letters is in ").unwrap();
    let (path, summary) = summary.split_once('\n').unwrap();
    assert!(path.starts_with(temporary.path().to_str().unwrap()), "{path}");
    assert!(summary.starts_with("6000 in = 3000 ok"), "{summary}");
    let of = |text: &str| -> Vec<u64> {
        let letters = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        letters.map(|letter| letter["input_line"].as_u64().unwrap()).collect()
    };
    let (read, kept) = (of(note), of(&std::fs::read_to_string(path).unwrap()));
    assert!(!read.is_empty());
    assert_eq!([read, kept].concat(), (0..3000).map(|n| 2 * n + 1).collect::<Vec<u64>>());
}

#[test]
fn failures_are_the_same_in_every_folder() {
    let dir = Dir::new();
    let failure = |folder: &str| {
        dir.file(&format!("{folder}/t.js"), CODE);
        let done = dir.run(&["run", &format!("{folder}/t.js"), "-q"], "{\"fail\":1}\n");
        let letter = done.dead_letters().remove(0);
        assert_eq!(letter["transformation"], format!("{folder}/t.js"));
        [letter["file"].clone(), letter["stack"].clone()]
    };
    assert_eq!(failure("one"), failure("two/three"));
    assert_eq!(failure("one")[0], "t.js");
    // For people, the place has the path of the file.
    let done = dir.run(&["run", "one/t.js", "--errors", "dead.jsonl"], "{\"fail\":1}\n");
    assert!(done.err.contains(" --> one/t.js:2:25\n"), "{}", done.err);
    assert!(dir.run(&["replay", "dead.jsonl"], "").text().contains(" --> one/t.js:2:25\n"));
}
