//! Lines that are envelopes around events: `{"message":{…},"metadata":{…}}`, see `--envelope`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use sluicegate_engine::verdict::{Failure, FailureKind};
use sluicegate_json::restore::Restorer;

/// An envelope without duplicate fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The event.
    pub message: &'a [u8],
    /// Its metadata, a JSON object.
    pub metadata: Option<&'a [u8]>,
}

/// Why a line cannot be used as an envelope.
#[derive(Debug, PartialEq, Eq)]
pub enum NoEnvelope {
    /// The line is not an envelope.
    Failed(Failure),
    /// The envelope has a field twice: see [`without_duplicates`].
    Duplicates,
    /// The event is not a part of the line's text: it is the decoded content of a string.
    Elsewhere(Vec<u8>),
}

/// Parses an envelope.
///
/// # Errors
/// When the line is not an envelope, or has a field twice.
pub fn parse(line: &[u8]) -> Result<Envelope<'_>, NoEnvelope> {
    let failed = |kind, message: String| Err(NoEnvelope::Failed(Failure::new(kind, message)));
    let fields: Fields<'_> = match serde_json::from_slice(line) {
        Ok(fields) => fields,
        Err(error) if error.is_data() => {
            return match serde_json::from_slice::<IgnoredAny>(line) {
                Ok(IgnoredAny) => failed(
                    FailureKind::NotAnObject,
                    format!("the line is {}, not an envelope: {EXPECTED}", kind(line.trim_ascii_start())),
                ),
                Err(error) => failed(FailureKind::InvalidJson, error.to_string()),
            };
        }
        Err(error) => return failed(FailureKind::InvalidJson, error.to_string()),
    };
    if fields.duplicates {
        return Err(NoEnvelope::Duplicates);
    }
    let [message, metadata] = [fields.message, fields.metadata].map(|field| field.map(|field| field.get().as_bytes()));
    let message = message.unwrap_or_default();
    if message.first() != Some(&b'{') {
        return failed(FailureKind::NotAnObject, format!("the line has no object as its \"message\": {EXPECTED}"));
    }
    let metadata = metadata.filter(|metadata| *metadata != b"null");
    if let Some(metadata) = metadata.filter(|metadata| metadata.first() != Some(&b'{')) {
        let found = kind(metadata);
        return failed(
            FailureKind::NotAnObject,
            format!("the line's \"metadata\" is {found}, not an object: {EXPECTED}"),
        );
    }
    Ok(Envelope { message, metadata })
}

const EXPECTED: &str = "with --envelope each line is {\"message\":{…},\"metadata\":{…}}";

/// Returns the envelope with only the last of each duplicate field, which is the effective one in JSON.
pub fn without_duplicates(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Restorer::default().without_duplicates(line, &mut out);
    out
}

/// Returns the metadata of a line, even if the line is otherwise invalid.
pub fn metadata(line: &[u8]) -> Option<Cow<'_, [u8]>> {
    match serde_json::from_slice::<Fields<'_>>(line).ok()? {
        fields if fields.duplicates => {
            let line = without_duplicates(line);
            Some(Cow::Owned(metadata(&line)?.into_owned()))
        }
        Fields { metadata, .. } => {
            let metadata = metadata?.get().as_bytes();
            (metadata.first() == Some(&b'{')).then_some(Cow::Borrowed(metadata))
        }
    }
}

/// Returns the type of a JSON value as a noun.
pub(super) fn kind(value: &[u8]) -> &'static str {
    match value.first() {
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[derive(Default)]
struct Fields<'a> {
    message: Option<&'a RawValue>,
    metadata: Option<&'a RawValue>,
    duplicates: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not derived, because a derived impl would also accept an array with the fields in order.
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Field {
            Message,
            Metadata,
            #[serde(other)]
            Other,
        }
        let mut fields = Fields::default();
        while let Some(field) = map.next_key()? {
            let place = match field {
                Field::Message => &mut fields.message,
                Field::Metadata => &mut fields.metadata,
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            fields.duplicates |= place.replace(map.next_value()?).is_some();
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(line: &str) -> (FailureKind, String) {
        match parse(line.as_bytes()) {
            Err(NoEnvelope::Failed(failure)) => (failure.kind, failure.message),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn an_envelope_is_an_object_with_a_message() {
        let line = br#" {"a":1,"metadata" : {"b":2}, "message": {"c":3}} "#;
        let envelope = parse(line).unwrap();
        assert_eq!((envelope.message, envelope.metadata), (&br#"{"c":3}"#[..], Some(&br#"{"b":2}"#[..])));
        for line in [r#"{"message":{}}"#, r#"{"message":{},"metadata":null}"#] {
            assert_eq!(parse(line.as_bytes()).unwrap(), Envelope { message: b"{}", metadata: None });
        }
        let (kind, message) = failure(r#"[{"a":1},{"sourceId":"s"}]"#);
        assert_eq!(kind, FailureKind::NotAnObject);
        assert!(
            message.starts_with("the line is an array, not an envelope: with --envelope each line is"),
            "{message}"
        );
        for line in
            ["{}", r#"{"message":[]}"#, "1", r#"{"message":{},"metadata":"x"}"#, r#"{"message":{},"metadata":[]}"#]
        {
            assert_eq!(failure(line).0, FailureKind::NotAnObject, "{line}");
        }
        assert!(failure(r#"{"message":{},"metadata":"x"}"#).1.contains("\"metadata\" is a string, not an object"));
        for line in ["[1,", r#"{"message":{}"#, "{}x", ""] {
            assert_eq!(failure(line).0, FailureKind::InvalidJson, "{line}");
        }
    }

    #[test]
    fn of_a_field_that_stands_twice_the_last_counts() {
        let line = br#"{"message":{"a":1},"metadata":{"m": 1},"message":{"a": 2},"x":0}"#;
        assert_eq!(parse(line), Err(NoEnvelope::Duplicates));
        let whole = without_duplicates(line);
        assert_eq!(whole, br#"{"message":{"a": 2},"metadata":{"m": 1},"x":0}"#);
        assert_eq!(parse(&whole).unwrap().message, br#"{"a": 2}"#);
        assert_eq!(metadata(br#"{"metadata":{"a":1},"metadata":{"b":1}}"#).as_deref(), Some(&br#"{"b":1}"#[..]));
        assert_eq!(metadata(br#"{"message":1,"metadata":{"a":1}}"#).as_deref(), Some(&br#"{"a":1}"#[..]));
        assert_eq!(metadata(br#"{"message":{}}"#), None);
    }
}
