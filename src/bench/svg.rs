//! Draws a bench: the distribution of the events' times, and the effect of more workers. The SVG is written by hand:
//! two charts of rectangles and lines need no library. It follows the reader's light or dark theme.

use std::fmt::Write;

use super::report::Report;
use super::stats::{bucket, bucket_start};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 340.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = 290.0;
/// Left and right of each chart.
const HISTOGRAM: (f64, f64) = (50.0, 500.0);
const SCALING: (f64, f64) = (600.0, 830.0);

const STYLE: &str = "\
<style>
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 14px }
  .faint { fill: #57606a }
  .bar { fill: #2f6fb5 }
  .axis, .mark { stroke: #8c959f; fill: none }
  .mark { stroke: #b5532f; stroke-dasharray: 3 3 }
  .ideal { stroke: #8c959f; stroke-dasharray: 4 4; fill: none }
  .line { stroke: #2f6fb5; stroke-width: 2; fill: none }
  .spread { stroke: #2f6fb5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .faint { fill: #9198a1 }
    .bar { fill: #6ba4e7 }
    .line, .spread { stroke: #6ba4e7 }
  }
</style>
";

/// Writes a line. Writing to a `String` cannot fail.
macro_rules! put {
    ($out:expr, $($format:tt)+) => { writeln!($out, $($format)+).expect("a string takes everything") };
}

/// Returns the picture.
pub fn draw(report: &Report) -> String {
    let mut out = String::new();
    put!(out, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">"#);
    let title = format!("{} on {}", report.transformation, report.source);
    put!(out, "<title>{}</title>", escape(&title));
    out.push_str(STYLE);
    put!(out, r#"<text class="title" x="20" y="24">{}</text>"#, escape(&title));
    put!(out, r#"<text class="faint" x="20" y="332">{}</text>"#, escape(&report.machine));
    histogram(report, &mut out);
    scaling(report, &mut out);
    out.push_str("</svg>\n");
    out
}

fn histogram(report: &Report, out: &mut String) {
    let (left, right) = HISTOGRAM;
    let latency = &report.latency;
    put!(out, r#"<text x="{left}" y="46">events by the time they take</text>"#);
    axes(left, right, out);
    let counts = &latency.histogram;
    let all: u64 = counts.iter().sum();
    let Some(first) = counts.iter().position(|count| *count > 0) else { return };
    // The few events beyond the 99.9th percentile would compress the others; the last bar stands for all of them.
    let mut seen = 0;
    let reaches = |count: &u64| {
        seen += count;
        seen as f64 >= all as f64 * 0.999
    };
    let last = counts.iter().position(reaches).unwrap_or(counts.len() - 1).max(bucket(latency.p99));
    let shown: Vec<u64> =
        (first..=last).map(|at| if at == last { counts[at..].iter().sum() } else { counts[at] }).collect();
    let width = (right - left) / shown.len() as f64;
    let most = shown.iter().max().copied().unwrap_or(1) as f64;
    for (index, count) in shown.iter().enumerate() {
        let height = (BOTTOM - TOP) * *count as f64 / most;
        let x = left + width * index as f64;
        put!(
            out,
            r#"<rect class="bar" x="{x:.1}" y="{:.1}" width="{:.1}" height="{height:.1}"><title>{} to {}: {count}</title></rect>"#,
            BOTTOM - height,
            (width - 1.0).max(0.5),
            time(bucket_start(first + index)),
            time(bucket_start(first + index + 1))
        );
    }
    let every = (shown.len() / 6).max(1);
    for index in (0..shown.len()).step_by(every) {
        let x = left + width * index as f64;
        put!(out, r#"<text class="faint" x="{x:.1}" y="306">{}</text>"#, time(bucket_start(first + index)));
    }
    // Above the bars, one to the left and one to the right, so that the labels do not overlap.
    for (name, value, anchor, shift) in [("p50", latency.p50, "end", -3.0), ("p99", latency.p99, "start", 3.0)] {
        let place = (value.max(1) as f64 / bucket_start(first)).log2() * 4.0;
        let x = left + width * place.clamp(0.0, shown.len() as f64);
        put!(out, r#"<path class="mark" d="M{x:.1} {}V{BOTTOM}"/>"#, TOP - 8.0);
        let label = time(value as f64);
        put!(out, r#"<text x="{:.1}" y="{}" text-anchor="{anchor}">{name} {label}</text>"#, x + shift, TOP - 4.0);
    }
}

fn scaling(report: &Report, out: &mut String) {
    let (left, right) = SCALING;
    put!(out, r#"<text x="{left}" y="46">events per second by workers</text>"#);
    axes(left, right, out);
    let points = &report.throughput;
    let Some(most) = points.iter().map(|point| point.events_per_second.most).max_by(f64::total_cmp) else { return };
    let workers = points.iter().map(|point| point.workers).max().unwrap_or(1) as f64;
    let x = |count: f64| left + (right - left) * count / workers;
    let y = |rate: f64| BOTTOM - (BOTTOM - TOP) * (rate / (most * 1.1)).min(1.0);
    if let Some(one) = points.iter().min_by_key(|point| point.workers) {
        // The line of perfect scaling, where every worker adds as much as the first; cut at the chart's top.
        let each = one.events_per_second.median / one.workers as f64;
        let end = workers.min(most * 1.1 / each);
        put!(out, r#"<path class="ideal" d="M{left} {BOTTOM}L{:.1} {:.1}"/>"#, x(end), y(each * end));
    }
    let mut path = String::new();
    for point in points {
        let (rate, x) = (point.events_per_second, x(point.workers as f64));
        put!(path, "{}{x:.1} {:.1}", if path.is_empty() { 'M' } else { 'L' }, y(rate.median));
        put!(out, r#"<path class="spread" d="M{x:.1} {:.1}V{:.1}"/>"#, y(rate.least), y(rate.most));
        put!(out, r#"<circle class="bar" cx="{x:.1}" cy="{:.1}" r="4"/>"#, y(rate.median));
        put!(out, r#"<text class="faint" x="{:.1}" y="306">{}</text>"#, x - 4.0, point.workers);
        put!(
            out,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{:.0} k</text>"#,
            x - 8.0,
            y(rate.median) - 6.0,
            rate.median / 1000.0
        );
    }
    put!(out, r#"<path class="line" d="{}"/>"#, path.trim_end());
}

fn axes(left: f64, right: f64, out: &mut String) {
    put!(out, r#"<path class="axis" d="M{left} {TOP}V{BOTTOM}H{right}"/>"#);
}

/// Formats a duration for people.
pub fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e5 => format!("{:.1} µs", n / 1e3),
        n if n < 1e6 => format!("{:.0} µs", n / 1e3),
        n if n < 1e8 => format!("{:.1} ms", n / 1e6),
        n => format!("{:.0} ms", n / 1e6),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::Throughput;
    use crate::bench::stats::{Latency, Spread};

    #[test]
    fn a_picture_has_a_bar_per_bucket_and_a_point_per_number_of_workers() {
        let rate = |median| Spread { median, least: median * 0.9, most: median * 1.1 };
        let point = |workers, median| Throughput { workers, events_per_second: rate(median), ..Throughput::default() };
        let report = Report {
            transformation: "a<b.js".into(),
            latency: Latency::of((0..1000).map(|n| 4000 + n * 7).collect()),
            throughput: vec![point(1, 1e5), point(2, 1.8e5)],
            ..Report::default()
        };
        let picture = draw(&report);
        assert!(picture.contains("a&lt;b.js"));
        assert_eq!(picture.matches("<circle").count(), 2);
        assert!(picture.matches("<rect").count() >= 5);
        assert!(picture.ends_with("</svg>\n"));
        // A report without measurements must not panic.
        assert!(draw(&Report::default()).ends_with("</svg>\n"));
    }
}
