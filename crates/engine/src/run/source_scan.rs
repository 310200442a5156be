//! Scans the source text before any of it runs. A false positive costs a little time, never a result.

use crate::program::Program;

/// Whether the code mentions state of the whole isolate: the length of stack traces, or the last match of a regular
/// expression. Other code cannot reach that state. For code that can, each event starts with the initial state.
pub(crate) fn names_legacy_state(program: &Program) -> bool {
    const NAMES: [&str; 8] = [
        "stackTraceLimit",
        "RegExp.$",
        "RegExp[",
        "RegExp.input",
        "lastMatch",
        "lastParen",
        "leftContext",
        "rightContext",
    ];
    sources(program).any(|source| NAMES.iter().any(|name| source.contains(name)))
}

/// All of the author's source text.
fn sources(program: &Program) -> impl Iterator<Item = &str> {
    std::iter::once(program.code.as_str()).chain(program.libraries.values().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_of_the_isolate_is_found_in_libraries_too() {
        assert!(!names_legacy_state(&Program::new("t.js", "const a = 'input'.match(RegExp('x'));")));
        assert!(names_legacy_state(&Program::new("t.js", "/(a)/.test('a'); log(RegExp.$1);")));
        let with_library = Program::new("t.js", "").with_library("l", "Error.stackTraceLimit = 0;");
        assert!(names_legacy_state(&with_library));
    }
}
