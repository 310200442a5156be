//! Decides which events are lazy, by measuring each size class of events.
//!
//! Whether laziness pays depends on what the code does with an event, and on the event's size. So the first events of a
//! size class are made with every strategy in turn, and again some later ones, after V8 has optimized the code. The
//! fastest strategy is used for the events in between. The output is the same with each of them.

use std::time::{Duration, Instant};

/// Lines shorter than this, in bytes, are never lazy.
const MIN_LINE: usize = 256;

/// Number of size classes: each covers sizes twice those of the class before.
const SIZES: usize = 5;

/// Number of consecutive events with the same strategy. The first `UNTIMED` of them are not
/// timed: after a switch, caches and branch predictors are cold.
const BLOCK: usize = 12;
const UNTIMED: usize = 4;

/// Blocks per strategy before timing starts, while V8 collects type feedback.
const WARM_UP: usize = 2;

/// Events timed per strategy in a trial.
const TIMED: usize = 48;

/// Number of timings after which a strategy that takes 1.5 times as long as the best one is dropped from the trial.
const GLIMPSE: usize = 8;

/// Number of events of a size class after which it is measured again: after the first trial, and after each later one.
const AGAIN: [u32; 2] = [4_000, 100_000];

/// How an event is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// Parsed in full.
    Whole,
    /// Lazy, with lazy nested objects of at least this many bytes.
    Lazy(usize),
}

/// All strategies. The first one wins a tie.
const WAYS: [Strategy; 4] = [Strategy::Whole, Strategy::Lazy(512), Strategy::Lazy(128), Strategy::Lazy(48)];

/// An event being processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) way: Strategy,
    size: usize,
    started: Option<Instant>,
}

impl Sample {
    /// An event that is not measured, with the given strategy.
    pub(crate) fn none(way: Strategy) -> Self {
        Self { way, size: 0, started: None }
    }
}

/// The measurements for each size class.
#[derive(Default)]
pub(crate) struct Tuner {
    sizes: [Size; SIZES],
}

#[derive(Default)]
struct Size {
    /// Index of the current strategy.
    best: usize,
    /// Events since the last trial, and the number of trials so far.
    since: u32,
    trials: usize,
    trial: Option<Rounds>,
}

/// A trial in progress.
#[derive(Default)]
struct Rounds {
    events: usize,
    /// The strategies dropped from the trial.
    out: [bool; WAYS.len()],
    times: [Vec<Duration>; WAYS.len()],
}

impl Tuner {
    /// Returns the strategy for a line of this many bytes.
    pub(crate) fn start(&mut self, bytes: usize) -> Sample {
        if bytes < MIN_LINE {
            return Sample::none(Strategy::Whole);
        }
        let size = ((bytes / MIN_LINE).ilog2() as usize).min(SIZES - 1);
        let known = &mut self.sizes[size];
        known.since += 1;
        if known.trial.is_none() {
            let wait = known.trials.checked_sub(1).map(|before| AGAIN[before.min(AGAIN.len() - 1)]);
            if wait.is_none_or(|wait| known.since > wait) {
                known.trial = Some(Rounds::default());
            }
        }
        match &mut known.trial {
            None => Sample { way: WAYS[known.best], size, started: None },
            Some(rounds) => {
                let (number, timed) = rounds.next();
                Sample { way: WAYS[number], size, started: timed.then(Instant::now) }
            }
        }
    }

    /// Records the event's time if it is part of a trial.
    pub(crate) fn end(&mut self, trial: Sample) {
        if let Some(started) = trial.started {
            self.took(trial, started.elapsed());
        }
    }

    fn took(&mut self, trial: Sample, time: Duration) {
        let known = &mut self.sizes[trial.size];
        let Some(rounds) = &mut known.trial else { return };
        if let Some(best) = rounds.took(trial.way, time) {
            known.best = best;
            known.since = 0;
            known.trials += 1;
            known.trial = None;
        }
    }
}

impl Rounds {
    /// Returns the index of the next event's strategy, and whether the event is timed.
    fn next(&mut self) -> (usize, bool) {
        let (block, place) = (self.events / BLOCK, self.events % BLOCK);
        let mut number = block % WAYS.len();
        self.events += 1;
        if self.out[number] {
            // The best strategy takes the turn. It is never dropped itself.
            number = self.best();
        }
        (number, block >= WARM_UP * WAYS.len() && place >= UNTIMED)
    }

    /// Records a time. Returns the index of the best strategy when the trial is complete.
    fn took(&mut self, way: Strategy, time: Duration) -> Option<usize> {
        let number = WAYS.iter().position(|one| *one == way)?;
        self.times[number].push(time);
        let done = |number: usize| self.out[number] || self.times[number].len() >= TIMED;
        if (0..WAYS.len()).all(done) {
            return Some(self.best());
        }
        if self.times[number].len() == GLIMPSE {
            let best = median(&self.times[self.best()]);
            for number in 0..WAYS.len() {
                self.out[number] |=
                    self.times[number].len() >= GLIMPSE && median(&self.times[number]) > best + best / 2;
            }
        }
        None
    }

    fn best(&self) -> usize {
        (0..WAYS.len())
            .filter(|number| !self.out[*number])
            .min_by_key(|number| median(&self.times[*number]))
            .unwrap_or(0)
    }
}

/// The median, or the maximum if there are no times.
fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts how many of these events each strategy gets, if the strategies take these times in microseconds.
    fn ways(choice: &mut Tuner, bytes: usize, events: usize, micros: [u64; 4]) -> [usize; 4] {
        let mut counts = [0; 4];
        for _ in 0..events {
            let trial = choice.start(bytes);
            let number = WAYS.iter().position(|way| *way == trial.way).unwrap();
            counts[number] += 1;
            if trial.started.is_some() {
                choice.took(trial, Duration::from_micros(micros[number]));
            }
        }
        counts
    }

    #[test]
    fn the_fastest_way_is_taken_when_it_is_known() {
        for (micros, best) in
            [([10, 11, 12, 11], 0), ([12, 10, 11, 12], 1), ([12, 11, 10, 11], 2), ([12, 11, 11, 10], 3)]
        {
            let mut choice = Tuner::default();
            ways(&mut choice, 500, WAYS.len() * (WARM_UP + TIMED.div_ceil(BLOCK - UNTIMED)) * BLOCK, micros);
            let mut expected = [0; 4];
            expected[best] = 1000;
            assert_eq!(ways(&mut choice, 500, 1000, micros), expected);
            // Another size class is measured on its own.
            assert!(ways(&mut choice, 5000, BLOCK * WAYS.len(), micros).iter().all(|count| *count == BLOCK));
            // A later trial may choose another strategy.
            let later = ways(&mut choice, 500, 10_000, [10; 4]);
            assert!(later.iter().all(|count| *count >= WARM_UP * BLOCK), "{later:?}");
        }
    }

    #[test]
    fn a_way_that_is_far_too_slow_is_not_tried_for_long() {
        let mut choice = Tuner::default();
        let counts = ways(&mut choice, 8000, 10_000, [90, 10, 10, 10]);
        // Two trials.
        assert!(counts[0] <= 2 * (WARM_UP + 1 + GLIMPSE.div_ceil(BLOCK - UNTIMED)) * BLOCK, "{counts:?}");
    }

    #[test]
    fn small_lines_are_never_lazy() {
        assert_eq!(ways(&mut Tuner::default(), MIN_LINE - 1, 1000, [4, 3, 2, 1]), [1000, 0, 0, 0]);
    }
}
