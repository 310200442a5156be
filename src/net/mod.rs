//! Network requests of transformations: which hosts are allowed, and the client.
//!
//! A worker has no socket, so its supervisor sends its requests. The author of a request must not get access to the
//! machine's network. So no request is sent unless the operator has allowed its host. The name alone is not enough: the
//! address is checked for every connection, and again for every hop of a redirect. Private addresses are rejected
//! unless the address itself is allowed.
//!
//! - [`Hosts`] is the list of allowed hosts, [`Policy`] everything that the operator decides.
//! - [`Client`] sends requests, on its own thread, which starts with the first client. A [`Session`] is one worker's
//!   session: its share of the client. All its requests end when the worker ends.
//!
//! No code of this module runs in a worker.

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
pub use client::{Client, NetAnswer, Session, StartError};
pub use hosts::Hosts;
use reqwest::Url;
pub use stats::{Outcome, Stats};

/// The default number of events of a worker that may wait for answers at a time.
pub const CONCURRENCY: usize = 1024;

/// The default number of requests to one host that may be under way at a time.
pub const REQUESTS_PER_HOST: usize = 1024;

/// The operator's decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The hosts that `fetch` and `fetchV2` may send requests to; none if the list is empty.
    pub hosts: Hosts,
    /// The service for `geolocation`. The operator chooses it, so it may have any address.
    pub geolocation: Option<Url>,
    /// The time limit of one request, redirects included.
    pub timeout: Duration,
    /// The maximum size of an answer's body after decompression, in bytes.
    pub most_body: usize,
    /// The most redirects that are followed.
    pub most_redirects: u32,
    /// The most events of one worker that wait for answers at a time.
    pub concurrency: usize,
    /// The most requests of one worker that are under way at a time; further ones wait.
    pub at_once: usize,
    /// The same for all workers together.
    pub at_once_in_all: usize,
    /// The same for one host and port.
    pub at_once_per_host: usize,
    /// Sends no requests: every request gets an empty object as its answer after this time. For benchmarks.
    pub pretend: Option<Duration>,
}

impl Policy {
    /// Creates a policy that allows no host. The other limits have their defaults.
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

    /// Sends no requests; answers each one after this time.
    pub fn pretended(latency: Duration) -> Self {
        Self { pretend: Some(latency), ..Self::none() }
    }

    /// Returns whether no request is possible.
    pub fn is_off(&self) -> bool {
        self.hosts.is_empty() && self.geolocation.is_none() && self.pretend.is_none()
    }
}

/// The answer to a request that is not sent, see [`Policy::pretend`].
pub const PRETENDED: &str = r#"{"url":"","status":200,"headers":{},"body":"{}"}"#;

/// Parses the base URL of a geolocation service.
///
/// # Errors
/// When it is invalid; the text says what to write.
pub fn base_url(text: &str) -> Result<Url, String> {
    let expected = || format!("`{text}` is not the URL of a service, such as http://geo.internal:8000");
    let url = Url::parse(text.trim()).map_err(|_| expected())?;
    let good = matches!(url.scheme(), "http" | "https") && url.has_host();
    if good && url.query().is_none() && url.fragment().is_none() { Ok(url) } else { Err(expected()) }
}
