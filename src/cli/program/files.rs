//! Reads a file or a folder, and says what to do if that fails.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::Result;
use crate::cli::diagnostic::Diagnostic;
use crate::parser_process;
use sluicegate_engine::is_typescript;

/// The maximum size of a file, in bytes. Code written by hand is far smaller.
const MAX_FILE_SIZE: u64 = 64 << 20;

/// Returns the file name of a module without its extension; `None`
/// for other files, including hidden files, declarations and tests.
pub(crate) fn module_stem(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stem = [".js", ".mjs", ".ts", ".mts"].iter().find_map(|extension| name.strip_suffix(extension))?;
    let is_other = [".test", ".spec", ".d"].iter().any(|word| stem.ends_with(word));
    let is_module = !stem.is_empty() && !stem.starts_with('.') && !is_other;
    is_module.then(|| stem.to_owned())
}

/// Returns the paths in a folder, sorted.
pub(super) fn entries(dir: &Path, what: &str) -> Result<Vec<PathBuf>> {
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
pub(super) fn read_text(path: &Path, what: &str) -> Result<String> {
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
    fs::File::open(path).and_then(|file| file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        let limit = MAX_FILE_SIZE >> 20;
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
