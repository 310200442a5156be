//! `state = "warehouse"`: the acknowledged rows are recorded in tables of the same database, which compares them.

use std::process::Command;

use serde_json::Value;

use super::super::destination::{Api, Destination, Fault};
use super::super::property::{From, Table, holds};
use super::super::{QUICK, numbers};
use super::{Drivers, Postgres, drivers, said};
use crate::support::{Dir, Done, finish};

/// A database with a state: its part of a config, and a function that runs SQL.
struct Database<'a> {
    source: String,
    ask: Box<dyn Fn(&str) -> String + 'a>,
}

/// A DuckDB file in its own folder, which several machines share.
fn duckdb<'a>(drivers: &'a Drivers, shared: &'a Dir) -> Database<'a> {
    let path = shared.path().join("w.duckdb");
    let source =
        format!("adbc = \"duckdb\"\noptions = {{ path = \"{}\" }}\nquery = \"select * from t\"", path.display());
    let ask = move |sql: &str| {
        let code = "import duckdb, sys\n\
                    connection = duckdb.connect(sys.argv[1])\n\
                    for row in connection.execute(sys.argv[2]).fetchall(): print('|'.join(str(value) for value in row))";
        let mut python = Command::new(drivers.venv.join("bin/python3"));
        let output = python.args(["-c", code]).arg(&path).arg(sql).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    Database { source, ask: Box::new(ask) }
}

fn postgres(postgres: &Postgres) -> Database<'_> {
    Database { source: postgres.source("select * from t"), ask: Box::new(|sql| postgres.ask(sql)) }
}

fn config(database: &Database<'_>, crm: &Destination, more: &str) -> String {
    format!(
        "name = \"users\"\nstate = \"warehouse\"\n[source]\n{}\nkey = \"id\"\n[changes]\nmode = \"mirror\"\nprevious = true\n\
         max_deletes = \"100%\"\n{more}\n[[sink]]\nname = \"crm\"\nkind = \"customerio\"\nauth = \"env:CIO_KEY\"\n\
         url = \"{}\"\nbatch = 2\nconcurrency = 1\n{QUICK}",
        database.source,
        crm.url()
    )
}

/// A machine with a config and nothing else.
fn machine(database: &Database<'_>, crm: &Destination) -> Dir {
    let dir = Dir::new();
    dir.file("sync.toml", config(database, crm, ""));
    dir
}

fn sync(drivers: &Drivers, dir: &Dir, args: &[&str]) -> (Done, Value) {
    let done = drivers.run(dir, &[&["sync", "sync.toml", "--stats", "json"], args].concat());
    let counts = done.err.lines().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    (done, counts)
}

/// Runs a sync that must succeed; returns its counts: read, unchanged, sent, deletes.
fn counts(drivers: &Drivers, dir: &Dir, args: &[&str]) -> [u64; 4] {
    let (done, counts) = sync(drivers, dir, args);
    assert_eq!((done.code, &counts["conserved"]), (0, &Value::Bool(true)), "{}", done.err);
    numbers(&counts, ["read", "unchanged", "sent", "deletes"])
}

/// The test of several syncs in a row, the same for both databases.
fn story(drivers: &Drivers, database: &Database<'_>) {
    let ask = |sql: &str| (database.ask)(sql);
    ask("create table t (id bigint, name text, plan text)");
    ask("insert into t values (1, 'it''s', 'free'), (2, 'b', 'team'), (3, 'c', null), (4, 'd', 'team')");
    let crm = Destination::start();
    let here = machine(database, &crm);
    // A dry run creates no tables.
    let dry = counts(drivers, &here, &["--dry-run"]);
    assert_eq!((dry, crm.requests()), ([4, 0, 4, 0], 0));
    assert_eq!(ask("select count(*) from information_schema.tables where table_schema = 'sluicegate_state'"), "0");
    assert_eq!(counts(drivers, &here, &[]), [4, 0, 4, 0]);
    // Unchanged rows are not transferred: with this limit, each of them would be too long.
    here.file("sync.toml", config(database, &crm, "").replace("key = \"id\"", "key = \"id\"\nrow_limit = 1"));
    assert_eq!(counts(drivers, &here, &[]), [4, 4, 0, 0]);
    here.file("sync.toml", config(database, &crm, ""));
    // A changed row, a deleted row, new rows, a new column that is null in all rows. The destination rejects one row.
    ask("update t set plan = 'pro' where id = 2");
    ask("delete from t where id = 4");
    ask("insert into t values (5, 'e', 'free'), (6, 'f', 'free')");
    ask("alter table t add column seats bigint");
    crm.reject("6");
    let dry = sync(drivers, &here, &["--dry-run"]).1;
    assert_eq!(numbers(&dry, ["read", "unchanged", "new", "changed", "deletes"]), [5, 2, 2, 1, 1]);
    let (done, told) = sync(drivers, &here, &[]);
    assert_eq!((done.code, numbers(&told, ["read", "unchanged", "sent", "failed"])), (1, [5, 2, 3, 1]), "{}", done.err);
    // The tables show which rows were delivered, which were not, and why.
    assert_eq!(
        ask("select key, status, run, fingerprint = acknowledged from sluicegate_state.settled where sync = 'users' order by key")
            .to_lowercase()
            .replace("|true", "|t"),
        "1|sent|1|t\n2|sent|3|t\n3|sent|1|t\n5|sent|3|t"
    );
    assert_eq!(
        ask("select kept_row from sluicegate_state.settled where key = '2'"),
        r#"{"id":2,"name":"b","plan":"pro","seats":null}"#
    );
    assert_eq!(ask("select key, sink, kind, tries from sluicegate_state.problems"), "6|crm|failed|1");
    assert_eq!(
        ask("select id, result from sluicegate_state.runs order by id"),
        "1|complete\n2|complete\n3|complete, with failed rows"
    );
    assert_eq!(ask("select count(*) from sluicegate_state.meta where name = 'open'"), "0");
    // Another machine has the same state.
    let there = machine(database, &crm);
    let dry = sync(drivers, &there, &["--dry-run"]).1;
    assert_eq!(numbers(&dry, ["read", "unchanged", "new", "failed"]), [5, 4, 1, 0]);
    crm.no_faults();
    assert_eq!(counts(drivers, &there, &[]), [5, 4, 1, 0]);
    ask("update t set plan = 'team' where id = 1");
    let previous = drivers.run(&there, &["sync", "sync.toml", "--dry-run"]);
    assert!(previous.text().contains("plan: \"free\" -> \"team\""), "{}", previous.text());
    assert_eq!(counts(drivers, &there, &[]), [5, 4, 1, 0]);
    // The first machine knows the rows that the other one has sent.
    assert_eq!(counts(drivers, &here, &[]), [5, 5, 0, 0]);
    // Forgotten keys are forgotten on every machine.
    assert_eq!(drivers.run(&here, &["sync", "forget", "sync.toml", "1", "2"]).code, 0);
    assert_eq!(counts(drivers, &there, &[]), [5, 3, 2, 0]);
    assert_eq!(crm.persons().len(), 5);
    assert_eq!(crm.persons()["1"]["plan"], "team");
    // A resync sends all rows again.
    assert_eq!(counts(drivers, &there, &["--resync"]), [5, 0, 5, 0]);
    assert_eq!(counts(drivers, &here, &[]), [5, 5, 0, 0]);
    a_run_that_has_not_ended(drivers, database, &crm, &here);
}

/// If a run has not ended, only the machine that started it knows which rows are in flight.
fn a_run_that_has_not_ended(drivers: &Drivers, database: &Database<'_>, crm: &Destination, here: &Dir) {
    (database.ask)("update t set plan = 'max'");
    crm.kill_at(1, true);
    let child = drivers.command(here, &["sync", "sync.toml"]).spawn().unwrap();
    crm.kills(rustix::process::Pid::from_child(&child));
    assert_eq!(finish(child, Vec::new()).code, 128 + 9);
    crm.web.quiet();
    crm.no_faults();
    let there = machine(database, crm);
    let (done, _) = sync(drivers, &there, &[]);
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(done.err.starts_with("error: the last run of this sync has not ended ("), "{}", done.err);
    let done_before = crm.done().len();
    // Two rows were acknowledged, two had no answer, and one was not sent: three rows are sent.
    assert_eq!(counts(drivers, here, &[]), [5, 2, 3, 0]);
    assert_eq!(crm.done().len(), done_before + 3);
    assert_eq!(counts(drivers, &there, &[]), [5, 5, 0, 0]);
    // The machine that was killed never returns.
    (database.ask)("update t set plan = 'min'");
    crm.kill_at(1, true);
    let child = drivers.command(here, &["sync", "sync.toml"]).spawn().unwrap();
    crm.kills(rustix::process::Pid::from_child(&child));
    assert_eq!(finish(child, Vec::new()).code, 128 + 9);
    crm.web.quiet();
    crm.no_faults();
    assert_eq!(sync(drivers, &there, &[]).0.code, 2);
    assert_eq!(counts(drivers, &there, &["--resync"]), [5, 0, 5, 0]);
    assert!(crm.persons().values().all(|person| person["plan"] == "min"));
    assert_eq!(counts(drivers, &there, &[]), [5, 5, 0, 0]);
    // In-flight rows change back: they equal the acknowledged rows in the database, but the destination has other
    // values.
    (database.ask)("update t set plan = 'odd'");
    crm.kill_at(1, true);
    let child = drivers.command(&there, &["sync", "sync.toml"]).spawn().unwrap();
    crm.kills(rustix::process::Pid::from_child(&child));
    assert_eq!(finish(child, Vec::new()).code, 128 + 9);
    crm.web.quiet();
    crm.no_faults();
    assert!(crm.persons().values().filter(|person| person["plan"] == "odd").count() == 4);
    (database.ask)("update t set plan = 'min'");
    assert_eq!(counts(drivers, &there, &[]), [5, 1, 4, 0]);
    assert!(crm.persons().values().all(|person| person["plan"] == "min"));
}

/// Runs a check in an empty DuckDB database, if the drivers are available.
fn in_duckdb(check: fn(&Drivers, &Database<'_>)) {
    let Some(drivers) = drivers() else { return };
    check(drivers, &duckdb(drivers, &Dir::new()));
}

/// Runs a check in an empty Postgres database, if Postgres is available.
fn in_postgres(check: fn(&Drivers, &Database<'_>)) {
    let (Some(drivers), Some(server)) = (drivers(), Postgres::start()) else { return };
    check(drivers, &postgres(&server));
}

#[test]
fn a_state_in_duckdb_is_shared_and_can_be_asked() {
    in_duckdb(story);
}

#[test]
fn a_state_in_postgres_is_shared_and_can_be_asked() {
    in_postgres(story);
}

/// The tables show which rows a data plane has delivered to its destination.
fn delivered_or_not(drivers: &Drivers, database: &Database<'_>) {
    (database.ask)("create table t (id bigint, plan text)");
    (database.ask)("insert into t values (1, 'free'), (2, 'team'), (3, 'free'), (4, 'free')");
    let plane = Destination::of(Api::Retl);
    plane.reject("2");
    let dir = machine(database, &plane);
    let kind = "kind = \"rudder\"\nsource_id = \"src\"\ndestination_id = \"dst\"\ngzip = false";
    let config = dir.read("sync.toml").replace("kind = \"customerio\"\nauth = \"env:CIO_KEY\"", kind);
    dir.file("sync.toml", &config);
    let (done, told) = sync(drivers, &dir, &[]);
    assert_eq!((done.code, numbers(&told, ["sent", "failed"])), (1, [3, 1]), "{}", done.err);
    let settled = "select key, status from sluicegate_state.settled order by key";
    assert_eq!((database.ask)(settled), "1|sent\n3|sent\n4|sent");
    let problems = "select key, kind, stage, reason from sluicegate_state.problems order by key";
    assert_eq!(
        (database.ask)(problems),
        "2|failed|destination|RudderStack could not deliver it: the destination answered 422"
    );
    // The data plane has all rows, but does not report their status in time.
    plane.no_faults();
    plane.plane(|plane| plane.is_stuck = true);
    (database.ask)("update t set plan = 'pro' where id > 2");
    dir.file("sync.toml", format!("{config}status_timeout = \"1ms\"\n"));
    let (done, told) = sync(drivers, &dir, &[]);
    assert_eq!((done.code, numbers(&told, ["sent", "failed", "pending"])), (1, [0, 0, 3]), "{}", done.err);
    assert_eq!((database.ask)(settled), "1|sent\n3|sent\n4|sent");
    // Rows that were sent before the wait for the first one ended are pending. The others were not sent.
    let said = (database.ask)(problems);
    assert!(said.contains("|pending|destination|the data plane has it, and did not say within 1ms"), "{said}");
    // Another machine continues with this state.
    plane.no_faults();
    let there = Dir::new();
    there.file("sync.toml", &config);
    assert_eq!(counts(drivers, &there, &[]), [4, 1, 3, 0]);
    assert_eq!(((database.ask)(problems), plane.persons().len()), (String::new(), 4));
}

#[test]
fn what_a_data_plane_delivered_can_be_asked_in_duckdb() {
    in_duckdb(delivered_or_not);
}

#[test]
fn what_a_data_plane_delivered_can_be_asked_in_postgres() {
    in_postgres(delivered_or_not);
}

#[test]
fn one_machine_at_a_time_runs_a_sync() {
    let (Some(drivers), Some(server)) = (drivers(), Postgres::start()) else { return };
    let database = postgres(&server);
    (database.ask)("create table t as select 1 as id");
    let crm = Destination::start();
    crm.fault([Fault::With(503, "Retry-After", "60")]);
    let (here, there) = (machine(&database, &crm), machine(&database, &crm));
    let child = drivers.command(&here, &["sync", "sync.toml"]).spawn().unwrap();
    crm.web.wait(1);
    let (done, _) = sync(drivers, &there, &[]);
    assert!(done.code == 2 && done.err.contains("has not ended"), "{}", done.err);
    // The second run starts anyway with `--resync`. The state that the first run writes at its end would be wrong, so
    // the write is refused.
    crm.no_faults();
    assert_eq!(counts(drivers, &there, &["--resync"]), [1, 0, 1, 0]);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    let done = finish(child, Vec::new());
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(done.err.contains("another run of this sync has written its state meanwhile"), "{}", done.err);
    assert_eq!(counts(drivers, &here, &[]), [1, 1, 0, 0]);
}

/// The text of a timestamp differs between SQL and JSON: its row is transferred in each sync, and must not count as
/// deleted.
#[test]
fn a_key_with_another_text_in_sql_is_not_gone() {
    let Some(drivers) = drivers() else { return };
    let shared = Dir::new();
    let database = duckdb(drivers, &shared);
    (database.ask)(
        "create table t as select timestamp '2026-01-02 03:04:05' + i * interval 1 day as id, ['a, b'] as l from range(3) r(i)",
    );
    let crm = Destination::start();
    let dir = machine(&database, &crm);
    assert_eq!(counts(drivers, &dir, &[]), [3, 0, 3, 0]);
    assert_eq!(counts(drivers, &dir, &[]), [3, 3, 0, 0]);
    // `['a, b']` and `['a', 'b']` have the same text but are different lists.
    (database.ask)("update t set l = ['a', 'b'] where day(id) = 3");
    (database.ask)("delete from t where day(id) = 4");
    assert_eq!(counts(drivers, &dir, &[]), [2, 1, 2, 1]);
}

/// DuckDB ignores the case of names, and itself renames the second of two columns of one name.
#[test]
fn columns_that_duckdb_can_not_tell_apart_are_named() {
    let Some(drivers) = drivers() else { return };
    let shared = Dir::new();
    let database = duckdb(drivers, &shared);
    (database.ask)("create table t as select 1 as id");
    let crm = Destination::start();
    let dir = machine(&database, &crm);
    assert_eq!(counts(drivers, &dir, &[]), [1, 0, 1, 0]);
    let config = dir.read("sync.toml");
    for (query, said) in [
        (
            "select 1 as id, 2 as id",
            "error: the query has two columns called id\nhelp: give one of them another name: … as id_2\n",
        ),
        (
            "with a as (select 1 as id) select a.*, 2 as x, 3 as ID from a; -- both",
            "error: the query has the columns id and ID, which DuckDB can't tell apart where it compares rows (state = \"warehouse\")\n\
             help: give one of them another name: … as ID_2\n",
        ),
    ] {
        dir.file("sync.toml", config.replace("select * from t", query));
        for args in [&["sync", "sync.toml"][..], &["sync", "sync.toml", "--dry-run"]] {
            let done = drivers.run(&dir, args);
            assert_eq!((done.code, done.err.as_str()), (2, said));
        }
    }
    // `id_1` looks like a name from DuckDB but is the user's. The case of non-ASCII letters matters.
    let fine = "select 1 as id, 2 as id_1, 3 as é, 4 as É";
    dir.file("sync.toml", config.replace("select * from t", fine));
    assert_eq!(counts(drivers, &dir, &[]), [1, 0, 1, 0]);
    assert_eq!(crm.persons()["1"], serde_json::json!({ "id_1": 2, "é": 3, "É": 4 }));
}

#[test]
fn a_state_changes_its_place_only_on_purpose() {
    let Some(drivers) = drivers() else { return };
    let shared = Dir::new();
    let database = duckdb(drivers, &shared);
    (database.ask)("create table t as select 1 as id");
    let crm = Destination::start();
    let dir = machine(&database, &crm);
    let in_warehouse = dir.read("sync.toml");
    dir.file("sync.toml", in_warehouse.replace("state = \"warehouse\"\n", ""));
    assert_eq!(counts(drivers, &dir, &[]), [1, 0, 1, 0]);
    dir.file("sync.toml", in_warehouse);
    let (done, _) = sync(drivers, &dir, &[]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("is a file, and the config wants it in the warehouse\nhelp: "), "{}", done.err);
    std::fs::remove_file(dir.path().join("sync.state.db")).unwrap();
    let done = drivers.run(&dir, &["sync", "baseline", "sync.toml"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(counts(drivers, &dir, &[]), [1, 1, 0, 0]);
}

#[test]
fn a_destination_equals_a_table_whatever_happens_to_a_state_in_duckdb() {
    let Some(drivers) = drivers() else { return };
    let write = |dir: &Dir, table: &Table| {
        let path = dir.path().join("w.duckdb");
        if !path.exists() {
            let mut python = Command::new(drivers.venv.join("bin/python3"));
            let made = python.args(["-c", "import duckdb, sys; duckdb.connect(sys.argv[1])"]).arg(&path).status();
            assert!(made.unwrap().success());
        }
        dir.file("query.sql", format!("select * from (values {}) t(id, value)", super::property::values(table)));
    };
    let source = |dir: &Dir| {
        format!("adbc = \"duckdb\"\noptions = {{ path = \"w.duckdb\" }}\nquery = \"{}\"", dir.read("query.sql"))
    };
    let from =
        From { head: "state = \"warehouse\"\n", environment: Some(&drivers.venv), write: &write, source: &source };
    holds(&from, Api::Customerio, 3);
    holds(&from, Api::Retl, 2);
}

#[test]
fn a_destination_equals_a_table_whatever_happens_to_a_state_in_postgres() {
    let (Some(drivers), Some(server)) = (drivers(), Postgres::start()) else { return };
    let write = |_: &Dir, table: &Table| {
        server.ask(&format!(
            "drop table if exists t; create table t as select * from (values {}) as v(id, value)",
            super::property::values(table)
        ));
    };
    // Each case starts without the schema of the previous one.
    let source = |dir: &Dir| {
        if !dir.path().join("sync.state.db").exists() {
            server.ask("drop schema if exists sluicegate_state cascade");
        }
        server.source("select * from t")
    };
    let from =
        From { head: "state = \"warehouse\"\n", environment: Some(&drivers.venv), write: &write, source: &source };
    holds(&from, Api::Customerio, 3);
    holds(&from, Api::Retl, 2);
}
