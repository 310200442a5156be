//! Flags of `sync`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Global;
use crate::cli::examples::SYNC_EXAMPLES;
use crate::cli::settings::{LimitFlags, NetworkFlags, NumberFlags, SandboxFlags, Settings, words};
use crate::cli::values;
use crate::config::{LogFormat, Stats, When};
use crate::tally::FailOn;

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
    /// Returns the arguments of the run; the default ones for commands that do not run.
    pub fn run_args(&self) -> &SyncRunArgs {
        match &self.command {
            Some(SyncCommand::Retry(args) | SyncCommand::Baseline(args)) => args,
            _ => &self.run,
        }
    }

    /// Returns the settings that the flags set, for flags that other commands have too.
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
