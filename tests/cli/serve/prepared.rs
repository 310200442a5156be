//! Workers that are forked from a prepared process behave like other workers. If that process is killed or stopped, all
//! events are still answered.

use std::collections::HashSet;
use std::time::Instant;

use serde_json::{Value, json};

use super::client::{PATIENCE, Server, events};
use crate::support::children;

const SAME: &str = "export const transformEvent = (event) => event;";

/// Sends a request for `version` as the given tenant. A new tenant needs a new worker.
fn ask(server: &Server, version: &str, tenant: usize) -> Vec<Value> {
    let mut asked = events(version, 1);
    asked[0]["metadata"]["workspaceId"] = json!(format!("w{tenant}"));
    server.rows(&asked)
}

fn forked(server: &Server) -> f64 {
    server.metric("sluicegate_starts_forked_total")
}

/// Sends requests for `same` as new tenants until a worker was forked; returns the number of the next tenant.
fn until_one_is_forked(server: &Server, first: usize) -> usize {
    let before = forked(server);
    let deadline = Instant::now() + PATIENCE;
    for tenant in first.. {
        assert_eq!(ask(server, "same", tenant)[0]["output"]["n"], 0);
        if forked(server) > before {
            return tenant + 1;
        }
        assert!(Instant::now() < deadline, "no worker is forked");
    }
    unreachable!()
}

/// The children of a server whose process name is `name`.
fn named(server: &Server, name: &str) -> Vec<i32> {
    let is_named =
        |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|found| found.trim() == name);
    children(server.pid() as u32).into_iter().filter(is_named).collect()
}

fn signal(pids: &[i32], signal: i32) {
    for pid in pids {
        // SAFETY: sends a signal to a child of this test's server, or to the number of a child that has just ended.
        unsafe { libc::kill(*pid, signal) };
    }
}

#[test]
fn no_two_workers_have_the_same_chance() {
    let code = "const first = Math.random();
        export const transformEvent = () => ({ all: [first, Math.random(), crypto.randomUUID(), crypto.getRandomValues(new Uint32Array(2)).join()] });";
    let server = Server::with(&[("same.js", SAME), ("chance.js", code)], &["--max-processes", "24"]);
    let next = until_one_is_forked(&server, 0);
    let before = forked(&server);
    let mut seen = HashSet::new();
    for tenant in next..next + 8 {
        for value in ask(&server, "chance", tenant)[0]["output"]["all"].as_array().unwrap() {
            assert!(value.is_string() || (0.0..1.0).contains(&value.as_f64().unwrap()), "{value}");
            assert!(seen.insert(value.to_string()), "{value} came twice");
        }
    }
    assert_eq!((forked(&server) - before, seen.len()), (8.0, 32));
}

#[test]
fn limits_hold_in_a_forked_worker() {
    let files = [
        ("same.js", SAME),
        ("loop.js", "export function transformEvent() { for (;;); }"),
        (
            "memory.js",
            "export function transformEvent() { const all = []; for (;;) all.push(new Array(1000).fill(1)); }",
        ),
        ("bad.js", "export function transformEvent( { }"),
        ("poison.js", "export function transformEvent() { Array.prototype.map = 1; }"),
        ("legacy.js", "export function transformEvent(e) { /(a)/.test('a'); e.last = RegExp.$1; return e; }"),
    ];
    let server = Server::with(&files, &["--cpu-limit", "200ms"]);
    let next = until_one_is_forked(&server, 0);
    let before = forked(&server);
    for (version, says) in [
        ("loop", "took more than 200ms of CPU time"),
        ("memory", "MiB of heap"),
        ("bad", "SyntaxError"),
        ("poison", "map"),
    ] {
        let row = &ask(&server, version, next)[0];
        assert!(row["error"].as_str().unwrap_or_default().contains(says), "{version}: {row}");
    }
    // Code that mentions state of the whole isolate needs another kind of isolate.
    assert_eq!(ask(&server, "legacy", next)[0]["output"]["last"], "a");
    assert_eq!(forked(&server) - before, 5.0);
}

#[test]
fn built_ins_are_open_while_code_loads_and_closed_behind_it() {
    let files = [
        ("same.js", SAME),
        // This code only declares, so the built-ins are closed before it runs.
        (
            "declares.js",
            "const seen = new Set(['a']); export const transformEvent = (e) => ({ has: seen.has('a'), map: Array.prototype.map = 1 });",
        ),
        (
            "extends.js",
            "Array.prototype.last = function () { return this.at(-1) };\nexport const transformEvent = (e) => ({ last: [1, 2].last() });",
        ),
        ("both.js", "Array.prototype.last = 1;\nexport const transformEvent = (e) => { Array.prototype.map = 1; };"),
        (
            "hides.js",
            "const f = () => () => {}\n[Array.prototype.last = 3]\nexport const transformEvent = (e) => ({ last: [].last });",
        ),
        (
            "overrides.js",
            "export function transformEvent(e) { const date = new Date(0); date.toJSON = () => 'own'; return { date }; }",
        ),
    ];
    let server = Server::with(&files, &[]);
    let next = until_one_is_forked(&server, 0);
    let before = forked(&server);
    for version in ["declares", "both"] {
        let row = &ask(&server, version, next)[0];
        assert!(row["error"].as_str().unwrap_or_default().contains("map"), "{version}: {row}");
    }
    assert_eq!(ask(&server, "extends", next)[0]["output"]["last"], 2);
    assert_eq!(ask(&server, "hides", next)[0]["output"]["last"], 3);
    assert_eq!(ask(&server, "overrides", next)[0]["output"]["date"], "own");
    assert_eq!(forked(&server) - before, 5.0);
}

#[test]
fn what_a_tenant_brings_along_reaches_a_forked_worker() {
    let code = "export const transformEvent = (e, metadata) => ({ secret: getCredential('key'), from: metadata(e).sourceId });";
    let server = Server::with(&[("same.js", SAME), ("all.js", code)], &[]);
    let next = until_one_is_forked(&server, 0);
    let before = forked(&server);
    for tenant in [next, next + 1] {
        let mut asked = events("all", 1);
        asked[0]["metadata"]["sourceId"] = json!("s");
        asked[0]["credentials"] = json!([{ "key": "key", "value": format!("secret of {tenant}") }]);
        let rows = server.rows(&asked);
        assert_eq!(rows[0]["output"], json!({ "secret": format!("secret of {tenant}"), "from": "s" }));
    }
    assert_eq!(forked(&server) - before, 2.0);
}

#[test]
fn a_prepared_process_that_is_killed_costs_no_event_and_is_replaced() {
    let server = Server::with(&[("same.js", SAME)], &["--max-processes", "24"]);
    let next = until_one_is_forked(&server, 0);
    let gone = named(&server, "prepared");
    assert_eq!(gone.len(), 1);
    signal(&gone, libc::SIGKILL);
    // The workers that it forked are not its children, so they still run.
    assert_eq!(ask(&server, "same", next - 1).len(), 1);
    until_one_is_forked(&server, next);
    let now = named(&server, "prepared");
    assert!(now.len() == 1 && now != gone, "{now:?}");
}

#[test]
fn a_prepared_process_that_is_stopped_costs_no_event_and_is_replaced() {
    let server = Server::with(&[("same.js", SAME)], &["--max-processes", "24"]);
    let next = until_one_is_forked(&server, 0);
    let stopped = named(&server, "prepared");
    signal(&stopped, libc::SIGSTOP);
    until_one_is_forked(&server, next);
    assert!(named(&server, "prepared") != stopped);
}

#[test]
fn a_forked_worker_that_is_killed_is_replaced_by_one_that_is_started() {
    let server = Server::with(&[("same.js", SAME)], &[]);
    let next = until_one_is_forked(&server, 0);
    let forked_before = forked(&server);
    let workers = named(&server, "worker");
    assert!(!workers.is_empty());
    signal(&workers, libc::SIGKILL);
    assert_eq!(ask(&server, "same", next - 1)[0]["output"]["n"], 0);
    let died = "sluicegate_worker_restarts_total{reason=\"died\"}";
    let deadline = Instant::now() + PATIENCE;
    while server.metric(died) < workers.len() as f64 {
        assert!(Instant::now() < deadline, "{} of {} died", server.metric(died), workers.len());
    }
    assert_eq!(forked(&server), forked_before);
}

#[test]
fn nothing_is_left_of_a_server_that_is_killed() {
    let server = Server::with(&[("same.js", SAME)], &[]);
    until_one_is_forked(&server, 0);
    let all = [named(&server, "worker"), named(&server, "prepared")].concat();
    assert!(all.len() > 1);
    server.signal(libc::SIGKILL);
    let deadline = Instant::now() + PATIENCE;
    // A process that has ended stays listed, as a zombie, until its parent waits for it.
    let lives = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    };
    while all.iter().any(lives) {
        assert!(Instant::now() < deadline, "processes are left: {all:?}");
    }
}
