//! The kernel's wall: what a worker gives up before it is shown the author's code.
//!
//! V8's own limits and the lockdown are for code that plays by JavaScript's rules. This is for code that has found a
//! way out of them and runs as it pleases inside the process. It finds a process that can compute, use the memory that
//! it may have, read and write one socket to its supervisor, and nothing else: no files, no network, no other process,
//! no environment, no way to start a thread or a program.
//!
//! Two steps, because Landlock binds a thread and those that it starts, while seccomp must come after the last thread
//! was started:
//!
//! 1. [`first`], before V8: the parent's death, no new privileges, no core dump and no debugger, Landlock.
//! 2. [`last`], when V8 and the watchdog are up, and before the first byte of code is read: descriptors, resource
//!    limits, and the list of system calls, for all threads at once.
//!
//! The list is an allowlist, found by tracing workers under load (compilation, collections, timeouts, heap limits,
//! replaced isolates, `Intl`); `docs/security.md` says how to repeat that. Whatever is not on it fails with `EPERM`, so
//! that libraries which ask for something optional (a file in `/sys`) go on without it. What the kernel lacks is told
//! to the supervisor, which warns, or refuses to run with `--require-sandbox`.

mod system_calls;

use std::io;
use std::sync::OnceLock;

use landlock::{
    ABI, Access, AccessFs, AccessNet, RestrictionStatus, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};

/// The one descriptor that is left: a socket to the supervisor.
pub(crate) const SOCKET: i32 = 3;

/// One of the walls around a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wall {
    /// What it is called.
    pub name: String,
    /// Whether it stands.
    pub holds: bool,
    /// What it keeps out, or why it does not stand.
    pub detail: String,
}

/// All of them, in the order in which they were built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReport(pub Vec<Wall>);

impl SandboxReport {
    /// Notes what came of building one.
    fn note(&mut self, name: &str, what: &str, result: Result<(), impl ToString>) {
        let (holds, detail) = match result {
            Ok(()) => (true, what.to_owned()),
            Err(error) => (false, error.to_string()),
        };
        self.0.push(Wall { name: name.to_owned(), holds, detail });
    }

    /// Those that do not stand, in words; nothing if all do.
    pub fn lacking(&self) -> Option<String> {
        let lacking: Vec<String> =
            self.0.iter().filter(|wall| !wall.holds).map(|wall| format!("{} ({})", wall.name, wall.detail)).collect();
        (!lacking.is_empty()).then(|| lacking.join(", "))
    }
}

/// What is built before V8 is set up and a second thread exists.
pub(crate) fn first() -> SandboxReport {
    let mut walls = SandboxReport::default();
    // First of all: what changes a process's rights also makes it forget what its parent's death means to it.
    let (what, capabilities) = match INHERITED.get() {
        Some(Inherited { alone }) => {
            (if *alone { "none, in a user namespace of workers only" } else { "none" }, no_capabilities())
        }
        None => (if own_user() { "none, in a user namespace of its own" } else { "none" }, drop_capabilities()),
    };
    walls.note("capabilities", what, capabilities);
    walls.note(
        "parent's death",
        "a supervisor that is killed takes its workers with it",
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)),
    );
    walls.note(
        "no new privileges",
        "no program could gain any by being started",
        rustix::thread::set_no_new_privs(true),
    );
    walls.note(
        "not dumpable",
        "no core dump with personal data in it, and no other worker can look into this one",
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable),
    );
    let environment = if std::env::vars_os().next().is_none() { Ok(()) } else { Err("it is not empty") };
    walls.note("environment", "there is none to read", environment);
    match landlock() {
        Ok(status) => {
            let (what, result) = match status.ruleset {
                RulesetStatus::FullyEnforced => {
                    ("no files, no TCP, no signals and no sockets outside of the worker", Ok(()))
                }
                RulesetStatus::PartiallyEnforced => ("no files; this kernel does not know the rest", Ok(())),
                RulesetStatus::NotEnforced => ("", Err("this kernel has none")),
            };
            walls.note("Landlock", what, result);
        }
        Err(error) => walls.note("Landlock", "", Err(error)),
    }
    walls
}

/// Moves into a user namespace without any users, if the kernel allows it; many containers do not.
fn own_user() -> bool {
    // SAFETY: this process has one thread yet; nothing in it relies on who its user is.
    unsafe { libc::unshare(libc::CLONE_NEWUSER) == 0 }
}

/// What the children of a process that forks have from their birth: no rights, and the greater part of the list of system calls.
struct Inherited {
    /// Whether they are in a user namespace that is not the supervisor's.
    alone: bool,
}

/// Set in a process that forks, and so in its children.
static INHERITED: OnceLock<Inherited> = OnceLock::new();

/// Says whether this process has none, as the kernel tells it.
fn no_capabilities() -> io::Result<()> {
    let has = rustix::thread::capabilities(None)?;
    let none = has.effective.is_empty() && has.permitted.is_empty() && has.inheritable.is_empty();
    if none { Ok(()) } else { Err(io::Error::other("some were inherited")) }
}

/// A user who may do everything may do nothing special from here on.
fn drop_capabilities() -> io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    let none = CapabilitySet::empty();
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}

/// The same for the process that parses TypeScript, as far as the kernel has it.
pub(crate) fn first_of_parser() {
    own_user();
    let _ = drop_capabilities();
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let _ = rustix::thread::set_no_new_privs(true);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = landlock();
}

/// And when its last thread is started: its standard streams are all that it has.
pub(crate) fn last_of_parser() -> Result<(), String> {
    system_calls::filter_of_parser()
}

/// Handles everything and allows nothing.
fn landlock() -> Result<RestrictionStatus, RulesetError> {
    let abi = ABI::V6;
    Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .restrict_self()
}

/// What is built when no thread will be started any more. `memory` is the most that this process may use, in bytes.
pub(crate) fn last(walls: &mut SandboxReport, memory: usize, jitless: bool) {
    walls.note("descriptors", "one socket is open, to the supervisor", close_all());
    walls.note("resource limits", "memory, size of files, no more descriptors, no core file", limit(memory));
    let what = if jitless {
        "only what V8 cannot do without; no memory can be made executable"
    } else {
        "only what V8 cannot do without"
    };
    walls.note("system calls", what, system_calls::filter(jitless, INHERITED.get().is_some()));
}

/// Closes everything but the standard streams (which lead nowhere) and the socket.
fn close_all() -> io::Result<()> {
    let first = SOCKET as u32 + 1;
    // SAFETY: shared memory is mapped by now, and nothing of ours keeps a descriptor above the socket's.
    if unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::ENOSYS) {
        return Err(error);
    }
    // Before Linux 5.9. The supervisor's descriptors are marked close-on-exec: few can be here.
    for fd in first as i32..1024 {
        // SAFETY: as above; one that is not open is an error without consequence.
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
    // V8's last words go to a file in memory; they are short.
    lower(Resource::Fsize, 1 << 20)?;
    lower(Resource::Memlock, 0)?;
    // Not RLIMIT_AS: V8 reserves far more addresses than it uses. This one counts what was made writable.
    lower(Resource::Data, memory as u64)?;
    Ok(())
}

/// Builds those walls that children of this process can inherit. It does nothing from here on but fork.
///
/// # Errors
/// If the kernel does not tell that they stand: then each child builds all of its own.
pub(crate) fn prepare(jitless: bool) -> io::Result<()> {
    let alone = own_user();
    drop_capabilities()?;
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    system_calls::filter_before_fork(jitless)?;
    let _ = INHERITED.set(Inherited { alone });
    Ok(())
}
