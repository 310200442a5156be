//! `sluicegate lineage`: a corpus of transformations whose flows are known, and the output of the command.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Dir, Done};

/// A file of `tests/lineage/corpus`: its first comment has events and the flows of its code.
#[derive(Default)]
struct Case {
    events: String,
    answers: Option<String>,
    /// By input and output: whether the flow is direct, and its kind if the file names it.
    flows: BTreeMap<(String, String), (bool, Option<String>)>,
    decides: BTreeSet<String>,
}

impl Case {
    fn parse(code: &str) -> Self {
        let mut case = Self::default();
        for line in code.lines().map_while(|line| line.strip_prefix("// ")) {
            if let Some(event) = line.strip_prefix("event {") {
                case.events.push('{');
                case.events.push_str(event);
                case.events.push('\n');
            } else if let Some(answers) = line.strip_prefix("answers ") {
                case.answers = Some(answers.to_owned());
            } else if let Some(names) = line.strip_prefix("passes ") {
                for name in names.split(", ") {
                    case.flows.insert((name.to_owned(), name.to_owned()), (true, Some("copied".to_owned())));
                }
            } else if let Some(name) = line.strip_prefix("decides ") {
                case.decides.insert(name.to_owned());
            } else {
                let direct = line.contains(" -> ");
                let (from, to) = line.split_once(if direct { " -> " } else { " ~> " }).expect(line);
                let (to, how) = match to.split_once(" (") {
                    Some((to, how)) if !how.contains(").") => (to, Some(how.trim_end_matches(')').to_owned())),
                    _ => (to, None),
                };
                case.flows.insert((from.to_owned(), to.to_owned()), (direct, how));
            }
        }
        case
    }
}

/// The report of an analysis whose time limit is never reached, even on a slow machine.
fn measured(dir: &Dir, args: &[&str]) -> Value {
    let done = dir.run(&[&["lineage"], args, &["--json", "--time", "1h"]].concat(), "");
    serde_json::from_str(done.text()).unwrap_or_else(|error| panic!("{args:?}: {error}: {}{}", done.text(), done.err))
}

/// Edges by input and output: whether each is direct, and its kind.
fn edges(report: &Value) -> BTreeMap<(String, String), (bool, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let edges = report["edges"].as_array().unwrap();
    edges
        .iter()
        .map(|edge| ((text(&edge["from"]), text(&edge["to"])), (edge["indirect"] == json!(false), text(&edge["kind"]))))
        .collect()
}

#[test]
fn the_corpus_is_measured_rightly() {
    let dir = Dir::new();
    fs::create_dir(dir.path().join("lib")).unwrap();
    for file in fs::read_dir("tests/lineage/lib").unwrap() {
        let path = file.unwrap().path();
        dir.file(&format!("lib/{}", path.file_name().unwrap().to_str().unwrap()), fs::read(path).unwrap());
    }
    let mut files: Vec<_> = fs::read_dir("tests/lineage/corpus").unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 40);
    let (mut right, mut found, mut known, mut directions, mut wrong) = (0, 0, 0, 0, String::new());
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let code = fs::read_to_string(file).unwrap();
        let case = Case::parse(&code);
        dir.file(name, &code);
        dir.file("events.jsonl", &case.events);
        let mut args = vec![name, "events.jsonl", "-L", "lib", "-j", "1"];
        if let Some(answers) = &case.answers {
            dir.file("answers.json", answers);
            args.extend(["--answers", "answers.json"]);
        }
        let report = measured(&dir, &args);
        let edges = edges(&report);
        found += edges.len();
        known += case.flows.len();
        for (edge, (direct, how)) in &case.flows {
            match edges.get(edge) {
                Some((is_direct, kind)) => {
                    right += 1;
                    let is_right = direct == is_direct && how.as_ref().is_none_or(|how| how == kind);
                    directions += usize::from(is_right);
                    if !is_right {
                        wrong.push_str(&format!("{name}: {} -> {} is {kind}\n", edge.0, edge.1));
                    }
                }
                None => wrong.push_str(&format!("{name}: missing {} -> {}\n", edge.0, edge.1)),
            }
        }
        for (from, to) in edges.keys().filter(|edge| !case.flows.contains_key(*edge)) {
            wrong.push_str(&format!("{name}: too much {from} -> {to}\n"));
        }
        let decides: BTreeSet<String> = report["decides"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, one)| one["drop"] != json!(0) || one["fan_out"] != json!(0))
            .map(|(from, _)| from.clone())
            .collect();
        if decides != case.decides {
            wrong.push_str(&format!("{name}: {decides:?} decide\n"));
        }
    }
    let (precision, recall) = (f64::from(right) / found as f64, f64::from(right) / known as f64);
    let kinds = directions as f64 / f64::from(right);
    println!(
        "{} transformations, {known} edges: precision {precision:.3}, recall {recall:.3}, of the right kind {kinds:.3}",
        files.len()
    );
    print!("{wrong}");
    assert!(precision >= 0.98 && recall >= 0.98 && kinds >= 0.98, "{wrong}");
}

/// Compares with a file of `tests/golden/lineage`; `UPDATE_GOLDEN=1` rewrites it.
fn golden(name: &str, text: &str) {
    let path = format!("tests/golden/lineage/{name}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all("tests/golden/lineage").unwrap();
        fs::write(path, text).unwrap();
    } else {
        assert_eq!(fs::read_to_string(path).unwrap_or_default(), text, "{name}");
    }
}

const CODE: &str = "export function transformEvent(event) {
  if (event.type !== 'identify') return null;
  const { first, last, email } = event.traits;
  event.traits = { name: `${first} ${last}`, mail: email, source: 'crm' };
  event.context.vip = event.context.orders > 10;
  return event;
}
";

const EVENTS: &str = r#"{"type":"identify","userId":"u-1","context":{"orders":12,"ip":"203.0.113.7"},"traits":{"first":"Ada","last":"Lovelace","email":"ada@example.com","age":36}}
{"type":"identify","userId":"u-2","context":{"orders":2,"ip":"203.0.113.8"},"traits":{"first":"Bob","last":"Noyce","email":"bob@example.com","age":40}}
{"type":"track","userId":"u-1","context":{}}
"#;

fn example() -> Dir {
    let dir = Dir::with(CODE);
    dir.file("events.jsonl", EVENTS);
    dir
}

/// Removes the number of runs, which does not matter to a reader of the golden file.
fn steady(done: &Done) -> String {
    let text = done.text();
    match (text.find(" in "), text.find(" runs\n")) {
        (Some(start), Some(end)) if start < end => format!("{} in N{}", &text[..start], &text[end..]),
        _ => text.to_owned(),
    }
}

#[test]
fn every_form_says_what_was_measured() {
    let dir = example();
    for (name, args) in [
        ("table.txt", &[][..]),
        ("from.txt", &["--from", "traits.email"]),
        ("to.txt", &["--to", "context"]),
        ("graph.svg", &["--svg"]),
        ("graph.mermaid", &["--mermaid"]),
    ] {
        let done = dir.run(&[&["lineage", "t.js", "events.jsonl", "-j", "1"], args].concat(), "");
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{name}");
        golden(name, &steady(&done));
    }
}

#[test]
fn rules_decide_over_the_exit_code() {
    let dir = example();
    let run = |rules: &str| {
        dir.file("lineage.toml", rules);
        dir.run(&["lineage", "t.js", "events.jsonl", "-j", "1"], "")
    };
    let kept = run("deny = ['traits.age -> *', 'traits.email -> context.*']\nrequire = ['userId -> userId']\n");
    assert_eq!((kept.code, kept.err.as_str()), (0, ""));
    let broken = run(
        "deny = ['traits.email -> traits', 'context.orders -> *', 'type ~> (verdict)']\nrequire = ['traits.age -> *']\n\
         deny_personal = ['e-mail']\n",
    );
    assert_eq!(broken.code, 1);
    golden("rules.txt", &broken.err);
    for (name, rules) in [("no-rule.txt", "deny = ['traits.email']\n"), ("no-key.txt", "denny = []\n")] {
        let wrong = run(rules);
        assert_eq!((wrong.code, wrong.text()), (2, ""));
        golden(name, &wrong.err);
    }
}

#[test]
fn edges_come_and_go_between_versions() {
    let dir = example();
    dir.file("new.js", CODE.replace("mail: email", "mail: email.toLowerCase(), age: event.traits.age"));
    let report = measured(&dir, &["new.js", "events.jsonl", "--against", "t.js", "-j", "1"]);
    let list = |key: &str| -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = report["changes"][key].as_array().unwrap();
        list.iter()
            .map(|edge| format!("{} -> {} {}", text(&edge["from"]), text(&edge["to"]), text(&edge["kind"])))
            .collect()
    };
    assert_eq!(list("came"), ["traits.age -> traits.age copied", "traits.email -> traits.mail computed"]);
    assert_eq!(list("went"), ["traits.email -> traits.mail renamed"]);
}

#[test]
fn reads_name_the_line_and_what_is_never_read() {
    let dir = example();
    let report = measured(&dir, &["t.js", "events.jsonl", "-j", "1"]);
    assert_eq!(report["reads"]["traits.email"]["lines"], json!({ "t.js:3": 2 }));
    assert_eq!(report["reads"]["type"]["events"], json!(3));
    let never = report["never_read"].as_array().unwrap();
    assert!(never.contains(&json!("traits.age")) && never.contains(&json!("context.ip")), "{never:?}");
    assert_eq!(report["coverage"][0]["missing"], json!([]));
    let hints = report["personal"].as_array().unwrap();
    let email = hints.iter().find(|hint| hint["from"] == "traits.email").unwrap();
    assert_eq!(
        (&email["from"], &email["what"], &email["to"]),
        (&json!("traits.email"), &json!("e-mail"), &json!(["traits.mail"]))
    );
}

#[test]
fn code_that_remembers_and_code_that_never_ends_are_measured_too() {
    let dir = Dir::with(
        "const seen = new Set();
export function transformEvent(event) {
  if (seen.has(event.messageId)) return null;
  seen.add(event.messageId);
  while (event.kind !== 'a' && event.kind !== 'b') ;
  return { id: event.messageId, kind: event.kind };
}
",
    );
    dir.file("events.jsonl", "{\"messageId\":\"m-1\",\"kind\":\"a\"}\n{\"messageId\":\"m-2\",\"kind\":\"b\"}\n");
    let report = measured(&dir, &["t.js", "events.jsonl", "-j", "1"]);
    assert_eq!(report["stateful"], json!(true));
    let edges = edges(&report);
    assert_eq!(edges[&("messageId".to_owned(), "id".to_owned())], (true, "renamed".to_owned()));
    assert_eq!(edges[&("kind".to_owned(), "kind".to_owned())], (true, "copied".to_owned()));
}

#[test]
fn the_warehouse_example_is_what_a_reader_would_say() {
    let dir = Dir::new();
    let folder = Path::new("examples/warehouse-actions");
    dir.file("transform.js", fs::read(folder.join("transform.js")).unwrap());
    let rows = fs::read_to_string(folder.join("events.jsonl")).unwrap();
    dir.file("events.jsonl", rows.lines().take(60).collect::<Vec<_>>().join("\n"));
    let report = measured(&dir, &["transform.js", "events.jsonl"]);
    let edges = edges(&report);
    let edge = |from: &str, to: &str| edges.get(&(from.to_owned(), to.to_owned())).cloned();
    let direct = |kind: &str| Some((true, kind.to_owned()));
    for key in ["name", "domain", "owner_email", "employees", "city", "plan", "created_at"] {
        let from = format!("traits.new_truth(json).{key}");
        assert_eq!(edge(&from, &format!("traits.{key}")), direct("renamed"), "{key}");
        assert_eq!(edge(&format!("traits.old_truth(json).{key}"), &format!("traits.{key}")), None, "{key}");
    }
    assert_eq!(edge("traits.new_truth(json).group_id", "groupId"), direct("renamed"));
    assert_eq!(edge("traits.new_truth(json).group_id", "traits.group_id"), direct("renamed"));
    assert_eq!(edge("traits.sfdc_id", "context.externalId[].id"), direct("renamed"));
    assert_eq!(edge("(constant)", "type"), direct("constant"));
    assert_eq!(edge("userId", "userId"), direct("copied"));
    assert_eq!(edge("context.sources.job_id", "context.sources.job_id"), direct("copied"));
    assert!(!edges.keys().any(|(from, to)| from == "messageId" || to == "messageId"), "it is removed");
    let leaves = |from: &str, to: &str| from.starts_with("traits.old_truth") && to != "log";
    assert!(!edges.keys().any(|(from, to)| leaves(from, to)), "it decides, and is logged");
    // Each changed column is logged, with its new and its old value.
    for side in ["new", "old"] {
        for key in ["name", "domain", "city", "plan", "seats"] {
            assert_eq!(edge(&format!("traits.{side}_truth(json).{key}"), "log"), direct("computed"), "{side} {key}");
        }
    }
    // An account that Salesforce knows is sent there, too.
    for to in ["context.externalId[]", "integrations.All", "integrations.Salesforce"] {
        assert_eq!(edge("traits.sfdc_id", to), Some((false, "conditional".to_owned())), "{to}");
    }
    for from in ["recordId", "sentAt", "timestamp", "originalTimestamp", "channel", "context.externalId[].type"] {
        assert_eq!(edge(from, from), direct("copied"), "{from}");
    }
    // No other edges are allowed.
    let known = |from: &str, to: &str| {
        let column = from.strip_prefix("traits.new_truth(json).");
        from == to
            || to == "log"
            || column
                .is_some_and(|column| to == format!("traits.{column}") || (column == "group_id" && to == "groupId"))
            || (from == "traits.sfdc_id" && (to.starts_with("context.externalId[]") || to.starts_with("integrations.")))
            || (from == "(constant)" && ["type", "integrations.Salesforce"].contains(&to))
    };
    let strange: Vec<_> = edges.keys().filter(|(from, to)| !known(from, to)).collect();
    assert_eq!(strange, Vec::<&(String, String)>::new());
    for side in ["new", "old"] {
        let name = format!("traits.{side}_truth(json).plan");
        assert_ne!(report["decides"][&name]["drop"], json!(0), "{name}");
        assert!(report["decides"][&name].is_object(), "{name}");
    }
}

#[test]
fn openlineage_is_what_its_schema_asks_for() {
    let dir = example();
    let done = dir.run(&["lineage", "t.js", "events.jsonl", "--openlineage", "-j", "1"], "");
    let event: Value = serde_json::from_str(done.text()).unwrap();
    for key in ["eventTime", "run", "job", "producer", "schemaURL"] {
        assert!(!event[key].is_null(), "{key}");
    }
    let facet = &event["outputs"][0]["facets"]["columnLineage"];
    let inputs = facet["fields"]["traits.mail"]["inputFields"].as_array().unwrap();
    let direct = inputs.iter().find(|one| one["field"] == "traits.email").unwrap();
    assert_eq!(direct["transformations"][0]["type"], json!("DIRECT"));
    assert_eq!(direct["transformations"][0]["subtype"], json!("IDENTITY"));
    assert_eq!(facet["dataset"][0]["field"], json!("type"));
}

/// The first fenced block of a Markdown text in this language.
fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
fn the_rules_of_the_docs_work() {
    let text = fs::read_to_string("docs/lineage.md").unwrap();
    let dir = Dir::new();
    dir.file("orders.js", block(&text, "js"));
    dir.file("events.jsonl", block(&text, "json"));
    let rules = block(&text, "toml");
    dir.file("lineage.toml", rules);
    let done = dir.run(&["lineage", "orders.js", "events.jsonl"], "");
    assert_eq!((done.code, done.err.as_str()), (0, ""));
}
