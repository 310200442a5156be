//! The errors of a sync: what is wrong, where in the config, and what to do.

use std::fmt;
use std::ops::Range;

/// An error that ends a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The bytes of the config file that it is about, if it is about them.
    pub range: Option<Range<usize>>,
}

impl Error {
    /// An error that has no place in the config.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says where in the config it is.
    #[must_use]
    pub fn at(mut self, range: Range<usize>) -> Self {
        self.range = Some(range);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// What most functions of a sync return.
pub type Result<T> = std::result::Result<T, Error>;

/// The text of an I/O error, without the number of the system's error.
pub(super) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
