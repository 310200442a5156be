//! Turns TypeScript into JavaScript by replacing types with blanks.
//!
//! Nothing moves: each line keeps its number and each expression its column. So stack traces, carets and coverage refer
//! to the author's file without a source map. This works for all syntax that only describes types (annotations,
//! interfaces, generics, `as`, `satisfies`, `import type`). The few constructs that generate code (`enum`, `namespace`,
//! parameter properties, `import =`) are rejected with a hint at what to write instead. Node does the same with the
//! same library.
//!
//! Types are not checked here: an editor or `tsc --noEmit` does that, with the declarations of `sluicegate types`. This
//! module does not use V8: the supervisor calls it while it reads files.

mod unused;

use crate::help;

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use swc_common::comments::SingleThreadedComments;
use swc_common::errors::{DiagnosticBuilder, Emitter, HANDLER, Handler};
use swc_common::sync::Lrc;
use swc_common::{BytePos, FileName, GLOBALS, Globals, SourceMap};
use swc_ecma_parser::{EsSyntax, Syntax, parse_file_as_module};
use swc_ts_fast_strip::{Mode, Options, TsError, operate};

/// The declarations of the functions that an author can call, as `sluicegate types` writes them.
pub const DECLARATIONS: &str = include_str!("../js/sluicegate.d.ts");

/// Why a source could not be stripped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeScriptError {
    /// One sentence, e.g. `SyntaxError: Expression expected`.
    pub message: String,
    /// The range of the source that is wrong, in bytes.
    pub range: Range<usize>,
    /// What to write instead, if known.
    pub help: Option<Cow<'static, str>>,
}

/// Whether a file is TypeScript, by its name.
pub fn is_typescript(path: &Path) -> bool {
    matches!(path.extension().and_then(|extension| extension.to_str()), Some("ts" | "mts"))
}

/// The source without its types; every line and column stays where it was.
///
/// # Errors
/// When the source is not TypeScript, or uses a construct that is more than a type.
pub fn strip(source: &str) -> Result<String, TypeScriptError> {
    let map: Lrc<SourceMap> = Lrc::default();
    let found = Found::default();
    let handler = Handler::with_emitter(true, false, Box::new(found.clone()));
    let options = Options { module: Some(true), mode: Mode::StripOnly, ..Options::default() };
    let stripped =
        GLOBALS.set(&Globals::new(), || HANDLER.set(&handler, || operate(&map, &handler, source.to_owned(), options)));
    stripped.map(|output| unused::remove(output.code)).map_err(|error| found.error(error, source))
}

/// The byte ranges of the comments in JavaScript, in order. Source that does not parse has none.
pub fn comments(code: &str) -> Vec<Range<usize>> {
    let map: Lrc<SourceMap> = Lrc::default();
    let file = map.new_source_file(Lrc::new(FileName::Anon), code.to_owned());
    let comments = SingleThreadedComments::default();
    let _ =
        parse_file_as_module(&file, Syntax::Es(EsSyntax::default()), Default::default(), Some(&comments), &mut vec![]);
    let (leading, trailing) = comments.take_all();
    let leading = std::mem::take(&mut *leading.borrow_mut());
    let trailing = std::mem::take(&mut *trailing.borrow_mut());
    let offset = |at: BytePos| (at.0 as usize).saturating_sub(file.start_pos.0 as usize).min(code.len());
    let all = leading.into_values().chain(trailing.into_values()).flatten();
    let mut ranges: Vec<_> = all.map(|comment| offset(comment.span.lo)..offset(comment.span.hi)).collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

/// A message and the byte range in the source that it is about.
type Finding = (String, Range<usize>);

/// Collects the library's messages, each with its byte range, in order of arrival.
#[derive(Clone, Default)]
struct Found(Arc<Mutex<Vec<Finding>>>);

impl Emitter for Found {
    fn emit(&mut self, diagnostic: &mut DiagnosticBuilder<'_>) {
        // Positions of the map's only file start at 1.
        let offset = |at: BytePos| (at.0 as usize).saturating_sub(1);
        let range = match diagnostic.span.primary_span() {
            Some(span) => offset(span.lo)..offset(span.hi),
            None => 0..0,
        };
        self.0.lock().expect("no code panics while it holds this").push((diagnostic.message(), range));
    }
}

impl Found {
    /// The first message in the order of the source.
    fn error(&self, error: TsError, source: &str) -> TypeScriptError {
        let found = self.0.lock().expect("no code panics while it holds this");
        let first = found.iter().min_by_key(|(_, range)| range.start);
        let (message, range) = first.cloned().unwrap_or((error.message, 0..0));
        let range = range.start.min(source.len())..range.end.min(source.len());
        match INSTEAD.iter().find(|(key, ..)| message.contains(key)) {
            Some((_, what, help)) => TypeScriptError {
                message: format!("{what} cannot be used: only types are taken away, and it is more than a type"),
                range,
                help: Some((*help).into()),
            },
            None => {
                let help = help::for_typescript(&message, source, range.start).into();
                TypeScriptError { message: format!("SyntaxError: {message}"), range, help: Some(help) }
            }
        }
    }
}

/// Constructs that are more than types: a word of the library's message, their name, and what to write instead.
const INSTEAD: &[(&str, &str, &str)] = &[
    (
        "enum is not",
        "a TypeScript enum",
        "write `const Color = { Red: 'red', Blue: 'blue' } as const;` and, for its type, \
         `type Color = (typeof Color)[keyof typeof Color];`",
    ),
    (
        "namespace",
        "a TypeScript namespace with code in it",
        "put its contents into a library of its own and import it, or use a plain object",
    ),
    (
        "parameter property",
        "a parameter property",
        "declare the field in the class, and assign it in the constructor: `this.name = name;`",
    ),
    ("import equals", "`import x = …`", "write `import x from '…';`"),
    ("export assignment", "`export = …`", "write `export { transformEvent };`"),
    ("angle-bracket", "a type assertion with angle brackets", "write `value as Type`"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves() {
        let source = "interface Größe { ü: string }\r\nconst f = <T,>(a: Map<string, T>, é?: '🎉' | number): T[] => \
                      [...a.values()] as T[]; export { f };\nimport type { X } from 'y';\nlet z = f!;\n";
        let code = strip(source).unwrap();
        assert!(!code.contains("interface") && !code.contains("Map<") && !code.contains("import"), "{code}");
        for (before, after) in source.lines().zip(code.lines()) {
            let column = |line: &str, what: &str| line.find(what).map(|at| line[..at].encode_utf16().count());
            for word in ["const f", "=> [", ".values", "export", "let z"] {
                if column(after, word).is_some() {
                    assert_eq!(column(before, word), column(after, word), "{word} in {after:?}");
                }
            }
        }
        assert_eq!(source.lines().count(), code.lines().count());
    }

    #[test]
    fn a_line_does_not_run_into_the_next_one() {
        // Blanks alone would join two lines into `return (x)`, or call the expression before.
        let code = strip("let a = b\ntype T = string\n(globalThis as any).c = a\n").unwrap();
        assert!(code.contains("b\n;"), "{code:?}");
    }

    #[test]
    fn what_is_more_than_a_type_is_refused_by_name() {
        for (source, word, marked) in [
            ("export enum Color { Red }", "enum", "enum"),
            ("const a = 1;\nnamespace N { export const b = 2; }", "namespace", "namespace"),
            ("class A { constructor(private b: string) {} }", "parameter property", "b: string"),
            ("let a = <string>b;", "angle", "<string>"),
        ] {
            let error = strip(source).unwrap_err();
            assert!(error.message.contains(word) && error.help.is_some(), "{error:?}");
            assert!(source[error.range.clone()].contains(marked), "{error:?}");
        }
    }

    #[test]
    fn a_syntax_error_has_a_place() {
        let error = strip("export function transformEvent(event: {) { return event; }").unwrap_err();
        assert!(error.message.starts_with("SyntaxError: ") && error.range.start > 30, "{error:?}");
    }
}
