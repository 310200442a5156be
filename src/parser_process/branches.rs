//! Finds the branches in code from its syntax tree. V8 counts how often a piece of code ran, but reports nothing about
//! an `else` that is not in the source; the syntax tree shows it.

use serde::{Deserialize, Serialize};
use swc_common::{BytePos, Spanned};
use swc_ecma_ast::{BinExpr, BinaryOp, CondExpr, IfStmt, SwitchStmt};
use swc_ecma_parser::{EsSyntax, Syntax};
use swc_ecma_visit::{Visit, VisitWith};

use super::imports::parse;

/// A branch in the code. Offsets are bytes of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Its start. The code there runs whichever path is taken.
    pub start: usize,
    /// The starts of the paths in the source.
    pub ways: Vec<usize>,
    /// Whether there is an implicit path: a missing `else`, or a left side that decides alone.
    pub implicit: bool,
}

/// Returns the branches of a module, in the order of the source: `if`, `? :`, `&&`, `||`, `??` and `switch`.
///
/// # Errors
/// When the code is not a module; the text contains the position.
pub(super) fn of(code: &str) -> Result<Vec<Branch>, String> {
    let module = parse(code, Syntax::Es(EsSyntax { import_attributes: true, ..EsSyntax::default() }))?;
    let mut found = Branches::default();
    module.visit_with(&mut found);
    found.0.sort_by_key(|branch| branch.start);
    Ok(found.0)
}

#[derive(Default)]
struct Branches(Vec<Branch>);

impl Branches {
    fn add(&mut self, start: BytePos, ways: impl IntoIterator<Item = BytePos>, implicit: bool) {
        // Positions of the map's only file start at 1.
        let offset = |at: BytePos| (at.0 as usize).saturating_sub(1);
        self.0.push(Branch { start: offset(start), ways: ways.into_iter().map(offset).collect(), implicit });
    }
}

impl Visit for Branches {
    fn visit_if_stmt(&mut self, one: &IfStmt) {
        let ways = [Some(one.cons.span_lo()), one.alt.as_ref().map(|alt| alt.span_lo())];
        self.add(one.test.span_lo(), ways.into_iter().flatten(), one.alt.is_none());
        one.visit_children_with(self);
    }

    fn visit_cond_expr(&mut self, one: &CondExpr) {
        self.add(one.test.span_lo(), [one.cons.span_lo(), one.alt.span_lo()], false);
        one.visit_children_with(self);
    }

    fn visit_bin_expr(&mut self, one: &BinExpr) {
        if matches!(one.op, BinaryOp::LogicalAnd | BinaryOp::LogicalOr | BinaryOp::NullishCoalescing) {
            self.add(one.left.span_lo(), [one.right.span_lo()], true);
        }
        one.visit_children_with(self);
    }

    fn visit_switch_stmt(&mut self, one: &SwitchStmt) {
        // Cases that share their code are one path.
        let ways = one.cases.iter().filter(|case| !case.cons.is_empty()).map(|case| case.cons[0].span_lo());
        self.add(one.discriminant.span_lo(), ways, false);
        one.visit_children_with(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_found_where_they_are_written() {
        let code = "const f = (a) => {\n  if (a) b();\n  if (a && c) { d } else e;\n  switch (a) { case 1: case 2: f(); break; default: g() }\n  return a ? b : c ?? d;\n};";
        let shown: Vec<(char, String, bool)> = of(code)
            .unwrap()
            .iter()
            .map(|branch| {
                let ways = branch.ways.iter().map(|at| code[*at..].chars().next().unwrap()).collect();
                (code[branch.start..].chars().next().unwrap(), ways, branch.implicit)
            })
            .collect();
        let one = |start, ways: &str, implicit| (start, ways.to_owned(), implicit);
        let wanted = [
            one('a', "b", true),
            one('a', "{e", false),
            one('a', "c", true),
            one('a', "fg", false),
            one('a', "bc", false),
            one('c', "d", true),
        ];
        assert_eq!(shown, wanted);
        assert!(of("if (").unwrap_err().starts_with("SyntaxError"));
    }
}
