//! The recorded answers of a test: a function in the test's isolate that is called while the transformation runs in
//! another isolate.

use deno_core::v8;

/// Answers requests of the transformation under test with `ask` of `js/testing/fetch.js`. Use it only inside the call
/// of [`super::TestHost::transform`] that it was passed to.
pub struct Answers {
    isolate: v8::UnsafeRawIsolatePtr,
    context: v8::Global<v8::Context>,
    ask: v8::Global<v8::Function>,
}

impl Answers {
    pub(crate) fn new(scope: &mut v8::PinScope<'_, '_>, ask: v8::Local<'_, v8::Value>) -> Option<Self> {
        let ask = v8::Local::<v8::Function>::try_from(ask).ok()?;
        let context = scope.get_current_context();
        Some(Self {
            // SAFETY: only used while the isolate is inside the call that this was created for, see `ask`.
            isolate: unsafe { scope.as_raw_isolate_ptr() },
            context: v8::Global::new(scope, context),
            ask: v8::Global::new(scope, ask),
        })
    }

    /// Returns the answer to a request, both as in `js/runtime/network.js`. `None` if the test is being stopped.
    pub fn ask(&self, request: &str) -> Option<String> {
        // SAFETY: the isolate belongs to this thread, because `Self` is not `Send`. It is alive: it is entered and
        // waits for the call of `TestHost::transform` during which this is used. Another isolate was entered since, so
        // this one is entered again for as long as its code runs.
        let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(self.isolate) };
        // SAFETY: as above; exited below.
        unsafe { isolate.enter() };
        let answer = {
            v8::scope_with_context!(scope, &mut isolate, &self.context);
            v8::tc_scope!(let scope, scope);
            let undefined = v8::undefined(scope).into();
            let ask = v8::Local::new(scope, &self.ask);
            let request = v8::String::new(scope, request);
            let answer = request.and_then(|request| ask.call(scope, undefined, &[request.into()]));
            answer.map(|answer| answer.to_rust_string_lossy(scope))
        };
        // SAFETY: entered above, and the scopes are gone.
        unsafe { isolate.exit() };
        answer
    }
}
