//! Finds where a module assigns names, and where it reads its own exports.

use std::collections::HashMap;
use std::ops::Range;

use swc_ecma_ast::{AssignExpr, AssignTarget, Expr, Ident, MemberExpr, SimpleAssignTarget, UpdateExpr};
use swc_ecma_visit::{Visit, VisitWith};

use super::common_js::{exported, is_undefined};
use super::range;

/// Counts assignments.
#[derive(Default)]
pub(super) struct Assigned(pub HashMap<String, usize>);

impl Assigned {
    fn add(&mut self, name: String) {
        *self.0.entry(name).or_default() += 1;
    }

    fn target(&mut self, target: &SimpleAssignTarget) {
        match target {
            SimpleAssignTarget::Ident(name) => self.add(name.id.sym.to_string()),
            SimpleAssignTarget::Member(member) => self.member(member),
            _ => {}
        }
    }

    fn member(&mut self, member: &MemberExpr) {
        if let Some(name) = exported(member) {
            self.add(format!("exports.{name}"));
        }
    }
}

impl Visit for Assigned {
    fn visit_assign_expr(&mut self, assignment: &AssignExpr) {
        let mut value = &*assignment.right;
        while let Expr::Assign(inner) = value {
            value = &inner.right;
        }
        match &assignment.left {
            // Compilers assign `undefined` first.
            AssignTarget::Simple(_) if is_undefined(value) => {}
            AssignTarget::Simple(target) => self.target(target),
            AssignTarget::Pat(pattern) => {
                let mut names = HashMap::new();
                pattern.visit_with(&mut Names(&mut names));
                names.into_keys().for_each(|name| self.add(name));
            }
        }
        assignment.visit_children_with(self);
    }

    fn visit_update_expr(&mut self, update: &UpdateExpr) {
        match &*update.arg {
            Expr::Ident(name) => self.add(name.sym.to_string()),
            // Counts twice, so that the name never looks like a constant.
            Expr::Member(member) => (0..2).for_each(|_| self.member(member)),
            _ => {}
        }
        update.visit_children_with(self);
    }
}

/// Collects all names in a pattern.
struct Names<'a>(&'a mut HashMap<String, usize>);

impl Visit for Names<'_> {
    fn visit_ident(&mut self, name: &Ident) {
        self.0.insert(name.sym.to_string(), 1);
    }
}

/// The places that read `exports.name`, and the name to write there.
pub(super) struct Reads<'a> {
    pub called: &'a HashMap<String, String>,
    pub found: Vec<(Range<usize>, String)>,
}

impl Visit for Reads<'_> {
    fn visit_member_expr(&mut self, member: &MemberExpr) {
        match exported(member).and_then(|name| self.called.get(&name)) {
            Some(name) => self.found.push((range(member.span), name.clone())),
            None => member.visit_children_with(self),
        }
    }
}
