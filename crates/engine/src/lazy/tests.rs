//! Every strategy must give the same output: runs random programs over random events with each
//! strategy and compares the bytes.
//!
//! `SLUICEGATE_LAZY_PROGRAMS=1000000 cargo test --profile quick --lib lazy` runs a million of them.

use super::Laziness;
use crate::verdict::Verdict;
use crate::{Engine, Event, LogLine, Options, OutputFraming, Program};

/// Interprets a program, a list of operations on the event, which is passed as metadata. Logs everything it sees.
const INTERPRETER: &str = include_str!("tests.js");

/// Keys of the events' top level. The programs use these and a few others.
const KEYS: [&str; 12] = [
    "type",
    "userId",
    "context",
    "traits",
    "properties",
    "messageId",
    "products",
    "note",
    "n",
    "list",
    "integrations",
    "sentAt",
];

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn value(&mut self, depth: usize, odd: bool) -> String {
        let numbers = ["0", "1", "-7", "3.25", "1000000", "9007199254740991"];
        let odd_numbers = ["4.0", "-0", "1e2", "12345678901234567890", "0.10", "9007199254740993", "1e400"];
        let strings = [r#""""#, r#""plain""#, r#""é""#, r#""日本語""#, r#""a\"b\\""#, r#""line\nbreak""#, r#""x""#];
        let odd_strings = [r#""\u0041""#, r#""\/""#, r#""\ud800""#, r#""\ud83d\uDE4f\u65e5\n""#];
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 if odd => self.one(&odd_numbers).to_owned(),
            0 | 1 => self.one(&numbers).to_owned(),
            2 if odd => self.one(&odd_strings).to_owned(),
            2 | 3 => self.one(&strings).to_owned(),
            4 => self.one(&["true", "false", "null"]).to_owned(),
            5 => format!("\"{}\"", "long text ".repeat(self.below(20))),
            6 => {
                let values: Vec<_> = (0..self.below(4)).map(|_| self.value(depth - 1, odd)).collect();
                format!("[{}]", values.join(if odd && self.below(4) == 0 { ", " } else { "," }))
            }
            _ => {
                let mut keys = vec!["a", "b", "name", "id", "é"];
                if odd {
                    keys.extend(["1", "__proto__", "toJSON", "a"]);
                }
                let mut pairs = Vec::new();
                for _ in 0..self.below(5) {
                    let key = keys.remove(self.below(keys.len()));
                    let space = if odd && self.below(4) == 0 { " " } else { "" };
                    pairs.push(format!("\"{key}\":{space}{}", self.value(depth - 1, odd)));
                }
                format!("{{{}}}", pairs.join(","))
            }
        }
    }

    /// An event with one of twenty shapes, so that each shape is seen often.
    fn event(&mut self, odd: bool) -> String {
        let mut shape = Random(0x9E37_79B9 + self.below(20) as u64);
        let mut keys = KEYS.to_vec();
        let pairs: Vec<_> = (0..2 + shape.below(9))
            .map(|_| {
                let key = keys.remove(shape.below(keys.len()));
                format!("\"{key}\":{}", self.value(3, odd))
            })
            .collect();
        let [before, after] = if odd && self.below(6) == 0 { [" ", " "] } else { ["", ""] };
        format!("{{{before}{}{after}}}", pairs.join(if odd && self.below(6) == 0 { ", " } else { "," }))
    }

    /// An event as Python's `json.dumps` writes it: with spaces, and for half of the events with
    /// everything outside of ASCII escaped.
    fn as_python(&mut self, event: &str) -> String {
        let ascii = self.below(2) == 0;
        let (mut written, mut in_string, mut escaped) = (String::new(), false, false);
        for character in event.chars() {
            in_string ^= character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            match character {
                ':' | ',' if !in_string => written.extend([character, ' ']),
                '\u{80}'.. if ascii => {
                    let mut units = [0; 2];
                    written.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
                }
                _ => written.push(character),
            }
        }
        written
    }

    /// An event's metadata, which contains a program for the interpreter.
    fn metadata(&mut self, program: &str, odd: bool) -> String {
        let program = serde_json::Value::from(program);
        let mut pairs = vec![format!("\"sourceName\":{program}")];
        for key in ["jobId", "recordId", "messageIds", "rudderId", "unknown", "jobId"] {
            if self.below(2) == 0 {
                pairs.push(format!("\"{key}\":{}", self.value(2, odd)));
            }
        }
        format!("{{{}}}", pairs.join(","))
    }

    fn program(&mut self) -> String {
        let count = self.below(7);
        let operations: Vec<_> = (0..=count)
            .map(|at| {
                let last = at == count;
                let operation = self.below(if last { 17 } else { 35 });
                let key =
                    if self.below(8) == 0 { self.one(&["new", "5", "__proto__", "toJSON"]) } else { self.one(&KEYS) };
                // Every third operation is on an object in the event, if there is one at that key, or on the metadata.
                let inner = match self.below(9) {
                    0 | 1 => self.one(&KEYS),
                    2 => "metadata()",
                    _ => "",
                };
                let key = match inner {
                    "" => key,
                    "metadata()" => self.one(&["jobId", "recordId", "messageIds", "rudderId", "namespace", "new"]),
                    _ => self.one(&["a", "b", "name", "id", "é", "new"]),
                };
                let value = self.value(1, false).replace('\\', "\\\\").replace('"', "\\\"");
                format!(
                    r#"{{"last":{last},"op":{operation},"inner":"{inner}","key":"{key}","other":"{}","value":"{value}"}}"#,
                    self.one(&KEYS)
                )
            })
            .collect();
        format!("[{}]", operations.join(","))
    }
}

fn engine(laziness: Laziness, accessors: bool) -> Engine {
    let options = Options { logs: true, ..Options::default() };
    let mut code = INTERPRETER.to_owned();
    while let Some(from) = code.find("// accessor:").filter(|_| !accessors) {
        let to = from + code[from..].find("// plain:").unwrap();
        // The other operations keep their numbers.
        let left_out = code[from..to].lines().filter(|line| line.starts_with("  (")).count();
        code.replace_range(from..to, &"(e) => ({ first: e.context, ...e, last: { e: e.list } }),\n".repeat(left_out));
    }
    let mut engine = Engine::new(Program::new("t.js", code), options).unwrap();
    engine.set_laziness(laziness);
    engine
}

fn run(engine: &mut Engine, event: &str, metadata: &str) -> (Verdict, Vec<u8>, Vec<LogLine>) {
    let mut out = Vec::new();
    let event = Event { json: event.as_bytes(), metadata: Some(metadata.as_bytes()) };
    let verdict = engine.transform_event(event, &OutputFraming::LINES, &mut out);
    (verdict, out, engine.logs().to_vec())
}

#[test]
fn the_random_programs_are_printed_in_both_ways() {
    let may_copy = |accessors| engine(Laziness::Always, accessors).isolate.as_mut().unwrap().enter().plan.may_copy();
    assert_eq!([true, false].map(may_copy), [false, true]);
}

/// Every strategy for making an event.
const STRATEGIES: [Laziness; 6] =
    [Laziness::Never, Laziness::Always, Laziness::From(48), Laziness::From(128), Laziness::From(512), Laziness::Auto];

#[test]
fn every_strategy_gives_the_same_bytes() {
    let programs = std::env::var("SLUICEGATE_LAZY_PROGRAMS").ok().map_or(4000, |programs| programs.parse().unwrap());
    let mut random = Random(0x5117_ceba_7e00 + programs);
    let mut engines = [true, false].map(|accessors| STRATEGIES.map(|laziness| engine(laziness, accessors)));
    for number in 0..programs {
        let odd = random.below(3) == 0;
        let (mut event, program) = (random.event(odd), random.program());
        if random.below(4) == 0 {
            event = random.as_python(&event);
        }
        let metadata = random.metadata(&program, odd);
        let mut first = None;
        for (engine, laziness) in engines[number as usize % 2].iter_mut().zip(STRATEGIES) {
            let (verdict, out, logs) = run(engine, &event, &metadata);
            let this = (verdict, String::from_utf8(out).unwrap(), logs);
            let first = first.get_or_insert_with(|| this.clone());
            assert_eq!(this, *first, "{laziness:?}\nevent {event}\nmetadata {metadata}");
        }
    }
    assert!(engines.iter().flatten().all(|engine| engine.replacements() == 0));
}

/// Runs the code over events, lazy and not. Both must give the expected output.
fn both_ways(code: &str, events: &[&str], expected: &str) {
    for laziness in [Laziness::Always, Laziness::Never] {
        let mut engine = Engine::new(Program::new("t.js", code), Options::default()).unwrap();
        engine.set_laziness(laziness);
        let mut out = Vec::new();
        for event in events {
            engine.transform(event.as_bytes(), &mut out);
        }
        assert_eq!(String::from_utf8_lossy(&out), expected, "{laziness:?}");
    }
}

#[test]
fn what_was_kept_of_an_earlier_event_is_still_that_events() {
    let code = "let kept; export function transformEvent(event) {
        if (event.n === 1) { kept = event; return event; }
        return { mine: event.text, its: kept.text, keys: Object.keys(kept) };
    }";
    let expected = "{\"n\":1,\"text\":\"first\"}\n{\"mine\":\"second\",\"its\":\"first\",\"keys\":[\"n\",\"text\"]}\n";
    both_ways(code, &[r#"{"n":1,"text":"first"}"#, r#"{"n":2,"text":"second"}"#], expected);
}

#[test]
fn what_was_kept_of_an_object_in_an_event_is_too() {
    let code = "let kept; export function transformEvent(event) {
        if (event.n === 1) { kept = event.context; return event; }
        return { its: kept.text, list: kept.list, keys: Object.keys(kept) };
    }";
    let first = r#"{"n":1,"name":"é日","context":{"text":"a \"b\" é日","list":[1,{"a":2}]}}"#;
    let expected = format!("{first}\n{}\n", r#"{"its":"a \"b\" é日","list":[1,{"a":2}],"keys":["text","list"]}"#);
    both_ways(code, &[first, r#"{"n":2,"name":"x"}"#], &expected);
}

#[test]
fn what_is_untouched_keeps_every_byte_but_a_key_that_stands_twice() {
    let code = "export function transformEvent(event) { event.context.seen = true; return event; }";
    let mut engine = Engine::new(Program::new("t.js", code), Options::default()).unwrap();
    engine.set_laziness(Laziness::Always);
    let line = br#"{ "id" : 1.0, "text":"\u0041", "twice":{"a":1,"a":2}, "context":{"n":-0} }"#;
    let mut out = Vec::new();
    engine.transform(line, &mut out);
    let expected = r#"{"id":1.0,"text":"\u0041","twice":{"a":2},"context":{"n":-0,"seen":true}}"#;
    assert_eq!(String::from_utf8_lossy(&out).trim_end(), expected);
}

#[test]
fn white_space_is_gone_where_something_has_changed() {
    let code = "export function transformEvent(event) { event.n += 1; return event; }";
    both_ways(code, &[r#"{ "n": 1, "text": "x" }"#], "{\"n\":2,\"text\":\"x\"}\n");
}

#[test]
fn what_the_code_sets_leaves_as_it_was_set() {
    let code = "export function transformEvent(event) { for (const key of Object.keys(event)) event[key] = event.new[key] ?? event[key]; return event; }";
    let event =
        r#"{"a":"\u0041","b":"\u0041","c":1.0,"d":1.0, "e":"\/x","f":["\/" ],"new":{"a":"","c":"","e":"","f":[]}}"#;
    let expected = r#"{"a":"","b":"\u0041","c":"","d":1.0,"e":"","f":[],"new":{"a":"","c":"","e":"","f":[]}}"#;
    both_ways(code, &[event], &format!("{expected}\n"));
}

#[test]
fn code_that_runs_while_an_event_is_printed_finds_it_the_same() {
    let event = |code: &str| format!("let n = 0; export function transformEvent(event) {{ {code}; return event; }}");
    for code in [
        event("event.a = { get x() { event.b = 'changed'; return 1; } }"),
        event("event.a = { x: { toJSON() { return ++n; } } }; event.b = { toJSON() { return 5; } }"),
        event("event.a = { x: { toJSON() { return ++n; } }, y: 1n }; event.b = { toJSON() { return 5; } }"),
        event("event.a = new Proxy({ x: 1 }, { get: (o, k) => (n++, o[k]) }); event.b = { toJSON: () => n }"),
        event("event.a = { get toJSON() { n++; } }; event.b = { toJSON: () => n }"),
        event("event.a = Object.create({ x: 1 }); event.a.y = new Date(0)"),
        event("event.a = Object.defineProperty({}, 'x', { get: () => ++n, enumerable: true }); event.b = [event.a]"),
        event("event.a = { x: { y: [1, { z: 'toJSON' }] } }; delete event.b"),
        format!("Array.prototype['to' + 'JSON'] = () => 'list'; {}", event("event.a = [1]")),
        format!("Array.prototype.toJSON = () => 'list'; {}", event("")),
        format!("BigInt.prototype['to' + 'JSON'] = () => 'big'; {}", event("event.a = [1n]")),
    ] {
        let line = r#"{"a":1,"b":"old", "c":[1,2.0],"d":{"e":[],"f":"\u0041"}}"#;
        let [lazy, eager] = [Laziness::Always, Laziness::Never].map(|laziness| {
            let mut engine = Engine::new(Program::new("t.js", code.as_str()), Options::default()).unwrap();
            engine.set_laziness(laziness);
            let mut out = Vec::new();
            for _ in 0..3 {
                engine.transform(line.as_bytes(), &mut out);
            }
            String::from_utf8(out).unwrap()
        });
        assert_eq!(lazy, eager, "{code}");
    }
}

#[test]
fn an_output_has_the_limit_as_it_leaves_however_it_was_made() {
    let line = format!(r#"{{"a":"x","b":[1.0, {}2],"c":"\u0041"}}"#, " ".repeat(200));
    for code in ["event.a = 'longer'", "delete event.c", "event.b = [1, 2]", "event.a = event.c"] {
        let code = format!("export function transformEvent(event) {{ {code}; return event; }}");
        let mut engine = Engine::new(Program::new("t.js", code.as_str()), Options::default()).unwrap();
        let size = run(&mut engine, &line, "{}").1.len() - 1;
        for laziness in STRATEGIES {
            for limit in [size - 40, size, size + 40] {
                let mut options = Options::default();
                options.limits.output = limit;
                let mut engine = Engine::new(Program::new("t.js", code.as_str()), options).unwrap();
                engine.set_laziness(laziness);
                let (verdict, out, _) = run(&mut engine, &line, "{}");
                assert!(out.len() <= limit + 1, "{laziness:?} {code}");
                assert_eq!(
                    matches!(verdict, Verdict::Ok { .. }),
                    limit >= size,
                    "{laziness:?} {limit} {size} {code} {verdict:?}"
                );
            }
        }
    }
}

#[test]
fn digits_that_are_put_back_count_for_the_limit() {
    let line = format!(r#"{{"n":9007199254740993.{}}}"#, "0".repeat(100_000));
    let code = "export function transformEvent(event) { event.list = Array(1000).fill(event.n); return event; }";
    let mut engine = Engine::new(Program::new("t.js", code), Options::default()).unwrap();
    let (verdict, out, _) = run(&mut engine, &line, "{}");
    assert!(out.is_empty());
    assert!(matches!(verdict, Verdict::Failed(failure) if failure.kind == crate::verdict::FailureKind::OutputTooLarge));
}

#[test]
fn what_the_code_adds_to_all_objects_is_not_in_the_way() {
    let code = "Object.defineProperty(Object.prototype, 'context', { set(value) { seen.push(value); } });
        const seen = []; export function transformEvent(event) { event.seen = seen.length; return event; }";
    let expected = "{\"n\":1,\"context\":{\"a\":1},\"seen\":0}\n{\"n\":2,\"context\":{\"a\":2},\"seen\":0}\n";
    both_ways(code, &[r#"{"n":1,"context":{"a":1}}"#, r#"{"n":2,"context":{"a":2}}"#], expected);
}

#[test]
fn a_value_that_is_read_often_keeps_its_attributes() {
    let code = "export function transformEvent(event) { Object.defineProperty(event, 'n', { enumerable: false });
        let sum = 0; for (let i = 0; i < 20; i++) sum += event.n;
        return { sum, keys: Object.keys(event), ...Object.getOwnPropertyDescriptor(event, 'n') }; }";
    let expected = r#"{"sum":20,"keys":["text"],"value":1,"writable":true,"enumerable":false,"configurable":true}"#;
    both_ways(code, &[r#"{"n":1,"text":"x"}"#], &format!("{expected}\n"));
}

/// Runs the code with metadata, lazy and not. Both must give the same output, which is returned.
fn with_metadata(code: &str, metadata: &str) -> String {
    let [lazy, eager] = [Laziness::Always, Laziness::Never].map(|laziness| {
        let mut engine = Engine::new(Program::new("t.js", code), Options::default()).unwrap();
        engine.set_laziness(laziness);
        let both = [metadata, r#"{"jobId":"another one's"}"#].map(|metadata| run(&mut engine, "{}", metadata).1);
        String::from_utf8(both.concat()).unwrap()
    });
    assert_eq!(lazy, eager);
    lazy
}

#[test]
fn metadata_is_what_its_text_says_and_belongs_to_its_event() {
    let code = "let kept; export function transformEvent(event, metadata) { const m = metadata(event); kept ??= m;
        return { a: m.jobId, b: m.rudderId ?? 'none', c: kept.recordId ?? 'none', n: Object.keys(m).length, m }; }";
    let text = r#"{"unknown":1,"jobId":1,"recordId":{"a":[1.50]},"jobId":-0.5e1,"namespace":null}"#;
    let expected = r#"{"a":-5,"b":"none","c":{"a":[1.5]},"n":29,"m":{"namespace":null,"jobId":-5,"recordId":{"a":[1.5]}}}
{"a":"another one's","b":"none","c":{"a":[1.5]},"n":29,"m":{"jobId":"another one's"}}
"#;
    assert_eq!(with_metadata(code, text), expected);
    // An event without metadata does not invalidate the object before it.
    let code = "let kept; export function transformEvent(event, metadata) { kept ??= metadata(event);
        metadata(event); return { id: kept.jobId, own: metadata(event).jobId }; }";
    let mut engine = Engine::new(Program::new("t.js", code), Options::default()).unwrap();
    let mut out = run(&mut engine, "{}", r#"{"jobId":1}"#).1;
    engine.transform(b"{}", &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "{\"id\":1,\"own\":1}\n{\"id\":1}\n");
    // Keys with escapes, and text that is not JSON to V8: made in full, or not at all.
    let code = "export function transformEvent(event, metadata) { return { id: metadata(event).jobId }; }";
    assert!(with_metadata(code, r#"{"job\u0049d":"\u00e9","x":"\ud800"}"#).starts_with("{\"id\":\"é\"}\n"));
    assert_eq!(with_metadata(code, "{"), "{\"id\":\"another one's\"}\n");
}

#[test]
fn a_part_that_stands_in_many_places_is_counted_before_it_is_copied() {
    let code = "export function transformEvent(event) { const out = {};
        for (let i = 0; i < 40000; i++) out['k' + i] = event.context; return event.few ? { a: event.context } : out; }";
    let mut engine = Engine::new(Program::new("t.js", code), Options::default()).unwrap();
    engine.set_laziness(Laziness::Always);
    let context = format!("{{\"text\":\"{}\"}}", "x".repeat(100_000));
    let event = format!("{{\"few\":true,\"context\":{context}}}");
    let mut out = Vec::new();
    for _ in 0..3 {
        out.clear();
        assert_eq!(engine.transform(event.as_bytes(), &mut out), Verdict::Ok { outputs: 1 });
    }
    assert_eq!(String::from_utf8(out).unwrap(), format!("{{\"a\":{context}}}\n"));
    let event = event.replace("true", "null");
    let Verdict::Failed(failure) = engine.transform(event.as_bytes(), &mut Vec::new()) else { panic!("4 GB went out") };
    assert_eq!(failure.kind, crate::verdict::FailureKind::OutputTooLarge, "{}", failure.message);
    assert!(failure.message.contains("output of 4000"), "{}", failure.message);
}

#[test]
fn a_sealed_event_with_an_element_is_not_frozen() {
    let code = "export function transformEvent(event) { event[5] = 1; Object.seal(event);
        return { sealed: Object.isSealed(event), frozen: Object.isFrozen(event) }; }";
    both_ways(code, &[r#"{"n":1,"text":"x"}"#], "{\"sealed\":true,\"frozen\":false}\n");
}

/// If this fails, V8's objects differ from what `shape_check.rs` expects, and every lazy event takes the slower path.
#[test]
fn changes_of_lazy_objects_are_seen() {
    let mut engine = engine(Laziness::Always, true);
    for _ in 0..4 {
        run(&mut engine, r#"{"type":"identify","context":{"a":{"b":1}},"n":1}"#, r#"{"sourceName":"[]"}"#);
    }
    let entered = engine.isolate.as_mut().unwrap().enter();
    let state = entered.isolate.get_slot::<super::Shared>().unwrap().borrow();
    let templates: Vec<_> = state.shapes.iter().filter_map(|shape| shape.template.as_ref()).collect();
    assert!(!templates.is_empty());
    assert!(templates.iter().all(|template| template.reference.is_some()));
}
