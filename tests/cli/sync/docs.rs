//! `docs/sync.md`, exactly as written: its files under the names on the page, its commands, and their output.

use std::process::Command;

use crate::support::Dir;
use crate::support::web_server::{Reply, Web};

/// The fenced blocks of a Markdown file: language and text.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    text.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

#[test]
fn the_five_minutes_work_from_an_empty_folder() {
    let page = std::fs::read_to_string("docs/sync.md").unwrap();
    let (first, _) = page.split_once("## The config").expect("the page has the chapter");
    let web = Web::start(|_| Reply::json("{}"));
    let dir = Dir::new();
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_sluicegate")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut said = String::new();
    let mut count = 0;
    for (language, block) in blocks(first) {
        let block = block.replace("https://hooks.example.com/users", &web.url("/users"));
        // A block that starts with the name of a file is that file.
        if let Some((name, content)) = block
            .split_once('\n')
            .and_then(|(head, rest)| Some((head.strip_prefix("# file: ").or(head.strip_prefix("// file: "))?, rest)))
        {
            dir.file(name, content);
            continue;
        }
        if language != "sh" {
            continue;
        }
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .current_dir(dir.path())
            .env("PATH", &path)
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{block}\n{text}");
        said.push_str(&text);
        count += 1;
    }
    assert!(count >= 5, "{count} blocks");
    for (_, block) in blocks(first).into_iter().filter(|(language, _)| *language == "text") {
        for line in block.lines() {
            assert!(said.contains(line), "{line}\n{said}");
        }
    }
    assert!(!web.requests().is_empty());
}

#[test]
fn every_key_of_the_config_is_documented() {
    let page = std::fs::read_to_string("docs/sync.md").unwrap();
    let (_, reference) = page.split_once("## The config").unwrap();
    let mut source = String::new();
    for file in std::fs::read_dir("src/sync/config").unwrap() {
        source += &std::fs::read_to_string(file.unwrap().path()).unwrap();
    }
    let asks =
        ["text", "texts", "switch", "count", "duration", "size", "word", "table", "required_text", "words_or_numbers"];
    let mut keys = Vec::new();
    for ask in asks {
        for rest in source.split(&format!("table.{ask}(\"")).skip(1) {
            keys.push(rest.split('"').next().unwrap());
        }
    }
    assert!(keys.len() > 40, "{keys:?}");
    for key in keys {
        assert!(
            reference.contains(&format!("`{key}`")) || reference.contains(&format!("{key} =")),
            "{key} is not in docs/sync.md"
        );
    }
}
