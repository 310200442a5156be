//! The engine's own scripts, `js/runtime`, in the form that V8 gets.
//!
//! When an isolate that hit a limit is replaced, the next events wait. So the code cache of the scripts is created in
//! the first isolate and reused by the others, and V8 never parses comments.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use deno_core::v8;
use v8::script_compiler::{CachedData, CompileOptions, NoCacheReason, Source, compile};

use crate::v8::errors::OWN_SCRIPT;
use crate::v8::own_script::own_script;

/// The scripts: one function, see [`crate::run::blank_isolate`]. This function and those nested in it are called at
/// once, so they are in parentheses: V8 then compiles them eagerly instead of parsing them twice.
static SCRIPTS: v8::OneByteConst = own_script!(
    "'use strict';((host) => {",
    " if (host.now !== undefined || host.seed !== undefined || host.fillRandom !== undefined) host.onDemand('determinism')(host);",
    " const json = (",
    include_str!("../../js/runtime/json.js"),
    ")(host); const driver = (",
    include_str!("../../js/runtime/driver.js"),
    ")(host, json); const { log, console } = (",
    include_str!("../../js/runtime/log.js"),
    ")(host); host.batchIndex = driver.batchIndex; const { metadata, setDefaultMetadata } = (",
    include_str!("../../js/runtime/metadata.js"),
    ")(host); const { getCredential, setCredentials } = (",
    include_str!("../../js/runtime/credential.js"),
    ")(); const network = (",
    include_str!("../../js/runtime/network.js"),
    ")(host); const builtIns = (",
    include_str!("../../js/runtime/built_ins.js"),
    ")(host); const { close, ready, restart } = (",
    include_str!("../../js/runtime/lockdown.js"),
    ")(builtIns); (",
    include_str!("../../js/runtime/web.js"),
    ")(host, close); const global = globalThis;",
    " for (const [name, value] of Object.entries({ log, console, getCredential, ...network, global })) {",
    " Object.defineProperty(globalThis, name, { value, writable: true, configurable: true }); }",
    " const begin = ((credentials, careful, defaultMetadata) => {",
    " setCredentials(credentials); json.setCareful(careful); setDefaultMetadata(defaultMetadata); });",
    " return { driver, metadata, restart, begin, ready: (() => ready([metadata])) }; })",
);

/// The code cache.
static COMPILED: OnceLock<Vec<u8>> = OnceLock::new();

/// Whether an isolate of this process has been idle.
static IDLED: AtomicBool = AtomicBool::new(false);

/// Compiles the scripts, or loads them from the code cache once [`keep`] has created it.
pub(crate) fn script<'s>(scope: &mut v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Script>> {
    let code = v8::String::new_from_onebyte_const(scope, &SCRIPTS)?;
    let name = v8::String::new(scope, OWN_SCRIPT)?;
    let origin = v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, 0, None, false, false, false, None);
    let (mut source, options) = match COMPILED.get() {
        Some(compiled) => {
            let compiled = CachedData::new(compiled);
            (Source::new_with_cached_data(code, Some(&origin), compiled), CompileOptions::ConsumeCodeCache)
        }
        None => (Source::new(code, Some(&origin)), CompileOptions::NoCompileOptions),
    };
    compile(scope, &mut source, options, NoCacheReason::NoReason)
}

/// Creates the code cache, which includes all functions that have run, unless it exists.
pub(crate) fn keep(script: v8::Local<v8::UnboundScript>) {
    COMPILED.get_or_init(|| script.create_code_cache().map(|compiled| compiled.to_vec()).unwrap_or_default());
}

/// Whether an idle process should create the code cache. The first time it returns false: a run of a few events ends
/// there and would never use the cache.
pub(crate) fn is_to_be_kept() -> bool {
    IDLED.swap(true, Ordering::Relaxed)
}

/// Whether the code cache exists.
pub(crate) fn is_kept() -> bool {
    COMPILED.get().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_script_takes_several_lines() {
        // A template literal across lines would lose its indentation.
        assert!(SCRIPTS.lines().all(|line| line.matches('`').count() % 2 == 0));
    }
}
