//! The declarations of a module that the fixes need.

use std::collections::{HashMap, HashSet};

use swc_common::Spanned;
use swc_ecma_ast::{
    ArrowExpr, BindingIdent, Class, ClassDecl, ClassExpr, Decl, Expr, FnDecl, FnExpr, Function, Ident, ImportDecl,
    Module, ModuleDecl, ModuleItem, Param, Pat, Prop, Stmt, ThisExpr, VarDecl,
};
use swc_ecma_visit::{Visit, VisitWith};

use super::offset;

/// A declaration at the top level.
#[derive(Clone, Debug)]
pub(super) struct Top {
    /// The position for `export `, if the statement declares only this name.
    pub export_at: Option<usize>,
    /// Whether it is an import.
    pub imported: bool,
    /// The name of the first parameter, if it is a function; empty if the function has none.
    pub function: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Scope {
    /// The declarations at the top level.
    pub top: HashMap<String, Top>,
    /// The number of declarations of each name in the whole module.
    declared: HashMap<String, usize>,
    /// The names that are read somewhere in the module.
    read: HashSet<String>,
}

impl Scope {
    pub fn of(module: &Module) -> Self {
        let mut scope = Scope::default();
        module.visit_with(&mut Declarations(&mut scope.declared));
        module.visit_with(&mut ReadNames(&mut scope.read));
        for item in &module.body {
            match item {
                ModuleItem::Stmt(Stmt::Decl(declaration)) => scope.at_top(declaration),
                ModuleItem::ModuleDecl(ModuleDecl::Import(import)) => {
                    for specifier in &import.specifiers {
                        let top = Top { export_at: None, imported: true, function: None };
                        scope.top.insert(specifier.local().sym.to_string(), top);
                    }
                }
                _ => {}
            }
        }
        scope
    }

    fn at_top(&mut self, declaration: &Decl) {
        let export_at = Some(offset(declaration.span().lo));
        match declaration {
            Decl::Fn(function) => {
                let function_top = Top { export_at, imported: false, function: Some(first_param(&function.function)) };
                self.top.insert(function.ident.sym.to_string(), function_top);
            }
            Decl::Class(class) => {
                self.top.insert(class.ident.sym.to_string(), Top { export_at, imported: false, function: None });
            }
            Decl::Var(variables) => self.variables(variables, export_at),
            _ => {}
        }
    }

    fn variables(&mut self, variables: &VarDecl, export_at: Option<usize>) {
        let mut names = HashMap::new();
        variables.visit_with(&mut PatternsOnly(&mut names));
        let export_at = export_at.filter(|_| names.len() == 1);
        for name in names.into_keys() {
            self.top.insert(name, Top { export_at, imported: false, function: None });
        }
        for one in &variables.decls {
            if let (Pat::Ident(name), Some(value)) = (&one.name, one.init.as_deref()) {
                let top = Top { export_at, imported: false, function: param_of(value) };
                self.top.insert(name.id.sym.to_string(), top);
            }
        }
    }

    /// Returns whether a top-level declaration of this name would be the only one and would not hide a global that the
    /// module reads. `own` is a function's own name, which is no conflict.
    pub fn is_free(&self, name: &str, own: Option<&Ident>) -> bool {
        let own = usize::from(own.is_some_and(|own| &*own.sym == name));
        let hides = own == 0 && self.read.contains(name);
        self.declared.get(name).copied().unwrap_or_default() <= own && !hides && is_name(name)
    }

    /// Returns whether every use of a top-level name refers to that declaration.
    pub fn is_single(&self, name: &str) -> bool {
        self.declared.get(name) == Some(&1)
    }
}

/// Returns whether `const` can declare this name.
fn is_name(name: &str) -> bool {
    const RESERVED: &str = " arguments await break case catch class const continue debugger default delete do else enum eval \
        export extends false finally for function if implements import in instanceof interface let new null package private \
        protected public return static super switch this throw true try typeof undefined var void while with yield ";
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_alphabetic() || matches!(first, '_' | '$'))
        && chars.all(|char| char.is_alphanumeric() || matches!(char, '_' | '$'))
        && !RESERVED.contains(&format!(" {name} "))
}

/// Returns the name of a function's first parameter, empty if it has none; `None` if the value is not a function.
pub(super) fn param_of(value: &Expr) -> Option<String> {
    match value {
        Expr::Fn(function) => Some(first_param(&function.function)),
        Expr::Arrow(arrow) => Some(arrow.params.first().map(name_of).unwrap_or_default()),
        _ => None,
    }
}

pub(super) fn first_param(function: &Function) -> String {
    function.params.first().map(|param: &Param| name_of(&param.pat)).unwrap_or_default()
}

fn name_of(pattern: &Pat) -> String {
    match pattern {
        Pat::Ident(name) => name.id.sym.to_string(),
        _ => String::new(),
    }
}

struct ReadNames<'a>(&'a mut HashSet<String>);

impl Visit for ReadNames<'_> {
    fn visit_expr(&mut self, expression: &Expr) {
        if let Expr::Ident(name) = expression {
            self.0.insert(name.sym.to_string());
        }
        expression.visit_children_with(self);
    }

    fn visit_prop(&mut self, property: &Prop) {
        if let Prop::Shorthand(name) = property {
            self.0.insert(name.sym.to_string());
        }
        property.visit_children_with(self);
    }
}

struct Declarations<'a>(&'a mut HashMap<String, usize>);

impl Declarations<'_> {
    fn add(&mut self, name: &Ident) {
        *self.0.entry(name.sym.to_string()).or_default() += 1;
    }
}

impl Visit for Declarations<'_> {
    fn visit_binding_ident(&mut self, name: &BindingIdent) {
        self.add(&name.id);
    }

    fn visit_fn_decl(&mut self, function: &FnDecl) {
        self.add(&function.ident);
        function.function.visit_with(self);
    }

    fn visit_fn_expr(&mut self, function: &FnExpr) {
        function.ident.iter().for_each(|name| self.add(name));
        function.function.visit_with(self);
    }

    fn visit_class_decl(&mut self, class: &ClassDecl) {
        self.add(&class.ident);
        class.class.visit_with(self);
    }

    fn visit_class_expr(&mut self, class: &ClassExpr) {
        class.ident.iter().for_each(|name| self.add(name));
        class.class.visit_with(self);
    }

    fn visit_import_decl(&mut self, import: &ImportDecl) {
        import.specifiers.iter().for_each(|specifier| self.add(specifier.local()));
    }
}

/// Collects the names that a declaration's patterns bind, but not names inside its values.
struct PatternsOnly<'a>(&'a mut HashMap<String, usize>);

impl Visit for PatternsOnly<'_> {
    fn visit_binding_ident(&mut self, name: &BindingIdent) {
        self.0.insert(name.id.sym.to_string(), 1);
    }

    fn visit_expr(&mut self, _: &Expr) {}
}

/// Returns whether a value uses `this` outside of nested functions. As a property of an object, its
/// `this` is that object.
pub(super) fn uses_this(value: &Expr) -> bool {
    let mut this = This { depth: 0, found: false };
    value.visit_with(&mut this);
    this.found
}

/// Returns whether the code of a method uses `this` or `super`.
pub(super) fn method_uses_this(function: &Function) -> bool {
    let mut this = This { depth: 0, found: false };
    function.visit_with(&mut this);
    this.found
}

/// Looks for `this` in the outermost function and its arrow functions.
struct This {
    depth: usize,
    found: bool,
}

impl Visit for This {
    fn visit_this_expr(&mut self, _: &ThisExpr) {
        self.found = true;
    }

    fn visit_super(&mut self, _: &swc_ecma_ast::Super) {
        self.found = true;
    }

    fn visit_arrow_expr(&mut self, arrow: &ArrowExpr) {
        arrow.visit_children_with(self);
    }

    fn visit_function(&mut self, function: &Function) {
        if self.depth == 0 {
            self.depth += 1;
            function.visit_children_with(self);
            self.depth -= 1;
        }
    }

    fn visit_class(&mut self, _: &Class) {}
}
