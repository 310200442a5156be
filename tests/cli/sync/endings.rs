//! Syncs that end early: signals, a second sync, a state that can't be written.

use super::destination::{Destination, Fault};
use super::{numbers, run, sent, sync, users};
use crate::support::Dir;

fn rows(count: usize) -> String {
    (0..count).map(|id| format!("{{\"id\":{id}}}\n")).collect()
}

/// Starts a sync and waits until the destination has got this many requests.
fn start(dir: &Dir, crm: &Destination, requests: usize) -> std::process::Child {
    let mut command = dir.command(&["sync", "sync.toml", "--stats", "json"]);
    let child = command.env("CIO_KEY", "site:key").spawn().unwrap();
    crm.web.wait(requests);
    child
}

#[test]
fn a_signal_finishes_what_is_in_flight_and_leaves_the_rest_for_the_next_run() {
    for (signal, code) in [(rustix::process::Signal::TERM, 143), (rustix::process::Signal::INT, 130)] {
        let crm = Destination::start();
        // The first request must be repeated after a minute; the signal ends the wait.
        crm.fault(std::iter::repeat_n(Fault::With(503, "Retry-After", "60"), 1));
        let dir = users(&crm, &rows(10), "batch = 2\nconcurrency = 1");
        let child = start(&dir, &crm, 1);
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let done = crate::support::finish(child, Vec::new());
        assert_eq!(done.code, code, "{}", done.err);
        let counts: serde_json::Value = serde_json::from_str(done.err.lines().last().unwrap()).unwrap();
        assert_eq!((&counts["conserved"], numbers(&counts, ["sent", "pending"])), (&true.into(), [0, 10]), "{counts}");
        crm.no_faults();
        assert_eq!(sent(&dir, &[]), 10);
        assert_eq!(crm.done().len(), 10);
    }
}

#[test]
fn a_signal_while_the_source_is_read_ends_the_source_too() {
    let crm = Destination::start();
    let dir = users(&crm, "", "");
    let config = dir.read("sync.toml");
    let command = "command = [\"sh\", \"-c\", \"echo $$ > pid; exec sleep 1000\"]";
    dir.file("sync.toml", config.replace("file = \"rows.jsonl\"", command));
    let mut command = dir.command(&["sync", "sync.toml"]);
    let child = command.env("CIO_KEY", "site:key").spawn().unwrap();
    let pid = loop {
        if let Ok(pid) = std::fs::read_to_string(dir.path().join("pid")).unwrap_or_default().trim().parse::<i32>() {
            break rustix::process::Pid::from_raw(pid).unwrap();
        }
        std::thread::yield_now();
    };
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    let done = crate::support::finish(child, Vec::new());
    assert_eq!(done.code, 143, "{}", done.err);
    while rustix::process::test_kill_process(pid).is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn two_syncs_do_not_work_on_one_state() {
    let crm = Destination::start();
    crm.fault([Fault::With(503, "Retry-After", "60")]);
    let dir = users(&crm, &rows(2), "");
    let child = start(&dir, &crm, 1);
    let pid = child.id();
    let second = run(&dir, &["sync", "sync.toml"]);
    assert_eq!(second.code, 2);
    assert!(second.err.contains(&format!("another sync (process {pid}) is at work on the state")), "{}", second.err);
    assert_eq!(run(&dir, &["sync", "status", "sync.toml"]).code, 0, "the status can be asked for meanwhile");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    crate::support::finish(child, Vec::new());
    crm.no_faults();
    assert_eq!(sent(&dir, &[]), 2, "the lock ends with its process");
}

#[test]
fn a_state_that_cannot_be_written_stops_the_sync_and_loses_nothing() {
    let crm = Destination::start();
    let dir = users(&crm, &rows(3000), "batch = 10\nconcurrency = 1");
    // No file may exceed 400 KiB: that is enough for the pending rows, but the state's log is full after some commits.
    let script = "ulimit -f 400; trap '' XFSZ; exec \"$0\" sync sync.toml";
    let mut command = std::process::Command::new("bash");
    command.args(["-c", script, env!("CARGO_BIN_EXE_sluicegate")]).current_dir(dir.path());
    command.env("CIO_KEY", "site:key").env("NO_COLOR", "1");
    let output = command.output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("sync.state.db") && err.contains("nothing is lost"), "{err}");
    let before = crm.done().len();
    assert!(before < 3000, "it stopped at once");
    let (done, counts) = sync(&dir, &[]);
    let [unchanged, sent] = numbers(&counts, ["unchanged", "sent"]);
    assert_eq!((done.code, unchanged + sent), (0, 3000), "{}", done.err);
    assert_eq!(crm.persons().len(), 3000);
    let twice = crm.done().len() - 3000;
    assert!(twice <= 20, "only what was in flight is sent again: {twice}");
}

#[test]
fn a_file_sink_that_was_killed_in_the_middle_of_a_line_has_whole_lines_again() {
    let dir = Dir::new();
    dir.file("rows.jsonl", rows(2));
    dir.file(
        "sync.toml",
        "[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n[[sink]]\nname = \"out\"\nkind = \"file\"\npath = \"out.jsonl\"\n",
    );
    dir.file("out.jsonl", "{\"old\":1}\n{\"half\":");
    assert_eq!(sent(&dir, &[]), 2);
    let lines = dir.read("out.jsonl");
    assert_eq!(lines.lines().count(), 3);
    lines.lines().for_each(|line| drop(serde_json::from_str::<serde_json::Value>(line).unwrap()));
}
