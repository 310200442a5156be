//! The commands of `sluicegate sync` other than a run.

use super::destination::Destination;
use super::{numbers, run, sent, sync, users};
use crate::support::Dir;

const TWO: &str = "{\"id\":\"u1\",\"plan\":\"free\"}\n{\"id\":\"u2\",\"plan\":\"team\"}\n";

#[test]
fn a_dry_run_shows_what_would_go_out_and_touches_nothing() {
    let crm = Destination::start();
    let dir = users(&crm, TWO, "[changes]\nprevious = true");
    // A dry run needs no secret, because it sends nothing.
    let done = dir.run(&["sync", "sync.toml", "--dry-run"], "");
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.text().starts_with("+ u1 (new)\n    id: \"u1\"\n    plan: \"free\"\n    crm <- {\"type\":\"person\""));
    assert!(done.err.starts_with("dry run, nothing was sent: 2 read = 0 unchanged + 2 new"), "{}", done.err);
    assert!(!dir.path().join("sync.state.db").exists());
    assert_eq!(sent(&dir, &[]), 2);
    dir.file("rows.jsonl", TWO.replace("free", "business"));
    let state = std::fs::read(dir.path().join("sync.state.db")).unwrap();
    let done = dir.run(&["sync", "sync.toml", "--dry-run"], "");
    assert!(done.text().starts_with("~ u1 (changed)\n    plan: \"free\" -> \"business\"\n"), "{}", done.text());
    assert_eq!(std::fs::read(dir.path().join("sync.state.db")).unwrap(), state);
    assert_eq!(crm.done().len(), 2);
    assert_eq!(sent(&dir, &[]), 1);
}

#[test]
fn a_limit_and_a_key_leave_the_other_rows_for_the_next_run() {
    let crm = Destination::start();
    let dir = users(&crm, TWO, "");
    let (done, counts) = sync(&dir, &["--key", "u2"]);
    assert_eq!((done.code, numbers(&counts, ["sent", "pending"])), (0, [1, 1]), "{}", done.err);
    assert_eq!(crm.persons().keys().collect::<Vec<_>>(), ["u2"]);
    dir.file("rows.jsonl", TWO.to_owned() + "{\"id\":\"u3\"}\n");
    let (done, counts) = sync(&dir, &["--key", "u9"]);
    assert_eq!((done.code, numbers(&counts, ["sent", "pending"])), (0, [0, 2]), "{}", done.err);
    let done = run(&dir, &["sync", "sync.toml", "--key", "u9"]);
    assert!(done.err.contains("no row with the key u9 is new, changed or gone; see why:"), "{}", done.err);
    let (_, counts) = sync(&dir, &["--limit", "1"]);
    assert_eq!(numbers(&counts, ["sent", "pending"]), [1, 1]);
    assert_eq!(sent(&dir, &[]), 1);
}

#[test]
fn explain_says_everything_about_one_row() {
    let crm = Destination::start();
    crm.reject("u1");
    let dir = users(&crm, TWO, "[changes]\nprevious = true\n[transform]\ncode = \"t.js\"");
    dir.file("t.js", "export const transformEvent = (e) => (e.userId === 'u2' ? null : { ...e, traits: { a: 1 } });\n");
    sync(&dir, &[]);
    let done = run(&dir, &["sync", "explain", "sync.toml", "u1"]);
    assert_eq!(done.code, 0, "{}", done.err);
    for wanted in [
        "row (line 1): {\"id\":\"u1\",\"plan\":\"free\"}\n",
        "event: {\"type\":\"identify\",\"channel\":\"sources\"",
        "output: {\"type\":\"identify\"",
        "/api/v2/batch\n{\"batch\":[{\"type\":\"person\",\"action\":\"identify\",\"identifiers\":{\"id\":\"u1\"},\"attributes\":{\"a\":1}}]}\n",
        "crm: never settled\n",
        "crm: failed in run 1 at ",
        "crm: last answer: {\"batch_index\":0,",
    ] {
        assert!(done.text().contains(wanted), "{wanted}\n{}", done.text());
    }
    let done = run(&dir, &["sync", "explain", "u2"]);
    assert!(done.text().contains("verdict: dropped by the transformation\n"), "{}{}", done.text(), done.err);
    assert!(done.text().contains("crm: this row settled in run 1: dropped\n"), "{}", done.text());
    let done = run(&dir, &["sync", "explain", "sync.toml", "u9"]);
    assert!(
        done.code == 2 && done.err.contains("no row has the key u9, and the state does not know it"),
        "{}",
        done.err
    );
    assert_eq!(crm.requests(), 1, "nothing is sent");
}

#[test]
fn a_baseline_marks_rows_as_sent_and_forget_makes_them_new() {
    let crm = Destination::start();
    let dir = users(&crm, TWO, "");
    let done = dir.run(&["sync", "baseline", "sync.toml"], "");
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(crm.requests(), 0);
    assert_eq!(sent(&dir, &[]), 0);
    let done = run(&dir, &["sync", "forget", "sync.toml", "u2", "u7"]);
    assert_eq!(done.text(), "1 of 2 keys were known and are forgotten; their rows are new at the next sync\n");
    assert_eq!(sent(&dir, &[]), 1);
    assert_eq!(crm.persons().keys().collect::<Vec<_>>(), ["u2"]);
}

#[test]
fn status_speaks_to_people_and_to_machines() {
    let crm = Destination::start();
    let dir = users(&crm, TWO, "");
    let done = run(&dir, &["sync", "status", "sync.toml"]);
    assert!(done.code == 2 && done.err.contains("there is no state yet"), "{}", done.err);
    sent(&dir, &[]);
    let done = run(&dir, &["sync", "status", "sync.toml"]);
    assert!(done.text().starts_with("sync: 2 keys, state sync.state.db\n  crm: 2 sent\nruns, the last first:\n  1 "));
    assert!(done.text().contains(" sync: complete; 2 read, 2 to send: 2 sent, 0 dropped, 0 failed, 0 pending\n"));
    let status: serde_json::Value = serde_json::from_str(run(&dir, &["sync", "status", "--json"]).text()).unwrap();
    assert_eq!(status["sinks"]["crm"]["settled"]["sent"], 2);
    assert_eq!(status["runs"][0]["counts"]["sent"], 2);
}

#[test]
fn init_writes_a_config_that_works() {
    let dir = Dir::new();
    dir.file("rows.jsonl", TWO);
    let done = run(&dir, &["sync", "init", "--file", "rows.jsonl"]);
    assert_eq!(done.code, 0, "{}", done.err);
    dir.file("sync.toml", done.text());
    assert_eq!(sent(&dir, &[]), 2);
    assert_eq!(dir.read("out.jsonl").lines().count(), 2);
    let done = run(&dir, &["sync", "init", "--", "cat", "rows.jsonl"]);
    assert!(done.text().contains("command = [\"cat\", \"rows.jsonl\"]"), "{}", done.text());
}

#[test]
fn metrics_and_logs_are_for_machines() {
    let crm = Destination::start();
    let dir = users(&crm, TWO, "");
    let done = run(&dir, &["sync", "sync.toml", "--metrics-file", "sync.prom", "--log-format", "json"]);
    assert_eq!(done.code, 0, "{}", done.err);
    for line in done.err.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    let metrics = dir.read("sync.prom");
    for wanted in [
        "sluicegate_sync_rows{sync=\"sync\",state=\"new\"} 2\n",
        "sluicegate_sync_rows_to_send{sync=\"sync\",result=\"sent\"} 2\n",
        "sluicegate_sync_requests{sync=\"sync\",sink=\"crm\"} 1\n",
        "sluicegate_sync_exit_code{sync=\"sync\"} 0\n",
    ] {
        assert!(metrics.contains(wanted), "{wanted}\n{metrics}");
    }
}

#[test]
fn a_collector_gets_a_span_of_each_run() {
    use crate::support::web_server::{Reply, Web};
    let collector = Web::start(|_| Reply::json("{}"));
    let crm = Destination::start();
    let dir = users(&crm, TWO, "");
    let mut command = dir.command(&["sync", "sync.toml"]);
    command.env("CIO_KEY", "site:key").env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url(""));
    command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
    let done = crate::support::finish(command.spawn().unwrap(), Vec::new());
    assert_eq!(done.code, 0, "{}", done.err);
    let asked: String = collector.requests().iter().map(|asked| asked.body.clone()).collect();
    for wanted in ["\"sync\"", "\"detect\"", "\"deliver\"", "sluicegate.rows.sent"] {
        assert!(asked.contains(wanted), "{wanted}: {asked}");
    }
}

#[test]
fn events_have_what_rudderstacks_have() {
    let dir = Dir::new();
    dir.file("rows.jsonl", TWO);
    dir.file(
        "sync.toml",
        "name = \"users\"\n[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n[event]\ntype = \"record\"\n\
         external_id = { type = \"Salesforce-Lead\", column = \"plan\" }\n\
         [[sink]]\nname = \"out\"\nkind = \"file\"\npath = \"out.jsonl\"\n",
    );
    sent(&dir, &[]);
    let first = dir.read("out.jsonl").lines().next().unwrap().to_owned();
    let event: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(
        (&event["channel"], &event["action"], &event["recordId"]),
        (&"sources".into(), &"insert".into(), &"u1".into())
    );
    let sources = &event["context"]["sources"];
    assert_eq!(sources["job_id"], "users");
    for field in ["job_run_id", "task_run_id", "batch_id", "version"] {
        assert!(sources[field].is_string(), "{field}: {sources}");
    }
    assert_eq!(event["context"]["externalId"][0]["type"], "Salesforce-Lead");
    // The same row results in the same message each time it is sent.
    run(&dir, &["sync", "forget", "sync.toml", "u1"]);
    sent(&dir, &[]);
    let again: serde_json::Value = serde_json::from_str(dir.read("out.jsonl").lines().last().unwrap()).unwrap();
    assert_eq!(again["messageId"], event["messageId"]);
}
