//! Traces over OTLP: what a collector gets, and that a collector that is down has no effect.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::client::{JSON, Server, event, events};
use crate::support::Dir;
use crate::support::web_server::{RecordedRequest, Reply, Web};

const CODE: &str =
    "export function transformEvent(e) { if (e.n === 1) throw new Error('no'); return e.n === 2 ? null : e; }";

fn server(endpoint: &str) -> Server {
    let dir = Dir::new();
    dir.file("code/v1.js", CODE);
    dir.file("code/v2.js", CODE);
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    Server::start(dir, &["--dir", "code"], &variables)
}

fn end(server: Server) {
    server.signal(libc::SIGTERM);
    assert_eq!(server.end(), 0);
}

/// Spans with their attributes as plain values, and the name of the service.
fn spans(asked: &[RecordedRequest]) -> (Vec<Value>, Value) {
    let plain = |attributes: &Value| -> Value {
        let pairs = attributes.as_array().into_iter().flatten().map(|pair| {
            let value = pair["value"].as_object().unwrap().values().next().unwrap();
            // In OTLP's JSON, integers are strings.
            let value = value.as_str().and_then(|text| text.parse::<i64>().ok()).map_or(value.clone(), Value::from);
            (pair["key"].as_str().unwrap().to_owned(), value)
        });
        Value::Object(pairs.collect())
    };
    let mut found = Vec::new();
    let mut resource = Value::Null;
    for message in asked {
        assert_eq!((message.path.as_str(), message.header("content-type")), ("/v1/traces", Some("application/json")));
        let message: Value = serde_json::from_str(&message.body).unwrap();
        for part in message["resourceSpans"].as_array().unwrap() {
            resource = plain(&part["resource"]["attributes"]);
            for scope in part["scopeSpans"].as_array().unwrap() {
                for span in scope["spans"].as_array().unwrap() {
                    let mut span = span.clone();
                    span["attributes"] = plain(&span["attributes"]);
                    found.push(span);
                }
            }
        }
    }
    (found, resource)
}

#[test]
fn a_request_and_its_groups_are_spans_of_the_callers_trace() {
    let collector = Web::start(|_| Reply::json("{}"));
    let server = server(&collector.url(""));
    let (trace, caller) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let parent = format!("00-{trace}-{caller}-01");
    let mut body: Vec<Value> = events("v1", 4).as_array().unwrap().clone();
    let mut other = event("v2", json!({ "n": 1 }), "other");
    other["metadata"]["destinationId"] = json!("elsewhere");
    body.push(other);
    let headers = [JSON, &[("traceparent", parent.as_str()), ("X-Request-ID", "r7")]].concat();
    let answer = server.send("POST", "/customTransform", &headers, json!(body).to_string().as_bytes());
    assert_eq!(answer.status, 200);
    server.get("/nothing").problem(404);
    end(server);

    let (spans, resource) = spans(&collector.requests());
    assert_eq!(resource["service.name"], "sluicegate");
    let named = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    let [request] = named("POST /customTransform")[..] else { panic!("{spans:#?}") };
    assert_eq!((&request["traceId"], &request["parentSpanId"]), (&json!(trace), &json!(caller)));
    assert_eq!(request["kind"], 2, "of a server");
    assert_eq!(request["attributes"]["http.response.status_code"], 200);
    assert_eq!(request["attributes"]["sluicegate.request.id"], "r7");
    let groups = named("group");
    assert_eq!(groups.len(), 2);
    for group in &groups {
        assert_eq!((&group["traceId"], &group["parentSpanId"]), (&json!(trace), &request["spanId"]));
    }
    let group =
        |version| groups.iter().find(|group| group["attributes"]["sluicegate.transformation"] == version).unwrap();
    let counts = |version| {
        let attributes = &group(version)["attributes"];
        ["sluicegate.events", "sluicegate.events.ok", "sluicegate.events.dropped", "sluicegate.events.failed"]
            .map(|key| attributes[key].as_i64().unwrap())
    };
    assert_eq!((counts("v1"), counts("v2")), ([4, 2, 1, 1], [1, 0, 0, 1]));
    // A request without a trace starts a new one.
    let [other] = named("GET other")[..] else { panic!("{spans:#?}") };
    assert_ne!(other["traceId"], json!(trace));
}

#[test]
fn a_collector_that_is_down_or_silent_costs_nothing() {
    // The kernel accepts connections for the listener, which never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    for endpoint in ["http://127.0.0.1:1", &silent] {
        let server = server(endpoint);
        for _ in 0..30 {
            assert_eq!(server.rows(&events("v1", 40)).len(), 40);
        }
        assert_eq!(server.metric("sluicegate_events_total{verdict=\"ok\",kind=\"\"}") as u64, 30 * 38);
        end(server);
    }
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    let dir = Dir::new();
    for (name, value, says) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf and http/json are supported"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "no url", "cannot send traces"),
    ] {
        let mut command = dir.command(&["serve", "--dir", ".", "--listen", "127.0.0.1:0"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1").env(name, value);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(says), "{name}: {said}");
    }
}
