//! Code from a folder.

use serde_json::{Value, json};

use super::client::{Server, event, events};

#[test]
fn the_example_runs_as_it_stands() {
    let dir = crate::support::Dir::new();
    let code = std::fs::canonicalize("examples/serve").unwrap();
    let server = Server::start(dir, &["--dir", code.to_str().unwrap()], &[]);
    let asked: Value = serde_json::from_slice(&std::fs::read(code.join("request.json")).unwrap()).unwrap();
    let rows = server.rows(&asked);
    let statuses: Vec<&Value> = rows.iter().map(|row| &row["statusCode"]).collect();
    assert_eq!(statuses, [298, 200, 400]);
    assert_eq!(rows[1]["output"]["properties"]["total_eur"], 110.86);
    assert_eq!(rows[1]["output"]["context"]["source"], "web");
}

#[test]
fn libraries_typescript_and_shared_libraries_are_found_by_their_handles() {
    let server = Server::with(
        &[
            (
                "v1.ts",
                "import { twice } from 'urlParser2'; import { h } from '@rs/hash/v1';\nexport function transformEvent(e: { n: number }) { return { n: twice(e.n), h: h() }; }",
            ),
            ("URL Parser 2.ts", "export const twice = (n: number): number => 2 * n;"),
            ("@rs/hash/v1.js", "import { deep } from '@rs/deep/v2'; export const h = () => deep;"),
            ("@rs/deep/v2.js", "export const deep = 'down';"),
        ],
        &[],
    );
    let mut asked = events("v1", 2);
    asked[0]["libraries"] = json!([{ "VersionID": "URL Parser 2" }]);
    assert_eq!(server.rows(&asked)[1]["output"], json!({ "n": 2, "h": "down" }));
}

#[test]
fn a_change_counts_for_the_next_request() {
    let server = Server::with(&[("v1.js", "export const transformEvent = () => ({ v: 1 });")], &[]);
    assert_eq!(server.rows(&events("v1", 1))[0]["output"]["v"], 1);
    server.dir.file("code/v1.js", "export const transformEvent = () => ({ v: 2 });");
    // The system reports a change with a delay.
    let deadline = std::time::Instant::now() + super::client::PATIENCE;
    while server.rows(&events("v1", 1))[0]["output"]["v"] != 2 {
        assert!(std::time::Instant::now() < deadline, "the change is never seen");
    }
    std::fs::remove_file(server.dir.path().join("code/v1.js")).unwrap();
    while server.rows(&events("v1", 1))[0]["statusCode"] != 404 {
        assert!(std::time::Instant::now() < deadline, "the removal is never seen");
    }
}

#[test]
fn code_that_cannot_be_run_fails_its_events_and_nothing_else() {
    let server = Server::with(
        &[
            ("syntax.js", "export function transformEvent(e) {\n  return e +;\n}"),
            ("types.ts", "export enum A { B }"),
            ("import.js", "import { a } from 'nowhere'; export const transformEvent = (e) => e;"),
            ("none.js", "export const other = 1;"),
            ("throws.js", "throw new Error('at load'); export const transformEvent = (e) => e;"),
            ("loops.js", "for (;;); export const transformEvent = (e) => e;"),
            ("good.js", "export const transformEvent = (e) => e;"),
        ],
        &["--cpu-limit", "300ms"],
    );
    for (version, status, error) in [
        ("syntax", 400, "SyntaxError: Unexpected token ';' [syntax.js:2:13]"),
        ("types", 400, "a TypeScript enum cannot be used"),
        ("import", 400, "Error: import from nowhere failed. Module not found."),
        ("none", 400, "Error: Expected one of transformEvent,transformBatch. Found other"),
        ("throws", 400, "Error: at load\n"),
        ("loops", 400, "Error: loops.js did not finish loading within 1s"),
        ("missing", 404, "Error: Transformation not found at "),
        ("../code/good", 404, "Error: Transformation not found at "),
    ] {
        for _ in 0..2 {
            let rows = server.rows(&events(version, 2));
            assert_eq!(rows.len(), 2);
            for (n, row) in rows.iter().enumerate() {
                assert_eq!(row["statusCode"], status, "{row}");
                assert!(row["error"].as_str().unwrap().starts_with(error), "{row}");
                assert_eq!(row["metadata"]["messageId"], format!("m{n}"));
            }
        }
    }
    assert_eq!(server.rows(&json!([event("good", json!({}), "m")]))[0]["statusCode"], 200);
    let mut library = events("good", 1);
    library[0]["libraries"] = json!([{ "VersionID": "nothing" }]);
    let row = &server.rows(&library)[0];
    assert!(row["error"].as_str().unwrap().starts_with("Error: Transformation Library not found at "), "{row}");
}
