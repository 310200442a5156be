//! Queries that end early: a signal, a killed sync, a killed database, a killed query process.

use rustix::process::{Pid, Signal, kill_process};

use super::{Postgres, drivers, to_file, traits};
use crate::support::finish;

/// A query that never ends and returns rows all the time.
const ENDLESS: &str = "select generate_series(1, 1000000000000) as id, 'endless' as word";

#[test]
fn a_query_ends_with_its_sync() {
    let (Some(drivers), Some(postgres)) = (drivers(), Postgres::start()) else { return };
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::KILL, 128 + 9)] {
        for query in [ENDLESS, "select 1 as id, 'endless' as word from pg_sleep(1000)"] {
            let dir = to_file(&postgres.source(query));
            let child = drivers.command(&dir, &["sync", "sync.toml"]).spawn().unwrap();
            postgres.wait_for("endless", 1);
            kill_process(Pid::from_child(&child), signal).unwrap();
            let done = finish(child, Vec::new());
            assert_eq!(done.code, code, "{}", done.err);
            postgres.wait_for("endless", 0);
            assert!(traits(&dir).is_empty());
        }
    }
}

#[test]
fn a_database_that_dies_loses_nothing() {
    let (Some(drivers), Some(postgres)) = (drivers(), Postgres::start()) else { return };
    let dir = to_file(&postgres.source(ENDLESS));
    let child = drivers.command(&dir, &["sync", "sync.toml"]).spawn().unwrap();
    postgres.wait_for("endless", 1);
    postgres.down();
    let done = finish(child, Vec::new());
    assert_eq!(done.code, 2, "{}", done.err);
    let error = done.err.lines().next().unwrap();
    assert!(error.starts_with("error: the database postgresql failed"), "{}", done.err);
    assert!(done.err.contains("\nhelp: nothing was sent and nothing was deleted"), "{}", done.err);
    assert!(traits(&dir).is_empty());
    // The database is down, and later starts again.
    super::write_config(&dir, &postgres.source("select 1 as id"));
    let done = drivers.run(&dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(done.err.starts_with("error: cannot open the database postgresql: "), "{}", done.err);
    postgres.up();
    let done = drivers.run(&dir, &["sync", "sync.toml"]);
    assert_eq!((done.code, traits(&dir).len()), (0, 1), "{}", done.err);
}

/// The process of the query is killed, as by the kernel when memory is short.
#[test]
fn a_process_that_is_killed_is_an_error_of_the_source() {
    let (Some(drivers), Some(postgres)) = (drivers(), Postgres::start()) else { return };
    let dir = to_file(&postgres.source(ENDLESS));
    let child = drivers.command(&dir, &["sync", "sync.toml"]).spawn().unwrap();
    postgres.wait_for("endless", 1);
    let children = format!("/proc/{0}/task", child.id());
    let reader = loop {
        let tasks = std::fs::read_dir(&children).unwrap();
        let children =
            tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
        let pids = children.collect::<String>();
        // The process of the query is the only child, because the sync has no transformation.
        if let Some(pid) = pids.split_whitespace().next().and_then(|pid| Pid::from_raw(pid.parse().unwrap())) {
            break pid;
        }
        std::thread::yield_now();
    };
    kill_process(reader, Signal::KILL).unwrap();
    let done = finish(child, Vec::new());
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(done.err.starts_with("error: the process that reads the database postgresql ended"), "{}", done.err);
    assert!(done.err.contains("(signal 9)"), "{}", done.err);
    assert!(traits(&dir).is_empty());
}
