//! "Add as test case": writes a result as a `*.case.json` that `sluicegate test` finds (`docs/testing.md`).
//!
//! Events stay unchanged except for white space, so that no number changes when it is written to the file.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::testing::discover::subject_of;
use sluicegate_engine::verdict::FailureKind;

/// The most names that are tried if a name is already in use.
const MAX_NAMES: usize = 100;

/// The part of an answer of [`crate::workers::answer()`] that a case contains.
#[derive(Deserialize)]
pub(super) struct RecordedAnswer<'a> {
    #[serde(borrow)]
    verdicts: Vec<Verdict<'a>>,
}

#[derive(Deserialize)]
struct Verdict<'a> {
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
    kind: Option<FailureKind>,
    name: Option<String>,
    message: Option<String>,
}

/// Returns the possible names for a case of this transformation, in the order in which they are tried:
/// `orders.refund.case.json`, `orders.refund-2.case.json` and so on.
pub(super) fn names(transformation: &str, name: &str) -> impl Iterator<Item = String> {
    let stem = transformation.rsplit_once('.').map_or(transformation, |(stem, _)| stem).to_owned();
    let slug = slug(name);
    (1..=MAX_NAMES).map(move |number| match number {
        1 => format!("{stem}.{slug}.case.json"),
        _ => format!("{stem}.{slug}-{number}.case.json"),
    })
}

/// Converts a name to a part of a file name: words in lower case.
fn slug(name: &str) -> String {
    let words: Vec<String> =
        name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let slug: String = words.join("-").chars().take(60).collect();
    match slug.trim_matches('-') {
        "" => "case".to_owned(),
        slug => slug.to_owned(),
    }
}

/// Returns the text of a case. `subject` is the transformation's file, `place` the case's file. If that file's name
/// would select another transformation, the case names its own.
pub(super) fn text(
    name: &str,
    (subject, place): (&std::path::Path, &std::path::Path),
    events: &[String],
    metadata: Option<&str>,
    answer: &RecordedAnswer<'_>,
) -> String {
    let mut parts = vec![format!("\"name\": {}", json!(name))];
    if subject_of(place).as_deref() != Some(subject)
        && let Some(file) = subject.file_name().and_then(|name| name.to_str())
    {
        parts.push(format!("\"transformation\": {}", json!(format!("./{file}"))));
    }
    match events {
        [event] => parts.push(format!("\"event\": {}", pretty(event, 1))),
        events => parts.push(format!("\"events\": {}", pretty(&format!("[{}]", events.join(",")), 1))),
    }
    if let Some(metadata) = metadata {
        parts.push(format!("\"metadata\": {}", pretty(metadata, 1)));
    }
    parts.push(format!("\"expect\": {}", pretty(&expectation(answer), 1)));
    format!("{{\n  {}\n}}\n", parts.join(",\n  "))
}

/// Returns the expected result: the first failure, a drop, or the outputs.
fn expectation(answer: &RecordedAnswer<'_>) -> String {
    if let Some((kind, failed)) = answer.verdicts.iter().find_map(|verdict| Some((verdict.kind?, verdict))) {
        let mut failure = json!({ "kind": kind });
        // The message about a limit contains the limit, which the test should not check.
        if kind == FailureKind::Exception {
            if let Some(name) = &failed.name {
                failure["name"] = json!(name);
            }
            // A message that starts with a slash would be read as a pattern.
            let is_plain = |message: &&String| !message.is_empty() && !message.starts_with('/');
            if let Some(message) = failed.message.as_ref().filter(is_plain) {
                failure["message"] = json!(message);
            }
        }
        return json!({ "failure": failure }).to_string();
    }
    let out: Vec<&str> = answer.verdicts.iter().flat_map(|verdict| &verdict.events).map(|event| event.get()).collect();
    if out.is_empty() { Value::from("drop").to_string() } else { format!("{{\"events\":[{}]}}", out.join(",")) }
}

/// Formats valid JSON with new white space, two blanks for each level. Numbers and strings stay unchanged.
fn pretty(json: &str, mut level: usize) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut rest = json.chars().peekable();
    let line = |out: &mut String, level: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(level));
    };
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                out.push(c);
                while let Some(c) = rest.next() {
                    out.push(c);
                    match c {
                        '\\' => out.extend(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                out.push(c);
                while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                match rest.next_if(|c| matches!(c, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        level += 1;
                        line(&mut out, level);
                    }
                }
            }
            '}' | ']' => {
                level = level.saturating_sub(1);
                line(&mut out, level);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, level);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn white_space_is_all_that_changes() {
        let text = r#"{"a":[ ],"b" : [1.0, 9007199254740993,{}],"c":"x, \"y\": {\\", "d":{"e":null}}"#;
        let wanted = r#"{
  "a": [],
  "b": [
    1.0,
    9007199254740993,
    {}
  ],
  "c": "x, \"y\": {\\",
  "d": {
    "e": null
  }
}"#;
        assert_eq!(pretty(text, 0), wanted);
        assert_eq!(pretty("\"drop\"", 1), "\"drop\"");
    }

    #[test]
    fn a_name_makes_a_file_name() {
        let first = |name: &str| names("lib/orders.v2.js", name).next().unwrap();
        assert_eq!(first("Track: Order Completed!"), "lib/orders.v2.track-order-completed.case.json");
        assert_eq!(first("../../etc"), "lib/orders.v2.etc.case.json");
        assert_eq!(first("…"), "lib/orders.v2.case.case.json");
        assert_eq!(first("Größe"), "lib/orders.v2.größe.case.json");
        assert_eq!(names("a.js", "b").nth(1).unwrap(), "a.b-2.case.json");
    }

    #[test]
    fn each_verdict_becomes_what_the_test_expects() {
        let expect = |verdicts: &str| {
            let answer = format!("{{\"verdicts\":[{verdicts}]}}");
            expectation(&serde_json::from_str(&answer).unwrap())
        };
        let ok = r#"{"verdict":"ok","events":[{"id":9007199254740993}]}"#;
        assert_eq!(expect(ok), r#"{"events":[{"id":9007199254740993}]}"#);
        assert_eq!(expect(r#"{"verdict":"dropped","events":[]}"#), r#""drop""#);
        let failed = r#"{"verdict":"failed","kind":"exception","name":"TypeError","message":"no"}"#;
        assert_eq!(expect(failed), r#"{"failure":{"kind":"exception","name":"TypeError","message":"no"}}"#);
        assert_eq!(
            expect(r#"{"verdict":"failed","kind":"timeout","message":"1s"}"#),
            r#"{"failure":{"kind":"timeout"}}"#
        );
        assert_eq!(expect(&format!("{ok},{failed}")), expect(failed));
    }

    #[test]
    fn a_case_says_what_it_is_about_only_where_its_name_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a.ts"), "").unwrap();
        let answer = serde_json::from_str(r#"{"verdicts":[{"verdict":"dropped","events":[]}]}"#).unwrap();
        let case = |subject: &Path| text("x", (subject, &at("a.x.case.json")), &["{}".to_owned()], None, &answer);
        assert_eq!(case(&at("a.ts")), "{\n  \"name\": \"x\",\n  \"event\": {},\n  \"expect\": \"drop\"\n}\n");
        std::fs::write(at("a.js"), "").unwrap();
        assert!(case(&at("a.ts")).contains(r#""transformation": "./a.ts""#));
    }
}
