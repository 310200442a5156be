//! What a command is to do, resolved: flags over environment over `sluicegate.toml` over defaults, files read,
//! combinations that make no sense refused. After this nobody asks where a value came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use super::args::{CheckArgs, Global, RunArgs};
use super::config_file;
use super::diagnostic::Diagnostic;
use super::program::{self, Loaded, Sources, plain};
use super::report::Voice;
use super::settings::Settings;
use super::values;
use crate::config::{Emit, Input, LogFormat, OnError, Stats, Target, When};
use crate::engine::{Limits, Options, Program};
use crate::verdict::FailOn;

/// The most events that one call of `transformBatch` is given, unless told otherwise.
pub const BATCH_SIZE: usize = 200;

/// A run.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The transformation, read from disk.
    pub program: Program,
    /// The files of the libraries, by handle, for diagnostics.
    pub library_paths: BTreeMap<String, PathBuf>,
    /// How the engine runs it.
    pub options: Options,
    /// Where events come from; at least one.
    pub inputs: Vec<Input>,
    /// How many worker processes; at least one.
    pub workers: usize,
    /// What standard output carries.
    pub emit: Emit,
    /// Whether lines are envelopes around events.
    pub envelope: bool,
    /// What becomes of a line whose event failed.
    pub on_error: OnError,
    /// Where dead letters go.
    pub errors: Target,
    /// Where the line between exit codes 0 and 1 lies.
    pub fail_on: FailOn,
    /// Where log lines of the code go, if they are kept.
    pub logs: Option<Target>,
    /// Whether results are written as they come.
    pub unordered: bool,
    /// Whether every line is written out at once.
    pub line_buffered: bool,
    /// The most events that one call of `transformBatch` is given.
    pub batch_size: usize,
    /// Whether progress is shown.
    pub progress: When,
    /// Whether the numbers at the end are JSON.
    pub stats_json: bool,
    /// No progress, no summary.
    pub quiet: bool,
    /// How errors are written.
    pub voice: Voice,
}

/// A check.
#[derive(Clone, Debug)]
pub struct CheckConfig {
    /// The transformation, read from disk.
    pub program: Program,
    /// The files of the libraries, by handle, for diagnostics.
    pub library_paths: BTreeMap<String, PathBuf>,
    /// How the engine loads it.
    pub options: Options,
}

/// What lies around the command line.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// An environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The current folder; empty in earnest, another one in tests.
    pub folder: &'a Path,
}

impl Surroundings<'static> {
    /// Those of this process.
    pub fn here() -> Self {
        Self { variable: &|name| std::env::var_os(name), folder: Path::new("") }
    }
}

type Result<T> = std::result::Result<T, Diagnostic>;

/// How to write errors, as far as it is known before anything was resolved: a mistake in the file must not decide
/// how it is reported.
pub fn early_voice(flags: &Settings, around: Surroundings<'_>) -> Voice {
    let settings = match from_environment(around) {
        Ok(environment) => flags.clone().or(environment),
        Err(_) => flags.clone(),
    };
    voice(&settings)
}

fn voice(settings: &Settings) -> Voice {
    Voice {
        color: settings.global.color.unwrap_or_default(),
        format: settings.messages.log_format.unwrap_or(LogFormat::Text),
    }
}

/// Resolves `run`.
///
/// # Errors
/// When anything is wrong with what was typed, set or written; the error says where and what to do.
pub fn run(args: &RunArgs, global: &Global, around: Surroundings<'_>) -> Result<RunConfig> {
    let settings = layered(args.settings(global), global, &args.transformation, around)?;
    let inputs = inputs(&args.files)?;
    let emit = settings.events.emit.unwrap_or_default();
    let on_error = settings.failures.on_error.unwrap_or_default();
    let named = settings.failures.errors.clone();
    let errors = named.unwrap_or(match (on_error, emit) {
        // The line itself goes out, or the verdict line that stands for it says what went wrong.
        (OnError::Pass, _) | (_, Emit::Verdicts) => Target::Nowhere,
        _ => Target::Stderr,
    });
    let logs = settings.messages.logs.clone();
    refuse_overwriting(&errors, logs.as_ref(), &inputs, args, &settings)?;
    let Loaded { program, paths } = program::read(&sources(&args.transformation, &settings))?;
    let workers = match settings.events.workers.unwrap_or(0) {
        0 => thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    Ok(RunConfig {
        program,
        library_paths: paths,
        options: Options { limits: limits(&settings), logs: logs.is_some() },
        inputs,
        workers,
        emit,
        envelope: settings.events.envelope.unwrap_or(false),
        on_error,
        errors,
        fail_on: settings.failures.fail_on.unwrap_or(FailOn::Error),
        logs,
        unordered: settings.events.unordered.unwrap_or(false),
        line_buffered: settings.events.line_buffered.unwrap_or(false),
        batch_size: settings.events.batch_size.unwrap_or(BATCH_SIZE),
        progress: settings.messages.progress.unwrap_or_default(),
        stats_json: settings.messages.stats == Some(Stats::Json),
        quiet: settings.messages.quiet.unwrap_or(false),
        voice: voice(&settings),
    })
}

/// Resolves `check`.
///
/// # Errors
/// As for [`run`].
pub fn check(args: &CheckArgs, global: &Global, around: Surroundings<'_>) -> Result<CheckConfig> {
    let settings = layered(args.settings(global), global, &args.transformation, around)?;
    let Loaded { program, paths } = program::read(&sources(&args.transformation, &settings))?;
    let options = Options { limits: limits(&settings), logs: false };
    Ok(CheckConfig { program, library_paths: paths, options })
}

/// Flags over environment over file.
fn layered(flags: Settings, global: &Global, transformation: &Path, around: Surroundings<'_>) -> Result<Settings> {
    let environment = from_environment(around)?;
    let file = from_file(global, transformation, around)?;
    Ok(flags.or(environment).or(file))
}

/// What the variables say that are named like the flags. An empty one says nothing.
fn from_environment(around: Surroundings<'_>) -> Result<Settings> {
    let mut settings = Settings::default();
    let read = |name: &str| match (around.variable)(name) {
        Some(value) if !value.is_empty() => value.into_string().map(Some).map_err(|value| {
            Diagnostic::new(format!("the environment variable {name} is not UTF-8: {}", value.to_string_lossy()))
        }),
        _ => Ok(None),
    };
    let invalid = |name: &str, text: &str, reason: String| {
        Diagnostic::new(format!("the environment variable {name} has an invalid value `{text}`: {reason}"))
            .help(format!("change it, or unset it with `unset {name}`"))
    };
    for setting in Settings::table() {
        let name = setting.variable();
        if let Some(text) = read(&name)? {
            settings.set(setting.flag, &text).map_err(|reason| invalid(&name, &text, reason))?;
        }
    }
    if let Some(dirs) = (around.variable)("SLUICEGATE_LIBRARY_DIR").filter(|dirs| !dirs.is_empty()) {
        let dirs = std::env::split_paths(&dirs).filter(|dir| !dir.as_os_str().is_empty());
        settings.libraries.library_dir = Some(dirs.collect());
    }
    let name = "SLUICEGATE_LIBRARY";
    if let Some(list) = read(name)? {
        for text in list.split(':').filter(|text| !text.is_empty()) {
            let library = values::library(text).map_err(|reason| invalid(name, text, reason))?;
            settings.libraries.library.push(library);
        }
    }
    Ok(settings)
}

/// What the config file says: the named one, which has to exist, else the nearest one, if there is any.
fn from_file(global: &Global, transformation: &Path, around: Surroundings<'_>) -> Result<Settings> {
    let variable = || (around.variable)("SLUICEGATE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = match global.config.clone().or_else(variable) {
        Some(path) => path,
        None => {
            let beside = transformation.parent().unwrap_or(Path::new(""));
            let places = [around.folder.join(config_file::NAME), beside.join(config_file::NAME)];
            match places.into_iter().find(|path| path.exists()) {
                Some(path) => path,
                None => return Ok(Settings::default()),
            }
        }
    };
    let shown = path.display();
    let bytes = fs::read(&path).map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
            _ => plain(&error),
        };
        Diagnostic::new(format!("cannot read the config file {shown}: {reason}"))
            .help("name another one with --config, or see that it can be read")
    })?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Diagnostic::new(format!("cannot read the config file {shown}: it is not UTF-8"))
            .help("save the file in the encoding UTF-8")
    })?;
    config_file::parse(&text, &path)
}

fn sources(transformation: &Path, settings: &Settings) -> Sources {
    Sources {
        transformation: transformation.to_owned(),
        library_dirs: settings.libraries.library_dir.clone().unwrap_or_default(),
        libraries: settings.libraries.library.clone(),
        credentials: settings.data.credentials.clone(),
        metadata: settings.data.metadata.clone(),
    }
}

/// The limits. Who raises the CPU limit beyond the wall limit's default means it: busy code uses up both.
fn limits(settings: &Settings) -> Limits {
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

/// The inputs, looked at before anything starts: a mistyped last file should not be found out after an hour.
fn inputs(files: &[PathBuf]) -> Result<Vec<Input>> {
    if files.is_empty() {
        return Ok(vec![Input::Stdin]);
    }
    let mut inputs = Vec::new();
    for path in files {
        if path.as_os_str() == "-" {
            if inputs.contains(&Input::Stdin) {
                return Err(Diagnostic::new("standard input is named twice").help("it can be read only once"));
            }
            inputs.push(Input::Stdin);
            continue;
        }
        let cannot = |reason: String, help: &str| {
            Err(Diagnostic::new(format!("cannot read the events {}: {reason}", path.display())).help(help))
        };
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                return cannot("it is a folder".to_owned(), "name the files in it, e.g. folder/*.jsonl");
            }
            Ok(_) => inputs.push(Input::File(path.clone())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return cannot("there is no such file".to_owned(), "a relative path starts in the current folder");
            }
            Err(error) => return cannot(plain(&error), "see that the file can be read"),
        }
    }
    Ok(inputs)
}

/// Dead letters and logs go to files of their own: writing them over what is being read would destroy it.
fn refuse_overwriting(
    errors: &Target,
    logs: Option<&Target>,
    inputs: &[Input],
    args: &RunArgs,
    settings: &Settings,
) -> Result<()> {
    let regular = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let same = |one: &Path, other: &Path| match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(a), Ok(b)) => a == b && regular(one),
        _ => one == other,
    };
    let mut read: Vec<&Path> = vec![&args.transformation];
    read.extend(inputs.iter().filter_map(|input| match input {
        Input::File(path) => Some(path.as_path()),
        Input::Stdin => None,
    }));
    read.extend(settings.libraries.library.iter().map(|library| library.path.as_path()));
    read.extend(settings.data.credentials.as_deref());
    read.extend(settings.data.metadata.as_deref());
    for (flag, target) in [("--errors", Some(errors)), ("--logs", logs)] {
        let Some(Target::File(path)) = target else { continue };
        if path.is_dir() {
            return Err(Diagnostic::new(format!("cannot write {flag} {}: it is a folder", path.display()))
                .help("name a file in it"));
        }
        if read.iter().any(|input| same(input, path)) {
            return Err(Diagnostic::new(format!("{flag} {} is also read by this run", path.display()))
                .help("writing to it would destroy it; name another file"));
        }
    }
    match (errors, logs) {
        (Target::File(errors), Some(Target::File(logs))) if same(errors, logs) => {
            Err(Diagnostic::new(format!("--errors and --logs are the same file, {}", errors.display()))
                .help("name two files"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::golden;

    const IDENTITY: &str = "export function transformEvent(event) { return event; }";

    /// A folder with a transformation, `t.js`, and a config file.
    struct Project {
        dir: tempfile::TempDir,
        variables: BTreeMap<&'static str, String>,
    }

    impl Project {
        fn new(config: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("t.js"), IDENTITY).unwrap();
            if !config.is_empty() {
                fs::write(dir.path().join(config_file::NAME), config).unwrap();
            }
            Self { dir, variables: BTreeMap::new() }
        }

        fn with(self, file: &str, text: &str) -> Self {
            let path = self.path(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        fn set(mut self, name: &'static str, value: &str) -> Self {
            self.variables.insert(name, value.to_owned());
            self
        }

        fn path(&self, file: &str) -> PathBuf {
            self.dir.path().join(file)
        }

        /// Resolves a command line in which `DIR` stands for the folder.
        fn run(&self, flags: &[&str]) -> std::result::Result<RunConfig, String> {
            let dir = self.dir.path().display().to_string();
            let mut words = vec!["sluicegate".to_owned(), "run".to_owned(), self.path("t.js").display().to_string()];
            words.extend(flags.iter().map(|flag| flag.replace("DIR", &dir)));
            let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
            let Command::Run(args) = cli.command else { panic!("not run") };
            let variable = |name: &str| self.variables.get(name).map(OsString::from);
            let around = Surroundings { variable: &variable, folder: Path::new("no such folder") };
            run(&args, &cli.global, around).map_err(|error| error.render(false).replace(&dir, "DIR"))
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = Project::new("").run(&[]).unwrap();
        assert_eq!(config.options, Options::default());
        assert_eq!(config.inputs, [Input::Stdin]);
        assert!(config.workers >= 1);
        assert_eq!((config.emit, config.on_error, config.errors), (Emit::Events, OnError::DeadLetter, Target::Stderr));
        assert_eq!((config.fail_on, config.logs, config.batch_size), (FailOn::Error, None, 200));
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let project = Project::new("[limits]\ncpu = \"1ms\"\nheap = \"10MiB\"\nlog = \"1KiB\"\n[run]\nworkers = 3\n")
            .set("SLUICEGATE_CPU_LIMIT", "2ms")
            .set("SLUICEGATE_HEAP_LIMIT", "20MiB")
            .set("SLUICEGATE_BATCH_SIZE", "");
        let config = project.run(&["--cpu-limit", "3ms"]).unwrap();
        assert_eq!(config.options.limits.cpu, Duration::from_millis(3));
        assert_eq!(config.options.limits.heap, 20 << 20);
        assert_eq!(config.options.limits.log, 1 << 10);
        assert_eq!((config.workers, config.batch_size), (3, BATCH_SIZE));
    }

    #[test]
    fn a_switch_of_the_file_can_be_turned_off() {
        let project = Project::new("[run]\nunordered = true\nquiet = true\n").set("SLUICEGATE_QUIET", "0");
        let config = project.run(&[]).unwrap();
        assert_eq!((config.unordered, config.quiet), (true, false));
        assert!(!project.run(&["--unordered=false"]).unwrap().unordered);
    }

    #[test]
    fn the_named_config_file_replaces_the_one_that_is_found() {
        let project = Project::new("[run]\nworkers = 3\n")
            .with("other.toml", "[run]\nbatch-size = 7\n")
            .with("third.toml", "[run]\nbatch-size = 8\n");
        let config = project.run(&["--config", "DIR/other.toml", "-j2"]).unwrap();
        assert_eq!((config.workers, config.batch_size), (2, 7));
        let third = project.path("third.toml").display().to_string();
        let project = project.set("SLUICEGATE_CONFIG", &third);
        assert_eq!(project.run(&[]).unwrap().batch_size, 8);
        assert_eq!(project.run(&["--config", "DIR/other.toml"]).unwrap().batch_size, 7);
    }

    #[test]
    fn libraries_are_laid_over_each_other_handle_by_handle() {
        let project = Project::new("[libraries]\ndirs = [\"lib\"]\na = \"a1.js\"\nb = \"b1.js\"\n")
            .with("lib/c.js", "c1")
            .with("more/c.js", "c2")
            .with("a1.js", "a1")
            .with("b1.js", "b1")
            .with("b2.js", "b2");
        let libraries = |flags: &[&str]| project.run(flags).unwrap().program.libraries;
        let expect = |a: &str, b: &str, c: &str| {
            [("a", a), ("b", b), ("c", c)].map(|(handle, text)| (handle.to_owned(), text.to_owned())).into()
        };
        assert_eq!(libraries(&[]), expect("a1", "b1", "c1"));
        assert_eq!(libraries(&["--library", "b=DIR/b2.js"]), expect("a1", "b2", "c1"));
        assert_eq!(libraries(&["-L", "DIR/more"]), expect("a1", "b1", "c2"));
    }

    #[test]
    fn libraries_can_come_from_the_environment() {
        let project = Project::new("").with("lib/c.js", "c").with("b.js", "b");
        let lib = project.path("lib").display().to_string();
        let named = format!("b={}", project.path("b.js").display());
        let project = project.set("SLUICEGATE_LIBRARY_DIR", &lib).set("SLUICEGATE_LIBRARY", &named);
        let libraries = project.run(&[]).unwrap().program.libraries;
        assert_eq!(libraries.keys().collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn dead_letters_go_nowhere_only_when_the_output_carries_the_failure() {
        let project = Project::new("");
        let errors = |flags: &[&str]| project.run(flags).unwrap().errors;
        assert_eq!(errors(&[]), Target::Stderr);
        assert_eq!(errors(&["--on-error", "stop"]), Target::Stderr);
        assert_eq!(errors(&["--on-error", "pass"]), Target::Nowhere);
        assert_eq!(errors(&["--emit", "verdicts"]), Target::Nowhere);
        assert_eq!(errors(&["--emit", "verdicts", "--errors", "-"]), Target::Stderr);
        assert_eq!(errors(&["--on-error=pass", "--errors=DIR/e"]), Target::File(project.path("e")));
    }

    #[test]
    fn a_cpu_limit_raises_the_wall_limit_that_nobody_set() {
        let project = Project::new("");
        let wall = |flags: &[&str]| project.run(flags).unwrap().options.limits.wall.as_secs();
        assert_eq!(wall(&["--timeout", "30s"]), 30);
        assert_eq!(wall(&["--cpu-limit", "30s", "--wall-limit", "7s"]), 7);
        assert_eq!(wall(&["--cpu-limit", "200ms"]), 5);
    }

    #[test]
    fn logs_are_kept_only_if_they_go_somewhere() {
        let project = Project::new("");
        assert!(!project.run(&[]).unwrap().options.logs);
        assert!(project.run(&["--logs", "-"]).unwrap().options.logs);
    }

    /// `tests/golden/flags.txt`: what the user is told about flags, variables and files that cannot be right.
    #[test]
    fn each_mistake_says_what_to_do() {
        let project = Project::new("").with("events.jsonl", "{}\n").with("broken.toml", "[limits]\nheap = \"1MiB\"\n");
        let flags: &[&[&str]] = &[
            &["DIR/missing.jsonl"],
            &["DIR"],
            &["-", "-"],
            &["--heap-limit", "1MiB"],
            &["--heap-limit", "plenty"],
            &["--cpu-limit", "5"],
            &["--timeout", "0s"],
            &["-j", "2000"],
            &["-j", "-1"],
            &["--batch-size", "0"],
            &["--line-limit", "0"],
            &["--fail-on", "101%"],
            &["--emit", "event"],
            &["--on-error", "ignore"],
            &["--unordered=maybe"],
            &["--library", "jsLib1"],
            &["--cpu-limt", "1s"],
            &["--config", "DIR/missing.toml"],
            &["--config", "DIR"],
            &["--config", "DIR/broken.toml"],
            &["DIR/events.jsonl", "--errors", "DIR/events.jsonl"],
            &["--logs", "DIR/t.js"],
            &["--logs", "DIR"],
            &["--logs", "DIR/new", "--errors", "DIR/new"],
        ];
        let mut text = String::new();
        for words in flags {
            let error = project.run(words).expect_err(&words.join(" "));
            let error = error.replace(&project.dir.path().display().to_string(), "DIR");
            text.push_str(&format!("# {}\n{error}\n", words.join(" ")));
        }
        for (name, value) in
            [("SLUICEGATE_HEAP_LIMIT", "1MiB"), ("SLUICEGATE_QUIET", "perhaps"), ("SLUICEGATE_LIBRARY", "a")]
        {
            let error = Project::new("").set(name, value).run(&[]).unwrap_err();
            text.push_str(&format!("# {name}={value}\n{error}\n"));
        }
        golden::check(Path::new("tests/golden/flags.txt"), &text).unwrap_or_else(|wrong| panic!("{wrong}"));
    }

    #[test]
    fn every_row_of_the_table_is_a_flag_a_variable_and_a_key() {
        let text = |kind| match kind {
            values::Kind::Size => "9MiB",
            values::Kind::Duration => "20ms",
            values::Kind::Count => "3",
            values::Kind::Switch => "true",
            values::Kind::Word(words) => words[0],
            values::Kind::Text(_) => "never",
            values::Kind::Path | values::Kind::Target => "some/file",
        };
        for setting in Settings::table() {
            let (flag, value) = (format!("--{}={}", setting.flag, text(setting.kind)), text(setting.kind));
            let cli = Cli::try_parse_from(["sluicegate", "run", "t.js", &flag]).unwrap();
            let Command::Run(args) = cli.command else { panic!("not run") };
            let name = setting.variable();
            let variable = |asked: &str| (asked == name).then(|| OsString::from(value));
            let around = Surroundings { variable: &variable, folder: Path::new("") };
            let from_flag = args.settings(&cli.global);
            assert_eq!(from_flag, from_environment(around).unwrap(), "{flag}");
            assert_ne!(from_flag, Settings::default(), "{flag}");
        }
    }
}
