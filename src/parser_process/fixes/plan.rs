//! Decides which ranges of a module are replaced, and with which text.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use swc_common::Spanned;
use swc_ecma_ast::{
    AssignExpr, Decl, DefaultDecl, ExportDefaultDecl, Expr, Ident, Module, ModuleDecl, ModuleItem, ObjectLit,
    ObjectPatProp, Pat, Prop, PropName, PropOrSpread, Stmt, VarDecl, VarDeclKind,
};
use swc_ecma_visit::VisitWith;

use super::common_js::{Target, is_undefined, marks_module, required, required_member, targets};
use super::references::{Assigned, Reads};
use super::scope::{Scope, first_param, method_uses_this, param_of, uses_this};
use super::{FUNCTIONS, Fix, is_function, offset, range};

/// The changes of a module.
pub(super) struct Plan<'a> {
    code: &'a str,
    scope: Scope,
    /// The number of assignments of each name outside of its declaration. Includes `exports.name`, by that text.
    assigned: HashMap<String, usize>,
    /// The names that the result exports.
    exported: BTreeSet<String>,
    /// The name in the result for each `exports.name`.
    called: HashMap<String, String>,
    pub fixes: Vec<Fix>,
}

impl<'a> Plan<'a> {
    /// Returns the fixes of a module. If it already exports a function, only `require` calls are replaced.
    pub fn of(code: &'a str, module: &Module, exports: bool) -> Self {
        let mut assigned = Assigned::default();
        module.visit_with(&mut assigned);
        let mut plan = Plan {
            code,
            scope: Scope::of(module),
            assigned: assigned.0,
            exported: BTreeSet::new(),
            called: HashMap::new(),
            fixes: Vec::new(),
        };
        for item in &module.body {
            if let ModuleItem::Stmt(Stmt::Decl(Decl::Var(variables))) = item {
                plan.require(variables);
            }
        }
        if exports {
            return plan;
        }
        module.body.iter().for_each(|item| plan.item(item));
        plan.forgotten();
        if !plan.exported.iter().any(|name| is_function(name)) {
            plan.fixes.clear();
            return plan;
        }
        let mut reads = Reads { called: &plan.called, found: Vec::new() };
        module.visit_with(&mut reads);
        for (range, name) in reads.found {
            if plan.fixes.iter().all(|fix| range.end <= fix.range.start || fix.range.end <= range.start) {
                plan.push(range, name);
            }
        }
        plan
    }

    fn push(&mut self, range: Range<usize>, text: impl Into<String>) {
        self.fixes.push(Fix { range, text: text.into() });
    }

    fn item(&mut self, item: &ModuleItem) {
        match item {
            ModuleItem::ModuleDecl(ModuleDecl::ExportDefaultDecl(export)) => self.default_function(export),
            ModuleItem::ModuleDecl(ModuleDecl::ExportDefaultExpr(export)) => {
                let is_other = export.expr.as_object().is_some_and(|object| {
                    !object.props.iter().any(|property| name_of(property).is_some_and(|name| is_function(&name)))
                });
                if !is_other {
                    self.all(&export.expr, range(export.span));
                }
            }
            ModuleItem::Stmt(Stmt::Expr(statement)) => match &*statement.expr {
                Expr::Assign(assignment) => self.assignment(assignment, range(statement.span)),
                Expr::Call(call) if marks_module(call) => self.push(range(statement.span), ""),
                _ => {}
            },
            _ => {}
        }
    }

    /// Handles `const { name } = require('library')`.
    fn require(&mut self, variables: &VarDecl) {
        let [one] = &variables.decls[..] else { return };
        let Some(value) = one.init.as_deref() else { return };
        let constant = |name: &Ident| variables.kind == VarDeclKind::Const || !self.assigned.contains_key(&*name.sym);
        let names = match (&one.name, required(value), required_member(value)) {
            (Pat::Ident(name), Some(library), _) if constant(&name.id) => {
                Some((format!("* as {}", name.id.sym), library))
            }
            (Pat::Ident(name), _, Some((library, export))) if constant(&name.id) => {
                Some((format!("{{ {} }}", renamed(&export, &name.id.sym)), library))
            }
            (Pat::Object(object), Some(library), _) => {
                let names = object.props.iter().map(|property| match property {
                    ObjectPatProp::Assign(name) if name.value.is_none() && constant(&name.key.id) => {
                        Some(name.key.id.sym.to_string())
                    }
                    ObjectPatProp::KeyValue(pair) => match (&pair.key, &*pair.value) {
                        (PropName::Ident(key), Pat::Ident(name)) if constant(&name.id) => {
                            Some(renamed(&key.sym, &name.id.sym))
                        }
                        _ => None,
                    },
                    _ => None,
                });
                let names = names.collect::<Option<Vec<String>>>().filter(|names| !names.is_empty());
                names.map(|names| (format!("{{ {} }}", names.join(", ")), library))
            }
            _ => None,
        };
        if let Some((names, library)) = names {
            let library = &self.code[range(library.span)];
            let text = format!("import {names} from {library};");
            self.push(range(variables.span), text);
        }
    }

    /// Handles `export default function …`.
    fn default_function(&mut self, export: &ExportDefaultDecl) {
        let DefaultDecl::Fn(function) = &export.decl else { return };
        let start = offset(function.function.span.lo);
        let before = offset(export.span.lo)..start;
        match &function.ident {
            Some(name) if is_function(&name.sym) => {
                self.push(before, "export ");
                self.exported.insert(name.sym.to_string());
            }
            Some(name) => {
                if let Some(wanted) = self.wanted(&first_param(&function.function)) {
                    self.push(before, "");
                    let end = offset(export.span.hi);
                    self.push(end..end, format!("\nexport {{ {} as {wanted} }};", name.sym));
                    self.exported.insert(wanted.to_owned());
                }
            }
            None => {
                let open = self.code[start..].find('(').map(|at| start + at);
                if let (Some(wanted), Some(open)) = (self.wanted(&first_param(&function.function)), open) {
                    let blanks = self.code[start..open].bytes().rev().take_while(|byte| *byte == b' ').count();
                    self.push(before, "export ");
                    self.push(open - blanks..open, format!(" {wanted}"));
                    self.exported.insert(wanted.to_owned());
                }
            }
        }
    }

    /// Returns the export name for a function with another name; `None` if a function with that name exists.
    fn wanted(&self, param: &str) -> Option<&'static str> {
        let taken = FUNCTIONS.iter().any(|name| self.scope.top.contains_key(*name) || self.exported.contains(*name));
        let wanted = FUNCTIONS[usize::from(param == "events")];
        (!taken && self.scope.is_free(wanted, None)).then_some(wanted)
    }

    /// Handles an assignment to `exports` or one of its properties.
    fn assignment(&mut self, assignment: &AssignExpr, statement: Range<usize>) {
        let Some((targets, value)) = targets(assignment) else { return };
        if is_undefined(value) {
            return self.push(statement, "");
        }
        if targets.contains(&Target::All) {
            if targets
                .iter()
                .all(|target| matches!(target, Target::All) || *target == Target::One("default".to_owned()))
            {
                self.all(value, statement);
            }
            return;
        }
        let [Target::One(name)] = &targets[..] else { return };
        if name == "default" {
            self.all(value, statement)
        } else if self.assigned.get(&format!("exports.{name}")).is_some_and(|times| *times > 1) {
            // Assigned several times, like a variable. An export cannot be assigned from outside.
        } else if let Expr::Ident(local) = value {
            // `exports.name` is a copy of the variable, so its reads are only replaced if the variable never changes.
            let is_constant = !self.assigned.contains_key(&*local.sym);
            if self.export(&local.sym, name, statement) && is_constant && self.scope.is_single(&local.sym) {
                self.called.insert(name.clone(), local.sym.to_string());
            }
        } else if let Some(prefix) = self.prefix(name, value) {
            let before = statement.start..offset(value.span().lo);
            let comments = comments(&self.code[before.clone()]);
            self.push(before, format!("{comments}{prefix}"));
            self.exported.insert(name.clone());
            self.called.insert(name.clone(), name.clone());
        }
    }

    /// Returns the text before a value that exports it under a name; `None` if it cannot be exported.
    fn prefix(&self, name: &str, value: &Expr) -> Option<String> {
        let own = match value {
            Expr::Fn(function) => function.ident.as_ref(),
            Expr::Class(class) => class.ident.as_ref(),
            _ => None,
        };
        if uses_this(value) || !self.scope.is_free(name, own) {
            return None;
        }
        match own {
            Some(own) if &*own.sym == name => Some("export ".to_owned()),
            _ => Some(format!("export const {name} = ")),
        }
    }

    /// Replaces a statement with the export of a top-level name. Returns `false` if the name is not declared.
    fn export(&mut self, local: &str, name: &str, statement: Range<usize>) -> bool {
        let Some(top) = self.scope.top.get(local) else { return false };
        if self.exported.contains(name) {
            self.push(statement, "");
            return true;
        }
        match top.export_at {
            Some(at) if local == name && is_function(name) => {
                self.push(at..at, "export ");
                self.push(statement, "");
            }
            _ => self.push(statement, format!("export {{ {} }};", renamed(local, name))),
        }
        self.exported.insert(name.to_owned());
        true
    }

    /// Handles `module.exports = …` and `export default …`.
    fn all(&mut self, value: &Expr, statement: Range<usize>) {
        match value {
            Expr::Ident(local) if is_function(&local.sym) => {
                self.export(&local.sym, &local.sym, statement);
            }
            Expr::Ident(local) => {
                let param = self.scope.top.get(&*local.sym).and_then(|top| top.function.clone());
                if let Some(wanted) = param.and_then(|param| self.wanted(&param)) {
                    self.export(&local.sym, wanted, statement);
                }
            }
            Expr::Object(object) => self.object(object, statement),
            Expr::Fn(_) | Expr::Arrow(_) if !uses_this(value) => self.function(value, statement),
            _ => {}
        }
    }

    /// Handles `module.exports = function …`.
    fn function(&mut self, value: &Expr, statement: Range<usize>) {
        let before = statement.start..offset(value.span().lo);
        let comments = comments(&self.code[before.clone()]);
        let own = match value {
            Expr::Fn(function) => function.ident.as_ref(),
            _ => None,
        };
        if let Some(own) = own.filter(|own| is_function(&own.sym)) {
            if self.scope.is_free(&own.sym, Some(own)) {
                self.push(before, format!("{comments}export "));
                self.exported.insert(own.sym.to_string());
            }
            return;
        }
        let Some(wanted) = param_of(value).and_then(|param| self.wanted(&param)) else { return };
        self.push(before, format!("{comments}export const {wanted} = "));
        self.exported.insert(wanted.to_owned());
    }

    /// Handles `module.exports = { … }`: replaces all of its properties or none.
    fn object(&mut self, object: &ObjectLit, statement: Range<usize>) {
        let mut names: Vec<(String, String)> = Vec::new();
        // The range of each value, the text before it, and its name.
        let mut values: Vec<(Range<usize>, String, String)> = Vec::new();
        for property in &object.props {
            let PropOrSpread::Prop(property) = property else { return };
            match &**property {
                Prop::Shorthand(name) => names.push((name.sym.to_string(), name.sym.to_string())),
                Prop::KeyValue(pair) => {
                    let Some(key) = key(&pair.key) else { return };
                    match &*pair.value {
                        Expr::Ident(local) => names.push((local.sym.to_string(), key)),
                        value => {
                            let Some(prefix) = self.prefix(&key, value) else { return };
                            values.push((range(value.span()), prefix, key));
                        }
                    }
                }
                Prop::Method(method) => {
                    let Some(key) = key(&method.key) else { return };
                    if method_uses_this(&method.function) || !self.scope.is_free(&key, None) {
                        return;
                    }
                    let after = offset(method.key.span().hi);
                    let Some(open) = self.code[after..].find('(') else { return };
                    let is_async = if method.function.is_async { "async " } else { "" };
                    let star = if method.function.is_generator { "*" } else { "" };
                    let end = offset(property.span().hi);
                    values.push((after + open..end, format!("export {is_async}function{star} {key}"), key));
                }
                _ => return,
            }
        }
        if names.iter().any(|(local, _)| !self.scope.top.contains_key(local)) {
            return;
        }
        names.retain(|(local, name)| {
            let at = self.scope.top[local].export_at.filter(|_| local == name && is_function(name));
            if let Some(at) = at.filter(|_| !self.exported.contains(name)) {
                self.push(at..at, "export ");
            }
            if self.scope.is_single(local) && !self.assigned.contains_key(local) {
                self.called.insert(name.clone(), local.clone());
            }
            self.exported.insert(name.clone()) && at.is_none()
        });
        let mut at = statement.start;
        let mut between = "";
        for (value, prefix, name) in values {
            let comments = comments(&self.code[at..value.start]);
            self.push(at..value.start, format!("{between}{comments}{prefix}"));
            between = if prefix.ends_with("= ") { ";\n" } else { "\n" };
            at = value.end;
            self.called.insert(name.clone(), name.clone());
            self.exported.insert(name);
        }
        let names: Vec<String> = names.iter().map(|(local, name)| renamed(local, name)).collect();
        let last = match &names[..] {
            [] if between == ";\n" => ";".to_owned(),
            [] => String::new(),
            names => format!("{between}export {{ {} }};", names.join(", ")),
        };
        let comments = comments(&self.code[at..statement.end]);
        let apart = if comments.is_empty() { "" } else { "\n" };
        self.push(at..statement.end, format!("{last}{apart}{}", comments.trim_end()));
    }

    /// Exports a function that is declared but not exported.
    fn forgotten(&mut self) {
        for name in FUNCTIONS {
            let Some(top) = self.scope.top.get(name).filter(|top| !top.imported && !self.exported.contains(name))
            else {
                continue;
            };
            match top.export_at {
                Some(at) => self.push(at..at, "export "),
                None => {
                    let end = self.code.trim_end().len();
                    self.push(end..end, format!("\nexport {{ {name} }};"));
                }
            }
            self.exported.insert(name.to_owned());
        }
    }
}

/// Returns `local as name`, or only the name if both are the same.
fn renamed(local: &str, name: &str) -> String {
    if local == name { name.to_owned() } else { format!("{local} as {name}") }
}

/// Returns the name of a property that may be one of the functions.
fn name_of(property: &PropOrSpread) -> Option<String> {
    match &**property.as_prop()? {
        Prop::Shorthand(name) => Some(name.sym.to_string()),
        Prop::KeyValue(pair) => key(&pair.key),
        Prop::Method(method) => key(&method.key),
        _ => None,
    }
}

fn key(name: &PropName) -> Option<String> {
    match name {
        PropName::Ident(name) => Some(name.sym.to_string()),
        PropName::Str(text) => text.value.as_str().map(str::to_owned),
        _ => None,
    }
}

/// Returns the comments in a text that otherwise contains only names and punctuation, each on its own line.
fn comments(text: &str) -> String {
    let mut found = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        let end =
            if rest[at..].starts_with("//") { rest[at..].find('\n') } else { rest[at..].find("*/").map(|end| end + 2) };
        let end = end.map_or(rest.len(), |end| at + end);
        found.push_str(&rest[at..end]);
        found.push('\n');
        rest = &rest[end..];
    }
    found
}
