//! Removes imports that are unused once the types are gone: `import { Order } from './types'` where `Order` is an
//! interface.
//!
//! TypeScript and bundlers remove them as well; if they stayed, they would ask a module for a name that it does not
//! export. An import stays if its name occurs anywhere in the code outside comments, because a needless import does
//! less harm than a missing one.

use std::ops::Range;

use swc_common::sync::Lrc;
use swc_common::{BytePos, FileName, SourceMap, Span};
use swc_ecma_ast::{ImportDecl, ImportSpecifier, ModuleDecl, ModuleItem};
use swc_ecma_parser::{EsSyntax, Syntax, parse_file_as_module};

/// Replaces unused imports with blanks.
pub(super) fn remove(code: String) -> String {
    if !code.contains("import") {
        return code;
    }
    let map: Lrc<SourceMap> = Lrc::default();
    let file = map.new_source_file(Lrc::new(FileName::Anon), code.clone());
    let syntax = Syntax::Es(EsSyntax::default());
    let Ok(module) = parse_file_as_module(&file, syntax, Default::default(), None, &mut vec![]) else { return code };
    let start = file.start_pos;
    let range = |span: Span| {
        let offset = |at: BytePos| (at.0.saturating_sub(start.0) as usize).min(code.len());
        offset(span.lo)..offset(span.hi)
    };
    let imports: Vec<&ImportDecl> = module
        .body
        .iter()
        .filter_map(|item| match item {
            ModuleItem::ModuleDecl(ModuleDecl::Import(import)) if !import.specifiers.is_empty() => Some(import),
            _ => None,
        })
        .collect();
    if imports.is_empty() {
        return code;
    }
    let mut rest = code.clone().into_bytes();
    let ignored = imports.iter().map(|import| range(import.span)).chain(super::comments(&code));
    ignored.for_each(|range| blank(&mut rest, range));
    let rest = String::from_utf8(rest).unwrap_or_default();
    let is_unused = |specifier: &ImportSpecifier| !has_word(&rest, &specifier.local().sym);
    let mut bytes = code.clone().into_bytes();
    for import in imports {
        let unused: Vec<_> = import.specifiers.iter().filter(|specifier| is_unused(specifier)).collect();
        if unused.len() == import.specifiers.len() {
            let whole = range(import.span);
            blank(&mut bytes, whole.clone());
            // The code before must not join the code after.
            bytes[whole.start] = b';';
            continue;
        }
        for specifier in unused {
            let own = range(specifier.span());
            // The comma after it is removed too; one that is left at the end of a list does no harm.
            let comma = code[own.end..].find(|char: char| !char.is_whitespace()).map(|at| own.end + at);
            let comma = comma.filter(|at| code[*at..].starts_with(','));
            blank(&mut bytes, own.start..comma.map_or(own.end, |at| at + 1));
        }
    }
    String::from_utf8(bytes).unwrap_or(code)
}

trait Parts {
    fn span(&self) -> Span;
}

impl Parts for ImportSpecifier {
    fn span(&self) -> Span {
        match self {
            Self::Named(one) => one.span,
            Self::Default(one) => one.span,
            Self::Namespace(one) => one.span,
        }
    }
}

/// Replaces a range with blanks that have the same number of UTF-16 units, so columns do not change.
fn blank(bytes: &mut Vec<u8>, range: Range<usize>) {
    let text = String::from_utf8_lossy(&bytes[range.clone()]).into_owned();
    let mut blanks = Vec::with_capacity(range.len());
    for char in text.chars() {
        match char {
            '\n' | '\r' => blanks.push(char as u8),
            // A character of several bytes is replaced by blanks of the same number of bytes and UTF-16 units.
            _ if char.len_utf8() == 1 => blanks.push(b' '),
            _ if char.len_utf8() == 2 => blanks.extend("\u{a0}".bytes()),
            _ if char.len_utf8() == 3 => blanks.extend("\u{2003}".bytes()),
            _ => blanks.extend("\u{a0}\u{a0}".bytes()),
        }
    }
    bytes.splice(range, blanks);
}

/// Whether a name occurs as a whole word.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_' || char == '$';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(is_part);
        let after = text[at + word.len()..].chars().next().is_some_and(is_part);
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::super::strip;

    #[test]
    fn imports_that_were_types_go_and_nothing_moves() {
        let source = "import { slugify, Slug } from './text';\nimport Größe, { a as b } from './x'; import * as T from \
                      './t';\nimport './effect';\n// Slug\nexport const f = (s: Slug, g: Größe, t: T.U) => slugify(b);\n";
        let code = strip(source).unwrap();
        let lines: Vec<&str> = code.lines().collect();
        assert!(lines[0].starts_with("import { slugify,      } from './text';"), "{code}");
        assert!(
            lines[1].contains("{ a as b } from './x'") && !lines[1].contains("Größe") && !lines[1].contains("./t'")
        );
        assert_eq!(lines[2], "import './effect';");
        for (before, after) in source.lines().zip(&lines) {
            assert_eq!(before.encode_utf16().count(), after.encode_utf16().count(), "{after:?}");
        }
    }

    #[test]
    fn what_is_used_stays() {
        let source = "import { a, b } from 'x';\nexport { b };\nconst t: string = `${a}`;\n";
        assert_eq!(strip(source).unwrap(), source.replace(": string", "        "));
    }
}
