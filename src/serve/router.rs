//! Maps paths to handlers, and adds the headers that all answers have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use tracing::Instrument;

use super::App;
use super::problem::Problem;
use super::transform::custom_transform;
use super::{test_run, test_token};

/// Clients reject answers without this header.
const API_VERSION: HeaderName = HeaderName::from_static("apiversion");
const RESPONSE_TIME: HeaderName = HeaderName::from_static("x-response-time");
const INSTANCE: HeaderName = HeaderName::from_static("x-instance-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is accepted from a client.
const MAX_ID_LEN: usize = 128;

/// The paths with their own metrics.
const PATHS: &[&str] = &[
    "/customTransform",
    "/transformation/test",
    "/transformation/testRun",
    "/transformationLibrary/test",
    "/transformation/sethandle",
    "/extractLibs",
    "/health",
    "/version",
    "/buildVersion",
    "/transformerBuildVersion",
    "/features",
    "/metrics",
];

/// Returns all routes. `extra_routes` adds routes below the same middleware.
pub fn new(app: Arc<App>, extra_routes: Option<Router>) -> Router {
    let tests = Router::new()
        .route("/transformation/test", post(test_run::test))
        .route("/transformation/testRun", post(test_run::test_run))
        .route("/transformationLibrary/test", post(test_run::library))
        .route("/transformation/sethandle", post(test_run::set_handle))
        .route("/extractLibs", post(test_run::extract_libs))
        .route_layer(middleware::from_fn_with_state(app.clone(), test_token::require));
    let with_bodies =
        Router::new().route("/customTransform", post(custom_transform)).merge(tests).with_state(app.clone());
    let version = || async { env!("CARGO_PKG_VERSION") };
    let without = Router::new()
        .route("/health", get(health))
        .route("/version", get(version))
        .route("/buildVersion", get(version))
        .route("/transformerBuildVersion", get(version))
        .route("/features", get(features))
        .route("/metrics", get(metrics))
        .with_state(app.clone());
    let mut all = with_bodies.merge(without);
    if let Some(extra_routes) = extra_routes {
        all = all.merge(extra_routes);
    }
    let nothing = |request: Request<Body>| async move {
        Problem::request(StatusCode::NOT_FOUND, format!("there is nothing at {}", request.uri().path()))
    };
    let not_so = |method: Method, request: Request<Body>| async move {
        let message = format!("{} does not answer {method}", request.uri().path());
        Problem::request(StatusCode::METHOD_NOT_ALLOWED, message)
    };
    all.fallback(nothing).method_not_allowed_fallback(not_so).layer(middleware::from_fn_with_state(app, around))
}

async fn health() -> Response {
    axum::Json(json!({ "service": "UP", "version": env!("CARGO_PKG_VERSION") })).into_response()
}

async fn features() -> Response {
    axum::Json(json!({
        "routerTransform": {},
        "regulations": [],
        "supportSourceTransformV1": true,
        "supportTransformerProxyV1": true,
        "upgradedToSourceTransformV2": true,
        "supportDestTransformCompactedPayloadV1": true,
    }))
    .into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], app.metrics.text(&app)).into_response()
}

/// Wraps every request: assigns its id, measures its time and counts it.
async fn around(State(app): State<Arc<App>>, mut request: Request<Body>, next: Next) -> Response {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let started = Instant::now();
    let path = PATHS.iter().find(|path| **path == request.uri().path()).copied().unwrap_or("other");
    let theirs = request.headers().get(&REQUEST_ID).filter(|id| id.len() <= MAX_ID_LEN).cloned();
    let id = theirs.unwrap_or_else(|| {
        // Cached, because reading the process id is a system call.
        static PROCESS: LazyLock<u32> = LazyLock::new(std::process::id);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        HeaderValue::from_str(&format!("{:x}-{count:x}", *PROCESS)).expect("digits")
    });
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default(), path);
    let trace = app.traces.as_ref().map(|traces| traces.request(&request, path));
    if let Some(trace) = &trace {
        request.extensions_mut().insert(trace.clone());
    }
    let mut response = next.run(request).instrument(span.clone()).await;
    if response.status().is_client_error() && !response.headers().contains_key(header::CONTENT_TYPE) {
        // The layer that answered adds no message.
        response = Problem::request(response.status(), "the request cannot be answered").into_response();
    }
    let elapsed = started.elapsed();
    let headers = response.headers_mut();
    headers.insert(API_VERSION, HeaderValue::from_static("2"));
    headers.insert(INSTANCE, app.instance.clone());
    headers.insert(REQUEST_ID, id.clone());
    if let Ok(time) = HeaderValue::from_str(&format!("{}ms", elapsed.as_millis())) {
        headers.insert(RESPONSE_TIME, time);
    }
    let status = response.status().as_u16();
    app.metrics.request(path, status);
    if let Some(trace) = trace {
        trace.answered(id.to_str().unwrap_or_default(), status);
    }
    span.in_scope(|| {
        let micros = elapsed.as_micros() as u64;
        if status >= 400 {
            tracing::info!(status, micros, "answered");
        } else {
            tracing::debug!(status, micros, "answered");
        }
    });
    response
}
