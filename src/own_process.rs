//! This program, started again for work that may end a process.

use std::process::Command;

/// Returns a command that starts this program with a hidden subcommand.
pub(crate) fn own_command(subcommand: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(subcommand);
    command
}
