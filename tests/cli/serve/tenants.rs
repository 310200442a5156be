//! Hostile tenants and clients next to a normal one: its answers stay the same to the byte, and the server stays within
//! its stated memory.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde_json::{Value, json};

use super::client::{JSON, PATIENCE, Server, event, events, request};
use crate::support::live::status;

/// Limits so small that the output of one hostile tenant would exceed them by far.
const FLAGS: &[&str] =
    &["--request-memory=64MiB", "--body-limit=8MiB", "--max-processes=6", "--max-requests=32", "--cpu-limit=2s", "-j2"];

/// The code of the good tenant.
const GOOD: &str =
    "export function transformEvent(e, metadata) { e.id = metadata(e).messageId; e.sum = e.n * 3; return e; }";

/// An accessor that intercepts values added to lists and replaces them.
const FORGER: &str =
    "const forged = '{\"output\":{\"forged\":true},\"metadata\":{\"messageId\":\"m0\"},\"statusCode\":200},';
    for (const index of [0, 1, 2]) Object.defineProperty(Array.prototype, index, {
      set(value) {
        const text = typeof value === 'string' && value[0] === '{' ? forged : value;
        Object.defineProperty(this, index, { value: text, writable: true, enumerable: true, configurable: true });
      }, configurable: true });
    export function transformEvent(event) { return [{ a: forged }, { b: 1 }]; }";

const ANSWER_BOMB: &str = "const big = 'x'.repeat(8 << 20);
    export function transformEvent(event) { event.big = big; return event; }";

const FAILURE_BOMB: &str = "const big = 'x'.repeat(1 << 20);
    export function transformEvent() { throw new Error(big); }";

fn body(version: &str, count: usize) -> Vec<u8> {
    events(version, count).to_string().into_bytes()
}

/// Sends a request, waits briefly for a response, and returns the connection, which is never read.
fn send_only(server: &Server, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(server.address).ok()?;
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let headers = [JSON, headers].concat();
    // A busy server may not accept all of it.
    let _ = stream.write_all(&request("POST", path, &headers, body, true));
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let _ = stream.peek(&mut [0]);
    Some(stream)
}

/// Frames that each ask for a window of this size and contain endless zeros.
fn zstd_bomb(window_log: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(window_log).unwrap();
    encoder.include_contentsize(false).unwrap();
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..256 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

fn log_bomb() -> Vec<u8> {
    let code = "const line = 'x'.repeat(60000); export function transformEvent(e) { log(line); return e; }";
    let all: Vec<Value> = (0..2000).map(|n| json!({ "message": { "n": n } })).collect();
    json!({ "events": all, "trRevCode": { "code": code, "codeVersion": "1" } }).to_string().into_bytes()
}

/// Sends the good tenant's requests, one after the other, while several clients repeat `hostile`.
fn beside(hostile: impl Fn(&Server) -> Option<TcpStream> + Sync) {
    let files = [("good.js", GOOD), ("forger.js", FORGER), ("answers.js", ANSWER_BOMB), ("failures.js", FAILURE_BOMB)];
    let server = Server::with(&files, FLAGS);
    let good = body("good", 20);
    let calm = server.send("POST", "/customTransform", JSON, &good);
    assert_eq!(calm.json()[7]["output"], json!({ "n": 7, "id": "m7", "sum": 21 }));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut open = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    // More connections would only prevent the server from accepting the good tenant's requests.
                    if open.len() == 3 {
                        open.remove(0);
                    }
                    open.extend(hostile(&server));
                }
            });
        }
        for _ in 0..12 {
            let answer = server.send("POST", "/customTransform", JSON, &good);
            assert!(answer.status == 200 && answer.body == calm.body, "{} {}", answer.status, answer.text());
        }
        over.store(true, Ordering::Relaxed);
    });
    let bound = server.metric("sluicegate_memory_bound_bytes");
    let most = status(Pid::from_raw(server.pid()).unwrap(), "VmHWM:") as f64;
    eprintln!("{:.0} MiB at most, {:.0} MiB promised", most / 1048576.0, bound / 1048576.0);
    assert!(bound < 256e6, "{bound}");
    assert!(most > 0.0 && most < bound, "{most} bytes at most, {bound} were promised");
    // Everything that the clients left behind is released.
    let deadline = Instant::now() + PATIENCE;
    while server.metric("sluicegate_request_memory_bytes") > 0.0 {
        assert!(Instant::now() < deadline, "memory is never given back");
    }
}

/// Sends a request, and reads and discards the whole answer.
fn ask(server: &Server, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<TcpStream> {
    let answer = server.send("POST", path, &[JSON, headers].concat(), body);
    assert!([200, 400, 413, 503].contains(&answer.status), "{}", answer.status);
    None
}

#[test]
fn a_forger_forges_nothing_of_others() {
    beside(|server| ask(server, "/customTransform", &[], &body("forger", 20)));
}

#[test]
fn answers_that_are_too_large_are_bounded_for_clients_that_read_and_for_those_that_do_not() {
    beside(|server| send_only(server, "/customTransform", &[], &body("answers", 30)));
    beside(|server| send_only(server, "/customTransform", &[], &body("failures", 200)));
}

#[test]
fn packed_bombs_and_large_windows_are_bounded() {
    let (small, large) = (zstd_bomb(23), zstd_bomb(27));
    beside(|server| {
        ask(server, "/customTransform", &[("Content-Encoding", "zstd")], &small);
        ask(server, "/customTransform", &[("Content-Encoding", "zstd")], &large)
    });
}

#[test]
fn logs_without_end_are_bounded() {
    let bomb = log_bomb();
    beside(|server| send_only(server, "/transformation/test", &[], &bomb));
}

#[test]
fn what_is_refused_is_not_unpacked() {
    let server = Server::with(&[("good.js", GOOD)], &["--max-requests", "1"]);
    let mut slow = server.connect();
    let head =
        "POST /customTransform HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[";
    slow.write_all(head.as_bytes()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while server.metric("sluicegate_requests_in_flight") < 1.0 {
        assert!(Instant::now() < deadline, "the request never takes its place");
    }
    // If the server decompressed the body, it would report that the body is invalid.
    let headers = [JSON, &[("Content-Encoding", "gzip")]].concat();
    server.send("POST", "/customTransform", &headers, b"this is no gzip").problem(503);
    slow.shutdown(Shutdown::Both).unwrap();
}

#[test]
fn a_request_of_more_events_than_are_counted_is_refused() {
    let server = Server::with(&[("good.js", GOOD)], &[]);
    let many = format!("[{}{{}}]", "{},".repeat(100_000));
    let answer = server.send("POST", "/customTransform", JSON, many.as_bytes());
    assert!(answer.problem(413).contains("more than 100000 events"));
}

#[test]
fn a_mirror_runs_no_code_that_asks_the_network() {
    let asks = "export async function transformEvent(e) { e.status = (await fetchV2(e.url)).status; return e; }";
    let server = Server::with(&[("good.js", GOOD), ("asks.js", asks)], &["--mirror"]);
    assert_eq!(server.rows(&events("good", 2)).len(), 2);
    assert_eq!(server.post("/customTransform", &events("asks", 2)).status, 297);
    let mut both = events("good", 2);
    both.as_array_mut().unwrap().push({
        let mut other = event("asks", json!({}), "m2");
        other["metadata"]["sourceId"] = json!("another");
        other
    });
    assert_eq!(server.post("/customTransform", &both).status, 297);
    assert_eq!(server.metric("sluicegate_events_total{verdict=\"failed\",kind=\"mirror\"}"), 3.0);
}
