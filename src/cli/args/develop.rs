//! Flags of the commands for authors of transformations.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::stream::CodeFlags;
use crate::cli::settings::{LibraryFlags, NetworkFlags, words};
use crate::cli::values;
use crate::config::Reporter;

/// How `check` writes what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[expect(missing_docs, reason = "their names")]
pub enum CheckReporter {
    #[default]
    Pretty,
    Github,
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
