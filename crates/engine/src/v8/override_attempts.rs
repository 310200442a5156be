//! Whether code has assigned to a property that its object inherits, and that is read-only where it comes from.
//!
//! Such an assignment throws, and the author's code may catch that; then it is not seen. V8 counts it: it tells its
//! embedder of features that web pages use, and this "override mistake" is one of them.

use std::cell::Cell;

use deno_core::v8;
use v8::UseCounterFeature;

thread_local! {
    // An isolate stays on the thread on which it was made.
    static NOTED: Cell<bool> = const { Cell::new(false) };
}

/// Has V8 tell of them from here on.
pub(crate) fn watch(isolate: &mut v8::Isolate) {
    isolate.set_use_counter_callback(note);
}

/// Whether there was one since this was asked last.
pub(crate) fn take() -> bool {
    NOTED.replace(false)
}

/// The isolate is not touched: V8 is in the middle of something.
unsafe extern "C" fn note(_: &mut v8::Isolate, feature: UseCounterFeature) {
    if matches!(
        feature,
        UseCounterFeature::kAttemptOverrideReadOnlyOnPrototypeSloppy
            | UseCounterFeature::kAttemptOverrideReadOnlyOnPrototypeStrict
    ) {
        NOTED.set(true);
    }
}
