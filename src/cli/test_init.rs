//! `sluicegate test --init FILE.js`: writes a first test, with sample events. Its first run writes the outputs into the
//! test as inline snapshots.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::diagnostic::Diagnostic;
use super::program::{module_stem, plain};
use sluicegate_engine::is_typescript;

/// The template of the test.
const TEMPLATE: &str = include_str!("../../js/testing/template.js");

/// Writes a test next to a transformation; returns the message for the user.
///
/// # Errors
/// When the transformation does not exist, or has a test already.
pub(super) fn init(transformation: &Path) -> Result<String, Diagnostic> {
    let shown = transformation.display();
    let stem = module_stem(transformation).filter(|_| transformation.is_file());
    let Some(stem) = stem else {
        return Err(Diagnostic::new(format!("there is no transformation {shown}"))
            .help("name its file, e.g. sluicegate test --init orders.js"));
    };
    let extension = if is_typescript(transformation) { "ts" } else { "js" };
    let path = transformation.with_file_name(format!("{stem}.test.{extension}"));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(TEMPLATE.as_bytes()));
    match written {
        Ok(()) => Ok(format!("{} is written; `sluicegate test {0}` fills it with what comes out\n", path.display())),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Diagnostic::new(format!("{} is there already", path.display())).help("add your tests to it"))
        }
        Err(error) => Err(Diagnostic::new(format!("cannot write {}: {}", path.display(), plain(&error)))),
    }
}
