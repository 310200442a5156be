//! The place of a value: in an event, its metadata, a network answer, or an output.

use std::fmt::Write;

use serde_json::Value;

/// A step into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A property of an object.
    Key(String),
    /// An element of an array.
    Index(usize),
    /// The value of a text that contains JSON.
    Json,
    /// The value of a pair in an array of `[key, value]` pairs.
    Pair(String),
}

/// Steps from the root of all inputs or of all outputs; the first step names the root.
pub type Path = Vec<Step>;

/// The inputs of a transformation besides the event, and its results besides output events.
pub const ROOTS: &[&str] = &["metadata", "credential", "network", "clock", "random", "log", "fetch"];

/// Returns a place as text, for people and patterns. Elements of an array are not distinguished.
pub fn name(path: &[Step]) -> String {
    let mut out = String::new();
    let root = match path.first() {
        Some(Step::Key(root)) => root.as_str(),
        _ => "",
    };
    let rest = match root {
        "event" | "out" => {
            // Output events are not distinguished.
            let rest = path.get(if root == "out" { 2 } else { 1 }..).unwrap_or_default();
            // The field has the name of another root.
            if matches!(rest.first(), Some(Step::Key(key)) if ROOTS.contains(&key.as_str())) {
                out.push_str("event");
            }
            rest
        }
        "network" | "fetch" => {
            let Some(Step::Key(source)) = path.get(1) else { return root.to_owned() };
            let _ = write!(out, "{root}({source})");
            let rest = path.get(2..).unwrap_or_default();
            // Requests to one host are not distinguished.
            if root == "fetch" { rest.get(1..).unwrap_or_default() } else { rest }
        }
        "log" => return "log".to_owned(),
        _ => path,
    };
    for step in rest {
        match step {
            Step::Key(key) | Step::Pair(key) if is_plain(key) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(key);
            }
            Step::Key(key) | Step::Pair(key) => {
                let _ = write!(out, "[{}]", Value::from(key.as_str()));
            }
            Step::Index(_) => out.push_str("[]"),
            Step::Json => out.push_str("(json)"),
        }
    }
    out
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-$@ ".contains(c))
}

/// Returns the value at a path.
pub fn at<'a>(value: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
        Step::Json | Step::Pair(_) => None,
    })
}

/// Returns the value at a path, which may lead into texts that contain JSON.
pub fn value_at(value: &Value, path: &[Step]) -> Option<Value> {
    match path.iter().position(|step| *step == Step::Json) {
        None => at(value, path).cloned(),
        Some(place) => value_at(&parsed(at(value, &path[..place])?)?, &path[place + 1..]),
    }
}

/// Parses a text that contains a JSON object or array; `None` for other values, and if it is empty.
pub fn parsed(value: &Value) -> Option<Value> {
    let text = value.as_str()?.trim_start();
    (text.starts_with('{') || text.starts_with('[')).then(|| serde_json::from_str::<Value>(text).ok()).flatten().filter(
        |inner| {
            inner.as_object().is_some_and(|map| !map.is_empty())
                || inner.as_array().is_some_and(|list| !list.is_empty())
        },
    )
}

/// Sets or removes the value at a path, creating objects on the way. Returns whether that was possible.
pub fn change(value: &mut Value, path: &[Step], to: Option<Value>) -> bool {
    let Some((first, rest)) = path.split_first() else {
        if let Some(to) = to {
            *value = to;
        }
        return true;
    };
    if *first == Step::Json {
        let Some(mut inner) = parsed(value) else { return false };
        let done = change(&mut inner, rest, to);
        *value = Value::from(inner.to_string());
        return done;
    }
    match (value, first) {
        (Value::Object(map), Step::Key(key)) => match (rest.is_empty(), to) {
            (true, None) => map.shift_remove(key).is_some(),
            (true, Some(to)) => {
                map.insert(key.clone(), to);
                true
            }
            (false, to) => match map.get_mut(key) {
                Some(inner) => change(inner, rest, to),
                None if to.is_none() => false,
                None => {
                    let inner = map.entry(key.clone()).or_insert_with(|| Value::Object(serde_json::Map::new()));
                    change(inner, rest, to)
                }
            },
        },
        (Value::Array(list), Step::Index(index)) if *index < list.len() => match (rest.is_empty(), to) {
            (true, None) => {
                list.remove(*index);
                true
            }
            (_, to) => change(&mut list[*index], rest, to),
        },
        _ => false,
    }
}

/// Returns whether a pattern such as `traits.*`, `context.**` or `traits.email`
/// matches a place or one that contains it. `*` stands for any text, an empty one included.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.trim();
    let inside = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[', '(']);
    fn go(pattern: &str, name: &str, inside: &dyn Fn(&str) -> bool) -> bool {
        match pattern.split_once('*') {
            None => name.strip_prefix(pattern).is_some_and(inside),
            Some((before, after)) => {
                let Some(rest) = name.strip_prefix(before) else { return false };
                let after = after.trim_start_matches('*');
                if after.is_empty() {
                    return true;
                }
                (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| go(after, &rest[at..], inside))
            }
        }
    }
    go(pattern, name, &inside)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(steps: &[&str]) -> Path {
        steps
            .iter()
            .map(|step| match step.parse() {
                Ok(index) => Step::Index(index),
                Err(_) if *step == "(json)" => Step::Json,
                Err(_) => Step::Key((*step).to_owned()),
            })
            .collect()
    }

    #[test]
    fn names_are_what_an_author_would_write() {
        let named = |steps: &[&str]| name(&path(steps));
        assert_eq!(named(&["event", "properties", "products", "0", "price"]), "properties.products[].price");
        assert_eq!(named(&["event", "metadata", "a"]), "event.metadata.a");
        assert_eq!(named(&["event", "event"]), "event");
        assert_eq!(named(&["metadata", "sourceId"]), "metadata.sourceId");
        assert_eq!(named(&["out", "1", "traits", "a.b"]), "traits[\"a.b\"]");
        assert_eq!(named(&["fetch", "https://a.b", "0", "body", "email"]), "fetch(https://a.b).body.email");
        assert_eq!(named(&["event", "raw", "(json)", "id"]), "raw(json).id");
    }

    #[test]
    fn values_are_changed_inside_of_text_too() {
        let mut value = json!({ "a": "{\"b\":[1,2]}" });
        assert!(change(&mut value, &path(&["a", "(json)", "b", "1"]), Some(json!(7))));
        assert_eq!(value, json!({ "a": "{\"b\":[1,7]}" }));
        assert!(change(&mut value, &path(&["x", "y"]), Some(json!(1))));
        assert!(change(&mut value, &path(&["a"]), None));
        assert!(!change(&mut value, &path(&["a"]), None));
        assert_eq!(value, json!({ "x": { "y": 1 } }));
    }

    #[test]
    fn patterns_mean_a_place_and_what_is_inside() {
        assert!(matches("traits.ssn", "traits.ssn"));
        assert!(matches("traits.ssn", "traits.ssn.number"));
        assert!(!matches("traits.ssn", "traits.ssn_hash"));
        assert!(matches("context.*", "context.externalId[].id"));
        assert!(!matches("context.*", "contexts"));
        assert!(matches("*.email", "traits.email") && !matches("*.email", "traits.email_hash"));
        assert!(matches("*", "anything") && matches("properties.products[].price", "properties.products[].price"));
    }
}
