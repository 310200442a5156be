//! Decides when the print plan of `js/runtime/on_demand/print_plan.js` is used: it is learned from some events, timed against
//! plain printing, and kept while it is faster.
//!
//! The plan never changes the output. Only the time decides, measured on this program's own events. A program whose
//! edits V8 prints fast anyway, or that the plan does not cover, pays only for an occasional trial.

use std::time::{Duration, Instant};

use deno_core::v8;

use crate::program::Program;
use crate::run::driver_functions::Driver;
use crate::v8::flatness;
use crate::v8::v8_string::{self, Scratch};

/// So many events pass before the first lesson: in a stream that ends sooner no plan pays.
const BEFORE_LESSONS: u32 = 16;

/// The plan is learned from this many events.
const LESSONS: u32 = 16;

/// A longer line, in bytes, is not learned from: it would cost too much.
const MAX_SAMPLE_LEN: usize = 32 << 10;

/// This many events are printed with the plan before it is timed, so that V8 compiles it.
const WARM_UP: u32 = 1024;

/// This many events are timed with the plan and without.
const TRIAL: usize = 48;

/// While a plan is used, one event in this many is learned from.
const LESSON_EVERY: u32 = 4096;

/// A plan in use is timed again after this many events.
const TRIAL_EVERY: u32 = 1 << 17;

/// Without a plan in use, this many events pass before the next attempt; the pause doubles each time.
const FIRST_PAUSE: u32 = 1 << 14;

/// The longest pause.
const MAX_PAUSE: u32 = 1 << 20;

/// Whether events are printed with a print plan. This never changes the output, only its cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrintPlanning {
    /// While this saves time.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Whenever there is a plan; every fourth event is learned from.
    Always,
}

enum Phase {
    /// Before the first lesson.
    Fresh,
    Learning,
    WarmingUp,
    /// The times with the plan and without.
    Sample([Vec<Duration>; 2]),
    InUse,
    Paused,
}

#[derive(Clone, Copy, PartialEq)]
enum Strategy {
    Plain,
    Planned,
    /// Learns from the event; with `afresh`, forgets the old plan first.
    Lesson {
        afresh: bool,
    },
    /// Uses the plan or not, and measures the time.
    Timed(bool),
}

/// The state of one program's plan in one isolate.
pub(crate) struct PrintPlan {
    possible: bool,
    phase: Phase,
    /// Events in this phase.
    events: u32,
    /// The number of edits in the plan.
    size: u32,
    pause: u32,
}

impl PrintPlan {
    pub(crate) fn new(program: &Program) -> Self {
        Self {
            // The shipped libraries create only plain data.
            possible: !may_run_while_printing(&program.code)
                && !program.libraries.values().any(|code| may_run_while_printing(code)),
            phase: Phase::Fresh,
            events: 0,
            size: 0,
            pause: FIRST_PAUSE,
        }
    }

    /// Whether an output may be read twice, so that a copy can be printed.
    pub(crate) fn may_copy(&self) -> bool {
        self.possible
    }

    /// Forgets the plan and its times.
    pub(crate) fn restart(&mut self) {
        (self.size, self.pause) = (0, FIRST_PAUSE);
        self.enter(Phase::Learning);
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.events = 0;
    }

    fn way(&mut self, planning: PrintPlanning, line: usize) -> Strategy {
        match planning {
            _ if !self.possible => return Strategy::Plain,
            PrintPlanning::Never => return Strategy::Plain,
            PrintPlanning::Always => {
                self.events = self.events.wrapping_add(1);
                let afresh = self.events == 1;
                return if self.events % 4 == 1 { Strategy::Lesson { afresh } } else { Strategy::Planned };
            }
            PrintPlanning::Auto => {}
        }
        let teaches = line <= MAX_SAMPLE_LEN;
        self.events += 1;
        match self.phase {
            Phase::Fresh if self.events > BEFORE_LESSONS => {
                self.enter(Phase::Learning);
                Strategy::Plain
            }
            Phase::Fresh => Strategy::Plain,
            Phase::Learning if self.events > LESSONS => {
                if self.size == 0 {
                    self.enter(Phase::Paused);
                    Strategy::Plain
                } else {
                    self.enter(Phase::WarmingUp);
                    Strategy::Planned
                }
            }
            Phase::Learning if teaches => Strategy::Lesson { afresh: self.events == 1 },
            Phase::Learning => Strategy::Plain,
            Phase::WarmingUp if self.events > WARM_UP => {
                self.enter(Phase::Sample(Default::default()));
                Strategy::Timed(true)
            }
            Phase::WarmingUp => Strategy::Planned,
            Phase::Sample(_) => Strategy::Timed(self.events.is_multiple_of(2)),
            Phase::InUse if self.events > TRIAL_EVERY => {
                self.enter(Phase::Sample(Default::default()));
                Strategy::Timed(true)
            }
            Phase::InUse if teaches && self.events.is_multiple_of(LESSON_EVERY) => Strategy::Lesson { afresh: false },
            Phase::InUse => Strategy::Planned,
            Phase::Paused if self.events > self.pause => {
                self.pause = (self.pause * 2).min(MAX_PAUSE);
                self.enter(Phase::Learning);
                Strategy::Plain
            }
            Phase::Paused => Strategy::Plain,
        }
    }

    fn learned(&mut self, size: u32) {
        let more = size != self.size;
        self.size = size;
        if more && matches!(self.phase, Phase::InUse) {
            self.enter(Phase::WarmingUp);
        }
    }

    fn timed(&mut self, planned: bool, time: Duration) {
        let Phase::Sample(times) = &mut self.phase else { return };
        times[usize::from(!planned)].push(time);
        if times.iter().any(|times| times.len() < TRIAL) {
            return;
        }
        let [planned, plain] = times.each_mut().map(|times| {
            let middle = times.len() / 2;
            *times.select_nth_unstable(middle).1
        });
        // A tiny gain is not worth it.
        let pays = planned * 32 < plain * 31;
        self.enter(if pays { Phase::InUse } else { Phase::Paused });
    }
}

/// A program's plan, the way to use it, and the current line.
pub(crate) struct Planning<'a> {
    pub(crate) plan: &'a mut PrintPlan,
    pub(crate) way: PrintPlanning,
    pub(crate) line: &'a [u8],
}

impl Planning<'_> {
    /// Calls the driver's `finish`, with the plan or without.
    pub(crate) fn finish<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        driver: &Driver,
        result: v8::Local<'s, v8::Value>,
    ) -> Option<v8::Local<'s, v8::Value>> {
        let flat = v8::Boolean::new(scope, self.plan.may_copy() && flatness::is_flat(result)).into();
        match self.plan.way(self.way, self.line.len()) {
            Strategy::Plain => call(scope, &driver.finish, &[result, flat]),
            Strategy::Planned => call(scope, &driver.finish_planned, &[result, flat]),
            Strategy::Timed(planned) => {
                let start = Instant::now();
                let finish = if planned { &driver.finish_planned } else { &driver.finish };
                let text = call(scope, finish, &[result, flat]);
                self.plan.timed(planned, start.elapsed());
                text
            }
            Strategy::Lesson { afresh } => {
                let line = v8_string::to_v8(scope, self.line, &mut Scratch::default())?;
                let afresh = v8::Boolean::new(scope, afresh);
                let text = call(scope, &driver.finish_learning, &[result, flat, line.into(), afresh.into()])?;
                let size = call(scope, &driver.plan_size, &[])?;
                self.plan.learned(size.uint32_value(scope).unwrap_or_default());
                Some(text)
            }
        }
    }
}

fn call<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    function: &v8::Global<v8::Function>,
    arguments: &[v8::Local<'s, v8::Value>],
) -> Option<v8::Local<'s, v8::Value>> {
    let undefined = v8::undefined(scope).into();
    v8::Local::new(scope, function).call(scope, undefined, arguments)
}

/// Whether the source mentions anything that could run code while an event is printed: a copy would be read at another
/// time than the event. A false positive only costs the plan.
fn may_run_while_printing(source: &str) -> bool {
    const NAMES: [&str; 10] = [
        "Proxy",
        "toJSON",
        "defineProp",
        "__define",
        "__proto__",
        "setPrototypeOf",
        "Reflect",
        "create(",
        "new String",
        "new Number",
    ];
    NAMES.iter().any(|name| source.contains(name)) || has_accessor(source)
}

/// Whether there is an accessor like `get name(`, `set [name](` or `get "name"(`.
fn has_accessor(source: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == '#' || c == '\\';
    ["get", "set"].iter().any(|kind| {
        source.match_indices(kind).any(|(at, _)| {
            let after = &source[at + kind.len()..];
            let name = after.trim_start();
            if source[..at].ends_with(word) || after.starts_with(word) {
                return false;
            }
            name.starts_with(['[', '"', '\'', '/'])
                || (name.starts_with(word) && name.trim_start_matches(word).trim_start().starts_with(['(', '/']))
        })
    })
}

#[cfg(test)]
mod tests;
