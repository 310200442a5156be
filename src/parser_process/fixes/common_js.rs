//! Recognizes the forms of CommonJS: `module.exports`, `exports.name`, `require` and the code that compilers add.

use swc_ecma_ast::{
    AssignExpr, AssignOp, AssignTarget, CallExpr, Callee, Expr, Lit, MemberExpr, MemberProp, SimpleAssignTarget, Str,
    UnaryOp,
};

use sluicegate_engine::SHIPPED_LIBRARIES;

/// The target of an assignment to `exports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `module.exports`, or `exports` in a chain.
    All,
    /// `exports.name` or `module.exports.name`.
    One(String),
}

/// Returns the targets of `exports.a = exports.b = value`, and the value; `None` if it assigns to anything else.
pub(super) fn targets(assignment: &AssignExpr) -> Option<(Vec<Target>, &Expr)> {
    let mut targets = Vec::new();
    let mut next = assignment;
    loop {
        if next.op != AssignOp::Assign {
            return None;
        }
        let AssignTarget::Simple(target) = &next.left else { return None };
        targets.push(match target {
            SimpleAssignTarget::Ident(name) if &*name.id.sym == "exports" => Target::All,
            SimpleAssignTarget::Member(member) if is_module_exports(member) => Target::All,
            SimpleAssignTarget::Member(member) => Target::One(exported(member)?),
            _ => return None,
        });
        match &*next.right {
            Expr::Assign(inner) => next = inner,
            value => return Some((targets, value)),
        }
    }
}

/// Returns the name in `exports.name` and `module.exports.name`.
pub(super) fn exported(member: &MemberExpr) -> Option<String> {
    let of_exports = match &*member.obj {
        Expr::Ident(object) => &*object.sym == "exports",
        Expr::Member(object) => is_module_exports(object),
        _ => false,
    };
    property(member).filter(|_| of_exports)
}

fn is_module_exports(member: &MemberExpr) -> bool {
    matches!(&*member.obj, Expr::Ident(object) if &*object.sym == "module")
        && property(member).as_deref() == Some("exports")
}

fn property(member: &MemberExpr) -> Option<String> {
    match &member.prop {
        MemberProp::Ident(name) => Some(name.sym.to_string()),
        MemberProp::Computed(computed) => match &*computed.expr {
            Expr::Lit(Lit::Str(text)) => text.value.as_str().map(str::to_owned),
            _ => None,
        },
        MemberProp::PrivateName(_) => None,
    }
}

/// Returns whether the value is `undefined` or `void 0`, which compilers assign first.
pub(super) fn is_undefined(value: &Expr) -> bool {
    match value {
        Expr::Ident(name) => &*name.sym == "undefined",
        Expr::Unary(unary) => unary.op == UnaryOp::Void && matches!(&*unary.arg, Expr::Lit(_)),
        _ => false,
    }
}

/// Returns whether the call is `Object.defineProperty(exports, "__esModule", …)`.
pub(super) fn marks_module(call: &CallExpr) -> bool {
    let Callee::Expr(callee) = &call.callee else { return false };
    let Expr::Member(callee) = &**callee else { return false };
    let is_define = matches!(&*callee.obj, Expr::Ident(object) if &*object.sym == "Object")
        && property(callee).as_deref() == Some("defineProperty");
    let [object, name, ..] = &call.args[..] else { return false };
    let of_exports = match &*object.expr {
        Expr::Ident(object) => &*object.sym == "exports",
        Expr::Member(object) => is_module_exports(object),
        _ => false,
    };
    is_define
        && of_exports
        && matches!(&*name.expr, Expr::Lit(Lit::Str(text)) if text.value.as_str() == Some("__esModule"))
}

/// Returns the library in `require('library')`, if it is a shipped one. Shipped libraries have only named exports, so
/// an import is equivalent.
pub(super) fn required(value: &Expr) -> Option<&Str> {
    let Expr::Call(call) = value else { return None };
    let Callee::Expr(callee) = &call.callee else { return None };
    let is_require = matches!(&**callee, Expr::Ident(name) if &*name.sym == "require");
    let [argument] = &call.args[..] else { return None };
    match &*argument.expr {
        Expr::Lit(Lit::Str(text)) if is_require && argument.spread.is_none() => {
            Some(text).filter(|text| SHIPPED_LIBRARIES.iter().any(|(handle, _)| text.value.as_str() == Some(handle)))
        }
        _ => None,
    }
}

/// Returns the library and the export in `require('library').name`.
pub(super) fn required_member(value: &Expr) -> Option<(&Str, String)> {
    let Expr::Member(member) = value else { return None };
    Some((required(&member.obj)?, property(member)?))
}
