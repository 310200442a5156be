//! `sluicegate test --coverage`: prints a table for people,
//! writes the lcov format for machines, and checks the minimum.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use unicode_width::UnicodeWidthStr;

use super::args::TestArgs;
use super::diagnostic::{Diagnostic, visible};
use super::program::plain;
use crate::config::Reporter;
use crate::testing::coverage::{FileCoverage, lcov, percent, ranges, sums};

/// Reports the coverage; returns whether it reaches the minimum.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn tell_coverage(args: &TestArgs, files: &[FileCoverage]) -> anyhow::Result<bool> {
    if let Some(path) = &args.coverage_lcov {
        std::fs::write(path, lcov(files)).map_err(|error| {
            Diagnostic::new(format!("cannot write the coverage to {}: {}", path.display(), plain(&error)))
                .help("check that its folder exists and is writable")
        })?;
    }
    let mut text = table(files);
    let [lines, _] = sums(files);
    let enough = args.min_coverage.is_none_or(|least| percent(lines) >= least);
    if let (Some(least), false) = (args.min_coverage, enough) {
        let _ = writeln!(text, "\n{} of the lines ran, --min-coverage asks for {least}%", share(lines));
    }
    if args.reporter.unwrap_or_default() == Reporter::Pretty || args.reporter == Some(Reporter::Github) {
        super::print(format!("\n{text}").as_bytes())?;
    } else {
        // Standard output is for machine-readable results.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
    Ok(enough)
}

fn table(files: &[FileCoverage]) -> String {
    if files.is_empty() {
        return "coverage: no file of yours was loaded\n".to_owned();
    }
    let mut rows = vec![["coverage", "lines", "functions", "lines that did not run"].map(str::to_owned)];
    for file in files {
        let mut missing = ranges(&file.uncovered(), &file.lines);
        if !file.partly.is_empty() {
            let between = if missing.is_empty() { "" } else { "; " };
            let parts: Vec<String> = file.partly.iter().map(u32::to_string).collect();
            let _ = write!(missing, "{between}partly {}", parts.join(", "));
        }
        rows.push([name(&file.path), share(file.line_counts()), share(file.function_counts()), missing]);
    }
    if files.len() > 1 {
        let [lines, functions] = sums(files);
        rows.push(["all files".to_owned(), share(lines), share(functions), String::new()]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.width() + 2));
        }
        line.push_str(&row[3]);
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn name(path: &Path) -> String {
    visible(&path.display().to_string()).to_string()
}

/// Formats a share as `83.3% (5/6)`; never rounds up to 100 %.
fn share(counts: (usize, usize)) -> String {
    let (covered, all) = counts;
    let percent = (percent(counts) * 10.0).floor() / 10.0;
    format!("{percent}% ({covered}/{all})")
}
