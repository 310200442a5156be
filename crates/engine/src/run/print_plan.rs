//! Decides when to use the print plan of `js/runtime/on_demand/print_plan.js`. The plan is learned from some events,
//! timed against plain printing, and kept while it is faster.
//!
//! The plan never changes the output, so the decision depends only on the time,
//! measured on the program's own events. If V8 prints a program's edits fast anyway,
//! or the plan does not cover them, the program pays only for an occasional measurement.

use std::time::{Duration, Instant};

use deno_core::v8;

use crate::program::Program;
use crate::run::driver_functions::Driver;
use crate::v8::flatness;
use crate::v8::v8_string::{self, Scratch};

/// Number of events before the first lesson. A plan does not pay in a stream that ends sooner.
const BEFORE_LESSONS: u32 = 16;

/// Number of events that the plan is learned from.
const LESSONS: u32 = 16;

/// Maximum length of a line to learn from, in bytes. A longer one would cost too much.
const MAX_SAMPLE_LEN: usize = 32 << 10;

/// Number of events printed with the plan before it is timed. They give V8 time to compile it.
const WARM_UP: u32 = 1024;

/// Number of events timed with the plan, and number of events timed without it.
const TIMED_EVENTS: usize = 48;

/// While a plan is in use, it is updated from one event in this many.
const LESSON_EVERY: u32 = 4096;

/// Number of events after which a plan in use is timed again.
const TIME_AGAIN_AFTER: u32 = 1 << 17;

/// Number of events before the next attempt if no plan is in use. It doubles each time.
const FIRST_PAUSE: u32 = 1 << 14;

/// Maximum number of events in a pause.
const MAX_PAUSE: u32 = 1 << 20;

/// Whether events are printed with a print plan. This never changes the output, only its cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrintPlanning {
    /// Use the plan while this saves time.
    #[default]
    Auto,
    /// Never use a plan.
    Never,
    /// Use the plan for every event, except that every fourth event is a lesson.
    Always,
}

enum Phase {
    /// Before the first lesson.
    Fresh,
    Learning,
    WarmingUp,
    /// The times with the plan and without.
    Timing([Vec<Duration>; 2]),
    InUse,
    Paused,
}

#[derive(Clone, Copy, PartialEq)]
enum Strategy {
    Plain,
    Planned,
    /// Learns from the event. With `afresh`, forgets the old plan first.
    Lesson {
        afresh: bool,
    },
    /// Measures the time with the plan (`true`) or without it.
    Timed(bool),
}

/// The state of one program's plan in one isolate.
pub(crate) struct PrintPlan {
    possible: bool,
    phase: Phase,
    /// Number of events in this phase.
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

    /// Whether an output may be read twice. If so, a copy of it can be printed.
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

    fn strategy(&mut self, planning: PrintPlanning, line: usize) -> Strategy {
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
                self.enter(Phase::Timing(Default::default()));
                Strategy::Timed(true)
            }
            Phase::WarmingUp => Strategy::Planned,
            Phase::Timing(_) => Strategy::Timed(self.events.is_multiple_of(2)),
            Phase::InUse if self.events > TIME_AGAIN_AFTER => {
                self.enter(Phase::Timing(Default::default()));
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
        let Phase::Timing(times) = &mut self.phase else { return };
        times[usize::from(!planned)].push(time);
        if times.iter().any(|times| times.len() < TIMED_EVENTS) {
            return;
        }
        let [planned, plain] = times.each_mut().map(|times| {
            let middle = times.len() / 2;
            *times.select_nth_unstable(middle).1
        });
        // Require a gain of at least 1/32. A smaller one does not pay.
        let pays = planned * 32 < plain * 31;
        self.enter(if pays { Phase::InUse } else { Phase::Paused });
    }
}

/// A program's plan, the setting for its use, and the current line.
pub(crate) struct Planning<'a> {
    pub(crate) plan: &'a mut PrintPlan,
    pub(crate) planning: PrintPlanning,
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
        let may_copy = self.plan.may_copy();
        match self.plan.strategy(self.planning, self.line.len()) {
            Strategy::Plain => plain(scope, driver, result, may_copy),
            Strategy::Planned => call(scope, &driver.finish_planned, &[result]),
            Strategy::Timed(planned) => {
                let start = Instant::now();
                let text = match planned {
                    true => call(scope, &driver.finish_planned, &[result]),
                    false => plain(scope, driver, result, may_copy),
                };
                self.plan.timed(planned, start.elapsed());
                text
            }
            Strategy::Lesson { afresh } => {
                let line = v8_string::to_v8(scope, self.line, &mut Scratch::default())?;
                let afresh = v8::Boolean::new(scope, afresh);
                let flat = flatness::for_driver(scope, may_copy, result);
                let text = call(scope, &driver.finish_learning, &[result, flat, line.into(), afresh.into()])?;
                let size = call(scope, &driver.plan_size, &[])?;
                self.plan.learned(size.uint32_value(scope).unwrap_or_default());
                Some(text)
            }
        }
    }
}

/// Calls the driver's `finish` without the plan.
fn plain<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    driver: &Driver,
    result: v8::Local<'s, v8::Value>,
    may_copy: bool,
) -> Option<v8::Local<'s, v8::Value>> {
    let flat = flatness::for_driver(scope, may_copy, result);
    call(scope, &driver.finish, &[result, flat])
}

fn call<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    function: &v8::Global<v8::Function>,
    arguments: &[v8::Local<'s, v8::Value>],
) -> Option<v8::Local<'s, v8::Value>> {
    let undefined = v8::undefined(scope).into();
    v8::Local::new(scope, function).call(scope, undefined, arguments)
}

/// Whether the source mentions anything that can run code while an event is printed. Such code would run at another
/// time if a copy were printed. A false positive only means that there is no plan.
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
            // A number is a name too: `get 1.5() {…}`.
            let number = name.strip_prefix('.').unwrap_or(name);
            name.starts_with(['[', '"', '\'', '/'])
                || number.starts_with(|c: char| c.is_ascii_digit())
                    && number.trim_start_matches(|c| word(c) || ".+-".contains(c)).trim_start().starts_with(['(', '/'])
                || (name.starts_with(word) && name.trim_start_matches(word).trim_start().starts_with(['(', '/']))
        })
    })
}

#[cfg(test)]
mod tests;
