//! The V8 platform, which is set up once per process and never torn down.
//!
//! V8's flags freeze when the first isolate is made. If V8 can use memory protection keys, every thread that
//! runs it must descend from the thread that set it up: a worker process sets it up on its main thread, before
//! any other thread exists, and keeps the protection. A program that embeds the engine makes isolates on any
//! thread, so the protection is off there.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use deno_core::v8;

/// How V8 protects its memory for machine code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// With memory protection keys. Only allowed if the calling thread is the process's first and only thread so far.
    Keys,
    /// Without protection. Isolates may live on any thread.
    None,
}

/// V8's flags, the same in every process that runs the engine. Each was measured, see `docs/benchmarks.md`.
const FLAGS: &[&str] = &[
    // The worker processes already occupy the cores, so helper threads would only compete with them.
    "--single-threaded-gc",
    // Does not internalize values while parsing JSON: events repeat keys, not values, and the lookup costs a wide
    // event a tenth to a fifth of its time.
    "--json-parse-max-heuristically-internalized-strings=0",
    // Works around a bug of V8 15.0: once Turbofan has compiled an endless loop around an inlined, bounded one, such as
    // `for (;;) list.push(new Array(1000).fill(1))`, the loop has no interrupt check. Termination is never noticed, and
    // the heap grows past every limit. Found with that very line; loop unrolling removes the check.
    "--no-turboshaft-loop-unrolling",
];

static PLATFORM: OnceLock<v8::SharedRef<v8::Platform>> = OnceLock::new();

/// Whether this process was set up as a worker.
static IS_WORKER: AtomicBool = AtomicBool::new(false);

/// Whether this process only runs an engine and is replaced when it ends.
pub(crate) fn is_worker() -> bool {
    IS_WORKER.load(Ordering::Relaxed)
}

/// Sets V8 up, unless that was done before. The first caller's choice holds.
pub fn initialize(protection: Protection) {
    initialize_with(protection, false);
}

/// Sets V8 up, unless that was done before. With `jitless`, V8 makes no machine code: slower, but without the part of
/// V8 in which most sandbox escapes were found.
pub fn initialize_with(protection: Protection, jitless: bool) {
    set_up(protection, jitless, false);
}

/// Sets V8 up in a process that forks later, so V8 must start no threads: work that otherwise runs on a background
/// thread, mostly optimization, runs on the main thread.
pub fn initialize_to_fork(jitless: bool) {
    set_up(Protection::Keys, jitless, true);
}

fn set_up(protection: Protection, jitless: bool, single_threaded: bool) {
    PLATFORM.get_or_init(|| {
        IS_WORKER.store(protection == Protection::Keys, Ordering::Relaxed);
        let mut flags = vec!["sluicegate".to_owned()];
        flags.extend(FLAGS.iter().map(|flag| (*flag).to_owned()));
        flags.extend(jitless.then(|| "--jitless".to_owned()));
        if single_threaded {
            // Bytecode compiled before this process forks is kept: its children share it.
            flags.extend(["--single-threaded", "--no-flush-bytecode"].map(str::to_owned));
        }
        let unknown = deno_core::v8_set_flags(flags);
        assert_eq!(unknown.len(), 1, "V8 does not know these flags: {:?}", &unknown[1..]);
        // Without an environment, ICU falls back to the POSIX locale, in which `toLocaleString` does not group digits.
        v8::icu::set_default_locale("en-US");
        // V8 would open a file for entropy, which a worker is not allowed to.
        v8::V8::set_entropy_source(|buffer| {
            rustix::rand::getrandom(buffer, rustix::rand::GetRandomFlags::empty()).is_ok()
        });
        let platform = match protection {
            Protection::Keys if single_threaded => v8::new_single_threaded_default_platform(false),
            Protection::Keys => v8::new_default_platform(1, false),
            Protection::None => v8::new_unprotected_default_platform(1, false),
        }
        .make_shared();
        v8::V8::initialize_platform(platform.clone());
        v8::V8::initialize();
        platform
    });
}

/// Runs the tasks that V8 has deferred for this isolate, mostly steps of garbage collection.
pub(crate) fn pump(isolate: &v8::Isolate) {
    if let Some(platform) = PLATFORM.get() {
        while v8::Platform::pump_message_loop(platform, isolate, false) {}
    }
}

/// V8's version. Does not need V8 to be set up.
pub fn version() -> &'static str {
    v8::V8::get_version()
}
