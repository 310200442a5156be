//! Simple mistakes that can be fixed automatically: a function that is not exported, a default export, and CommonJS.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use swc_common::{BytePos, Span, Spanned};
use swc_ecma_ast::{
    AssignExpr, AssignTarget, Decl, DefaultDecl, Expr, MemberProp, ModuleDecl, ModuleItem, Pat, Prop, PropOrSpread,
    SimpleAssignTarget, Stmt,
};
use swc_ecma_parser::{EsSyntax, Syntax};

use super::imports::parse;

/// A replacement for a range of the source, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// The range that is replaced.
    pub range: Range<usize>,
    /// The new text.
    pub text: String,
}

const FUNCTIONS: [&str; 2] = ["transformEvent", "transformBatch"];

/// The fixes of `code`, JavaScript, from the last one to the first; none if it exports one of the functions already.
///
/// # Errors
/// When it is not a module; the text gives the place.
pub(super) fn of(code: &str) -> Result<Vec<Fix>, String> {
    let module = parse(code, Syntax::Es(EsSyntax { import_attributes: true, ..EsSyntax::default() }))?;
    let exported = super::exports::exports(code)?;
    if exported.iter().any(|export| matches!(export, super::ModuleExport::Value(name) if is_function(name))) {
        return Ok(Vec::new());
    }
    let mut fixes = Vec::new();
    for item in &module.body {
        match item {
            ModuleItem::ModuleDecl(ModuleDecl::ExportDefaultDecl(export)) => {
                let DefaultDecl::Fn(function) = &export.decl else { continue };
                let start = offset(function.function.span.lo);
                let before = offset(export.span.lo)..start;
                match &function.ident {
                    Some(name) if is_function(&name.sym) => push(&mut fixes, before, "export "),
                    Some(_) => {}
                    None => {
                        push(&mut fixes, before, "export ");
                        if let Some(at) = code[start..].find("function").map(|at| start + at + "function".len()) {
                            let blanks = code[at..].bytes().take_while(|byte| *byte == b' ').count();
                            push(&mut fixes, at..at + blanks, " transformEvent");
                        }
                    }
                }
            }
            ModuleItem::ModuleDecl(ModuleDecl::ExportDefaultExpr(export)) => match &*export.expr {
                Expr::Ident(name) if is_function(&name.sym) => push(&mut fixes, range(export.span), ""),
                Expr::Arrow(_) | Expr::Fn(_) => {
                    let before = offset(export.span.lo)..offset(export.expr.span().lo);
                    push(&mut fixes, before, "export const transformEvent = ");
                }
                _ => {}
            },
            ModuleItem::Stmt(Stmt::Decl(declaration)) if declares(declaration) => {
                let at = offset(declaration.span().lo);
                push(&mut fixes, at..at, "export ");
            }
            ModuleItem::Stmt(Stmt::Expr(statement)) => {
                if let Expr::Assign(assignment) = &*statement.expr {
                    common_js(assignment, statement.span, &mut fixes);
                }
            }
            _ => {}
        }
    }
    fixes.sort_by_key(|fix: &Fix| std::cmp::Reverse(fix.range.start));
    Ok(fixes)
}

fn push(fixes: &mut Vec<Fix>, range: Range<usize>, text: &str) {
    fixes.push(Fix { range, text: text.to_owned() });
}

fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

fn offset(at: BytePos) -> usize {
    // Positions of the map's only file start at 1.
    (at.0 as usize).saturating_sub(1)
}

fn range(span: Span) -> Range<usize> {
    offset(span.lo)..offset(span.hi)
}

/// Whether it declares one of the two functions, and nothing else.
fn declares(declaration: &Decl) -> bool {
    match declaration {
        Decl::Fn(function) => is_function(&function.ident.sym),
        Decl::Var(variables) => match variables.decls.as_slice() {
            [one] => matches!(&one.name, Pat::Ident(name) if is_function(&name.id.sym)),
            _ => false,
        },
        _ => false,
    }
}

/// `module.exports = …`, `exports.transformEvent = …` and `module.exports.transformEvent = …`.
fn common_js(assignment: &AssignExpr, statement: Span, fixes: &mut Vec<Fix>) {
    let AssignTarget::Simple(SimpleAssignTarget::Member(target)) = &assignment.left else { return };
    let MemberProp::Ident(property) = &target.prop else { return };
    let is = |expression: &Expr, name: &str| matches!(expression, Expr::Ident(ident) if &*ident.sym == name);
    let is_module_exports = |expression: &Expr| match expression {
        Expr::Member(member) => {
            is(&member.obj, "module") && matches!(&member.prop, MemberProp::Ident(name) if &*name.sym == "exports")
        }
        _ => false,
    };
    let value = &*assignment.right;
    let named = match value {
        Expr::Ident(name) => is_function(&name.sym),
        Expr::Object(object) => object.props.iter().any(|property| match property {
            PropOrSpread::Prop(property) => matches!(&**property, Prop::Shorthand(name) if is_function(&name.sym)),
            PropOrSpread::Spread(_) => false,
        }),
        _ => false,
    };
    if is(&target.obj, "module") && &*property.sym == "exports" {
        if named {
            push(fixes, range(statement), "");
        }
    } else if (is(&target.obj, "exports") || is_module_exports(&target.obj)) && is_function(&property.sym) {
        match value {
            _ if named => push(fixes, range(statement), ""),
            Expr::Fn(_) | Expr::Arrow(_) => {
                let before = offset(statement.lo)..offset(value.span().lo);
                push(fixes, before, &format!("export const {} = ", property.sym));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mechanical_is_mended() {
        for (code, expected) in [
            ("function transformEvent(e) {}\n", "export function transformEvent(e) {}\n"),
            ("async function transformBatch(e) {}", "export async function transformBatch(e) {}"),
            ("const transformEvent = (e) => e;", "export const transformEvent = (e) => e;"),
            ("export default function transformEvent(e) {}", "export function transformEvent(e) {}"),
            ("export default async function (e) {}", "export async function transformEvent(e) {}"),
            ("export default (e) => e;", "export const transformEvent = (e) => e;"),
            ("exports.transformEvent = (e) => e;", "export const transformEvent = (e) => e;"),
            ("module.exports.transformBatch = function (e) {};", "export const transformBatch = function (e) {};"),
            (
                "function transformEvent(é) {}\nmodule.exports = { transformEvent };\n",
                "export function transformEvent(é) {}\n\n",
            ),
            (
                "const transformEvent = (e) => e;\nexport default transformEvent;",
                "export const transformEvent = (e) => e;\n",
            ),
        ] {
            let mut text = code.to_owned();
            of(code).unwrap().into_iter().for_each(|fix| text.replace_range(fix.range, &fix.text));
            assert_eq!(text, expected);
        }
        for fine in [
            "export const transformEvent = (e) => e; function transformBatch() {}",
            "const other = 1;",
            "module.exports = { x };",
        ] {
            assert_eq!(of(fine), Ok(Vec::new()), "{fine}");
        }
    }
}
