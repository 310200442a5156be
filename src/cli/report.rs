//! Writes messages to standard error: with or without colour, for people or as JSON. Errors are printed only here.

use std::io::IsTerminal;

use serde_json::json;

use super::diagnostic::{Diagnostic, visible};
use crate::config::{LogFormat, When};
use crate::wire::stderr;
use sluicegate_engine::UnsafeRead;

/// The format of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageStyle {
    /// When messages are coloured.
    pub color: When,
    /// For people, or as JSON.
    pub format: LogFormat,
}

impl MessageStyle {
    /// Returns whether standard error is coloured: as the user asks, or by default on
    /// a terminal with colours, unless `NO_COLOR` is set (<https://no-color.org>).
    pub fn colored(self) -> bool {
        match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                !set("NO_COLOR") && !dumb && std::io::stderr().is_terminal()
            }
        }
    }

    /// Renders the text of an error, with a newline at the end.
    pub fn render(self, error: &anyhow::Error) -> String {
        let diagnostic = error.downcast_ref::<Diagnostic>();
        if self.format == LogFormat::Json {
            let message = diagnostic.map_or_else(|| error.to_string(), |diagnostic| diagnostic.message.clone());
            let mut object = object("ERROR", &message);
            match diagnostic {
                Some(diagnostic) => {
                    if let Some(place) = &diagnostic.place {
                        object["file"] = json!(place.file);
                        object["line"] = json!(place.line);
                        object["column"] = json!(place.columns.start);
                    }
                    if !diagnostic.frames.is_empty() {
                        object["frames"] = json!(diagnostic.frames);
                    }
                    if let Some(help) = &diagnostic.help {
                        object["help"] = json!(help);
                    }
                }
                None => {
                    let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
                    if !causes.is_empty() {
                        object["causes"] = json!(causes);
                    }
                }
            }
            return format!("{object}\n");
        }
        match diagnostic {
            Some(diagnostic) => diagnostic.render(self.colored()),
            None => {
                let mut text = Diagnostic::new(error.to_string()).render(self.colored());
                for cause in error.chain().skip(1) {
                    text.push_str(&format!("  because: {}\n", visible(&cause.to_string())));
                }
                text
            }
        }
    }

    /// Writes an error to standard error. If standard error is closed, the error is lost.
    pub fn error(self, error: &anyhow::Error) {
        stderr::say(self.render(error).as_bytes());
    }
}

const LACKING: &str = "part of the sandbox is missing on this machine";

/// Returns a message for machines, on one line: the time, the level, the
/// text, and further fields. `serve` and `sync` use the same fields.
pub(super) fn object(level: &str, message: &str) -> serde_json::Value {
    let now = humantime::format_rfc3339_micros(std::time::SystemTime::now());
    json!({ "timestamp": now.to_string(), "level": level, "message": message })
}

/// Writes a warning as text or as JSON.
pub(super) fn warn(message: &str, format: LogFormat) {
    let line = match format {
        LogFormat::Text => format!("warning: {message}\n"),
        LogFormat::Json => format!("{}\n", object("WARN", message)),
    };
    stderr::say(line.as_bytes());
}

/// Returns the message about an unsafe integer that the code has read: where, and what to do about it.
pub(super) fn read_message(read: &UnsafeRead) -> String {
    let at = read.position.as_ref().map(|at| format!(" (at {}:{}:{})", at.file, at.line, at.column));
    format!("{}{}; {}", read.message(), at.unwrap_or_default(), UnsafeRead::HELP)
}

/// Warns, as text, that layers of the sandbox are missing.
pub fn warn_in_words(lacking: &str) {
    warn(&format!("{LACKING}: {lacking}; see `sluicegate doctor`"), LogFormat::Text);
}

/// Warns, as JSON, that layers of the sandbox are missing.
pub fn warn_in_json(lacking: &str) {
    warn(&format!("{LACKING}: {lacking}"), LogFormat::Json);
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_names_its_causes() {
        let error = Err::<(), _>(std::io::Error::other("the disk is full")).context("cannot write out.jsonl");
        let error = error.unwrap_err();
        let message_style = MessageStyle { color: When::Never, format: LogFormat::Text };
        assert_eq!(message_style.render(&error), "error: cannot write out.jsonl\n  because: the disk is full\n");
        let message_style = MessageStyle { format: LogFormat::Json, ..message_style };
        let mut value: serde_json::Value = serde_json::from_str(&message_style.render(&error)).unwrap();
        let timestamp = value.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(timestamp.as_str().unwrap().ends_with('Z'), "{timestamp}");
        assert_eq!(
            value,
            json!({ "level": "ERROR", "message": "cannot write out.jsonl", "causes": ["the disk is full"] })
        );
    }
}
