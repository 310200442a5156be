//! JSON in, JSON out, through V8: an untouched event keeps its bytes, and a changed event has the value that plain
//! `JSON.parse` and `JSON.stringify` would give it, except for numbers that no double holds.
//!
//! One program does both: it returns the event itself, the event moved to another place, and a changed copy. Plain
//! JavaScript in the same isolate does the same to the line as text, and the results are compared.

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

/// Runs the bytes as one event.
pub fn check(data: &[u8]) {
    // An event is a line, so it has no line end. `{"plain"` starts the lines for plain JavaScript.
    if data.contains(&b'\n') || data.last() == Some(&b'\r') || data.starts_with(b"{\"plain\"") {
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
            // Too deep for `JSON.stringify`: the two need not run out of stack at the same depth.
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
            // Untouched parts are written unchanged; to compare them, plain JavaScript parses and prints them.
            let got = std::str::from_utf8(got).expect("output is UTF-8");
            let mut read = Vec::new();
            engine.transform(format!("{{\"plain\":{}}}", quoted(&format!("plain:{got}"))).as_bytes(), &mut read);
            assert_eq!(unquoted(&read)[0], *wanted, "a changed event left as {got}");
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

/// The texts in `{"texts":["…","…"]}`. Handles only the escapes that `JSON.stringify` writes.
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
