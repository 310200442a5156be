//! What happens where a wall is missing: the process starts under a filter that answers for the kernel that it does not
//! know this system call, and its workers inherit it.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::support::{Dir, Done, finish};

const CODE: &str = "export const transformEvent = (event) => event;";

/// Runs the binary on a kernel that seems to lack a system call.
fn without(call: i64, dir: &Dir, args: &[&str]) -> Done {
    let rules = [(call, Vec::new())].into();
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32), arch);
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    let mut command: Command = dir.command(args);
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            // SAFETY: numbers only.
            if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            seccompiler::apply_filter(&program).map_err(|_| std::io::ErrorKind::Other.into())
        });
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn().unwrap(), b"{\"n\":1}\n{\"n\":2}\n".to_vec())
}

/// The two walls that a kernel may not have.
const MISSING: &[(i64, &str)] = &[(libc::SYS_landlock_create_ruleset, "Landlock"), (libc::SYS_seccomp, "system calls")];

#[test]
fn with_require_sandbox_a_missing_wall_is_an_error_and_nothing_runs() {
    let dir = Dir::with(CODE);
    for (call, wall) in MISSING {
        let done = without(*call, &dir, &["run", "t.js", "--require-sandbox", "-j2"]);
        assert_eq!((done.code, done.text()), (2, ""), "{wall}: {}", done.err);
        assert!(done.err.starts_with("error: this kernel lacks a part of the sandbox"), "{wall}: {}", done.err);
        assert!(done.err.contains(wall), "{wall}: {}", done.err);
    }
}

#[test]
fn without_it_a_missing_wall_is_a_warning_and_it_comes_once() {
    let dir = Dir::with(CODE);
    for (call, wall) in MISSING {
        let done = without(*call, &dir, &["run", "t.js", "-j2"]);
        assert_eq!((done.code, done.text()), (0, "{\"n\":1}\n{\"n\":2}\n"), "{wall}: {}", done.err);
        let warnings: Vec<&str> = done.err.lines().filter(|line| line.starts_with("warning: ")).collect();
        assert_eq!(warnings.len(), 1, "{wall}: {}", done.err);
        assert!(warnings[0].contains(wall), "{wall}: {}", done.err);
    }
}

#[test]
fn doctor_says_which_wall_is_missing() {
    let dir = Dir::new();
    for (call, wall) in MISSING {
        let done = without(*call, &dir, &["doctor"]);
        assert_eq!(done.code, 2, "{wall}: {}{}", done.text(), done.err);
        assert!(done.text().lines().any(|line| line.contains(wall) && line.contains("no")), "{wall}: {}", done.text());
    }
}
