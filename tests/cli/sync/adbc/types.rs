//! The JSON form of each type: `tests/golden/adbc`, and the tables of docs/warehouses.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::value::RawValue;

use super::{Drivers, Postgres, drivers, to_file, traits};
use crate::support::Dir;

/// The values, one per line in the order of the query, and the warnings.
fn forms(drivers: &Drivers, dir: &Dir) -> String {
    let done = drivers.run(dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let rows = traits(dir);
    assert_eq!(rows.len(), 1);
    let names: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&rows[0]).unwrap();
    let values: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&rows[0]).unwrap();
    let mut text = String::new();
    for name in names.keys() {
        writeln!(text, "{name}: {}", values[name].get()).unwrap();
    }
    for line in done.err.lines().filter(|line| line.starts_with("warning")) {
        writeln!(text, "{line}").unwrap();
    }
    text
}

/// Compares with the golden file, and checks that the page's chapter has each form.
fn check(name: &str, chapter: &str, text: &str) {
    let path = format!("tests/golden/adbc/types-{name}.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{path}");
    let page = std::fs::read_to_string("docs/warehouses.md").unwrap();
    let (_, page) = page.split_once(&format!("\n## {chapter}\n")).unwrap();
    let page = page.split("\n## ").next().unwrap();
    for (kind, form) in text.lines().filter_map(|line| line.split_once(": ")) {
        let is_shown = form == "null" || kind == "warning" || page.contains(&format!("`{form}`"));
        assert!(is_shown, "docs/warehouses.md, {chapter}: {kind} is `{form}`");
    }
}

fn query(name: &str) -> String {
    std::fs::read_to_string(format!("tests/fixtures/adbc/types-{name}.sql")).unwrap()
}

#[test]
fn duckdbs_types_arrive_without_loss() {
    let Some(drivers) = drivers() else { return };
    let dir = to_file(&format!("adbc = \"duckdb\"\nquery = '''{}'''", query("duckdb")));
    check("duckdb", "DuckDB", &forms(drivers, &dir));
}

#[test]
fn postgres_types_arrive_without_loss() {
    let (Some(drivers), Some(postgres)) = (drivers(), Postgres::start()) else { return };
    postgres.ask("create type mood as enum ('ok', 'no'); create type pair as (a integer, b text)");
    let dir = to_file(&postgres.source(&query("postgres")));
    check("postgres", "Postgres", &forms(drivers, &dir));
}

#[test]
fn sqlites_types_arrive_without_loss() {
    let Some(drivers) = drivers() else { return };
    let source = format!("adbc = \"sqlite\"\njson = [\"json\", \"no_json\"]\nquery = '''{}'''", query("sqlite"));
    check("sqlite", "SQLite", &forms(drivers, &to_file(&source)));
}

/// In SQLite, each value has its own type, but the driver uses the types of the first rows for all rows.
#[test]
fn a_column_of_sqlite_may_change_its_type() {
    let Some(drivers) = drivers() else { return };
    let dir = Dir::new();
    let database = rusqlite::Connection::open(dir.path().join("a?b.db")).unwrap();
    database.execute_batch("create table t (id integer primary key, a)").unwrap();
    database
        .execute_batch(
            "insert into t (id) select value from (with recursive n(value) as (select 1 union all select value + 1 from n limit 3000) select * from n);
             insert into t values (5001, 9007199254740993), (5002, 0.5), (5003, 'x'), (5004, x'00')",
        )
        .unwrap();
    super::write_config(
        &dir,
        "adbc = \"sqlite\"\noptions = { uri = \"a?b.db\" }\nquery = \"select * from t order by id desc; \"",
    );
    let done = drivers.run(&dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let rows = traits(&dir);
    // In the order of the query; nulls are not left out.
    assert_eq!(
        rows[..5],
        [r#"{"a":"AA=="}"#, r#"{"a":"x"}"#, r#"{"a":0.5}"#, r#"{"a":9007199254740993}"#, r#"{"a":null}"#]
    );
    assert_eq!(rows.len(), 3004);
    // No file `a` was created: the `?` is part of the file's name.
    assert!(!dir.path().join("a").exists() && Path::new(&dir.path().join("a?b.db")).exists());
}

/// Drivers and sluicegate put a query in parentheses, where a final semicolon or comment would be an error.
#[test]
fn a_query_may_end_with_a_semicolon_and_a_comment() {
    let Some(drivers) = drivers() else { return };
    let query = "-- of one\nselect 1 as id, '--;' as a; -- it''s one; /*\n;";
    let mut sources: Vec<String> =
        ["duckdb", "sqlite"].map(|name| format!("adbc = \"{name}\"\nquery = '''{query}'''")).into();
    let postgres = Postgres::start();
    if let Some(postgres) = &postgres {
        sources.push(postgres.source(query));
        // With a type that the server converts to JSON.
        sources.push(postgres.source(&query.replace("as a;", "as a, array[1] as b;")));
    }
    for source in sources {
        let dir = to_file(&source);
        let done = drivers.run(&dir, &["sync", "sync.toml"]);
        assert_eq!((done.code, traits(&dir).len()), (0, 1), "{source}: {}", done.err);
        assert!(traits(&dir)[0].starts_with("{\"a\":\"--;\""), "{source}");
    }
}

/// SQLite names the second of two columns called `id` `id:1`, but a query can also use such a name itself.
#[test]
fn a_column_of_sqlite_may_be_called_like_a_second_one() {
    let Some(drivers) = drivers() else { return };
    let dir = to_file("adbc = \"sqlite\"\nquery = '''select 1 as id, 2 as \"ID:1\", 3 as \"a:b\";'''");
    let done = drivers.run(&dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(traits(&dir), [r#"{"ID:1":2,"a:b":3}"#]);
}

#[test]
fn columns_of_duckdb_that_differ_in_case_arrive_as_they_are() {
    let Some(drivers) = drivers() else { return };
    let dir = to_file("adbc = \"duckdb\"\nquery = '''select 1 as id, 2 as \"ID\", 3 as Id'''");
    let done = drivers.run(&dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(traits(&dir), [r#"{"ID":2,"Id":3}"#]);
}

#[test]
fn every_row_of_many_batches_arrives_once_and_in_order() {
    let Some(drivers) = drivers() else { return };
    let query = "select i as id, 'row ' || i as name, case when i % 3 = 0 then null else i / 4 end as part, [i] as list \
                 from range(100000) r(i) order by i desc";
    let dir = to_file(&format!("adbc = \"duckdb\"\nquery = '''{query}'''"));
    let done = drivers.run(&dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let expected = (0..100_000u32).rev().map(|i| {
        let part = if i % 3 == 0 { "null".to_owned() } else { format!("{:?}", f64::from(i) / 4.0) };
        format!("{{\"name\":\"row {i}\",\"part\":{part},\"list\":[{i}]}}")
    });
    assert!(traits(&dir).into_iter().eq(expected));
}

#[test]
fn init_looks_at_a_database() {
    let Some(drivers) = drivers() else { return };
    let dir = Dir::new();
    let database = rusqlite::Connection::open(dir.path().join("app.db")).unwrap();
    database.execute_batch("create table t (plan, user_id); insert into t values ('a', 1), ('a', 2)").unwrap();
    let words = ["sync", "init", "--adbc", "sqlite", "--option", "uri=app.db", "--query", "select * from t"];
    let made = drivers.run(&dir, &words);
    assert_eq!(made.code, 0, "{}", made.err);
    let source =
        "adbc = \"sqlite\"\noptions = { \"uri\" = \"app.db\" }\nquery = \"select * from t\"\nkey = \"user_id\"\n";
    assert!(made.text().contains(source), "{}", made.text());
    dir.file("sync.toml", made.text());
    let done = drivers.run(&dir, &["sync", "sync.toml"]);
    assert_eq!((done.code, traits(&dir).len()), (0, 2), "{}", done.err);
    let wrong = drivers.run(&dir, &["sync", "init", "--adbc", "sqlite", "--option", "uri", "--query", "select 1"]);
    assert!(wrong.code == 2 && wrong.err.contains("expected KEY=VALUE"), "{}", wrong.err);
}
