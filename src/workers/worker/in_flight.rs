//! Several events of a worker in flight: while one waits for the network, others are started.
//!
//! Lines are started in order and reported in order, so a line that finishes early is kept here. Rows of requests are
//! different: only the rows of one unit are reported in order, and only when all of them are finished. No request waits
//! for another one's answers, and a client cannot use a partial answer. Network answers that have arrived are passed to
//! the code first, so that an event waits only for the network, not for other events. A new event is started only when
//! nothing else can be done. The number and the bytes of kept lines are limited.

use std::cell::OnceCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::output_format::output_framing;
use super::split::{Split, trim};
use super::{Worker, thread_cpu};
use crate::wire::frame::{Kind, Work};
use crate::wire::shared::progress;
use sluicegate_engine::verdict::{FailureKind, Verdict};
use sluicegate_engine::{LogLine, Settled, Step, Ticket, UnsafeRead};

/// The most finished lines that are kept, per event that may wait.
const MAX_UNREPORTED_PER_EVENT: usize = 16;

/// The most lines in memory, per event that may wait. Includes lines after a waiting one that were already reported.
const FORGOTTEN_PER_EVENT: usize = 256;

/// The most output of finished lines that is kept, in bytes.
const MAX_UNREPORTED_BYTES: usize = 8 << 20;

/// No event is started while this many requests are unanswered, or while the lines of waiting events have
/// this many bytes.
const ENOUGH_UNANSWERED: usize = 4096;
const ENOUGH_BYTES: usize = 8 << 20;

/// How often the socket is checked while events are started and others wait.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// Finished lines are reported at once if nothing was reported for this long. Otherwise they wait for the next ones, so
/// that a stream of answers does not result in a stream of small parts. They stop waiting when no frame
/// arrives for a while.
const REPORT_INTERVAL: Duration = Duration::from_millis(2);

/// The longest wait for answers if no event has a deadline.
const LONG: Duration = Duration::from_secs(1);

/// A line that was started and has not been reported.
struct Line {
    work: Work,
    number: u32,
    line: &'static [u8],
    /// The number of lines in the batch that starts with this one; 1 if the line runs alone.
    batch: u32,
    state: State,
}

/// The result of a line.
pub(super) struct Finished {
    pub(super) verdict: Verdict,
    pub(super) text: Vec<u8>,
    pub(super) logs: Vec<LogLine>,
    pub(super) blank: bool,
    /// The number of requests that the line, or its batch, has made.
    pub(super) requests: u32,
    pub(super) unsafe_read: Option<UnsafeRead>,
}

impl Finished {
    /// Creates a verdict that needed no run of the code.
    pub(super) fn not_run(verdict: Verdict, blank: bool) -> Self {
        Self { verdict, text: Vec::new(), logs: Vec::new(), blank, requests: 0, unsafe_read: None }
    }
}

enum State {
    Waits,
    Done(Finished),
    /// The line was reported, but an earlier line was not.
    Reported,
}

/// A unit whose lines are reported when all of them are finished.
struct Head {
    next: u64,
    waiting: u32,
    /// Whether more of its lines will be started.
    open: bool,
}

/// The lines that have been started and not been reported.
pub(super) struct InFlight {
    /// Whether lines of different units are reported in any order.
    any_order: bool,
    /// Whether a unit is reported only as a whole.
    whole: bool,
    lines: VecDeque<Line>,
    /// The number of the first line in `lines`, counted over the worker's life.
    first: u64,
    /// The places of the waiting events.
    pub(super) places: HashMap<(u64, u32), u64>,
    /// Events that have to run again, and whether each must run alone.
    pub(super) again: VecDeque<(u64, bool)>,
    /// For each unit, the place of its first unreported line and the number of its lines without a verdict.
    heads: HashMap<u64, Head>,
    /// Units that can be reported: all of their lines are finished.
    reportable: VecDeque<u64>,
    /// The number of lines that have not been reported.
    unreported: usize,
    /// The number of lines without a verdict, and their bytes.
    waiting: usize,
    waiting_bytes: usize,
    unreported_bytes: usize,
    looked: Instant,
    /// The unit that is being started: its lines, and the number of the next one.
    unit: Option<(Work, Split<'static>, u32)>,
    asked_for_more: bool,
}

impl InFlight {
    pub(super) fn new(any_order: bool, whole: bool) -> Self {
        Self {
            any_order,
            whole,
            lines: VecDeque::new(),
            first: 0,
            places: HashMap::new(),
            again: VecDeque::new(),
            heads: HashMap::new(),
            reportable: VecDeque::new(),
            unreported: 0,
            waiting: 0,
            waiting_bytes: 0,
            unreported_bytes: 0,
            looked: Instant::now(),
            unit: None,
            asked_for_more: false,
        }
    }

    fn get(&mut self, place: u64) -> Option<&mut Line> {
        self.lines.get_mut(usize::try_from(place.checked_sub(self.first)?).ok()?)
    }

    pub(super) fn next_place(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// Adds a line that is started.
    fn push(&mut self, line: Line) {
        if self.any_order {
            let head = Head { next: self.next_place(), waiting: 0, open: true };
            let head = self.heads.entry(line.work.unit).or_insert(head);
            let waits = matches!(line.state, State::Waits);
            head.waiting += u32::from(waits);
            if !waits && !self.whole {
                self.reportable.push_back(line.work.unit);
            }
        }
        self.unreported += 1;
        self.lines.push_back(line);
    }

    /// Adds a waiting line.
    pub(super) fn wait(&mut self, work: Work, number: u32, line: &'static [u8]) {
        self.waiting += 1;
        self.waiting_bytes += line.len();
        self.push(Line { work, number, line, batch: 1, state: State::Waits });
    }

    /// Records that a line of this unit has its verdict. The unit may now be ready to be reported.
    fn finish(&mut self, unit: u64) {
        if let Some(head) = self.heads.get_mut(&unit) {
            head.waiting -= 1;
            self.tell_if_whole(unit);
        }
    }

    fn tell_if_whole(&mut self, unit: u64) {
        if !self.whole || self.heads.get(&unit).is_some_and(|head| head.waiting == 0 && !head.open) {
            self.reportable.push_back(unit);
        }
    }

    /// Makes the finished lines of every unit reportable, because too much is kept.
    fn tell_all(&mut self) {
        if self.reportable.is_empty() {
            self.reportable.extend(self.heads.keys());
        }
    }

    pub(super) fn is_waiting(&mut self, place: u64) -> bool {
        self.get(place).is_some_and(|line| matches!(line.state, State::Waits))
    }

    /// Records that a batch of this many lines starts at this place.
    pub(super) fn waits_with(&mut self, place: u64, lines: u32) {
        if let Some(line) = self.get(place) {
            line.batch = lines;
        }
    }

    /// Returns the waiting lines of a batch, with their places.
    pub(super) fn batch(&mut self, place: u64) -> Vec<(u64, &'static [u8])> {
        let count = self.get(place).map_or(0, |line| u64::from(line.batch));
        let waiting = |place: u64| {
            self.get(place).filter(|line| matches!(line.state, State::Waits)).map(|line| (place, line.line))
        };
        (place..place + count).filter_map(waiting).collect()
    }

    /// Returns the next line that can be reported: the first line, or with any order the first line of a unit.
    fn next_to_tell(&mut self) -> Option<u64> {
        if !self.any_order {
            return matches!(self.lines.front()?.state, State::Done(_)).then_some(self.first);
        }
        loop {
            let unit = *self.reportable.front()?;
            let place = self.heads.get(&unit).map(|head| head.next);
            let ready = |line: &mut Line| line.work.unit == unit && matches!(line.state, State::Done(_));
            match place {
                Some(place) if self.get(place).is_some_and(ready) => return Some(place),
                // All of its available lines have been reported.
                _ => drop(self.reportable.pop_front()),
            }
        }
    }

    /// Records that all lines of this unit have been started.
    fn close(&mut self, unit: u64) {
        self.unit = None;
        let end = self.next_place();
        let Some(head) = self.heads.get_mut(&unit) else { return };
        head.open = false;
        if head.next == end {
            self.heads.remove(&unit);
        } else {
            self.tell_if_whole(unit);
        }
    }

    /// Removes a line that is being reported.
    fn take(&mut self, place: u64) -> Option<(Work, u32, &'static [u8], State)> {
        let line = self.get(place)?;
        let taken = (line.work, line.number, line.line, std::mem::replace(&mut line.state, State::Reported));
        let unit = line.work.unit;
        self.unreported -= 1;
        if let Some(head) = self.heads.get_mut(&unit) {
            head.next = place + 1;
        }
        while let Some(Line { state: State::Reported, work, .. }) = self.lines.front() {
            let unit = work.unit;
            self.lines.pop_front();
            self.first += 1;
            let more = self.lines.front().is_some_and(|line| line.work.unit == unit);
            if !more && self.heads.get(&unit).is_some_and(|head| !head.open) {
                self.heads.remove(&unit);
            }
        }
        Some(taken)
    }
}

impl Worker {
    /// Runs the main loop of a worker whose events may wait.
    pub(super) fn run_in_flight(&mut self) -> io::Result<()> {
        loop {
            self.take_answers()?;
            self.tell_in_order()?;
            if self.start_next()? {
                continue;
            }
            if self.in_flight.lines.is_empty() {
                self.tell()?;
                self.engine.idle();
                if !self.receive()? {
                    return Ok(());
                }
            } else {
                self.ask_for_more()?;
                let at_once = self.in_flight.whole || self.line_buffered || self.in_flight.waiting == 0;
                if !at_once
                    && self.last_report.elapsed() < REPORT_INTERVAL
                    && self.mailbox.borrow_mut().receive_soon()?
                {
                    continue;
                }
                // No frame will arrive for a while, so the finished lines are reported.
                self.tell()?;
                let until = self.engine.next_deadline().unwrap_or_else(|| Instant::now() + LONG);
                self.mailbox.borrow_mut().receive_until(until)?;
            }
        }
    }

    /// Tells the supervisor, once, that all events wait and that more could be started.
    fn ask_for_more(&mut self) -> io::Result<()> {
        let room = self.in_flight.unit.is_none() && !self.fresh_state && !self.is_full();
        if room && !std::mem::replace(&mut self.in_flight.asked_for_more, true) {
            self.say(Kind::Waits)?;
        }
        Ok(())
    }

    /// Returns whether no further event may be started now.
    fn is_full(&mut self) -> bool {
        let waiting = self.in_flight.waiting;
        let in_flight = &self.in_flight;
        waiting >= self.concurrency
            || in_flight.unreported >= self.concurrency * MAX_UNREPORTED_PER_EVENT
            || in_flight.lines.len() >= self.concurrency * FORGOTTEN_PER_EVENT
            || in_flight.unreported_bytes >= MAX_UNREPORTED_BYTES
            || waiting > 0 && (in_flight.waiting_bytes >= ENOUGH_BYTES || self.engine.unanswered() >= ENOUGH_UNANSWERED)
    }

    /// Passes the answers that have arrived to the code, and takes the events that they settle.
    fn take_answers(&mut self) -> io::Result<()> {
        if self.engine.waiting() > 0 && self.in_flight.looked.elapsed() >= LOOK_EVERY {
            self.mailbox.borrow_mut().receive_ready()?;
            self.in_flight.looked = Instant::now();
        }
        loop {
            let answer = self.mailbox.borrow_mut().answer();
            let Some((id, text)) = answer else { break };
            self.engine.deliver(id, &text);
            self.take_settled()?;
        }
        if self.engine.waiting() > 0 {
            self.engine.expire(Instant::now());
            self.take_settled()?;
        }
        Ok(())
    }

    pub(super) fn take_settled(&mut self) -> io::Result<()> {
        while let Some(settled) = self.engine.settled() {
            if self.is_batch {
                self.finish_batch(settled);
            } else {
                self.finish_line(settled);
            }
        }
        while let Some(lost) = self.engine.lost() {
            if let Some(place) = self.in_flight.places.get(&(lost.ticket.0, lost.ticket.1)) {
                self.in_flight.again.push_back((*place, lost.alone));
            }
        }
        Ok(())
    }

    fn finish_line(&mut self, settled: Settled) {
        let ticket = settled.ticket;
        let Some(place) = self.in_flight.places.get(&(ticket.0, ticket.1)).copied() else { return };
        let Some(line) = self.in_flight.get(place).map(|line| line.line) else { return };
        let whole = OnceCell::new();
        let Ok(Some((event, around))) = self.event(line, &whole) else { return };
        let mut text = Vec::new();
        let framing = output_framing(self.emit, self.rows, around);
        if let Step::Done(verdict) = self.engine.finish_event(settled, event, &framing, &mut text) {
            let finished = self.finished_last(verdict, text);
            self.finished(place, finished);
        }
    }

    /// Returns the result of the event that the engine ran last.
    fn finished_last(&mut self, verdict: Verdict, text: Vec<u8>) -> Finished {
        let (logs, requests) = (self.engine.logs().to_vec(), self.engine.requests());
        Finished { verdict, text, logs, blank: false, requests, unsafe_read: self.engine.unsafe_read() }
    }

    /// Records the verdict of an event that has waited.
    pub(super) fn finished(&mut self, place: u64, finished: Finished) {
        let Some(line) = self.in_flight.get(place) else { return };
        let (key, bytes) = ((line.work.unit, line.number), line.line.len());
        self.in_flight.waiting -= 1;
        self.in_flight.unreported_bytes += finished.text.len();
        self.in_flight.waiting_bytes -= bytes;
        self.in_flight.places.remove(&key);
        if let Some(line) = self.in_flight.get(place) {
            line.state = State::Done(finished);
        }
        self.in_flight.finish(key.0);
    }

    /// Reports the finished lines up to the first unfinished one.
    fn tell_in_order(&mut self) -> io::Result<()> {
        if self.in_flight.unreported >= self.concurrency * MAX_UNREPORTED_PER_EVENT / 2
            || self.in_flight.unreported_bytes >= MAX_UNREPORTED_BYTES / 2
        {
            self.in_flight.tell_all();
        }
        while let Some(place) = self.in_flight.next_to_tell() {
            let Some(work) = self.in_flight.get(place).map(|line| line.work) else { return Ok(()) };
            // Must happen before the line is removed: the worker may have to wait for room.
            self.make_room(work)?;
            let Some((work, number, line, state)) = self.in_flight.take(place) else { return Ok(()) };
            let State::Done(finished) = state else { return Ok(()) };
            self.in_flight.unreported_bytes -= finished.text.len();
            self.settle_kept(work, number, line, finished);
        }
        Ok(())
    }

    /// Starts the next line, if there is a line and room for it. Returns whether it did anything.
    fn start_next(&mut self) -> io::Result<bool> {
        if let Some((place, alone)) = self.next_again() {
            self.run_again(place, alone);
            self.take_settled()?;
            return Ok(true);
        }
        if self.is_full() {
            return Ok(false);
        }
        if self.in_flight.unit.is_none() {
            // Events of two units must not share an isolate.
            if self.fresh_state && !self.in_flight.lines.is_empty() {
                return Ok(false);
            }
            let Some(work) = self.mailbox.borrow_mut().waiting.pop_front() else { return Ok(false) };
            self.in_flight.asked_for_more = false;
            let lines = self.open(work);
            self.in_flight.unit = Some((work, lines, 0));
        }
        if self.is_slow()
            && let Some((work, lines, number)) = &self.in_flight.unit
            && !lines.rest.is_empty()
        {
            let (work, number) = (*work, *number);
            self.in_flight.close(work.unit);
            self.give_back(work, number)?;
            return Ok(true);
        }
        let Some((work, lines, number)) = self.in_flight.unit.as_mut() else { return Ok(false) };
        let (work, next) = (*work, *number);
        match lines.next() {
            None => self.in_flight.close(work.unit),
            Some(line) if self.is_batch => {
                let mut chunk = vec![trim(line)];
                chunk.extend(lines.take(self.batch_size - 1).map(trim));
                *number += chunk.len() as u32;
                self.start_chunk(work, next, &chunk)?;
            }
            Some(line) => {
                *number += 1;
                if self.in_flight.lines.is_empty() {
                    self.make_room(work)?;
                }
                self.start_line(work, next, trim(line))?;
            }
        }
        Ok(true)
    }

    /// Returns the next event that has to run again: first the events that must run alone, one by one.
    fn next_again(&mut self) -> Option<(u64, bool)> {
        let again = &mut self.in_flight.again;
        if let Some(at) = again.iter().position(|(_, alone)| *alone) {
            return if self.engine.waiting() == 0 { again.remove(at) } else { None };
        }
        if self.engine.waiting() < self.concurrency { again.pop_front() } else { None }
    }

    fn run_again(&mut self, place: u64, alone: bool) {
        let Some(line) = self.in_flight.get(place) else { return };
        let (work, number, line) = (line.work, line.number, line.line);
        self.note(work, number);
        if self.is_batch {
            return self.run_batch_again(place, Ticket(work.unit, number), alone);
        }
        let whole = OnceCell::new();
        let Ok(Some((event, around))) = self.event(line, &whole) else { return };
        let mut text = Vec::new();
        let framing = output_framing(self.emit, self.rows, around);
        let step = if alone {
            Step::Done(self.engine.transform_event(event, &framing, &mut text))
        } else {
            self.engine.start_event(Ticket(work.unit, number), event, &framing, &mut text)
        };
        if let Step::Done(verdict) = step {
            if alone {
                self.acquit_others(&verdict);
            }
            let finished = self.finished_last(verdict, text);
            self.finished(place, finished);
        }
    }

    /// Lets the other events run together again, if this event alone filled the heap.
    pub(super) fn acquit_others(&mut self, verdict: &Verdict) {
        if matches!(verdict, Verdict::Failed(failure) if failure.kind == FailureKind::Memory) {
            self.in_flight.again.iter_mut().for_each(|(_, alone)| *alone = false);
        }
    }

    fn start_line(&mut self, work: Work, number: u32, line: &'static [u8]) -> io::Result<()> {
        self.note(work, number);
        let direct = self.in_flight.lines.is_empty();
        let before = self.sink.len;
        let mut text = Vec::new();
        let whole = OnceCell::new();
        let finished = match self.event(line, &whole) {
            Ok(None) => Finished::not_run(Verdict::Dropped, true),
            Err(failure) => Finished::not_run(failure.into(), false),
            Ok(Some((event, around))) => {
                let framing = output_framing(self.emit, self.rows, around);
                let ticket = Ticket(work.unit, number);
                let step = if direct {
                    self.engine.start_event(ticket, event, &framing, &mut self.sink)
                } else {
                    self.engine.start_event(ticket, event, &framing, &mut text)
                };
                match step {
                    Step::Done(verdict) if direct => {
                        self.render_logs(work, number);
                        self.part.requests += u64::from(self.engine.requests());
                        self.settle(number, line, before, verdict);
                        return self.take_settled();
                    }
                    Step::Done(verdict) => self.finished_last(verdict, text),
                    Step::Waits => {
                        let place = self.in_flight.next_place();
                        self.in_flight.places.insert((work.unit, number), place);
                        self.in_flight.wait(work, number, line);
                        return self.take_settled();
                    }
                }
            }
        };
        if direct {
            self.settle_kept(work, number, line, finished);
        } else {
            self.in_flight.unreported_bytes += finished.text.len();
            self.in_flight.push(Line { work, number, line, batch: 1, state: State::Done(finished) });
        }
        // The turn may have settled other events, or the watchdog may have passed it to an event that ran too long.
        self.take_settled()
    }

    /// Records the current line. If the worker dies, only this record remains.
    pub(super) fn note(&self, work: Work, number: u32) {
        let progress = progress(self.output);
        progress.unit.store(work.unit, Ordering::Relaxed);
        progress.line.store(number, Ordering::Relaxed);
        progress.events.store(progress.events.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Prepares the isolate for a unit and returns the unit's lines.
    fn open(&mut self, work: Work) -> Split<'static> {
        if self.fresh_state {
            self.engine.renew();
        }
        self.engine.hold();
        if self.in_flight.lines.is_empty() {
            self.report_tick = sluicegate_engine::ticks();
            self.cpu = thread_cpu();
        }
        self.unit_cpu = thread_cpu();
        self.unit_tick = sluicegate_engine::ticks();
        self.lines_of(work)
    }
}
