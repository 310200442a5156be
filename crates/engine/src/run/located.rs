//! Where the code is while it runs, for events that run out of time.

use std::fmt::Write as _;

use deno_core::v8;

/// How many frames are noted.
pub(crate) const MAX_FRAMES: usize = 20;

/// The context that an isolate's code runs in; a slot of the isolate.
pub(crate) struct CodeContext(pub(crate) v8::Global<v8::Context>);

/// The stack of the code that runs, in the form of an error's `stack` without its first line. On the isolate's own thread.
pub(crate) fn stack(isolate: &mut v8::Isolate) -> Option<String> {
    let context = isolate.get_slot::<CodeContext>()?.0.clone();
    v8::scope_with_context!(scope, &mut *isolate, context);
    let trace = v8::StackTrace::current_stack_trace(scope, MAX_FRAMES)?;
    Some(trace_text(scope, trace))
}

/// A stack in that form.
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
