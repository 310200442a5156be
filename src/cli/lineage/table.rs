//! The lineage as a table for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::super::args::LineageArgs;
use super::super::diagnostic::visible;
use super::super::values::thousands;
use super::Shown;
use crate::explore::lineage::report::{Decides, Example, Report};
use crate::explore::lineage::{Edge, Kind, path};
use crate::testing::coverage::ranges;

/// The maximum number of lines of code named for a place.
const MAX_LINES: usize = 3;

/// The maximum number of fields of one text that are listed separately if they behave the same.
const MAX_ALIKE: usize = 3;

/// The maximum number of inputs of log lines that are listed.
const MAX_LOGGED: usize = 6;

/// The maximum width of a line of names.
const WIDTH: usize = 100;

/// The maximum width of a column of the table.
const MAX_COLUMN: usize = 44;

pub(super) fn text(shown: &Shown<'_>, args: &LineageArgs) -> String {
    let report = shown.report;
    let all = args.from.is_none() && args.to.is_none();
    let mut out = String::new();
    head(&mut out, shown);
    edges(&mut out, shown, args);
    if args.to.is_none() {
        decides(&mut out, report, args.from.as_deref());
        reads(&mut out, report, args.from.as_deref());
    }
    if all {
        names(&mut out, "never read (they pass as they came, or not at all)", report.unread());
        names(
            &mut out,
            "outputs that change, and by no single input",
            report.unexplained.iter().map(String::as_str).collect(),
        );
        names(
            &mut out,
            "outputs not looked at in the time given (see --time)",
            report.untested.iter().map(String::as_str).collect(),
        );
        names(
            &mut out,
            "outputs that are another value each time",
            report.unstable.iter().map(String::as_str).collect(),
        );
        names(
            &mut out,
            "requests without a recorded answer (see --answers)",
            report.unanswered.iter().map(String::as_str).collect(),
        );
        personal(&mut out, report);
    }
    changes(&mut out, shown);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn head(out: &mut String, shown: &Shown<'_>) {
    let report = shown.report;
    let [ok, dropped, failed] = report.verdicts;
    let _ = writeln!(
        out,
        "{}: {} events ({} ok, {} dropped, {} failed), {} of {} kinds looked at closely in {} runs",
        visible(&shown.name),
        thousands(report.events),
        thousands(ok),
        thousands(dropped),
        thousands(failed),
        report.kinds[1],
        report.kinds[0],
        thousands(report.runs)
    );
    for one in shown.coverage {
        let file = &one.file;
        let (covered, lines) = file.line_counts();
        let (taken, ways) = one.ways();
        let mut rest = String::new();
        if ways > 0 {
            let _ = write!(rest, ", {taken} of {ways} ways of its branches taken");
        }
        if covered < lines {
            let _ = write!(rest, "; no event runs {}", ranges(&file.uncovered(), &file.lines));
        }
        let mut partly: Vec<u32> = [file.partly.as_slice(), &one.one_sided()].concat();
        partly.sort_unstable();
        partly.dedup();
        if !partly.is_empty() {
            let partly: Vec<String> = partly.iter().map(u32::to_string).collect();
            let _ = write!(rest, "; only in part {}", partly.join(", "));
        }
        let _ = writeln!(out, "{}: {covered} of {lines} lines run{rest}", visible(&file.path.display().to_string()));
    }
    if let Some(failure) = &report.failure {
        let _ = writeln!(out, "first failure: {}", visible(failure));
    }
    if report.stateful {
        let _ = writeln!(out, "the code remembers earlier events: every run got an isolate of its own");
    }
    out.push('\n');
}

/// Returns the number of events with an edge, as text.
fn seen(edge: &Edge) -> String {
    match edge.kind {
        Kind::Constant => String::new(),
        _ if edge.events == 0 => "only in changed events".to_owned(),
        _ => format!("{} of {}", edge.events, edge.tested),
    }
}

fn edges(out: &mut String, shown: &Shown<'_>, args: &LineageArgs) {
    let detailed = args.indirect || args.from.is_some() || args.to.is_some();
    let in_place = |edge: &Edge| edge.kind == Kind::Copied && edge.from == edge.to && !detailed;
    let logged: Vec<&str> =
        shown.edges.iter().filter(|edge| edge.to == "log" && !edge.indirect).map(|edge| edge.from.as_str()).collect();
    let many_logged = !detailed && logged.len() > MAX_LOGGED;
    let is_shown = |edge: &Edge| {
        let is_counted = (edge.indirect && !detailed) || (many_logged && edge.to == "log");
        !in_place(edge) && !is_counted
    };
    let rows: Vec<[String; 4]> = shown
        .edges
        .iter()
        .filter(|edge| is_shown(edge))
        .map(|edge| {
            let more = match (&edge.value, &edge.example) {
                (Some(value), _) => visible(&shorten(&value.to_string())).into_owned(),
                (None, Some(example)) if edge.exact && example.given.is_none() => {
                    let value = example.input[0].as_deref().unwrap_or("nothing");
                    visible(&format!("line {}: {}", example.line, shorten(value))).into_owned()
                }
                (None, Some(example)) => said(example),
                _ => String::new(),
            };
            let times = seen(edge);
            let gap = if times.is_empty() || more.is_empty() { "" } else { "  " };
            let to = visible(&edge.to).into_owned();
            [to, visible(&edge.from).into_owned(), how(edge), format!("{times}{gap}{more}")]
        })
        .collect();
    if !rows.is_empty() {
        let width = |column: usize, title: &str| {
            rows.iter().map(|row| row[column].width()).chain([title.width()]).max().unwrap_or(0).min(MAX_COLUMN)
        };
        let widths = [width(0, "output"), width(1, "from"), width(2, "how")];
        row(out, ["output", "from", "how", "events, and one of them"], widths);
        let mut last = "";
        for one in &rows {
            let to = if one[0] == last { "" } else { one[0].as_str() };
            row(out, [to, &one[1], &one[2], &one[3]], widths);
            last = &one[0];
        }
        out.push('\n');
    }
    if many_logged {
        names(out, "reach the log (--to log lists them with examples)", logged);
    }
    let copied: Vec<&str> = shown.edges.iter().filter(|edge| in_place(edge)).map(|edge| edge.to.as_str()).collect();
    names(out, "go out as they came", copied);
    if !detailed {
        let mut chooses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for edge in shown.edges.iter().filter(|edge| edge.indirect) {
            let to = chooses.entry(group(&edge.from)).or_default();
            if !to.contains(&edge.to.as_str()) {
                to.push(&edge.to);
            }
        }
        if !chooses.is_empty() {
            let _ = writeln!(out, "choose what stands elsewhere (--indirect lists them with examples)");
            for (from, to) in chooses {
                let list = match to.len() {
                    0..=4 => to.join(", "),
                    count => format!("{} and {} more", to[..3].join(", "), count - 3),
                };
                let _ = writeln!(out, "  {} → {}", visible(from), visible(&list));
            }
            out.push('\n');
        }
    }
}

fn row(out: &mut String, cells: [&str; 4], widths: [usize; 3]) {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
    }
    line.push_str(cells[3]);
    let _ = writeln!(out, "{}", line.trim_end());
}

fn how(edge: &Edge) -> String {
    match edge.kind {
        Kind::Metadata | Kind::Credential | Kind::Network if edge.indirect => format!("{}, chooses", edge.kind.name()),
        Kind::Metadata | Kind::Credential | Kind::Network if edge.exact => format!("{}, copied", edge.kind.name()),
        kind => kind.name().to_owned(),
    }
}

/// Formats an example as `line 3: "a" → "b" gives "A" → "B"`.
fn said(example: &Example) -> String {
    let side = |text: &Option<String>| text.as_deref().map_or("nothing".to_owned(), shorten);
    let [before, after] = &example.input;
    let [old, new] = &example.output;
    let given = example.given.as_ref().map(|given| format!(" ({})", shorten(given))).unwrap_or_default();
    let input = match (before, after) {
        (None, None) => String::new(),
        _ => format!("{} → {} gives ", side(before), side(after)),
    };
    visible(&format!("line {}{given}: {input}{} → {}", example.line, side(old), side(new))).into_owned()
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn decides(out: &mut String, report: &Report, from: Option<&str>) {
    let wanted = |name: &str| from.is_none_or(|pattern| path::matches(pattern, name));
    let mut groups: BTreeMap<String, Vec<(&str, &Decides)>> = BTreeMap::new();
    for (name, one) in report.decides.iter().filter(|(name, _)| wanted(name)) {
        let what: Vec<&str> = [(one.drop, "whether the event is dropped"), (one.fan_out, "how many events go out")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(_, what)| what)
            .collect();
        if !what.is_empty() {
            groups.entry(format!("{}\u{0}{}", group(name), what.join(", "))).or_default().push((name, one));
        }
    }
    if groups.is_empty() {
        return;
    }
    let _ = writeln!(out, "decide over the verdict");
    for (key, all) in &groups {
        let (group, what) = key.split_once('\u{0}').unwrap_or((key, ""));
        let example = |one: &Decides| one.example.as_ref().map(said).unwrap_or_default();
        if all.len() > MAX_ALIKE {
            let _ = writeln!(out, "  {}.* ({} fields): {what}  {}", visible(group), all.len(), example(all[0].1));
        } else {
            for (name, one) in all {
                let _ = writeln!(out, "  {}: {what}  {}", visible(name), example(one));
            }
        }
    }
    out.push('\n');
}

/// Returns the name up to the JSON text that contains the field; the complete name if there is no such text.
fn group(name: &str) -> &str {
    name.find("(json)").map_or(name, |at| &name[..at + "(json)".len()])
}

fn reads(out: &mut String, report: &Report, from: Option<&str>) {
    let wanted = |name: &str| from.is_none_or(|pattern| path::matches(pattern, name));
    let rows: Vec<[String; 4]> = report
        .reads
        .iter()
        .filter(|(name, read)| {
            wanted(name) && read.events + read.absent > 0 && name.as_str() != "event" && !name.is_empty()
        })
        .map(|(name, read)| {
            let mut lines: Vec<(&String, &u64)> = read.lines.iter().collect();
            lines.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let mut where_: Vec<&str> = lines.iter().take(MAX_LINES).map(|(line, _)| line.as_str()).collect();
            if lines.len() > MAX_LINES {
                where_.push("…");
            }
            let events = match read.events {
                0 => format!("{} in vain", thousands(read.absent)),
                events => thousands(events),
            };
            [visible(name).into_owned(), events, String::new(), where_.join(", ")]
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    let width = |column: usize, title: &str| {
        rows.iter().map(|row| row[column].width()).chain([title.width()]).max().unwrap_or(0).min(MAX_COLUMN)
    };
    let widths = [width(0, "read"), width(1, "events"), 0];
    row(out, ["read", "events", "", "by"], widths);
    rows.iter().for_each(|one| row(out, [&one[0], &one[1], "", &one[3]], widths));
    out.push('\n');
}

fn names(out: &mut String, title: &str, names: Vec<&str>) {
    if names.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}");
    let mut line = String::new();
    for (at, name) in names.iter().enumerate() {
        let name = visible(name);
        if !line.is_empty() && line.width() + name.width() + 2 > WIDTH {
            let _ = writeln!(out, "  {}", line.trim_end());
            line.clear();
        }
        line.push_str(&name);
        line.push_str(if at + 1 < names.len() { ", " } else { "" });
    }
    let _ = writeln!(out, "  {line}\n");
}

fn personal(out: &mut String, report: &Report) {
    if report.hints.is_empty() {
        return;
    }
    let _ = writeln!(out, "looks like personal data, and goes out");
    for hint in &report.hints {
        let _ = writeln!(
            out,
            "  {} ({}, by its {}) → {}",
            visible(&hint.from),
            hint.what,
            hint.because,
            visible(&hint.to.join(", "))
        );
    }
    out.push('\n');
}

fn changes(out: &mut String, shown: &Shown<'_>) {
    let Some([came, went]) = &shown.changes else { return };
    if came.is_empty() && went.is_empty() {
        let _ = writeln!(out, "no edge came or went");
        return;
    }
    let _ = writeln!(out, "compared with the old version");
    for (sign, list) in [("+", came), ("-", went)] {
        for edge in list {
            let _ = writeln!(out, "  {sign} {} → {} ({})", visible(&edge.from), visible(&edge.to), how(edge));
        }
    }
}
