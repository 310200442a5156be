//! Searches for events that make a transformation throw, hit a limit, or output something invalid, and reduces each to
//! the smallest event that shows the fault.
//!
//! Samples are changed at random, in the same way for the same seed, and run in batches. A fault is a kind of failure
//! at a place in the code; further events with a known fault are only counted. Output counts as invalid when it has
//! lost its `type`, or when a text contains `undefined`, `NaN` or `[object Object]` and the event did not: such texts
//! come from values that are joined without a check.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::mutate::{is_stand_in, mutated, text};
use super::shrink::smaller;
use super::{ExploreRun, Setup, Verdict};
use crate::random::Random;
use sluicegate_engine::verdict::{Failure, FailureKind};

/// The events to change if there are no others.
pub const SAMPLES: &str = include_str!("samples.jsonl");

/// The maximum number of rounds to reduce an event: in general, and if each attempt takes a complete time limit.
const ROUNDS: (usize, usize) = (120, 6);

/// The maximum number of smaller events that are tried at a time, if each takes a complete time limit.
const MAX_SLOW: usize = 8;

/// The settings of a search.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The transformation.
    pub setup: Setup,
    /// Events to start from; at least one.
    pub samples: Vec<Value>,
    /// The seed of the changes.
    pub seed: u64,
    /// The number of events to try.
    pub runs: u64,
    /// The time limit.
    pub time: Duration,
}

/// A fault that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The failure of the smallest event, or the invalid output.
    pub kind: FaultKind,
    /// The number of events with it.
    pub count: u64,
    /// The smallest event, as text.
    pub event: String,
    /// Whether it appears in a fresh isolate, without earlier events.
    pub alone: bool,
}

/// The kinds of faults.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// The event failed.
    Failed(Failure),
    /// The event has output that is invalid.
    Invalid {
        /// The path in the output, e.g. `traits.name`.
        path: String,
        /// One sentence.
        message: String,
    },
}

/// The results of a search.
#[derive(Clone, Debug, Default)]
pub struct FuzzReport {
    /// The number of events that were tried.
    pub events: u64,
    /// The faults, in the order in which they were found.
    pub faults: Vec<Fault>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Runs the search; calls `tick` now and then with the number of events and of faults.
///
/// # Errors
/// When the transformation cannot be run.
pub fn fuzz(plan: &Plan, tick: &mut dyn FnMut(u64, usize)) -> io::Result<FuzzReport> {
    let started = Instant::now();
    let mut random = Random::new(plan.seed);
    let mut run = ExploreRun::start(&plan.setup)?;
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut outcome = FuzzReport::default();
    let mut next: u64 = 0;
    let mut batch = 64;
    while next < plan.runs && started.elapsed() < plan.time {
        let count = batch.min(plan.runs - next);
        // First the unchanged samples.
        let events: Vec<Value> = (next..next + count)
            .map(|number| match plan.samples.get(number as usize) {
                Some(sample) => sample.clone(),
                None => mutated(&plan.samples[random.below(plan.samples.len() as u64) as usize], &mut random),
            })
            .collect();
        next += count;
        let asked = Instant::now();
        let verdicts = run.verdicts(&events.iter().map(text).collect::<Vec<_>>())?;
        // Events that hit a time limit are slow. Small batches let the user see progress and end the search in time.
        batch = if asked.elapsed() > Duration::from_secs(1) { (batch / 2).max(4) } else { (batch * 2).min(512) };
        outcome.events = next;
        for (event, verdict) in events.into_iter().zip(verdicts) {
            let Some(kind) = fault_in(&event, &verdict) else { continue };
            match known.get(&kind.key()) {
                Some(index) => outcome.faults[*index].count += 1,
                None => {
                    known.insert(kind.key(), outcome.faults.len());
                    let fault = smallest(&mut run, &plan.setup, event, kind)?;
                    outcome.faults.push(fault);
                    tick(next, outcome.faults.len());
                }
            }
        }
        tick(next, outcome.faults.len());
    }
    outcome.elapsed = started.elapsed();
    Ok(outcome)
}

impl FaultKind {
    /// Returns the identity of a fault: faults with the same key count as one.
    fn key(&self) -> String {
        match self {
            FaultKind::Failed(failure) => match &failure.position {
                Some(at) => format!("{} {}:{}:{}", failure.kind, at.file, at.line, at.column),
                None => failure.kind.to_string(),
            },
            FaultKind::Invalid { path, message } => format!("invalid {path} {message}"),
        }
    }

    fn is_slow(&self) -> bool {
        use FailureKind::{Crashed, Memory, Timeout};
        matches!(self, FaultKind::Failed(failure) if matches!(failure.kind, Timeout | Memory | Crashed))
    }
}

/// Returns the fault in the result of an event, if there is one.
fn fault_in(event: &Value, verdict: &Verdict) -> Option<FaultKind> {
    match verdict {
        Verdict::Failed(failure) if failure.kind == FailureKind::LineTooLong => None,
        Verdict::Failed(failure) => Some(FaultKind::Failed(failure.clone())),
        Verdict::Dropped => None,
        Verdict::Ok { events } => events.iter().find_map(|output| invalid(event, output)),
    }
}

/// Returns the fault in an output event, if there is one.
fn invalid(input: &Value, output: &Value) -> Option<FaultKind> {
    if !output.is_object() {
        // The output is a text because this program cannot hold its value. It is not checked.
        return None;
    }
    let is_type = |event: &Value| {
        let kind = event.get("type").and_then(Value::as_str);
        kind.is_some_and(|kind| !kind.is_empty() && !is_stand_in(kind))
    };
    if is_type(input) && !is_type(output) {
        let message = "the event that goes out has lost its type".to_owned();
        return Some(FaultKind::Invalid { path: "type".to_owned(), message });
    }
    let sent = input.to_string();
    let word = |text: &str| {
        ["undefined", "[object Object]", "NaN"].into_iter().find(|word| text.contains(word) && !sent.contains(word))
    };
    let mut found = None;
    visit(output, &mut String::new(), &mut |path, text| {
        if let (None, Some(word)) = (&found, word(text)) {
            let message = format!("a text that goes out says \"{word}\", which the event did not have");
            found = Some(FaultKind::Invalid { path: path.to_owned(), message });
        }
    });
    found
}

/// Calls `see` with every text in a value and its path.
fn visit(value: &Value, path: &mut String, see: &mut dyn FnMut(&str, &str)) {
    let len = path.len();
    match value {
        Value::String(text) => see(path, text),
        Value::Array(list) => list.iter().for_each(|value| {
            path.push_str("[]");
            visit(value, path, see);
            path.truncate(len);
        }),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            if len > 0 {
                path.push('.');
            }
            path.push_str(key);
            visit(value, path, see);
            path.truncate(len);
        }),
        _ => {}
    }
}

/// Reduces an event to the smallest one with the same fault.
fn smallest(run: &mut ExploreRun, setup: &Setup, mut event: Value, mut kind: FaultKind) -> io::Result<Fault> {
    let key = kind.key();
    let (rounds, most) = if kind.is_slow() { (ROUNDS.1, MAX_SLOW) } else { (ROUNDS.0, usize::MAX) };
    for _ in 0..rounds {
        let mut tries = smaller(&event);
        tries.truncate(most);
        let verdicts = run.verdicts(&tries.iter().map(text).collect::<Vec<_>>())?;
        let found = tries.into_iter().zip(verdicts).find_map(|(event, verdict)| {
            let kind = fault_in(&event, &verdict)?;
            (kind.key() == key).then_some((event, kind))
        });
        let Some(next) = found else { break };
        (event, kind) = next;
    }
    let text = text(&event);
    let alone = ExploreRun::start(setup)?.verdicts(std::slice::from_ref(&text))?;
    let alone = alone.first().and_then(|verdict| fault_in(&event, verdict)).is_some_and(|kind| kind.key() == key);
    Ok(Fault { kind, count: 1, event: text, alone })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn samples_are_events_and_a_seed_decides_what_becomes_of_them() {
        let samples: Vec<Value> = SAMPLES.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(samples.iter().all(Value::is_object) && samples.len() >= 9);
        let events = |seed| {
            let mut random = Random::new(seed);
            (0..2000).map(|n| text(&mutated(&samples[n % samples.len()], &mut random))).collect::<Vec<_>>()
        };
        assert_eq!(events(1), events(1));
        assert_ne!(events(1), events(2));
        for wanted in ["1e400", "\\ud800", "__proto__", "2024-02-30", "-0.0", "18446744073709551617"] {
            assert!(events(1).iter().any(|text| text.contains(wanted)), "{wanted}");
        }
        assert!(events(1).iter().all(|text| !text.contains('\n') && !text.contains('\u{f8f0}')));
    }

    #[test]
    fn only_what_the_event_did_not_have_is_invalid_output() {
        let sent = json!({"type": "identify", "note": "NaN"});
        assert_eq!(invalid(&sent, &json!({"type": "identify", "a": "NaN"})), None);
        let path = |output: Value| match invalid(&sent, &output) {
            Some(FaultKind::Invalid { path, .. }) => path,
            other => panic!("{other:?}"),
        };
        assert_eq!(path(json!({"a": 1})), "type");
        assert_eq!(path(json!({"type": "track", "a": [{"b": "undefined Lovelace"}]})), "a[].b");
    }

    #[test]
    fn smaller_events_are_smaller() {
        let event = json!({"a": {"b": [1, 2, 3], "c": "text"}, "d": null});
        let size = text(&event).len();
        let all = smaller(&event);
        assert!(!all.is_empty() && all.iter().all(|event| text(event).len() < size));
        assert!(smaller(&json!({})).is_empty());
    }
}
