//! The sinks: where events are sent, and how.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::error::{Error, Result};
use super::super::table::Table;
use super::changes::{Share, share};
use super::event::owned;
use super::statuses::statuses_of;
use super::{Secret, Statuses, Text};

/// The most bytes of a request. Several requests of this size fit into the bytes that may wait for a sink.
const MAX_BATCH_BYTES: usize = 16 << 20;

/// The most records of a request to Salesforce.
const MAX_RECORDS: u64 = 200;

/// How long a data plane may take to report the results of a request, by default.
const DEFAULT_STATUS_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The version of Salesforce's API, by default.
const DEFAULT_API_VERSION: &str = "62.0";

/// Where events go.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// The name, which identifies the sink in the state.
    pub name: String,
    /// The names of the sink in an event's `integrations`. A sink without a name gets every event.
    pub integrations: Vec<String>,
    /// The kind of the sink.
    pub kind: SinkKind,
    /// The limits and retries of its requests.
    pub pace: Pace,
}

/// The limits and retries of a sink's requests.
#[derive(Clone, Debug)]
pub struct Pace {
    /// The most requests per period.
    pub rate: Option<Rate>,
    /// The most requests at the same time.
    pub concurrency: usize,
    /// The most events in a request.
    pub batch: usize,
    /// The most bytes of a request.
    pub batch_bytes: usize,
    /// The timeout of a request.
    pub timeout: Duration,
    /// How often a request is tried again.
    pub retries: u32,
    /// The pause before the first retry; it doubles with each one.
    pub backoff: Duration,
    /// The longest pause before a retry.
    pub max_backoff: Duration,
    /// After this many failed requests in a row, the breaker opens.
    pub breaker: u32,
    /// How long the breaker stays open.
    pub cooldown: Duration,
}

/// A number of requests per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The number of requests.
    pub count: u32,
    /// The period.
    pub per: Duration,
}

/// The kind of a sink.
#[derive(Clone, Debug)]
pub enum SinkKind {
    /// Customer.io's Track API.
    Customerio(CustomerioConfig),
    /// A RudderStack data plane.
    Rudder(RudderConfig),
    /// Salesforce.
    Salesforce(SalesforceConfig),
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
    /// The URL of the API.
    pub url: Text,
    /// The type of the objects that groups become.
    pub object_type: String,
    /// Whether the user id is an email address.
    pub by_email: bool,
    /// Whether points in time become Unix seconds.
    pub convert_dates: bool,
}

/// A RudderStack data plane.
#[derive(Clone, Debug)]
pub struct RudderConfig {
    /// The URL of the data plane.
    pub url: Text,
    /// The source, or the source and destination, of the events.
    pub to: RudderTo,
    /// Headers of all requests, for example for a proxy in front of the data plane.
    pub headers: Vec<(String, Text)>,
    /// Whether requests are compressed.
    pub gzip: bool,
}

/// How a data plane identifies the source of the events.
#[derive(Clone, Debug)]
pub enum RudderTo {
    /// By the source's write key. The data plane passes the events on and reports no results.
    Source(Secret),
    /// By ids. The data plane reports the result of each row at the destination.
    Destination {
        /// The source.
        source_id: Text,
        /// The destination.
        destination_id: Text,
        /// The longest wait for the results of a request.
        status_timeout: Duration,
    },
}

/// Salesforce.
#[derive(Clone, Debug)]
pub struct SalesforceConfig {
    /// The organisation's own address.
    pub url: Text,
    /// The credentials.
    pub login: SalesforceLogin,
    /// The object for events whose `externalId` names none.
    pub object: Option<String>,
    /// The field of that object that holds the user id or the group id.
    pub external_id: Option<String>,
    /// The version of the API.
    pub api_version: String,
    /// The share of the daily API calls, in percent, after which nothing more is sent.
    pub api_limit: Option<f64>,
}

/// The credentials for Salesforce.
#[derive(Clone, Debug)]
pub enum SalesforceLogin {
    /// Client credentials: id and secret, with a colon between.
    Client(Secret),
    /// A token.
    Token(Secret),
}

/// Any JSON API.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// The URL.
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
    /// The meanings of HTTP statuses.
    pub statuses: Statuses,
}

#[derive(Clone, Copy)]
enum Word {
    Customerio,
    Rudder,
    Salesforce,
    Webhook,
    File,
}

pub(super) fn sink_of(table: &Table<'_, '_>, dir: &Path) -> Result<SinkConfig> {
    let name = table.required_text("name", "the state knows the sink by it, e.g. name = \"crm\"")?.to_owned();
    let kinds = [
        ("customerio", Word::Customerio),
        ("rudder", Word::Rudder),
        ("salesforce", Word::Salesforce),
        ("webhook", Word::Webhook),
        ("file", Word::File),
    ];
    let kind = table.word("kind", &kinds)?.ok_or_else(|| {
        table
            .error(format!("the sink {name} has no kind"))
            .help("kind is customerio, rudder, salesforce, webhook or file")
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
        Word::Rudder => {
            // The data plane evaluates `integrations` itself, for its own destinations.
            if !named {
                integrations.clear();
            }
            (SinkKind::Rudder(rudder_of(table, dir)?), (4, 1000, 4_000_000))
        }
        Word::Salesforce => {
            if !named {
                integrations.push("Salesforce".to_owned());
            }
            (SinkKind::Salesforce(salesforce_of(table, dir)?), (4, MAX_RECORDS, 4 << 20))
        }
        Word::Webhook => (SinkKind::Webhook(webhook_of(table, dir)?), (4, 1, 4 << 20)),
        Word::File => {
            let path = table.required_text("path", "it is the file that lines are appended to")?;
            (SinkKind::File(dir.join(path)), (1, 1000, 1 << 20))
        }
    };
    let pace = pace_of(table, defaults)?;
    if matches!(kind, SinkKind::Salesforce(_)) && pace.batch as u64 > MAX_RECORDS {
        return Err(table.error_at("batch", format!("Salesforce takes {MAX_RECORDS} records in a request at most")));
    }
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

/// Parses `"80/s"`, `"3000/m"` or `"100/3s"`.
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

/// Reads a reference to a secret. A secret in the config itself is an error.
fn secret(table: &Table<'_, '_>, key: &'static str, dir: &Path) -> Result<Option<Secret>> {
    let Some(text) = table.text(key)? else { return Ok(None) };
    let range = table.get(key).map_or(0..0, toml::Spanned::span);
    Secret::parse(text, dir, range).map(Some).ok_or_else(|| {
        // The error has no position, because showing the line would show the secret.
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

/// Returns an error if this is not a URL that requests can be sent to.
pub(in crate::sync) fn check_url(text: &str) -> std::result::Result<(), String> {
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

fn rudder_of(table: &Table<'_, '_>, dir: &Path) -> Result<RudderConfig> {
    let url = url(table, dir)?.ok_or_else(|| {
        table.error("a rudder sink needs a url").help("write url = \"https://NAME.dataplane.rudderstack.com\"")
    })?;
    let ids = ["source_id", "destination_id"].map(|key| text_or_secret(table, key, dir));
    let [source_id, destination_id] = ids;
    let to = match (secret(table, "auth", dir)?, source_id?, destination_id?) {
        (Some(auth), None, None) => RudderTo::Source(auth),
        (None, Some(source_id), Some(destination_id)) => RudderTo::Destination {
            source_id,
            destination_id,
            status_timeout: table.duration("status_timeout")?.unwrap_or(DEFAULT_STATUS_TIMEOUT),
        },
        (Some(_), ..) => {
            return Err(table
                .error_at("auth", "a rudder sink has auth, or source_id and destination_id, not both")
                .help("with the ids it is known what came of each row; auth, a write key, is for a data plane without them"));
        }
        (None, None, None) => {
            return Err(table.error("a rudder sink needs auth, or source_id and destination_id").help(
                "auth = \"env:WRITE_KEY\", a variable that holds a source's write key; or the ids of a source and of a destination that is connected to it",
            ));
        }
        (None, source_id, _) => {
            let missing = if source_id.is_some() { "destination_id" } else { "source_id" };
            return Err(table
                .error(format!("a rudder sink needs {missing} too"))
                .help("source_id and destination_id belong together; the pages of both in RudderStack show them"));
        }
    };
    let headers = headers(table, dir)?;
    if matches!(to, RudderTo::Source(_)) && headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
        return Err(table
            .error_at("headers", "a rudder sink with auth has an authorization header already, of the write key")
            .help("leave out authorization here, or auth"));
    }
    Ok(RudderConfig { url, to, headers, gzip: table.switch("gzip")?.unwrap_or(true) })
}

fn headers(table: &Table<'_, '_>, dir: &Path) -> Result<Vec<(String, Text)>> {
    let Some(table) = table.table("headers")? else { return Ok(Vec::new()) };
    Ok(table.free_texts()?.into_iter().map(|(name, text, range)| (name, Text::parse(&text, dir, range))).collect())
}

fn salesforce_of(table: &Table<'_, '_>, dir: &Path) -> Result<SalesforceConfig> {
    let url = url(table, dir)?.ok_or_else(|| {
        table.error("a salesforce sink needs a url").help("write url = \"https://NAME.my.salesforce.com\"")
    })?;
    let login = match (secret(table, "auth", dir)?, secret(table, "token", dir)?) {
        (Some(auth), None) => SalesforceLogin::Client(auth),
        (None, Some(token)) => SalesforceLogin::Token(token),
        (None, None) => {
            return Err(table.error("a salesforce sink needs auth or token").help(
                "auth = \"env:SF_CLIENT\", a variable that holds client_id:client_secret; or token = \"env:SF_TOKEN\"",
            ));
        }
        _ => return Err(table.error_at("token", "a salesforce sink has auth or token, not both")),
    };
    let (object, external_id) = (owned(table.text("object")?), owned(table.text("external_id")?));
    if object.is_some() != external_id.is_some() {
        return Err(table.error("object and external_id belong together").help(
            "they name the records of events that name none: object = \"Contact\", external_id = \"User_Id__c\"",
        ));
    }
    let api_limit = match share(table, "api_limit")? {
        None => None,
        Some(Share::Percent(percent)) => Some(percent),
        Some(Share::Count(_)) => {
            return Err(table.error_at("api_limit", "sink.api_limit expects a share such as \"80%\""));
        }
    };
    let api_version = table.text("api_version")?.unwrap_or(DEFAULT_API_VERSION).to_owned();
    Ok(SalesforceConfig { url, login, object, external_id, api_version, api_limit })
}

fn webhook_of(table: &Table<'_, '_>, dir: &Path) -> Result<WebhookConfig> {
    let url = url(table, dir)?.ok_or_else(|| {
        table.error("a webhook sink needs a url").help("write url = \"https://api.example.com/users\"")
    })?;
    let methods = [("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];
    Ok(WebhookConfig {
        url,
        method: table.word("method", &methods)?.unwrap_or("POST").to_owned(),
        headers: headers(table, dir)?,
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
