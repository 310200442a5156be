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

use std::collections::BTreeMap;
use std::io;
use std::sync::OnceLock;

use landlock::{
    ABI, Access, AccessFs, AccessNet, RestrictionStatus, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
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

/// Moves into a user namespace in which nobody is anyone, where the kernel lets it; many a container does not.
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
    const STREAMS: Descriptors = Descriptors { read: &[0], write: &[1, 2], socket: None };
    let program = program(true, &STREAMS, std::process::id()).map_err(|error| error.to_string())?;
    match seccompiler::apply_filter_all_threads(&program) {
        // A kernel without it has none for workers either, which is told where they are started.
        Ok(()) | Err(_) => Ok(()),
    }
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
    walls.note("system calls", what, filter(jitless));
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

/// Compares an argument with a value.
fn arg(index: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, op, value)
}

/// The same for arguments of which the kernel looks at 32 bits only, such as descriptors.
fn word(index: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// System calls that are allowed with any arguments.
const FREE: &[i64] = &[
    // Memory that the process has.
    libc::SYS_munmap,
    libc::SYS_brk,
    // Waiting, clocks, chance.
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_getres,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    libc::SYS_getrandom,
    libc::SYS_membarrier,
    libc::SYS_getcpu,
    libc::SYS_sched_getaffinity,
    // Who am I, and the end.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_close,
    // The handlers of this process's own signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
];

/// What the owner of some memory may advise the kernel to do with it. Others reach beyond the process's own memory (`REMOVE`,
/// `PAGEOUT`), keep it from being counted, or are for machines to be tested with.
const ADVICE: &[i32] = &[
    libc::MADV_NORMAL,
    libc::MADV_WILLNEED,
    libc::MADV_DONTNEED,
    libc::MADV_FREE,
    libc::MADV_DONTFORK,
    libc::MADV_HUGEPAGE,
    libc::MADV_NOHUGEPAGE,
    libc::MADV_DONTDUMP,
    libc::MADV_DODUMP,
];

/// What can be done with a futex: waiting and waking. Not those that hand over priorities, in which most faults were found.
const FUTEX: &[i32] = &[
    libc::FUTEX_WAIT,
    libc::FUTEX_WAKE,
    libc::FUTEX_REQUEUE,
    libc::FUTEX_CMP_REQUEUE,
    libc::FUTEX_WAKE_OP,
    libc::FUTEX_WAIT_BITSET,
    libc::FUTEX_WAKE_BITSET,
];

/// The flags of a futex operation beside the operation itself.
const FUTEX_FLAGS: u64 = (libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) as u64;

/// The flags of `mmap` that say whose the memory is: shared or private, of a file or of nothing.
const MAP_KIND: u64 = 0xf | libc::MAP_ANONYMOUS as u64;

/// The flags of `mmap` that are looked at, and what they must be: private memory, of nothing.
const MAP_CHECKED: u64 = MAP_KIND | (libc::MAP_GROWSDOWN | libc::MAP_HUGETLB | libc::MAP_LOCKED) as u64;
const MAP_OWN: u64 = (libc::MAP_ANONYMOUS | libc::MAP_PRIVATE) as u64;

/// The descriptors that a process has.
struct Descriptors {
    read: &'static [u64],
    write: &'static [u64],
    socket: Option<u64>,
}

/// Those of a worker. V8's last words go to standard error.
const WORKER: Descriptors =
    Descriptors { read: &[SOCKET as u64], write: &[SOCKET as u64, 2], socket: Some(SOCKET as u64) };

/// What a process that forks needs of the kernel beside what its children keep, and they until their walls stand.
const TO_FORK: &[i64] = &[
    // Orders and descriptors.
    libc::SYS_recvmsg,
    libc::SYS_fcntl,
    libc::SYS_dup3,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    libc::SYS_close_range,
    libc::SYS_setsockopt,
    // Children, and their watchdogs.
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_getppid,
    libc::SYS_setpgid,
    // The walls themselves.
    libc::SYS_prctl,
    libc::SYS_capget,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
    libc::SYS_seccomp,
];

/// And what they need with other arguments than they do later.
const NARROWED: &[i64] = &[libc::SYS_mmap, libc::SYS_tgkill, libc::SYS_prlimit64];

/// The list of system calls for workers comes in two parts where they are forked, because the kernel takes as long to take over a
/// list as it is long: what nobody needs who forks or is forked is refused from before the fork, the rest by each child.
/// Together they allow what the list does.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Whole,
    BeforeFork,
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
    let list = list(jitless, &WORKER, SOME_PROCESS, Part::BeforeFork).map_err(io::Error::other)?;
    // Made once here, so that a child that could not is not the first to find out.
    rest(jitless, SOME_PROCESS).map_err(io::Error::other)?;
    seccompiler::apply_filter(&list).map_err(io::Error::other)?;
    let _ = INHERITED.set(Inherited { alone });
    Ok(())
}

/// Where the number does not matter, because the other part compares it.
const SOME_PROCESS: u32 = 0;

/// Nothing but this from here on, for every thread of the process.
fn filter(jitless: bool) -> Result<(), String> {
    let own = std::process::id();
    let program = if INHERITED.get().is_some() { rest(jitless, own) } else { program(jitless, &WORKER, own) };
    seccompiler::apply_filter_all_threads(&program.map_err(|error| error.to_string())?)
        .map_err(|error| error.to_string())
}

/// What a child refuses beside what it has inherited. It allows whatever it does not name.
fn rest(jitless: bool, own: u32) -> Result<BpfProgram, seccompiler::BackendError> {
    use SeccompCmpOp::{MaskedEq, Ne};
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = TO_FORK.iter().map(|call| (*call, Vec::new())).collect();
    let mut refuse = |call: i64, condition: SeccompCondition| -> Result<(), seccompiler::BackendError> {
        rules.entry(call).or_default().push(SeccompRule::new(vec![condition])?);
        Ok(())
    };
    // The same as in `list`, the other way round: for each bit that must be so, that it isn't.
    for bit in (0..u64::BITS).map(|bit| 1 << bit).filter(|bit| MAP_CHECKED & bit != 0) {
        refuse(libc::SYS_mmap, arg(3, MaskedEq(bit), !MAP_OWN & bit)?)?;
    }
    if jitless {
        refuse(libc::SYS_mmap, arg(2, MaskedEq(libc::PROT_EXEC as u64), libc::PROT_EXEC as u64)?)?;
    }
    refuse(libc::SYS_tgkill, SeccompCondition::new(0, SeccompCmpArgLen::Dword, Ne, u64::from(own))?)?;
    refuse(libc::SYS_prlimit64, SeccompCondition::new(0, SeccompCmpArgLen::Dword, Ne, 0)?)?;
    refuse(libc::SYS_prlimit64, arg(2, Ne, 0)?)?;
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32), arch)?.try_into()
}

fn program(jitless: bool, descriptors: &Descriptors, own: u32) -> Result<BpfProgram, seccompiler::BackendError> {
    list(jitless, descriptors, own, Part::Whole)
}

fn list(
    jitless: bool,
    descriptors: &Descriptors,
    own: u32,
    part: Part,
) -> Result<BpfProgram, seccompiler::BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq};
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = FREE.iter().map(|call| (*call, Vec::new())).collect();
    let mut allow = |call: i64, conditions: Vec<SeccompCondition>| -> Result<(), seccompiler::BackendError> {
        rules.entry(call).or_default().push(SeccompRule::new(conditions)?);
        Ok(())
    };
    for read in descriptors.read {
        allow(libc::SYS_read, vec![word(0, *read)?])?;
    }
    for write in descriptors.write {
        allow(libc::SYS_write, vec![word(0, *write)?])?;
    }
    if let Some(socket) = descriptors.socket {
        allow(libc::SYS_recvfrom, vec![word(0, socket)?])?;
        // Without an address: to whom the socket is connected.
        allow(libc::SYS_sendto, vec![word(0, socket)?, arg(4, Eq, 0)?])?;
    }
    for advice in ADVICE {
        allow(libc::SYS_madvise, vec![word(2, *advice as u64)?])?;
    }
    for operation in FUTEX {
        let operation =
            SeccompCondition::new(1, SeccompCmpArgLen::Dword, MaskedEq(!FUTEX_FLAGS & 0xFFFF_FFFF), *operation as u64)?;
        allow(libc::SYS_futex, vec![operation])?;
    }
    // Memory that is the process's own, and private: no file can be mapped, and what is shared or grows by itself would not
    // count against RLIMIT_DATA. Machine code needs memory that can be written and executed (V8 guards it with memory
    // protection keys); without it, nothing that is written can ever be.
    let anonymous = arg(3, MaskedEq(MAP_CHECKED), MAP_OWN)?;
    if jitless {
        let data = || arg(2, MaskedEq(libc::PROT_EXEC as u64), 0);
        allow(libc::SYS_mmap, vec![anonymous, data()?])?;
        allow(libc::SYS_mprotect, vec![data()?])?;
        allow(libc::SYS_pkey_mprotect, vec![data()?])?;
    } else {
        allow(libc::SYS_mmap, vec![anonymous])?;
        for call in [libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
            // Any arguments: a condition that always holds.
            allow(call, vec![arg(2, MaskedEq(0), 0)?])?;
        }
    }
    // A growing buffer of malloc's. Never to a place that the caller names.
    allow(libc::SYS_mremap, vec![arg(3, MaskedEq(!(libc::MREMAP_MAYMOVE as u64)), 0)?])?;
    // `abort` sends a signal to its own thread.
    allow(libc::SYS_tgkill, vec![word(0, u64::from(own))?])?;
    // Reading one's own limits; setting them needs the third argument.
    allow(libc::SYS_prlimit64, vec![word(0, 0)?, arg(2, Eq, 0)?])?;
    if part == Part::BeforeFork {
        for call in TO_FORK.iter().chain(NARROWED) {
            rules.insert(*call, Vec::new());
        }
    }
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow, arch)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 4321;

    /// What the kernel would answer by this list: 0 for what is refused by killing, else `SECCOMP_RET_…` and the error's number.
    fn answer(program: &BpfProgram, call: i64, args: [u64; 6]) -> u32 {
        let mut data = [0_u32; 16];
        data[0] = call as u32;
        data[1] = if cfg!(target_arch = "x86_64") { 0xC000_003E } else { 0xC000_00B7 };
        for (i, arg) in args.into_iter().enumerate() {
            (data[4 + 2 * i], data[5 + 2 * i]) = (arg as u32, (arg >> 32) as u32);
        }
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let now = &program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { now.jt } else { now.jf });
            match now.code {
                0x20 => accumulator = data[now.k as usize / 4],
                0x54 => accumulator &= now.k,
                0x05 => at += now.k as usize,
                0x15 => at += jump(accumulator == now.k),
                0x25 => at += jump(accumulator > now.k),
                0x35 => at += jump(accumulator >= now.k),
                0x06 => return now.k,
                code => panic!("an instruction that no list has: {code:#x}"),
            }
        }
    }

    #[test]
    fn both_parts_of_the_list_allow_what_the_list_does() {
        const ALLOWED: u32 = 0x7fff_0000;
        let numbers = [
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_recvfrom,
            libc::SYS_sendto,
            libc::SYS_madvise,
            libc::SYS_futex,
            libc::SYS_mprotect,
            libc::SYS_pkey_mprotect,
            libc::SYS_mremap,
            libc::SYS_openat,
            libc::SYS_socket,
            libc::SYS_execve,
            libc::SYS_ptrace,
            libc::SYS_unshare,
            libc::SYS_kill,
            libc::SYS_sendmsg,
            libc::SYS_dup,
        ];
        let calls = || numbers.iter().chain(TO_FORK).chain(NARROWED).chain(FREE);
        for jitless in [false, true] {
            let whole = program(jitless, &WORKER, OWN).unwrap();
            let before = list(jitless, &WORKER, SOME_PROCESS, Part::BeforeFork).unwrap();
            let rest = rest(jitless, OWN).unwrap();
            let mut allowed = 0;
            for call in calls() {
                for a in [0, 2, 3, 4, u64::from(OWN), u64::MAX] {
                    for b in [0, 1, 6] {
                        for c in [0, 1, 3, 4, 7, 9, 1 << 40] {
                            for d in [0, 1, 2, 3, 0x21, 0x22, 0x122, 0x2022, 0x4022, 0x4_0022, 1 << 40 | 0x22] {
                                for e in [0, 1] {
                                    let args = [a, b, c, d, e, 0];
                                    let one = answer(&whole, *call, args) == ALLOWED;
                                    let two = answer(&before, *call, args) == ALLOWED
                                        && answer(&rest, *call, args) == ALLOWED;
                                    assert_eq!(one, two, "{call} {args:x?}, jitless: {jitless}");
                                    allowed += usize::from(one);
                                }
                            }
                        }
                    }
                }
            }
            assert!(allowed > 0);
        }
    }
}
