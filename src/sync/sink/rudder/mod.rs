//! A RudderStack data plane, which passes events on to the destinations configured there.
//!
//! With a write key, events are sent to `/v1/batch`, and no results are reported.
//! With the ids of a source and a destination, they are sent to `/internal/v1/retl`,
//! and the data plane reports the result of each event later: see [`retl`].

pub mod retl;

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderValue};

use super::super::config::{RudderConfig, RudderTo, SinkConfig};
use super::super::error::Result;
use super::super::event::Output;
use super::http::{self, Answer, Endpoint, Request};
use super::{ItemAnswer, Reply};
use retl::Retl;

/// The most bytes of a request before compression.
const MAX_BODY: usize = 4000 << 10;

/// The most bytes of an event, so that a request with one event is within the limit.
const MAX_EVENT: usize = MAX_BODY - 12;

/// The sink.
pub struct Rudder {
    endpoint: Endpoint,
    gzip: bool,
    retl: Option<Retl>,
}

impl Rudder {
    /// Reads the secrets and creates the client. `run` is the id of the run in events.
    pub fn open(config: &RudderConfig, sink: &SinkConfig, dry: bool, run: &str) -> Result<Self> {
        let mut headers = HeaderMap::new();
        for (name, text) in &config.headers {
            let (name, value) = http::header(name, &text.read(dry)?)?;
            headers.insert(name, value);
        }
        let (path, retl) = match &config.to {
            RudderTo::Source(key) => {
                // The write key is the user; there is no password.
                let key = STANDARD.encode(format!("{}:", key.read(dry)?));
                let (name, value) = http::header(AUTHORIZATION.as_str(), &format!("Basic {key}"))?;
                headers.insert(name, value);
                ("/v1/batch", None)
            }
            RudderTo::Destination { source_id, destination_id, status_timeout } => {
                let ids = (source_id.read(dry)?, destination_id.read(dry)?);
                let base = http::url(&config.url, "/", dry)?;
                (retl::PATH, Some(Retl::new(ids, base, run, *status_timeout, &mut headers)?))
            }
        };
        let endpoint = Endpoint::new(sink, Method::POST, http::url(&config.url, path, dry)?, headers)?;
        Ok(Self { endpoint, gzip: config.gzip, retl })
    }

    /// Returns the endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the address as text, with the ids of source and destination if there are any.
    pub fn place(&self) -> String {
        let url = self.endpoint.url();
        match &self.retl {
            Some(retl) => format!("{url} {}", retl.place()),
            None => url.to_string(),
        }
    }

    /// Returns where to ask for results later, if the data plane reports them.
    pub fn retl(&self) -> Option<&Retl> {
        self.retl.as_ref()
    }

    /// Returns the item of an event: the whole event. `number` is its number among the events of the row with this key.
    pub fn item(&self, event: &Output<'_>, key: &str, number: usize) -> std::result::Result<Vec<u8>, String> {
        if event.kind().is_empty() {
            return Err("the event has no type".to_owned());
        }
        // The data plane refuses a whole batch if one event has neither id.
        if event.id("userId").is_none() && event.id("anonymousId").is_none() {
            return Err(
                "it has no userId and no anonymousId; RudderStack takes no event without one of them".to_owned()
            );
        }
        let item = match &self.retl {
            Some(retl) => retl.item(event, &retl::record_id(key, number))?,
            None => event.text.as_bytes().to_vec(),
        };
        match item.len() {
            0..=MAX_EVENT => Ok(item),
            len => Err(format!("it has {len} bytes; RudderStack takes requests of {MAX_BODY}")),
        }
    }

    /// Sends a batch with the id `request`.
    pub async fn send(&self, items: &[&[u8]], request: &str) -> Reply {
        let (body, headers) = match &self.retl {
            Some(retl) => (retl.body(items, request), retl.headers(request)),
            None => (body(items), HeaderMap::new()),
        };
        let (body, gzip) =
            if self.gzip { (packed(&body), Some(HeaderValue::from_static("gzip"))) } else { (body, None) };
        let mut asked = Request::json(Method::POST, self.endpoint.url().clone(), body).with(headers);
        if let Some(gzip) = gzip {
            asked = asked.with(HeaderMap::from_iter([(CONTENT_ENCODING, gzip)]));
        }
        match (self.endpoint.ask(asked).await, &self.retl) {
            (Ok(answer), Some(_)) => retl::reply(&answer, items.len()),
            (Ok(answer), None) => reply(&answer, items.len()),
            (Err(reply), _) => reply,
        }
    }
}

/// Returns the body of a batch.
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
        let sink = Rudder::open(own, &config.sinks[0], false, "RUN").unwrap_or_else(|error| panic!("{error}"));
        let item = |event: &str| sink.item(&Output::parse(event).unwrap(), "k", 0);
        let event = r#"{"type":"identify","userId":"u","n":1.10}"#;
        assert_eq!(item(event).as_deref(), Ok(event.as_bytes()));
        assert!(item(r#"{"userId":"u"}"#).unwrap_err().contains("no type"));
        assert!(item(r#"{"type":"track"}"#).unwrap_err().contains("no userId and no anonymousId"));
        let large = format!(r#"{{"type":"track","userId":"u","x":"{}"}}"#, "x".repeat(4_096_000));
        assert!(item(&large).unwrap_err().contains("RudderStack takes requests of 4096000"));
    }
}
