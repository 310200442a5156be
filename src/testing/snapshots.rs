//! Snapshots on disk: the file beside the tests, and those that stand in a test's own source, which is edited in place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::protocol::{Finished, Inline};
use super::run::first_place;
use sluicegate_engine::verdict::Position;

/// The file that holds the snapshots of a test file.
pub(super) fn path(test: &Path) -> PathBuf {
    let name = test.file_name().unwrap_or_default().to_string_lossy();
    test.parent().unwrap_or(Path::new("")).join("__snapshots__").join(format!("{name}.snap"))
}

/// Writes what has changed; says how many snapshots that is, a file counting as one.
pub(super) fn write(finished: &Finished, path: &Path, test: &str) -> std::io::Result<usize> {
    if let Some(text) = &finished.file {
        std::fs::create_dir_all(path.parent().expect("a folder was just joined"))?;
        std::fs::write(path, text)?;
    }
    let mut by_file: BTreeMap<String, Vec<(Position, &Inline)>> = BTreeMap::new();
    for inline in &finished.inline {
        // The stack comes from the test's isolate: whatever it claims, only the test's own file is written to.
        if let Some(at) = first_place(&inline.stack).filter(|at| at.file == test) {
            by_file.entry(at.file.clone()).or_default().push((at, inline));
        }
    }
    for (file, mut edits) in by_file {
        let mut text = std::fs::read_to_string(&file)?;
        // From the end, so that what is before keeps its place.
        edits.sort_by_key(|(at, _)| std::cmp::Reverse((at.line, at.column)));
        edits.dedup_by_key(|(at, _)| (at.line, at.column));
        for (at, inline) in edits {
            write_inline(&mut text, &at, &inline.text);
        }
        std::fs::write(&file, text)?;
    }
    Ok(usize::from(finished.file.is_some()) + finished.inline.len())
}

/// Puts a snapshot between the parentheses of the call at `at`.
fn write_inline(text: &mut String, at: &Position, snapshot: &str) -> Option<()> {
    let line_start = text.split_inclusive('\n').take(at.line as usize - 1).map(str::len).sum::<usize>();
    let line = text[line_start..].lines().next()?;
    let mut units = 1;
    let column = line.char_indices().find(|(_, char)| {
        let here = units;
        units += char.len_utf16() as u32;
        here >= at.column
    })?;
    let start = line_start + column.0;
    let open = start + text[start..].find('(')? + 1;
    let inner = text[open..].trim_start();
    let close = if let Some(template) = inner.strip_prefix('`') {
        let begin = text.len() - template.len();
        let mut escaped = false;
        let end = text[begin..].char_indices().find(|(_, char)| {
            let ends = *char == '`' && !escaped;
            escaped = *char == '\\' && !escaped;
            ends
        })?;
        begin + end.0 + 1 + text[begin + end.0 + 1..].find(')')?
    } else {
        open + text[open..].find(')')?
    };
    let indent: String = line.chars().take_while(|char| char.is_whitespace()).collect();
    let written = if snapshot.contains('\n') {
        let body: String = snapshot.lines().map(|line| format!("{indent}  {line}\n")).collect();
        format!("`\n{body}{indent}`")
    } else {
        format!("`{snapshot}`")
    };
    text.replace_range(open..close, &written);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_snapshots_are_written_into_the_call() {
        let at = |line, column| Position { file: String::new(), line, column };
        let mut text = "a\n  expect('é').toMatchInlineSnapshot();\nb(c)\n".to_owned();
        write_inline(&mut text, &at(2, 15), "{\n  a: 1,\n}").unwrap();
        assert_eq!(text, "a\n  expect('é').toMatchInlineSnapshot(`\n    {\n      a: 1,\n    }\n  `);\nb(c)\n");
        write_inline(&mut text, &at(2, 15), "1").unwrap();
        assert_eq!(text, "a\n  expect('é').toMatchInlineSnapshot(`1`);\nb(c)\n");
    }
}
