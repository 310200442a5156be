//! `sluicegate bench`: measures, shows, compares with an earlier time.

mod table;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::config::BenchConfig;
use super::diagnostic::Diagnostic;
use super::settings::words;
use super::values;
use crate::bench::generate::Workload;
use crate::bench::report::{Regression, Report};
use crate::bench::{self, BenchError, svg};
use crate::config::When;
use crate::tally::exit;

/// What only `bench` takes.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Measuring")]
pub struct BenchFlags {
    /// What made-up events are like, where no file is named [default: small].
    ///
    /// small: a 0.5 KB identify. truths: a 2 KB row of a reverse-ETL sync. wide: a 7 KB order of 40 products. cjk:
    /// 0.7 KB of text outside Latin-1. filter: wide, with context.traits.plan `enterprise` in one of ten.
    #[arg(long, value_name = "KIND", value_parser = words::<Workload>(), conflicts_with = "events")]
    pub generate: Option<Workload>,

    /// What made-up events depend on [default: 1].
    #[arg(long, value_name = "N", conflicts_with = "events")]
    pub seed: Option<u64>,

    /// How many events are measured in each run [default: those of 48 MiB, at most 50000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// How many events come before those and are not counted [default: half as many, at most 10000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub warm_up: Option<u64>,

    /// How often everything is measured [default: 5].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub runs: Option<u16>,

    /// The numbers of workers to measure with, e.g. 1,2,4 [default: 1, 2, 4 … up to one per core].
    #[arg(short = 'j', long, value_name = "N,…", value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Vec<u16>,

    /// The most events that one call of transformBatch is given [default: 200].
    #[arg(long, value_name = "N", value_parser = values::batch_size)]
    pub batch_size: Option<usize>,

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
/// What `bench` has to say, and the exit code.
pub struct BenchReport {
    /// For standard output.
    pub text: String,
    /// For standard error.
    pub error: Option<Diagnostic>,
    /// The exit code.
    pub code: u8,
}

/// Measures as asked.
///
/// # Errors
/// When nothing could be measured, or the results could not be compared or kept.
pub fn bench(config: &BenchConfig) -> anyhow::Result<BenchReport> {
    // Before minutes of measuring, not after them.
    let baseline = config.baseline.as_deref().map(read_baseline).transpose()?;
    let bar = progress_bar(config.progress);
    let measured = bench::run(&config.plan, &mut |done, total, what| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(what.to_owned());
        bar.tick();
    });
    bar.finish_and_clear();
    let report = match measured {
        Ok(report) => report,
        Err(BenchError::Load(error)) => {
            return Err(Diagnostic::from_load_error(&error, &config.library_paths).into());
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(path) = &config.svg {
        fs::write(path, svg::draw(&report)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut text = match config.json {
        true => format!("{}\n", serde_json::to_string_pretty(&report).expect("plain data")),
        false => table::render(&report),
    };
    let error = match (&baseline, config.baseline.as_deref()) {
        (Some(before), Some(path)) => {
            compare(&report, before, config.max_regress, path, (!config.json).then_some(&mut text))?
        }
        _ => None,
    };
    let code = if error.is_some() { exit::EVENTS_FAILED } else { exit::COMPLETE };
    Ok(BenchReport { text, error, code })
}

fn read_baseline(path: &Path) -> anyhow::Result<Report> {
    bench::read_report(path).map_err(|error| {
        let message = format!("cannot use the baseline {}: {error}", path.display());
        Diagnostic::new(message).help(format!("make one with `sluicegate bench … --json > {}`", path.display())).into()
    })
}

/// The comparison: in the table what changed, as an error what got worse.
fn compare(
    report: &Report,
    before: &Report,
    percent: f64,
    path: &Path,
    text: Option<&mut String>,
) -> anyhow::Result<Option<Diagnostic>> {
    report.comparable(before).map_err(|reason| {
        Diagnostic::new(format!("cannot compare with the baseline {}: {reason}", path.display()))
            .help("measure the same events with the same -j as then")
    })?;
    if let Some(text) = text {
        text.push_str(&table::changes(report, before));
    }
    let worse = report.regressions(before, percent);
    if worse.is_empty() {
        return Ok(None);
    }
    let list: Vec<String> = worse
        .iter()
        .map(|Regression { what, before, now, percent }| {
            let number = |n: f64| if n < 1000.0 { format!("{n:.2}") } else { values::thousands(n as u64) };
            format!("{what}: {} → {} ({percent:.1}% worse)", number(*before), number(*now))
        })
        .collect();
    let message = format!("worse than the baseline by more than {percent}%: {}", list.join("; "));
    let mut help = "measure again before you believe it; a busy machine does that too".to_owned();
    if report.machine != before.machine {
        help = format!("the baseline was measured on another machine: {}", before.machine);
    }
    Ok(Some(Diagnostic::new(message).help(help)))
}

fn progress_bar(when: When) -> ProgressBar {
    let wanted = match when {
        When::Always => true,
        When::Never => false,
        When::Auto => std::io::stderr().is_terminal(),
    };
    if !wanted {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(10));
    let style =
        ProgressStyle::with_template("{elapsed} {bar:30} {pos}/{len} {wide_msg}").expect("the template is fixed");
    bar.set_style(style);
    bar
}
