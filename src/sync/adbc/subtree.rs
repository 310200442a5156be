//! What a driver starts ends with the process of its query.
//!
//! The process leads a group, and takes in what its descendants leave behind, so that it finds them all when it ends, also those
//! that have left the group. If it is ended from outside, who ends it looks for them first. Only what has left the group of a
//! process that then crashes goes on.

use std::collections::HashSet;

use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group, set_child_subreaper};

/// How often is looked for new descendants at most: a process may start others as fast as they are killed.
const MAX_ROUNDS: usize = 100;

/// From here on, this process is the parent of descendants whose own parent has ended.
pub(super) fn take_in() {
    // Without it they are found as long as their parents live.
    let _ = set_child_subreaper(Some(getpid()));
}

/// Kills all descendants of a process.
pub(super) fn kill_below(top: Pid) {
    let mut killed = HashSet::new();
    for _ in 0..MAX_ROUNDS {
        let found: Vec<Pid> = below(top).into_iter().filter(|pid| killed.insert(*pid)).collect();
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Kills the group of a process that leads one. It may have ended, and must not have been waited for: its number is its own
/// until then.
pub(super) fn kill_group(leader: Pid) {
    let _ = kill_process_group(leader, Signal::KILL);
}

/// The descendants of a process.
fn below(top: Pid) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let pairs: Vec<(i32, i32)> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![top.as_raw_nonzero().get()];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(pairs.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.into_iter().skip(1).filter_map(Pid::from_raw).collect()
}

/// The parent of a process: the second field after its name, which stands in brackets and may hold anything.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    /// A shell whose `cat`s hold its standard output for as long as they live.
    fn shell(script: &str) -> std::process::Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn what_is_below_a_process_is_killed_and_the_process_is_not() {
        // One in a session of its own, and one below another shell. The last line says that all are there.
        let mut child = shell("exec 3<&0; setsid cat <&3 & sh -c 'cat <&3 & echo; wait' & wait; echo over");
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0]).unwrap();
        // The first one may not have been started when the second one is.
        while below(Pid::from_child(&child)).len() < 3 {
            std::thread::yield_now();
        }
        kill_below(Pid::from_child(&child));
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), child.wait().unwrap().success()), ("over\n", true));
    }

    #[test]
    fn the_group_of_a_process_that_has_ended_is_killed() {
        let mut child = shell("exec 3<&0; cat <&3 & exit 0");
        let mut out = child.stdout.take().unwrap();
        let pid = Pid::from_child(&child);
        // Its end, without waiting for it.
        let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
        kill_group(pid);
        out.read_to_end(&mut Vec::new()).unwrap();
        child.wait().unwrap();
    }
}
