//! Missing layers of the sandbox: the process starts under a filter that makes a system call fail as if the kernel did
//! not know it, and the workers inherit the filter.

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

/// The two layers that a kernel may lack.
const MISSING: &[(i64, &str)] = &[(libc::SYS_landlock_create_ruleset, "Landlock"), (libc::SYS_seccomp, "system calls")];

#[test]
fn with_require_sandbox_a_missing_layer_is_an_error_and_nothing_runs() {
    let dir = Dir::with(CODE);
    for (call, layer) in MISSING {
        let done = without(*call, &dir, &["run", "t.js", "--require-sandbox", "-j2"]);
        assert_eq!((done.code, done.text()), (2, ""), "{layer}: {}", done.err);
        assert!(done.err.starts_with("error: this kernel lacks a part of the sandbox"), "{layer}: {}", done.err);
        assert!(done.err.contains(layer), "{layer}: {}", done.err);
    }
}

#[test]
fn without_it_a_missing_layer_is_a_warning_and_it_comes_once() {
    let dir = Dir::with(CODE);
    for (call, layer) in MISSING {
        let done = without(*call, &dir, &["run", "t.js", "-j2"]);
        assert_eq!((done.code, done.text()), (0, "{\"n\":1}\n{\"n\":2}\n"), "{layer}: {}", done.err);
        let warnings: Vec<&str> = done.err.lines().filter(|line| line.starts_with("warning: ")).collect();
        assert_eq!(warnings.len(), 1, "{layer}: {}", done.err);
        assert!(warnings[0].contains(layer), "{layer}: {}", done.err);
    }
}

#[test]
fn doctor_says_which_layer_is_missing() {
    let dir = Dir::new();
    for (call, layer) in MISSING {
        let done = without(*call, &dir, &["doctor"]);
        assert_eq!(done.code, 2, "{layer}: {}{}", done.text(), done.err);
        assert!(
            done.text().lines().any(|line| line.contains(layer) && line.contains(" missing ")),
            "{layer}: {}",
            done.text()
        );
    }
}

#[test]
fn a_server_refuses_to_start_where_a_layer_is_missing_unless_it_may() {
    let dir = Dir::new();
    for (call, layer) in MISSING {
        // The address is invalid: a server that gets that far reports it.
        let serve = ["serve", "--dir", ".", "--listen", "256.0.0.1:0"];
        let refused = without(*call, &dir, &serve);
        assert_eq!(refused.code, 2, "{layer}: {}", refused.err);
        assert!(refused.err.starts_with("error: this kernel lacks a part of the sandbox"), "{layer}: {}", refused.err);
        assert!(refused.err.contains(layer) && refused.err.contains("--allow-missing-sandbox"), "{}", refused.err);
        let allowed = without(*call, &dir, &[&serve[..], &["--allow-missing-sandbox"]].concat());
        let lines: Vec<&str> = allowed.err.lines().collect();
        assert!(lines[0].starts_with("warning: ") && lines[0].contains(layer), "{layer}: {}", allowed.err);
        assert!(lines[1].contains("cannot listen on 256.0.0.1:0"), "{layer}: {}", allowed.err);
    }
    let both = dir.run(&["serve", "--dir", ".", "--require-sandbox", "--allow-missing-sandbox"], "");
    assert_eq!(both.code, 2);
    assert!(both.err.contains("contradict"), "{}", both.err);
}
