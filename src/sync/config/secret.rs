//! References to secrets: the config names an environment variable or a file, which is read when the sync starts.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::super::error::{Error, Result, plain};

/// A reference to a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// An environment variable.
    Env(String, Range<usize>),
    /// A file.
    File(PathBuf, Range<usize>),
}

/// A text, or a reference to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// The text itself.
    Plain(String),
    /// A reference.
    Secret(Secret),
}

impl Secret {
    pub(super) fn parse(text: &str, dir: &Path, range: Range<usize>) -> Option<Self> {
        if let Some(name) = text.strip_prefix("env:") {
            return Some(Secret::Env(name.trim().to_owned(), range));
        }
        text.strip_prefix("file:").map(|path| Secret::File(dir.join(path.trim()), range))
    }

    /// Reads the secret, without white space around it. A dry run sends
    /// nothing and needs no secrets: it gets `…` for a missing one.
    ///
    /// # Errors
    /// When the secret is missing or empty.
    pub fn read(&self, dry: bool) -> Result<String> {
        match self.read_now() {
            Err(_) if dry => Ok("…".to_owned()),
            other => other,
        }
    }

    fn read_now(&self) -> Result<String> {
        let (text, error) = match self {
            Secret::Env(name, range) => {
                let error = Error::new(format!("the environment variable {name} is not set"))
                    .help(format!("set it before the sync: export {name}=…"));
                (std::env::var(name).unwrap_or_default(), error.at(range.clone()))
            }
            Secret::File(path, range) => {
                let read = std::fs::read_to_string(path);
                let why = read.as_ref().err().map_or("it is empty".to_owned(), plain);
                let error = Error::new(format!("cannot read the secret {}: {why}", path.display()))
                    .help("the file holds the secret and nothing else");
                (read.unwrap_or_default(), error.at(range.clone()))
            }
        };
        match text.trim() {
            "" => Err(error),
            text => Ok(text.to_owned()),
        }
    }
}

impl Text {
    pub(super) fn parse(text: &str, dir: &Path, range: Range<usize>) -> Self {
        Secret::parse(text, dir, range).map_or_else(|| Text::Plain(text.to_owned()), Text::Secret)
    }

    /// Returns the text; reads it if it is a reference.
    ///
    /// # Errors
    /// As [`Secret::read`].
    pub fn read(&self, dry: bool) -> Result<String> {
        match self {
            Text::Plain(text) => Ok(text.clone()),
            Text::Secret(secret) => secret.read(dry),
        }
    }
}
