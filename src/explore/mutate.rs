//! Changes events as mistakes would: a field is missing, null, of another type, huge, in another script, called
//! `__proto__`, an invalid date, or a number at the edge of its range.

use serde_json::{Map, Number, Value, json};

use crate::random::Random;

/// JSON values that a `Value` cannot hold, each with a placeholder that replaces it until the event becomes text.
const STAND_INS: &[(&str, &str)] = &[
    // A number that JavaScript reads as infinite, and integers that it cannot hold exactly.
    ("\u{f8f0}1", "1e400"),
    ("\u{f8f0}2", "18446744073709551617"),
    ("\u{f8f0}3", "-1e-400"),
];

/// Returns whether a text is such a placeholder.
pub(super) fn is_stand_in(text: &str) -> bool {
    STAND_INS.iter().any(|(name, _)| *name == text)
}

/// Half of a surrogate pair, which JSON can express and UTF-8 cannot.
const LONE: (char, &str) = ('\u{f8f1}', "\\ud800");

/// Returns the text of an event, on one line.
pub(super) fn text(event: &Value) -> String {
    let mut text = event.to_string();
    if text.contains(['\u{f8f0}', LONE.0]) {
        for (name, meant) in STAND_INS {
            text = text.replace(&format!("\"{name}\""), meant);
        }
        text = text.replace(LONE.0, LONE.1);
    }
    text
}

/// Texts that often cause errors in code.
const TEXTS: &[&str] = &[
    "",
    " ",
    "0",
    "null",
    "undefined",
    "NaN",
    "true",
    "[object Object]",
    "__proto__",
    "constructor",
    "a\u{0}b",
    "\u{f8f1}",
    "ẞ",
    "İstanbul",
    "🏳️‍🌈",
    "e\u{301}",
    "\u{202e}abc",
    "你好",
    "-1",
    "1,5",
    "1e3",
    "{}",
    "[",
    "$&",
    "%s",
    "a@b",
    "../..",
    "' OR 1=1",
    "<script>",
    "\r\n",
    "\u{feff}",
];

/// Dates that are invalid or far away.
const DATES: &[&str] = &[
    "2024-02-30T25:61:00Z",
    "0000-00-00",
    "1970-01-01T00:00:00Z",
    "2024-02-29",
    "+275760-09-13T00:00:00.001Z",
    "yesterday",
    "2024-03-31T02:30:00+01:00",
    "1709164800",
    "2024-12-31T23:59:60Z",
];

/// Numbers at the edges of their range.
const NUMBERS: &[f64] = &[
    0.0,
    -0.0,
    -1.0,
    0.1,
    0.5,
    1e21,
    9_007_199_254_740_993.0,
    -9_007_199_254_740_993.0,
    1.797e308,
    5e-324,
    4_294_967_296.0,
    2_147_483_648.0,
    8.64e15,
];

/// Keys with a meaning in JavaScript.
const KEYS: &[&str] =
    &["__proto__", "constructor", "toString", "length", "then", "toJSON", "hasOwnProperty", "", "a.b", "0"];

/// Returns a copy of an event with one to four changes.
pub(super) fn mutated(event: &Value, random: &mut Random) -> Value {
    let mut event = event.clone();
    for _ in 0..random.between(1, 4) {
        let paths = paths(&event);
        let path = &paths[random.below(paths.len() as u64) as usize];
        change(&mut event, path, random);
        if random.one_in(2) {
            break;
        }
    }
    event
}

/// A step into a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// Returns every place in a value below its top, outer ones first; the top itself if there is no other.
pub(super) fn paths(value: &Value) -> Vec<Vec<Step>> {
    fn walk(value: &Value, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
        let mut inside = |step: Step, value: &Value| {
            path.push(step);
            found.push(path.clone());
            walk(value, path, found);
            path.pop();
        };
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| inside(Step::Key(key.clone()), value)),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(index, value)| inside(Step::Index(index), value));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, &mut Vec::new(), &mut found);
    found.sort_by_key(Vec::len);
    if found.is_empty() { vec![Vec::new()] } else { found }
}

/// Returns the value at a path.
pub(super) fn at<'a>(value: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

/// Removes the value at a path.
pub(super) fn remove(value: &mut Value, path: &[Step]) {
    let Some((last, above)) = path.split_last() else { return };
    match (at(value, above), last) {
        (Some(Value::Object(map)), Step::Key(key)) => {
            map.remove(key);
        }
        (Some(Value::Array(list)), Step::Index(index)) if *index < list.len() => {
            list.remove(*index);
        }
        _ => {}
    }
}

fn change(event: &mut Value, path: &[Step], random: &mut Random) {
    let number = |number: f64| Number::from_f64(number).map_or(Value::Null, Value::Number);
    let new = match random.below(12) {
        0 | 1 => return remove(event, path),
        2 => Value::Null,
        3 => random_value(random),
        4 => json!(random.pick(TEXTS)),
        5 => json!(random.pick(DATES)),
        6 => number(NUMBERS[random.below(NUMBERS.len() as u64) as usize]),
        7 => json!(STAND_INS[random.below(STAND_INS.len() as u64) as usize].0),
        8 => huge(random),
        9 => {
            // Adds a special key to the existing ones.
            let value = random_value(random);
            let above = path.split_last().map_or(&[][..], |(_, above)| above);
            if let Some(Value::Object(map)) = at(event, above) {
                map.insert(random.pick(KEYS).to_owned(), value);
            }
            return;
        }
        10 => match at(event, path).map(|value| value.take()) {
            // Replaces the value by its text or by a list that contains it.
            Some(value) if random.one_in(2) => json!([value]),
            Some(value) => json!(value.to_string()),
            None => return,
        },
        _ => match at(event, path).map(|value| value.take()) {
            Some(Value::String(text)) => {
                let cut = text.char_indices().nth(random.below(4) as usize).map_or(text.len(), |(at, _)| at);
                json!(format!("{}{}", &text[..cut], random.pick(TEXTS)))
            }
            Some(Value::Array(mut list)) => {
                list.extend(list.clone());
                list.push(random_value(random));
                json!(list)
            }
            Some(Value::Number(old)) => number(-old.as_f64().unwrap_or_default()),
            Some(Value::Bool(old)) => json!(!old),
            _ => Value::Null,
        },
    };
    if let Some(value) = at(event, path).filter(|_| !path.is_empty()) {
        *value = new;
    }
}

fn random_value(random: &mut Random) -> Value {
    match random.below(8) {
        0 => json!(true),
        1 => json!(42),
        2 => json!("text"),
        3 => json!([]),
        4 => json!({}),
        5 => json!([null]),
        6 => json!({ "toString": 1, "length": -1 }),
        _ => Value::Null,
    }
}

fn huge(random: &mut Random) -> Value {
    match random.below(4) {
        0 => json!("x".repeat(100_000)),
        1 => json!(vec![0; 5_000]),
        2 => (0..100).fold(json!({}), |inner, _| json!({ "a": inner })),
        _ => Value::Object((0..500).map(|n| (format!("k{n}"), json!(n))).collect::<Map<_, _>>()),
    }
}
