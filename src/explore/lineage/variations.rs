//! Other values for a place in an event: of the same type, missing, null, and literals that the code compares with.

use serde_json::{Value, json};

use super::literals::Literals;
use super::path::{Path, Step, change, parsed};

/// The maximum number of literals of the code that are tried at a place.
const MAX_LITERALS: usize = 48;

/// The maximum number of elements of an array that are changed one by one.
const MAX_ELEMENTS: usize = 3;

/// The maximum number of words of a text that are changed one by one.
const MAX_PARTS: usize = 8;

/// The maximum number of places of an event that are changed one by one.
const MAX_LEAVES: usize = 600;

/// The maximum number of pairs in an array of pairs.
const MAX_PAIRS: usize = 200;

/// Another value, and the conclusions that its effect allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Variation {
    /// The value; `None` to remove it.
    pub value: Option<Value>,
    /// Its kind.
    pub class: Class,
}

impl Leaf {
    /// Puts another value at the place, or removes the value; for a
    /// pair, the key is removed too. Returns whether that was possible.
    pub fn change(&self, input: &mut Value, to: Option<Value>) -> bool {
        let pair = matches!(self.label.last(), Some(Step::Pair(_))) && to.is_none();
        change(input, &self.path[..self.path.len() - usize::from(pair)], to)
    }
}

/// Kinds of other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Of the same type, and a value that the code cannot know.
    Marker,
    /// Of the same type, and a value that the code may know.
    Same,
    /// Missing, null, or of another type.
    Other,
}

/// A place to change.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its path.
    pub path: Path,
    /// The path as people write it, with pairs named by their key.
    pub label: Path,
    /// The value; `None` if the code looked for it and it is missing.
    pub value: Option<Value>,
}

/// Returns the places below `path` that have nothing inside, and the containers, outer ones first.
pub fn places(value: &Value, path: &Path) -> (Vec<Leaf>, Vec<Leaf>) {
    let mut found = (Vec::new(), Vec::new());
    walk(value, path.clone(), path.clone(), &mut found);
    found
}

fn walk(value: &Value, path: Path, label: Path, found: &mut (Vec<Leaf>, Vec<Leaf>)) {
    if found.0.len() >= MAX_LEAVES {
        return;
    }
    let with = |path: &Path, step: Step| -> Path { path.iter().cloned().chain([step]).collect() };
    let leaf = || Leaf { path: path.clone(), label: label.clone(), value: Some(value.clone()) };
    match value {
        Value::Object(map) if !map.is_empty() => {
            // An object that is an element is not changed as a whole; its array is.
            if !matches!(path.last(), Some(Step::Index(_))) {
                found.1.push(leaf());
            }
            for (key, inner) in map {
                let step = Step::Key(key.clone());
                walk(inner, with(&path, step.clone()), with(&label, step), found);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            found.1.push(leaf());
            if let Some(keys) = pairs(list) {
                for (index, key) in keys.into_iter().enumerate() {
                    let inner = with(&with(&path, Step::Index(index)), Step::Index(1));
                    walk(&list[index][1], inner, with(&label, Step::Pair(key)), found);
                }
                return;
            }
            for (index, inner) in list.iter().enumerate().take(MAX_ELEMENTS) {
                walk(inner, with(&path, Step::Index(index)), with(&label, Step::Index(index)), found);
            }
        }
        _ => {
            found.0.push(leaf());
            if let Some(inner) = parsed(value) {
                walk(&inner, with(&path, Step::Json), with(&label, Step::Json), found);
            }
        }
    }
}

/// Returns the keys of an array of `[key, value]` pairs; `None` for other arrays.
fn pairs(list: &[Value]) -> Option<Vec<String>> {
    let keys: Option<Vec<String>> = list
        .iter()
        .map(|pair| match pair.as_array().map(Vec::as_slice) {
            Some([Value::String(key), _]) => Some(key.clone()),
            _ => None,
        })
        .collect();
    keys.filter(|keys| keys.len() <= MAX_PAIRS)
}

/// Returns a unique value, for places that the code does not read.
pub fn unique(number: usize) -> Value {
    json!(format!("Qz{number:04}vXj"))
}

/// Returns the values to try at a place, the most conclusive first. `others` are the values of other events
/// at this place, `literals` those of the code. With `short`, only the most conclusive ones are returned.
pub fn variations(
    value: Option<&Value>,
    number: usize,
    others: &[Value],
    literals: &Literals,
    short: bool,
) -> Vec<Variation> {
    let mut made: Vec<Variation> = Vec::new();
    let mut add = |value: Option<Value>, class: Class| {
        if !made.iter().any(|known| known.value == value) {
            made.push(Variation { value, class });
        }
    };
    match value {
        // The values inside the text are changed separately.
        Some(text @ Value::String(_)) if parsed(text).is_some() => {
            add(Some(json!(messy("", number))), Class::Marker);
            add(Some(json!(messy("[]", number))), Class::Marker);
        }
        Some(Value::String(text)) => {
            add(Some(json!(alike(text, number))), Class::Marker);
            add(Some(json!(messy(text, number))), Class::Marker);
            if let Some(date) = other_date(text, number + 1) {
                // Code that formats dates writes them in another form.
                add(Some(json!(date[..10])), Class::Marker);
            }
        }
        Some(Value::Number(old)) => {
            let old = old.as_f64().unwrap_or_default();
            let whole = old.fract() == 0.0;
            let shift = (number % 89) as f64 + 1007.0;
            add(Some(number_value(old + shift)), Class::Marker);
            add(Some(number_value(if whole { old + 2.0 * shift + 0.37 } else { old + shift + 0.0077 })), Class::Marker);
        }
        Some(Value::Bool(old)) => {
            add(Some(json!(!old)), Class::Same);
            // There are only two booleans: another type shows whether the value is copied.
            add(Some(unique(number)), Class::Other);
        }
        Some(Value::Null) | None => {
            add(Some(json!(messy("", number))), Class::Marker);
            add(Some(json!(1234.5 + number as f64)), Class::Marker);
            add(Some(json!(true)), Class::Same);
        }
        Some(_) => {}
    }
    if value.is_some() {
        add(None, Class::Other);
    }
    if short {
        return made;
    }
    if value.is_some() && !matches!(value, Some(Value::Null)) {
        add(Some(Value::Null), Class::Other);
    }
    match value {
        Some(text @ Value::String(_)) if parsed(text).is_some() => add(Some(json!("")), Class::Same),
        Some(Value::String(text)) => {
            add(Some(json!("")), Class::Same);
            add(Some(json!(alike(&text.to_uppercase(), number + 3))), Class::Marker);
            // Similar texts, for a text with digits: the code may have a table of first digits.
            if let Some(at) = text.find(|char: char| char.is_ascii_digit()) {
                for by in 1..=2 {
                    let next = (text.as_bytes()[at] - b'0' + by) % 10;
                    add(Some(json!(format!("{}{next}{}", &text[..at], &text[at + 1..]))), Class::Marker);
                }
            }
            for other in others.iter().filter(|other| other.is_string()).take(3) {
                add(Some(other.clone()), Class::Same);
            }
            for literal in literals.texts.iter().take(MAX_LITERALS) {
                add(Some(json!(literal)), Class::Same);
            }
        }
        Some(Value::Number(old)) => {
            let old = old.as_f64().unwrap_or_default();
            for other in [-old - 1.0, 0.0, old / 1000.0] {
                add(Some(number_value(other)), Class::Same);
            }
            for other in others.iter().filter(|other| other.is_number()).take(3) {
                add(Some(other.clone()), Class::Same);
            }
            for literal in literals.numbers.iter().take(MAX_LITERALS / 3) {
                for near in [*literal, literal + 1.0, literal - 1.0] {
                    add(Some(number_value(near)), Class::Same);
                }
            }
        }
        Some(Value::Null) | None => {
            for literal in literals.texts.iter().take(MAX_LITERALS / 4) {
                add(Some(json!(literal)), Class::Same);
            }
        }
        _ => {}
    }
    made
}

/// Returns the values to try instead of an object or array as a whole.
pub fn container_variations(value: &Value) -> Vec<Variation> {
    let mut made = vec![None];
    match value {
        Value::Object(map) => {
            made.push(Some(json!({})));
            // One key less, and one key more: the code may count them.
            let mut fewer = map.clone();
            if map.len() > 1 && map.keys().next_back().cloned().and_then(|last| fewer.shift_remove(&last)).is_some() {
                made.push(Some(Value::Object(fewer)));
            }
            let mut more = map.clone();
            more.insert("qzKey".to_owned(), unique(0));
            made.push(Some(Value::Object(more)));
        }
        Value::Array(list) => {
            made.push(Some(json!([])));
            if list.len() > 1 {
                made.push(Some(Value::from(list[..list.len() - 1].to_vec())));
            }
            made.push(Some(Value::from([list.as_slice(), &list[list.len() - 1..]].concat())));
        }
        _ => {}
    }
    let class = |value: &Option<Value>| if value.is_none() { Class::Other } else { Class::Same };
    made.into_iter().map(|value| Variation { class: class(&value), value }).collect()
}

fn number_value(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 { json!(number as i64) } else { json!(number) }
}

/// Returns another text of the same format: a date for a date, an address for an address, a number for a number.
pub fn alike(text: &str, number: usize) -> String {
    if let Some(date) = other_date(text, number) {
        return date;
    }
    if text.is_empty() {
        return format!("Qz{number:04}vXj");
    }
    if let Some((network, _)) = text.rsplit_once('.')
        && text.parse::<std::net::Ipv4Addr>().is_ok()
    {
        // The last part must differ from the old one and be below 256.
        let last = (1..=254).map(|by| (number + by) % 254 + 1).find(|last| format!("{network}.{last}") != text);
        return format!("{network}.{}", last.unwrap_or_default());
    }
    // The scheme of a URL and the names of its query parameters stay.
    if let Some((scheme, rest)) = text.split_once("://") {
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let value = |pair: &str| match pair.split_once('=') {
            Some((name, value)) => format!("{name}={}", alike(value, number)),
            None => pair.to_owned(),
        };
        let query = query.map(|query| query.split('&').map(value).collect::<Vec<_>>().join("&"));
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        return format!("{scheme}://{}{query}", alike(path, number));
    }
    let is_hex = text.len() >= 16 && text.chars().all(|char| char.is_ascii_hexdigit() || char == '-');
    // A UUID keeps its version and its variant.
    let is_uuid = is_hex && text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text.as_bytes()[*at] == b'-');
    let by = 1 + (number % 7) as u8;
    let turn = |char: char, first: char, count: u8, by: u8| {
        char::from(first as u8 + ((char as u8 - first as u8) + by) % count)
    };
    let mut leading = true;
    text.chars()
        .enumerate()
        .map(|(at, char)| match char {
            kept if is_uuid && (at == 14 || at == 19) => kept,
            'a'..='z' => turn(char, 'a', if is_hex { 6 } else { 26 }, if is_hex { 1 + by % 5 } else { by }),
            'A'..='Z' => turn(char, 'A', if is_hex { 6 } else { 26 }, if is_hex { 1 + by % 5 } else { by }),
            // The first digit never becomes zero, so that a number keeps its length.
            '1'..='9' if leading => {
                leading = false;
                turn(char, '1', 9, 1 + by % 8)
            }
            '0'..='9' => turn(char, '0', 10, 1 + by % 9),
            other => other,
        })
        .collect()
}

/// Returns variants of a text, each with one word changed: code that finds a word
/// by the words around it still finds it. Empty for a single word and for JSON.
pub fn parts(text: &str, number: usize, literals: &Literals) -> Vec<Value> {
    let is_word = |char: char| char.is_alphanumeric();
    let mut words: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, char) in text.char_indices().filter(|(_, char)| is_word(*char)) {
        match words.last_mut() {
            Some(word) if word.end == at => word.end += char.len_utf8(),
            _ => words.push(at..at + char.len_utf8()),
        }
    }
    // The values inside JSON text are changed separately, and its keys are not changed.
    if words.len() < 2 || text.trim_start().starts_with(['{', '[']) {
        return Vec::new();
    }
    let mut made = Vec::new();
    for (at, word) in words.iter().take(MAX_PARTS).enumerate() {
        let old = &text[word.clone()];
        // The alternatives in the code: `(Firefox|Chrome)`.
        let known = literals.alternatives.iter().filter(|list| list.iter().any(|one| one == old)).flatten();
        let others = known.filter(|one| *one != old).take(2).cloned();
        for other in std::iter::once(alike(old, number + at)).chain(others) {
            made.push(json!(format!("{}{other}{}", &text[..word.start], &text[word.end..])));
        }
    }
    made.retain(|value| *value != json!(text));
    made
}

/// Returns a text that code has to clean up: mixed case, and blanks around it.
fn messy(text: &str, number: usize) -> String {
    let tail = text.find('@').map_or("", |at| &text[at..]);
    format!(" QzW{number:03} vXj{tail} ")
}

/// Returns the text with another day and minute, if it starts with an ISO 8601 date.
fn other_date(text: &str, number: usize) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is_date = [0, 1, 2, 3, 5, 6, 8, 9].into_iter().all(digit) && bytes[4] == b'-' && bytes[7] == b'-';
    if !is_date {
        return None;
    }
    let year: usize = text[..4].parse().ok()?;
    let day = format!("{:04}-{:02}-{:02}", year - 1 - number % 3, 1 + (number * 5 + 3) % 12, 1 + (number * 7 + 4) % 27);
    let rest = &text[10..];
    let is_time = bytes.get(10) == Some(&b'T') && [11, 12, 14, 15].into_iter().all(digit);
    let rest = match is_time {
        true => format!("T{:02}:{:02}{}", (number * 5 + 7) % 24, (number * 11 + 13) % 60, &text[16..]),
        false => rest.to_owned(),
    };
    let made = format!("{day}{rest}");
    (made != text).then_some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_value_is_of_the_same_kind() {
        assert_eq!(alike("ada@example.com", 0), "beb@fybnqmf.dpn");
        assert_eq!(alike("Ada", 0).len(), 3);
        assert_ne!(alike("10", 3), "10");
        assert_eq!(alike("203.0.113.7", 4), "203.0.113.6");
        assert_eq!(alike("https://a.example/x?utm=b", 0), "https://b.fybnqmf/y?utm=c");
        assert!(alike("f9bf739c-d387-4263-bdba-8247720201ef", 5).chars().all(|c| c.is_ascii_hexdigit() || c == '-'));
        let date = alike("2024-02-29T10:00:00.000Z", 2);
        assert!(date.starts_with("2021-") && date.ends_with(":00.000Z") && date.len() == 24, "{date}");
    }

    #[test]
    fn of_several_words_one_is_another() {
        let literals = Literals::of(["/(Firefox|Chrome|Safari)\\/(\\d+)/.exec(a | b)"]);
        let words = parts("/shop/4711-ab", 0, &literals);
        assert_eq!(words.len(), 3, "{words:?}");
        assert!(words.iter().all(|word| word != "/shop/4711-ab"));
        let browsers = parts("X/Firefox", 0, &literals);
        assert!(browsers.contains(&json!("X/Chrome")) && browsers.contains(&json!("X/Safari")), "{browsers:?}");
        assert_eq!(parts("word", 0, &literals), Vec::<Value>::new());
    }

    #[test]
    fn pairs_are_called_by_their_key() {
        let (leaves, _) = places(&json!({ "t": "[[\"a\",1],[\"b\",null]]" }), &vec![Step::Key("event".into())]);
        let names: Vec<String> = leaves.iter().map(|leaf| super::super::path::name(&leaf.label)).collect();
        assert_eq!(names, ["t", "t(json).a", "t(json).b"]);
    }
}
