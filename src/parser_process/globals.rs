//! Finds the names that a module looks up in the global object, and the names that it defines there.

use std::collections::{BTreeSet, HashSet};

use swc_ecma_ast::{
    ArrowExpr, AssignExpr, AssignTarget, BinExpr, BinaryOp, BindingIdent, CallExpr, Callee, Expr, ExprOrSpread,
    Function, Ident, Lit, MemberExpr, MemberProp, Module, ObjectLit, Pat, Prop, PropName, PropOrSpread,
    SimpleAssignTarget, UnaryExpr, UnaryOp, VarDeclarator,
};
use swc_ecma_visit::{Visit, VisitWith};

/// The names of the global object. Both always exist.
const GLOBAL_OBJECT: [&str; 2] = ["globalThis", "global"];

#[derive(Default)]
pub(super) struct Globals {
    /// The names that the module looks up or defines.
    pub known: HashSet<String>,
    /// The names that the module defines.
    pub made: BTreeSet<String>,
    /// Whether the module defines names that are not known before it runs.
    pub makes_any: bool,
}

impl Globals {
    pub fn of(module: &Module) -> Self {
        let mut walk = Walk::default();
        module.visit_with(&mut walk);
        let Walk { mut globals, leaks, mut aliases, values, assigned, .. } = walk;
        // A variable may get the global object from another variable.
        loop {
            let before = aliases.len();
            let new = values.iter().filter(|(_, of)| of.iter().any(|name| aliases.contains(name)));
            let new: Vec<String> = new.map(|(name, _)| name.clone()).collect();
            aliases.extend(new);
            if aliases.len() == before {
                break;
            }
        }
        let made = assigned.into_iter().filter(|(object, _)| leaks || aliases.contains(object));
        globals.made.extend(made.map(|(_, name)| name));
        globals.known.extend(globals.made.iter().cloned());
        globals
    }

    fn make(&mut self, name: &str) {
        self.made.insert(name.to_owned());
    }
}

/// Returns whether a condition about the global object is always true or always false; `None` for any other condition.
pub(super) fn truth(test: &Expr) -> Option<bool> {
    match test {
        Expr::Paren(inner) => truth(&inner.expr),
        Expr::Ident(name) => GLOBAL_OBJECT.contains(&&*name.sym).then_some(true),
        Expr::Lit(Lit::Bool(value)) => Some(value.value),
        Expr::Unary(unary) if unary.op == UnaryOp::Bang => truth(&unary.arg).map(|truth| !truth),
        Expr::Bin(bin) => match bin.op {
            BinaryOp::LogicalAnd => match (truth(&bin.left), truth(&bin.right)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            BinaryOp::LogicalOr => match (truth(&bin.left), truth(&bin.right)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            BinaryOp::EqEq | BinaryOp::EqEqEq => is_type(bin),
            BinaryOp::NotEq | BinaryOp::NotEqEq => is_type(bin).map(|is| !is),
            _ => None,
        },
        _ => None,
    }
}

/// Returns whether `typeof globalThis === '…'` holds; `None` for any other comparison.
fn is_type(bin: &BinExpr) -> Option<bool> {
    let (asked, kind) = match (&*bin.left, &*bin.right) {
        (Expr::Unary(asked), Expr::Lit(Lit::Str(kind))) | (Expr::Lit(Lit::Str(kind)), Expr::Unary(asked)) => {
            (asked, kind)
        }
        _ => return None,
    };
    let of_global = matches!(&*asked.arg, Expr::Ident(name) if &*name.sym == "globalThis");
    (asked.op == UnaryOp::TypeOf && of_global).then(|| kind.value.as_str() == Some("object"))
}

#[derive(Default)]
struct Walk {
    globals: Globals,
    /// Whether the global object is used where it cannot be tracked, so that any variable may contain it.
    leaks: bool,
    /// The variables that may contain the global object.
    aliases: HashSet<String>,
    /// The variables, and the names in their values.
    values: Vec<(String, HashSet<String>)>,
    /// The properties assigned to variables: the variable and the property.
    assigned: BTreeSet<(String, String)>,
    /// The number of enclosing values of variables.
    held: usize,
}

impl Walk {
    /// Visits the value of a variable.
    fn value(&mut self, name: &Ident, value: &Expr) {
        let mut names = Names::default();
        value.visit_with(&mut names);
        if GLOBAL_OBJECT.iter().any(|name| names.0.contains(*name)) {
            self.aliases.insert(name.sym.to_string());
        }
        self.values.push((name.sym.to_string(), names.0));
        self.held += 1;
        value.visit_with(self);
        self.held -= 1;
    }

    /// Records `object.name = …` and similar assignments.
    fn assigned(&mut self, object: &Expr, name: &str) {
        if let Expr::Ident(object) = object {
            self.assigned.insert((object.sym.to_string(), name.to_owned()));
        }
    }

    /// Handles a function that is called where it is written: its parameters get the arguments. Returns `false` for
    /// any other callee.
    fn called_at_once(&mut self, callee: &Expr, arguments: &[ExprOrSpread]) -> bool {
        let params: Vec<&Pat> = match callee {
            Expr::Paren(inner) => return self.called_at_once(&inner.expr, arguments),
            Expr::Fn(function) => function.function.params.iter().map(|param| &param.pat).collect(),
            Expr::Arrow(arrow) => arrow.params.iter().collect(),
            _ => return false,
        };
        for (index, argument) in arguments.iter().enumerate() {
            match params.get(index) {
                Some(Pat::Ident(name)) => self.value(&name.id, &argument.expr),
                _ => argument.visit_with(self),
            }
        }
        true
    }
}

/// Collects the names in a value, except those in functions.
#[derive(Default)]
struct Names(HashSet<String>);

impl Visit for Names {
    fn visit_ident(&mut self, name: &Ident) {
        self.0.insert(name.sym.to_string());
    }

    fn visit_function(&mut self, _: &Function) {}

    fn visit_arrow_expr(&mut self, _: &ArrowExpr) {}

    fn visit_member_expr(&mut self, member: &MemberExpr) {
        // A property of the global object is another value.
        if !is_global_object(&member.obj) {
            member.visit_children_with(self);
        }
    }
}

fn is_global_object(expression: &Expr) -> bool {
    match expression {
        Expr::Ident(name) => GLOBAL_OBJECT.contains(&&*name.sym),
        Expr::Paren(inner) => is_global_object(&inner.expr),
        _ => false,
    }
}

fn text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Lit(Lit::Str(text)) => text.value.as_str(),
        _ => None,
    }
}

/// Returns the name of a property; `None` if it is only known when the code runs.
fn property(member: &MemberExpr) -> Option<&str> {
    match &member.prop {
        MemberProp::Ident(name) => Some(&name.sym),
        MemberProp::Computed(computed) => text(&computed.expr),
        MemberProp::PrivateName(_) => None,
    }
}

fn keys(object: &ObjectLit) -> impl Iterator<Item = Option<String>> {
    object.props.iter().map(|property| match property {
        PropOrSpread::Spread(_) => None,
        PropOrSpread::Prop(property) => {
            let key = match &**property {
                Prop::Shorthand(name) => return Some(name.sym.to_string()),
                Prop::KeyValue(pair) => &pair.key,
                Prop::Method(method) => &method.key,
                Prop::Getter(getter) => &getter.key,
                Prop::Setter(setter) => &setter.key,
                Prop::Assign(_) => return None,
            };
            match key {
                PropName::Ident(name) => Some(name.sym.to_string()),
                PropName::Str(text) => text.value.as_str().map(str::to_owned),
                _ => None,
            }
        }
    })
}

impl Visit for Walk {
    fn visit_ident(&mut self, ident: &Ident) {
        self.leaks |= self.held == 0 && GLOBAL_OBJECT.contains(&&*ident.sym);
    }

    fn visit_binding_ident(&mut self, _: &BindingIdent) {}

    fn visit_var_declarator(&mut self, one: &VarDeclarator) {
        match (&one.name, one.init.as_deref()) {
            (Pat::Ident(name), Some(value)) => self.value(&name.id, value),
            _ => one.visit_children_with(self),
        }
    }

    fn visit_function(&mut self, function: &Function) {
        let held = std::mem::take(&mut self.held);
        function.visit_children_with(self);
        self.held = held;
    }

    fn visit_arrow_expr(&mut self, arrow: &ArrowExpr) {
        let held = std::mem::take(&mut self.held);
        arrow.visit_children_with(self);
        self.held = held;
    }

    fn visit_unary_expr(&mut self, unary: &UnaryExpr) {
        match (unary.op, &*unary.arg) {
            (UnaryOp::TypeOf, Expr::Ident(ident)) => {
                self.globals.known.insert(ident.sym.to_string());
            }
            _ => unary.visit_children_with(self),
        }
    }

    fn visit_bin_expr(&mut self, bin: &BinExpr) {
        if bin.op == BinaryOp::In && is_global_object(&bin.right) {
            match text(&bin.left) {
                Some(name) => {
                    self.globals.known.insert(name.to_owned());
                }
                None => bin.left.visit_with(self),
            }
        } else {
            bin.visit_children_with(self);
        }
    }

    fn visit_member_expr(&mut self, member: &MemberExpr) {
        if !is_global_object(&member.obj) {
            return member.visit_children_with(self);
        }
        if let Some(name) = property(member) {
            self.globals.known.insert(name.to_owned());
        }
        member.prop.visit_with(self);
    }

    fn visit_assign_expr(&mut self, assignment: &AssignExpr) {
        match &assignment.left {
            AssignTarget::Simple(SimpleAssignTarget::Ident(name)) => return self.value(&name.id, &assignment.right),
            AssignTarget::Simple(SimpleAssignTarget::Member(member)) => match property(member) {
                Some(name) if is_global_object(&member.obj) => self.globals.make(name),
                Some(name) => self.assigned(&member.obj, name),
                None => self.globals.makes_any |= is_global_object(&member.obj),
            },
            _ => {}
        }
        assignment.visit_children_with(self);
    }

    fn visit_call_expr(&mut self, call: &CallExpr) {
        let of_object = match &call.callee {
            Callee::Expr(callee) => {
                matches!(&**callee, Expr::Member(member)
                    if matches!(&*member.obj, Expr::Ident(name) if ["Object", "Reflect"].contains(&&*name.sym)))
            }
            _ => false,
        };
        let Some((target, others)) = call.args.split_first().filter(|_| of_object) else {
            return match &call.callee {
                Callee::Expr(callee) if self.called_at_once(callee, &call.args) => callee.visit_with(self),
                _ => call.visit_children_with(self),
            };
        };
        let is_global = is_global_object(&target.expr);
        let mut names = Vec::new();
        for other in others {
            match &*other.expr {
                Expr::Object(object) => names.extend(keys(object)),
                value => names.extend(text(value).map(|name| Some(name.to_owned()))),
            }
        }
        let function = match &call.callee {
            Callee::Expr(callee) => callee.as_member().and_then(property).unwrap_or_default(),
            _ => "",
        };
        match function {
            "assign" | "defineProperties" if is_global => {
                let all_known = others.iter().all(|other| other.expr.is_object()) && names.iter().all(Option::is_some);
                self.globals.makes_any |= !all_known;
                names.iter().flatten().for_each(|name| self.globals.make(name));
            }
            "defineProperty" | "set" if is_global => match others.first().and_then(|name| text(&name.expr)) {
                Some(name) => self.globals.make(name),
                None => self.globals.makes_any = true,
            },
            "assign" | "defineProperty" | "defineProperties" | "set" => {
                names.iter().flatten().for_each(|name| self.assigned(&target.expr, name));
            }
            _ if is_global => self.globals.known.extend(names.into_iter().flatten()),
            _ => {}
        }
        if !is_global {
            target.visit_with(self);
        }
        others.visit_with(self);
    }
}
