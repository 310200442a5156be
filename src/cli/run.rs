//! `sluicegate run`.

use super::config::RunConfig;

/// Runs the transformation over all events; the answer is the exit code.
///
/// # Errors
/// When the run could not start or could not go on.
pub fn run(config: RunConfig) -> anyhow::Result<u8> {
    let RunConfig { program, .. } = config;
    anyhow::bail!("cannot run {}: the worker processes are not built yet", program.name)
}

/// `sluicegate worker`: what a supervisor starts.
///
/// # Errors
/// When this is not a process that a supervisor started.
pub fn worker() -> anyhow::Result<u8> {
    anyhow::bail!("the worker processes are not built yet")
}
