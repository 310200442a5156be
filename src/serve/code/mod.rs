//! The sources of code: a config backend or a folder. Both return a [`Module`] for a version and cache it, so a
//! recently used version costs one lookup.

pub mod backend;
mod folder;
pub mod legacy;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

pub use backend::Backend;
pub use folder::Folder;

use crate::parser_process;
use sluicegate_engine::Program;

/// The most assembled programs that are cached; far more than there can be warm workers.
const MAX_PROGRAMS: usize = 2000;

/// The name in stack traces of a transformation that has no name.
pub const NAMELESS: &str = "base transformation";

/// The source of a transformation or a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// A transformation's name as stack traces show it, or a library's import name.
    pub name: String,
    /// The code, without types.
    pub code: String,
}

/// Why a module is not available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The module does not exist or cannot be used, and retrying would not change that. Contains the status and the
    /// text for the rows.
    Final(u16, String),
    /// The module cannot be fetched now; the client should retry the whole request.
    Later(String),
    /// The backend rejects this server.
    Refused(Refused),
}

/// How a backend rejects this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The secret is not valid.
    AuthFailed,
    /// The secret is valid, but its owner may not read this.
    Forbidden,
}

/// Where code comes from.
pub enum Source {
    /// A config backend.
    Backend(Backend),
    /// A folder.
    Folder(Folder),
}

/// The kinds of modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModuleKind {
    /// A transformation, by its version.
    Transformation,
    /// A library, by its version.
    Library,
    /// A shared library, by `<name>/v<N>`.
    Shared,
}

impl ModuleKind {
    /// Returns its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            ModuleKind::Transformation => "Transformation",
            ModuleKind::Library => "Transformation Library",
            ModuleKind::Shared => "Rudder Library",
        }
    }
}

/// Returns the code of a module as V8 gets it.
///
/// # Errors
/// When TypeScript code has more than types to remove. The message names the module and the line.
pub async fn javascript(text: &str, typescript: bool, name: &str) -> Result<String, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !typescript {
        return Ok(text.to_owned());
    }
    parser_process::strip_in_turn(text).await.map_err(|error| {
        let line = text[..error.range.start].matches('\n').count() + 1;
        format!("{} [{name}:{line}]", error.message)
    })
}

/// Returns whether this code mentions a network function, as a whole word.
fn asks(code: &str) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_$".contains(byte));
    ["fetch", "fetchV2", "geolocation"].iter().any(|name| {
        code.match_indices(name).any(|(at, _)| {
            let bytes = code.as_bytes();
            !is_part(at.checked_sub(1).and_then(|before| bytes.get(before))) && !is_part(bytes.get(at + name.len()))
        })
    })
}

impl Source {
    /// Returns whether a shared library with this name can exist. If not, the import fails like any other.
    fn may_share(&self, id: &str) -> bool {
        match self {
            Source::Backend(_) => Backend::may_share(id),
            Source::Folder(_) => true,
        }
    }

    async fn module(&self, kind: ModuleKind, id: &str) -> Result<Arc<Module>, Missing> {
        match self {
            Source::Backend(backend) => backend.module(kind, id).await,
            Source::Folder(folder) => folder.module(kind, id).await,
        }
    }
}

/// An assembled program with the hash of its code.
#[derive(Debug)]
pub struct Ready {
    /// The program, without credentials.
    pub program: Program,
    /// See [`Program::code_hash`].
    pub hash: String,
    /// Whether its code may send network requests: it mentions a function that does.
    pub asks_network: bool,
    modules: Vec<Arc<Module>>,
}

/// The version of a transformation, and the versions of its libraries.
type Versions = (String, Vec<String>);

/// Assembles programs from modules.
pub struct Code {
    source: Source,
    ready: Mutex<HashMap<Versions, Arc<Ready>>>,
}

impl Code {
    /// Creates an assembler that takes its modules from `source`.
    pub fn new(source: Source) -> Self {
        Self { source, ready: Mutex::default() }
    }

    /// Returns the program of a transformation's version with these libraries.
    ///
    /// # Errors
    /// When one of its modules is missing.
    pub async fn program(&self, version: &str, libraries: &[String]) -> Result<Arc<Ready>, Missing> {
        let transformation = self.source.module(ModuleKind::Transformation, version).await?;
        let known = self.libraries(libraries).await?;
        let key = (version.to_owned(), libraries.to_vec());
        let same = |ready: &Ready| {
            let named = std::iter::once(&transformation).chain(&known);
            ready.modules.iter().zip(named).all(|(one, other)| Arc::ptr_eq(one, other))
        };
        if let Some(ready) = self.table().get(&key).filter(|ready| same(ready)) {
            return Ok(ready.clone());
        }
        let mut modules = vec![transformation.clone()];
        modules.extend(known);
        let program =
            self.put_together(transformation.name.clone(), transformation.code.clone(), &modules[1..]).await?;
        let asks_network = std::iter::once(&program.code).chain(program.libraries.values()).any(|code| asks(code));
        let ready = Arc::new(Ready { hash: program.code_hash(), program, asks_network, modules });
        let mut table = self.table();
        if table.len() >= MAX_PROGRAMS {
            // Each program can be assembled again from the cached modules.
            table.clear();
        }
        table.insert(key, ready.clone());
        Ok(ready)
    }

    /// Returns the program for a test run: code from the request, with libraries by version.
    ///
    /// # Errors
    /// When a library is missing.
    pub async fn test_program(&self, name: &str, code: &str, libraries: &[String]) -> Result<Program, Missing> {
        let known = self.libraries(libraries).await?;
        self.put_together(name.to_owned(), code.to_owned(), &known).await
    }

    async fn libraries(&self, versions: &[String]) -> Result<Vec<Arc<Module>>, Missing> {
        let mut modules = Vec::with_capacity(versions.len());
        for version in versions {
            modules.push(self.source.module(ModuleKind::Library, version).await?);
        }
        Ok(modules)
    }

    /// Assembles a program, including the shared libraries that the code or those libraries import.
    async fn put_together(&self, name: String, code: String, known: &[Arc<Module>]) -> Result<Program, Missing> {
        let mut libraries: BTreeMap<String, String> =
            known.iter().map(|library| (library.name.clone(), library.code.clone())).collect();
        let mut to_look_at: Vec<String> = libraries.values().cloned().collect();
        to_look_at.push(code.clone());
        while let Some(code) = to_look_at.pop() {
            // Most code imports no shared library.
            if !code.contains("@rs/") {
                continue;
            }
            // Code that cannot be parsed adds no imports here; loading it reports the syntax error.
            for specifier in parser_process::imports(&code).await.unwrap_or_default().into_keys() {
                if let Some(id) = specifier.strip_prefix("@rs/")
                    && self.source.may_share(id)
                    && !libraries.contains_key(&specifier)
                {
                    let library = self.source.module(ModuleKind::Shared, id).await?;
                    to_look_at.push(library.code.clone());
                    libraries.insert(specifier, library.code.clone());
                }
            }
        }
        Ok(Program { name, code, libraries, ..Program::default() })
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<Versions, Arc<Ready>>> {
        self.ready.lock().expect("no code panics while it holds this")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_asks_the_network_if_it_names_a_function_that_does() {
        for (code, asks_network) in [
            ("const r = await fetch(url)", true),
            ("fetchV2('x')", true),
            ("const f = globalThis.geolocation;", true),
            ("prefetch(); fetchV3(); $fetch(); fetch_(); event.geolocations", false),
            ("export const transformEvent = (event) => event;", false),
            ("", false),
        ] {
            assert_eq!(asks(code), asks_network, "{code}");
        }
    }
}
