//! What people really have: compressed files, arrays, pretty-printed JSON, redirections onto the input, more files than descriptors.

use std::process::Command;

use crate::support::{Dir, finish};

const IDENTITY: &str = "export function transformEvent(event) { return event; }";

/// Runs a line of shell in the folder, with `$SG` for the binary.
fn shell(dir: &Dir, line: &str) -> (i32, String, String) {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(dir.path()).env("SG", env!("CARGO_BIN_EXE_sluicegate"));
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let done = finish(command.spawn().unwrap(), Vec::new());
    (done.code, String::from_utf8(done.out).unwrap(), done.err)
}

#[test]
fn arrays_and_values_over_several_lines_are_read_where_asked() {
    let dir = Dir::with(IDENTITY);
    dir.file("array.json", "[\n  {\"a\": 1},\n  {\"b\": [2]}\n]\n");
    dir.file("pretty.json", "{\n  \"a\": 1\n}\n{\n  \"b\": 2\n}\n");
    let run = |args: &[&str]| dir.run(&[&["run", "t.js", "-q"], args].concat(), "");
    assert_eq!(run(&["array.json", "--input-format", "array"]).text(), "{\"a\": 1}\n{\"b\": [2]}\n");
    assert_eq!(run(&["pretty.json", "--input-format", "json"]).text(), "{   \"a\": 1 }\n{   \"b\": 2 }\n");
    for (file, remedy) in [("array.json", "--input-format array"), ("pretty.json", "--input-format json")] {
        let done = run(&[file]);
        assert!(done.code == 2 && done.out.is_empty() && done.err.contains(remedy), "{}", done.err);
        assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    }
}

#[test]
fn gzip_is_read_by_its_first_bytes_from_files_and_pipes() {
    use std::io::Write;
    let dir = Dir::with(IDENTITY);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"{\"a\":1}\n{\"b\":2}\n").unwrap();
    let packed = packed.finish().unwrap();
    dir.file("events", &packed);
    dir.file("torn", &packed[..packed.len() - 10]);
    assert_eq!(dir.run(&["run", "t.js", "events"], "").text(), "{\"a\":1}\n{\"b\":2}\n");
    assert_eq!(dir.run(&["run", "t.js"], packed).text(), "{\"a\":1}\n{\"b\":2}\n");
    let torn = dir.run(&["run", "t.js", "torn", "-q"], "");
    assert!(torn.code == 2 && torn.err.contains("cannot read torn"), "{}", torn.err);
    let never = dir.run(&["run", "t.js", "events", "--decompress", "never"], "");
    assert!(never.code == 2 && never.err.contains("it is gzip"), "{}", never.err);
}

#[test]
fn nothing_is_destroyed_by_a_redirection() {
    let dir = Dir::with(IDENTITY);
    let content = "{\"n\":1}\nbad\n";
    for line in [
        "$SG run t.js --errors in.jsonl -q < in.jsonl",
        "$SG run t.js --errors out in.jsonl > out",
        "$SG run t.js in.jsonl >> in.jsonl",
        "ln -f in.jsonl link; $SG run t.js in.jsonl --errors link",
        "$SG run t.js in.jsonl >&-",
    ] {
        dir.file("in.jsonl", content);
        let (code, _, err) = shell(&dir, line);
        assert_eq!(code, 2, "{line}: {err}");
        assert_eq!(dir.read("in.jsonl"), content, "{line}");
    }
}

#[test]
fn dead_letters_are_added_to_those_that_are_there() {
    let dir = Dir::with(IDENTITY);
    dir.file("dead.jsonl", "{\"torn");
    for _ in 0..2 {
        dir.run(&["run", "t.js", "--errors", "dead.jsonl", "-q"], "bad\n");
    }
    let letters = dir.read("dead.jsonl");
    let lines: Vec<&str> = letters.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "{\"torn"));
    let runs: Vec<serde_json::Value> = lines[1..].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_ne!(runs[0]["run"], runs[1]["run"]);
    dir.run(&["run", "t.js", "--errors", "dead.jsonl", "--errors-truncate", "-q"], "bad\n");
    assert_eq!(dir.read("dead.jsonl").lines().count(), 1);
}

#[test]
fn two_runs_share_one_file_of_dead_letters() {
    let dir = Dir::with(IDENTITY);
    let lines: String = (0..3000).map(|n| format!("bad {n}\n")).collect();
    dir.file("in.jsonl", &lines);
    let (_, _, err) = shell(&dir, "for i in 1 2 3; do $SG run t.js in.jsonl -j 1 -q --errors dead.jsonl & done; wait");
    let letters = dir.read("dead.jsonl");
    let whole = letters.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count();
    assert_eq!((whole, letters.lines().count()), (9000, 9000), "{err}");
}

#[test]
fn there_may_be_more_inputs_than_descriptors() {
    let dir = Dir::with(IDENTITY);
    let (code, out, err) = shell(
        &dir,
        "mkdir d; for i in $(seq 1 200); do echo '{}' > d/$i; done; ulimit -n 64; $SG run t.js -q -j 1 d/*",
    );
    assert_eq!((code, out.lines().count()), (0, 200), "{err}");
}
