//! A RudderStack data plane.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::{QUICK, numbers, sync};
use crate::support::Dir;
use crate::support::web_server::{Reply, Web};

fn users(web: &Web, more: &str) -> Dir {
    let dir = Dir::new();
    dir.file("rows.jsonl", "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n");
    dir.file("key", "write-key\n");
    dir.file(
        "t.js",
        "export function transformEvent(event) {\n  if (event.userId === '3') delete event.userId;\n  \
         return { ...event, integrations: { All: false, Salesforce: true } };\n}\n",
    );
    dir.file(
        "sync.toml",
        format!(
            "[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n[transform]\ncode = \"t.js\"\n[[sink]]\nname = \"plane\"\n\
             kind = \"rudder\"\nurl = \"{}\"\nauth = \"file:key\"\n{QUICK}{more}\n",
            web.url("")
        ),
    );
    dir
}

#[test]
fn a_data_plane_gets_whole_events_and_looks_at_integrations_itself() {
    // The data plane is busy at first. Repeated requests must have the same message ids.
    let count = AtomicUsize::new(0);
    let web = Web::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::new(503, &[], ""),
        _ => Reply::new(200, &[], "OK"),
    });
    let dir = users(&web, "gzip = false");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (1, [2, 1]), "{}", done.err);
    assert!(super::run(&dir, &["sync", "status"]).text().contains("it has no userId and no anonymousId"));
    let asked = web.requests();
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("POST", "/v1/batch"));
    assert_eq!(asked[0].header("authorization"), Some("Basic d3JpdGUta2V5Og=="));
    assert_eq!((asked.len(), &asked[0].body), (2, &asked[1].body));
    let body: Value = serde_json::from_str(&asked[0].body).unwrap();
    let users: Vec<_> = body["batch"].as_array().unwrap().iter().map(|event| event["userId"].clone()).collect();
    assert_eq!(users, ["1", "2"]);
    assert!(body["batch"][0]["messageId"].is_string() && body["batch"][0]["context"]["sources"]["job_id"] == "sync");
}

#[test]
fn requests_are_packed_and_a_wrong_key_stops_the_run() {
    let web = Web::start(|asked| match asked.header("content-encoding") {
        Some("gzip") => Reply::new(401, &[], "Invalid Write Key"),
        _ => Reply::new(400, &[], ""),
    });
    let (done, counts) = sync(&users(&web, ""), &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "pending"])), (2, [0, 2]), "{}", done.err);
    assert!(done.err.contains("it refuses this source: 401 Invalid Write Key"), "{}", done.err);
}
