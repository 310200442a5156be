//! The SQL of a state in the warehouse. DuckDB and Postgres understand all of it.

use super::super::config::Config;
use super::super::row::{HASH, KIND, is_mapped};

/// Where the tables are.
const SCHEMA: &str = "sluicegate_state";

/// Tables, and what a team reads in them.
pub(super) const TABLES: [(&str, &str); 6] = [
    // What each sink has settled. `acknowledged` is the hash of the row that it has, `kept_row` that row, if it is kept.
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
    // Rows that were on their way and have no answer.
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

/// A column of the query.
pub(super) type Column = (String, bool);

/// What makes the tables.
pub(super) fn make_tables() -> Vec<String> {
    let mut made = vec![format!("create schema if not exists {SCHEMA}")];
    made.extend(TABLES.iter().map(|(name, columns)| format!("create table if not exists {SCHEMA}.{name} ({columns})")));
    made
}

/// A table by its whole name.
pub(super) fn table(name: &str) -> String {
    format!("{SCHEMA}.{name}")
}

/// A text as SQL.
pub(super) fn literal(text: &str) -> String {
    // Postgres takes no NUL in a text; nothing here has one that came from a text of Postgres.
    format!("'{}'", text.replace('\'', "''").replace('\0', ""))
}

/// A value that may be null.
pub(super) fn value(value: Option<&str>) -> String {
    value.map_or_else(|| "null".to_owned(), literal)
}

fn name(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}

/// The hash of the mapped columns of `q`: a null and a column that is not there are the same.
fn hash(config: &Config, columns: &[Column]) -> String {
    let mut mapped: Vec<&Column> = columns.iter().filter(|(column, _)| is_mapped(&config.event, column)).collect();
    mapped.sort();
    let parts = mapped.into_iter().map(|(column, is_nested)| {
        // DuckDB's texts of lists and records don't tell `['a, b']` from `['a', 'b']`.
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

fn inner(sql: &str) -> &str {
    sql.trim_end().trim_end_matches(';')
}

/// All rows, with their hashes.
pub(super) fn all(config: &Config, sql: &str, columns: &[Column]) -> String {
    let hash = hash(config, columns);
    format!("select q.*, {hash} as \"{HASH}\", 'row' as \"{KIND}\" from ({}\n) as q", inner(sql))
}

/// One statement that compares: rows that a sink needs, keys that are gone, and the number of all rows.
pub(super) fn compare(config: &Config, sql: &str, columns: &[Column], epoch: i64) -> String {
    let sync = literal(&config.name);
    let sinks: Vec<String> = config.sinks.iter().map(|sink| literal(&sink.name)).collect();
    let of_sync = format!("sync = {sync} and sink in ({})", sinks.join(", "));
    let key = format!("cast(now.{} as text)", name(&config.source.key));
    let given =
        columns.iter().map(|(column, _)| format!("now.{0} as {0}", name(column))).collect::<Vec<_>>().join(", ");
    let nulls = "null, ".repeat(columns.len());
    let (hash, inner, count) = (hash(config, columns), inner(sql), sinks.len());
    let own_key = name(&config.source.key);
    format!(
        "with now as materialized (
  select q.*, {hash} as \"{HASH}\", count(*) over (partition by cast(q.{own_key} as text)) as \"sluicegate:copies\"
  from ({inner}\n) as q
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
        let compared = compare(&config, "select 1; ", &columns, 7);
        assert!(compared.contains("sink in ('o''k') and run >= 7 group by"), "{compared}");
        assert!(compared.contains("(select 1\n) as q"), "{compared}");
    }
}
