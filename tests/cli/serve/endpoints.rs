//! All endpoints except `/customTransform`.

use serde_json::{Value, json};

use super::client::{JSON, Server};

fn server() -> Server {
    Server::with(&[("jsLib.js", "export const add = (a, b) => a + b;")], &[])
}

#[test]
fn code_is_tried_before_it_is_saved() {
    let server = server();
    let answer = server.post(
        "/transformation/test",
        &json!({
            "events": [
                { "message": { "messageId": "a", "n": 1 }, "metadata": { "messageId": "a" } },
                { "message": { "messageId": "b" } },
                { "message": { "messageId": "c", "drop": true } },
            ],
            "trRevCode": { "codeVersion": "1", "name": "mine", "code":
                "import { add } from 'jsLib';\nexport function transformEvent(e, metadata) {\n  if (e.drop) return;\n  log('got', e.messageId, getCredential('k'));\n  if (!e.n) throw new TypeError('no n');\n  return { n: add(e.n, 1), id: metadata(e).messageId };\n}" },
            "libraryVersionIDs": ["jsLib"],
            "credentials": [{ "key": "k", "value": "open sesame" }],
        }),
    );
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({
            "transformedEvents": [{ "n": 2, "id": "a" }, { "error": "TypeError: no n\n    at transformEvent (mine:5:19)" }],
            "logs": ["Log: got a ***", "Log: got b ***"],
        })
    );
    let run = server.post(
        "/transformation/testRun",
        &json!({
            "input": [
                { "message": { "n": 1 }, "metadata": { "messageId": "a" } },
                { "message": { "n": 0 }, "metadata": { "messageId": "b" } },
            ],
            "codeRevision": { "code": "import { add } from 'jsLib'; export function transformEvent(e: any) { if (!e.n) throw 'none'; return { n: add(e.n, 1) as number }; }",
                "language": "typescript", "versionId": "x" },
            "dependencies": { "libraries": [{ "versionId": "jsLib" }], "credentials": [] },
        }),
    );
    assert_eq!(
        run.json(),
        json!({
            "transformedEvents": [
                { "transformedEvent": { "n": 2 }, "metadata": { "messageId": "a" } },
                { "error": "none", "metadata": { "messageId": "b" } },
            ],
            "logs": [],
        })
    );
}

#[test]
fn code_of_version_0_is_tried_as_a_batch() {
    let code = "function transform(events) { log(events.length); return events.map((e) => ({ n: e.n + 1 })); }";
    let answer = server().post(
        "/transformation/test",
        &json!({ "events": [{ "message": { "n": 1 } }, { "message": { "n": 2 } }], "trRevCode": { "code": code, "codeVersion": "0" } }),
    );
    assert_eq!(answer.json(), json!({ "transformedEvents": [{ "n": 2 }, { "n": 3 }], "logs": ["Log: 2"] }));
}

#[test]
fn a_test_run_that_cannot_be_run_says_why() {
    let server = server();
    let code = "export function transformEvent(e) { return e; }";
    let events = json!([{ "message": {} }]);
    let with = |revision: Value| json!({ "events": events, "trRevCode": revision });
    for (path, body, words) in [
        ("/transformation/test", json!({}), "Missing parameters in transformation code block"),
        ("/transformation/test", json!({ "trRevCode": { "code": code, "codeVersion": "1" } }), "Missing events"),
        (
            "/transformation/test",
            with(json!({ "code": code, "codeVersion": "1", "language": "pythonfaas" })),
            "pythonfaas",
        ),
        ("/transformation/test", with(json!({ "code": "export const a = ;", "codeVersion": "1" })), "SyntaxError: "),
        ("/transformation/test", with(json!({ "code": "export const a = 1;", "codeVersion": "1" })), "Expected one of"),
        ("/transformation/testRun", json!({ "input": [] }), "Missing parameters"),
        ("/transformationLibrary/test", json!({}), "Missing code"),
        ("/transformationLibrary/test", json!({ "code": "export const a = ;" }), "SyntaxError: "),
        ("/transformationLibrary/test", json!({ "code": "throw new Error('no')" }), "Error: no"),
        ("/transformation/sethandle", json!({}), "Missing parameters"),
        ("/extractLibs", json!({}), "Code is missing"),
        ("/extractLibs", json!({ "code": "import from 1" }), "SyntaxError: "),
        ("/extractLibs", json!({ "code": "import re", "language": "python" }), "python"),
        ("/transformation/test", json!("text"), "invalid type: string \"text\", expected an object at line 1"),
        ("/transformation/testRun", json!(null), "invalid type: null, expected an object at line 1"),
        ("/extractLibs", json!(7), "invalid type: integer `7`, expected an object at line 1"),
    ] {
        let error = server.post(path, &body).problem(400);
        assert!(error.contains(words), "{path} {body}: {error}");
    }
}

#[test]
fn small_endpoints_answer_as_documented() {
    let server = server();
    let health = server.get("/health");
    assert_eq!((health.status, &health.json()["service"]), (200, &json!("UP")));
    for path in ["/version", "/buildVersion", "/transformerBuildVersion"] {
        assert_eq!(server.get(path).text(), env!("CARGO_PKG_VERSION"));
    }
    assert_eq!(
        server.get("/features").json(),
        json!({ "routerTransform": {}, "regulations": [], "supportSourceTransformV1": true, "supportTransformerProxyV1": true,
            "upgradedToSourceTransformV2": true, "supportDestTransformCompactedPayloadV1": true })
    );
    assert_eq!(server.post("/transformationLibrary/test", &json!({ "code": "export const a = 1;" })).json(), true);
    let set = json!({ "trRevCode": { "code": "x", "language": "javascript", "testName": "t" } });
    assert_eq!(server.post("/transformation/sethandle", &set).json(), json!({ "success": true }));
    let libraries = server.post(
        "/extractLibs",
        &json!({ "code": "import _ from 'lodash'; import '@rs/x/v1'; // import no from 'no'\nexport const a = 'import b from c';" }),
    );
    assert_eq!(libraries.json(), json!({ "lodash": ["_"], "@rs/x/v1": [] }));
    let metrics = server.get("/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(metrics.text().ends_with("# EOF\n"));
    assert!(metrics.text().contains("sluicegate_requests_total{path=\"/features\",status=\"200\"} 1"));
}

#[test]
fn every_answer_has_the_headers_that_callers_rely_on() {
    let server = Server::start(crate::support::Dir::new(), &["--dir", "."], &[("INSTANCE_ID", "pod-7")]);
    for (path, status) in [("/health", 200), ("/nothing", 404), ("/customTransform", 405)] {
        let answer = server.send("GET", path, &[("X-Request-ID", "abc")], b"");
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("apiVersion"), Some("2"));
        assert_eq!(answer.header("X-Instance-ID"), Some("pod-7"));
        assert_eq!(answer.header("X-Request-ID"), Some("abc"));
        // rudder-server parses it as a Go duration, which has no space.
        let time = answer.header("X-Response-Time").unwrap().strip_suffix("ms").unwrap();
        assert!(time.parse::<u64>().is_ok(), "{time}");
    }
}

#[test]
fn code_that_is_not_saved_runs_only_for_those_who_know_the_token() {
    let server =
        Server::start(crate::support::Dir::new(), &["--dir", "."], &[("SLUICEGATE_TEST_TOKEN", "a-secret-token")]);
    let body = json!({ "code": "export const a = 1;" }).to_string();
    let paths =
        ["transformation/test", "transformation/testRun", "transformationLibrary/test", "transformation/sethandle"];
    for path in paths.iter().chain(&["extractLibs"]) {
        for authorization in ["", "Bearer another-token", "Basic a-secret-token"] {
            let headers = [JSON, &[("Authorization", authorization)]].concat();
            let answer = server.send("POST", &format!("/{path}"), &headers, body.as_bytes());
            assert!(answer.problem(401).contains("--test-token"), "{path}");
            assert_eq!(answer.header("WWW-Authenticate"), Some("Bearer"));
        }
        let headers = [JSON, &[("Authorization", "Bearer a-secret-token")]].concat();
        let answer = server.send("POST", &format!("/{path}"), &headers, body.as_bytes());
        assert_ne!(answer.status, 401, "{path}");
    }
    let headers = [JSON, &[("Authorization", "Bearer a-secret-token")]].concat();
    assert_eq!(server.send("POST", "/transformationLibrary/test", &headers, body.as_bytes()).json(), json!(true));
    // Requests with saved code are handled.
    assert_eq!(server.post("/customTransform", &json!([{}])).status, 200);
    assert_eq!(server.get("/health").status, 200);
}
