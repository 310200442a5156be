//! What an isolate has asked the network for, within which limits, and the way out.
//!
//! The engine knows no sockets. An embedder gives it a [`Network`] that carries requests away and waits for
//! answers: in a worker that is the frames to the supervisor, in a test the recorded answers. Without one, or while the
//! code is loaded, every request fails.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use deno_core::v8;
use serde::{Deserialize, Serialize};

/// How many requests one event may make, and a batch for each of its events.
const MAX_REQUESTS: u32 = 256;

/// The longest request, in bytes of its JSON text, URL, headers and body together.
pub const MAX_REQUEST: usize = 4 << 20;

/// How many requests of one isolate may have no answer yet.
pub const MAX_UNANSWERED: usize = 64 << 10;

/// The same, in bytes of their texts.
pub const MAX_UNANSWERED_BYTES: usize = 64 << 20;

/// Which of the network functions work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// `fetch` and `fetchV2` may ask; whom, is decided where the request is made.
    pub fetch: bool,
    /// There is a service for `geolocation`.
    pub geolocation: bool,
    /// `fetch` throws where it would answer `'ERROR'`.
    pub strict: bool,
}

/// Carries requests out of the isolate, and answers in. Both are JSON texts, see `js/runtime/network.js`.
pub trait Network {
    /// Sends a request; its answer will come under `id`.
    ///
    /// # Errors
    /// When it cannot be sent; the code is told the text.
    fn send(&mut self, id: u64, request: &str) -> Result<(), String>;

    /// Waits for the next answer to any request. `None` if none will come, or when `over` says that the time is up,
    /// which it is asked several times a second.
    fn wait(&mut self, over: &dyn Fn() -> bool) -> Option<(u64, String)>;

    /// The isolate is gone: nothing waits for what was asked so far, and it must not be in the way of what will be.
    fn forget(&mut self);
}

/// A network that an engine shares with its feeder.
pub type SharedNetwork = Rc<RefCell<dyn Network>>;

/// What an isolate has asked for; part of the state that its callbacks share.
#[derive(Default)]
pub(crate) struct Requests {
    pub(super) network: Option<SharedNetwork>,
    pub(super) unanswered: HashMap<u64, Unanswered>,
    /// Bytes of those requests.
    pub(super) bytes: usize,
}

/// A request that has no answer yet.
pub(super) struct Unanswered {
    pub(super) resolver: v8::Global<v8::PromiseResolver>,
    /// The number of the event that asked.
    pub(super) event: u32,
    pub(super) bytes: usize,
}

impl Requests {
    /// From here on requests can be sent.
    pub(crate) fn connect(&mut self, network: SharedNetwork) {
        // What an isolate before this one has asked for, ended with it.
        network.borrow_mut().forget();
        self.network = Some(network);
    }

    /// How many have no answer.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    pub(super) fn refusal(&self, (made, events): (u32, u32), bytes: usize) -> Option<String> {
        Some(if self.network.is_none() {
            "nothing can be asked while the code is loaded; ask inside the function".to_owned()
        } else if made >= MAX_REQUESTS.saturating_mul(events) {
            match events {
                1 => format!("one event may make {MAX_REQUESTS} requests, and it has"),
                _ => format!("a batch may make {MAX_REQUESTS} requests for each of its {events} events, and it has"),
            }
        } else if bytes > MAX_REQUEST {
            format!("the request of {bytes} bytes is over the limit of {MAX_REQUEST} bytes")
        } else if self.unanswered.len() >= MAX_UNANSWERED {
            format!("{MAX_UNANSWERED} requests of this isolate have no answer yet, and there can be no more")
        } else if self.bytes + bytes > MAX_UNANSWERED_BYTES {
            let limit = MAX_UNANSWERED_BYTES >> 20;
            format!("the requests of this isolate that have no answer yet are together over the limit of {limit} MiB")
        } else {
            return None;
        })
    }
}
