//! Code from a config backend, correct and faulty.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::client::{JSON, Server, events};

/// Answers a path with a status and a body.
type Script = dyn Fn(&str) -> (u16, String) + Send + Sync;

/// A backend with scripted answers that records its requests: path and Authorization.
pub(super) struct Backend {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Backend {
    pub(super) fn new(script: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let (script, notes): (Arc<Script>, _) = (Arc::new(script), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, notes) = (script.clone(), notes.clone());
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream.unwrap());
                    let mut head = Vec::new();
                    while stream.read_until(b'\n', &mut head).is_ok_and(|n| n > 2) {}
                    let head = String::from_utf8_lossy(&head).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let authorization = head.lines().find_map(|line| {
                        line.to_ascii_lowercase().starts_with("authorization: ").then(|| line[15..].trim().to_owned())
                    });
                    notes.lock().unwrap().push((path.clone(), authorization.unwrap_or_default()));
                    let (status, body) = script(&path);
                    let len = body.len();
                    let _ = write!(
                        stream.get_mut(),
                        "HTTP/1.1 {status} X\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
                    );
                });
            }
        });
        Self { url, asked }
    }

    pub(super) fn server(&self) -> Server {
        let dir = crate::support::Dir::new();
        let variables = [("CONFIG_BACKEND_URL", self.url.as_str()), ("CONFIG_BACKEND_HOSTED_SECRET", "s3cret")];
        Server::start(dir, &[], &variables)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(path, _)| path.clone()).collect()
    }

    pub(super) fn authorizations(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(_, authorization)| authorization.clone()).collect()
    }
}

fn revision(version: &str, code: &str) -> (u16, String) {
    let revision = json!({ "id": "t", "versionId": version, "name": "My T", "code": code, "codeVersion": "1", "language": "javascript" });
    (200, revision.to_string())
}

/// Code in the old format, without modules.
const LEGACY: &str = "function transform(events) {
  return events.map((event) => { event.of = events.length; event.id = metadata(event).messageId; return event; });
}";

#[test]
fn code_is_asked_for_once_with_its_libraries() {
    let backend = Backend::new(|path| match path {
        "/transformation/getByVersionId?versionId=v%2F1" => revision(
            "v/1",
            "import { a } from 'jsLib1'; import { b } from '@rs/hash/v3';\nexport function transformEvent(e) { if (e.n === 1) throw new Error(a); return { b }; }",
        ),
        "/transformationLibrary/getByVersionId?versionId=l1" => {
            (200, json!({ "name": "js Lib1", "code": "export const a = 'lib';" }).to_string())
        }
        "/rudderstackTransformationLibraries/hash?version=v3" => (
            200,
            json!({ "name": "hash", "importName": "@rs/hash/v3", "code": "export const b = 'shared';" }).to_string(),
        ),
        _ => (404, String::new()),
    });
    let server = backend.server();
    let mut asked = events("v/1", 2);
    asked[0]["libraries"] = json!([{ "VersionID": "l1" }]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let rows = server.rows(&asked);
                assert_eq!(rows[0]["output"], json!({ "b": "shared" }));
                assert_eq!(rows[1]["error"], "Error: lib\n    at transformEvent (My T:2:58)");
            });
        }
    });
    assert_eq!(backend.requests().len(), 3, "{:?}", backend.requests());
    // The secret is the user name of Basic auth.
    assert!(backend.asked.lock().unwrap().iter().all(|(_, authorization)| authorization == "Basic czNjcmV0Og=="));
}

#[test]
fn each_way_of_having_no_code_is_answered_as_documented() {
    let backend = Backend::new(|path| {
        let version = path.rsplit('=').next().unwrap();
        match version {
            "missing" => (404, "{}".into()),
            "gone" => (410, "{}".into()),
            "legacy" => (200, json!({ "versionId": "legacy", "name": "T", "code": LEGACY, "codeVersion": "0" }).to_string()),
            "python" => (200, json!({ "versionId": "python", "name": "T", "code": "x", "codeVersion": "1", "language": "pythonfaas" }).to_string()),
            "broken" => (500, String::new()),
            "html" => (200, "<html>sign in</html>".into()),
            "other" => revision("another", "export const transformEvent = (e) => e;"),
            "empty" => (200, "{}".into()),
            "number" => (200, json!({ "code": 5 }).to_string()),
            "list" => (200, "[]".into()),
            "redirect" => (302, String::new()),
            "overrun" => (429, String::new()),
            "auth" => (401, String::new()),
            "forbidden" => (403, String::new()),
            _ => revision(version, "export const transformEvent = (e) => e;"),
        }
    });
    let server = backend.server();
    let ask = |version: &str| server.send("POST", "/customTransform", JSON, events(version, 2).to_string().as_bytes());
    for (version, status, error) in [
        (
            "missing",
            404,
            format!(
                "Error: Transformation not found at {}/transformation/getByVersionId?versionId=missing",
                backend.url
            ),
        ),
        (
            "gone",
            410,
            format!("Error: Transformation not found at {}/transformation/getByVersionId?versionId=gone", backend.url),
        ),
        ("python", 400, "Error: the language pythonfaas is not supported".into()),
    ] {
        let answer = ask(version);
        assert_eq!(answer.status, 200);
        let rows = answer.json();
        assert_eq!(rows.as_array().unwrap().len(), 2);
        assert_eq!(rows[1]["statusCode"], status);
        assert!(rows[1]["error"].as_str().unwrap().starts_with(&error), "{rows}");
    }
    for version in ["broken", "html", "other", "empty", "number", "list", "redirect", "overrun"] {
        let answer = ask(version);
        assert_eq!(answer.status, 809, "{version}");
        let rows = answer.json();
        assert!(rows.as_array().unwrap().iter().all(|row| row["statusCode"] == 809), "{rows}");
        let tries = backend.requests().iter().filter(|path| path.ends_with(version)).count();
        assert_eq!(tries, 3, "{version}");
    }
    for (version, reason) in [("auth", "config_backend_auth_failed"), ("forbidden", "config_backend_forbidden")] {
        let answer = ask(version);
        answer.problem(503);
        assert_eq!(answer.header("X-Rudder-Should-Retry"), Some("true"));
        assert_eq!(answer.header("X-Rudder-Error-Reason"), Some(reason));
    }
    assert_eq!(ask("good").status, 200);
    let rows = ask("legacy").json();
    let told = |n: usize| json!({ "output": { "n": n, "of": 2, "id": format!("m{n}") }, "metadata": rows[n]["metadata"], "statusCode": 200 });
    assert_eq!(rows, json!([told(0), told(1)]));
    assert_eq!(rows[1]["metadata"]["messageId"], "m1");
}

#[test]
fn a_backend_that_is_down_loses_no_event_and_is_found_again() {
    // At first nothing listens here; later a backend does.
    let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(crate::support::Dir::new(), &["--backend-url", &format!("http://{place}")], &[]);
    let answer = server.send("POST", "/customTransform", JSON, events("v1", 3).to_string().as_bytes());
    assert_eq!(answer.status, 809);
    let rows: Vec<Value> = answer.json().as_array().unwrap().clone();
    assert!(
        rows.len() == 3 && rows.iter().all(|row| row["error"].as_str().unwrap().contains("cannot be reached")),
        "{rows:?}"
    );
}

/// One backend accepts the connection and sends nothing. The other one starts an answer and does not finish it.
#[test]
fn a_backend_that_does_not_finish_is_given_up_and_does_not_block_others() {
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", slow.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in slow.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            if line.contains("=quick") {
                let body =
                    json!({ "versionId": "quick", "code": "export const transformEvent = (e) => e;" }).to_string();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                continue;
            }
            if line.contains("=half") {
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{{\"code\":");
            }
            kept.push(stream);
        }
    });
    let server = Server::start(crate::support::Dir::new(), &["--backend-url", &url], &[]);
    let answered = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for version in ["silent", "half"] {
            let (server, answered) = (&server, &answered);
            scope.spawn(move || {
                let body = events(version, 2).to_string();
                let answer = server.send("POST", "/customTransform", JSON, body.as_bytes());
                answered.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                assert_eq!(answer.status, 809, "{version}");
                let rows = answer.json();
                assert!(rows.as_array().unwrap().iter().all(|row| row["statusCode"] == 809), "{rows}");
            });
        }
        let deadline = std::time::Instant::now() + super::client::PATIENCE;
        while server.metric("sluicegate_requests_in_flight") < 2.0 {
            assert!(std::time::Instant::now() < deadline, "the requests never come");
        }
        assert_eq!(server.rows(&events("quick", 1))[0]["statusCode"], 200);
        assert_eq!(answered.load(std::sync::atomic::Ordering::SeqCst), 0, "no request was waiting any more");
    });
}

/// A test run needs its libraries. If one is missing, the answer reports that and asks the client to retry.
#[test]
fn a_test_run_whose_libraries_cannot_be_had_is_to_be_sent_again() {
    let backend = Backend::new(|path| match path.rsplit('=').next().unwrap() {
        "down" => (503, String::new()),
        "auth" => (401, String::new()),
        _ => (404, String::new()),
    });
    let server = backend.server();
    let ask = |library: &str| {
        let code = "export const transformEvent = (e) => e;";
        let revision = json!({ "code": code, "codeVersion": "1" });
        let asked = json!({ "events": [{ "message": {} }], "trRevCode": revision, "libraryVersionIDs": [library] });
        server.post("/transformation/test", &asked)
    };
    for (library, reason) in [("down", "config_backend_unavailable"), ("auth", "config_backend_auth_failed")] {
        let answer = ask(library);
        answer.problem(503);
        assert_eq!(answer.header("X-Rudder-Should-Retry"), Some("true"));
        assert_eq!(answer.header("X-Rudder-Error-Reason"), Some(reason));
    }
    assert!(ask("gone").problem(400).starts_with("Error: Transformation Library not found at "));
}

#[test]
fn a_password_in_the_backends_address_is_in_no_row() {
    let backend = Backend::new(|_| (404, "{}".into()));
    let url = backend.url.replace("http://", "http://operator:hunter2@");
    let server = Server::start(crate::support::Dir::new(), &[], &[("CONFIG_BACKEND_URL", url.as_str())]);
    let rows = server.rows(&events("v", 1));
    let error = rows[0]["error"].as_str().unwrap();
    assert!(error.contains("not found at http://127.0.0.1:") && !error.contains("hunter2"), "{error}");
    assert!(backend.asked.lock().unwrap()[0].1.starts_with("Basic "), "it is sent to the backend all the same");
}
