//! The state that host functions share with the engine: the events under way, their logs and their requests.

use std::collections::HashMap;
use std::time::Duration;

use deno_core::v8;
use serde::{Deserialize, Serialize};

use crate::lazy;
use crate::lazy::Laziness;
use crate::run::requests::Requests;
use crate::run::ticket::{OnTurn, Ticket};
use crate::v8::event_number::{self, NO_EVENT};

/// One line that the author's code logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `log`, `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The arguments, joined with spaces.
    pub message: String,
}

/// The state that callbacks share with the engine; in a slot of the isolate.
pub(crate) struct State {
    pub(super) limit: usize,
    pub(super) metadata: lazy::SharedMetadata,
    pub(crate) requests: Requests,
    /// The context of the code, if events have numbers, see [`event_number`].
    context: Option<v8::Global<v8::Context>>,
    last_number: u32,
    /// The event that was started last, and its number; empty when that event waits.
    event: EventState,
    number: u32,
    /// Waiting events, and finished ones whose requests have no answer yet.
    others: HashMap<u32, EventState>,
    /// Events that have waited and whose promises are settled.
    settled: Vec<u32>,
    /// The event whose turn it is, and the thread's CPU time at the start of the turn; zero if that was not measured.
    turn: u32,
    turn_began: Duration,
    on_turn: Option<OnTurn>,
}

/// The state of one event, whether it waits or not.
#[derive(Default)]
pub(crate) struct EventState {
    /// Its log lines.
    pub(crate) logs: Vec<LogLine>,
    logged: usize,
    /// The number of its requests, and how many of them have no answer.
    pub(crate) made: u32,
    pub(crate) unanswered: u32,
    /// The number of events: more than one for a batch. 0 counts as 1.
    pub(crate) events: u32,
    /// CPU time of its turns before the current one.
    used: Duration,
    /// The embedder's identifier of the event.
    pub(crate) ticket: Ticket,
    /// Whether the event has its verdict.
    over: bool,
}

impl State {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            metadata: lazy::SharedMetadata::default(),
            requests: Requests::default(),
            context: None,
            last_number: NO_EVENT,
            event: EventState::default(),
            number: NO_EVENT,
            others: HashMap::new(),
            settled: Vec::new(),
            turn: NO_EVENT,
            turn_began: Duration::ZERO,
            on_turn: None,
        }
    }

    /// Numbers events from here on. `on_turn` is called with the event whose turn it is, if that is not the one started
    /// last.
    pub(crate) fn number_events(&mut self, context: v8::Global<v8::Context>, on_turn: Option<OnTurn>) {
        self.context = Some(context);
        self.on_turn = on_turn;
    }

    /// Returns the context of the code. `None` if events have no numbers.
    pub(crate) fn context(&self) -> Option<v8::Global<v8::Context>> {
        self.context.clone()
    }

    /// Prepares the next event; returns its number, if events have numbers.
    pub(crate) fn start(&mut self, ticket: Ticket) -> Option<u32> {
        if self.event.unanswered > 0 {
            let before = EventState { over: true, ..std::mem::take(&mut self.event) };
            self.others.insert(self.number, before);
        } else if self.event.logged > 0 {
            self.event.logs.clear();
            self.event.logged = 0;
        }
        self.context.as_ref()?;
        self.event.ticket = ticket;
        self.event.over = false;
        self.event.made = 0;
        self.event.events = 1;
        self.event.used = Duration::ZERO;
        self.last_number = event_number::next(self.last_number);
        self.number = self.last_number;
        self.turn = self.number;
        Some(self.number)
    }

    /// Sets the number of events of the started event, which is a batch.
    pub(crate) fn set_events(&mut self, events: u32) {
        self.event.events = events;
    }

    /// Sets the metadata of the started event, and whether the code may get it as a lazy object.
    pub(crate) fn set_metadata(&mut self, metadata: Option<&[u8]>, laziness: Laziness) {
        let mut state = self.metadata.borrow_mut();
        state.laziness = laziness;
        state.set(self.number, metadata);
    }

    /// Adds the metadata of the next event of a batch.
    pub(crate) fn add_metadata(&mut self, metadata: Option<&[u8]>) {
        self.metadata.borrow_mut().add(metadata);
    }

    /// The state of an event, if it is under way.
    pub(crate) fn of(&mut self, number: u32) -> Option<&mut EventState> {
        if number == self.number { Some(&mut self.event) } else { self.others.get_mut(&number) }
    }

    /// Whether the event with this number is under way in the isolate.
    pub(crate) fn knows(scope: &mut v8::PinScope<'_, '_>, number: u32) -> bool {
        scope.get_slot_mut::<Self>().is_some_and(|state| state.of(number).is_some())
    }

    /// Records that the event that was started last waits.
    pub(crate) fn wait(&mut self) {
        let event = std::mem::take(&mut self.event);
        self.others.insert(self.number, event);
        self.number = NO_EVENT;
        self.metadata.borrow_mut().wait();
    }

    /// The number of requests of the event that was started last.
    pub(crate) fn made(&self) -> u32 {
        self.event.made
    }

    /// Swaps in the logs of the event that was started last.
    pub(crate) fn swap_logs(&mut self, logs: &mut Vec<LogLine>) {
        std::mem::swap(logs, &mut self.event.logs);
    }

    /// Marks an event as finished; returns its logs.
    pub(crate) fn finish(&mut self, number: u32) -> Vec<LogLine> {
        let Some(event) = self.of(number) else { return Vec::new() };
        event.over = true;
        let logs = std::mem::take(&mut event.logs);
        self.drop_if_over(number);
        logs
    }

    /// Removes an event that has its verdict and all its answers.
    pub(crate) fn drop_if_over(&mut self, number: u32) {
        if self.others.get(&number).is_some_and(|event| event.over && event.unanswered == 0) {
            self.others.remove(&number);
            self.metadata.borrow_mut().forget(number);
        }
    }

    /// Records that a waiting event's promise is settled.
    pub(crate) fn settle(&mut self, number: u32) {
        self.settled.push(number);
    }

    /// Events whose promises were settled since the last call.
    pub(crate) fn take_settled(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.settled)
    }

    // --- turns, see `turns` ---

    /// The number of the event that was started last, unless it waits.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The number of the event whose turn it is.
    pub(crate) fn turn(&self) -> u32 {
        self.turn
    }

    /// Begins the first turn of the started event.
    pub(crate) fn begin_first_turn(&mut self, now: Duration) {
        self.turn_began = now;
    }

    /// Begins a turn of this event.
    pub(crate) fn begin_turn(&mut self, number: u32, now: Duration) {
        self.turn = number;
        self.turn_began = now;
        self.tell_turn(number);
    }

    /// Passes the turn to another event, and charges that event for the time since the turn began.
    pub(crate) fn pass_turn(&mut self, to: u32, now: Duration) {
        let passed = self.turn_so_far(now);
        if let Some(event) = self.of(to) {
            event.used += passed;
        }
        self.begin_turn(to, now);
    }

    /// Ends the turn and charges the current event for the time since the turn was passed to it.
    pub(crate) fn end_turn(&mut self, now: Duration) {
        let passed = self.turn_so_far(now);
        if let Some(event) = self.of(self.turn) {
            event.used += passed;
        }
        self.turn_began = Duration::ZERO;
    }

    fn tell_turn(&mut self, number: u32) {
        if let Some(ticket) = self.of(number).map(|event| event.ticket)
            && let Some(on_turn) = &self.on_turn
        {
            on_turn(ticket);
        }
    }

    /// CPU time since the turn began, if that was measured.
    pub(crate) fn turn_so_far(&self, now: Duration) -> Duration {
        if self.turn_began.is_zero() { Duration::ZERO } else { now.saturating_sub(self.turn_began) }
    }

    /// The number of events of this event: more than one for a batch.
    pub(crate) fn events(&self, number: u32) -> u32 {
        let event = if number == self.number { Some(&self.event) } else { self.others.get(&number) };
        event.map_or(1, |event| event.events.max(1))
    }

    /// CPU time that an event used before this turn.
    pub(crate) fn used(&self, number: u32) -> Duration {
        if number == self.number {
            return self.event.used;
        }
        self.others.get(&number).map_or(Duration::ZERO, |event| event.used)
    }
}

impl EventState {
    pub(super) fn log(&mut self, limit: usize, level: String, mut message: String) {
        if self.over || self.logged > limit {
            return;
        }
        let room = limit - self.logged;
        // An empty line must cost something too; otherwise an endless loop could log any number of them.
        self.logged += message.len().max(1);
        if message.len() > room {
            message.truncate(message.floor_char_boundary(room));
            message.push_str("… (the log limit of this event is reached)");
            self.logged = limit + 1;
        }
        self.logs.push(LogLine { level, message });
    }
}
