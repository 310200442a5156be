//! Which files of a project are tests, and of what.
//!
//! Tests lie beside the code: `orders.test.js` is about `orders.js` (or `orders.ts`), and so is `orders.big.test.js`;
//! in a folder `test`, `tests` or `__tests__` the code is looked for one folder up, too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folders that hold no tests of one's own.
const PASSED_OVER: &[&str] = &["node_modules", "target", "__snapshots__"];

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `*.test.js`, `.mjs`, `.ts`, `.mts`.
    Code,
    /// `*.case.json`.
    Case,
    /// A YAML file, perhaps one of RudderStack's.
    Yaml,
    /// `meta.json`, perhaps that of RudderStack's action.
    Meta,
}

/// Files that are tests or may be, below `paths`, sorted. A path that names a file is taken whatever lies around it.
///
/// # Errors
/// When a path cannot be read; with the path.
pub fn find(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Kind)>, (PathBuf, io::Error)> {
    let mut found = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|error| (path.clone(), error))?;
        if metadata.is_dir() {
            walk(path, &mut found)?;
        } else if let Some(kind) = kind(path) {
            found.push((path.clone(), kind));
        } else {
            let message = "it is neither a test (*.test.js, *.test.ts) nor a case (*.case.json, *.yaml, meta.json)";
            return Err((path.clone(), io::Error::new(io::ErrorKind::InvalidInput, message)));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn walk(dir: &Path, found: &mut Vec<(PathBuf, Kind)>) -> Result<(), (PathBuf, io::Error)> {
    let at = |error| (dir.to_owned(), error);
    for entry in fs::read_dir(dir).map_err(at)? {
        let entry = entry.map_err(at)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let path = if dir == Path::new(".") { PathBuf::from(entry.file_name()) } else { entry.path() };
        // Links are followed for files only: a link to a folder above would never end.
        if entry.file_type().map_err(at)?.is_dir() {
            if !PASSED_OVER.contains(&name.as_ref()) {
                walk(&path, found)?;
            }
        } else if let Some(kind) = kind(&path) {
            found.push((path, kind));
        }
    }
    Ok(())
}

fn kind(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?;
    if [".test.js", ".test.mjs", ".test.ts", ".test.mts"].iter().any(|end| name.ends_with(end)) {
        Some(Kind::Code)
    } else if name.ends_with(".case.json") {
        Some(Kind::Case)
    } else if name.ends_with(".yaml") || name.ends_with(".yml") {
        Some(Kind::Yaml)
    } else if name == "meta.json" {
        Some(Kind::Meta)
    } else {
        None
    }
}

/// Whether a file is a test in code, or one case.
pub fn is_test(path: &Path) -> bool {
    matches!(kind(path), Some(Kind::Code | Kind::Case))
}

/// The transformation that a test is about, by its name.
pub fn subject_of(test: &Path) -> Option<PathBuf> {
    let name = test.file_name()?.to_str()?;
    let stem = [".test.js", ".test.mjs", ".test.ts", ".test.mts", ".case.json"]
        .iter()
        .find_map(|end| name.strip_suffix(end))?;
    let dir = test.parent().unwrap_or(Path::new(""));
    let mut folders = vec![dir.to_owned()];
    if dir.file_name().is_some_and(|name| ["test", "tests", "__tests__", "cases"].iter().any(|word| name == *word)) {
        folders.push(dir.parent().unwrap_or(Path::new("")).to_owned());
    }
    let mut stem = stem;
    loop {
        for folder in &folders {
            for extension in ["js", "ts", "mjs", "mts"] {
                let path = folder.join(format!("{stem}.{extension}"));
                if path.is_file() {
                    return Some(path);
                }
            }
        }
        stem = stem.rsplit_once('.')?.0;
    }
}
