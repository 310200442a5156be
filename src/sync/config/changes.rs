//! Which rows are sent.

use std::fmt;

use super::super::error::Result;
use super::super::table::Table;

/// How often a row that a destination rejects is tried, by default.
const DEFAULT_MAX_TRIES: u64 = 5;

/// The largest share of rows that a mirror deletes, by default.
const DEFAULT_MAX_DELETES: Share = Share::Percent(10.0);

/// Which rows are sent.
#[derive(Clone, Debug)]
pub struct Changes {
    /// All rows, changed rows, or changed rows and deletes.
    pub mode: Mode,
    /// Whether each row is stored as last acknowledged.
    pub previous: bool,
    /// The most rows that may be new or changed.
    pub max_changes: Option<Share>,
    /// The most rows that may be deleted.
    pub max_deletes: Share,
    /// How often a rejected row is tried.
    pub max_tries: u64,
}

/// Which rows are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All rows, each time.
    Full,
    /// New and changed rows.
    Changed,
    /// New and changed rows, and deletes of keys that are gone.
    Mirror,
}

/// A number of rows, or a share of the known ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// Percent of the known rows.
    Percent(f64),
    /// Rows.
    Count(u64),
}

impl Share {
    /// Returns the limit in rows, given the `known` rows. A share is rounded up: one percent of ten rows is one row.
    pub fn of(self, known: u64) -> u64 {
        match self {
            Share::Percent(percent) => (known as f64 * percent / 100.0).ceil() as u64,
            Share::Count(count) => count,
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Percent(percent) => write!(f, "{percent}%"),
            Share::Count(count) => write!(f, "{count}"),
        }
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            mode: Mode::Changed,
            previous: false,
            max_changes: None,
            max_deletes: DEFAULT_MAX_DELETES,
            max_tries: DEFAULT_MAX_TRIES,
        }
    }
}

pub(super) fn share(table: &Table<'_, '_>, key: &'static str) -> Result<Option<Share>> {
    let wrong =
        || table.error_at(key, format!("{} expects a share such as \"20%\", or a number of rows", table.path(key)));
    let Some(value) = table.get(key) else { return Ok(None) };
    let Some(text) = value.get_ref().as_str() else {
        return table.count(key, 0..=u64::MAX >> 1).map(|count| count.map(Share::Count)).map_err(|_| wrong());
    };
    let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    percent.filter(|percent| (0.0..=100.0).contains(percent)).map(Share::Percent).map(Some).ok_or_else(wrong)
}

pub(super) fn changes_of(table: Table<'_, '_>) -> Result<Changes> {
    let default = Changes::default();
    let words = [("full", Mode::Full), ("changed", Mode::Changed), ("mirror", Mode::Mirror)];
    let changes = Changes {
        mode: table.word("mode", &words)?.unwrap_or(default.mode),
        previous: table.switch("previous")?.unwrap_or(false),
        max_changes: share(&table, "max_changes")?,
        max_deletes: share(&table, "max_deletes")?.unwrap_or(default.max_deletes),
        max_tries: table.count("max_tries", 1..=1000)?.unwrap_or(default.max_tries),
    };
    table.finish()?;
    Ok(changes)
}
