//! The built binary, as a shell sees it: exit codes, standard output and standard error.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the binary in a folder, without sluicegate's variables in the environment.
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
    let said = text(&out.stdout);
    assert_eq!(said, "good.js: ok: exports transformEvent; imports jsLib1\n");

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
    assert_eq!(value["level"], "ERROR");
    assert!(value["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{value}");
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
fn the_version_names_that_of_v8() {
    let dir = project(&[]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(text(&sluicegate(dir.path(), &["-V"]).stdout), format!("sluicegate {version}\n"));
    let out = sluicegate(dir.path(), &["--version"]);
    let long = text(&out.stdout);
    assert!(long.starts_with(&format!("sluicegate {version} (V8 15.")), "{long}");
    assert!(long.ends_with(")\n") && long.lines().count() == 1, "{long}");
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

#[test]
fn help_is_a_command_and_what_is_hidden_stays_hidden() {
    let dir = project(&[]);
    let help = sluicegate(dir.path(), &["help", "run"]);
    assert_eq!(help.status.code(), Some(0));
    assert_eq!(help.stdout, sluicegate(dir.path(), &["run", "--help"]).stdout);
    for mistake in ["worke", "prepare", "pars", "bench-ste", "suite-workers", "trials"] {
        let error = sluicegate(dir.path(), &[mistake]);
        let said = text(&error.stderr);
        assert_eq!(error.status.code(), Some(2));
        for hidden in ["worker", "'prepared'", "'parse'", "bench-step", "'trial'"] {
            assert!(!said.replace(&format!("'{mistake}'"), "").contains(hidden), "{said}");
        }
    }
    for shell in ["bash", "zsh", "fish", "nushell", "powershell", "elvish"] {
        let out = sluicegate(dir.path(), &["completions", shell]);
        assert!(out.status.success() && !text(&out.stdout).contains("lineage-worker"), "{shell}");
    }
}

#[test]
fn an_unknown_variable_is_an_error_with_a_suggestion() {
    let dir = project(&[("t.js", "export const transformEvent = (event) => event;")]);
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_sluicegate"))
        .args(["run", "t.js"])
        .current_dir(dir.path())
        .env("SLUICEGATE_WORKER", "1")
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("is it SLUICEGATE_WORKERS?"), "{}", text(&out.stderr));
}

#[test]
fn check_takes_folders_and_names_what_is_not_there() {
    let dir = project(&[
        ("src/a.js", "export const transformEvent = (event) => event;"),
        (
            "src/deep/b.ts",
            "export function transformBatch(events: object[]) {\n  setTimeout(() => {}, 1);\n  return events;\n}",
        ),
        ("src/lib.js", "export const helper = 1;"),
        ("src/node_modules/x.js", "export const transformEvent = missing;"),
        ("empty/readme.md", ""),
    ]);
    let out = sluicegate(dir.path(), &["check", "src"]);
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(1), "src/a.js: ok: exports transformEvent\n"));
    let said = text(&out.stderr);
    assert!(said.starts_with("error: setTimeout is not defined\n --> src/deep/b.ts:2:3\n"), "{said}");
    assert!(
        said.ends_with("help: there are no timers; call the function directly, or `await` what it waits for\n"),
        "{said}"
    );
    let out = sluicegate(dir.path(), &["check", "src", "--reporter", "github"]);
    assert!(text(&out.stdout).contains("::error file=src/deep/b.ts,line=2,col=3,"), "{}", text(&out.stdout));
    let out = sluicegate(dir.path(), &["check", "src", "--json"]);
    let values: Vec<serde_json::Value> =
        text(&out.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((out.status.code(), values.len()), (Some(1), 2));
    assert_eq!((&values[0]["ok"], &values[1]["line"]), (&true.into(), &2.into()));
    assert_eq!(sluicegate(dir.path(), &["check", "empty"]).status.code(), Some(2));
}

/// A file that cannot be read does not prevent the check of other files.
#[test]
fn check_reports_every_file() {
    let dir = project(&[
        ("src/a.js", "export const transformEvent = (event) => missing;"),
        ("src/b.ts", "export function transformEvent(event: any) { return (event }"),
        ("src/c.js", "function transformEvent(event) { return event; }"),
        ("src/d.ts", "const transformEvent = (event: any) => event;"),
        ("src/e.js", "const { transformEvent } = require('./c.js');"),
        ("src/f.js", "export const transformEvent = (event) => event;"),
        ("src/g.js", "function transformEvent(event) { return (event }"),
        ("src/h/sluicegate.toml", "cpu-limit = 1"),
        ("src/h/i.js", "export const transformEvent = (event) => event;"),
    ]);
    fs::write(dir.path().join("src/latin1.js"), b"// caf\xe9").unwrap();
    let findings = |args: &[&str]| {
        let out = sluicegate(dir.path(), &[&["check", "--json"], args].concat());
        assert_eq!(out.status.code(), Some(2));
        let line = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            format!("{} {}", value["transformation"].as_str().unwrap(), value["rule"].as_str().unwrap_or("ok"))
        };
        text(&out.stdout).lines().map(line).collect::<Vec<_>>()
    };
    let expected = [
        "src/a.js undefined-name",
        "src/b.ts load-syntax",
        "src/c.js load-exports",
        "src/d.ts load-exports",
        "src/f.js ok",
        "src/g.js load-syntax",
        "src/h/i.js load-read",
        "src/latin1.js load-read",
    ];
    assert_eq!(findings(&["src"]), expected);
    let expected = ["src/f.js ok", "nowhere.js load-read", "src/a.js undefined-name"];
    assert_eq!(findings(&["src/f.js", "nowhere.js", "src/a.js"]), expected);
    let out = sluicegate(dir.path(), &["check", "src"]);
    let said = text(&out.stderr);
    for part in ["missing is not defined", "src/b.ts:1:", "latin1.js: it is not UTF-8", "--> src/d.ts:1:7\n"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(said.contains("1 | const transformEvent = (event: any) => event;\n"), "the line as it was written: {said}");
    assert_eq!(text(&out.stdout), "src/f.js: ok: exports transformEvent\n");
}

/// If several transformations use a library, its mistake is reported once.
#[test]
fn one_mistake_of_a_library_is_one_message() {
    let code = "import { n } from 'lib';\nexport const transformEvent = (event) => ({ n });";
    let dir = project(&[("a.js", code), ("b.js", code), ("lib/lib.js", "export const n = () => missing;")]);
    let out = sluicegate(dir.path(), &["check", "a.js", "b.js", "-L", "lib"]);
    let said = text(&out.stderr);
    assert_eq!(said.matches("missing is not defined\n --> lib/lib.js").count(), 1, "{said}");
}

#[test]
fn check_changes_a_file_as_a_whole_or_not_at_all() {
    let code = "const _ = require('lodash');\nexports.transformEvent = (event) => _.omit(event, 'a');\n";
    let dir = project(&[("t.js", code)]);
    let out = sluicegate(dir.path(), &["check", "t.js", "--fix"]);
    let said = text(&out.stderr);
    let expected = "warning: --fix changes nothing in t.js: in line 1, `require` would remain, which is not there: `import` it by hand\n";
    assert!(said.starts_with(expected), "{said}");
    assert_eq!((out.status.code(), fs::read_to_string(dir.path().join("t.js")).unwrap().as_str()), (Some(2), code));
}

#[test]
fn an_export_that_a_test_asks_for_is_used() {
    let code = "export const transformEvent = (event) => event;\nexport const half = (n) => n / 2;\n";
    let dir = project(&[("t.js", code)]);
    let out = sluicegate(dir.path(), &["check", "t.js", "--json"]);
    let finding: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), &finding["rule"], &finding["line"]), (Some(1), &"unused-export".into(), &2.into()));
    std::fs::write(dir.path().join("t.test.js"), "import { half } from './t.js';\n").unwrap();
    let out = sluicegate(dir.path(), &["check", "t.js"]);
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(0), "t.js: ok: exports transformEvent\n"));
}

#[test]
fn check_mends_what_is_mechanical() {
    let dir = project(&[("t.js", "const transformEvent = (event) => event;\nmodule.exports = { transformEvent };\n")]);
    assert_eq!(sluicegate(dir.path(), &["check", "t.js"]).status.code(), Some(2));
    let out = sluicegate(dir.path(), &["check", "t.js", "--fix"]);
    assert_eq!(
        (out.status.code(), text(&out.stdout)),
        (Some(0), "t.js: ok: exports transformEvent\n"),
        "{}",
        text(&out.stderr)
    );
    let code = std::fs::read_to_string(dir.path().join("t.js")).unwrap();
    assert_eq!(code, "export const transformEvent = (event) => event;\n\n");
}

/// The checkers of man pages that are installed report nothing.
#[test]
fn the_man_page_has_no_warnings() {
    let dir = project(&[]);
    fs::write(dir.path().join("sluicegate.1"), sluicegate(dir.path(), &["man"]).stdout).unwrap();
    for checker in [&["mandoc", "-Tlint", "-W", "all"][..], &["groff", "-man", "-Tutf8", "-ww", "-z", "-K", "utf8"]] {
        let run = Command::new(checker[0]).args(&checker[1..]).arg("sluicegate.1").current_dir(dir.path()).output();
        let Ok(done) = run else {
            eprintln!("{} is not installed", checker[0]);
            continue;
        };
        let said = format!("{}{}", text(&done.stdout), text(&done.stderr));
        assert!(done.status.success() && said.is_empty(), "{checker:?}: {said}");
    }
}
