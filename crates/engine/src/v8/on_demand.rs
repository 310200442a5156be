//! Scripts of the engine that not every program needs. Each is compiled at its first use, so an
//! isolate that never uses it never reads it.
//!
//! At that time the author's code has run and may have replaced every intrinsic. So a script of
//! `js/runtime/on_demand` is passed copies that were made before, as an object. How scripts of `js/web` are evaluated
//! is described in `js/runtime/web.js`.

use deno_core::v8;

use crate::v8::errors::OWN_SCRIPT;
use crate::v8::own_script::own_script;

/// The scripts by name.
macro_rules! scripts {
    ($($name:literal: $file:literal,)+) => {
        [$(($name, {
            static SCRIPT: v8::OneByteConst = own_script!("'use strict';", include_str!($file));
            &SCRIPT
        })),+]
    };
}

static SCRIPTS: [(&str, &v8::OneByteConst); 16] = scripts! {
    "determinism": "../../js/runtime/on_demand/determinism.js",
    "cycles": "../../js/runtime/on_demand/cycles.js",
    "escaped_keys": "../../js/runtime/on_demand/escaped_keys.js",
    "print_plan": "../../js/runtime/on_demand/print_plan.js",
    "exact_numbers": "../../js/runtime/on_demand/exact_numbers.js",
    "lazy_events": "../../js/runtime/on_demand/lazy_events.js",
    "batches": "../../js/runtime/on_demand/batches.js",
    "thrown": "../../js/runtime/on_demand/thrown.js",
    "requests": "../../js/runtime/on_demand/requests.js",
    "log_text": "../../js/runtime/on_demand/log_text.js",
    "errors": "../../js/web/errors.js",
    "url": "../../js/web/url.js",
    "encoding": "../../js/web/encoding.js",
    "registry": "../../js/web/registry.js",
    "clone": "../../js/web/clone.js",
    "crypto": "../../js/web/crypto.js",
};

/// The scripts that an isolate has compiled, in order. They are reused if the isolate gets another context.
#[derive(Default)]
struct Compiled([Option<v8::Global<v8::UnboundScript>>; SCRIPTS.len()]);

/// `onDemand(name)`: returns the function that the script evaluates to.
pub(crate) fn on_demand(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut answer: v8::ReturnValue<'_, v8::Value>,
) {
    let name = args.get(0).to_rust_string_lossy(scope);
    let Some(at) = SCRIPTS.iter().position(|(known, _)| *known == name) else { return };
    if let Some(script) = compiled(scope, at)
        && let Some(function) = script.bind_to_current_context(scope).run(scope)
    {
        answer.set(function);
    }
}

fn compiled<'s>(scope: &mut v8::PinScope<'s, '_>, at: usize) -> Option<v8::Local<'s, v8::UnboundScript>> {
    if let Some(script) = scope.get_slot::<Compiled>().and_then(|compiled| compiled.0[at].clone()) {
        return Some(v8::Local::new(scope, script));
    }
    let code = v8::String::new_from_onebyte_const(scope, SCRIPTS[at].1)?;
    let name = v8::String::new(scope, OWN_SCRIPT)?;
    let origin = v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, 0, None, false, false, false, None);
    let script = v8::Script::compile(scope, code, Some(&origin))?.get_unbound_script(scope);
    if scope.get_slot::<Compiled>().is_none() {
        scope.set_slot(Compiled::default());
    }
    let kept = v8::Global::new(scope, script);
    scope.get_slot_mut::<Compiled>()?.0[at] = Some(kept);
    Some(script)
}
