//! Draws the lineage: inputs on the left, outputs on the right, a curve for each edge.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Shown;
use crate::explore::lineage::{Edge, Kind};

const LEFT: f64 = 330.0;
const RIGHT: f64 = 650.0;
const WIDTH: f64 = 980.0;
const ROW: f64 = 24.0;
const TOP: f64 = 86.0;

/// The maximum number of characters of a name.
const MAX_NAME: usize = 46;

const STYLE: &str = "\
<style>
  text { font: 12px ui-monospace, SFMono-Regular, Menlo, monospace; fill: #24292f }
  .title { font: 600 15px system-ui, sans-serif }
  .faint { font: 12px system-ui, sans-serif; fill: #57606a }
  .node { fill: #f6f8fa; stroke: #d0d7de }
  .edge { fill: none; stroke-width: 1.6; stroke-opacity: .75 }
  .copied { stroke: #8c959f }
  .renamed { stroke: #2f6fb5 }
  .computed { stroke: #8250df }
  .conditional { stroke: #bf8700; stroke-dasharray: 4 4 }
  .constant { stroke: #57606a; stroke-dasharray: 1 3 }
  .metadata { stroke: #1a7f37 }
  .credential { stroke: #cf222e }
  .network { stroke: #0a7ea4 }
  .clock, .random { stroke: #953800 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .faint { fill: #9198a1 }
    .node { fill: #161b22; stroke: #30363d }
    .renamed { stroke: #6ba4e7 }
    .computed { stroke: #b083f0 }
    .metadata { stroke: #57ab5a }
    .credential { stroke: #f47067 }
    .network { stroke: #39c5cf }
  }
</style>
";

/// Writes a line. Writing to a `String` cannot fail.
macro_rules! put {
    ($out:expr, $($format:tt)+) => { writeln!($out, $($format)+).expect("a string takes everything") };
}

/// Returns the edges to draw, and the number of fields that are only copied.
fn drawn<'a>(shown: &'a Shown<'_>) -> (Vec<&'a Edge>, usize) {
    let passes = |edge: &&&Edge| edge.kind == Kind::Copied && edge.from == edge.to;
    let passing = shown.edges.iter().filter(passes).count();
    let rest: Vec<&Edge> = shown.edges.iter().copied().filter(|edge| !passes(&edge)).collect();
    (rest, passing)
}

/// Returns the names on both sides, in order.
fn columns<'a>(edges: &[&'a Edge]) -> (Vec<&'a str>, Vec<&'a str>) {
    let mut outputs: Vec<&str> = edges.iter().map(|edge| edge.to.as_str()).collect();
    outputs.sort_unstable();
    outputs.dedup();
    // An input is placed at the average position of its outputs, so that few curves cross.
    let place = |to: &str| outputs.iter().position(|name| *name == to).unwrap_or(0);
    let mut sums: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for edge in edges {
        let sum = sums.entry(&edge.from).or_default();
        *sum = (sum.0 + place(&edge.to), sum.1 + 1);
    }
    let mut inputs: Vec<&str> = sums.keys().copied().collect();
    inputs.sort_by(|a, b| {
        let mean = |name: &str| sums[name].0 as f64 / sums[name].1 as f64;
        mean(a).total_cmp(&mean(b)).then(a.cmp(b))
    });
    (inputs, outputs)
}

pub(super) fn svg(shown: &Shown<'_>) -> String {
    let (edges, passing) = drawn(shown);
    let (inputs, outputs) = columns(&edges);
    let rows = inputs.len().max(outputs.len()).max(1) as f64;
    let height = TOP + rows * ROW + 40.0;
    let offset = |count: usize| TOP + (rows - count as f64) * ROW / 2.0;
    let mut out = String::new();
    put!(out, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">"#);
    let title = format!("{}: where outputs come from", shown.name);
    put!(out, "<title>{}</title>", escape(&title));
    out.push_str(STYLE);
    put!(out, r#"<text class="title" x="20" y="28">{}</text>"#, escape(&title));
    legend(&mut out, &edges);
    for edge in &edges {
        let from = inputs.iter().position(|name| *name == edge.from).unwrap_or(0);
        let to = outputs.iter().position(|name| *name == edge.to).unwrap_or(0);
        let y = |at: usize, count: usize| offset(count) + at as f64 * ROW + ROW / 2.0;
        let (a, b) = (y(from, inputs.len()), y(to, outputs.len()));
        let (bend_a, bend_b) = (LEFT + 130.0, RIGHT - 130.0);
        put!(
            out,
            r#"<path class="edge {kind}" d="M{LEFT} {a}C{bend_a} {a} {bend_b} {b} {RIGHT} {b}"><title>{from} → {to} ({kind})</title></path>"#,
            kind = edge.kind.name(),
            from = escape(&edge.from),
            to = escape(&edge.to),
        );
    }
    for (names, x, text_x, anchor) in [(&inputs, 20.0, LEFT - 10.0, "end"), (&outputs, RIGHT, RIGHT + 10.0, "start")] {
        for (at, name) in names.iter().enumerate() {
            let top = offset(names.len()) + at as f64 * ROW;
            put!(out, r#"<rect class="node" x="{x}" y="{}" width="310" height="20" rx="5"/>"#, top + 2.0);
            put!(
                out,
                r#"<text x="{text_x}" y="{}" text-anchor="{anchor}">{}<title>{}</title></text>"#,
                top + 16.0,
                escape(&short(name)),
                escape(name)
            );
        }
    }
    if passing > 0 {
        let fields = if passing == 1 { "field goes" } else { "fields go" };
        put!(
            out,
            r#"<text class="faint" x="20" y="{}">{passing} more {fields} out as they came.</text>"#,
            height - 14.0
        );
    }
    out.push_str("</svg>\n");
    out
}

fn legend(out: &mut String, edges: &[&Edge]) {
    let mut kinds: Vec<Kind> = edges.iter().map(|edge| edge.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut x = 20.0;
    for kind in kinds {
        let name = kind.name();
        put!(out, r#"<path class="edge {name}" d="M{x} 52h26"/>"#);
        put!(out, r#"<text class="faint" x="{}" y="56">{name}</text>"#, x + 32.0);
        x += 50.0 + name.len() as f64 * 7.0;
    }
}

fn short(name: &str) -> String {
    let count = name.chars().count();
    if count <= MAX_NAME {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(count - MAX_NAME + 1).collect::<String>())
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn mermaid(shown: &Shown<'_>) -> String {
    let (edges, passing) = drawn(shown);
    let (inputs, outputs) = columns(&edges);
    let label =
        |text: &str| text.replace('&', "#amp;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;");
    let mut out = String::from("flowchart LR\n");
    for (letter, title, names) in [("i", "input", &inputs), ("o", "output", &outputs)] {
        put!(out, "  subgraph {title}");
        for (at, name) in names.iter().enumerate() {
            put!(out, "    {letter}{at}[\"{}\"]", label(name));
        }
        put!(out, "  end");
    }
    for edge in &edges {
        let from = inputs.iter().position(|name| *name == edge.from).unwrap_or(0);
        let to = outputs.iter().position(|name| *name == edge.to).unwrap_or(0);
        let arrow = if edge.indirect { "-.->" } else { "-->" };
        put!(out, "  i{from} {arrow}|{}| o{to}", edge.kind.name());
    }
    if passing > 0 {
        put!(out, "  %% {passing} more fields go out as they came");
    }
    out
}
