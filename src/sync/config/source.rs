//! Where rows come from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::error::Result;
use super::super::table::Table;
use super::secret::Text;

/// The most bytes of a row, by default.
pub const DEFAULT_ROW_LIMIT: usize = 16 << 20;

/// How long a query may take, by default. A database that stops responding must not block a sync for the whole night.
const DEFAULT_QUERY_TIMEOUT: Duration = Duration::from_secs(3600);

/// Where rows come from.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// The input.
    pub input: Input,
    /// The column that identifies a row.
    pub key: String,
    /// The most bytes of a row.
    pub row_limit: usize,
}

/// The input of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The standard output of a command.
    Command(Vec<String>),
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// A query of a database.
    Adbc(Box<AdbcConfig>),
}

/// A query of a database through its ADBC driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdbcConfig {
    /// Which database: `duckdb`, `postgresql`, …
    pub database: String,
    /// The driver, as a path or as a name that differs from the database's.
    pub driver: Option<String>,
    /// The driver's entry point, if it is not the usual one.
    pub entrypoint: Option<String>,
    /// Options of the driver, such as the location of the database.
    pub options: Vec<(String, Text)>,
    /// The query.
    pub query: String,
    /// How long the query may take, from the connection to the last row.
    pub timeout: Duration,
    /// Columns whose texts are JSON, for databases without a JSON type.
    pub json: Vec<String>,
}

impl AdbcConfig {
    /// Creates a query with defaults for all other keys.
    pub fn new(database: &str, query: &str) -> Self {
        Self {
            database: database.to_owned(),
            driver: None,
            entrypoint: None,
            options: Vec::new(),
            query: query.to_owned(),
            timeout: DEFAULT_QUERY_TIMEOUT,
            json: Vec::new(),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Command(words) => write!(f, "the source command {}", words[0]),
            Input::File(path) => write!(f, "the source file {}", path.display()),
            Input::Stdin => f.write_str("standard input"),
            Input::Adbc(adbc) => write!(f, "the database {}", adbc.database),
        }
    }
}

pub(super) fn source_of(table: Table<'_, '_>, dir: &Path) -> Result<SourceConfig> {
    let input = input_of(&table, dir)?;
    let key = table.required_text("key", "it is the column that identifies a row, e.g. key = \"user_id\"")?.to_owned();
    let row_limit = table.size("row_limit")?.unwrap_or(DEFAULT_ROW_LIMIT);
    table.finish()?;
    Ok(SourceConfig { input, key, row_limit })
}

/// Reads the input, of which there must be exactly one.
fn input_of(table: &Table<'_, '_>, dir: &Path) -> Result<Input> {
    const WAYS: &str = "keep one of adbc, command, file and stdin";
    let command = table.texts("command")?;
    let file = table.text("file")?;
    let stdin = table.switch("stdin")?.unwrap_or(false);
    let adbc = adbc_of(table, dir)?;
    let named = [command.is_some(), file.is_some(), stdin, adbc.is_some()];
    if named.into_iter().filter(|is_named| *is_named).count() > 1 {
        return Err(table.error("[source] names more than one thing to read").help(WAYS));
    }
    match (command, file, adbc) {
        (Some(words), ..) if words.is_empty() => {
            Err(table.error_at("command", "source.command is empty").help("name the program and its arguments"))
        }
        (Some(words), ..) => Ok(Input::Command(words.into_iter().map(str::to_owned).collect())),
        (_, Some(path), _) => Ok(Input::File(dir.join(path))),
        (_, _, Some(adbc)) => Ok(Input::Adbc(Box::new(adbc))),
        _ if stdin => Ok(Input::Stdin),
        _ => Err(table.error("[source] does not say what to read").help(
            "write adbc = \"duckdb\" and a query, command = [\"psql\", …], file = \"rows.jsonl\" or stdin = true",
        )),
    }
}

fn adbc_of(table: &Table<'_, '_>, dir: &Path) -> Result<Option<AdbcConfig>> {
    const KEYS: [&str; 6] = ["driver", "entrypoint", "options", "query", "query_timeout", "json"];
    let Some(database) = table.text("adbc")? else {
        let Some(key) = KEYS.into_iter().find(|key| table.has(key)) else { return Ok(None) };
        return Err(table
            .error_at(key, format!("source.{key} is for a database, and [source] names none"))
            .help("name it: adbc = \"duckdb\", \"postgresql\", \"sqlite\", \"snowflake\", …"));
    };
    if !database.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return Err(table
            .error_at("adbc", format!("source.adbc is `{database}`: expected the name of a database in small letters"))
            .help("a path belongs to driver: adbc = \"duckdb\", driver = \"lib/libduckdb.so\""));
    }
    let database = if database == "postgres" { "postgresql" } else { database };
    let query =
        table.required_text("query", "it is what the database is asked, e.g. query = \"select * from users\"")?;
    let options = match table.table("options")? {
        Some(options) => options.free_texts()?,
        None => Vec::new(),
    };
    let options = options.into_iter().map(|(key, text, range)| {
        // SQLite's own URIs also start with `file:`, as references to secrets do.
        let is_uri = database == "sqlite" && text.starts_with("file:");
        (key, if is_uri { Text::Plain(text) } else { Text::parse(&text, dir, range) })
    });
    let plain = AdbcConfig::new(database, query);
    Ok(Some(AdbcConfig {
        driver: table.text("driver")?.map(str::to_owned),
        entrypoint: table.text("entrypoint")?.map(str::to_owned),
        options: options.collect(),
        timeout: table.duration("query_timeout")?.unwrap_or(plain.timeout),
        json: table.texts("json")?.unwrap_or_default().into_iter().map(str::to_owned).collect(),
        ..plain
    }))
}
