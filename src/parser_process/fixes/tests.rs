use super::*;

/// Returns the fixed code: the same code if nothing is fixed, or what remains if there is an obstacle.
fn fixed(code: &str) -> String {
    let Fixes { fixes, obstacle } = of(code).unwrap();
    match obstacle {
        Some(Obstacle { range, .. }) => {
            assert!(fixes.is_empty());
            format!("{} remains", &code[range])
        }
        None => apply(code, fixes),
    }
}

#[test]
fn what_is_mechanical_is_mended() {
    for (code, expected) in [
        ("function transformEvent(e) {}\n", "export function transformEvent(e) {}\n"),
        ("async function transformBatch(e) {}", "export async function transformBatch(e) {}"),
        ("const transformEvent = (e) => e;", "export const transformEvent = (e) => e;"),
        (
            "let a = 1, transformEvent = (e) => a;\n",
            "let a = 1, transformEvent = (e) => a;\nexport { transformEvent };\n",
        ),
        ("export default function transformEvent(e) {}", "export function transformEvent(e) {}"),
        ("export default async function (e) {}", "export async function transformEvent(e) {}"),
        ("export default function run(e) {}\nrun;", "function run(e) {}\nexport { run as transformEvent };\nrun;"),
        ("export default (e) => e;", "export const transformEvent = (e) => e;"),
        ("export default (events) => events;", "export const transformBatch = (events) => events;"),
        ("const run = (e) => e;\nexport default run;", "const run = (e) => e;\nexport { run as transformEvent };"),
        ("export default { transformEvent(e) { return e; } };", "export function transformEvent(e) { return e; }"),
        (
            "const transformEvent = (e) => e;\nexport default transformEvent;",
            "export const transformEvent = (e) => e;\n",
        ),
        (
            "import { transformEvent } from 'lib';\nexport default transformEvent;",
            "import { transformEvent } from 'lib';\nexport { transformEvent };",
        ),
    ] {
        assert_eq!(fixed(code), expected, "{code}");
    }
}

#[test]
fn common_js_becomes_a_module() {
    for (code, expected) in [
        ("exports.transformEvent = (e) => e;", "export const transformEvent = (e) => e;"),
        ("module.exports.transformBatch = function (e) {};", "export const transformBatch = function (e) {};"),
        ("exports['transformEvent'] = (e) => e;", "export const transformEvent = (e) => e;"),
        ("exports.transformEvent = function transformEvent(e) {};", "export function transformEvent(e) {};"),
        (
            "module.exports = function transformEvent(e) { return e; };",
            "export function transformEvent(e) { return e; };",
        ),
        ("module.exports = (e) => e;", "export const transformEvent = (e) => e;"),
        ("module.exports = /* the entry */ (e) => e;", "/* the entry */\nexport const transformEvent = (e) => e;"),
        ("exports.transformEvent = /* it */ (e) => e;", "/* it */\nexport const transformEvent = (e) => e;"),
        (
            "function transformEvent(é) {}\nmodule.exports = { transformEvent };\n",
            "export function transformEvent(é) {}\n\n",
        ),
        (
            "function tr(e) { return e; }\nmodule.exports = { transformEvent: tr };",
            "function tr(e) { return e; }\nexport { tr as transformEvent };",
        ),
        (
            "const help = 1;\nfunction transformEvent(e) {}\nmodule.exports = { transformEvent, help };",
            "const help = 1;\nexport function transformEvent(e) {}\nexport { help };",
        ),
        ("module.exports = { transformEvent(e) { return e; } };", "export function transformEvent(e) { return e; }"),
        (
            "const b = 1;\nmodule.exports = {\n  // What it does.\n  async transformEvent(e) { return e; },\n  a: () => 1,\n  b,\n};\n",
            "const b = 1;\n// What it does.\nexport async function transformEvent(e) { return e; }\nexport const a = () => 1;\nexport { b };\n",
        ),
        (
            "exports.helper = (x) => x + 1;\nexports.transformEvent = (e) => { e.h = exports.helper(1); return e; };",
            "export const helper = (x) => x + 1;\nexport const transformEvent = (e) => { e.h = helper(1); return e; };",
        ),
        (
            "\"use strict\";\nObject.defineProperty(exports, \"__esModule\", { value: true });\nexports.transformEvent = void 0;\nconst transformEvent = (e) => e;\nexports.transformEvent = transformEvent;",
            "\"use strict\";\n\n\nexport const transformEvent = (e) => e;\n",
        ),
        (
            "const { md5, v4: id } = require(\"hash\");\nexports.transformEvent = (e) => { e.m = md5(id()); return e; };",
            "import { md5, v4 as id } from \"hash\";\nexport const transformEvent = (e) => { e.m = md5(id()); return e; };",
        ),
        (
            "var hash_1 = require('hash');\nconst v4 = require('uuid').v4;\nexports.transformEvent = (e) => [hash_1.md5('a'), v4()];",
            "import * as hash_1 from 'hash';\nimport { v4 } from 'uuid';\nexport const transformEvent = (e) => [hash_1.md5('a'), v4()];",
        ),
        (
            "const hash = require('hash');\nexport const transformEvent = (e) => hash;",
            "import * as hash from 'hash';\nexport const transformEvent = (e) => hash;",
        ),
    ] {
        assert_eq!(fixed(code), expected, "{code}");
    }
}

#[test]
fn half_a_change_is_none() {
    for (code, expected) in [
        ("const _ = require('lodash');\nexports.transformEvent = (e) => e;", "require remains"),
        ("exports.n = 0;\nexports.transformEvent = (e) => exports.n++;", "exports remains"),
        ("function f() { return require('hash'); }\nexports.transformEvent = (e) => f;", "require remains"),
        ("exports[name] = 1;\nfunction transformEvent(e) {}", "exports remains"),
        ("exports.transformEvent = (e) => e;\nmodule.hot = 1;", "module remains"),
        ("const f = (helper) => 1;\nexports.helper = 1;\nexports.transformEvent = (e) => f;", "exports remains"),
        ("let { md5 } = require('hash');\nmd5 = 1;\nfunction transformEvent(e) {}", "require remains"),
        // The new name would hide a global, or an export would replace a copy of a changing variable.
        ("exports.log = (text) => log(text);\nexports.transformEvent = (e) => e;", "exports remains"),
        (
            "let n = 0;\nexports.n = n;\nexports.transformEvent = (e) => { n++; e.n = exports.n; return e; };",
            "exports remains",
        ),
    ] {
        assert_eq!(fixed(code), expected, "{code}");
    }
}

#[test]
fn what_is_not_mechanical_stays() {
    for code in [
        "export const transformEvent = (e) => e; function transformBatch() {}",
        "const other = 1;",
        "module.exports = { x };",
        "const settings = { a: 1 };\nmodule.exports = settings;",
        "module.exports = { transformEvent(e) { return this.help(e); }, help: (e) => e };",
        "exports.transformEvent = function (e) { return this.help(e); };",
        "module.exports = { ...all, transformEvent: (e) => e };",
        // The new name would hide the global that the function calls.
        "module.exports = { transformEvent(e) { log('seen'); return e; }, log(x) {} };",
        "export default class transformEvent {}",
        "export default { limit: 1 };",
    ] {
        assert_eq!(fixed(code), code);
    }
}

#[test]
fn a_function_without_export_is_seen() {
    for (code, expected) in [
        ("function transformEvent(e) {}", true),
        ("const a = 1, transformBatch = (e) => e;", true),
        ("const transformEvent = wrap((e) => e);", true),
        ("const { transformEvent } = require('./t.js');", false),
        ("const transformEvent = require('./t.js').transformEvent;", false),
        ("function other() { function transformEvent() {} }", false),
        ("// transformEvent", false),
    ] {
        assert_eq!(declares_function(code), Ok(expected), "{code}");
    }
}
