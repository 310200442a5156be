//! The engine's own scripts, `js/runtime`, as V8 gets them.
//!
//! An isolate that hit a limit is replaced, and the events behind it wait. So what V8 has compiled for the first isolate
//! of a process is kept for the others, and V8 never reads what is written for people.

use std::sync::{LazyLock, OnceLock};

use deno_core::v8;
use v8::script_compiler::{CachedData, CompileOptions, NoCacheReason, Source, compile};

use crate::v8::errors::OWN_SCRIPT;

/// The scripts as they are written: one function, see [`crate::run::blank_isolate`].
const WRITTEN: &str = concat!(
    "'use strict';(host) => { (",
    include_str!("../../js/runtime/scene.js"),
    ")(host); const json = (",
    include_str!("../../js/runtime/json.js"),
    ")(host); const plan = (",
    include_str!("../../js/runtime/print_plan.js"),
    ")(); const driver = (",
    include_str!("../../js/runtime/driver.js"),
    ")(host, json, plan); const { log, console } = (",
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
    " const begin = (credentials, careful, defaultMetadata) => {",
    " setCredentials(credentials); json.setCareful(careful); setDefaultMetadata(defaultMetadata); };",
    " return { driver, metadata, restart, begin, ready: () => ready([metadata]) }; }",
);

/// The same without the lines that are comments, and without indentation.
static SCRIPTS: LazyLock<String> = LazyLock::new(|| without_comments(WRITTEN));

/// What V8 has compiled of it.
static COMPILED: OnceLock<Vec<u8>> = OnceLock::new();

/// The scripts, compiled. What they are compiled to is kept from [`keep`] on.
pub(crate) fn script<'s>(scope: &mut v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Script>> {
    let code = v8::String::new_from_one_byte(scope, SCRIPTS.as_bytes(), v8::NewStringType::Normal)?;
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

/// Keeps what V8 has compiled of the scripts, with all functions that have run, if it is not there yet.
pub(crate) fn keep(script: v8::Local<v8::UnboundScript>) {
    COMPILED.get_or_init(|| script.create_code_cache().map(|compiled| compiled.to_vec()).unwrap_or_default());
}

/// Whether there is something to be kept.
pub(crate) fn is_kept() -> bool {
    COMPILED.get().is_some()
}

/// Lines stay where they are.
fn without_comments(written: &str) -> String {
    let mut read = String::with_capacity(written.len());
    let mut in_comment = false;
    for line in written.lines() {
        let line = line.trim_start();
        in_comment |= line.starts_with("/*");
        if !in_comment && !line.starts_with("//") {
            read.push_str(line);
        }
        read.push('\n');
        in_comment &= !line.ends_with("*/");
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_comments_and_indentation_are_left_out() {
        let written = "(\n  // why\n  /** what */\n  /**\n   * more\n   */\n  const a = 1; // here\n  return a;\n)(b)";
        assert_eq!(without_comments(written), "(\n\n\n\n\n\nconst a = 1; // here\nreturn a;\n)(b)\n");
        assert_eq!(SCRIPTS.lines().count(), WRITTEN.lines().count());
        // A template of several lines would lose its indentation, and V8 reads the scripts byte by byte.
        assert!(SCRIPTS.lines().all(|line| line.matches('`').count() % 2 == 0));
        assert!(SCRIPTS.is_ascii());
    }
}
