//! Describes why a program could not be loaded: the error, its position, and what to do. The command line prints it
//! with the source line and a caret. A worker also sends this data to its supervisor.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::verdict::Position;

/// A program that could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct LoadError {
    /// The class of the error.
    pub kind: LoadErrorKind,
    /// One sentence, e.g. `SyntaxError: Unexpected token '}'`.
    pub message: String,
    /// Where it happened, if there is a place.
    pub position: Option<Position>,
    /// End column of the position, exclusive; at least one more than the position's column.
    pub end_column: u32,
    /// The source line at the position.
    pub source_line: Option<String>,
    /// V8's frames, for code that threw while loading.
    pub stack: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

/// The kinds of load errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadErrorKind {
    /// The source is not a module that V8 accepts.
    Syntax,
    /// An import that names nothing known, or a name that a library does not export.
    Import,
    /// Not exactly one of the two functions is exported.
    Exports,
    /// The code threw while it was loaded.
    Threw,
    /// A top-level await never settles.
    TopLevelAwait,
    /// The code did not finish loading within its limits.
    Limit,
}

impl LoadError {
    /// An error without a place in the code.
    pub fn new(kind: LoadErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            position: None,
            end_column: 0,
            source_line: None,
            stack: None,
            help: None,
        }
    }

    /// The error for code that was stopped while it was loading.
    pub fn too_slow(program: &str, limits: &Limits) -> Self {
        let limit = humantime::format_duration(limits.loading());
        Self::new(LoadErrorKind::Limit, format!("{program} did not finish loading within {limit}"))
            .help("move the work from the top level of the module into the function, or raise --cpu-limit")
    }

    /// Adds a line of help: what to type.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(at) = &self.position {
            write!(f, " ({}:{}:{})", at.file, at.line, at.column)?;
        }
        Ok(())
    }
}
