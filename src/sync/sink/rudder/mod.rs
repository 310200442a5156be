//! A RudderStack data plane, which hands events on to the destinations that are set up there: `/v1/batch`, with a write key.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderValue};

use super::super::config::{RudderConfig, SinkConfig};
use super::super::error::Result;
use super::super::event::Output;
use super::http::{self, Answer, Endpoint};
use super::{ItemAnswer, Reply};

/// The most bytes of a request, before it is packed.
const MAX_BODY: usize = 4000 << 10;

/// The most bytes of an event: with what is around it, it is a request.
const MAX_EVENT: usize = MAX_BODY - 12;

/// The sink.
pub struct Rudder {
    endpoint: Endpoint,
    gzip: bool,
}

impl Rudder {
    /// Reads the secret and makes the client.
    pub fn open(config: &RudderConfig, sink: &SinkConfig, dry: bool) -> Result<Self> {
        let key = config.auth.read(dry)?;
        let mut headers = HeaderMap::new();
        // The write key is the user; there is no password.
        let (name, value) =
            http::header(AUTHORIZATION.as_str(), &format!("Basic {}", STANDARD.encode(format!("{key}:"))))?;
        headers.insert(name, value);
        if config.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let endpoint = Endpoint::new(sink, Method::POST, http::url(&config.url, "/v1/batch", dry)?, headers)?;
        Ok(Self { endpoint, gzip: config.gzip })
    }

    /// Where it sends to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What is sent of an event: all of it.
    pub fn item(&self, event: &Output<'_>) -> std::result::Result<Vec<u8>, String> {
        if event.kind().is_empty() {
            return Err("the event has no type".to_owned());
        }
        // One event without either has its whole batch refused.
        if event.id("userId").is_none() && event.id("anonymousId").is_none() {
            return Err(
                "it has no userId and no anonymousId; RudderStack takes no event without one of them".to_owned()
            );
        }
        match event.text.len() {
            0..=MAX_EVENT => Ok(event.text.as_bytes().to_vec()),
            len => Err(format!("it has {len} bytes; RudderStack takes requests of {MAX_BODY}")),
        }
    }

    /// Sends a batch.
    pub async fn send(&self, items: &[&[u8]]) -> Reply {
        let body = if self.gzip { packed(&body(items)) } else { body(items) };
        match self.endpoint.send(body).await {
            Ok(answer) => reply(&answer, items.len()),
            Err(reply) => reply,
        }
    }
}

/// The body of a batch.
pub fn body(items: &[&[u8]]) -> Vec<u8> {
    let mut body = b"{\"batch\":[".to_vec();
    body.extend_from_slice(&items.join(&b','));
    body.extend_from_slice(b"]}");
    body
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory takes what is written to it")
}

fn reply(answer: &Answer, count: usize) -> Reply {
    let shown = answer.shown();
    match answer.status {
        200..300 => Reply::Items(vec![ItemAnswer::Accepted; count]),
        300..=399 => http::redirect(answer),
        401 | 403 | 404 => Reply::Stop {
            reason: format!("it refuses this source: {shown}"),
            help: "see that auth is the write key of a source that is switched on, and that url is the data plane"
                .to_owned(),
        },
        408 | 425 | 429 | 500.. => Reply::Later { reason: format!("it answered {shown}"), after: answer.after },
        _ => Reply::Refused { reason: format!("it answered {shown}"), answer: shown, sure: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::config::{Config, SinkKind};

    #[test]
    fn an_event_goes_out_whole_if_the_data_plane_takes_it() {
        let text = "[source]\nstdin = true\nkey = \"id\"\n[[sink]]\nname = \"r\"\nkind = \"rudder\"\n\
                    url = \"http://h/\"\nauth = \"env:PATH\"\n";
        let config = Config::parse(text, std::path::Path::new("s.toml")).unwrap_or_else(|error| panic!("{error}"));
        let SinkKind::Rudder(own) = &config.sinks[0].kind else { panic!("it is a data plane") };
        let sink = Rudder::open(own, &config.sinks[0], false).unwrap_or_else(|error| panic!("{error}"));
        let item = |event: &str| sink.item(&Output::parse(event).unwrap());
        let event = r#"{"type":"identify","userId":"u","n":1.10}"#;
        assert_eq!(item(event).as_deref(), Ok(event.as_bytes()));
        assert!(item(r#"{"userId":"u"}"#).unwrap_err().contains("no type"));
        assert!(item(r#"{"type":"track"}"#).unwrap_err().contains("no userId and no anonymousId"));
        let large = format!(r#"{{"type":"track","userId":"u","x":"{}"}}"#, "x".repeat(4_096_000));
        assert!(item(&large).unwrap_err().contains("RudderStack takes requests of 4096000"));
    }
}
