//! Finds tests that depend on each other, and the variable that connects them.
//!
//! A test should have the same result whatever ran before it. So each test runs alone, in isolates that no other
//! test has used, and all tests run once more in another order. If a result differs, the cause is searched among
//! the earlier tests: a test that changed a variable and that, as the only test before it, makes the result differ
//! in the same way. The report names that test and its changes. If no single test is the cause, the report says so.

use std::io;

use sluicegate_engine::ModuleId;

use super::protocol::{Change, TestError};
use super::result::{Status, TestResult};
use super::runner::{Pass, Ran, Runner};
use crate::random::Random;

/// The maximum number of tests that are tried as the cause.
const MAX_SUSPECTS: usize = 20;

/// The maximum number of variables that are named.
const MAX_NAMED: usize = 5;

/// Runs the tests of a unit alone and shuffled. Tests whose result differs become failures with an explanation.
pub(super) fn compare(runner: &mut Runner<'_>, first: &mut Ran) -> io::Result<()> {
    let order: Vec<usize> =
        first.places.keys().copied().filter(|index| first.test(*index).is_some_and(was_run)).collect();
    let alone = runner.pass(&Pass { order: Some(order.clone()), alone: true })?;
    let shuffled = shuffle(&order, runner.plan.seed.unwrap_or(1).into());
    let other = runner.pass(&Pass { order: Some(shuffled.clone()), alone: false })?;
    let mut leaks = Vec::new();
    for index in &order {
        let Some(by_itself) = alone.test(*index) else { continue };
        for (ran, order, how) in [(&*first, &order, "in order"), (&other, &shuffled, "shuffled")] {
            let Some(test) = ran.test(*index).filter(|test| was_run(test) && test.status != by_itself.status) else {
                continue;
            };
            let culprit = culprit(runner, ran, order, *index, test.status)?;
            leaks.push((*index, explain(by_itself, test, how, culprit.map(|culprit| (ran, culprit)))));
            break;
        }
    }
    for (index, error) in leaks {
        let test = &mut first.result.tests[first.places[&index]];
        test.status = Status::Failed;
        test.error = Some(error);
    }
    Ok(())
}

fn was_run(test: &TestResult) -> bool {
    matches!(test.status, Status::Passed | Status::Failed)
}

/// Returns the earlier test that, run alone before test `index`, makes that test end with `status`.
fn culprit(
    runner: &mut Runner<'_>,
    ran: &Ran,
    order: &[usize],
    index: usize,
    status: Status,
) -> io::Result<Option<usize>> {
    let before = order.iter().take_while(|one| **one != index);
    let mut suspects: Vec<usize> =
        before.copied().filter(|one| ran.changes.get(one).is_some_and(|changes| !changes.is_empty())).collect();
    suspects.reverse();
    for suspect in suspects.into_iter().take(MAX_SUSPECTS) {
        let pair = runner.pass(&Pass { order: Some(vec![suspect, index]), alone: false })?;
        if pair.test(index).is_some_and(|test| test.status == status) {
            return Ok(Some(suspect));
        }
    }
    Ok(None)
}

fn explain(alone: &TestResult, test: &TestResult, how: &str, culprit: Option<(&Ran, usize)>) -> TestError {
    let word = |test: &TestResult| if test.status == Status::Failed { "fails" } else { "passes" };
    let mut message = format!("it {} alone, and {} {how}", word(alone), word(test));
    let leaked = culprit.and_then(|(ran, index)| Some((ran.test(index)?, ran.changes.get(&index)?)));
    match leaked {
        Some((other, changes)) => {
            message.push_str(&format!(", because of the test \"{}\", which changes", other.name));
            for Change { variable, before, after } in named(changes) {
                let place = variable.file.as_deref().unwrap_or("the global object");
                let held = |text: &Option<String>| shorten(text.as_deref().unwrap_or("nothing"));
                message.push_str(&format!("\n  {} of {place}: {} → {}", variable.name, held(before), held(after)));
            }
        }
        None => message.push_str(
            ": no single test before it makes the difference through a variable that can be seen (several together \
             might, or a private field or a generator holds it)",
        ),
    }
    let failed = [alone, test].into_iter().find_map(|test| test.error.clone()).unwrap_or_default();
    TestError { message, name: None, matcher: None, wrote: None, ..failed }
}

/// Returns the changes to name. An imported variable appears in two files; the library's entry is kept.
fn named(changes: &[Change]) -> impl Iterator<Item = &Change> {
    let twice = |change: &Change| {
        let same = |other: &&Change| {
            other.variable.name == change.variable.name && other.before == change.before && other.after == change.after
        };
        let is_library = |change: &Change| {
            change.variable.file.as_ref().is_some_and(|file| ModuleId::parse(file).library().is_some())
        };
        !is_library(change) && changes.iter().filter(same).any(is_library)
    };
    changes.iter().filter(move |change| !twice(change)).take(MAX_NAMED)
}

fn shorten(text: &str) -> String {
    const MAX_TEXT: usize = 120;
    if text.chars().count() <= MAX_TEXT {
        text.to_owned()
    } else {
        text.chars().take(MAX_TEXT).chain(['…']).collect()
    }
}

/// Returns the tests in a shuffled order. The same seed gives the same order on every machine.
fn shuffle(order: &[usize], seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed);
    let mut shuffled = order.to_vec();
    for at in (1..shuffled.len()).rev() {
        shuffled.swap(at, random.below(at as u64 + 1) as usize);
    }
    shuffled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_an_order() {
        let order: Vec<usize> = (0..50).collect();
        assert_eq!(shuffle(&order, 7), shuffle(&order, 7));
        assert_ne!(shuffle(&order, 7), shuffle(&order, 8));
        let mut sorted = shuffle(&order, 7);
        sorted.sort_unstable();
        assert_eq!(sorted, order);
    }
}
