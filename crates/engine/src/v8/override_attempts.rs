//! Detects assignments to a property that is inherited and read-only on the object that defines it.
//!
//! Such an assignment throws, but the author's code may catch the error and hide it. V8 counts these assignments: it
//! reports features that web pages use to its embedder, and this "override mistake" is one of them.

use std::cell::Cell;

use deno_core::v8;
use v8::UseCounterFeature;

thread_local! {
    // An isolate stays on the thread that created it.
    static NOTED: Cell<bool> = const { Cell::new(false) };
}

/// Makes V8 report such assignments from now on.
pub(crate) fn watch(isolate: &mut v8::Isolate) {
    isolate.set_use_counter_callback(note);
}

/// Whether there was such an assignment since the last call.
pub(crate) fn take() -> bool {
    NOTED.replace(false)
}

/// Does not touch the isolate, because V8 calls this in the middle of other work.
unsafe extern "C" fn note(_: &mut v8::Isolate, feature: UseCounterFeature) {
    if matches!(
        feature,
        UseCounterFeature::kAttemptOverrideReadOnlyOnPrototypeSloppy
            | UseCounterFeature::kAttemptOverrideReadOnlyOnPrototypeStrict
    ) {
        NOTED.set(true);
    }
}
