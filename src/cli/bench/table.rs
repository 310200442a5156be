//! The table of a bench, for people.

use std::fmt::Write;

use crate::bench::report::{BUSY, Report};
use crate::bench::stats::Spread;
use crate::bench::svg::time;
use crate::cli::values::thousands;

/// Writes a line. Writing to a `String` cannot fail.
macro_rules! put {
    ($out:expr, $($format:tt)*) => { writeln!($out, $($format)*).expect("a string takes everything") };
}

/// Returns the report as text with aligned columns.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    let each = report.bytes / report.events.max(1);
    put!(out, "{} on {}, {each} bytes each", report.transformation, report.source);
    put!(
        out,
        "{} runs of {} events, after {} of warm-up: {} ok, {} dropped, {} failed",
        report.runs,
        thousands(report.events),
        thousands(report.warm_up),
        thousands(report.ok),
        thousands(report.dropped),
        thousands(report.failed)
    );
    put!(out, "{}\n", report.machine);
    if report.others >= BUSY {
        put!(
            out,
            "The machine was busy: other processes used {:.0}% of its CPU time meanwhile. Do not believe these figures;\n\
             measure again when it is idle.\n",
            report.others * 100.0
        );
    }

    put!(out, "throughput    events/s      ±   MB/s in  MB/s out  CPU/event  CPUs busy");
    for at in &report.throughput {
        put!(
            out,
            "  {:<8}  {:>10}  {:>4.1}%  {:>8.1}  {:>8.1}  {:>6.2} µs  {:>9.2}",
            format!("-j {}", at.workers),
            thousands(at.events_per_second.median as u64),
            at.events_per_second.dispersion(),
            at.mb_in_per_second.median,
            at.mb_out_per_second.median,
            at.cpu_micros_per_event.median,
            at.cpu_per_wall.median
        );
    }

    let latency = &report.latency;
    put!(out, "\none event         p50       p90       p95       p99       max   (in the engine; no waiting)");
    let all = [latency.p50, latency.p90, latency.p95, latency.p99, latency.max];
    put!(out, "            {}", all.map(|value| pad(&time(value as f64), 9)).join(" "));

    put!(out, "\nCPU time      per event    share   least – most of {} runs", report.runs);
    let parts = report.split.parts();
    let sum: f64 = parts.iter().map(|(_, part)| part.median.max(0.0)).sum();
    for (name, Spread { median, least, most }) in parts {
        let share = median.max(0.0) / sum.max(1e-9) * 100.0;
        put!(out, "  {name:<10}  {median:>6.2} µs  {share:>6.1}%   {least:.2} – {most:.2}");
    }

    let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    put!(
        out,
        "\nmemory        V8 heap {}, worker {}, supervisor {} (peaks)",
        mib(report.memory.heap),
        mib(report.memory.worker_rss),
        mib(report.memory.supervisor_rss)
    );
    out
}

/// Returns the changes from the baseline's figures, as text.
pub(super) fn changes(report: &Report, before: &Report) -> String {
    let mut out = String::new();
    put!(out, "\nagainst the baseline");
    for now in &report.throughput {
        let Some(then) = before.throughput.iter().find(|then| then.workers == now.workers) else { continue };
        let (rate, cpu) = (
            now.events_per_second.median / then.events_per_second.median,
            now.cpu_micros_per_event.median / then.cpu_micros_per_event.median,
        );
        put!(out, "  {:<8}  {rate:.3} × the events/s, {cpu:.3} × the CPU time", format!("-j {}", now.workers));
    }
    put!(out, "  p50       {:.3} × the time", report.latency.p50 as f64 / before.latency.p50.max(1) as f64);
    out
}

/// Pads a text on the left, by characters: `µ` is two bytes.
fn pad(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.chars().count())))
}
