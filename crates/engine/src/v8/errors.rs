//! Converts thrown values into failures: the text that the contract defines, the author's stack frames, and the
//! position.

use std::fmt::Write as _;

use deno_core::v8;

use crate::help;
use crate::v8::v8_string;
use crate::verdict::{Failure, FailureKind, Position};

/// The script name of the engine's own code. Its frames are not shown.
pub(crate) const OWN_SCRIPT: &str = "sluicegate:runtime";

/// The start of all script names of the engine.
pub(crate) const OWN_SCRIPTS: &str = "sluicegate:";

/// Converts `[name, message, stack]`, the result of the driver's `describe`, into a failure of `kind`.
pub(crate) fn describe<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    describe: v8::Local<'s, v8::Function>,
    thrown: v8::Local<'s, v8::Value>,
    kind: FailureKind,
    sources: &dyn Fn(&str) -> bool,
) -> Failure {
    let undefined = v8::undefined(scope).into();
    let parts = describe.call(scope, undefined, &[thrown]);
    from_parts(scope, parts, kind, sources)
}

/// Converts the error that `finishBatch` caught for one input: an object with the result of `describe` as `thrown`.
pub(crate) fn thrown<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    caught: v8::Local<'s, v8::Value>,
    sources: &dyn Fn(&str) -> bool,
) -> Failure {
    let key = v8::String::new(scope, "thrown").expect("short");
    let parts = caught.to_object(scope).and_then(|caught| caught.get(scope, key.into()));
    from_parts(scope, parts, FailureKind::Exception, sources)
}

fn from_parts<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    parts: Option<v8::Local<'s, v8::Value>>,
    kind: FailureKind,
    sources: &dyn Fn(&str) -> bool,
) -> Failure {
    let Some(parts) = parts.and_then(|parts| v8::Local::<v8::Array>::try_from(parts).ok()) else {
        return Failure::new(kind, "the error itself could not be read");
    };
    let part = |scope: &mut v8::PinScope<'s, '_>, index: u32| {
        let value = parts.get_index(scope, index)?;
        let text = v8::Local::<v8::String>::try_from(value).ok()?;
        Some(v8_string::to_string(scope, text))
    };
    let name = part(scope, 0);
    let message = part(scope, 1).unwrap_or_default();
    let stack = part(scope, 2);
    let more = part(scope, 3);
    failure(kind, Thrown { name, message, stack, more }, sources)
}

/// Gives a failure of the engine the position of the code's stack.
pub(crate) fn located(failure: Failure, stack: String, sources: &dyn Fn(&str) -> bool) -> Failure {
    let Failure { kind, message, .. } = failure;
    self::failure(kind, Thrown { name: None, message, stack: Some(stack), more: None }, sources)
}

/// A thrown value, as read by the driver's `describe`.
struct Thrown {
    /// `None` if it is not an error.
    name: Option<String>,
    message: String,
    stack: Option<String>,
    /// For an error, its causes and the errors in it; for an object, its JSON text.
    more: Option<String>,
}

/// Builds a failure: the stack is cut to the author's frames, and the position is that of the first one.
fn failure(kind: FailureKind, thrown: Thrown, sources: &dyn Fn(&str) -> bool) -> Failure {
    let Thrown { name, message, stack, more } = thrown;
    let help = match &more {
        Some(json) if name.is_none() => Some(format!("an object was thrown: {json}; an Error would say where")),
        Some(related) => Some(related.clone()),
        None if name.is_none() && kind == FailureKind::Exception => Some(help::for_thrown(&message)),
        None => help::for_exception(name.as_deref(), &message),
    };
    let headline = match &name {
        Some(name) if message.is_empty() => name.clone(),
        Some(name) => format!("{name}: {message}"),
        None => message.clone(),
    };
    let stack = match &stack {
        Some(stack) if frames(stack).is_some() || stack.is_empty() => format!("{headline}{}", cut(stack)),
        // The author's code has set `stack` to another text.
        Some(stack) => stack.clone(),
        None => headline,
    };
    let position = stack.lines().filter_map(frame_position).find(|at| sources(&at.file));
    Failure { kind, name, message, stack: Some(stack), position, help }
}

/// Where the frames of a stack start, after the error's message.
fn frames(stack: &str) -> Option<usize> {
    if stack.starts_with(FRAME) { Some(0) } else { stack.find("\n    at ").map(|end| end + 1) }
}

/// Returns the frames of a stack down to the last one inside `transformEvent` or `transformBatch`. Without such a frame
/// (the exported function has another name), down to the engine's own frames. Each frame starts with a line feed.
fn cut(stack: &str) -> String {
    let mut shown: Vec<&str> = Vec::new();
    let mut last_entry = None;
    for line in stack[frames(stack).unwrap_or(stack.len())..].lines() {
        if line.contains(OWN_SCRIPT) {
            // An engine frame at the top is a function that the author's code called, perhaps with one of V8's on top.
            // A lower engine frame called the author's code.
            if shown.iter().any(|line| frame_position(line).is_some()) {
                break;
            }
            if let Some(top) = shown.last_mut() {
                *top = match *top {
                    "    at parse (<anonymous>)" => "    at JSON.parse (<anonymous>)",
                    "    at stringify (<anonymous>)" => "    at JSON.stringify (<anonymous>)",
                    other => other,
                };
            }
            continue;
        }
        shown.push(line);
        if is_entry_frame(line) {
            last_entry = Some(shown.len());
        }
    }
    shown.truncate(last_entry.unwrap_or(shown.len()));
    // The engine called `JSON.stringify`, which called the author's `toJSON`.
    if shown.last().is_some_and(|line| line.ends_with("stringify (<anonymous>)")) {
        shown.pop();
    }
    shown.iter().flat_map(|line| ["\n", line]).collect()
}

/// Maximum number of stack frames recorded.
pub(crate) const MAX_FRAMES: usize = 20;

/// How V8 starts a frame.
const FRAME: &str = "    at ";

fn is_entry_frame(line: &str) -> bool {
    let Some(call) = line.strip_prefix(FRAME) else { return false };
    let call = call.strip_prefix("async ").unwrap_or(call);
    ["transformEvent (", "transformBatch ("].iter().any(|entry| call.starts_with(entry))
}

/// A stack in the form of an error's `stack` without its first line.
pub(crate) fn trace_text(scope: &mut v8::PinScope<'_, '_>, trace: v8::Local<v8::StackTrace>) -> String {
    let mut text = String::new();
    for index in 0..trace.get_frame_count() {
        let Some(frame) = trace.get_frame(scope, index) else { break };
        let script = frame.get_script_name(scope).map(|name| name.to_rust_string_lossy(scope)).unwrap_or_default();
        let (line, column) = (frame.get_line_number(), frame.get_column());
        let function = frame.get_function_name(scope).map(|name| name.to_rust_string_lossy(scope)).unwrap_or_default();
        let _ = match function.as_str() {
            "" => write!(text, "\n    at {script}:{line}:{column}"),
            function => write!(text, "\n    at {function} ({script}:{line}:{column})"),
        };
    }
    text
}

/// Parses the position in one line of a V8 stack: `    at name (file:line:column)` or `    at file:line:column`.
pub fn frame_position(line: &str) -> Option<Position> {
    let place = line.strip_prefix(FRAME)?;
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
        assert_eq!(
            cut("Error: x\n    at f (a.js:1:1)\n    at finish (sluicegate:runtime:3:4)"),
            "\n    at f (a.js:1:1)"
        );
        assert_eq!(cut("Error: x\n    at get (sluicegate:runtime:3:4)\n    at f (a.js:1:1)"), "\n    at f (a.js:1:1)");
        let parsed = "SyntaxError: x\n    at parse (<anonymous>)\n    at Object.parse (sluicegate:runtime:3:4)\n    at f (a.js:1:1)";
        assert_eq!(cut(parsed), "\n    at JSON.parse (<anonymous>)\n    at f (a.js:1:1)");
        assert_eq!(cut("Error: no frames"), "");
    }

    #[test]
    fn the_position_is_that_of_the_first_frame_in_the_authors_code() {
        let thrown = Thrown { name: None, message: String::new(), stack: Some(DEEP.into()), more: None };
        let failure = failure(FailureKind::Exception, thrown, &|file| file == "orders.js");
        assert_eq!(failure.position.unwrap(), Position { file: "orders.js".into(), line: 3, column: 20 });
        assert_eq!(frame_position("    at my file (1).js:3:4").unwrap().file, "my file (1).js");
        assert_eq!(frame_position("    at async transformEvent (a.js:3:4)").unwrap().line, 3);
        assert!(frame_position("    at Array.map (<anonymous>)").is_none());
    }
}
