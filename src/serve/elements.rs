//! The elements of a body, in one pass over it.
//!
//! Every event of a request brings its destination, its libraries and its credentials along, mostly the same ones, and a
//! destination's text is often longer than the event's. So a value that starts with the very bytes that the element before
//! had in its place is not read again: that text was a whole value, and where it ends is part of it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::StreamDeserializer;
use serde_json::de::StrRead;
use serde_json::value::RawValue;

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

/// What is read of every event's metadata. Metadata that is no object has no ids, and stays with those that have none.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Ids<'a> {
    /// As it is written.
    #[serde(borrow)]
    pub destination_id: Option<&'a RawValue>,
    /// As it is written.
    #[serde(borrow)]
    pub source_id: Option<&'a RawValue>,
}

/// A JSON object and nothing else: what is derived for a struct would take a list as well, its fields in their order.
#[derive(Default)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Only<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Only<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Only(PhantomData))
    }
}

/// The elements of a body.
///
/// # Errors
/// When it is not JSON, or not a list of objects.
pub fn of(body: &[u8]) -> Result<Vec<Element<'_>>, serde_json::Error> {
    // What is out of the ordinary, above all what is wrong, is left to those who can say why.
    let quick = std::str::from_utf8(body).ok().and_then(|body| Scan { body, at: 0 }.elements());
    quick.map_or_else(|| thorough(body), Ok)
}

fn thorough(body: &[u8]) -> Result<Vec<Element<'_>>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        message: Option<&'a RawValue>,
        #[serde(borrow)]
        metadata: Option<&'a RawValue>,
        #[serde(borrow)]
        destination: Option<&'a RawValue>,
        #[serde(borrow)]
        libraries: Option<&'a RawValue>,
        #[serde(borrow)]
        credentials: Option<&'a RawValue>,
    }
    let elements: Vec<Object<Whole<'_>>> = serde_json::from_slice(body)?;
    Ok(elements
        .into_iter()
        .map(|Object(whole)| Element {
            message: whole.message.map(RawValue::get),
            metadata: whole.metadata.map(RawValue::get),
            ids: whole
                .metadata
                .and_then(|metadata| serde_json::from_str::<Object<Ids<'_>>>(metadata.get()).ok())
                .map(|Object(ids)| ids)
                .unwrap_or_default(),
            destination: whole.destination.map(RawValue::get),
            libraries: whole.libraries.map(RawValue::get),
            credentials: whole.credentials.map(RawValue::get),
        })
        .collect())
}

/// What is known of an element.
const KEYS: [&str; 5] = ["message", "metadata", "destination", "libraries", "credentials"];

impl<'a> Element<'a> {
    /// Where the value of the key with this number goes.
    fn place(&mut self, key: usize) -> Option<&mut Option<&'a str>> {
        let Self { message, metadata, destination, libraries, credentials, .. } = self;
        [message, metadata, destination, libraries, credentials].into_iter().nth(key)
    }

    /// The value of the key with this number, of those that may well be the same in the next element.
    fn value(&self, key: usize) -> Option<&'a str> {
        [None, None, self.destination, self.libraries, self.credentials][key]
    }
}

/// A place in a body. `None` from any of its functions: this is not as it mostly is.
struct Scan<'a> {
    body: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn elements(mut self) -> Option<Vec<Element<'a>>> {
        let mut elements: Vec<Element<'a>> = Vec::new();
        self.expect(b'[')?;
        if self.next()? == b']' {
            self.at += 1;
        } else {
            loop {
                let element = self.element(elements.last())?;
                elements.push(element);
                if self.goes_on(b']')? {
                    continue;
                }
                break;
            }
        }
        // Nothing but blanks may follow.
        self.next().is_none().then_some(elements)
    }

    fn element(&mut self, before: Option<&Element<'a>>) -> Option<Element<'a>> {
        let mut element = Element::default();
        self.expect(b'{')?;
        if self.next()? == b'}' {
            self.at += 1;
            return Some(element);
        }
        let mut seen = [false; KEYS.len()];
        loop {
            self.expect(b'"')?;
            let end = self.at + memchr::memchr2(b'"', b'\\', self.rest().as_bytes())?;
            let key = &self.body[self.at..end];
            self.at = end;
            self.expect(b'"')?;
            self.expect(b':')?;
            // Blanks are no part of a value.
            let first = self.next()?;
            let known = KEYS.iter().position(|known| *known == key);
            // One of two of the same name would have to be chosen.
            if known.is_some_and(|known| std::mem::replace(&mut seen[known], true)) || key.contains(|c: char| c < ' ') {
                return None;
            }
            let before = known.and_then(|known| before?.value(known));
            let value = match before {
                Some(before) if matches!(first, b'{' | b'[') && self.rest().starts_with(before) => {
                    self.at += before.len();
                    before
                }
                _ if key == "metadata" && first == b'{' => {
                    let start = self.at;
                    element.ids = self.read()?;
                    &self.body[start..self.at]
                }
                _ => self.value()?,
            };
            if let Some(place) = known.and_then(|known| element.place(known)).filter(|_| value != "null") {
                *place = Some(value);
            }
            if !self.goes_on(b'}')? {
                return Some(element);
            }
        }
    }

    /// Whether there is a comma, and not the end, which is `end`.
    fn goes_on(&mut self, end: u8) -> Option<bool> {
        let found = self.next()?;
        self.at += 1;
        match found {
            b',' => Some(true),
            other => (other == end).then_some(false),
        }
    }

    fn value(&mut self) -> Option<&'a str> {
        self.read::<&'a RawValue>().map(RawValue::get)
    }

    fn read<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let mut values = StreamDeserializer::<_, T>::new(StrRead::new(&self.body[self.at..]));
        let value = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(value)
    }

    /// The next byte that is no blank, not taken.
    fn next(&mut self) -> Option<u8> {
        let blanks = self.rest().bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        self.at += blanks;
        self.body.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    fn rest(&self) -> &'a str {
        &self.body[self.at..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The texts of an element.
    fn texts<'a>(element: &Element<'a>) -> [Option<&'a str>; 7] {
        let raw = |id: Option<&'a RawValue>| -> Option<&'a str> { id.map(RawValue::get) };
        [
            element.message,
            element.metadata,
            raw(element.ids.destination_id),
            raw(element.ids.source_id),
            element.destination,
            element.libraries,
            element.credentials,
        ]
    }

    fn quick(body: &str) -> Option<Vec<Element<'_>>> {
        Scan { body, at: 0 }.elements()
    }

    fn same(body: &str) -> bool {
        match (quick(body), thorough(body.as_bytes())) {
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
            assert_eq!(quick(body).is_some(), fine, "{body}");
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
