//! Undocumented behaviour of the replaced service that its callers rely on; found by sending both servers the same
//! requests.

use std::io::Write;

use serde_json::{Value, json};

use super::backend::Backend;
use super::client::{JSON, Server, event, events};

const SAME: &str = "export function transformEvent(event) { return event; }";

#[test]
fn a_transformation_without_a_name_has_the_same_one_in_every_stack() {
    let code = "export function transformEvent(event) {\n  return event.a.b;\n}";
    let backend = Backend::new(move |path| {
        let version = path.rsplit('=').next().unwrap();
        let mut revision = json!({ "versionId": version, "code": code, "codeVersion": "1" });
        if version == "empty" {
            revision["name"] = json!("");
        }
        (200, revision.to_string())
    });
    let server = backend.server();
    let stack = "TypeError: Cannot read properties of undefined (reading 'b')\n    at transformEvent (base transformation:2:18)";
    for version in ["none", "empty"] {
        assert_eq!(server.rows(&events(version, 1))[0]["error"], stack);
    }
    let asked =
        json!({ "events": [{ "message": {} }], "trRevCode": { "code": code, "codeVersion": "1", "versionId": "v" } });
    assert_eq!(server.post("/transformation/test", &asked).json()["transformedEvents"], json!([{ "error": stack }]));
}

#[test]
fn a_batch_that_fails_as_a_whole_is_one_row_about_all_of_its_events() {
    let server = Server::with(
        &[
            ("throws.js", "export function transformBatch(events) {\n  throw new RangeError('none of them');\n}"),
            ("text.js", "export const transformBatch = async () => 'text';"),
            (
                "one.js",
                "export function transformBatch(events) {\n  return events.map((e) => { if (e.n === 1) throw new Error('one'); return e; });\n}",
            ),
        ],
        &[],
    );
    let whole = json!({ "sourceId": "s", "destinationId": "d", "workspaceId": "w", "messageIds": ["m0", "m1", "m2"] });
    for (version, error) in [
        ("throws", "RangeError: none of them\n    at transformBatch (throws.js:2:9)"),
        ("text", "returned events from transformBatch(event) is not an array"),
    ] {
        let row = json!({ "statusCode": 400, "error": error, "metadata": whole });
        assert_eq!(server.rows(&events(version, 3)), [row]);
    }
    // The fault of one event affects only that event.
    let rows = server.rows(&events("one", 3));
    let statuses: Vec<&Value> = rows.iter().map(|row| &row["statusCode"]).collect();
    assert_eq!(statuses, [200, 400, 200]);
    assert_eq!(rows[1]["metadata"]["messageId"], "m1");
    assert_eq!(server.metric("sluicegate_events_total{verdict=\"failed\",kind=\"exception\"}"), 4.0);

    let code = "export function transformBatch() { throw new Error('all'); }";
    let input = json!([{ "message": { "n": 1 }, "metadata": { "messageId": "a" } }, { "message": { "n": 2 } }]);
    let error = "Error: all\n    at transformBatch (mine:1:42)";
    let asked = json!({ "events": input, "trRevCode": { "code": code, "codeVersion": "1", "name": "mine" } });
    assert_eq!(server.post("/transformation/test", &asked).json()["transformedEvents"], json!([{ "error": error }]));
    let asked = json!({ "input": input, "codeRevision": { "code": code, "name": "mine" } });
    let run = server.post("/transformation/testRun", &asked).json();
    assert_eq!(run["transformedEvents"], json!([{ "error": error, "metadata": {} }]));
}

#[test]
fn rows_about_dropped_events_come_for_any_value_that_does_not_say_no() {
    let server = Server::with(&[("v1.js", "export const transformEvent = () => null;")], &[]);
    let body = events("v1", 2).to_string();
    for (value, rows) in [("?1", 2), ("true", 2), ("1", 2), ("yes", 2), ("?0", 0), ("false", 0), ("", 0)] {
        let headers = [JSON, &[("X-Feature-Filter-Code", value)]].concat();
        let answer = server.send("POST", "/customTransform", &headers, body.as_bytes());
        assert_eq!(answer.json().as_array().unwrap().len(), rows, "{value}");
    }
}

#[test]
fn a_test_run_takes_the_credentials_of_its_first_event_before_those_of_the_request() {
    let server = Server::with(&[("v1.js", SAME)], &[]);
    let ask = |own: Value| {
        let asked = json!({
            "events": [{ "message": {}, "credentials": own }],
            "trRevCode": { "code": "export const transformEvent = () => ({ k: getCredential('k') });", "codeVersion": "1" },
            "credentials": [{ "key": "k", "value": "all" }],
        });
        server.post("/transformation/test", &asked).json()["transformedEvents"][0]["k"].clone()
    };
    assert_eq!(ask(json!([{ "key": "k", "value": "own" }])), "own");
    assert_eq!(ask(Value::Null), "all");
    assert_eq!(ask(json!([])), Value::Null);
}

#[test]
fn what_is_empty_is_missing() {
    let server = Server::with(&[("v1.js", SAME)], &[]);
    let events = json!([{ "message": {} }]);
    for (path, body) in [
        ("/transformation/test", json!({ "events": events, "trRevCode": { "code": "", "codeVersion": "1" } })),
        ("/transformation/testRun", json!({ "input": events, "codeRevision": { "code": "" } })),
        ("/transformation/sethandle", json!({ "trRevCode": { "code": "x", "language": "", "testName": "t" } })),
        (
            "/transformation/sethandle",
            json!({ "trRevCode": { "code": "", "language": "javascript", "testName": "t" } }),
        ),
    ] {
        let error = server.post(path, &body).problem(400);
        assert!(error.contains("Missing parameters in transformation code block"), "{path} {body}: {error}");
    }
}

#[test]
fn specifiers_are_told_without_the_spaces_around_them() {
    let server = Server::with(&[("v1.js", SAME)], &[]);
    let code = "import a from '  left'; import { b } from 'right  '; import { c } from 'right';";
    let found = server.post("/extractLibs", &json!({ "code": code })).json();
    assert_eq!(found, json!({ "left": ["a"], "right": ["c", "b"] }));
}

#[test]
fn a_library_is_imported_by_its_name_and_a_shared_one_only_by_a_name_that_can_be() {
    let backend = Backend::new(|path| {
        match path {
        "/transformation/getByVersionId?versionId=7" => (
            200,
            json!({ "versionId": 7.to_string(), "code": "import { d } from 'md5Digest2'; export const transformEvent = () => ({ d });" })
                .to_string(),
        ),
        "/transformation/getByVersionId?versionId=odd" => (
            200,
            json!({ "versionId": "odd", "code": "import x from '@rs/no-such/v1'; export const transformEvent = () => ({ x });" })
                .to_string(),
        ),
        "/transformationLibrary/getByVersionId?versionId=l1" => {
            (200, json!({ "name": "md5digest2", "importName": "other", "code": "export const d = 'digest';" }).to_string())
        }
        _ => (404, String::new()),
    }
    });
    let server = backend.server();
    let mut asked = events("", 1);
    asked[0]["libraries"] = json!([{ "VersionID": "l1" }]);
    // Some control planes number their versions.
    asked[0]["destination"]["Transformations"][0]["VersionID"] = json!(7);
    assert_eq!(server.rows(&asked)[0]["output"], json!({ "d": "digest" }));
    let row = &server.rows(&events("odd", 1))[0];
    assert_eq!(
        (&row["statusCode"], &row["error"]),
        (&json!(400), &json!("Error: import from @rs/no-such/v1 failed. Module not found."))
    );
    assert_eq!(backend.requests().len(), 3, "{:?}", backend.requests());
}

#[test]
fn the_secret_may_end_with_the_newline_of_the_file_that_it_was_read_from() {
    for (secret, header) in [("  s3cret\n", "Basic czNjcmV0Og=="), (" \n", "")] {
        let backend = Backend::new(|_| (200, json!({ "code": SAME }).to_string()));
        let variables = [("CONFIG_BACKEND_URL", backend.url.as_str()), ("CONFIG_BACKEND_HOSTED_SECRET", secret)];
        let server = Server::start(crate::support::Dir::new(), &[], &variables);
        assert_eq!(server.rows(&events("v1", 1))[0]["statusCode"], 200);
        assert!(backend.authorizations().iter().all(|sent| sent == header), "{:?}", backend.authorizations());
    }
}

/// RFC 1950 without compression: one stored block.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap();
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65521;
        b = (b + a) % 65521;
    }
    let mut out = vec![0x78, 0x01, 0x01];
    out.write_all(&len.to_le_bytes()).unwrap();
    out.write_all(&(!len).to_le_bytes()).unwrap();
    out.write_all(bytes).unwrap();
    out.write_all(&((b << 16) | a).to_be_bytes()).unwrap();
    out
}

#[test]
fn bodies_may_be_deflated() {
    let server = Server::with(&[("v1.js", SAME)], &[]);
    let body: Value = json!([event("v1", json!({ "n": 1 }), "m")]);
    let headers = [JSON, &[("Content-Encoding", "deflate")]].concat();
    let answer = server.send("POST", "/customTransform", &headers, &stored(body.to_string().as_bytes()));
    assert_eq!(answer.json()[0]["output"], json!({ "n": 1 }));
    server.send("POST", "/customTransform", &headers, b"not at all").problem(400);
}
