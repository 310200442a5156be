//! Reads the author's files: the transformation, its libraries, credentials and metadata.
//!
//! A folder of libraries offers each file under two import names: its handle in camelCase and its file name. So two
//! files may have the same import name. That is an error that names both files: if one of them were chosen silently, an
//! author could edit the other one without effect. A library named with `--library` takes precedence, because the user
//! has chosen it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::diagnostic::Diagnostic;
use super::values::Library;
use crate::parser_process::{self, Fixes, Obstacle, apply};
use crate::testing::discover::is_test;
use sluicegate_engine::{Program, handle_of, is_typescript};

/// The files of a program.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The transformation.
    pub transformation: PathBuf,
    /// Folders of libraries.
    pub library_dirs: Vec<PathBuf>,
    /// Libraries by name.
    pub libraries: Vec<Library>,
    /// The values that `getCredential` returns.
    pub credentials: Option<PathBuf>,
    /// Metadata for every event.
    pub metadata: Option<PathBuf>,
}

impl Sources {
    /// Returns the files that are named. Files in folders of libraries are in [`Loaded::paths`].
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let data = [self.credentials.as_deref(), self.metadata.as_deref()].into_iter().flatten();
        let libraries = self.libraries.iter().map(|library| library.path.as_path());
        [self.transformation.as_path()].into_iter().chain(libraries).chain(data)
    }
}

/// A program, and the files of its libraries.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The program for the engine.
    pub program: Program,
    /// The files of the libraries, by import name.
    pub paths: BTreeMap<String, PathBuf>,
}

/// A transformation that cannot be read, or a path without transformations, and the reason.
#[derive(Clone, Debug)]
pub struct Unread {
    /// The path.
    pub path: PathBuf,
    /// The reason.
    pub error: Diagnostic,
}

/// The maximum size of a file, in bytes. Code written by hand is far smaller.
const LARGEST: u64 = 64 << 20;

type Result<T> = std::result::Result<T, Diagnostic>;

/// Reads all files.
///
/// # Errors
/// When a file is missing, unreadable or invalid; the error names it and says what to do.
pub fn read(sources: &Sources) -> Result<Loaded> {
    let code = read_module(&sources.transformation, "the transformation")?;
    let mut loaded = read_beside(sources)?;
    loaded.program.code = code;
    Ok(loaded)
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

/// Reads everything except the transformation itself.
///
/// # Errors
/// As [`read`].
pub fn read_beside(sources: &Sources) -> Result<Loaded> {
    let (libraries, paths) = read_libraries(sources)?;
    let program = Program {
        name: sources.transformation.display().to_string(),
        libraries,
        credentials: sources.credentials.as_deref().map(read_credentials).transpose()?.unwrap_or_default(),
        metadata: sources.metadata.as_deref().map(read_metadata).transpose()?,
        ..Program::default()
    };
    Ok(Loaded { program, paths })
}

/// Libraries by import name: their texts, and their files.
type Libraries = (BTreeMap<String, String>, BTreeMap<String, PathBuf>);

/// Reads the libraries alone.
///
/// # Errors
/// As [`read`].
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

/// Returns the file name of a module without its extension; `None`
/// for other files, including hidden files, declarations and tests.
pub(crate) fn module_stem(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stem = [".js", ".mjs", ".ts", ".mts"].iter().find_map(|extension| name.strip_suffix(extension))?;
    let is_other = [".test", ".spec", ".d"].iter().any(|word| stem.ends_with(word));
    let is_module = !stem.is_empty() && !stem.starts_with('.') && !is_other;
    is_module.then(|| stem.to_owned())
}

fn entries(dir: &Path, what: &str) -> Result<Vec<PathBuf>> {
    let cannot = |error: std::io::Error| {
        let (reason, help) = match error.kind() {
            ErrorKind::NotFound => {
                ("there is no such folder".to_owned(), "a relative path starts in the current folder")
            }
            ErrorKind::NotADirectory => {
                ("it is a file".to_owned(), "name its folder, or give the file a handle with --library HANDLE=PATH")
            }
            _ => (plain(&error), "see that the folder can be read"),
        };
        Diagnostic::new(format!("cannot read {what} {}: {reason}", dir.display())).help(help)
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(cannot)? {
        paths.push(entry.map_err(cannot)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Reads a module as V8 gets it. TypeScript loses its types; the parser runs in a separate process.
pub(crate) fn read_module(path: &Path, what: &str) -> Result<String> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if matches!(extension, "cts" | "tsx" | "cjs" | "jsx") {
        return Err(Diagnostic::new(format!("cannot use {what} {}: .{extension} is not supported", path.display()))
            .help("name an ES module: .js, .mjs, .ts or .mts"));
    }
    let text = read_text(path, what)?;
    if !is_typescript(path) {
        return Ok(text);
    }
    parser_process::strip(&text).map_err(|error| {
        let diagnostic =
            Diagnostic::new(error.message).at(path.display().to_string(), &text, error.range).rule("load-syntax");
        match error.help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    })
}

/// Reads a text file, without its byte order mark.
fn read_text(path: &Path, what: &str) -> Result<String> {
    let cannot = |error: std::io::Error| {
        let (reason, help) = match error.kind() {
            ErrorKind::NotFound => ("there is no such file".to_owned(), "a relative path starts in the current folder"),
            ErrorKind::IsADirectory => ("it is a folder".to_owned(), "name the file in it"),
            ErrorKind::NotADirectory => (
                "a part of the path is a file, not a folder".to_owned(),
                "a relative path starts in the current folder",
            ),
            _ => (plain(&error), "see that the file can be read"),
        };
        Diagnostic::new(format!("cannot read {what} {}: {reason}", path.display())).help(help)
    };
    let mut bytes = Vec::new();
    // A limited read, because a device such as /dev/zero never ends.
    fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        let limit = LARGEST >> 20;
        return Err(Diagnostic::new(format!("cannot read {what} {}: it is larger than {limit} MiB", path.display()))
            .help("is this the file you mean?"));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        Diagnostic::new(format!("cannot read {what} {}: it is not UTF-8 (line {line})", path.display()))
            .help("save the file in the encoding UTF-8")
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// Formats an I/O error without `(os error N)`.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

#[derive(Deserialize)]
struct Credential {
    key: String,
    value: String,
}

/// Reads a JSON object of strings, or a list of keys and values. Errors never quote the file, because it contains
/// secrets.
fn read_credentials(path: &Path) -> Result<BTreeMap<String, String>> {
    const FORMS: &str = "write a JSON object of strings, {\"apiKey\": \"…\"}, or a list, \
                         [{\"key\": \"apiKey\", \"value\": \"…\"}]";
    let text = read_text(path, "the credentials")?;
    let invalid = |reason: String| {
        Diagnostic::new(format!("cannot use the credentials {}: {reason}", path.display())).help(FORMS)
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| invalid(not_json(&error)))?;
    match value {
        serde_json::Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| match value {
                serde_json::Value::String(text) => Ok((key, text)),
                _ => Err(invalid(format!("the value of {key} is not a string"))),
            })
            .collect(),
        serde_json::Value::Array(list) => list
            .into_iter()
            .enumerate()
            .map(|(index, item)| {
                serde_json::from_value::<Credential>(item)
                    .map(|credential| (credential.key, credential.value))
                    .map_err(|_| invalid(format!("item {} has no key and value that are strings", index + 1)))
            })
            .collect(),
        _ => Err(invalid("it is neither an object nor a list".to_owned())),
    }
}

/// Reads one JSON object as text, so that numbers reach the code as they were written.
fn read_metadata(path: &Path) -> Result<String> {
    let text = read_text(path, "the metadata")?;
    let invalid = |reason: String| {
        Diagnostic::new(format!("cannot use the metadata {}: {reason}", path.display()))
            .help("write one JSON object, {\"sourceId\": \"…\", \"destinationName\": \"…\"}")
    };
    serde_json::from_str::<IgnoredAny>(&text).map_err(|error| invalid(not_json(&error)))?;
    if !text.trim_start().starts_with('{') {
        return Err(invalid("it is not an object".to_owned()));
    }
    Ok(text)
}

/// Returns the position of an error, without any content of the file.
fn not_json(error: &serde_json::Error) -> String {
    format!("it is not JSON (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::cli::golden;

    /// Creates a folder with these files in it.
    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    fn library(handle: &str, path: PathBuf) -> Library {
        Library { handle: handle.to_owned(), path }
    }

    #[test]
    fn a_folder_offers_each_file_by_its_handle_and_its_name() {
        let dir = folder(&[
            ("t.js", b"\xef\xbb\xbfexport {}"),
            ("js-lib-1.js", b"1"),
            ("URL Parser 2.mjs", b"2"),
            ("@rs/hash/v1.js", b"3"),
            ("@rs/hash/notes.js", b"no"),
            ("types.d.ts", b"no"),
            ("README.md", b"no"),
            (".hidden.js", b"no"),
            ("sub/other.js", b"no"),
        ]);
        let root = dir.path().to_owned();
        let sources =
            Sources { transformation: root.join("t.js"), library_dirs: vec![root.clone()], ..Sources::default() };
        let loaded = read(&sources).unwrap();
        let handles: Vec<&str> = loaded.program.libraries.keys().map(String::as_str).collect();
        assert_eq!(handles, ["@rs/hash/v1", "URL Parser 2", "js-lib-1", "jsLib1", "urlParser2"]);
        assert_eq!(loaded.program.code, "export {}", "the byte order mark is not part of the code");
        assert_eq!(loaded.program.name, root.join("t.js").display().to_string());
        assert_eq!(loaded.paths["jsLib1"], root.join("js-lib-1.js"));
    }

    #[test]
    fn a_named_library_wins_over_a_folder() {
        let dir = folder(&[("t.js", b""), ("lib/a.js", b"1"), ("mock.js", b"2")]);
        let sources = Sources {
            transformation: dir.path().join("t.js"),
            library_dirs: vec![dir.path().join("lib"), dir.path().join("lib/../lib")],
            libraries: vec![library("a", dir.path().join("mock.js"))],
            ..Sources::default()
        };
        assert_eq!(read(&sources).unwrap().program.libraries["a"], "2");
    }

    #[test]
    fn credentials_are_an_object_or_the_peers_list() {
        let dir = folder(&[
            ("t.js", b""),
            ("object.json", br#"{"a": "1", "b": "2"}"#),
            ("list.json", br#"[{"key": "a", "value": "1", "isSecret": true}, {"key": "b", "value": "2"}]"#),
        ]);
        for name in ["object.json", "list.json"] {
            let credentials = read_credentials(&dir.path().join(name)).unwrap();
            assert_eq!(credentials, BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]));
        }
    }

    #[test]
    fn metadata_reaches_the_code_as_it_was_written() {
        let text = b" {\"a\": 9007199254740993, \"b\": 1e400}\n";
        let dir = folder(&[("m.json", text)]);
        assert_eq!(read_metadata(&dir.path().join("m.json")).unwrap().as_bytes(), text);
    }

    /// `tests/golden/program.txt`: the messages about invalid files.
    #[test]
    fn each_mistake_says_what_to_do() {
        let dir = folder(&[
            ("t.js", b"export function transformEvent(e) { return e; }"),
            ("t.cts", b""),
            ("enum.ts", b"type A = string;\nexport enum Color { Red }\n"),
            ("syntax.ts", b"let a: string = ;\n"),
            ("latin1.js", b"// one\n// caf\xe9\n"),
            ("both/js-lib.js", b"1"),
            ("both/jsLib.js", b"2"),
            ("mjs/a.js", b"1"),
            ("mjs/a.mjs", b"2"),
            ("bad.json", b"{\"token\": secret}"),
            ("number.json", b"{\"token\": 12345}"),
            ("text.json", b"\"secret\""),
            ("items.json", b"[{\"key\": \"a\", \"value\": \"1\"}, {\"name\": \"b\", \"value\": \"secret\"}]"),
        ]);
        let at = |name: &str| dir.path().join(name);
        let ok = || Sources { transformation: at("t.js"), ..Sources::default() };
        let with = |name: &str| Sources { transformation: at(name), ..Sources::default() };
        let cases: Vec<(&str, Sources)> = vec![
            ("no such transformation", with("missing.js")),
            ("a folder as transformation", with("both")),
            ("a file as folder", with("t.js/x.js")),
            ("a file without end", Sources { transformation: "/dev/zero".into(), ..Sources::default() }),
            ("CommonJS in TypeScript", with("t.cts")),
            ("an enum", with("enum.ts")),
            ("a syntax error in TypeScript", with("syntax.ts")),
            ("not UTF-8", with("latin1.js")),
            ("no such library folder", Sources { library_dirs: vec![at("nowhere")], ..ok() }),
            ("a file as library folder", Sources { library_dirs: vec![at("t.js")], ..ok() }),
            ("two files with one handle", Sources { library_dirs: vec![at("both")], ..ok() }),
            ("two extensions", Sources { library_dirs: vec![at("mjs")], ..ok() }),
            ("no such library", Sources { libraries: vec![library("a", at("missing.js"))], ..ok() }),
            (
                "a handle given twice",
                Sources { libraries: vec![library("a", at("t.js")), library("a", at("both/jsLib.js"))], ..ok() },
            ),
            ("credentials that are not JSON", Sources { credentials: Some(at("bad.json")), ..ok() }),
            ("a credential that is a number", Sources { credentials: Some(at("number.json")), ..ok() }),
            ("credentials that are a text", Sources { credentials: Some(at("text.json")), ..ok() }),
            ("a credential without a key", Sources { credentials: Some(at("items.json")), ..ok() }),
            ("no such metadata", Sources { metadata: Some(at("missing.json")), ..ok() }),
            ("metadata that is not JSON", Sources { metadata: Some(at("bad.json")), ..ok() }),
            ("metadata that is a list", Sources { metadata: Some(at("items.json")), ..ok() }),
        ];
        let mut text = String::new();
        for (name, sources) in cases {
            let error = read(&sources).expect_err(name).render(false);
            assert!(!error.contains("secret") && !error.contains("12345"), "{error}");
            text.push_str(&format!("# {name}\n{error}\n"));
        }
        let text = text.replace(&dir.path().display().to_string(), "DIR");
        golden::check(Path::new("tests/golden/program.txt"), &text).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}
