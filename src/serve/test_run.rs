//! The endpoints that test code before it is saved. Each test run has its own worker, which ends with it.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::App;
use super::body::{Taken, no_memory};
use super::code::backend::{is_legacy, supported};
use super::code::{self, Missing, legacy};
use super::pieces;
use super::pool_cache::AcquireError;
use super::problem::Problem;
use super::request::credentials;
use super::rows;
use super::transform::{about_message, of_the_whole_batch};
use crate::parser_process;
use crate::workers::{Reservation, Row, Rows, UnitResult};
use sluicegate_engine::{LogLine, Program};

/// The memory for a test run, as a multiple of its body: parts of the body are copied, and the answer takes memory too.
const COPIES: usize = 4;

/// Code to be tested.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
struct Revision {
    code: Option<String>,
    code_version: Option<Value>,
    language: Option<String>,
    name: Option<String>,
    test_name: Option<String>,
}

impl Revision {
    fn has_code(&self) -> bool {
        self.code.as_deref().is_some_and(|code| !code.is_empty())
    }

    fn name(&self) -> &str {
        self.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(code::NAMELESS)
    }
}

/// An event with its metadata and settings.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Sample {
    message: Option<Box<RawValue>>,
    metadata: Option<Box<RawValue>>,
    #[serde(default)]
    credentials: Value,
}

/// A test run: code and events.
struct TestRun {
    samples: Vec<Sample>,
    revision: Revision,
    libraries: Vec<String>,
    credentials: BTreeMap<String, String>,
}

/// The answer to a test run.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct TestAnswer<T> {
    transformed_events: Vec<T>,
    logs: Vec<String>,
}

/// The results of a test run.
struct TestResults {
    results: Vec<EventResult>,
    logs: Vec<String>,
    /// Returns the memory when it is dropped.
    guard: Arc<dyn Any + Send + Sync>,
}

/// The result of one event: its outputs, or why there are none.
struct EventResult {
    output: Result<Box<RawValue>, String>,
    metadata: Box<RawValue>,
}

/// Why a test run gave no results.
enum Failed {
    /// The author or the caller is at fault: a 400 with this message.
    Code(String),
    /// Any other reason.
    Problem(Problem),
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Failed::Problem(problem)
    }
}

impl From<Missing> for Failed {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Final(_, error) => Failed::Code(error),
            Missing::Later(error) => Failed::Problem(Problem::later("config_backend_unavailable", error)),
            Missing::Refused(refused) => Failed::Problem(Problem::refused(refused)),
        }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        match self {
            Failed::Code(error) => bad(error),
            Failed::Problem(problem) => problem.into_response(),
        }
    }
}

fn bad(error: impl Into<String>) -> Response {
    Problem::request(StatusCode::BAD_REQUEST, error).into_response()
}

fn answered(answer: &impl serde::Serialize, guard: &Arc<dyn Any + Send + Sync>) -> Response {
    let text = serde_json::to_vec(answer).expect("plain data");
    ([(header::CONTENT_TYPE, "application/json")], pieces::whole(text, guard)).into_response()
}

/// Reads a JSON body into a type.
async fn read<T: DeserializeOwned>(app: &App, request: Request<Body>) -> Result<(T, Taken), Problem> {
    let mut taken = app.room.take(request).await?;
    taken.room.grow_to(taken.bytes.len() * COPIES)?;
    match serde_json::from_slice(&taken.bytes) {
        Ok(value) => Ok((value, taken)),
        Err(error) => {
            let what = if error.is_data() { "what it should be" } else { "JSON" };
            Err(Problem::request(StatusCode::BAD_REQUEST, format!("the body is not {what}: {error}")))
        }
    }
}

/// Handles `POST /transformation/test`.
pub async fn test(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    #[derive(Deserialize)]
    #[serde(expecting = "an object")]
    struct TestRequest {
        #[serde(default)]
        events: Vec<Sample>,
        #[serde(rename = "trRevCode", default)]
        revision: Option<Revision>,
        #[serde(rename = "libraryVersionIDs", default)]
        libraries: Vec<String>,
        #[serde(default)]
        credentials: Value,
    }
    let (request, taken): (TestRequest, _) = match read(&app, request).await {
        Ok(read) => read,
        Err(problem) => return problem.into_response(),
    };
    let Some(revision) = request.revision.filter(|revision| revision.has_code() && revision.code_version.is_some())
    else {
        return bad("Error: Invalid Request. Missing parameters in transformation code block");
    };
    if request.events.is_empty() {
        return bad("Error: Invalid request. Missing events");
    }
    let own =
        if request.events[0].credentials.is_null() { &request.credentials } else { &request.events[0].credentials };
    let credentials = credentials(own);
    let test_run = TestRun { revision, libraries: request.libraries, credentials, samples: request.events };
    match run_test(&app, test_run, taken).await {
        Ok(TestResults { results, logs, guard }) => {
            #[derive(serde::Serialize)]
            #[serde(untagged)]
            enum One {
                Event(Box<RawValue>),
                Failed { error: String },
            }
            let events: Vec<One> = results
                .into_iter()
                .map(|result| match result.output {
                    Ok(event) => One::Event(event),
                    Err(error) => One::Failed { error },
                })
                .collect();
            answered(&TestAnswer { transformed_events: events, logs }, &guard)
        }
        Err(failed) => failed.into_response(),
    }
}

/// Handles `POST /transformation/testRun`.
pub async fn test_run(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    #[derive(Default, Deserialize)]
    #[serde(default, expecting = "an object")]
    struct Dependencies {
        libraries: Vec<Value>,
        credentials: Value,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", expecting = "an object")]
    struct TestRequest {
        #[serde(default)]
        input: Vec<Sample>,
        #[serde(default)]
        code_revision: Option<Revision>,
        #[serde(default)]
        dependencies: Option<Dependencies>,
    }
    let (request, taken): (TestRequest, _) = match read(&app, request).await {
        Ok(read) => read,
        Err(problem) => return problem.into_response(),
    };
    let Some(revision) = request.code_revision.filter(Revision::has_code) else {
        return bad("Error: Invalid Request. Missing parameters in transformation code block");
    };
    if request.input.is_empty() {
        return bad("Error: Invalid request. Missing events");
    }
    let dependencies = request.dependencies.unwrap_or_default();
    let version = |library: &Value| {
        let id = library["versionId"].as_str().or(library["VersionID"].as_str()).or(library.as_str());
        id.map(str::to_owned)
    };
    let test_run = TestRun {
        samples: request.input,
        revision,
        libraries: dependencies.libraries.iter().filter_map(version).collect(),
        credentials: credentials(&dependencies.credentials),
    };
    match run_test(&app, test_run, taken).await {
        Ok(TestResults { results, logs, guard }) => {
            let events: Vec<Box<RawValue>> = results
                .into_iter()
                .map(|result| {
                    let metadata = result.metadata;
                    let text = match result.output {
                        Ok(event) => format!("{{\"transformedEvent\":{event},\"metadata\":{metadata}}}"),
                        Err(error) => format!("{{\"error\":{},\"metadata\":{metadata}}}", json!(error)),
                    };
                    RawValue::from_string(text).expect("made of JSON")
                })
                .collect();
            answered(&TestAnswer { transformed_events: events, logs }, &guard)
        }
        Err(failed) => failed.into_response(),
    }
}

/// Handles `POST /transformationLibrary/test`.
pub async fn library(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    let (revision, _taken): (Revision, _) = match read(&app, request).await {
        Ok(read) => read,
        Err(problem) => return problem.into_response(),
    };
    let Some(code) = revision.code.as_deref().filter(|code| !code.is_empty()) else {
        return bad("Invalid request. Missing code");
    };
    let code = match javascript(code, &revision, false).await {
        Ok(code) => code,
        Err(error) => return bad(error),
    };
    // Loads the library through a transformation that only imports it.
    let program = Program::new("test", "import 'library'; export function transformEvent(event) { return event; }")
        .with_library("library", code);
    match app.pools.alone(program).await {
        Ok(_) => Json(true).into_response(),
        Err(AcquireError::Load(error)) => bad(rows::load_words(&error)),
        Err(AcquireError::Later(why)) => Problem::overloaded(why).into_response(),
    }
}

/// Handles `POST /transformation/sethandle`: this server has nothing to set up.
pub async fn set_handle(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    #[derive(Deserialize)]
    #[serde(expecting = "an object")]
    struct SetHandleRequest {
        #[serde(rename = "trRevCode", default)]
        revision: Option<Revision>,
    }
    let (request, _taken): (SetHandleRequest, _) = match read(&app, request).await {
        Ok(read) => read,
        Err(problem) => return problem.into_response(),
    };
    let revision = request.revision.unwrap_or_default();
    let fields = [&revision.code, &revision.language, &revision.test_name];
    if fields.iter().any(|field| field.as_deref().unwrap_or_default().is_empty()) {
        return bad("Invalid Request. Missing parameters in transformation code block");
    }
    Json(json!({ "success": true })).into_response()
}

/// Handles `POST /extractLibs`.
pub async fn extract_libs(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    let (revision, _taken): (Revision, _) = match read(&app, request).await {
        Ok(read) => read,
        Err(problem) => return problem.into_response(),
    };
    let Some(code) = revision.code.as_deref().filter(|code| !code.is_empty()) else {
        return bad("Invalid request. Code is missing");
    };
    if let Err(error) = supported(revision.language.as_deref()) {
        return bad(error);
    }
    match parser_process::imports(code).await {
        Ok(found) => {
            // Clients look libraries up by these names, without surrounding spaces.
            let mut libraries: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (specifier, names) in found {
                libraries.entry(specifier.trim().to_owned()).or_default().extend(names);
            }
            Json(libraries).into_response()
        }
        Err(error) => bad(error),
    }
}

/// Returns the code of a revision, without types.
async fn javascript(code: &str, revision: &Revision, transformation: bool) -> Result<String, String> {
    supported(revision.language.as_deref())?;
    let typescript = revision.language.as_deref().is_some_and(|language| language.eq_ignore_ascii_case("typescript"));
    let code = code::javascript(code, typescript, revision.name()).await?;
    let is_legacy = transformation && revision.code_version.as_ref().is_some_and(is_legacy);
    Ok(if is_legacy { legacy::as_module(&code) } else { code })
}

/// Runs the test.
async fn run_test(app: &App, test_run: TestRun, taken: Taken) -> Result<TestResults, Failed> {
    let code = test_run.revision.code.as_deref().unwrap_or_default();
    let code = javascript(code, &test_run.revision, true).await.map_err(Failed::Code)?;
    let mut program = app.code.test_program(test_run.revision.name(), &code, &test_run.libraries).await?;
    program.credentials = test_run.credentials;
    let pool = app.pools.alone(program).await.map_err(|error| match error {
        AcquireError::Load(error) => Failed::Code(rows::load_words(&error)),
        AcquireError::Later(why) => Failed::Problem(Problem::overloaded(why)),
    })?;
    let mut body = Vec::new();
    let mut put = |text: Option<&RawValue>, nothing: &str| {
        let start = body.len();
        body.extend_from_slice(text.map_or(nothing, RawValue::get).as_bytes());
        start..body.len()
    };
    let events: Vec<Row> = test_run
        .samples
        .iter()
        .map(|sample| Row {
            event: put(sample.message.as_deref(), "null"),
            metadata: put(sample.metadata.as_deref(), "{}"),
        })
        .collect();
    let places = events.clone();
    let body = Arc::new(body);
    let room = taken.room.guard();
    let rows = Rows { body: body.clone(), events, one_line: false, guard: Some(room.clone()) };
    let answer = pool.transform(rows).await.map_err(|error| Failed::Problem(Problem::overloaded(error.to_string())))?;
    let mut memory = app.memory.hold();
    if !memory.grow_to(answer.memory.as_ref().map_or(0, Reservation::bytes) * (COPIES - 1)) {
        return Err(Failed::Problem(no_memory()));
    }
    let guard: Arc<dyn Any + Send + Sync> = Arc::new((room, answer.memory, memory));
    let mut results = Vec::new();
    let logs = answer.logs.split(|byte| *byte == b'\n').filter_map(log_line).collect();
    if let Some(failure) = of_the_whole_batch(&answer.outcomes) {
        let metadata = RawValue::from_string("{}".to_owned()).expect("it is JSON");
        results.push(EventResult { output: Err(rows::words(failure)), metadata });
        return Ok(TestResults { results, logs, guard });
    }
    for outcome in answer.outcomes {
        match outcome {
            UnitResult::Rows(rows) => {
                #[derive(Deserialize)]
                struct Out {
                    output: Box<RawValue>,
                    metadata: Box<RawValue>,
                }
                let text = [b"[", rows.strip_suffix(b",").unwrap_or(&rows), b"]"].concat();
                let rows: Vec<Out> = serde_json::from_slice(&text).map_err(|error| Failed::Code(error.to_string()))?;
                results
                    .extend(rows.into_iter().map(|row| EventResult { output: Ok(row.output), metadata: row.metadata }));
            }
            UnitResult::Failed(index, failure) => {
                let metadata = String::from_utf8_lossy(&body[places[index].metadata.clone()]).into_owned();
                let metadata = RawValue::from_string(metadata).expect("it came as JSON");
                results.push(EventResult { output: Err(about_message(&failure)), metadata });
            }
            UnitResult::Dropped(_) => {}
        }
    }
    Ok(TestResults { results, logs, guard })
}

/// Formats a log line as `Log: …`. A level other than `log` replaces `Log`.
fn log_line(line: &[u8]) -> Option<String> {
    let LogLine { level, message } = serde_json::from_slice(line).ok()?;
    let mut level = level.chars();
    let first = level.next()?.to_uppercase();
    Some(format!("{first}{}: {message}", level.as_str()))
}
