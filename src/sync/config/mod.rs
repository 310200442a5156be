//! The config of a sync: source, changes, event, transformation, sinks.
//!
//! Paths are relative to the folder of the config. The config never contains secrets: it names an environment variable
//! or a file, which is read when the sync starts.

mod changes;
mod event;
mod secret;
mod sink;
mod source;
mod statuses;

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::error::{Error, Result};
use super::table::Table;

pub use changes::{Changes, Mode, Share};
pub use event::{EventConfig, EventKind, ExternalId, Pairs};
pub use secret::{Secret, Text};
pub(super) use sink::check_url;
pub use sink::{
    CustomerioConfig, Pace, Rate, RudderConfig, RudderTo, SalesforceConfig, SalesforceLogin, SinkConfig, SinkKind,
    WebhookConfig,
};
pub use source::{AdbcConfig, DEFAULT_ROW_LIMIT, Input, SourceConfig};
pub use statuses::{Meaning, Statuses};

use changes::changes_of;
use event::event_of;
use sink::sink_of;
use source::source_of;

/// The most sinks: each has a bit in a row's set of sinks.
const MAX_SINKS: usize = 32;

/// The parsed config of a sync.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the sync; part of every message id.
    pub name: String,
    /// The folder of the config.
    pub dir: PathBuf,
    /// The file of the state, or of the copy if the state is in the warehouse.
    pub state: PathBuf,
    /// Whether the state is in the warehouse.
    pub in_warehouse: bool,
    /// Where rows come from.
    pub source: SourceConfig,
    /// Which rows are sent.
    pub changes: Changes,
    /// How rows become events.
    pub event: EventConfig,
    /// The transformation, if there is one.
    pub transform: Option<TransformConfig>,
    /// The sinks; at least one.
    pub sinks: Vec<SinkConfig>,
}

/// The transformation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransformConfig {
    /// The module.
    pub code: PathBuf,
    /// Folders of libraries.
    pub libraries: Vec<PathBuf>,
    /// The file with the values for `getCredential`.
    pub credentials: Option<PathBuf>,
}

impl Config {
    /// Returns a hash of everything that decides how a row becomes an event. If it has changed since the last run, the
    /// user has to decide what happens to the settled rows.
    pub fn mapping_hash(&self) -> String {
        let mapping = serde_json::json!([self.event, self.source.key]);
        format!("blake3:{}", &blake3::hash(mapping.to_string().as_bytes()).to_hex()[..32])
    }

    /// Parses a config; `path` is its file.
    ///
    /// # Errors
    /// When the config is wrong; the error says where and what to do.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let document = DeTable::parse(text).map_err(|error| {
            let message = error.message().trim_end().replace('\n', ", ");
            Error::new(format!("this is not TOML: {message}")).at(error.span().unwrap_or(0..0))
        })?;
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("sync").to_owned();
        let root = Table::new("", 0..0, document.get_ref());
        let name = root.text("name")?.unwrap_or(&stem).to_owned();
        let given = root.text("state")?;
        let in_warehouse = given == Some("warehouse");
        let state = given.filter(|_| !in_warehouse).map_or_else(|| format!("{stem}.state.db"), str::to_owned);
        let missing = |what: &str, help: &str| Error::new(format!("the config has no [{what}]")).help(help.to_owned());
        let source = root.table("source")?.ok_or_else(|| {
            missing("source", "it says where the rows come from: adbc, command, file or stdin, and key")
        })?;
        let source = source_of(source, &dir)?;
        let can_have_state =
            matches!(&source.input, Input::Adbc(adbc) if ["duckdb", "postgresql"].contains(&adbc.database.as_str()));
        if in_warehouse && !can_have_state {
            return Err(root
                .error_at("state", "state = \"warehouse\" needs a source with adbc = \"duckdb\" or \"postgresql\"")
                .help("other sources have their state in a file: leave state out, or name the file"));
        }
        let changes = root.table("changes")?.map_or_else(|| Ok(Changes::default()), changes_of)?;
        let event =
            root.table("event")?.map_or_else(|| Ok(EventConfig::default()), |table| event_of(table, &changes))?;
        let transform = root.table("transform")?.map(|table| transform_of(table, &dir)).transpose()?;
        let mut sinks: Vec<SinkConfig> = Vec::new();
        for table in root.tables("sink")? {
            let sink = sink_of(&table, &dir)?;
            if sinks.iter().any(|other| other.name == sink.name) {
                return Err(table
                    .error_at("name", format!("two sinks are called {}", sink.name))
                    .help("give each a name of its own"));
            }
            table.finish()?;
            sinks.push(sink);
        }
        root.finish()?;
        if sinks.is_empty() {
            return Err(missing(
                "[sink]",
                "it says where the events go, e.g. kind = \"file\" and path = \"out.jsonl\"",
            ));
        }
        if sinks.len() > MAX_SINKS {
            return Err(Error::new(format!("the config has {} sinks; the maximum is {MAX_SINKS}", sinks.len())));
        }
        Ok(Self { name, state: dir.join(state), in_warehouse, dir, source, changes, event, transform, sinks })
    }
}

fn transform_of(table: Table<'_, '_>, dir: &Path) -> Result<TransformConfig> {
    let code = table.required_text("code", "it is the file of the transformation, e.g. code = \"transform.js\"")?;
    let libraries = table.texts("libraries")?.unwrap_or_default();
    let transform = TransformConfig {
        code: dir.join(code),
        libraries: libraries.into_iter().map(|library| dir.join(library)).collect(),
        credentials: table.text("credentials")?.map(|path| dir.join(path)),
    };
    table.finish()?;
    Ok(transform)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SMALL: &str =
        "[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n[[sink]]\nname = \"out\"\nkind = \"file\"\npath = \"o\"\n";

    #[test]
    fn the_smallest_config_has_defaults() {
        let config = Config::parse(SMALL, Path::new("dir/users.toml")).unwrap();
        assert_eq!(config.name, "users");
        assert_eq!(config.state, Path::new("dir/users.state.db"));
        assert_eq!(config.source.input, Input::File("dir/rows.jsonl".into()));
        assert_eq!(config.changes.mode, Mode::Changed);
        assert_eq!(config.sinks[0].pace.concurrency, 1);
    }

    #[test]
    fn a_share_is_rounded_up() {
        assert_eq!(Share::Percent(1.0).of(10), 1);
        assert_eq!(Share::Percent(20.0).of(100), 20);
        assert_eq!(Share::Percent(0.0).of(100), 0);
        assert_eq!(Share::Count(7).of(1), 7);
    }

    #[test]
    fn a_status_wins_over_its_class() {
        let text = SMALL.replace("kind = \"file\"\npath = \"o\"", "kind = \"webhook\"\nurl = \"http://h/\"")
            + "statuses = { ok = [409], retry = [\"4xx\"] }\n";
        let config = Config::parse(&text, Path::new("s.toml")).unwrap();
        let SinkKind::Webhook(webhook) = &config.sinks[0].kind else { panic!("it is a webhook") };
        let meaning = |status| webhook.statuses.meaning(status);
        assert_eq!([200, 409, 422, 503].map(meaning), [Meaning::Ok, Meaning::Ok, Meaning::Retry, Meaning::Retry]);
    }

    #[test]
    fn a_rate_has_a_count_and_a_time() {
        for (text, count, seconds) in [("80/s", 80, 1), ("3000/m", 3000, 60), ("100/3s", 100, 3)] {
            let config = Config::parse(&format!("{SMALL}rate = \"{text}\"\n"), Path::new("s.toml")).unwrap();
            assert_eq!(config.sinks[0].pace.rate, Some(Rate { count, per: Duration::from_secs(seconds) }));
        }
    }
}
