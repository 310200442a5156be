//! The config of a sync: source, changes, event, transformation, sinks.
//!
//! Paths are relative to the folder of the config. Secrets are never in it: it names a variable of the environment or a
//! file, and they are read when the sync starts.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use super::error::{Error, Result, plain};
use super::table::Table;

/// How large a row may be, if the config does not say.
pub const DEFAULT_ROW_LIMIT: usize = 16 << 20;

/// How often a row that a destination rejects is tried, if the config does not say.
const DEFAULT_MAX_TRIES: u64 = 5;

/// The share of rows that a mirror deletes at most, if the config does not say.
const DEFAULT_MAX_DELETES: Share = Share::Percent(10.0);

/// The most bytes of a request: several of them have room in what may wait for a sink.
const MAX_BATCH_BYTES: usize = 16 << 20;

/// The number of sinks: each has a bit in a row's set of sinks.
const MAX_SINKS: usize = 32;

/// A sync, as its file describes it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the sync; part of every message id.
    pub name: String,
    /// The folder of the config.
    pub dir: PathBuf,
    /// The state.
    pub state: PathBuf,
    /// Where rows come from.
    pub source: SourceConfig,
    /// Which rows go out.
    pub changes: Changes,
    /// What a row becomes.
    pub event: EventConfig,
    /// The transformation, if there is one.
    pub transform: Option<TransformConfig>,
    /// Where events go; at least one.
    pub sinks: Vec<SinkConfig>,
}

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

/// Which rows go out.
#[derive(Clone, Debug)]
pub struct Changes {
    /// All of them, those that changed, or also deletes.
    pub mode: Mode,
    /// Whether the row as last acknowledged is kept.
    pub previous: bool,
    /// The most rows that may be new or changed.
    pub max_changes: Option<Share>,
    /// The most rows that may be deleted.
    pub max_deletes: Share,
    /// How often a rejected row is tried.
    pub max_tries: u64,
}

/// Which rows go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All rows, each time.
    Full,
    /// New and changed rows.
    Changed,
    /// New and changed rows, and deletes of those that are gone.
    Mirror,
}

/// A number of rows, or a share of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// Percent of the known rows.
    Percent(f64),
    /// Rows.
    Count(u64),
}

impl Share {
    /// The most rows, of `known` ones. A share is rounded up: one percent of ten rows is one row.
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

/// What a row becomes.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct EventConfig {
    /// The type of the events.
    pub kind: EventKind,
    /// The column of the user id.
    pub user_id: Option<String>,
    /// The column of the anonymous id.
    pub anonymous_id: Option<String>,
    /// The column of the group id.
    pub group_id: Option<String>,
    /// The name of a `track` event.
    pub event: Option<String>,
    /// The column of the time at which it happened.
    pub timestamp: Option<String>,
    /// The only columns that are mapped.
    pub columns: Option<Vec<String>>,
    /// Columns that are not mapped.
    pub ignore: Vec<String>,
    /// Columns under other names.
    pub rename: Vec<(String, String)>,
    /// All columns as the text of a list of pairs.
    pub pairs: Option<Pairs>,
    /// Whether nulls are left out.
    pub omit_nulls: bool,
    /// The id of the row in a destination.
    pub external_id: Option<ExternalId>,
    /// What `integrations` says before the transformation.
    pub integrations: Vec<(String, bool)>,
    /// The columns that identify a record.
    pub identifiers: Vec<String>,
}

/// The type of the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub enum EventKind {
    /// A user and their traits.
    #[default]
    Identify,
    /// Something that a user did.
    Track,
    /// A group and its traits.
    Group,
    /// A row of an object.
    Record,
}

/// All columns as the text of a list of pairs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pairs {
    /// The trait that holds the row.
    pub into: String,
    /// The trait that holds the row as last acknowledged.
    pub previous: Option<String>,
}

/// The id of the row in a destination.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExternalId {
    /// Destination and object, e.g. `Salesforce-Lead`.
    pub kind: String,
    /// The column that holds it.
    pub column: String,
    /// The name of the field in the destination.
    pub identifier: Option<String>,
}

/// The transformation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransformConfig {
    /// The module.
    pub code: PathBuf,
    /// Folders of libraries.
    pub libraries: Vec<PathBuf>,
    /// What `getCredential` answers.
    pub credentials: Option<PathBuf>,
}

/// Where events go.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// Its name, by which the state knows it.
    pub name: String,
    /// How it is called in an event's `integrations`.
    pub integrations: Vec<String>,
    /// What it is.
    pub kind: SinkKind,
    /// How it is sent to.
    pub pace: Pace,
}

/// How a sink is sent to.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Requests in a time.
    pub rate: Option<Rate>,
    /// Requests at a time.
    pub concurrency: usize,
    /// The most events in a request.
    pub batch: usize,
    /// The most bytes of a request.
    pub batch_bytes: usize,
    /// The longest time that a request takes.
    pub timeout: Duration,
    /// How often a request is tried again.
    pub retries: u32,
    /// The pause before the first retry; it doubles with each one.
    pub backoff: Duration,
    /// The longest pause before a retry.
    pub max_backoff: Duration,
    /// After how many failed requests in a row the sink rests.
    pub breaker: u32,
    /// For how long it rests.
    pub cooldown: Duration,
}

/// Requests in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// What a sink is.
#[derive(Clone, Debug)]
pub enum SinkKind {
    /// Customer.io's Track API.
    Customerio(CustomerioConfig),
    /// Any JSON API.
    Webhook(WebhookConfig),
    /// A file of JSON lines.
    File(PathBuf),
}

/// Customer.io's Track API.
#[derive(Clone, Debug)]
pub struct CustomerioConfig {
    /// Site id and key, with a colon between.
    pub auth: Secret,
    /// Where the API is.
    pub url: Text,
    /// The type of the objects that groups become.
    pub object_type: String,
    /// Whether the user id is an email address.
    pub by_email: bool,
    /// Whether points in time become Unix seconds.
    pub convert_dates: bool,
}

/// Any JSON API.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Where it is.
    pub url: Text,
    /// The method.
    pub method: String,
    /// Headers.
    pub headers: Vec<(String, Text)>,
    /// The value of `Authorization`, or a bearer token.
    pub auth: Option<Secret>,
    /// The field of the event that is the body.
    pub body: Option<String>,
    /// The field of the body that holds the batch.
    pub wrap: Option<String>,
    /// Whether the answer is a list with one object for each event.
    pub results: bool,
    /// Which statuses mean what.
    pub statuses: Statuses,
}

/// What an HTTP status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The events are accepted.
    Ok,
    /// To be tried again later.
    Retry,
    /// The destination refuses this sync; nothing else is sent to it.
    Stop,
    /// One of the events is wrong.
    Reject,
}

/// Which statuses mean what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<(Meaning, Range<u16>)>);

impl Default for Statuses {
    fn default() -> Self {
        use Meaning::{Ok, Reject, Retry, Stop};
        let one = |status: u16| status..status + 1;
        let (stop, retry) = ([401, 403].map(one), [408, 425, 429].map(one));
        let mut all: Vec<_> = stop.into_iter().map(|range| (Stop, range)).collect();
        all.extend(retry.into_iter().map(|range| (Retry, range)));
        all.extend([(Ok, 200..300), (Stop, 300..400), (Reject, 400..500), (Retry, 500..600)]);
        Self(all)
    }
}

impl Statuses {
    /// What a status means; one that nothing is known of is tried again.
    pub fn meaning(&self, status: u16) -> Meaning {
        self.0.iter().find(|(_, range)| range.contains(&status)).map_or(Meaning::Retry, |(meaning, _)| *meaning)
    }
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In a variable of the environment.
    Env(String, Range<usize>),
    /// In a file.
    File(PathBuf, Range<usize>),
}

/// A text, or where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// As it stands.
    Plain(String),
    /// Elsewhere.
    Secret(Secret),
}

impl Secret {
    fn parse(text: &str, dir: &Path, range: Range<usize>) -> Option<Self> {
        if let Some(name) = text.strip_prefix("env:") {
            return Some(Secret::Env(name.trim().to_owned(), range));
        }
        text.strip_prefix("file:").map(|path| Secret::File(dir.join(path.trim()), range))
    }

    /// Reads it, without the spaces and line ends around it. A run that sends nothing needs no secrets: what is not there
    /// is `…` then.
    ///
    /// # Errors
    /// When it is not there, or empty.
    pub fn read(&self, dry: bool) -> Result<String> {
        match self.read_now() {
            Err(_) if dry => Ok("…".to_owned()),
            other => other,
        }
    }

    fn read_now(&self) -> Result<String> {
        let (text, error) = match self {
            Secret::Env(name, range) => {
                let error = Error::new(format!("the environment variable {name} is not set"))
                    .help(format!("set it before the sync: export {name}=…"));
                (std::env::var(name).unwrap_or_default(), error.at(range.clone()))
            }
            Secret::File(path, range) => {
                let read = std::fs::read_to_string(path);
                let why = read.as_ref().err().map_or("it is empty".to_owned(), plain);
                let error = Error::new(format!("cannot read the secret {}: {why}", path.display()))
                    .help("the file holds the secret and nothing else");
                (read.unwrap_or_default(), error.at(range.clone()))
            }
        };
        match text.trim() {
            "" => Err(error),
            text => Ok(text.to_owned()),
        }
    }
}

impl Text {
    fn parse(text: &str, dir: &Path, range: Range<usize>) -> Self {
        Secret::parse(text, dir, range).map_or_else(|| Text::Plain(text.to_owned()), Text::Secret)
    }

    /// Reads it.
    ///
    /// # Errors
    /// As [`Secret::read`].
    pub fn read(&self, dry: bool) -> Result<String> {
        match self {
            Text::Plain(text) => Ok(text.clone()),
            Text::Secret(secret) => secret.read(dry),
        }
    }
}

impl Config {
    /// A hash of all that decides what an event of a row looks like. With another one, all rows are other rows.
    pub fn mapping_hash(&self) -> String {
        let mapping = serde_json::json!([self.event, self.source.key]);
        format!("blake3:{}", &blake3::hash(mapping.to_string().as_bytes()).to_hex()[..32])
    }

    /// Reads the text of a config; `path` is its file.
    ///
    /// # Errors
    /// When anything is wrong with it; the error says where and what to do.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let document = DeTable::parse(text).map_err(|error| {
            let message = error.message().trim_end().replace('\n', ", ");
            Error::new(format!("this is not TOML: {message}")).at(error.span().unwrap_or(0..0))
        })?;
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("sync").to_owned();
        let root = Table::new("", 0..0, document.get_ref());
        let name = root.text("name")?.unwrap_or(&stem).to_owned();
        let state = root.text("state")?.map_or_else(|| format!("{stem}.state.db"), str::to_owned);
        let missing = |what: &str, help: &str| Error::new(format!("the config has no [{what}]")).help(help.to_owned());
        let source = root
            .table("source")?
            .ok_or_else(|| missing("source", "it says where the rows come from: command, file or stdin, and key"))?;
        let source = source_of(source, &dir)?;
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
            return Err(Error::new(format!("the config has {} sinks; the most is {MAX_SINKS}", sinks.len())));
        }
        Ok(Self { name, state: dir.join(state), dir, source, changes, event, transform, sinks })
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

fn source_of(table: Table<'_, '_>, dir: &Path) -> Result<SourceConfig> {
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

fn share(table: &Table<'_, '_>, key: &'static str) -> Result<Option<Share>> {
    let wrong =
        || table.error_at(key, format!("{} expects a share such as \"20%\", or a number of rows", table.path(key)));
    let Some(value) = table.get(key) else { return Ok(None) };
    let Some(text) = value.get_ref().as_str() else {
        return table.count(key, 0..=u64::MAX >> 1).map(|count| count.map(Share::Count)).map_err(|_| wrong());
    };
    let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    percent.filter(|percent| (0.0..=100.0).contains(percent)).map(Share::Percent).map(Some).ok_or_else(wrong)
}

fn changes_of(table: Table<'_, '_>) -> Result<Changes> {
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

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn list(texts: Option<Vec<&str>>) -> Option<Vec<String>> {
    texts.map(|texts| texts.into_iter().map(str::to_owned).collect())
}

fn event_of(table: Table<'_, '_>, changes: &Changes) -> Result<EventConfig> {
    let kinds = [
        ("identify", EventKind::Identify),
        ("track", EventKind::Track),
        ("group", EventKind::Group),
        ("record", EventKind::Record),
    ];
    let event = EventConfig {
        kind: table.word("type", &kinds)?.unwrap_or_default(),
        user_id: owned(table.text("user_id")?),
        anonymous_id: owned(table.text("anonymous_id")?),
        group_id: owned(table.text("group_id")?),
        event: owned(table.text("event")?),
        timestamp: owned(table.text("timestamp")?),
        columns: list(table.texts("columns")?),
        ignore: list(table.texts("ignore")?).unwrap_or_default(),
        rename: match table.table("rename")? {
            Some(table) => table.free_texts()?.into_iter().map(|(column, name, _)| (column, name)).collect(),
            None => Vec::new(),
        },
        pairs: match table.table("pairs")? {
            Some(table) => {
                let into = table.required_text("into", "it is the trait that holds the pairs of the row")?.to_owned();
                let pairs = Pairs { into, previous: owned(table.text("previous")?) };
                table.finish()?;
                Some(pairs)
            }
            None => None,
        },
        omit_nulls: table.word("nulls", &[("keep", false), ("omit", true)])?.unwrap_or(false),
        external_id: match table.table("external_id")? {
            Some(table) => {
                let kind = table.required_text("type", "destination and object, e.g. \"Salesforce-Lead\"")?.to_owned();
                let column = table.required_text("column", "the column that holds the id")?.to_owned();
                let id = ExternalId { kind, column, identifier: owned(table.text("identifier")?) };
                table.finish()?;
                Some(id)
            }
            None => None,
        },
        integrations: table.table("integrations")?.map(|table| table.free_switches()).transpose()?.unwrap_or_default(),
        identifiers: list(table.texts("identifiers")?).unwrap_or_default(),
    };
    if event.pairs.as_ref().is_some_and(|pairs| pairs.previous.is_some()) && !changes.previous {
        return Err(table
            .error_at("pairs", "event.pairs asks for the previous row, which this sync does not keep")
            .help("write previous = true in [changes]"));
    }
    if event.kind == EventKind::Track && event.event.is_none() {
        return Err(table.error("a track event needs a name").help("write event = \"Order Shipped\" in [event]"));
    }
    if event.kind == EventKind::Group && event.group_id.is_none() {
        return Err(table
            .error("a group event needs the column of its group id")
            .help("write group_id = \"account_id\" in [event]"));
    }
    table.finish()?;
    Ok(event)
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

#[derive(Clone, Copy)]
enum Word {
    Customerio,
    Webhook,
    File,
}

fn sink_of(table: &Table<'_, '_>, dir: &Path) -> Result<SinkConfig> {
    let name = table.required_text("name", "the state knows the sink by it, e.g. name = \"crm\"")?.to_owned();
    let kinds = [("customerio", Word::Customerio), ("webhook", Word::Webhook), ("file", Word::File)];
    let kind = table.word("kind", &kinds)?.ok_or_else(|| {
        table.error(format!("the sink {name} has no kind")).help("kind is customerio, webhook or file")
    })?;
    let mut integrations = match table.text("integration")? {
        Some(integration) => vec![integration.to_owned()],
        None => vec![name.clone()],
    };
    let named = table.has("integration");
    let (kind, defaults) = match kind {
        Word::Customerio => {
            if !named {
                integrations.push("Customer.io".to_owned());
            }
            (SinkKind::Customerio(customerio_of(table, dir)?), (4, 1000, 500_000))
        }
        Word::Webhook => (SinkKind::Webhook(webhook_of(table, dir)?), (4, 1, 4 << 20)),
        Word::File => {
            let path = table.required_text("path", "it is the file that lines are appended to")?;
            (SinkKind::File(dir.join(path)), (1, 1000, 1 << 20))
        }
    };
    let pace = pace_of(table, defaults)?;
    Ok(SinkConfig { name, integrations, kind, pace })
}

fn pace_of(table: &Table<'_, '_>, (concurrency, batch, batch_bytes): (usize, u64, usize)) -> Result<Pace> {
    Ok(Pace {
        rate: rate(table)?,
        concurrency: table.count("concurrency", 1..=256)?.map_or(concurrency, |count| count as usize),
        batch: table.count("batch", 1..=10_000)?.unwrap_or(batch) as usize,
        batch_bytes: table.size("batch_bytes")?.unwrap_or(batch_bytes).min(MAX_BATCH_BYTES),
        timeout: table.duration("timeout")?.unwrap_or(Duration::from_secs(30)),
        retries: table.count("retries", 0..=1000)?.unwrap_or(5) as u32,
        backoff: table.duration("backoff")?.unwrap_or(Duration::from_millis(500)),
        max_backoff: table.duration("max_backoff")?.unwrap_or(Duration::from_secs(60)),
        breaker: table.count("breaker", 1..=100_000)?.unwrap_or(10) as u32,
        cooldown: table.duration("cooldown")?.unwrap_or(Duration::from_secs(30)),
    })
}

/// `"80/s"`, `"3000/m"` or `"100/3s"`.
fn rate(table: &Table<'_, '_>) -> Result<Option<Rate>> {
    let Some(text) = table.text("rate")? else { return Ok(None) };
    let parsed = text.split_once('/').and_then(|(count, per)| {
        let count = count.trim().parse::<u32>().ok().filter(|count| *count > 0)?;
        let per = per.trim();
        let per = if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_owned() } else { format!("1{per}") };
        let per = humantime::parse_duration(&per).ok().filter(|per| !per.is_zero())?;
        Some(Rate { count, per })
    });
    parsed.map(Some).ok_or_else(|| {
        table
            .error_at("rate", format!("{} is `{text}`: expected requests in a time", table.path("rate")))
            .help("write rate = \"80/s\", \"3000/m\" or \"100/3s\"")
    })
}

/// A secret is named, never written.
fn secret(table: &Table<'_, '_>, key: &'static str, dir: &Path) -> Result<Option<Secret>> {
    let Some(text) = table.text(key)? else { return Ok(None) };
    let range = table.get(key).map_or(0..0, toml::Spanned::span);
    Secret::parse(text, dir, range).map(Some).ok_or_else(|| {
        // Without its place: the line would show the secret.
        Error::new(format!("{} holds the secret itself", table.path(key)))
            .help("name where it is: \"env:NAME\" for a variable of the environment, \"file:PATH\" for a file")
    })
}

fn text_or_secret(table: &Table<'_, '_>, key: &'static str, dir: &Path) -> Result<Option<Text>> {
    let range = table.get(key).map_or(0..0, toml::Spanned::span);
    Ok(table.text(key)?.map(|text| Text::parse(text, dir, range)))
}

fn url(table: &Table<'_, '_>, dir: &Path) -> Result<Option<Text>> {
    let url = text_or_secret(table, "url", dir)?;
    if let Some(Text::Plain(text)) = &url {
        check_url(text).map_err(|why| table.error_at("url", format!("{} is `{text}`: {why}", table.path("url"))))?;
    }
    Ok(url)
}

/// Whether this is a URL that can be sent to.
pub(super) fn check_url(text: &str) -> std::result::Result<(), String> {
    match reqwest::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
        Ok(_) => Err("expected a URL that starts with http:// or https://".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn customerio_of(table: &Table<'_, '_>, dir: &Path) -> Result<CustomerioConfig> {
    let auth = secret(table, "auth", dir)?.ok_or_else(|| {
        table
            .error("a customerio sink needs auth")
            .help("auth = \"env:CIO_KEY\", a variable that holds site_id:api_key")
    })?;
    let regions = [("us", "https://track.customer.io"), ("eu", "https://track-eu.customer.io")];
    let region = table.word("region", &regions)?.unwrap_or(regions[0].1);
    Ok(CustomerioConfig {
        auth,
        url: url(table, dir)?.unwrap_or_else(|| Text::Plain(region.to_owned())),
        object_type: table.text("object_type")?.unwrap_or("1").to_owned(),
        by_email: table.word("identifier", &[("id", false), ("email", true)])?.unwrap_or(false),
        convert_dates: table.word("dates", &[("auto", true), ("keep", false)])?.unwrap_or(true),
    })
}

fn webhook_of(table: &Table<'_, '_>, dir: &Path) -> Result<WebhookConfig> {
    let url = url(table, dir)?.ok_or_else(|| {
        table.error("a webhook sink needs a url").help("write url = \"https://api.example.com/users\"")
    })?;
    let methods = [("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];
    let headers = match table.table("headers")? {
        Some(table) => {
            table.free_texts()?.into_iter().map(|(name, text, range)| (name, Text::parse(&text, dir, range))).collect()
        }
        None => Vec::new(),
    };
    Ok(WebhookConfig {
        url,
        method: table.word("method", &methods)?.unwrap_or("POST").to_owned(),
        headers,
        auth: secret(table, "auth", dir)?,
        body: owned(table.text("body")?),
        wrap: owned(table.text("wrap")?),
        results: table.word("results", &[("status", false), ("list", true)])?.unwrap_or(false),
        statuses: match table.table("statuses")? {
            Some(table) => statuses_of(table)?,
            None => Statuses::default(),
        },
    })
}

fn statuses_of(table: Table<'_, '_>) -> Result<Statuses> {
    let mut single = Vec::new();
    let mut classes = Vec::new();
    let keys = [("ok", Meaning::Ok), ("retry", Meaning::Retry), ("stop", Meaning::Stop), ("reject", Meaning::Reject)];
    for (key, meaning) in keys {
        for (text, range) in table.words_or_numbers(key)?.unwrap_or_default() {
            let class = text.strip_suffix("xx").and_then(|digit| digit.parse::<u16>().ok());
            match (text.parse::<u16>(), class) {
                (Ok(status), _) if (100..600).contains(&status) => single.push((meaning, status..status + 1)),
                (_, Some(class)) if (1..6).contains(&class) => classes.push((meaning, class * 100..(class + 1) * 100)),
                _ => {
                    let message =
                        format!("{} has `{text}`: expected a status such as 409, or \"4xx\"", table.path(key));
                    return Err(Error::new(message).at(range));
                }
            }
        }
    }
    table.finish()?;
    // One status wins over its class, and both over what is usual.
    single.extend(classes);
    single.extend(Statuses::default().0);
    Ok(Statuses(single))
}

#[cfg(test)]
mod tests {
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
