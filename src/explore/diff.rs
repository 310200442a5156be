//! Compares two versions of a transformation on the same events: which verdicts and fields differ, how often, with an
//! example of each.
//!
//! Both versions run at the same time, and their verdict lines are read in pairs; only counts and examples are kept.
//! Numbers are compared as JSON, objects regardless of key order, failures
//! by kind and message: a changed line number is not a difference.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::{ExploreRun, Setup, Verdict, parse};

/// The maximum number of differing places that are listed; the others are counted together.
const MAX_PLACES: usize = 2000;

/// The maximum number of characters of an example's value.
const MAX_TEXT: usize = 200;

/// The differences between two versions.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Differences {
    /// The number of events that both versions got.
    pub events: u64,
    /// The number of events with any difference.
    pub changed: u64,
    /// Changed verdicts, by the old and the new one.
    pub verdicts: BTreeMap<String, Difference>,
    /// Changed fields of events that have output in both versions, by path; `[]` stands for every element of an array.
    pub fields: BTreeMap<String, Difference>,
    /// CPU time of all processes: of the old version, then of the new one.
    pub cpu: [Duration; 2],
}

/// One difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The number of events with it.
    pub count: u64,
    /// The line of the first of them, from 1.
    pub line: u64,
    /// The value in the old version; `None` if the field is missing there.
    pub old: Option<String>,
    /// The value in the new version.
    pub new: Option<String>,
}

/// Runs both versions over the file that they name. Fields at or below one of the `ignored` paths do not count.
///
/// # Errors
/// When one of the runs fails.
pub fn diff(
    old: &Setup,
    new: &Setup,
    ignored: &[String],
    tick: &mut dyn FnMut(&Differences),
) -> io::Result<Differences> {
    let mut runs = [ExploreRun::start(old)?, ExploreRun::start(new)?];
    let mut lines = [Vec::new(), Vec::new()];
    let mut found = Differences::default();
    loop {
        let [one, other] = &mut runs;
        let more = [one.next_line(&mut lines[0])?, other.next_line(&mut lines[1])?];
        match more {
            [true, true] => {}
            [false, false] => break,
            // The result of the shorter run says why it ended early.
            [first, _] => {
                let [one, other] = runs;
                let short = if first { other } else { one };
                short.end()?;
                return Err(io::Error::other("one of the versions answered fewer lines than the other"));
            }
        }
        found.events += 1;
        if lines[0] != lines[1] {
            found.compare(&parse(&lines[0]), &parse(&lines[1]), ignored);
        }
        if found.events.is_multiple_of(4096) {
            tick(&found);
        }
    }
    let [one, other] = runs;
    found.cpu = [one.end()?, other.end()?];
    Ok(found)
}

impl Differences {
    /// Records the differences of the current event, which is counted already.
    fn compare(&mut self, old: &Verdict, new: &Verdict, ignored: &[String]) {
        let line = self.events;
        let mut places = BTreeMap::new();
        if let (Verdict::Ok { events: old }, Verdict::Ok { events: new }) = (old, new) {
            if old.len() == new.len() {
                old.iter().zip(new).for_each(|(old, new)| fields(String::new(), Some(old), Some(new), &mut places));
            } else {
                let count = |events: &[Value]| Some(format!("{} events", events.len()));
                places.insert("(how many go out)".to_owned(), (count(old), count(new)));
            }
            places.retain(|path, _| !ignored.iter().any(|one| is_below(path, one)));
            self.changed += u64::from(!places.is_empty());
            for (path, example) in places {
                note(&mut self.fields, path, line, example);
            }
            return;
        }
        let (before, after) = (kind(old), kind(new));
        let (text, other) = (says(old), says(new));
        if before == after && text == other {
            return;
        }
        self.changed += 1;
        let key = if before == after { format!("{before}, another message") } else { format!("{before} → {after}") };
        note(&mut self.verdicts, key, line, (text, other));
    }
}

/// Returns whether a path equals `above` or is inside it.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn note(places: &mut BTreeMap<String, Difference>, key: String, line: u64, (old, new): Example) {
    let key = if places.len() < MAX_PLACES || places.contains_key(&key) { key } else { "(others)".to_owned() };
    places.entry(key).or_insert_with(|| Difference { count: 0, line, old, new }).count += 1;
}

fn kind(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Ok { .. } => "ok".to_owned(),
        Verdict::Dropped => "dropped".to_owned(),
        Verdict::Failed(failure) => format!("failed ({})", failure.kind),
    }
}

/// Returns the text of a verdict for an example; `None` for a dropped event.
fn says(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Ok { events } => Some(shown(&Value::from(events.clone()))),
        Verdict::Dropped => None,
        Verdict::Failed(failure) => {
            let name = failure.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
            Some(cut(&format!("{name}{}", failure.message)))
        }
    }
}

type Example = (Option<String>, Option<String>);

/// Adds the fields in which two values differ, with the first example of each.
fn fields(path: String, old: Option<&Value>, new: Option<&Value>, found: &mut BTreeMap<String, Example>) {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                fields(join(key), old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                fields(format!("{path}[]"), old.get(index), new.get(index), found);
            }
        }
        _ => {
            found.entry(path).or_insert_with(|| (old.map(shown), new.map(shown)));
        }
    }
}

fn shown(value: &Value) -> String {
    cut(&value.to_string())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ok(event: Value) -> Verdict {
        Verdict::Ok { events: vec![event] }
    }

    fn compared(pairs: &[(Verdict, Verdict)]) -> Differences {
        let mut found = Differences::default();
        for (old, new) in pairs {
            found.events += 1;
            found.compare(old, new, &[]);
        }
        found
    }

    #[test]
    fn fields_are_counted_once_per_event_and_have_an_example() {
        let found = compared(&[
            (ok(json!({"a": 1, "b": [{"c": 1}, {"c": 2}]})), ok(json!({"b": [{"c": 3}, {"c": 4}], "a": 1}))),
            (ok(json!({"a": 1})), ok(json!({"a": "1", "d": null}))),
            (ok(json!({"a": 1})), ok(json!({"a": 1}))),
        ]);
        assert_eq!((found.events, found.changed), (3, 2));
        let place = |line, old: Option<&str>, new: Option<&str>| Difference {
            count: 1,
            line,
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        };
        assert_eq!(found.fields["b[].c"], place(1, Some("1"), Some("3")));
        assert_eq!(found.fields["a"], place(2, Some("1"), Some("\"1\"")));
        assert_eq!(found.fields["d"], place(2, None, Some("null")));
    }

    #[test]
    fn what_is_ignored_is_no_change() {
        let old = ok(json!({"id": 1, "list": [{"id": 1, "n": 1}], "identity": 1}));
        let new = ok(json!({"id": 2, "list": [{"id": 2, "n": 1}], "identity": 1}));
        let with = |ignored: &[&str]| {
            let mut found = Differences { events: 1, ..Differences::default() };
            found.compare(&old, &new, &ignored.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
            (found.changed, found.fields.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(with(&["id"]), (1, vec!["list[].id".to_owned()]));
        assert_eq!(with(&["id", "list[].id"]), (0, vec![]));
        assert_eq!(with(&["id", "list"]), (0, vec![]));
        assert_eq!(with(&["i", "list"]), (1, vec!["id".to_owned()]));
    }

    #[test]
    fn a_failure_that_moved_is_none_and_another_message_is_one() {
        use sluicegate_engine::verdict::{Failure, FailureKind, Position};
        let failed = |message: &str, line| {
            let position = Some(Position { file: "t.js".into(), line, column: 1 });
            Verdict::Failed(Failure { position, ..Failure::new(FailureKind::Exception, message) })
        };
        let found = compared(&[
            (failed("a", 1), failed("a", 2)),
            (failed("a", 1), failed("b", 1)),
            (failed("a", 1), Verdict::Dropped),
        ]);
        assert_eq!(found.changed, 2);
        let keys: Vec<&str> = found.verdicts.keys().map(String::as_str).collect();
        assert_eq!(keys, ["failed (exception) → dropped", "failed (exception), another message"]);
    }
}
