//! Which rows are sent.

use serde_json::json;

use super::destination::Destination;
use super::{numbers, run, sent, sync, users};
use crate::support::Dir;

const THREE: &str = "{\"id\":1,\"plan\":\"free\"}\n{\"id\":2,\"plan\":\"team\"}\n{\"id\":3,\"plan\":null}\n";

#[test]
fn only_what_changed_goes_out() {
    let crm = Destination::start();
    let dir = users(&crm, THREE, "");
    assert_eq!(sent(&dir, &[]), 3);
    assert_eq!(crm.persons()["3"], json!({ "plan": null }));
    assert_eq!(sent(&dir, &[]), 0);
    // Another order of rows and columns, other escapes, and a missing null do not change a row.
    dir.file("rows.jsonl", "{\"id\":3}\n{\"plan\": \"\\u0074eam\", \"id\":2}\n{\"id\":1,\"plan\":\"free\"}\n");
    assert_eq!(sent(&dir, &[]), 0);
    dir.file("rows.jsonl", THREE.replace("free", "team") + "{\"id\":4,\"plan\":\"x\"}");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!(numbers(&counts, ["read", "unchanged", "new", "changed", "sent"]), [4, 2, 1, 1, 2], "{}", done.err);
    assert_eq!(crm.persons().len(), 4);
    assert_eq!(crm.done().len(), 5);
}

#[test]
fn the_last_line_proves_that_no_row_was_lost() {
    let crm = Destination::start();
    crm.reject("2");
    let dir = users(&crm, &format!("{THREE}{{\"id\":null}}\n"), "");
    let done = run(&dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 1);
    let last = done.err.lines().last().unwrap().rsplit_once(" · ").unwrap().0;
    assert_eq!(
        last,
        "4 read = 0 unchanged + 3 new + 0 changed + 1 invalid · 3 to send = 2 sent + 0 dropped + 1 failed + 0 pending"
    );
    assert!(done.err.contains("failed: 2 at crm (destination): invalid: id: not today\n"), "{}", done.err);
    assert!(done.err.contains("invalid: line 4: its key, id, is null or empty\n"), "{}", done.err);
    assert_eq!(run(&dir, &["sync", "sync.toml", "--fail-on", "never"]).code, 0);
}

#[test]
fn a_key_that_is_there_twice_is_rejected_and_not_last_wins() {
    let crm = Destination::start();
    let dir = users(&crm, THREE, "");
    assert_eq!(sent(&dir, &[]), 3);
    // A known row and another one with its key, and two rows with a new key, as a number and as a text.
    let twice = "{\"id\":1,\"plan\":\"other\"}\n{\"id\":9,\"plan\":\"a\"}\n{\"id\":\"9\",\"plan\":\"b\"}\n";
    dir.file("rows.jsonl", format!("{THREE}{twice}{{\"id\":5}}\n"));
    let (done, counts) = sync(&dir, &[]);
    assert_eq!(done.code, 1);
    assert_eq!(numbers(&counts, ["read", "unchanged", "new", "changed", "invalid", "sent"]), [7, 2, 1, 0, 4, 1]);
    assert_eq!(crm.persons().keys().collect::<Vec<_>>(), ["1", "2", "3", "5"]);
    assert_eq!(crm.persons()["1"], json!({ "plan": "free" }));
    let status = run(&dir, &["sync", "status", "sync.toml"]);
    assert!(status.text().contains("line 1: several rows have the key 1"), "{}", status.text());
    assert!(status.text().contains("line 6: several rows have the key 9"), "{}", status.text());
}

#[test]
fn a_mirror_deletes_what_is_gone_and_only_what_it_has_sent() {
    let crm = Destination::start();
    let dir = users(&crm, THREE, "[changes]\nmode = \"mirror\"\nmax_deletes = 1\n[transform]\ncode = \"t.js\"");
    dir.file("t.js", "export const transformEvent = (event) => (event.userId === '2' ? null : event);\n");
    assert_eq!(sent(&dir, &[]), 2);
    // No row with key 2 was ever sent: the state forgets the key, and nothing is deleted.
    dir.file("rows.jsonl", "{\"id\":3,\"plan\":null}\n");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["deletes", "forgotten", "sent"])), (0, [1, 1, 1]), "{}", done.err);
    assert_eq!(crm.persons().keys().collect::<Vec<_>>(), ["3"]);
    assert_eq!(crm.done().last().unwrap()["action"], "delete");
    // A key that returns is new.
    dir.file("rows.jsonl", THREE);
    assert_eq!(sent(&dir, &[]), 1);
    assert_eq!(crm.persons().keys().collect::<Vec<_>>(), ["1", "3"]);
}

#[test]
fn a_source_that_fails_or_shrinks_deletes_nothing() {
    let crm = Destination::start();
    let rows: String = (0..20).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let dir = users(&crm, &rows, "[changes]\nmode = \"mirror\"");
    assert_eq!(sent(&dir, &[]), 20);
    let config = dir.read("sync.toml");
    let refused = |dir: &Dir, wanted: &str| {
        let done = run(dir, &["sync", "sync.toml"]);
        assert_eq!(done.code, 2, "{}", done.err);
        assert!(done.err.contains(wanted), "{wanted}: {}", done.err);
    };
    // An empty source.
    dir.file("rows.jsonl", "");
    refused(&dir, "the source is empty, and this sync is a mirror of 20 keys; nothing was sent");
    // A source with far fewer rows.
    dir.file("rows.jsonl", "{\"id\":0}\n{\"id\":50}\n");
    refused(&dir, "19 keys are gone from the source, and max_deletes is 10% of 20 known keys, 2 rows");
    // A command that fails in the middle.
    let command = "command = [\"sh\", \"-c\", \"head -c 40 rows.jsonl; echo broken >&2; exit 7\"]";
    dir.file("rows.jsonl", &rows);
    dir.file("sync.toml", config.replace("file = \"rows.jsonl\"", command));
    refused(&dir, "the source command sh failed after 5 lines (exit status: 7): broken");
    // A file that is cut off in the middle of a row.
    dir.file("sync.toml", &config);
    dir.file("rows.jsonl", &rows[..rows.len() - 4]);
    refused(&dir, "the source file rows.jsonl ends in the middle of a row");
    // A row without its key may be any of the rows that seem to be deleted.
    dir.file("rows.jsonl", rows.replace("{\"id\":3}", "{\"id\":null}"));
    let done = run(&dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("nothing was deleted: 1 rows are invalid, and each of them may be"), "{}", done.err);
    // An invalid row still exists, so it is not deleted.
    let deep = format!("{{\"id\":3,\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    dir.file("rows.jsonl", rows.replace("{\"id\":3}", &deep));
    let done = run(&dir, &["sync", "sync.toml"]);
    assert!(done.code == 1 && done.err.contains("nothing was deleted: 1 rows are invalid"), "{}", done.err);
    let explained = run(&dir, &["sync", "explain", "3"]);
    assert!(explained.text().starts_with("invalid (line 4): the value of a is nested"), "{}", explained.text());
    assert_eq!(crm.persons().len(), 20);
    // With `--yes`, the deletes are sent.
    dir.file("rows.jsonl", "{\"id\":0}\n");
    assert_eq!(sent(&dir, &["--yes"]), 19);
    assert_eq!(crm.persons().len(), 1);
}

#[test]
fn too_many_changes_stop_the_run_and_ask() {
    let crm = Destination::start();
    let rows = |plan: &str| (0..10).map(|id| format!("{{\"id\":{id},\"plan\":\"{plan}\"}}\n")).collect::<String>();
    let dir = users(&crm, &rows("a"), "[changes]\nmax_changes = \"20%\"");
    assert_eq!(sent(&dir, &[]), 10, "the first sync is all changes");
    dir.file("rows.jsonl", rows("b"));
    let done = run(&dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 2);
    let wanted = "10 rows are new or changed, and max_changes is 20% of 10 known keys, 2 rows; nothing was sent";
    assert!(done.err.contains(wanted), "{}", done.err);
    assert_eq!(crm.done().len(), 10);
    // The help suggests a dry run, which shows the items that would be sent, and that a run would stop.
    let done = run(&dir, &["sync", "sync.toml", "--dry-run", "--limit", "1"]);
    assert!(done.code == 2 && done.text().starts_with("~ 0 (changed)\n"), "{}{}", done.text(), done.err);
    assert!(done.err.contains("error: a run would stop here: 10 rows are new or changed"), "{}", done.err);
    assert_eq!(run(&dir, &["sync", "sync.toml", "--dry-run", "--yes"]).code, 0);
    assert_eq!(sent(&dir, &["--yes"]), 10);
}

#[test]
fn the_row_as_last_acknowledged_stands_beside_the_new_one() {
    let dir = Dir::new();
    dir.file("rows.jsonl", "{\"id\":\"u\",\"plan\":\"free\",\"big\":9007199254740993}\n");
    dir.file("t.js", "export const transformEvent = ({ traits, userId }) => ({ userId, ...traits });\n");
    dir.file(
        "sync.toml",
        "[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n[changes]\nprevious = true\n[event]\n\
         rename = { plan = \"PLAN\" }\npairs = { into = \"new_truth\", previous = \"old_truth\" }\n\
         [transform]\ncode = \"t.js\"\n[[sink]]\nname = \"out\"\nkind = \"file\"\npath = \"out.jsonl\"\n",
    );
    assert_eq!(sent(&dir, &[]), 1);
    dir.file("rows.jsonl", "{\"id\":\"u\",\"plan\":\"team\",\"big\":9007199254740993}\n");
    assert_eq!(sent(&dir, &[]), 1);
    let lines: Vec<serde_json::Value> =
        dir.read("out.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["old_truth"], serde_json::Value::Null);
    assert_eq!(lines[0]["new_truth"], "[[\"PLAN\",\"free\"],[\"big\",9007199254740993]]");
    assert_eq!(lines[1]["old_truth"], lines[0]["new_truth"]);
    assert_eq!(lines[1]["new_truth"], "[[\"PLAN\",\"team\"],[\"big\",9007199254740993]]");
}

#[test]
fn what_one_destination_has_acknowledged_another_does_not_have() {
    let (test, real) = (Destination::start(), Destination::start());
    let dir = users(&test, THREE, "");
    assert_eq!(sent(&dir, &[]), 3);
    let config = dir.read("sync.toml").replace(&test.url(), &real.url());
    dir.file("sync.toml", &config);
    let done = run(&dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(
        done.err.contains("the sink crm sends to another place than in the last run; nothing was sent"),
        "{}",
        done.err
    );
    // The same destination under another address.
    assert_eq!(sent(&dir, &["--keep-settled"]), 0);
    assert_eq!(sent(&dir, &[]), 0);
    // Another destination.
    dir.file("sync.toml", config.replace("name = \"crm\"", "name = \"real\""));
    assert_eq!(sent(&dir, &[]), 3);
    assert_eq!((test.persons().len(), real.persons().len()), (3, 3));
}

#[test]
fn a_row_that_the_code_drops_does_not_become_the_previous_one() {
    let dir = Dir::new();
    dir.file("t.js", "export const transformEvent = (e) => (e.fields.plan.startsWith('no') ? null : e);\n");
    dir.file(
        "sync.toml",
        "[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n[changes]\nprevious = true\n[event]\ntype = \"record\"\n\
         [transform]\ncode = \"t.js\"\n[[sink]]\nname = \"out\"\nkind = \"file\"\npath = \"out.jsonl\"\n",
    );
    for plan in ["no-1", "free", "no-2", "no-3", "team"] {
        dir.file("rows.jsonl", format!("{{\"id\":1,\"plan\":\"{plan}\"}}\n"));
        let (_, counts) = sync(&dir, &[]);
        let dropped = u64::from(plan.starts_with("no"));
        assert_eq!(numbers(&counts, ["sent", "dropped"]), [1 - dropped, dropped], "{plan}");
        assert_eq!(sent(&dir, &[]), 0, "a dropped row is settled");
        if plan == "no-3" {
            let explained = run(&dir, &["sync", "explain", "1"]);
            let wanted = "previous row, as acknowledged: {\"id\":1,\"plan\":\"free\"}\n";
            assert!(explained.text().contains(wanted), "{}", explained.text());
            let wanted = "settled in run 7: dropped\nout: still has the row that it acknowledged before\n";
            assert!(explained.text().contains(wanted), "{}", explained.text());
        }
    }
    let lines: Vec<serde_json::Value> =
        dir.read("out.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["action"], &lines[0]["context"]["previous"]), (&"insert".into(), &serde_json::Value::Null));
    assert_eq!((&lines[1]["action"], &lines[1]["context"]["previous"]["plan"]), (&"update".into(), &"free".into()));
}

#[test]
fn rows_come_from_gzip_a_command_and_standard_input() {
    use std::io::Write;
    let crm = Destination::start();
    let dir = users(&crm, THREE, "");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(THREE.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    dir.file("rows.jsonl", &packed);
    assert_eq!(sent(&dir, &[]), 3);
    dir.file("rows.jsonl", &packed[..packed.len() - 9]);
    let done = run(&dir, &["sync", "sync.toml"]);
    assert!(done.code == 2 && done.err.contains("it is cut off: its compressed data have no end"), "{}", done.err);
    let config = dir.read("sync.toml");
    dir.file("sync.toml", config.replace("file = \"rows.jsonl\"", "command = [\"cat\", \"other.jsonl\"]"));
    dir.file("other.jsonl", THREE.replace("free", "x"));
    assert_eq!(sent(&dir, &[]), 1);
    dir.file("sync.toml", config.replace("file = \"rows.jsonl\"", "stdin = true"));
    let mut command = dir.command(&["sync", "sync.toml"]);
    command.env("CIO_KEY", "site:key");
    let done = crate::support::finish(command.spawn().unwrap(), THREE.replace("team", "y").into_bytes());
    assert!(done.code == 0 && done.err.contains("0 new + 2 changed"), "{}", done.err);
}

#[test]
fn other_code_or_another_mapping_wants_a_decision() {
    let crm = Destination::start();
    let dir = users(&crm, THREE, "[transform]\ncode = \"t.js\"");
    let code = |plan: &str| format!("export const transformEvent = (e) => (e.traits.plan === '{plan}' ? null : e);\n");
    dir.file("t.js", code("free"));
    assert_eq!(sent(&dir, &[]), 2);
    assert_eq!(sent(&dir, &[]), 0, "a dropped row is settled for this code");
    dir.file("t.js", code("none"));
    let done = run(&dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 2);
    let wanted =
        "the transformation is another one than in the last run: 3 of 3 rows are settled, 0 would go out anyway";
    assert!(done.err.contains(wanted), "{}", done.err);
    let plan = run(&dir, &["sync", "sync.toml", "--dry-run", "--resync"]);
    assert!(plan.text().contains("+ 1 (new)"), "nothing of it was ever sent: {}", plan.text());
    assert_eq!(crm.done().len(), 2, "a dry run sends nothing");
    assert_eq!(sent(&dir, &["--keep-settled"]), 0);
    assert_eq!(sent(&dir, &[]), 0);
    dir.file("t.js", code("nobody"));
    assert_eq!(sent(&dir, &["--resync"]), 3);
    assert_eq!(sent(&dir, &[]), 0);
    let config = dir.read("sync.toml");
    dir.file("sync.toml", config.replace("[transform]", "[event]\nrename = { plan = \"PLAN\" }\n[transform]"));
    let done = run(&dir, &["sync", "sync.toml", "--keep-settled"]);
    assert!(done.code == 2 && done.err.contains("the mapping in [event] or the key is another one"), "{}", done.err);
    assert_eq!(sent(&dir, &["--resync"]), 3);
    assert_eq!(crm.persons()["1"], json!({ "PLAN": "free" }));
}

#[test]
fn a_resync_that_is_interrupted_goes_on_with_the_next_run() {
    let crm = Destination::start();
    let rows: String = (0..6).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let dir = users(&crm, &rows, "batch = 2\nconcurrency = 1");
    assert_eq!(sent(&dir, &[]), 6);
    crm.fault([super::destination::Fault::Status(401)]);
    crm.web.requests();
    let (done, counts) = sync(&dir, &["--resync", "--limit", "4"]);
    assert_eq!((done.code, numbers(&counts, ["sent", "pending"])), (2, [0, 6]), "{}", done.err);
    let (done, counts) = sync(&dir, &["--limit", "4"]);
    assert_eq!((done.code, numbers(&counts, ["sent", "pending"])), (0, [4, 2]), "{}", done.err);
    assert_eq!(sent(&dir, &[]), 2, "what was acknowledged in the resync is not sent again");
}
