//! The transformation contract, case by case, as data: `tests/contract/*.toml`. Each case is a transformation with
//! input lines and the verdict lines that must come out.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::Value;

use crate::support::Dir;

#[derive(Deserialize)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    transformation: String,
    #[serde(default = "transform_js")]
    file: String,
    #[serde(default)]
    args: Vec<String>,
    credentials: Option<String>,
    metadata: Option<String>,
    #[serde(default)]
    input: String,
    expect: Option<String>,
    #[serde(default)]
    exact: bool,
    #[serde(default)]
    libraries: BTreeMap<String, String>,
    load_error: Option<String>,
    logs: Option<Vec<String>>,
}

fn transform_js() -> String {
    "transform.js".into()
}

/// The errors of a case.
fn problems(case: &Case) -> String {
    let dir = Dir::new();
    dir.file(&case.file, &case.transformation);
    let mut args = vec!["run", case.file.as_str(), "--emit", "verdicts", "--quiet", "-j", "1"];
    args.extend(case.args.iter().map(String::as_str));
    for (handle, code) in &case.libraries {
        let extension = if handle.ends_with(".ts") { "" } else { ".js" };
        dir.file(&format!("lib/{handle}{extension}"), code);
    }
    if !case.libraries.is_empty() {
        args.extend(["-L", "lib"]);
    }
    for (flag, name, content) in
        [("--credentials", "credentials.json", &case.credentials), ("--metadata", "metadata.json", &case.metadata)]
    {
        if let Some(content) = content {
            dir.file(name, content);
            args.extend([flag, name]);
        }
    }
    if case.logs.is_some() {
        args.extend(["--logs", "logs.jsonl"]);
    }
    let done = dir.run(&args, &case.input);
    let mut wrong = String::new();
    if let Some(text) = &case.load_error {
        if done.code != 2 || !done.err.contains(text.as_str()) {
            let _ = writeln!(wrong, "wanted exit code 2 and: {text}\n   got exit code {}: {}", done.code, done.err);
        }
        return wrong;
    }
    let expected: Vec<&str> =
        case.expect.as_deref().unwrap_or_default().lines().filter(|line| !line.is_empty()).collect();
    let lines: Vec<String> = String::from_utf8_lossy(&done.out).lines().map(str::to_owned).collect();
    if expected.len() != lines.len() {
        let _ = writeln!(wrong, "wanted {} lines, got {}\n{}", expected.len(), lines.len(), done.err);
    }
    for (want, got) in expected.iter().zip(&lines) {
        let same = if case.exact { want == got } else { covers(&parse(want), &parse(got), true) };
        if !same {
            let _ = writeln!(wrong, "wanted {want}\n   got {got}");
        }
    }
    if let Some(logs) = &case.logs {
        let written = std::fs::read_to_string(dir.path().join("logs.jsonl")).unwrap_or_default();
        let written: Vec<&str> = written.lines().collect();
        if written.len() != logs.len()
            || !logs.iter().zip(&written).all(|(want, got)| covers(&parse(want), &parse(got), true))
        {
            let _ = writeln!(wrong, "wanted logs {logs:#?}\n   got {written:#?}");
        }
    }
    wrong
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| Value::String(format!("{error}: {text}")))
}

/// Whether `got` has all members of `want`. Only at the top level it may have more.
#[allow(clippy::cmp_owned, reason = "the texts are what is compared")]
fn covers(want: &Value, got: &Value, top: bool) -> bool {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            (top || want.len() == got.len())
                && want.iter().all(|(key, value)| got.get(key).is_some_and(|other| covers(value, other, false)))
        }
        (Value::Array(want), Value::Array(got)) => {
            want.len() == got.len() && want.iter().zip(got).all(|(want, got)| covers(want, got, false))
        }
        // Numbers are compared by their text: `1` and `1.0` differ.
        _ => want == got && want.to_string() == got.to_string(),
    }
}

#[test]
fn every_case_of_the_contract_holds() {
    let mut files: Vec<_> = std::fs::read_dir("tests/contract").unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let parsed: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        cases.extend(parsed.case.into_iter().map(|case| (file.file_name().unwrap().to_owned(), case)));
    }
    assert!(cases.len() > 200, "only {} cases were found", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(file, case)| {
            let problems = problems(case);
            (!problems.is_empty()).then(|| format!("── {}: {}\n{problems}", file.display(), case.name))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
