//! The SQL of a state in the warehouse, for DuckDB and Postgres.

use serde_json::Value;

use super::super::config::Config;
use super::super::row::{HASH, KIND, is_mapped};
use super::super::state::copy::CopiedRow;

/// The schema of the tables.
const SCHEMA: &str = "sluicegate_state";

/// The tables and their columns, which users may query.
pub(super) const TABLES: [(&str, &str); 6] = [
    // What each sink has settled. `acknowledged` is the hash of
    // the row that it has, `kept_row` that row, if it is stored.
    (
        "settled",
        "sync text, key text, sink text, fingerprint text, status text, run bigint, acknowledged text, kept_row text",
    ),
    // Rows that are not settled, and why.
    (
        "problems",
        "sync text, key text, sink text, fingerprint text, kind text, stage text, reason text, answer text, tries bigint, \
         code text, run bigint, tried_at text",
    ),
    // Rows that were being sent and have no answer.
    ("doubts", "sync text, key text, sink text"),
    // Rows of the last run that could not be sent at all.
    ("invalid", "sync text, run bigint, line bigint, key text, kind text, reason text"),
    (
        "runs",
        "sync text, id bigint, uuid text, command text, started text, ended text, result text, code text, mapping text, \
         counts text",
    ),
    ("meta", "sync text, name text, value text"),
];

/// A column of the query: its name, and whether its values are nested.
pub(super) type Column = (String, bool);

/// Returns the statements that create the schema and the tables.
pub(super) fn make_tables() -> Vec<String> {
    let mut made = vec![format!("create schema if not exists {SCHEMA}")];
    made.extend(TABLES.iter().map(|(name, columns)| format!("create table if not exists {SCHEMA}.{name} ({columns})")));
    made
}

/// Returns the qualified name of a table.
pub(super) fn table(name: &str) -> String {
    format!("{SCHEMA}.{name}")
}

/// Quotes a text as an SQL literal.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('\0', ""))
}

/// Returns the names and types of a table's columns.
pub(super) fn columns(table_name: &str) -> Vec<(&'static str, &'static str)> {
    let columns = TABLES.iter().find(|(name, _)| *name == table_name).map_or("", |(_, columns)| columns);
    columns.split(", ").filter_map(|column| column.trim().split_once(' ')).collect()
}

/// Returns the statement that inserts rows. The rows are one JSON
/// text, which a database reads faster than many SQL values.
pub(super) fn insert(is_duckdb: bool, table_name: &str, sync: &str, rows: &[CopiedRow]) -> String {
    let columns = columns(table_name);
    let objects = rows.iter().map(|row| {
        let values = std::iter::once(Some(sync)).chain(row.iter().map(Option::as_deref));
        let pairs = columns.iter().zip(values).map(|((name, _), value)| ((*name).to_owned(), json(value)));
        Value::Object(pairs.collect())
    });
    let text = literal(&Value::Array(objects.collect()).to_string());
    let table = table(table_name);
    if is_duckdb {
        let types = columns.iter().map(|(name, kind)| ((*name).to_owned(), Value::from(*kind)));
        let types = literal(&Value::Array(vec![Value::Object(types.collect())]).to_string());
        return format!("insert into {table} select unnest(from_json({text}, {types}), recursive := true)");
    }
    format!("insert into {table} select * from json_populate_recordset(null::{table}, {text})")
}

/// Returns the statement that inserts keys into a table of keys.
pub(super) fn insert_keys(is_duckdb: bool, table: &str, keys: &[String]) -> String {
    let keys = literal(&keys.iter().map(|key| json(Some(key))).collect::<Value>().to_string());
    match is_duckdb {
        true => format!("insert into {table} select unnest(from_json({keys}, '[\"text\"]'))"),
        false => format!("insert into {table} select json_array_elements_text({keys})"),
    }
}

/// Removes NUL, which Postgres does not allow in a text. No value that came from Postgres contains it.
fn json(value: Option<&str>) -> Value {
    value.map_or(Value::Null, |value| Value::from(value.replace('\0', "")))
}

fn name(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}

/// Returns the SQL for the hash of the mapped columns of `q`. A null equals a missing column.
fn hash(config: &Config, columns: &[Column]) -> String {
    let mut mapped: Vec<&Column> = columns.iter().filter(|(column, _)| is_mapped(&config.event, column)).collect();
    mapped.sort();
    let parts = mapped.into_iter().map(|(column, is_nested)| {
        // DuckDB's text of the list `['a, b']` equals that of `['a', 'b']`; the same holds for records.
        let text = if *is_nested {
            format!("cast(to_json(q.{0}) as text)", name(column))
        } else {
            format!("cast(q.{} as text)", name(column))
        };
        format!(
            "coalesce({} || cast(length({text}) as text) || ':' || {text} || ',', '')",
            literal(&format!("{column}:"))
        )
    });
    let text = parts.collect::<Vec<_>>().join(" || ");
    format!("md5({})", if text.is_empty() { "''" } else { &text })
}

/// Returns the query for all rows, with their hashes.
pub(super) fn all(config: &Config, sql: &str, columns: &[Column]) -> String {
    let hash = hash(config, columns);
    format!("select q.*, {hash} as \"{HASH}\", 'row' as \"{KIND}\" from ({sql}\n) as q")
}

/// Returns the query that compares: rows that a sink needs, keys that are gone, and the number of all rows.
pub(super) fn compare(config: &Config, sql: &str, columns: &[Column], epoch: i64) -> String {
    let sync = literal(&config.name);
    let sinks: Vec<String> = config.sinks.iter().map(|sink| literal(&sink.name)).collect();
    let of_sync = format!("sync = {sync} and sink in ({})", sinks.join(", "));
    let key = format!("cast(now.{} as text)", name(&config.source.key));
    let given =
        columns.iter().map(|(column, _)| format!("now.{0} as {0}", name(column))).collect::<Vec<_>>().join(", ");
    let nulls = "null, ".repeat(columns.len());
    let (hash, count) = (hash(config, columns), sinks.len());
    let own_key = name(&config.source.key);
    format!(
        "with now as materialized (
  select q.*, {hash} as \"{HASH}\", count(*) over (partition by cast(q.{own_key} as text)) as \"sluicegate:copies\"
  from ({sql}\n) as q
), have as (
  select key, fingerprint, count(*) as sinks from {SCHEMA}.settled where {of_sync} and run >= {epoch} group by key, fingerprint
), unsettled as (
  select key from {SCHEMA}.problems where {of_sync} union select key from {SCHEMA}.doubts where {of_sync}
), known as (
  select key from {SCHEMA}.settled where {of_sync} union select key from {SCHEMA}.doubts where {of_sync}
)
select {given}, now.\"{HASH}\" as \"{HASH}\", 'row' as \"{KIND}\" from now
left join have on have.key = {key} and have.fingerprint = now.\"{HASH}\"
left join unsettled on unsettled.key = {key}
where have.sinks is null or have.sinks < {count} or now.\"sluicegate:copies\" > 1 or now.{own_key} is null or unsettled.key is not null
union all
select {nulls}known.key, 'gone' from known where not exists (select 1 from now where {key} = known.key)
union all
select {nulls}cast(count(*) as text), 'total' from now"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn only_mapped_columns_are_hashed_in_the_order_of_their_names() {
        let text = "[source]\nadbc = \"duckdb\"\nquery = \"select 1\"\nkey = \"id\"\n[event]\nignore = [\"seen\"]\n\
                    [[sink]]\nname = \"o'k\"\nkind = \"file\"\npath = \"o\"\n";
        let config = Config::parse(text, Path::new("s.toml")).unwrap_or_else(|error| panic!("{error}"));
        let columns = [("z\"".to_owned(), false), ("seen".to_owned(), false), ("a".to_owned(), true)];
        let hash = hash(&config, &columns);
        assert!(
            hash.starts_with("md5(coalesce('a:' || cast(length(cast(to_json(q.\"a\") as text)) as text)"),
            "{hash}"
        );
        assert!(hash.contains("'z\":'") && !hash.contains("seen"), "{hash}");
        let compared = compare(&config, "select 1", &columns, 7);
        assert!(compared.contains("sink in ('o''k') and run >= 7 group by"), "{compared}");
        assert!(compared.contains("(select 1\n) as q"), "{compared}");
    }
}
