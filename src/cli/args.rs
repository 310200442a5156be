//! Arguments as typed. [`crate::cli::config`] resolves them together with the
//! environment and the config file; nothing outside `cli` sees these types.

mod develop;
mod explore;
mod serve;
mod stream;
mod sync;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::cli::examples::{
    BENCH_EXAMPLES, CHECK_EXAMPLES, DIFF_EXAMPLES, EXAMPLES, FUZZ_EXAMPLES, INIT_EXAMPLES, LINEAGE_EXAMPLES,
    PLAY_EXAMPLES, REPLAY_EXAMPLES, RUN_EXAMPLES, SERVE_EXAMPLES, TEST_EXAMPLES,
};
use crate::cli::settings::{GlobalFlags, Settings};
pub use develop::{CheckArgs, CheckReporter, InitArgs, PlayArgs, TestArgs, TypesArgs};
pub use explore::{BenchArgs, BenchFlags, DiffArgs, FuzzArgs, LineageArgs};
pub use serve::ServeArgs;
pub use stream::{CodeFlags, ReplayArgs, RunArgs, RunFlags};
pub use sync::{SyncArgs, SyncCommand, SyncRunArgs};

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

/// The text of `--version` after the program's name: the version, V8's
/// version, and the commit if `SLUICEGATE_COMMIT` was set during the build.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = option_env!("SLUICEGATE_COMMIT").map(|commit| format!(", commit {commit}")).unwrap_or_default();
    format!("{} (V8 {}{commit})", env!("CARGO_PKG_VERSION"), sluicegate_engine::v8_version())
});

impl Cli {
    /// Reads a command line.
    ///
    /// # Errors
    /// When the command line is invalid, and for `--help` and `--version`, whose text is the error.
    pub fn read<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>) -> Result<Self, clap::Error> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let matches = match Self::run_alone(&words) {
            Some(matches) => matches,
            None => Self::command().try_get_matches_from(words)?,
        };
        let mut cli = Self::from_arg_matches(&matches)?;
        cli.global.typed = Settings::from_matches(matches.subcommand().map_or(&matches, |(_, matches)| matches));
        Ok(cli)
    }

    /// Parses a valid command line of `run`; `None` for anything else. Sets up only
    /// the flags of `run`: setting up those of all commands takes three times as long.
    /// Mistakes and `--help` need the complete parser, which knows the right message.
    fn run_alone(words: &[OsString]) -> Option<clap::ArgMatches> {
        words.get(1).filter(|word| *word == "run")?;
        let run = RunArgs::augment_args(clap::Command::new("run"));
        let alone = Global::augment_args(clap::Command::new("sluicegate")).args_override_self(true).subcommand(run);
        alone.try_get_matches_from(words).ok()
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

/// A process that this program starts as a copy of itself. Not one of
/// the commands, so that no help, completion or suggestion names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnProcess {
    /// A worker. It speaks a protocol of its own over its standard streams.
    Worker,
    /// A process that forks workers.
    Prepared,
    /// One measurement of `bench`.
    BenchStep,
    /// Parses a source.
    Parse,
    /// A run for `fuzz` and `diff`.
    ExploreRun,
    /// A worker of `lineage`.
    LineageWorker,
    /// A worker of `test`.
    TestWorker,
    /// Runs a query of a database.
    Adbc,
}

impl OwnProcess {
    /// Returns the process that a complete command line asks for; `None` for any other command line.
    pub fn read(words: &[OsString]) -> Option<Self> {
        let [_, word] = words else { return None };
        Some(match word.to_str()? {
            "worker" => Self::Worker,
            "prepared" => Self::Prepared,
            "bench-step" => Self::BenchStep,
            "parse" => Self::Parse,
            "trial" => Self::ExploreRun,
            "lineage-worker" => Self::LineageWorker,
            "suite-worker" => Self::TestWorker,
            "adbc" => Self::Adbc,
            _ => return None,
        })
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
    fn run_alone_reads_what_the_whole_command_line_reads() {
        for line in [
            "sluicegate run t.js",
            "sluicegate run t.js a.jsonl b.jsonl -j1 -j2 -q --cpu-limit 10ms -L a --library b=2",
            "sluicegate run --config c.toml t.js --errors e.jsonl --unordered=false",
            "sluicegate run --color never --allow-net a.example t.js --allow-net b.example",
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let (alone, whole) =
                (Cli::run_alone(&words).unwrap(), Cli::command().try_get_matches_from(&words).unwrap());
            let read = |matches| format!("{:?}", Cli::from_arg_matches(matches).unwrap());
            let typed =
                |matches: &clap::ArgMatches| format!("{:?}", Settings::from_matches(matches.subcommand().unwrap().1));
            assert_eq!((read(&alone), typed(&alone)), (read(&whole), typed(&whole)), "{line}");
        }
        for line in [
            "sluicegate run",
            "sluicegate run --help",
            "sluicegate run t.js --nope",
            "sluicegate check t.js",
            "sluicegate",
        ] {
            assert!(Cli::run_alone(&line.split(' ').map(OsString::from).collect::<Vec<_>>()).is_none(), "{line}");
        }
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
