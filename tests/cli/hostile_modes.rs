//! Hostile files of some kinds again, with every way of passing events: wide events, plain output, events that wait
//! together, `transformBatch`, `serve`. See `hostile.rs` for the corpus.

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::serve::client::{JSON, Server};
use crate::support::web_server::{Reply, Web};
use crate::support::{Dir, hostile};

/// The kinds whose faults depend on how an event is parsed and printed.
const KINDS: [&str; 4] = ["forge-", "late-print-", "outside-", "intrinsic-"];

const ORDINARY: usize = 300;
const PLACE: usize = 150;
const BATCH: usize = 20;
/// Most hostile code runs into its time limit, so the limit is short. A file that fails is tried again with a limit that
/// other work on the machine does not exhaust.
const LIMITS: &str = "--cpu-limit 50ms --wall-limit 500ms --heap-limit 32MiB";
const LONG_LIMITS: &str = "--cpu-limit 2s --wall-limit 60s --heap-limit 32MiB";

struct File {
    name: String,
    code: String,
}

fn files() -> Vec<File> {
    let files: Vec<File> = hostile::files()
        .iter()
        .map(|path| File { name: path.file_stem().unwrap().to_str().unwrap().to_owned(), code: hostile::code(path) })
        .filter(|file| KINDS.iter().any(|kind| file.name.starts_with(kind)))
        .collect();
    assert!(files.len() >= 80, "only {} files were found", files.len());
    files
}

/// Checks each file, on all cores. `problems` gets a file and the limits. Failed files are tried again alone.
fn check(problems: impl Fn(&File, &str) -> String + Sync) {
    let files = files();
    let (next, suspects) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(4) {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !problems(file, LIMITS).is_empty() {
                        suspects.lock().unwrap().push(file);
                    }
                }
            });
        }
    });
    let wrong: Vec<String> = suspects
        .into_inner()
        .unwrap()
        .into_iter()
        .map(|file| (file, problems(file, LONG_LIMITS)))
        .filter(|(_, problems)| !problems.is_empty())
        .map(|(file, problems)| format!("── {}\n{problems}", file.name))
        .collect();
    assert!(wrong.is_empty(), "{} files:\n{}", wrong.len(), wrong.join("\n"));
}

/// An ordinary event of some kilobytes, large enough to be lazy.
fn wide(n: usize) -> String {
    let part = |name: &str| {
        let fields: Vec<String> = (0..24).map(|at| format!("\"{name}{at}\":\"{}\"", "value ".repeat(5))).collect();
        format!("\"{name}\":{{{}}}", fields.join(","))
    };
    format!("{{\"n\":{n},\"s\":\"ordinary\",{},{},{}}}", part("context"), part("traits"), part("properties"))
}

fn with_mark(line: &str) -> String {
    line.replacen('{', "{\"hostile\":true,", 1)
}

fn lines(one: impl Fn(usize) -> String) -> Vec<String> {
    (0..ORDINARY).map(|n| if n == PLACE { with_mark(&one(n)) } else { one(n) }).collect()
}

fn run(code: &str, limits: &str, args: &str, lines: &[String]) -> Vec<String> {
    let args = format!("run t.js -j1 --quiet {limits} {args}");
    let done = Dir::with(code).run(&args.split_whitespace().collect::<Vec<_>>(), &(lines.join("\n") + "\n"));
    // Not `lines`: a forged line end must show.
    let mut all: Vec<String> = done.text().split('\n').map(str::to_owned).collect();
    assert_eq!(all.pop().as_deref(), Some(""), "the last line has no end");
    all
}

fn is_object(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object())
}

/// The errors in verdict lines: each ordinary event must come out unchanged, and the hostile one must have a verdict.
fn faults_of_verdicts(lines: &[String], all: &[String]) -> String {
    let mut wrong = String::new();
    if all.len() != ORDINARY {
        let _ = writeln!(wrong, "{} lines of output", all.len());
    }
    for (n, (line, out)) in lines.iter().zip(all).enumerate().filter(|(n, _)| *n != PLACE) {
        if *out != format!("{{\"verdict\":\"ok\",\"events\":[{line}]}}") {
            let _ = writeln!(wrong, "line {n} was touched:\n{out:.300}");
            break;
        }
    }
    if !all.get(PLACE).is_some_and(|line| is_object(line)) {
        wrong.push_str("the verdict is not an object\n");
    }
    wrong
}

#[test]
fn wide_neighbours_stay_untouched() {
    let lines = lines(wide);
    check(|file, limits| {
        let all = run(&file.code, limits, "--emit verdicts", &lines);
        faults_of_verdicts(&lines, &all)
    });
}

#[test]
fn plain_output_has_only_objects_and_the_neighbours_are_untouched() {
    let lines = lines(|n| format!("{{\"n\":{n},\"s\":\"ordinary\"}}"));
    check(|file, limits| {
        let mut wrong = String::new();
        let all = run(&file.code, limits, "--errors /dev/null", &lines);
        if let Some(odd) = all.iter().find(|line| !is_object(line)) {
            let _ = writeln!(wrong, "not an object: {odd:.300}");
        }
        if all.get(..PLACE) != Some(&lines[..PLACE]) || !all.ends_with(&lines[PLACE + 1..]) {
            let _ = writeln!(wrong, "a neighbour was touched");
        }
        if all.iter().any(|line| line.contains("forged")) && !file.code.contains("may be forged") {
            let _ = writeln!(wrong, "a forged line: {all:?}");
        }
        wrong
    });
}

/// All events wait for the network first, so that all of them are in flight together when the hostile one begins.
#[test]
fn neighbours_that_wait_stay_untouched() {
    let web = Web::start(|_| Reply::json("1"));
    let lines = lines(|n| format!("{{\"n\":{n},\"s\":\"ordinary\"}}"));
    check(|file, limits| {
        // A copy of `fetch`, because the hostile code may remove the global.
        let code = format!(
            "const ask = fetch;\n{}\nconst inner = transformEvent;\n\
             async function waits(event, metadata) {{ await ask('{}'); return inner(event, metadata); }}\n\
             export {{ waits as transformEvent }};\n",
            file.code.replacen("export ", "", 1),
            web.url("/")
        );
        let all = run(&code, limits, &format!("--emit verdicts --allow-net {}", web.address), &lines);
        faults_of_verdicts(&lines, &all)
    });
}

#[test]
fn other_batches_stay_untouched() {
    let lines = lines(|n| format!("{{\"messageId\":\"m{n}\",\"n\":{n}}}"));
    check(|file, limits| {
        let mut wrong = String::new();
        let code = file.code.replacen("export ", "", 1)
            + "\nexport async function transformBatch(events, metadata) {\n  \
               const all = await Promise.all(events.map((event) => transformEvent(event, metadata)));\n  return all.flat();\n}\n";
        let all = run(&code, limits, &format!("--emit verdicts --batch-size {BATCH}"), &lines);
        if all.len() != ORDINARY {
            let _ = writeln!(wrong, "{} lines of output", all.len());
        }
        if let Some(odd) = all.iter().find(|line| !is_object(line)) {
            let _ = writeln!(wrong, "not an object: {odd:.300}");
        }
        let batch = PLACE / BATCH;
        for (n, (line, out)) in lines.iter().zip(&all).enumerate().filter(|(n, _)| n / BATCH != batch) {
            if *out != format!("{{\"verdict\":\"ok\",\"events\":[{line}]}}") {
                let _ = writeln!(wrong, "line {n}, of another batch, was touched:\n{out:.300}");
                break;
            }
        }
        wrong
    });
}

#[test]
fn rows_of_other_events_stay_untouched() {
    let dir = Dir::new();
    for file in files() {
        dir.file(&format!("code/{}.js", file.name), &file.code);
    }
    let args: Vec<&str> = "--dir code".split_whitespace().chain(LONG_LIMITS.split_whitespace()).collect();
    let server = Server::start(dir, &args, &[]);
    check(|file, _| {
        let mut wrong = String::new();
        let events: Vec<Value> = (0..40)
            .map(|n| {
                let mut message = json!({ "messageId": format!("m{n}"), "n": n });
                if n == 20 {
                    message["hostile"] = json!(true);
                }
                json!({
                    "message": message,
                    "metadata": { "messageId": format!("m{n}"), "sourceId": "s", "destinationId": "d" },
                    "destination": { "Transformations": [{ "VersionID": file.name }] },
                })
            })
            .collect();
        let answer = server.send("POST", "/customTransform", JSON, json!(events).to_string().as_bytes());
        let Ok(Value::Array(rows)) = serde_json::from_slice::<Value>(&answer.body) else {
            return format!("no rows, status {}: {:.300}", answer.status, answer.text());
        };
        let mut expected: Vec<Value> = Vec::new();
        for event in &events {
            let (message, metadata) = (&event["message"], &event["metadata"]);
            expected.push(json!({ "output": message, "metadata": metadata, "statusCode": 200 }));
        }
        let (mut own, others): (Vec<Value>, Vec<Value>) =
            rows.into_iter().partition(|row| row["metadata"]["messageId"] == "m20");
        expected.remove(20);
        if others != expected {
            let _ = writeln!(wrong, "another event's row was touched");
        }
        own.retain(|row| row["statusCode"] != 200 && row["statusCode"] != 400);
        if !own.is_empty() {
            let _ = writeln!(wrong, "odd rows: {own:?}");
        }
        wrong
    });
}
