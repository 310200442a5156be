//! Finds changed inputs that are worth a study of their own.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Instant;

use serde_json::Value;

use super::super::findings::shown;
use super::super::path::Path;
use super::super::runner::{Ended, Reads};
use super::found::{ChangedRuns, Flow, Found};
use super::{Analyzer, Base, Progress};

/// The maximum number of changed events that are studied for one event.
const MAX_EXPLORED: usize = 60;

/// The maximum number of changes between an original event and a studied one.
const MAX_CHANGES: usize = 3;

impl Analyzer {
    /// Studies changed events, and further changes of those.
    pub(super) fn explore_all(&mut self, mut queues: Vec<VecDeque<Base>>, tell: &mut dyn FnMut(Progress)) {
        let mut left = vec![MAX_EXPLORED; queues.len()];
        while queues.iter().any(|queue| !queue.is_empty()) {
            for (queue, left) in queues.iter_mut().zip(&mut left) {
                let Some(base) = queue.pop_front() else { continue };
                if *left == 0 || Instant::now() > self.until {
                    queue.clear();
                    continue;
                }
                *left -= 1;
                tell(Progress::Event(base.line));
                let next = self.study(base);
                queue.extend(next);
            }
        }
    }

    /// Returns the places of the input that have new findings.
    pub(super) fn is_new(&self, found: &Found) -> BTreeSet<Path> {
        let known = |flow: &Flow| self.findings.edges.get(&flow.from).is_some_and(|edges| edges.contains_key(&flow.to));
        let flows = found.flows.iter().filter(|flow| !known(flow)).map(|flow| flow.leaf.clone());
        let decisions = found.decisions.iter().filter(|(from, one)| {
            let known = self.findings.decides.get(*from);
            (one.drop.is_some() && known.is_none_or(|known| known.drop == 0))
                || (one.fan_out.is_some() && known.is_none_or(|known| known.fan_out == 0))
        });
        flows.chain(decisions.map(|(_, one)| one.leaf.clone())).collect()
    }

    /// Returns the changed inputs for which the code takes another path.
    pub(super) fn explore(
        &mut self,
        base: &Base,
        changed_runs: &[ChangedRuns],
        outputs: &BTreeMap<String, Value>,
        new: &BTreeSet<Path>,
    ) -> Vec<Base> {
        let mut next = Vec::new();
        if base.given.len() >= MAX_CHANGES {
            return next;
        }
        let before: BTreeSet<&String> = outputs.keys().collect();
        for one in changed_runs {
            if !base.given.is_empty() && !new.contains(&one.leaf.path) {
                continue;
            }
            let mut behaviours: BTreeSet<(bool, usize, Vec<String>)> = BTreeSet::new();
            for (variation, outcome) in &one.runs {
                let ended = match outcome.ended {
                    Ended::Failed(_) => continue,
                    Ended::Dropped => (true, 0),
                    Ended::Ok(count) => (false, count),
                };
                let is_same = outcome.same(&base.outcome);
                let after = self.outputs(outcome);
                let names: Vec<String> = after.into_keys().filter(|name| !before.contains(name)).collect();
                let is_missing = variation.value.is_none() || variation.value.as_ref().is_some_and(Value::is_boolean);
                let behaves_differently = outcome.ended != base.outcome.ended || !names.is_empty();
                let is_worth_it = match is_missing {
                    true => !is_same || one.leaf.value.is_some(),
                    false => !is_same && behaves_differently,
                };
                if !is_worth_it {
                    continue;
                }
                let ours = (ended.0, ended.1, names);
                if !is_missing && (behaviours.contains(&ours) || behaviours.len() > 3) {
                    continue;
                }
                behaviours.insert(ours);
                let mut given = base.given.clone();
                given.push(match &variation.value {
                    None => format!("without {}", one.from),
                    Some(_) => format!("{} = {}", one.from, shown(variation.value.as_ref()).unwrap_or_default()),
                });
                let mut hash = DefaultHasher::new();
                (&given, outputs.keys().collect::<Vec<_>>()).hash(&mut hash);
                if !self.explored.insert(hash.finish()) {
                    continue;
                }
                let mut input = base.input.clone();
                one.leaf.change(&mut input, variation.value.clone());
                next.push(Base {
                    line: base.line,
                    input,
                    outcome: outcome.clone(),
                    reads: Reads::default(),
                    invented: base.invented.iter().chain(&variation.value).cloned().collect(),
                    given,
                    closely: false,
                    explore: true,
                });
            }
        }
        next
    }
}
