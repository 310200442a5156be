//! Compares the fast way with the slow one on lines and edits of all kinds, and checks that
//! ordinary edits take the fast way.

use proptest::prelude::*;

use super::*;
use crate::number::may_hold_lossy;
use crate::restore::Restorer;

/// Nesting that would overflow the stack if each level used some of it.
const DEEP: usize = if cfg!(miri) { 1_000 } else { 200_000 };

/// A JSON value. Strings and keys are as written, without their quotes.
#[derive(Clone, Debug, PartialEq)]
enum Json {
    /// A number or literal.
    Scalar(String),
    /// Digits that are kept: a BigInt's.
    Digits(&'static str),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

use Json::{Array, Digits, Object, Scalar};

/// An edit of an event: in which object or array, counted in order, and of which member.
#[derive(Clone, Debug)]
struct Edit {
    container: usize,
    member: usize,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Put(Json),
    Insert(String, Json),
    Remove,
    /// Digits that no double has.
    BigInt(&'static str),
    /// Moves a member to the end.
    Last,
    Reverse,
    /// Also puts a member of another container there.
    Copy(usize),
}

fn scalar() -> impl Strategy<Value = Json> {
    const ODD: [&str; 22] = [
        "3.0",
        "12.50",
        "0.10",
        "-0",
        "1e5",
        "1E+2",
        "100.00",
        "9007199254740993",
        "9007199254740992",
        "-9007199254740993",
        "9007199254740992.0",
        "12345678901234567890",
        "12345678901234567168",
        "0.30000000000000004",
        "0.3000000000000000444",
        "1.00000000000000000001",
        "1e400",
        "-1e400",
        "1e-400",
        "1e21",
        "1.5e1",
        "1.5e10",
    ];
    const EVEN: [&str; 14] =
        ["3", "12.5", "0.1", "0", "1", "100", "100000", "-1", "30", "true", "false", "null", "15", "1.5"];
    prop_oneof![
        4 => proptest::sample::select(&ODD[..]),
        3 => proptest::sample::select(&EVEN[..]),
    ]
    .prop_map(|text| Scalar(text.to_owned()))
}

fn string() -> impl Strategy<Value = Json> {
    proptest::sample::select(&["", "a", "b", r"\u0061", r"a\/b", "a/b", r#"\""#, "3.0", "{", r"\n", "é", r"\ud800"][..])
        .prop_map(|text| Json::String(text.to_owned()))
}

fn key() -> impl Strategy<Value = String> {
    const KEYS: [&str; 12] = ["a", "b", "c", "d", "e", "id", "", "price", "a longer key", "a longer one", "é", "7b"];
    const RARE: [&str; 6] = ["1", "10", "2", r"\u0061", r"\n", r"q\\"];
    prop_oneof![40 => proptest::sample::select(&KEYS[..]), 1 => proptest::sample::select(&RARE[..])]
        .prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Json> {
    prop_oneof![4 => scalar(), 1 => string()].prop_recursive(3, 24, 6, |inner| {
        prop_oneof![proptest::collection::vec(inner.clone(), 0..5).prop_map(Array), object(inner.clone(), 6),]
    })
}

/// An object, sometimes with a duplicate key.
fn object(inner: impl Strategy<Value = Json>, most: usize) -> impl Strategy<Value = Json> {
    (proptest::collection::vec((key(), inner), 0..most), proptest::bool::weighted(0.1)).prop_map(
        |(mut members, twice)| {
            if !twice {
                let mut known = std::collections::HashSet::new();
                members.retain(|(key, _)| known.insert(key.clone()));
            }
            Object(members)
        },
    )
}

fn edit() -> impl Strategy<Value = Edit> {
    let kind = prop_oneof![
        2 => value().prop_map(Kind::Put),
        3 => (key(), value()).prop_map(|(key, value)| Kind::Insert(key, value)),
        3 => Just(Kind::Remove),
        1 => proptest::sample::select(&["9007199254740993", "9007199254740992", "12345678901234567168"][..])
            .prop_map(Kind::BigInt),
        1 => Just(Kind::Last),
        1 => Just(Kind::Reverse),
        2 => any::<usize>().prop_map(Kind::Copy),
    ];
    (any::<usize>(), any::<usize>(), kind).prop_map(|(container, member, kind)| Edit { container, member, kind })
}

/// A line, and the text of its event after some edits or none.
#[derive(Debug)]
struct Case {
    line: String,
    text: String,
}

fn case() -> impl Strategy<Value = Case> {
    let blank = prop_oneof![4 => Just(""), 1 => Just(" ")];
    (object(value(), 9), proptest::collection::vec(edit(), 0..4), blank).prop_map(|(line, edits, blank)| {
        let mut event = parsed(line.clone());
        for edit in &edits {
            edit.apply(&mut event);
            event = parsed(event);
        }
        Case { line: line.text(blank), text: event.text("") }
    })
}

impl Edit {
    fn apply(&self, event: &mut Json) {
        let copied = match self.kind {
            Kind::Copy(from) => from_nth(event, from).and_then(|container| self.member(container).cloned()),
            _ => None,
        };
        let Some(container) = from_nth(event, self.container) else { return };
        match (&self.kind, container) {
            (Kind::Insert(_, value), Array(values)) => values.insert(self.member % (values.len() + 1), value.clone()),
            (Kind::Insert(key, value), Object(members)) => members.push((key.clone(), value.clone())),
            (Kind::Reverse, Array(values)) => values.reverse(),
            (Kind::Reverse, Object(members)) => members.reverse(),
            (Kind::Remove, Array(values)) if !values.is_empty() => drop(values.remove(self.member % values.len())),
            (Kind::Remove, Object(members)) if !members.is_empty() => drop(members.remove(self.member % members.len())),
            (Kind::Last, Array(values)) if !values.is_empty() => {
                let moved = values.remove(self.member % values.len());
                values.push(moved);
            }
            (Kind::Last, Object(members)) if !members.is_empty() => {
                let moved = members.remove(self.member % members.len());
                members.push(moved);
            }
            (kind, container) => {
                let Some(place) = self.member(container) else { return };
                match kind {
                    Kind::Put(value) => *place = value.clone(),
                    Kind::BigInt(digits) => *place = Digits(digits),
                    Kind::Copy(_) => *place = copied.unwrap_or(Array(Vec::new())),
                    _ => {}
                }
            }
        }
    }

    fn member<'a>(&self, container: &'a mut Json) -> Option<&'a mut Json> {
        match container {
            Array(values) if !values.is_empty() => {
                let member = self.member % values.len();
                Some(&mut values[member])
            }
            Object(members) if !members.is_empty() => {
                let member = self.member % members.len();
                Some(&mut members[member].1)
            }
            _ => None,
        }
    }
}

/// One of the objects and arrays of an event.
fn from_nth(event: &mut Json, number: usize) -> Option<&mut Json> {
    fn count(value: &Json) -> usize {
        match value {
            Array(values) => 1 + values.iter().map(count).sum::<usize>(),
            Object(members) => 1 + members.iter().map(|(_, value)| count(value)).sum::<usize>(),
            _ => 0,
        }
    }
    fn nth<'a>(value: &'a mut Json, left: &mut usize) -> Option<&'a mut Json> {
        if let Array(_) | Object(_) = value {
            if *left == 0 {
                return Some(value);
            }
            *left -= 1;
        }
        match value {
            Array(values) => values.iter_mut().find_map(|value| nth(value, left)),
            Object(members) => members.iter_mut().find_map(|(_, value)| nth(value, left)),
            _ => None,
        }
    }
    let mut left = number % count(event);
    nth(event, &mut left)
}

/// The event that JSON.parse makes of a value: distinct keys, indices before all others,
/// numbers and strings as V8 prints them.
fn parsed(value: Json) -> Json {
    match value {
        Scalar(text) => Scalar(text.parse().map_or(text, printed)),
        Json::String(text) => Json::String(written(&text)),
        Array(values) => Array(values.into_iter().map(parsed).collect()),
        Object(members) => {
            let mut once: Vec<(String, Json)> = Vec::new();
            for (key, value) in members {
                let (key, value) = (written(&key), parsed(value));
                match once.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, place)) => *place = value,
                    None => once.push((key, value)),
                }
            }
            // The other keys keep their order.
            once.sort_by_key(|(key, _)| key.parse::<u32>().unwrap_or(u32::MAX));
            Object(once)
        }
        digits @ Digits(_) => digits,
    }
}

/// The number as V8 prints it; an infinite number as the driver prints it.
fn printed(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        f64::INFINITY => if number > 0.0 { "1e+0999" } else { "-1e+0999" }.to_owned(),
        1e-6..1e21 => number.to_string(),
        _ => format!("{number:e}").replace('e', if number.abs() > 1.0 { "e+" } else { "e" }),
    }
}

/// A string as V8 writes it.
fn written(text: &str) -> String {
    text.replace(r"\u0061", "a").replace(r"\/", "/")
}

impl Json {
    /// The text, with blanks where they are allowed.
    fn text(&self, blank: &str) -> String {
        let listed = |parts: Vec<String>, [open, close]: [char; 2]| {
            format!("{open}{blank}{}{close}", parts.join(&format!("{blank},{blank}")))
        };
        match self {
            Scalar(text) => text.clone(),
            Digits(digits) => (*digits).to_owned(),
            Json::String(text) => format!("\"{text}\""),
            Array(values) => listed(values.iter().map(|value| value.text(blank)).collect(), ['[', ']']),
            Object(members) => {
                let member = |(key, value): &(String, Json)| format!("\"{key}\"{blank}:{}{blank}", value.text(blank));
                listed(members.iter().map(member).collect(), ['{', '}'])
            }
        }
    }
}

/// The output of the slow way.
fn thoroughly(Case { line, text }: &Case) -> String {
    let mut out = Vec::new();
    let mut restorer = Restorer::default();
    restorer.start(line.as_bytes());
    restorer.restore(line.as_bytes(), text.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

fn mended(line: &str, text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mended = Merger::default().restore(line.as_bytes(), text.as_bytes(), &mut out);
    assert!(mended || out.is_empty());
    mended.then(|| String::from_utf8(out).unwrap())
}

#[test]
fn a_value_that_is_no_container_is_declined() {
    for (line, text) in [(r#""\u0041""#, r#""""#), ("1.0", "1"), (r#""a""#, r#""ab""#), ("[1.0]", "[1]")] {
        let done = Merger::default().restore(line.as_bytes(), text.as_bytes(), &mut Vec::new());
        assert_eq!(done, line.starts_with('['), "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 16, ..ProptestConfig::default() })]

    #[test]
    fn it_gives_what_the_thorough_way_gives(case in case()) {
        let lossy = may_hold_lossy(case.line.as_bytes()) || case.text.contains("1e+0999");
        if let Some(out) = mended(&case.line, &case.text).filter(|_| !lossy) {
            prop_assert_eq!(out, thoroughly(&case));
        }
    }
}

#[test]
fn ordinary_edits_are_not_declined() {
    let line = r#"{"id":9007199254740992.0,"a":1.0,"list":[{"price":3.0,"n":1},{"price":0.10,"n":2.0}],"b":{"c":1e5},"d":"x"}"#;
    for (text, out) in [
        // Unchanged.
        (
            r#"{"id":9007199254740992,"a":1,"list":[{"price":3,"n":1},{"price":0.1,"n":2}],"b":{"c":100000},"d":"x"}"#,
            line,
        ),
        // Deleted, changed, added.
        (
            r#"{"a":1,"list":[{"price":3,"n":1,"sum":3},{"price":0.2,"n":2}],"b":{},"d":[1],"e":2,"f":{"a":1}}"#,
            r#"{"a":1.0,"list":[{"price":3.0,"n":1,"sum":3},{"price":0.2,"n":2.0}],"b":{},"d":[1],"e":2,"f":{"a":1}}"#,
        ),
        // In another order, and moved.
        (
            r#"{"d":"x","b":{"id":9007199254740992,"c":100000},"a":1}"#,
            r#"{"d":"x","b":{"id":9007199254740992,"c":1e5},"a":1.0}"#,
        ),
        // Shorter and longer arrays.
        (r#"{"list":[{"price":0.1,"n":2}],"b":[],"d":1}"#, r#"{"list":[{"price":0.1,"n":2}],"b":[],"d":1}"#),
        (
            r#"{"list":[{"price":3,"n":1},{"price":0.1,"n":2},{"price":3,"n":1}],"b":{"c":100000}}"#,
            r#"{"list":[{"price":3.0,"n":1},{"price":0.10,"n":2.0},{"price":3,"n":1}],"b":{"c":1e5}}"#,
        ),
        ("{}", "{}"),
    ] {
        assert_eq!(mended(line, text).as_deref(), Some(out), "{text}");
    }
}

#[test]
fn escapes_stay_and_white_space_only_if_nothing_was_changed() {
    let line = r#" { "a" : "\u00e9" , "b" : [ 1.0 , 2 ] , "c" : "\/" } "#;
    assert_eq!(mended(line, r#"{"a":"é","b":[1,2],"c":"/"}"#).as_deref(), Some(line));
    assert_eq!(mended(line, r#"{"a":"é","b":[1,3],"c":"/"}"#), None);
    let line = line.replace(' ', "");
    let out = r#"{"a":"\u00e9","b":[1.0,3],"c":"\/"}"#;
    assert_eq!(mended(&line, r#"{"a":"é","b":[1,3],"c":"/"}"#).as_deref(), Some(out));
}

#[test]
fn what_only_v8_knows_is_declined() {
    for (line, text) in [
        (r#"{"b":1.0,"1":2}"#, r#"{"1":2,"b":1}"#),
        (r#"{"a":1.0,"a":2.0}"#, r#"{"a":2}"#),
        (r#"{"a":{"x":1.0},"a":{"y":2.0}}"#, r#"{"a":{"y":2}}"#),
        (r#"{"\u0061":1.0}"#, r#"{"a":1}"#),
    ] {
        assert_eq!(mended(line, text), None, "{line}");
    }
}

#[test]
fn depth_costs_no_stack() {
    let deep = format!("{{\"a\":{}1.0{}}}", "[".repeat(DEEP), "]".repeat(DEEP));
    assert_eq!(mended(&deep, &deep.replace("1.0", "1")), Some(deep.clone()));
    let longer = deep.replace('}', ",\"b\":1}");
    assert_eq!(mended(&deep, &longer.replace("1.0", "1")), Some(longer));
}

#[test]
#[cfg_attr(miri, ignore = "takes too long under Miri")]
fn many_edits_in_one_object_do_not_take_for_ever() {
    let line = format!("{{{}\"last\":1.0}}", (0..100_000).map(|n| format!("\"k{n}\":1,")).collect::<String>());
    let text = line.replace("7\":1", "7x\":1").replace("1.0", "1");
    assert_eq!(mended(&line, &text), None);
}
