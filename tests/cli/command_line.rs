//! The built binary, as a shell sees it: exit codes, and what goes to which stream.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the binary in a folder, with nothing of ours in the environment.
fn sluicegate(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SLUICEGATE_") {
            command.env_remove(name);
        }
    }
    command.current_dir(dir).args(args).stdin(Stdio::null()).output().unwrap()
}

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn check_answers_on_stdout_and_complains_on_stderr() {
    let dir = project(&[
        ("good.js", "import { f } from 'jsLib1'; export function transformEvent(e) { return f(e); }"),
        ("bad.js", "function transformEvent(e) { return e; }"),
        ("lib/js-lib-1.js", "export const f = (e) => e;"),
    ]);
    let out = sluicegate(dir.path(), &["check", "good.js", "-L", "lib"]);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), ""));
    assert!(text(&out.stdout).starts_with("good.js: ok: exports transformEvent; libraries: jsLib1"));

    let out = sluicegate(dir.path(), &["check", "bad.js"]);
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(2), ""));
    assert_eq!(
        text(&out.stderr),
        "error: Expected one of transformEvent,transformBatch. Found\n --> bad.js:1:10\n  |\n\
         1 | function transformEvent(e) { return e; }\n  |          ^^^^^^^^^^^^^^\n\
         help: add `export` before the declaration of transformEvent\n"
    );

    let out = sluicegate(dir.path(), &["check", "bad.js", "--json"]);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(2), ""));
    assert!(text(&out.stdout).contains("\"ok\":false"));
}

#[test]
fn a_config_file_is_found_in_the_current_folder_then_beside_the_transformation() {
    let dir = project(&[
        ("project/t.js", "import 'a'; export function transformEvent(e) { return e; }"),
        ("project/sluicegate.toml", "[libraries]\na = \"lib/a.js\"\n"),
        ("project/lib/a.js", ""),
        ("elsewhere/sluicegate.toml", "[limits]\ncpus = 1\n"),
    ]);
    let out = sluicegate(dir.path(), &["check", "project/t.js"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let out = sluicegate(&dir.path().join("elsewhere"), &["check", "../project/t.js"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("--> sluicegate.toml:2:1") && text(&out.stderr).contains("did you mean cpu?"));
}

#[test]
fn what_cannot_run_exits_with_2() {
    let dir = project(&[("t.js", "export function transformEvent(e) { return e; }")]);
    for args in [
        &["run"][..],
        &["run", "missing.js"],
        &["run", "t.js", "missing.jsonl"],
        &["run", "t.js", "--no-such-flag"],
        &["walk", "t.js"],
        &[],
    ] {
        let out = sluicegate(dir.path(), args);
        assert_eq!((out.status.code(), text(&out.stdout)), (Some(2), ""), "{args:?}");
        assert!(!out.stderr.is_empty(), "{args:?}");
        assert!(!text(&out.stderr).contains("panicked"), "{args:?}");
    }
}

#[test]
fn errors_are_json_for_those_who_ask() {
    let dir = project(&[]);
    let out = sluicegate(dir.path(), &["run", "missing.js", "--log-format", "json"]);
    let value: serde_json::Value = serde_json::from_str(text(&out.stderr)).unwrap();
    assert_eq!(value["level"], "error");
    assert_eq!(value["message"], "cannot read the transformation missing.js: there is no such file");
}

#[test]
fn help_version_man_and_completions_succeed() {
    let dir = project(&[]);
    for args in [&["--help"][..], &["--version"], &["run", "--help"], &["man"], &["completions", "fish"]] {
        let out = sluicegate(dir.path(), args);
        assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), ""), "{args:?}");
        assert!(!out.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    for args in [&["man"][..], &["completions", "bash"], &["run", "--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let out = Command::new(env!("CARGO_BIN_EXE_sluicegate")).args(args).stdout(writer).output().unwrap();
        assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), ""), "{args:?}");
    }
}
