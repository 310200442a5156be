//! A RudderStack data plane that reports the result of each row: `/internal/v1/retl`, the status of the run, failed
//! records.

use serde_json::Value;

use super::destination::{Api, Destination, Fault};
use super::{QUICK, numbers, run, sync};
use crate::support::Dir;

fn config(plane: &Destination, more: &str) -> String {
    format!(
        "[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n[[sink]]\nname = \"plane\"\nkind = \"rudder\"\nurl = \"{}\"\n\
         source_id = \"src\"\ndestination_id = \"dst\"\ngzip = false\nconcurrency = 1\n{QUICK}{more}\n",
        plane.url()
    )
}

/// A folder with a sync of rows with the keys 1 to `count`.
fn users(plane: &Destination, count: u32, more: &str) -> Dir {
    let dir = Dir::new();
    dir.file("rows.jsonl", (1..=count).map(|id| format!("{{\"id\":\"{id}\",\"n\":1}}\n")).collect::<String>());
    dir.file("sync.toml", config(plane, more));
    dir
}

fn problems(dir: &Dir) -> Vec<Value> {
    let status: Value = serde_json::from_str(run(dir, &["sync", "status", "--json"]).text()).unwrap();
    status["problems"].as_array().unwrap_or_else(|| panic!("{status}")).clone()
}

/// The keys of rows that are not settled, and the reasons.
fn reasons(dir: &Dir) -> Vec<(String, String)> {
    let text = |problem: &Value, name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    problems(dir).iter().map(|problem| (text(problem, "key"), text(problem, "reason"))).collect()
}

#[test]
fn a_row_is_sent_when_the_destination_has_it() {
    let plane = Destination::of(Api::Retl);
    ["2", "3", "5"].iter().for_each(|user| plane.reject(user));
    let dir = users(&plane, 8, "batch = 6");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed", "pending"])), (1, [5, 3, 0]), "{}", done.err);
    let why = "RudderStack could not deliver it: the destination answered 422".to_owned();
    assert_eq!(reasons(&dir), ["2", "3", "5"].map(|key| (key.to_owned(), why.clone())));
    assert_eq!(plane.persons().into_keys().collect::<Vec<_>>(), ["1", "4", "6", "7", "8"]);
    // The sync deletes finished tasks. The failed records came in two pages.
    assert!(plane.plane(|plane| plane.is_empty()));
    let asked = plane.web.requests();
    let pages = asked.iter().filter(|asked| asked.method == "GET" && asked.path.contains("/failed-records?"));
    assert_eq!(pages.count(), 2);
    // Only the failed rows are sent again.
    plane.no_faults();
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["unchanged", "sent"])), (0, [5, 3]), "{}", done.err);
    assert_eq!(plane.persons().len(), 8);
}

#[test]
fn events_have_their_ids_whatever_the_code_makes_of_them() {
    let plane = Destination::of(Api::Retl);
    plane.reject("2");
    let dir = users(&plane, 2, "");
    dir.file(
        "t.js",
        "export function transformEvent({ userId, traits }) {\n  return [\n    \
         { type: 'identify', userId, traits, context: { sources: { job_run_id: 'x', more: 1 }, ip: '0.0.0.0' }, recordId: 7 },\n    \
         { type: 'identify', userId, traits },\n  ];\n}\n",
    );
    dir.file("sync.toml", config(&plane, "").replace("[[sink]]", "[transform]\ncode = \"t.js\"\n[[sink]]"));
    // The stand-in checks the ids.
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (1, [1, 1]), "{}", done.err);
    let event: Value = serde_json::from_str(&plane.web.requests()[0].body).unwrap();
    let ids: Vec<_> = event["batch"].as_array().unwrap().iter().map(|event| event["recordId"].clone()).collect();
    assert_eq!(ids, ["1", "1#2", "2", "2#2"]);
    assert_eq!(reasons(&dir)[0].1, "RudderStack could not deliver it: the destination answered 422");
    let context = &event["batch"][0]["context"];
    assert_eq!((&context["sources"]["more"], &context["ip"]), (&1.into(), &"0.0.0.0".into()));
}

#[test]
fn what_failed_without_a_name_may_be_any_row_of_its_request() {
    let plane = Destination::of(Api::Retl);
    plane.reject("1");
    plane.plane(|plane| plane.dropped.insert("2".to_owned()));
    let dir = users(&plane, 6, "batch = 3");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (1, [3, 3]), "{}", done.err);
    let reasons = reasons(&dir);
    assert!(reasons[0].1.ends_with("the destination answered 422"), "{reasons:?}");
    let unnamed = "RudderStack counts 2 failed events in its request of 3, and names 1; it names none that it drops itself, and \
                   this may be one";
    assert_eq!((&*reasons[1].1, &*reasons[2].1), (unnamed, unnamed));
    // A data plane that does not keep the failed records.
    plane.no_faults();
    plane.reject("4");
    plane.plane(|plane| plane.keeps_nothing = true);
    dir.file("rows.jsonl", (1..=6).map(|id| format!("{{\"id\":\"{id}\",\"n\":2}}\n")).collect::<String>());
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (1, [3, 3]), "{}", done.err);
    let told = run(&dir, &["sync", "status"]).text().to_owned();
    assert!(
        told.contains(
            "RudderStack counts 1 failed events in its request of 3, and this data plane does not keep which"
        ),
        "{told}"
    );
}

#[test]
fn a_status_that_is_never_complete_leaves_rows_pending() {
    let plane = Destination::of(Api::Retl);
    plane.plane(|plane| plane.is_stuck = true);
    let dir = users(&plane, 2, "status_timeout = \"1ms\"");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed", "pending"])), (1, [0, 0, 2]), "{}", done.err);
    let why = "the data plane has it, and did not say within 1ms what came of it";
    assert_eq!(reasons(&dir), ["1", "2"].map(|key| (key.to_owned(), why.to_owned())));
    assert!(done.err.contains(why), "{}", done.err);
    plane.no_faults();
    dir.file("sync.toml", config(&plane, ""));
    assert_eq!(super::sent(&dir, &[]), 2);
}

#[test]
fn a_status_that_is_not_there_at_first_is_asked_for_again() {
    let plane = Destination::of(Api::Retl);
    plane.fault([Fault::Status(503), Fault::DoneBut(500)]);
    let dir = users(&plane, 3, "");
    // The request is refused once, then processed with an error as answer, then accepted.
    plane.reject("3");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (1, [2, 1]), "{}", done.err);
    plane.no_faults();
    let before = plane.requests();
    plane.fault([Fault::Garbage, Fault::Status(502), Fault::With(429, "Retry-After", "0"), Fault::Garbage]);
    assert_eq!(super::sent(&dir, &[]), 1);
    assert!(plane.requests() >= before + 5);
}

#[test]
fn a_signal_ends_the_wait() {
    let plane = Destination::of(Api::Retl);
    plane.plane(|plane| plane.is_stuck = true);
    let dir = users(&plane, 2, "");
    let child = dir.command(&["sync", "sync.toml", "--stats", "json"]).spawn().unwrap();
    plane.web.wait(2);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    let done = crate::support::finish(child, Vec::new());
    assert_eq!(done.code, 143, "{}", done.err);
    assert!(reasons(&dir)[0].1.starts_with("the data plane has it; the run ended before it was known"));
    plane.no_faults();
    assert_eq!(super::sent(&dir, &[]), 2);
}

/// The answers of a data plane that refuses the sync, by request and status, and the messages to the user.
#[test]
fn a_refusal_stops_the_run_and_says_what_to_do() {
    for (request, status, says, expected, help) in [
        (
            0,
            401,
            "invalid source id",
            "it refuses this source: 401 invalid source id",
            "see that source_id is the id of a source",
        ),
        (
            0,
            404,
            "source is disabled",
            "it refuses this sync: 404 source is disabled",
            "switch the source and the destination on",
        ),
        (
            0,
            400,
            "invalid destination id",
            "it refuses this destination: 400 invalid destination id",
            "connected to the source",
        ),
        (
            0,
            404,
            "404 page not found",
            "it does not take rows of a sync: 404",
            "/internal/v1/retl is not there: the data plane is too old",
        ),
        (
            1,
            404,
            "404 page not found",
            "it does not say what came of the rows: 404",
            "/internal/v2/job-status/ is not there: the data plane is too old",
        ),
        (
            1,
            403,
            "no",
            "it refuses to say what came of the rows: 403 no",
            "headers = { authorization = \"env:TOKEN\" }",
        ),
    ] {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let web = crate::support::web_server::Web::start(move |_| {
            match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                count if count < request => crate::support::web_server::Reply::new(200, &[], "OK"),
                _ => crate::support::web_server::Reply::new(status, &[], says),
            }
        });
        let plane = Destination::of(Api::Retl);
        let dir = users(&plane, 2, "");
        dir.file("sync.toml", config(&plane, "").replace(&plane.url(), &web.url("")));
        let (done, counts) = sync(&dir, &[]);
        assert_eq!((done.code, numbers(&counts, ["sent", "pending"])), (2, [0, 2]), "{says}: {}", done.err);
        assert!(done.err.contains(expected) && done.err.contains(help), "{says}: {}", done.err);
    }
}

#[test]
fn a_request_whose_failed_records_are_not_said_holds_up_no_other() {
    for status in [500, 404] {
        let plane = Destination::of(Api::Retl);
        ["1", "4"].iter().for_each(|user| plane.reject(user));
        plane.plane(|plane| plane.says_not = Some(("1".to_owned(), status)));
        let dir = users(&plane, 6, "batch = 1\nstatus_timeout = \"2s\"");
        let (done, counts) = sync(&dir, &[]);
        let counts = numbers(&counts, ["sent", "failed", "pending"]);
        assert_eq!((done.code, counts), (1, [4, 1, 1]), "{status}: {}", done.err);
    }
}

#[test]
fn no_two_events_have_one_record_id() {
    let plane = Destination::of(Api::Retl);
    let dir = users(&plane, 1, "");
    dir.file("rows.jsonl", "{\"id\":\"1\",\"n\":1}\n{\"id\":\"1#2\",\"n\":1}\n{\"id\":\"1#\",\"n\":1}\n");
    dir.file(
        "t.js",
        "export function transformEvent({ userId, traits }) {\n  return [{ type: 'identify', userId, traits, context: null }, { type: 'identify', userId, traits }];\n}\n",
    );
    dir.file("sync.toml", config(&plane, "").replace("[[sink]]", "[transform]\ncode = \"t.js\"\n[[sink]]"));
    assert_eq!(super::sent(&dir, &[]), 3);
    let event: Value = serde_json::from_str(&plane.web.requests()[0].body).unwrap();
    let ids: Vec<_> = event["batch"].as_array().unwrap().iter().map(|event| event["recordId"].clone()).collect();
    assert_eq!(ids, ["1", "1#2", "1#2#1", "1#2#2", "1#", "1##2"]);
}

#[test]
fn another_destination_of_the_same_data_plane_is_another_place() {
    let plane = Destination::of(Api::Retl);
    let dir = users(&plane, 1, "");
    assert_eq!(super::sent(&dir, &[]), 1);
    dir.file("sync.toml", config(&plane, "").replace("\"dst\"", "\"other\""));
    let (done, _) = sync(&dir, &[]);
    assert!(done.code == 2 && done.err.contains("sends to another place than in the last run"), "{}", done.err);
}

#[test]
fn headers_go_with_every_request() {
    let plane = Destination::of(Api::Retl);
    let dir = users(&plane, 1, "headers = { x-gate = \"env:CIO_KEY\" }");
    assert_eq!(super::sent(&dir, &[]), 1);
    assert!(plane.web.requests().iter().all(|asked| asked.header("x-gate") == Some("site:key")));
}
