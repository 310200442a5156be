//! The hostile corpus: `tests/hostile/*.js`, each with a first line that says what it tries and which verdict it must
//! get. Each file runs once, with one hostile event in the middle of a thousand ordinary ones, which must come out
//! unchanged and in their places. Each can reach a credential, which must not appear in the output or the logs.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};

use crate::support::{Dir, hostile};

const SECRET: &str = "s3cr3t-value";
const ORDINARY: usize = 1000;
const PLACE: usize = 500;

/// The verdicts that a file may get: `ok`, `failed timeout|memory`, several with ` or ` between them, `load_error`.
fn expected(code: &str) -> Option<Vec<String>> {
    let (tries, verdict) = code.lines().next()?.strip_prefix("// tries: ")?.split_once("; verdict: ")?;
    let each = verdict.split(" or ").flat_map(|one| match one.strip_prefix("failed ") {
        Some(kinds) => kinds.split('|').map(|kind| format!("failed {kind}")).collect(),
        None => vec![one.to_owned()],
    });
    (!tries.is_empty()).then(|| each.collect())
}

/// Most hostile code runs into its time limit, so the limit is short. A file that fails is tried again with a limit that
/// other work on the machine does not exhaust.
const LIMITS: &str = "--cpu-limit 50ms --wall-limit 500ms --heap-limit 32MiB";
const LONG_LIMITS: &str = "--cpu-limit 2s --wall-limit 60s --heap-limit 32MiB";

/// The errors of one file.
fn problems(file: &Path, limits: &str, input: &str) -> String {
    let code = hostile::code(file);
    let mut wrong = String::new();
    let Some(expected) = expected(&code) else { return "its first line is not `// tries: …; verdict: …`\n".into() };
    let dir = Dir::with(&code);
    dir.file("credentials.json", format!("{{\"apiKey\":\"{SECRET}\"}}"));
    let args = format!(
        "run t.js -j1 --emit verdicts --quiet --require-sandbox --credentials credentials.json --logs - {limits}"
    );
    let done = dir.run(&args.split_whitespace().collect::<Vec<_>>(), input);
    if done.err.contains(SECRET) {
        wrong.push_str("the secret is in the log or in an error\n");
    }
    if expected == ["load_error"] {
        if done.code != 2 || !done.out.is_empty() {
            let _ = writeln!(wrong, "wanted a load error, got exit code {}: {}", done.code, done.err);
        }
        return wrong;
    }
    // Not `lines`: a forged line end must show.
    let lines: Vec<&str> = done.text().split('\n').collect();
    if lines.len() != ORDINARY + 2 || lines.last() != Some(&"") {
        let _ = writeln!(wrong, "{} lines of output, exit code {}: {}", lines.len(), done.code, done.err);
        return wrong;
    }
    for (line, out) in input.lines().zip(&lines).enumerate().filter(|(at, _)| *at != PLACE).map(|(_, pair)| pair) {
        if *out != format!("{{\"verdict\":\"ok\",\"events\":[{line}]}}") {
            let _ = writeln!(wrong, "a neighbour was touched: {line}\n became {out:.300}");
            break;
        }
    }
    // An output may be nested deeper than this program can parse; its verdict comes first.
    let verdict: serde_json::Value = serde_json::from_str(lines[PLACE]).unwrap_or_else(|_| {
        let ok = lines[PLACE].starts_with("{\"verdict\":\"ok\",");
        serde_json::json!({ "verdict": if ok { "ok" } else { "unreadable" } })
    });
    let got = match (verdict["verdict"].as_str().unwrap_or_default(), verdict["kind"].as_str()) {
        (verdict, Some(kind)) => format!("{verdict} {kind}"),
        (verdict, None) => verdict.to_owned(),
    };
    if !expected.contains(&got) {
        let _ = writeln!(wrong, "wanted {}, got {got}: {}", expected.join(" or "), verdict["message"]);
    }
    if got != "ok" && lines[PLACE].contains(SECRET) {
        wrong.push_str("the secret is in the verdict\n");
    }
    wrong
}

#[test]
fn hostile_code_gets_its_verdict_and_its_neighbours_stay_untouched() {
    let files = hostile::files();
    assert!(files.len() >= 200, "only {} files were found", files.len());
    let mut lines: Vec<String> = (0..ORDINARY).map(|n| format!("{{\"n\":{n},\"s\":\"ordinary\"}}")).collect();
    lines.insert(PLACE, "{\"n\":\"x\",\"hostile\":true}".into());
    let input = lines.join("\n") + "\n";
    let (next, suspects) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                start.wait();
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !problems(file, LIMITS, &input).is_empty() {
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
        .filter_map(|file| {
            let problems = problems(file, LONG_LIMITS, &input);
            (!problems.is_empty()).then(|| format!("── {}\n{problems}", file.display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), files.len(), wrong.join("\n"));
}
