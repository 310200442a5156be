//! The delivery of rows, and destinations that reject rows or fail.

use serde_json::json;

use super::destination::{Destination, Fault};
use super::{QUICK, numbers, run, sent, sync, users};
use crate::support::Dir;
use crate::support::web_server::{Reply, Web};

fn rows(count: usize) -> String {
    (0..count).map(|id| format!("{{\"id\":{id}}}\n")).collect()
}

#[test]
fn a_rejected_row_is_tried_again_in_each_run_and_then_given_up() {
    let crm = Destination::start();
    crm.reject("1");
    let dir = users(&crm, &rows(3), "[changes]\nmax_tries = 2");
    for (sent, requests, given_up) in [(2, 1, 0), (0, 2, 0), (0, 2, 1)] {
        let (done, counts) = sync(&dir, &[]);
        assert_eq!(done.code, 1, "a run with a rejected row is no success: {}", done.err);
        assert_eq!(numbers(&counts, ["sent", "failed", "given_up"]), [sent, 1, given_up]);
        assert_eq!(crm.requests(), requests);
    }
    let status = run(&dir, &["sync", "status", "sync.toml"]);
    assert!(status.text().contains("1 at crm (destination, 2 tries, given up): invalid: id: not today"));
    // The destination works again.
    crm.no_faults();
    let done = run(&dir, &["sync", "retry", "sync.toml"]);
    assert!(done.code == 0 && done.err.contains("1 to send = 1 sent"), "{}", done.err);
    assert_eq!(sent(&dir, &[]), 0);
    assert_eq!(crm.persons().len(), 3);
    assert_eq!(crm.done().len(), 3, "nothing that was acknowledged was sent again");
}

#[test]
fn a_row_that_changes_after_its_rejection_has_new_tries() {
    let crm = Destination::start();
    crm.reject("1");
    let dir = users(&crm, &rows(2), "[changes]\nmax_tries = 1");
    assert_eq!(sync(&dir, &[]).0.code, 1);
    crm.no_faults();
    assert_eq!(sync(&dir, &[]).0.code, 1, "it is given up");
    dir.file("rows.jsonl", "{\"id\":0}\n{\"id\":1,\"plan\":\"x\"}\n");
    assert_eq!(sent(&dir, &[]), 1);
    assert!(!run(&dir, &["sync", "status", "sync.toml"]).text().contains("not settled"));
}

#[test]
fn a_batch_that_is_refused_is_split_until_the_bad_row_is_alone() {
    let crm = Destination::start();
    crm.refuse("5");
    let dir = users(&crm, &rows(16), "concurrency = 1");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (1, [15, 1]), "{}", done.err);
    assert!(done.err.contains("malformed") || run(&dir, &["sync", "status", "sync.toml"]).text().contains("malformed"));
    assert_eq!(crm.persons().len(), 15);
    assert_eq!(crm.done().len(), 15);
    assert_eq!(crm.requests(), 9, "halves: 16, 8, 4, 4, 2, 1, 1, 2, 8");
}

#[test]
fn what_is_answered_later_is_sent_again_in_the_same_run() {
    let crm = Destination::start();
    crm.fault([Fault::Status(503), Fault::With(429, "Retry-After", "0"), Fault::Status(500)]);
    let dir = users(&crm, &rows(3), "");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "pending"])), (0, [3, 0]), "{}", done.err);
    assert_eq!(numbers(&counts["sinks"]["crm"], ["requests", "retries"]), [4, 3]);
}

#[test]
fn a_destination_that_stays_away_leaves_rows_pending_and_loses_none() {
    let crm = Destination::start();
    crm.fault(std::iter::repeat_n(Fault::Status(503), 100));
    let dir = users(&crm, &rows(6), "batch = 2\nretries = 3\nbreaker = 3");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed", "pending"])), (1, [0, 0, 6]), "{}", done.err);
    assert!(crm.requests() < 60, "the breaker holds it back: {}", crm.requests());
    let status = run(&dir, &["sync", "status", "sync.toml"]);
    assert!(status.text().contains("it answered 503"), "{}", status.text());
    crm.no_faults();
    assert_eq!(sent(&dir, &[]), 6);
}

#[test]
fn a_destination_that_refuses_the_key_stops_the_run_with_the_reason() {
    for status in [401, 403] {
        let crm = Destination::start();
        crm.fault([Fault::Status(status)]);
        let dir = users(&crm, &rows(6), "batch = 2\nconcurrency = 1");
        let (done, counts) = sync(&dir, &[]);
        assert_eq!((done.code, numbers(&counts, ["sent", "pending"])), (2, [0, 6]), "{}", done.err);
        assert!(done.err.contains("the sink crm accepted no more: it refuses the credentials"), "{}", done.err);
        assert!(done.err.contains("help: see that auth is site_id:api_key"), "{}", done.err);
        assert_eq!(crm.requests(), 1);
        assert_eq!(sent(&dir, &[]), 6);
    }
}

#[test]
fn a_destination_that_rejects_everything_is_not_asked_a_thousand_times() {
    let crm = Destination::start();
    for id in 0..200 {
        crm.refuse(&id.to_string());
    }
    let dir = users(&crm, &rows(200), "batch = 1\nconcurrency = 1");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed", "pending"])), (2, [0, 20, 180]), "{}", done.err);
    assert!(done.err.contains("it rejected the first 20 rows and accepted none"), "{}", done.err);
    assert_eq!(crm.requests(), 20);
}

#[test]
fn an_answer_that_cannot_be_matched_with_its_items_is_not_believed() {
    for fault in [
        Fault::Says("{\"errors\":[{\"batch_index\":99,\"reason\":\"x\"}]}"),
        Fault::Says("{\"errors\":[{\"reason\":\"x\"}]}"),
        Fault::Says("oops"),
        Fault::Garbage,
        Fault::DoneBut(502),
    ] {
        let crm = Destination::start();
        crm.fault([fault.clone()]);
        let dir = users(&crm, &rows(4), "");
        let (done, counts) = sync(&dir, &[]);
        // At least once: a row that may have been delivered is sent again.
        assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (0, [4, 0]), "{fault:?}: {}", done.err);
        assert_eq!(crm.done().len(), 8, "{fault:?}");
    }
}

#[test]
fn a_row_that_may_have_arrived_is_deleted_when_it_is_gone() {
    let crm = Destination::start();
    // The whole request was processed, but the answer belongs to another request. The request has one row, so it cannot
    // be split.
    crm.fault([Fault::Says("{\"errors\":[{\"batch_index\":99,\"reason\":\"x\"}]}")]);
    let dir = users(&crm, "{\"id\":1}\n", "[changes]\nmode = \"mirror\"\nmax_deletes = 1");
    assert_eq!(sync(&dir, &[]).0.code, 1);
    assert_eq!(crm.persons().keys().collect::<Vec<_>>(), ["1"]);
    dir.file("rows.jsonl", "{\"id\":2}\n");
    assert_eq!(sent(&dir, &[]), 2);
    assert_eq!(crm.persons().keys().collect::<Vec<_>>(), ["2"]);
}

#[test]
fn what_a_sink_cannot_take_is_a_reject_that_says_why() {
    let crm = Destination::start();
    let long = "x".repeat(1001);
    let dir = users(&crm, &format!("{}{{\"id\":9,\"bio\":\"{long}\"}}\n", rows(2)), "[transform]\ncode = \"t.js\"");
    dir.file("t.js", "export const transformEvent = (e) => (e.userId === '1' ? { ...e, type: 'group' } : e);\n");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (1, [1, 2]));
    let status = run(&dir, &["sync", "status", "sync.toml"]);
    for wanted in ["a group event needs groupId", "its attribute bio has 1001 bytes; Customer.io takes 1000"] {
        assert!(status.text().contains(wanted), "{}", status.text());
    }
}

#[test]
fn a_group_becomes_an_object_with_a_relationship() {
    let crm = Destination::start();
    let dir = users(&crm, "{\"id\":\"u\",\"account\":\"a\"}\n", "[event]\ntype = \"group\"\ngroup_id = \"account\"");
    assert_eq!(sent(&dir, &[]), 1);
    assert_eq!(crm.objects()["a"], json!({ "account": "a" }));
    assert_eq!(crm.done()[0]["cio_relationships"], json!([{ "identifiers": { "id": "u" } }]));
}

#[test]
fn code_that_throws_fails_its_row_alone() {
    let crm = Destination::start();
    let dir = users(&crm, &rows(3), "[transform]\ncode = \"t.js\"");
    dir.file("t.js", "export function transformEvent(e) {\n  if (e.userId === '1') e.a.b();\n  return [e, e];\n}\n");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (1, [2, 1]), "{}", done.err);
    let wanted =
        "failed: 1 at crm (transformation): TypeError: Cannot read properties of undefined (reading 'b') (t.js:2:29)";
    assert!(run(&dir, &["sync", "sync.toml"]).err.contains(wanted));
}

#[test]
fn an_event_goes_only_where_its_integrations_let_it() {
    let dir = Dir::new();
    dir.file(
        "rows.jsonl",
        "{\"id\":1,\"to\":\"crm\"}\n{\"id\":2,\"to\":\"Salesforce\"}\n{\"id\":3,\"to\":\"nobody\"}\n",
    );
    dir.file(
        "t.js",
        "export const transformEvent = (e) => ({ ...e, integrations: { All: false, [e.traits.to]: true } });\n",
    );
    let sink = |name: &str| format!("[[sink]]\nname = \"{name}\"\nkind = \"file\"\npath = \"{name}.jsonl\"\n");
    let sinks = sink("crm") + &sink("sf") + "integration = \"Salesforce\"\n";
    dir.file(
        "sync.toml",
        format!("[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n[transform]\ncode = \"t.js\"\n{sinks}"),
    );
    let (_, counts) = sync(&dir, &[]);
    assert_eq!(numbers(&counts, ["sent", "dropped"]), [2, 1]);
    assert!(dir.read("crm.jsonl").contains("\"recordId\":\"1\"") && dir.read("crm.jsonl").lines().count() == 1);
    assert!(dir.read("sf.jsonl").contains("\"recordId\":\"2\"") && dir.read("sf.jsonl").lines().count() == 1);
    assert_eq!(sent(&dir, &[]), 0);
    // A new sink gets its rows, and the others get nothing again.
    let config = dir.read("sync.toml");
    dir.file("sync.toml", config + &sink("other") + "integration = \"Salesforce\"\n");
    assert_eq!(sent(&dir, &[]), 1);
    assert_eq!(dir.read("other.jsonl").lines().count(), 1);
    assert_eq!(dir.read("sf.jsonl").lines().count(), 1);
}

#[test]
fn one_sink_that_fails_does_not_hold_up_another() {
    let crm = Destination::start();
    crm.reject("1");
    let dir = users(&crm, &rows(2), "[[sink]]\nname = \"file\"\nkind = \"file\"\npath = \"out.jsonl\"");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (1, [1, 1]), "{}", done.err);
    assert_eq!(dir.read("out.jsonl").lines().count(), 2);
    crm.no_faults();
    assert_eq!(sent(&dir, &[]), 1);
    assert_eq!(dir.read("out.jsonl").lines().count(), 2, "the sink that has it does not get it again");
}

#[test]
fn a_webhook_takes_the_body_that_the_code_makes() {
    let web = Web::start(|asked| {
        let records: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
        let answers = records["records"].as_array().unwrap().iter().map(|record| match record["Name"].as_str() {
            Some("bad") => json!({ "success": false, "errors": [{ "statusCode": "DUPLICATE_VALUE" }] }),
            _ => json!({ "success": true, "errors": [] }),
        });
        Reply::json(&serde_json::Value::from(answers.collect::<Vec<_>>()).to_string())
    });
    let dir = Dir::new();
    dir.file("rows.jsonl", "{\"id\":1,\"name\":\"good\"}\n{\"id\":2,\"name\":\"bad\"}\n{\"id\":3,\"name\":\"fine\"}\n");
    dir.file("token", "secret-token\n");
    dir.file("t.js", "export const transformEvent = (e) => ({ ...e, body: { Name: e.traits.name } });\n");
    dir.file(
        "sync.toml",
        format!(
            "[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n[transform]\ncode = \"t.js\"\n[[sink]]\nname = \"sf\"\n\
             kind = \"webhook\"\nurl = \"{}\"\nmethod = \"PATCH\"\nauth = \"file:token\"\nheaders = {{ x-api = \"v1\" }}\n\
             body = \"body\"\nbatch = 200\nwrap = \"records\"\nresults = \"list\"\n{QUICK}",
            web.url("/composite")
        ),
    );
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (1, [2, 1]), "{}", done.err);
    let asked = &web.requests()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("PATCH", "/composite"));
    assert_eq!(asked.header("authorization"), Some("Bearer secret-token"));
    assert_eq!(asked.header("x-api"), Some("v1"));
    assert_eq!(asked.body, r#"{"records":[{"Name":"good"},{"Name":"bad"},{"Name":"fine"}]}"#);
    let status = run(&dir, &["sync", "status", "sync.toml"]);
    assert!(status.text().contains("DUPLICATE_VALUE"), "{}", status.text());
    assert!(!status.text().contains("secret-token") && !done.err.contains("secret-token"));
}

#[test]
fn a_redirect_a_wrong_certificate_and_a_slow_body_are_told_as_they_are() {
    let redirects = Web::start(|_| Reply::redirect(302, "https://elsewhere.example/"));
    let tls = Web::start_tls(|_| Reply::json("{}"));
    let slow = Web::start(|_| Reply { head: "200 OK\r\nContent-Length: 100\r\n".to_owned(), body: b"{".to_vec() });
    for (url, more, code, wanted) in [
        (redirects.url("/"), "", 2, "it redirects (302) to https://elsewhere.example/"),
        (format!("https://127.0.0.1:{}/", tls.port()), "", 2, "no answer from 127.0.0.1: invalid peer certificate"),
        (slow.url("/"), "timeout = \"100ms\"\nretries = 1", 1, "no answer in time"),
        ("http://127.0.0.1:1/".to_owned(), "retries = 1", 1, "no answer from 127.0.0.1"),
    ] {
        let dir = Dir::new();
        dir.file("rows.jsonl", rows(2));
        let quick = if more.contains("timeout") { QUICK.replace("timeout = \"20s\"\n", "") } else { QUICK.to_owned() };
        dir.file(
            "sync.toml",
            format!(
                "[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n[[sink]]\nname = \"hook\"\nkind = \"webhook\"\n\
                 url = \"{url}\"\nbatch = 2\n{quick}{more}\n"
            ),
        );
        let (done, counts) = sync(&dir, &[]);
        assert_eq!((done.code, numbers(&counts, ["sent", "pending"])), (code, [0, 2]), "{url}: {}", done.err);
        let status = run(&dir, &["sync", "status", "sync.toml"]);
        assert!(format!("{}{}", done.err, status.text()).contains(wanted), "{wanted}: {}{}", done.err, status.text());
    }
}

#[test]
fn a_large_row_goes_out_with_the_one_before_it() {
    let dir = Dir::new();
    dir.file("t.js", "export const transformEvent = (e) => ({ ...e, context: {}, n: e.traits.bio.length + (e.context.previous?.bio.length ?? 0) });\n");
    dir.file(
        "sync.toml",
        "[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n[changes]\nprevious = true\n[transform]\ncode = \"t.js\"\n\
         [[sink]]\nname = \"out\"\nkind = \"file\"\npath = \"out.jsonl\"\n",
    );
    for letter in ["x", "y"] {
        dir.file(
            "rows.jsonl",
            format!("{{\"id\":1,\"bio\":\"{}\"}}\n{{\"id\":2,\"bio\":\"{letter}\"}}\n", letter.repeat(10 << 20)),
        );
        assert_eq!(sent(&dir, &[]), 2);
    }
    let out = dir.read("out.jsonl");
    let lengths: Vec<_> = out.lines().map(|line| line.rsplit_once(":").unwrap().1).collect();
    assert_eq!(lengths, ["10485760}", "1}", "20971520}", "2}"]);
}

#[test]
fn batches_stay_within_the_size_limit() {
    let crm = Destination::start();
    let bio = "y".repeat(900);
    let rows: String = (0..1500).map(|id| format!("{{\"id\":{id},\"a\":\"{bio}\",\"b\":\"{bio}\"}}\n")).collect();
    let dir = users(&crm, &rows, "");
    assert_eq!(sent(&dir, &[]), 1500);
    // The stand-in refuses requests over 500 kB.
    assert!(crm.requests() >= 6, "{}", crm.requests());
    assert_eq!(crm.persons().len(), 1500);
}
