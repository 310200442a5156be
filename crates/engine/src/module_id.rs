//! The name of a module in stack traces, positions and coverage.

use std::fmt;

/// A module's name in messages: the transformation (or a test file) has its own name, a library is `library <handle>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModuleId<'a> {
    /// A file, by its name or path.
    File(&'a str),
    /// A library, by its handle.
    Library(&'a str),
}

impl<'a> ModuleId<'a> {
    /// Parses a name as it appears in a position.
    pub fn parse(name: &'a str) -> Self {
        name.strip_prefix("library ").map_or(Self::File(name), Self::Library)
    }

    /// The handle, if it is a library.
    pub fn library(self) -> Option<&'a str> {
        match self {
            Self::Library(handle) => Some(handle),
            Self::File(_) => None,
        }
    }
}

impl fmt::Display for ModuleId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => f.write_str(name),
            Self::Library(handle) => write!(f, "library {handle}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_it_was_written() {
        for id in [ModuleId::File("orders.js"), ModuleId::Library("jsLib1"), ModuleId::Library("@rs/hash/v1")] {
            assert_eq!(ModuleId::parse(&id.to_string()), id);
        }
    }
}
