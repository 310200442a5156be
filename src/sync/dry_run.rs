//! Formats what a run would send: for each row the columns that differ, and what each sink would get.

use std::fmt::Write as _;

use super::row::Columns;
use super::run::DryRunRow;
use super::sink::cut;

/// Formats a row that would be sent.
pub fn text(shown: &DryRunRow<'_>) -> String {
    let row = shown.row;
    let (sign, word) = match (&row.fingerprint, &shown.previous.fingerprint) {
        (None, _) => ('-', "gone"),
        (_, None) => ('+', "new"),
        _ => ('~', "changed"),
    };
    let mut text = format!("{sign} {} ({word})\n", row.key);
    if row.fingerprint.is_some() {
        let before = shown.previous.row.as_deref().unwrap_or(b"{}");
        for line in row.row.as_deref().map(|now| differences(before, now)).unwrap_or_default() {
            let _ = writeln!(text, "    {line}");
        }
    }
    if shown.is_dropped {
        text.push_str("    dropped by the transformation\n");
        return text;
    }
    for (sink, bodies) in &shown.sinks {
        match bodies {
            Err(reason) => {
                let _ = writeln!(text, "    {sink}: would fail: {}", cut(reason));
            }
            Ok(bodies) if bodies.is_empty() => {
                let _ = writeln!(text, "    {sink}: nothing, its integrations do not name it");
            }
            Ok(bodies) => {
                for body in bodies {
                    let _ = writeln!(text, "    {sink} <- {}", cut(&String::from_utf8_lossy(body)));
                }
            }
        }
    }
    text
}

/// Returns a line for each column that differs.
fn differences(before: &[u8], now: &[u8]) -> Vec<String> {
    let (Ok(before), Ok(now)) = (std::str::from_utf8(before), std::str::from_utf8(now)) else { return Vec::new() };
    let (Ok(before), Ok(now)) = (Columns::parse(before), Columns::parse(now)) else { return Vec::new() };
    let find = |columns: &Columns<'_>, name: &str| {
        columns.0.iter().find(|(column, _)| column == name).map(|(_, value)| value.get().to_owned())
    };
    let mut lines = Vec::new();
    for (name, value) in &now.0 {
        let value = value.get();
        match find(&before, name) {
            Some(old) if old == value => {}
            Some(old) if cut(&old) == cut(value) => lines.push(format!("{name}: {} differs further on", cut(value))),
            Some(old) => lines.push(format!("{name}: {} -> {}", cut(&old), cut(value))),
            None => lines.push(format!("{name}: {}", cut(value))),
        }
    }
    for (name, value) in &before.0 {
        if find(&now, name).is_none() {
            lines.push(format!("{name}: {} -> not there", cut(value.get())));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_compared_to_their_end() {
        let long = |last: &str| format!(r#"{{"a":"{}{last}"}}"#, "x".repeat(2000));
        let lines = differences(long("1").as_bytes(), long("2").as_bytes());
        assert!(lines.len() == 1 && lines[0].ends_with(" differs further on"), "{lines:?}");
        assert!(differences(long("1").as_bytes(), long("1").as_bytes()).is_empty());
    }

    #[test]
    fn only_what_differs_is_shown() {
        let lines = differences(br#"{"a":1,"b":"x","c":2}"#, br#"{"a":1,"b":"y","d":null}"#);
        assert_eq!(lines, ["b: \"x\" -> \"y\"", "d: null", "c: 2 -> not there"]);
    }
}
