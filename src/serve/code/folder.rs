//! Reads code from a folder: `<dir>/<VersionID>.js` or `.ts`; libraries likewise, and shared libraries below `@rs`.
//!
//! A module is cached until something in the folder changes. If the system does not report changes, every request
//! reads its code again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::{Missing, Module, ModuleKind, javascript};
use sluicegate_engine::{handle_of, is_typescript};

/// The extensions, in the order in which they are tried.
const EXTENSIONS: [&str; 4] = ["js", "ts", "mjs", "mts"];

/// The largest file that is read. Code written by hand stays far below it.
const LARGEST: u64 = 64 << 20;

/// Cached modules, each with the change count at the time it was read.
type Cache = HashMap<(bool, String), (u64, Arc<Module>)>;

/// A folder of code.
pub struct Folder {
    dir: PathBuf,
    changes: Arc<AtomicU64>,
    cache: Mutex<Cache>,
    /// Reports changes while it lives.
    watcher: Option<RecommendedWatcher>,
}

impl Folder {
    /// Opens the folder `dir`.
    ///
    /// # Errors
    /// When it is not a readable folder.
    pub fn open(dir: &Path) -> std::io::Result<Self> {
        std::fs::read_dir(dir)?;
        let changes = Arc::new(AtomicU64::new(0));
        let count = changes.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| event.kind.is_access()) {
                count.fetch_add(1, Ordering::Release);
            }
        });
        let watcher = watcher.and_then(|mut watcher| {
            watcher.watch(dir, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        let watcher = match watcher {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, dir = %dir.display(), "the folder cannot be watched: its files are read for every request");
                None
            }
        };
        Ok(Self { dir: dir.to_owned(), changes, cache: Mutex::default(), watcher })
    }

    pub(super) async fn module(&self, kind: ModuleKind, id: &str) -> Result<Arc<Module>, Missing> {
        let key = (kind == ModuleKind::Shared, id.to_owned());
        let changes = self.changes.load(Ordering::Acquire);
        if self.watcher.is_some()
            && let Some((at, module)) = self.cache.lock().expect("nothing panics in here").get(&key)
            && *at == changes
        {
            return Ok(module.clone());
        }
        let read = Arc::new(self.read(kind, id).await?);
        let mut cache = self.cache.lock().expect("nothing panics in here");
        // If the text is the same, the old module is kept, so workers that run it stay warm when other files change.
        let module = match cache.get(&key) {
            Some((_, old)) if *old == read => old.clone(),
            _ => read,
        };
        cache.insert(key, (changes, module.clone()));
        Ok(module)
    }

    async fn read(&self, kind: ModuleKind, id: &str) -> Result<Module, Missing> {
        let not_found = || {
            let file = if kind == ModuleKind::Shared { format!("@rs/{id}") } else { id.to_owned() };
            let place = self.dir.join(format!("{file}.js"));
            Missing::Final(404, format!("Error: {} not found at {}", kind.name(), place.display()))
        };
        let parts: Vec<&str> = id.split('/').collect();
        let fits = match kind {
            ModuleKind::Shared => parts.len() == 2,
            _ => parts.len() == 1,
        };
        // An id must be a plain file name, so that it cannot lead out of the folder.
        if !fits || !parts.iter().all(|part| is_name(part)) {
            return Err(not_found());
        }
        let base = if kind == ModuleKind::Shared { self.dir.join("@rs") } else { self.dir.clone() };
        for extension in EXTENSIONS {
            let path = base.join(format!("{id}.{extension}"));
            let text = match std::fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() && metadata.len() <= LARGEST => std::fs::read_to_string(&path),
                Ok(metadata) if metadata.is_file() => {
                    return Err(Missing::Final(400, format!("Error: {} is larger than 64 MiB", path.display())));
                }
                _ => continue,
            };
            let text = match text {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    return Err(Missing::Final(400, format!("Error: {} is not UTF-8", path.display())));
                }
                Err(error) => return Err(Missing::Later(format!("cannot read {}: {error}", path.display()))),
            };
            let name = if kind == ModuleKind::Transformation { format!("{id}.{extension}") } else { handle_of(id) };
            let code =
                javascript(&text, is_typescript(&path), &name).await.map_err(|error| Missing::Final(400, error))?;
            return Ok(Module { name, code });
        }
        Err(not_found())
    }
}

fn is_name(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && part.len() <= 200
        && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_id_never_leads_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("inner/@rs/hash")).unwrap();
        for file in ["secret.js", "inner/v1.js", "inner/@rs/hash/v1.ts"] {
            std::fs::write(dir.path().join(file), "export const a = 1;").unwrap();
        }
        let folder = Folder::open(&dir.path().join("inner")).unwrap();
        assert!(folder.module(ModuleKind::Transformation, "v1").await.is_ok());
        assert!(folder.module(ModuleKind::Shared, "hash/v1").await.is_ok());
        for id in ["../secret", "..", "", ".", "/etc/passwd", "v1/../../secret", "a\0b", "v1.js/"] {
            let missing = folder.module(ModuleKind::Transformation, id).await.unwrap_err();
            assert!(matches!(missing, Missing::Final(404, _)), "{id}: {missing:?}");
        }
        assert!(folder.module(ModuleKind::Shared, "../v1").await.is_err());
    }
}
