//! More requests than the server has room for, and its shutdown.

use std::io::{BufReader, Write};

use serde_json::json;

use super::client::{JSON, PATIENCE, Server, answer, event, events, request};

const SLOW: &str =
    "export function transformEvent(e) { let x = 0; for (let i = 0; i < 1e6; i++) x += i % 7; return e; }";

#[test]
fn what_there_is_no_room_for_is_sent_away_to_come_again_and_nothing_is_lost() {
    let server = Server::with(&[("v1.js", SLOW)], &["--max-requests", "4", "-j2"]);
    let (mut answered, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        // Each client has its own events: no client gets another one's answer. Some requests take more than one unit.
        let ask = |client: usize| {
            let number = |n: usize| client * 1000 + n;
            let filler = "x".repeat(client * 1000);
            let events: Vec<_> = (0..40)
                .map(|n| event("v1", json!({ "n": number(n), "filler": filler }), &format!("m{}", number(n))))
                .collect();
            let body = json!(events).to_string();
            let mut turned_away = 0;
            loop {
                let answer = server.send("POST", "/customTransform", JSON, body.as_bytes());
                if answer.status == 200 {
                    let rows = answer.json();
                    let whole = (0..40).all(|n| {
                        let (row, id) = (&rows[n], format!("m{}", number(n)));
                        row["output"]["n"] == number(n)
                            && row["metadata"]["messageId"] == id
                            && row["statusCode"] == 200
                    });
                    assert!(whole && rows.as_array().unwrap().len() == 40);
                    return turned_away;
                }
                answer.problem(503);
                assert_eq!(answer.header("X-Rudder-Should-Retry"), Some("true"));
                assert_eq!(answer.header("X-Rudder-Error-Reason"), Some("overloaded"));
                turned_away += 1;
            }
        };
        let clients: Vec<_> = (0..12).map(|client| scope.spawn(move || ask(client))).collect();
        for client in clients {
            refused += client.join().unwrap();
            answered += 1;
        }
    });
    assert_eq!(answered, 12);
    assert!(refused > 0, "twelve clients found room for four at once");
    assert_eq!(server.metric("sluicegate_events_total{verdict=\"ok\",kind=\"\"}"), 480.0);
    assert_eq!(server.rows(&events("v1", 1)).len(), 1);
}

#[test]
fn bodies_that_do_not_fit_into_memory_are_sent_away() {
    let server = Server::with(&[("v1.js", SLOW)], &["--body-limit", "1MiB", "--request-memory", "1MiB"]);
    // One client holds most of the memory and does not continue.
    let mut slow = server.connect();
    let filler = format!("[{}", " ".repeat(900 << 10));
    write!(
        slow,
        "POST /customTransform HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        filler.len() + 1
    )
    .unwrap();
    slow.write_all(filler.as_bytes()).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while server.metric("sluicegate_request_memory_bytes") < f64::from(900 << 10) {
        assert!(std::time::Instant::now() < deadline, "the body never takes its room");
    }
    let large = format!("[{}]", " ".repeat(500 << 10));
    let refused = server.send("POST", "/customTransform", JSON, large.as_bytes());
    refused.problem(503);
    assert_eq!(refused.header("X-Rudder-Should-Retry"), Some("true"));
    slow.write_all(b"]").unwrap();
    // The body has only spaces: the server reads all of it, and finds no events.
    answer(&mut BufReader::new(slow)).problem(400);
    while server.send("POST", "/customTransform", JSON, large.as_bytes()).status == 503 {
        assert!(std::time::Instant::now() < deadline, "the room is never free again");
    }
}

#[test]
fn who_is_sent_away_while_still_sending_gets_to_know_it() {
    let server = Server::with(&[("v1.js", SLOW)], &["--max-requests", "1"]);
    let mut slow = server.connect();
    write!(
        slow,
        "POST /customTransform HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n["
    )
    .unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while server.metric("sluicegate_requests_in_flight") < 1.0 {
        assert!(std::time::Instant::now() < deadline, "the request never takes its place");
    }
    // More than the socket buffers of both sides can hold: if the server stopped reading, the client would be cut off
    // and would not get the answer.
    let large = format!("[{}]", " ".repeat(24 << 20));
    for _ in 0..2 {
        let refused = server.send("POST", "/customTransform", JSON, large.as_bytes());
        refused.problem(503);
        assert_eq!(refused.header("X-Rudder-Should-Retry"), Some("true"));
    }
    slow.write_all(b"]").unwrap();
    answer(&mut BufReader::new(slow)).problem(400);
}

#[test]
fn the_end_waits_for_what_is_under_way() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let server = Server::with(&[("v1.js", SLOW)], &["-j1"]);
        assert_eq!(server.rows(&events("v1", 1)).len(), 1);
        let mut stream = server.connect();
        stream
            .write_all(&request("POST", "/customTransform", JSON, events("v1", 150).to_string().as_bytes(), true))
            .unwrap();
        let deadline = std::time::Instant::now() + PATIENCE;
        while server.metric("sluicegate_groups_in_workers") < 1.0 {
            assert!(std::time::Instant::now() < deadline, "the request never reaches a worker");
        }
        server.signal(signal);
        assert_eq!(answer(&mut BufReader::new(stream)).json().as_array().unwrap().len(), 150);
        assert_eq!(server.end(), 0);
    }
}

#[test]
fn a_tenant_with_slow_code_does_not_hold_up_another() {
    let slow = "export function transformEvent(e) { for (;;); }";
    let quick = "export function transformEvent(e) { return e; }";
    let server = Server::with(&[("slow.js", slow), ("quick.js", quick)], &["-j1", "--cpu-limit", "50ms"]);
    let mut stream = server.connect();
    stream
        .write_all(&request("POST", "/customTransform", JSON, events("slow", 40).to_string().as_bytes(), false))
        .unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while server.metric("sluicegate_groups_in_workers") < 1.0 {
        assert!(std::time::Instant::now() < deadline, "the request never reaches a worker");
    }
    for _ in 0..5 {
        assert_eq!(server.rows(&events("quick", 20)).len(), 20);
    }
    // Each of the 40 slow events takes 50 ms. The quick events were answered meanwhile.
    assert!(server.metric("sluicegate_requests_total{path=\"/customTransform\",status=\"200\"}") == 5.0);
    let rows = answer(&mut BufReader::new(stream)).json();
    assert!(rows.as_array().unwrap().iter().all(|row| row["error"] == "the event took more than 50ms of CPU time"));
}
