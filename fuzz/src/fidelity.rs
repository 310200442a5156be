//! JSON in, JSON out, through V8: an event that is not touched keeps its bytes, and an event that is changed has the
//! value that plain `JSON.parse` and `JSON.stringify` would have given it, but for numbers that no double holds.
//!
//! One program serves as both: it gives the event itself, the event moved to another place, and a changed copy. The
//! same is done to the line as text, by plain JavaScript inside of the same isolate, and the results are compared.

use std::cell::RefCell;

use sluicegate::engine::{Engine, Options, Program};
use sluicegate::verdict::{FailureKind, Verdict};

const CODE: &str = r#"
const outputs = (event) => {
  const { ...changed } = event;
  const first = Object.keys(changed)[0];
  if (first !== undefined) delete changed[first];
  changed["added to it"] = [1.5, "x"];
  return [event, { moved: [event] }, changed];
};

export function transformEvent(event) {
  const { plain } = event;
  if (Object.keys(event).length !== 1 || typeof plain !== "string" || !plain.startsWith("plain:")) return outputs(event);
  const value = JSON.parse(plain.slice(6));
  if (Object.prototype.toString.call(value) !== "[object Object]" || Array.isArray(value)) return null;
  return { texts: outputs(value).map((one) => JSON.stringify(one)) };
}
"#;

thread_local! {
    static ENGINE: RefCell<Engine> = RefCell::new(
        Engine::new(Program::new("fuzz.js", CODE), Options::default()).expect("it loads"),
    );
}

/// Takes the bytes as one event.
pub fn check(data: &[u8]) {
    // An event is a line: these end one.
    if data.contains(&b'\n') || data.last() == Some(&b'\r') || data.starts_with(b"{\"plain\"") {
        return;
    }
    // After an object with a backslash in the name of a key, V8's own JSON.parse may take another key for that one.
    if data.windows(2).any(|pair| pair == br"\\") || data.to_ascii_lowercase().windows(6).any(|six| six == br"\u005c") {
        return;
    }
    ENGINE.with_borrow_mut(|engine| {
        let mut got = Vec::new();
        let verdict = engine.transform(data, &mut got);
        let Ok(line) = std::str::from_utf8(data) else {
            return refused(&verdict, "it is not UTF-8");
        };
        let plain = format!("{{\"plain\":{}}}", quoted(&format!("plain:{line}")));
        let mut texts = Vec::new();
        let wanted = engine.transform(plain.as_bytes(), &mut texts);
        match (&verdict, &wanted) {
            (Verdict::Ok { outputs: 3 }, Verdict::Ok { outputs: 1 }) => {}
            // Too deep for `JSON.stringify`: the stack need not end at the same place.
            (Verdict::Failed(failure), _) if failure.kind == FailureKind::Exception => return,
            (_, Verdict::Failed(failure)) if failure.message.contains("call stack") => return,
            (_, Verdict::Ok { .. }) => panic!("plain JavaScript can read it, the engine says {verdict:?}"),
            _ => return refused(&verdict, "plain JavaScript cannot read it"),
        }
        let got: Vec<&[u8]> = got.split(|byte| *byte == b'\n').collect();
        assert_eq!(got.len(), 4, "an output is a line");
        assert!(got[0] == data, "an untouched event left as {:?}", String::from_utf8_lossy(got[0]));
        let texts: Vec<String> = unquoted(&texts);
        for (got, wanted) in got[1..].iter().zip(&texts[1..]) {
            same_value(std::str::from_utf8(got).expect("output is UTF-8"), wanted);
        }
    });
}

fn refused(verdict: &Verdict, why: &str) {
    let fair = matches!(verdict, Verdict::Failed(failure) if matches!(failure.kind, FailureKind::InvalidJson | FailureKind::NotAnObject));
    assert!(fair, "{why}, and the engine says {verdict:?}");
}

/// A JSON text for `text`, with no escape that is not necessary.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The texts in `{"texts":["…","…"]}`. What `JSON.stringify` wrote has no escapes but these.
fn unquoted(json: &[u8]) -> Vec<String> {
    let json = std::str::from_utf8(json).expect("output is UTF-8");
    let mut texts = Vec::new();
    let mut chars = json.strip_prefix("{\"texts\":[").expect("texts").chars();
    while let Some(c) = chars.next() {
        match (c, texts.last_mut()) {
            ('"', _) => texts.push(String::new()),
            _ => continue,
        }
        let text: &mut String = texts.last_mut().expect("just pushed");
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next().expect("an escape") {
                    c @ ('"' | '\\') => text.push(c),
                    other => panic!("an escape that JSON.stringify has no need of: {other}"),
                },
                c => text.push(c),
            }
        }
    }
    texts
}

/// The same text but for numbers, which may have more digits; what is infinite for a double is `null` for plain JavaScript.
fn same_value(got: &str, wanted: &str) {
    let fail = || panic!("a changed event left as\n  {got}\nand plain JavaScript makes it\n  {wanted}");
    let (mut a, mut b) = (got.as_bytes(), wanted.as_bytes());
    let mut in_string = false;
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        let number = |byte: &u8| matches!(byte, b'-' | b'0'..=b'9');
        if !in_string && number(x) {
            let (text, rest) = split_number(a);
            let value: f64 = text.parse().expect("a number");
            a = rest;
            if value.is_infinite() {
                b = b.strip_prefix(b"null").unwrap_or_else(&fail);
            } else {
                let (plain, rest) = split_number(b);
                if plain.parse() != Ok(value) {
                    fail();
                }
                b = rest;
            }
            continue;
        }
        if x != y {
            fail();
        }
        let skip = if in_string && *x == b'\\' { 2 } else { 1 };
        if skip == 2 && a.get(1) != b.get(1) {
            fail();
        }
        in_string ^= *x == b'"';
        (a, b) = (&a[skip.min(a.len())..], &b[skip.min(b.len())..]);
    }
    if !(a.is_empty() && b.is_empty()) {
        fail();
    }
}

fn split_number(text: &[u8]) -> (&str, &[u8]) {
    let end = text.iter().position(|b| !matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    (std::str::from_utf8(number).expect("digits"), rest)
}
