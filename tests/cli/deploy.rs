//! Compares `deploy/` and the dashboard with the program: runs the container's command, the probes, and the unit's
//! command with its variables, and checks that every metric of the dashboard exists.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde::Deserialize;
use serde_json::{Value, json};

use super::serve::client::{Server, event};
use crate::support::Dir;

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a Kubernetes manifest, by their kind.
fn manifest() -> BTreeMap<String, Value> {
    let text = read("deploy/kubernetes.yaml");
    let documents = text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    documents.map(|document| (document["kind"].as_str().unwrap().to_owned(), document)).collect()
}

/// The instructions of a Dockerfile's last stage: name and arguments.
fn dockerfile() -> Vec<(String, String)> {
    let text = read("deploy/Dockerfile");
    let mut instructions = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap();
        if word == "FROM" {
            instructions.clear();
        }
        instructions.push((word.to_owned(), rest.to_owned()));
    }
    instructions
}

fn the<'a>(instructions: &'a [(String, String)], word: &str) -> &'a str {
    let mut found = instructions.iter().filter(|(known, _)| known == word);
    let (_, rest) = found.next().unwrap_or_else(|| panic!("no {word}"));
    assert!(found.next().is_none(), "two of {word}");
    rest
}

/// The server's default port.
fn default_port() -> u16 {
    let help = Dir::new().run(&["serve", "--help"], "").text().to_owned();
    let (_, after) = help.split_once("[default: 0.0.0.0:").expect("the help names it");
    after.split(']').next().unwrap().parse().unwrap()
}

/// Starts the program with these arguments and variables, and returns its first message, which it prints when it
/// listens.
fn first_message(args: &[&str], variables: &[(&str, &str)]) -> String {
    let dir = Dir::new();
    let mut command = dir.command(&[args, &["--listen", "127.0.0.1:0"]].concat());
    command.env_remove("CONFIG_BACKEND_URL").envs(variables.iter().copied()).stdin(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let _ = child.kill();
    let _ = child.wait();
    line
}

#[test]
fn the_image_runs_what_its_last_lines_say() {
    let last = dockerfile();
    let words = |word: &str| serde_json::from_str::<Vec<String>>(the(&last, word)).unwrap();
    let (entry, args) = (words("ENTRYPOINT"), words("CMD"));
    let copied = the(&last, "COPY").split(' ').next_back().unwrap();
    assert_eq!(entry, [copied]);
    assert_eq!(the(&last, "EXPOSE").parse(), Ok(default_port()));
    // A cluster that forbids root accepts numeric users only.
    let (user, group) = the(&last, "USER").split_once(':').unwrap();
    assert!(user.parse::<u32>().is_ok_and(|id| id > 0) && group.parse::<u32>().is_ok_and(|id| id > 0));
    let mut variables = vec![("CONFIG_BACKEND_URL", "http://127.0.0.1:1")];
    variables.extend(last.iter().filter(|(word, _)| word == "ENV").filter_map(|(_, rest)| rest.split_once('=')));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let message = first_message(&args, &variables);
    let message: Value = serde_json::from_str(&message).unwrap_or_else(|error| panic!("{error}: {message}"));
    assert_eq!(message["message"], "listening");
}

#[test]
fn what_the_build_needs_is_sent_to_it() {
    // The build stage copies everything except this, so it must not contain sources.
    let ignored = read(".dockerignore");
    let ignored: Vec<&str> = ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    for needed in ["Cargo.toml", "Cargo.lock", "src", "js", "scripts", "benches", "rustfmt.toml", "tests", "README.md"]
    {
        assert!(std::path::Path::new(needed).exists());
        assert!(!ignored.iter().any(|pattern| pattern.trim_matches('/') == needed), "{needed}");
    }
    for heavy in ["/target/", ".git"] {
        assert!(ignored.contains(&heavy), "{heavy}");
    }
    let build = read("deploy/Dockerfile");
    assert!(build.contains("--locked"), "the image has the versions that were tested");
}

#[test]
fn the_cluster_asks_what_the_server_answers() {
    let documents = manifest();
    let pod = &documents["Deployment"]["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    let port = &container["ports"][0];
    assert_eq!(port["containerPort"], default_port());
    let service = &documents["Service"]["spec"]["ports"][0];
    assert_eq!((&service["port"], &service["targetPort"]), (&port["containerPort"], &port["name"]));
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/port"].as_str().unwrap().parse(), Ok(default_port()));

    let server = Server::with(&[("v1.js", "")], &[]);
    let mut paths = vec![annotations["prometheus.io/path"].as_str().unwrap()];
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], port["name"], "{probe}");
        paths.push(container[probe]["httpGet"]["path"].as_str().unwrap());
    }
    for path in paths {
        assert_eq!(server.get(path).status, 200, "{path}");
    }

    let args: Vec<&str> = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    let env: Vec<(&str, &str)> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["value"].as_str().unwrap_or("from-a-secret")))
        .collect();
    let message = first_message(&args, &env);
    assert!(message.starts_with("listening on http://"), "{message}");
    assert!(env.contains(&("SLUICEGATE_REQUIRE_SANDBOX", "true")));
    let policy = &documents["NetworkPolicy"]["spec"];
    assert_eq!(policy["podSelector"]["matchLabels"], documents["Deployment"]["spec"]["selector"]["matchLabels"]);
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    for rule in policy["ingress"].as_array().unwrap() {
        assert_eq!(rule["ports"][0]["port"], port["name"]);
    }
    // A service called sluicegate makes the cluster set SLUICEGATE_PORT and others, which look like settings.
    assert_eq!(pod["spec"]["enableServiceLinks"], false);
    // The kubelet waits longer than the server needs for requests under way.
    let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    assert!(pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap() > pause + 60);
    let user = pod["spec"]["securityContext"]["runAsUser"].as_u64().unwrap();
    assert!(the(&dockerfile(), "USER").starts_with(&format!("{user}:")));
}

#[test]
fn the_unit_starts_what_it_names() {
    let unit = read("deploy/sluicegate.service");
    let value = |key: &str| {
        let mut found = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.next().unwrap_or_else(|| panic!("no {key}"))
    };
    let mut words = value("ExecStart").split(' ');
    assert!(words.next().unwrap().ends_with("/sluicegate"));
    let mut variables = vec![("CONFIG_BACKEND_URL", "http://127.0.0.1:1")];
    let set = unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    variables.extend(set);
    assert!(variables.contains(&("SLUICEGATE_REQUIRE_SANDBOX", "true")));
    let message = first_message(&words.collect::<Vec<_>>(), &variables);
    assert!(message.contains("listening"), "{message}");
    assert!(value("TimeoutStopSec").parse::<u64>().unwrap() > 60, "more than the server waits for what is under way");
    // The unit sets SLUICEGATE_DIR to a folder, which is a valid setting.
    let dir = Dir::new();
    dir.file("code/a.js", "");
    let code = dir.path().join("code");
    let message = first_message(&["serve"], &[("SLUICEGATE_DIR", code.to_str().unwrap())]);
    assert!(message.contains("listening"), "{message}");

    assert_systemd_takes(&dir, &["sluicegate.service"]);
}

/// Asserts that systemd accepts files of `deploy/`, if systemd is installed. The program's path is replaced.
fn assert_systemd_takes(dir: &Dir, names: &[&str]) {
    for name in names {
        let unit = read(&format!("deploy/{name}"));
        dir.file(name, unit.replace("/usr/local/bin/sluicegate", env!("CARGO_BIN_EXE_sluicegate")));
    }
    // A template is verified as one of its instances.
    let units = names.iter().map(|name| dir.path().join(name.replace('@', "@crm")));
    match std::process::Command::new("systemd-analyze").args(["verify", "--man=no"]).args(units).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let about: Vec<&str> = said.lines().filter(|line| line.contains("sluicegate")).collect();
            assert!(about.is_empty(), "{said}");
        }
        Err(error) => eprintln!("SKIPPED: systemd-analyze: {error}"),
    }
}

#[test]
fn the_timer_runs_a_sync_that_keeps_its_state_where_it_may_write() {
    let unit = read("deploy/sluicegate-sync@.service");
    let value = |key: &str| {
        let mut found = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.next().unwrap_or_else(|| panic!("no {key}"))
    };
    let folder = format!("/var/lib/{}", value("StateDirectory"));
    assert_eq!(value("WorkingDirectory"), folder);
    let state = format!("{}/state.db", folder.replace("%i", "crm"));
    assert!(unit.contains(&format!("state = \"{state}\"")), "the unit says where the state can be: {state}");

    // The unit's command, with folders of this test.
    let dir = Dir::new();
    dir.file("etc/crm.toml", CRM);
    dir.file("etc/rows.jsonl", "{\"id\":1}\n");
    let here = dir.path().to_str().unwrap();
    let command = value("ExecStart").replace(&folder, here).replace("/etc/sluicegate", &format!("{here}/etc"));
    let command = command.replace("%i", "crm");
    let mut words = command.split(' ');
    assert!(words.next().unwrap().ends_with("/sluicegate"));
    let done = dir.run(&words.collect::<Vec<_>>(), "");
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(dir.read("etc/out.jsonl").contains("\"userId\":\"1\""));
    assert!(dir.read("metrics.prom").contains("sluicegate_sync"), "{}", dir.read("metrics.prom"));
    assert_systemd_takes(&dir, &["sluicegate-sync@.service", "sluicegate-sync@.timer"]);
}

const CRM: &str = r#"
[source]
file = "rows.jsonl"
key = "id"
[event]
type = "identify"
[[sink]]
name = "out"
kind = "file"
path = "out.jsonl"
"#;

/// The metrics of a query and their labels: those that it selects by, and those that it keeps.
fn asked_for(query: &str) -> Vec<(String, BTreeSet<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut kept = BTreeSet::new();
    for part in query.split("by (").skip(1) {
        kept.extend(part.split(')').next().unwrap().split(',').map(|label| label.trim().to_owned()));
    }
    let names = query.match_indices("sluicegate_").map(|(at, _)| {
        let rest = &query[at..];
        let (name, after) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
        let mut labels = kept.clone();
        if let Some(selected) = after.strip_prefix('{') {
            let selected = selected.split('}').next().unwrap();
            labels.extend(selected.split(',').map(|one| one.split('=').next().unwrap().trim().to_owned()));
        }
        (name.to_owned(), labels)
    });
    names.collect()
}

/// The metrics of a server that has handled requests of every kind, with the labels of each.
fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "statusCode")]
        status: u16,
    }
    let code = "export function transformEvent(e) { if (e.n === 1) throw new Error('no'); return e.n ? e : null; }";
    let server = Server::with(&[("v1.js", code)], &[]);
    let events: Value = (0..3).map(|n| event("v1", json!({ "n": n }), &format!("m{n}"))).collect();
    let rows = server.rows(&events);
    let rows: Vec<Row> = rows.into_iter().map(|row| serde_json::from_value(row).unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row.status).collect::<BTreeSet<_>>(), BTreeSet::from([200, 298, 400]));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in server.get("/metrics").text().lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let labels = line.split_once('{').map(|(_, rest)| rest.split_once('}').unwrap().0).unwrap_or_default();
        let labels = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(label, _)| label.to_owned());
        found.entry(name.to_owned()).or_default().extend(labels);
    }
    found
}

#[test]
fn the_dashboard_shows_what_the_server_tells_and_the_docs_name_all_of_it() {
    let metrics = metrics();
    let dashboard: Value = serde_json::from_str(&read("examples/serve/grafana-dashboard.json")).unwrap();
    let mut queries = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let asked = asked_for(query);
            assert!(!asked.is_empty(), "{query}");
            for (name, labels) in asked {
                let known = metrics.get(&name).unwrap_or_else(|| panic!("there is no {name}: {query}"));
                assert!(labels.is_subset(known), "{name} has {known:?}: {query}");
            }
            queries += 1;
        }
    }
    assert!(queries >= 10);
    let docs = read("docs/server.md");
    for name in metrics.keys() {
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(docs.contains(&format!("`{name}")), "docs/server.md does not tell of {name}");
    }
}
