//! Requests that are invalid, cut off, too large or too slow, and clients that disconnect.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{JSON, Server, answer, event, events, request};

const SAME: &str = "export function transformEvent(event) { return event; }";

fn server(args: &[&str]) -> Server {
    Server::with(&[("v1.js", SAME)], args)
}

#[test]
fn a_body_that_is_none_is_a_4xx_with_words() {
    let server = server(&["--body-limit", "100KiB"]);
    let paths = ["/customTransform", "/transformation/test", "/transformationLibrary/test", "/extractLibs"];
    for path in paths {
        for bad in ["", "{", "[", "[{]", "nonsense", "[1]", "\"text\"", "\u{1}", "[{}", "{\"code\":"] {
            let error = server.send("POST", path, JSON, bad.as_bytes()).problem(400);
            assert!(error.starts_with("the body is not "), "{path} {bad}: {error}");
        }
        let error = server.send("POST", path, JSON, b"[\"\xff\xfe\"]").problem(400);
        assert!(error.starts_with("the body is not "), "{error}");
        let error = server.send("POST", path, &[("Content-Type", "text/plain")], b"[]").problem(415);
        assert!(error.contains("text/plain"), "{error}");
        let error = server.send("POST", path, JSON, &vec![b' '; 200 << 10]).problem(413);
        assert!(error.contains("--body-limit"), "{error}");
        let brotli = [JSON, &[("Content-Encoding", "br")]].concat();
        assert!(server.send("POST", path, &brotli, b"x").problem(415).contains("gzip, deflate, zstd"));
        let broken = [JSON, &[("Content-Encoding", "gzip")]].concat();
        assert!(server.send("POST", path, &broken, b"no gzip").problem(400).contains("cannot be read"));
    }
    // An empty answer would be useless.
    for empty in ["[]", " [ ] "] {
        let error = server.send("POST", "/customTransform", JSON, empty.as_bytes()).problem(400);
        assert!(error.contains("no events"), "{error}");
    }
    assert_eq!(server.rows(&events("v1", 1)).len(), 1);
}

/// The engine that runs an event parses it. If no engine runs the event, invalid JSON must still be reported, as an
/// error of the body.
#[test]
fn an_event_that_is_no_json_makes_the_body_none_whatever_becomes_of_its_event() {
    let batch = "export function transformBatch(events) { return events; }";
    let files = [("v1.js", SAME), ("batch.js", batch), ("syntax.js", "export function (")];
    let server = Server::with(&files, &["--line-limit", "1MiB"]);
    let long = format!("{{\"a\":\"{}\",}}", "x".repeat(2 << 20));
    for version in ["v1", "batch", "syntax", "nowhere", ""] {
        for bad in
            [r#"{"a":tru}"#, r#"{"a":1,}"#, r#"{"a":[01]}"#, r#"{"a" 1}"#, r#"{"a":"\x"}"#, "{\"a\":\n}", "{]}", &long]
        {
            let body = events(version, 3).to_string();
            let whole = body.replace(r#"{"n":1}"#, r#"{"n":[1,{"a":"]"}]}"#);
            assert_eq!(server.send("POST", "/customTransform", JSON, whole.as_bytes()).status, 200, "{version}");
            let body = body.replace(r#"{"n":1}"#, bad);
            let error = server.send("POST", "/customTransform", JSON, body.as_bytes()).problem(400);
            assert!(error.starts_with("the body is not JSON: "), "{version} {}: {error}", &bad[..9.min(bad.len())]);
        }
    }
    assert_eq!(server.rows(&events("v1", 3)).len(), 3);
}

/// Fields of the wrong type, in every place. A server in JavaScript would report missing properties here.
#[test]
fn fields_of_the_wrong_type_are_never_the_servers_fault() {
    let server = server(&[]);
    let whole = super::client::event("v1", json!({ "n": 1 }), "m");
    let odd =
        [json!(null), json!(7), json!("text"), json!([]), json!([null]), json!([[1]]), json!({}), json!({ "0": 1 })];
    let places = [
        "/message",
        "/metadata",
        "/destination",
        "/destination/Transformations",
        "/destination/Transformations/0",
        "/destination/Transformations/0/VersionID",
        "/libraries",
        "/metadata/messageId",
        "/metadata/sourceId",
    ];
    for place in places {
        for value in &odd {
            let mut event = whole.clone();
            *event.pointer_mut(place).unwrap() = value.clone();
            for key in ["credentials", "extra"] {
                event[key] = value.clone();
            }
            let answer = server.post("/customTransform", &json!([event]));
            assert_eq!(answer.status, 200, "{place} {value}: {}", answer.text());
            let rows = answer.json();
            let known = |row: &Value| row["statusCode"] == 200 || row["statusCode"] == 400 || row["statusCode"] == 404;
            assert!(rows.as_array().unwrap().iter().all(known), "{place} {value}: {rows}");
        }
    }
    let code = json!({ "code": SAME, "codeVersion": "1", "language": "javascript", "testName": "t" });
    for (path, body) in [
        (
            "/transformation/test",
            json!({ "events": [whole], "trRevCode": code, "libraryVersionIDs": [], "credentials": [] }),
        ),
        (
            "/transformation/testRun",
            json!({ "input": [whole], "codeRevision": code, "dependencies": { "libraries": [] } }),
        ),
        ("/transformationLibrary/test", code.clone()),
        ("/transformation/sethandle", json!({ "trRevCode": code })),
        ("/extractLibs", code.clone()),
    ] {
        assert_eq!(server.post(path, &body).status, 200, "{path}");
        for key in body.as_object().unwrap().keys() {
            for value in &odd {
                let mut body = body.clone();
                body[key] = value.clone();
                let answer = server.post(path, &body);
                if answer.status != 200 {
                    answer.problem(400);
                }
            }
        }
    }
}

#[test]
fn packed_bodies_are_unpacked_and_limited_by_what_they_hold() {
    let server = server(&["--body-limit", "100KiB"]);
    let body = events("v1", 3).to_string();
    for (encoding, program, args) in [("gzip", "gzip", ["-c", "-q"]), ("zstd", "zstd", ["-c", "-q"])] {
        let pack = |bytes: &[u8]| {
            let mut child = std::process::Command::new(program)
                .args(args)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .ok()?;
            child.stdin.take()?.write_all(bytes).ok()?;
            Some(child.wait_with_output().ok()?.stdout)
        };
        // Not every machine has zstd.
        let Some(packed) = pack(body.as_bytes()) else { continue };
        let headers = [JSON, &[("Content-Encoding", encoding)]].concat();
        let answer = server.send("POST", "/customTransform", &headers, &packed);
        assert_eq!(answer.json().as_array().unwrap().len(), 3, "{encoding}");
        let bomb = pack(&vec![b' '; 50 << 20]).unwrap();
        server.send("POST", "/customTransform", &headers, &bomb).problem(413);
    }
}

#[test]
fn a_client_that_sends_a_byte_now_and_then_does_not_keep_its_place_for_ever() {
    let server = server(&["--max-requests", "1", "--body-timeout", "300ms"]);
    let mut slow = server.connect();
    let head =
        "POST /customTransform HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 3000\r\n\r\n[";
    slow.write_all(head.as_bytes()).unwrap();
    // The client is never silent for longer than allowed. The answer must come long before the body is complete.
    slow.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut sent = 0;
    let mut first = [0];
    while let Err(error) = slow.peek(&mut first) {
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        sent += slow.write(b" ").unwrap();
        assert!(sent < 2999, "the body is whole, and it was waited for");
    }
    let answer = answer(&mut BufReader::new(slow));
    assert!(answer.problem(408).contains("--body-timeout"));
    assert_eq!(answer.header("Connection"), Some("close"));
    // The server handles one request at a time, so the slow one must have ended.
    assert_eq!(server.rows(&events("v1", 1)).len(), 1);
}

#[test]
fn a_client_that_is_silent_in_the_middle_of_a_body_is_told_so() {
    let server = server(&["--body-timeout", "50ms"]);
    let mut silent = server.connect();
    let head =
        "POST /customTransform HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[";
    silent.write_all(head.as_bytes()).unwrap();
    assert!(answer(&mut BufReader::new(silent)).problem(408).contains("nothing for 50ms"));
}

#[test]
fn connections_are_kept_or_closed_as_asked() {
    let server = server(&[]);
    let body = events("v1", 2).to_string();
    let mut stream = BufReader::new(server.connect());
    for _ in 0..3 {
        stream.get_mut().write_all(&request("POST", "/customTransform", JSON, body.as_bytes(), true)).unwrap();
        assert_eq!(answer(&mut stream).json().as_array().unwrap().len(), 2);
    }
    stream.get_mut().write_all(&request("GET", "/health", &[], b"", false)).unwrap();
    assert_eq!(answer(&mut stream).status, 200);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    // In chunks, without a length.
    let mut stream = server.connect();
    write!(stream, "POST /customTransform HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    for piece in body.as_bytes().chunks(7) {
        write!(stream, "{:x}\r\n", piece.len()).unwrap();
        stream.write_all(piece).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(answer(&mut BufReader::new(stream)).json().as_array().unwrap().len(), 2);
}

#[test]
fn clients_that_leave_or_send_nonsense_do_not_disturb_others() {
    let server = Server::with(
        &[
            ("v1.js", SAME),
            (
                "slow.js",
                "export function transformEvent(e) { const t = Date.now(); while (Date.now() < t + 20); return e; }",
            ),
        ],
        &[],
    );
    let slow = events("slow", 300).to_string();
    for cut in [1, 20, 100, 150, 1000] {
        let mut stream = server.connect();
        let whole = request("POST", "/customTransform", JSON, slow.as_bytes(), true);
        stream.write_all(&whole[..cut]).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
    }
    for _ in 0..3 {
        // The client sends the whole request and disconnects before the answer.
        let mut stream = server.connect();
        stream.write_all(&request("POST", "/customTransform", JSON, slow.as_bytes(), true)).unwrap();
        drop(stream);
    }
    let mut stream = server.connect();
    stream.write_all(b"\x16\x03\x01 this is no HTTP \r\n\r\n").unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&said));
    assert_eq!(server.rows(&events("v1", 5)).len(), 5);
    // A request without a client is abandoned, and its memory is freed.
    let deadline = std::time::Instant::now() + super::client::PATIENCE;
    while server.metric("sluicegate_requests_in_flight") > 0.0 {
        assert!(std::time::Instant::now() < deadline, "requests that no client waits for are kept");
    }
}

/// One client reads a little of a long answer and disconnects; the other one reads nothing until all others are
/// answered.
#[test]
fn clients_that_leave_in_the_answer_or_read_it_late_do_not_block_others() {
    let server = server(&[]);
    let filler = "x".repeat(200_000);
    let asked: Value =
        (0..100).map(|n| super::client::event("v1", json!({ "n": n, "filler": filler }), &format!("m{n}"))).collect();
    let whole = request("POST", "/customTransform", JSON, asked.to_string().as_bytes(), false);
    let mut late = server.connect();
    late.write_all(&whole).unwrap();
    for _ in 0..3 {
        let mut stream = server.connect();
        stream.write_all(&whole).unwrap();
        let mut some = [0; 1000];
        stream.read_exact(&mut some).unwrap();
        assert!(some.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&some));
        drop(stream);
    }
    assert_eq!(server.rows(&events("v1", 5)).len(), 5);
    let rows = answer(&mut BufReader::new(late)).json();
    assert!(rows.as_array().unwrap().iter().enumerate().all(|(n, row)| row["output"]["n"] == n), "rows are missing");
    let deadline = std::time::Instant::now() + super::client::PATIENCE;
    while server.metric("sluicegate_requests_in_flight") > 0.0 {
        assert!(std::time::Instant::now() < deadline, "answers that no client takes are kept");
    }
}

#[test]
fn an_address_or_a_folder_that_cannot_be_had_is_told_at_once() {
    let dir = crate::support::Dir::new();
    let done = dir.run(&["serve"], "");
    assert_eq!(done.code, 2);
    assert!(done.err.contains("no source of code is given"), "{}", done.err);
    let done = dir.run(&["serve", "--dir", "nowhere"], "");
    assert!(done.code == 2 && done.err.contains("nowhere"), "{}", done.err);
    let first = server(&[]);
    let address = first.address.to_string();
    let done = dir.run(&["serve", "--dir", ".", "--listen", &address], "");
    assert!(done.code == 2 && done.err.contains(&format!("cannot listen on {address}")), "{}", done.err);
    for listen in ["9090", "localhost:x", ""] {
        assert_eq!(dir.run(&["serve", "--dir", ".", "--listen", listen], "").code, 2);
    }
}

#[test]
fn code_that_no_parser_gets_through_ends_nothing() {
    let shared = format!("import '@rs/x/v1';\nexport function transformEvent(e) {{ return {}; }}", "(".repeat(200_000));
    let deep = format!("export const f = (e: string) => {}1{};", "(".repeat(200_000), ")".repeat(200_000));
    // The parsing time doubles with each level.
    let slow = format!("export const z = {}1{};", "<T>(".repeat(40), ")".repeat(40));
    let server = Server::with(&[("shared.js", &shared), ("deep.ts", &deep), ("slow.ts", &slow)], &[]);
    let pid = server.get("/health").header("x-request-id").unwrap().split('-').next().unwrap().to_owned();
    for opening in ["(", "[", "{", "!", "a=", "x=>", "`${"] {
        let code = opening.repeat(200_000);
        let error = server.post("/extractLibs", &json!({ "code": code })).problem(400);
        assert!(error.starts_with("SyntaxError: "), "{opening}: {error}");
    }
    for (version, says) in [("shared", "RangeError"), ("deep", "nested too deep"), ("slow", "to parse")] {
        let rows = server.rows(&json!([event(version, json!({}), "m")]));
        assert_eq!(rows[0]["statusCode"], 400);
        assert!(rows[0]["error"].as_str().unwrap().contains(says), "{version}: {}", rows[0]["error"]);
    }
    let revision = json!({ "code": deep, "codeVersion": "1", "language": "typescript" });
    let asked = json!({ "events": [{ "message": {} }], "trRevCode": revision });
    assert!(server.post("/transformation/test", &asked).problem(400).contains("nested too deep"));
    let id = server.get("/health").header("x-request-id").unwrap().to_owned();
    assert!(id.starts_with(&format!("{pid}-")), "it is another process: {id}");
}
