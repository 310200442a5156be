//! The elements of a body, in one pass over it.
//!
//! Every event of a request brings its destination, its libraries and its credentials along, mostly the same ones, and a
//! destination's text is often longer than the event's. So a value that starts with the very bytes that the element before
//! had in its place is not read again: that text was a whole value, and where it ends is part of it.

use std::cell::RefCell;

use super::fields;
use crate::engine::{Cursor, Mark, Places};

/// One element of the body: the texts of its values.
#[derive(Default)]
pub struct Element<'a> {
    /// The event.
    pub message: Option<&'a str>,
    /// Its metadata.
    pub metadata: Option<&'a str>,
    /// What the metadata says of its group.
    pub ids: Ids<'a>,
    /// Names the transformation.
    pub destination: Option<&'a str>,
    /// Name its libraries.
    pub libraries: Option<&'a str>,
    /// What `getCredential` answers.
    pub credentials: Option<&'a str>,
}

/// What decides over an event's group, as it is written. Metadata that is no object has none, and stays with those that
/// have none.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Ids<'a> {
    /// `destinationId`.
    pub destination: Option<&'a str>,
    /// `sourceId`.
    pub source: Option<&'a str>,
}

/// Longer bodies are taken apart the thorough way, which wants next to no memory beside them; this one, four times as much
/// as they have brackets, colons, commas and quotes.
const MOST_QUICK: usize = 16 << 20;

/// The elements of a body.
///
/// # Errors
/// When it is not JSON, or not a list of objects.
pub fn of(body: &[u8]) -> Result<Vec<Element<'_>>, serde_json::Error> {
    // What is out of the ordinary, above all what is wrong, is left to those who can say why.
    quick(body).map_or_else(|| thorough(body), Ok)
}

fn thorough(body: &[u8]) -> Result<Vec<Element<'_>>, serde_json::Error> {
    fn element<'a>([message, metadata, destination, libraries, credentials]: [Option<&'a str>; 5]) -> Element<'a> {
        let ids = metadata.and_then(|metadata| fields::of(metadata.as_bytes(), &["destinationId", "sourceId"]).ok());
        let [of_destination, of_source] = ids.unwrap_or_default();
        let ids = Ids { destination: of_destination, source: of_source };
        Element { message, metadata, ids, destination, libraries, credentials }
    }
    let each = fields::of_each(body, &["message", "metadata", "destination", "libraries", "credentials"])?;
    Ok(each.into_iter().map(element).collect())
}

/// The same, of bodies as they mostly are.
fn quick(body: &[u8]) -> Option<Vec<Element<'_>>> {
    thread_local! {
        static PLACES: RefCell<Places> = RefCell::default();
    }
    if body.len() > MOST_QUICK {
        return None;
    }
    let body = simdutf8::basic::from_utf8(body).ok()?;
    PLACES.with_borrow_mut(|places| {
        let mut at = places.of(body)?;
        let mut elements = Vec::new();
        let mut before = Shared::default();
        at.expect(b'[')?;
        if at.byte()? == b']' {
            at.expect(b']')?;
        } else {
            loop {
                elements.push(element(&mut at, &mut before)?);
                if !goes_on(&mut at, b']')? {
                    break;
                }
            }
        }
        at.is_over().then_some(elements)
    })
}

/// Values of the element before that may well be the same in the next one.
#[derive(Default)]
struct Shared<'a> {
    destination: Option<Mark<'a>>,
    libraries: Option<Mark<'a>>,
    credentials: Option<Mark<'a>>,
}

fn element<'a>(at: &mut Cursor<'a, '_>, before: &mut Shared<'a>) -> Option<Element<'a>> {
    let mut element = Element::default();
    properties(at, |at, key| {
        let (place, before) = match key {
            "message" => (&mut element.message, None),
            "metadata" => {
                let text = if at.byte()? == b'{' { ids(at, &mut element.ids)? } else { at.value()?.text };
                return put(&mut element.metadata, text);
            }
            "destination" => (&mut element.destination, Some(&mut before.destination)),
            "libraries" => (&mut element.libraries, Some(&mut before.libraries)),
            "credentials" => (&mut element.credentials, Some(&mut before.credentials)),
            _ => return at.value().map(drop),
        };
        let value = match before {
            Some(before) => *before.insert(before.and_then(|before| at.again(before)).or_else(|| at.value())?),
            None => at.value()?,
        };
        put(place, value.text)
    })?;
    let Element { message, metadata, destination, libraries, credentials, .. } = &mut element;
    leave_out_nulls(&mut [message, metadata, destination, libraries, credentials]);
    Some(element)
}

/// Goes past metadata and keeps the ids in it.
fn ids<'a>(at: &mut Cursor<'a, '_>, ids: &mut Ids<'a>) -> Option<&'a str> {
    let text = at.within(|at| {
        properties(at, |at, key| {
            let value = at.value()?.text;
            match key {
                "destinationId" => put(&mut ids.destination, value),
                "sourceId" => put(&mut ids.source, value),
                _ => Some(()),
            }
        })
    })?;
    leave_out_nulls(&mut [&mut ids.destination, &mut ids.source]);
    Some(text)
}

/// `None` if there is something already: of two with the same name one would have to be chosen.
fn put<'a>(place: &mut Option<&'a str>, text: &'a str) -> Option<()> {
    place.replace(text).is_none().then_some(())
}

/// A `null` is as good as nothing.
fn leave_out_nulls(values: &mut [&mut Option<&str>]) {
    for value in values {
        value.take_if(|text| *text == "null");
    }
}

/// Goes past an object; `each` goes past its values.
fn properties<'a, 'p>(
    at: &mut Cursor<'a, 'p>,
    mut each: impl FnMut(&mut Cursor<'a, 'p>, &'a str) -> Option<()>,
) -> Option<()> {
    at.expect(b'{')?;
    if at.byte()? == b'}' {
        return at.expect(b'}');
    }
    loop {
        let key = at.key()?;
        each(at, key)?;
        if !goes_on(at, b'}')? {
            return Some(());
        }
    }
}

/// Whether there is a comma, and not the end, which is `end`.
fn goes_on(at: &mut Cursor<'_, '_>, end: u8) -> Option<bool> {
    let found = at.byte()?;
    at.expect(found)?;
    match found {
        b',' => Some(true),
        other => (other == end).then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The texts of an element.
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

    fn same(body: &str) -> bool {
        match (quick(body.as_bytes()), thorough(body.as_bytes())) {
            (None, _) => true,
            (Some(_), Err(_)) => false,
            (Some(quick), Ok(thorough)) => {
                quick.iter().map(texts).collect::<Vec<_>>() == thorough.iter().map(texts).collect::<Vec<_>>()
            }
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
        /// Bodies of pieces that belong there, in any order: the short way says what the long one says, or nothing.
        #[test]
        fn the_short_way_finds_what_the_long_one_finds(pieces in prop::collection::vec(prop::sample::select(vec![
            "[", "]", "{", "}", ",", ":", " ", "\n", "\"message\":", "\"metadata\":", "\"destination\":", "\"libraries\":",
            "{\"sourceId\":\"s\"}", "{\"a\":[1]}", "[{}]", "{\"a\":[1]},\"message\":{}", "null", "12", "\"é\\\"\"", "\"me\\u0073sage\":",
        ]), 0..14)) {
            let inner = pieces.concat();
            for body in [inner.clone(), format!("[{{{inner}}}]"), format!("[{{\"destination\":{{\"a\":[1]}}}},{{{inner}}}]")] {
                prop_assert!(same(&body), "{body}");
            }
        }
    }
}
