//! The property of [`super::super::property`], with databases as sources and the remaining sinks.

use std::path::Path;

use super::super::destination::Api;
use super::super::property::{From, Table, holds};
use super::{Postgres, drivers};
use crate::support::Dir;

/// The rows of a table, as SQL.
pub fn values(table: &Table) -> String {
    let rows: Vec<String> = table.iter().map(|(key, value)| format!("('k{key}', {value})")).collect();
    rows.join(", ")
}

/// Checks the property with rows from a query of DuckDB.
fn from_duckdb(api: Api) {
    let Some(drivers) = drivers() else { return };
    let write = |dir: &Dir, table: &Table| {
        let query = format!("select * from (values {}) t(id, value)", values(table));
        dir.file("query.sql", query);
    };
    let source = |dir: &Dir| format!("adbc = \"duckdb\"\nquery = \"{}\"", dir.read("query.sql"));
    holds(&From { head: "", environment: Some(&drivers.venv), write: &write, source: &source }, api, 6);
}

/// Checks the property with rows of a Postgres table.
fn from_postgres(api: Api) {
    let (Some(drivers), Some(postgres)) = (drivers(), Postgres::start()) else { return };
    let write = |_: &Dir, table: &Table| {
        postgres.ask(&format!(
            "drop table if exists t; create table t as select * from (values {}) as v(id, value)",
            values(table)
        ));
    };
    let source = |_: &Dir| postgres.source("select * from t");
    let environment: &Path = &drivers.venv;
    holds(&From { head: "", environment: Some(environment), write: &write, source: &source }, api, 4);
}

#[test]
fn a_data_plane_equals_a_table_of_duckdb_whatever_happens() {
    from_duckdb(Api::Rudder);
}

#[test]
fn the_destination_of_a_data_plane_equals_a_table_of_duckdb_whatever_happens() {
    from_duckdb(Api::Retl);
}

#[test]
fn salesforce_equals_a_table_of_postgres_whatever_happens() {
    from_postgres(Api::Salesforce);
}

#[test]
fn the_destination_of_a_data_plane_equals_a_table_of_postgres_whatever_happens() {
    from_postgres(Api::Retl);
}

#[test]
fn salesforce_equals_a_table_of_sqlite_whatever_happens() {
    let Some(drivers) = drivers() else { return };
    let write = |dir: &Dir, table: &Table| {
        let database = rusqlite::Connection::open(dir.path().join("app.db")).unwrap();
        database.execute_batch("create table if not exists t (id, value); delete from t").unwrap();
        database.execute_batch(&format!("insert into t values {}", values(table))).unwrap();
    };
    let source = |_: &Dir| {
        "adbc = \"sqlite\"\noptions = { uri = \"app.db\" }\nquery = \"select id, value from t order by id\"".to_owned()
    };
    holds(&From { head: "", environment: Some(&drivers.venv), write: &write, source: &source }, Api::Salesforce, 6);
}
