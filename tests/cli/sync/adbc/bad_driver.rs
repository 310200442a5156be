//! Drivers that leave a process behind, or hang while they are loaded.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};

use super::{Drivers, drivers, to_file, traits};
use crate::support::{Dir, Done, finish};

/// A folder with a sync that uses the bad driver, of a query with one row.
fn with_bad_driver(timeout: &str) -> Dir {
    let dir = to_file(&format!(
        "adbc = \"sqlite\"\ndriver = \"drivers/bad.so\"\nquery_timeout = \"{timeout}\"\nquery = \"select 1 as id\""
    ));
    let library = dir.path().join("drivers/bad.so");
    dir.file("drivers/bad.toml", format!("[Driver]\nshared = \"{}\"\n", library.display()));
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(library);
    assert!(cc.args(["tests/fixtures/adbc/bad_driver.c", "-ldl"]).status().unwrap().success());
    assert!(Command::new("mkfifo").arg(dir.path().join("gate")).status().unwrap().success());
    dir
}

fn command(drivers: &Drivers, dir: &Dir, args: &[&str], behaves: &str) -> Command {
    let mut command = drivers.command(dir, args);
    command.env("ADBC_DRIVER_PATH", dir.path().join("drivers"));
    command.env("BEHAVES", behaves).env("REAL_DRIVER", drivers.library("sqlite"));
    command
}

fn run(drivers: &Drivers, dir: &Dir, args: &[&str], behaves: &str) -> Done {
    finish(command(drivers, dir, args, behaves).spawn().unwrap(), Vec::new())
}

/// Opens the writing end of the named pipe `gate`; an error if no process waits there. The process waits as long as the
/// file is open.
fn gate(dir: &Dir) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(dir.path().join("gate"))
}

fn is_late(dir: &Dir) -> bool {
    dir.path().join("late").exists()
}

fn line_of(done: &Done) -> String {
    let line = done.lines().into_iter().find(|line| line.trim_start().starts_with("bad ")).unwrap().to_owned();
    line.rsplit('/').next().unwrap().to_owned()
}

#[test]
fn a_process_that_a_driver_leaves_behind_ends_with_the_query() {
    let Some(drivers) = drivers() else { return };
    for leaves in ["leaves a process", "leaves a daemon"] {
        let dir = with_bad_driver("1h");
        let done = run(drivers, &dir, &["sync", "sync.toml"], leaves);
        assert_eq!((done.code, traits(&dir).len()), (0, 1), "{}", done.err);
        is_gone(&dir);
        let done = run(drivers, &dir, &["sync", "doctor"], leaves);
        assert_eq!(line_of(&done), "bad.toml (ADBC 1.1)");
        is_gone(&dir);
    }
}

#[test]
fn a_process_that_a_driver_leaves_behind_ends_with_a_sync_that_is_killed() {
    let Some(drivers) = drivers() else { return };
    for signal in [Signal::TERM, Signal::KILL] {
        let dir = with_bad_driver("1h");
        let child = command(drivers, &dir, &["sync", "sync.toml"], "leaves a daemon and hangs").spawn().unwrap();
        // The daemon waits at the gate, and the driver does or will. Opening and closing the gate here would let both
        // continue.
        while !dir.path().join("daemon").exists() {
            std::thread::yield_now();
        }
        let gate = gate(&dir).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let done = finish(child, Vec::new());
        assert_eq!(done.code, 128 + signal.as_raw(), "{}", done.err);
        poll(&mut [PollFd::new(&gate, PollFlags::empty())], None).unwrap();
        assert!(!is_late(&dir), "{}", done.err);
    }
}

/// Waits until the process that a driver has left behind has ended, and asserts that it was killed: it did not pass the
/// gate.
fn is_gone(dir: &Dir) {
    if let Ok(gate) = gate(dir) {
        poll(&mut [PollFd::new(&gate, PollFlags::empty())], None).unwrap();
    }
    assert!(!is_late(dir));
}

#[test]
fn a_driver_that_hangs_while_it_is_loaded_ends_with_the_time_of_the_query() {
    let Some(drivers) = drivers() else { return };
    let dir = with_bad_driver("1s");
    let done = run(drivers, &dir, &["sync", "sync.toml"], "hangs");
    assert_eq!(done.code, 2, "{}", done.err);
    assert_eq!(
        done.err,
        "error: the driver was not loaded within 1s (source.query_timeout)\n\
         help: `sluicegate sync doctor` says which drivers there are\n"
    );
    assert!(!is_late(&dir) && gate(&dir).is_err(), "the process goes on");
    let done = run(drivers, &dir, &["sync", "doctor"], "hangs");
    assert_eq!(line_of(&done), "bad.toml: FAILS: it is not loaded within 10s");
    assert!(!is_late(&dir) && gate(&dir).is_err(), "the process goes on");
}

#[test]
fn a_driver_that_hangs_while_it_is_loaded_ends_with_its_sync() {
    let Some(drivers) = drivers() else { return };
    for signal in [Signal::TERM, Signal::KILL] {
        let dir = with_bad_driver("1h");
        let child = command(drivers, &dir, &["sync", "sync.toml"], "hangs").spawn().unwrap();
        let gate = loop {
            match gate(&dir) {
                Ok(gate) => break gate,
                Err(_) => std::thread::yield_now(),
            }
        };
        kill_process(Pid::from_child(&child), signal).unwrap();
        let done = finish(child, Vec::new());
        assert_eq!(done.code, 128 + signal.as_raw(), "{}", done.err);
        // Returns when the process at the gate has ended, because the gate never lets it pass.
        poll(&mut [PollFd::new(&gate, PollFlags::empty())], None).unwrap();
        assert!(!is_late(&dir) && traits(&dir).is_empty(), "{}", done.err);
    }
}
