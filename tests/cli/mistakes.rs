//! Common mistakes: each results in a sentence that says what to type.
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
    ("t.js", "export function* transformEvent(event) { yield event; }"),
    ("t.js", "export async function* transformEvent(event) { yield event; }"),
    ("t.js", "export const transformEvent = (event) => [event].values();"),
    ("t.js", "export const transformEvent = (event) => [event, null];"),
    ("t.js", "export const transformEvent = (event) => [event].map((one) => { one.seen = true; });"),
    ("t.js", "export const transformBatch = (events) => events[0];"),
    ("t.js", "export const transformEvent = (event) => new Promise(() => {});"),
    // What is thrown.
    ("t.js", "export const transformEvent = (event) => { throw { code: 7, message: 'no' }; };"),
    ("t.js", "export const transformEvent = () => { throw new Error('outer', { cause: new TypeError('inner') }); };"),
    ("t.js", "export const transformEvent = () => { throw new AggregateError([new Error('one'), 'two'], 'many'); };"),
    // What is set.
    ("t.js", "(function (root) {\n  root.lib = {};\n})(this);\nexport const transformEvent = (event) => event;"),
    ("t.js", "export function transformEvent(event) { this.last = event; return event; }"),
    ("t.js", "export function transformEvent(event) { new Map().size = 1; return event; }"),
    ("t.js", "export const transformEvent = () => { throw new AggregateError([{ code: 5 }, [{ a: 1 }]], 'many'); };"),
    ("t.js", "export const transformEvent = () => { throw new Error('outer', { cause: { code: 5, of: [1] } }); };"),
    ("t.js", "export const transformEvent = () => { throw new Error('outer', { cause: Object.create(null) }); };"),
    ("t.js", "export const transformEvent = () => { throw [{ a: 1 }]; };"),
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
    ("t.js", "class A { private x = 1; }\nexport const transformEvent = (event) => event;"),
    ("t.js", "class A { constructor(readonly x) {} }\nexport const transformEvent = (event) => event;"),
    ("t.js", "import { type A, md5 } from 'hash';\nexport const transformEvent = (event) => event;"),
    ("t.js", "const seen = new Map<string, number>();\nexport const transformEvent = (event) => event;"),
    ("t.ts", "const transformEvent = (event: any) => event;\nexport = { transformEvent };"),
    ("t.js", "const transformEvent = (event) => event;\nexport = { transformEvent };"),
    // JSX, and line numbers that were copied along with the code.
    ("t.js", "export function transformEvent(event) { return <div>{event.name}</div>; }"),
    ("t.js", "export const transformEvent = (event) => (\n  <Card name={event.name} />\n);"),
    ("t.ts", "export const transformEvent = (event: any) => <b>{event.name}</b>;"),
    ("t.js", "1 export function transformEvent(event) {\n2   return event;\n3 }"),
    ("t.js", " 9| // A comment.\n10| export const transformEvent = (event) => event;"),
    ("t.ts", "1 export const transformEvent = (event: any) => event;"),
    // Code by people who did not know the list above.
    (
        "t.js",
        "export function transformEvent(event) {\n  event.properties.products.foreach((p) => { p.price *= 2; });\n  return event;\n}",
    ),
    (
        "t.js",
        "export function transformEvent(event) {\n  event.properties.email = event.properties.email.lowercase();\n  return event;\n}",
    ),
    (
        "t.js",
        "export function transformEvent(event) {\n  event.total = event.properties.total.toFixed(2);\n  return event;\n}",
    ),
    ("t.js", "export function transformEvent(event) {\n  if (event.type = 'track') return event;\n  return;\n"),
    (
        "t.js",
        "export function transformEvent(event) {\n  const meta = metadata(event);\n  event.source = meta.sourceId;\n  return event;\n}",
    ),
    (
        "t.js",
        "import axios from 'axios';\nexport async function transformEvent(event) {\n  const { data } = await axios.get('https://x.example.com');\n  return { ...event, data };\n}",
    ),
    (
        "t.js",
        "import crypto from 'crypto';\nexport function transformEvent(event) {\n  event.h = crypto.createHash('sha256').update(event.userId).digest('hex');\n  return event;\n}",
    ),
    (
        "t.js",
        "export function transformEvent(event) {\n  event.h = crypto.createHash('sha256').update(event.userId).digest('hex');\n  return event;\n}",
    ),
    (
        "t.js",
        "export function transformEvent(event) {\n  event.properties = JSON.parse(event.properties);\n  return event;\n}",
    ),
    (
        "t.js",
        "export function transformEvent(event) {\n  for (const p in event.properties.products) {\n    p.price.toFixed(2);\n  }\n  return event;\n}",
    ),
    (
        "t.js",
        "export function transformEvent(event) {\n  for (const p of event.properties) { p.x = 1; }\n  return event;\n}",
    ),
    (
        "t.js",
        "export function transformEvent(event) {\n  const { name } = event.user;\n  event.n = name;\n  return event;\n}",
    ),
    ("t.js", "export function transformEvent(event) {\n  const [first] = event.properties;\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  let total = 0;\n  let total = 1;\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  event.x = 1\n  return event\n}}"),
    ("t.js", "export function transformEvent(event) {\n  event.msg = 'it's';\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  event.msg = \"a\n b\";\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  const o = { a: 1, b = 2 };\n  return event;\n}"),
    ("t.js", "def transformEvent(event):\n    return event\n"),
    ("t.js", "export function transformEvent(event) {\n  return event.properties.total > 10 then event else null;\n}"),
    ("t.js", "export function transformEvent(event) {\n  event.a = undefinedFunction(event);\n  return event;\n}"),
    (
        "t.js",
        "export function transformEvent(event) {\n  const d = new Date(event.nope).toISOString();\n  return { ...event, d };\n}",
    ),
    ("t.js", "export function transformEvent(event) {\n  event.self = event;\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  while (true) {}\n}"),
    ("t.js", "export function transformEvent(event) {\n  throw 'bad event';\n}"),
    ("t.js", "export function transformEvent(event) {\n  return Promise.reject();\n}"),
    ("t.js", "export function transformEvent(event) {\n  event.decoded = decodeURIComponent('%');\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  event.list = new Array(-1);\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  event.re = new RegExp('[');\n  return event;\n}"),
    (
        "t.js",
        "export function transformEvent(event) {\n  event.n = BigInt(event.properties.total);\n  return event;\n}",
    ),
    ("t.js", "export function transformEvent(event) {\n  event.n = 5n + 1;\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  event.u = new URL(event.page);\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  event.b = atob('***');\n  return event;\n}"),
    (
        "t.js",
        "export async function transformEvent(event) {\n  const r = await fetchV2('https://api.example.com');\n  return r;\n}",
    ),
    (
        "t.js",
        "export function transformEvent(metadata, event) {\n  event.source = metadata.sourceId;\n  return event;\n}",
    ),
    ("t.js", "export function transformEvent(metadata, event) {\n  const m = metadata(event);\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  Object.keys(event.nothing);\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  'type' in event.type;\n  return event;\n}"),
    ("t.js", "import data from './data.json';\nexport function transformEvent(event) { return event; }"),
    ("t.js", "const data = await import('lodash');\nexport function transformEvent(event) { return event; }"),
    ("t.js", "export function transformEvent(event) {\n  eval('event.x = 1');\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  event.properties?.total = 5;\n  return event;\n}"),
    ("t.js", "<script>\nexport function transformEvent(event) { return event; }\n</script>"),
    ("t.js", "```js\nexport function transformEvent(event) { return event; }\n```"),
    ("t.js", "{\"type\":\"track\"}"),
    ("t.ts", "export function transformEvent(event: Event): Event {\n  private x = 1;\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  break;\n}"),
    ("t.js", "let x = ;\nexport function transformEvent(event) { return event; }"),
    ("t.js", "export function transformEvent(event)\n  return event;\n"),
    ("t.js", "export function transformEvent(event) {\n  if event.type == 'track' { return event; }\n}"),
    ("t.js", "export function transformEvent(event) {\n  const x: string = 'a';\n  return event;\n}"),
    ("t.js", "export function transformEvent(event) {\n  const y = new Promise();\n  return event;\n}"),
    ("t.js", "class A {}\nexport function transformEvent(event) { A(); return event; }"),
    ("t.js", "export function transformEvent(event) { x.y = 1; let x = {}; return event; }"),
    ("t.js", "export const transformEvent = event => { getCredential(); return event; }"),
    ("t.js", "export const transformEvent = event => { event.type.name = 5; return event; }"),
    ("t.js", "export const transformEvent = event => { let i = 'a'; return [...5]; }"),
    ("t.js", "export const transformEvent = event => { [].reduce((a, b) => a); return event; }"),
    ("t.js", "export const transformEvent = event => { 'abc'.replaceAll(/b/, ''); return event; }"),
    ("t.js", "export const transformEvent = event => { new Date().format('YYYY'); return event; }"),
    ("t.js", "export const transformEvent = event => { Object.freeze(event); event.type = 5; return event; }"),
    ("t.js", "import fs from 'node:fs';\nexport const transformEvent = (event) => event;"),
    ("t.js", "import { cloneDeep } from 'lodash';\nexport const transformEvent = (event) => event;"),
    ("t.js", "import { z } from 'zod';\nexport const transformEvent = (event) => event;"),
];

/// The input event of all cases.
const EVENT: &str = concat!(
    r#"{"id":1,"list":{},"type":"track","event":"Order Completed","userId":"u1","timestamp":"2024-01-02T03:04:05Z","#,
    r#""properties":{"total":"12.50","email":"A@x.com","products":[{"sku":"a","price":1}]}}"#,
    "\n"
);

#[test]
fn every_frequent_mistake_says_what_to_type() {
    let (mut text, mut without) = (String::new(), String::new());
    for (file, code) in MISTAKES {
        let dir = Dir::new();
        dir.file(file, code);
        let child = dir.command(&["run", file, "--emit", "verdicts", "--cpu-limit", "200ms"]).spawn().unwrap();
        let done = finish(child, EVENT.as_bytes().to_vec());
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
