//! Returns the stack of the running code, for events that run out of time.

use deno_core::v8;

use crate::v8::errors;

/// The context of an isolate's code, kept in an isolate slot.
pub(crate) struct CodeContext(pub(crate) v8::Global<v8::Context>);

/// The stack of the running code, in the form of an error's `stack` without its first line. Call it on the isolate's
/// own thread.
pub(crate) fn stack(isolate: &mut v8::Isolate) -> Option<String> {
    let context = isolate.get_slot::<CodeContext>()?.0.clone();
    v8::scope_with_context!(scope, &mut *isolate, context);
    let trace = v8::StackTrace::current_stack_trace(scope, errors::MAX_FRAMES)?;
    Some(errors::trace_text(scope, trace))
}
