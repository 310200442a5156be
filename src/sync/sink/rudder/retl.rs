//! Results of events that a data plane has accepted: `/internal/v1/retl`, and `/internal/v2/job-status`.
//!
//! The data plane counts events by the ids of a run and a task. Each request is a task of its own, so that results are
//! known early and for few rows at a time. A task is complete when as many of its events are delivered or failed as
//! were received. Failed events are named by their `recordId`. An event that the data plane itself drops counts as
//! failed and is not named.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::super::error::Result;
use super::super::super::event::Output;
use super::super::super::row::{Columns, text};
use super::super::http::{self, Answer, Endpoint, Request};
use super::super::{ItemAnswer, Reply, cut};

/// The path that events are sent to.
pub const PATH: &str = "/internal/v1/retl";

/// The most tasks in one status request: their ids are in its URL.
pub const MAX_TASKS: usize = 50;

/// A run, as the data plane identifies it.
pub struct Retl {
    source_id: String,
    destination_id: String,
    run: String,
    status: Url,
    /// The longest wait for the results of a request.
    pub status_timeout: Duration,
}

/// The progress of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whether all its events are delivered or failed.
    pub is_complete: bool,
    /// How many events the data plane has dropped itself, which it does not name.
    pub dropped: u64,
    /// How many events the destination has refused, which the data plane names.
    pub failed: u64,
}

/// Which records of a task have failed.
#[derive(Debug, PartialEq, Eq)]
pub enum Failed {
    /// These records, each with the last status of the destination, or 0 if there was none.
    Records(HashMap<String, i64>),
    /// The data plane does not store them.
    KeysNotRecorded,
}

/// Returns the record id of an output of a row: the key, followed by a number for every output after the first. The
/// first has a number too if the key itself looks like one with a number.
pub fn record_id(key: &str, number: usize) -> Cow<'_, str> {
    let is_numbered = |key: &str| {
        let number = key.rsplit_once('#').map(|(_, number)| number);
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match number {
        0 if !is_numbered(key) => Cow::Borrowed(key),
        _ => Cow::Owned(format!("{key}#{}", number + 1)),
    }
}

impl Retl {
    /// Creates the run of a source and a destination; adds the headers that all its requests have.
    ///
    /// # Errors
    /// When an id is not valid in a header.
    pub fn new(
        (source_id, destination_id): (String, String),
        base: Url,
        run: &str,
        status_timeout: Duration,
        headers: &mut HeaderMap,
    ) -> Result<Self> {
        for (name, value) in [
            ("x-rudder-source-id", &source_id),
            ("x-rudder-destination-id", &destination_id),
            ("x-rudder-job-run-id", &run.to_owned()),
        ] {
            let (name, value) = http::header(name, value)?;
            headers.insert(name, value);
        }
        let mut status = base;
        let path = format!("{}/internal/v2/job-status/{run}", status.path().trim_end_matches('/'));
        status.set_path(&path);
        Ok(Self { source_id, destination_id, run: run.to_owned(), status, status_timeout })
    }

    /// Returns what distinguishes this source and destination from others at the same data plane.
    pub fn place(&self) -> String {
        format!("{} {}", self.source_id, self.destination_id)
    }

    /// Adds the ids that results refer to. The event of a row has them already, but an output may lack them.
    pub fn item(&self, event: &Output<'_>, record_id: &str) -> std::result::Result<Vec<u8>, String> {
        let Columns(fields) = Columns::parse(event.text)?;
        let context = fields.iter().find(|(name, _)| name == "context").map(|(_, value)| value.get());
        let context = self.context(context.unwrap_or("{}"))?;
        let mut id = Vec::new();
        text(&mut id, record_id);
        let own: [(&str, &[u8]); 2] = [("recordId", &id), ("context", &context)];
        let rest = fields.iter().map(|(name, value)| (&**name, value.get().as_bytes()));
        Ok(object(rest, &own))
    }

    fn context(&self, context: &str) -> std::result::Result<Vec<u8>, String> {
        let wrong = |_| "its context is no object".to_owned();
        let context = if context == "null" { "{}" } else { context };
        let Columns(fields) = Columns::parse(context).map_err(wrong)?;
        let sources = fields.iter().find(|(name, _)| name == "sources").map(|(_, value)| value.get());
        let Columns(sources) = Columns::parse(sources.unwrap_or("{}")).unwrap_or(Columns(Vec::new()));
        let run = format!("\"{}\"", self.run);
        let ids: [(&str, &[u8]); 2] = [("job_run_id", run.as_bytes()), ("task_run_id", run.as_bytes())];
        let sources = object(sources.iter().map(|(name, value)| (&**name, value.get().as_bytes())), &ids);
        let fields = fields.iter().map(|(name, value)| (&**name, value.get().as_bytes()));
        Ok(object(fields, &[("sources", &sources)]))
    }

    /// Returns the body of a batch. Replaces the task id of its
    /// events, which is the run id so far, with the id of the request.
    pub fn body(&self, items: &[&[u8]], request: &str) -> Vec<u8> {
        let body = super::body(items);
        let task = |id: &str| format!("\"task_run_id\":\"{id}\"").into_bytes();
        let (from, to) = (task(&self.run), task(request));
        let finder = memchr::memmem::Finder::new(&from);
        let (mut out, mut rest) = (Vec::with_capacity(body.len()), &body[..]);
        while let Some(at) = finder.find(rest) {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(&to);
            rest = &rest[at + from.len()..];
        }
        out.extend_from_slice(rest);
        out
    }

    /// The headers of one request.
    pub fn headers(&self, request: &str) -> HeaderMap {
        // Can't fail, because the ids of requests are UUIDs.
        http::header("x-rudder-task-run-id", request).map(|header| HeaderMap::from_iter([header])).unwrap_or_default()
    }

    fn url(&self, path: &str, tasks: &[&str]) -> Url {
        let mut url = self.status.clone();
        url.set_path(&format!("{}{path}", self.status.path()));
        let tasks = tasks.iter().map(|task| ("task_run_id", *task));
        url.query_pairs_mut().append_pair("source_id", &self.source_id).extend_pairs(tasks);
        url
    }

    /// Returns the progress of these tasks, in order.
    ///
    /// # Errors
    /// When the data plane does not report it; the error says how to go on.
    pub async fn progress(&self, endpoint: &Endpoint, tasks: &[&str]) -> std::result::Result<Vec<Progress>, Reply> {
        let answer = endpoint.ask(Request::empty(Method::GET, self.url("", tasks))).await?;
        if is_unknown(&answer) {
            return Ok(vec![Progress::default(); tasks.len()]);
        }
        let status: JobStatus = self.parsed(&answer)?;
        let of = |task: &&str| {
            let sources = || {
                let found = status.tasks.iter().flatten().filter(|found| found.id == **task);
                found.flat_map(|found| found.sources.iter().flatten()).filter(|source| source.id == self.source_id)
            };
            let destinations = |source: &SourceStatus| -> u64 {
                source.destinations.iter().flatten().map(|destination| destination.stats.failed).sum()
            };
            Progress {
                is_complete: sources().next().is_some() && sources().all(|source| source.completed),
                dropped: sources().map(|source| source.stats.failed).sum(),
                failed: sources().map(destinations).sum(),
            }
        };
        Ok(tasks.iter().map(of).collect())
    }

    /// Returns which records of a task have failed. The task has `events` events.
    ///
    /// # Errors
    /// As [`Retl::progress`].
    pub async fn failed(&self, endpoint: &Endpoint, task: &str, events: usize) -> std::result::Result<Failed, Reply> {
        let (mut found, mut token) = (HashMap::new(), String::new());
        loop {
            let mut url = self.url("/failed-records", &[task]);
            // All records fit on one page. The server's own paging skips records that failed at several destinations.
            url.query_pairs_mut().append_pair("pageSize", &(events + 1).to_string()).append_pair("pageToken", &token);
            let answer = endpoint.ask(Request::empty(Method::GET, url)).await?;
            if answer.status == 400 && answer.body.contains("operation not supported") {
                return Ok(Failed::KeysNotRecorded);
            }
            if is_unknown(&answer) {
                return Err(later("it does not know which records of a request have failed".to_owned(), &answer));
            }
            let page: FailedRecords = self.parsed(&answer)?;
            let sources = page.tasks.into_iter().flatten().filter(|found| found.id == task);
            let sources = sources.flat_map(|task| task.sources.into_iter().flatten());
            for source in sources.filter(|source| source.id == self.source_id) {
                let records = source.records.into_iter().flatten();
                let more = source.destinations.into_iter().flatten().flat_map(|it| it.records.into_iter().flatten());
                found.extend(records.chain(more).filter_map(Record::named));
            }
            match page.paging.map(|paging| paging.next).filter(|next| !next.is_empty() && *next != token) {
                Some(next) => token = next,
                None => return Ok(Failed::Records(found)),
            }
        }
    }

    /// Tells the data plane to forget complete tasks. It forgets them by itself after some days.
    pub async fn forget(&self, endpoint: &Endpoint, tasks: &[&str]) {
        for path in ["/failed-records", ""] {
            let forgotten = endpoint.ask(Request::empty(Method::DELETE, self.url(path, tasks))).await;
            if let Some(why) = match &forgotten {
                Ok(answer) if answer.status < 300 => None,
                Ok(answer) => Some(answer.shown()),
                Err(_) => Some("no answer".to_owned()),
            } {
                tracing::info!(run = self.run, why, "the data plane keeps the status of what is done");
            }
        }
    }

    fn parsed<T: DeserializeOwned>(&self, answer: &Answer) -> std::result::Result<T, Reply> {
        let shown = answer.shown();
        match answer.status {
            200..300 => serde_json::from_str(&answer.body).map_err(|_| {
                later(format!("its status is nothing that RudderStack says: {}", cut(&answer.body)), answer)
            }),
            300..=399 => Err(http::redirect(answer)),
            408 | 425 | 429 | 500.. => {
                Err(later(format!("it answered {shown} to the question for the status"), answer))
            }
            404 => Err(Reply::Stop {
                reason: format!("it does not say what came of the rows: {shown}"),
                help: format!("{} is not there: {OLD}", self.status.path().trim_end_matches(&self.run)),
            }),
            _ => Err(Reply::Stop {
                reason: format!("it refuses to say what came of the rows: {shown}"),
                help:
                    "what stands before the data plane may want a header: headers = { authorization = \"env:TOKEN\" }"
                        .to_owned(),
            }),
        }
    }
}

const OLD: &str = "the data plane is too old, or its internal endpoints are switched off (RSERVER_GATEWAY_INTERNAL_ENDPOINTS_ENABLED). A sink with auth, a write key, needs neither";

fn later(reason: String, answer: &Answer) -> Reply {
    Reply::Later { reason, after: answer.after }
}

/// Returns whether the data plane does not know the tasks, or not yet. A server without the endpoint also answers 404,
/// but with another text.
fn is_unknown(answer: &Answer) -> bool {
    answer.status == 404 && answer.body.contains("status not found")
}

/// Builds an object from `fields`. Values of `own` replace fields of the same name, or are appended.
fn object<'f>(fields: impl Iterator<Item = (&'f str, &'f [u8])>, own: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = vec![b'{'];
    let mut put = |name: &str, value: &[u8]| {
        if out.len() > 1 {
            out.push(b',');
        }
        text(&mut out, name);
        out.push(b':');
        out.extend_from_slice(value);
    };
    let mut seen = vec![false; own.len()];
    for (name, value) in fields {
        match own.iter().position(|(other, _)| *other == name) {
            Some(index) => {
                if !std::mem::replace(&mut seen[index], true) {
                    put(name, own[index].1);
                }
            }
            None => put(name, value),
        }
    }
    for (_, (name, value)) in seen.iter().zip(own).filter(|(seen, _)| !**seen) {
        put(name, value);
    }
    out.push(b'}');
    out
}

/// Maps the answer to a batch.
pub fn reply(answer: &Answer, count: usize) -> Reply {
    let shown = answer.shown();
    let says = |words: &str| answer.body.to_ascii_lowercase().contains(words);
    let stop = |reason: &str, help: String| Reply::Stop { reason: format!("{reason}: {shown}"), help };
    match answer.status {
        200..300 => Reply::Items(vec![ItemAnswer::Accepted; count]),
        300..=399 => http::redirect(answer),
        404 if says("disabled") => {
            stop("it refuses this sync", "switch the source and the destination on, in RudderStack".to_owned())
        }
        404 => stop("it does not take rows of a sync", format!("{PATH} is not there: {OLD}")),
        401 | 403 => stop(
            "it refuses this source",
            "see that source_id is the id of a source of this data plane; what stands before the data plane may want a header: headers = { authorization = \"env:TOKEN\" }".to_owned(),
        ),
        400 if says("destination id") => stop(
            "it refuses this destination",
            "see that destination_id is the id of a destination that is connected to the source".to_owned(),
        ),
        408 | 425 | 429 | 500.. => later(format!("it answered {shown}"), answer),
        _ => Reply::Refused { reason: format!("it answered {shown}"), answer: shown, sure: true },
    }
}

/// The part of the status that is read. Empty lists are null.
#[derive(Deserialize)]
struct JobStatus {
    tasks: Option<Vec<TaskStatus>>,
}

#[derive(Deserialize)]
struct TaskStatus {
    id: String,
    sources: Option<Vec<SourceStatus>>,
}

#[derive(Deserialize)]
struct SourceStatus {
    id: String,
    completed: bool,
    #[serde(default)]
    stats: Stats,
    destinations: Option<Vec<DestinationStatus>>,
}

#[derive(Deserialize)]
struct DestinationStatus {
    #[serde(default)]
    stats: Stats,
}

#[derive(Default, Deserialize)]
struct Stats {
    #[serde(default)]
    failed: u64,
}

/// The part of the failed records that is read.
#[derive(Deserialize)]
struct FailedRecords {
    tasks: Option<Vec<TaskRecords>>,
    paging: Option<Paging>,
}

#[derive(Deserialize)]
struct Paging {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct TaskRecords {
    id: String,
    sources: Option<Vec<SourceRecords>>,
}

#[derive(Deserialize)]
struct SourceRecords {
    id: String,
    records: Option<Vec<Record>>,
    destinations: Option<Vec<DestinationRecords>>,
}

#[derive(Deserialize)]
struct DestinationRecords {
    records: Option<Vec<Record>>,
}

#[derive(Deserialize)]
struct Record {
    record: serde_json::Value,
    #[serde(default)]
    code: i64,
}

impl Record {
    /// Returns the record's id and code. Ids sent by this program are always strings.
    fn named(self) -> Option<(String, i64)> {
        match self.record {
            serde_json::Value::String(id) => Some((id, self.code)),
            _ => None,
        }
    }
}
