//! The counted findings of one worker, and the sum over several workers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use sluicegate_engine::ScriptCoverage;

/// The maximum number of different values that are kept for an output.
const MAX_VALUES: usize = 4;

/// The maximum number of characters of an example's value.
const MAX_TEXT: usize = 120;

/// One event as an example.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The line of the event, from 1.
    pub line: u64,
    /// The input's value before and after the change; `None` where there is no value.
    pub input: [Option<String>; 2],
    /// The output before and after the change.
    pub output: [Option<String>; 2],
    /// The earlier changes, if the original event does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
}

/// The counts of an edge.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// The number of original events that show it.
    pub(super) events: u64,
    pub(super) copied: u64,
    pub(super) computed: u64,
    pub(super) conditional: u64,
    /// Whether the output takes several values, as opposed to being present or missing.
    pub(super) varies: bool,
    pub(super) example: Option<Example>,
}

/// What an input decides, with the number of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decides {
    /// Whether the event is dropped.
    pub drop: u64,
    /// How many events go out.
    pub fan_out: u64,
    /// Whether the event fails.
    pub fail: u64,
    /// One event as an example.
    pub example: Option<Example>,
}

/// The reads of a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The number of events in which its value was read.
    pub events: u64,
    /// The number of events in which the code looked for it and it was missing.
    pub absent: u64,
    /// The lines that read it, as `file:line`, with the number of events for each.
    pub lines: BTreeMap<String, u64>,
}

/// The values in a place of the output.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Output {
    pub(super) events: u64,
    pub(super) values: Vec<Value>,
}

/// The findings of one worker.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Findings {
    pub(super) events: u64,
    pub(super) ok: u64,
    pub(super) dropped: u64,
    pub(super) failed: u64,
    pub(super) failure: Option<String>,
    /// The number of events that were studied in detail.
    pub(super) studied: u64,
    pub(super) kinds: u64,
    pub(super) kinds_studied: u64,
    pub(super) runs: u64,
    /// The number of events in which a place held a value.
    pub(super) came: BTreeMap<String, u64>,
    pub(super) read: BTreeMap<String, Read>,
    /// Edges by place of the input, then of the output.
    pub(super) edges: BTreeMap<String, BTreeMap<String, Tally>>,
    pub(super) tested: BTreeMap<String, u64>,
    pub(super) decides: BTreeMap<String, Decides>,
    pub(super) outputs: BTreeMap<String, Output>,
    /// Places of the output of events that were studied in detail.
    pub(super) outputs_studied: BTreeSet<String>,
    pub(super) unstable: BTreeSet<String>,
    pub(super) stateful: bool,
    pub(super) unanswered: BTreeSet<String>,
    /// The number of events by place of the input and kind of personal data.
    pub(super) personal: BTreeMap<String, BTreeMap<String, u64>>,
    pub(super) coverage: Vec<ScriptCoverage>,
}

impl Findings {
    pub(super) fn edge(&mut self, from: &str, to: &str) -> &mut Tally {
        self.edges.entry(from.to_owned()).or_default().entry(to.to_owned()).or_default()
    }

    pub(super) fn output(&mut self, to: String, value: &Value) {
        let output = self.outputs.entry(to).or_default();
        output.events += 1;
        if output.values.len() < MAX_VALUES && !output.values.contains(value) {
            output.values.push(value.clone());
        }
    }

    /// Adds the findings of another worker.
    pub(super) fn add(&mut self, other: Findings) {
        self.events += other.events;
        self.ok += other.ok;
        self.dropped += other.dropped;
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
        self.studied += other.studied;
        self.kinds += other.kinds;
        self.kinds_studied += other.kinds_studied;
        self.runs += other.runs;
        other.came.into_iter().for_each(|(name, count)| *self.came.entry(name).or_default() += count);
        other.tested.into_iter().for_each(|(name, count)| *self.tested.entry(name).or_default() += count);
        for (name, read) in other.read {
            let sum = self.read.entry(name).or_default();
            sum.events += read.events;
            sum.absent += read.absent;
            read.lines.into_iter().for_each(|(line, count)| *sum.lines.entry(line).or_default() += count);
        }
        for (from, edges) in other.edges {
            for (to, tally) in edges {
                let sum = self.edge(&from, &to);
                sum.events += tally.events;
                sum.copied += tally.copied;
                sum.computed += tally.computed;
                sum.conditional += tally.conditional;
                sum.varies |= tally.varies;
                sum.example = better(sum.example.take(), tally.example);
            }
        }
        for (name, decides) in other.decides {
            let sum = self.decides.entry(name).or_default();
            sum.drop += decides.drop;
            sum.fan_out += decides.fan_out;
            sum.fail += decides.fail;
            sum.example = better(sum.example.take(), decides.example);
        }
        for (name, output) in other.outputs {
            let sum = self.outputs.entry(name).or_default();
            sum.events += output.events;
            for value in output.values {
                if sum.values.len() < MAX_VALUES && !sum.values.contains(&value) {
                    sum.values.push(value);
                }
            }
        }
        self.outputs_studied.extend(other.outputs_studied);
        self.unstable.extend(other.unstable);
        self.unanswered.extend(other.unanswered);
        self.stateful |= other.stateful;
        for (name, kinds) in other.personal {
            let sum = self.personal.entry(name).or_default();
            kinds.into_iter().for_each(|(kind, count)| *sum.entry(kind).or_default() += count);
        }
        self.coverage.extend(other.coverage);
    }
}

/// Prefers the example of an original event over that of a changed one, otherwise the earlier event.
pub(super) fn better(one: Option<Example>, other: Option<Example>) -> Option<Example> {
    match (one, other) {
        (Some(one), Some(other)) if one.given.is_some() && other.given.is_none() => Some(other),
        (Some(one), Some(other)) if one.given.is_some() == other.given.is_some() && other.line < one.line => {
            Some(other)
        }
        (None, other) => other,
        (one, _) => one,
    }
}

/// Returns a value as text for an example.
pub(super) fn shown(value: Option<&Value>) -> Option<String> {
    let text = value?.to_string();
    Some(match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    })
}
