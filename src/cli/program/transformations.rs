//! Finds the transformations in a folder for `check`, and fixes simple mistakes in them.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{entries, read_text};
use super::{Result, module_stem, plain};
use crate::cli::diagnostic::Diagnostic;
use crate::parser_process::{self, Fixes, Obstacle, apply};
use crate::testing::discover::is_test;
use sluicegate_engine::is_typescript;

/// A transformation that cannot be read, or a path without transformations, and the reason.
#[derive(Clone, Debug)]
pub struct Unread {
    /// The path.
    pub path: PathBuf,
    /// The reason.
    pub error: Diagnostic,
}

/// Returns the modules below a folder that export one of the two functions, or declare
/// one without the `export`; sorted by path, without tests, packages and hidden folders.
/// Includes files and folders that cannot be read: they may be transformations.
pub fn transformations(dir: &Path) -> Vec<std::result::Result<PathBuf, Unread>> {
    let paths = match entries(dir, "the folder") {
        Ok(paths) => paths,
        Err(error) => return vec![Err(Unread { path: dir.to_owned(), error })],
    };
    let mut found = Vec::new();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && name != "node_modules" {
                found.extend(transformations(&path));
            }
        } else if module_stem(&path).is_some() && !is_test(&path) {
            match read_text(&path, "the module") {
                Ok(text) if is_transformation(&path, &text) => found.push(Ok(path)),
                Ok(_) => {}
                Err(error) => found.push(Err(Unread { path, error })),
            }
        }
    }
    found
}

/// Returns whether a module exports one of the two functions, or is probably meant to.
fn is_transformation(path: &Path, text: &str) -> bool {
    let names = ["transformEvent", "transformBatch"];
    if !names.iter().any(|name| text.contains(name)) {
        return false;
    }
    if text.contains("export") {
        return true;
    }
    let code = if is_typescript(path) {
        parser_process::strip(text).map_err(|error| error.message)
    } else {
        Ok(text.to_owned())
    };
    code.and_then(|code| parser_process::declares_function(&code)).unwrap_or_else(|_| {
        // The code cannot be parsed, so a text search must be enough.
        names.iter().any(|name| text.contains(&format!("function {name}")) || text.contains(&format!("{name} =")))
    })
}

/// Fixes simple mistakes in a JavaScript file, in place. If the
/// fixed code could not load, writes nothing and returns the reason.
///
/// # Errors
/// When the file cannot be read or written.
pub fn fix(path: &Path) -> Result<Option<String>> {
    if is_typescript(path) || module_stem(path).is_none() {
        return Ok(None);
    }
    let text = read_text(path, "the transformation")?;
    // Loading reports code that cannot be parsed.
    let Fixes { fixes, obstacle } = parser_process::fixes(&text).unwrap_or_default();
    if let Some(Obstacle { why, range }) = obstacle {
        let line = text.as_bytes()[..range.start.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
        return Ok(Some(format!("--fix changes nothing in {}: in line {line}, {why}", path.display())));
    }
    if fixes.is_empty() {
        return Ok(None);
    }
    fs::write(path, apply(&text, fixes))
        .map_err(|error| Diagnostic::new(format!("cannot write {}: {}", path.display(), plain(&error))))?;
    Ok(None)
}
