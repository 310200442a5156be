//! Ends the processes that a driver has started, together with the process of the query.
//!
//! The process leads a group, and becomes the parent of orphaned descendants, so that it finds all of them when it
//! ends, even those that have left the group. A process that kills it from outside looks for the descendants first.
//! Only descendants that have left the group of a process that then crashes go on running.

use std::collections::HashSet;

use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group, set_child_subreaper};

/// The most searches for new descendants: a process may start others as fast as they are killed.
const MAX_ROUNDS: usize = 100;

/// Makes this process the parent of descendants whose own parent has ended.
pub(super) fn take_in() {
    // If this fails, descendants are found only while their parents live.
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

/// Kills the group of a process that leads one. The process may have ended, but must not have been waited for: until
/// then its number is not reused.
pub(super) fn kill_group(leader: Pid) {
    let _ = kill_process_group(leader, Signal::KILL);
}

/// Returns the descendants of a process.
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

/// Returns the parent of a process: the second field after its name, which is in parentheses and may contain anything.
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

    /// Starts a shell whose `cat`s keep its standard output open as long as they live.
    fn shell(script: &str) -> std::process::Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn what_is_below_a_process_is_killed_and_the_process_is_not() {
        // One `cat` is in a session of its own, and one is below
        // another shell, which prints a line once it has started it.
        let mut child = shell("exec 3<&0; setsid cat <&3 & sh -c 'cat <&3 & echo; wait' & wait; echo over");
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0]).unwrap();
        // The first `cat` may start after the second one.
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
        // Waits for its end, but leaves it to be waited for again.
        let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
        kill_group(pid);
        out.read_to_end(&mut Vec::new()).unwrap();
        child.wait().unwrap();
    }
}
