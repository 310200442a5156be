//! Arguments as typed. What they resolve to, together with the environment and the config file, is
//! [`crate::cli::config`]; nothing outside `cli` sees these types.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::examples::{
    BENCH_EXAMPLES, CHECK_EXAMPLES, DIFF_EXAMPLES, EXAMPLES, FUZZ_EXAMPLES, INIT_EXAMPLES, LINEAGE_EXAMPLES,
    PLAY_EXAMPLES, REPLAY_EXAMPLES, RUN_EXAMPLES, SERVE_EXAMPLES, SYNC_EXAMPLES, TEST_EXAMPLES,
};
use super::settings::{
    DataFlags, EventFlags, FailureFlags, GlobalFlags, LibraryFlags, LimitFlags, MessageFlags, NetworkFlags,
    NumberFlags, SandboxFlags, ServeFlags, Settings, words,
};
use super::values;
use crate::bench::generate::Workload;
use crate::config::{LogFormat, Reporter, Stats, When};
use crate::tally::FailOn;

/// Runs a user's JavaScript over every event of a stream.
///
/// Each event (a JSON object on a line) goes through `transformEvent`, passes, passes changed, or is stopped. The code
/// runs in a sandbox with limits on time and memory for every single event; a failed event never takes others with it,
/// and none is lost.
#[derive(Debug, Parser)]
#[command(
    name = "sluicegate",
    version,
    long_version = LONG_VERSION.as_str(),
    max_term_width = 100,
    after_help = EXAMPLES,
    args_override_self = true
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Those that the environment and the file know too.
    #[command(flatten)]
    pub settings: GlobalFlags,
    /// The config file [default: sluicegate.toml in the current folder or the nearest above, else beside the transformation].
    ///
    /// One beside the transformation may name libraries in its own folder, set the batch size and lower limits. The rest is
    /// for who runs the code.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// All settings that were typed, see [`Cli::read`].
    #[arg(skip)]
    pub typed: Settings,
}

/// What `--version` says behind the name: the version, V8's, and the commit of a build that was told it.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = option_env!("SLUICEGATE_COMMIT").map(|commit| format!(", commit {commit}")).unwrap_or_default();
    format!("{} (V8 {}{commit})", env!("CARGO_PKG_VERSION"), sluicegate_engine::v8_version())
});

impl Cli {
    /// Reads a command line.
    ///
    /// # Errors
    /// When it makes no sense, and for `--help` and `--version`, whose text is the error.
    pub fn read<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(words)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        cli.global.typed = Settings::from_matches(matches.subcommand().map_or(&matches, |(_, matches)| matches));
        Ok(cli)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a transformation over every event of a stream.
    ///
    /// Reads lines from the files, or from standard input, gives each event to the transformation, and writes what
    /// comes out to standard output, in the order of the input. A line whose event failed becomes a dead letter.
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Load transformations, and report what they export, what is wrong with them, and which missing names they use.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Box<CheckArgs>),
    /// Run the events of dead letters again, one alone or all of a file.
    ///
    /// Takes the transformation that the record names, with the settings of `run`, and says whether the code has changed
    /// since. One record: the event runs alone, and standard output tells its verdict, time, heap, logs and stack. With
    /// --all, a run over all of a file's events: what succeeds goes to standard output, what fails again to --errors, with
    /// the line and offset that it first had.
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Box<ReplayArgs>),
    /// Measure a transformation: events per second, time per event, where it goes, memory.
    ///
    /// Takes the events of a file, as often as it needs them, or made-up ones. Everything is measured several times in
    /// turns, with the warm-up left out.
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(Box<BenchArgs>),
    /// Run the tests of transformations and libraries, in the engine of production.
    ///
    /// Tests are files called *.test.js or *.spec.ts, or modules in __tests__, beside the code or in a folder test;
    /// cases called *.case.json, and RudderStack's YAML and meta.json as they stand. orders.test.js is about orders.js;
    /// its transform(event) runs the transformation with the sandbox and the limits of `run`.
    #[command(after_help = TEST_EXAMPLES)]
    Test(Box<TestArgs>),
    /// Write and try a transformation in the browser: it runs on every keystroke, in the engine of production.
    ///
    /// Prints the address of a local page. It edits the code of a folder, shows what comes out of an event as a diff,
    /// the logs, the verdict and what it cost, and writes what it shows as a test case. The page needs no network, and
    /// the code has none unless hosts are allowed.
    #[command(after_help = PLAY_EXAMPLES)]
    Play(Box<PlayArgs>),
    /// Look for events that make a transformation throw, hit a limit, or send something invalid.
    ///
    /// Takes sample events, or built-in ones, and changes them at random: a field is missing, null, of another type,
    /// huge, in another script, named __proto__, an invalid date, a number at a limit. Each fault is shown once, with
    /// the smallest event that shows it. The same seed gives the same events.
    #[command(after_help = FUZZ_EXAMPLES)]
    Fuzz(Box<FuzzArgs>),
    /// Run two versions of a transformation over the same events, and report the differences.
    ///
    /// Changed verdicts and changed fields, how many events each is about, an example, and what the new version costs.
    /// Both versions see the same clock, which stands still, and the same random numbers.
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(Box<DiffArgs>),
    /// Report what a transformation reads, and which of it reaches the output.
    ///
    /// Measured, not guessed: events run with every read noted, then again with one value changed at a time. Shows
    /// where each field of the output comes from, what decides over the verdict, and what is never read.
    #[command(after_help = LINEAGE_EXAMPLES)]
    Lineage(Box<LineageArgs>),
    /// Answer requests of rudder-server, in the place of its user-transformation service.
    ///
    /// Events come over HTTP, some hundred in a request, and are answered with a row for each. Code comes from a folder
    /// or a config backend, and stays loaded.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Send changed rows of a table to the tools of a team: reverse ETL.
    ///
    /// Rows of a command, a file or standard input become events, go through the transformation, and are delivered to
    /// the sinks that the config names. Only rows that differ from what a sink has acknowledged go out; none is sent
    /// twice or forgotten, and no failure is reported as a success.
    Sync(Box<SyncArgs>),
    /// Write completions for a shell to standard output.
    ///
    /// For bash: sluicegate completions bash > ~/.local/share/bash-completion/completions/sluicegate
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write the man page to standard output, with all commands in it.
    ///
    /// To read it at once: sluicegate man | man -l -
    Man,
    /// Show which layers of the sandbox are in place on this machine.
    ///
    /// Starts a worker and asks it. Exit codes: 0 all of them are in place, 2 one is not, or no worker can be started.
    Doctor {
        /// Print the result as one JSON object [default: for people].
        #[arg(long)]
        json: bool,
    },
    /// Write the TypeScript declarations of everything that a transformation and its tests can call.
    ///
    /// sluicegate types > sluicegate.d.ts makes them known to every editor that finds the file in the project.
    ///
    /// Libraries are declared too, by their handles, with the types of their files: those of -L and of sluicegate.toml.
    Types(TypesArgs),
    /// Write a new project: a transformation, a library, tests, a case, and the configuration of editors, ESLint and
    /// CI.
    ///
    /// Everything in it passes. Existing files are never overwritten.
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArgs),
}

/// How `check` writes what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[expect(missing_docs, reason = "their names")]
pub enum CheckReporter {
    #[default]
    Pretty,
    Github,
}

/// A shell for which there are completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[expect(missing_docs, reason = "their names")]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    Nushell,
    #[value(name = "powershell")]
    PowerShell,
    Elvish,
}

/// What this program is when it has started itself. Not among the commands, so that no help, completion or suggestion names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnProcess {
    /// A worker. It speaks a protocol of its own over its standard streams.
    Worker,
    /// One measurement of `bench`.
    BenchStep,
    /// A source is parsed.
    Parse,
    /// A run for `fuzz` and `diff`.
    Trial,
    /// A worker of `lineage`.
    LineageWorker,
    /// A worker of `test`.
    SuiteWorker,
    /// A query of a database.
    Adbc,
}

impl OwnProcess {
    /// Which of them the whole command line asks for, if it is one.
    pub fn read(words: &[OsString]) -> Option<Self> {
        let [_, word] = words else { return None };
        Some(match word.to_str()? {
            "worker" => Self::Worker,
            "bench-step" => Self::BenchStep,
            "parse" => Self::Parse,
            "trial" => Self::Trial,
            "lineage-worker" => Self::LineageWorker,
            "suite-worker" => Self::SuiteWorker,
            "adbc" => Self::Adbc,
            _ => return None,
        })
    }
}

/// What every command takes that runs code in the sandbox.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct CodeFlags {
    #[command(flatten)]
    pub libraries: LibraryFlags,
    #[command(flatten)]
    pub data: DataFlags,
    #[command(flatten)]
    pub limits: LimitFlags,
    #[command(flatten)]
    pub numbers: NumberFlags,
    #[command(flatten)]
    pub sandbox: SandboxFlags,
}

/// What every command takes that runs code over a stream.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "as above")]
pub struct RunFlags {
    #[command(flatten)]
    pub code: CodeFlags,
    #[command(flatten)]
    pub network: NetworkFlags,
    #[command(flatten)]
    pub events: EventFlags,
    #[command(flatten)]
    pub failures: FailureFlags,
    #[command(flatten)]
    pub messages: MessageFlags,
}

/// `run`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct RunArgs {
    /// The transformation, a JavaScript or TypeScript module that exports transformEvent or transformBatch.
    pub transformation: PathBuf,
    /// Files of events, one JSON object a line, read one after the other; `-` is standard input
    /// [default: standard input].
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub flags: RunFlags,
}

/// `replay`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct ReplayArgs {
    /// The dead letter: FILE:LINE, a FILE that holds only one, or `-` for standard input.
    #[arg(value_name = "RECORD", required_unless_present = "all")]
    pub record: Option<PathBuf>,
    /// Run the events of all dead letters in FILE, `-` for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "json"])]
    pub all: Option<PathBuf>,
    /// Run them through this transformation [default: the one that the records name].
    #[arg(long, value_name = "FILE")]
    pub transformation: Option<PathBuf>,
    /// Print the result as one JSON object on standard output [default: for people].
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub flags: RunFlags,
}

impl ReplayArgs {
    /// The same as arguments of `run`.
    pub fn as_run(&self, transformation: PathBuf) -> RunArgs {
        RunArgs { transformation, files: Vec::new(), flags: self.flags.clone() }
    }
}

/// `check`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct CheckArgs {
    /// Transformations, JavaScript or TypeScript modules that export transformEvent or transformBatch, and folders in which all of
    /// them are checked, tests left out [default: the current folder].
    #[arg(value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
    /// Print the findings on standard output, one JSON object for each finding, with `file`, `line`, `column`, `rule`, `message` and `help`;
    /// and one for each transformation without any [default: for people].
    #[arg(long)]
    pub json: bool,
    /// How findings are written: for people, or also as annotations that GitHub shows at the lines of a pull request
    /// [default: pretty].
    #[arg(long, value_name = "FORM", value_enum, conflicts_with = "json")]
    pub reporter: Option<CheckReporter>,
    /// Fix what can be fixed mechanically in JavaScript files, in place, before they are checked: CommonJS, a default
    /// export, a missing `export` [default: nothing is written].
    #[arg(long)]
    pub fix: bool,
    #[command(flatten)]
    pub code: CodeFlags,
}

/// `bench`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct BenchArgs {
    /// The transformation, a JavaScript module that exports transformEvent or transformBatch.
    pub transformation: PathBuf,
    /// A file of events, one JSON object a line [default: made-up events, see --generate].
    pub events: Option<PathBuf>,
    #[command(flatten)]
    pub bench: BenchFlags,
    #[command(flatten)]
    pub libraries: LibraryFlags,
    #[command(flatten)]
    pub data: DataFlags,
    #[command(flatten)]
    pub limits: LimitFlags,
}

/// `test`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct TestArgs {
    /// Test files, or folders to look for them in [default: the current folder].
    pub paths: Vec<PathBuf>,
    /// Only tests whose name matches this regular expression [default: all].
    #[arg(short = 't', long, value_name = "PATTERN")]
    pub filter: Option<String>,
    /// Rewrite snapshots that differ; refused where CI is set [default: a difference is a failure].
    #[arg(short = 'u', long)]
    pub update: bool,
    /// End at the first failure [default: all tests are run].
    #[arg(long)]
    pub fail_fast: bool,
    /// Write a first test for a transformation, from sample events, and run nothing [default: tests are run].
    #[arg(long, value_name = "FILE", conflicts_with_all = ["paths", "watch", "list"])]
    pub init: Option<PathBuf>,
    /// Keep running, and rerun the tests that a changed file affects [default: run once].
    #[arg(short = 'w', long, conflicts_with = "list")]
    pub watch: bool,
    /// List the tests, without running them [default: they are run].
    #[arg(long)]
    pub list: bool,
    /// How results are written to standard output [default: pretty].
    #[arg(long, value_name = "FORM", value_parser = words::<Reporter>())]
    pub reporter: Option<Reporter>,
    /// Measure which lines of transformations and libraries run, and show a table [default: not counted].
    #[arg(long)]
    pub coverage: bool,
    /// Write the same to FILE in lcov's format, for genhtml and services; implies --coverage [default: not written].
    #[arg(long, value_name = "FILE")]
    pub coverage_lcov: Option<PathBuf>,
    /// Fail if a smaller share of lines runs, e.g. 90%; implies --coverage [default: any number will do].
    #[arg(long, value_name = "PERCENT", value_parser = values::percent)]
    pub min_coverage: Option<f64>,
    /// Also run each test alone, and all of them shuffled; a test whose result differs fails, with the variable that
    /// leaked [default: tests are run in order].
    #[arg(long, conflicts_with = "list")]
    pub isolation: bool,
    /// The seed of Math.random() in transformations whose test gives none, and of the order that --isolation shuffles to
    /// [default: none, and 1].
    #[arg(long, value_name = "N")]
    pub seed: Option<u32>,
    /// CPU time that one test may take, its transformation included [default: 5s].
    #[arg(long, value_name = "TIME", value_parser = values::limit)]
    pub test_timeout: Option<Duration>,
    /// How many worker processes, 0 for one per core [default: 0].
    #[arg(short = 'j', long, value_name = "N", value_parser = values::workers)]
    pub workers: Option<usize>,
    #[command(flatten)]
    pub code: CodeFlags,
}

/// `fuzz`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct FuzzArgs {
    /// The transformation, a JavaScript or TypeScript module that exports transformEvent or transformBatch.
    pub transformation: PathBuf,
    /// A file of events to start from, one JSON object a line; the first thousand are taken
    /// [default: one of each kind, built in].
    pub events: Option<PathBuf>,
    /// How many events are tried [default: 10000].
    #[arg(long, value_name = "N")]
    pub runs: Option<u64>,
    /// Time limit, e.g. 10s [default: 1m].
    #[arg(long, value_name = "TIME", value_parser = values::limit)]
    pub time: Option<Duration>,
    /// The seed of the changes [default: 1].
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Write each fault into this folder as a test that fails, *.case.json [default: they are only shown].
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// Print the result as one JSON object [default: for people].
    #[arg(long)]
    pub json: bool,
    /// Whether to show progress on standard error [default: auto, on a terminal].
    #[arg(long, value_name = "WHEN", value_parser = words::<When>())]
    pub progress: Option<When>,
    /// How many worker processes, 0 for one per core [default: 0].
    #[arg(short = 'j', long, value_name = "N", value_parser = values::workers)]
    pub workers: Option<usize>,
    #[command(flatten)]
    pub code: CodeFlags,
}

/// `diff`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct DiffArgs {
    /// The transformation as it was.
    pub old: PathBuf,
    /// The transformation as it is to be.
    pub new: PathBuf,
    /// A file of events, one JSON object a line; `-` is standard input.
    pub events: PathBuf,
    /// Fail if more events than that changed [default: any number will do].
    #[arg(long, value_name = "N")]
    pub max_changes: Option<u64>,
    /// Print the result as one JSON object [default: for people].
    #[arg(long)]
    pub json: bool,
    /// Whether to show progress on standard error [default: auto, on a terminal].
    #[arg(long, value_name = "WHEN", value_parser = words::<When>())]
    pub progress: Option<When>,
    /// A field whose changes do not count, and all below it, e.g. `context.requestId` or `items[].id`; may be repeated
    /// [default: every change counts].
    #[arg(long, value_name = "PATH")]
    pub ignore: Vec<String>,
    /// The time at which both versions run, e.g. 2024-02-29T00:00:00Z [default: when the command starts].
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub now: Option<f64>,
    /// The seed of Math.random() in both versions [default: 1].
    #[arg(long, value_name = "N")]
    pub seed: Option<u32>,
    /// How many worker processes for each version, 0 for as many as the cores allow. With more than one, code that keeps
    /// state from event to event or draws random numbers can differ from itself [default: 1].
    #[arg(short = 'j', long, value_name = "N", value_parser = values::workers)]
    pub workers: Option<usize>,
    #[command(flatten)]
    pub code: CodeFlags,
}

/// `types`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct TypesArgs {
    #[command(flatten)]
    pub libraries: LibraryFlags,
}

/// `init`.
#[derive(Args, Clone, Debug, Default)]
pub struct InitArgs {
    /// The folder of the project, created if it does not exist [default: the current folder].
    pub dir: Option<PathBuf>,
    /// Write TypeScript [default: JavaScript].
    #[arg(long)]
    pub ts: bool,
}

/// `lineage`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct LineageArgs {
    /// The transformation, a JavaScript or TypeScript module that exports transformEvent or transformBatch.
    pub transformation: PathBuf,
    /// Files of events, one JSON object a line; `-` is standard input [default: one of each kind, built in].
    pub events: Vec<PathBuf>,
    /// Show only what comes from here, e.g. traits.email; `*` stands for any steps [default: everything].
    #[arg(long, value_name = "PATTERN")]
    pub from: Option<String>,
    /// Show only what goes there, e.g. properties.total [default: everything].
    #[arg(long, value_name = "PATTERN")]
    pub to: Option<String>,
    /// Print everything as one JSON object [default: for people].
    #[arg(long, group = "form")]
    pub json: bool,
    /// Draw a graph as SVG [default: for people].
    #[arg(long, group = "form")]
    pub svg: bool,
    /// Draw a graph as Mermaid reads it [default: for people].
    #[arg(long, group = "form")]
    pub mermaid: bool,
    /// Write an OpenLineage event with the columnLineage facet [default: for people].
    #[arg(long, group = "form")]
    pub openlineage: bool,
    /// Also list values that only select among others, one by one [default: only counted, in the table for people].
    #[arg(long)]
    pub indirect: bool,
    /// What must and must not flow [default: lineage.toml beside the transformation, if it is there].
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Compare with this version: which edges came and went [default: none].
    #[arg(long, value_name = "OLD")]
    pub against: Option<PathBuf>,
    /// Recorded answers of the network, a JSON object by URL [default: empty answers].
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Time limit for changing events and running them again [default: 12s].
    #[arg(long, value_name = "TIME", value_parser = values::limit)]
    pub time: Option<Duration>,
    /// How many events are read [default: 20000].
    #[arg(long, value_name = "N")]
    pub max_events: Option<usize>,
    /// Whether to show progress on standard error [default: auto, on a terminal].
    #[arg(long, value_name = "WHEN", value_parser = words::<When>())]
    pub progress: Option<When>,
    /// How many worker processes, 0 for one per core [default: 0].
    #[arg(short = 'j', long, value_name = "N", value_parser = values::workers)]
    pub workers: Option<usize>,
    #[command(flatten)]
    pub code: CodeFlags,
}

/// `play`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct PlayArgs {
    /// The folder with the code; it may be empty [default: the current folder].
    pub dir: Option<PathBuf>,
    /// The port on 127.0.0.1 [default: any that is free].
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// Open the page in the browser that xdg-open knows [default: print its address only].
    #[arg(long)]
    pub open: bool,
    #[command(flatten)]
    pub code: CodeFlags,
    #[command(flatten)]
    pub network: NetworkFlags,
}

/// What only `bench` takes.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Measuring")]
pub struct BenchFlags {
    /// The kind of made-up events, where no file is named [default: small].
    ///
    /// small: a 0.5 KB identify. truths: a 2 KB row of a reverse-ETL sync. wide: a 7 KB order of 40 products. cjk: 0.7
    /// KB of text outside Latin-1. filter: wide, with context.traits.plan `enterprise` in one of ten.
    #[arg(long, value_name = "KIND", value_parser = words::<Workload>(), conflicts_with = "events")]
    pub generate: Option<Workload>,

    /// The seed of made-up events [default: 1].
    #[arg(long, value_name = "N", conflicts_with = "events")]
    pub seed: Option<u64>,

    /// How many events are measured in each run [default: those of 48 MiB, at most 50000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// How many events run before those, uncounted [default: half as many, at most 10000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub warm_up: Option<u64>,

    /// How often everything is measured [default: 5].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub runs: Option<u16>,

    /// The numbers of workers to measure with, e.g. 1,2,4 [default: 1, 2, 4 … up to one per core].
    #[arg(short = 'j', long, value_name = "N,…", value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Vec<u16>,

    /// How many events one call of transformBatch gets at most [default: 200].
    #[arg(long, value_name = "N", value_parser = values::batch_size)]
    pub batch_size: Option<usize>,

    /// Answer each request of the code with an empty object after this time [default: requests fail].
    ///
    /// No server is asked. The events per second show how many events wait together; the time of an event is its CPU time.
    #[arg(long, value_name = "TIME", value_parser = values::limit)]
    pub fetch_latency: Option<Duration>,

    /// Write one JSON object instead of the table [default: the table].
    #[arg(long)]
    pub json: bool,

    /// Also draw a picture: a histogram of the events' times, and the scaling [default: none].
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Compare with what an earlier bench wrote with --json [default: no comparison].
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,

    /// By how much events/s, CPU time and the median time of an event may be worse than the baseline
    /// [default: 5%].
    #[arg(long, value_name = "N%", value_parser = values::percent, requires = "baseline")]
    pub max_regress: Option<f64>,

    /// Whether to show progress on standard error [default: auto, on a terminal].
    #[arg(long, value_name = "WHEN", value_parser = words::<When>())]
    pub progress: Option<When>,
}

/// `serve`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct ServeArgs {
    #[command(flatten)]
    pub serve: ServeFlags,
    /// Worker processes of one transformation, 0 for one per core [default: 0].
    #[arg(short = 'j', long, value_name = "N", value_parser = values::workers)]
    pub workers: Option<usize>,
    /// How messages are written [default: text].
    #[arg(long, value_name = "FORM", value_parser = words::<LogFormat>())]
    pub log_format: Option<LogFormat>,
    #[command(flatten)]
    pub limits: LimitFlags,
    #[command(flatten)]
    pub numbers: NumberFlags,
    #[command(flatten)]
    pub sandbox: SandboxFlags,
    #[command(flatten)]
    pub network: NetworkFlags,
}

/// `sync`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, after_help = SYNC_EXAMPLES)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct SyncArgs {
    #[command(subcommand)]
    pub command: Option<SyncCommand>,
    #[command(flatten)]
    pub run: SyncRunArgs,
}

/// What `sync` does, if it does not just run.
#[derive(Clone, Debug, Subcommand)]
pub enum SyncCommand {
    /// Show the state: runs, what each sink has, rows that are not settled.
    Status {
        /// The config [default: sync.toml].
        #[arg(value_name = "CONFIG")]
        sync: Option<PathBuf>,
        /// Print the result as one JSON object [default: for people].
        #[arg(long)]
        json: bool,
    },
    /// Show everything about one key: row, previous row, event, its output, requests, last answers. Sends nothing.
    Explain {
        /// The config, and the key. The config may be left out [default: sync.toml].
        #[arg(value_names = ["CONFIG", "KEY"], num_args = 1..=2, required = true)]
        sync_and_key: Vec<String>,
    },
    /// Send the rows that have failed again, also those that were tried too often. Other rows wait.
    Retry(SyncRunArgs),
    /// Mark all rows of the source as sent, and send nothing.
    Baseline(SyncRunArgs),
    /// Forget keys: the next sync sends their rows as new ones.
    Forget {
        /// The config, and the keys.
        #[arg(value_names = ["CONFIG", "KEY"], num_args = 2.., required = true)]
        sync_and_keys: Vec<String>,
    },
    /// Say which ADBC drivers there are, for databases as sources, and where to get the others.
    Doctor,
    /// Write a config to standard output, derived from the source.
    ///
    /// For a database: sluicegate sync init --adbc duckdb --option path=warehouse.duckdb --query 'select * from users' > sync.toml
    ///
    /// For a command: sluicegate sync init -- duckdb -jsonlines warehouse.duckdb 'select * from users' > sync.toml
    Init {
        /// A file of rows, one JSON object a line.
        #[arg(long, value_name = "FILE", required_unless_present_any = ["source", "adbc"])]
        file: Option<PathBuf>,
        /// A database that has an ADBC driver: duckdb, postgresql, sqlite, … Needs --query.
        #[arg(long, value_name = "DATABASE", requires = "query", conflicts_with_all = ["file", "source"])]
        adbc: Option<String>,
        /// What the driver of the database is told, e.g. path=warehouse.duckdb. Can be given several times.
        #[arg(long = "option", value_name = "KEY=VALUE", requires = "adbc", value_parser = key_and_value)]
        options: Vec<(String, String)>,
        /// What the database is asked.
        #[arg(long, value_name = "SQL", requires = "adbc")]
        query: Option<String>,
        /// The column that identifies a row [default: one that is unique and named like a key].
        #[arg(long, value_name = "COLUMN")]
        key: Option<String>,
        /// The command that writes the rows.
        #[arg(last = true, value_name = "COMMAND", conflicts_with = "file")]
        source: Vec<String>,
    },
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "expected KEY=VALUE".to_owned())
}

/// What a run of a sync takes.
#[derive(Args, Clone, Debug, Default)]
pub struct SyncRunArgs {
    /// The config of the sync [default: sync.toml].
    #[arg(value_name = "CONFIG")]
    pub sync: Option<PathBuf>,
    /// Send nothing and write nothing: show the rows that would go out as diffs, and count them [default: send].
    #[arg(long)]
    pub dry_run: bool,
    /// Send at most N rows; the others wait. With --dry-run, show at most N [default: all; 20 are shown].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64))]
    pub limit: Option<u64>,
    /// Send only the row with this key; the others wait [default: all].
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Continue where max_changes or max_deletes would stop the run [default: stop].
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// Run all rows through the code again, and send them again. The next run continues an interrupted resync [default:
    /// only rows that changed].
    #[arg(long, conflicts_with = "keep_settled")]
    pub resync: bool,
    /// The code or a sink's address has changed: keep what is settled, and use it for rows that change from now on
    /// [default: stop, and say what would change].
    #[arg(long)]
    pub keep_settled: bool,
    /// Write the counts of the run to FILE, for the textfile collector of node_exporter [default: not written].
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
    /// How many failed and invalid rows make the exit code 1: never, error (any), or a percentage [default: error].
    #[arg(long, value_name = "WHEN", value_parser = values::fail_on)]
    pub fail_on: Option<FailOn>,
    /// Worker processes, 0 for one per core [default: 0].
    #[arg(short = 'j', long, value_name = "N", value_parser = values::workers)]
    pub workers: Option<usize>,
    /// Whether to show progress on standard error [default: auto, on a terminal].
    #[arg(long, value_name = "WHEN", value_parser = words::<When>())]
    pub progress: Option<When>,
    /// How the numbers at the end are written to standard error [default: line].
    #[arg(long, value_name = "FORM", value_parser = words::<Stats>())]
    pub stats: Option<Stats>,
    /// No progress and no summary; errors are still written [default: both are shown].
    #[arg(short = 'q', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
        value_parser = values::switch)]
    pub quiet: Option<bool>,
    /// How messages are written [default: text].
    #[arg(long, value_name = "FORM", value_parser = words::<LogFormat>())]
    pub log_format: Option<LogFormat>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "as above")]
    pub limits: LimitFlags,
    #[command(flatten)]
    #[allow(missing_docs, reason = "as above")]
    pub numbers: NumberFlags,
    #[command(flatten)]
    #[allow(missing_docs, reason = "as above")]
    pub sandbox: SandboxFlags,
    #[command(flatten)]
    #[allow(missing_docs, reason = "as above")]
    pub network: NetworkFlags,
}

impl SyncArgs {
    /// The arguments of the run, if it is one.
    pub fn run_args(&self) -> &SyncRunArgs {
        match &self.command {
            Some(SyncCommand::Retry(args) | SyncCommand::Baseline(args)) => args,
            _ => &self.run,
        }
    }

    /// What the flags say, as far as other commands have them too.
    pub fn settings(&self, global: &Global) -> Settings {
        let args = self.run_args();
        let mut settings = Settings {
            limits: args.limits.clone(),
            numbers: args.numbers.clone(),
            sandbox: args.sandbox.clone(),
            network: args.network.clone(),
            global: global.settings.clone(),
            ..Settings::default()
        };
        settings.events.workers = args.workers;
        settings.failures.fail_on = args.fail_on;
        settings.messages.progress = args.progress;
        settings.messages.stats = args.stats;
        settings.messages.quiet = args.quiet;
        settings.messages.log_format = args.log_format;
        settings
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_table_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_a_command_says_its_default() {
        let cli = Cli::command();
        for name in ["run", "check", "bench", "test", "fuzz", "diff", "lineage", "play", "serve", "sync"] {
            let command = cli.find_subcommand(name).unwrap();
            for arg in command.get_arguments().filter(|arg| !arg.is_required_set() && arg.get_id() != "help") {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("[default: "), "{name} {}: {help}", arg.get_id());
            }
        }
    }

    #[test]
    fn the_help_states_the_defaults_that_hold() {
        let limits = sluicegate_engine::Limits::default();
        let cli = Cli::command();
        let run = cli.find_subcommand("run").unwrap();
        for (flag, value) in [
            ("cpu_limit", humantime::format_duration(limits.cpu).to_string()),
            ("wall_limit", humantime::format_duration(limits.wall).to_string()),
            ("heap_limit", format!("{}MiB", limits.heap >> 20)),
            ("output_limit", format!("{}MiB", limits.output >> 20)),
            ("line_limit", format!("{}MiB", limits.line >> 20)),
            ("log_limit", format!("{}KiB", limits.log >> 10)),
            ("batch_size", crate::cli::config::BATCH_SIZE.to_string()),
        ] {
            let arg = run.get_arguments().find(|arg| arg.get_id() == flag).unwrap();
            let help = arg.get_help().unwrap().to_string();
            assert!(help.contains(&format!("[default: {value}")), "{flag}: {help}");
        }
    }

    #[test]
    fn the_last_of_a_repeated_flag_counts_and_libraries_add_up() {
        let words = "sluicegate run t.js -j1 -j2 -L a -L b --library a=1 --library b=2";
        let Command::Run(run) = Cli::try_parse_from(words.split(' ')).unwrap().command else { panic!("not run") };
        assert_eq!(run.flags.events.workers, Some(2));
        assert_eq!(run.flags.code.libraries.library_dir.unwrap().len(), 2);
        assert_eq!(run.flags.code.libraries.library.len(), 2);
    }

    #[test]
    fn a_switch_takes_no_argument_but_can_be_turned_off() {
        let parse = |args: &[&str]| match Cli::try_parse_from([&["sluicegate", "run"], args].concat()).unwrap().command
        {
            Command::Run(run) => (run.flags.events.unordered, run.transformation),
            other => panic!("{other:?}"),
        };
        assert_eq!(parse(&["--unordered", "t.js"]), (Some(true), "t.js".into()));
        assert_eq!(parse(&["--unordered=false", "t.js"]), (Some(false), "t.js".into()));
        assert_eq!(parse(&["t.js"]), (None, "t.js".into()));
    }
}
