//! `sluicegate run`: gives the job to the supervisor, shows progress, and accounts for every line at the end.

use std::path::Path;

use serde_json::json;

use super::config::RunConfig;
use super::diagnostic::Diagnostic;
use super::output_file::OutputFile;
use super::run_progress::{RunProgress, shows_progress};
use super::standard_streams::{Stream, was_closed};
use super::values::thousands;
use crate::config::{Input, InputFormat, Target};
use crate::net;
use crate::tally::exit;
use crate::wire::input::Open;
use crate::wire::stderr;
use crate::workers::{self, Job, RunError, StreamEnd, Summary};
use sluicegate_engine::verdict::FailureKind;

/// Runs the transformation over all events; returns the exit code.
///
/// # Errors
/// When the run cannot start or cannot continue. All results until
/// then have been written, and the summary says how far the run got.
pub fn run(config: RunConfig) -> anyhow::Result<u8> {
    refuse_closed_streams(&config)?;
    let inputs = workers::open(&config.inputs, config.format)?;
    let job = job(&config)?;
    over(&config, job, inputs)
}

/// Rejects a run that needs a closed standard stream: it would read nothing, or lose its output.
fn refuse_closed_streams(config: &RunConfig) -> Result<(), Diagnostic> {
    if config.inputs.contains(&Input::Stdin) && was_closed(Stream::Input) {
        return Err(Diagnostic::new("cannot read standard input: it is closed")
            .help("name files of events, or redirect one: < events.jsonl"));
    }
    if config.output.is_none() && was_closed(Stream::Output) {
        return Err(Diagnostic::new("cannot write standard output: it is closed")
            .help("redirect it to a file or to /dev/null, or name a file with --output"));
    }
    if was_closed(Stream::Error) {
        let named = [("dead letters", "--errors", Some(&config.errors)), ("logs", "--logs", config.logs.as_ref())];
        if let Some((what, flag, _)) = named.into_iter().find(|(_, _, target)| *target == Some(&Target::Stderr)) {
            return Err(Diagnostic::new(format!("cannot write {what} to standard error: it is closed"))
                .help(format!("name a file with {flag}, or redirect standard error to a file or to /dev/null")));
        }
    }
    Ok(())
}

/// Returns the job for the supervisor.
///
/// # Errors
/// When the network is allowed but no client can be started.
pub(super) fn job(config: &RunConfig) -> anyhow::Result<Job> {
    Ok(Job {
        program: config.program.clone(),
        transformation: config.transformation.display().to_string(),
        options: config.options.clone(),
        workers: config.workers,
        output: None,
        emit: config.emit,
        line: config.line.clone(),
        elements: config.format.input == InputFormat::Array,
        verdict_detail: config.verdict_detail,
        on_error: config.on_error,
        errors: config.errors.clone(),
        logs: config.logs.clone(),
        truncate: config.truncate,
        unordered: config.unordered,
        line_buffered: config.line_buffered,
        batch_size: config.batch_size,
        sandbox: config.sandbox,
        network: if config.network.is_off() { None } else { Some(net::Client::start(config.network.clone())?) },
        origins: None,
        measure: false,
        fresh_state: false,
        group_failures: shows_progress(config),
    })
}

/// Runs a job over open inputs and prints the summary; returns the exit code.
///
/// # Errors
/// As [`run`].
pub(super) fn over(config: &RunConfig, mut job: Job, inputs: Vec<Open>) -> anyhow::Result<u8> {
    let output = config.output.as_deref().map(OutputFile::open).transpose()?;
    job.output = output.as_ref().map(OutputFile::writer).transpose()?;
    let mut progress = RunProgress::new(config, &inputs);
    let (summary, result) = workers::run(job, inputs, &mut |summary| progress.tick(summary));
    progress.end(&summary);
    let whole = result.is_ok() && summary.ended == StreamEnd::Complete && summary.tally.is_conserved();
    let (output, kept) = match output {
        // Done first: the file must not depend on the messages below.
        Some(output) if whole => (Some((output.path.clone(), true)), output.keep()),
        Some(output) => (Some((output.path.clone(), false)), Ok(())),
        None => (None, Ok(())),
    };
    let output = output.map(|(path, whole)| (path, whole && kept.is_ok()));
    // For people who wait for the end of a run. Not printed for machines, or if the reader of the output stopped early.
    let told = !config.quiet
        && !config.stats_json
        && result.is_ok()
        && summary.ended != StreamEnd::Closed
        && summary.failure_groups.groups.is_empty();
    if let (Target::File(path), Some(failure), true) = (&config.errors, &summary.first_failure, told) {
        let all = summary.tally.failures();
        let more = match all {
            1 => format!("the event is in {}", path.display()),
            _ => format!("this is the first of {all} failed events; all of them are in {}", path.display()),
        };
        config
            .message_style
            .error(&Diagnostic::from_failure(failure, &config.program, &config.library_paths).help(more).into());
    }
    // If no line was read, there is nothing to sum up, and the error is enough.
    let nothing = summary.tally.lines_in == 0 && result.is_err();
    // A reader that has closed the output does not need the summary.
    let quiet = config.quiet || summary.ended == StreamEnd::Closed;
    if !nothing && (config.stats_json || !quiet) {
        let output = output.as_ref().map(|(path, written)| (path.as_path(), *written));
        let text = if config.stats_json { stats(&summary, output) } else { line(&summary, output) };
        // A summary that cannot be written must not fail the run.
        stderr::say(format!("{text}\n").as_bytes());
    }
    if let Some(path) = &summary.dead_letters {
        stderr::say(format!("the dead letters are in {}\n", path.display()).as_bytes());
    }
    kept?;
    match result {
        Ok(()) => Ok(exit_code(config, &summary)),
        Err(RunError::Load(error)) => Err(Diagnostic::from_load_error(&error, &config.library_paths).into()),
        Err(error) => Err(error.into()),
    }
}

fn exit_code(config: &RunConfig, summary: &Summary) -> u8 {
    let code = summary.tally.exit_code(config.fail_on);
    match summary.ended {
        StreamEnd::Signal(libc::SIGINT) => exit::INTERRUPTED,
        StreamEnd::Signal(libc::SIGHUP) => exit::HUNG_UP,
        StreamEnd::Signal(_) => exit::TERMINATED,
        // The reader closed the output early, which is not an error; lines in progress have no verdict.
        StreamEnd::Closed => exit::COMPLETE,
        StreamEnd::Stopped => exit::EVENTS_FAILED,
        StreamEnd::Complete => code,
    }
}

/// Returns the summary line, which proves that no line was lost.
fn line(summary: &Summary, output: Option<(&Path, bool)>) -> String {
    let seconds = summary.elapsed.as_secs_f64().max(1e-9);
    let rate = thousands((summary.tally.lines_in as f64 / seconds) as u64);
    let mut text = format!("{} · {rate} events/s", summary.tally);
    if summary.deaths > 0 {
        text.push_str(&format!(" · {} workers replaced", summary.deaths));
    }
    if summary.repeated_requests > 0 {
        text.push_str(&format!(" · {} requests made again", summary.repeated_requests));
    }
    match summary.ended {
        StreamEnd::Complete => {}
        StreamEnd::Stopped => text.push_str(" · stopped at the first failure (--on-error stop)"),
        StreamEnd::Closed => text.push_str(" · the reader of the output went away"),
        StreamEnd::Signal(libc::SIGINT) => text.push_str(" · interrupted"),
        StreamEnd::Signal(libc::SIGHUP) => text.push_str(" · hung up"),
        StreamEnd::Signal(_) => text.push_str(" · terminated"),
    }
    match output {
        Some((path, true)) => text.push_str(&format!(" · written to {}", path.display())),
        Some((path, false)) => text.push_str(&format!(" · {} was not written", path.display())),
        None => {}
    }
    text
}

/// Returns the summary as JSON.
fn stats(summary: &Summary, output: Option<(&Path, bool)>) -> String {
    let tally = &summary.tally;
    let kinds: serde_json::Map<String, serde_json::Value> = FailureKind::ALL
        .iter()
        .filter(|kind| tally.failed[**kind as usize] > 0)
        .map(|kind| (kind.to_string(), json!(tally.failed[*kind as usize])))
        .collect();
    let seconds = summary.elapsed.as_secs_f64();
    let mut stats = json!({
        "in": tally.lines_in,
        "ok": tally.ok,
        "dropped": tally.dropped,
        "blank": tally.blank,
        "failed": tally.failures(),
        "failed_by_kind": kinds,
        "conserved": tally.is_conserved(),
        "events_out": tally.events_out,
        "bytes_in": summary.bytes_in,
        "bytes_out": summary.bytes_out,
        "seconds": seconds,
        "events_per_second": tally.lines_in as f64 / seconds.max(1e-9),
        "workers_replaced": summary.deaths,
        "workers_hung": summary.hangs,
        "requests_repeated": summary.repeated_requests,
        "ended": match summary.ended {
            StreamEnd::Complete => "complete",
            StreamEnd::Stopped => "stopped",
            StreamEnd::Closed => "closed",
            StreamEnd::Signal(_) => "signal",
        },
    });
    if tally.not_written > 0 {
        stats["not_written"] = json!(tally.not_written);
    }
    if let Some((path, written)) = output {
        stats["output"] = json!(path.display().to_string());
        stats["output_written"] = json!(written);
    }
    stats.to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tally::Tally;

    #[test]
    fn the_summary_is_one_line() {
        let tally = Tally { lines_in: 41_200, ok: 41_000, dropped: 200, events_out: 41_000, ..Tally::default() };
        let summary = Summary { tally, elapsed: Duration::from_secs(1), ..Summary::default() };
        assert_eq!(
            line(&summary, None),
            "41200 in = 41000 ok + 200 dropped + 0 failed · 41000 events out · 41 200 events/s"
        );
        let stats: serde_json::Value = serde_json::from_str(&stats(&summary, None)).unwrap();
        assert_eq!((&stats["in"], &stats["conserved"]), (&json!(41_200), &json!(true)));
    }
}
