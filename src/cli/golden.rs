//! Golden files: the complete text for a user, in a file next to the input that causes it.
//! `UPDATE_GOLDEN=1` rewrites the files; the author of the change then reads the diff.

use std::fs;
use std::path::{Path, PathBuf};

/// Renders each entry of a folder that has this extension (`""` for folders), and compares
/// the text with the `.txt` file next to the entry. In a folder, the file is `expected.txt`.
pub(super) fn each(dir: &str, extension: &str, render: impl Fn(&Path) -> String) {
    let mut inputs: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.retain(|path| path.extension().unwrap_or_default() == extension && path.is_dir() == extension.is_empty());
    inputs.sort();
    assert!(!inputs.is_empty(), "no cases in {dir}");
    let wrong: Vec<String> = inputs
        .iter()
        .filter_map(|input| {
            let expected = if extension.is_empty() { input.join("expected.txt") } else { input.with_extension("txt") };
            check(&expected, &render(input)).err()
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Compares a text with its golden file.
pub(super) fn check(expected: &Path, got: &str) -> Result<(), String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(expected, got).unwrap();
        return Ok(());
    }
    let text = fs::read_to_string(expected).unwrap_or_default();
    if text == got { Ok(()) } else { Err(format!("--- {}\n{text}+++ now\n{got}", expected.display())) }
}
