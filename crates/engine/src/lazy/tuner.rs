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

/// Events timed per strategy in a measurement.
const TIMED: usize = 48;

/// Number of timings after which a strategy that takes 1.5 times as long as the best one is dropped from the measurement.
const DROP_AFTER: usize = 8;

/// Number of events of a size class after which it is measured again: after the first measurement, and after each later one.
const MEASURE_AGAIN_AFTER: [u32; 2] = [4_000, 100_000];

/// How an event is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// Parsed in full.
    Full,
    /// Lazy, with lazy nested objects of at least this many bytes.
    Lazy(usize),
}

/// All strategies. The first one wins a tie.
const STRATEGIES: [Strategy; 4] = [Strategy::Full, Strategy::Lazy(512), Strategy::Lazy(128), Strategy::Lazy(48)];

/// An event being processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) strategy: Strategy,
    size: usize,
    started: Option<Instant>,
}

impl Sample {
    /// An event that is not measured, with the given strategy.
    pub(crate) fn none(strategy: Strategy) -> Self {
        Self { strategy, size: 0, started: None }
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
    /// Events since the last measurement, and the number of measurements so far.
    since: u32,
    measurements: usize,
    running: Option<Measurement>,
}

/// A measurement in progress.
#[derive(Default)]
struct Measurement {
    events: usize,
    /// The strategies dropped from the measurement.
    out: [bool; STRATEGIES.len()],
    times: [Vec<Duration>; STRATEGIES.len()],
}

impl Tuner {
    /// Returns the strategy for a line of this many bytes.
    pub(crate) fn start(&mut self, bytes: usize) -> Sample {
        if bytes < MIN_LINE {
            return Sample::none(Strategy::Full);
        }
        let size = ((bytes / MIN_LINE).ilog2() as usize).min(SIZES - 1);
        let known = &mut self.sizes[size];
        known.since += 1;
        if known.running.is_none() {
            let wait = known
                .measurements
                .checked_sub(1)
                .map(|before| MEASURE_AGAIN_AFTER[before.min(MEASURE_AGAIN_AFTER.len() - 1)]);
            if wait.is_none_or(|wait| known.since > wait) {
                known.running = Some(Measurement::default());
            }
        }
        match &mut known.running {
            None => Sample { strategy: STRATEGIES[known.best], size, started: None },
            Some(measurement) => {
                let (number, timed) = measurement.next();
                Sample { strategy: STRATEGIES[number], size, started: timed.then(Instant::now) }
            }
        }
    }

    /// Records the event's time if it is part of a measurement.
    pub(crate) fn end(&mut self, sample: Sample) {
        if let Some(started) = sample.started {
            self.record_time(sample, started.elapsed());
        }
    }

    fn record_time(&mut self, sample: Sample, time: Duration) {
        let known = &mut self.sizes[sample.size];
        let Some(measurement) = &mut known.running else { return };
        if let Some(best) = measurement.record_time(sample.strategy, time) {
            known.best = best;
            known.since = 0;
            known.measurements += 1;
            known.running = None;
        }
    }
}

impl Measurement {
    /// Returns the index of the next event's strategy, and whether the event is timed.
    fn next(&mut self) -> (usize, bool) {
        let (block, place) = (self.events / BLOCK, self.events % BLOCK);
        let mut number = block % STRATEGIES.len();
        self.events += 1;
        if self.out[number] {
            // The best strategy takes the turn. It is never dropped itself.
            number = self.best();
        }
        (number, block >= WARM_UP * STRATEGIES.len() && place >= UNTIMED)
    }

    /// Records a time. Returns the index of the best strategy when the measurement is complete.
    fn record_time(&mut self, strategy: Strategy, time: Duration) -> Option<usize> {
        let number = STRATEGIES.iter().position(|one| *one == strategy)?;
        self.times[number].push(time);
        let done = |number: usize| self.out[number] || self.times[number].len() >= TIMED;
        if (0..STRATEGIES.len()).all(done) {
            return Some(self.best());
        }
        if self.times[number].len() == DROP_AFTER {
            let best = median(&self.times[self.best()]);
            for number in 0..STRATEGIES.len() {
                self.out[number] |=
                    self.times[number].len() >= DROP_AFTER && median(&self.times[number]) > best + best / 2;
            }
        }
        None
    }

    fn best(&self) -> usize {
        (0..STRATEGIES.len())
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
    fn count_strategies(tuner: &mut Tuner, bytes: usize, events: usize, micros: [u64; 4]) -> [usize; 4] {
        let mut counts = [0; 4];
        for _ in 0..events {
            let sample = tuner.start(bytes);
            let number = STRATEGIES.iter().position(|strategy| *strategy == sample.strategy).unwrap();
            counts[number] += 1;
            if sample.started.is_some() {
                tuner.record_time(sample, Duration::from_micros(micros[number]));
            }
        }
        counts
    }

    #[test]
    fn the_fastest_strategy_is_used_once_it_is_known() {
        for (micros, best) in
            [([10, 11, 12, 11], 0), ([12, 10, 11, 12], 1), ([12, 11, 10, 11], 2), ([12, 11, 11, 10], 3)]
        {
            let mut tuner = Tuner::default();
            count_strategies(
                &mut tuner,
                500,
                STRATEGIES.len() * (WARM_UP + TIMED.div_ceil(BLOCK - UNTIMED)) * BLOCK,
                micros,
            );
            let mut expected = [0; 4];
            expected[best] = 1000;
            assert_eq!(count_strategies(&mut tuner, 500, 1000, micros), expected);
            // Another size class is measured on its own.
            assert!(
                count_strategies(&mut tuner, 5000, BLOCK * STRATEGIES.len(), micros)
                    .iter()
                    .all(|count| *count == BLOCK)
            );
            // A later measurement may choose another strategy.
            let later = count_strategies(&mut tuner, 500, 10_000, [10; 4]);
            assert!(later.iter().all(|count| *count >= WARM_UP * BLOCK), "{later:?}");
        }
    }

    #[test]
    fn a_strategy_that_is_far_too_slow_is_dropped_early() {
        let mut tuner = Tuner::default();
        let counts = count_strategies(&mut tuner, 8000, 10_000, [90, 10, 10, 10]);
        // Two measurements.
        assert!(counts[0] <= 2 * (WARM_UP + 1 + DROP_AFTER.div_ceil(BLOCK - UNTIMED)) * BLOCK, "{counts:?}");
    }

    #[test]
    fn small_lines_are_never_lazy() {
        assert_eq!(count_strategies(&mut Tuner::default(), MIN_LINE - 1, 1000, [4, 3, 2, 1]), [1000, 0, 0, 0]);
    }
}
