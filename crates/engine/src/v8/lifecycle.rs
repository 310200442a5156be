//! How an isolate is made and how it ends, whatever runs in it.

use deno_core::v8;

use crate::limits::heap::{HeapGuard, limited_allocator};
use crate::v8::inspector::Inspector;

/// Makes an isolate with a heap of at most `heap` bytes, entered, with its guard. Microtasks run when they are told to.
pub(crate) fn create(params: v8::CreateParams, heap: usize) -> (v8::OwnedIsolate, Box<HeapGuard>) {
    let params = params.array_buffer_allocator(limited_allocator(heap)).allow_atomics_wait(false);
    let mut isolate = v8::Isolate::new(params);
    isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
    let guard = HeapGuard::install(&mut isolate);
    (isolate, guard)
}

/// What modules export, by the modules' names.
pub(crate) fn namespaces<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    modules: &[(String, v8::Global<v8::Module>)],
) -> Vec<(String, v8::Local<'s, v8::Value>)> {
    modules.iter().map(|(name, module)| (name.clone(), v8::Local::new(scope, module).get_module_namespace())).collect()
}

/// Drops an isolate, and keeps what its inspector saw.
pub(crate) fn end(mut isolate: v8::OwnedIsolate, inspector: Option<Inspector>) {
    if let Some(inspector) = inspector {
        // SAFETY: this is the thread that made it; exited right away.
        unsafe { isolate.enter() };
        inspector.close(&mut isolate);
        // SAFETY: as above.
        unsafe { isolate.exit() };
    }
    discard(isolate);
}

/// An isolate is dropped while it is the entered one, whatever other isolates the thread has.
pub(crate) fn discard(isolate: v8::OwnedIsolate) {
    // SAFETY: dropping exits it; this is the thread that made it.
    unsafe { isolate.enter() };
    drop(isolate);
}
