//! `fetch`, `fetchV2` and `geolocation` as the isolate sees them: a request leaves as text, a promise stays behind, and
//! when the text of an answer comes it is settled and the event goes on.
//!
//! The engine knows no sockets. Whoever embeds it gives it a [`Network`] that carries requests away and waits for
//! answers: in a worker that is the frames to the supervisor, in a test the recorded answers. Without one, or while the
//! code is loaded, every request fails.
//!
//! An event that never asks pays nothing: the only place where this is looked at is a promise that is still pending when
//! all microtasks have run. While an event waits, its wall limit counts and its CPU limit does not. What an event has
//! asked for ends with it: an answer that comes later is thrown away.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use deno_core::v8;
use serde::{Deserialize, Serialize};

use crate::limits::watchdog::Observer;
use crate::run::host_functions;
use crate::v8::v8_string;

/// How many requests one event may make.
const MAX_REQUESTS: u32 = 256;

/// The longest request, in bytes of its JSON text, URL, headers and body together.
pub const MAX_REQUEST: usize = 4 << 20;

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

    /// The event is over: nobody waits for what was asked so far, and it must not be in the way of what will be.
    fn forget(&mut self);
}

/// A network that an engine shares with whoever feeds it.
pub type SharedNetwork = Rc<RefCell<dyn Network>>;

/// What an isolate has asked for; part of the state that its callbacks share.
#[derive(Default)]
pub(crate) struct Requests {
    line: Option<Channel>,
    waiting: HashMap<u64, v8::Global<v8::PromiseResolver>>,
    /// How many the event in hand has made.
    made: u32,
}

/// The way out, and when waiting on it ends.
struct Channel {
    network: SharedNetwork,
    time: Observer,
    heap: Arc<AtomicBool>,
}

impl Requests {
    /// From here on requests can be sent.
    pub(crate) fn connect(&mut self, network: SharedNetwork, time: Observer, heap: Arc<AtomicBool>) {
        // What an isolate before this one has asked for, ended with it.
        network.borrow_mut().forget();
        self.line = Some(Channel { network, time, heap });
    }

    /// How many have no answer.
    pub(crate) fn unanswered(&self) -> usize {
        self.waiting.len()
    }

    /// The event is over, and so is what it asked for.
    pub(crate) fn clear(&mut self) {
        if self.made > 0 {
            self.made = 0;
            if !self.waiting.is_empty() {
                self.waiting.clear();
                if let Some(line) = &self.line {
                    line.network.borrow_mut().forget();
                }
            }
        }
    }
}

/// `host.request(text)`: a promise of the answer's text.
pub(crate) fn request(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    let Some(resolver) = v8::PromiseResolver::new(scope) else { return };
    answer.set(resolver.get_promise(scope).into());
    let Ok(text) = v8::Local::<v8::String>::try_from(args.get(0)) else { return };
    let text = v8_string::to_string(scope, text);
    if let Err(error) = send(scope, resolver, &text) {
        let refused = serde_json::json!({ "error": error }).to_string();
        resolve(scope, resolver, &refused);
    }
}

fn send(
    scope: &mut v8::PinScope<'_, '_>,
    resolver: v8::Local<'_, v8::PromiseResolver>,
    text: &str,
) -> Result<(), String> {
    // Unique in the process: an answer that comes too late must not meet a request of the isolate's successor.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let kept = v8::Global::new(scope, resolver);
    let Some(requests) = scope.get_slot_mut::<host_functions::State>().map(|state| &mut state.requests) else {
        return Err("the engine is gone".to_owned());
    };
    let Some(line) = &requests.line else {
        return Err("nothing can be asked while the code is loaded; ask inside the function".to_owned());
    };
    if requests.made == MAX_REQUESTS {
        return Err(format!("one event may make {MAX_REQUESTS} requests, and it has"));
    }
    if text.len() > MAX_REQUEST {
        return Err(format!("the request of {} bytes is over the limit of {MAX_REQUEST} bytes", text.len()));
    }
    requests.made += 1;
    line.network.borrow_mut().send(id, text)?;
    requests.waiting.insert(id, kept);
    Ok(())
}

/// Lets answers come in until `promise` is settled. Says whether it is; if not, nothing is left that could settle it, or
/// the event's time or memory is up.
pub(crate) fn drive(scope: &mut v8::PinScope<'_, '_>, promise: v8::Local<'_, v8::Promise>) -> bool {
    loop {
        if promise.state() != v8::PromiseState::Pending {
            return true;
        }
        let Some((id, text)) = next(scope) else { return false };
        let requests = scope.get_slot_mut::<host_functions::State>().map(|state| &mut state.requests);
        if let Some(resolver) = requests.and_then(|requests| requests.waiting.remove(&id)) {
            let resolver = v8::Local::new(scope, resolver);
            resolve(scope, resolver, &text);
            scope.perform_microtask_checkpoint();
        }
    }
}

fn next(scope: &mut v8::PinScope<'_, '_>) -> Option<(u64, String)> {
    let requests = &scope.get_slot::<host_functions::State>()?.requests;
    let line = requests.line.as_ref().filter(|_| !requests.waiting.is_empty())?;
    let (network, time, heap) = (line.network.clone(), line.time.clone(), line.heap.clone());
    let over = || time.is_over() || heap.load(Ordering::Relaxed);
    if over() { None } else { network.borrow_mut().wait(&over) }
}

fn resolve(scope: &mut v8::PinScope<'_, '_>, resolver: v8::Local<'_, v8::PromiseResolver>, text: &str) {
    let value: v8::Local<'_, v8::Value> =
        match v8_string::to_v8(scope, text.as_bytes(), &mut v8_string::Scratch::default()) {
            Some(text) => text.into(),
            None => v8::undefined(scope).into(),
        };
    resolver.resolve(scope, value);
}

/// The ways in which a secret may stand in a URL, beside its own: percent-encoded, with `+` for blanks.
pub(crate) fn spellings(secret: &str) -> Vec<String> {
    let encode = |keep: &str, blank: &str| -> String {
        secret
            .bytes()
            .map(|byte| match byte {
                b' ' => blank.to_owned(),
                _ if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    // `encodeURIComponent`, a form's, and what parsing a URL makes of a query and of a path.
    let component = "-_.!~*'()";
    let mut all = vec![
        encode(component, "%20"),
        encode("-_.*", "+"),
        encode("-_.!~*()$&+,/:;=?@[]^|{}`\\%", "%20"),
        encode("-_.!~*'()$&+,/:;=@[]^|\\%", "%20"),
    ];
    all.sort();
    all.dedup();
    all.retain(|one| one != secret);
    all
}

#[cfg(test)]
mod tests {
    use super::spellings;

    #[test]
    fn a_secret_is_known_in_a_url_too() {
        assert!(spellings("plain-1_2.3").is_empty());
        let all = spellings("p&q r/ü");
        assert!(all.contains(&"p%26q%20r%2F%C3%BC".to_owned()), "{all:?}");
        assert!(all.contains(&"p%26q+r%2F%C3%BC".to_owned()), "{all:?}");
        assert!(all.contains(&"p&q%20r/%C3%BC".to_owned()), "{all:?}");
    }
}
