//! `sluicegate init`: creates a project in which everything passes: a transformation with a library, its tests, a case,
//! and the settings for editors, ESLint and CI.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::args::{Global, InitArgs};
use super::diagnostic::Diagnostic;
use super::program::plain;
use super::types;

/// A file of the project: its path and its contents.
type File = (&'static str, &'static str);

/// The files of every project.
const COMMON: &[File] = &[
    ("test/orders.refund.case.json", include_str!("../../js/init/orders.refund.case.json")),
    ("events.jsonl", include_str!("../../js/init/events.jsonl")),
    ("sluicegate.toml", include_str!("../../js/init/sluicegate.toml")),
    ("tsconfig.json", include_str!("../../js/init/tsconfig.json")),
    (".gitignore", include_str!("../../js/init/gitignore")),
    (".github/workflows/transformations.yml", include_str!("../../js/init/workflow.yml")),
];

const JAVASCRIPT: &[File] = &[
    ("src/orders.js", include_str!("../../js/init/orders.js")),
    ("lib/money.js", include_str!("../../js/init/money.js")),
    ("test/orders.test.js", include_str!("../../js/init/orders.test.js")),
    ("eslint.config.js", include_str!("../../js/init/eslint.config.js")),
    ("package.json", include_str!("../../js/init/package.json")),
];

const TYPESCRIPT: &[File] = &[
    ("src/orders.ts", include_str!("../../js/init/orders.ts")),
    ("lib/money.ts", include_str!("../../js/init/money.ts")),
    ("test/orders.test.ts", include_str!("../../js/init/orders.test.js")),
    ("eslint.config.js", include_str!("../../js/init/eslint.config.ts.js")),
    ("package.json", include_str!("../../js/init/package.ts.json")),
];

/// The file of the declarations that editors read.
const DECLARATIONS: &str = "sluicegate.d.ts";

/// Writes the project; returns the message for the user.
///
/// # Errors
/// When one of its files exists already (then nothing is written), or when one cannot be written.
pub fn init(args: &InitArgs, global: &Global) -> anyhow::Result<String> {
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    let own = if args.ts { TYPESCRIPT } else { JAVASCRIPT };
    let files: Vec<&File> = own.iter().chain(COMMON).collect();
    let names = files.iter().map(|(name, _)| *name).chain([DECLARATIONS]);
    let there: Vec<String> =
        names.filter(|name| dir.join(name).symlink_metadata().is_ok()).map(str::to_owned).collect();
    if !there.is_empty() {
        let (folder, are) = (dir.display(), if there.len() == 1 { "is" } else { "are" });
        return Err(Diagnostic::new(format!("{} {are} in {folder} already; nothing was written", there.join(", ")))
            .help("name a new folder: sluicegate init my-transformations")
            .into());
    }
    for (name, text) in &files {
        write(&dir.join(name), text)?;
    }
    write(&dir.join(DECLARATIONS), &types::for_project(&dir, global)?)?;
    let mut said = String::new();
    for name in files.iter().map(|(name, _)| *name).chain([DECLARATIONS]) {
        said.push_str(&format!("{}\n", dir.join(name).strip_prefix(".").unwrap_or(&dir.join(name)).display()));
    }
    let enter = if args.dir.is_some() { format!("cd {} && ", dir.display()) } else { String::new() };
    let end = if args.ts { "ts" } else { "js" };
    said.push_str(&format!(
        "\nNext:\n  {enter}sluicegate check && sluicegate test\n  sluicegate run src/orders.{end} events.jsonl\n  npm install && npm run types && npm run lint\n"
    ));
    Ok(said)
}

fn write(path: &Path, text: &str) -> Result<(), Diagnostic> {
    let parent = path.parent().unwrap_or(Path::new(""));
    let made = if parent.as_os_str().is_empty() { Ok(()) } else { std::fs::create_dir_all(parent) };
    let written = made
        .and_then(|()| OpenOptions::new().write(true).create_new(true).open(path))
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        let reason = match error.kind() {
            ErrorKind::AlreadyExists => "it is there already".to_owned(),
            _ => plain(&error),
        };
        Diagnostic::new(format!("cannot write {}: {reason}", path.display())).help("check that the folder is writable")
    })
}
