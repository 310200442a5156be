//! `sluicegate sync doctor`: lists the installed drivers, and where to get the others.

use std::fmt::Write;
use std::path::Path;

use super::drivers::{self, KNOWN};
use super::process::probe;

/// Returns the list.
pub fn doctor() -> String {
    let mut text = String::from("ADBC drivers, for `adbc = …` in [source]\n");
    for known in KNOWN {
        let found = drivers::find(known.name);
        if found.is_empty() {
            let _ = writeln!(text, "  {:<12} none: {}", known.name, known.get);
        }
        for (index, path) in found.iter().enumerate() {
            let name = if index == 0 { known.name } else { "" };
            let _ = writeln!(text, "  {name:<12} {}", line(path));
        }
    }
    for (name, path) in drivers::other_manifests() {
        let _ = writeln!(text, "  {name:<12} {}", line(&path));
    }
    text.push_str("The first one of a database is taken, unless `driver = …` names another.\n\nLooked in\n");
    for folder in drivers::folders() {
        let _ = writeln!(text, "  {}", folder.display());
    }
    text.push_str("ADBC_DRIVER_PATH names more folders.\n");
    text
}

/// Formats a driver's path, and whether the driver can be loaded.
fn line(path: &Path) -> String {
    match probe(path) {
        Ok(version) => format!("{} (ADBC {version})", path.display()),
        Err(why) => format!("{}: FAILS: {why}", path.display()),
    }
}
