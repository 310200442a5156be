//! Finds the exports of a module, including types, in its syntax tree.

use swc_common::{BytePos, Span, Spanned};
use swc_ecma_ast::{
    Decl, DefaultDecl, ExportSpecifier, ModuleDecl, ModuleExportName, ModuleItem, ObjectPatProp, Pat, TsTypeParamDecl,
};
use swc_ecma_parser::{EsSyntax, Syntax, TsSyntax};

use super::imports::parse;

/// An export of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleExport {
    /// A value, by its name; `default` for the default export.
    Value(String),
    /// A class: a value, and the type of its instances.
    Class(String),
    /// A type.
    Type {
        /// Its name.
        name: String,
        /// Its parameters as declared, for example `<A extends string>`; empty if it has none.
        parameters: String,
        /// Its parameters as arguments, for example `<A>`.
        arguments: String,
    },
}

/// Returns the exports of `code`, TypeScript or JavaScript, in the order of the source. The exports of `export * from`
/// are not included.
///
/// # Errors
/// When the code is not a module; the text contains the position.
pub fn exports(code: &str) -> Result<Vec<ModuleExport>, String> {
    let typescript = Syntax::Typescript(TsSyntax::default());
    let javascript = Syntax::Es(EsSyntax { import_attributes: true, ..EsSyntax::default() });
    let module = parse(code, typescript).or_else(|error| parse(code, javascript).map_err(|_| error))?;
    let mut found = Vec::new();
    for item in &module.body {
        let ModuleItem::ModuleDecl(item) = item else { continue };
        match item {
            ModuleDecl::ExportDecl(export) => declared(code, &export.decl, &mut found),
            ModuleDecl::ExportNamed(export) => {
                for specifier in &export.specifiers {
                    let (name, is_type) = match specifier {
                        ExportSpecifier::Named(named) => {
                            (text(named.exported.as_ref().unwrap_or(&named.orig)), named.is_type_only)
                        }
                        ExportSpecifier::Namespace(all) => (text(&all.name), false),
                        ExportSpecifier::Default(default) => (default.exported.sym.to_string(), false),
                    };
                    found.push(if export.type_only || is_type { plain_type(name) } else { ModuleExport::Value(name) });
                }
            }
            ModuleDecl::ExportDefaultDecl(export) if matches!(export.decl, DefaultDecl::TsInterfaceDecl(_)) => {}
            ModuleDecl::ExportDefaultDecl(_) | ModuleDecl::ExportDefaultExpr(_) => {
                found.push(ModuleExport::Value("default".to_owned()));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn text(name: &ModuleExportName) -> String {
    match name {
        ModuleExportName::Ident(name) => name.sym.to_string(),
        ModuleExportName::Str(name) => name.value.to_string_lossy().into_owned(),
    }
}

fn plain_type(name: String) -> ModuleExport {
    ModuleExport::Type { name, parameters: String::new(), arguments: String::new() }
}

/// Adds the exports of `export const …`, `export class …` and similar statements.
fn declared(code: &str, declaration: &Decl, found: &mut Vec<ModuleExport>) {
    match declaration {
        Decl::Class(class) => found.push(ModuleExport::Class(class.ident.sym.to_string())),
        Decl::Fn(function) => found.push(ModuleExport::Value(function.ident.sym.to_string())),
        Decl::Var(variables) => variables.decls.iter().for_each(|one| bound(&one.name, found)),
        Decl::TsInterface(one) => found.push(generic(code, one.id.sym.to_string(), one.type_params.as_deref())),
        Decl::TsTypeAlias(one) => found.push(generic(code, one.id.sym.to_string(), one.type_params.as_deref())),
        _ => {}
    }
}

/// Returns a type with its parameters, as written in the source.
fn generic(code: &str, name: String, parameters: Option<&TsTypeParamDecl>) -> ModuleExport {
    let Some(parameters) = parameters else { return plain_type(name) };
    let names: Vec<&str> = parameters.params.iter().map(|one| &*one.name.sym).collect();
    let arguments = format!("<{}>", names.join(", "));
    ModuleExport::Type { name, parameters: slice(code, parameters.span()).to_owned(), arguments }
}

fn slice(code: &str, span: Span) -> &str {
    // Positions of the map's only file start at 1.
    let offset = |at: BytePos| (at.0 as usize).saturating_sub(1).min(code.len());
    code.get(offset(span.lo)..offset(span.hi)).unwrap_or_default()
}

/// Adds the names that a pattern binds.
fn bound(pattern: &Pat, found: &mut Vec<ModuleExport>) {
    match pattern {
        Pat::Ident(name) => found.push(ModuleExport::Value(name.id.sym.to_string())),
        Pat::Array(array) => array.elems.iter().flatten().for_each(|one| bound(one, found)),
        Pat::Rest(rest) => bound(&rest.arg, found),
        Pat::Assign(assign) => bound(&assign.left, found),
        Pat::Object(object) => {
            for property in &object.props {
                match property {
                    ObjectPatProp::KeyValue(pair) => bound(&pair.value, found),
                    ObjectPatProp::Assign(name) => found.push(ModuleExport::Value(name.key.id.sym.to_string())),
                    ObjectPatProp::Rest(rest) => bound(&rest.arg, found),
                }
            }
        }
        _ => {}
    }
}
