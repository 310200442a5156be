//! Studies one input: changes it in many ways.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;

use serde_json::Value;

use super::super::compare::{Difference, differences};
use super::super::findings::{Example, better, shown};
use super::super::path::{Path, Step, name};
use super::super::runner::{Ended, Outcome, Reads};
use super::super::variations::{self, Class, Leaf, Variation};
use super::classify::{Influence, Observation, influence, is_made_of};
use super::found::{ChangedRuns, Flow, Found, assume_copy, decide, explain, given, verdict};
use super::{Analyzer, Base};

/// The number of events in which a place is tried with all available values.
const CLOSELY: u64 = 6;

impl Analyzer {
    /// Studies one input. Returns the changed inputs that are worth a study of their own.
    pub(super) fn study(&mut self, mut base: Base) -> Vec<Base> {
        let first = base.given.is_empty();
        if !first {
            base.reads = self.runner.record(&base.input);
        }
        if first {
            self.hold(&mut base);
        }
        let outputs = self.outputs(&base.outcome);
        self.findings.outputs_studied.extend(outputs.keys().cloned());
        let (mut leaves, containers) = self.places(&base);
        // Values that were emptied by earlier changes cannot be changed further.
        leaves.retain(|leaf| first || !leaf.value.as_ref().is_some_and(is_empty));
        let mut found = Found::default();
        let (mut touched, untouched): (Vec<Leaf>, Vec<Leaf>) =
            leaves.into_iter().partition(|leaf| is_touched(&base.reads, leaf));
        let untouched: Vec<Leaf> = untouched
            .into_iter()
            .filter(|leaf| {
                !leaf.path.contains(&Step::Json)
                    && !matches!(&leaf.path[0], Step::Key(root) if root == "metadata" || root == "credential")
            })
            .collect();
        if !self.all_at_once(&base, &untouched, &mut found) {
            touched.extend(untouched);
        }
        if first {
            self.other_worlds(&base, &mut found);
        }
        let mut changed_runs = Vec::new();
        for (number, leaf) in touched.into_iter().enumerate() {
            if !first && Instant::now() > self.until {
                break;
            }
            let one = self.changed(&base, leaf, number);
            self.judge(&base, &one, &mut found);
            changed_runs.push(one);
        }
        explain(&mut found);
        for container in containers {
            self.judge_container(&base, container, &mut found);
        }
        let new = self.is_new(&found);
        let next = if base.explore { self.explore(&base, &changed_runs, &outputs, &new) } else { Vec::new() };
        self.keep(&base, found);
        next
    }

    /// Runs the event again, to find outputs that change by themselves: these depend on no input.
    fn hold(&mut self, base: &mut Base) {
        let again = self.runner.run(&base.input);
        if again.same(&base.outcome) {
            return;
        }
        // The code keeps state between events, so every run starts with fresh state from now on.
        self.runner.fresh = true;
        base.outcome = self.runner.run(&base.input);
        let again = self.runner.run(&base.input);
        for difference in between(&base.outcome, &again) {
            self.findings.unstable.insert(name(&difference.path));
        }
    }

    /// Changes all values that the code does not read, at once. Returns `false` if the result cannot be used.
    fn all_at_once(&mut self, base: &Base, leaves: &[Leaf], found: &mut Found) -> bool {
        if leaves.is_empty() {
            return true;
        }
        let mut input = base.input.clone();
        for (number, leaf) in leaves.iter().enumerate() {
            leaf.change(&mut input, Some(variations::unique(number)));
        }
        let outcome = self.runner.run(&input);
        if outcome.ended != base.outcome.ended {
            return false;
        }
        let mut flows = Vec::new();
        for difference in between(&base.outcome, &outcome) {
            let place =
                |value: &Value| leaves.iter().enumerate().position(|(number, _)| variations::unique(number) == *value);
            let Some(at) = difference.new.as_ref().and_then(place) else { return false };
            let to = name(&difference.path);
            let leaf = &leaves[at];
            let example = Example {
                line: base.line,
                input: [shown(leaf.value.as_ref()), shown(difference.new.as_ref())],
                output: [shown(difference.old.as_ref()), shown(difference.new.as_ref())],
                given: given(base),
            };
            let from = name(&leaf.label);
            flows.push(Flow { leaf: leaf.path.clone(), from, to, influence: Influence::Copied, varies: true, example });
        }
        found.flows.extend(flows);
        true
    }

    /// Runs the input with another clock, then with other random numbers.
    fn other_worlds(&mut self, base: &Base, found: &mut Found) {
        for (root, clock, seed) in [("clock", true, false), ("random", false, true)] {
            let outcome = self.runner.run_with_other(&base.input, clock, seed);
            if outcome.ended != base.outcome.ended {
                continue;
            }
            for difference in between(&base.outcome, &outcome) {
                let example = Example {
                    line: base.line,
                    input: [None, None],
                    output: [shown(difference.old.as_ref()), shown(difference.new.as_ref())],
                    given: None,
                };
                let leaf = vec![Step::Key(root.to_owned())];
                let to = name(&difference.path);
                found.flows.push(Flow {
                    leaf,
                    from: root.to_owned(),
                    to,
                    influence: Influence::Computed,
                    varies: true,
                    example,
                });
            }
        }
    }

    /// Runs an input with other values at one place.
    fn changed(&mut self, base: &Base, leaf: Leaf, number: usize) -> ChangedRuns {
        let from = name(&leaf.label);
        let others = self.others.get(&from).cloned().unwrap_or_default();
        // A place that was tested in detail in some events gets fewer tests in the others.
        let known = self.findings.tested.get(&from).is_some_and(|tested| *tested >= CLOSELY);
        let short = known || !base.closely;
        let variations = variations::variations(leaf.value.as_ref(), number, &others, &self.literals, short);
        let is_credential = matches!(&leaf.path[0], Step::Key(root) if root == "credential");
        let mut runs = Vec::with_capacity(variations.len());
        for variation in variations {
            if is_credential && variation.value.as_ref().is_none_or(|value| !value.is_string()) {
                continue;
            }
            let mut input = base.input.clone();
            if leaf.change(&mut input, variation.value.clone()) {
                let outcome = self.runner.run(&input);
                runs.push((variation, outcome));
            }
            // Each credential needs an engine of its own.
            if is_credential && runs.len() == 2 {
                break;
            }
        }
        if !is_credential && is_lost(base, &runs) {
            let text = leaf.value.as_ref().and_then(Value::as_str).unwrap_or_default();
            for value in variations::parts(text, number, &self.literals) {
                let mut input = base.input.clone();
                if leaf.change(&mut input, Some(value.clone())) {
                    let outcome = self.runner.run(&input);
                    runs.push((Variation { value: Some(value), class: Class::Marker }, outcome));
                }
            }
        }
        ChangedRuns { leaf, from, runs }
    }

    /// Draws conclusions from the runs of one place.
    fn judge(&self, base: &Base, one: &ChangedRuns, found: &mut Found) {
        let mut places: BTreeMap<Path, Vec<Option<Difference>>> = BTreeMap::new();
        let mut comparable: Vec<(&Variation, Vec<Difference>)> = Vec::new();
        for (variation, outcome) in &one.runs {
            let example = || Example {
                line: base.line,
                input: [shown(one.leaf.value.as_ref()), shown(variation.value.as_ref())],
                output: [verdict(&base.outcome.ended), verdict(&outcome.ended)],
                given: given(base),
            };
            // Removing an element also removes the outputs made from it; the number of elements belongs to the array.
            let is_removed = variation.value.is_none() && matches!(one.leaf.path.last(), Some(Step::Index(_)));
            if !is_removed {
                decide(found, one, &base.outcome.ended, &outcome.ended, &example);
            }
            if let Some(mut all) = self.flowing(base, outcome, variation.value.as_ref()) {
                all.retain(|difference| !(is_removed && difference.elements));
                comparable.push((variation, all));
            }
        }
        if !comparable.iter().any(|(variation, _)| variation.class != Class::Other) {
            assume_copy(base, one, found);
        }
        for (at, (_, all)) in comparable.iter().enumerate() {
            for difference in all {
                let list = places.entry(difference.path.clone()).or_default();
                list.resize(comparable.len(), None);
                list[at] = Some(difference.clone());
            }
        }
        let is_invented = one.leaf.value.as_ref().is_some_and(|value| base.invented.contains(value));
        for (place, mut list) in places {
            list.resize(comparable.len(), None);
            let old = list.iter().flatten().find_map(|difference| difference.old.clone());
            let moves = list.iter().flatten().all(|difference| difference.elements);
            let seen: Vec<Observation<'_>> = comparable
                .iter()
                .zip(&list)
                .map(|((variation, _), difference)| Observation {
                    class: variation.class,
                    input: variation.value.as_ref(),
                    output: match difference {
                        Some(difference) => difference.new.as_ref(),
                        None => old.as_ref(),
                    },
                })
                .collect();
            let carried = comparable.iter().zip(&list).any(|((variation, _), difference)| {
                let value = variation.value.as_ref().filter(|_| variation.class != Class::Other);
                difference.as_ref().is_some_and(|difference| brings(difference, value))
            });
            let influence = match moves {
                true if carried => Influence::Computed,
                true => Influence::Conditional,
                false => influence([one.leaf.value.as_ref(), old.as_ref()], is_invented, &seen, &self.literals),
            };
            let shows = |class: Option<Class>| {
                let of = |variation: &Variation| class.is_none_or(|class| variation.class == class);
                comparable.iter().zip(&list).find(|((variation, _), difference)| of(variation) && difference.is_some())
            };
            let Some(((variation, _), Some(difference))) =
                shows(Some(Class::Marker)).or_else(|| shows(Some(Class::Same))).or_else(|| shows(None))
            else {
                continue;
            };
            let example = Example {
                line: base.line,
                input: [shown(one.leaf.value.as_ref()), shown(variation.value.as_ref())],
                output: [shown(difference.old.as_ref()), shown(difference.new.as_ref())],
                given: given(base),
            };
            let (leaf, from, to) = (one.leaf.path.clone(), one.from.clone(), name(&place));
            let varies = list.iter().flatten().any(|difference| difference.old.is_some() && difference.new.is_some());
            found.flows.push(Flow { leaf, from, to, influence, varies, example });
        }
    }

    /// Returns the places that a change reaches; `None` if they are
    /// unknown because the event failed or ended with another verdict.
    fn flowing(&self, base: &Base, after: &Outcome, value: Option<&Value>) -> Option<Vec<Difference>> {
        let all = match (&base.outcome.ended, &after.ended) {
            (_, Ended::Failed(_)) | (Ended::Failed(_), _) => return None,
            (before, after) if before != after => return None,
            _ => between(&base.outcome, after),
        };
        let is_kept = |difference: &Difference| {
            let echoes = difference.old.is_none() && self.echoes(&difference.path, value);
            self.is_known(&difference.path) && !echoes && !self.is_invented(base, &difference.path)
        };
        Some(all.into_iter().filter(|difference| is_kept(difference)).collect())
    }

    /// Returns whether a key of an output is the value that was
    /// put into the input, at a place that no original event has.
    fn echoes(&self, path: &[Step], value: Option<&Value>) -> bool {
        let echoes = path.iter().any(|step| matches!(step, Step::Key(key) if is_echo(key, value)));
        echoes && !self.findings.outputs.contains_key(&name(path))
    }

    /// Returns whether a key of an output is a value that an earlier change put in.
    fn is_invented(&self, base: &Base, path: &[Step]) -> bool {
        base.invented.iter().any(|value| self.echoes(path, Some(value)))
    }

    /// Judges an object or array as a whole. It counts only if nothing inside it has an effect.
    fn judge_container(&mut self, base: &Base, container: Leaf, found: &mut Found) {
        if !is_touched(&base.reads, &container) && !base.reads.keys.contains_key(&container.path) {
            return;
        }
        let inside = |leaf: &Path| leaf.len() > container.path.len() && leaf.starts_with(&container.path);
        // The text that contains the object or array. If the whole text is copied, that explains the flow.
        let text = container.path.iter().position(|step| *step == Step::Json).map(|at| container.path[..at].to_vec());
        let whole = |flow: &Flow| flow.influence == Influence::Copied && text.as_ref() == Some(&flow.leaf);
        let explains = |flow: &&Flow| inside(&flow.leaf) || whole(flow);
        let explained: Vec<String> = found.flows.iter().filter(explains).map(|flow| flow.to.clone()).collect();
        // Elements of an array that is made from this one appear and disappear with it.
        let is_explained =
            |to: &str| explained.iter().any(|known| known == to || (to.ends_with("[]") && known.starts_with(to)));
        let decided = |drop: bool| {
            found
                .decisions
                .values()
                .any(|one| inside(&one.leaf) && if drop { one.drop.is_some() } else { one.fan_out.is_some() })
        };
        let (drops, fans_out) = (decided(true), decided(false));
        let Some(value) = &container.value else { return };
        let mut runs = Vec::new();
        for variation in variations::container_variations(value) {
            let mut input = base.input.clone();
            if container.change(&mut input, variation.value.clone()) {
                let outcome = self.runner.run(&input);
                runs.push((variation, outcome));
            }
        }
        let one = ChangedRuns { from: name(&container.label), runs, leaf: container };
        let mut own = Found::default();
        self.judge(base, &one, &mut own);
        own.flows.retain(|flow| !is_explained(&flow.to));
        found.flows.extend(own.flows);
        for (from, mut decision) in own.decisions {
            decision.fail = None;
            decision.drop = decision.drop.filter(|_| !drops);
            decision.fan_out = decision.fan_out.filter(|_| !fans_out);
            found.decisions.entry(from).or_insert(decision);
        }
    }

    /// Adds the findings of one input to the totals.
    fn keep(&mut self, base: &Base, found: Found) {
        let first = base.given.is_empty();
        if first {
            let mut names: BTreeSet<String> =
                self.places(base).0.iter().filter(|leaf| leaf.value.is_some()).map(|leaf| name(&leaf.label)).collect();
            names.extend(found.flows.iter().map(|flow| flow.from.clone()));
            for name in names {
                *self.findings.tested.entry(name).or_default() += 1;
            }
        }
        let mut counted = BTreeSet::new();
        for flow in found.flows {
            let once = counted.insert((flow.from.clone(), flow.to.clone()));
            let tally = self.findings.edge(&flow.from, &flow.to);
            tally.events += u64::from(first && once);
            tally.varies |= flow.varies;
            match flow.influence {
                Influence::Copied => tally.copied += 1,
                Influence::Computed => tally.computed += 1,
                Influence::Conditional => tally.conditional += 1,
            }
            tally.example = better(tally.example.take(), Some(flow.example));
        }
        for (from, decision) in found.decisions {
            let sum = self.findings.decides.entry(from).or_default();
            for (count, example) in
                [(&mut sum.drop, decision.drop), (&mut sum.fan_out, decision.fan_out), (&mut sum.fail, decision.fail)]
            {
                *count += u64::from(example.is_some());
                sum.example = better(sum.example.take(), example);
            }
        }
    }
}

/// Returns the places in which two outcomes differ.
fn between(before: &Outcome, after: &Outcome) -> Vec<Difference> {
    let mut found = Vec::new();
    differences(Some(&before.made), Some(&after.made), &mut Vec::new(), &mut found);
    // The number of output events belongs to the verdict.
    found.retain(|difference| {
        difference.path.len() > 1
            && !(difference.elements
                && difference.path.len() == 2
                && matches!(&difference.path[0], Step::Key(root) if root == "out"))
    });
    found
}

/// Returns whether new texts or numbers in an array come from a value, for example lines of a log.
fn brings(difference: &Difference, value: Option<&Value>) -> bool {
    let (Some(Value::Array(old)), Some(Value::Array(new))) = (&difference.old, &difference.new) else { return false };
    let plain = |one: &&Value| !one.is_object() && !one.is_array();
    let mut added = new.iter().filter(plain).filter(|one| !old.contains(one));
    difference.elements && added.any(|one| is_made_of(Some(one), value))
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// Returns whether completely different texts fail to reach an output of
/// the old text. The code then parses the text and expects its format.
fn is_lost(base: &Base, runs: &[(Variation, Outcome)]) -> bool {
    let markers = runs.iter().filter(|(variation, _)| variation.class == Class::Marker);
    let mut reached = BTreeSet::new();
    let mut shown = BTreeSet::new();
    let mut ended = true;
    for (variation, outcome) in markers {
        if outcome.ended != base.outcome.ended {
            continue;
        }
        ended = false;
        for difference in between(&base.outcome, outcome) {
            if is_made_of(difference.new.as_ref(), variation.value.as_ref()) {
                shown.insert(difference.path.clone());
            }
            reached.insert(difference.path);
        }
    }
    ended || reached.iter().any(|path| !shown.contains(path))
}

/// Returns whether a key of the output is the value that was put into the input.
fn is_echo(key: &str, value: Option<&Value>) -> bool {
    let plain = |text: &str| -> String {
        text.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let value = match value {
        None => "undefined".to_owned(),
        Some(Value::String(text)) => plain(text),
        Some(value) => plain(&value.to_string()),
    };
    let key = plain(key);
    key == value || (value.len() >= 3 && key.contains(&value))
}

/// Returns whether a key is a value that an earlier change put in
/// and that is not in the code, or the text of a missing value.
pub(super) fn is_made_up(base: &Base, key: &str, words: &HashSet<String>) -> bool {
    let invented = || base.invented.iter().any(|value| is_echo(key, Some(value))) && !words.contains(key);
    !base.given.is_empty() && (["undefined", "null", "NaN"].contains(&key) || invented())
}

/// Returns whether the code has read a place, or the text that contains it.
fn is_touched(reads: &Reads, leaf: &Leaf) -> bool {
    let end = leaf.path.iter().position(|step| *step == Step::Json).unwrap_or(leaf.path.len());
    let path = leaf.path[..end].to_vec();
    reads.values.contains_key(&path) || reads.keys.contains_key(&path) || reads.absent.contains_key(&path)
}
