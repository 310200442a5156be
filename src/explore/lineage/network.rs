//! The network of an observed run: requests are recorded and answered from recorded answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value, json};

use super::Answer;
use sluicegate_engine::Network;

/// A network with recorded answers.
#[derive(Default)]
pub(super) struct Recorded {
    answers: BTreeMap<String, Answer>,
    /// Whether answers are marked with their source.
    recording: bool,
    /// `{source: {"status": …, "body": …}}` for the current input.
    bodies: Value,
    waiting: VecDeque<(u64, String)>,
    /// The requests by host, in the order in which they were sent.
    pub(super) requests: Map<String, Value>,
    pub(super) unanswered: BTreeSet<String>,
}

impl Recorded {
    pub(super) fn new(answers: BTreeMap<String, Answer>) -> Self {
        Self { answers, ..Self::default() }
    }

    /// Starts the run of an input, with these answers.
    pub(super) fn begin(&mut self, bodies: &Value, recording: bool) {
        self.recording = recording;
        self.bodies = bodies.clone();
        self.waiting.clear();
        self.requests = Map::new();
    }

    /// Returns the key of the recorded answer to a request: the one with
    /// the same URL, otherwise the one with the longest common prefix.
    fn source(&self, method: &str, url: &str) -> Option<&String> {
        let exact = [url.to_owned(), format!("{method} {url}")];
        if let Some(key) = self.answers.keys().find(|key| exact.contains(key)) {
            return Some(key);
        }
        let host = host(url);
        let common = |key: &str| {
            let key = key.rsplit(' ').next().unwrap_or(key);
            key.bytes().zip(url.bytes()).take_while(|(a, b)| a == b).count()
        };
        let near = self.answers.keys().filter(|key| common(key) >= host.len());
        near.max_by_key(|key| common(key))
    }

    fn answer(&mut self, request: &str) -> Option<String> {
        let request: Value = serde_json::from_str(request).ok()?;
        if let Some(ip) = request["geolocation"].as_str() {
            self.note("geolocation", json!({ "ip": ip }));
            let key = "geolocation";
            if !self.answers.contains_key(key) {
                self.unanswered.insert(key.to_owned());
            }
            let body = self.bodies[key]["body"].clone();
            let body = if body.is_null() { json!({}) } else { body };
            return Some(json!({ "url": "", "status": 200, "headers": {}, "body": body.to_string() }).to_string());
        }
        let (url, method) = (request["url"].as_str()?, request["method"].as_str().unwrap_or("GET"));
        let mut shown = json!({ "url": url });
        if method != "GET" {
            shown["method"] = json!(method);
        }
        let headers: Map<String, Value> = request["headers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|pair| Some((pair[0].as_str()?.to_lowercase(), pair[1].clone())))
            .collect();
        if !headers.is_empty() {
            shown["headers"] = Value::Object(headers);
        }
        if let Some(body) = request["body"].as_str() {
            shown["body"] = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
        }
        let host = host(url).to_owned();
        self.note(&host, shown);
        let key = match self.source(method, url) {
            Some(key) => key.clone(),
            None => {
                self.unanswered.insert(host.clone());
                host
            }
        };
        let known = &self.bodies[&key];
        let status = known["status"].as_f64().filter(|status| (100.0..1000.0).contains(status)).unwrap_or(200.0);
        let body = match &known["body"] {
            Value::Null => "{}".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut headers: Map<String, Value> =
            self.answers.get(&key).map(|answer| answer.headers.clone()).unwrap_or_default();
        if self.recording {
            headers.insert("sluicegate-lineage-source".to_owned(), json!(key));
        }
        Some(json!({ "url": url, "status": status as u16, "headers": headers, "body": body }).to_string())
    }

    fn note(&mut self, host: &str, request: Value) {
        match self.requests.get_mut(host) {
            Some(Value::Array(list)) => list.push(request),
            _ => {
                self.requests.insert(host.to_owned(), json!([request]));
            }
        }
    }
}

/// Returns the scheme and host of a URL: `https://api.example.com`.
fn host(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    &url[..end]
}

impl Network for Recorded {
    fn send(&mut self, id: u64, request: &str) -> Result<(), String> {
        let answer = self.answer(request).ok_or("the request cannot be read")?;
        self.waiting.push_back((id, answer));
        Ok(())
    }

    fn wait(&mut self, _over: &dyn Fn() -> bool) -> Option<(u64, String)> {
        self.waiting.pop_front()
    }

    fn forget(&mut self) {
        self.waiting.clear();
    }
}
