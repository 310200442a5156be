//! The hostile corpus, `tests/hostile`, as text.

use std::path::{Path, PathBuf};

/// The files of the corpus, sorted.
pub fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir("tests/hostile")
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "js"))
        .collect();
    files.sort();
    files
}

/// The code of one file, with the addition that its second line names: `// with: NAME` appends
/// `tests/hostile/with/NAME.js`.
pub fn code(file: &Path) -> String {
    let code = std::fs::read_to_string(file).unwrap();
    let Some(name) = code.lines().nth(1).and_then(|line| line.strip_prefix("// with: ")) else { return code };
    let shared = std::fs::read_to_string(format!("tests/hostile/with/{name}.js")).unwrap();
    format!("{code}\n{shared}")
}
