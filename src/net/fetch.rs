//! One request, hop by hop: each URL is checked before a request is sent to it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, Url};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::shared::{Shared, cause};
use super::{Hosts, is_public};

/// The maximum length of a URL, in bytes.
const MAX_URL_LEN: usize = 16 << 10;

/// The maximum size of all headers of a request or an answer, names and values, in bytes.
pub(super) const MAX_HEADERS: usize = 64 << 10;

/// Authors may know these two messages from other programs and compare against them, so the wording is fixed.
const NO_SUCH_PROTOCOL: &str = "invalid protocol, only http and https are supported";
const NOT_PUBLIC: &str = "blocked request to non-public address";

/// The message of `js/runtime/network.js`.
#[derive(Deserialize)]
struct FetchRequest {
    #[serde(default)]
    url: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    /// In milliseconds.
    timeout: Option<f64>,
    redirect: Option<String>,
    follow: Option<f64>,
    geolocation: Option<String>,
}

/// The answer, as the isolate receives it.
#[derive(Serialize)]
struct Fetched {
    url: String,
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

/// A parsed request.
pub(super) struct ParsedRequest(FetchRequest);

impl ParsedRequest {
    /// Parses the isolate's message.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map(Self).map_err(|_| "it could not be understood".to_owned())
    }

    /// Waits for a permit for the request's host. Returns `None` for a URL that will be rejected anyway.
    pub(super) async fn host_permit(&self, shared: &Shared) -> Option<OwnedSemaphorePermit> {
        match &self.0.geolocation {
            Some(_) => shared.per_host.permit(shared.policy.geolocation.as_ref()?).await,
            None => shared.per_host.permit(&Url::parse(&self.0.url).ok()?).await,
        }
    }
}

/// Sends a request and returns the answer or the error as JSON text.
pub(super) async fn answer(shared: &Shared, request: Result<ParsedRequest, String>) -> String {
    let result = match request {
        Err(error) => Err(error),
        Ok(ParsedRequest(request)) => {
            let under_way = shared.stats.begin();
            let timeout = request.timeout.filter(|time| time.is_finite() && *time >= 0.0);
            let timeout = timeout.map_or(Duration::MAX, |time| Duration::from_micros((time * 1e3) as u64));
            let limit = shared.policy.timeout.min(timeout);
            let made = async {
                match &request.geolocation {
                    Some(ip) => geolocation(shared, ip).await,
                    None => fetch(shared, request).await,
                }
            };
            let result = match tokio::time::timeout(limit, made).await {
                Ok(result) => result,
                Err(_) => Err(format!("there was no answer within {}", humantime::format_duration(limit))),
            };
            under_way.end(result.as_ref().ok().map(|fetched| fetched.status));
            result
        }
    };
    let text = match &result {
        Ok(fetched) => serde_json::to_string(fetched),
        Err(error) => {
            let whole = error == NO_SUCH_PROTOCOL || error.starts_with(NOT_PUBLIC);
            serde_json::to_string(&serde_json::json!({ "error": error, "whole": whole }))
        }
    };
    text.expect("plain data")
}

/// Sends a request to the operator's own service. Its answer is passed on unchanged, including a redirect.
async fn geolocation(shared: &Shared, ip: &str) -> Result<Fetched, String> {
    let Some(base) = &shared.policy.geolocation else { return Err("there is no service for it".to_owned()) };
    // The service receives the text that the author wrote. The isolate checks that it is an address; this check ensures
    // that it cannot reach another path of the service.
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'%');
    if ip.len() > 100 || !ip.bytes().any(|byte| byte.is_ascii_hexdigit() || byte == b':') || !ip.bytes().all(harmless) {
        return Err("invalid ip address".to_owned());
    }
    let mut url = base.clone();
    url.path_segments_mut().map_err(|()| "its URL has no path".to_owned())?.pop_if_empty().extend(["geoip", ip]);
    trust(shared, &url)?;
    let request = shared.trusted.get(url.clone());
    let response = request.send().await.map_err(|error| {
        forget_if_unreachable(shared, &url, &error);
        cause(&error)
    })?;
    read(response, &url, shared.policy.most_body).await
}

async fn fetch(shared: &Shared, request: FetchRequest) -> Result<Fetched, String> {
    let method = method(&request.method)?;
    let mut url = Url::parse(&request.url).map_err(|error| format!("it is not a valid URL ({error})"))?;
    let mut hop = Hop { method, headers: headers(&request.headers)?, body: request.body };
    if let Some(login) = take_login(&mut url) {
        hop.headers.entry(header::AUTHORIZATION).or_insert(login);
    }
    if hop.body.is_some() {
        let text = HeaderValue::from_static("text/plain;charset=UTF-8");
        hop.headers.entry(header::CONTENT_TYPE).or_insert(text);
    }
    let most = request.follow.map_or(shared.policy.most_redirects, |follow| {
        shared.policy.most_redirects.min(follow.min(f64::from(u32::MAX)) as u32)
    });
    let mut redirects = 0;
    loop {
        // An operator who allows no host has left this flag out.
        check(&shared.policy.hosts, &mut url).map_err(|why| at_hop(redirects, &url, why))?;
        trust(shared, &url)?;
        let mut sent = shared.filtered.request(hop.method.clone(), url.clone()).headers(hop.headers.clone());
        if let Some(body) = &hop.body {
            sent = sent.body(body.clone());
        }
        let response = sent.send().await.map_err(|error| {
            forget_if_unreachable(shared, &url, &error);
            at_hop(redirects, &url, cause(&error))
        })?;
        check_peer(&shared.policy.hosts, &url, &response).map_err(|why| at_hop(redirects, &url, why))?;
        let next = match request.redirect.as_deref() {
            Some("manual") => None,
            _ => location(&response).filter(|_| is_redirect(&response)),
        };
        let Some(next) = next else {
            return read(response, &url, shared.policy.most_body).await.map_err(|why| at_hop(redirects, &url, why));
        };
        if request.redirect.as_deref() == Some("error") {
            return Err("it redirects, and `redirect` is \"error\"".to_owned());
        }
        if redirects == most {
            return Err(format!("it redirects more than {most} times"));
        }
        redirects += 1;
        let mut to = url.join(&next).map_err(|_| "it redirects to something that is not a URL".to_owned())?;
        // Remove credentials from the URL: a redirect must not add any.
        let _ = take_login(&mut to);
        hop.follow(response.status().as_u16(), &url, &to)?;
        url = to;
    }
}

/// Forgets the addresses of an unreachable host, which may have moved, so that its name is looked up again.
fn forget_if_unreachable(shared: &Shared, url: &Url, error: &reqwest::Error) {
    if error.is_connect()
        && let Some(host) = url.host_str()
    {
        shared.names.forget(host);
    }
}

/// Adds the hop to the message, unless it is the first: the code has never seen the URLs of later hops.
fn at_hop(redirects: u32, url: &Url, why: String) -> String {
    if redirects == 0 { why } else { format!("it redirects to {}: {why}", shown(url)) }
}

/// Formats a URL for a message, without parts that may be secret.
fn shown(url: &Url) -> String {
    let mut text = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        text.push_str(&format!(":{port}"));
    }
    text.push_str(url.path());
    if text.len() > 200 {
        text.truncate(text.floor_char_boundary(200));
        text.push('…');
    }
    text
}

/// Checks that the URL is allowed. Removes a trailing dot from its host name, which has no meaning here.
fn check(hosts: &Hosts, url: &mut Url) -> Result<(), String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(NO_SUCH_PROTOCOL.to_owned());
    }
    if url.as_str().len() > MAX_URL_LEN {
        return Err(format!("its URL is longer than {MAX_URL_LEN} bytes"));
    }
    let not_a_host = || "its host is not one".to_owned();
    if let Some(name) = url.host_str().and_then(|host| host.strip_suffix('.')).map(str::to_owned) {
        // Removing the dot may turn a name into an address (`127.0.0.1..`), so the check comes afterwards.
        url.set_host(Some(&name)).map_err(|_| not_a_host())?;
    }
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let allowed = match literal(host) {
        Some(address) if !is_public(address) && !hosts.literal(address, port) => {
            return Err(format!("{NOT_PUBLIC}: {}", host.trim_matches(['[', ']'])));
        }
        Some(address) => hosts.literal(address, port),
        None if host.split('.').any(str::is_empty) => return Err(not_a_host()),
        None => hosts.name(host, port),
    };
    if allowed { Ok(()) } else { Err(format!("{host}:{port} is not among the hosts that --allow-net allows")) }
}

/// Parses the host as an address. Returns `None` for a name.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

/// Checks, as the last step, that the server that answered has an allowed address. This should never fail; if it does,
/// at least the answer is not read.
fn check_peer(hosts: &Hosts, url: &Url, response: &Response) -> Result<(), String> {
    let Some(peer) = response.remote_addr() else { return Ok(()) };
    let host = url.host_str().unwrap_or_default();
    let good = match literal(host) {
        Some(_) => hosts.literal(peer.ip(), peer.port()),
        None => hosts.found(host, peer.ip()),
    };
    if good { Ok(()) } else { Err("it was answered from an address that is refused".to_owned()) }
}

/// Checks that TLS is available if the URL needs it.
fn trust(shared: &Shared, url: &Url) -> Result<(), String> {
    match &shared.no_tls {
        Some(why) if url.scheme() == "https" => {
            let help = "install the package ca-certificates, or name a file of them in SSL_CERT_FILE";
            Err(format!("sluicegate found no certificates to trust ({why}); {help}"))
        }
        _ => Ok(()),
    }
}

/// Removes user and password from a URL and returns them as a header.
fn take_login(url: &mut Url) -> Option<HeaderValue> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let plain = [decoded(url.username()), b":".to_vec(), decoded(url.password().unwrap_or_default())].concat();
    let _ = (url.set_username(""), url.set_password(None));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(plain))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Decodes percent-encoding.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code =
            text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    out
}

/// The request for the next URL.
struct Hop {
    method: Method,
    headers: HeaderMap,
    body: Option<String>,
}

impl Hop {
    /// Prepares the request for the URL that an answer redirects to.
    fn follow(&mut self, status: u16, from: &Url, to: &Url) -> Result<(), String> {
        if status == 303 && self.method != Method::HEAD || matches!(status, 301 | 302) && self.method == Method::POST {
            self.method = Method::GET;
            self.body = None;
            for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE] {
                self.headers.remove(name);
            }
        }
        if from.scheme() == "https" && to.scheme() == "http" && self.is_secret() {
            return Err(format!("it redirects from https to {}, where all could read what is sent", shown(to)));
        }
        if from.origin() != to.origin() {
            for name in [header::AUTHORIZATION, header::COOKIE, header::WWW_AUTHENTICATE, header::PROXY_AUTHORIZATION] {
                self.headers.remove(name);
            }
            self.headers.remove("cookie2");
        }
        Ok(())
    }

    /// Returns whether the request contains anything confidential: a body, or a header whose meaning is unknown.
    fn is_secret(&self) -> bool {
        let harmless = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_TYPE, header::USER_AGENT];
        self.body.is_some() || self.headers.keys().any(|name| !harmless.contains(name))
    }
}

fn method(text: &str) -> Result<Method, String> {
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| "its method is not one".to_owned())?;
    match method {
        Method::CONNECT | Method::TRACE => Err(format!("its method is {method}, which is not allowed")),
        _ => Ok(method),
    }
}

/// Returns the author's headers, without headers about the connection, which the client controls.
fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, String> {
    let ours = [
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "content-length",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "accept-encoding",
    ];
    let mut headers = HeaderMap::new();
    let mut size = 0;
    for (name, value) in pairs {
        size += name.len() + value.len();
        let bad = || format!("the header {name} cannot be sent: it has characters that no header has");
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        if ours.contains(&name.as_str()) {
            continue;
        }
        headers.append(name, HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| bad())?);
    }
    if size > MAX_HEADERS {
        return Err(format!("its headers are longer than {MAX_HEADERS} bytes"));
    }
    Ok(headers)
}

fn is_redirect(response: &Response) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn location(response: &Response) -> Option<String> {
    let value = response.headers().get(header::LOCATION)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Reads an answer up to the size limit.
async fn read(mut response: Response, url: &Url, most: usize) -> Result<Fetched, String> {
    let size: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > MAX_HEADERS {
        return Err(format!("the headers of the answer are longer than {MAX_HEADERS} bytes"));
    }
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in response.headers() {
        // Bytes beyond ASCII are read as Latin-1, as in browsers.
        let value: String = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
        headers
            .entry(name.as_str().to_owned())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert(value);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| cause(&error))? {
        if body.len() + chunk.len() > most {
            return Err(format!("the answer is larger than {} MiB", most >> 20));
        }
        body.extend_from_slice(&chunk);
    }
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
    let body = String::from_utf8_lossy(text).into_owned();
    Ok(Fetched { url: url.to_string(), status: response.status().as_u16(), headers, body })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// An accepted host is a name or a public address, and parsing the URL again gives the same host.
        #[test]
        fn what_passes_is_a_name_or_public(host in "[0-9a-fx.:\\[\\]%@]{1,20}|[0-9]{1,10}\\.{0,3}|(0x)?[0-9a-f]{1,8}(\\.[0-9x]{1,4}){0,3}\\.{0,3}|\\PC{1,12}") {
            let all: Hosts = "*".parse().unwrap();
            if let Ok(mut url) = Url::parse(&format!("http://{host}/")) && check(&all, &mut url).is_ok() {
                let again = Url::parse(url.as_str()).unwrap();
                prop_assert_eq!(again.host_str(), url.host_str());
                let host = url.host_str().unwrap();
                prop_assert!(literal(host).is_none_or(is_public), "{}", url);
                prop_assert!(!host.ends_with('.') && !host.is_empty());
            }
        }
    }

    #[test]
    fn a_login_is_taken_out_and_decoded() {
        let mut url = Url::parse("https://a%20b:c%3Ad@host.example/").unwrap();
        let login = take_login(&mut url).unwrap();
        assert_eq!((url.as_str(), login.to_str().unwrap()), ("https://host.example/", "Basic YSBiOmM6ZA=="));
        assert!(take_login(&mut url).is_none());
        assert_eq!(decoded("%4%41%zz%"), b"%4A%zz%");
    }
}
