//! Lines with the event in one of their fields, see `--input-field`. Hosts that send rows write such lines, for example
//! ClickHouse with `JSONEachRow`. An event in a JSON string may contain line ends, and the host's count of lines stays
//! right.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use sluicegate_engine::verdict::{Failure, FailureKind};

use super::envelope::kind;

/// The event in a field of a line: a part of the line, or the content of a string in it, on one line. If the field
/// appears twice, the last one counts.
///
/// # Errors
/// When the line is not an object, or has no such field with an event in it.
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
        Some(b'"') => match serde_json::from_slice::<String>(value) {
            // A line end between tokens is white space, like a blank. Inside a token, neither one is valid JSON.
            Ok(text) => Ok(Cow::Owned(text.into_bytes().into_iter().map(blank).collect())),
            Err(error) => {
                Err(Failure::new(FailureKind::InvalidJson, format!("the field \"{name}\" is not valid text: {error}")))
            }
        },
        _ => Err(no_object(format!("the line's field \"{name}\" is {}", kind(value)))),
    }
}

fn blank(byte: u8) -> u8 {
    if byte == b'\n' { b' ' } else { byte }
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
        while let Some(is_it) = map.next_key_seed(Is(self.0))? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a key equals this one.
struct Is<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Is<'_> {
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
            (r#"{"e":"\ud800"}"#, FailureKind::InvalidJson, "the field \"e\" is not valid text"),
        ] {
            let failure = event(line.as_bytes(), "e").unwrap_err();
            assert_eq!(failure.kind, kind, "{line}: {}", failure.message);
            assert!(failure.message.starts_with(message), "{line}: {}", failure.message);
        }
    }
}
