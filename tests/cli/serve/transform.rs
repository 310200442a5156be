//! `/customTransform`: the results of events.

use serde_json::{Value, json};

use super::client::{JSON, Server, event, events};
use crate::support::children;

const SAME: &str = "export function transformEvent(event) { return event; }";

fn server(code: &str) -> Server {
    Server::with(&[("v1.js", code)], &[])
}

#[test]
fn each_event_is_answered_in_order_with_its_metadata_as_it_was() {
    let server = server(
        "export function transformEvent(e, metadata) { if (e.n === 1) return null; if (e.n === 2) throw new Error('boom');
           if (e.n === 3) return [e, { copy: metadata(e).messageId }]; e.seen = true; return e; }",
    );
    let mut asked = events("v1", 6);
    asked[4]["metadata"] = json!({ "messageId": "m4", "sourceId": "s", "destinationId": "d", "jobId": 9_007_199_254_740_993_u64, "unknown": [1] });
    let rows = server.rows(&asked);
    let metadata = |n: usize| asked[n]["metadata"].clone();
    let mut dropped = metadata(1);
    dropped["messageIds"] = Value::Null;
    assert_eq!(
        rows,
        [
            json!({ "statusCode": 298, "metadata": dropped }),
            json!({ "output": { "n": 0, "seen": true }, "metadata": metadata(0), "statusCode": 200 }),
            json!({ "statusCode": 400, "error": "Error: boom\n    at transformEvent (v1.js:1:96)", "metadata": metadata(2) }),
            json!({ "output": { "n": 3 }, "metadata": metadata(3), "statusCode": 200 }),
            json!({ "output": { "copy": "m3" }, "metadata": metadata(3), "statusCode": 200 }),
            json!({ "output": { "n": 4, "seen": true }, "metadata": metadata(4), "statusCode": 200 }),
            json!({ "output": { "n": 5, "seen": true }, "metadata": metadata(5), "statusCode": 200 }),
        ]
    );
    // Dropped events have no row unless the request asks for them.
    let answer = server.post("/customTransform", &asked);
    assert_eq!(answer.json().as_array().unwrap().len(), 6);
    assert_eq!(server.metric("sluicegate_events_total{verdict=\"dropped\",kind=\"\"}"), 2.0);
    assert_eq!(server.metric("sluicegate_events_total{verdict=\"failed\",kind=\"exception\"}"), 2.0);
}

#[test]
fn groups_of_one_request_are_answered_once_each_with_their_own_code() {
    let server = Server::with(
        &[("v1.js", SAME), ("v2.js", "export const transformEvent = () => ({ two: getCredential('k') });")],
        &[],
    );
    let mut asked = events("v1", 4);
    for n in [1, 3] {
        asked[n]["metadata"]["destinationId"] = json!("other");
        asked[n]["destination"]["Transformations"][0]["VersionID"] = json!("v2");
        asked[n]["credentials"] = json!([{ "id": "c", "key": "k", "value": "x", "isSecret": false }]);
    }
    let rows = server.rows(&asked);
    let outputs: Vec<&Value> = rows.iter().map(|row| &row["output"]).collect();
    assert_eq!(outputs, [&json!({ "n": 0 }), &json!({ "n": 2 }), &json!({ "two": "x" }), &json!({ "two": "x" })]);
}

#[test]
fn what_the_peer_fails_for_a_group_or_answers_500_is_one_event_here() {
    let server = Server::with(
        &[(
            "v1.js",
            "export function transformEvent(e) {
               switch (e.do) {
                 case 'throw': throw 'text';
                 case 'big': return { big: 2n ** 70n };
                 case 'cycle': e.self = e; return e;
                 case 'loop': for (;;);
                 case 'heap': { const all = []; for (;;) all.push(new Array(10000).fill(e)); }
                 case 'never': return new Promise(() => {});
                 case 'text': return 'text';
               }
               return e;
             }",
        )],
        &["--cpu-limit", "2s", "--heap-limit", "16MiB"],
    );
    let what = ["", "throw", "big", "", "cycle", "loop", "", "heap", "never", "text", ""];
    let asked: Value =
        what.iter().enumerate().map(|(n, what)| event("v1", json!({ "do": what }), &format!("m{n}"))).collect();
    let rows = server.rows(&asked);
    assert_eq!(rows.len(), what.len());
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(row["metadata"]["messageId"], format!("m{n}"));
        let error = row["error"].as_str().unwrap_or_default();
        let expected = match what[n] {
            "throw" => "text",
            "cycle" => "TypeError: Converting circular structure to JSON",
            "loop" => "the event took more than 2s of CPU time",
            "heap" => "the event needed more than 16 MiB of heap",
            "never" => "transformEvent returned a promise that can never settle",
            "text" => "returned event from transformEvent(event) is not an object",
            _ => {
                assert_eq!(row["statusCode"], 200, "{row}");
                continue;
            }
        };
        assert!(row["statusCode"] == 400 && error.starts_with(expected), "{row}");
    }
    let text = server.post("/customTransform", &json!([asked[2]])).text();
    assert!(text.contains("{\"big\":1180591620717411303424}"), "{text}");
}

#[test]
fn a_batch_gets_all_events_of_its_group() {
    let server = server(
        "export function transformBatch(events) { return events.filter((e) => e.n % 2).map((e) => ({ ...e, of: events.length, messageId: 'm' + e.n })); }",
    );
    // More events than fit into one unit.
    let filler = "x".repeat(4000);
    let asked: Value = (0..150)
        .map(|n| event("v1", json!({ "messageId": format!("m{n}"), "n": n, "filler": filler }), &format!("m{n}")))
        .collect();
    let rows = server.rows(&asked);
    assert_eq!(rows.len(), 150);
    assert!(rows[..75].iter().all(|row| row["statusCode"] == 298));
    assert!(rows[75..].iter().all(|row| row["output"]["of"] == 150), "{}", rows[75]["output"]["of"]);
}

#[test]
fn a_bad_element_of_a_batch_takes_no_good_output_with_it() {
    let server = Server::with(
        &[
            ("more.js", "export const transformBatch = (events) => [null, ...events];"),
            (
                "mixed.js",
                "export const transformBatch = (events) => events.flatMap((e) => {\n  const odd = { messageId: e.messageId };\n  odd.odd = odd;\n  return [{ ...e, first: true }, odd, { ...e, last: true }];\n});",
            ),
            ("instead.js", "export const transformBatch = ([, ...events]) => [7, ...events];"),
        ],
        &[],
    );
    let asked = |version: &str| -> Value {
        (0..3).map(|n| event(version, json!({ "messageId": format!("m{n}") }), &format!("m{n}"))).collect()
    };
    let bad = "returned event in events array from transformBatch(events) is not an object";
    let told = |version: &str| -> Vec<(Value, Value, Value)> {
        let rows = server.rows(&asked(version));
        let of = |row: &Value| (row["statusCode"].clone(), row["metadata"]["messageId"].clone(), row["output"].clone());
        rows.iter().map(of).collect()
    };
    let row = |status: u16, id: &str, output: Value| (json!(status), json!(id), output);
    let same = |id: &str| row(200, id, json!({ "messageId": id }));
    assert_eq!(server.rows(&asked("more"))[0]["error"], bad);
    assert_eq!(told("more"), [row(400, "m0", Value::Null), same("m0"), same("m1"), same("m2")]);
    // The invalid element makes the input without another output fail.
    assert_eq!(told("instead"), [row(400, "m0", Value::Null), same("m1"), same("m2")]);
    let mixed = told("mixed");
    for n in 0..3 {
        let id = format!("m{n}");
        let output = |which: &str| row(200, &id, json!({ "messageId": id, which: true }));
        assert_eq!(mixed[3 * n..][..3], [row(400, &id, Value::Null), output("first"), output("last")]);
    }
    // Every event still has one verdict.
    assert_eq!(server.metric("sluicegate_events_total{verdict=\"ok\",kind=\"\"}"), 6.0);
    assert_eq!(server.metric("sluicegate_events_total{verdict=\"failed\",kind=\"bad_return\"}"), 3.0);
    assert_eq!(server.metric("sluicegate_events_total{verdict=\"failed\",kind=\"exception\"}"), 3.0);
}

#[test]
fn what_is_missing_or_is_no_event_fails_alone() {
    let server = server(SAME);
    let mut asked = events("v1", 4);
    asked[1]["message"] = json!("text");
    asked[2].as_object_mut().unwrap().remove("message");
    asked[3]["metadata"] = json!({ "sourceId": "s", "destinationId": "d" });
    let rows = server.rows(&asked);
    assert_eq!(rows[1]["error"], "the message is a string, not a JSON object");
    assert_eq!(rows[2]["error"], "the message is null, not a JSON object");
    assert_eq!((&rows[3]["output"], &rows[3]["statusCode"]), (&json!({ "n": 3 }), &json!(200)));

    let bare = server.rows(&json!([{ "message": {} }, { "message": {}, "metadata": 7 }]));
    assert_eq!(bare.len(), 1);
    assert_eq!(
        bare[0],
        json!({ "statusCode": 400, "error": "Transformation VersionID not found", "metadata": { "messageIds": [null, null] } })
    );
    let mut no_version = events("v1", 2);
    no_version[0]["destination"] = json!({ "Transformations": [] });
    let rows = server.rows(&no_version);
    assert_eq!(
        rows,
        [json!({ "statusCode": 400, "error": "Transformation VersionID not found",
            "metadata": { "sourceId": "s", "destinationId": "d", "workspaceId": "w", "messageIds": ["m0", "m1"] } })]
    );
}

#[test]
fn isolates_stay_warm_and_never_meet_another_tenant() {
    let server =
        server("let count = 0; export const transformEvent = () => ({ count: ++count, key: getCredential('k') });");
    let ask = |workspace: &str, key: &str| {
        let mut asked = events("v1", 1);
        asked[0]["metadata"]["workspaceId"] = json!(workspace);
        asked[0]["credentials"] = json!([{ "key": "k", "value": key }]);
        server.rows(&asked)[0]["output"].clone()
    };
    assert_eq!(ask("a", "1"), json!({ "count": 1, "key": "1" }));
    assert_eq!(ask("a", "1"), json!({ "count": 2, "key": "1" }));
    assert_eq!(ask("b", "1"), json!({ "count": 1, "key": "1" }));
    assert_eq!(ask("a", "2"), json!({ "count": 1, "key": "2" }));
    assert_eq!(ask("a", "1"), json!({ "count": 3, "key": "1" }));
    assert_eq!(server.metric("sluicegate_workers"), 3.0);
}

#[test]
fn tenants_make_room_for_each_other_and_not_each_for_the_next_one() {
    let server = Server::with(&[("v1.js", SAME)], &["--max-processes", "2", "-j1"]);
    for round in 0..3 {
        for workspace in ["a", "b", "c"] {
            let mut asked = events("v1", 3);
            asked[0]["metadata"]["workspaceId"] = json!(workspace);
            assert_eq!(server.rows(&asked).len(), 3, "{round}");
        }
    }
    assert!(server.metric("sluicegate_workers") <= 2.0);
    // Evicting the least recently used pool would always evict the pool that is needed next: seven evictions. The
    // server needs four, or a few more on a busy machine.
    assert!(server.metric("sluicegate_evictions_total") < 7.0);
}

#[test]
fn a_worker_that_is_killed_takes_no_event_with_it() {
    let server =
        server("export function transformEvent(e) { let x = 0; for (let i = 0; i < 3e5; i++) x += i % 7; return e; }");
    assert_eq!(server.rows(&events("v1", 1)).len(), 1);
    let asked = events("v1", 400);
    std::thread::scope(|scope| {
        let rows = scope.spawn(|| server.rows(&asked));
        let workers = children(server.pid() as u32);
        assert!(!workers.is_empty());
        for pid in workers {
            // SAFETY: sends a signal to a worker of this test's server.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        let rows = rows.join().unwrap();
        assert!(rows.iter().enumerate().all(|(n, row)| row["output"]["n"] == n), "{rows:?}");
        assert_eq!(rows.len(), 400);
    });
    assert_eq!(server.rows(&events("v1", 1)).len(), 1);
}

#[test]
fn large_requests_and_pretty_ones_are_answered_whole() {
    let server = server(SAME);
    let filler = "ü".repeat(20_000);
    let asked: Value = (0..300).map(|n| event("v1", json!({ "n": n, "filler": filler }), &format!("m{n}"))).collect();
    let pretty = serde_json::to_vec_pretty(&asked).unwrap();
    let answer = server.send("POST", "/customTransform", JSON, &pretty);
    let rows = answer.json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 300);
    assert!(rows.iter().enumerate().all(|(n, row)| row["output"] == asked[n]["message"]));
}

#[test]
fn workers_that_are_replaced_are_counted_by_reason() {
    let server = server(SAME);
    assert_eq!(server.rows(&events("v1", 1)).len(), 1);
    // The prepared process is among the children.
    for pid in children(server.pid() as u32) {
        // SAFETY: kills a child of this test's server.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    let count = |reason: &str| server.metric(&format!("sluicegate_worker_restarts_total{{reason=\"{reason}\"}}"));
    // The metric changes with a delay.
    let deadline = std::time::Instant::now() + super::client::PATIENCE;
    while count("died") == 0.0 {
        assert!(std::time::Instant::now() < deadline, "it is not counted");
    }
    assert_eq!(["hung", "memory", "stuck"].map(count), [0.0; 3]);
    assert_eq!(server.rows(&events("v1", 1)).len(), 1);
}

#[test]
fn with_fresh_state_code_begins_anew_with_each_request() {
    let counts = "let n = 0; const seen = new Set();
       export function transformEvent(e) { if (seen.has(e.id)) return; seen.add(e.id); e.n = ++n; return e; }";
    let batch = "let n = 0; export const transformBatch = (events) => events.map((e) => { e.n = ++n; return e; });";
    let waits = "let n = 0; export async function transformEvent(e) { await fetch('http://127.0.0.1:1/'); e.n = ++n; return e; }";
    let files = [("counts.js", counts), ("batch.js", batch), ("waits.js", waits)];
    let server = Server::with(&files, &["--fresh-state", "-j2", "--allow-net", "127.0.0.1:1"]);
    // Events of 20 kB: without the flag, they would be spread over both workers.
    let filler = "x".repeat(20_000);
    for version in ["counts", "batch", "waits"] {
        let asked: Vec<Value> =
            (0..20).map(|n| event(version, json!({ "id": n, "filler": filler }), &format!("m{n}"))).collect();
        for _ in 0..3 {
            let rows = server.rows(&json!(asked));
            let mut numbers: Vec<u64> = rows.iter().map(|row| row["output"]["n"].as_u64().unwrap()).collect();
            if version == "waits" {
                // These events are in flight together, so their order is not fixed.
                numbers.sort_unstable();
            }
            assert_eq!(numbers, (1..=20).collect::<Vec<_>>(), "{version}");
        }
    }
    let server = Server::with(&[("counts.js", counts)], &[]);
    assert_eq!(server.rows(&events("counts", 1))[0]["output"]["n"], 1);
    assert_eq!(server.rows(&json!([event("counts", json!({ "id": 7 }), "m7")]))[0]["output"]["n"], 2);
}
