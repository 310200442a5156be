//! The sandbox: everything a worker gives up before it reads the author's code.
//!
//! V8's own limits and the lockdown hold for code that stays inside the JavaScript language. The sandbox is for code
//! that has escaped V8 and executes arbitrary instructions in the process. That code can compute, use the memory it was
//! allotted, and read and write one socket to the supervisor. It can reach nothing else: no files, no network, no other
//! process, no environment, and it can start no thread and no program.
//!
//! The sandbox is built in two steps, because Landlock applies to the calling thread and the threads it starts later,
//! while seccomp must come after the last thread was started:
//!
//! 1. [`first`], before V8: the parent-death signal, no new privileges, no core dump and no debugger, Landlock.
//! 2. [`last`], when V8 and the watchdog run, and before the first byte of code is read: descriptors, resource limits,
//!    and the list of system calls, for all threads at once.
//!
//! The list is an allowlist. It was made by tracing workers under load (compilation, collections, timeouts, heap
//! limits, replaced isolates, `Intl`); `docs/security.md` says how to repeat that. Every other call fails with `EPERM`,
//! so that libraries which try something optional (a file in `/sys`) continue without it. The report to the supervisor
//! lists the layers that the kernel does not support. The supervisor then warns, or refuses to run with
//! `--require-sandbox`.

mod system_calls;

use std::io;
use std::sync::OnceLock;

use landlock::{
    ABI, Access, AccessFs, AccessNet, RestrictionStatus, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};

/// The only descriptor that stays open: a socket to the supervisor.
pub(crate) const SOCKET: i32 = 3;

/// One layer of a worker's sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxLayer {
    /// The name of the layer.
    pub name: String,
    /// Whether the layer is in force.
    pub holds: bool,
    /// What the layer prevents, or why it is not in force.
    pub detail: String,
}

/// All layers, in the order in which they were set up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReport(pub Vec<SandboxLayer>);

impl SandboxReport {
    /// Records the result of setting up one layer.
    fn note(&mut self, name: &str, what: &str, result: Result<(), impl ToString>) {
        let (holds, detail) = match result {
            Ok(()) => (true, what.to_owned()),
            Err(error) => (false, error.to_string()),
        };
        self.0.push(SandboxLayer { name: name.to_owned(), holds, detail });
    }

    /// Lists the layers that are not in force, as text; `None` if all are.
    pub fn lacking(&self) -> Option<String> {
        let lacking: Vec<String> = self
            .0
            .iter()
            .filter(|layer| !layer.holds)
            .map(|layer| format!("{} ({})", layer.name, layer.detail))
            .collect();
        (!lacking.is_empty()).then(|| lacking.join(", "))
    }
}

/// Sets up the layers that must come before V8 and before a second thread exists.
pub(crate) fn first() -> SandboxReport {
    let mut report = SandboxReport::default();
    // The parent-death signal comes after this step: a change of credentials clears it.
    let (what, capabilities) = match INHERITED.get() {
        Some(Inherited { alone }) => {
            (if *alone { "none, in a user namespace of workers only" } else { "none" }, no_capabilities())
        }
        None => (if own_user() { "none, in a user namespace of its own" } else { "none" }, drop_capabilities()),
    };
    report.note("capabilities", what, capabilities);
    report.note(
        "parent's death",
        "a supervisor that is killed takes its workers with it",
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)),
    );
    report.note(
        "no new privileges",
        "no program could gain any by being started",
        rustix::thread::set_no_new_privs(true),
    );
    report.note(
        "not dumpable",
        "no core dump with personal data in it, and no other worker can look into this one",
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable),
    );
    let environment = if std::env::vars_os().next().is_none() { Ok(()) } else { Err("it is not empty") };
    report.note("environment", "there is none to read", environment);
    match landlock() {
        Ok(status) => {
            let (what, result) = match status.ruleset {
                RulesetStatus::FullyEnforced => {
                    ("no files, no TCP, no signals and no sockets outside of the worker", Ok(()))
                }
                RulesetStatus::PartiallyEnforced => ("no files; this kernel does not know the rest", Ok(())),
                RulesetStatus::NotEnforced => ("", Err("this kernel has none")),
            };
            report.note("Landlock", what, result);
        }
        Err(error) => report.note("Landlock", "", Err(error)),
    }
    report
}

/// Moves into a user namespace without any users, if the kernel allows it. In many containers it does not.
fn own_user() -> bool {
    // SAFETY: this process still has only one thread, and nothing in it depends on its user id.
    unsafe { libc::unshare(libc::CLONE_NEWUSER) == 0 }
}

/// The layers that children of a forking process inherit: no capabilities, and most of the list of system calls.
struct Inherited {
    /// Whether they are in a user namespace that is not the supervisor's.
    alone: bool,
}

/// Set in a process that forks, and therefore also in its children.
static INHERITED: OnceLock<Inherited> = OnceLock::new();

/// Checks that the kernel reports no capabilities for this process.
fn no_capabilities() -> io::Result<()> {
    let has = rustix::thread::capabilities(None)?;
    let none = has.effective.is_empty() && has.permitted.is_empty() && has.inheritable.is_empty();
    if none { Ok(()) } else { Err(io::Error::other("some were inherited")) }
}

/// Drops all capabilities. After that, even root has no special rights.
fn drop_capabilities() -> io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    let none = CapabilitySet::empty();
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}

/// Does the same as [`first`] for the process that parses TypeScript, as far as the kernel supports it.
pub(crate) fn first_of_parser() {
    own_user();
    let _ = drop_capabilities();
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let _ = rustix::thread::set_no_new_privs(true);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = landlock();
}

/// Installs the parser's list of system calls, once its last thread has started. Only its standard streams stay usable.
pub(crate) fn last_of_parser() -> Result<(), String> {
    system_calls::filter_of_parser()
}

/// Denies all access that Landlock controls.
fn landlock() -> Result<RestrictionStatus, RulesetError> {
    let abi = ABI::V6;
    Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .restrict_self()
}

/// Sets up the remaining layers, after the last thread has started. `memory` is the memory limit of this
/// process, in bytes.
pub(crate) fn last(report: &mut SandboxReport, memory: usize, jitless: bool) {
    report.note("descriptors", "one socket is open, to the supervisor", close_all());
    report.note("resource limits", "memory, size of files, no more descriptors, no core file", limit(memory));
    let what = if jitless {
        "only what V8 cannot do without; no memory can be made executable"
    } else {
        "only what V8 cannot do without"
    };
    report.note("system calls", what, system_calls::filter(jitless, INHERITED.get().is_some()));
}

/// Closes all descriptors except the standard streams (which lead nowhere) and the socket.
fn close_all() -> io::Result<()> {
    let first = SOCKET as u32 + 1;
    // SAFETY: shared memory is already mapped, and no code of this program keeps a descriptor above the socket's.
    if unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::ENOSYS) {
        return Err(error);
    }
    // Before Linux 5.9. The supervisor's descriptors are marked close-on-exec, so few can be open here.
    for fd in first as i32..1024 {
        // SAFETY: as above; closing a descriptor that is not open only returns an error.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

fn limit(memory: usize) -> io::Result<()> {
    let lower = |resource, to: u64| {
        let old = rustix::process::getrlimit(resource);
        let to = Some(old.maximum.map_or(to, |maximum| maximum.min(to)));
        rustix::process::setrlimit(resource, Rlimit { current: to, maximum: to })
    };
    lower(Resource::Core, 0)?;
    lower(Resource::Nofile, SOCKET as u64 + 1)?;
    // V8 writes its fatal errors to a file in memory; they are short.
    lower(Resource::Fsize, 1 << 20)?;
    lower(Resource::Memlock, 0)?;
    // Not RLIMIT_AS: V8 reserves far more address space than it uses. RLIMIT_DATA counts writable memory.
    lower(Resource::Data, memory as u64)?;
    Ok(())
}

/// Sets up the layers that children of this process can inherit. From here on, this process only forks.
///
/// # Errors
/// If the kernel does not confirm these layers. Each child then sets up all layers itself.
pub(crate) fn prepare(jitless: bool) -> io::Result<()> {
    let alone = own_user();
    drop_capabilities()?;
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    system_calls::filter_before_fork(jitless)?;
    let _ = INHERITED.set(Inherited { alone });
    Ok(())
}
