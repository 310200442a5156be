//! Common inputs: compressed files, arrays, pretty-printed JSON, redirections onto the input, more files than
//! descriptors.

use std::process::Command;

use crate::support::{Dir, finish};

const IDENTITY: &str = "export function transformEvent(event) { return event; }";

/// Runs a shell command in the folder; `$SG` is the binary.
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
    dir.file("more", [&packed[..], b"more"].concat());
    assert_eq!(dir.run(&["run", "t.js", "events"], "").text(), "{\"a\":1}\n{\"b\":2}\n");
    assert_eq!(dir.run(&["run", "t.js"], packed).text(), "{\"a\":1}\n{\"b\":2}\n");
    let more = dir.run(&["run", "t.js", "more", "-q"], "");
    assert_eq!((more.code, more.text()), (2, "{\"a\":1}\n{\"b\":2}\n"), "{}", more.err);
    assert!(more.err.contains("something that is not gzip follows"), "{}", more.err);
    let mut table = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    table.write_all(b"id,name\n1,Ada\n").unwrap();
    dir.file("table.gz", table.finish().unwrap());
    let table = dir.run(&["run", "t.js", "table.gz", "-q"], "");
    assert!(table.code == 2 && table.err.contains("zcat table.gz | mlr --icsv"), "{}", table.err);
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
        "$SG run t.js in.jsonl 2>> in.jsonl",
        "$SG run t.js < in.jsonl 2>> in.jsonl",
        "$SG run t.js <&-",
        "$SG run t.js in.jsonl 2>&-",
        "$SG run t.js in.jsonl --errors e --logs - 2>&-",
    ] {
        dir.file("in.jsonl", content);
        let (code, _, err) = shell(&dir, line);
        assert_eq!(code, 2, "{line}: {err}");
        assert_eq!(dir.read("in.jsonl"), content, "{line}");
    }
}

#[test]
fn what_a_run_reads_besides_its_inputs_is_not_destroyed_either() {
    let dir =
        Dir::with("import { one } from 'one'; export function transformEvent(event) { return { ...event, one }; }");
    std::fs::create_dir(dir.path().join("lib")).unwrap();
    let files = [
        ("lib/one.js", "export const one = 1;\n"),
        ("sluicegate.toml", "[libraries]\ndirs = ['lib']\n"),
        ("data.json", "{\"a\":\"1\"}\n"),
        ("dead.jsonl", ""),
    ];
    dir.file("in.jsonl", "{\"n\":1}\nbad\n");
    let code = dir.read("t.js");
    for (file, _) in files {
        let files_now = || files.map(|(file, _)| dir.read(file));
        for line in ["-o FILE", "--errors FILE", ">> FILE", "2>> FILE", "--logs FILE"] {
            for (name, content) in files {
                dir.file(name, content);
            }
            let args = if file == "data.json" { "--metadata data.json --credentials data.json" } else { "" };
            let written = shell(&dir, "$SG run t.js in.jsonl -q -L lib --errors dead.jsonl > out; echo $?");
            assert_eq!(written.1, "1\n", "{}", written.2);
            let before = files_now();
            let run = if file == "dead.jsonl" { "replay --all dead.jsonl" } else { "run t.js in.jsonl" };
            let line = format!("$SG {run} -L lib {args} {}", line.replace("FILE", file));
            let (code, _, err) = shell(&dir, &line);
            assert_eq!((code, files_now()), (2, before), "{line}: {err}");
        }
    }
    for line in ["-o t.js", ">> t.js", "2>> t.js", "--errors t.js"] {
        assert_eq!(shell(&dir, &format!("$SG run t.js in.jsonl {line}")).0, 2, "{line}");
        assert_eq!(dir.read("t.js"), code, "{line}");
    }
}

#[test]
fn letters_that_standard_error_does_not_take_are_kept() {
    let dir = Dir::with(IDENTITY);
    std::fs::create_dir(dir.path().join("tmp")).unwrap();
    let (code, _, _) = shell(&dir, "echo bad | TMPDIR=tmp $SG run t.js -q 2> /dev/full");
    assert_eq!(code, 2);
    let kept: Vec<_> = std::fs::read_dir(dir.path().join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let letter: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&kept[0]).unwrap()).unwrap();
    assert_eq!(letter["kind"], "invalid_json", "{letter}");
}

#[test]
fn a_line_end_inside_a_string_is_a_mistake_in_every_format() {
    let dir = Dir::with(IDENTITY);
    for (args, input) in [
        (&["--input-format", "array"][..], "[{\"n\":\"a\nb\"},{\"n\":2}]"),
        (&["--input-format", "json"], "{\"n\":\"a\nb\"}\n{\"n\":2}"),
        (&["--input-field", "e"], "{\"e\":\"{\\\"n\\\":\\\"a\\nb\\\"}\"}\n{\"e\":\"{\\\"n\\\":\\n2}\"}\n"),
    ] {
        let done = dir.run(&[&["run", "t.js", "-q"], args].concat(), input);
        assert_eq!((done.code, done.text().replace(' ', "").as_str()), (1, "{\"n\":2}\n"), "{args:?}: {}", done.err);
        assert!(done.err.contains("invalid_json"), "{args:?}: {}", done.err);
    }
}

#[test]
fn arrays_one_after_the_other_are_read_and_nothing_before_a_mistake_is_lost() {
    let dir = Dir::with(IDENTITY);
    let run = |input: &str| dir.run(&["run", "t.js", "--input-format", "array"], input);
    let pages = run("[{\"n\":1}]\n[]\n[{\"n\":2}]\n");
    assert_eq!((pages.code, pages.text()), (0, "{\"n\":1}\n{\"n\":2}\n"), "{}", pages.err);
    let wrong = run("[{\"n\":1}]x");
    assert_eq!((wrong.code, wrong.text()), (2, "{\"n\":1}\n"), "{}", wrong.err);
    assert!(wrong.err.contains("follows the array's end"), "{}", wrong.err);
}

#[test]
fn a_pipe_may_begin_with_a_short_piece() {
    let dir = Dir::with(IDENTITY);
    let packed = |name: &str| match name {
        "gzip" => {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut packed, b"{\"n\":1}\n").unwrap();
            // Zero padding, as on a tape.
            [packed.finish().unwrap(), vec![0; 100]].concat()
        }
        // A skippable frame comes first.
        _ => [&b"\x50\x2A\x4D\x18\x04\0\0\0abcd"[..], &zstd::encode_all(&b"{\"n\":1}\n"[..], 1).unwrap()].concat(),
    };
    for name in ["gzip", "zstd"] {
        dir.file("in", packed(name));
        assert_eq!(dir.run(&["run", "t.js", "in", "-q"], "").text(), "{\"n\":1}\n", "{name}");
        // `dd` writes one byte at a time, so the run gets short reads.
        let (_, out, err) = shell(&dir, "dd if=in bs=1 2> dd.err | $SG run t.js -q");
        assert_eq!(out, "{\"n\":1}\n", "{name}: {err}");
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
