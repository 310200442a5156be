//! Splits a body of `/customTransform` into its events, the group of each event, and the positions of their texts in
//! the body. Nothing is copied. Events are skipped, not parsed: the engine parses them. If the engine finds an event
//! that is not JSON, the whole body is invalid, see [`wrong_with`].

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde_json::Value;

use super::elements::{self, Element, Elements, Ids};
use super::fields::{self, TOO_MANY};

/// An event of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The range of its text; empty if it has none.
    pub event: Range<usize>,
    /// The range of its metadata's text; empty if it has none.
    pub metadata: Range<usize>,
}

/// The events of one source and destination.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its events, in the order of the request.
    pub items: Vec<Item>,
    /// The `VersionID` of its transformation, if it names one.
    pub version: Option<String>,
    /// The workspace of its first event; empty if it has none.
    pub workspace: String,
    /// The transformation's id, for messages; empty if there is none.
    pub transformation: String,
    /// The values that `getCredential` returns.
    pub credentials: BTreeMap<String, String>,
}

/// A request.
#[derive(Clone, Debug, Default)]
pub struct TransformRequest {
    /// The groups by source and destination, in order of appearance.
    pub groups: Vec<Group>,
    /// The `VersionID`s of the libraries.
    pub libraries: Vec<String>,
    /// Whether the pass could prove that no event and no metadata contains a line end.
    pub one_line: bool,
}

/// Why a body is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadBody {
    /// It has more events than `elements::MAX_EVENTS`.
    TooManyEvents,
    /// It is not JSON (events aside) or not a list of objects; the text says what is wrong.
    Wrong(String),
}

/// Splits a body.
///
/// # Errors
/// When the body is invalid.
pub fn parse(body: &[u8]) -> Result<TransformRequest, BadBody> {
    let Elements { each: elements, one_line } = elements::of(body).map_err(|error| match error.to_string() {
        text if text.starts_with(TOO_MANY) => BadBody::TooManyEvents,
        _ => BadBody::Wrong(words(&error)),
    })?;
    let start = body.as_ptr() as usize;
    let range = |text: Option<&str>| match text {
        Some(text) => {
            let at = text.as_ptr() as usize - start;
            at..at + text.len()
        }
        None => 0..0,
    };
    let mut request = TransformRequest {
        groups: Vec::new(),
        libraries: elements.first().and_then(|first| first.libraries).map(versions).unwrap_or_default(),
        one_line,
    };
    let mut places: HashMap<Ids<'_>, usize> = HashMap::new();
    let mut last = None;
    for element in &elements {
        let ids = element.ids;
        // Most requests have a single group.
        let place = match last {
            Some((same, place)) if same == ids => place,
            _ => *places.entry(ids).or_insert_with(|| {
                let items = if request.groups.is_empty() { Vec::with_capacity(elements.len()) } else { Vec::new() };
                request.groups.push(Group { items, ..group(element) });
                request.groups.len() - 1
            }),
        };
        last = Some((ids, place));
        request.groups[place].items.push(Item { event: range(element.message), metadata: range(element.metadata) });
    }
    Ok(request)
}

fn words(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => {
            format!("the body is not a list of {{\"message\":{{…}},\"metadata\":{{…}}}}: {error}")
        }
        _ => format!("the body is not JSON: {error}"),
    }
}

/// Returns the error in a body that was split, if one of these events is not JSON. Call it with events that were not
/// parsed and with events whose parsing failed.
pub fn wrong_with<'a>(body: &[u8], events: impl IntoIterator<Item = &'a [u8]>) -> Option<String> {
    if events.into_iter().all(elements::is_json) {
        return None;
    }
    elements::thorough(body).err().map(|error| words(&error))
}

/// Returns a group without events, with the settings of its first element.
fn group(first: &Element<'_>) -> Group {
    let value =
        |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or(Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (destination, metadata) = (value(first.destination), value(first.metadata));
    let version = match &destination["Transformations"][0]["VersionID"] {
        Value::Number(number) => number.to_string(),
        version => text(version),
    };
    Group {
        items: Vec::new(),
        version: (!version.is_empty()).then_some(version),
        workspace: text(&metadata["workspaceId"]),
        transformation: match &destination["Transformations"][0]["ID"] {
            Value::String(id) => id.clone(),
            _ => text(&metadata["transformationId"]),
        },
        credentials: first.credentials.map(|text| credentials(&value(Some(text)))).unwrap_or_default(),
    }
}

fn versions(text: &str) -> Vec<String> {
    let libraries: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    libraries.iter().filter_map(|library| library["VersionID"].as_str()).map(str::to_owned).collect()
}

/// Reads `[{"key":…,"value":…}]`. Skips entries without a key or a value.
pub fn credentials(list: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let pairs = list.as_array().into_iter().flatten();
    let pairs = pairs.filter_map(|credential| Some((text(&credential["key"])?, text(&credential["value"])?)));
    pairs.collect()
}

/// Returns the metadata of a row about a whole group, and of a row whose event has none, as the text of a JSON object.
pub fn common_metadata(body: &[u8], group: &Group) -> Vec<u8> {
    const COMMON: [&str; 5] = ["sourceId", "destinationId", "destinationType", "workspaceId", "transformationId"];
    let metadata = |item: &Item| &body[item.metadata.clone()];
    let first = group.items.first().and_then(|item| fields::of(metadata(item), &COMMON).ok()).unwrap_or_default();
    let mut text = Vec::from(b"{");
    for (key, value) in COMMON.iter().zip(first) {
        if let Some(value) = value {
            text.extend_from_slice(format!("\"{key}\":{value},").as_bytes());
        }
    }
    text.extend_from_slice(b"\"messageIds\":[");
    let ids = group.items.iter().map(|item| {
        let [id] = fields::of(metadata(item), &["messageId"]).unwrap_or_default();
        id.unwrap_or("null")
    });
    text.extend_from_slice(ids.collect::<Vec<_>>().join(",").as_bytes());
    text.extend_from_slice(b"]}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_of_their_events() {
        let body = br#"[
          {"message":{"n":1},"metadata":{"sourceId":"s","destinationId":"d","messageId":"a","workspaceId":"w"},
           "destination":{"Transformations":[{"VersionID":"v1","ID":"t"}]},"libraries":[{"VersionID":"l"}],
           "credentials":[{"key":"k","value":"x"},{"key":"empty"},{"key":7,"value":true}]},
          {"message":{"n":2},"metadata":{"sourceId":"s","destinationId":"other"}},
          {"message":{"n":3},"metadata":{"sourceId":"s","destinationId":"d","messageId":"c"}}]"#;
        let request = parse(body).unwrap();
        let texts = |group: &Group| -> Vec<&str> {
            group.items.iter().map(|item| std::str::from_utf8(&body[item.event.clone()]).unwrap()).collect()
        };
        assert_eq!(request.libraries, ["l"]);
        assert_eq!(request.groups.len(), 2);
        assert_eq!(texts(&request.groups[0]), ["{\"n\":1}", "{\"n\":3}"]);
        assert_eq!(texts(&request.groups[1]), ["{\"n\":2}"]);
        assert_eq!(request.groups[0].version.as_deref(), Some("v1"));
        assert_eq!(
            request.groups[0].credentials,
            BTreeMap::from([("7".into(), "true".into()), ("k".into(), "x".into())])
        );
        assert_eq!(request.groups[1].version, None);
        let common = String::from_utf8(common_metadata(body, &request.groups[0])).unwrap();
        assert_eq!(common, r#"{"sourceId":"s","destinationId":"d","workspaceId":"w","messageIds":["a","c"]}"#);
    }

    #[test]
    fn whatever_is_missing_is_no_reason_to_refuse_the_rest() {
        let request = parse(br#"[{},{"message":null,"metadata":7,"libraries":3,"destination":[]}]"#).unwrap();
        assert_eq!(request.groups.len(), 1);
        assert_eq!(request.groups[0].items[1], Item { event: 0..0, metadata: 31..32 });
        let listed = br#"[{"metadata":["s","d"]},{}]"#;
        let request = parse(listed).unwrap();
        assert_eq!(request.groups.len(), 1, "a list has no ids");
        assert_eq!(common_metadata(listed, &request.groups[0]), br#"{"messageIds":[null,null]}"#);
        assert!(parse(b"[]").unwrap().groups.is_empty());
        for bad in ["", "{", "{}", "[1]", "[[{\"n\":1}]]", "\"x\"", "[{}", "null"] {
            let error = parse(bad.as_bytes()).unwrap_err();
            assert!(matches!(&error, BadBody::Wrong(message) if message.starts_with("the body is not")), "{bad}");
        }
    }

    #[test]
    fn an_event_that_is_no_json_makes_its_body_none() {
        let body = br#"[{"message":{"n":1}},{"message":{"n":}}]"#;
        let request = parse(body).unwrap();
        let mut events = request.groups[0].items.iter().map(|item| &body[item.event.clone()]);
        assert_eq!(wrong_with(body, events.next()), None);
        let wrong = wrong_with(body, events.next()).unwrap();
        assert_eq!(wrong, "the body is not JSON: expected value at line 1 column 38");
    }
}
