//! What was thrown, in words: the text that the contract promises, the frames that are the author's, and the place.

use deno_core::v8;

use super::handover;
use crate::verdict::{Failure, FailureKind, Position};

/// The name under which the engine's own scripts run; its frames are not shown.
pub(super) const OWN_SCRIPT: &str = "sluicegate:runtime";

/// `[name, message, stack]` of the driver's `describe`, as a failure of `kind`.
pub(super) fn describe<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    describe: v8::Local<'s, v8::Function>,
    thrown: v8::Local<'s, v8::Value>,
    kind: FailureKind,
    sources: &dyn Fn(&str) -> bool,
) -> Failure {
    let undefined = v8::undefined(scope).into();
    let parts = describe.call(scope, undefined, &[thrown]).and_then(|parts| v8::Local::<v8::Array>::try_from(parts).ok());
    let Some(parts) = parts else {
        return Failure::new(kind, "the error itself could not be read");
    };
    let part = |scope: &mut v8::PinScope<'s, '_>, index: u32| {
        let value = parts.get_index(scope, index)?;
        let text = v8::Local::<v8::String>::try_from(value).ok()?;
        Some(handover::to_string(scope, text))
    };
    let name = part(scope, 0);
    let message = part(scope, 1).unwrap_or_default();
    let stack = part(scope, 2);
    failure(kind, name, message, stack, sources)
}

/// Puts a failure together: the stack cut to the author's frames, the position of the first of them.
fn failure(
    kind: FailureKind,
    name: Option<String>,
    message: String,
    stack: Option<String>,
    sources: &dyn Fn(&str) -> bool,
) -> Failure {
    let headline = match &name {
        Some(name) if message.is_empty() => name.clone(),
        Some(name) => format!("{name}: {message}"),
        None => message.clone(),
    };
    let stack = match stack {
        Some(stack) if !stack.is_empty() => cut(&stack).to_owned(),
        _ => headline,
    };
    let position = stack.lines().filter_map(frame_position).find(|at| sources(&at.file));
    Failure { kind, name, message, stack: Some(stack), position }
}

/// The stack down to the last frame inside `transformEvent` or `transformBatch`; where there is none (the exported
/// function has another name), down to the engine's own frames.
fn cut(stack: &str) -> &str {
    let mut end = 0;
    let mut last_entry = None;
    for line in stack.split_inclusive('\n') {
        if is_frame(line) && line.contains(OWN_SCRIPT) {
            break;
        }
        end += line.len();
        if is_entry_frame(line) {
            last_entry = Some(end);
        }
    }
    let mut cut = stack[..last_entry.unwrap_or(end)].trim_end_matches('\n');
    // The engine called `JSON.stringify`, which called the author's `toJSON`.
    if let Some(rest) = cut.strip_suffix("\n    at JSON.stringify (<anonymous>)") {
        cut = rest;
    }
    cut
}

fn is_frame(line: &str) -> bool {
    line.starts_with("    at ")
}

fn is_entry_frame(line: &str) -> bool {
    let Some(call) = line.strip_prefix("    at ") else { return false };
    let call = call.strip_prefix("async ").unwrap_or(call);
    ["transformEvent (", "transformBatch ("].iter().any(|entry| call.starts_with(entry))
}

/// `    at name (file:line:column)` or `    at file:line:column`.
fn frame_position(line: &str) -> Option<Position> {
    let place = line.strip_prefix("    at ")?;
    let place = match place.strip_suffix(')') {
        Some(inner) => &inner[inner.find(" (")? + 2..],
        None => place.strip_prefix("async ").unwrap_or(place),
    };
    let (rest, column) = place.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some(Position { file: file.to_owned(), line: line.parse().ok()?, column: column.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEEP: &str = "ReferenceError: z2 is not defined
    at add (library jsLib1:3:28)
    at transformEvent (orders.js:3:20)
    at transformEvent (orders.js:9:1)
    at later (orders.js:10:2)";

    #[test]
    fn frames_end_with_the_last_one_inside_the_entry_function() {
        assert!(cut(DEEP).ends_with("orders.js:9:1)"));
        assert_eq!(cut("Error: x\n    at f (a.js:1:1)\n    at finish (sluicegate:runtime:3:4)"), "Error: x\n    at f (a.js:1:1)");
        assert_eq!(cut("Error: no frames"), "Error: no frames");
    }

    #[test]
    fn the_position_is_that_of_the_first_frame_in_the_authors_code() {
        let failure = failure(FailureKind::Exception, None, String::new(), Some(DEEP.into()), &|file| file == "orders.js");
        assert_eq!(failure.position.unwrap(), Position { file: "orders.js".into(), line: 3, column: 20 });
        assert_eq!(frame_position("    at my file (1).js:3:4").unwrap().file, "my file (1).js");
        assert_eq!(frame_position("    at async transformEvent (a.js:3:4)").unwrap().line, 3);
        assert!(frame_position("    at Array.map (<anonymous>)").is_none());
    }
}
