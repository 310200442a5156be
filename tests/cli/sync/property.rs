//! Random tables and changes, scripted faults, and `kill -9` in the middle: in the end the destination equals the
//! source, every row is accounted for, and no acknowledged item was sent again.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};

use super::destination::{Api, Destination, Fault};
use super::{QUICK, config, numbers, sync};
use crate::support::Dir;

/// The number of items in a request, and of concurrent requests. Their product may be in flight when the sync is
/// killed.
const BATCH: usize = 3;
const CONCURRENCY: usize = 2;

/// A table: keys and values. The first key is always there, because a mirror refuses an empty table.
pub type Table = BTreeMap<u8, u8>;

/// A source of rows.
pub struct From<'a> {
    /// The top of the config.
    pub head: &'a str,
    /// The virtual environment with the source's driver.
    pub environment: Option<&'a Path>,
    /// Writes the table.
    pub write: &'a dyn Fn(&Dir, &Table),
    /// The `[source]` table of the config, for the table that was written last.
    pub source: &'a dyn Fn(&Dir) -> String,
}

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

/// Starts a sync.
fn start(dir: &Dir, from: &From<'_>) -> std::process::Child {
    let mut command = dir.command(&["sync", "sync.toml", "--stats", "json"]);
    if let Some(environment) = from.environment {
        command.env("VIRTUAL_ENV", environment);
    }
    command.env("CIO_KEY", "site:key").spawn().unwrap()
}

/// Runs the sync while the destination may kill it. Returns the exit code, and the counts unless it was killed.
fn run_and_maybe_die(dir: &Dir, from: &From<'_>, crm: &Destination) -> (i32, Option<Value>) {
    let child = start(dir, from);
    crm.kills(rustix::process::Pid::from_child(&child));
    let done = crate::support::finish(child, Vec::new());
    // A request that was in flight when its process died may still be processed; that must end before the next run.
    crm.web.quiet();
    let counts = done.err.lines().find(|line| line.starts_with("{\"run\""));
    let is_killed = done.code == 128 + libc::SIGKILL;
    assert!(is_killed || counts.is_some(), "it neither died nor said what it did: {}", done.err);
    (done.code, counts.map(|counts| serde_json::from_str(counts).unwrap()))
}

/// Runs a sync that must succeed; returns its counts.
fn goes_through(dir: &Dir, from: &From<'_>) -> Value {
    let done = crate::support::finish(start(dir, from), Vec::new());
    let counts: Option<Value> = done.err.lines().find_map(|line| serde_json::from_str(line).ok());
    let counts = counts.unwrap_or_else(|| panic!("{}", done.err));
    assert_eq!((done.code, numbers(&counts, ["failed", "pending", "invalid"])), (0, [0, 0, 0]), "{}", done.err);
    counts
}

/// The config of a sync from a source to a destination with this API.
fn config_of(head: &str, source: &str, api: Api, crm: &Destination) -> String {
    let kind = match api {
        Api::Customerio => "kind = \"customerio\"\nauth = \"env:CIO_KEY\"",
        Api::Rudder => "kind = \"rudder\"\nauth = \"env:CIO_KEY\"\ngzip = false",
        Api::Retl => "kind = \"rudder\"\nsource_id = \"src\"\ndestination_id = \"dst\"\ngzip = false",
        Api::Salesforce => {
            "kind = \"salesforce\"\ntoken = \"env:CIO_KEY\"\nobject = \"Contact\"\nexternal_id = \"Key__c\""
        }
    };
    let url = crm.url();
    format!(
        "{head}[source]\n{source}\nkey = \"id\"\n[changes]\nmode = \"mirror\"\nmax_deletes = \"100%\"\nmax_tries = 1000\n\
         [[sink]]\nname = \"crm\"\n{kind}\nurl = \"{url}\"\n{QUICK}retries = 4\nbreaker = 1000\nbatch = {BATCH}\n\
         concurrency = {CONCURRENCY}\n"
    )
}

fn check(from: &From<'_>, api: Api, steps: &[Step]) {
    let crm = Destination::of(api);
    let dir = Dir::new();
    let write = |table: &Table| {
        (from.write)(&dir, table);
        dir.file("sync.toml", config_of(from.head, &(from.source)(&dir), api, &crm));
    };
    // The number of items that may be sent twice, because the destination processed them without an acknowledgement.
    let mut excused = 0;
    let mut changes = 0;
    let mut before = Table::new();
    for step in steps {
        write(&step.table);
        crm.no_faults();
        crm.fault(step.faults.iter().cloned());
        step.rejected.iter().for_each(|key| crm.reject(&format!("k{key}")));
        step.refused.iter().for_each(|key| crm.refuse(&format!("k{key}")));
        excused += step.faults.len() * BATCH;
        let done = crm.done().len();
        let (code, counts) = run_and_maybe_die(&dir, from, &crm);
        match counts {
            Some(counts) => {
                assert_eq!(counts["conserved"], true, "{counts}");
                assert_eq!(counts["read"], json!(step.table.len()), "{counts}");
                let [failed, pending] = numbers(&counts, ["failed", "pending"]);
                assert_eq!(code != 0, failed + pending > 0, "{code}: {counts}");
            }
            None => excused += BATCH * CONCURRENCY,
        }
        // If the run ends early, items that have arrived but whose status was not requested yet are sent again.
        if api == Api::Retl && code != 0 {
            excused += crm.done().len() - done;
        }
        changes += differences(&before, &step.table);
        before.clone_from(&step.table);
    }
    crm.no_faults();
    goes_through(&dir, from);
    // The destination equals the source.
    let source: BTreeMap<String, Value> =
        before.iter().map(|(key, value)| (format!("k{key}"), json!({ "value": value }))).collect();
    assert_eq!(crm.persons(), source);
    // According to the state, nothing is left to send.
    let counts = goes_through(&dir, from);
    assert_eq!(numbers(&counts, ["to_send", "unchanged"]), [0, source.len() as u64]);
    assert!(crm.done().len() <= changes + excused, "{} items, {changes} changes, {excused} excused", crm.done().len());
}

/// The number of rows and deletes that a sync without faults sends.
fn differences(before: &Table, now: &Table) -> usize {
    now.iter().filter(|(key, value)| before.get(*key) != Some(*value)).count()
        + before.keys().filter(|key| !now.contains_key(*key)).count()
}

/// Checks the property with random cases that differ each time. SYNC_CASES sets their number; the message of a failure
/// says how to repeat the same cases.
pub fn holds(from: &From<'_>, api: Api, cases: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    // Each case runs the program several times.
    let cases = number("SYNC_CASES").unwrap_or(cases);
    let seed = number("PROPTEST_RNG_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let config = Config {
        cases: u32::try_from(cases).unwrap(),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    };
    let done = TestRunner::new(config).run(&proptest::collection::vec(step(), 1..6), |steps| {
        check(from, api, &steps);
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}\nthe same cases again: PROPTEST_RNG_SEED={seed} SYNC_CASES={cases}");
    }
}

/// The source is a file of rows.
const FILE: From<'_> = From {
    head: "",
    environment: None,
    write: &|dir, table| write(dir, table),
    source: &|_| "file = \"rows.jsonl\"".to_owned(),
};

#[test]
fn the_destination_equals_the_source_whatever_happens() {
    holds(&FILE, Api::Customerio, 12);
}

#[test]
fn the_destination_of_a_data_plane_equals_the_source_whatever_happens() {
    holds(&FILE, Api::Retl, 12);
}

#[test]
fn what_was_acknowledged_before_a_kill_is_not_sent_again() {
    let crm = Destination::start();
    let dir = Dir::new();
    let table: Table = (0..24).map(|key| (key, 1)).collect();
    write(&dir, &table);
    dir.file("sync.toml", config(&crm, &format!("batch = {BATCH}\nconcurrency = 1")));
    // The first run: three requests are answered, the fourth is processed but not answered. The second run: two
    // requests are answered, the third is not even processed.
    for (requests, done) in [(3, true), (2, false)] {
        crm.no_faults();
        crm.kill_at(requests, done);
        let (code, counts) = run_and_maybe_die(&dir, &FILE, &crm);
        assert_eq!((code, counts), (128 + libc::SIGKILL, None));
    }
    crm.no_faults();
    let (_, counts) = sync(&dir, &[]);
    // 9 items were acknowledged before the first kill. 3 were processed without an answer, and were sent again with 3
    // others before the second kill.
    assert_eq!(numbers(&counts, ["unchanged", "sent"]), [15, 9]);
    assert_eq!(crm.done().len(), 24 + BATCH);
    assert_eq!(crm.persons().len(), 24);
}
