//! Writes a config after reading some rows of the source.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use super::config::{AdbcConfig, Config, Input, Text};
use super::error::{Error, Result};
use super::row::Columns;
use super::source::{Source, Stopper};

/// The most rows that are read.
const MAX_ROWS: usize = 1000;

/// Returns a config for this source. `key` is its key, if it is known.
///
/// # Errors
/// When the source cannot be read, or no column can be the key.
pub fn config(input: &Input, key: Option<&str>) -> Result<String> {
    let source = match input {
        Input::Command(words) => {
            let words: Vec<String> = words.iter().map(|word| toml_text(word)).collect();
            format!("command = [{}]", words.join(", "))
        }
        Input::File(path) => format!("file = {}", toml_text(&path.display().to_string())),
        Input::Stdin => "stdin = true".to_owned(),
        Input::Adbc(adbc) => database(adbc),
    };
    let any = "[[sink]]\nname = \"out\"\nkind = \"file\"\npath = \"out.jsonl\"\n";
    let look = Config::parse(&format!("[source]\n{source}\nkey = \"x\"\n{any}"), Path::new("sync.toml"))?;
    let (columns, rows) = look_at(&look)?;
    let key = match key {
        Some(key) if columns.iter().any(|column| column.name == key) => key.to_owned(),
        Some(key) => {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            return Err(Error::new(format!("the source has no column {key}"))
                .help(format!("its columns are {}", names.join(", "))));
        }
        None => guess_key(&columns, rows)?,
    };
    let mut text = format!(
        "# Made by `sluicegate sync init` from {rows} rows of the source. Everything that can be said is in docs/sync.md.\n\
         [source]\n{source}\nkey = {}\n\n\
         [changes]\nmode = \"changed\"          # full | changed | mirror (deletes what is gone)\n\
         previous = true           # keep the row as last acknowledged\nmax_changes = \"20%\"      # stop and ask when more would change\n\n\
         [event]\ntype = \"identify\"         # identify | track | group | record\nuser_id = {}\n",
        toml_text(&key),
        toml_text(&key)
    );
    let others: Vec<&str> = columns.iter().map(|column| column.name.as_str()).filter(|name| *name != key).collect();
    let _ = writeln!(text, "# traits: {}", others.join(", "));
    let changing: Vec<String> = others.iter().filter(|name| changes_always(name)).map(|name| toml_text(name)).collect();
    if !changing.is_empty() {
        let _ = writeln!(text, "ignore = [{}]   # neither sent nor compared", changing.join(", "));
    }
    text.push_str(
        "\n# [transform]\n# code = \"transform.js\"\n\n\
         [[sink]]\nname = \"out\"\nkind = \"file\"             # customerio | rudder | salesforce | webhook | file\npath = \"out.jsonl\"\n",
    );
    Ok(text)
}

fn database(adbc: &AdbcConfig) -> String {
    let mut text = format!("adbc = {}\n", toml_text(&adbc.database));
    let options = adbc.options.iter().filter_map(|(key, value)| match value {
        Text::Plain(value) => Some(format!("{} = {}", toml_text(key), toml_text(value))),
        Text::Secret(_) => None,
    });
    let options: Vec<String> = options.collect();
    if !options.is_empty() {
        let _ = writeln!(text, "options = {{ {} }}", options.join(", "));
    }
    let _ = write!(text, "query = {}", toml_text(&adbc.query));
    text
}

struct Seen {
    name: String,
    values: HashSet<String>,
    nulls: usize,
    is_scalar: bool,
}

fn look_at(config: &Config) -> Result<(Vec<Seen>, usize)> {
    let mut source = Source::open(config, Stopper::default())?;
    let mut columns: Vec<Seen> = Vec::new();
    let mut rows = 0;
    'all: while let Some(block) = source.next_block()? {
        for line in block.bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            if rows == MAX_ROWS {
                break 'all;
            }
            let not_a_row = |why: String| {
                Error::new(format!("row {} of {}: {why}", rows + 1, config.source.input))
                    .help("a source writes one JSON object a line; with DuckDB, use -jsonlines")
            };
            let line = std::str::from_utf8(line).map_err(|_| not_a_row("it is not UTF-8".to_owned()))?;
            let Columns(found) = Columns::parse(line.trim()).map_err(not_a_row)?;
            for (name, value) in found {
                let at = columns.iter().position(|column| column.name == name).unwrap_or_else(|| {
                    let values = HashSet::new();
                    columns.push(Seen { name: name.into_owned(), values, nulls: rows, is_scalar: true });
                    columns.len() - 1
                });
                let column = &mut columns[at];
                match value.get() {
                    "null" | "\"\"" => column.nulls += 1,
                    text => {
                        column.is_scalar &=
                            !text.starts_with(['{', '[', 't', 'f']) && !text.contains('.') || text.starts_with('"');
                        column.values.insert(text.to_owned());
                    }
                }
            }
            rows += 1;
        }
    }
    if rows == 0 {
        return Err(Error::new(format!("{} has no rows", config.source.input)).help("a look at some rows is needed"));
    }
    Ok((columns, rows))
}

/// Picks a column that is unique and never null, preferably one that is named like a key.
fn guess_key(columns: &[Seen], rows: usize) -> Result<String> {
    let is_unique = |column: &&Seen| column.is_scalar && column.nulls == 0 && column.values.len() == rows;
    let score = |column: &&Seen| {
        let name = column.name.to_lowercase();
        match name.as_str() {
            "user_id" | "userid" => 0,
            "id" => 1,
            _ if name.ends_with("_id") || name.ends_with("id") => 2,
            _ if name.contains("email") => 3,
            _ => 4,
        }
    };
    columns.iter().filter(is_unique).min_by_key(score).map(|column| column.name.clone()).ok_or_else(|| {
        Error::new("no column of the source is unique and without nulls")
            .help("name the key with --key, or make the source unique: one row for each key")
    })
}

/// Returns whether a column is named like those that each build changes in every row.
fn changes_always(name: &str) -> bool {
    let name = name.to_lowercase();
    matches!(name.as_str(), "updated_at" | "loaded_at" | "synced_at" | "dbt_updated_at" | "_loaded_at" | "_synced_at")
}

fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_that_is_made_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let rows = dir.path().join("rows.jsonl");
        std::fs::write(
            &rows,
            "{\"country\":\"DE\",\"user_id\":1,\"email\":\"a@b\",\"updated_at\":1}\n\
             {\"country\":\"DE\",\"user_id\":2,\"email\":\"c@d\",\"updated_at\":1}\n",
        )
        .unwrap();
        let text = config(&Input::File(rows.clone()), None).unwrap();
        let config = Config::parse(&text, Path::new("sync.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(config.source.key, "user_id");
        assert_eq!(config.event.ignore, ["updated_at"]);
        let error = super::config(&Input::File(rows), Some("User_ID")).unwrap_err();
        assert_eq!(error.help.unwrap(), "its columns are country, user_id, email, updated_at");
    }
}
