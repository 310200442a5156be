//! Random tables and changes, scripted faults, and `kill -9` in the middle: in the end the destination equals the source, every
//! row is accounted for, and what was acknowledged was not sent again.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};

use super::destination::{Destination, Fault};
use super::{config, numbers, sync};
use crate::support::Dir;

/// Items of a request, and requests at a time: what is in flight when the sync is killed.
const BATCH: usize = 3;
const CONCURRENCY: usize = 2;

/// A table: keys and values. The first key is always there, because a mirror refuses an empty table.
type Table = BTreeMap<u8, u8>;

#[derive(Clone, Debug)]
struct Step {
    table: Table,
    faults: Vec<Fault>,
    rejected: Vec<u8>,
    refused: Vec<u8>,
}

fn table() -> impl Strategy<Value = Table> {
    proptest::collection::btree_map(1u8..24, 0u8..3, 0..20).prop_map(|mut table| {
        table.insert(0, 0);
        table
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Status(503)),
        Just(Fault::With(429, "Retry-After", "0")),
        Just(Fault::DoneBut(500)),
        Just(Fault::Garbage),
        Just(Fault::Says("{\"errors\":[{\"batch_index\":7}]}")),
        Just(Fault::Status(401)),
        any::<bool>().prop_map(|done| Fault::Kill { done }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let keys = || proptest::collection::vec(0u8..24, 0..3);
    (table(), proptest::collection::vec(fault(), 0..5), keys(), keys())
        .prop_map(|(table, faults, rejected, refused)| Step { table, faults, rejected, refused })
}

fn write(dir: &Dir, table: &Table) {
    let rows: String = table.iter().map(|(key, value)| format!("{{\"id\":\"k{key}\",\"value\":{value}}}\n")).collect();
    dir.file("rows.jsonl", rows);
}

/// Runs the sync while the destination may kill it. What it says, if it lived.
fn run_and_maybe_die(dir: &Dir, crm: &Destination) -> (i32, Option<Value>) {
    let mut command = dir.command(&["sync", "sync.toml", "--stats", "json"]);
    let child = command.env("CIO_KEY", "site:key").spawn().unwrap();
    crm.kills(rustix::process::Pid::from_child(&child));
    let done = crate::support::finish(child, Vec::new());
    // A request that was on its way when its process died is done in the end, and must not meet the next run's.
    crm.web.quiet();
    let counts = done.err.lines().find(|line| line.starts_with("{\"run\""));
    let is_killed = done.code == 128 + libc::SIGKILL;
    assert!(is_killed || counts.is_some(), "it neither died nor said what it did: {}", done.err);
    (done.code, counts.map(|counts| serde_json::from_str(counts).unwrap()))
}

fn check(steps: &[Step]) {
    let crm = Destination::start();
    let dir = Dir::new();
    let more = format!(
        "retries = 4\nbreaker = 1000\nbatch = {BATCH}\nconcurrency = {CONCURRENCY}\n\
         [changes]\nmode = \"mirror\"\nmax_deletes = \"100%\"\nmax_tries = 1000"
    );
    dir.file("sync.toml", config(&crm, &more));
    // How many items may have been sent twice: those that the destination has done without saying so.
    let mut excused = 0;
    let mut changes = 0;
    let mut before = Table::new();
    for step in steps {
        write(&dir, &step.table);
        crm.no_faults();
        crm.fault(step.faults.iter().cloned());
        step.rejected.iter().for_each(|key| crm.reject(&format!("k{key}")));
        step.refused.iter().for_each(|key| crm.refuse(&format!("k{key}")));
        excused += step.faults.len() * BATCH;
        let (code, counts) = run_and_maybe_die(&dir, &crm);
        match counts {
            Some(counts) => {
                assert_eq!(counts["conserved"], true, "{counts}");
                assert_eq!(counts["read"], json!(step.table.len()), "{counts}");
                let [failed, pending] = numbers(&counts, ["failed", "pending"]);
                assert_eq!(code != 0, failed + pending > 0, "{code}: {counts}");
            }
            None => excused += BATCH * CONCURRENCY,
        }
        changes += differences(&before, &step.table);
        before.clone_from(&step.table);
    }
    crm.no_faults();
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["failed", "pending", "invalid"])), (0, [0, 0, 0]), "{}", done.err);
    // The destination equals the source.
    let source: BTreeMap<String, Value> =
        before.iter().map(|(key, value)| (format!("k{key}"), json!({ "value": value }))).collect();
    assert_eq!(crm.persons(), source);
    // And the state says so.
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["to_send", "unchanged"])), (0, [0, source.len() as u64]), "{}", done.err);
    assert!(crm.done().len() <= changes + excused, "{} items, {changes} changes, {excused} excused", crm.done().len());
}

/// Rows and deletes that a sync without faults sends.
fn differences(before: &Table, now: &Table) -> usize {
    now.iter().filter(|(key, value)| before.get(*key) != Some(*value)).count()
        + before.keys().filter(|key| !now.contains_key(*key)).count()
}

/// Other cases each time. SYNC_CASES asks for more of them; the message of a failure says how to have the same ones again.
#[test]
fn the_destination_equals_the_source_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    // Each case runs the program several times.
    let cases = number("SYNC_CASES").unwrap_or(12);
    let seed = number("PROPTEST_RNG_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let config = Config {
        cases: u32::try_from(cases).unwrap(),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    };
    let done = TestRunner::new(config).run(&proptest::collection::vec(step(), 1..6), |steps| {
        check(&steps);
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}\nthe same cases again: PROPTEST_RNG_SEED={seed} SYNC_CASES={cases}");
    }
}

#[test]
fn what_was_acknowledged_before_a_kill_is_not_sent_again() {
    let crm = Destination::start();
    let dir = Dir::new();
    let table: Table = (0..24).map(|key| (key, 1)).collect();
    write(&dir, &table);
    dir.file("sync.toml", config(&crm, &format!("batch = {BATCH}\nconcurrency = 1")));
    // Three requests are answered, the fourth is done and not answered. Then two are, and the third is not even done.
    for (requests, done) in [(3, true), (2, false)] {
        crm.no_faults();
        crm.kill_at(requests, done);
        let (code, counts) = run_and_maybe_die(&dir, &crm);
        assert_eq!((code, counts), (128 + libc::SIGKILL, None));
    }
    crm.no_faults();
    let (_, counts) = sync(&dir, &[]);
    // 9 were acknowledged before the first kill, 3 done without an answer and sent again with 3 others before the second.
    assert_eq!(numbers(&counts, ["unchanged", "sent"]), [15, 9]);
    assert_eq!(crm.done().len(), 24 + BATCH);
    assert_eq!(crm.persons().len(), 24);
}
