//! The findings of a study of one input: flows and decisions.

use std::collections::BTreeMap;

use super::super::compare::same;
use super::super::findings::{Example, shown};
use super::super::path::{Path, Step, value_at};
use super::super::runner::{Ended, Outcome};
use super::super::variations::{Leaf, Variation};
use super::Base;
use super::classify::Influence;

/// The runs of one input with one place changed.
pub(super) struct ChangedRuns {
    pub(super) leaf: Leaf,
    pub(super) from: String,
    pub(super) runs: Vec<(Variation, Outcome)>,
}

/// A flow seen with one input.
pub(super) struct Flow {
    pub(super) leaf: Path,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) influence: Influence,
    /// Whether another value appeared at the output's place.
    pub(super) varies: bool,
    pub(super) example: Example,
}

/// The effect of one input on its verdict.
#[derive(Default)]
pub(super) struct Decision {
    pub(super) leaf: Path,
    pub(super) drop: Option<Example>,
    pub(super) fan_out: Option<Example>,
    pub(super) fail: Option<Example>,
}

/// The findings for one input.
#[derive(Default)]
pub(super) struct Found {
    pub(super) flows: Vec<Flow>,
    pub(super) decisions: BTreeMap<String, Decision>,
}

/// Returns the text of a verdict for an example.
pub(super) fn verdict(ended: &Ended) -> Option<String> {
    Some(match ended {
        Ended::Ok(1) => "ok".to_owned(),
        Ended::Ok(count) => format!("ok, {count} events"),
        Ended::Dropped => "dropped".to_owned(),
        Ended::Failed(message) => format!("failed: {message}"),
    })
}

/// Returns the earlier changes in words; `None` for an original event.
pub(super) fn given(base: &Base) -> Option<String> {
    (!base.given.is_empty()).then(|| base.given.join(", "))
}

/// Records the effect of one change on the verdict.
pub(super) fn decide(
    found: &mut Found,
    one: &ChangedRuns,
    before: &Ended,
    after: &Ended,
    example: &dyn Fn() -> Example,
) {
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

/// Records a copy for a value that cannot be tested, because every change of it also changes
/// the verdict. It counts as copied if the same value appears at the same place of the output.
pub(super) fn assume_copy(base: &Base, one: &ChangedRuns, found: &mut Found) {
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

/// Removes double findings for texts that contain JSON: either the whole text flows on, or the values inside it.
pub(super) fn explain(found: &mut Found) {
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
