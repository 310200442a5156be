//! `sluicegate sync` against stand-ins of destinations on loopback, with faults that tests switch on.

mod adbc;
mod bad_input;
mod changes;
mod commands;
mod data_plane;
mod delivery;
mod destination;
mod docs;
mod endings;
mod property;
mod retl;
mod rudder;
mod salesforce;

use serde_json::Value;

use self::destination::Destination;
use crate::support::{Dir, Done};

/// Settings with pauses so short that tests don't notice them.
const QUICK: &str = "backoff = \"1ms\"\nmax_backoff = \"2ms\"\ncooldown = \"1ms\"\ntimeout = \"20s\"\n";

/// A folder with rows and a config whose sink is Customer.io's API.
fn users(destination: &Destination, rows: &str, more: &str) -> Dir {
    let dir = Dir::new();
    dir.file("rows.jsonl", rows);
    dir.file("sync.toml", config(destination, more));
    dir
}

/// The config. In `more`, everything from the first `[table]` on is added to the top level, and lines before it to the
/// sink.
fn config(destination: &Destination, more: &str) -> String {
    let (sink, tables) =
        more.split_once("\n[").map_or((more, String::new()), |(sink, rest)| (sink, format!("[{rest}")));
    let (sink, tables) = if more.starts_with('[') { ("", more.to_owned()) } else { (sink, tables) };
    format!(
        "[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n{tables}\n[[sink]]\nname = \"crm\"\nkind = \"customerio\"\n\
         auth = \"env:CIO_KEY\"\nurl = \"{}\"\n{QUICK}{sink}\n",
        destination.url()
    )
}

/// Runs `sluicegate` with the secret in its environment.
fn run(dir: &Dir, args: &[&str]) -> Done {
    let mut command = dir.command(args);
    command.env("CIO_KEY", "site:key");
    crate::support::finish(command.spawn().unwrap(), Vec::new())
}

/// Runs the sync; also returns the counts of its last line.
fn sync(dir: &Dir, args: &[&str]) -> (Done, Value) {
    let done = run(dir, &[&["sync", "sync.toml", "--stats", "json"], args].concat());
    let counts =
        done.err.lines().find(|line| line.starts_with("{\"run\"")).and_then(|line| serde_json::from_str(line).ok());
    let counts: Value = counts.unwrap_or_default();
    if counts.is_object() {
        assert_eq!(counts["conserved"], true, "{}", done.err);
    }
    (done, counts)
}

/// Runs a sync that must succeed; returns how many rows were sent.
fn sent(dir: &Dir, args: &[&str]) -> u64 {
    let (done, counts) = sync(dir, args);
    assert_eq!(done.code, 0, "{}", done.err);
    counts["sent"].as_u64().unwrap()
}

/// The named numbers of the counts.
fn numbers<const N: usize>(counts: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| counts[name].as_u64().unwrap_or_else(|| panic!("{name}: {counts}")))
}
