//! Finds names that a module uses without a declaration, and unused imports.
//!
//! Scopes are ignored: a name that is declared anywhere in the module counts as declared everywhere. A name also counts
//! as known if the code checks for it (with `typeof`, with `in globalThis`, or as a property of `globalThis`) or
//! defines it (`globalThis.name = …`). Code in a `try` with a `catch` is skipped, because it may be intended to fail,
//! and so is code that never runs. So a reported name is certainly undeclared, and using it fails.

use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use swc_common::{BytePos, Span, Spanned};
use swc_ecma_ast::{
    BinExpr, BinaryOp, BindingIdent, ClassDecl, ClassExpr, CondExpr, ExportSpecifier, Expr, FnDecl, FnExpr, Ident,
    IfStmt, ImportDecl, Module, ModuleExportName, NamedExport, Prop, SimpleAssignTarget, Stmt, TryStmt, UnaryExpr,
    UnaryOp,
};
use swc_ecma_parser::{EsSyntax, Syntax};
use swc_ecma_visit::{Visit, VisitWith};

use super::faults::{self, Fault};
use super::globals::{Globals, truth};
use super::imports::parse;
use super::refused;

/// A name and its range, in bytes of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The name.
    pub name: String,
    /// Its range.
    pub range: Range<usize>,
}

/// The suspicious names of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Used but not declared, each at its first use.
    pub undeclared: Vec<Name>,
    /// Imported but not used.
    pub unused_imports: Vec<Name>,
    /// Code that always fails, or that cannot be what was intended.
    pub faults: Vec<Fault>,
    /// The globals that the module defines, which other modules may use.
    pub made: Vec<String>,
    /// Whether the module defines globals whose names are unknown.
    pub makes_any: bool,
}

/// Returns the suspicious names of `code`, JavaScript.
///
/// # Errors
/// When the code is not a module; the text contains the position.
pub(super) fn of(code: &str) -> Result<Names, String> {
    let module = parse(code, Syntax::Es(EsSyntax { import_attributes: true, ..EsSyntax::default() }))?;
    let globals = Globals::of(&module);
    let walk = Walk::of(&module);
    let mut undeclared: Vec<Name> = Vec::new();
    for name in walk.undeclared(&globals) {
        if undeclared.iter().all(|before| before.name != name.name) {
            undeclared.push(name.clone());
        }
    }
    let used: HashSet<&str> = walk.used.iter().map(|(name, _)| name.name.as_str()).collect();
    let is_unused = |name: &&Name| !used.contains(name.name.as_str()) && !globals.known.contains(&name.name);
    let unused_imports = walk.imported.iter().filter(is_unused).cloned().collect();
    let mut faults = faults::of(&module, &used);
    faults.extend(refused::of(&module, |name| walk.declared.contains(name)));
    let makes_any = globals.makes_any;
    Ok(Names { undeclared, unused_imports, faults, made: globals.made.into_iter().collect(), makes_any })
}

/// Returns all uses of names that the module does not declare.
pub(super) fn undeclared_uses(module: &Module) -> Vec<Name> {
    Walk::of(module).undeclared(&Globals::of(module)).cloned().collect()
}

#[derive(Default)]
struct Walk {
    declared: HashSet<String>,
    /// The uses, and whether each fails if the name is not declared.
    used: Vec<(Name, bool)>,
    imported: Vec<Name>,
    /// The number of enclosing blocks that catch errors or never run.
    harmless: usize,
}

impl Walk {
    fn of(module: &Module) -> Self {
        let mut walk = Walk::default();
        module.visit_with(&mut walk);
        walk
    }

    fn undeclared<'a>(&'a self, globals: &'a Globals) -> impl Iterator<Item = &'a Name> {
        let uses = self.used.iter().filter(|(_, fails)| *fails && !globals.makes_any).map(|(name, _)| name);
        uses.filter(|name| !self.declared.contains(&name.name) && !globals.known.contains(&name.name))
    }

    fn declare(&mut self, ident: &Ident) {
        self.declared.insert(ident.sym.to_string());
    }

    fn use_it(&mut self, ident: &Ident) {
        self.used.push((name(ident), self.harmless == 0));
    }

    /// Visits code that is harmless if `harmless` is set.
    fn visit_if_harmless(&mut self, harmless: bool, code: &impl VisitWith<Self>) {
        self.harmless += usize::from(harmless);
        code.visit_with(self);
        self.harmless -= usize::from(harmless);
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
        if unary.op != UnaryOp::TypeOf || !unary.arg.is_ident() {
            unary.visit_children_with(self);
        }
    }

    fn visit_try_stmt(&mut self, statement: &TryStmt) {
        let throws = |last: Option<&Stmt>| last.is_some_and(Stmt::is_throw);
        let catches = statement.handler.as_ref().is_some_and(|handler| !throws(handler.body.stmts.last()));
        self.visit_if_harmless(catches, &statement.block);
        statement.handler.visit_with(self);
        statement.finalizer.visit_with(self);
    }

    fn visit_cond_expr(&mut self, one: &CondExpr) {
        one.test.visit_with(self);
        self.visit_if_harmless(truth(&one.test) == Some(false), &one.cons);
        self.visit_if_harmless(truth(&one.test) == Some(true), &one.alt);
    }

    fn visit_if_stmt(&mut self, one: &IfStmt) {
        one.test.visit_with(self);
        self.visit_if_harmless(truth(&one.test) == Some(false), &one.cons);
        self.visit_if_harmless(truth(&one.test) == Some(true), &one.alt);
    }

    fn visit_bin_expr(&mut self, one: &BinExpr) {
        one.left.visit_with(self);
        let never = match one.op {
            BinaryOp::LogicalAnd => truth(&one.left) == Some(false),
            BinaryOp::LogicalOr | BinaryOp::NullishCoalescing => truth(&one.left) == Some(true),
            _ => false,
        };
        self.visit_if_harmless(never, &one.right);
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
    fn an_undeclared_name_is_found_once() {
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
    fn code_that_runs_is_not_suspected() {
        for code in [
            "(function (global, factory) { typeof exports === 'object' && typeof module !== 'undefined' ? factory(exports) :
               typeof define === 'function' && define.amd ? define(['exports'], factory) :
               (global = typeof globalThis !== 'undefined' ? globalThis : global || self, factory(global.lib = {}));
             })(this, (exports) => { exports.f = 1; }); lib.f;",
            "try { window.x } catch { 0 }",
            "try { window } catch (error) { if (error) throw error; error.a = 1 }",
            "'window' in globalThis ? window.x : 1;",
            "if (globalThis.window) window.x;",
            "globalThis.process?.env && process.env;",
            "Object.hasOwn(globalThis, 'window') && window.x;",
            "globalThis.cache = new Map(); cache.size;",
            "globalThis['cache'] ??= 1; cache;",
            "const root = globalThis; root.cache = 1; cache;",
            "Object.assign(globalThis, { cache: 1 }); cache;",
            "let root, own; own = globalThis; root = own || {}; root.cache = 1; cache;",
            "((root) => { root.cache = 1; })(globalThis); cache;",
            "const install = (root) => { root.cache = 1; }; install(globalThis); cache;",
            "Object.defineProperty(globalThis, 'cache', { value: 1 }); cache;",
            "Object.assign(globalThis, all); cache;",
            "for (const name of []) globalThis[name] = 1; cache;",
            "const g = typeof globalThis === 'undefined' ? window : globalThis;",
            "if (typeof globalThis == 'undefined') { self.x } else { 1 }",
            "global || self; globalThis ?? window;",
        ] {
            let undeclared: Vec<String> =
                found(code).0.into_iter().filter(|name| !["globalThis", "global", "Map", "Object"].contains(&&**name)).collect();
            assert_eq!(undeclared, Vec::<String>::new(), "{code}");
        }
    }

    #[test]
    fn what_fails_is_found_beside_it() {
        for (code, expected) in [
            ("try { window.x } finally { 0 }", "window"),
            ("try { 0 } catch { window.x }", "window"),
            ("try { window.x } catch (error) { log(1); throw error; }", "window log"),
            ("typeof globalThis !== 'undefined' ? window : 1", "window"),
            ("globalThis.other = 1; cache", "cache"),
            ("event.cache = 1; cache", "event cache"),
            ("const root = globalThis; const all = {}; all.cache = 1; root.other = 2; cache", "cache"),
            ("const keys = Object.keys(globalThis.a ?? {}); keys.cache = 1; cache", "Object cache"),
        ] {
            let undeclared: Vec<String> = found(code).0.into_iter().filter(|name| name != "globalThis").collect();
            assert_eq!(undeclared.join(" "), expected, "{code}");
        }
    }

    #[test]
    fn what_is_no_module_says_where() {
        assert!(of("const a = ;").unwrap_err().ends_with("[1:11]"));
    }
}
