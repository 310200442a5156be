//! Which events are lazy: found out by trying, for each size of events.
//!
//! Whether laziness pays hangs on what the code does with an event, and on how large that is. So the first events of a
//! size are made in every way in turns, and some later ones again, when V8 has optimized the code; the way that takes the
//! least time is taken for those between. What comes out is the same whichever it is.

use std::time::{Duration, Instant};

/// Lines shorter than this are never lazy, in bytes.
const MIN_LINE: usize = 256;

/// This many sizes are told apart: each is double the one before.
const SIZES: usize = 5;

/// This many events in a row are made in one way, and the first ones of them are not timed: what is a change for the
/// processor costs more than what it is used to.
const BLOCK: usize = 12;
const UNTIMED: usize = 4;

/// Blocks of a trial in each way before they are timed, while V8 gets to know what objects come.
const WARM_UP: usize = 2;

/// Events of a trial that are timed in each way.
const TIMED: usize = 48;

/// A way that takes half as long again as the best one is not timed to the end: it is looked at when this many are.
const GLIMPSE: usize = 8;

/// Events of a size after which there is a trial again: first, and from then on.
const AGAIN: [u32; 2] = [4_000, 100_000];

/// How an event is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// Parsed in full.
    Whole,
    /// Lazy, and so is an object in it that has at least this many bytes.
    Lazy(usize),
}

/// All of them, the one first that is taken if there is no difference.
const WAYS: [Strategy; 4] = [Strategy::Whole, Strategy::Lazy(512), Strategy::Lazy(128), Strategy::Lazy(48)];

/// An event under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) way: Strategy,
    size: usize,
    started: Option<Instant>,
}

impl Sample {
    /// No trial, but a way that is taken anyhow.
    pub(crate) fn none(way: Strategy) -> Self {
        Self { way, size: 0, started: None }
    }
}

/// What is known of events of each size.
#[derive(Default)]
pub(crate) struct Tuner {
    sizes: [Size; SIZES],
}

#[derive(Default)]
struct Size {
    /// The number of the way that is taken.
    best: usize,
    /// Events since the last trial, and how many trials there were.
    since: u32,
    trials: usize,
    trial: Option<Rounds>,
}

/// A trial under way.
#[derive(Default)]
struct Rounds {
    events: usize,
    /// The ways that are out of it.
    out: [bool; WAYS.len()],
    times: [Vec<Duration>; WAYS.len()],
}

impl Tuner {
    /// How to make the event of a line of this many bytes.
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

    /// The event is done.
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
    /// The number of the way for the next event, and whether it is timed.
    fn next(&mut self) -> (usize, bool) {
        let (block, place) = (self.events / BLOCK, self.events % BLOCK);
        let mut number = block % WAYS.len();
        self.events += 1;
        if self.out[number] {
            // Its turn goes to the best one: what is best is never out.
            number = self.best();
        }
        (number, block >= WARM_UP * WAYS.len() && place >= UNTIMED)
    }

    /// Takes a time into account; gives the number of the best way when all is known.
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

/// The time that half of the events took no longer than; none is the longest.
fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which ways this many events of a size get, if each way takes this many microseconds.
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
            // Nothing is known of another size.
            assert!(ways(&mut choice, 5000, BLOCK * WAYS.len(), micros).iter().all(|count| *count == BLOCK));
            // It may be another one later.
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
