//! `lineage.toml`: flows that are forbidden, and flows that are required.
//!
//! ```toml
//! deny = ["traits.ssn -> *", "traits.email -> context.*"]
//! require = ["userId -> userId"]
//! deny_personal = ["card", "national id"]
//! ```
//!
//! A pattern matches a place and everything inside it; `*` stands for one or more steps. `~>` instead
//! of `->` also counts values that only select among others, and `(verdict)` stands for the verdict.

use std::path::Path;

use serde::Deserialize;

use super::super::diagnostic::Diagnostic;
use crate::explore::lineage::{Report, path};

/// The rules of a file.
#[derive(Debug, Default)]
pub(super) struct Rules {
    deny: Vec<Rule>,
    require: Vec<Rule>,
    deny_personal: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    text: String,
    from: String,
    to: String,
    /// Whether values that only select among others count too.
    indirect: bool,
}

/// A violated rule.
#[derive(Debug)]
pub(super) struct Broken {
    /// The violation, in one sentence.
    pub(super) message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    deny: Vec<toml::Spanned<String>>,
    #[serde(default)]
    require: Vec<toml::Spanned<String>>,
    #[serde(default)]
    deny_personal: Vec<String>,
}

impl Rules {
    /// Reads the text of a file.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, Diagnostic> {
        let file = path.display().to_string();
        let written: Written = toml::from_str(text).map_err(|error| {
            let message = error.message().trim_end().replace('\n', ", ");
            Diagnostic::new(format!("these are not rules: {message}"))
                .at(file.clone(), text, error.span().unwrap_or(0..0))
                .help("the keys are deny, require and deny_personal, each a list of texts")
        })?;
        let rules = |list: Vec<toml::Spanned<String>>| -> Result<Vec<Rule>, Diagnostic> {
            let rule = |rule: toml::Spanned<String>| {
                Rule::parse(rule.get_ref()).ok_or_else(|| {
                    Diagnostic::new(format!("{:?} is not a rule", rule.get_ref()))
                        .at(file.clone(), text, rule.span())
                        .help("write where it comes from and where it goes: \"traits.email -> context.*\"")
                })
            };
            list.into_iter().map(rule).collect()
        };
        Ok(Self { deny: rules(written.deny)?, require: rules(written.require)?, deny_personal: written.deny_personal })
    }

    /// Returns the violated rules.
    pub(super) fn broken(&self, report: &Report) -> Vec<Broken> {
        let mut broken = Vec::new();
        for rule in &self.deny {
            let found = rule.flows(report);
            if !found.is_empty() {
                let message = format!("denied: {} (rule {:?})", found.join(", "), rule.text);
                broken.push(Broken { message });
            }
        }
        for rule in &self.require {
            if rule.flows(report).is_empty() {
                broken.push(Broken { message: format!("missing: no flow is what the rule {:?} requires", rule.text) });
            }
        }
        for hint in report.hints.iter().filter(|hint| self.deny_personal.contains(&hint.what)) {
            let message = format!(
                "denied: {} looks like personal data ({}, by its {}) and reaches {}",
                hint.from,
                hint.what,
                hint.because,
                hint.to.join(", ")
            );
            broken.push(Broken { message });
        }
        broken
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let indirect = text.contains("~>");
        let (from, to) = text.split_once(if indirect { "~>" } else { "->" })?;
        let (from, to) = (from.trim().to_owned(), to.trim().to_owned());
        (!from.is_empty() && !to.is_empty()).then(|| Self { text: text.to_owned(), from, to, indirect })
    }

    /// Returns the flows that match the rule.
    fn flows(&self, report: &Report) -> Vec<String> {
        let edges = report.edges.iter().filter(|edge| {
            (self.indirect || !edge.indirect)
                && path::matches(&self.from, &edge.from)
                && path::matches(&self.to, &edge.to)
        });
        let mut found: Vec<String> =
            edges.map(|edge| format!("{} → {} ({})", edge.from, edge.to, edge.kind.name())).collect();
        if self.indirect && path::matches(&self.to, "(verdict)") {
            let decides = report
                .decides
                .iter()
                .filter(|(from, one)| (one.drop > 0 || one.fan_out > 0) && path::matches(&self.from, from));
            found.extend(decides.map(|(from, _)| format!("{from} → (verdict)")));
        }
        found
    }
}
