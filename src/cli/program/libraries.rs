//! Libraries: those of a folder, and those that the user has named.
//!
//! A folder of libraries offers each file under two import names: its handle in camelCase and its file name. So two
//! files may have the same import name. That is an error that names both files: if one of them were chosen silently, an
//! author could edit the other one without effect. A library named with `--library` takes precedence, because the user
//! has chosen it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::files::entries;
use super::{Result, Sources, module_stem, read_module};
use crate::cli::diagnostic::Diagnostic;
use sluicegate_engine::handle_of;

/// Libraries by import name: their texts, and their files.
type Libraries = (BTreeMap<String, String>, BTreeMap<String, PathBuf>);

/// Reads the libraries alone.
///
/// # Errors
/// As [`super::read`].
pub fn read_libraries(sources: &Sources) -> Result<Libraries> {
    let mut paths = BTreeMap::new();
    for dir in &sources.library_dirs {
        for (handle, path) in list(dir, &sources.transformation)? {
            offer(&mut paths, handle, path)?;
        }
    }
    let mut named = BTreeMap::new();
    for library in &sources.libraries {
        offer(&mut named, library.handle.clone(), library.path.clone())?;
    }
    paths.extend(named);
    let mut texts: BTreeMap<&Path, String> = BTreeMap::new();
    let mut libraries = BTreeMap::new();
    for (handle, path) in &paths {
        let text = match texts.get(path.as_path()) {
            Some(text) => text.clone(),
            None => read_module(path, &format!("the library {handle}"))?,
        };
        texts.insert(path, text.clone());
        libraries.insert(handle.clone(), text);
    }
    Ok((libraries, paths))
}

fn offer(paths: &mut BTreeMap<String, PathBuf>, handle: String, path: PathBuf) -> Result<()> {
    match paths.get(&handle) {
        Some(other) if !same_file(other, &path) => Err(Diagnostic::new(format!(
            "two libraries have the handle {handle}: {} and {}",
            other.display(),
            path.display()
        ))
        .help(format!("rename one of them, or say which one is meant with --library {handle}={}", path.display()))),
        _ => {
            paths.insert(handle, path);
            Ok(())
        }
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Returns the libraries of a folder by import name, sorted by path.
/// The transformation itself may be in the folder and is left out.
fn list(dir: &Path, transformation: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for path in entries(dir, "the library folder")? {
        let Some(stem) = module_stem(&path) else { continue };
        if !path.is_file() || same_file(&path, transformation) {
            continue;
        }
        let handle = handle_of(&stem);
        if handle != stem {
            found.push((stem, path.clone()));
        }
        found.push((handle, path));
    }
    let shared = dir.join("@rs");
    if shared.is_dir() {
        for library in entries(&shared, "the library folder")?.iter().filter(|path| path.is_dir()) {
            let Some(name) = library.file_name().and_then(|name| name.to_str()) else { continue };
            for path in entries(library, "the library folder")? {
                if let Some(version) = module_stem(&path).filter(|stem| is_version(stem) && path.is_file()) {
                    found.push((format!("@rs/{name}/{version}"), path));
                }
            }
        }
    }
    Ok(found)
}

fn is_version(stem: &str) -> bool {
    stem.strip_prefix('v').is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
