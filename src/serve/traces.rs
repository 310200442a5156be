//! Traces over OTLP: one span for each request, with a child span for each group of events.
//!
//! Tracing is off unless OpenTelemetry's own variables name a collector. It never delays a request: spans go into a
//! bounded queue, from which a thread of the SDK takes them, and a client with its own runtime sends them. While the
//! collector is down, spans are dropped, and one message is logged.
//!
//! A request with a `traceparent` header continues its client's trace.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use axum::http::{self, HeaderMap, Request};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::tally::Tally;

/// The time limit of one message to the collector.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the server waits during shutdown for the last spans to be sent.
const FAREWELL: Duration = Duration::from_secs(3);

/// Sends spans to the collector.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
    runtime: Option<tokio::runtime::Runtime>,
}

/// Returns whether the environment names a collector.
///
/// # Errors
/// When the environment asks for something that is not supported; the message says what.
pub fn are_wanted(variable: &dyn Fn(&str) -> Option<String>) -> Result<bool, String> {
    let says = |name: &str, word: &str| variable(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(word));
    let named = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    if !named.iter().any(|name| variable(name).is_some())
        || says("OTEL_SDK_DISABLED", "true")
        || says("OTEL_TRACES_EXPORTER", "none")
    {
        return Ok(false);
    }
    let protocol = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    match protocol.iter().find_map(|name| variable(name).map(|value| (name, value))) {
        Some((name, value)) if !matches!(value.trim(), "http/protobuf" | "http/json") => {
            Err(format!("the environment variable {name} is `{value}`: http/protobuf and http/json are supported"))
        }
        _ => Ok(true),
    }
}

impl Traces {
    /// Starts sending to the collector named in the environment. `instance` identifies this server.
    ///
    /// # Errors
    /// When no client can be built for it; the message says why.
    pub fn start(instance: &str) -> Result<Self, String> {
        let words = |error: &dyn fmt::Display| format!("cannot send traces: {error}");
        // Another part of the program may have installed a provider already; both work.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(|error| words(&error))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("traces")
            .enable_all()
            .build()
            .map_err(|error| words(&error))?;
        let sender = Sender { client, runtime: runtime.handle().clone(), is_down: Arc::new(AtomicBool::new(false)) };
        let exporter =
            SpanExporter::builder().with_http().with_http_client(sender).build().map_err(|error| words(&error))?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("sluicegate");
        }
        let resource = resource.with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance.to_owned()),
        ]);
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
        let tracer = provider.tracer("sluicegate");
        Ok(Self { provider, tracer, propagator: TraceContextPropagator::new(), runtime: Some(runtime) })
    }

    /// Starts the span of a request. `path` is one of a fixed set.
    pub(super) fn request(&self, request: &Request<Body>, path: &'static str) -> Trace {
        let parent = self.propagator.extract_with_context(&Context::new(), &HeaderExtractor(request.headers()));
        let method = request.method().as_str().to_owned();
        let builder = self
            .tracer
            .span_builder(format!("{method} {path}"))
            .with_kind(SpanKind::Server)
            .with_attributes([KeyValue::new("http.request.method", method), KeyValue::new("http.route", path)]);
        let span = builder.start_with_context(&self.tracer, &parent);
        Trace { tracer: self.tracer.clone(), context: parent.with_span(span) }
    }

    /// Records a finished piece of work and its steps.
    pub fn record(&self, work: Work, steps: Vec<Work>) {
        let span = self.span(&work, &Context::new());
        let context = Context::new().with_span(span);
        for step in steps {
            self.span(&step, &context).end_with_timestamp(step.end);
        }
        context.span().end_with_timestamp(work.end);
    }

    fn span(&self, work: &Work, parent: &Context) -> opentelemetry_sdk::trace::Span {
        let attributes = work.counts.iter().map(|(name, count)| {
            KeyValue::new(format!("sluicegate.{name}"), i64::try_from(*count).unwrap_or(i64::MAX))
        });
        let builder = self.tracer.span_builder(work.name.clone()).with_start_time(work.start);
        let mut span = builder.with_attributes(attributes).start_with_context(&self.tracer, parent);
        if let Some(error) = &work.error {
            span.set_status(Status::error(error.clone()));
        }
        span
    }

    /// Sends the remaining spans; blocks for a short time.
    pub fn end(&self) {
        if self.provider.shutdown_with_timeout(FAREWELL).is_err() {
            tracing::debug!("the last spans were not sent");
        }
    }
}

/// A finished piece of work.
pub struct Work {
    /// Its name.
    pub name: String,
    /// When it started.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// Counts, by name.
    pub counts: Vec<(String, u64)>,
    /// The error; `None` if the work succeeded.
    pub error: Option<String>,
}

impl Drop for Traces {
    fn drop(&mut self) {
        // The last reference may be dropped where blocking is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An open span and its context. It ends when it is dropped.
#[derive(Clone)]
pub(super) struct Trace {
    tracer: SdkTracer,
    context: Context,
}

/// The span of a group; it ends when it is dropped.
pub(super) struct GroupSpan(Context);

impl Trace {
    /// Records the answer to the request.
    pub(super) fn answered(&self, id: &str, status: u16) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("sluicegate.request.id", id.to_owned()));
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// Starts the span of a group of events of this request.
    pub(super) fn group(&self, version: &str, events: usize) -> GroupSpan {
        let builder = self.tracer.span_builder("group").with_attributes([
            KeyValue::new("sluicegate.transformation", version.to_owned()),
            KeyValue::new("sluicegate.events", i64::try_from(events).unwrap_or(i64::MAX)),
        ]);
        GroupSpan(self.context.with_span(builder.start_with_context(&self.tracer, &self.context)))
    }
}

impl GroupSpan {
    /// Records the results of the events. Failed events are the code's fault, so they do not mark the span as failed.
    pub(super) fn done(&self, tally: &Tally, cpu: Duration) {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let span = self.0.span();
        for (name, count) in [
            ("sluicegate.events.ok", tally.ok),
            ("sluicegate.events.dropped", tally.dropped),
            ("sluicegate.events.failed", tally.failed.iter().sum()),
        ] {
            span.set_attribute(KeyValue::new(name, number(count)));
        }
        span.set_attribute(KeyValue::new("sluicegate.cpu_seconds", cpu.as_secs_f64()));
    }
}

impl Drop for GroupSpan {
    fn drop(&mut self) {
        self.0.span().end();
    }
}

/// Sends the spans that the SDK's thread hands over.
struct Sender {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
    is_down: Arc<AtomicBool>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, is_down) = (self.client.clone(), self.is_down.clone());
        // The SDK's thread has no runtime of its own.
        let sent = self.runtime.spawn(async move {
            let answer = send(&client, request).await;
            let wrong = match &answer {
                Ok(answer) if answer.status().is_success() => None,
                Ok(answer) => Some(format!("it answered {}", answer.status())),
                Err(error) => Some(error.to_string()),
            };
            match wrong {
                // The endpoint may contain a password, so it is not logged.
                Some(why) if !is_down.swap(true, Ordering::Relaxed) => {
                    tracing::warn!(%why, "the collector of traces does not take them: they are lost until it does");
                }
                None if is_down.swap(false, Ordering::Relaxed) => tracing::info!("the collector of traces is back"),
                _ => {}
            }
            answer
        });
        sent.await?
    }
}

async fn send(client: &reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let request: reqwest::Request = request.map(reqwest::Body::from).try_into()?;
    let mut answer = client.execute(request).await.map_err(reqwest::Error::without_url)?;
    let mut built = http::Response::builder().status(answer.status());
    if let Some(headers) = built.headers_mut() {
        *headers = std::mem::take::<HeaderMap>(answer.headers_mut());
    }
    // The body is ignored, but read to the end within a limit.
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > 1 << 20 {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(built.body(body.into())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(variables: &[(&str, &str)]) -> Result<bool, String> {
        are_wanted(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_standard_variables_decide() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert_eq!(wanted(&[]), Ok(false));
        assert_eq!(wanted(&[("OTEL_SERVICE_NAME", "x")]), Ok(false));
        assert_eq!(wanted(&[endpoint]), Ok(true));
        assert_eq!(wanted(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/v1/traces")]), Ok(true));
        assert_eq!(wanted(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]), Ok(false));
        assert_eq!(wanted(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), Ok(false));
        assert_eq!(wanted(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]), Ok(true));
        assert!(wanted(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err().contains("http/protobuf"));
        let both =
            [endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")];
        assert_eq!(wanted(&both), Ok(true));
    }
}
