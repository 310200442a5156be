//! `fetch`, `fetchV2` and `geolocation` inside the isolate: a request leaves as text and the code gets a promise. When
//! the text of the answer arrives, the promise is settled and the event continues.
//!
//! An event that sends no requests pays nothing: the check is only made for a promise that is still pending when all
//! microtasks have run. While an event waits, its wall limit counts and its CPU limit does not. An answer reaches all
//! code that waits for it, whichever event sent the request, even when that event is over.

use std::sync::atomic::{AtomicU64, Ordering};

use deno_core::v8;

use crate::run::requests::Unanswered;
use crate::run::state::State;
use crate::v8::{event_number, v8_string};

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
    // Unique in the process: a late answer must not match a request of the isolate's successor.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let resolver = v8::Global::new(scope, resolver);
    let event = event_number::current(scope);
    let gone = || "the engine is gone".to_owned();
    let state = scope.get_slot_mut::<State>().ok_or_else(gone)?;
    let asked = state.of(event).map_or((0, 1), |event| (event.made, event.events.max(1)));
    if let Some(refusal) = state.requests.refusal(asked, text.len()) {
        return Err(refusal);
    }
    let network = state.requests.network.as_ref().ok_or_else(gone)?;
    network.borrow_mut().send(id, text)?;
    state.requests.bytes += text.len();
    state.requests.unanswered.insert(id, Unanswered { resolver, event, bytes: text.len() });
    if let Some(event) = state.of(event) {
        event.made += 1;
        event.unanswered += 1;
    }
    Ok(())
}

/// The event that sent the request of an answer; `None` if the answer is too late.
pub(crate) fn asked_by(scope: &mut v8::PinScope<'_, '_>, id: u64) -> Option<u32> {
    Some(scope.get_slot::<State>()?.requests.unanswered.get(&id)?.event)
}

/// Passes an answer to the code that waits for it, which runs at the next checkpoint.
pub(crate) fn take_answer(scope: &mut v8::PinScope<'_, '_>, id: u64, text: &str) {
    let Some(state) = scope.get_slot_mut::<State>() else { return };
    let Some(Unanswered { resolver, event, bytes }) = state.requests.unanswered.remove(&id) else { return };
    state.requests.bytes -= bytes;
    if let Some(event) = state.of(event) {
        event.unanswered -= 1;
    }
    let resolver = v8::Local::new(scope, resolver);
    resolve(scope, resolver, text);
}

/// Whether any answer is still missing.
pub(crate) fn any_unanswered(scope: &v8::PinScope<'_, '_>) -> bool {
    scope.get_slot::<State>().is_some_and(|state| state.requests.unanswered() > 0)
}

fn resolve(scope: &mut v8::PinScope<'_, '_>, resolver: v8::Local<'_, v8::PromiseResolver>, text: &str) {
    let value: v8::Local<'_, v8::Value> =
        match v8_string::to_v8(scope, text.as_bytes(), &mut v8_string::Scratch::default()) {
            Some(text) => text.into(),
            None => v8::undefined(scope).into(),
        };
    resolver.resolve(scope, value);
}

/// The other forms in which a secret may appear in a URL: percent-encoded, with `+` for blanks.
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
    // The encodings of `encodeURIComponent` and of a form, and the URL parser's encodings of a query and of a path.
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
