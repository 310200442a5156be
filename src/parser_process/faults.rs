//! Finds code that always fails, and code that cannot do what was intended. Only obvious kinds are detected.
//!
//! Scopes are ignored. A name is considered only if it is declared exactly once in the module, or nowhere. Code in a
//! `try` is skipped, because it may be intended to fail. So every reported fault is certain.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use swc_common::{BytePos, Span, Spanned};
use swc_ecma_ast::{
    ArrowExpr, AssignExpr, AssignTarget, BindingIdent, CallExpr, Callee, ClassDecl, Decl, ExportSpecifier, Expr,
    ExprOrSpread, FnDecl, Function, Ident, ImportDecl, ImportSpecifier, Lit, MemberExpr, MemberProp, Module,
    ModuleDecl, ModuleExportName, ModuleItem, NewExpr, Number, Pat, SimpleAssignTarget, TryStmt, UpdateExpr, VarDecl,
    VarDeclKind,
};
use swc_ecma_visit::{Visit, VisitWith};

use sluicegate_json::number::is_lossy_integer;

/// Code that always fails, or that cannot be what was intended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Its range, in bytes of the source.
    pub range: Range<usize>,
    /// The kind of the fault: a stable name for programs.
    pub rule: String,
    /// What is wrong.
    pub message: String,
    /// What to type instead.
    pub help: String,
}

/// Globals that are objects, not functions.
const NAMESPACES: [&str; 5] = ["Math", "JSON", "Reflect", "Intl", "globalThis"];

/// Globals that are functions but not constructors.
const FUNCTIONS: [&str; 14] = [
    "Symbol",
    "BigInt",
    "parseInt",
    "parseFloat",
    "isNaN",
    "isFinite",
    "log",
    "fetch",
    "fetchV2",
    "geolocation",
    "getCredential",
    "structuredClone",
    "atob",
    "btoa",
];

/// Longer texts are not checked for JSON.
const MAX_JSON: usize = 4096;

/// Returns the faults of a module, in no particular order. `used` contains all names that the module uses.
pub(super) fn of(module: &Module, used: &HashSet<&str>) -> Vec<Fault> {
    let mut walk = Walk::default();
    module.visit_with(&mut walk);
    let Walk { mut found, declared, constants, candidates, .. } = walk;
    let is_global = |name: &str| !declared.contains_key(name);
    let is_single = |name: &str| declared.get(name) == Some(&1);
    for Candidate { range, kind } in candidates {
        let constant = |name: &str| constants.get(name).filter(|_| is_single(name));
        let fault = match &kind {
            CandidateKind::Assigned(name) => constant(name).map(|constant| match constant {
                Constant::Import => (
                    "assign-to-import",
                    format!("{name} is imported and can't be assigned"),
                    "assign a variable of your own, declared with `let`".to_owned(),
                ),
                _ => (
                    "assign-to-constant",
                    format!("{name} is a constant and can't be assigned"),
                    "declare it with `let`".to_owned(),
                ),
            }),
            CandidateKind::Called(name) => match constant(name) {
                Some(Constant::Value(kind)) => Some(not_a_function(name, kind)),
                Some(Constant::Namespace) => Some(not_a_function(name, "all exports of a module")),
                None if is_global(name) && NAMESPACES.contains(&name.as_str()) => {
                    Some(not_a_function(name, "an object"))
                }
                _ => None,
            },
            CandidateKind::Made(name) => match constant(name) {
                Some(Constant::Value(kind)) => Some(not_a_constructor(name, kind)),
                Some(Constant::Arrow) => Some(not_a_constructor(name, "an arrow function")),
                None if is_global(name) && FUNCTIONS.contains(&name.as_str()) => Some((
                    "not-a-constructor",
                    format!("{name} is not a constructor"),
                    format!("write `{name}(…)`, without `new`"),
                )),
                None if is_global(name) && NAMESPACES.contains(&name.as_str()) => {
                    Some(not_a_constructor(name, "an object"))
                }
                _ => None,
            },
            CandidateKind::JsonParsed(text) if is_global("JSON") => why_not_json(text).map(|why| {
                (
                    "invalid-json",
                    format!("JSON.parse can only fail here: {why}"),
                    "write valid JSON, with double quotes around keys and texts".to_owned(),
                )
            }),
            CandidateKind::JsonParsed(_) => None,
        };
        found.extend(fault.map(|(rule, message, help)| Fault { range, rule: rule.to_owned(), message, help }));
    }
    found.extend(unreachable_exports(module, used));
    found.extend(swapped(module));
    found
}

type Words = (&'static str, String, String);

fn not_a_function(name: &str, kind: &str) -> Words {
    (
        "not-a-function",
        format!("{name} is {kind} and can't be called"),
        "call one of its functions, or a function of your own".to_owned(),
    )
}

fn not_a_constructor(name: &str, kind: &str) -> Words {
    (
        "not-a-constructor",
        format!("{name} is {kind} and can't be made with `new`"),
        "leave `new` out, or make a class of it".to_owned(),
    )
}

/// Returns why a text is not JSON; `None` if it is JSON or too large to check.
fn why_not_json(text: &str) -> Option<String> {
    if text.len() > MAX_JSON || text.matches(['[', '{']).count() > 100 {
        return None;
    }
    let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err()?;
    let words = error.to_string();
    Some(words.rsplit_once(" at line 1 ").map_or_else(|| words.clone(), |(why, column)| format!("{why} at {column}")))
}

/// The value of a name that is never assigned again.
enum Constant {
    /// A value that is not a function: its type.
    Value(&'static str),
    Arrow,
    Other,
    Import,
    Namespace,
}

/// A possible fault. It is a fault if its name has the usual meaning.
enum CandidateKind {
    Assigned(String),
    Called(String),
    Made(String),
    JsonParsed(String),
}

struct Candidate {
    range: Range<usize>,
    kind: CandidateKind,
}

#[derive(Default)]
struct Walk {
    found: Vec<Fault>,
    /// The number of declarations of each name.
    declared: HashMap<String, usize>,
    constants: HashMap<String, Constant>,
    candidates: Vec<Candidate>,
    /// The number of enclosing `try` blocks.
    tries: usize,
}

impl Walk {
    fn declare(&mut self, name: &Ident) {
        *self.declared.entry(name.sym.to_string()).or_default() += 1;
    }

    fn add_candidate(&mut self, span: Span, kind: CandidateKind) {
        if self.tries == 0 {
            self.candidates.push(Candidate { range: range(span), kind });
        }
    }

    fn add_fault(&mut self, span: Span, (rule, message, help): Words) {
        if self.tries == 0 {
            self.found.push(Fault { range: range(span), rule: rule.to_owned(), message, help });
        }
    }
}

pub(super) fn range(span: Span) -> Range<usize> {
    // Positions of the map's only file start at 1.
    let offset = |at: BytePos| (at.0 as usize).saturating_sub(1);
    offset(span.lo)..offset(span.hi)
}

/// Returns the type of an expression, if its value is not a function.
fn kind_of(expression: &Expr) -> Option<&'static str> {
    Some(match expression {
        Expr::Lit(Lit::Str(_)) | Expr::Tpl(_) => "a text",
        Expr::Lit(Lit::Num(_)) => "a number",
        Expr::Lit(Lit::Bool(_)) => "a boolean",
        Expr::Lit(Lit::Null(_)) => "null",
        Expr::Lit(Lit::BigInt(_)) => "a BigInt",
        Expr::Lit(Lit::Regex(_)) => "a regular expression",
        Expr::Array(_) => "an array",
        Expr::Object(_) => "an object",
        Expr::Paren(inner) => return kind_of(&inner.expr),
        _ => return None,
    })
}

/// Returns the text of a constant argument.
fn text_of(argument: Option<&ExprOrSpread>) -> Option<String> {
    match argument? {
        ExprOrSpread { spread: Some(_), .. } => None,
        ExprOrSpread { expr, .. } => match &**expr {
            Expr::Lit(Lit::Str(text)) => text.value.as_str().map(str::to_owned),
            Expr::Tpl(template) if template.exprs.is_empty() => {
                template.quasis.first()?.cooked.as_ref()?.as_str().map(str::to_owned)
            }
            _ => None,
        },
    }
}

fn is_member(expression: &Expr, object: &str, property: &str) -> bool {
    let Expr::Member(MemberExpr { obj, prop: MemberProp::Ident(name), .. }) = expression else { return false };
    &*name.sym == property && matches!(&**obj, Expr::Ident(ident) if &*ident.sym == object)
}

impl Visit for Walk {
    fn visit_try_stmt(&mut self, statement: &TryStmt) {
        self.tries += 1;
        statement.block.visit_with(self);
        self.tries -= 1;
        statement.handler.visit_with(self);
        statement.finalizer.visit_with(self);
    }

    fn visit_call_expr(&mut self, call: &CallExpr) {
        if let Callee::Expr(callee) = &call.callee {
            match &**callee {
                Expr::Ident(name) => self.add_candidate(name.span, CandidateKind::Called(name.sym.to_string())),
                other => {
                    if let Some(kind) = kind_of(other) {
                        self.add_fault(other.span(), not_a_function("what is called here", kind));
                    }
                }
            }
            if is_member(callee, "JSON", "parse")
                && let Some(text) = text_of(call.args.first())
            {
                self.add_candidate(call.span, CandidateKind::JsonParsed(text));
            }
        }
        call.visit_children_with(self);
    }

    fn visit_new_expr(&mut self, new: &NewExpr) {
        match &*new.callee {
            Expr::Ident(name) => self.add_candidate(name.span, CandidateKind::Made(name.sym.to_string())),
            other => {
                if let Some(kind) = kind_of(other) {
                    self.add_fault(other.span(), not_a_constructor("what stands here", kind));
                }
            }
        }
        new.visit_children_with(self);
    }

    fn visit_assign_expr(&mut self, assignment: &AssignExpr) {
        if let AssignTarget::Simple(SimpleAssignTarget::Ident(name)) = &assignment.left {
            self.add_candidate(name.id.span, CandidateKind::Assigned(name.id.sym.to_string()));
        }
        // A plain name is not visited, because it would count as a declaration.
        if !matches!(assignment.left, AssignTarget::Simple(SimpleAssignTarget::Ident(_))) {
            assignment.left.visit_with(self);
        }
        assignment.right.visit_with(self);
    }

    fn visit_update_expr(&mut self, update: &UpdateExpr) {
        if let Expr::Ident(name) = &*update.arg {
            self.add_candidate(name.span, CandidateKind::Assigned(name.sym.to_string()));
        }
        update.visit_children_with(self);
    }

    fn visit_var_decl(&mut self, declaration: &VarDecl) {
        if declaration.kind == VarDeclKind::Const {
            for one in &declaration.decls {
                if let Pat::Ident(name) = &one.name {
                    let constant = match one.init.as_deref() {
                        Some(Expr::Arrow(_)) => Constant::Arrow,
                        Some(value) => kind_of(value).map_or(Constant::Other, Constant::Value),
                        None => Constant::Other,
                    };
                    self.constants.insert(name.id.sym.to_string(), constant);
                }
            }
        }
        declaration.visit_children_with(self);
    }

    fn visit_number(&mut self, number: &Number) {
        if let Some(raw) = &number.raw {
            let digits = raw.replace('_', "");
            if is_lossy_integer(digits.as_bytes()) {
                let message = format!("JavaScript can't hold {digits}, and makes {} of it", number.value);
                let help = format!("write {digits}n, a BigInt, or a text");
                self.add_fault(number.span, ("lossy-number", message, help));
            }
        }
    }

    fn visit_binding_ident(&mut self, name: &BindingIdent) {
        self.declare(&name.id);
    }

    fn visit_fn_decl(&mut self, function: &FnDecl) {
        self.declare(&function.ident);
        function.function.visit_with(self);
    }

    fn visit_class_decl(&mut self, class: &ClassDecl) {
        self.declare(&class.ident);
        class.class.visit_with(self);
    }

    fn visit_fn_expr(&mut self, function: &swc_ecma_ast::FnExpr) {
        function.ident.iter().for_each(|name| self.declare(name));
        function.function.visit_with(self);
    }

    fn visit_class_expr(&mut self, class: &swc_ecma_ast::ClassExpr) {
        class.ident.iter().for_each(|name| self.declare(name));
        class.class.visit_with(self);
    }

    fn visit_import_decl(&mut self, import: &ImportDecl) {
        for specifier in &import.specifiers {
            let local = specifier.local();
            self.declare(local);
            let constant =
                if matches!(specifier, ImportSpecifier::Namespace(_)) { Constant::Namespace } else { Constant::Import };
            self.constants.insert(local.sym.to_string(), constant);
        }
    }
}

/// Finds exports that nothing uses: the host calls only the transformation's function. Default exports, which bundlers
/// write, and re-exports from other modules are skipped.
fn unreachable_exports(module: &Module, used: &HashSet<&str>) -> Vec<Fault> {
    let mut names: Vec<(String, Span)> = Vec::new();
    let mut exports_function = false;
    for item in &module.body {
        let ModuleItem::ModuleDecl(item) = item else { continue };
        match item {
            ModuleDecl::ExportDecl(export) => match &export.decl {
                Decl::Fn(function) => names.push((function.ident.sym.to_string(), function.ident.span)),
                Decl::Class(class) => names.push((class.ident.sym.to_string(), class.ident.span)),
                Decl::Var(variables) => names.extend(variables.decls.iter().filter_map(|one| match &one.name {
                    Pat::Ident(name) => Some((name.id.sym.to_string(), name.id.span)),
                    _ => None,
                })),
                _ => {}
            },
            ModuleDecl::ExportNamed(export) if export.src.is_none() => {
                for specifier in &export.specifiers {
                    if let ExportSpecifier::Named(named) = specifier {
                        let exported = match named.exported.as_ref().unwrap_or(&named.orig) {
                            ModuleExportName::Ident(name) => name.sym.to_string(),
                            ModuleExportName::Str(name) => name.value.to_string_lossy().into_owned(),
                        };
                        // `export { a }` itself uses the name.
                        exports_function |= is_function(&exported);
                    }
                }
            }
            _ => {}
        }
    }
    exports_function |= names.iter().any(|(name, _)| is_function(name));
    if !exports_function {
        return Vec::new();
    }
    let unused = names.into_iter().filter(|(name, _)| !is_function(name) && !used.contains(name.as_str()));
    unused
        .map(|(name, span)| Fault {
            range: range(span),
            rule: "unused-export".to_owned(),
            message: format!(
                "{name} is exported, and nothing calls it: sluicegate calls transformEvent or transformBatch"
            ),
            help: "leave it out, call it, or put it into a library".to_owned(),
        })
        .collect()
}

fn is_function(name: &str) -> bool {
    matches!(name, "transformEvent" | "transformBatch")
}

/// Finds a function whose parameters are in the wrong order, judged by their names.
fn swapped(module: &Module) -> Option<Fault> {
    let params_of = |function: &Function| function.params.iter().map(|param| param.pat.clone()).collect::<Vec<_>>();
    let of_arrow = |arrow: &ArrowExpr| arrow.params.clone();
    let (function, params) = module.body.iter().find_map(|item| {
        let declaration = match item {
            ModuleItem::ModuleDecl(ModuleDecl::ExportDecl(export)) => &export.decl,
            ModuleItem::Stmt(swc_ecma_ast::Stmt::Decl(declaration)) => declaration,
            _ => return None,
        };
        match declaration {
            Decl::Fn(function) if is_function(&function.ident.sym) => {
                Some((function.ident.sym.to_string(), params_of(&function.function)))
            }
            Decl::Var(variables) => variables.decls.iter().find_map(|one| {
                let Pat::Ident(name) = &one.name else { return None };
                let params = match one.init.as_deref()? {
                    Expr::Arrow(arrow) => of_arrow(arrow),
                    Expr::Fn(function) => params_of(&function.function),
                    _ => return None,
                };
                is_function(&name.id.sym).then(|| (name.id.sym.to_string(), params))
            }),
            _ => None,
        }
    })?;
    let name_of = |pattern: &Pat| match pattern {
        Pat::Ident(name) => Some(name.id.sym.trim_start_matches('_').to_ascii_lowercase()),
        _ => None,
    };
    let [first, second] = [params.first()?, params.get(1)?];
    let is_event = |name: &str| matches!(name, "event" | "events" | "evt" | "ev");
    let is_metadata = |name: &str| matches!(name, "metadata" | "meta");
    let swapped = name_of(first).is_some_and(|name| is_metadata(&name))
        && name_of(second).is_none_or(|name| is_event(&name))
        || name_of(second).is_some_and(|name| is_event(&name)) && name_of(first).is_none_or(|name| is_metadata(&name));
    let event = if function == "transformBatch" { "events" } else { "event" };
    swapped.then(|| Fault {
        range: range(first.span()).start..range(second.span()).end,
        rule: "swapped-parameters".to_owned(),
        message: format!(
            "the parameters of {function} are in the wrong order: the {event} come{} first",
            if event == "event" { "s" } else { "" }
        ),
        help: format!("write `{function}({event}, metadata)`"),
    })
}

#[cfg(test)]
mod tests;
