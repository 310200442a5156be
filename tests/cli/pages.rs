//! Runs every console block of every page and compares the output.
//!
//! A block is a list of commands, each after `$ `, with its output below. A line `…` matches any lines. Values that
//! differ in each run (durations, rates, ports, tokens) are not compared.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::Dir;
use crate::support::web_server::{Reply, Web};

/// Pages whose blocks another test runs, and the name of that test.
const ELSEWHERE: &[(&str, &str)] = &[
    ("CONTRIBUTING.md", "make: it is what runs the tests"),
    ("docs/internals/lazy-events.md", "cargo: a test with more programs than usual"),
    ("examples/reverse-etl/README.md", "examples/reverse-etl/run"),
    ("docs/testing.md", "readme::the_tutorial_of_testing_works_from_an_empty_folder, and here what it leaves out"),
];

/// Pages whose blocks are run here.
const HERE: &[&str] = &["README.md", "docs/lineage.md", "docs/network.md", "docs/playground.md"];

fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn page(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The commands of a block, each with the lines below it.
fn commands(block: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push((command, Vec::new())),
            (None, Some((_, shown))) => shown.push(line),
            (None, None) => panic!("a console block begins with a command: {block}"),
        }
    }
    found
}

/// A line without the values that differ in each run.
fn steady(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line.trim_end();
    // The rate of a summary, which has separators between thousands.
    if let Some((counts, rate)) = rest.rsplit_once(" · ")
        && rate.ends_with(" events/s")
    {
        rest = counts;
    }
    while let Some(at) = rest.find(|char: char| char.is_ascii_digit()) {
        out.push_str(&rest[..at]);
        let end =
            rest[at..].find(|char: char| !char.is_ascii_digit() && char != '.').map_or(rest.len(), |len| at + len);
        let after = &rest[end..];
        let varies = [" ms", "ms", " µs", " s", " runs"].iter().any(|unit| after.starts_with(unit))
            || out.ends_with("127.0.0.1:");
        out.push_str(if varies { "N" } else { &rest[at..end] });
        rest = after;
    }
    out.push_str(rest);
    match out.split_once("/#") {
        // A token.
        Some((address, token)) if token.len() == 32 => format!("{address}/#TOKEN"),
        _ => out,
    }
}

/// Checks that the output consists of the lines of a page, apart from empty lines; `…` matches any number of lines. The
/// error is the first missing line.
fn shows(shown: &[&str], said: &str) -> Result<(), String> {
    let said: Vec<String> = said.lines().map(steady).collect();
    let mut at = 0;
    let mut gap = false;
    for line in shown.iter().filter(|line| !line.trim().is_empty()) {
        if line.trim() == "…" {
            gap = true;
            continue;
        }
        let wanted = steady(line);
        let found = said[at..].iter().position(|line| *line == wanted);
        match found {
            Some(skipped) if gap || said[at..at + skipped].iter().all(|line| line.is_empty()) => at += skipped + 1,
            _ => return Err(wanted),
        }
        gap = false;
    }
    match gap || said[at..].iter().all(|line| line.is_empty()) {
        true => Ok(()),
        false => Err(format!("nothing after line {at}")),
    }
}

/// Runs every command of a block in a folder, and compares.
fn run(dir: &Dir, block: &str, adapt: &dyn Fn(&str) -> String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_sluicegate")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    for (command, shown) in commands(block) {
        let mut shell = Command::new("bash");
        // Standard error is mixed into the output, as on a terminal.
        shell.args(["-c", &format!("exec 2>&1; {}", adapt(command))]).current_dir(dir.path());
        let output = shell.env("PATH", &path).env("NO_COLOR", "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if let Err(line) = shows(&shown, &said) {
            panic!("{command}\nshows {line:?} on the page, and says\n{said}");
        }
    }
}

/// All pages, with the number of their console blocks.
fn pages() -> Vec<(String, usize)> {
    let mut found: Vec<PathBuf> = vec!["README.md".into(), "CONTRIBUTING.md".into(), "ARCHITECTURE.md".into()];
    let mut folders: Vec<PathBuf> = vec!["docs".into(), "examples".into(), "tests".into(), "benches".into()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("md") => found.push(path),
                None if path.is_dir() && !path.ends_with("node_modules") => folders.push(path),
                _ => {}
            }
        }
    }
    let count = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.to_str().unwrap().to_owned(), blocks(&text, "console").len())
    };
    let mut found: Vec<(String, usize)> = found.into_iter().map(count).filter(|(_, count)| *count > 0).collect();
    found.sort();
    found
}

#[test]
fn every_page_with_commands_has_a_test_and_shows_what_comes_out() {
    let pages = pages();
    for (path, _) in &pages {
        let is_known = HERE.contains(&path.as_str()) || ELSEWHERE.iter().any(|(known, _)| known == path);
        assert!(is_known, "no test runs the console blocks of {path}");
    }
    for path in HERE.iter().chain(ELSEWHERE.iter().map(|(path, _)| path)) {
        assert!(pages.iter().any(|(known, _)| known == path), "{path} has no console block any more");
    }
    for path in HERE.iter().chain(&["docs/testing.md"]) {
        for block in blocks(&page(path), "console") {
            for (command, shown) in commands(block) {
                assert!(!shown.is_empty() || command.contains(" > "), "{path} does not show what comes of {command}");
            }
        }
    }
}

/// The first line that a playground or another long-running program prints.
fn first_line(dir: &Dir, command: &str) -> String {
    struct Ended(Child);
    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let args: Vec<&str> = command.split(' ').skip(1).collect();
    let mut child = Ended(dir.command(&args).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line
}

fn with_example(dir: &Dir) {
    for name in ["transform.js", "events.jsonl"] {
        let path = format!("examples/warehouse-actions/{name}");
        dir.file(&path, std::fs::read(&path).unwrap());
    }
}

#[test]
fn the_readme_and_the_network_show_what_comes_out() {
    let readme = page("README.md");
    let dir = Dir::new();
    with_example(&dir);
    // The files that other blocks of the page write.
    let files = ["paid.js", "users.js"].map(|name| {
        let block = blocks(&readme, "sh").into_iter().find(|block| block.contains(&format!("cat > {name}"))).unwrap();
        block.split("\nsluicegate").next().unwrap().to_owned()
    });
    let web = Web::start(|asked| match asked.path.as_str() {
        "/users/u1" => Reply::json(r#"{"plan":"team","seats":12}"#),
        _ => Reply::new(404, &[("content-type", "application/json")], "{}"),
    });
    let host = format!("127.0.0.1:{}", web.port());
    for file in &files {
        let made = Command::new("bash").args(["-c", file]).current_dir(dir.path()).status().unwrap();
        assert!(made.success());
    }
    let code = dir.read("users.js").replace("https://api.example.com", &format!("http://{host}"));
    dir.file("users.js", code);
    let adapt = |command: &str| command.replace("api.example.com", &host);
    for path in ["README.md", "docs/network.md"] {
        for block in blocks(&page(path), "console").into_iter().filter(|block| !block.contains("sluicegate play")) {
            run(&dir, block, &adapt);
        }
    }
}

#[test]
fn a_playground_prints_its_address() {
    let dir = Dir::new();
    with_example(&dir);
    dir.file("transformations/orders.js", "export const transformEvent = (event) => event;");
    for path in ["README.md", "docs/playground.md"] {
        let text = page(path);
        for (command, shown) in blocks(&text, "console").into_iter().flat_map(commands) {
            if command.contains("play") {
                // The port on the page may be in use.
                let command = command.replace(":9090", ":0");
                assert_eq!(steady(&first_line(&dir, &command)), steady(&shown[0].replace(":9090", ":1")), "{command}");
            }
        }
    }
}

#[test]
fn lineage_shows_what_it_measures() {
    let text = page("docs/lineage.md");
    let dir = Dir::new();
    dir.file("orders.js", blocks(&text, "js")[0]);
    dir.file("events.jsonl", blocks(&text, "json")[0]);
    for block in blocks(&text, "console") {
        run(&dir, block, &str::to_owned);
    }
}

#[test]
fn testing_shows_what_its_tutorial_leaves_out() {
    let text = page("docs/testing.md");
    let js = blocks(&text, "js");
    let console = |part: &str| blocks(&text, "console").into_iter().find(|block| block.contains(part)).unwrap();
    let code = |part: &str| js.iter().find(|block| block.contains(part)).copied().unwrap();
    let dir = Dir::new();
    dir.file("counter.js", code("let count = 0;"));
    dir.file("counter.test.js", code("needs what was counted"));
    run(&dir, console("--isolation"), &str::to_owned);
    let dir = Dir::new();
    dir.file("old.js", code("total: event.price * event.count"));
    dir.file("new.js", code("total: (event.price * event.count).toFixed(2)"));
    dir.file("events.jsonl", blocks(&text, "json").into_iter().find(|block| block.contains("\"id\":1")).unwrap());
    run(&dir, console("sluicegate diff"), &str::to_owned);
}

#[test]
fn a_page_that_shows_something_else_is_found_out() {
    let said = "a 5 ms\n\nb http://127.0.0.1:4000/#5cf0c1b9d35f0e7a7a1f1c5e0b0d6a8e\nc 7 rows\n";
    for good in [
        &["a 17 ms", "b http://127.0.0.1:1/#00000000000000000000000000000000", "c 7 rows"][..],
        &["…", "c 7 rows"],
        &["a 5 ms", "…"],
    ] {
        assert_eq!(shows(good, said), Ok(()), "{good:?}");
    }
    for bad in [&["a 5 ms", "c 7 rows"][..], &["…", "c 8 rows"], &["a 5 ms"], &["c 7 rows", "…", "a 5 ms"]] {
        assert!(shows(bad, said).is_err(), "{bad:?}");
    }
}
