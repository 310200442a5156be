//! Finds the places in which two outputs differ.
//!
//! Objects are compared key by key. Arrays of the same length are compared element by element, unless one is a
//! permutation of the other. For arrays of different lengths, the first check is whether elements were only left out.

use serde_json::Value;

use super::path::{Path, Step};

/// A place that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The path of the place.
    pub path: Path,
    /// The value in the first output.
    pub old: Option<Value>,
    /// The value in the second output.
    pub new: Option<Value>,
    /// Whether elements of an array were added, removed or reordered.
    pub elements: bool,
}

/// Returns whether two values are equal as JSON: 1 and 1.0 are the same number.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => one == other,
    }
}

/// Adds the places in which two values differ.
pub fn differences(old: Option<&Value>, new: Option<&Value>, path: &mut Path, found: &mut Vec<Difference>) {
    match (old, new) {
        (Some(old), Some(new)) if same(old, new) => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for (key, value) in old {
                path.push(Step::Key(key.clone()));
                differences(Some(value), new.get(key), path, found);
                path.pop();
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                path.push(Step::Key(key.clone()));
                differences(None, Some(value), path, found);
                path.pop();
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => arrays(old, new, path, found),
        // Everything inside the object was added or removed with it.
        (Some(Value::Object(map)), other) if !map.is_empty() => {
            for (key, value) in map {
                path.push(Step::Key(key.clone()));
                differences(Some(value), None, path, found);
                path.pop();
            }
            if other.is_some_and(|other| !other.is_object()) {
                found.push(Difference { path: path.clone(), old: old.cloned(), new: new.cloned(), elements: false });
            }
        }
        (None, Some(Value::Object(map))) if !map.is_empty() => {
            for (key, value) in map {
                path.push(Step::Key(key.clone()));
                differences(None, Some(value), path, found);
                path.pop();
            }
        }
        (Some(Value::Array(list)), None) if !list.is_empty() => arrays(list, &[], path, found),
        (None, Some(Value::Array(list))) if !list.is_empty() => arrays(&[], list, path, found),
        _ => found.push(Difference { path: path.clone(), old: old.cloned(), new: new.cloned(), elements: false }),
    }
}

fn arrays(old: &[Value], new: &[Value], path: &mut Path, found: &mut Vec<Difference>) {
    let moved = |path: &Path, found: &mut Vec<Difference>| {
        let path: Path = path.iter().cloned().chain([Step::Index(0)]).collect();
        let (old, new) = (Some(Value::from(old.to_vec())), Some(Value::from(new.to_vec())));
        found.push(Difference { path, old, new, elements: true });
    };
    if old.len() == new.len() {
        if is_permutation(old, new) {
            return moved(path, found);
        }
        for (index, (old, new)) in old.iter().zip(new).enumerate() {
            path.push(Step::Index(index));
            differences(Some(old), Some(new), path, found);
            path.pop();
        }
        return;
    }
    moved(path, found);
    let (short, long) = if old.len() < new.len() { (old, new) } else { (new, old) };
    if is_part(short, long) {
        return;
    }
    for index in 0..old.len().min(new.len()) {
        path.push(Step::Index(index));
        differences(Some(&old[index]), Some(&new[index]), path, found);
        path.pop();
    }
}

/// Returns whether the short list is the long one without some elements.
fn is_part(short: &[Value], long: &[Value]) -> bool {
    let mut rest = long.iter();
    short.iter().all(|value| rest.any(|other| same(value, other)))
}

fn is_permutation(one: &[Value], other: &[Value]) -> bool {
    if one.len() < 2 || one.len() > 200 {
        return false;
    }
    let mut left: Vec<&Value> = other.iter().collect();
    one.iter().all(|value| match left.iter().position(|other| same(value, other)) {
        Some(at) => {
            left.swap_remove(at);
            true
        }
        None => false,
    })
}

/// Adds the places of an output that hold a value, with their values.
pub fn leaves(value: &Value, path: &mut Path, found: &mut Vec<(Path, Value)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                path.push(Step::Key(key.clone()));
                leaves(value, path, found);
                path.pop();
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                path.push(Step::Index(index));
                leaves(value, path, found);
                path.pop();
            }
        }
        _ => found.push((path.clone(), value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::path::name;
    use super::*;

    fn between(old: Value, new: Value) -> Vec<String> {
        let mut found = Vec::new();
        differences(Some(&old), Some(&new), &mut vec![Step::Key("event".into())], &mut found);
        found.iter().map(|one| format!("{}{}", name(&one.path), if one.elements { " moved" } else { "" })).collect()
    }

    #[test]
    fn what_differs_is_named_once() {
        assert_eq!(between(json!({"a": 1, "b": {"c": 1}}), json!({"a": 1.0, "b": {"c": 2}})), ["b.c"]);
        assert_eq!(between(json!({"b": {"c": 1, "d": 2}}), json!({})), ["b.c", "b.d"]);
        assert_eq!(between(json!({"l": [1, 2]}), json!({"l": [1, 3]})), ["l[]"]);
    }

    #[test]
    fn elements_that_move_are_no_other_elements() {
        let (a, b) = (json!({"n": 1}), json!({"n": 2}));
        assert_eq!(between(json!({"l": [a, b]}), json!({"l": [b, a]})), ["l[] moved"]);
        assert_eq!(between(json!({"l": [a, b]}), json!({"l": [b]})), ["l[] moved"]);
        assert_eq!(between(json!({"l": [a, b]}), json!({"l": [{"n": 3}]})), ["l[] moved", "l[].n"]);
    }
}
