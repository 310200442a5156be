//! Creates and ends isolates, whatever runs in them.

use deno_core::v8;

use crate::limits::heap::{HeapGuard, limited_allocator};
use crate::v8::inspector::Inspector;

/// Creates an isolate with a heap of at most `heap` bytes, entered, with its guard. Microtasks run only on request.
pub(crate) fn create(params: v8::CreateParams, heap: usize) -> (v8::OwnedIsolate, Box<HeapGuard>) {
    let params = params.array_buffer_allocator(limited_allocator(heap)).allow_atomics_wait(false);
    let mut isolate = v8::Isolate::new(params);
    isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
    let guard = HeapGuard::install(&mut isolate);
    (isolate, guard)
}

/// The exports of modules, by the modules' names.
pub(crate) fn namespaces<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    modules: &[(String, v8::Global<v8::Module>)],
) -> Vec<(String, v8::Local<'s, v8::Value>)> {
    modules.iter().map(|(name, module)| (name.clone(), v8::Local::new(scope, module).get_module_namespace())).collect()
}

/// Drops an isolate and keeps the results of its inspector.
pub(crate) fn end(mut isolate: v8::OwnedIsolate, inspector: Option<Inspector>) {
    if let Some(inspector) = inspector {
        // SAFETY: this is the thread that created it; it is exited below.
        unsafe { isolate.enter() };
        inspector.close(&mut isolate);
        // SAFETY: as above.
        unsafe { isolate.exit() };
    }
    discard(isolate);
}

/// Drops an isolate while it is the entered one, whatever other isolates the thread has.
pub(crate) fn discard(isolate: v8::OwnedIsolate) {
    // SAFETY: dropping exits it; this is the thread that created it.
    unsafe { isolate.enter() };
    drop(isolate);
}
