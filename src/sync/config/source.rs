//! Where rows come from.

use std::fmt;
use std::path::{Path, PathBuf};

use super::super::error::Result;
use super::super::table::Table;

/// How large a row may be, if the config does not say.
pub const DEFAULT_ROW_LIMIT: usize = 16 << 20;

/// Where rows come from.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// What is read.
    pub input: Input,
    /// The column that identifies a row.
    pub key: String,
    /// The most bytes of a row.
    pub row_limit: usize,
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The standard output of a command.
    Command(Vec<String>),
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Command(words) => write!(f, "the source command {}", words[0]),
            Input::File(path) => write!(f, "the source file {}", path.display()),
            Input::Stdin => f.write_str("standard input"),
        }
    }
}

pub(super) fn source_of(table: Table<'_, '_>, dir: &Path) -> Result<SourceConfig> {
    let command = table.texts("command")?;
    let file = table.text("file")?;
    let stdin = table.switch("stdin")?.unwrap_or(false);
    let input = match (command, file, stdin) {
        (Some(words), None, false) if words.is_empty() => {
            return Err(table
                .error_at("command", "source.command is empty")
                .help("name the program and its arguments"));
        }
        (Some(words), None, false) => Input::Command(words.into_iter().map(str::to_owned).collect()),
        (None, Some(path), false) => Input::File(dir.join(path)),
        (None, None, true) => Input::Stdin,
        (None, None, false) => {
            return Err(table
                .error("[source] does not say what to read")
                .help("write command = [\"duckdb\", …], file = \"rows.jsonl\" or stdin = true"));
        }
        _ => {
            return Err(table
                .error("[source] names more than one thing to read")
                .help("keep one of command, file and stdin"));
        }
    };
    let key = table.required_text("key", "it is the column that identifies a row, e.g. key = \"user_id\"")?.to_owned();
    let row_limit = table.size("row_limit")?.unwrap_or(DEFAULT_ROW_LIMIT);
    table.finish()?;
    Ok(SourceConfig { input, key, row_limit })
}
