//! Finds the imports of a module in its syntax tree, so that comments and strings that look like imports do not count.

use std::collections::BTreeMap;

use swc_common::{BytePos, FileName, SourceMap, Spanned, sync::Lrc};
use swc_ecma_ast::{EsVersion, ImportSpecifier, Module, ModuleDecl, ModuleExportName, ModuleItem};
use swc_ecma_parser::{EsSyntax, Parser, StringInput, Syntax, TsSyntax, lexer::Lexer};

/// Returns the modules that `code` imports or re-exports from, each with the imported names: the local name of a
/// default import, the exported name of the others. Also accepts TypeScript.
///
/// # Errors
/// When the code is not a module; the text contains the position.
pub(super) fn of(code: &str) -> Result<BTreeMap<String, Vec<String>>, String> {
    let javascript = Syntax::Es(EsSyntax { import_attributes: true, ..EsSyntax::default() });
    // The same text can have different meanings in JavaScript and TypeScript, for example `a < b > (c)`.
    let module = parse(code, javascript).or_else(|_| parse(code, Syntax::Typescript(TsSyntax::default())))?;
    Ok(imports(&module))
}

pub(super) fn parse(code: &str, syntax: Syntax) -> Result<Module, String> {
    let map: Lrc<SourceMap> = Lrc::default();
    let file = map.new_source_file(Lrc::new(FileName::Anon), code.to_owned());
    let input = StringInput::new(code, file.start_pos, file.end_pos);
    let lexer = Lexer::new(syntax, EsVersion::EsNext, input, None);
    let mut parser = Parser::new_from(lexer);
    let words = |error: swc_ecma_parser::error::Error| {
        let at = map.lookup_char_pos(BytePos(error.span().lo.0.max(file.start_pos.0)));
        format!("SyntaxError: {} [{}:{}]", error.kind().msg(), at.line, at.col.0 + 1)
    };
    let module = parser.parse_module().map_err(words)?;
    if let Some(error) = parser.take_errors().into_iter().next() {
        return Err(words(error));
    }
    Ok(module)
}

fn imports(module: &Module) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let text = |name: &ModuleExportName| match name {
        ModuleExportName::Ident(name) => name.sym.to_string(),
        ModuleExportName::Str(name) => name.value.to_string_lossy().into_owned(),
    };
    for item in &module.body {
        let ModuleItem::ModuleDecl(item) = item else { continue };
        match item {
            ModuleDecl::Import(import) if !import.type_only => {
                let names = found.entry(import.src.value.to_string_lossy().into_owned()).or_default();
                for specifier in &import.specifiers {
                    match specifier {
                        ImportSpecifier::Named(named) if named.is_type_only => {}
                        ImportSpecifier::Named(named) => {
                            names.push(named.imported.as_ref().map_or_else(|| named.local.sym.to_string(), &text))
                        }
                        ImportSpecifier::Default(default) => names.push(default.local.sym.to_string()),
                        // A namespace import imports no single name.
                        ImportSpecifier::Namespace(_) => {}
                    }
                }
            }
            ModuleDecl::ExportAll(export) if !export.type_only => {
                found.entry(export.src.value.to_string_lossy().into_owned()).or_default();
            }
            ModuleDecl::ExportNamed(export) if !export.type_only => {
                if let Some(src) = &export.src {
                    found.entry(src.value.to_string_lossy().into_owned()).or_default();
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_read_and_not_the_text() {
        let code = "import _ from 'lodash';\nimport { a, b as c } from \"@rs/x/v1\"; import * as all from 'y'; import 'z';\n\
                    // import no from 'comment';\nconst s = \"import no from 'string'\";\n\
                    import type { T } from 'types'; export { q } from 'w';\nexport function transformEvent(e: any) { return e; }";
        let found = of(code).unwrap();
        let expected: BTreeMap<String, Vec<String>> =
            [("lodash", vec!["_"]), ("@rs/x/v1", vec!["a", "b"]), ("y", vec![]), ("z", vec![]), ("w", vec![])]
                .into_iter()
                .map(|(from, names)| (from.to_owned(), names.into_iter().map(str::to_owned).collect()))
                .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_module_says_where() {
        let error = of("const a = 1;\nconst b = ;\n").unwrap_err();
        assert!(error.starts_with("SyntaxError: ") && error.ends_with("[2:11]"), "{error}");
    }
}
