//! Runs every command of the README, as a new user would: in an empty folder, one after the other.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::support::Dir;

/// The fenced blocks of a Markdown file with this language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn shell(dir: &Dir, script: &str) -> (bool, String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_sluicegate")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(dir.path())
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

#[test]
fn every_command_of_the_readme_works() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let dir = Dir::new();
    let mut said = String::new();
    let mut count = 0;
    // `make` runs this test; the demo has its own test.
    for block in blocks(&readme, "sh").into_iter().filter(|block| !block.starts_with("make ")) {
        let (ok, text) = shell(&dir, block);
        assert!(ok, "{block}\n{text}");
        writeln!(said, "{text}").unwrap();
        count += 1;
    }
    assert!(count >= 5, "{count} blocks");
    for promised in [
        r#"{"type":"identify","userId":"u1","traits":{"first":"Ada","last":"Lovelace","plan":"team","name":"Ada Lovelace"}}"#,
        "3 in = 2 ok + 1 dropped + 0 failed · 2 events out",
        "paid.js: ok: exports transformEvent",
        r#"{"phone":"4930901820"}"#,
        r#""kind":"exception""#,
        r#"{"verdict":"dropped"}"#,
    ] {
        assert!(said.contains(promised), "{promised}\n{said}");
    }
}

#[test]
fn the_demo_shows_three_events_a_drop_a_failure_and_the_summary() {
    let output = Command::new("scripts/demo").env("SLUICEGATE_BIN", env!("CARGO_BIN_EXE_sluicegate")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.matches("\nbefore {").count(), 4, "{text}");
    assert_eq!(text.matches("\nafter  {\"type\":\"group\"").count(), 3, "{text}");
    for promised in [
        "after  dropped",
        "--> examples/warehouse-actions/transform.js:12:20",
        "12 |   const newTruth = rebuild_object(traits.new_truth);\n   |                    ^",
        "3000 in = 1086 ok + 1911 dropped + 3 failed (3 exception) · 1086 events out",
        "to the byte",
    ] {
        assert!(text.contains(promised), "{promised}\n{text}");
    }
}

#[test]
fn the_script_that_brings_v8_copies_checks_and_is_silent() {
    let output = Command::new("tests/scripts/v8.sh").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The tutorial, exactly as written: its files under the names in the text, its commands, and their output.
#[test]
fn the_tutorial_of_testing_works_from_an_empty_folder() {
    let text = std::fs::read_to_string("docs/testing.md").unwrap();
    let js = blocks(&text, "js");
    let console = blocks(&text, "console");
    let dir = Dir::new();
    dir.file("orders.js", js[0]);
    dir.file("orders.test.js", js[1]);
    // The first run fails, with the message of the tutorial.
    let (ok, said) = shell(&dir, "sluicegate test");
    assert!(!ok);
    let told = |wanted: &str, said: &str| {
        for line in wanted.lines().skip(1).filter(|line| !line.contains(" ms") && !line.contains("µs")) {
            assert!(said.contains(line), "{line}\n{said}");
        }
    };
    told(console[0], &said);
    // After the fix, the tests run every line.
    dir.file("orders.test.js", js[1].replace("total: 5", "total: 6"));
    let coverage = console.iter().find(|block| block.contains("--coverage")).unwrap();
    let (ok, said) = shell(&dir, "sluicegate test --coverage --isolation");
    assert!(ok, "{said}");
    told(coverage, &said);
    // A case as data.
    dir.file("orders.refund.case.json", blocks(&text, "json")[0]);
    let (ok, said) =
        shell(&dir, "sluicegate test --init orders.js || true; sluicegate test && sluicegate types > sluicegate.d.ts");
    assert!(ok && said.contains("3 passed"), "{said}");
    for block in blocks(&text, "sh") {
        // A separate project.
        let empty = Dir::new();
        let (ok, said) = shell(if block.starts_with("sluicegate init") { &empty } else { &dir }, block);
        assert!(ok, "{block}\n{said}");
    }
    // Events that the tests did not cover.
    let fuzzed = js.iter().find(|block| block.contains("event.traits.first")).unwrap();
    let other = Dir::new();
    other.file("names.js", fuzzed);
    let block = console.iter().find(|block| block.contains("fuzz names.js")).unwrap();
    let (ok, said) = shell(&other, block.lines().next().unwrap().strip_prefix("$ ").unwrap());
    assert!(!ok);
    told(block, &said);
}
