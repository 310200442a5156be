//! The sources of settings: flags over environment over file. Each says what it says; laying them over each other is all
//! that happens here.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::args::Global;
use super::config_file;
use super::diagnostic::Diagnostic;
use super::program::plain;
use super::settings::Settings;
use super::values;

type Result<T> = std::result::Result<T, Diagnostic>;

/// What lies around the command line.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// An environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The current folder; empty in earnest, another one in tests.
    pub folder: &'a Path,
}

impl Env<'static> {
    /// Those of this process.
    pub fn here() -> Self {
        Self { variable: &|name| std::env::var_os(name), folder: Path::new("") }
    }
}

/// Flags over environment over file.
pub(super) fn layered(flags: Settings, global: &Global, transformation: &Path, around: Env<'_>) -> Result<Settings> {
    let environment = from_environment(around)?;
    let file = from_file(global, transformation, around)?;
    Ok(flags.or(environment).or(file))
}

/// What the variables say that are named like the flags. An empty one says nothing.
pub(super) fn from_environment(around: Env<'_>) -> Result<Settings> {
    let mut settings = Settings::default();
    let read = |name: &str| match (around.variable)(name) {
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
    if let Some(dirs) = (around.variable)("SLUICEGATE_LIBRARY_DIR").filter(|dirs| !dirs.is_empty()) {
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

/// What the config file says: the named one, which has to exist, else the nearest one, if there is any.
fn from_file(global: &Global, transformation: &Path, around: Env<'_>) -> Result<Settings> {
    let variable = || (around.variable)("SLUICEGATE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = match global.config.clone().or_else(variable) {
        Some(path) => path,
        None => {
            let beside = transformation.parent().unwrap_or(Path::new(""));
            let places = [around.folder.join(config_file::NAME), beside.join(config_file::NAME)];
            match places.into_iter().find(|path| path.exists()) {
                Some(path) => path,
                None => return Ok(Settings::default()),
            }
        }
    };
    let shown = path.display();
    let bytes = fs::read(&path).map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
            _ => plain(&error),
        };
        Diagnostic::new(format!("cannot read the config file {shown}: {reason}"))
            .help("name another one with --config, or see that it can be read")
    })?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Diagnostic::new(format!("cannot read the config file {shown}: it is not UTF-8"))
            .help("save the file in the encoding UTF-8")
    })?;
    config_file::parse(&text, &path)
}

/// The config file of a project that is not the current folder.
pub(super) fn with_config_of(dir: &Path, global: &Global) -> Global {
    let mut global = global.clone();
    let own = dir.join(config_file::NAME);
    if global.config.is_none() && own.is_file() {
        global.config = Some(own);
    }
    global
}
