//! HTTP requests and answers, for the sinks that use HTTP.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Url};

use super::super::config::{SinkConfig, Text, check_url};
use super::super::error::{Error, Result};
use super::{Reply, cut};

/// The most bytes of an answer that are kept.
const MAX_ANSWER: usize = 4 << 20;

/// The address of a sink, and the client for it.
pub struct Endpoint {
    client: Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
}

/// A request with its own method, URL and headers.
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Request {
    /// Creates a request with a JSON body.
    pub fn json(method: Method, url: Url, body: Vec<u8>) -> Self {
        Self::new(method, url, "application/json", body)
    }

    /// Creates a request with the fields of a form.
    pub fn form(method: Method, url: Url, fields: &[(&str, &str)]) -> Self {
        let mut form = url.clone();
        form.query_pairs_mut().clear().extend_pairs(fields);
        let body = form.query().unwrap_or_default().as_bytes().to_vec();
        Self::new(method, url, "application/x-www-form-urlencoded", body)
    }

    /// Creates a request without a body.
    pub fn empty(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Vec::new() }
    }

    fn new(method: Method, url: Url, kind: &'static str, body: Vec<u8>) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Self { method, url, headers, body }
    }

    /// Adds headers.
    #[must_use]
    pub fn with(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Sets `Authorization`.
    #[must_use]
    pub fn with_auth(mut self, value: HeaderValue) -> Self {
        self.headers.insert(AUTHORIZATION, value);
        self
    }
}

/// An answer to a request.
#[derive(Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, cut at a limit.
    pub body: String,
    /// The value of `Retry-After`.
    pub after: Option<Duration>,
    /// The target of a redirect.
    pub location: Option<String>,
    /// The API calls used today and the daily limit, as reported by Salesforce.
    pub usage: Option<(u64, u64)>,
}

impl Answer {
    /// Formats status and body, shortened for display.
    pub fn shown(&self) -> String {
        cut(&format!("{} {}", self.status, self.body))
    }
}

/// Returns the URL from the config, followed by `path`.
pub fn url(text: &Text, path: &str, dry: bool) -> Result<Url> {
    let value = match text.read(dry)? {
        unknown if dry && check_url(&unknown).is_err() => "http://unknown.invalid".to_owned(),
        value => value,
    };
    let wrong = |why: String| Error::new(format!("the url of a sink is `{value}`: {why}"));
    check_url(&value).map_err(wrong)?;
    Url::parse(&format!("{}{path}", if path.is_empty() { &value } else { value.trim_end_matches('/') }))
        .map_err(|error| wrong(error.to_string()))
}

/// Returns a header. Its value is marked as sensitive, because it may be a secret.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    // In a dry run, a secret may be unknown.
    let value = if value.ends_with('…') { "unknown" } else { value };
    let known = HeaderName::try_from(name).map_err(|_| Error::new(format!("`{name}` is not the name of a header")))?;
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| Error::new(format!("the value of the header {name} has characters that a header can't have")))?;
    value.set_sensitive(true);
    Ok((known, value))
}

impl Endpoint {
    /// Creates the endpoint for the requests of a sink.
    ///
    /// # Errors
    /// When the client can't be created.
    pub fn new(sink: &SinkConfig, method: Method, url: Url, headers: HeaderMap) -> Result<Self> {
        // Fails if a provider is already installed, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(sink.pace.timeout)
            .connect_timeout(sink.pace.timeout.min(Duration::from_secs(10)))
            .pool_max_idle_per_host(sink.pace.concurrency)
            .build();
        let client = client.map_err(|error| Error::new(format!("cannot make a client for {}: {error}", sink.name)))?;
        Ok(Self { client, method, url, headers })
    }

    /// Formats method and URL, without the query, which may hold a secret.
    pub fn shown(&self) -> String {
        format!("{} {}", self.method, self.shown_url())
    }

    /// Returns the full URL, which may hold secrets and must not be shown.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the URL for display, without its query, user and password.
    pub fn shown_url(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(url.query().map(|_| "…"));
        let _ = url.set_password(None).and_then(|()| url.set_username(""));
        url.to_string()
    }

    /// Sends a body.
    ///
    /// # Errors
    /// When there is no answer; the error says how to go on.
    pub async fn send(&self, body: Vec<u8>) -> std::result::Result<Answer, Reply> {
        self.ask(Request::json(self.method.clone(), self.url.clone(), body)).await
    }

    /// Sends a request with its own method and URL. The headers of the sink are added.
    ///
    /// # Errors
    /// As [`Endpoint::send`].
    pub async fn ask(&self, request: Request) -> std::result::Result<Answer, Reply> {
        let Request { method, url, headers, body } = request;
        let request = self.client.request(method, url).headers(self.headers.clone()).headers(headers).body(body);
        let mut answer = request.send().await.map_err(|error| self.no_answer(error))?;
        let status = answer.status().as_u16();
        let header = |name| answer.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let after = header(RETRY_AFTER).and_then(retry_after);
        let location = header(reqwest::header::LOCATION).map(str::to_owned);
        let usage = answer.headers().get("sforce-limit-info").and_then(|value| usage(value.to_str().ok()?));
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.no_answer(error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), after, location, usage })
    }

    fn no_answer(&self, error: reqwest::Error) -> Reply {
        let is_slow = error.is_timeout();
        let error = error.without_url();
        let mut reason = match is_slow {
            true => "no answer in time".to_owned(),
            false => "no answer".to_owned(),
        };
        let (tls, last) = look_into(&error);
        if !is_slow {
            reason.push_str(&format!(" from {}: {last}", self.url.host_str().unwrap_or_default()));
        }
        if tls {
            return Reply::Stop { reason, help: "see to the certificate of the destination, or to its url".to_owned() };
        }
        Reply::Later { reason, after: None }
    }
}

/// Returns whether TLS caused an error, and the message of the innermost cause. `source` does not return the error
/// inside an I/O error, so `get_ref` is used.
fn look_into(error: &(dyn std::error::Error + 'static)) -> (bool, String) {
    let (mut tls, mut cause) = (false, error);
    loop {
        tls |= cause.is::<rustls::Error>();
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let next: Option<&(dyn std::error::Error + 'static)> = match inner {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
        match next {
            Some(next) => cause = next,
            None => return (tls, cause.to_string()),
        }
    }
}

/// Returns the reply for a redirect, which is not followed: it would send the secret elsewhere.
pub fn redirect(answer: &Answer) -> Reply {
    let to = answer.location.as_deref().unwrap_or("nowhere");
    Reply::Stop {
        reason: format!("it redirects ({}) to {}", answer.status, cut(to)),
        help: "redirects are not followed; set url to where it is now".to_owned(),
    }
}

/// Parses `api-usage=18/15000`.
fn usage(text: &str) -> Option<(u64, u64)> {
    let (_, usage) = text.split_once("api-usage=")?;
    let (used, rest) = usage.split_once('/')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((used.trim().parse().ok()?, rest[..digits].parse().ok()?))
}

/// Parses seconds or a date.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    Duration::try_from(date.duration_since(jiff::Timestamp::now())).ok().or(Some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_of_a_day_is_read() {
        assert_eq!(usage("api-usage=18/15000"), Some((18, 15_000)));
        assert_eq!(usage("api-usage=25/5000; per-app-api-usage=17/250(appName=x)"), Some((25, 5000)));
        assert_eq!(usage("none"), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let later = retry_after("Fri, 01 Jan 2100 00:00:00 GMT").unwrap();
        assert!(later > Duration::from_secs(3600));
        assert_eq!(retry_after("soon"), None);
    }
}
