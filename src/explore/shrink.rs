//! Finds the smallest event that still shows a fault, by leaving parts out and by simplifying the others.

use serde_json::{Value, json};

use super::mutate::{at, paths, remove, text};

/// The maximum number of smaller events that are tried at a time.
pub(super) const MAX_TRIED: usize = 60;

/// The approximate number of bytes that are copied for one step. In a large event only the outer
/// places are changed, so that a list of thousands is halved before its elements are tried.
const WORK: usize = 200_000;

/// Returns events that are one step smaller than this one, the smallest first.
pub(super) fn smaller(event: &Value) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    let size = text(event).len();
    let most = (WORK / size.max(1)).clamp(6, 120);
    for path in paths(event).iter().filter(|path| !path.is_empty()).take(most) {
        let mut without = event.clone();
        remove(&mut without, path);
        found.push(without);
        let Some(old) = at(&mut event.clone(), path).cloned() else { continue };
        for new in plainer(&old) {
            let mut changed = event.clone();
            if let Some(value) = at(&mut changed, path) {
                *value = new;
            }
            found.push(changed);
        }
    }
    // The event itself: without fields, with half of them, or replaced by an object inside it.
    found.extend(plainer(event).into_iter().filter(Value::is_object));
    let mut sized: Vec<(usize, Value)> = found.into_iter().map(|event| (text(&event).len(), event)).collect();
    sized.retain(|(len, _)| *len < size);
    sized.sort_by_key(|(len, _)| *len);
    sized.dedup_by(|one, other| one.1 == other.1);
    // An even selection, large steps first. Small steps are kept in case no large one works.
    if sized.len() > MAX_TRIED {
        let step = sized.len() as f64 / MAX_TRIED as f64;
        sized = (0..MAX_TRIED).map(|n| sized[(n as f64 * step) as usize].clone()).collect();
    }
    sized.into_iter().map(|(_, event)| event).collect()
}

fn plainer(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let half = |skip: usize, take: usize| {
                Value::Object(
                    map.iter().skip(skip).take(take).map(|(key, value)| (key.clone(), value.clone())).collect(),
                )
            };
            let middle = map.len() / 2;
            let mut all = vec![json!({}), json!(0), half(0, middle), half(middle, map.len())];
            // Replaces an object by a value inside it.
            all.extend(map.values().filter(|value| value.is_object() || value.is_array()).take(4).cloned());
            all
        }
        Value::Array(list) if !list.is_empty() => {
            vec![json!([]), json!(list[..list.len() / 2]), json!(list[list.len() / 2..])]
        }
        Value::String(text) if !text.is_empty() => {
            let half = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
            vec![json!(""), json!(text[..half]), json!(text[half..]), json!("a"), json!(0)]
        }
        Value::Number(_) => vec![json!(0), json!(1)],
        Value::Bool(_) | Value::Null => vec![json!(0)],
        _ => vec![json!(0)],
    }
}
