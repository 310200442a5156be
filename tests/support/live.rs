//! A running `sluicegate`: tests write to it, read from it, inspect it and kill it while it works.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdout, Command};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Done;

/// The time after which a run is killed, so that a test that waits for a missing answer fails and does not hang. It
/// measures nothing.
const LOST: Duration = Duration::from_secs(180);

/// A running process.
pub struct Live {
    child: Child,
    /// Both ends of the pipe to the run's standard input. The reading end shows the bytes that the run has not read.
    input: Option<(std::io::PipeWriter, PipeReader)>,
    out: BufReader<ChildStdout>,
    err: JoinHandle<String>,
    /// Dropped when the run is over.
    _guard: Sender<()>,
}

impl Live {
    pub fn start(mut command: Command) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        command.stdin(reader.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        let pid = Pid::from_child(&child);
        let (guard, over) = channel();
        std::thread::spawn(move || {
            if over.recv_timeout(LOST) == Err(RecvTimeoutError::Timeout) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        Self { child, input: Some((writer, reader)), out, err, _guard: guard }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.input.as_mut().unwrap().0.write_all(bytes.as_ref()).unwrap();
    }

    /// Takes the writing end of the input, for a thread that feeds the run.
    pub fn take_input(&mut self) -> std::io::PipeWriter {
        self.input.take().unwrap().0
    }

    /// The next line of output, without its end; empty at the end of the output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.truncate(line.trim_end_matches('\n').len());
        line
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The current worker processes.
    pub fn workers(&self) -> Vec<Pid> {
        let pid = self.child.id();
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let children = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok());
        let found: HashSet<i32> = children
            .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
            .collect();
        found.into_iter().filter_map(Pid::from_raw).collect()
    }

    /// The peak memory of the supervisor, in bytes.
    pub fn peak(&self) -> u64 {
        status(self.pid(), "VmHWM:")
    }

    /// Ends the input, and waits for the end.
    pub fn finish(mut self) -> Done {
        self.input = None;
        self.end().0
    }

    /// Waits for the end of a run that ends before its input does. Also returns the bytes of the input that the run has
    /// not read.
    pub fn end(mut self) -> (Done, Vec<u8>) {
        let mut out = Vec::new();
        self.out.read_to_end(&mut out).unwrap();
        let status = self.child.wait().unwrap();
        let err = self.err.join().unwrap();
        let mut left = Vec::new();
        if let Some((writer, mut reader)) = self.input.take() {
            drop(writer);
            reader.read_to_end(&mut left).unwrap();
        }
        let done: Done = std::process::Output { status, stdout: out, stderr: Vec::new() }.into();
        (Done { err, ..done }, left)
    }

    /// Closes the output pipe, and waits for the end of the run.
    pub fn close_output(mut self) -> Done {
        drop(self.out);
        let status = self.child.wait().unwrap();
        let done: Done = std::process::Output { status, stdout: Vec::new(), stderr: Vec::new() }.into();
        Done { err: self.err.join().unwrap(), ..done }
    }

    /// Whether the run has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

/// A figure of `/proc/PID/status`, in bytes.
pub fn status(pid: Pid, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

fn collect(mut stderr: ChildStderr) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    })
}
