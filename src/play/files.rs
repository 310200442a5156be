//! Lists, reads and writes the project's files, but no files outside its folder.
//!
//! A path from the page must be relative and consist of plain names that are not hidden. The resolved path must
//! lie inside the folder, whatever symbolic links it contains. A write goes to a temporary file that then replaces
//! the old one, so that a reader never sees a partial file. It happens only if the file on disk is still the
//! version that was read.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The file name extensions of transformations, libraries and tests.
const MODULES: &[&str] = &["js", "mjs", "ts", "mts"];
/// The file name extensions of files with events.
const DATA: &[&str] = &["json", "jsonl", "ndjson"];
/// Folders that contain no files written for the project.
const PASSED_OVER: &[&str] = &["node_modules", "target", "__snapshots__"];
/// The maximum depth of folders, and the most files that are listed.
const DEEPEST: usize = 4;
const MAX_FILES: usize = 500;
/// The largest file that is read, in bytes.
const LARGEST: u64 = 32 << 20;

/// The error describes a rejected path or an unusable file.
pub(super) type Result<T> = std::result::Result<T, String>;

/// A file's text and its version.
#[derive(Serialize)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) version: String,
}

/// Why a file was not written.
pub(super) enum NotWritten {
    /// It has changed since it was read, or exists although it should not.
    Changed,
    /// Another reason, as text.
    Because(String),
}

/// Returns the paths of modules and data below the folder, relative to it and sorted.
pub(super) fn list(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    walk(dir, Path::new(""), DEEPEST, &mut found);
    found.sort();
    found
}

fn walk(dir: &Path, below: &Path, depth: usize, found: &mut Vec<String>) {
    // A folder that cannot be read is skipped.
    let Ok(entries) = fs::read_dir(dir.join(below)) else { return };
    let mut entries: Vec<_> = entries.filter_map(std::result::Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if found.len() >= MAX_FILES || name.starts_with('.') {
            continue;
        }
        let path = below.join(&name);
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            if depth > 1 && !PASSED_OVER.contains(&name.as_str()) {
                walk(dir, &path, depth - 1, found);
            }
        } else if (has_extension(&path, MODULES) && !name.contains(".d.")) || has_extension(&path, DATA) {
            found.extend(path.to_str().map(str::to_owned));
        }
    }
}

/// Returns whether the file is code.
pub(super) fn is_module(path: &str) -> bool {
    has_extension(Path::new(path), MODULES)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|it| extensions.contains(&it))
}

/// Resolves a path from the page to a path on disk. The file need not exist.
pub(super) fn place(dir: &Path, path: &str) -> Result<PathBuf> {
    let relative = Path::new(path);
    let plain = |part: Component<'_>| match part {
        Component::Normal(name) => name.to_str().is_some_and(|name| !name.starts_with('.')),
        _ => false,
    };
    let has_control = path.chars().any(|c| c.is_control() || c == '\\');
    if path.is_empty() || path.ends_with('/') || has_control || !relative.components().all(plain) {
        return Err(format!("{path:?} is not a path of a file below the project's folder"));
    }
    if !has_extension(relative, MODULES) && !has_extension(relative, DATA) {
        return Err(format!("{path} is neither code (.js, .mjs, .ts, .mts) nor events (.json, .jsonl)"));
    }
    let whole = dir.join(relative);
    // The nearest existing ancestor, with links resolved, must be inside the folder.
    let real = whole.ancestors().find_map(|part| match fs::symlink_metadata(part) {
        Ok(_) => Some(part.canonicalize()),
        Err(_) => None,
    });
    match real {
        Some(Ok(real)) if real.starts_with(dir) => Ok(whole),
        _ => Err(format!("{path} leads out of the project's folder")),
    }
}

/// Reads a file.
pub(super) fn read(dir: &Path, path: &str) -> Result<Text> {
    let place = place(dir, path)?;
    let cannot = |error: io::Error| format!("cannot read {path}: {error}");
    let file = fs::File::open(&place).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(format!("cannot read {path}: it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("cannot read {path}: it is larger than {} MiB", LARGEST >> 20));
    }
    let version = version(&bytes);
    let text = String::from_utf8(bytes).map_err(|_| format!("cannot read {path}: it is not UTF-8"))?;
    Ok(Text { text, version })
}

/// Writes a module. `base` is the version that was read; `None` for a file that must not exist yet. Returns
/// the new version.
pub(super) fn save(dir: &Path, path: &str, text: &str, base: Option<&str>) -> std::result::Result<String, NotWritten> {
    let place = place(dir, path).map_err(NotWritten::Because)?;
    if !is_module(path) {
        return Err(NotWritten::Because(format!("{path} is not code: only .js, .mjs, .ts and .mts are saved")));
    }
    let cannot = |error: io::Error| NotWritten::Because(format!("cannot write {path}: {error}"));
    let on_disk = match fs::read(&place) {
        Ok(bytes) => Some(version(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(cannot(error)),
    };
    if on_disk.as_deref() != base {
        return Err(NotWritten::Changed);
    }
    // A link stays a link: only its target is replaced.
    let target = if on_disk.is_some() { place.canonicalize().map_err(cannot)? } else { place };
    write(&target, text.as_bytes()).map_err(cannot)?;
    Ok(version(text.as_bytes()))
}

/// Writes a complete file and moves it into place. Keeps the permissions of an old file.
fn write(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    // The process's umask applies, as for any new file.
    let usual: fs::Permissions = PermissionsExt::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".sluicegate-").permissions(usual).tempfile_in(folder)?;
    file.write_all(bytes)?;
    if let Ok(old) = fs::metadata(target) {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(target)?;
    Ok(())
}

/// Writes a file that must not exist yet. Tries the names in order, and returns the first free one.
pub(super) fn create(dir: &Path, names: impl Iterator<Item = String>, bytes: &[u8]) -> Result<String> {
    for name in names {
        let place = place(dir, &name)?;
        match fs::OpenOptions::new().write(true).create_new(true).open(&place) {
            Ok(mut file) => {
                let written = file.write_all(bytes);
                return written.map(|()| name.clone()).map_err(|error| format!("cannot write {name}: {error}"));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("cannot write {name}: {error}")),
        }
    }
    Err("all names are taken".to_owned())
}

fn version(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().canonicalize().unwrap().join("project");
        fs::create_dir_all(dir.join("lib")).unwrap();
        fs::write(outer.path().join("secret.js"), "secret").unwrap();
        (outer, dir)
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let (outer, dir) = folder();
        symlink(outer.path(), dir.join("up")).unwrap();
        symlink(outer.path().join("secret.js"), dir.join("link.js")).unwrap();
        symlink(outer.path().join("new.js"), dir.join("dangling.js")).unwrap();
        for path in [
            "",
            "..",
            "../secret.js",
            "lib/../../secret.js",
            "./a.js",
            "/etc/passwd",
            "/tmp/a.js",
            "lib//../a.js",
            "lib\\..\\..\\secret.js",
            "up/secret.js",
            "up/new.js",
            "link.js",
            "dangling.js",
            ".git/hooks/a.js",
            "lib/.hidden.js",
            "a.js/",
            "a\0.js",
            "a\n.js",
            "a.sh",
            "Makefile",
            "sluicegate.toml",
        ] {
            assert!(place(&dir, path).is_err(), "{path}");
            assert!(read(&dir, path).is_err(), "{path}");
            assert!(save(&dir, path, "x", None).is_err(), "{path}");
        }
        assert_eq!(fs::read_to_string(outer.path().join("secret.js")).unwrap(), "secret");
        assert!(!outer.path().join("new.js").exists());
        for path in ["a.js", "lib/a b.ts", "new/folder/a.mjs", "events.jsonl"] {
            assert!(place(&dir, path).is_ok(), "{path}");
        }
        assert!(save(&dir, "events.json", "x", None).is_err(), "data is not written");
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_not_written_over() {
        let (_outer, dir) = folder();
        let first = save(&dir, "a.js", "one", None).ok().unwrap();
        assert!(matches!(save(&dir, "a.js", "two", None), Err(NotWritten::Changed)));
        let read = read(&dir, "a.js").unwrap();
        assert_eq!((read.text.as_str(), &read.version), ("one", &first));
        fs::set_permissions(dir.join("a.js"), fs::Permissions::from_mode(0o640)).unwrap();
        let second = save(&dir, "a.js", "two", Some(&first)).ok().unwrap();
        assert!(matches!(save(&dir, "a.js", "three", Some(&first)), Err(NotWritten::Changed)));
        fs::remove_file(dir.join("a.js")).unwrap();
        assert!(matches!(save(&dir, "a.js", "three", Some(&second)), Err(NotWritten::Changed)));
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode_and_its_link() {
        let (_outer, dir) = folder();
        let first = save(&dir, "lib/real.js", "one", None).ok().unwrap();
        fs::set_permissions(dir.join("lib/real.js"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("lib/real.js", dir.join("link.js")).unwrap();
        save(&dir, "link.js", "two", Some(&first)).ok().unwrap();
        assert!(fs::symlink_metadata(dir.join("link.js")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(dir.join("lib/real.js")).unwrap(), "two");
        assert_eq!(fs::metadata(dir.join("lib/real.js")).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.join("lib")).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn what_is_listed() {
        let (_outer, dir) = folder();
        for path in ["b.js", "a.ts", "lib/c.mjs", "events.jsonl", "x.d.ts", "README.md", ".x.js", "node_modules/d.js"] {
            fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
            fs::write(dir.join(path), "").unwrap();
        }
        assert_eq!(list(&dir), ["a.ts", "b.js", "events.jsonl", "lib/c.mjs"]);
    }

    #[test]
    fn a_taken_name_is_left_alone() {
        let (_outer, dir) = folder();
        let names = || ["a.case.json", "a-2.case.json"].into_iter().map(str::to_owned);
        assert_eq!(create(&dir, names(), b"1").unwrap(), "a.case.json");
        assert_eq!(create(&dir, names(), b"2").unwrap(), "a-2.case.json");
        assert!(create(&dir, names(), b"3").is_err());
        assert_eq!(fs::read(dir.join("a.case.json")).unwrap(), b"1");
    }
}
