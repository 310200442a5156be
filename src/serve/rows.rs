//! The rows of an answer to `/customTransform`. Workers write the rows of outputs, which are sent unchanged. Rows about
//! failed and dropped events are written here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use sluicegate_engine::verdict::Failure;
use sluicegate_engine::{LoadError, LoadErrorKind};

/// Appends the row of a failed event and a comma. `metadata` is the text of a JSON value.
pub fn failed(out: &mut Vec<u8>, status: u16, error: &str, metadata: &[u8]) {
    out.extend_from_slice(format!("{{\"statusCode\":{status},\"error\":").as_bytes());
    serde_json::to_writer(&mut *out, error).expect("text is JSON");
    out.extend_from_slice(b",\"metadata\":");
    out.extend_from_slice(metadata);
    out.extend_from_slice(b"},");
}

/// Appends the rows of a dropped event, each followed by a comma. Each row has the event's metadata with one message
/// id. An event with several message ids gets several rows.
pub fn dropped(out: &mut Vec<u8>, metadata: &[u8]) {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(metadata).unwrap_or_default();
    #[derive(Deserialize)]
    struct Id<'a>(#[serde(borrow)] &'a RawValue);
    let several: Vec<Id<'_>> =
        fields.get("messageIds").and_then(|ids| serde_json::from_str(ids.get()).ok()).unwrap_or_default();
    let one = fields.get("messageId").map(|id| id.get());
    let ids = match (one, &several[..]) {
        (None, [_, ..]) => several.iter().map(|id| Some(id.0.get())).collect(),
        (one, _) => vec![one],
    };
    for id in ids {
        out.extend_from_slice(b"{\"statusCode\":298,\"metadata\":{");
        for (key, value) in fields.iter().filter(|(key, _)| *key != "messageId" && *key != "messageIds") {
            serde_json::to_writer(&mut *out, key).expect("text is JSON");
            out.extend_from_slice(format!(":{value},").as_bytes());
        }
        if let Some(id) = id {
            out.extend_from_slice(format!("\"messageId\":{id},").as_bytes());
        }
        out.extend_from_slice(b"\"messageIds\":null}},");
    }
}

/// Formats the failure of an event for a row.
pub fn words(failure: &Failure) -> String {
    match (&failure.stack, &failure.name) {
        (Some(stack), _) => stack.clone(),
        (None, Some(name)) => format!("{name}: {}", failure.message),
        (None, None) => failure.message.clone(),
    }
}

/// Formats a load error for a row.
pub fn load_words(error: &LoadError) -> String {
    if let Some(stack) = &error.stack {
        return stack.clone();
    }
    let mut text = match error.kind {
        LoadErrorKind::Syntax | LoadErrorKind::Threw => String::new(),
        _ if error.message.starts_with("SyntaxError: ") => String::new(),
        _ => "Error: ".to_owned(),
    };
    text.push_str(&error.message);
    if let (LoadErrorKind::Syntax, Some(at)) = (error.kind, &error.position) {
        text.push_str(&format!(" [{}:{}:{}]", at.file, at.line, at.column));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_dropped_event_is_told_once_for_each_message() {
        let one = text(|out| dropped(out, br#"{"sourceId":"s","messageId":"m","messageIds":["x"]}"#));
        assert_eq!(one, r#"{"statusCode":298,"metadata":{"sourceId":"s","messageId":"m","messageIds":null}},"#);
        let two = text(|out| dropped(out, br#"{"messageIds":["a","b"]}"#));
        assert_eq!(two.matches("298").count(), 2);
        assert!(two.contains(r#""messageId":"b","messageIds":null"#));
        assert_eq!(text(|out| dropped(out, b"7")), r#"{"statusCode":298,"metadata":{"messageIds":null}},"#);
    }

    #[test]
    fn a_failed_event_keeps_its_metadata_as_it_is() {
        let row = text(|out| failed(out, 400, "Error: \"x\"\n    at y", br#"{ "jobId":9007199254740993 }"#));
        assert_eq!(
            row,
            "{\"statusCode\":400,\"error\":\"Error: \\\"x\\\"\\n    at y\",\"metadata\":{ \"jobId\":9007199254740993 }},"
        );
    }
}
