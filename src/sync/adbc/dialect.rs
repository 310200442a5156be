//! What is specific to a database: how its types arrive without loss.

use std::collections::HashSet;

use adbc_core::error::Status;
use adbc_core::options::{OptionStatement, OptionValue};
use adbc_core::{Connection, Optionable, Statement};
use adbc_driver_manager::ManagedConnection;
use arrow_schema::{DataType, Field, Schema};

use super::Failure;
use super::query_end::{Reads, inner};
use super::watch::Watch;

/// How a database is queried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// It returns HUGEINT as a float and UUID as a text, unless it is told to keep its types.
    DuckDb,
    /// Its driver knows some types only. It returns others as bytes in Postgres' own format, and it flattens arrays.
    Postgres,
    /// Every value has a type of its own, and the driver uses the type of the first rows.
    Sqlite,
    /// Arrow's types match those of the database.
    Other,
}

/// A query that loses no information.
pub(super) struct Prepared {
    pub(super) sql: String,
    /// Whether the first letter of each value tells its type.
    pub(super) tagged: bool,
}

/// Postgres types that the driver returns unchanged. The server converts all others to JSON.
const POSTGRES_NATIVE: [&str; 20] = [
    "bool",
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "text",
    "varchar",
    "bpchar",
    "name",
    "uuid",
    "bytea",
    "json",
    "jsonb",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "interval",
];

/// The metadata key of a column's Postgres type.
const POSTGRES_TYPE: &str = "POSTGRESQL:type";

impl Dialect {
    /// Returns the dialect of a database by the name it reports.
    pub(super) fn of(vendor: &str) -> Self {
        match vendor.to_ascii_lowercase().as_str() {
            "duckdb" => Dialect::DuckDb,
            "postgresql" => Dialect::Postgres,
            "sqlite" => Dialect::Sqlite,
            _ => Dialect::Other,
        }
    }

    /// Prepares the connection and the query.
    pub(super) fn prepare(
        self,
        connection: &mut ManagedConnection,
        version: &str,
        sql: &str,
        watch: &Watch,
    ) -> Result<Prepared, Failure> {
        let plain = Prepared { sql: sql.to_owned(), tagged: false };
        let sql = inner(sql, if self == Dialect::Sqlite { Reads::Sqlite } else { Reads::Postgres });
        match self {
            Dialect::Other => Ok(plain),
            Dialect::DuckDb => {
                if !keeps_types(version) {
                    let why = "it gives some types as others; 1.3 is the first that does not";
                    return Err(Failure::Old(format!("this DuckDB, {version}, is too old: {why}")));
                }
                update(connection, "set arrow_lossless_conversion = true")?;
                Ok(plain)
            }
            Dialect::Postgres => {
                let schema = schema(connection, sql, watch)?;
                let is_told = schema.fields().iter().all(|field| field.metadata().contains_key(POSTGRES_TYPE));
                if !is_told {
                    return Err(Failure::Old(
                        "this driver of Postgres is too old: it does not say which types the columns have".to_owned(),
                    ));
                }
                // Otherwise the server would call the name ambiguous, in a query that the user has not written.
                if let Some(name) = twice(&schema, |name| name.clone()) {
                    return Err(Failure::Twice(name));
                }
                Ok(Prepared { sql: postgres(sql, &schema), tagged: false })
            }
            Dialect::Sqlite => {
                // The driver does not describe a query without running it.
                let mut statement = connection.new_statement().map_err(refused)?;
                statement.set_sql_query(format!("select * from ({sql}\n) limit 0")).map_err(refused)?;
                let schema = statement.execute().map_err(refused)?.schema();
                not_twice(connection, sql, &schema, watch)?;
                Ok(Prepared { sql: sqlite(sql, &schema), tagged: true })
            }
        }
    }
}

/// Returns whether this version of DuckDB returns all of its types with their names. A version that can't be parsed is
/// taken for a new one.
fn keeps_types(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (1, 3),
        _ => true,
    }
}

/// Maps the error of a query that returned no rows. A lost connection is not a refusal.
pub(super) fn refused(error: adbc_core::error::Error) -> Failure {
    match error.status {
        Status::IO => Failure::Rows(error.message),
        _ => Failure::Query(error.message),
    }
}

fn update(connection: &mut ManagedConnection, sql: &str) -> Result<(), Failure> {
    let mut statement = connection.new_statement().map_err(refused)?;
    statement.set_sql_query(sql).map_err(refused)?;
    statement.execute_update().map(drop).map_err(refused)
}

fn schema(connection: &mut ManagedConnection, sql: &str, watch: &Watch) -> Result<Schema, Failure> {
    let mut statement = connection.new_statement().map_err(refused)?;
    watch.cancel_with(statement.get_cancel_handle());
    statement.set_sql_query(sql).map_err(refused)?;
    statement.execute_schema().map_err(refused)
}

/// Returns the name of a column that another column has too. Names are compared by the result of `same`.
fn twice(schema: &Schema, same: impl Fn(&String) -> String) -> Option<String> {
    let mut seen = HashSet::new();
    let names = schema.fields().iter().map(|field| field.name());
    names.into_iter().find(|name| !seen.insert(same(name))).cloned()
}

/// In parentheses, SQLite renames the second `id` or `ID` to `id:1`. A query may also have chosen this name itself:
/// only the query without parentheses shows that.
fn not_twice(
    connection: &mut ManagedConnection,
    sql: &str,
    between_brackets: &Schema,
    watch: &Watch,
) -> Result<(), Failure> {
    let first = |name: &String| match name.rsplit_once(':') {
        Some((first, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => first.to_ascii_lowercase(),
        _ => name.to_ascii_lowercase(),
    };
    if twice(between_brackets, first).is_none() {
        return Ok(());
    }
    let mut statement = connection.new_statement().map_err(refused)?;
    watch.cancel_with(statement.get_cancel_handle());
    // The driver reads this many rows before it reports the columns.
    let rows = OptionStatement::Other("adbc.sqlite.query.batch_rows".to_owned());
    statement.set_option(rows, OptionValue::String("1".to_owned())).map_err(refused)?;
    statement.set_sql_query(sql).map_err(refused)?;
    let schema = statement.execute().map_err(refused)?.schema();
    twice(&schema, |name| name.to_ascii_lowercase()).map_or(Ok(()), |name| Err(Failure::Twice(name)))
}

fn name(field: &Field) -> String {
    format!("\"{}\"", field.name().replace('"', "\"\""))
}

/// Returns the query, which is an [`inner`] one, with columns
/// that the driver can't return converted to JSON by the server.
fn postgres(sql: &str, schema: &Schema) -> String {
    let is_native = |field: &Field| {
        let is_list = matches!(field.data_type(), DataType::List(_));
        let kind = field.metadata().get(POSTGRES_TYPE).map_or("", String::as_str);
        !is_list && POSTGRES_NATIVE.contains(&kind)
    };
    if schema.fields().iter().all(|field| is_native(field)) {
        return sql.to_owned();
    }
    let columns = schema.fields().iter().map(|field| match is_native(field) {
        true => name(field),
        false => format!("to_json({0}) as {0}", name(field)),
    });
    format!("select {} from ({sql}\n) as rows_of_the_query", columns.collect::<Vec<_>>().join(", "))
}

/// Returns the query with each value as a text whose first letter tells its type.
fn sqlite(sql: &str, schema: &Schema) -> String {
    let columns = schema.fields().iter().map(|field| {
        format!(
            "case typeof({0}) when 'integer' then 'i' || {0} when 'real' then 'r' || printf('%!.17g', {0}) \
             when 'text' then 't' || {0} when 'blob' then 'b' || hex({0}) else 'n' end as {0}",
            name(field)
        )
    });
    format!("select {} from ({sql}\n)", columns.collect::<Vec<_>>().join(", "))
}

/// Returns the options for a database that is a file. The file has to exist, because both databases would create an
/// empty one. It is opened read-only, unless the options say otherwise.
pub(super) fn file_options(database: &str, options: &[(String, String)]) -> Result<Vec<(String, String)>, Failure> {
    let mut options = options.to_vec();
    let keys: &[&str] = match database {
        "duckdb" => &["path", "uri"],
        "sqlite" => &["uri"],
        _ => return Ok(options),
    };
    // `:memory:`, `file:…`, `md:…`, `s3://…`.
    let is_file = |(key, value): &(String, String)| keys.contains(&key.as_str()) && !value.contains(':');
    let Some(at) = options.iter().position(is_file) else { return Ok(options) };
    let path = &options[at].1;
    if !std::path::Path::new(path).exists() {
        return Err(Failure::NoFile(path.clone()));
    }
    if database == "sqlite" {
        let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        options[at].1 = format!("file:{path}?mode=ro");
    } else if !options.iter().any(|(key, _)| key == "access_mode") {
        options.push(("access_mode".to_owned(), "READ_ONLY".to_owned()));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn only_what_the_driver_cannot_give_is_made_json() {
        let field = |name: &str, kind: &str| {
            let metadata = HashMap::from([(POSTGRES_TYPE.to_owned(), kind.to_owned())]);
            Field::new(name, DataType::Utf8, true).with_metadata(metadata)
        };
        let plain = Schema::new(vec![field("a", "int8"), field("b", "numeric")]);
        assert_eq!(postgres("select 1", &plain), "select 1");
        let other = Schema::new(vec![field("a", "int8"), field("b\"", "inet")]);
        assert_eq!(
            postgres("select 1", &other),
            "select \"a\", to_json(\"b\"\"\") as \"b\"\"\" from (select 1\n) as rows_of_the_query"
        );
    }

    #[test]
    fn an_old_duckdb_is_known_by_its_version() {
        assert!(["v1.0.0", "v1.2.2", "0.9.1"].iter().all(|version| !keeps_types(version)));
        assert!(["v1.3.0", "v2.0.1", "v1.10.0-dev", "main"].iter().all(|version| keeps_types(version)));
    }

    #[test]
    fn a_database_that_is_a_file_is_only_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a?b.db");
        std::fs::write(&path, "").unwrap();
        let of = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        let path = path.to_str().unwrap();
        let sqlite = file_options("sqlite", &of("uri", path)).unwrap();
        assert_eq!(sqlite[0].1, format!("file:{}?mode=ro", path.replace('?', "%3f")));
        let duckdb = file_options("duckdb", &of("path", path)).unwrap();
        assert_eq!(duckdb[1], ("access_mode".to_owned(), "READ_ONLY".to_owned()));
        assert_eq!(file_options("duckdb", &of("path", ":memory:")).unwrap().len(), 1);
        assert_eq!(file_options("sqlite", &of("uri", "no.db")), Err(Failure::NoFile("no.db".to_owned())));
    }
}
