//! Treats any bytes as a line: the walks over JSON text must agree with each other, and with `serde_json`.

use serde::de::{Deserialize, IgnoredAny};
use sluicegate_json::canonical;
use sluicegate_json::object_index::{ObjectIndex, index_object};
use sluicegate_json::restore::Restorer;
use sluicegate_json::skip::skip_container;
use sluicegate_json::validator::Validator;

/// Deeper nesting may be declined.
const MAX_DEPTH: usize = 500;

/// Panics if one walk contradicts another.
pub fn check(data: &[u8]) {
    // Lines are checked to be UTF-8 before they get here.
    if std::str::from_utf8(data).is_err() {
        return;
    }
    let mut validator = Validator::default();
    let report = validator.survey(data);
    let is_object = is_object(data);
    if depth(data) < MAX_DEPTH {
        assert_eq!(report.is_some(), is_object, "the validator and serde_json disagree on what is an object");
    }
    let found = validator.find_slowly(data);
    assert!(!found || is_object, "properties are found in what is no object");
    let mut index = ObjectIndex::default();
    if index_object(data, &mut index).is_some() {
        assert!(found, "the index takes what the validator refuses");
        assert_eq!(index.entries, validator.entries(), "the index and the validator find other properties");
    }
    if !is_object {
        return;
    }
    whole(data);
    unchanged(data);
    if canonical::round_trips(data).is_some() {
        let losses = report.expect("what round-trips is an object").losses;
        assert!(!losses.form && !losses.numbers, "a text is said to round-trip, and has {losses:?}");
    }
}

fn is_object(data: &[u8]) -> bool {
    let mut parser = serde_json::Deserializer::from_slice(data);
    parser.disable_recursion_limit();
    let first = data.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    first == Some(&b'{') && IgnoredAny::deserialize(&mut parser).is_ok() && parser.end().is_ok()
}

fn depth(data: &[u8]) -> usize {
    data.iter().filter(|byte| matches!(byte, b'{' | b'[')).count()
}

/// An object must end where its text ends.
fn whole(data: &[u8]) {
    let text = data.trim_ascii();
    let container = skip_container(text).expect("an object is a container");
    assert_eq!(container.len, text.len(), "the object ends elsewhere");
}

/// A text that V8 returns unchanged must be restored as the line itself.
fn unchanged(data: &[u8]) {
    let mut out = Vec::new();
    let mut restorer = Restorer::default();
    restorer.start(data);
    restorer.restore(data, data, &mut out);
    assert_eq!(out, data, "the line comes back differently");
}
