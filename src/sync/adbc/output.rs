//! The output of a process, read from a pipe.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::Child;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{ioctl_fionread, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The output of a process, read from a pipe. It ends no later than the process: a process that a driver has left
/// behind may keep the pipe open for any time, and write to it.
#[derive(Debug)]
pub struct Output {
    pipe: File,
    /// `None` on a system without process descriptors; then only the end of the pipe counts.
    process: Option<OwnedFd>,
    /// The number of bytes that were in the pipe when the process had ended, and are not read yet.
    left: Option<u64>,
}

impl Output {
    /// Wraps the reading end of a pipe that this process writes to.
    pub(super) fn new(pipe: impl Into<OwnedFd>, child: &Child) -> Self {
        let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok();
        Self { pipe: File::from(pipe.into()), process, left: None }
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(process) = &self.process else { return self.pipe.read(buffer) };
        if self.left.is_none() {
            let mut both = [PollFd::new(&self.pipe, PollFlags::IN), PollFd::new(process, PollFlags::IN)];
            retry_on_intr(|| poll(&mut both, None))?;
            if both[1].revents().is_empty() {
                return self.pipe.read(buffer);
            }
            // The process has ended, so all of its output is in the pipe.
            self.left = Some(ioctl_fionread(&self.pipe)?);
        }
        let left = self.left.unwrap_or_default();
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let n = if most == 0 { 0 } else { self.pipe.read(&mut buffer[..most])? };
        self.left = Some(left - n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn output(script: &str) -> (Child, Output) {
        let mut child =
            Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = Output::new(child.stdout.take().unwrap(), &child);
        (child, output)
    }

    #[test]
    fn output_ends_with_its_process() {
        // `cat` ends with standard input, which the test holds.
        let (mut child, mut output) = output("exec 3<&0; cat <&3 & head -c 50000 /dev/zero");
        let hold = child.stdin.take().unwrap();
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 50_000);
        assert!(child.wait().unwrap().success());
        drop(hold);
    }

    #[test]
    fn what_is_left_behind_may_write_for_ever() {
        // `yes` ends when its pipe has no reader left.
        let (mut child, output) = output("yes & exit 0");
        let mut bytes = Vec::new();
        child.wait().unwrap();
        output.take(8 << 20).read_to_end(&mut bytes).unwrap();
        assert!(bytes.len() < 8 << 20);
    }
}
