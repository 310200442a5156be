//! Resolves the settings of a command: flags over environment over `sluicegate.toml` over defaults. Reads the files and
//! rejects invalid combinations. Later code does not need to know where a value came from.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::args::{BenchArgs, CheckArgs, Global, RunArgs};
use super::diagnostic::Diagnostic;
use super::files::{Written, inputs, refuse_overwriting};
use super::program::{self, Loaded, Sources, Unread};
use super::report::{self, MessageStyle};
use super::setting_sources::{self, Env, from_environment, merged_settings, with_config_of};
use super::settings::Settings;
use crate::bench::Plan;
use crate::bench::source::Source;
use crate::config::{
    Decompress, Emit, Input, InputFormat, LineFormat, LogFormat, OnError, OnUnsafeInteger, Stats, Target,
    VerdictDetail, When,
};
use crate::explore::Setup;
use crate::net::{CONCURRENCY, Policy, REQUESTS_PER_HOST};
use crate::tally::FailOn;
use crate::wire::input::Format;
use crate::workers::Sandbox;
use sluicegate_engine::{Access, Limits, Options, Program, UnsafeIntegers};

/// The default maximum number of events in one call of `transformBatch`.
pub const BATCH_SIZE: usize = 200;

/// The settings of `run`.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The transformation, read from disk. Its name is the file name without the folder, so that stack traces are the
    /// same on every machine.
    pub program: Program,
    /// The path of the transformation.
    pub transformation: PathBuf,
    /// The files of the libraries by import name, and the transformation's file by its name; for diagnostics.
    pub library_paths: BTreeMap<String, PathBuf>,
    /// The limits and options of the engine.
    pub options: Options,
    /// The required sandbox of the workers.
    pub sandbox: Sandbox,
    /// The network policy.
    pub network: Policy,
    /// The inputs; at least one.
    pub inputs: Vec<Input>,
    /// The number of worker processes; at least one.
    pub workers: usize,
    /// The file that the output goes to, if it is not standard output.
    pub output: Option<PathBuf>,
    /// The contents of the output.
    pub emit: Emit,
    /// Which part of a line is the event.
    pub line: LineFormat,
    /// The contents of the verdict lines of failed events.
    pub verdict_detail: VerdictDetail,
    /// What happens to a line whose event failed.
    pub on_error: OnError,
    /// The format of the inputs.
    pub format: Format,
    /// Whether the files of dead letters and logs are truncated first.
    pub truncate: bool,
    /// Where dead letters go.
    pub errors: Target,
    /// The condition for exit code 1.
    pub fail_on: FailOn,
    /// Where log lines of the code go, if they are kept.
    pub logs: Option<Target>,
    /// Whether results are written as soon as they are ready, not in the order of the input.
    pub unordered: bool,
    /// Whether every line is flushed at once.
    pub line_buffered: bool,
    /// The maximum number of events in one call of `transformBatch`.
    pub batch_size: usize,
    /// Whether progress is shown.
    pub progress: When,
    /// Whether the statistics at the end are JSON.
    pub stats_json: bool,
    /// Hides progress and summary.
    pub quiet: bool,
    /// Whether to warn when the code reads an integer that JavaScript cannot
    /// hold. If the user asks for the warning, it is printed even with `--quiet`.
    pub tells_reads: bool,
    /// The format of errors.
    pub message_style: MessageStyle,
}

/// The settings of `check`.
#[derive(Clone, Debug)]
pub struct CheckConfig {
    /// The transformation, read from disk.
    pub program: Program,
    /// The files of the libraries by import name, for diagnostics.
    pub library_paths: BTreeMap<String, PathBuf>,
    /// The limits and options of the engine.
    pub options: Options,
    /// The required sandbox of the worker.
    pub sandbox: Sandbox,
}

/// The settings of `bench`.
#[derive(Clone, Debug)]
pub struct BenchConfig {
    /// The plan of the measurements.
    pub plan: Plan,
    /// The files of the libraries by import name, for diagnostics.
    pub library_paths: BTreeMap<String, PathBuf>,
    /// Whether the results are JSON.
    pub json: bool,
    /// The file for a picture.
    pub svg: Option<PathBuf>,
    /// The report to compare with.
    pub baseline: Option<PathBuf>,
    /// The largest allowed change for the worse, in percent.
    pub max_regress: f64,
    /// Whether progress is shown.
    pub progress: When,
}

type Result<T> = std::result::Result<T, Diagnostic>;

/// Returns the format of errors before the config file is read: a
/// mistake in the config file must not decide how it is reported.
pub fn early_message_style(flags: &Settings, env: Env<'_>) -> MessageStyle {
    let settings = match from_environment(env) {
        Ok(environment) => flags.clone().or(environment),
        Err(_) => flags.clone(),
    };
    message_style(&settings)
}

pub(super) fn message_style(settings: &Settings) -> MessageStyle {
    MessageStyle {
        color: settings.global.color.unwrap_or_default(),
        format: settings.messages.log_format.unwrap_or(LogFormat::Text),
    }
}

/// Resolves `run`.
///
/// # Errors
/// When an argument, a variable or the config file is invalid; the error says where, and what to do.
pub fn run(args: &RunArgs, global: &Global, env: Env<'_>) -> Result<RunConfig> {
    let settings = merged_settings(global.typed.clone(), global, &args.transformation, env)?;
    let inputs = inputs(&args.files)?;
    let emit = settings.events.emit.unwrap_or_default();
    let on_error = settings.failures.on_error.unwrap_or_default();
    let named = settings.failures.errors.clone();
    let errors = named.unwrap_or(match (on_error, emit) {
        // The output contains the failed line itself, or a verdict line with the failure.
        (OnError::Pass, _) | (_, Emit::Verdicts | Emit::Framed) => Target::Nowhere,
        // Dead letters would fill the terminal.
        _ if std::io::stderr().is_terminal() => Target::Temporary,
        _ => Target::Stderr,
    });
    let logs = settings.messages.logs.clone();
    // `-` is standard output, as for other commands.
    let output = settings.events.output.clone().filter(|path| path.as_os_str() != "-");
    let written = Written { output: output.as_deref(), errors: &errors, logs: logs.as_ref() };
    let sources = sources(&args.transformation, &settings);
    let Loaded { mut program, mut paths } = program::read(&sources)?;
    let config_file = setting_sources::config_file(global, &args.transformation, env);
    let read = sources.files().chain(paths.values().map(PathBuf::as_path)).chain(config_file.as_deref());
    refuse_overwriting(written, &inputs, &read.collect::<Vec<_>>())?;
    if let Some(name) = args.transformation.file_name() {
        program.name = name.to_string_lossy().into_owned();
        paths.insert(program.name.clone(), args.transformation.clone());
    }
    let workers = match settings.events.workers.unwrap_or(0) {
        0 => thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    Ok(RunConfig {
        program,
        transformation: args.transformation.clone(),
        library_paths: paths,
        options: Options { logs: logs.is_some(), ..options(&settings) },
        sandbox: sandbox(&settings),
        network: policy(&settings),
        inputs,
        workers,
        output,
        emit,
        line: line_format(&settings)?,
        verdict_detail: settings.events.verdict_detail.unwrap_or_default(),
        format: Format {
            input: input_format(&settings)?,
            decompress: settings.events.decompress.unwrap_or_default() == Decompress::Auto,
            detect: true,
        },
        truncate: settings.failures.errors_truncate.unwrap_or(false),
        on_error,
        errors,
        fail_on: settings.failures.fail_on.unwrap_or(FailOn::Error),
        logs,
        unordered: unordered(&settings)?,
        line_buffered: settings.events.line_buffered.unwrap_or(false),
        batch_size: settings.events.batch_size.unwrap_or(BATCH_SIZE),
        progress: settings.messages.progress.unwrap_or_default(),
        stats_json: settings.messages.stats == Some(Stats::Json),
        quiet: settings.messages.quiet.unwrap_or(false),
        tells_reads: !settings.messages.quiet.unwrap_or(false) || settings.numbers.on_unsafe_integer.is_some(),
        message_style: message_style(&settings),
    })
}

fn line_format(settings: &Settings) -> Result<LineFormat> {
    match (settings.events.envelope.unwrap_or(false), settings.events.input_field.clone()) {
        (true, Some(field)) => Err(Diagnostic::new(format!("--envelope and --input-field {field} exclude each other"))
            .help("an envelope has its event in \"message\"; leave one of the two out")),
        (true, None) => Ok(LineFormat::Envelope),
        (false, Some(field)) => Ok(LineFormat::Field(field)),
        (false, None) => Ok(LineFormat::Event),
    }
}

fn unordered(settings: &Settings) -> Result<bool> {
    let unordered = settings.events.unordered.unwrap_or(false);
    match settings.events.emit.unwrap_or_default() {
        emit @ (Emit::Verdicts | Emit::Framed) if unordered => {
            Err(Diagnostic::new(format!("--unordered and --emit {emit} exclude each other"))
                .help("verdicts are told apart by their order; say --unordered=false, also where a file or a variable says otherwise"))
        }
        _ => Ok(unordered),
    }
}

fn input_format(settings: &Settings) -> Result<InputFormat> {
    match (settings.events.chunk_header.unwrap_or(false), settings.events.input_format) {
        (true, Some(format)) if format != InputFormat::Chunks => {
            Err(Diagnostic::new(format!("--chunk-header and --input-format {format} exclude each other"))
                .help("chunks have an event on each line; leave one of the two out"))
        }
        (true, _) => Ok(InputFormat::Chunks),
        (false, format) => Ok(format.unwrap_or_default()),
    }
}

/// Resolves `check` for each transformation, including the ones in
/// folders. If one cannot be read, the others are still checked.
pub fn check(args: &CheckArgs, global: &Global, env: Env<'_>) -> Vec<std::result::Result<CheckConfig, Unread>> {
    let here = [PathBuf::from(".")];
    let paths = if args.paths.is_empty() { &here[..] } else { &args.paths };
    let files = paths.iter().flat_map(|path| {
        if !path.is_dir() {
            return vec![Ok(path.clone())];
        }
        let files = program::transformations(path);
        if files.is_empty() {
            let error = Diagnostic::new(format!("{} has no transformations", path.display()))
                .help("one is a module that exports transformEvent or transformBatch");
            return vec![Err(Unread { path: path.clone(), error })];
        }
        files
    });
    files
        .map(|file| {
            let file = file?;
            let path = file.strip_prefix(".").map(Path::to_path_buf).unwrap_or(file);
            check_one(&path, args.fix, global, env).map_err(|error| Unread { path, error })
        })
        .collect()
}

fn check_one(file: &Path, fix: bool, global: &Global, env: Env<'_>) -> Result<CheckConfig> {
    let settings = merged_settings(global.typed.clone(), global, file, env)?;
    if fix && let Some(why) = program::fix(file)? {
        report::warn(&why, message_style(&settings).format);
    }
    let Loaded { program, paths } = program::read(&sources(file, &settings))?;
    Ok(CheckConfig { program, library_paths: paths, options: options(&settings), sandbox: sandbox(&settings) })
}

/// Returns the required sandbox of the playground's worker. All other settings are read again
/// for each run of the code; here they are only checked, so that mistakes are reported at once.
///
/// # Errors
/// As for [`run`].
pub fn play(global: &Global, dir: &Path, env: Env<'_>) -> Result<Sandbox> {
    let global = with_config_of(dir, global);
    let transformation = dir.join("transform.js");
    let settings = merged_settings(global.typed.clone(), &global, &transformation, env)?;
    if dir.is_dir() {
        program::read_without_code(&sources(&transformation, &settings))?;
    }
    Ok(sandbox(&settings))
}

pub(super) fn sandbox(settings: &Settings) -> Sandbox {
    Sandbox {
        jitless: settings.sandbox.jitless.unwrap_or(false),
        require: settings.sandbox.require_sandbox.unwrap_or(false),
        warn: match message_style(settings).format {
            LogFormat::Text => report::warn_in_words,
            LogFormat::Json => report::warn_in_json,
        },
    }
}

/// Resolves `bench`.
///
/// # Errors
/// As for [`run`].
pub fn bench(args: &BenchArgs, global: &Global, env: Env<'_>) -> Result<BenchConfig> {
    let settings = merged_settings(global.typed.clone(), global, &args.transformation, env)?;
    let Loaded { program, paths } = program::read(&sources(&args.transformation, &settings))?;
    let flags = &args.bench;
    let source = match args.events.as_slice() {
        [] => Source::Generated { workload: flags.generate.unwrap_or_default(), seed: flags.seed.unwrap_or(1) },
        [path] if path.as_os_str() == "-" => {
            return Err(Diagnostic::new("a bench cannot read standard input")
                .help("it reads its events more than once; write them to a file"));
        }
        files => match inputs(files)?.swap_remove(0) {
            Input::File(path) => Source::File(path),
            Input::Stdin => unreachable!("refused above"),
        },
    };
    let plan = Plan {
        program,
        // The bench measures the code, not a server that the code sends requests to.
        options: Options {
            network: Access {
                fetch: flags.fetch_latency.is_some(),
                geolocation: flags.fetch_latency.is_some(),
                strict: false,
            },
            ..options(&settings)
        },
        batch_size: flags.batch_size.unwrap_or(BATCH_SIZE),
        source,
        events: flags.count,
        warm_up: flags.warm_up,
        runs: flags.runs.unwrap_or(5).into(),
        workers: match &flags.workers[..] {
            [] => scale(thread::available_parallelism().map_or(1, usize::from)),
            some => some.iter().copied().map(usize::from).collect(),
        },
        fetch_latency: flags.fetch_latency,
    };
    Ok(BenchConfig {
        plan,
        library_paths: paths,
        json: flags.json,
        svg: flags.svg.clone(),
        baseline: flags.baseline.clone(),
        max_regress: flags.max_regress.unwrap_or(5.0),
        progress: flags.progress.unwrap_or_default(),
    })
}

/// Returns 1, 2, 4 … and the number of cores.
fn scale(cores: usize) -> Vec<usize> {
    let mut workers: Vec<usize> = std::iter::successors(Some(1), |n| Some(n * 2)).take_while(|n| *n < cores).collect();
    workers.push(cores);
    workers
}

/// Returns the source files and the options of a transformation, as [`run`] would resolve them.
///
/// # Errors
/// As for [`run`].
pub(super) fn for_transformation(
    flags: Settings,
    global: &Global,
    transformation: &Path,
    env: Env<'_>,
) -> Result<(Sources, Options)> {
    let settings = merged_settings(flags, global, transformation, env)?;
    Ok((sources(transformation, &settings), options(&settings)))
}

/// Returns the setup of `fuzz`, `diff` and `lineage`, and the files of the libraries.
///
/// # Errors
/// As for [`run`].
pub(super) fn explore_setup(
    flags: Settings,
    global: &Global,
    transformation: &Path,
    workers: usize,
    env: Env<'_>,
) -> Result<(Setup, BTreeMap<String, PathBuf>)> {
    let settings = merged_settings(flags, global, transformation, env)?;
    let Loaded { program, paths } = program::read(&sources(transformation, &settings))?;
    let Sandbox { jitless, require: require_sandbox, .. } = sandbox(&settings);
    let setup = Setup {
        program,
        // No network, whatever the settings allow: thousands of generated events must not reach real servers.
        options: Options { limits: limits(&settings), ..Options::default() },
        workers,
        batch_size: settings.events.batch_size.unwrap_or(BATCH_SIZE),
        jitless,
        require_sandbox,
        events: None,
    };
    Ok((setup, paths))
}

/// Returns the required sandbox of the test workers. Each of them runs many transformations.
///
/// # Errors
/// As for [`run`].
pub(super) fn for_tests(flags: Settings, global: &Global, env: Env<'_>) -> Result<Sandbox> {
    Ok(sandbox(&merged_settings(flags, global, Path::new(""), env)?))
}

pub(super) fn sources(transformation: &Path, settings: &Settings) -> Sources {
    Sources {
        transformation: transformation.to_owned(),
        library_dirs: settings.libraries.library_dir.clone().unwrap_or_default(),
        libraries: settings.libraries.library.clone(),
        credentials: settings.data.credentials.clone(),
        metadata: settings.data.metadata.clone(),
    }
}

/// Returns the limits and options of the engine, with logs off.
pub(super) fn options(settings: &Settings) -> Options {
    let policy = policy(settings);
    let network = Access {
        fetch: !policy.hosts.is_empty(),
        geolocation: policy.geolocation.is_some(),
        strict: settings.network.strict_fetch.unwrap_or(false),
    };
    let unsafe_integers = match settings.numbers.on_unsafe_integer.unwrap_or_default() {
        OnUnsafeInteger::Warn => UnsafeIntegers::Warn,
        OnUnsafeInteger::Fail => UnsafeIntegers::Fail,
        OnUnsafeInteger::Ignore => UnsafeIntegers::Ignore,
    };
    Options { limits: limits(settings), logs: false, network, unsafe_integers }
}

/// Returns the network policy. A request may take a second longer than
/// the wall limit of an event, so that the event always times out first.
pub(super) fn policy(settings: &Settings) -> Policy {
    Policy {
        hosts: settings.network.allow_net.clone().unwrap_or_default(),
        concurrency: settings.network.concurrency.unwrap_or(CONCURRENCY),
        geolocation: settings.network.geolocation_url.clone(),
        at_once_per_host: settings.network.requests_per_host.unwrap_or(REQUESTS_PER_HOST),
        timeout: limits(settings).wall + Duration::from_secs(1),
        ..Policy::none()
    }
}

/// Returns the limits. A CPU limit above the default wall limit also raises the wall limit: busy code uses up both.
pub(super) fn limits(settings: &Settings) -> Limits {
    let (set, default) = (&settings.limits, Limits::default());
    let cpu = set.cpu_limit.unwrap_or(default.cpu);
    Limits {
        cpu,
        wall: set.wall_limit.unwrap_or(default.wall.max(cpu)),
        heap: set.heap_limit.unwrap_or(default.heap),
        output: set.output_limit.unwrap_or(default.output),
        line: set.line_limit.unwrap_or(default.line),
        log: set.log_limit.unwrap_or(default.log),
    }
}

/// Rejects a replay that would overwrite the file of dead letters, which is its input.
pub(super) fn refuse_overwriting_letters(config: &RunConfig) -> Result<()> {
    let written = Written { output: config.output.as_deref(), errors: &config.errors, logs: config.logs.as_ref() };
    refuse_overwriting(written, &config.inputs, &[])
}

#[cfg(test)]
mod tests;
