//! One input, changed in many ways.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Instant;

use serde_json::Value;

use super::super::compare::{Difference, differences, same};
use super::super::path::{Path, Step, name, value_at};
use super::super::report::{Example, better, shown};
use super::super::runner::{Ended, Outcome, Reads};
use super::super::vary::{self, Class, Leaf, Variation};
use super::classify::{Influence, Observation, influence};
use super::{Analyzer, Base, Progress};

/// How many changed events are studied in turn, of one event.
const MAX_EXPLORED: usize = 60;

/// In how many events a place is tried with every value that there is for it.
const CLOSELY: u64 = 6;

/// How many changes lie between an event and what is studied of it.
const MAX_CHANGES: usize = 3;

/// The runs of one input with one place changed.
struct Trials {
    leaf: Leaf,
    from: String,
    runs: Vec<(Variation, Outcome)>,
}

/// A flow that one input shows.
struct Flow {
    leaf: Path,
    from: String,
    to: String,
    influence: Influence,
    /// Whether another value stood in the output's place.
    varies: bool,
    example: Example,
}

/// What one input decides over its verdict.
#[derive(Default)]
struct Decision {
    leaf: Path,
    drop: Option<Example>,
    fan_out: Option<Example>,
    fail: Option<Example>,
}

/// What a study of one input found.
#[derive(Default)]
struct Found {
    flows: Vec<Flow>,
    decisions: BTreeMap<String, Decision>,
}

impl Analyzer {
    /// Studies changed events, and what their changes lead to.
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

    /// Studies one input; the changed ones that are worth a study of their own.
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
        let (leaves, containers) = self.places(&base);
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
        let mut trials = Vec::new();
        for (number, leaf) in touched.into_iter().enumerate() {
            if !first && Instant::now() > self.until {
                break;
            }
            let one = self.changed(&base, leaf, number);
            self.judge(&base, &one, &mut found);
            trials.push(one);
        }
        explain(&mut found);
        for container in containers {
            self.judge_container(&base, container, &mut found);
        }
        let new = self.is_new(&found);
        let next = if base.explore { self.explore(&base, &trials, &outputs, &new) } else { Vec::new() };
        self.keep(&base, found);
        next
    }

    /// Runs the event once more: what changes by itself is not the work of any input.
    fn hold(&mut self, base: &mut Base) {
        let again = self.runner.run(&base.input);
        if again.same(&base.outcome) {
            return;
        }
        // The code remembers what it has seen: from now on, every run starts from nothing.
        self.runner.fresh = true;
        base.outcome = self.runner.run(&base.input);
        let again = self.runner.run(&base.input);
        for difference in between(&base.outcome, &again) {
            self.findings.unstable.insert(name(&difference.path));
        }
    }

    /// Changes every value that the code does not look at; `false` if that shows nothing.
    fn all_at_once(&mut self, base: &Base, leaves: &[Leaf], found: &mut Found) -> bool {
        if leaves.is_empty() {
            return true;
        }
        let mut input = base.input.clone();
        for (number, leaf) in leaves.iter().enumerate() {
            leaf.change(&mut input, Some(vary::unique(number)));
        }
        let outcome = self.runner.run(&input);
        if outcome.ended != base.outcome.ended {
            return false;
        }
        let mut flows = Vec::new();
        for difference in between(&base.outcome, &outcome) {
            let place =
                |value: &Value| leaves.iter().enumerate().position(|(number, _)| vary::unique(number) == *value);
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

    /// Runs it at another time and with other chance.
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

    /// Runs an input with other values in one place.
    fn changed(&mut self, base: &Base, leaf: Leaf, number: usize) -> Trials {
        let from = name(&leaf.label);
        let others = self.others.get(&from).cloned().unwrap_or_default();
        // A place that was looked at closely in some events is looked at less closely in others.
        let known = self.findings.tested.get(&from).is_some_and(|tested| *tested >= CLOSELY);
        let short = known || !base.closely;
        let variations = vary::variations(leaf.value.as_ref(), number, &others, &self.literals, short);
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
            // A credential is another engine.
            if is_credential && runs.len() == 2 {
                break;
            }
        }
        Trials { leaf, from, runs }
    }

    /// What follows from the runs of one place.
    fn judge(&self, base: &Base, one: &Trials, found: &mut Found) {
        let mut places: BTreeMap<Path, Vec<Option<Difference>>> = BTreeMap::new();
        let mut comparable: Vec<(&Variation, Vec<Difference>)> = Vec::new();
        for (variation, outcome) in &one.runs {
            let example = || Example {
                line: base.line,
                input: [shown(one.leaf.value.as_ref()), shown(variation.value.as_ref())],
                output: [verdict(&base.outcome.ended), verdict(&outcome.ended)],
                given: given(base),
            };
            decide(found, one, &base.outcome.ended, &outcome.ended, &example);
            if let Some(all) = self.flowing(base, outcome, variation.value.as_ref()) {
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
            let influence = match moves {
                true => Influence::Conditional,
                false => influence([one.leaf.value.as_ref(), old.as_ref()], &seen),
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

    /// The places that a change reaches; nothing if that cannot be told, because the event ended otherwise.
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

    /// Whether a key of an output is the value that was put into the input, and no event as it came has it.
    fn echoes(&self, path: &[Step], value: Option<&Value>) -> bool {
        path.iter().any(|step| matches!(step, Step::Key(key) if !self.made_keys.contains(key) && is_echo(key, value)))
    }

    /// The same for what was changed before.
    fn is_invented(&self, base: &Base, path: &[Step]) -> bool {
        base.invented.iter().any(|value| self.echoes(path, Some(value)))
    }

    /// An object or an array as a whole matters where nothing inside of it does.
    fn judge_container(&mut self, base: &Base, container: Leaf, found: &mut Found) {
        if !is_touched(&base.reads, &container) && !base.reads.keys.contains_key(&container.path) {
            return;
        }
        let inside = |leaf: &Path| leaf.len() > container.path.len() && leaf.starts_with(&container.path);
        // The text that it stands in, if it goes on as a whole.
        let text = container.path.iter().position(|step| *step == Step::Json).map(|at| container.path[..at].to_vec());
        let whole = |flow: &Flow| flow.influence == Influence::Copied && text.as_ref() == Some(&flow.leaf);
        let explains = |flow: &&Flow| inside(&flow.leaf) || whole(flow);
        let explained: Vec<String> = found.flows.iter().filter(explains).map(|flow| flow.to.clone()).collect();
        // Elements of an array that is made of this one come and go with it.
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
        for variation in vary::container_variations(value) {
            let mut input = base.input.clone();
            if container.change(&mut input, variation.value.clone()) {
                let outcome = self.runner.run(&input);
                runs.push((variation, outcome));
            }
        }
        let one = Trials { from: name(&container.label), runs, leaf: container };
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

    /// Places of the input that show something that was not known before.
    fn is_new(&self, found: &Found) -> BTreeSet<Path> {
        let known = |flow: &Flow| self.findings.edges.get(&flow.from).is_some_and(|edges| edges.contains_key(&flow.to));
        let flows = found.flows.iter().filter(|flow| !known(flow)).map(|flow| flow.leaf.clone());
        let decisions = found.decisions.iter().filter(|(from, one)| {
            let known = self.findings.decides.get(*from);
            (one.drop.is_some() && known.is_none_or(|known| known.drop == 0))
                || (one.fan_out.is_some() && known.is_none_or(|known| known.fan_out == 0))
        });
        flows.chain(decisions.map(|(_, one)| one.leaf.clone())).collect()
    }

    /// The changed inputs that take the code another way.
    fn explore(
        &mut self,
        base: &Base,
        trials: &[Trials],
        outputs: &BTreeMap<String, Value>,
        new: &BTreeSet<Path>,
    ) -> Vec<Base> {
        let mut next = Vec::new();
        if base.given.len() >= MAX_CHANGES {
            return next;
        }
        let before: BTreeSet<&String> = outputs.keys().collect();
        for one in trials {
            if !base.given.is_empty() && !new.contains(&one.leaf.path) {
                continue;
            }
            let mut ways: BTreeSet<(bool, usize, Vec<String>)> = BTreeSet::new();
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
                let another_way = outcome.ended != base.outcome.ended || !names.is_empty();
                if (is_same && !is_missing) || !(is_missing || another_way) || (is_same && one.leaf.value.is_none()) {
                    continue;
                }
                let ours = (ended.0, ended.1, names);
                if !is_missing && (ways.contains(&ours) || ways.len() > 3) {
                    continue;
                }
                ways.insert(ours);
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

    /// Adds what one input showed to what is known.
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

/// The places in which two outcomes differ.
fn between(before: &Outcome, after: &Outcome) -> Vec<Difference> {
    let mut found = Vec::new();
    differences(Some(&before.made), Some(&after.made), &mut Vec::new(), &mut found);
    // How many events go out is the verdict's business.
    found.retain(|difference| {
        difference.path.len() > 1
            && !(difference.elements
                && difference.path.len() == 2
                && matches!(&difference.path[0], Step::Key(root) if root == "out"))
    });
    found
}

/// A value that cannot be changed without another verdict, and that stands in the same place of the output, is taken for
/// what stands there.
fn assume_copy(base: &Base, one: &Trials, found: &mut Found) {
    let of_event = matches!(&one.leaf.path[0], Step::Key(root) if root == "event");
    let Some(value) = one.leaf.value.as_ref().filter(|value| of_event && !value.is_object() && !value.is_array())
    else {
        return;
    };
    let Ended::Ok(1) = base.outcome.ended else { return };
    let place = [Step::Key("out".to_owned()), Step::Index(0)].into_iter().chain(one.leaf.path[1..].iter().cloned());
    if value_at(&base.outcome.made, &place.collect::<Vec<_>>()).is_some_and(|output| same(&output, value)) {
        let text = shown(Some(value));
        let example = Example {
            line: base.line,
            input: [text.clone(), text.clone()],
            output: [text.clone(), text],
            given: given(base),
        };
        let (leaf, from) = (one.leaf.path.clone(), one.from.clone());
        found.flows.push(Flow { leaf, to: from.clone(), from, influence: Influence::Copied, varies: true, example });
    }
}

/// Whether a key of the output is the value that was put into the input.
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

/// Whether the code has looked at a place, or at the text that it stands in.
fn is_touched(reads: &Reads, leaf: &Leaf) -> bool {
    let end = leaf.path.iter().position(|step| *step == Step::Json).unwrap_or(leaf.path.len());
    let path = leaf.path[..end].to_vec();
    reads.values.contains_key(&path) || reads.keys.contains_key(&path) || reads.absent.contains_key(&path)
}

fn given(base: &Base) -> Option<String> {
    (!base.given.is_empty()).then(|| base.given.join(", "))
}

fn verdict(ended: &Ended) -> Option<String> {
    Some(match ended {
        Ended::Ok(1) => "ok".to_owned(),
        Ended::Ok(count) => format!("ok, {count} events"),
        Ended::Dropped => "dropped".to_owned(),
        Ended::Failed(message) => format!("failed: {message}"),
    })
}

fn decide(found: &mut Found, one: &Trials, before: &Ended, after: &Ended, example: &dyn Fn() -> Example) {
    let mut decision = found.decisions.remove(&one.from).unwrap_or_default();
    let place = match (before, after) {
        (before, after) if before == after => None,
        (Ended::Failed(_), _) => None,
        (_, Ended::Failed(_)) => Some(&mut decision.fail),
        (Ended::Dropped, _) | (_, Ended::Dropped) => Some(&mut decision.drop),
        _ => Some(&mut decision.fan_out),
    };
    if let Some(place) = place {
        place.get_or_insert_with(example);
        decision.leaf.clone_from(&one.leaf.path);
    }
    if decision.drop.is_some() || decision.fan_out.is_some() || decision.fail.is_some() {
        found.decisions.insert(one.from.clone(), decision);
    }
}

/// Of a text that holds JSON, either the text as a whole is what goes on, or what stands in it.
fn explain(found: &mut Found) {
    let whole: Vec<(Path, String, Influence)> =
        found.flows.iter().map(|flow| (flow.leaf.clone(), flow.to.clone(), flow.influence)).collect();
    let inside = |inner: &Path, outer: &Path| {
        inner.len() > outer.len() && inner.starts_with(outer) && inner[outer.len()] == Step::Json
    };
    found.flows.retain(|flow| {
        let copied_whole = whole
            .iter()
            .any(|(leaf, to, influence)| *to == flow.to && *influence == Influence::Copied && inside(&flow.leaf, leaf));
        let explained = flow.influence != Influence::Copied
            && whole.iter().any(|(leaf, to, _)| *to == flow.to && inside(leaf, &flow.leaf));
        !copied_whole && !explained
    });
    let decided: Vec<(Path, bool, bool)> =
        found.decisions.values().map(|one| (one.leaf.clone(), one.drop.is_some(), one.fan_out.is_some())).collect();
    for one in found.decisions.values_mut() {
        let inner = |kind: fn(&(Path, bool, bool)) -> bool| {
            decided.iter().any(|other| inside(&other.0, &one.leaf) && kind(other))
        };
        let (drop, fan_out) = (inner(|other| other.1), inner(|other| other.2));
        one.drop = one.drop.take().filter(|_| !drop);
        one.fan_out = one.fan_out.take().filter(|_| !fan_out);
    }
}
