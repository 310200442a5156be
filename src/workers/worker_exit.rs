//! How a worker process ended: one reason, which decides what happens next, and a text for messages.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The exit code of a worker whose watchdog could only stop the event by ending the process.
pub(super) const STUCK_CODE: i32 = 3;

/// Why a worker process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitReason {
    /// V8 ran out of memory, according to its last output. A wrong guess only changes the kind of the failure.
    OutOfMemory,
    /// SIGKILL. No event can send it, so most likely the kernel or an operator did.
    Killed,
    /// Its own watchdog ended it, see [`STUCK_CODE`].
    Stuck,
    /// Anything else.
    Other,
}

/// The end of a worker process.
#[derive(Clone, Debug)]
pub(super) struct WorkerExit {
    pub(super) reason: ExitReason,
    text: String,
}

impl WorkerExit {
    /// Determines the reason from the exit status and V8's last output.
    pub(super) fn new(status: std::io::Result<ExitStatus>, last_words: Option<String>) -> Self {
        let reason = match (&status, &last_words) {
            (_, Some(words)) if words.contains("out of memory") => ExitReason::OutOfMemory,
            (Ok(status), _) if status.signal() == Some(libc::SIGKILL) => ExitReason::Killed,
            (Ok(status), _) if status.code() == Some(STUCK_CODE) => ExitReason::Stuck,
            _ => ExitReason::Other,
        };
        let how = status.map_or_else(|error| error.to_string(), describe);
        let text = match last_words {
            Some(words) => format!("{how}: {words}"),
            None => how,
        };
        Self { reason, text }
    }
}

/// The address space that a worker needs, in bytes. V8's garbage collector for C++ objects reserves 32 GiB at
/// startup to find 16 GiB at a suitable address, and keeps these. The size is fixed when V8 is compiled. A
/// reservation uses no memory.
const RESERVED: u64 = 33 << 30;

impl WorkerExit {
    /// Returns why the worker could not load the code, and what to do about it.
    pub(super) fn while_loading(&self) -> String {
        let most = rustix::process::getrlimit(rustix::process::Resource::As).current;
        match most.filter(|most| *most < RESERVED && self.reason == ExitReason::OutOfMemory) {
            Some(most) => out_of_addresses(most),
            None => format!("it died while loading the code ({self})"),
        }
    }
}

fn out_of_addresses(most: u64) -> String {
    format!(
        "it may have {:.1} GiB of address space (ulimit -v), and V8 reserves {} GiB while it starts, of which it uses next to nothing; \
         run `ulimit -v unlimited` before (`ulimit -v {}` is enough), and bound memory with --heap-limit or a cgroup; on YARN set \
         yarn.nodemanager.vmem-check-enabled to false",
        most as f64 / f64::from(1 << 30),
        RESERVED >> 30,
        RESERVED >> 10
    )
}

impl fmt::Display for WorkerExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => {
            let name = rustix::process::Signal::from_named_raw(signal).map(|signal| format!("{signal:?}"));
            let name = name.map(|name| format!(" ({})", name.trim_matches('"').replace("Signal::", "SIG")));
            format!("killed by signal {signal}{}", name.unwrap_or_default())
        }
        (_, Some(code)) => format!("ended with code {code}"),
        _ => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_addresses_have_a_remedy() {
        let text = out_of_addresses(8 << 30);
        assert!(
            text.starts_with("it may have 8.0 GiB of address space")
                && text.contains("`ulimit -v unlimited`")
                && text.contains("(`ulimit -v 34603008` is enough)"),
            "{text}"
        );
    }

    #[test]
    fn the_reason_comes_from_the_status_and_the_last_words() {
        let exit =
            |raw: i32, words: Option<&str>| WorkerExit::new(Ok(ExitStatus::from_raw(raw)), words.map(str::to_owned));
        assert_eq!(exit(9, None).reason, ExitReason::Killed);
        assert_eq!(exit(5, Some("Fatal JavaScript out of memory")).reason, ExitReason::OutOfMemory);
        assert_eq!(exit(STUCK_CODE << 8, None).reason, ExitReason::Stuck);
        assert_eq!(exit(11, None).reason, ExitReason::Other);
        assert_eq!(exit(9, None).to_string(), "killed by signal 9 (SIGKILL)");
    }
}
