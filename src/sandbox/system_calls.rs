//! The list of system calls that a sandboxed process may make.
//!
//! Forked workers get the list in two parts, because installing a longer list takes the kernel longer. The prepared
//! process already refuses every call that neither forking nor building the sandbox needs; each child refuses the rest.
//! Both parts together allow the same calls as the whole list.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::SOCKET;

/// Compares an argument with a value.
fn arg(index: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, op, value)
}

/// Compares an argument of which the kernel reads only 32 bits, such as a descriptor.
fn word(index: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// System calls that are allowed with any arguments.
const FREE: &[i64] = &[
    // The process's own memory.
    libc::SYS_munmap,
    libc::SYS_brk,
    // Waiting, clocks, random numbers.
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
    // Process and thread ids, and exiting.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_close,
    // Handlers for the process's own signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
];

/// The allowed kinds of `madvise`. The others reach beyond the process's own memory (`REMOVE`, `PAGEOUT`), exempt
/// memory from accounting, or exist to test machines.
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

/// The allowed futex operations: waiting and waking. The operations with priority inheritance are left out, because
/// most vulnerabilities were found in them.
const FUTEX: &[i32] = &[
    libc::FUTEX_WAIT,
    libc::FUTEX_WAKE,
    libc::FUTEX_REQUEUE,
    libc::FUTEX_CMP_REQUEUE,
    libc::FUTEX_WAKE_OP,
    libc::FUTEX_WAIT_BITSET,
    libc::FUTEX_WAKE_BITSET,
];

/// The flags that can be combined with a futex operation.
const FUTEX_FLAGS: u64 = (libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) as u64;

/// The flags of `mmap` that select the kind of memory: shared or private, file-backed or anonymous.
const MAP_KIND: u64 = 0xf | libc::MAP_ANONYMOUS as u64;

/// The flags of `mmap` that are checked, and their required value: private and anonymous.
const MAP_CHECKED: u64 = MAP_KIND | (libc::MAP_GROWSDOWN | libc::MAP_HUGETLB | libc::MAP_LOCKED) as u64;
const MAP_OWN: u64 = (libc::MAP_ANONYMOUS | libc::MAP_PRIVATE) as u64;

/// The descriptors that a process may use.
struct Descriptors {
    read: &'static [u64],
    write: &'static [u64],
    socket: Option<u64>,
}

/// A worker's descriptors. V8 writes its fatal errors to standard error.
const WORKER: Descriptors =
    Descriptors { read: &[SOCKET as u64], write: &[SOCKET as u64, 2], socket: Some(SOCKET as u64) };

/// Calls that a forking process needs in addition to those its children keep. A child needs them until its
/// sandbox is complete.
const TO_FORK: &[i64] = &[
    // Fork requests and descriptors.
    libc::SYS_recvmsg,
    libc::SYS_fcntl,
    libc::SYS_dup3,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    libc::SYS_close_range,
    libc::SYS_setsockopt,
    // Children and their watchdogs.
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_getppid,
    libc::SYS_setpgid,
    // The sandbox itself.
    libc::SYS_prctl,
    libc::SYS_capget,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
    libc::SYS_seccomp,
];

/// Calls that forking needs with more arguments than a sandboxed child may use.
const NARROWED: &[i64] = &[libc::SYS_mmap, libc::SYS_tgkill, libc::SYS_prlimit64];

/// Which part of the list to build.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Whole,
    BeforeFork,
}

/// Used where the process id does not matter, because the other part compares it.
const SOME_PROCESS: u32 = 0;

/// Restricts every thread of the process to the listed system calls. `inherited` says whether the process was forked
/// from one that has called [`filter_before_fork`].
pub(super) fn filter(jitless: bool, inherited: bool) -> Result<(), String> {
    let own = std::process::id();
    let program = if inherited { rest(jitless, own) } else { program(jitless, &WORKER, own) };
    seccompiler::apply_filter_all_threads(&program.map_err(|error| error.to_string())?)
        .map_err(|error| error.to_string())
}

/// Refuses every call that neither forking nor building the sandbox needs.
pub(super) fn filter_before_fork(jitless: bool) -> io::Result<()> {
    let list = list(jitless, &WORKER, SOME_PROCESS, Part::BeforeFork).map_err(io::Error::other)?;
    // Builds the child's part once here, so that an error appears before the first fork.
    rest(jitless, SOME_PROCESS).map_err(io::Error::other)?;
    seccompiler::apply_filter(&list).map_err(io::Error::other)
}

/// Installs the list for the process that parses TypeScript: it may only use its standard streams.
pub(super) fn filter_of_parser() -> Result<(), String> {
    const STREAMS: Descriptors = Descriptors { read: &[0], write: &[1, 2], socket: None };
    let program = program(true, &STREAMS, std::process::id()).map_err(|error| error.to_string())?;
    match seccompiler::apply_filter_all_threads(&program) {
        // A kernel without seccomp has none for workers either, and their start reports that.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Builds the list of calls that a child refuses in addition to the inherited list. It allows every other call.
fn rest(jitless: bool, own: u32) -> Result<BpfProgram, seccompiler::BackendError> {
    use SeccompCmpOp::{MaskedEq, Ne};
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = TO_FORK.iter().map(|call| (*call, Vec::new())).collect();
    let mut refuse = |call: i64, condition: SeccompCondition| -> Result<(), seccompiler::BackendError> {
        rules.entry(call).or_default().push(SeccompRule::new(vec![condition])?);
        Ok(())
    };
    // The inverse of the condition in `list`: refuses the call if any checked bit has the wrong value.
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
        // Without an address: only to the peer that the socket is connected to.
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
    // Only private, anonymous memory: no file can be mapped, and shared memory and memory that grows by itself would
    // not count against RLIMIT_DATA. Machine code needs memory that is writable and executable (V8 guards it with
    // memory protection keys). With `jitless`, memory can never be executable.
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
    // `malloc` grows a buffer. The caller can't choose the new address.
    allow(libc::SYS_mremap, vec![arg(3, MaskedEq(!(libc::MREMAP_MAYMOVE as u64)), 0)?])?;
    // `abort` sends a signal to its own thread.
    allow(libc::SYS_tgkill, vec![word(0, u64::from(own))?])?;
    // Reads the process's own limits; setting them would need the third argument.
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

    /// Runs the filter program as the kernel would: returns 0 for a killed process, else `SECCOMP_RET_…` and
    /// the error number.
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
