//! Splits a body into its elements in one pass.
//!
//! A body consists mostly of events. They are not parsed here; the pass only finds where each one ends. The engine that
//! runs an event parses it and reports invalid JSON. [`is_json`] checks events that are not run.
//!
//! Every event of a request carries its destination, its libraries and its credentials. They are usually the
//! same in all events, and a destination is often longer than its event. So a value that starts with the same
//! bytes as the previous element's value is not scanned again: those bytes were a complete value, so the new
//! value ends at the same place.

use std::cell::RefCell;

use serde::de::IgnoredAny;

use super::fields;
use sluicegate_json::{Cursor, Memory};

/// The assumed minimum size of an element, in bytes.
const USUAL: usize = 1 << 10;

/// The most events in one request. rudder-server sends 200. Each event takes memory besides its text.
pub const MAX_EVENTS: usize = 100_000;

/// The elements of a body.
#[derive(Default)]
pub struct Elements<'a> {
    /// Its elements, in order.
    pub each: Vec<Element<'a>>,
    /// Whether the pass could prove that no event and no metadata contains a line end.
    pub one_line: bool,
}

/// One element of the body: the texts of its values.
#[derive(Default)]
pub struct Element<'a> {
    /// The event. If it is an object, its brackets match and its strings end; it may still be invalid JSON.
    pub message: Option<&'a str>,
    /// Its metadata.
    pub metadata: Option<&'a str>,
    /// The ids in its metadata that decide its group.
    pub ids: Ids<'a>,
    /// The destination, which names the transformation.
    pub destination: Option<&'a str>,
    /// The libraries, by version.
    pub libraries: Option<&'a str>,
    /// The values that `getCredential` returns.
    pub credentials: Option<&'a str>,
}

/// The ids that decide an event's group, as text. Metadata that is not an object has no ids; all events without
/// ids form one group.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Ids<'a> {
    /// `destinationId`.
    pub destination: Option<&'a str>,
    /// `sourceId`.
    pub source: Option<&'a str>,
}

/// Splits a body into its elements.
///
/// # Errors
/// When the body is not JSON (events aside) or not a list of objects.
pub fn of(body: &[u8]) -> Result<Elements<'_>, serde_json::Error> {
    // The quick pass gives up on any unusual input, including errors; the thorough pass reports what is wrong.
    quick(body).map_or_else(|| thorough(body), Ok)
}

/// Returns whether an event is JSON.
pub fn is_json(event: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(event).is_ok()
}

/// Splits a body with a full parser, events included.
///
/// # Errors
/// When it is not JSON, not a list of objects, or has more than [`MAX_EVENTS`].
pub fn thorough(body: &[u8]) -> Result<Elements<'_>, serde_json::Error> {
    fn element<'a>([message, metadata, destination, libraries, credentials]: [Option<&'a str>; 5]) -> Element<'a> {
        let ids = metadata.and_then(|metadata| fields::of(metadata.as_bytes(), &["destinationId", "sourceId"]).ok());
        let [of_destination, of_source] = ids.unwrap_or_default();
        let ids = Ids { destination: of_destination, source: of_source };
        Element { message, metadata, ids, destination, libraries, credentials }
    }
    let names = &["message", "metadata", "destination", "libraries", "credentials"];
    let each = fields::of_each(body, names, MAX_EVENTS)?;
    Ok(Elements { each: each.into_iter().map(element).collect(), one_line: false })
}

/// Splits a body in the usual form; returns `None` for any other body.
fn quick(body: &[u8]) -> Option<Elements<'_>> {
    thread_local! {
        static MEMORY: RefCell<Memory> = RefCell::default();
    }
    let body = simdutf8::basic::from_utf8(body).ok()?;
    MEMORY.with_borrow_mut(|memory| {
        let mut at = Cursor::new(body, memory);
        let mut each = Vec::with_capacity((body.len() / USUAL).min(MAX_EVENTS));
        let mut before = Shared::default();
        at.expect(b'[')?;
        if at.byte()? == b']' {
            at.expect(b']')?;
        } else {
            loop {
                if each.len() == MAX_EVENTS {
                    return None;
                }
                each.push(element(&mut at, &mut before)?);
                if !at.goes_on(b']')? {
                    break;
                }
            }
        }
        at.is_over().then(|| Elements { each, one_line: at.one_line() })
    })
}

/// The values of the previous element, which the next element often repeats.
#[derive(Default)]
struct Shared<'a> {
    destination: Option<&'a str>,
    libraries: Option<&'a str>,
    credentials: Option<&'a str>,
}

fn element<'a>(at: &mut Cursor<'a, '_>, before: &mut Shared<'a>) -> Option<Element<'a>> {
    let mut element = Element::default();
    at.properties(|at, key| {
        let (place, before) = match key {
            "message" => return put(&mut element.message, at.skip()?),
            "metadata" => {
                let text = if at.byte()? == b'{' { ids(at, &mut element.ids)? } else { at.value()? };
                return put(&mut element.metadata, text);
            }
            "destination" => (&mut element.destination, &mut before.destination),
            "libraries" => (&mut element.libraries, &mut before.libraries),
            "credentials" => (&mut element.credentials, &mut before.credentials),
            _ => return at.value().map(drop),
        };
        let value = before.and_then(|before| at.again(before)).or_else(|| at.value())?;
        put(place, before.insert(value))
    })?;
    let Element { message, metadata, destination, libraries, credentials, .. } = &mut element;
    leave_out_nulls(&mut [message, metadata, destination, libraries, credentials]);
    Some(element)
}

/// Skips metadata and stores its ids. Returns the text of the metadata.
fn ids<'a>(at: &mut Cursor<'a, '_>, ids: &mut Ids<'a>) -> Option<&'a str> {
    let text = at.object(|key, value| match key {
        "destinationId" => put(&mut ids.destination, value),
        "sourceId" => put(&mut ids.source, value),
        _ => Some(()),
    })?;
    leave_out_nulls(&mut [&mut ids.destination, &mut ids.source]);
    Some(text)
}

/// Stores a value. Returns `None` if the field has a value already: the quick pass does not choose between two fields
/// of the same name.
fn put<'a>(place: &mut Option<&'a str>, text: &'a str) -> Option<()> {
    place.replace(text).is_none().then_some(())
}

/// Treats `null` values as missing.
fn leave_out_nulls(values: &mut [&mut Option<&str>]) {
    for value in values {
        value.take_if(|text| *text == "null");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the texts of an element.
    fn texts<'a>(element: &Element<'a>) -> [Option<&'a str>; 7] {
        [
            element.message,
            element.metadata,
            element.ids.destination,
            element.ids.source,
            element.destination,
            element.libraries,
            element.credentials,
        ]
    }

    fn all<'a>(found: &Elements<'a>) -> Vec<[Option<&'a str>; 7]> {
        found.each.iter().map(texts).collect()
    }

    /// Returns whether the quick pass has the same result as the thorough one, gives up, or accepts an event
    /// that is not JSON.
    fn same(body: &str) -> bool {
        let Some(quick) = quick(body.as_bytes()) else { return true };
        let lines = quick.each.iter().flat_map(|element| [element.message, element.metadata]).flatten();
        if quick.one_line && lines.clone().any(|text| text.contains(['\n', '\r'])) {
            return false;
        }
        match thorough(body.as_bytes()) {
            Ok(thorough) => all(&quick) == all(&thorough),
            Err(_) => quick.each.iter().filter_map(|element| element.message).any(|event| !is_json(event.as_bytes())),
        }
    }

    #[test]
    fn what_stands_in_the_element_before_is_not_read_again_and_still_ends_where_it_ends() {
        for (body, fine) in [
            (r#"[{"destination":{"a":1},"message":{}},{"destination":{"a":1} , "x":[],"message":{"b":"]}"}}]"#, true),
            (r#" [ { "destination" : [1] } , { "destination" : [1] } ] "#, true),
            (r#"[{"metadata":{"sourceId":"s","destinationId":7},"libraries":[],"credentials":[{}]},{}]"#, true),
            ("[]", true),
            ("[{}]", true),
            (r#"[{"destination":{"a":1}},{"destination":{"a":1}]"#, false),
            (r#"[{"destination":{"a":1}},{"destination":{"a":1}}}]"#, false),
            (r#"[{"destination":{"a":1}},{"destination":{"a":1}2}]"#, false),
            (r#"[{"message":1,"message":2}]"#, false),
            (r#"[{"message":null,"libraries":null,"credentials":nul}]"#, false),
            (r#"[{"message":null,"libraries":null}]"#, true),
            (r#"[{"message":null,"message":1}]"#, false),
            (r#"[{"message":{}}] x"#, false),
            // The worker checks the events, if it is clear where they end.
            (r#"[{"message":{"a":}},{"message":{1[}}}]"#, true),
            (r#"[{"message":{"a":]}]"#, false),
            ("[{\"message\":{\"\n\":1}}]", false),
            (r#"[{"message":[1,]}]"#, false),
            (r#"[{"metadata":{"a":}}]"#, false),
            (r#"[{"other":{"a":}}]"#, false),
            (r#"[{"message":{},}]"#, false),
            ("[{},]", false),
            ("[1]", false),
            (r#"[[{"a":1}]]"#, false),
            (r#"[{"metadata":[{}]}]"#, true),
            ("", false),
        ] {
            assert_eq!(quick(body.as_bytes()).is_some(), fine, "{body}");
            assert!(same(body), "{body}");
        }
    }

    proptest! {
        /// Bodies of plausible pieces in any order: the quick pass agrees with the thorough one or gives up.
        #[test]
        fn the_short_way_finds_what_the_long_one_finds(pieces in prop::collection::vec(prop::sample::select(vec![
            "[", "]", "{", "}", ",", ":", " ", "\n", "\"message\":", "\"metadata\":", "\"destination\":", "\"libraries\":",
            "{\"sourceId\":\"s\"}", "{\"a\":[1]}", "{]}", "{\"\n\"}", "{\n}", "[{}]", "{\"a\":[1]},\"message\":{}", "null", "12", "\"é\\\"\"", "\"me\\u0073sage\":",
        ]), 0..14)) {
            let inner = pieces.concat();
            for body in [inner.clone(), format!("[{{{inner}}}]"), format!("[{{\"destination\":{{\"a\":[1]}}}},{{{inner}}}]")] {
                prop_assert!(same(&body), "{body}");
            }
        }
    }
}
