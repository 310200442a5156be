//! Keeps the author's code inside the event's window, the time between the watch's `begin` and `end`.
//!
//! Outside the window no limit holds, so no JavaScript may run there: not even a getter that the author put on a
//! prototype. V8 enforces this. An attempt to enter JavaScript ends a worker process, which costs the event that caused
//! it its verdict (`crashed`). In a process that embeds the engine, the attempt throws and the code does not run.
//! Microtasks that an event leaves behind run before its window closes, see [`drain`].

use deno_core::v8;

use crate::v8::platform;

/// What V8 does when JavaScript is entered outside the window.
pub(crate) fn on_failure() -> v8::OnFailure {
    if platform::is_worker() { v8::OnFailure::CrashOnFailure } else { v8::OnFailure::ThrowOnFailure }
}

/// From here to the end of the block, no JavaScript can be entered.
macro_rules! no_code {
    ($scope:ident) => {
        deno_core::v8::disallow_javascript_execution_scope!(let $scope, $scope, crate::run::window::on_failure());
    };
}

/// From here to the end of the block, a function of the driver may be called. It must not touch anything that the
/// author's code can reach.
macro_rules! own_code {
    ($scope:ident) => {
        deno_core::v8::allow_javascript_execution_scope!(let $scope, $scope);
    };
}

pub(crate) use {no_code, own_code};

/// Runs the pending microtasks, including those queued while the event's result was printed.
/// Returns whether all of them ran.
pub(crate) fn drain(scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, '_, v8::HandleScope<'_>>>) -> bool {
    scope.perform_microtask_checkpoint();
    !scope.has_terminated()
}
