//! Snapshots on disk: in a file next to the tests, or inline in a test's own source, which is edited in place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::frames::first_place;
use super::protocol::{Finished, Inline};
use sluicegate_engine::verdict::Position;

/// Returns the path of the file that holds the snapshots of a test file.
pub(super) fn path(test: &Path) -> PathBuf {
    let name = test.file_name().unwrap_or_default().to_string_lossy();
    test.parent().unwrap_or(Path::new("")).join("__snapshots__").join(format!("{name}.snap"))
}

/// Returns whether the file or its folder is a symbolic link, which would redirect reads and writes.
pub(super) fn leads_away(path: &Path) -> bool {
    path.is_symlink() || path.parent().is_some_and(Path::is_symlink)
}

/// The result of a write.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The number of snapshots.
    pub(super) count: usize,
    /// The lines of the test file with a written snapshot, and the number of lines added after each.
    pub(super) moves: Vec<(u32, i64)>,
}

/// Writes the snapshots that have changed. `locate` resolves a path that the test names.
pub(super) fn write(
    finished: &Finished,
    path: &Path,
    test: &str,
    locate: &dyn Fn(&str) -> Option<PathBuf>,
) -> std::io::Result<Written> {
    if let Some(text) = &finished.file {
        if leads_away(path) {
            let message = format!("{} is reached by a link; snapshots stay beside their tests", path.display());
            return Err(std::io::Error::other(message));
        }
        std::fs::create_dir_all(path.parent().expect("a folder was just joined"))?;
        std::fs::write(path, text)?;
    }
    for file in &finished.files {
        let Some(path) = locate(&file.path) else { continue };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(path, &file.text)?;
    }
    let mut by_file: BTreeMap<String, Vec<(Position, &Inline)>> = BTreeMap::new();
    for inline in &finished.inline {
        // The stack comes from the test's isolate and may be forged, so only the test's own file is written.
        if let Some(at) = first_place(&inline.stack).filter(|at| at.file == test) {
            by_file.entry(at.file.clone()).or_default().push((at, inline));
        }
    }
    let mut moves = Vec::new();
    for (file, mut edits) in by_file {
        let mut text = std::fs::read_to_string(&file)?;
        // Edited from the end, so that earlier positions stay valid.
        edits.sort_by_key(|(at, _)| std::cmp::Reverse((at.line, at.column)));
        edits.dedup_by_key(|(at, _)| (at.line, at.column));
        for (at, inline) in edits {
            let before = line_ends(&text);
            write_inline(&mut text, &at, inline);
            moves.push((at.line, line_ends(&text) - before));
        }
        std::fs::write(&file, text)?;
    }
    Ok(Written { count: finished.changed + finished.inline.len() + finished.files.len(), moves })
}

fn line_ends(text: &str) -> i64 {
    text.matches('\n').count() as i64
}

/// Writes a snapshot between the parentheses of the call at `at`: it replaces the existing one, or goes after the shape
/// of the value.
fn write_inline(text: &mut String, at: &Position, inline: &Inline) -> Option<()> {
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
    let close = open + closing(&text[open..])?;
    let from = if inline.shaped { after_shape(&text[open..close]).map_or(close, |at| open + at) } else { open };
    let indent: String = line.chars().take_while(|char| char.is_whitespace()).collect();
    let snapshot = &inline.text;
    let written = if snapshot.contains('\n') {
        let body: String = snapshot.lines().map(|line| format!("{indent}  {line}\n")).collect();
        format!("`\n{body}{indent}`")
    } else {
        format!("`{snapshot}`")
    };
    let between = if inline.shaped { ", " } else { "" };
    text.replace_range(from..close, &format!("{between}{written}"));
    Some(())
}

/// Returns the position of the parenthesis that closes the call; parentheses in strings do not count.
fn closing(text: &str) -> Option<usize> {
    walk(text, |depth, char| depth == 0 && char == ')')
}

/// Returns the position of the comma after the first argument; `None` if there is none.
fn after_shape(text: &str) -> Option<usize> {
    walk(text, |depth, char| depth == 0 && char == ',')
}

/// Returns the first position outside strings for which `found`
/// returns true; `found` also gets the number of open brackets.
fn walk(text: &str, found: impl Fn(usize, char) -> bool) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, char) in text.char_indices() {
        if let Some(open) = quote {
            if !escaped && char == open {
                quote = None;
            }
            escaped = char == '\\' && !escaped;
        } else if found(depth, char) {
            return Some(at);
        } else {
            match char {
                '\'' | '"' | '`' => quote = Some(char),
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.checked_sub(1)?,
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_snapshots_are_written_into_the_call() {
        let at = |line, column| Position { file: String::new(), line, column };
        let inline = |text: &str, shaped| Inline { stack: String::new(), text: text.to_owned(), shaped };
        let mut text = "a\n  expect('é').toMatchInlineSnapshot();\nb(c)\n".to_owned();
        write_inline(&mut text, &at(2, 15), &inline("{\n  a: 1,\n}", false)).unwrap();
        assert_eq!(text, "a\n  expect('é').toMatchInlineSnapshot(`\n    {\n      a: 1,\n    }\n  `);\nb(c)\n");
        write_inline(&mut text, &at(2, 15), &inline("1", false)).unwrap();
        assert_eq!(text, "a\n  expect('é').toMatchInlineSnapshot(`1`);\nb(c)\n");
    }

    #[test]
    fn the_shape_of_the_value_stays() {
        let at = Position { file: String::new(), line: 1, column: 11 };
        let inline = |text: &str| Inline { stack: String::new(), text: text.to_owned(), shaped: true };
        let mut text = "expect(x).toMatchInlineSnapshot({ a: f(')'), b: [1, 2] });".to_owned();
        write_inline(&mut text, &at, &inline("1")).unwrap();
        assert_eq!(text, "expect(x).toMatchInlineSnapshot({ a: f(')'), b: [1, 2] }, `1`);");
        write_inline(&mut text, &at, &inline("2")).unwrap();
        assert_eq!(text, "expect(x).toMatchInlineSnapshot({ a: f(')'), b: [1, 2] }, `2`);");
    }
}
