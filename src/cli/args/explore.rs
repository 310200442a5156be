//! Flags of the commands that compare, search and measure.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::stream::CodeFlags;
use crate::bench::generate::Workload;
use crate::cli::settings::{DataFlags, LibraryFlags, LimitFlags, words};
use crate::cli::values;
use crate::config::When;

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
