//! Decides which requests are answered: only requests from the page that this program served, in the browser of the
//! user who started it.
//!
//! The playground writes files and runs code. Connections from other machines are rejected, whatever address the server
//! listens on. On loopback, three kinds of others can reach it:
//!
//! - Another web page in the same browser (CSRF). It can send requests here, but the browser reports their origin
//!   (`Origin`, `Sec-Fetch-Site`), and without the token they are rejected anyway. The only exception is a link to the
//!   page, which opens the page without a token.
//! - A web page whose name was made to resolve to 127.0.0.1 (DNS rebinding). The browser then considers it the same
//!   origin, but `Host` still contains its name; only loopback names are answered.
//! - Another user of this machine. That user can send any request, but does not know the token: it is random, new each
//!   time, placed after `#` in the printed address (which no browser sends or logs), and sent in a header.
//!
//! Every answer carries a content security policy: the page cannot load anything from elsewhere, run inline scripts,
//! create HTML from text, or be framed.

use std::io;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::api::refusal;

/// The header that carries the token.
pub(super) const TOKEN: HeaderName = HeaderName::from_static("x-sluicegate-token");

/// The content security policy of the page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

/// A secret that only the opened page knows.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Creates a new token of 128 random bits.
    pub(super) fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Returns the token as it appears in the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the headers contain the token. The time of the comparison does not depend on where the
    /// first difference is.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(TOKEN) else { return false };
        let (given, wanted) = (given.as_bytes(), self.0.as_bytes());
        given.len() == wanted.len() && given.iter().zip(wanted).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }
}

/// Rejects requests from elsewhere, and adds the policy to every answer.
pub(super) async fn protect(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
    let reads = request.method() == Method::GET;
    let mut answer = match from_here(peer).and_then(|()| judge(request.headers(), reads)) {
        Ok(()) => next.run(request).await,
        Err(why) => refusal(StatusCode::FORBIDDEN, why).into_response(),
    };
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("same-origin"));
    }
    answer
}

/// Checks that the client is on this machine. A server that does not report the client's address has no trusted client.
fn from_here(peer: Option<SocketAddr>) -> Result<(), &'static str> {
    match peer {
        // An IPv6 socket reports IPv4 addresses in mapped form.
        Some(peer) if peer.ip().to_canonical().is_loopback() => Ok(()),
        _ => Err("the playground answers this machine only; from elsewhere, come through a tunnel such as `ssh -L`"),
    }
}

fn judge(headers: &HeaderMap, reads: bool) -> Result<(), &'static str> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let Some(host) = text(&HOST).filter(|host| is_loopback(host)) else {
        return Err("the playground answers under 127.0.0.1 and localhost only");
    };
    if text(&ORIGIN).is_some_and(|origin| origin.strip_prefix("http://") != Some(host)) {
        return Err("the playground answers its own page only");
    }
    let fetch = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    // A link was followed: the page opens without its token, in its own tab.
    let navigates = fetch("sec-fetch-mode") == Some("navigate") && fetch("sec-fetch-dest") == Some("document");
    match fetch("sec-fetch-site") {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) if navigates && reads => Ok(()),
        Some(_) => Err("the playground answers its own page only; type or paste its address"),
    }
}

/// Returns whether a `Host` names this machine and is not a name that a name server could resolve.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "127.0.0.1" | "[::1]") || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        judge(&headers, true).is_ok()
    }

    #[test]
    fn a_link_from_elsewhere_opens_the_page_and_does_nothing() {
        let link = [("host", "127.0.0.1:4000"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert!(judged(&[&link[..], &[("sec-fetch-dest", "document")]].concat()));
        for dest in ["iframe", "embed", "empty", "script"] {
            assert!(!judged(&[&link[..], &[("sec-fetch-dest", dest)]].concat()), "{dest}");
        }
        let form = [&link[..], &[("sec-fetch-dest", "document")]].concat();
        let headers = form.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        assert!(judge(&headers.collect(), false).is_err(), "a form of another page");
    }

    #[test]
    fn only_loopback_and_the_own_page_are_answered() {
        for host in ["127.0.0.1", "127.0.0.1:4000", "localhost:4000", "LOCALHOST", "[::1]:4000"] {
            assert!(judged(&[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:4000",
            "evil.example:127.0.0.1",
            "127.0.0.1:x",
            "127.0.0.1:",
            "0.0.0.0:4000",
            "127.0.0.2",
            "",
        ] {
            assert!(!judged(&[("host", host)]), "{host}");
        }
        assert!(!judged(&[]));
        let host = ("host", "127.0.0.1:4000");
        assert!(judged(&[host, ("origin", "http://127.0.0.1:4000"), ("sec-fetch-site", "same-origin")]));
        for origin in ["http://evil.example", "http://127.0.0.1:4001", "https://127.0.0.1:4000", "null", ""] {
            assert!(!judged(&[host, ("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site"] {
            assert!(!judged(&[host, ("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn only_this_machine_is_answered() {
        let judged = |peer: &str| from_here(Some(peer.parse().unwrap())).is_ok();
        for peer in ["127.0.0.1:40000", "127.8.9.1:1", "[::1]:40000", "[::ffff:127.0.0.1]:40000"] {
            assert!(judged(peer), "{peer}");
        }
        for peer in ["10.0.0.5:40000", "192.0.2.1:1", "[::ffff:10.0.0.5]:1", "[2001:db8::1]:1", "0.0.0.0:1", "[::]:1"] {
            assert!(!judged(peer), "{peer}");
        }
        assert!(from_here(None).is_err());
    }

    #[test]
    fn a_token_is_known_or_not() {
        let token = Token::random().unwrap();
        let with = |value: &str| HeaderMap::from_iter([(TOKEN, HeaderValue::from_str(value).unwrap())]);
        assert_eq!(token.as_str().len(), 32);
        assert!(token.is_in(&with(token.as_str())));
        assert!(!token.is_in(&with(&token.as_str()[1..])));
        assert!(!token.is_in(&with(Token::random().unwrap().as_str())));
        assert!(!token.is_in(&HeaderMap::new()));
    }
}
