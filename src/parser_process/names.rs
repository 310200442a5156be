//! Finds names that a module uses without a declaration, and unused imports.
//!
//! Scopes are not followed: a name that is declared anywhere in the module counts as declared everywhere, and a name
//! that the code tests with `typeof` counts as known. So a name that is reported is certainly undeclared.

use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use swc_common::{BytePos, Span, Spanned};
use swc_ecma_ast::{
    BindingIdent, ClassDecl, ClassExpr, ExportSpecifier, Expr, FnDecl, FnExpr, Ident, ImportDecl, ModuleExportName,
    NamedExport, Prop, SimpleAssignTarget, UnaryExpr, UnaryOp,
};
use swc_ecma_parser::{EsSyntax, Syntax};
use swc_ecma_visit::{Visit, VisitWith};

use super::faults::{self, Fault};
use super::imports::parse;

/// A name and its place, in bytes of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The name.
    pub name: String,
    /// Its place.
    pub range: Range<usize>,
}

/// The suspicious names of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Used but not declared, each at its first use.
    pub undeclared: Vec<Name>,
    /// Imported but not used.
    pub unused_imports: Vec<Name>,
    /// Code that can only fail, or that cannot be what was meant.
    pub faults: Vec<Fault>,
}

/// The suspicious names of `code`, JavaScript.
///
/// # Errors
/// When it is not a module; the text gives the place.
pub(super) fn of(code: &str) -> Result<Names, String> {
    let module = parse(code, Syntax::Es(EsSyntax { import_attributes: true, ..EsSyntax::default() }))?;
    let mut walk = Walk::default();
    module.visit_with(&mut walk);
    let Walk { declared, asked_about, used, imported } = walk;
    let mut undeclared: Vec<Name> = Vec::new();
    for name in &used {
        let is_known = declared.contains(&name.name) || asked_about.contains(&name.name);
        if !is_known && undeclared.iter().all(|before| before.name != name.name) {
            undeclared.push(name.clone());
        }
    }
    let used: HashSet<&str> = used.iter().map(|name| name.name.as_str()).collect();
    let is_unused = |name: &Name| !used.contains(name.name.as_str()) && !asked_about.contains(&name.name);
    let unused_imports = imported.into_iter().filter(is_unused).collect();
    Ok(Names { undeclared, unused_imports, faults: faults::of(&module, &used) })
}

#[derive(Default)]
struct Walk {
    declared: HashSet<String>,
    asked_about: HashSet<String>,
    used: Vec<Name>,
    imported: Vec<Name>,
}

impl Walk {
    fn declare(&mut self, ident: &Ident) {
        self.declared.insert(ident.sym.to_string());
    }

    fn use_it(&mut self, ident: &Ident) {
        self.used.push(name(ident));
    }
}

fn name(ident: &Ident) -> Name {
    Name { name: ident.sym.to_string(), range: range(ident.span()) }
}

fn range(span: Span) -> Range<usize> {
    // Positions of the map's only file start at 1.
    let offset = |at: BytePos| (at.0 as usize).saturating_sub(1);
    offset(span.lo)..offset(span.hi)
}

impl Visit for Walk {
    fn visit_expr(&mut self, expression: &Expr) {
        match expression {
            Expr::Ident(ident) => self.use_it(ident),
            _ => expression.visit_children_with(self),
        }
    }

    fn visit_unary_expr(&mut self, unary: &UnaryExpr) {
        match (unary.op, &*unary.arg) {
            (UnaryOp::TypeOf, Expr::Ident(ident)) => {
                self.asked_about.insert(ident.sym.to_string());
            }
            _ => unary.visit_children_with(self),
        }
    }

    fn visit_prop(&mut self, property: &Prop) {
        match property {
            Prop::Shorthand(ident) => self.use_it(ident),
            _ => property.visit_children_with(self),
        }
    }

    fn visit_simple_assign_target(&mut self, target: &SimpleAssignTarget) {
        match target {
            SimpleAssignTarget::Ident(ident) => self.use_it(&ident.id),
            _ => target.visit_children_with(self),
        }
    }

    fn visit_binding_ident(&mut self, ident: &BindingIdent) {
        self.declare(&ident.id);
    }

    fn visit_fn_decl(&mut self, function: &FnDecl) {
        self.declare(&function.ident);
        function.function.visit_with(self);
    }

    fn visit_fn_expr(&mut self, function: &FnExpr) {
        function.ident.iter().for_each(|ident| self.declare(ident));
        function.function.visit_with(self);
    }

    fn visit_class_decl(&mut self, class: &ClassDecl) {
        self.declare(&class.ident);
        class.class.visit_with(self);
    }

    fn visit_class_expr(&mut self, class: &ClassExpr) {
        class.ident.iter().for_each(|ident| self.declare(ident));
        class.class.visit_with(self);
    }

    fn visit_import_decl(&mut self, import: &ImportDecl) {
        for specifier in &import.specifiers {
            self.declare(specifier.local());
            self.imported.push(name(specifier.local()));
        }
    }

    fn visit_named_export(&mut self, export: &NamedExport) {
        if export.src.is_some() {
            return;
        }
        for specifier in &export.specifiers {
            if let ExportSpecifier::Named(named) = specifier
                && let ModuleExportName::Ident(ident) = &named.orig
            {
                self.use_it(ident);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: &str) -> (Vec<String>, Vec<String>) {
        let names = of(code).unwrap();
        let texts = |names: Vec<Name>| {
            names
                .into_iter()
                .map(|name| {
                    assert_eq!(code[name.range.clone()], name.name);
                    name.name
                })
                .collect()
        };
        (texts(names.undeclared), texts(names.unused_imports))
    }

    #[test]
    fn what_nobody_declares_is_found_once() {
        let code = "import a, { b as c, d } from 'x'; import * as all from 'y';
            export const transformEvent = async ({ id, ...rest }, [first = other] = []) => {
              setTimeout(() => {}, 1); setTimeout(c);
              label: for (const key of rest.keys) { if (key) break label; }
              const f = function g() { return g; }; class K { static #p = process.env; m() { return this.name; } }
              try { missing = { id, Buffer, f, K, first }; } catch (error) { throw error; }
              return typeof window === 'object' ? window.x : all;
            };
            export { d }; export { z } from 'w';";
        let (undeclared, unused) = found(code);
        assert_eq!(undeclared, ["other", "setTimeout", "process", "missing", "Buffer"]);
        assert_eq!(unused, ["a"]);
    }

    #[test]
    fn what_is_no_module_says_where() {
        assert!(of("const a = ;").unwrap_err().ends_with("[1:11]"));
    }
}
