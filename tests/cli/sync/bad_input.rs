//! Complete messages to the user. A case in `tests/golden/sync/` is a config with the expected message next to it.

use std::fmt::Write as _;
use std::path::Path;

use super::destination::Destination;
use super::{run, users};
use crate::support::Dir;

/// Compares a text with its golden file; `UPDATE_GOLDEN=1` rewrites it.
fn golden(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, expected, "{}", path.display());
}

#[test]
fn a_config_that_is_wrong_says_where_and_what_to_do() {
    let mut cases: Vec<_> =
        std::fs::read_dir("tests/golden/sync").unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    cases.sort();
    assert!(cases.len() > 10, "{}", cases.len());
    for case in cases {
        let dir = Dir::new();
        dir.file("sync.toml", std::fs::read(&case).unwrap());
        dir.file("rows.jsonl", "{\"id\":1}\n");
        let done = dir.run(&["sync", "sync.toml"], "");
        assert_eq!(done.code, 2, "{}: {}", case.display(), done.err);
        assert_eq!(done.text(), "");
        golden(&case.with_extension("txt"), &done.err);
    }
}

#[test]
fn sources_and_states_that_are_wrong_say_what_to_do() {
    let crm = Destination::start();
    let out = |dir: &Dir, source: &str| {
        dir.file(
            "sync.toml",
            format!(
                "[source]\n{source}\nkey = \"id\"\n[[sink]]\nname = \"out\"\nkind = \"file\"\npath = \"out.jsonl\"\n"
            ),
        );
        run(dir, &["sync", "sync.toml"])
    };
    let sources: &[(&str, &str, &[u8])] = &[
        ("no such file", "file = \"missing.jsonl\"", b""),
        ("a folder", "file = \".\"", b""),
        ("no such command", "command = [\"no-such-program\"]", b""),
        (
            "a command that fails",
            "command = [\"sh\", \"-c\", \"echo '{\\\"id\\\":1}'; echo no table >&2; exit 1\"]",
            b"",
        ),
        (
            "a DuckDB file that dbt holds",
            "command = [\"sh\", \"-c\", \"echo 'IO Error: Could not set lock on file x.duckdb: Conflicting lock' >&2; exit 1\"]",
            b"",
        ),
        ("no JSON at all", "file = \"rows.jsonl\"", b"id  plan\n1   free\n"),
        ("a list", "file = \"rows.jsonl\"", b"[{\"id\":1}]\n"),
        ("a table without the key", "file = \"rows.jsonl\"", b"{\"ID\":1}\n{\"ID\":2}\n"),
        ("only null keys", "file = \"rows.jsonl\"", b"{\"id\":null}\n"),
        ("cut off", "file = \"rows.jsonl\"", b"{\"id\":1}\n{\"id\":2,\"pl"),
        (
            "some bad rows",
            "file = \"rows.jsonl\"",
            b"{\"id\":1}\nnot json\n{\"id\":\"\xff\"}\n{\"id\":1.5}\n{\"id\":true}\n{\"id\":2,\"a\":1,\"a\":2}\n",
        ),
        (
            "a row that is too large",
            "file = \"rows.jsonl\"\nrow_limit = 20",
            b"{\"id\":1}\n{\"id\":2,\"plan\":\"business\"}\n",
        ),
    ];
    let mut text = String::new();
    for (name, source, rows) in sources {
        let dir = Dir::new();
        dir.file("rows.jsonl", rows);
        let done = out(&dir, source);
        let err = done.err.replace(&dir.path().display().to_string(), "DIR");
        let err: String =
            err.lines().map(|line| line.split(" · ").take(2).collect::<Vec<_>>().join(" · ") + "\n").collect();
        writeln!(text, "# {name}: exit code {}\n{err}", done.code).unwrap();
    }
    // States.
    let dir = users(&crm, "{\"id\":1}\n", "");
    assert_eq!(run(&dir, &["sync", "sync.toml"]).code, 0);
    let config = dir.read("sync.toml");
    for (name, change) in [
        ("the state of another key", config.replace("key = \"id\"", "key = \"email\"")),
        ("the state of another sync", format!("name = \"other\"\n{config}")),
        ("a file that is no state", format!("state = \"rows.jsonl\"\n{config}")),
        ("a folder that is not there", format!("state = \"no/such/state.db\"\n{config}")),
    ] {
        dir.file("sync.toml", change);
        let done = run(&dir, &["sync", "sync.toml"]);
        writeln!(text, "# {name}: exit code {}\n{}", done.code, done.err).unwrap();
    }
    // Code.
    dir.file("sync.toml", format!("{config}[transform]\ncode = \"t.js\"\n"));
    dir.file("t.js", "export function transformEvent(event) {\n  return evnt\n");
    let done = run(&dir, &["sync", "sync.toml"]);
    writeln!(text, "# code that does not load: exit code {}\n{}", done.code, done.err).unwrap();
    golden(Path::new("tests/golden/sync/sources.txt"), &text);
}
