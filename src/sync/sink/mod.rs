//! Where events go. A sink makes an item of an event, or says why it can't take it; sends a batch of items; and says what the
//! destination answered about each of them.

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

/// A sink that can be sent to.
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

/// What the destination says of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemAnswer {
    /// It has it.
    Accepted,
    /// It does not take it.
    Rejected {
        /// Why.
        reason: String,
        /// What it answered.
        answer: String,
    },
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The destination answered about each item, in order.
    Items(Vec<ItemAnswer>),
    /// The batch as a whole is refused, or the answer cannot be matched with its items: it is split.
    Refused {
        /// Why.
        reason: String,
        /// What it answered.
        answer: String,
        /// Whether it is sure that the destination took none of it. An answer that makes no sense says nothing about that.
        sure: bool,
    },
    /// It can't be said now. To be sent again.
    Later {
        /// Why.
        reason: String,
        /// When, if the destination says so.
        after: Option<Duration>,
    },
    /// Nothing of this sync is taken until the user acts.
    Stop {
        /// Why.
        reason: String,
        /// What to do.
        help: String,
    },
}

impl Sink {
    /// Opens a sink: reads its secrets, makes its client. A `dry` one is never sent to, and needs no secrets. `run` is the id of
    /// the run in events.
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

    /// What is sent of an event of the row with this key: mostly one item. `number` is how many there are of the row so far.
    ///
    /// # Errors
    /// When the sink can't take it; why, in words.
    pub fn items(&self, event: &Output<'_>, key: &str, number: usize) -> std::result::Result<Vec<Vec<u8>>, String> {
        match self {
            Sink::Customerio(sink) => Ok(vec![sink.item(event)?]),
            Sink::Rudder(sink) => Ok(vec![sink.item(event, key, number)?]),
            Sink::Salesforce(sink) => sink.items(event),
            Sink::Webhook(sink) => Ok(vec![sink.item(event)?]),
            Sink::File(_) => Ok(vec![event.text.as_bytes().to_vec()]),
        }
    }

    /// The route of an item. A batch has items of one route.
    pub fn route<'i>(&self, item: &'i [u8]) -> &'i [u8] {
        match self {
            Sink::Salesforce(_) => salesforce::route(item),
            Sink::Customerio(_) | Sink::Rudder(_) | Sink::Webhook(_) | Sink::File(_) => &[],
        }
    }

    /// Whether an item is a batch by itself.
    pub fn is_alone(&self, item: &[u8]) -> bool {
        match self {
            Sink::Salesforce(_) => salesforce::is_alone(item),
            Sink::Customerio(_) | Sink::Rudder(_) | Sink::Webhook(_) | Sink::File(_) => false,
        }
    }

    /// Sends a batch; its items have one route. `request` is an id of the batch, the same one when it is sent again.
    pub async fn send(&self, items: &[&[u8]], request: &str) -> Reply {
        match self {
            Sink::Customerio(sink) => sink.send(items).await,
            Sink::Rudder(sink) => sink.send(items, request).await,
            Sink::Salesforce(sink) => sink.send(items).await,
            Sink::Webhook(sink) => sink.send(items).await,
            Sink::File(sink) => sink.send(items),
        }
    }

    /// Where it can be asked later what came of items, if what it answers to them is only that it has them.
    pub fn asks_later(&self) -> Option<(&rudder::retl::Retl, &http::Endpoint)> {
        match self {
            Sink::Rudder(sink) => Some((sink.retl()?, sink.endpoint())),
            Sink::Customerio(_) | Sink::Salesforce(_) | Sink::Webhook(_) | Sink::File(_) => None,
        }
    }

    /// A hash of the place that it sends to: what another place has acknowledged says nothing about this one.
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

    /// The request of a batch as people read it, without secrets.
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

/// Cuts a text to what a person reads of it.
pub(in crate::sync) fn cut(text: &str) -> String {
    const MAX_TEXT: usize = 500;
    let text = text.trim();
    let cut = text.floor_char_boundary(MAX_TEXT.min(text.len()));
    if cut < text.len() { format!("{}…", &text[..cut]) } else { text.to_owned() }
}
