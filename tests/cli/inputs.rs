//! Common inputs: compressed files, arrays, pretty-printed JSON, redirections onto the input, more files than
//! descriptors.

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
        "$SG run t.js in.jsonl -o in.jsonl",
        "$SG run t.js -o in.jsonl < in.jsonl",
        "ln -sf in.jsonl link; $SG run t.js in.jsonl --output ./link",
        "$SG run t.js in.jsonl -o dead.jsonl --errors ./dead.jsonl",
        "$SG run t.js in.jsonl -o t.js",
        "$SG run t.js in.jsonl -o no/such/folder",
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

#[test]
fn an_output_file_is_whole_or_as_it_was() {
    use std::os::unix::fs::PermissionsExt;
    let dir =
        Dir::with("export function transformEvent(event) { if (event.fail) throw new Error('x'); return event; }");
    let left = || {
        let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    let run = |args: &[&str], input: &str| dir.run(&[&["run", "t.js", "-o", "out.jsonl"], args].concat(), input);
    let done = run(&[], "{\"n\":1}\n");
    assert_eq!((done.code, done.text(), dir.read("out.jsonl").as_str()), (0, "", "{\"n\":1}\n"));
    assert!(done.err.trim_end().ends_with(" · written to out.jsonl"), "{}", done.err);
    // Failed events do not prevent the output of the others. The file keeps its mode, and a link stays a link.
    std::fs::set_permissions(dir.path().join("out.jsonl"), std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("out.jsonl", dir.path().join("link.jsonl")).unwrap();
    let done = dir.run(&["run", "t.js", "-q", "--output", "link.jsonl"], "{\"n\":2}\n{\"fail\":1}\n");
    assert_eq!((done.code, dir.read("out.jsonl").as_str()), (1, "{\"n\":2}\n"));
    let metadata = std::fs::symlink_metadata(dir.path().join("out.jsonl")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    assert!(std::fs::symlink_metadata(dir.path().join("link.jsonl")).unwrap().is_symlink());
    let before = left();
    // A run that ends early leaves the file unchanged.
    let stopped = run(&["--on-error", "stop"], "{\"n\":3}\n{\"fail\":1}\n");
    assert!(stopped.code == 1 && stopped.err.trim_end().ends_with(" · out.jsonl was not written"), "{}", stopped.err);
    let unreadable = run(&["-", "missing/"], "{\"n\":3}\n");
    assert_eq!(unreadable.code, 2, "{}", unreadable.err);
    dir.file("array.json", "[\n{}\n");
    let broken = run(&["-", "array.json", "--stats", "json"], "{\"n\":3}\n");
    assert!(broken.code == 2 && broken.err.contains("\"output_written\":false"), "{}", broken.err);
    dir.file("broken.js", "export const x = ;");
    assert_eq!(dir.run(&["run", "broken.js", "-o", "out.jsonl"], "{}\n").code, 2);
    assert_eq!(dir.read("out.jsonl"), "{\"n\":2}\n");
    std::fs::remove_file(dir.path().join("array.json")).unwrap();
    std::fs::remove_file(dir.path().join("broken.js")).unwrap();
    assert_eq!(left(), before, "no temporary file is left");
    // A path that is not a file is written to directly.
    assert_eq!(dir.run(&["run", "t.js", "-q", "-o", "/dev/stdout"], "{}\n").text(), "{}\n");
    assert_eq!(dir.run(&["run", "t.js", "-q", "-o", "-"], "{}\n").text(), "{}\n");
}

#[test]
fn a_bound_on_addresses_has_a_remedy() {
    let dir = Dir::with(IDENTITY);
    let (code, _, err) = shell(&dir, "ulimit -v 8000000; $SG run t.js");
    assert_eq!(code, 2);
    assert!(err.contains("it may have 7.6 GiB of address space") && err.contains("`ulimit -v unlimited`"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}
