//! The functions of the driver, the script that prints the results of the author's code.

use deno_core::v8;

/// The driver's functions, see `js/runtime/driver.js`.
pub(crate) struct Driver {
    pub(crate) finish_lazy: v8::Global<v8::Function>,
    pub(crate) finish_parts: v8::Global<v8::Function>,
    pub(crate) piece: v8::Global<v8::Function>,
    pub(crate) pieces: v8::Global<v8::Function>,
    pub(crate) finish: v8::Global<v8::Function>,
    pub(crate) finish_exact: v8::Global<v8::Function>,
    pub(crate) finish_planned: v8::Global<v8::Function>,
    pub(crate) finish_learning: v8::Global<v8::Function>,
    pub(crate) plan_size: v8::Global<v8::Function>,
    pub(crate) carry: v8::Global<v8::Function>,
    pub(crate) event_of: v8::Global<v8::Function>,
    pub(crate) describe: v8::Global<v8::Function>,
    pub(crate) open_batch: v8::Global<v8::Function>,
    pub(crate) finish_batch: v8::Global<v8::Function>,
    pub(crate) close_batch: v8::Global<v8::Function>,
    pub(crate) metadata: v8::Global<v8::Function>,
    /// Not a function of the driver. Restores the isolate's global state if the author's code uses it.
    pub(crate) restart: Option<v8::Global<v8::Function>>,
    /// Not a function of the driver. Called when the promise of a waiting event is settled.
    pub(crate) settled: v8::Global<v8::Function>,
}

impl Driver {
    /// Reads the functions from `driver`, the object that the scripts return.
    pub(crate) fn new(
        scope: &mut v8::PinScope<'_, '_>,
        driver: v8::Local<'_, v8::Object>,
        metadata: v8::Local<'_, v8::Function>,
        restart: Option<v8::Local<'_, v8::Function>>,
        settled: v8::Local<'_, v8::Function>,
    ) -> Self {
        let function = |name: &str| {
            let key = v8::String::new(scope, name).expect("a short name");
            let function = driver.get(scope, key.into()).and_then(|f| v8::Local::<v8::Function>::try_from(f).ok());
            v8::Global::new(scope, function.expect("the driver exports this"))
        };
        Self {
            finish_lazy: function("finishLazy"),
            finish_parts: function("finishParts"),
            piece: function("piece"),
            pieces: function("pieces"),
            finish: function("finish"),
            finish_exact: function("finishExact"),
            finish_planned: function("finishPlanned"),
            finish_learning: function("finishLearning"),
            plan_size: function("planSize"),
            carry: function("carry"),
            event_of: function("eventOf"),
            describe: function("describe"),
            open_batch: function("openBatch"),
            finish_batch: function("finishBatch"),
            close_batch: function("closeBatch"),
            metadata: v8::Global::new(scope, metadata),
            restart: restart.map(|restart| v8::Global::new(scope, restart)),
            settled: v8::Global::new(scope, settled),
        }
    }

    /// Must be called before each event, outside its window. Runs only the engine's own code.
    pub(crate) fn begin_event(&self, scope: &mut v8::PinScope<'_, '_>) {
        if let Some(restart) = &self.restart {
            let undefined = v8::undefined(scope).into();
            v8::Local::new(scope, restart).call(scope, undefined, &[]);
        }
    }
}
