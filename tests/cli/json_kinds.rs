//! The cases of the public JSON test suite, as values of an event. The output has valid JSON unchanged, even if the
//! code changes the event around it; invalid JSON results in a dead letter with its exact bytes. Each case runs in a
//! small event and in one that is large enough to be lazy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::Dir;

/// Values that are JSON, and their output in a changed event, if that differs.
const GOOD: &[(&str, Option<&str>)] = &[
    // Numbers: every way to write one, the ends of the doubles, and beyond.
    ("0", None),
    ("-0", None),
    ("-0.0", None),
    ("0e1", None),
    ("0E+1", None),
    ("1.0", None),
    ("20e1", None),
    ("1E+2", None),
    ("-1.5e-7", None),
    ("5e-324", None),
    ("1e-400", None),
    ("1e400", None),
    ("-1e400", None),
    ("1e99999999999999999999", None),
    ("-1e-99999999999999999999", None),
    ("1.7976931348623157e308", None),
    ("1.7976931348623159e308", None),
    ("9007199254740993", None),
    ("-9223372036854775808", None),
    ("18446744073709551616", None),
    ("123456789012345678901234567890123456789012345678901234567890", None),
    ("0.1000000000000000055511151231257827", None),
    ("0.00000000000000000000000000000000000000000000000001", None),
    // Strings: escapes, surrogates, NUL, characters that editors and terminals treat as line ends.
    (r#""""#, None),
    (r#""\u0000\u0012\u001f""#, None),
    (r#""\"\\\/\b\f\n\r\t""#, None),
    (r#""\u0061\u30AF\u30EA\u30b9""#, None),
    (r#""\uD83D\uDE00""#, None),
    (r#""\ud800""#, None),
    (r#""\uDC00""#, None),
    (r#""\uDFFF\uD800""#, None),
    (r#""\uD800\uD800\uDC00""#, None),
    (r#""\uD800\n""#, None),
    (r#""\\u0000""#, None),
    ("\"\u{7f}\u{80}\u{a0}\"", None),
    ("\"\u{2028}\u{2029}\u{feff}\u{fffd}\"", None),
    ("\"\u{ffff}\u{fffe}\u{10ffff}\u{1f600}\"", None),
    (r#""\uFFFF\uFEFF\u2028""#, None),
    // Literals, white space, arrays, objects.
    ("true", None),
    ("false", None),
    ("null", None),
    ("[]", None),
    ("[ ]", None),
    ("[[],[[]],{}]", None),
    ("[ 1 ,\t2 ]", None),
    ("[1,null,true,\"x\",{},-0]", None),
    ("{}", None),
    (r#"{"":0," ":1}"#, None),
    (r#"{"__proto__":{"a":1},"constructor":null,"toJSON":5,"then":{}}"#, None),
    (r#"{"\u0000":1,"\ud800":2,"\uD83D\uDE00":3}"#, None),
    // A duplicate key, also by an escape: the last value counts, at the place of the first.
    (r#"{"a":1,"a":2}"#, Some(r#"{"a":2}"#)),
    (r#"{"a":1,"b":0,"a":1}"#, Some(r#"{"a":1,"b":0}"#)),
    (r#"{"a":1,"\u0061":2.0}"#, Some(r#"{"a":2.0}"#)),
    (r#"[{"a":[],"a":{}}]"#, Some(r#"[{"a":{}}]"#)),
    // Keys that are indices keep their places if nothing in their object was changed.
    (r#"{"b":1,"10":2,"2":3}"#, None),
];

/// Values that are not JSON.
const BAD: &[&[u8]] = &[
    b"",
    b"01",
    b"-01",
    b"00",
    b"-",
    b"--1",
    b"+1",
    b".5",
    b"-.5",
    b"1.",
    b"1.e1",
    b"1e",
    b"1e+",
    b"1eE2",
    b"0x1F",
    b"1_000",
    b"1 000",
    b"1.2.3",
    b"1a",
    b"NaN",
    b"-NaN",
    b"Infinity",
    b"-Infinity",
    b"undefined",
    b"True",
    b"nul",
    b"nulll",
    b"truefalse",
    b"'x'",
    b"x",
    b"\"",
    b"\"x",
    b"\"\\x00\"",
    b"\"\\a\"",
    b"\"\\\"",
    b"\"\\u00G0\"",
    b"\"\\u00\"",
    b"\"\\uD83D\\u\"",
    b"\"\\U0041\"",
    b"\"\t\"",
    b"\"\x00\"",
    b"\"\x1f\"",
    b"1\x00",
    b"\x001",
    b"\x0c1",
    b"\x0b1",
    b"\xc2\xa01",
    b"\xe2\x81\xa01",
    b"\xef\xbb\xbf1",
    // Not UTF-8: overlong, cut, alone, a surrogate, beyond Unicode.
    b"\"\xff\"",
    b"\"\xc0\xaf\"",
    b"\"\x80\"",
    b"\"\xe2\x82\"",
    b"\"\xed\xa0\x80\"",
    b"\"\xf4\x90\x80\x80\"",
    b"\xff",
    b"[1,]",
    b"[,1]",
    b"[1,,2]",
    b"[1 2]",
    b"[1",
    b"[1}",
    b"[1]]",
    b"[",
    b"]",
    b"{\"a\":1,}",
    b"{,}",
    b"{a:1}",
    b"{'a':1}",
    b"{1:1}",
    b"{null:1}",
    b"{\"a\" 1}",
    b"{\"a\"::1}",
    b"{\"a\":}",
    b"{\"a\",1}",
    b"{\"a\":1 \"b\":2}",
    b"{\"a\":1]",
    b"{\"a\":1}}",
    b"{\"a\"",
    b"{[1]:2}",
    b"/* c */1",
    b"1 // c",
    b"# c",
    b"1;",
    b"1 1",
    b"{} {}",
];

/// An event that contains a value, and padding.
fn line(value: &[u8], pad: usize) -> Vec<u8> {
    let pad = "p".repeat(pad);
    let head = format!("{{\"type\":\"track\",\"pad\":\"{pad}\",\"v\":");
    [head.as_bytes(), value, b",\"end\":{\"a\":[1,2,3]}}"].concat()
}

#[test]
fn every_kind_of_value_leaves_as_it_came() {
    const PROGRAMS: [&str; 4] = [
        "return event;",
        "event.x = 1; return event;",
        "event.x = JSON.stringify(event.v) === '' ? 0 : 1; return event;",
        "const { ...copy } = event; copy.x = 1; return copy;",
    ];
    for pad in [0, 4000] {
        for (program, body) in PROGRAMS.iter().enumerate() {
            let dir = Dir::with(&format!("export function transformEvent(event) {{ {body} }}"));
            let mut input = Vec::new();
            for (value, _) in GOOD {
                input.extend(line(value.as_bytes(), pad));
                input.push(b'\n');
            }
            let done = dir.run(&["run", "t.js", "-j", "1", "--on-unsafe-integer", "ignore"], &input);
            assert_eq!(done.code, 0, "{}", done.err);
            for (out, (value, changed)) in done.lines().into_iter().zip(GOOD) {
                let kept = if program == 0 { value } else { &changed.unwrap_or(value) };
                let mut expected = String::from_utf8(line(kept.as_bytes(), pad)).unwrap();
                if program > 0 {
                    expected.insert_str(expected.len() - 1, ",\"x\":1");
                }
                assert_eq!(out, expected, "{value} in {body}");
            }
            assert_eq!(done.lines().len(), GOOD.len());
        }
    }
}

#[test]
fn what_is_no_json_is_a_dead_letter_with_its_bytes() {
    for pad in [0, 4000] {
        let dir = Dir::with("export function transformEvent(event) { event.x = 1; return event; }");
        let mut input = Vec::new();
        for value in BAD {
            input.extend(line(value, pad));
            input.push(b'\n');
        }
        let done = dir.run(&["run", "t.js", "-j", "1"], &input);
        assert_eq!(done.text(), "");
        let letters = done.dead_letters();
        for (letter, value) in letters.iter().zip(BAD) {
            let bytes = match (letter["event"].as_str(), letter["event_base64"].as_str()) {
                (Some(text), None) => text.as_bytes().to_vec(),
                (_, base64) => STANDARD.decode(base64.unwrap()).unwrap(),
            };
            assert!(bytes == line(value, pad), "{letter}");
            assert_eq!(letter["kind"], "invalid_json", "{letter}");
        }
        assert_eq!(letters.len(), BAD.len());
    }
}

/// A deeply nested event comes out unchanged or fails, and affects no other event.
#[test]
fn depth_costs_an_event_nothing_or_itself() {
    for depth in [100, 1_000, 100_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let inner = if open == "[" { "" } else { "1" };
            let deep = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
            let event = String::from_utf8(line(deep.as_bytes(), 0)).unwrap();
            let unclosed = String::from_utf8(line(open.repeat(depth).as_bytes(), 0)).unwrap();
            let input = format!("{{\"n\":1}}\n{event}\n{unclosed}\n{{\"n\":2}}\n");
            let dir = Dir::with("export function transformEvent(event) { return event; }");
            let done = dir.run(&["run", "t.js", "-j", "1", "--emit", "verdicts", "--fail-on", "never"], &input);
            let lines = done.lines();
            assert_eq!(lines.len(), 4, "{}", done.err);
            assert_eq!(lines[0], "{\"verdict\":\"ok\",\"events\":[{\"n\":1}]}");
            assert_eq!(lines[3], "{\"verdict\":\"ok\",\"events\":[{\"n\":2}]}");
            assert!(lines[2].contains("\"kind\":\"invalid_json\""), "{depth} {}", &lines[2][..80]);
            let whole = format!("{{\"verdict\":\"ok\",\"events\":[{event}]}}");
            // Beyond some depth, V8's printer runs out of stack.
            let fails = depth > 1_000 && lines[1].contains("\"kind\":\"exception\"");
            assert!(lines[1] == whole || fails, "{depth} {open} {}", &lines[1][..lines[1].len().min(300)]);
        }
    }
}
