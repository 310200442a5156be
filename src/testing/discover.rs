//! Finds the test files of a project, and the code that each one tests.
//!
//! Tests are next to the code: `orders.test.js` and `orders.spec.js` test `orders.js` (or `orders.ts`),
//! and so does `orders.big.test.js`. For tests in a folder `test`, `tests`, `spec` or `__tests__`, the
//! code may also be next to that folder, or in `src` next to it. In `__tests__` every module is a test.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folders that contain no tests of the project.
const PASSED_OVER: &[&str] = &["node_modules", "target", "__snapshots__"];

/// Folders for tests; the code may be next to them.
const TEST_FOLDERS: &[&str] = &["test", "tests", "spec", "__tests__", "cases"];

/// The folder in which every module is a test, as in Jest.
const ALL_TESTS: &str = "__tests__";

/// The file name endings of modules.
const MODULES: &[&str] = &[".js", ".mjs", ".ts", ".mts"];

/// The kind of a test file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `*.test.js` or `*.spec.js`, `.mjs`, `.ts`, `.mts`; any of them in `__tests__`.
    Code,
    /// `*.case.json`.
    Case,
    /// A YAML file, perhaps one of RudderStack's.
    Yaml,
    /// `meta.json`, perhaps that of RudderStack's action.
    Meta,
}

/// Returns the files below `paths` that are tests or may be, sorted. A path may also name a single file.
///
/// # Errors
/// When a path cannot be read, or names a file that is not a test; the error comes with the path.
pub fn find(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Kind)>, (PathBuf, io::Error)> {
    let mut found = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|error| (path.clone(), error))?;
        if metadata.is_dir() {
            walk(path, &mut found)?;
        } else if let Some(kind) = kind(path) {
            found.push((path.clone(), kind));
        } else {
            let message = "it is neither a test (*.test.js, *.spec.ts, __tests__/*.js) nor a case (*.case.json, *.yaml, \
                           meta.json)";
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
        // Symbolic links are followed for files only: a link to a parent folder would make the search endless.
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
    if code_stem(path).is_some() {
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

/// Returns whether a file is a test in code, or one case.
pub fn is_test(path: &Path) -> bool {
    matches!(kind(path), Some(Kind::Code | Kind::Case))
}

/// Returns the name of a test file without the part that marks it as a test; `None` for other files.
fn code_stem(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let stem = MODULES.iter().find_map(|end| name.strip_suffix(end))?;
    if let Some(stem) = [".test", ".spec"].iter().find_map(|word| stem.strip_suffix(word)) {
        return Some(stem);
    }
    let in_tests = path.parent()?.components().any(|part| part.as_os_str() == ALL_TESTS);
    (in_tests && !stem.ends_with(".d")).then_some(stem)
}

/// Finds the file of the code that a test file tests, by its name.
pub fn subject_of(test: &Path) -> Option<PathBuf> {
    let name = test.file_name()?.to_str()?;
    let mut stem = code_stem(test).or_else(|| name.strip_suffix(".case.json"))?;
    let folders = folders_of(test.parent().unwrap_or(Path::new("")));
    loop {
        for folder in &folders {
            for end in MODULES {
                let path = folder.join(format!("{stem}{end}"));
                if path.is_file() && path != test {
                    return Some(path);
                }
            }
        }
        stem = stem.rsplit_once('.')?.0;
    }
}

/// Returns the folders in which the code for a test in this folder may be: the folder itself and, if it is a
/// test folder or inside one, the folder next to that and its `src`, including subfolders of the same names.
fn folders_of(dir: &Path) -> Vec<PathBuf> {
    let mut folders = vec![dir.to_owned()];
    for above in dir.ancestors() {
        if !above.file_name().is_some_and(|name| TEST_FOLDERS.iter().any(|word| name == *word)) {
            continue;
        }
        let beside = above.parent().unwrap_or(Path::new(""));
        let inner = dir.strip_prefix(above).unwrap_or(Path::new(""));
        for place in [beside.join(inner), beside.join("src").join(inner), beside.to_owned(), beside.join("src")] {
            if !folders.contains(&place) {
                folders.push(place);
            }
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_finds_its_code_in_every_usual_layout() {
        let dir = tempfile::tempdir().unwrap();
        let file = |path: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        let (one, two, three) = (file("src/one.ts"), file("two.js"), file("src/deep/three.mjs"));
        for (test, code) in [
            ("src/one.test.ts", Some(&one)),
            ("src/one.big.spec.ts", Some(&one)),
            ("test/one.test.ts", Some(&one)),
            ("tests/unit/one.spec.js", Some(&one)),
            ("src/__tests__/one.ts", Some(&one)),
            ("__tests__/two.js", Some(&two)),
            ("test/two.case.json", Some(&two)),
            ("test/deep/three.test.mjs", Some(&three)),
            ("other/two.test.js", None),
            ("__tests__/four.js", None),
        ] {
            let test = file(test);
            assert_eq!(subject_of(&test).as_ref(), code, "{}", test.display());
            assert!(is_test(&test), "{}", test.display());
        }
        assert!(!is_test(&file("src/__tests__/types.d.ts")) && !is_test(&one));
    }
}
