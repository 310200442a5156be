//! Detects assignments to a property that is inherited and read-only on the object that defines it.
//!
//! Such an assignment throws, but the author's code may catch the error and hide it. V8 reports features that web pages use
//! to its embedder, and this "override mistake" is one of them. It does not report the assignments that its generic store
//! makes: to an object with its properties in a hash table (a prototype, an object after `delete`), at a place that handles
//! very many kinds of objects, and in `Object.assign`. But it also reports that it creates an error, and the stack says where: if
//! that looks like an assignment, it may be one of these. Taking another error for it costs a fresh isolate, and no result.

use std::cell::RefCell;
use std::collections::HashSet;

use deno_core::v8;
use v8::UseCounterFeature;

use crate::v8::lifecycle::CodeContext;
use crate::verdict::Position;

/// What an isolate has reported; a slot of it.
#[derive(Default)]
pub(crate) struct Attempts(RefCell<Reported>);

#[derive(Default)]
struct Reported {
    /// Whether V8 has reported the override mistake itself.
    mistake: bool,
    /// The places of all errors: script, line and column.
    places: HashSet<(usize, usize, usize)>,
    /// Those that nobody has asked for.
    new: Vec<Position>,
}

/// V8 reports an error only where the limit of its stack is not this one. So it is one that no code chooses.
pub(crate) const UNUSUAL_STACK_LIMIT: &str = "--stack-trace-limit=11";

/// Asks V8 to report them from here on.
pub(crate) fn watch(isolate: &mut v8::Isolate) {
    type Note = unsafe extern "C" fn(v8::UnsafeRawIsolatePtr, UseCounterFeature);
    // SAFETY: V8 passes its pointer to the isolate. The crate declares it as a reference to its own type, which is itself such
    // a pointer; the reference must not be used. Both are passed in the same way.
    let callback = unsafe { std::mem::transmute::<Note, v8::UseCounterCallback>(note) };
    isolate.set_use_counter_callback(callback);
}

impl Attempts {
    /// Whether there may have been one since the last call. `line` gives lines of the author's source.
    pub(crate) fn take(&self, line: &dyn Fn(&Position) -> Option<String>) -> bool {
        let mut reported = self.0.borrow_mut();
        let new = std::mem::take(&mut reported.new);
        std::mem::take(&mut reported.mistake)
            || new.iter().any(|at| line(at).is_some_and(|line| may_assign(&line, at.column)))
    }
}

/// Whether an error at this place may come from an assignment, or from `Object.assign` by one of its names.
fn may_assign(line: &str, column: u32) -> bool {
    let mut units = column.saturating_sub(1) as usize;
    let at = line.char_indices().find(|(_, char)| {
        let found = units == 0;
        units = units.saturating_sub(char.len_utf16());
        found
    });
    let Some((at, first)) = at else { return false };
    let in_word = |char: char| char.is_alphanumeric() || matches!(char, '_' | '$');
    // V8 gives the place of the operator, if there is one.
    if "=+-*/%&|^?<>".contains(first) {
        return true;
    }
    let after = line[at..].trim_start_matches(in_word);
    let word = &line[at..line.len() - after.len()];
    let after = after.trim_start();
    let before = line[..at].trim_end();
    // `++a.b`, `for (a.b in c)` and `for (a.b of c)`: the place of the key.
    let object = before.trim_end_matches(|char| in_word(char) || matches!(char, '.' | '[' | ']' | '(' | ')'));
    // `[a.b] = c`, `({ a: b.c } = d)` and `[...a.b] = c`: the place of the object before the key.
    let key_follows = after.starts_with(['.', '[']);
    let target =
        key_follows && (before.is_empty() || before.ends_with(['[', '{', '(', ',', ':']) || before.ends_with("..."));
    matches!(word, "assign" | "__assign" | "_extends")
        || target
        || object.ends_with("++")
        || object.ends_with("--")
        || after.starts_with("in ")
        || after.starts_with("of ")
}

unsafe extern "C" fn note(isolate: v8::UnsafeRawIsolatePtr, feature: UseCounterFeature) {
    // SAFETY: V8 passes the isolate that calls, on its thread.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(isolate) };
    match feature {
        UseCounterFeature::kAttemptOverrideReadOnlyOnPrototypeSloppy
        | UseCounterFeature::kAttemptOverrideReadOnlyOnPrototypeStrict => {
            if let Some(attempts) = isolate.get_slot::<Attempts>() {
                attempts.0.borrow_mut().mistake = true;
            }
        }
        UseCounterFeature::kErrorStackTraceLimit => note_error(&mut isolate),
        _ => {}
    }
}

/// An error is being created. V8 lets its embedder look around then; no code of the author's runs.
fn note_error(isolate: &mut v8::Isolate) {
    if isolate.get_slot::<Attempts>().is_none() {
        return;
    }
    let Some(context) = isolate.get_slot::<CodeContext>().map(|context| context.0.clone()) else { return };
    v8::scope_with_context!(scope, &mut *isolate, context);
    // The engine itself has V8 parse lines, when no code runs.
    let trace = v8::StackTrace::current_stack_trace(scope, 1).filter(|trace| trace.get_frame_count() > 0);
    let Some(frame) = trace.and_then(|trace| trace.get_frame(scope, 0)) else { return };
    let (line, column) = (frame.get_line_number(), frame.get_column());
    let place = (frame.get_script_id(), line, column);
    let is_new = |attempts: &Attempts| attempts.0.borrow_mut().places.insert(place);
    if !scope.get_slot::<Attempts>().is_some_and(is_new) {
        return;
    }
    let file = frame.get_script_name(scope).map(|name| name.to_rust_string_lossy(scope)).unwrap_or_default();
    if let Some(attempts) = scope.get_slot::<Attempts>() {
        let at = Position { file, line: line as u32, column: column as u32 };
        attempts.0.borrow_mut().new.push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_assignments_are_told_from_others() {
        // A bar stands before the place that V8 gives.
        for (marked, wanted) in [
            ("a.b |= 1", true),
            ("a.b |+= 1; f()", true),
            ("a.b |??= 1", true),
            ("a.b|++", true),
            ("++a.|b", true),
            ("--a[0].|b;", true),
            ("[|a.b] = c", true),
            // Not told from a read of `x.a` where `x` is undefined.
            ("[x.|a.b] = c", false),
            ("({ ...|a.b } = c)", true),
            ("({ x: |a['b'] } = c)", true),
            ("for (a.|b of c) d", true),
            ("for (a.|b in c) d", true),
            ("'\u{e9}\u{1f600}'; a |= 1", true),
            ("Object.|assign(a, b)", true),
            ("|_extends({}, a)", true),
            ("JSON.|parse(a)", false),
            ("|throw new Error()", false),
            ("throw |new Error()", false),
            ("a.|b", false),
            ("a.b.|c()", false),
            ("f(a.|b)", false),
            ("f(a.|b).c", false),
            ("f(|a)", false),
            ("[a.|b, 1]", false),
            ("|f(a)", false),
            ("`${|a}`", false),
            ("a.b", false),
        ] {
            let (before, after) = marked.split_once('|').unwrap_or((marked, ""));
            let column = before.encode_utf16().count() as u32 + 1;
            assert_eq!(may_assign(&format!("{before}{after}"), column), wanted, "{marked}");
        }
        assert!(!may_assign("a", 0) && !may_assign("a", 9) && !may_assign("", 1));
    }
}
