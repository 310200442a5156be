//! The sources of settings: a flag overrides the environment, which
//! overrides the config file. This module only combines them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

use super::args::Global;
use super::config_file::{self, Writer};
use super::diagnostic::Diagnostic;
use super::program::plain;
use super::report;
use super::settings::{Setting, Settings};
use super::values;
use crate::config::LogFormat;
use sluicegate_engine::nearest;

type Result<T> = std::result::Result<T, Diagnostic>;

/// The environment of a command line.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// Returns the value of an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Returns the names of all environment variables.
    pub names: &'a dyn Fn() -> Vec<OsString>,
    /// The current folder. Empty for the real one; tests use another path.
    pub folder: &'a Path,
}

impl Env<'static> {
    /// Returns the environment of this process.
    pub fn here() -> Self {
        Self {
            variable: &|name| std::env::var_os(name),
            names: &|| std::env::vars_os().map(|(name, _)| name).collect(),
            folder: Path::new(""),
        }
    }
}

/// Combines the sources: flags over environment over file.
pub(super) fn merged_settings(
    flags: Settings,
    global: &Global,
    transformation: &Path,
    env: Env<'_>,
) -> Result<Settings> {
    refuse_unknown_variables(env)?;
    let upper = flags.or(from_environment(env)?);
    let file = from_file(global, transformation, env, upper.messages.log_format.unwrap_or_default())?;
    Ok(upper.or(file))
}

/// Reads the settings in environment variables, which are named after the flags. An empty variable sets nothing.
pub(super) fn from_environment(env: Env<'_>) -> Result<Settings> {
    let mut settings = Settings::default();
    let read = |name: &str| match (env.variable)(name) {
        Some(value) if !value.is_empty() => value.into_string().map(Some).map_err(|value| {
            Diagnostic::new(format!("the environment variable {name} is not UTF-8: {}", value.to_string_lossy()))
        }),
        _ => Ok(None),
    };
    let invalid = |name: &str, text: &str, reason: String| {
        Diagnostic::new(format!("the environment variable {name} has an invalid value `{text}`: {reason}"))
            .help(format!("change it, or unset it with `unset {name}`"))
    };
    for setting in Settings::table() {
        let name = setting.variable();
        if let Some(text) = read(&name)? {
            settings.set(setting.flag, &text).map_err(|reason| invalid(&name, &text, reason))?;
        }
    }
    if let Some(dirs) = (env.variable)("SLUICEGATE_LIBRARY_DIR").filter(|dirs| !dirs.is_empty()) {
        let dirs = std::env::split_paths(&dirs).filter(|dir| !dir.as_os_str().is_empty());
        settings.libraries.library_dir = Some(dirs.collect());
    }
    let name = "SLUICEGATE_LIBRARY";
    if let Some(list) = read(name)? {
        for text in list.split(':').filter(|text| !text.is_empty()) {
            let library = values::library(text).map_err(|reason| invalid(name, text, reason))?;
            settings.libraries.library.push(library);
        }
    }
    Ok(settings)
}

/// Variables that are not settings and are read elsewhere.
const OTHER_VARIABLES: [&str; 3] = ["SLUICEGATE_CONFIG", "SLUICEGATE_LIBRARY", "SLUICEGATE_LIBRARY_DIR"];

/// Prefixes of variables that belong to tests and to packages of the program, not to settings.
const FOREIGN: [&str; 2] = ["SLUICEGATE_TEST_", "SLUICEGATE_BIN"];

/// Rejects unknown variables: they are typing mistakes. A mistyped limit would otherwise be noticed only in production.
fn refuse_unknown_variables(env: Env<'_>) -> Result<()> {
    let known = || Settings::table().map(Setting::variable).chain(OTHER_VARIABLES.map(str::to_owned));
    let mut names: Vec<String> = (env.names)().into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    let is_unknown = |name: &&String| {
        name.starts_with("SLUICEGATE_")
            && !FOREIGN.iter().any(|start| name.starts_with(start))
            && (env.variable)(name).is_some_and(|value| !value.is_empty())
            && known().all(|known| known != **name)
    };
    let Some(name) = names.iter().find(is_unknown) else { return Ok(()) };
    let all: Vec<String> = known().collect();
    let help = match nearest(name, all.iter().map(String::as_str)) {
        Some(near) => format!("is it {near}? Otherwise unset it: unset {name}"),
        None => format!("docs/configuration.md lists all variables; unset it: unset {name}"),
    };
    Err(Diagnostic::new(format!("the environment variable {name} is not a setting")).help(help))
}

/// Finds the config file of the current folder or of the nearest parent folder that has one.
fn upwards(folder: &Path) -> Option<PathBuf> {
    let here = folder.join(config_file::NAME);
    if here.exists() {
        return Some(here);
    }
    let absolute = std::path::absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()?;
    absolute.ancestors().skip(1).map(|folder| folder.join(config_file::NAME)).find(|path| path.is_file())
}

/// Warns once that there are two config files, and says which one is used.
fn tell_of_other(read: &Path, other: &Path, format: LogFormat) {
    static TOLD: Once = Once::new();
    let same = matches!((fs::canonicalize(read), fs::canonicalize(other)), (Ok(read), Ok(other)) if read == other);
    if !same {
        TOLD.call_once(|| {
            let message = format!(
                "{} counts, and {} beside the transformation does not; name one with --config",
                read.display(),
                other.display()
            );
            report::warn(&message, format);
        });
    }
}

/// Finds the config file to use, and who writes it: the named file; otherwise the nearest
/// one from the current folder upwards; otherwise the one next to the transformation. If
/// the last one exists but another one is used, `other` is called with both.
fn find(
    global: &Global,
    transformation: &Path,
    env: Env<'_>,
    other: &dyn Fn(&Path, &Path),
) -> Option<(PathBuf, Writer)> {
    let variable = || (env.variable)("SLUICEGATE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = global.config.clone().or_else(variable) {
        return Some((path, Writer::Operator));
    }
    let author_file = transformation.parent().unwrap_or(Path::new("")).join(config_file::NAME);
    let author_file = Some(author_file).filter(|path| path.exists());
    match (upwards(env.folder), author_file) {
        (Some(path), author_file) => {
            if let Some(author_file) = author_file {
                other(&path, &author_file);
            }
            Some((path, Writer::Operator))
        }
        (None, author_file) => author_file.map(|path| (path, Writer::Author)),
    }
}

/// Returns the config file that is used, if there is one.
pub(super) fn config_file(global: &Global, transformation: &Path, env: Env<'_>) -> Option<PathBuf> {
    find(global, transformation, env, &|_, _| ()).map(|(path, _)| path)
}

/// Reads the settings of the config file. A named file must exist.
fn from_file(global: &Global, transformation: &Path, env: Env<'_>, format: LogFormat) -> Result<Settings> {
    let tell = |read: &Path, other: &Path| tell_of_other(read, other, format);
    let Some((path, writer)) = find(global, transformation, env, &tell) else { return Ok(Settings::default()) };
    let shown = path.display();
    let bytes = fs::read(&path).map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
            _ => plain(&error),
        };
        Diagnostic::new(format!("cannot read the config file {shown}: {reason}"))
            .help("name another one with --config, or check that it is readable")
    })?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Diagnostic::new(format!("cannot read the config file {shown}: it is not UTF-8"))
            .help("save the file in the encoding UTF-8")
    })?;
    config_file::parse(&text, &path, writer)
}

/// Selects the config file of a project whose folder is not the current one.
pub(super) fn with_config_of(dir: &Path, global: &Global) -> Global {
    let mut global = global.clone();
    let own = dir.join(config_file::NAME);
    if global.config.is_none() && own.is_file() {
        global.config = Some(own);
    }
    global
}
