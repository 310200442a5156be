//! The network requests of an isolate, their limits, and how they leave.
//!
//! The engine has no sockets. An embedder gives it a [`Network`] that sends requests and waits for answers: in a worker
//! these are frames to the supervisor, in a test the recorded answers. Without a network, and while the code is loaded,
//! every request fails.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use deno_core::v8;
use serde::{Deserialize, Serialize};

/// Maximum number of requests of one event. A batch may make this many for each of its events.
const MAX_REQUESTS: u32 = 256;

/// Maximum size of a request in bytes: its JSON text, including URL, headers and body.
pub const MAX_REQUEST: usize = 4 << 20;

/// Maximum number of unanswered requests of one isolate.
pub const MAX_UNANSWERED: usize = 64 << 10;

/// Maximum total size of the unanswered requests of one isolate, in bytes of their texts.
pub const MAX_UNANSWERED_BYTES: usize = 64 << 20;

/// Which of the network functions work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// `fetch` and `fetchV2` are allowed; the sender of the request decides to which hosts.
    pub fetch: bool,
    /// There is a service for `geolocation`.
    pub geolocation: bool,
    /// `fetch` throws where it would answer `'ERROR'`.
    pub strict: bool,
}

/// Carries requests out of the isolate, and answers into it. Both are JSON texts, see `js/runtime/network.js`.
pub trait Network {
    /// Sends a request; its answer will come under `id`.
    ///
    /// # Errors
    /// When it cannot be sent; the code gets the text.
    fn send(&mut self, id: u64, request: &str) -> Result<(), String>;

    /// Waits for the next answer to any request. `None` if none will come, or when `over` returns true, which is called
    /// several times a second.
    fn wait(&mut self, over: &dyn Fn() -> bool) -> Option<(u64, String)>;

    /// Discards the pending requests. The isolate has ended, so nothing waits for them and they
    /// must not delay later ones.
    fn forget(&mut self);
}

/// A network that an engine shares with its caller.
pub type SharedNetwork = Rc<RefCell<dyn Network>>;

/// The requests of an isolate; part of the state that its callbacks share.
#[derive(Default)]
pub(crate) struct Requests {
    pub(super) network: Option<SharedNetwork>,
    pub(super) unanswered: HashMap<u64, Unanswered>,
    /// The size of those requests in bytes.
    pub(super) bytes: usize,
}

/// A request without an answer.
pub(super) struct Unanswered {
    pub(super) resolver: v8::Global<v8::PromiseResolver>,
    /// The number of the event that sent it.
    pub(super) event: u32,
    pub(super) bytes: usize,
}

impl Requests {
    /// Allows requests from here on.
    pub(crate) fn connect(&mut self, network: SharedNetwork) {
        // The requests of the previous isolate ended with it.
        network.borrow_mut().forget();
        self.network = Some(network);
    }

    /// The number of requests without an answer.
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
