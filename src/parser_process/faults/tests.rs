use super::super::names;

/// Returns each fault as `rule: text`.
fn found(code: &str) -> Vec<String> {
    let mut faults = names::of(code).unwrap().faults;
    faults.sort_by_key(|fault| fault.range.start);
    faults.into_iter().map(|fault| format!("{}: {}", fault.rule, &code[fault.range])).collect()
}

#[test]
fn what_can_only_fail_is_found() {
    for (code, expected) in [
        ("Math(1);", "not-a-function: Math"),
        ("new Math();", "not-a-constructor: Math"),
        ("new Symbol('a');", "not-a-constructor: Symbol"),
        ("'text'();", "not-a-function: 'text'"),
        ("const list = []; list(1);", "not-a-function: list"),
        ("const f = () => 1; new f();", "not-a-constructor: f"),
        ("import * as hash from 'hash'; hash('a');", "not-a-function: hash"),
        ("import { md5 } from 'hash'; md5 = 1;", "assign-to-import: md5"),
        ("const n = 0; function f() { n++; }", "assign-to-constant: n"),
        ("const n = 0; n += 1;", "assign-to-constant: n"),
        ("JSON.parse(\"{'a':1}\");", "invalid-json: JSON.parse(\"{'a':1}\")"),
        ("JSON.parse(`{a:1}`);", "invalid-json: JSON.parse(`{a:1}`)"),
        ("f(9007199254740993);", "lossy-number: 9007199254740993"),
        ("export const transformEvent = (metadata, event) => event;", "swapped-parameters: metadata, event"),
        ("export function transformBatch(meta, events) { return events; }", "swapped-parameters: meta, events"),
        ("export const transformEvent = (event) => event; export const spare = 1;", "unused-export: spare"),
    ] {
        assert_eq!(found(code).join(", "), expected, "{code}");
    }
}

#[test]
fn what_may_work_is_not_found() {
    for code in [
        "function Math() {} Math(1);",
        "try { new Symbol(); JSON.parse('{'); } catch {}",
        "const n = 0; { let n = 1; n++; } const f = (n) => { n = 1; };",
        "const f = () => 1; f(); const g = function () {}; new g();",
        "let n = 0; n++; var m; m = 1;",
        "JSON.parse('{\"a\":1e400,\"b\":\"\\\\ud800\"}'); JSON.parse(text); JSON.parse(' [1] ');",
        "import hash from 'hash'; hash('a');",
        "f(9007199254740992, 0.1234567890123456789, 1e400, 0xffffffffffffffff, 9007199254740993n, 1_000);",
        "export const transformEvent = (event, metadata) => event;",
        "export const transformEvent = (e, m) => e; export default transformEvent; export { transformEvent as f };",
        "export const transformEvent = (event) => help(event); export function help(event) { return event; }",
        "export const part = 1; export const other = 2;",
        "export const transformEvent = (data, event2) => data;",
        "const list = [1]; list.map((x) => x); new Map([[1, 2]]); new Intl.NumberFormat();",
    ] {
        assert_eq!(found(code), Vec::<String>::new(), "{code}");
    }
}
