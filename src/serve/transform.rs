//! `POST /customTransform`: groups of events in, rows out.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::task::JoinSet;

use super::App;
use super::body::{Taken, no_memory};
use super::code::Missing;
use super::elements::MAX_EVENTS;
use super::pieces::Pieces;
use super::pool_cache::{AcquireError, Key};
use super::problem::Problem;
use super::request::{self, BadBody, Group, Item};
use super::rows;
use super::traces::Trace;
use crate::workers::{Reservation, Row, Rows, RunError, ServiceAnswer, UnitResult};
use sluicegate_engine::LoadError;
use sluicegate_engine::verdict::{Failure, FailureKind};

/// Bodies larger than this are parsed on a separate thread, so that small requests do not wait for them.
const LARGE: usize = 1 << 20;

/// The memory for an event under way besides its text, in bytes.
const EVENT_SIZE: usize = 512;

/// The memory for the row of an event without output, besides its metadata and its message, in bytes.
const ROW_SIZE: usize = 128;

/// This header asks for rows about dropped events.
const FILTER: &str = "x-feature-filter-code";

/// A row with this status makes the client retry the whole request.
const RETRY: u16 = 809;

/// The status "mirror filtered": the client excludes the request from its comparison and sends no further requests
/// for this version.
const MIRROR_FILTERED: u16 = 297;

/// The rows of one group.
#[derive(Default)]
struct GroupRows {
    pieces: Pieces,
    /// Whether the client should retry the whole request.
    retry: bool,
    /// Whether the whole request is excluded from a mirror's comparison.
    mirror_filtered: bool,
    /// The memory that the rows take.
    memory: Vec<Reservation>,
}

/// Handles a request.
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

/// The parameters of the request that apply to every group.
#[derive(Clone)]
struct RequestParams {
    app: Arc<App>,
    /// The body, followed by the text that was appended to it.
    body: Arc<Vec<u8>>,
    /// The length of the body alone.
    len: usize,
    one_line: bool,
    guard: Arc<dyn Any + Send + Sync>,
    libraries: Arc<Vec<String>>,
    filter: bool,
    trace: Option<Trace>,
}

async fn answer(app: &Arc<App>, request: Request<Body>, filter: bool) -> Result<Response, Problem> {
    let trace = request.extensions().get::<Trace>().cloned();
    let Taken { bytes, mut room } = app.room.take(request).await?;
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
    let mut parsed = parsed.map_err(bad_body)?;
    if parsed.groups.is_empty() {
        return Err(Problem::request(StatusCode::BAD_REQUEST, "the request has no events: its list is empty"));
    }
    // Rows of events without metadata and rows about whole groups carry the common metadata of the group.
    let len = bytes.len();
    let books = parsed.groups.iter().map(|group| group.items.len()).sum::<usize>() * EVENT_SIZE;
    room.grow_to(len + books)?;
    let mut null = None;
    let mut groups: Vec<(Group, Range<usize>)> = Vec::with_capacity(parsed.groups.len());
    for mut group in parsed.groups.drain(..) {
        let bare = |metadata: &Range<usize>| bytes[metadata.clone()].iter().all(|byte| b"{} \r\n\t".contains(byte));
        let mut common = 0..0;
        if group.version.is_none() || group.items.iter().any(|item| bare(&item.metadata)) {
            let text = request::common_metadata(&bytes, &group);
            room.grow_to(bytes.len() + text.len() + books)?;
            let lacking: Vec<usize> =
                (0..group.items.len()).filter(|index| bare(&group.items[*index].metadata)).collect();
            common = append(&mut bytes, &text);
            for index in lacking {
                group.items[index].metadata = common.clone();
            }
        }
        for item in &mut group.items {
            if item.event.is_empty() {
                item.event = null.get_or_insert_with(|| append(&mut bytes, b"null")).clone();
            }
        }
        groups.push((group, common));
    }
    let guard = room.guard();
    let params = RequestParams {
        app: app.clone(),
        body: Arc::new(bytes),
        len,
        one_line: parsed.one_line,
        guard: guard.clone(),
        libraries: Arc::new(parsed.libraries),
        filter,
        trace,
    };
    let mut all = Vec::with_capacity(groups.len());
    if groups.len() == 1 {
        for (group, common) in groups {
            all.push(one(&params, &group, common).await?);
        }
    } else {
        let mut tasks = JoinSet::new();
        for (index, (group, common)) in groups.into_iter().enumerate() {
            let params = params.clone();
            tasks.spawn(async move { (index, one(&params, &group, common).await) });
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
    let status = match () {
        () if all.iter().any(|rows| rows.mirror_filtered) => MIRROR_FILTERED,
        () if all.iter().any(|rows| rows.retry) => RETRY,
        () => 200,
    };
    let status = StatusCode::from_u16(status).expect("all are in range");
    let memory: Vec<Reservation> = all.iter_mut().flat_map(|rows| std::mem::take(&mut rows.memory)).collect();
    let guard: Arc<dyn Any + Send + Sync> = Arc::new((guard, memory));
    let list = Pieces::list(all.into_iter().map(|rows| rows.pieces), &guard);
    Ok((status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], list).into_response())
}

/// Returns the answer to an invalid body.
fn bad_body(error: BadBody) -> Problem {
    match error {
        BadBody::TooManyEvents => Problem::request(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request has more than {MAX_EVENTS} events: send fewer at a time"),
        ),
        BadBody::Wrong(message) => Problem::request(StatusCode::BAD_REQUEST, message),
    }
}

fn append(bytes: &mut Vec<u8>, text: &[u8]) -> Range<usize> {
    let start = bytes.len();
    bytes.extend_from_slice(text);
    start..bytes.len()
}

impl RequestParams {
    /// Creates empty rows with memory for this many bytes.
    ///
    /// # Errors
    /// When there is no memory for them.
    fn rows_of(&self, bytes: usize) -> Result<GroupRows, Problem> {
        let mut memory = self.app.memory.hold();
        if !memory.grow_to(bytes) {
            return Err(no_memory());
        }
        Ok(GroupRows { memory: vec![memory], ..GroupRows::default() })
    }

    /// Checks that these events are JSON. Events that the code does not run on are not parsed anywhere else.
    ///
    /// # Errors
    /// When an event is not JSON. The whole body is then invalid.
    fn judge<'a>(&self, items: impl IntoIterator<Item = &'a Item>) -> Result<(), Problem> {
        let events = items.into_iter().map(|item| &self.body[item.event.clone()]);
        match request::wrong_with(&self.body[..self.len], events) {
            Some(message) => Err(Problem::request(StatusCode::BAD_REQUEST, message)),
            None => Ok(()),
        }
    }
}

/// Runs one group.
async fn one(params: &RequestParams, group: &Group, common: Range<usize>) -> Result<GroupRows, Problem> {
    let RequestParams { app, body, .. } = params;
    let Some(version) = group.version.as_deref() else {
        params.judge(&group.items)?;
        let mut rows = params.rows_of(common.len() + ROW_SIZE)?;
        rows::failed(rows.pieces.text(), 400, "Transformation VersionID not found", &body[common]);
        app.metrics.not_run("no_version", group.items.len() as u64);
        return Ok(rows);
    };
    let started = Instant::now();
    let span = params.trace.as_ref().map(|trace| trace.group(version, group.items.len()));
    let ready = match app.code.program(version, &params.libraries).await {
        Ok(ready) => ready,
        Err(Missing::Final(status, error)) => {
            app.metrics.not_run("no_code", group.items.len() as u64);
            tracing::warn!(version, status, error, events = group.items.len(), "there is no code for these events");
            return every(params, group, status, &error);
        }
        Err(Missing::Later(error)) => {
            tracing::warn!(version, error, "the code cannot be had now, the request is to be sent again");
            let mut rows = every(params, group, RETRY, &format!("Error: {error}"))?;
            rows.retry = true;
            return Ok(rows);
        }
        Err(Missing::Refused(refused)) => {
            tracing::error!(version, ?refused, "the config backend refuses this server");
            return Err(Problem::refused(refused));
        }
    };
    if app.mirror && ready.asks_network {
        app.metrics.not_run("mirror", group.items.len() as u64);
        return Ok(GroupRows { mirror_filtered: true, ..GroupRows::default() });
    }
    let key = Key::new(group, &params.libraries, &ready);
    let entry = match app.pools.get(&key, group, &ready).await {
        Ok(entry) => entry,
        Err(AcquireError::Load(error)) => return not_loaded(params, group, &error),
        Err(AcquireError::Later(why)) => return Err(Problem::overloaded(why)),
    };
    let pool = match entry.pool() {
        Ok(pool) => pool,
        Err(AcquireError::Load(error)) => return not_loaded(params, group, &error),
        Err(AcquireError::Later(why)) => return Err(Problem::overloaded(why)),
    };
    let events: Vec<Row> =
        group.items.iter().map(|item| Row { event: item.event.clone(), metadata: item.metadata.clone() }).collect();
    let rows = Rows { body: body.clone(), events, one_line: params.one_line, guard: Some(params.guard.clone()) };
    let answer = match pool.transform(rows).await {
        Ok(answer) => answer,
        Err(error) => {
            if !matches!(&*error, RunError::Overloaded(_)) {
                app.pools.remove(&key, &entry);
            }
            return match &*error {
                RunError::Load(error) => not_loaded(params, group, error),
                RunError::Overloaded(why) => Err(Problem::overloaded(why.clone())),
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
    if let Some(read) = answer.unsafe_read.as_ref().filter(|_| app.is_first_read(version)) {
        let at = read.position.as_ref().map(|at| format!("{}:{}:{}", at.file, at.line, at.column));
        tracing::warn!(
            version,
            path = read.path,
            at = at.unwrap_or_default(),
            "the code reads an integer beyond 2^53, which JavaScript can't hold; told once for each version"
        );
        // The number may be personal data.
        tracing::debug!(version, read = read.message(), "which");
    }
    if let Some(UnitResult::Failed(_, failure)) =
        answer.outcomes.iter().find(|outcome| matches!(outcome, UnitResult::Failed(..)))
    {
        tracing::warn!(
            version, workspace = group.workspace, transformation = group.transformation, tally = %answer.tally,
            kind = failure.kind.name(), "events failed; the first of them"
        );
        // The message may contain parts of the event, which is usually personal data.
        tracing::debug!(version, error = failure.message, "what the first of them says");
    }
    written(params, group, answer)
}

fn not_loaded(params: &RequestParams, group: &Group, error: &LoadError) -> Result<GroupRows, Problem> {
    params.app.metrics.not_run("load", group.items.len() as u64);
    let words = rows::load_words(error);
    tracing::warn!(version = group.version, error = words, events = group.items.len(), "code that does not load");
    every(params, group, 400, &words)
}

/// Returns a row for each event, all with the same error.
fn every(params: &RequestParams, group: &Group, status: u16, error: &str) -> Result<GroupRows, Problem> {
    params.judge(&group.items)?;
    let metadata: usize = group.items.iter().map(|item| item.metadata.len()).sum();
    let mut rows = params.rows_of(metadata + group.items.len() * (error.len() + ROW_SIZE))?;
    for item in &group.items {
        rows::failed(rows.pieces.text(), status, error, &params.body[item.metadata.clone()]);
    }
    Ok(rows)
}

/// Returns the rows of a group that was transformed: dropped events first, then the others in order.
fn written(params: &RequestParams, group: &Group, answer: ServiceAnswer) -> Result<GroupRows, Problem> {
    let unparsed = answer.outcomes.iter().filter_map(|outcome| match outcome {
        UnitResult::Failed(index, failure) if !was_parsed(failure.kind) => Some(&group.items[*index]),
        _ => None,
    });
    params.judge(unparsed)?;
    // Rows of failed and dropped events repeat their metadata. The other rows are counted already.
    let sizes = answer.outcomes.iter().map(|outcome| match outcome {
        UnitResult::Failed(index, _) | UnitResult::Dropped(index) => group.items[*index].metadata.len() + ROW_SIZE,
        UnitResult::Rows(_) => 0,
    });
    let mut rows = params.rows_of(sizes.sum())?;
    rows.memory.extend(answer.memory);
    if let Some(failure) = of_the_whole_batch(&answer.outcomes) {
        let metadata = request::common_metadata(&params.body, group);
        rows::failed(rows.pieces.text(), 400, &rows::words(failure), &metadata);
        return Ok(rows);
    }
    let metadata = |index: usize| &params.body[group.items[index].metadata.clone()];
    if params.filter {
        for outcome in &answer.outcomes {
            if let UnitResult::Dropped(index) = outcome {
                rows::dropped(rows.pieces.text(), metadata(*index));
            }
        }
    }
    for outcome in answer.outcomes {
        match outcome {
            UnitResult::Rows(text) => rows.pieces.push(text),
            UnitResult::Failed(index, failure) => {
                rows::failed(rows.pieces.text(), 400, &about_message(&failure), metadata(index));
            }
            UnitResult::Dropped(_) => {}
        }
    }
    Ok(rows)
}

/// Returns whether an event with this failure was parsed before, and is therefore JSON.
fn was_parsed(kind: FailureKind) -> bool {
    use FailureKind::{BadReturn, Exception, NeverSettles, OutputTooLarge};
    matches!(kind, Exception | BadReturn | NeverSettles | OutputTooLarge)
}

/// Returns the failure of a `transformBatch` call that failed for the same reason with all events together and with
/// each event alone. Clients expect one row about all of them.
pub(super) fn of_the_whole_batch(outcomes: &[UnitResult]) -> Option<&Failure> {
    fn failure(outcome: &UnitResult) -> Option<&Failure> {
        match outcome {
            UnitResult::Failed(_, failure) => Some(failure),
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

/// Formats a failure with "message" instead of "line", which is the term used in runs.
pub(super) fn about_message(failure: &Failure) -> String {
    let words = rows::words(failure);
    match failure.kind {
        FailureKind::NotAnObject | FailureKind::InvalidJson | FailureKind::LineTooLong => {
            words.replacen("the line ", "the message ", 1)
        }
        _ => words,
    }
}
