//! `POST /customTransform`: groups of events in, rows out.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::task::JoinSet;

use super::App;
use super::body::Taken;
use super::code::Missing;
use super::problem::Problem;
use super::request::{self, Group};
use super::rows;
use super::traces::Trace;
use super::warm::{Key, NoWorkers};
use crate::engine::LoadError;
use crate::pool::{Answer, Outcome, Row, Rows, RunError};
use crate::verdict::{Failure, FailureKind};

/// Larger bodies are taken apart on a thread of their own, so that small requests do not wait for them.
const LARGE: usize = 1 << 20;

/// Asks for rows about dropped events.
const FILTER: &str = "x-feature-filter-code";

/// The caller sends the whole request again.
const RETRY: u16 = 809;

/// What a list of rows begins with.
const OPEN: &[u8] = b"[";

/// The rows of one group.
struct GroupRows {
    /// A list that is still open: a bracket, and the rows with a comma after each.
    text: Vec<u8>,
    /// Whether the whole request is to be sent again.
    retry: bool,
}

/// The handler.
pub async fn custom_transform(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    let filter = asks_for_filtered(request.headers());
    match answer(&app, request, filter).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

fn asks_for_filtered(headers: &HeaderMap) -> bool {
    let value = headers.get(FILTER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    !matches!(value, "" | "?0") && !value.eq_ignore_ascii_case("false")
}

/// What is wanted of every group.
#[derive(Clone)]
struct Order {
    app: Arc<App>,
    body: Arc<Vec<u8>>,
    guard: Arc<dyn std::any::Any + Send + Sync>,
    libraries: Arc<Vec<String>>,
    filter: bool,
    trace: Option<Trace>,
}

async fn answer(app: &Arc<App>, request: Request<Body>, filter: bool) -> Result<Response, Problem> {
    let trace = request.extensions().get::<Trace>().cloned();
    let Taken { bytes, guard } = app.room.take(request).await?;
    let (mut bytes, parsed) = if bytes.len() < LARGE {
        let parsed = request::parse(&bytes);
        (bytes, parsed)
    } else {
        let _turn = app.large.acquire().await;
        let parse = tokio::task::spawn_blocking(move || {
            let parsed = request::parse(&bytes);
            (bytes, parsed)
        });
        parse.await.map_err(|_| Problem::later("shutting_down", "the server is shutting down"))?
    };
    let mut parsed = parsed.map_err(|message| Problem::request(StatusCode::BAD_REQUEST, message))?;
    if parsed.groups.is_empty() {
        return Err(Problem::request(StatusCode::BAD_REQUEST, "the request has no events: its list is empty"));
    }
    // Rows of events without metadata, and those about whole groups, carry what is known of the group.
    let null = append(&mut bytes, b"null");
    let mut groups: Vec<(Group, Range<usize>)> = Vec::with_capacity(parsed.groups.len());
    for mut group in parsed.groups.drain(..) {
        let bare = |metadata: &Range<usize>| bytes[metadata.clone()].iter().all(|byte| b"{} \r\n\t".contains(byte));
        let mut common = 0..0;
        if group.version.is_none() || group.items.iter().any(|item| bare(&item.metadata)) {
            let text = request::common_metadata(&bytes, &group);
            let lacking: Vec<usize> =
                (0..group.items.len()).filter(|index| bare(&group.items[*index].metadata)).collect();
            common = append(&mut bytes, &text);
            for index in lacking {
                group.items[index].metadata = common.clone();
            }
        }
        for item in &mut group.items {
            if item.event.is_empty() {
                item.event = null.clone();
            }
        }
        groups.push((group, common));
    }
    let order = Order {
        app: app.clone(),
        body: Arc::new(bytes),
        guard: guard.clone(),
        libraries: Arc::new(parsed.libraries),
        filter,
        trace,
    };
    let mut all = Vec::with_capacity(groups.len());
    if groups.len() == 1 {
        for (group, common) in groups {
            all.push(one(&order, &group, common).await?);
        }
    } else {
        let mut tasks = JoinSet::new();
        for (index, (group, common)) in groups.into_iter().enumerate() {
            let order = order.clone();
            tasks.spawn(async move { (index, one(&order, &group, common).await) });
        }
        let mut done = Vec::new();
        while let Some(finished) = tasks.join_next().await {
            let (index, rows) =
                finished.map_err(|_| Problem::later("internal", "a part of the request could not be answered"))?;
            done.push((index, rows?));
        }
        done.sort_by_key(|(index, _)| *index);
        all.extend(done.into_iter().map(|(_, rows)| rows));
    }
    let status = if all.iter().any(|rows| rows.retry) { RETRY } else { 200 };
    let (mut text, others) = match all.split_first_mut() {
        Some((first, others)) => (std::mem::take(&mut first.text), others),
        None => (OPEN.to_vec(), &mut [][..]),
    };
    text.reserve(others.iter().map(|rows| rows.text.len()).sum::<usize>() + 1);
    for rows in others {
        text.extend_from_slice(&rows.text[OPEN.len()..]);
    }
    if text.len() > 1 {
        text.pop();
    }
    text.push(b']');
    let status = StatusCode::from_u16(status).expect("both are in range");
    Ok((status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], kept(text, guard)).into_response())
}

fn append(bytes: &mut Vec<u8>, text: &[u8]) -> Range<usize> {
    let start = bytes.len();
    bytes.extend_from_slice(text);
    start..bytes.len()
}

/// A body that keeps its request's room until the client has it.
fn kept(text: Vec<u8>, guard: Arc<dyn std::any::Any + Send + Sync>) -> Bytes {
    struct Kept(Vec<u8>, #[expect(dead_code, reason = "only dropped")] Arc<dyn std::any::Any + Send + Sync>);
    impl AsRef<[u8]> for Kept {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Kept(text, guard))
}

/// One group.
async fn one(order: &Order, group: &Group, common: Range<usize>) -> Result<GroupRows, Problem> {
    let Order { app, body, .. } = order;
    let Some(version) = group.version.as_deref() else {
        let mut text = OPEN.to_vec();
        rows::failed(&mut text, 400, "Transformation VersionID not found", &body[common]);
        app.metrics.not_run("no_version", group.items.len() as u64);
        return Ok(GroupRows { text, retry: false });
    };
    let started = Instant::now();
    let span = order.trace.as_ref().map(|trace| trace.group(version, group.items.len()));
    let ready = match app.code.program(version, &order.libraries).await {
        Ok(ready) => ready,
        Err(Missing::Final(status, error)) => {
            app.metrics.not_run("no_code", group.items.len() as u64);
            tracing::info!(version, status, error, events = group.items.len(), "there is no code for these events");
            return Ok(every(body, group, status, &error));
        }
        Err(Missing::Later(error)) => {
            tracing::warn!(version, error, "the code cannot be had now, the request is to be sent again");
            let mut rows = every(body, group, RETRY, &format!("Error: {error}"));
            rows.retry = true;
            return Ok(rows);
        }
        Err(Missing::Refused(refused)) => {
            tracing::error!(version, ?refused, "the config backend refuses this server");
            return Err(Problem::refused(refused));
        }
    };
    let key = Key::new(group, &order.libraries, &ready);
    let entry = match app.warm.get(&key, group, &ready).await {
        Ok(entry) => entry,
        Err(NoWorkers::Load(error)) => return Ok(not_loaded(order, group, &error)),
        Err(NoWorkers::Later(why)) => return Err(Problem::overloaded(why)),
    };
    let resident = match entry.resident() {
        Ok(resident) => resident,
        Err(NoWorkers::Load(error)) => return Ok(not_loaded(order, group, &error)),
        Err(NoWorkers::Later(why)) => return Err(Problem::overloaded(why)),
    };
    let events: Vec<Row> =
        group.items.iter().map(|item| Row { event: item.event.clone(), metadata: item.metadata.clone() }).collect();
    let asked = Rows { body: body.clone(), events, guard: Some(order.guard.clone()) };
    let answer = match resident.transform(asked).await {
        Ok(answer) => answer,
        Err(error) => {
            app.warm.remove(&key, &entry);
            return match &*error {
                RunError::Load(error) => Ok(not_loaded(order, group, error)),
                other => {
                    tracing::error!(version, error = %other, "the workers of a transformation are gone");
                    Err(Problem::overloaded(other.to_string()))
                }
            };
        }
    };
    app.metrics.group(version, &answer.tally, started.elapsed(), answer.cpu);
    if let Some(span) = span {
        span.done(&answer.tally, answer.cpu);
    }
    tracing::debug!(version, tally = %answer.tally, cpu = ?answer.cpu, "group");
    if let Some(Outcome::Failed(_, failure)) =
        answer.outcomes.iter().find(|outcome| matches!(outcome, Outcome::Failed(..)))
    {
        tracing::info!(
            version, workspace = group.workspace, transformation = group.transformation, tally = %answer.tally,
            kind = failure.kind.name(), error = failure.message, "events failed; the first of them"
        );
    }
    Ok(written(order, group, &answer))
}

fn not_loaded(order: &Order, group: &Group, error: &LoadError) -> GroupRows {
    order.app.metrics.not_run("load", group.items.len() as u64);
    let words = rows::load_words(error);
    tracing::info!(version = group.version, error = words, events = group.items.len(), "code that does not load");
    every(&order.body, group, 400, &words)
}

/// A row for each event, all with the same error.
fn every(body: &[u8], group: &Group, status: u16, error: &str) -> GroupRows {
    let mut text = OPEN.to_vec();
    for item in &group.items {
        rows::failed(&mut text, status, error, &body[item.metadata.clone()]);
    }
    GroupRows { text, retry: false }
}

/// The rows of a group that has been through its transformation: dropped events first, then the others in order.
fn written(order: &Order, group: &Group, answer: &Answer) -> GroupRows {
    if let Some(failure) = of_the_whole_batch(&answer.outcomes) {
        let mut text = OPEN.to_vec();
        rows::failed(&mut text, 400, &rows::words(failure), &request::common_metadata(&order.body, group));
        return GroupRows { text, retry: false };
    }
    let metadata = |index: usize| &order.body[group.items[index].metadata.clone()];
    let size = |outcome: &Outcome| match outcome {
        Outcome::Rows(rows) => rows.len(),
        _ => 512,
    };
    let mut text = Vec::with_capacity(answer.outcomes.iter().map(size).sum::<usize>() + 2);
    text.extend_from_slice(OPEN);
    if order.filter {
        for outcome in &answer.outcomes {
            if let Outcome::Dropped(index) = outcome {
                rows::dropped(&mut text, metadata(*index));
            }
        }
    }
    for outcome in &answer.outcomes {
        match outcome {
            Outcome::Rows(rows) => text.extend_from_slice(rows),
            Outcome::Failed(index, failure) => {
                rows::failed(&mut text, 400, &about_message(failure), metadata(*index));
            }
            Outcome::Dropped(_) => {}
        }
    }
    GroupRows { text, retry: false }
}

/// The failure of a `transformBatch` that came to nothing for any of its events, together and alone, always for the same
/// reason: callers know it as one row about all of them.
pub(super) fn of_the_whole_batch(outcomes: &[Outcome]) -> Option<&Failure> {
    fn failure(outcome: &Outcome) -> Option<&Failure> {
        match outcome {
            Outcome::Failed(_, failure) => Some(failure),
            _ => None,
        }
    }
    let first = outcomes.first().and_then(failure)?;
    let of_the_call = match first.kind {
        FailureKind::BadReturn => first.message.starts_with("returned events from transformBatch"),
        FailureKind::Exception => first
            .stack
            .as_deref()
            .and_then(|stack| stack.lines().last())
            .is_some_and(|at| at.contains("transformBatch (")),
        _ => false,
    };
    let same = |other: &Failure| other.kind == first.kind && rows::words(other) == rows::words(first);
    (of_the_call && outcomes.iter().all(|outcome| failure(outcome).is_some_and(&same))).then_some(first)
}

/// What a run calls a line is an event's message here.
pub(super) fn about_message(failure: &Failure) -> String {
    let words = rows::words(failure);
    match failure.kind {
        FailureKind::NotAnObject | FailureKind::InvalidJson | FailureKind::LineTooLong => {
            words.replacen("the line ", "the message ", 1)
        }
        _ => words,
    }
}
