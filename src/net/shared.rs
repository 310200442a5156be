//! The state that the client shares with each request.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::names::Names;
use super::per_host::PerHost;
use super::{Policy, Stats};
use crate::root_cause::root_cause;

/// The state that every request uses.
pub(super) struct Shared {
    pub(super) policy: Policy,
    /// For hosts on the list.
    pub(super) filtered: reqwest::Client,
    /// For the operator's own geolocation service.
    pub(super) trusted: reqwest::Client,
    /// Why https does not work on this machine; `None` if it works.
    pub(super) no_tls: Option<String>,
    pub(super) all: Arc<Semaphore>,
    pub(super) per_host: PerHost,
    pub(super) names: Arc<Names>,
    pub(super) stats: Stats,
}

/// Formats the root cause of an error as a clause: without its number, in lower case.
pub(super) fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let text = root_cause(error).to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
