//! Customer.io's Track API: persons, objects, events and deletes, in batches.
//!
//! The API's limits are checked here, so that a row over a limit fails alone and not with its whole batch.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::config::{CustomerioConfig, SinkConfig};
use super::super::error::{Error, Result};
use super::super::event::Output;
use super::super::row::{Columns, as_text, text};
use super::http::{self, Answer, Endpoint};
use super::{ItemAnswer, Reply};

/// The most bytes of an object.
const MAX_ITEM: usize = 32_000;

/// The most attributes of an object.
const MAX_ATTRIBUTES: usize = 300;

/// The most bytes of an id, and of an attribute's name.
const MAX_NAME: usize = 150;

/// The most bytes of an attribute's text.
const MAX_VALUE: usize = 1000;

/// The sink.
pub struct Customerio {
    endpoint: Endpoint,
    object_type: String,
    by_email: bool,
    convert_dates: bool,
}

type Item = std::result::Result<Vec<u8>, String>;

impl Customerio {
    /// Reads the secret and creates the client.
    pub fn open(config: &CustomerioConfig, sink: &SinkConfig, dry: bool) -> Result<Self> {
        let auth = config.auth.read(dry)?;
        if !dry && !auth.contains(':') {
            return Err(Error::new(format!("the auth of the sink {} is not site_id:api_key", sink.name))
                .help("Customer.io shows both under Settings, API Credentials, Tracking API Key"));
        }
        let mut headers = HeaderMap::new();
        let (name, value) = http::header(AUTHORIZATION.as_str(), &format!("Basic {}", STANDARD.encode(auth)))?;
        headers.insert(name, value);
        let endpoint = Endpoint::new(sink, Method::POST, http::url(&config.url, "/api/v2/batch", dry)?, headers)?;
        let CustomerioConfig { object_type, by_email, convert_dates, .. } = config.clone();
        Ok(Self { endpoint, object_type, by_email, convert_dates })
    }

    /// Returns the endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the item of an event.
    pub fn item(&self, event: &Output<'_>) -> Item {
        let kind = event.kind();
        let item = match &*kind {
            "identify" => self.person(event, "traits"),
            "track" => self.track(event),
            "group" => self.object(event),
            "record" => match event.fields.text("action").as_deref() {
                Some("delete") => self.delete(event),
                Some("insert" | "update") => self.person(event, "fields"),
                action => Err(format!(
                    "a record event has the action {}; Customer.io takes insert, update and delete",
                    action.unwrap_or("null")
                )),
            },
            "" => Err("the event has no type".to_owned()),
            _ => Err(format!("Customer.io takes identify, track, group and record; this is a {kind} event")),
        }?;
        if item.len() > MAX_ITEM {
            return Err(format!("it has {} bytes; Customer.io takes {MAX_ITEM}", item.len()));
        }
        Ok(item)
    }

    fn person_id(&self, out: &mut Vec<u8>, event: &Output<'_>) -> std::result::Result<(), String> {
        let id = event.id("userId").ok_or("it has no userId, which Customer.io knows a person by")?;
        check_name("its userId", &id)?;
        out.extend_from_slice(if self.by_email { b"\"identifiers\":{\"email\":" } else { b"\"identifiers\":{\"id\":" });
        text(out, &id);
        out.push(b'}');
        Ok(())
    }

    fn person(&self, event: &Output<'_>, attributes: &str) -> Item {
        let mut out = b"{\"type\":\"person\",\"action\":\"identify\",".to_vec();
        self.person_id(&mut out, event)?;
        self.attributes(&mut out, event, attributes)?;
        out.push(b'}');
        Ok(out)
    }

    fn track(&self, event: &Output<'_>) -> Item {
        let mut out = b"{\"type\":\"person\",\"action\":\"event\",".to_vec();
        self.person_id(&mut out, event)?;
        let name = event.id("event").ok_or("a track event needs a name, in event")?;
        out.extend_from_slice(b",\"name\":");
        text(&mut out, &name);
        if let Some(time) = event.fields.value("timestamp") {
            let seconds = unix_seconds(time)
                .ok_or_else(|| format!("its timestamp, {}, is no point in time with a zone", as_text(time)))?;
            out.extend_from_slice(format!(",\"timestamp\":{seconds}").as_bytes());
        }
        self.attributes(&mut out, event, "properties")?;
        out.push(b'}');
        Ok(out)
    }

    fn object_id(&self, out: &mut Vec<u8>, event: &Output<'_>) -> std::result::Result<(), String> {
        let id = event.id("groupId").ok_or("a group event needs groupId, which Customer.io knows an object by")?;
        check_name("its groupId", &id)?;
        out.extend_from_slice(b"\"identifiers\":{\"object_type_id\":");
        text(out, &self.object_type);
        out.extend_from_slice(b",\"object_id\":");
        text(out, &id);
        out.push(b'}');
        Ok(())
    }

    fn object(&self, event: &Output<'_>) -> Item {
        let mut out = b"{\"type\":\"object\",\"action\":\"identify\",".to_vec();
        self.object_id(&mut out, event)?;
        self.attributes(&mut out, event, "traits")?;
        if event.id("userId").is_some() {
            out.extend_from_slice(b",\"cio_relationships\":[{");
            self.person_id(&mut out, event)?;
            out.extend_from_slice(b"}]");
        }
        out.push(b'}');
        Ok(out)
    }

    fn delete(&self, event: &Output<'_>) -> Item {
        let is_object = event.id("groupId").is_some();
        let mut out = format!("{{\"type\":\"{}\",\"action\":\"delete\",", if is_object { "object" } else { "person" });
        let mut ids = Vec::new();
        if is_object { self.object_id(&mut ids, event) } else { self.person_id(&mut ids, event) }?;
        out.push_str(&String::from_utf8_lossy(&ids));
        out.push('}');
        Ok(out.into_bytes())
    }

    fn attributes(&self, out: &mut Vec<u8>, event: &Output<'_>, field: &str) -> std::result::Result<(), String> {
        let value = event.fields.value(field);
        let Columns(attributes) = match value.map(|value| serde_json::from_str(value.get())) {
            Some(Ok(attributes)) => attributes,
            Some(Err(_)) => return Err(format!("its {field} are no object")),
            None => Columns(Vec::new()),
        };
        if attributes.len() > MAX_ATTRIBUTES {
            return Err(format!("it has {} attributes; Customer.io takes {MAX_ATTRIBUTES}", attributes.len()));
        }
        out.extend_from_slice(b",\"attributes\":{");
        for (index, (name, value)) in attributes.iter().enumerate() {
            check_name("the name of an attribute", name)?;
            if index > 0 {
                out.push(b',');
            }
            text(out, name);
            out.push(b':');
            match Some(value).filter(|_| self.convert_dates).and_then(|value| zoned_seconds(value)) {
                Some(seconds) => out.extend_from_slice(seconds.to_string().as_bytes()),
                None if value.get().starts_with('"') && as_text(value).len() > MAX_VALUE => {
                    let len = as_text(value).len();
                    return Err(format!("its attribute {name} has {len} bytes; Customer.io takes {MAX_VALUE}"));
                }
                None => out.extend_from_slice(value.get().as_bytes()),
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// Sends a batch.
    pub async fn send(&self, items: &[&[u8]]) -> Reply {
        match self.endpoint.send(body(items)).await {
            Ok(answer) => reply(&answer, items.len()),
            Err(reply) => reply,
        }
    }
}

fn check_name(what: &str, name: &str) -> std::result::Result<(), String> {
    match name.len() {
        0..=MAX_NAME => Ok(()),
        len => {
            let start: String = name.chars().take(30).collect();
            Err(format!("{what}, {start}…, has {len} bytes; Customer.io takes {MAX_NAME}"))
        }
    }
}

/// Returns the Unix seconds of a string that is a point in time with a zone.
fn zoned_seconds(value: &RawValue) -> Option<i64> {
    let raw = value.get();
    // Only a string that looks like a date is parsed.
    let looks_like = raw.len() >= 22 && raw.as_bytes()[5] == b'-' && raw.as_bytes()[8] == b'-';
    if !raw.starts_with('"') || !looks_like {
        return None;
    }
    as_text(value).parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// Like `zoned_seconds`, but also accepts a number of seconds or milliseconds.
fn unix_seconds(value: &RawValue) -> Option<i64> {
    match value.get().parse::<i64>() {
        Ok(number) if number > 100_000_000_000 => Some(number / 1000),
        Ok(number) => Some(number),
        Err(_) => zoned_seconds(value),
    }
}

/// Returns the body of a batch.
pub fn body(items: &[&[u8]]) -> Vec<u8> {
    let mut body = b"{\"batch\":[".to_vec();
    body.extend_from_slice(&items.join(&b','));
    body.extend_from_slice(b"]}");
    body
}

/// The part of an answer that is read.
#[derive(Default, Deserialize)]
struct Errors<'a> {
    #[serde(borrow, default)]
    errors: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct ItemError {
    batch_index: usize,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

fn reply(answer: &Answer, count: usize) -> Reply {
    let shown = answer.shown();
    match answer.status {
        200..300 => {
            match serde_json::from_str::<Errors<'_>>(if answer.body.trim().is_empty() { "{}" } else { &answer.body }) {
                Ok(errors) if errors.errors.is_empty() && answer.status != 207 => {
                    Reply::Items(vec![ItemAnswer::Accepted; count])
                }
                Ok(errors) => item_answers(&errors, count, shown),
                Err(_) if answer.status == 207 => unsure("it answered 207 without a list of errors".to_owned(), shown),
                Err(_) => Reply::Later {
                    reason: format!("it answered {} with something that Customer.io does not say", answer.status),
                    after: None,
                },
            }
        }
        300..=399 => http::redirect(answer),
        401 | 403 => Reply::Stop {
            reason: format!("it refuses the credentials: {shown}"),
            help: "see that auth is site_id:api_key of the Track API, and that region is where the account is"
                .to_owned(),
        },
        408 | 425 | 429 | 500.. => Reply::Later { reason: format!("it answered {shown}"), after: answer.after },
        _ => Reply::Refused { reason: format!("it answered {shown}"), answer: shown, sure: true },
    }
}

/// Refuses a batch whose answer can't be matched with its items: the destination may or may not have taken them.
fn unsure(reason: String, answer: String) -> Reply {
    Reply::Refused { reason, answer, sure: false }
}

/// Matches errors with the items of a batch. An error that belongs to no item makes all items uncertain.
fn item_answers(errors: &Errors<'_>, count: usize, shown: String) -> Reply {
    let mut items = vec![ItemAnswer::Accepted; count];
    for error in &errors.errors {
        let Some(found) = serde_json::from_str::<ItemError>(error.get()).ok().filter(|error| error.batch_index < count)
        else {
            let reason = format!("an error in its answer names no item of the batch: {}", super::cut(error.get()));
            return unsure(reason, shown);
        };
        let words: Vec<&str> = [&found.reason, &found.field, &found.message]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .filter(|word| !word.is_empty())
            .collect();
        let reason = if words.is_empty() { "it gives no reason".to_owned() } else { words.join(": ") };
        items[found.batch_index] = ItemAnswer::Rejected { reason, answer: super::cut(error.get()) };
    }
    if errors.errors.is_empty() {
        return unsure("it answered 207 with an empty list of errors".to_owned(), shown);
    }
    Reply::Items(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink() -> Customerio {
        let text = "[source]\nstdin = true\nkey = \"id\"\n[[sink]]\nname = \"crm\"\nkind = \"customerio\"\nauth = \"env:PATH\"\n";
        let config = super::super::super::config::Config::parse(text, std::path::Path::new("s.toml")).unwrap();
        let url = reqwest::Url::parse("http://127.0.0.1:1/").unwrap();
        let endpoint = Endpoint::new(&config.sinks[0], Method::POST, url, HeaderMap::new()).unwrap();
        Customerio { endpoint, object_type: "1".into(), by_email: false, convert_dates: true }
    }

    fn item(event: &str) -> std::result::Result<String, String> {
        sink().item(&Output::parse(event).unwrap()).map(|item| String::from_utf8(item).unwrap())
    }

    #[test]
    fn events_become_persons_objects_and_deletes() {
        for (event, expected) in [
            (
                r#"{"type":"identify","userId":7,"traits":{"n":1.10,"at":"2026-01-02T03:04:05+01:00","day":"2026-01-02","x":null}}"#,
                r#"{"type":"person","action":"identify","identifiers":{"id":"7"},"attributes":{"n":1.10,"at":1767319445,"day":"2026-01-02","x":null}}"#,
            ),
            (
                r#"{"type":"group","userId":"u","groupId":"g","traits":{"plan":"team"}}"#,
                r#"{"type":"object","action":"identify","identifiers":{"object_type_id":"1","object_id":"g"},"attributes":{"plan":"team"},"cio_relationships":[{"identifiers":{"id":"u"}}]}"#,
            ),
            (
                r#"{"type":"track","userId":"u","event":"Order","timestamp":1767319445000,"properties":{"n":1}}"#,
                r#"{"type":"person","action":"event","identifiers":{"id":"u"},"name":"Order","timestamp":1767319445,"attributes":{"n":1}}"#,
            ),
            (
                r#"{"type":"record","action":"delete","userId":"u"}"#,
                r#"{"type":"person","action":"delete","identifiers":{"id":"u"}}"#,
            ),
            (
                r#"{"type":"record","action":"update","userId":"u","fields":{"a":"b"}}"#,
                r#"{"type":"person","action":"identify","identifiers":{"id":"u"},"attributes":{"a":"b"}}"#,
            ),
        ] {
            assert_eq!(item(event).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_it_cannot_take_says_why() {
        let long = "x".repeat(1001);
        for (event, reason) in [
            (r#"{"type":"group","userId":"u"}"#.to_owned(), "a group event needs groupId"),
            (r#"{"type":"identify","traits":{}}"#.to_owned(), "it has no userId"),
            (r#"{"type":"page","userId":"u"}"#.to_owned(), "this is a page event"),
            (r#"{"type":"identify","userId":"u","traits":7}"#.to_owned(), "its traits are no object"),
            (
                format!(r#"{{"type":"identify","userId":"u","traits":{{"a":"{long}"}}}}"#),
                "its attribute a has 1001 bytes",
            ),
            (format!(r#"{{"type":"identify","userId":"{long}"}}"#), "has 1001 bytes; Customer.io takes 150"),
            (
                format!(r#"{{"type":"identify","userId":"u","traits":{{"a":[{}0]}}}}"#, "0,".repeat(20_000)),
                "bytes; Customer.io takes 32000",
            ),
        ] {
            let error = item(&event).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn an_answer_is_about_each_item_or_about_the_batch() {
        let reply = |status, body: &str| reply(&Answer { status, body: body.to_owned(), ..Answer::default() }, 2);
        assert_eq!(reply(200, "{}"), Reply::Items(vec![ItemAnswer::Accepted; 2]));
        assert_eq!(reply(200, ""), Reply::Items(vec![ItemAnswer::Accepted; 2]));
        for status in [200, 207] {
            let answer = r#"{"errors":[{"batch_index":1,"reason":"invalid","field":"id","message":"too long"}]}"#;
            let Reply::Items(items) = reply(status, answer) else { panic!("{status}") };
            assert_eq!(items[0], ItemAnswer::Accepted);
            assert!(matches!(&items[1], ItemAnswer::Rejected { reason, .. } if reason == "invalid: id: too long"));
        }
        for body in [r#"{"errors":[{"batch_index":2}]}"#, r#"{"errors":[{"reason":"x"}]}"#, r#"{"errors":[]}"#, "oops"]
        {
            assert!(matches!(reply(207, body), Reply::Refused { sure: false, .. }), "{body}");
        }
        assert!(matches!(reply(200, "<html>"), Reply::Later { .. }));
        assert!(matches!(reply(302, ""), Reply::Stop { .. }));
        assert!(matches!(reply(401, ""), Reply::Stop { .. }));
        assert!(matches!(reply(400, ""), Reply::Refused { sure: true, .. }));
        assert!(matches!(reply(429, ""), Reply::Later { .. }));
        assert!(matches!(reply(503, ""), Reply::Later { .. }));
    }
}
