//! Sinks convert events to items, or give a reason why they can't. They send batches of items, and report the
//! destination's answer for each item.

mod customerio;
mod file;
pub(super) mod http;
pub(super) mod rudder;
mod salesforce;
mod webhook;

use std::time::Duration;

use super::config::{SinkConfig, SinkKind};
use super::error::Result;
use super::event::Output;

/// An open sink.
pub enum Sink {
    /// Customer.io's Track API.
    Customerio(customerio::Customerio),
    /// A RudderStack data plane.
    Rudder(Box<rudder::Rudder>),
    /// Salesforce.
    Salesforce(Box<salesforce::Salesforce>),
    /// Any JSON API.
    Webhook(webhook::Webhook),
    /// A file.
    File(file::FileSink),
}

/// The destination's answer about one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemAnswer {
    /// The destination has taken it.
    Accepted,
    /// The destination has rejected it.
    Rejected {
        /// Why.
        reason: String,
        /// The answer, shortened for display.
        answer: String,
    },
}

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The destination answered about each item, in order.
    Items(Vec<ItemAnswer>),
    /// The batch as a whole was refused, or the answer cannot be matched with its items. The batch is split.
    Refused {
        /// Why.
        reason: String,
        /// The answer, shortened for display.
        answer: String,
        /// Whether it is certain that the destination took nothing. An answer that can't be parsed does not prove that.
        sure: bool,
    },
    /// There is no result now. The request is sent again.
    Later {
        /// Why.
        reason: String,
        /// The pause that the destination asks for.
        after: Option<Duration>,
    },
    /// The destination accepts nothing from this sync until the user acts.
    Stop {
        /// Why.
        reason: String,
        /// What to do.
        help: String,
    },
}

impl Sink {
    /// Opens a sink: reads its secrets and creates its client. With `dry` it is never sent to and needs no secrets.
    /// `run` is the id of the run in events.
    ///
    /// # Errors
    /// When a secret is missing or the sink can't be opened.
    pub fn open(config: &SinkConfig, dry: bool, run: &str) -> Result<Self> {
        Ok(match &config.kind {
            SinkKind::Customerio(own) => Sink::Customerio(customerio::Customerio::open(own, config, dry)?),
            SinkKind::Rudder(own) => Sink::Rudder(Box::new(rudder::Rudder::open(own, config, dry, run)?)),
            SinkKind::Salesforce(own) => Sink::Salesforce(Box::new(salesforce::Salesforce::open(own, config, dry)?)),
            SinkKind::Webhook(own) => Sink::Webhook(webhook::Webhook::open(own, config, dry)?),
            SinkKind::File(path) => Sink::File(file::FileSink::new(path)),
        })
    }

    /// Returns the items of an event, usually one. `key` is the key
    /// of its row, and `number` is how many items the row has so far.
    ///
    /// # Errors
    /// When the sink can't take the event; the error is a message.
    pub fn items(&self, event: &Output<'_>, key: &str, number: usize) -> std::result::Result<Vec<Vec<u8>>, String> {
        match self {
            Sink::Customerio(sink) => Ok(vec![sink.item(event)?]),
            Sink::Rudder(sink) => Ok(vec![sink.item(event, key, number)?]),
            Sink::Salesforce(sink) => sink.items(event),
            Sink::Webhook(sink) => Ok(vec![sink.item(event)?]),
            Sink::File(_) => Ok(vec![event.text.as_bytes().to_vec()]),
        }
    }

    /// Returns the route of an item. All items of a batch have the same route.
    pub fn route<'i>(&self, item: &'i [u8]) -> &'i [u8] {
        match self {
            Sink::Salesforce(_) => salesforce::route(item),
            Sink::Customerio(_) | Sink::Rudder(_) | Sink::Webhook(_) | Sink::File(_) => &[],
        }
    }

    /// Returns whether an item must be the only one of its batch.
    pub fn is_alone(&self, item: &[u8]) -> bool {
        match self {
            Sink::Salesforce(_) => salesforce::is_alone(item),
            Sink::Customerio(_) | Sink::Rudder(_) | Sink::Webhook(_) | Sink::File(_) => false,
        }
    }

    /// Sends a batch of items with the same route. `request` is the
    /// id of the batch, which is the same when it is sent again.
    pub async fn send(&self, items: &[&[u8]], request: &str) -> Reply {
        match self {
            Sink::Customerio(sink) => sink.send(items).await,
            Sink::Rudder(sink) => sink.send(items, request).await,
            Sink::Salesforce(sink) => sink.send(items).await,
            Sink::Webhook(sink) => sink.send(items).await,
            Sink::File(sink) => sink.send(items),
        }
    }

    /// Returns where to ask for the results later, if the answers of the sink only confirm receipt.
    pub fn asks_later(&self) -> Option<(&rudder::retl::Retl, &http::Endpoint)> {
        match self {
            Sink::Rudder(sink) => Some((sink.retl()?, sink.endpoint())),
            Sink::Customerio(_) | Sink::Salesforce(_) | Sink::Webhook(_) | Sink::File(_) => None,
        }
    }

    /// Returns a hash of the sink's address. What one address has acknowledged says nothing about another.
    pub fn place(&self) -> String {
        let place = match self {
            Sink::Customerio(sink) => sink.endpoint().url().to_string(),
            Sink::Rudder(sink) => sink.place(),
            Sink::Salesforce(sink) => sink.endpoint().url().to_string(),
            Sink::Webhook(sink) => sink.endpoint().url().to_string(),
            Sink::File(sink) => std::path::absolute(sink.path()).unwrap_or_default().display().to_string(),
        };
        format!("blake3:{}", &blake3::hash(place.as_bytes()).to_hex()[..32])
    }

    /// Formats the request of a batch for people, without secrets.
    pub fn shown(&self, items: &[&[u8]]) -> String {
        let (head, body) = match self {
            Sink::Customerio(sink) => (sink.endpoint().shown(), customerio::body(items)),
            Sink::Rudder(sink) => (sink.endpoint().shown(), rudder::body(items)),
            Sink::Salesforce(sink) => (sink.shown(items[0]), salesforce::body(items)),
            Sink::Webhook(sink) => (sink.endpoint().shown(), sink.body(items)),
            Sink::File(sink) => (format!("append to {}", sink.path().display()), items.concat()),
        };
        format!("{head}\n{}", String::from_utf8_lossy(&body))
    }
}

/// Shortens a text for display.
pub(in crate::sync) fn cut(text: &str) -> String {
    const MAX_TEXT: usize = 500;
    let text = text.trim();
    let cut = text.floor_char_boundary(MAX_TEXT.min(text.len()));
    if cut < text.len() { format!("{}…", &text[..cut]) } else { text.to_owned() }
}
