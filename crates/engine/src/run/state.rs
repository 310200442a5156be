//! What the functions that code can call share with the engine: the events under way, their logs and their requests.

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

/// What the callbacks share with the engine; lives in a slot of the isolate.
pub(crate) struct State {
    pub(super) limit: usize,
    pub(super) metadata: lazy::SharedMetadata,
    pub(crate) requests: Requests,
    /// The context that code runs in, if events have numbers, see [`event_number`].
    context: Option<v8::Global<v8::Context>>,
    last_number: u32,
    /// The event that was started last, and its number; none when that one waits.
    event: EventState,
    number: u32,
    /// Events that wait, and those that are over with requests that have no answer.
    others: HashMap<u32, EventState>,
    /// Events that have waited, and whose promises are settled.
    settled: Vec<u32>,
    /// Whose turn it is, and the thread's CPU time when that began; zero if it was not looked at.
    turn: u32,
    turn_began: Duration,
    on_turn: Option<OnTurn>,
}

/// What belongs to one event, whatever waits.
#[derive(Default)]
pub(crate) struct EventState {
    /// What it has logged.
    pub(crate) logs: Vec<LogLine>,
    logged: usize,
    /// Requests that it has made, and those of them that have no answer.
    pub(crate) made: u32,
    pub(crate) unanswered: u32,
    /// How many events it is: more than one if it is a batch. 0 counts as 1.
    pub(crate) events: u32,
    /// CPU time of its turns so far.
    used: Duration,
    /// What the embedder calls it.
    pub(crate) ticket: Ticket,
    /// Whether it has its verdict.
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

    /// From here on events have numbers, and `on_turn` is told whose turn it is when that is not the event started last.
    pub(crate) fn number_events(&mut self, context: v8::Global<v8::Context>, on_turn: Option<OnTurn>) {
        self.context = Some(context);
        self.on_turn = on_turn;
    }

    /// The context that code runs in, if events have numbers.
    pub(crate) fn context(&self) -> Option<v8::Global<v8::Context>> {
        self.context.clone()
    }

    /// Makes ready for the next event; its number, if events have numbers.
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

    /// What is started is a batch of this many events.
    pub(crate) fn set_events(&mut self, events: u32) {
        self.event.events = events;
    }

    /// The metadata of the event that is started; whether what the code asks of it may be lazy.
    pub(crate) fn set_metadata(&mut self, metadata: Option<&[u8]>, laziness: Laziness) {
        let mut state = self.metadata.borrow_mut();
        state.laziness = laziness;
        state.set(self.number, metadata);
    }

    /// The metadata of the next event of a batch.
    pub(crate) fn add_metadata(&mut self, metadata: Option<&[u8]>) {
        self.metadata.borrow_mut().add(metadata);
    }

    /// What belongs to an event, if it is under way.
    pub(crate) fn of(&mut self, number: u32) -> Option<&mut EventState> {
        if number == self.number { Some(&mut self.event) } else { self.others.get_mut(&number) }
    }

    /// Whether the event of an isolate with this number is not over.
    pub(crate) fn knows(scope: &mut v8::PinScope<'_, '_>, number: u32) -> bool {
        scope.get_slot_mut::<Self>().is_some_and(|state| state.of(number).is_some())
    }

    /// The event that was started last waits.
    pub(crate) fn wait(&mut self) {
        let event = std::mem::take(&mut self.event);
        self.others.insert(self.number, event);
        self.number = NO_EVENT;
        self.metadata.borrow_mut().wait();
    }

    /// How many requests the event that was started last has made.
    pub(crate) fn made(&self) -> u32 {
        self.event.made
    }

    /// What the event that was started last has logged.
    pub(crate) fn swap_logs(&mut self, logs: &mut Vec<LogLine>) {
        std::mem::swap(logs, &mut self.event.logs);
    }

    /// An event has its verdict; its logs.
    pub(crate) fn finish(&mut self, number: u32) -> Vec<LogLine> {
        let Some(event) = self.of(number) else { return Vec::new() };
        event.over = true;
        let logs = std::mem::take(&mut event.logs);
        self.drop_if_over(number);
        logs
    }

    /// Forgets an event that has its verdict and all its answers.
    pub(crate) fn drop_if_over(&mut self, number: u32) {
        if self.others.get(&number).is_some_and(|event| event.over && event.unanswered == 0) {
            self.others.remove(&number);
            self.metadata.borrow_mut().forget(number);
        }
    }

    /// A waiting event's promise is settled.
    pub(crate) fn settle(&mut self, number: u32) {
        self.settled.push(number);
    }

    /// Events whose promises have been settled since this was asked last.
    pub(crate) fn take_settled(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.settled)
    }

    // --- turns, see `turns` ---

    /// The number of the event that was started last, unless it waits.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Whose turn it is.
    pub(crate) fn turn(&self) -> u32 {
        self.turn
    }

    /// The first turn of the event that is started begins.
    pub(crate) fn begin_first_turn(&mut self, now: Duration) {
        self.turn_began = now;
    }

    /// A turn of this event begins.
    pub(crate) fn begin_turn(&mut self, number: u32, now: Duration) {
        self.turn = number;
        self.turn_began = now;
        self.tell_turn(number);
    }

    /// The turn passes from one event to another, to which what it has taken is counted.
    pub(crate) fn pass_turn(&mut self, to: u32, now: Duration) {
        let passed = self.turn_so_far(now);
        if let Some(event) = self.of(to) {
            event.used += passed;
        }
        self.begin_turn(to, now);
    }

    /// The turn is over: what it took since it was passed on is that event's.
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

    /// CPU time since the turn began, if that is known.
    pub(crate) fn turn_so_far(&self, now: Duration) -> Duration {
        if self.turn_began.is_zero() { Duration::ZERO } else { now.saturating_sub(self.turn_began) }
    }

    /// How many events this one is: more than one if it is a batch.
    pub(crate) fn events(&self, number: u32) -> u32 {
        let event = if number == self.number { Some(&self.event) } else { self.others.get(&number) };
        event.map_or(1, |event| event.events.max(1))
    }

    /// CPU time that an event has taken before this turn.
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
        // An empty line costs something too, or an endless loop of them would not.
        self.logged += message.len().max(1);
        if message.len() > room {
            message.truncate(message.floor_char_boundary(room));
            message.push_str("… (the log limit of this event is reached)");
            self.logged = limit + 1;
        }
        self.logs.push(LogLine { level, message });
    }
}
