//! `sluicegate sync`: reads the config, calls [`crate::sync`], and prints the result.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::filter::LevelFilter;

use super::args::{Global, SyncArgs, SyncCommand};
use super::config;
use super::diagnostic::Diagnostic;
use super::program;
use super::report::MessageStyle;
use super::setting_sources::{Env, merged_settings};
use super::settings::Settings;
use super::values::thousands;
use crate::config::{LogFormat, Stats, When};
use crate::net;
use crate::serve::traces::{self, Traces, Work};
use crate::sync::adbc::doctor::doctor;
use crate::sync::config::{AdbcConfig, Config, Input, Text};
use crate::sync::delivery::Closed;
use crate::sync::report::{self, Report};
use crate::sync::run::{Failed, Options, Progress, Setup};
use crate::sync::warehouse::Warehouse;
use crate::sync::{self, feed::Filter, inspect, run, state::Lock, state::State};
use crate::tally::{FailOn, exit};
use crate::workers::{Job, RunError};

/// The default config.
const DEFAULT_CONFIG: &str = "sync.toml";

/// The default number of rows that a dry run shows.
const MAX_SHOWN: u64 = 20;

/// A parsed config, with its text for error messages.
struct ConfigText {
    config: Arc<Config>,
    path: PathBuf,
    text: String,
}

impl ConfigText {
    fn from(path: Option<&Path>) -> Result<Self, Diagnostic> {
        let path = path.unwrap_or(Path::new(DEFAULT_CONFIG)).to_owned();
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let diagnostic =
                Diagnostic::new(format!("cannot read the config {}: {}", path.display(), program::plain(&error)));
            diagnostic.help("`sluicegate sync init` writes one from a look at the source")
        })?;
        match Config::parse(&text, &path) {
            Ok(config) => Ok(Self { config: Arc::new(config), path, text }),
            Err(error) => Err(diagnostic(error, &path, &text)),
        }
    }

    fn error(&self, error: sync::Error) -> Diagnostic {
        diagnostic(error, &self.path, &self.text)
    }
}

fn diagnostic(error: sync::Error, path: &Path, text: &str) -> Diagnostic {
    let mut diagnostic = Diagnostic::new(error.message);
    if let Some(range) = error.range {
        diagnostic = diagnostic.at(path.display().to_string(), text, range);
    }
    diagnostic.help = error.help;
    diagnostic
}

/// Runs the command; returns the exit code.
///
/// # Errors
/// When it cannot start or cannot finish.
pub fn sync(args: &SyncArgs, global: &Global, message_style: &mut MessageStyle) -> anyhow::Result<u8> {
    match &args.command {
        None => run_sync(args, global, message_style, "sync"),
        Some(SyncCommand::Retry(_)) => run_sync(args, global, message_style, "retry"),
        Some(SyncCommand::Baseline(_)) => run_sync(args, global, message_style, "baseline"),
        Some(SyncCommand::Status { sync, json }) => {
            let read = ConfigText::from(sync.as_deref())?;
            let status = inspect::status(&read.config).map_err(|error| read.error(error))?;
            let text = if *json { format!("{status}\n") } else { inspect::status_text(&status) };
            super::print(text.as_bytes())
        }
        Some(SyncCommand::Explain { sync_and_key }) => explain(args, global, sync_and_key),
        Some(SyncCommand::Forget { sync_and_keys }) => forget(sync_and_keys),
        Some(SyncCommand::Doctor) => super::print(doctor().as_bytes()),
        Some(SyncCommand::Init { file, key, adbc, options, query, source }) => {
            let input = match (file, adbc) {
                (Some(file), _) => Input::File(file.clone()),
                (None, Some(database)) => Input::Adbc(Box::new(AdbcConfig {
                    options: options.iter().map(|(key, text)| (key.clone(), Text::Plain(text.clone()))).collect(),
                    ..AdbcConfig::new(database, query.as_deref().unwrap_or_default())
                })),
                (None, None) => Input::Command(source.clone()),
            };
            let made = sync::init::config(&input, key.as_deref());
            let text = made.map_err(|error| diagnostic(error, Path::new("sync.toml"), ""))?;
            super::print(text.as_bytes())
        }
    }
}

fn forget(words: &[String]) -> anyhow::Result<u8> {
    let (config, keys) = words.split_first().expect("clap asks for two");
    let read = ConfigText::from(Some(Path::new(config)))?;
    let work = || -> sync::Result<usize> {
        let _lock = Lock::take(&read.config.state)?;
        let warehouse = Warehouse::of(&read.config);
        warehouse.as_ref().map_or(Ok(()), |it| it.begin(false))?;
        let known = State::existing(&read.config)?.forget(keys)?;
        warehouse.map_or(Ok(()), |it| it.end())?;
        Ok(known)
    };
    let known = work().map_err(|error| read.error(error))?;
    let text =
        format!("{known} of {} keys were known and are forgotten; their rows are new at the next sync\n", keys.len());
    super::print(text.as_bytes())
}

fn explain(args: &SyncArgs, global: &Global, words: &[String]) -> anyhow::Result<u8> {
    let (config, key) = match words {
        [key] => (None, key),
        [config, key, ..] => (Some(Path::new(config)), key),
        [] => unreachable!("clap asks for one"),
    };
    let read = ConfigText::from(config)?;
    let ready = ready(args, global, &read)?;
    let work = inspect::explain(&read.config, ready.job, &ready.code, key);
    let text = runtime()?.block_on(work).map_err(|failed| failure(failed, &read, &ready.paths))?;
    super::print(text.as_bytes())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

fn failure(failed: Failed, read: &ConfigText, paths: &std::collections::BTreeMap<String, PathBuf>) -> anyhow::Error {
    match failed {
        Failed::Sync(error) => read.error(error).into(),
        Failed::Run(RunError::Load(error)) => Diagnostic::from_load_error(&error, paths).into(),
        Failed::Run(error) => error.into(),
    }
}

/// The transformation, read from disk, and its settings.
struct LoadedTransform {
    job: Option<Job>,
    code: String,
    paths: std::collections::BTreeMap<String, PathBuf>,
    settings: Settings,
}

fn ready(args: &SyncArgs, global: &Global, read: &ConfigText) -> anyhow::Result<LoadedTransform> {
    let transform = read.config.transform.as_ref();
    let code = transform.map_or(Path::new(""), |transform| &transform.code);
    let mut settings = merged_settings(args.settings(global), global, code, Env::here())?;
    let Some(transform) = transform else {
        return Ok(LoadedTransform { job: None, code: "none".to_owned(), paths: Default::default(), settings });
    };
    settings.libraries.library_dir.get_or_insert_default().extend(transform.libraries.iter().cloned());
    settings.data.credentials = transform.credentials.clone().or(settings.data.credentials);
    // An event may contain its row, the previous row, and both once more as texts.
    settings.limits.line_limit.get_or_insert(4 * read.config.source.row_limit);
    let program::Loaded { program, paths } = program::read(&config::sources(&transform.code, &settings))?;
    let workers = match settings.events.workers.unwrap_or(0) {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let policy = config::policy(&settings);
    let code = program.code_hash();
    let job = Job {
        workers,
        // A batch of events is one call of transformBatch.
        batch_size: settings.events.batch_size.unwrap_or(200),
        sandbox: config::sandbox(&settings),
        network: if policy.is_off() { None } else { Some(net::Client::start(policy)?) },
        ..Job::new(program, config::options(&settings))
    };
    Ok(LoadedTransform { job: Some(job), code, paths, settings })
}

fn run_sync(
    args: &SyncArgs,
    global: &Global,
    message_style: &mut MessageStyle,
    command: &'static str,
) -> anyhow::Result<u8> {
    let flags = args.run_args();
    let read = ConfigText::from(flags.sync.as_deref())?;
    let ready = ready(args, global, &read)?;
    let settings = &ready.settings;
    *message_style = config::message_style(settings);
    start_logs(*message_style);
    let quiet = settings.messages.quiet.unwrap_or(false);
    let limit = if flags.dry_run { None } else { flags.limit };
    let options = Options {
        command,
        filter: Filter { limit, key: flags.key.clone(), only_problems: command == "retry" },
        yes: flags.yes,
        resync: flags.resync,
        keep_settled: flags.keep_settled,
        baseline: command == "baseline",
        dry: flags.dry_run,
    };
    let progress = Arc::new(Progress::default());
    let mut left = flags.limit.unwrap_or(MAX_SHOWN);
    let setup = Setup {
        config: read.config.clone(),
        job: ready.job,
        code: ready.code,
        options,
        progress: progress.clone(),
        show: Box::new(move |shown| {
            if left > 0 {
                left -= 1;
                // A closed pipe is not an error.
                let _ = super::print(inspect::shown(&shown).as_bytes());
            }
        }),
    };
    let bar = bar(settings.messages.progress.unwrap_or_default(), quiet);
    let runtime = runtime()?;
    let began = SystemTime::now();
    let done = runtime.block_on(async {
        let running = run::run(setup);
        tokio::pin!(running);
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        // The start time of the current half, for the rate.
        let (mut started, mut is_sending) = (Instant::now(), false);
        loop {
            tokio::select! {
                done = &mut running => break done,
                _ = tick.tick() => {
                    if !is_sending && progress.to_send.load(Ordering::Relaxed) > 0 {
                        (started, is_sending) = (Instant::now(), true);
                    }
                    show_progress(&bar, &progress, started);
                }
            }
        }
    });
    bar.finish_and_clear();
    // A read from an idle pipe may never return, so the shutdown must not wait for it.
    runtime.shutdown_background();
    trace(&read, began, done.as_ref().ok())?;
    let report = done.map_err(|failed| failure(failed, &read, &ready.paths))?;
    let code = exit_code(&report, settings.failures.fail_on.unwrap_or(FailOn::Error));
    if !quiet {
        tell(&report, &read, flags.dry_run, *message_style, settings.messages.stats == Some(Stats::Json));
    }
    tell_closed(&report, *message_style);
    if let Some(stop) = report.would_stop.clone() {
        let message = format!("a run would stop here: {}", stop.message);
        message_style.error(&read.error(sync::Error { message, ..stop }).into());
    }
    if let Some(path) = &flags.metrics_file {
        report::write_metrics(path, &read.config, &report, code).map_err(|error| read.error(error))?;
    }
    Ok(code)
}

/// Sends one span for the run and one for each half, if the environment names a collector.
fn trace(read: &ConfigText, start: SystemTime, report: Option<&Report>) -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let wanted = traces::are_wanted(&variable);
    if !wanted
        .map_err(|error| Diagnostic::new(error).help("see docs/server.md, or unset OTEL_EXPORTER_OTLP_ENDPOINT"))?
    {
        return Ok(());
    }
    let traces = Traces::start(&read.config.name).map_err(Diagnostic::new)?;
    let end = SystemTime::now();
    let work = |name: &str, start, end, counts: &[(&str, u64)]| Work {
        name: name.to_owned(),
        start,
        end,
        counts: counts.iter().map(|(name, count)| (format!("rows.{name}"), *count)).collect(),
        error: None,
    };
    let Some(report) = report else {
        traces.record(Work { error: Some("it could not run".to_owned()), ..work("sync", start, end, &[]) }, Vec::new());
        traces.end();
        return Ok(());
    };
    let (rows, sent) = (&report.rows, &report.results.rows);
    let middle = start + report.detecting;
    let detect = [("read", rows.read), ("new", rows.new), ("changed", rows.changed), ("invalid", rows.invalid)];
    let deliver =
        [("sent", sent.sent), ("dropped", sent.dropped), ("failed", sent.failed), ("pending", report.pending())];
    traces.record(
        work("sync", start, end, &[("to_send", report.to_send)]),
        vec![work("detect", start, middle, &detect), work("deliver", middle, end, &deliver)],
    );
    traces.end();
    Ok(())
}

/// Starts the logs of a sync: each step with `--log-format json`, otherwise only errors.
fn start_logs(message_style: MessageStyle) {
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let level = match message_style.format {
        LogFormat::Json => LevelFilter::INFO,
        LogFormat::Text => LevelFilter::ERROR,
    };
    let filter = tracing_subscriber::filter::Targets::new().with_target("sluicegate", level);
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(message_style.colored());
    let layer = match message_style.format {
        LogFormat::Text => logs.with_filter(filter).boxed(),
        LogFormat::Json => logs.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

fn bar(progress: When, quiet: bool) -> ProgressBar {
    let wanted = match progress {
        When::Always => true,
        When::Never => false,
        When::Auto => !quiet && std::io::stderr().is_terminal(),
    };
    if !wanted || quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}").expect("the template is fixed"));
    bar
}

fn show_progress(bar: &ProgressBar, progress: &Progress, started: Instant) {
    let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let (read, to_send, done) = (load(&progress.read), load(&progress.to_send), load(&progress.done));
    let seconds = started.elapsed().as_secs_f64().max(1e-3);
    bar.set_message(if to_send == 0 {
        format!("{} rows read · {} rows/s", thousands(read), thousands((read as f64 / seconds) as u64))
    } else {
        let rate = done as f64 / seconds;
        let left = (to_send.saturating_sub(done) as f64 / rate.max(1e-3)).min(360_000.0);
        let left = humantime::format_duration(Duration::from_secs(left as u64));
        format!(
            "{} of {} rows sent · {} rows/s · {left} left",
            thousands(done),
            thousands(to_send),
            thousands(rate as u64)
        )
    });
    bar.tick();
}

fn exit_code(report: &Report, fail_on: FailOn) -> u8 {
    let stopped = report.sinks.iter().any(|sink| matches!(sink.closed, Some(Closed::Stopped { .. })));
    match report.signal {
        Some(libc::SIGINT) => return exit::INTERRUPTED,
        Some(_) => return exit::TERMINATED,
        None => {}
    }
    if stopped || !report.is_conserved() || report.would_stop.is_some() {
        return exit::COULD_NOT_RUN;
    }
    let failed = report.results.rows.failed + report.rows.invalid;
    let too_many = match fail_on {
        FailOn::Never => false,
        FailOn::Error => failed > 0,
        FailOn::Percent(limit) => failed as f64 * 100.0 > limit * report.rows.read as f64,
    };
    let waits = report.results.rows.pending > 0 || report.waiting > 0 && !report.is_partial;
    if too_many || waits && fail_on != FailOn::Never { exit::EVENTS_FAILED } else { exit::COMPLETE }
}

/// Prints the rows that need attention, and the line that proves that no row was lost.
fn tell(report: &Report, read: &ConfigText, dry: bool, message_style: MessageStyle, stats_json: bool) {
    let mut text = String::new();
    if stats_json || message_style.format == LogFormat::Json {
        let mut counts = report::counts(report);
        if message_style.format == LogFormat::Json {
            let said = super::report::object("INFO", if dry { "dry run" } else { "sync" });
            for field in ["timestamp", "level", "message"] {
                counts[field] = said[field].clone();
            }
        }
        text = format!("{counts}\n");
    } else {
        const MAX: usize = 5;
        report.warnings.iter().for_each(|warning| text.push_str(&format!("warning: {warning}\n")));
        let column = &read.config.source.key;
        for (line, invalid) in report.invalid.iter().take(MAX) {
            text.push_str(&format!("invalid: line {line}: {}\n", invalid.sentence(column)));
        }
        for (key, sink, stage, reason) in &report.results.failures {
            let name = &read.config.sinks[*sink].name;
            text.push_str(&format!("failed: {key} at {name} ({stage}): {reason}\n"));
        }
        if let Some(why) = &report.deletes_held {
            text.push_str(&format!("nothing was deleted: {why}\n"));
        }
        if let Some(key) = &report.unmatched_key {
            let path = read.path.display();
            text.push_str(&format!(
                "no row with the key {key} is new, changed or gone; see why: sluicegate sync explain {path} {key}\n"
            ));
        }
        let more =
            report.rows.invalid as usize > MAX || report.results.rows.failed as usize > report.results.failures.len();
        if more && !dry {
            text.push_str(&format!("all of them: sluicegate sync status {}\n", read.path.display()));
        }
        let seconds = report.elapsed.as_secs_f64().max(1e-9);
        let rate = thousands((report.rows.read as f64 / seconds) as u64);
        let dry = if dry { "dry run, nothing was sent: " } else { "" };
        let signal = match report.signal {
            Some(libc::SIGINT) => " · interrupted",
            Some(_) => " · terminated",
            None => "",
        };
        text.push_str(&format!("{dry}{}{signal} · {rate} rows/s\n", report::line(report)));
    }
    // A summary that cannot be written must not change the exit code.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Prints the sinks that closed early.
fn tell_closed(report: &Report, message_style: MessageStyle) {
    for sink in &report.sinks {
        let (reason, help) = match &sink.closed {
            None => continue,
            Some(Closed::Stopped { reason, help }) => (reason, help.as_str()),
            Some(Closed::GivenUp(reason)) => (reason, "its rows are pending; the next sync sends them"),
        };
        let diagnostic = Diagnostic::new(format!("the sink {} accepted no more: {reason}", sink.name));
        message_style.error(&if help.is_empty() { diagnostic } else { diagnostic.help(help) }.into());
    }
}
