//! Lines with the event in one of their fields, see `--input-field`. Hosts that send rows write such lines, for
//! example ClickHouse with `JSONEachRow`. An event in a JSON string may contain line ends without changing the
//! host's count of lines.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use sluicegate_engine::verdict::{Failure, FailureKind};

use super::envelope::kind;

/// Returns the event in a field of a line: a part of the line, or the content of a string in it, on one line. If the
/// field appears twice, the last one is used.
///
/// # Errors
/// When the line is not an object, or the field is missing or contains no event.
pub fn event<'a>(line: &'a [u8], name: &str) -> Result<Cow<'a, [u8]>, Failure> {
    let no_object = |what: String| {
        Failure::new(
            FailureKind::NotAnObject,
            format!("{what}: with --input-field {name} each line is {{\"{name}\": \"{{…}}\"}}"),
        )
    };
    let mut json = serde_json::Deserializer::from_slice(line);
    let found = Field(name).deserialize(&mut json).and_then(|found| json.end().map(|()| found));
    let value = match found {
        Ok(Some(value)) => value.get().as_bytes(),
        Ok(None) => return Err(no_object(format!("the line has no field \"{name}\""))),
        Err(error) if error.is_data() && !line.trim_ascii_start().starts_with(b"{") => {
            return match serde_json::from_slice::<IgnoredAny>(line) {
                Ok(IgnoredAny) => Err(no_object(format!("the line is {}", kind(line.trim_ascii_start())))),
                Err(error) => Err(Failure::new(FailureKind::InvalidJson, error.to_string())),
            };
        }
        Err(error) => return Err(Failure::new(FailureKind::InvalidJson, error.to_string())),
    };
    match value.first() {
        Some(b'{') => Ok(Cow::Borrowed(value)),
        Some(b'"') => match serde_json::Deserializer::from_slice(value).deserialize_bytes(Content) {
            Ok(text) => Ok(Cow::Owned(on_one_line(&text))),
            Err(error) => {
                Err(Failure::new(FailureKind::InvalidJson, format!("the field \"{name}\" is not valid text: {error}")))
            }
        },
        _ => Err(no_object(format!("the line's field \"{name}\" is {}", kind(value)))),
    }
}

/// Converts JSON text to one line of UTF-8. A line end between tokens becomes a blank. A line end in a string is
/// invalid, and is replaced by another control character, which is invalid too. Half of a surrogate pair, which
/// JavaScript's strings may contain, is written as an escape.
fn on_one_line(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'\n', _) => out.push(if in_string { b'\r' } else { b' ' }),
            // Encoded as three bytes, which UTF-8 does not allow.
            (0xED, [second @ 0xA0..=0xBF, third, after @ ..]) => {
                let code = 0xD000 | u16::from(second & 0x3F) << 6 | u16::from(third & 0x3F);
                out.extend_from_slice(format!("\\u{code:04x}").as_bytes());
                rest = after;
            }
            _ => out.push(*byte),
        }
        in_string ^= *byte == b'"' && !(in_string && escaped);
        escaped = in_string && *byte == b'\\' && !escaped;
    }
    out
}

/// The content of a JSON string, with each half of a surrogate pair encoded as three bytes.
struct Content;

impl Visitor<'_> for Content {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

/// The last value of one field.
struct Field<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(KeyEquals(self.0))? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Returns whether a key equals this one.
struct KeyEquals<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for KeyEquals<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeyEquals<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<bool, E> {
        Ok(key == self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_is_a_string_or_a_part_of_the_line() {
        for (line, expected) in [
            (r#"{"id":1,"e":"{\"a\": 1,\n \"b\":\"\\n\"}"}"#, r#"{"a": 1,  "b":"\n"}"#),
            (r#"{"e": {"a" : 9007199254740993} }"#, r#"{"a" : 9007199254740993}"#),
            (r#"{"\u0065":"{}"}"#, "{}"),
            (r#"{"e":"{}","e":"{\"last\":1}"}"#, r#"{"last":1}"#),
            (r#"{"e":"not json"}"#, "not json"),
            (r#"{"e":"{\"a\":\"\ud800\"}"}"#, r#"{"a":"\ud800"}"#),
            (r#"{"e":"{\"a\":\"\ud83d\ude00\udfff\"}"}"#, "{\"a\":\"😀\\udfff\"}"),
            (r#"{"e":"{\"a\nb\":\"\\\"\n\"}\n"}"#, "{\"a\rb\":\"\\\"\r\"} "),
        ] {
            assert_eq!(event(line.as_bytes(), "e").unwrap(), expected.as_bytes(), "{line}");
        }
    }

    #[test]
    fn a_line_without_it_fails() {
        for (line, kind, message) in [
            (
                r#"{"f":"{}"}"#,
                FailureKind::NotAnObject,
                "the line has no field \"e\": with --input-field e each line is",
            ),
            (r#"{"e":null}"#, FailureKind::NotAnObject, "the line's field \"e\" is null: "),
            (r#"{"e":[1]}"#, FailureKind::NotAnObject, "the line's field \"e\" is an array: "),
            ("[1]", FailureKind::NotAnObject, "the line is an array: "),
            ("[1", FailureKind::InvalidJson, ""),
            (r#"{"e":"{}"} x"#, FailureKind::InvalidJson, ""),
            (r#"{"e":"\ud8"}"#, FailureKind::InvalidJson, ""),
        ] {
            let failure = event(line.as_bytes(), "e").unwrap_err();
            assert_eq!(failure.kind, kind, "{line}: {}", failure.message);
            assert!(failure.message.starts_with(message), "{line}: {}", failure.message);
        }
    }
}
