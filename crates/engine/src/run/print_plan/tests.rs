//! The output must be the same with a plan and without: random programs over random events run both ways.
//!
//! `SLUICEGATE_PRINT_PROGRAMS=300000 cargo test --profile quick --lib print_plan` runs this many of them.

use std::cell::Cell;

use super::{PrintPlanning, has_accessor, may_run_while_printing};
use crate::verdict::Verdict;
use crate::{Engine, Event, Laziness, LogLine, Options, OutputFraming, Program};

/// Runs a program: a list of edits, passed as metadata.
const INTERPRETER: &str = include_str!("tests.js");
const EDITS: usize = 32;
const ENDS: usize = 10;
const KEYS: [&str; 8] = ["name", "context", "traits", "ip", "page", "text", "n", "é"];
const EVENTS_OF_A_PROGRAM: usize = 10;

struct Random(Cell<u64>);

impl Random {
    fn below(&self, most: usize) -> usize {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        ((state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % most as u64) as usize
    }

    fn key(&self) -> &'static str {
        KEYS[self.below(KEYS.len())]
    }

    /// Mostly the same keys for the same `shape`, with other values.
    fn object(&self, shape: &Random, depth: usize) -> String {
        let mut keys = KEYS.to_vec();
        let pairs: Vec<_> = (0..2 + shape.below(5))
            .map(|_| {
                let key = keys.remove(shape.below(keys.len()));
                let value = match shape.below(if depth == 0 { 4 } else { 8 }) {
                    0 => format!("\"{}\"", "some text ".repeat(self.below(6))),
                    1 => format!("\"日本{}\"", self.below(1000)),
                    2 => ["1", "-7.25", "true", "null", "[1,2]", "[{\"a\":1}]"][self.below(6)].to_owned(),
                    3 => format!("\"{}\"", self.below(10)),
                    _ => self.object(shape, depth - 1),
                };
                format!("\"{key}\":{value}")
            })
            .collect();
        format!("{{{}}}", pairs.join(","))
    }

    fn program(&self) -> String {
        let edits: Vec<_> = (0..1 + self.below(4))
            .map(|_| {
                let path: Vec<_> = (0..self.below(3)).map(|_| self.key()).collect();
                serde_json::json!({ "op": self.below(EDITS), "path": path, "key": self.key(), "other": self.key() })
            })
            .collect();
        let end = if self.below(3) == 0 { self.below(ENDS) } else { 0 };
        serde_json::json!({ "edits": edits, "end": end }).to_string()
    }
}

fn engine(planning: PrintPlanning) -> Engine {
    let options = Options { logs: true, ..Options::default() };
    let mut engine = Engine::new(Program::new("t.js", INTERPRETER), options).unwrap();
    engine.set_laziness(Laziness::Never);
    engine.set_print_planning(planning);
    engine
}

fn run(engine: &mut Engine, event: &str, metadata: &str) -> (Verdict, String, Vec<LogLine>) {
    let mut out = Vec::new();
    let event = Event { json: event.as_bytes(), metadata: Some(metadata.as_bytes()) };
    let verdict = engine.transform_event(event, &OutputFraming::LINES, &mut out);
    (verdict, String::from_utf8(out).unwrap(), engine.logs().to_vec())
}

#[test]
fn planned_or_not_nothing_differs() {
    let programs: u64 = std::env::var("SLUICEGATE_PRINT_PROGRAMS").map_or(1000, |programs| programs.parse().unwrap());
    let random = Random(Cell::new(0x5117_ceba_7e00 + programs));
    let (mut planned, mut plain) = (engine(PrintPlanning::Always), engine(PrintPlanning::Never));
    let mut copies = 0;
    for _ in 0..programs {
        planned.set_print_planning(PrintPlanning::Always);
        let program = random.program();
        let metadata = serde_json::json!({ "sourceName": program }).to_string();
        let shape = 1 + random.below(1 << 30) as u64;
        for _ in 0..EVENTS_OF_A_PROGRAM {
            let event = random.object(&Random(Cell::new(shape)), 3);
            let ours = run(&mut planned, &event, &metadata);
            let theirs = run(&mut plain, &event, &metadata);
            assert_eq!(ours, theirs, "event {event}\nprogram {program}");
        }
        copies += u64::from(planned.print_plan_size() > 0);
    }
    assert!(copies > programs / 4, "plans were made for {copies} programs of {programs}");
    assert_eq!(planned.replacements(), 0);
}

#[test]
fn a_plan_takes_over_where_it_saves_time() {
    // Which way is faster depends on the machine. This checks only that all events of a stream are output.
    let code = "export function transformEvent(event) {
        event.traits.name = event.traits.first + ' and then ' + event.traits.last;
        delete event.context.ip;
        return event;
    }";
    let mut engine = Engine::new(Program::new("t.js", code), Options::default()).unwrap();
    for n in 0..20_000 {
        let line =
            format!(r#"{{"n":{n},"context":{{"ip":"1.2.3.4","page":"p"}},"traits":{{"first":"Ada","last":"L"}}}}"#);
        let mut out = Vec::new();
        engine.transform(line.as_bytes(), &mut out);
        let expected = format!(
            "{{\"n\":{n},\"context\":{{\"page\":\"p\"}},\"traits\":{{\"first\":\"Ada\",\"last\":\"L\",\"name\":\"Ada and then L\"}}}}\n"
        );
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
    assert!(engine.print_plan_size() > 0);
}

#[test]
fn programs_with_code_that_runs_while_printing_have_no_plan() {
    for code in [
        "get name() {",
        "set  ['x'](",
        "get\n\"x\" (",
        "static get #a(",
        "get 1.5() {",
        "set .5(",
        "get 1e+5(",
        "new Proxy(",
        "toJSON() {",
    ] {
        assert!(may_run_while_printing(code), "{code}");
    }
    for code in [
        "map.get(key)",
        "getName(x)",
        "const get = 1",
        "widget name(",
        "// what we get from it",
        "// the whole set. It",
        "// get 2 of them",
        "offset (1)",
    ] {
        assert!(!may_run_while_printing(code), "{code}");
    }
    assert!(!has_accessor("settings.get"));
    let mut engine = Engine::new(
        Program::new("t.js", "export const transformEvent = (e) => { delete e.a; return e; } // toJSON"),
        Options::default(),
    )
    .unwrap();
    engine.set_print_planning(PrintPlanning::Always);
    engine.transform(br#"{"a":1,"b":2}"#, &mut Vec::new());
    assert_eq!(engine.print_plan_size(), 0);
}
