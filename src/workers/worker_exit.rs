//! How a worker process ended: one reason, on which everything else decides, and the words for people.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The exit code of a worker whose watchdog found no other way to stop its event.
pub(super) const STUCK_CODE: i32 = 3;

/// Why a worker process is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitReason {
    /// V8 gave up for want of memory, by its last words. A wrong guess only names the failure differently.
    OutOfMemory,
    /// SIGKILL: no event can send it, so most likely the kernel or an operator did.
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
    /// From what the system and V8's last words say.
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
