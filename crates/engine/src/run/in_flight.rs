//! Keeps track of waiting events, their deadlines, and the events that are done waiting.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use deno_core::v8;

use crate::limits::watchdog::Watch;
use crate::run::state::State;
use crate::run::ticket::Ticket;
use crate::v8::event_number;
use crate::verdict::Failure;

/// After an event has waited, the time of this many further events is measured from the start, since they may wait too.
const MEASURED: u32 = 256;

/// A waiting event.
pub(crate) struct Waiting {
    pub(crate) ticket: Ticket,
    pub(crate) promise: v8::Global<v8::Promise>,
    /// Whether it was created as a lazy event.
    pub(crate) lazy: bool,
}

/// An event that waited in an isolate that has ended, and has to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostEvent {
    /// Which event.
    pub ticket: Ticket,
    /// Whether it must run without any other event in the isolate.
    pub alone: bool,
}

/// The waiting events of an engine.
#[derive(Default)]
pub(crate) struct InFlight {
    pub(crate) waiting: HashMap<u32, Waiting>,
    /// The wall deadlines of the events, in order.
    pub(crate) deadlines: VecDeque<(Instant, u32)>,
    pub(crate) settled: VecDeque<u32>,
    /// Events that failed, with the number of requests that each has made.
    pub(crate) failed: VecDeque<(Ticket, Failure, u32)>,
    pub(crate) lost: VecDeque<LostEvent>,
    /// The number of further events that are measured.
    measured: u32,
    /// The number of requests by events that have to run again.
    pub(crate) repeated: u64,
    /// The number of requests by the event, or batch, that ran last.
    pub(crate) made: u32,
    /// The lines of the last started batch that are not events.
    pub(crate) faults: Vec<(usize, Failure)>,
}

impl InFlight {
    /// Whether the time of events is measured from their first turn on.
    pub(crate) fn measured(&mut self) -> bool {
        if self.waiting.is_empty() {
            self.measured = self.measured.saturating_sub(1);
        }
        self.measured > 0
    }

    /// Begins the first turn of an event: the code that runs from here on is its own.
    pub(crate) fn begin_first(&self, scope: &mut v8::PinScope<'_, '_>, watch: &Watch, number: u32) {
        event_number::set(scope, number);
        if self.measured == 0 {
            return watch.begin();
        }
        let now = watch.cpu_time();
        if let Some(state) = scope.get_slot_mut::<State>() {
            state.begin_first_turn(now);
        }
        watch.begin_turn(Duration::ZERO, !self.waiting.is_empty());
    }

    /// Begins the next turn of this event.
    pub(crate) fn begin(&self, scope: &mut v8::PinScope<'_, '_>, watch: &Watch, number: u32) {
        event_number::set(scope, number);
        let now = watch.cpu_time();
        let mut used = Duration::ZERO;
        if let Some(state) = scope.get_slot_mut::<State>() {
            state.begin_turn(number, now);
            used = state.used(number);
            watch.set_events(state.events(number));
        }
        watch.begin_turn(used, !self.waiting.is_empty());
    }

    /// Ends the turn; returns whether it stayed within its limits.
    pub(crate) fn end_first(&self, scope: &mut v8::PinScope<'_, '_>, watch: &Watch) -> bool {
        if self.measured == 0 { watch.end() } else { self.end(scope, watch) }
    }

    pub(crate) fn end(&self, scope: &mut v8::PinScope<'_, '_>, watch: &Watch) -> bool {
        let in_time = watch.end_turn();
        if let Some(state) = scope.get_slot_mut::<State>() {
            state.end_turn(watch.cpu_time());
        }
        in_time
    }

    /// Records that an event waits, for the first time or again. `started` is its start, if that was measured.
    pub(crate) fn wait(&mut self, number: u32, waiting: Waiting, started: Option<Instant>, wall: Duration) {
        self.measured = MEASURED;
        self.waiting.insert(number, waiting);
        let until = started.unwrap_or_else(Instant::now) + wall;
        // Nearly always at the end: only batches have other limits.
        let place = self.deadlines.partition_point(|(at, _)| *at <= until);
        self.deadlines.insert(place, (until, number));
    }

    /// Removes an event whose result is reported elsewhere.
    pub(crate) fn remove(&mut self, number: Option<u32>) {
        number.and_then(|number| self.waiting.remove(&number));
    }

    /// Drops a lost event: it need not run again.
    pub(crate) fn forget_lost(&mut self, ticket: Ticket) {
        self.lost.retain(|lost| lost.ticket != ticket);
    }

    /// Queues the events whose promises were settled.
    pub(crate) fn take_settled(&mut self, state: &mut State) {
        for number in state.take_settled() {
            if self.waiting.contains_key(&number) {
                self.settled.push_back(number);
            }
        }
    }
}
