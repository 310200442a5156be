//! Runs that cannot start: the complete message to the user, exit code 2, and no input consumed.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write as _};
use std::path::Path;

use crate::support::{Dir, finish};

const GOOD: &str = "export function transformEvent(event) { return event; }\n";

/// A name, the files next to the events, and the arguments of `run`.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

const CASES: &[Case] = &[
    ("no such transformation", &[], &["missing.js"]),
    ("a folder as transformation", &[("folder/x", "")], &["folder"]),
    ("no such events", &[("t.js", GOOD)], &["t.js", "missing.jsonl"]),
    ("a folder as events", &[("t.js", GOOD), ("folder/x", "")], &["t.js", "folder"]),
    ("no such config", &[("t.js", GOOD)], &["t.js", "--config", "missing.toml"]),
    ("a folder as config", &[("t.js", GOOD), ("sluicegate.toml/x", "")], &["t.js"]),
    ("a config that is not TOML", &[("t.js", GOOD), ("sluicegate.toml", "[run\n")], &["t.js"]),
    ("an unknown key in the config", &[("t.js", GOOD), ("sluicegate.toml", "[run]\nworker = 2\n")], &["t.js"]),
    ("an unknown flag", &[("t.js", GOOD)], &["t.js", "--line-bufered"]),
    ("dead letters in a folder that is not there", &[("t.js", GOOD)], &["t.js", "--errors", "missing/dead.jsonl"]),
    ("logs in a folder that is not there", &[("t.js", GOOD)], &["t.js", "--logs", "missing/logs.jsonl"]),
];

/// Cases with code that does not load: `run` and `check` print the same text.
const CODE: &[Case] = &[
    ("a syntax error", &[("t.js", "export function transformEvent(event) {\n  return event..id;\n}\n")], &["t.js"]),
    ("an import of nothing", &[("t.js", "import { add } from 'sums';\n"), ("lib/sum.js", "")], &["t.js", "-L", "lib"]),
    (
        "two exports",
        &[("t.js", "export function transformEvent(e) { return e; }\nexport const transformBatch = (es) => es;\n")],
        &["t.js"],
    ),
    ("no export", &[("t.js", "const transformEvent = (event) => event;\n")], &["t.js"]),
    (
        "a library that throws while loading",
        &[
            ("t.js", "import { one } from 'numbers';\nexport const transformEvent = (event) => ({ one });\n"),
            (
                "lib/numbers.js",
                "export const one = parse();\nfunction parse() {\n  throw new TypeError('no numbers');\n}\n",
            ),
        ],
        &["t.js", "-L", "lib"],
    ),
    (
        "a top-level await that never settles",
        &[("t.js", "await new Promise(() => {});\nexport const transformEvent = (event) => event;\n")],
        &["t.js"],
    ),
    (
        "an endless loop while loading",
        &[("t.js", "for (;;);\nexport const transformEvent = (event) => event;\n")],
        &["t.js", "--cpu-limit", "50ms"],
    ),
    (
        "something while loading that V8 cannot interrupt",
        &[("t.js", "new Array(2 ** 32 - 1).fill(0);\nexport const transformEvent = (event) => event;\n")],
        &["t.js", "--cpu-limit", "50ms", "--wall-limit", "50ms"],
    ),
    (
        "a death while loading",
        &[("t.js", "'a'.repeat(2 ** 27 + 1).split('');\nexport const transformEvent = (event) => event;\n")],
        &["t.js"],
    ),
];

/// Runs a case and returns its output. Its standard input is a file, so that the test sees whether it was read.
fn tell(command: &str, (name, files, args): &Case) -> String {
    let dir = Dir::new();
    for (file, content) in *files {
        dir.file(file, content);
    }
    let mut events = File::options().read(true).write(true).create_new(true).open(dir.path().join("in")).unwrap();
    events.write_all(b"{\"id\":1}\n").unwrap();
    events.seek(SeekFrom::Start(0)).unwrap();
    let args: Vec<&str> = [command].iter().chain(*args).copied().collect();
    let child = dir.command(&args).stdin(events.try_clone().unwrap()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{name}: nothing goes to standard output");
    assert_eq!(events.stream_position().unwrap(), 0, "{name}: nothing of the input is taken");
    let code = output.status.code().unwrap();
    format!("{}exit code {code}\n", String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_cannot_be_run_says_why_and_takes_no_input() {
    let mut text = String::new();
    for case in CASES.iter().chain(CODE) {
        let _ = writeln!(text, "# {}\n{}", case.0, tell("run", case));
    }
    golden("tests/golden/run.txt", &text);
}

#[test]
fn check_says_of_code_what_run_says() {
    for case in CODE {
        assert_eq!(tell("check", case), tell("run", case), "{}", case.0);
    }
}

#[test]
fn a_config_that_may_not_be_read_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::with(GOOD);
    let config = dir.file("sluicegate.toml", "");
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o000)).unwrap();
    if File::open(&config).is_ok() {
        // Root can read files without permission.
        return;
    }
    let done = finish(dir.command(&["run", "t.js"]).spawn().unwrap(), Vec::new());
    assert_eq!(done.code, 2);
    assert!(done.err.starts_with("error: cannot read the config file sluicegate.toml: "), "{}", done.err);
}

/// Compares with a golden file; `UPDATE_GOLDEN=1` rewrites it.
pub fn golden(path: &str, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let expected = std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    assert!(expected == text, "--- {path}\n{expected}\n+++ now\n{text}");
}
