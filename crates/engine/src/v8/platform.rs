//! V8 itself, which is set up once per process and never taken down.
//!
//! Its flags freeze at the first isolate. Where V8 can use memory protection keys, every thread that runs it must
//! descend from the one that set it up: a worker process sets it up on its main thread, before any other thread
//! exists, and keeps the protection. A program that embeds the engine makes isolates on whatever thread it likes, so
//! there it is off.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use deno_core::v8;

/// How V8 guards the memory that it writes machine code to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// With memory protection keys. Only if this is the process's first thread and the only one so far.
    Keys,
    /// Without; isolates may live on any thread.
    None,
}

/// V8's flags, the same in every process of ours. Each has been measured, see `docs/benchmarks.md`.
const FLAGS: &[&str] = &[
    // The worker processes fill the cores already; helper threads would only take turns with them.
    "--single-threaded-gc",
    // Values are not internalised while JSON is parsed: events repeat keys, not values, and the lookup costs a wide event
    // a tenth to a fifth of its time.
    "--json-parse-max-heuristically-internalized-strings=0",
    // V8 15.0 drops the interrupt check of an endless loop around an inlined, bounded one, such as
    // `for (;;) list.push(new Array(1000).fill(1))`, once Turbofan has compiled it: termination is never noticed, and
    // the heap grows past every limit. Found by that very line; unrolling is what removes the check.
    "--no-turboshaft-loop-unrolling",
];

static PLATFORM: OnceLock<v8::SharedRef<v8::Platform>> = OnceLock::new();

/// Whether this process was set up as a worker.
static IS_WORKER: AtomicBool = AtomicBool::new(false);

/// Whether this process runs nothing but an engine, and is replaced when it ends.
pub(crate) fn is_worker() -> bool {
    IS_WORKER.load(Ordering::Relaxed)
}

/// Sets V8 up, unless it is set up. The first caller's choice holds.
pub fn initialize(protection: Protection) {
    initialize_with(protection, false);
}

/// Sets V8 up, unless it is set up; with `jitless`, so that it makes no machine code: slower, and without the part of V8
/// in which most ways out of it were found.
pub fn initialize_with(protection: Protection, jitless: bool) {
    set_up(protection, jitless, false);
}

/// The same in a process that forks later, so that V8 must start no threads: what it does elsewhere on a thread of its own,
/// mostly to optimise code, it does in between.
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
            // What is compiled before this process forks stays: its children share it.
            flags.extend(["--single-threaded", "--no-flush-bytecode"].map(str::to_owned));
        }
        let unknown = deno_core::v8_set_flags(flags);
        assert_eq!(unknown.len(), 1, "V8 does not know these flags: {:?}", &unknown[1..]);
        // Without an environment ICU falls back to the POSIX locale, in which `toLocaleString` groups no digits.
        v8::icu::set_default_locale("en-US");
        // V8 would open a file for it, which a worker cannot.
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

/// Runs what V8 has put off for this isolate: mostly pieces of garbage collection.
pub(crate) fn pump(isolate: &v8::Isolate) {
    if let Some(platform) = PLATFORM.get() {
        while v8::Platform::pump_message_loop(platform, isolate, false) {}
    }
}

/// V8's version. Needs no V8 to be set up.
pub fn version() -> &'static str {
    v8::V8::get_version()
}
