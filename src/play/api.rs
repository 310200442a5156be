//! The API of the page. It is JSON throughout and requires the token. Invalid requests are answered with
//! `{"error": …}` and a 4xx.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::files::{self, NotWritten};
use super::{Draft, LARGEST_REQUEST, Playground, Problem, Ready, case};
use crate::net::Policy;
use crate::parser_process::{ModuleExport, exports};
use crate::workers::{PreviewJob, PreviewResult, RunError};
use sluicegate_engine::{ModuleId, SHIPPED_LIBRARIES};

/// The most events in one request.
const MAX_EVENTS: usize = 1000;

pub(super) type Shared = Arc<Playground>;
pub(super) type Refusal = (StatusCode, Json<Value>);
pub(super) type RecordedAnswer<T> = Result<Json<T>, Refusal>;

/// Returns an error in the page's format.
pub(super) fn refusal(status: StatusCode, why: impl Into<String>) -> Refusal {
    (status, Json(json!({ "error": why.into() })))
}

fn bad(why: impl Into<String>) -> Refusal {
    refusal(StatusCode::BAD_REQUEST, why)
}

/// Returns the routes below a path, plus the named route `more`; all of them require the token.
pub(super) fn routes(playground: &Shared, below: &str, more: (&str, MethodRouter<Shared>)) -> Router {
    let path = |name: &str| format!("{below}/api/{name}");
    let api = Router::new()
        .route(&path("project"), get(project))
        .route(&path("file"), get(read).put(save))
        .route(&path("try"), post(try_draft))
        .route(&path("case"), post(add_case))
        .route(&path("test"), post(test))
        .route(&path(more.0), more.1)
        .route_layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .route_layer(middleware::from_fn_with_state(playground.clone(), knows_token));
    api.with_state(playground.clone())
}

async fn knows_token(State(playground): State<Shared>, request: Request, next: Next) -> Response {
    if playground.token.is_in(request.headers()) {
        return next.run(request).await;
    }
    let why = "this page does not know the playground's token: open the address that `sluicegate play` printed";
    refusal(StatusCode::UNAUTHORIZED, why).into_response()
}

/// Parses a body with the content type JSON, which a form on another page cannot send.
pub(super) fn body<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<T, Refusal> {
    if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != "application/json") {
        return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type is application/json"));
    }
    let body = body.map_err(|rejection| refusal(rejection.status(), rejection.body_text()))?;
    serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))
}

// --- the project ----------------------------------------------------------------------------------------------------

#[derive(Serialize)]
struct ProjectAnswer {
    name: String,
    files: Vec<FileEntry>,
    /// The exports of libraries whose files are not in `files`, by import name.
    exports: BTreeMap<String, Vec<String>>,
    /// An error of the project as a whole.
    problem: Option<Problem>,
}

#[derive(Serialize)]
struct FileEntry {
    path: String,
    role: Role,
    /// The import name of a library.
    handle: Option<String>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Transformation,
    Library,
    Test,
    Module,
    Events,
}

async fn project(State(playground): State<Shared>) -> Json<ProjectAnswer> {
    let dir = &playground.dir;
    let mut exports = shipped_exports();
    let (libraries, problem) = match playground.project.libraries("transform.js") {
        Ok(libraries) => {
            // A project's library replaces a shipped one with the same import name.
            exports.retain(|handle, _| !libraries.contains_key(handle));
            (by_path(dir, &libraries), None)
        }
        Err(problem) => (BTreeMap::new(), Some(problem)),
    };
    let files = files::list(dir).into_iter().filter_map(|path| entry(dir, path, &libraries)).collect();
    let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy().into_owned();
    Json(ProjectAnswer { name, files, exports, problem })
}

/// Returns the exports of the shipped libraries, which have no files.
fn shipped_exports() -> BTreeMap<String, Vec<String>> {
    let named = |export| match export {
        ModuleExport::Value(name) | ModuleExport::Class(name) => Some(name),
        ModuleExport::Type { .. } => None,
    };
    let exported = |code: &str| exports(code).unwrap_or_default().into_iter().filter_map(named).collect();
    SHIPPED_LIBRARIES.iter().map(|(handle, code)| ((*handle).to_owned(), exported(code))).collect()
}

/// Returns import names by path, relative to the project. If a path has several, returns the one that authors write.
fn by_path(dir: &Path, libraries: &BTreeMap<String, std::path::PathBuf>) -> BTreeMap<String, String> {
    let mut handles: BTreeMap<String, String> = BTreeMap::new();
    for (handle, path) in libraries {
        let Some(path) = relative(dir, path) else { continue };
        let is_canonical = sluicegate_engine::handle_of(handle) == *handle;
        if is_canonical || !handles.contains_key(&path) {
            handles.insert(path, handle.clone());
        }
    }
    handles
}

fn relative(dir: &Path, path: &Path) -> Option<String> {
    let real = path.canonicalize().ok()?;
    real.strip_prefix(dir).ok()?.to_str().map(str::to_owned)
}

fn entry(dir: &Path, path: String, libraries: &BTreeMap<String, String>) -> Option<FileEntry> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let handle = libraries.get(&path).cloned();
    let role = if !files::is_module(&path) {
        if name.ends_with(".case.json") || matches!(name, "package.json" | "package-lock.json" | "tsconfig.json") {
            return None;
        }
        Role::Events
    } else if name.contains(".test.") || name.contains(".spec.") {
        Role::Test
    } else {
        let text = files::read(dir, &path).ok()?.text;
        let transforms = text.contains("transformEvent") || text.contains("transformBatch");
        match handle {
            Some(_) if !transforms => Role::Library,
            _ if transforms => Role::Transformation,
            _ => Role::Module,
        }
    };
    Some(FileEntry { path, role, handle })
}

// --- files ----------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Named {
    path: String,
}

#[derive(Deserialize)]
struct Save {
    text: String,
    /// The version that the text is based on; `None` for a new file.
    base: Option<String>,
}

async fn read(State(playground): State<Shared>, Query(Named { path }): Query<Named>) -> RecordedAnswer<files::Text> {
    files::read(&playground.dir, &path).map(Json).map_err(bad)
}

async fn save(
    State(playground): State<Shared>,
    Query(Named { path }): Query<Named>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> RecordedAnswer<Value> {
    let Save { text, base } = body(&headers, bytes)?;
    match files::save(&playground.dir, &path, &text, base.as_deref()) {
        Ok(version) => Ok(Json(json!({ "version": version }))),
        Err(NotWritten::Because(why)) => Err(bad(why)),
        Err(NotWritten::Changed) => {
            let why = match base {
                Some(_) => format!("{path} has been changed or removed by another program since it was opened"),
                None => format!("{path} is there already"),
            };
            Err(refusal(StatusCode::CONFLICT, why))
        }
    }
}

// --- running --------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
pub(super) struct RunRequest {
    #[serde(flatten)]
    pub(super) draft: Draft,
    /// The typed events: one event, several in sequence, or an array.
    pub(super) events: String,
    /// The typed metadata, an object; empty for none.
    #[serde(default)]
    pub(super) metadata: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunAnswer {
    problem: Option<Problem>,
    export: Option<&'static str>,
    /// The libraries that the code imports.
    libraries: Vec<String>,
    /// The files of libraries, relative to the project, by their names in stack traces.
    files: BTreeMap<String, String>,
    /// The parsed events, one JSON text each.
    events: Vec<Box<RawValue>>,
    /// A description of the hosts that the code may send requests to. If set, the page runs the code less often.
    network: Option<String>,
    /// The loading time, in milliseconds.
    load: f64,
    /// Verdicts and cost.
    answer: Option<Box<RawValue>>,
}

impl RunAnswer {
    fn problem(problem: Problem, network: Option<String>) -> Self {
        let (export, libraries, files, events) = (None, Vec::new(), BTreeMap::new(), Vec::new());
        Self { problem: Some(problem), export, libraries, files, events, network, load: 0.0, answer: None }
    }
}

/// The result of a request: the program with its files, the run, and how it ended.
struct RunResult {
    ready: Ready,
    job: PreviewJob,
    result: Result<PreviewResult, Problem>,
}

/// Runs the code on the typed events.
async fn run_preview(playground: &Shared, request: RunRequest) -> Result<RunResult, Problem> {
    let events = events(&request.events)?;
    let metadata = metadata(&request.metadata)?;
    let (shared, draft) = (playground.clone(), request.draft);
    // Reads files and removes types.
    let ready = tokio::task::spawn_blocking(move || shared.project.ready(&draft));
    let ready = ready.await.unwrap_or_else(|_| Err(Problem::new("the code cannot be read: its parser gave up")))?;
    let options = sluicegate_engine::Options { logs: true, ..ready.options.clone() };
    let job = PreviewJob { program: ready.program.clone(), options, events, metadata };
    // One run at a time. If the page cancels a request, this future is dropped together with its worker.
    let result = playground.preview.lock().await.run(&job, &ready.network).await.map_err(|error| match error {
        RunError::Load(error) => Problem::from_load_error(error),
        error => Problem::new(error.to_string()),
    });
    Ok(RunResult { ready, job, result })
}

async fn try_draft(
    State(playground): State<Shared>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> RecordedAnswer<RunAnswer> {
    let request: RunRequest = body(&headers, bytes)?;
    let RunResult { ready, job, result } = match run_preview(&playground, request).await {
        Ok(outcome) => outcome,
        Err(problem) => return Ok(Json(RunAnswer::problem(problem, None))),
    };
    let network = in_words(&ready.network);
    let files: BTreeMap<String, String> = ready
        .paths
        .iter()
        .filter_map(|(handle, path)| Some((ModuleId::Library(handle).to_string(), relative(&playground.dir, path)?)))
        .collect();
    Ok(Json(match result {
        Ok(result) => RunAnswer {
            problem: None,
            export: Some(result.loaded.export.name()),
            libraries: result.loaded.libraries,
            files,
            events: job.events.into_iter().filter_map(|event| RawValue::from_string(event).ok()).collect(),
            network,
            load: result.load.as_secs_f64() * 1e3,
            answer: Some(result.answer),
        },
        Err(mut problem) => {
            if let Some(path) = problem.file.as_ref().and_then(|file| files.get(file)) {
                problem.file = Some(path.clone());
            }
            RunAnswer::problem(problem, network)
        }
    }))
}

/// Describes the hosts that the code may send requests to; `None` if it may not.
fn in_words(policy: &Policy) -> Option<String> {
    let geolocation = policy.geolocation.as_ref().and_then(Url::host_str);
    let hosts = (!policy.hosts.is_empty()).then(|| policy.hosts.to_string());
    let all: Vec<String> = hosts.into_iter().chain(geolocation.map(str::to_owned)).collect();
    (!all.is_empty()).then(|| all.join(","))
}

/// Splits the typed text into events, each on one line.
pub(super) fn events(text: &str) -> Result<Vec<String>, Problem> {
    let wrong = |error: &serde_json::Error| at("event", text, error);
    let found: Vec<&RawValue> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(|error| wrong(&error))?
    } else {
        let stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        stream.collect::<Result<_, _>>().map_err(|error| wrong(&error))?
    };
    match found.len() {
        0 => Err(Problem { file: Some("event".to_owned()), ..Problem::new("there is no event yet") }),
        1..=MAX_EVENTS => Ok(found.into_iter().map(|event| event.get().replace(['\n', '\r'], " ")).collect()),
        many => {
            let message = format!("{many} events are more than the {MAX_EVENTS} that are tried at once");
            Err(Problem { file: Some("event".to_owned()), ..Problem::new(message) })
        }
    }
}

/// Checks the typed metadata; `None` if there is none.
pub(super) fn metadata(text: &str) -> Result<Option<String>, Problem> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let value: &RawValue = serde_json::from_str(text).map_err(|error| at("metadata", text, &error))?;
    if !value.get().starts_with('{') {
        let problem = Problem::new("metadata is a JSON object");
        return Err(Problem { file: Some("metadata".to_owned()), line: Some(1), column: Some(1), ..problem });
    }
    Ok(Some(value.get().to_owned()))
}

/// Returns an error in typed JSON, with its position.
fn at(file: &str, text: &str, error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    // The parser counts bytes, the page UTF-16 code units.
    let before = line.floor_char_boundary(error.column().saturating_sub(1).min(line.len()));
    let column = line[..before].encode_utf16().count() as u32 + 1;
    Problem {
        file: Some(file.to_owned()),
        line: Some(error.line() as u32),
        column: Some(column),
        ..Problem::new(format!("this is not JSON: {message}"))
    }
}

// --- cases ----------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct CaseRequest {
    #[serde(flatten)]
    run: RunRequest,
    name: String,
}

/// Runs the event again and stores the result as a case.
async fn add_case(
    State(playground): State<Shared>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> RecordedAnswer<Value> {
    let CaseRequest { run, name } = body(&headers, bytes)?;
    let file = run.draft.file.clone();
    let dir = &playground.dir;
    let subject = files::place(dir, &file).map_err(bad)?;
    if !subject.is_file() {
        return Err(bad(format!("save {file} first: a test runs what is on disk")));
    }
    let unusable = |problem: Problem| refusal(StatusCode::UNPROCESSABLE_ENTITY, problem.message);
    let RunResult { job, result, .. } = run_preview(&playground, run).await.map_err(unusable)?;
    let result = result.map_err(unusable)?;
    let answer: case::RecordedAnswer<'_> =
        serde_json::from_str(result.answer.get()).map_err(|error| bad(error.to_string()))?;
    let name = match name.trim() {
        "" => "case",
        name => name,
    };
    let first = case::names(&file, name).next().unwrap_or_default();
    let place = files::place(dir, &first).map_err(bad)?;
    let text = case::text(name, (&subject, &place), &job.events, job.metadata.as_deref(), &answer);
    let path = files::create(dir, case::names(&file, name), text.as_bytes()).map_err(bad)?;
    Ok(Json(json!({ "path": path })))
}

// --- tests ----------------------------------------------------------------------------------------------------------

/// Runs the tests as they are on disk.
async fn test(State(playground): State<Shared>) -> RecordedAnswer<Box<RawValue>> {
    let turn = playground.long_work.clone().lock_owned().await;
    let run = move || {
        let _turn = turn;
        playground.project.test()
    };
    let tested = tokio::task::spawn_blocking(run).await.map_err(|_| bad("the tests gave up"))?;
    let unusable = |problem: Problem| refusal(StatusCode::UNPROCESSABLE_ENTITY, problem.message);
    RawValue::from_string(tested.map_err(unusable)?).map(Json).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_as_they_come() {
        for (text, wanted) in [
            ("{\"a\":\n 9007199254740993}", vec!["{\"a\":  9007199254740993}"]),
            ("{}\n{}\n", vec!["{}", "{}"]),
            ("[{}, 5]", vec!["{}", "5"]),
        ] {
            assert_eq!(events(text).unwrap(), wanted, "{text}");
        }
        assert_eq!(events(" \n").unwrap_err().message, "there is no event yet");
        assert!(events(&"{}".repeat(MAX_EVENTS + 1)).unwrap_err().message.contains("1001 events"));
    }

    #[test]
    fn a_mistake_in_an_event_has_a_place() {
        let problem = events("{\n  \"ü\": \"ö\", oops\n}").unwrap_err();
        assert_eq!((problem.line, problem.column), (Some(2), Some(13)));
        assert_eq!(problem.message, "this is not JSON: key must be a string");
        assert_eq!(problem.file.as_deref(), Some("event"));
        assert!(metadata("[]").unwrap_err().message.contains("object"));
        assert_eq!(metadata(" ").unwrap(), None);
    }
}
