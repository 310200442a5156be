//! The author's code as text: the transformation, its libraries, and its settings. It is plain data without V8 and
//! without files, so it can be sent to a worker process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::module_id::ModuleId;
use crate::verdict::Position;

/// A transformation with everything that determines what it does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The transformation's name as it appears in stack traces: its own name or its path.
    pub name: String,
    /// The source of the transformation, one ES module.
    pub code: String,
    /// Libraries by import name. Libraries that are not imported are never compiled.
    pub libraries: BTreeMap<String, String>,
    /// The values that `getCredential(key)` returns. They are masked in logs and errors.
    pub credentials: BTreeMap<String, String>,
    /// The metadata of events that have none of their own, as the text of a JSON object.
    pub metadata: Option<String>,
    /// A fixed clock and fixed random numbers, for tests.
    #[serde(default, rename = "scene")]
    pub determinism: Determinism,
}

/// Fixed values for tests where a normal run has different ones each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Determinism {
    /// The time that the code sees, in milliseconds since 1970.
    pub now: Option<f64>,
    /// The seed of `Math.random()`.
    pub seed: Option<u32>,
}

impl Eq for Determinism {}

/// Libraries that every transformation may import, by import name. An author's library of the same name takes
/// precedence.
pub const SHIPPED_LIBRARIES: &[(&str, &str)] = &[
    ("warehouseActionsUtils", include_str!("../js/lib/warehouseActionsUtils.js")),
    ("hash", include_str!("../js/lib/hash.js")),
    ("uuid", include_str!("../js/lib/uuid.js")),
    ("base64", include_str!("../js/lib/base64.js")),
    ("objects", include_str!("../js/lib/objects.js")),
];

impl Program {
    /// A program without libraries.
    pub fn new(name: impl Into<String>, code: impl Into<String>) -> Self {
        Self { name: name.into(), code: code.into(), ..Self::default() }
    }

    /// Adds a library under an import name, see [`handle_of`].
    pub fn with_library(mut self, handle: impl Into<String>, code: impl Into<String>) -> Self {
        self.libraries.insert(handle.into(), code.into());
        self
    }

    /// The source of the library with this import name, the author's own or a shipped one.
    pub fn library(&self, handle: &str) -> Option<&str> {
        self.libraries
            .get(handle)
            .map(String::as_str)
            .or_else(|| SHIPPED_LIBRARIES.iter().find(|(shipped, _)| *shipped == handle).map(|(_, code)| *code))
    }

    /// The source line at a position.
    pub fn source_line(&self, at: &Position) -> Option<String> {
        let code = match ModuleId::parse(&at.file).library() {
            Some(handle) if at.file != self.name => self.library(handle)?,
            _ => &self.code,
        };
        code.lines().nth((at.line as usize).checked_sub(1)?).map(str::to_owned)
    }

    /// All import names, sorted.
    pub fn handles(&self) -> Vec<&str> {
        let shipped = SHIPPED_LIBRARIES.iter().map(|(handle, _)| *handle);
        let mut all: Vec<&str> = self.libraries.keys().map(String::as_str).chain(shipped).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// `sha256:` and the hash of the transformation and its libraries, in hexadecimal. Two programs with the same hash
    /// run the same code. Credentials and metadata are not part of it.
    pub fn code_hash(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        part(&self.code);
        for (handle, code) in &self.libraries {
            part(handle);
            part(code);
        }
        let digest = hash.finalize();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }
}

/// The handle under which a library called `name` is imported: camelCase, as RudderStack forms it. Names that are
/// handles already, `@rs/…/v1` included, stay as they are.
///
/// ```
/// use sluicegate_engine::handle_of;
/// assert_eq!(handle_of("js Lib1"), "jsLib1");
/// assert_eq!(handle_of("URL Parser 2"), "urlParser2");
/// assert_eq!(handle_of("hash_v2"), "hashV2");
/// assert_eq!(handle_of("md5hash"), "md5Hash");
/// assert_eq!(handle_of("ABC"), "abc");
/// assert_eq!(handle_of("@rs/hash/v1"), "@rs/hash/v1");
/// ```
pub fn handle_of(name: &str) -> String {
    if name.starts_with("@rs/") { name.to_owned() } else { crate::library_name::camel_case(name) }
}

/// The candidate nearest to `name`, if it is near enough to be a likely typo.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
