//! Requests to the network on behalf of transformations: who may be asked, and the asking.
//!
//! A worker has no socket, so its supervisor asks for it. The request was written by an author who is not trusted
//! with the machine's network, so nothing leaves this room unless the operator has named its host, and a name is not
//! enough: every address that a connection is about to be made to is looked at, at the moment when it is made and again
//! for every hop of a redirect. Private addresses are refused unless the address itself is allowed.
//!
//! - [`Hosts`] is the list of the hosts that are allowed, [`Policy`] all that the operator decides.
//! - [`Client`] makes requests, on a thread of its own that exists only once a client was made. A [`Lane`] is
//!   what one worker gets of it: its share, and an end to all of its requests when it goes.
//!
//! Nothing here ever runs on a worker's side.

mod address;
mod client;
mod fetch;
mod hosts;
mod names;
mod per_host;
mod shared;
mod stats;

use std::time::Duration;

pub use address::is_public;
pub use client::{Client, Lane, NetAnswer, StartError};
pub use hosts::Hosts;
use reqwest::Url;
pub use stats::{Outcome, Stats};

/// How many events of a worker may wait for answers at a time, unless something else is asked for.
pub const CONCURRENCY: usize = 1024;

/// How many requests are under way to one host at a time, unless something else is asked for.
pub const REQUESTS_PER_HOST: usize = 1024;

/// What the operator allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The hosts that `fetch` and `fetchV2` may ask; none if it is empty.
    pub hosts: Hosts,
    /// The service behind `geolocation`. It is the operator's own choice, so it may have any address.
    pub geolocation: Option<Url>,
    /// The most that one request may take, redirects included.
    pub timeout: Duration,
    /// The largest body of an answer, in bytes, after it was unpacked.
    pub most_body: usize,
    /// The most redirects that are followed.
    pub most_redirects: u32,
    /// The most events of one worker that wait for answers at a time.
    pub concurrency: usize,
    /// The most requests of one worker that are under way at a time; others wait for their turn.
    pub at_once: usize,
    /// The same, of all workers.
    pub at_once_in_all: usize,
    /// The same, to one host at one port.
    pub at_once_per_host: usize,
    /// No server is asked: after this time every request is answered with an empty object. For benchmarks.
    pub pretend: Option<Duration>,
}

impl Policy {
    /// No host may be asked; with the bounds that hold when one may.
    pub fn none() -> Self {
        Self {
            hosts: Hosts::default(),
            geolocation: None,
            timeout: Duration::from_secs(5),
            most_body: 4 << 20,
            most_redirects: 10,
            concurrency: CONCURRENCY,
            at_once: 1024,
            at_once_in_all: 4096,
            at_once_per_host: REQUESTS_PER_HOST,
            pretend: None,
        }
    }

    /// No host is asked, and every request is answered after this time.
    pub fn pretended(latency: Duration) -> Self {
        Self { pretend: Some(latency), ..Self::none() }
    }

    /// Whether anything at all can be asked.
    pub fn is_off(&self) -> bool {
        self.hosts.is_empty() && self.geolocation.is_none() && self.pretend.is_none()
    }
}

/// What a request is answered that is not made, see [`Policy::pretend`].
pub const PRETENDED: &str = r#"{"url":"","status":200,"headers":{},"body":"{}"}"#;

/// Reads the base URL of a geolocation service.
///
/// # Errors
/// When it is not one; the text says what to write.
pub fn base_url(text: &str) -> Result<Url, String> {
    let expected = || format!("`{text}` is not the URL of a service, such as http://geo.internal:8000");
    let url = Url::parse(text.trim()).map_err(|_| expected())?;
    let good = matches!(url.scheme(), "http" | "https") && url.has_host();
    if good && url.query().is_none() && url.fragment().is_none() { Ok(url) } else { Err(expected()) }
}
