//! Reads the author's files: the transformation, its libraries, credentials and metadata.

mod files;
mod libraries;
mod transformations;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::diagnostic::Diagnostic;
use super::values::Library;
pub use files::plain;
use files::read_text;
pub(crate) use files::{module_stem, read_module};
pub use libraries::read_libraries;
use sluicegate_engine::Program;
pub use transformations::{Unread, fix, transformations};

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

type Result<T> = std::result::Result<T, Diagnostic>;

/// Reads all files.
///
/// # Errors
/// When a file is missing, unreadable or invalid; the error names it and says what to do.
pub fn read(sources: &Sources) -> Result<Loaded> {
    let code = read_module(&sources.transformation, "the transformation")?;
    let mut loaded = read_without_code(sources)?;
    loaded.program.code = code;
    Ok(loaded)
}

/// Reads everything except the transformation itself.
///
/// # Errors
/// As [`read`].
pub fn read_without_code(sources: &Sources) -> Result<Loaded> {
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
    use std::fs;

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
