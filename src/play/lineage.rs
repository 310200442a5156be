//! Lineage for the page, as in `sluicegate lineage`: which outputs each typed field reaches, and the
//! source of each output.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::api::{RecordedAnswer, RunRequest, Shared, body, events, metadata};
use super::{Playground, Problem};
use crate::explore::lineage::{LineageSetup, Report, run};
use crate::workers::{self, RunError};
use sluicegate_engine::Options;

/// The time limit for varying the values, because the page waits for the result.
const TIME: Duration = Duration::from_secs(4);

/// The number of events of each kind that are analyzed in detail.
const PER_KIND: usize = 4;

/// The most processes that share the work.
const MAX_WORKERS: usize = 2;

/// Measures the lineage of the typed code over the typed events.
pub(super) async fn measure(
    State(playground): State<Shared>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> RecordedAnswer<Value> {
    let request: RunRequest = body(&headers, bytes)?;
    // If the page cancels the request, this future is dropped here; an analysis that has started runs to its end.
    let turn = playground.long_work.clone().lock_owned().await;
    let work = move || {
        let _turn = turn;
        measured(&playground, &request)
    };
    let done = tokio::task::spawn_blocking(work).await;
    let report = done.unwrap_or_else(|_| Err(Problem::new("the measurement gave up")));
    Ok(Json(report.map_or_else(|problem| json!({ "problem": problem }), |report| as_json(&report))))
}

fn measured(playground: &Playground, request: &RunRequest) -> Result<Report, Problem> {
    let typed = events(&request.events)?;
    let parsed =
        typed.iter().enumerate().filter_map(|(at, text)| Some((at as u64 + 1, serde_json::from_str(text).ok()?)));
    let events: Vec<(u64, Value)> = parsed.filter(|(_, event): &(u64, Value)| event.is_object()).collect();
    if events.is_empty() {
        return Err(Problem::new("lineage is about the fields of objects, and there is none among the events"));
    }
    let mut ready = playground.project.ready(&request.draft)?;
    ready.program.metadata = metadata(&request.metadata)?.or(ready.program.metadata);
    let failed = |error| match error {
        RunError::Load(error) => Problem::from_load_error(error),
        error => Problem::new(error.to_string()),
    };
    // No network, whatever the settings allow, because an analysis runs the code hundreds of times.
    let options = Options { limits: ready.options.limits.clone(), ..Options::default() };
    let (loaded, _) = workers::check(&ready.program, &options, playground.sandbox).map_err(failed)?;
    let setup = LineageSetup {
        program: ready.program,
        options,
        export: loaded.export,
        answers: BTreeMap::new(),
        time: TIME,
        per_kind: PER_KIND,
        jitless: playground.sandbox.jitless,
        require_sandbox: playground.sandbox.require,
        workers: std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS),
    };
    run(&setup, events, &mut |_| {}).map_err(failed)
}

fn as_json(report: &Report) -> Value {
    let [ok, dropped, failed] = report.verdicts;
    json!({
        "events": { "all": report.events, "ok": ok, "dropped": dropped, "failed": failed, "firstFailure": report.failure },
        "runs": report.runs,
        "edges": report.edges,
        "decides": report.decides,
        "reads": report.reads,
        "came": report.came,
        "neverRead": report.unread(),
        "personal": report.hints,
        "unexplained": report.unexplained,
        "untested": report.untested,
        "changesByItself": report.unstable,
        "stateful": report.stateful,
        "unanswered": report.unanswered,
    })
}
