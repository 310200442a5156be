//! Finds code in the event function that the sandbox always rejects: code from strings, `import(…)`, changes of
//! built-ins, and features that strict mode does not have.
//!
//! Only the event function and the top-level functions that it mentions are checked: a bundle may contain code that is
//! never called, and built-ins may be changed while a module loads. Code that depends on a matching condition is
//! skipped, and so is code in a `try` with a `catch`.

use std::collections::{HashMap, HashSet};

use swc_common::{Span, Spanned};
use swc_ecma_ast::{
    AssignExpr, AssignTarget, BinExpr, BinaryOp, CallExpr, Callee, CatchClause, Class, CondExpr, Decl, ExportSpecifier,
    Expr, ExprOrSpread, Ident, IfStmt, Lit, MemberExpr, MemberProp, Module, ModuleDecl, ModuleExportName, ModuleItem,
    NewExpr, Pat, SimpleAssignTarget, Stmt, TryStmt, UpdateExpr,
};
use swc_ecma_visit::{Visit, VisitWith};

use sluicegate_engine::{GLOBALS, help_for_exception};

use super::faults::{Fault, range};
use super::globals::truth;

/// Globals that are not objects, and built-ins with properties that can be set.
const CHANGEABLE: [&str; 7] = ["globalThis", "global", "RegExp", "Iterator", "undefined", "NaN", "Infinity"];

/// Returns the faults of this kind in a module. `declares` tells whether the module declares a name itself.
pub(super) fn of(module: &Module, declares: impl Fn(&str) -> bool) -> Vec<Fault> {
    let mut walk = Walk::default();
    let mut entries: Vec<String> = ["transformEvent", "transformBatch"].map(str::to_owned).to_vec();
    for item in &module.body {
        match item {
            ModuleItem::Stmt(Stmt::Decl(declaration)) => walk.at_top(declaration),
            ModuleItem::ModuleDecl(ModuleDecl::ExportDecl(export)) => walk.at_top(&export.decl),
            ModuleItem::ModuleDecl(ModuleDecl::ExportNamed(export)) if export.src.is_none() => {
                entries.extend(export.specifiers.iter().filter_map(|specifier| match specifier {
                    ExportSpecifier::Named(named) => match (&named.orig, &named.exported) {
                        (ModuleExportName::Ident(local), Some(ModuleExportName::Ident(name)))
                            if ["transformEvent", "transformBatch"].contains(&&*name.sym) =>
                        {
                            Some(local.sym.to_string())
                        }
                        _ => None,
                    },
                    _ => None,
                }));
            }
            _ => {}
        }
    }
    let mut reached = HashSet::new();
    while let Some(name) = entries.pop() {
        if let Some(mentioned) = walk.mentioned.get(&name)
            && reached.insert(name)
        {
            entries.extend(mentioned.iter().cloned());
        }
    }
    let candidates = walk.candidates.into_iter();
    let certain = candidates.filter(|one| reached.contains(&one.function) && !declares(&one.subject));
    certain.map(|one| one.fault).collect()
}

struct Candidate {
    /// The top-level function that contains it.
    function: String,
    /// The name that must have its usual meaning.
    subject: String,
    fault: Fault,
}

#[derive(Default)]
struct Walk {
    /// The top-level function that is being visited.
    function: String,
    /// The names that each top-level function mentions.
    mentioned: HashMap<String, HashSet<String>>,
    candidates: Vec<Candidate>,
    /// The names in the enclosing conditions.
    asked: Vec<String>,
    /// The number of enclosing blocks that catch errors or may not run.
    harmless: usize,
}

impl Walk {
    fn at_top(&mut self, declaration: &Decl) {
        match declaration {
            Decl::Fn(function) => self.function(&function.ident, &*function.function),
            Decl::Var(variables) => {
                for one in &variables.decls {
                    if let (Pat::Ident(name), Some(value)) = (&one.name, one.init.as_deref())
                        && (value.is_arrow() || value.is_fn_expr())
                    {
                        self.function(&name.id, value);
                    }
                }
            }
            _ => {}
        }
    }

    fn function(&mut self, name: &Ident, code: &impl VisitWith<Self>) {
        self.function = name.sym.to_string();
        self.mentioned.entry(self.function.clone()).or_default();
        code.visit_with(self);
    }

    fn found(&mut self, span: Span, subject: &str, rule: &str, message: String, help: Option<String>) {
        if self.harmless > 0 || self.asked.iter().any(|asked| asked == subject) {
            return;
        }
        let fault = Fault { range: range(span), rule: rule.to_owned(), message, help: help.unwrap_or_default() };
        self.candidates.push(Candidate { function: self.function.clone(), subject: subject.to_owned(), fault });
    }

    /// Visits code that runs only if the test has the result `when`.
    fn visit_under(&mut self, test: &Expr, when: bool, code: &impl VisitWith<Self>) {
        let mut names = Names(Vec::new());
        test.visit_with(&mut names);
        let before = self.asked.len();
        self.asked.append(&mut names.0);
        self.visit_if_harmless(truth(test) == Some(!when), code);
        self.asked.truncate(before);
    }

    fn visit_if_harmless(&mut self, harmless: bool, code: &impl VisitWith<Self>) {
        self.harmless += usize::from(harmless);
        code.visit_with(self);
        self.harmless -= usize::from(harmless);
    }

    fn evaluates(&mut self, span: Span, name: &str) {
        let message = format!("{name} can only fail here: code cannot be made of text");
        self.found(span, name, "code-from-text", message, help_for_exception(Some("EvalError"), ""));
    }

    fn changes(&mut self, span: Span, object: &str) {
        let message = format!("{object} can't be changed here: built-ins are frozen while events are processed");
        let help = "write a function of your own instead".to_owned();
        let subject = object.split('.').next().unwrap_or(object).to_owned();
        self.found(span, &subject, "frozen-built-in", message, Some(help));
    }

    fn assigned(&mut self, member: &MemberExpr) {
        // The code may set these, see docs/security.md.
        let may_be_set = matches!(&member.prop, MemberProp::Ident(name) if ["stackTraceLimit", "prepareStackTrace"].contains(&&*name.sym));
        if let Some(object) = built_in(&member.obj).filter(|object| !(may_be_set && object == "Error")) {
            self.changes(member.span, &object);
        }
    }
}

/// Recognizes `Array` or `Array.prototype` and similar expressions.
fn built_in(object: &Expr) -> Option<String> {
    let is_object = |name: &str| GLOBALS.split_whitespace().any(|known| known == name) && !CHANGEABLE.contains(&name);
    match object {
        Expr::Ident(name) => is_object(&name.sym).then(|| name.sym.to_string()),
        Expr::Member(MemberExpr { obj, prop: MemberProp::Ident(property), .. }) if &*property.sym == "prototype" => {
            let name = obj.as_ident().filter(|name| is_object(&name.sym) || &*name.sym == "RegExp")?;
            Some(format!("{}.prototype", name.sym))
        }
        _ => None,
    }
}

/// Returns whether the argument of `Function` is one of the known strings for which it returns the global object: see
/// js/runtime/built_ins.js.
fn asks_for_global(arguments: &[ExprOrSpread]) -> bool {
    let [ExprOrSpread { spread: None, expr }] = arguments else { return false };
    let Expr::Lit(Lit::Str(text)) = &**expr else { return false };
    let text = text.value.as_str().unwrap_or_default().trim();
    let text = text.strip_suffix(';').unwrap_or(text).trim();
    ["return this", "return(this)", "return (this)"].contains(&text)
}

/// Returns whether no statement after this one runs.
fn leaves(statement: &Stmt) -> bool {
    match statement {
        Stmt::Return(_) | Stmt::Throw(_) | Stmt::Continue(_) | Stmt::Break(_) => true,
        Stmt::Block(block) => block.stmts.last().is_some_and(leaves),
        _ => false,
    }
}

/// Returns whether a value is certainly a string.
fn is_text(value: &Expr) -> bool {
    match value {
        Expr::Lit(Lit::Str(_)) | Expr::Tpl(_) => true,
        Expr::Paren(inner) => is_text(&inner.expr),
        Expr::Bin(bin) => bin.op == BinaryOp::Add && (is_text(&bin.left) || is_text(&bin.right)),
        _ => false,
    }
}

struct Names(Vec<String>);

impl Visit for Names {
    fn visit_ident(&mut self, name: &Ident) {
        self.0.push(name.sym.to_string());
    }
}

impl Visit for Walk {
    fn visit_ident(&mut self, name: &Ident) {
        self.mentioned.entry(self.function.clone()).or_default().insert(name.sym.to_string());
    }

    fn visit_call_expr(&mut self, call: &CallExpr) {
        match &call.callee {
            Callee::Import(_) => {
                let message = "import(…) can only fail here: libraries are loaded before the first event".to_owned();
                let help = help_for_exception(Some("TypeError"), "Dynamic import is not available");
                self.found(call.span, "import", "dynamic-import", message, help);
            }
            Callee::Expr(callee) => match &**callee {
                Expr::Ident(name) if &*name.sym == "Function" && !asks_for_global(&call.args) => {
                    self.evaluates(call.span, "Function");
                }
                Expr::Ident(name) if &*name.sym == "eval" => {
                    let text = |argument: &ExprOrSpread| argument.spread.is_none() && is_text(&argument.expr);
                    if call.args.first().is_some_and(text) {
                        self.evaluates(call.span, "eval");
                    }
                }
                Expr::Member(member) => self.define(call, member),
                _ => {}
            },
            Callee::Super(_) => {}
        }
        call.visit_children_with(self);
    }

    fn visit_new_expr(&mut self, new: &NewExpr) {
        let arguments = new.args.as_deref().unwrap_or_default();
        if new.callee.as_ident().is_some_and(|name| &*name.sym == "Function") && !asks_for_global(arguments) {
            self.evaluates(new.span, "Function");
        }
        new.visit_children_with(self);
    }

    fn visit_member_expr(&mut self, member: &MemberExpr) {
        let is_callee = matches!(&member.prop, MemberProp::Ident(name) if &*name.sym == "callee");
        if is_callee && member.obj.as_ident().is_some_and(|name| &*name.sym == "arguments") {
            let message = "arguments.callee can only fail: an ES module is strict code".to_owned();
            let help = "give the function a name, and write that".to_owned();
            self.found(member.span, "arguments", "strict-code", message, Some(help));
        }
        member.visit_children_with(self);
    }

    fn visit_assign_expr(&mut self, assignment: &AssignExpr) {
        if let AssignTarget::Simple(SimpleAssignTarget::Member(member)) = &assignment.left {
            let before = self.asked.len();
            // `Array.prototype.at ??= …` only assigns a missing property.
            if assignment.op.may_short_circuit() {
                self.asked.extend(built_in(&member.obj).and_then(|object| Some(object.split('.').next()?.to_owned())));
            }
            self.assigned(member);
            self.asked.truncate(before);
        }
        assignment.visit_children_with(self);
    }

    fn visit_update_expr(&mut self, update: &UpdateExpr) {
        if let Expr::Member(member) = &*update.arg {
            self.assigned(member);
        }
        update.visit_children_with(self);
    }

    fn visit_stmts(&mut self, statements: &[Stmt]) {
        let before = self.asked.len();
        for statement in statements {
            statement.visit_with(self);
            // `if (Array.prototype.last) return;` protects the statements after it.
            if let Stmt::If(one) = statement
                && leaves(&one.cons)
            {
                let mut names = Names(Vec::new());
                one.test.visit_with(&mut names);
                self.asked.append(&mut names.0);
            }
        }
        self.asked.truncate(before);
    }

    fn visit_if_stmt(&mut self, one: &IfStmt) {
        one.test.visit_with(self);
        self.visit_under(&one.test, true, &one.cons);
        self.visit_under(&one.test, false, &one.alt);
    }

    fn visit_cond_expr(&mut self, one: &CondExpr) {
        one.test.visit_with(self);
        self.visit_under(&one.test, true, &one.cons);
        self.visit_under(&one.test, false, &one.alt);
    }

    fn visit_bin_expr(&mut self, one: &BinExpr) {
        one.left.visit_with(self);
        match one.op {
            BinaryOp::LogicalAnd => self.visit_under(&one.left, true, &one.right),
            BinaryOp::LogicalOr | BinaryOp::NullishCoalescing => self.visit_under(&one.left, false, &one.right),
            _ => one.right.visit_with(self),
        }
    }

    fn visit_try_stmt(&mut self, statement: &TryStmt) {
        self.visit_if_harmless(statement.handler.is_some(), &statement.block);
        statement.handler.visit_with(self);
        statement.finalizer.visit_with(self);
    }

    fn visit_catch_clause(&mut self, clause: &CatchClause) {
        // The clause may never run.
        self.visit_if_harmless(true, &clause.body);
    }

    fn visit_class(&mut self, class: &Class) {
        // The methods may never be called.
        self.harmless += 1;
        class.visit_children_with(self);
        self.harmless -= 1;
    }
}

impl Walk {
    /// Handles `Object.defineProperty(Array.prototype, …)` and `Object.assign(Array.prototype, …)`.
    fn define(&mut self, call: &CallExpr, callee: &MemberExpr) {
        let MemberProp::Ident(function) = &callee.prop else { return };
        let of_object = callee.obj.as_ident().is_some_and(|name| &*name.sym == "Object");
        let Some((target, others)) = call.args.split_first().filter(|_| of_object) else { return };
        let changes = match &*function.sym {
            "defineProperty" => others.len() == 2,
            "assign" | "defineProperties" => {
                others.iter().any(|other| other.expr.as_object().is_some_and(|object| !object.props.is_empty()))
            }
            _ => false,
        };
        if let Some(object) = built_in(&target.expr).filter(|_| changes) {
            self.changes(target.expr.span(), &object);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::names;

    /// Returns the faults as `rule: text`.
    fn found(code: &str) -> String {
        let mut faults = names::of(code).unwrap().faults;
        faults.sort_by_key(|fault| fault.range.start);
        let faults = faults.into_iter().map(|fault| format!("{}: {}", fault.rule, &code[fault.range]));
        faults.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_is_always_refused_is_found() {
        for (body, expected) in [
            ("eval('1')", "code-from-text: eval('1')"),
            ("eval(`${e.a}` + 1)", "code-from-text: eval(`${e.a}` + 1)"),
            ("new Function('a', 'return a')", "code-from-text: new Function('a', 'return a')"),
            ("if (e.a) Function('return that')()", "code-from-text: Function('return that')"),
            ("if (e.a) return e; Array.prototype.last = 1", "frozen-built-in: Array.prototype.last"),
            ("Error.prototype.name = 'x'", "frozen-built-in: Error.prototype.name"),
            ("const m = import('hash')", "dynamic-import: import('hash')"),
            ("return arguments.callee", "strict-code: arguments.callee"),
            ("Array.prototype.last = 1", "frozen-built-in: Array.prototype.last"),
            ("Math.tau = 6.28", "frozen-built-in: Math.tau"),
            ("Object.defineProperty(String.prototype, 'a', {})", "frozen-built-in: String.prototype"),
            ("Object.assign(Math, { tau: 6.28 })", "frozen-built-in: Math"),
            ("[1].map(() => { Array.prototype.last = 1; })", "frozen-built-in: Array.prototype.last"),
            ("try { eval('1') } finally { e.a = 1 }", "code-from-text: eval('1')"),
        ] {
            assert_eq!(found(&format!("export function transformEvent(e) {{ {body}; }}")), expected, "{body}");
        }
        let helper = "const help = () => eval('1'); const tr = (e) => help(e); export { tr as transformEvent };";
        assert_eq!(found(helper), "code-from-text: eval('1')");
    }

    #[test]
    fn what_may_not_run_is_not_found() {
        for body in [
            "try { eval('1') } catch { e.a = 1 }",
            "try { e.a = 1 } catch { Function('return this')() }",
            "if (!Array.prototype.last) Array.prototype.last = 1",
            "Array.prototype.at ??= 1",
            "typeof globalThis === 'object' ? globalThis : Function('return this')()",
            "const root = globalThis || Function('return this')()",
            "eval(e.text); eval(1)",
            "const root = Function('return this;')() || new Function(' return (this) ')()",
            "Error.stackTraceLimit = 5; Error.prepareStackTrace = undefined",
            "if (Array.prototype.last) return e; Array.prototype.last = 1",
            "if (!e.a || Array.prototype.last) { return e; } Array.prototype.last = 1",
            "Object.assign({}, Math); Object.keys(Math); Math.round(1.5)",
            "globalThis.cache = 1; global.x = 1; e.prototype.x = 1",
            "class A { m() { eval('1') } }",
            "const Function = 1; Function('x')",
        ] {
            let found = found(&format!("export function transformEvent(e) {{ {body}; }}"));
            assert!(!["text", "built-in", "strict"].iter().any(|rule| found.contains(rule)), "{body}: {found}");
        }
        for code in [
            "Array.prototype.last = 1; export const transformEvent = (e) => e;",
            "function patch() { Array.prototype.last = 1; } patch(); export const transformEvent = (e) => e;",
            "function template() { return Function('x'); } export const transformEvent = (e) => e;",
        ] {
            assert_eq!(found(code), "", "{code}");
        }
    }
}
