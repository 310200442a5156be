//! The report: reads, edges, constants, and the inputs that decide the verdict.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::findings::{Decides, Example, Read};
use super::findings::{Findings, Tally};
use super::path::ROOTS;
use super::pii::{self, Hint};
use sluicegate_engine::ScriptCoverage;

/// The source of outputs that no input changes.
pub const CONSTANT: &str = "(constant)";

/// How an output depends on an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The same value in a place with the same name.
    Copied,
    /// The same value in a place with another name.
    Renamed,
    /// Computed from the value, alone or with others.
    Computed,
    /// The value, or its presence, only selects among others.
    Conditional,
    /// The same value for every input.
    Constant,
    /// From the event's metadata.
    Metadata,
    /// From a credential.
    Credential,
    /// From an answer of the network.
    Network,
    /// From the clock.
    Clock,
    /// From random numbers.
    Random,
}

impl Kind {
    /// Returns the name of the kind.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Copied => "copied",
            Kind::Renamed => "renamed",
            Kind::Computed => "computed",
            Kind::Conditional => "conditional",
            Kind::Constant => "constant",
            Kind::Metadata => "metadata",
            Kind::Credential => "credential",
            Kind::Network => "network",
            Kind::Clock => "clock",
            Kind::Random => "random",
        }
    }
}

/// A flow from an input to an output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The input.
    pub from: String,
    /// The output.
    pub to: String,
    /// How the output depends on the input.
    pub kind: Kind,
    /// Whether the value arrives unchanged.
    pub exact: bool,
    /// Whether the value only selects among others.
    pub indirect: bool,
    /// The number of studied original events that show it; 0 if only changed ones do.
    pub events: u64,
    /// The number of studied events in which the input had a value.
    pub tested: u64,
    /// One event as an example.
    pub example: Option<Example>,
    /// The value of a constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// The complete report.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The number of events.
    pub events: u64,
    /// Events by verdict: ok, dropped, failed.
    pub verdicts: [u64; 3],
    /// The first failure.
    pub failure: Option<String>,
    /// The number of events that were run again with changes.
    pub studied: u64,
    /// Kinds of events, that is, events with the same shape that the code treats the same way: how many there are, and
    /// how many were studied.
    pub kinds: [u64; 2],
    /// The number of runs of the transformation.
    pub runs: u64,
    /// The number of events in which each place of the input held a value.
    pub came: BTreeMap<String, u64>,
    /// The reads, by place of the input.
    pub reads: BTreeMap<String, Read>,
    /// All edges, sorted by input and output.
    pub edges: Vec<Edge>,
    /// The inputs that decide the verdict.
    pub decides: BTreeMap<String, Decides>,
    /// Outputs without a known source.
    pub unexplained: Vec<String>,
    /// Outputs that were not tested because the time was up.
    pub untested: Vec<String>,
    /// Outputs with another value in every run.
    pub unstable: Vec<String>,
    /// Whether the code keeps state between events.
    pub stateful: bool,
    /// Requests without a recorded answer.
    pub unanswered: Vec<String>,
    /// Personal data in the output.
    pub hints: Vec<Hint>,
    /// The coverage of the code by the events.
    pub coverage: Vec<ScriptCoverage>,
}

impl Report {
    /// Makes a report from the findings of all workers.
    pub(super) fn of(found: Findings) -> Self {
        let mut edges = Vec::new();
        // An object or array is not a source itself if a value inside it is: it was only emptied or replaced by a text.
        let inside = |from: &str, to: &str| {
            let inner = |other: &str| other.strip_prefix(from).is_some_and(|rest| rest.starts_with(['.', '[']));
            !found.came.contains_key(from)
                && found.edges.iter().any(|(other, all)| inner(other) && all.contains_key(to))
        };
        for (from, all) in &found.edges {
            for (to, tally) in all.iter().filter(|(to, _)| !found.unstable.contains(*to) && !inside(from, to)) {
                edges.push(edge(from, to, tally, found.tested.get(from).copied().unwrap_or_default()));
            }
        }
        let mut report = Self { unstable: found.unstable.iter().cloned().collect(), ..Self::default() };
        for (to, output) in found.outputs.iter().filter(|(to, _)| !found.unstable.contains(*to)) {
            let sources: Vec<&Tally> = found.edges.values().filter_map(|all| all.get(to)).collect();
            let is_made = sources.iter().any(|tally| tally.copied + tally.computed > 0);
            // An object that is empty in some events is not a value of its own.
            let holds =
                |other: &String| other.strip_prefix(to.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']));
            if is_made || (output.values.iter().all(is_empty) && found.outputs.keys().any(holds)) {
                continue;
            }
            let indirect = !sources.is_empty();
            match output.values.as_slice() {
                [value] if found.outputs_studied.contains(to) && !sources.iter().any(|tally| tally.varies) => edges
                    .push(Edge {
                        from: CONSTANT.to_owned(),
                        to: to.clone(),
                        kind: Kind::Constant,
                        exact: true,
                        indirect: false,
                        events: output.events,
                        tested: output.events,
                        example: None,
                        value: Some(value.clone()),
                    }),
                _ if indirect => {}
                _ if found.outputs_studied.contains(to) => report.unexplained.push(to.clone()),
                _ => report.untested.push(to.clone()),
            }
        }
        edges.sort_by(|a, b| (&a.to, a.indirect, &a.from).cmp(&(&b.to, b.indirect, &b.from)));
        let direct = edges.iter().filter(|edge| !edge.indirect).map(|edge| (edge.from.as_str(), edge.to.as_str()));
        report.hints = pii::hints(&found.personal, &found.came, direct);
        Self {
            events: found.events,
            verdicts: [found.ok, found.dropped, found.failed],
            failure: found.failure,
            studied: found.studied,
            kinds: [found.kinds, found.kinds_studied],
            runs: found.runs,
            came: found.came,
            reads: found.read,
            edges,
            decides: found.decides,
            stateful: found.stateful,
            unanswered: found.unanswered.into_iter().collect(),
            coverage: found.coverage,
            ..report
        }
    }

    /// Returns the places that appeared in events and that the code never read.
    pub fn unread(&self) -> Vec<&str> {
        // A read of a text counts as a read of the JSON inside it.
        let text = |name: &str| name.find("(json)").map_or(name.len(), |at| at);
        let never = |name: &&String| self.reads.get(&name[..text(name)]).is_none_or(|read| read.events == 0);
        self.came.keys().filter(never).map(String::as_str).collect()
    }
}

fn edge(from: &str, to: &str, tally: &Tally, tested: u64) -> Edge {
    let exact = tally.copied > 0 && tally.copied >= tally.computed;
    let indirect = tally.copied == 0 && tally.computed == 0;
    let root = ROOTS
        .iter()
        .find(|root| from.strip_prefix(**root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '('])));
    let kind = match root.copied() {
        Some("metadata") => Kind::Metadata,
        Some("credential") => Kind::Credential,
        Some("network") => Kind::Network,
        Some("clock") => Kind::Clock,
        Some("random") => Kind::Random,
        _ if indirect => Kind::Conditional,
        _ if exact && from == to => Kind::Copied,
        _ if exact => Kind::Renamed,
        _ => Kind::Computed,
    };
    Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        kind,
        exact,
        indirect,
        events: tally.events,
        tested: tested.max(tally.events),
        example: tally.example.clone(),
        value: None,
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}
