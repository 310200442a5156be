//! Mistakes that people often make, typed as they make them: each ends in a sentence that says what to type.
//!
//! `tests/golden/mistakes.txt` has all of them; a mistake without help fails the test.

use std::fmt::Write as _;

use crate::bad_input::golden;
use crate::support::{Dir, finish};

/// The file's name and its code.
const MISTAKES: &[(&str, &str)] = &[
    // Habits from Node and browsers.
    ("t.js", "module.exports = { transformEvent: (event) => event };"),
    ("t.js", "exports.transformEvent = (event) => event;"),
    ("t.js", "const _ = require('lodash');\nexport const transformEvent = (event) => event;"),
    ("t.js", "export function transformEvent(event) {\n  event.url = window.location.href;\n  return event;\n}"),
    ("t.js", "export const transformEvent = (event) => self.name;"),
    ("t.js", "export const transformEvent = (event) => ({ key: process.env.KEY });"),
    ("t.js", "export const transformEvent = (event) => ({ a: Buffer.from('a').toString('base64') });"),
    ("t.js", "export const transformEvent = (event) => { setTimeout(() => {}, 10); return event; };"),
    ("t.js", "export const transformEvent = async (event) => axios.get('https://example.com');"),
    ("t.js", "export const transformEvent = (event) => ({ id: md5(event.email) });"),
    ("t.js", "export const transformEvent = (event) => Json.parse(event.a);"),
    ("t.js", "export const transformEvent = (event) => new Headers();"),
    ("t.js", "export function transformEvent(event) { return this.name; }"),
    ("t.js", "export const transformEvent = (event) => ({ mail: event.traits.email });"),
    ("t.js", "export const transformEvent = async (event) => { const r = { status: 200 }; return r.json(); };"),
    ("t.js", "export const transformEvent = (event) => { event.id.toLowerCase(); return event; };"),
    ("t.js", "export const transformEvent = (event) => event.items2 ?? event.list.map((x) => x);"),
    ("t.js", "export const transformEvent = (event) => { Array.prototype.last = 1; return event; };"),
    ("t.js", "const n = 0;\nexport const transformEvent = (event) => { n += 1; return event; };"),
    // What is returned.
    ("t.js", "export const transformEvent = (event) => JSON.stringify(event);"),
    ("t.js", "export const transformEvent = async (event) => 5;"),
    ("t.js", "export const transformEvent = (event) => true;"),
    ("t.js", "export const transformEvent = (event) => () => event;"),
    ("t.js", "export const transformEvent = (event) => [[event]];"),
    ("t.js", "export const transformEvent = (event) => [Promise.resolve(event)];"),
    ("t.js", "export const transformEvent = (event) => new Map(Object.entries(event));"),
    ("t.js", "export const transformBatch = (events) => events[0];"),
    ("t.js", "export const transformEvent = (event) => new Promise(() => {});"),
    // What is thrown.
    ("t.js", "export const transformEvent = (event) => { throw { code: 7, message: 'no' }; };"),
    ("t.js", "export const transformEvent = () => { throw new Error('outer', { cause: new TypeError('inner') }); };"),
    ("t.js", "export const transformEvent = () => { throw new AggregateError([new Error('one'), 'two'], 'many'); };"),
    // Exports and imports.
    ("t.js", "export default function transformEvent(event) { return event; }"),
    ("t.js", "export const transformEvents = (events) => events;"),
    ("t.js", "function transformEvent(event) { return event; }"),
    ("t.js", "import { sha265 } from 'hash';\nexport const transformEvent = (event) => event;"),
    ("t.js", "import hash from 'hash';\nexport const transformEvent = (event) => event;"),
    ("t.js", "import { x } from './lib/numbers';\nexport const transformEvent = (event) => event;"),
    // TypeScript.
    ("t.js", "export function transformEvent(event: any) { return event; }"),
    ("t.js", "interface User { id: string }\nexport const transformEvent = (event) => event;"),
    ("t.js", "export const transformEvent = (event) => event as any;"),
    ("t.js", "@logged class A {}\nexport const transformEvent = (event) => event;"),
    ("t.ts", "export const transformEvent = (event: any) => <any>event;"),
    ("t.ts", "enum Kind { A }\nexport const transformEvent = (event: any) => event;"),
    ("t.ts", "import { Options } from 'objects';\nexport const transformEvent = (event: Options) => new Options();"),
    ("t.js", "export function transformEvent(event) { await fetchV2('https://example.com'); return event; }"),
];

#[test]
fn every_frequent_mistake_says_what_to_type() {
    let (mut text, mut without) = (String::new(), String::new());
    for (file, code) in MISTAKES {
        let dir = Dir::new();
        dir.file(file, code);
        let child = dir.command(&["run", file, "--emit", "verdicts"]).spawn().unwrap();
        let done = finish(child, b"{\"id\":1,\"list\":{}}\n".to_vec());
        let said = match done.lines().first() {
            Some(verdict) => {
                let verdict: serde_json::Value = serde_json::from_str(verdict).unwrap();
                assert_eq!(verdict["verdict"], "failed", "{code}");
                let stack = verdict["stack"].as_str().or(verdict["message"].as_str()).unwrap();
                let help = verdict["help"].as_str().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
                format!("{stack}{help}")
            }
            None => done.err.trim_end().to_owned(),
        };
        if !said.contains("\nhelp: ") {
            let _ = writeln!(without, "{code}\n{said}\n");
        }
        let _ = writeln!(text, "{code}\n--\n{said}\n");
    }
    assert!(without.is_empty(), "no help:\n{without}");
    golden("tests/golden/mistakes.txt", &text);
}
