//! `sluicegate test --watch`: finds changed files.
//!
//! Files are polled: twenty checks a second of a project's few hundred files cost less than one of its tests, and
//! polling works on every file system, including network mounts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Extensions of files that can change the result of a test.
const EXTENSIONS: &[&str] = &["js", "mjs", "ts", "mts", "json", "jsonl", "yaml", "yml", "toml", "txt"];

/// The files below some paths, as of the last check.
pub(super) struct FileWatcher {
    paths: Vec<PathBuf>,
    seen: BTreeMap<PathBuf, (SystemTime, u64)>,
}

impl FileWatcher {
    /// Makes the first check.
    pub(super) fn new(paths: &[PathBuf]) -> Self {
        let mut watcher = Self { paths: paths.to_vec(), seen: BTreeMap::new() };
        watcher.seen = watcher.scan();
        watcher
    }

    /// Returns the paths that were changed, added or removed since the last check; `None` if there are none.
    pub(super) fn take_changes(&mut self) -> Option<Vec<PathBuf>> {
        let now = self.scan();
        let differs = |(path, state): (&PathBuf, &(SystemTime, u64)), other: &BTreeMap<PathBuf, (SystemTime, u64)>| {
            (other.get(path) != Some(state)).then(|| path.clone())
        };
        let mut changed: Vec<PathBuf> = now.iter().filter_map(|file| differs(file, &self.seen)).collect();
        changed.extend(self.seen.keys().filter(|path| !now.contains_key(*path)).cloned());
        self.seen = now;
        (!changed.is_empty()).then_some(changed)
    }

    /// Marks all current files as seen. Files that the tests themselves have written are not changes.
    pub(super) fn forget(&mut self) {
        self.seen = self.scan();
    }

    fn scan(&self) -> BTreeMap<PathBuf, (SystemTime, u64)> {
        let mut found = BTreeMap::new();
        for path in &self.paths {
            // For a test file, its folder is watched, because the code is next to the test.
            let dir = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(Path::new("")) };
            walk(if dir.as_os_str().is_empty() { Path::new(".") } else { dir }, &mut found);
        }
        found
    }
}

/// Adds the files of a folder. A folder that has been removed contains none.
fn walk(dir: &Path, found: &mut BTreeMap<PathBuf, (SystemTime, u64)>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if name.starts_with('.') || matches!(&*name, "node_modules" | "target" | "__snapshots__") {
            continue;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if metadata.is_dir() {
            walk(&path, found);
        } else if EXTENSIONS.contains(&extension) {
            let state = (metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len());
            found.insert(path.strip_prefix("./").map_or(path.clone(), Path::to_owned), state);
        }
    }
}
