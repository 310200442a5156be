//! Properties of all inputs: an untouched event keeps its bytes, and every line has one verdict, in order. There are
//! few cases with many lines each, because each case is a whole run.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::Value;

use crate::support::Dir;

/// The number of cases. `PROPTEST_CASES` overrides it.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").map_or(8, |text| text.parse().unwrap())
}

fn config() -> ProptestConfig {
    let file = Some(Box::new(FileFailurePersistence::Off) as _);
    ProptestConfig { cases: cases(), max_shrink_iters: 64, failure_persistence: file, ..ProptestConfig::default() }
}

/// JSON whitespace, mostly none.
fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\t \r ")]
}

/// Special contents of an event. No event has both, see [`exceptions_to_the_law`].
#[derive(Clone, Copy)]
enum With {
    /// Duplicate keys.
    Duplicates,
    /// Numbers like 1e400.
    Infinite,
}

/// Numbers as people and programs write them, including numbers that no double can hold.
fn number(with: With) -> BoxedStrategy<String> {
    let finite = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (-1000..1000i32).prop_map(|n| n.to_string()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?",
        prop::sample::select(vec!["-0", "-0.0", "9007199254740993", "1e-400", "0.10", "5e-324"])
            .prop_map(str::to_owned),
    ];
    match with {
        With::Duplicates => finite.boxed(),
        With::Infinite => prop_oneof![4 => finite, 1 => "-?[1-9](\\.[0-9]{1,9})?[eE]\\+?[4-9][0-9]{2}"].boxed(),
    }
}

/// Strings with all characters that need no escape, and all kinds of escapes.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ !#-\\[\\]-~]{1,12}",
        1 => "[é€한😀\u{7f}\u{2028}\u{2029}\u{feff}\u{0}]".prop_map(|text| text.replace('\0', "\\u0000")),
        1 => prop::sample::select(vec![r#"\""#, r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t"]).prop_map(str::to_owned),
        1 => "\\\\u[0-9a-fA-F]{4}",
        1 => prop::sample::select(vec![r"\ud83d\ude00", r"\ud800", r"\udc00x", r"\uD834"]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// Keys, but none like an array's index, and none with a backslash in its name: see [`exceptions_to_the_law`].
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "\"[a-d]\"",
        1 => text().prop_map(|text| text.replacen('"', "\"k", 1).replace(r"\\", "~")),
        1 => prop::sample::select(vec!["\"__proto__\"", "\"toJSON\"", "\"constructor\"", "\"\""])
            .prop_map(str::to_owned),
    ]
}

fn object(value: impl Strategy<Value = String> + 'static, with: With) -> impl Strategy<Value = String> {
    prop::collection::vec((space(), key(), space(), space(), value, space()), 0..6).prop_map(move |members| {
        let key = |index: usize, key: String| match with {
            With::Duplicates => key,
            // The index makes all keys different.
            With::Infinite => format!("{}_{index}\"", key.strip_suffix('"').expect("a key is a text")),
        };
        let members: Vec<String> = members
            .into_iter()
            .enumerate()
            .map(|(index, (a, name, b, c, value, d))| format!("{a}{}{b}:{c}{value}{d}", key(index, name)))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

fn value(with: With) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => number(with),
        4 => text(),
        1 => prop::sample::select(vec!["true", "false", "null", "{}", "[]", "[ ]"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        let array = prop::collection::vec((space(), inner.clone(), space()), 0..6).prop_map(|items| {
            let items: Vec<String> = items.into_iter().map(|(a, value, b)| format!("{a}{value}{b}")).collect();
            format!("[{}]", items.join(","))
        });
        prop_oneof![array, object(inner, with)]
    })
    .boxed()
}

fn lines(with: With) -> impl Strategy<Value = Vec<(&'static str, String, &'static str)>> {
    prop::collection::vec((space(), object(value(with), with), space()), 200..400)
}

/// The action that an input line asks for.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Ok,
    Double,
    Drop,
    Fail,
    Blank,
    NotJson,
    NotUtf8,
    Long,
}

fn ask() -> impl Strategy<Value = Ask> {
    use Ask::*;
    prop_oneof![
        8 => Just(Ok),
        2 => prop::sample::select(vec![Double, Drop, Fail]),
        1 => prop::sample::select(vec![Blank, NotJson, NotUtf8, Long]),
    ]
}

impl Ask {
    fn line(self, n: usize) -> Vec<u8> {
        match self {
            Ask::Ok => format!("{{\"n\":{n}}}").into(),
            Ask::Double => format!("{{\"n\":{n},\"do\":\"double\"}}").into(),
            Ask::Drop => format!("{{\"n\":{n},\"do\":\"drop\"}}").into(),
            Ask::Fail => format!("{{\"n\":{n},\"do\":\"fail\"}}").into(),
            Ask::Blank => b" ".to_vec(),
            Ask::NotJson => format!("{{\"n\":{n}").into(),
            Ask::NotUtf8 => [format!("{{\"n\":{n}").as_bytes(), b"\xff}"].concat(),
            Ask::Long => format!("{{\"n\":{n},\"l\":\"{}\"}}", "x".repeat(600)).into(),
        }
    }

    /// The expected output.
    fn out(self, n: usize) -> String {
        match self {
            Ask::Ok => format!("{{\"n\":{n}}}\n"),
            Ask::Double => format!("{{\"n\":{n},\"do\":\"double\"}}\n{{\"again\":{n}}}\n"),
            _ => String::new(),
        }
    }

    fn verdict(self) -> &'static str {
        match self {
            Ask::Ok | Ask::Double => "ok",
            Ask::Drop | Ask::Blank => "dropped",
            Ask::Fail => "exception",
            Ask::NotJson | Ask::NotUtf8 => "invalid_json",
            Ask::Long => "line_too_long",
        }
    }
}

const ASKED: &str = "export function transformEvent(event) {
  switch (event.do) {
    case 'double': return [event, { again: event.n }];
    case 'drop': return [];
    case 'fail': throw new Error('as asked');
  }
  return event;
}";

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_event_that_is_returned_unchanged_keeps_its_bytes(
        lines in prop_oneof![lines(With::Duplicates), lines(With::Infinite)],
    ) {
        let lines: Vec<String> = lines
            .into_iter()
            // A carriage return before a line feed is part of the line end.
            .map(|(a, object, b)| format!("{a}{object}{b}").trim_end_matches('\r').to_owned())
            .collect();
        let dir = Dir::with("export function transformEvent(event) { return event; }");
        let done = dir.run(&["run", "t.js", "-j", "2"], lines.join("\n"));
        for (got, want) in done.lines().iter().zip(&lines) {
            prop_assert_eq!(*got, want.as_str());
        }
        prop_assert_eq!(done.lines().len(), lines.len(), "{}", done.err);
    }

    #[test]
    fn every_line_has_one_verdict_in_order(
        asks in prop::collection::vec(ask(), 1..4000),
        workers in 1..4usize,
        finished: bool,
    ) {
        let dir = Dir::with(ASKED);
        let mut input = asks.iter().enumerate().map(|(n, ask)| ask.line(n)).collect::<Vec<_>>().join(&b'\n');
        if finished || matches!(asks.last(), Some(Ask::Blank)) {
            input.push(b'\n');
        }
        dir.file("in.jsonl", &input);
        let workers = workers.to_string();
        let flags = ["run", "t.js", "in.jsonl", "--line-limit", "500", "-j", &workers, "--stats", "json"];
        let done = dir.run(&[&flags[..], &["--errors", "dead.jsonl"]].concat(), "");

        let out: String = asks.iter().enumerate().map(|(n, ask)| ask.out(n)).collect();
        prop_assert!(done.text() == out, "{}", done.err);
        let stats: Value = serde_json::from_str(&done.err).unwrap();
        let count = |wanted: &str| asks.iter().filter(|ask| ask.verdict() == wanted).count();
        prop_assert_eq!(&stats["in"], asks.len());
        prop_assert_eq!((&stats["ok"], &stats["dropped"]), (&count("ok").into(), &count("dropped").into()));
        let failed = asks.iter().enumerate().filter(|(_, ask)| !matches!(ask.verdict(), "ok" | "dropped"));
        let wanted: Vec<(u64, &str)> = failed.map(|(n, ask)| (n as u64 + 1, ask.verdict())).collect();
        let dead = dir.read("dead.jsonl");
        let letters: Vec<Value> = dead.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let found: Vec<(u64, &str)> =
            letters.iter().map(|letter| (letter["input_line"].as_u64().unwrap(), letter["kind"].as_str().unwrap())).collect();
        prop_assert_eq!(found, wanted);

        // With verdict lines: one for each input line, in order.
        let done = dir.run(&[&flags[..], &["--emit", "verdicts"]].concat(), "");
        let lines = done.lines();
        prop_assert_eq!(lines.len(), asks.len());
        for (n, (line, ask)) in lines.iter().zip(&asks).enumerate() {
            let line: Value = serde_json::from_str(line).unwrap();
            let verdict = line["kind"].as_str().or(line["verdict"].as_str());
            prop_assert_eq!(verdict, Some(ask.verdict()), "line {}: {}", n, line);
        }
    }
}

/// Regression: events that did not keep their bytes. Each runs alone except the last two.
#[test]
fn inputs_that_broke_the_invariant_before() {
    let dir = Dir::with("export function transformEvent(event) { return event; }");
    let same = |input: &str| dir.run(&["run", "t.js", "-j", "1"], input).text() == input;
    let broken: Vec<&str> = [
        // A duplicate key whose last value is beyond the doubles.
        "{\"a\":-0,\"a\":1e400}\n",
        // A duplicate key with a value whose printed text is longer than the whole line.
        "{\"a\":1,\"a\":1e20}\n",
        // A key that V8 moves to the front, with space before the colon, or with an escape.
        "{\"d\":\"\\uDBea\\ud800]\",\"0\" : 0}\n",
        "{\"b\":1,\"\\u0030\":2}\n",
        // After a key that ends in a backslash, V8 confuses any key with an escape in the same place with that key.
        "{\"q\\\\\":1}\n{\"q\\u0041\":1}\n",
    ]
    .into_iter()
    .filter(|input| !same(input))
    .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}
