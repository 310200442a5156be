//! `sluicegate bench`: measures, prints, and compares with an earlier report.

mod table;

use std::fs;
use std::io::IsTerminal;
use std::path::Path;

use anyhow::Context;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::config::BenchConfig;
use super::diagnostic::Diagnostic;

use super::values;
use crate::bench::report::{Regression, Report};
use crate::bench::{self, BenchError, svg};
use crate::config::When;
use crate::tally::exit;

/// The output of `bench`, and the exit code.
pub struct BenchReport {
    /// For standard output.
    pub text: String,
    /// For standard error.
    pub error: Option<Diagnostic>,
    /// The exit code.
    pub code: u8,
}

/// Runs a bench.
///
/// # Errors
/// When the measurement fails, or the results cannot be compared or saved.
pub fn bench(config: &BenchConfig) -> anyhow::Result<BenchReport> {
    // Read first, so that an invalid file is found before minutes of measuring.
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

/// Compares with the baseline: appends the changes to `text`, and returns the regressions as an error.
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
