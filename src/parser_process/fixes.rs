//! Fixes simple mistakes automatically: a function that is not exported, a default export, and CommonJS.
//!
//! A file is fixed completely or not at all. If `require`, `exports` or `module` would remain, nothing is changed: a
//! partly converted file is neither CommonJS nor an ES module.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use swc_common::{BytePos, Span};
use swc_ecma_ast::{Decl, Ident, Module, ModuleItem, Pat, Stmt};
use swc_ecma_parser::{EsSyntax, Syntax};
use swc_ecma_visit::{Visit, VisitWith};

use super::imports::parse;
use super::names::{self, Name};

mod common_js;
mod plan;
mod references;
mod scope;

use plan::Plan;

/// A replacement for a range of the source, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// The range that is replaced.
    pub range: Range<usize>,
    /// The new text.
    pub text: String,
}

/// Why a file is not fixed although a part of it could be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// What would remain, and what to write instead.
    pub why: String,
    /// Its range, in bytes of the source.
    pub range: Range<usize>,
}

/// The fixes of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixes {
    /// The fixes, from the last one to the first; empty if there is an obstacle.
    pub fixes: Vec<Fix>,
    /// Why there are no fixes.
    pub obstacle: Option<Obstacle>,
}

const FUNCTIONS: [&str; 2] = ["transformEvent", "transformBatch"];
/// The names of CommonJS.
const COMMON_JS: [&str; 3] = ["require", "exports", "module"];

/// Returns the fixes of `code`, JavaScript.
///
/// # Errors
/// When the code is not a module; the text contains the position.
pub(super) fn of(code: &str) -> Result<Fixes, String> {
    let module = module(code)?;
    let plan = Plan::of(code, &module, exports_function(code)?);
    let mut fixes = plan.fixes;
    if fixes.is_empty() {
        return Ok(Fixes::default());
    }
    fixes.sort_by_key(|fix| std::cmp::Reverse(fix.range.start));
    let is_common_js = |name: &Name| COMMON_JS.contains(&name.name.as_str());
    let is_replaced = |name: &Name| fixes.iter().any(|fix| fix.range.contains(&name.range.start));
    let mut remaining = names::undeclared_uses(&module).into_iter().filter(is_common_js);
    if let Some(name) = remaining.find(|name| !is_replaced(name)) {
        let instead = if name.name == "require" { "`import` it" } else { "`export` it" };
        let why = format!("`{}` would remain, which is not there: {instead} by hand", name.name);
        return Ok(Fixes { fixes: Vec::new(), obstacle: Some(Obstacle { why, range: name.range }) });
    }
    // The result must be a module that exports the function.
    let fixed = apply(code, fixes.clone());
    let works = exports_function(&fixed).is_ok_and(|exports| exports)
        && self::module(&fixed).is_ok_and(|module| !names::undeclared_uses(&module).iter().any(is_common_js));
    Ok(if works { Fixes { fixes, obstacle: None } } else { Fixes::default() })
}

/// Applies these fixes to `code`. They must be ordered from the last to the first.
pub fn apply(code: &str, fixes: Vec<Fix>) -> String {
    let mut text = code.to_owned();
    fixes.into_iter().for_each(|fix| text.replace_range(fix.range, &fix.text));
    text
}

/// Returns whether `code`, JavaScript, declares one of the two functions at its top level. A function from another
/// file does not count.
///
/// # Errors
/// When the code is not a module; the text contains the position.
pub(super) fn declares_function(code: &str) -> Result<bool, String> {
    Ok(module(code)?.body.iter().any(|item| match item {
        ModuleItem::Stmt(Stmt::Decl(Decl::Fn(function))) => is_function(&function.ident.sym),
        ModuleItem::Stmt(Stmt::Decl(Decl::Var(variables))) => variables.decls.iter().any(|one| {
            matches!(&one.name, Pat::Ident(name) if is_function(&name.id.sym))
                && one.init.as_ref().is_some_and(|value| !mentions(&**value, "require"))
        }),
        _ => false,
    }))
}

fn module(code: &str) -> Result<Module, String> {
    parse(code, Syntax::Es(EsSyntax { import_attributes: true, ..EsSyntax::default() }))
}

fn exports_function(code: &str) -> Result<bool, String> {
    let exported = super::exports::exports(code)?;
    Ok(exported.iter().any(|export| matches!(export, super::ModuleExport::Value(name) if is_function(name))))
}

fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

fn offset(at: BytePos) -> usize {
    // Positions of the map's only file start at 1.
    (at.0 as usize).saturating_sub(1)
}

fn range(span: Span) -> Range<usize> {
    offset(span.lo)..offset(span.hi)
}

/// Returns whether a piece of code contains a name.
fn mentions<'a>(code: &impl VisitWith<Mention<'a>>, name: &'a str) -> bool {
    let mut mention = Mention { name, found: false };
    code.visit_with(&mut mention);
    mention.found
}

struct Mention<'a> {
    name: &'a str,
    found: bool,
}

impl Visit for Mention<'_> {
    fn visit_ident(&mut self, ident: &Ident) {
        self.found |= &*ident.sym == self.name;
    }
}

#[cfg(test)]
mod tests;
