//! The loop of one program's pool: accepts requests, hands out their events and books the results.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::under_way::UnderWay;
use super::{
    IDLE, LARGE_OUTPUT, MAX_BYTES, MAX_ROWS, PATIENCE_FOR_MEMORY, Row, Rows, ServiceAnswer, ServiceRequest, Status,
    WORTH_A_UNIT, events_per_unit, size_of,
};
use crate::tally::Tally;
use crate::wire::row;
use crate::wire::slots::Slots;
use crate::workers::RunError;
use crate::workers::budget::{Budget, Reservation};
use crate::workers::line_limit::line_too_long;
use crate::workers::work_queue::{Chunk, LineRef, Output};
use crate::workers::worker_pool::{PoolEvent, TICK, WorkerEvent, WorkerPool};

/// Accepts and answers requests.
pub(super) struct PoolTask {
    pub(super) pool: WorkerPool,
    pub(super) slots: Slots,
    pub(super) under_way: HashMap<usize, UnderWay>,
    /// Requests with events that the pool has not received yet.
    pub(super) queue: VecDeque<usize>,
    pub(super) next: usize,
    /// Whether the code gets the events of a request together, as many as fit into a slot.
    pub(super) together: bool,
    /// The largest event, in bytes.
    pub(super) limit: usize,
    /// The CPU time of an event, as a moving average.
    pub(super) cost: Duration,
    /// The memory for answers of this program.
    pub(super) memory: Budget,
    /// The memory for answers that wait for memory, as slots of workers; shared by all programs.
    pub(super) parked: Budget,
    pub(super) max_requests: usize,
    pub(super) stalled: Vec<Stalled>,
    pub(super) status: Arc<Status>,
}

/// A part of an answer that waits for memory. It keeps its output slot, so its worker has to wait when no slot is left.
pub(super) struct Stalled {
    pub(super) chunk: Chunk,
    pub(super) since: Instant,
    pub(super) parked: Reservation,
}

impl PoolTask {
    pub(super) async fn run(
        mut self,
        mut events: UnboundedReceiver<WorkerEvent>,
        mut requests: UnboundedReceiver<ServiceRequest>,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let memory = self.memory.clone();
        let (mut open, mut trimmed) = (true, false);
        let result = loop {
            if !open && self.under_way.is_empty() {
                break Ok(());
            }
            let idle_until = tokio::time::Instant::now() + IDLE;
            let done = tokio::select! {
                Some(event) = events.recv() => self.take(event).await,
                request = requests.recv(), if open => match request {
                    Some(request) => {
                        trimmed = false;
                        self.add(request);
                        self.hand_out().await
                    }
                    None => {
                        open = false;
                        Ok(())
                    }
                },
                () = memory.freed(), if !self.stalled.is_empty() => self.book_stalled().await,
                () = tokio::time::sleep_until(idle_until), if !trimmed && self.under_way.is_empty() => {
                    self.pool.trim().await;
                    self.slots.trim();
                    trimmed = true;
                    Ok(())
                }
                _ = tick.tick(), if !self.under_way.is_empty() || !self.stalled.is_empty() => {
                    self.pool.look_after_workers();
                    self.book_stalled().await
                }
            };
            if let Err(error) = done {
                break Err(error);
            }
            self.show();
        };
        // A request that arrives from now on would get no answer.
        requests.close();
        self.pool.end().await;
        let error = Arc::new(match result {
            Err(error) => error,
            Ok(()) => RunError::Start("the workers of this transformation have ended".to_owned()),
        });
        for (_, request) in self.under_way.drain() {
            let _ = request.reply.send(Err(error.clone()));
        }
        while let Ok(request) = requests.try_recv() {
            let _ = request.reply.send(Err(error.clone()));
        }
        self.status.workers.store(0, Ordering::Relaxed);
        self.status.requests.store(0, Ordering::Relaxed);
    }

    fn show(&self) {
        self.status.workers.store(self.pool.workers(), Ordering::Relaxed);
        self.status.requests.store(self.under_way.len(), Ordering::Relaxed);
        self.status.deaths.store(self.pool.losses.deaths, Ordering::Relaxed);
        self.status.hangs.store(self.pool.losses.hangs, Ordering::Relaxed);
        self.status.memory.store(self.pool.losses.memory, Ordering::Relaxed);
        self.status.stuck.store(self.pool.losses.stuck, Ordering::Relaxed);
    }

    fn add(&mut self, request: ServiceRequest) {
        let ServiceRequest { rows, reply } = request;
        if self.under_way.len() >= self.max_requests {
            let message = format!(
                "{} requests of this transformation are under way, the most that one may have of all (--max-requests)",
                self.under_way.len()
            );
            let _ = reply.send(Err(Arc::new(RunError::Overloaded(message))));
            return;
        }
        let unanswered = rows.events.len();
        let tally = Tally { lines_in: unanswered as u64, ..Tally::default() };
        let answer = ServiceAnswer { tally, ..ServiceAnswer::default() };
        self.next += 1;
        let size: usize = rows.events.iter().map(Row::size).sum();
        let most_events = events_per_unit(self.cost);
        let alone = if self.under_way.is_empty() { self.pool.most_workers.min(size / WORTH_A_UNIT) } else { 1 };
        let units = size.div_ceil(MAX_BYTES).max(unanswered.div_ceil(most_events as usize)).max(alone);
        let unit = size.div_ceil(units.max(1));
        let known = Vec::new();
        let memory = self.memory.hold();
        let request = UnderWay {
            rows,
            handed: 0,
            unit,
            most_events,
            unanswered,
            known,
            answer,
            memory,
            made: 0,
            logs_are_cut: false,
            reply,
        };
        self.under_way.insert(self.next, request);
        self.queue.push_back(self.next);
    }

    async fn take(&mut self, event: WorkerEvent) -> Result<(), RunError> {
        if let PoolEvent::Answered = self.pool.take(event).await? {
            let now = Instant::now();
            for chunk in self.pool.units.leave(true) {
                self.book(chunk, now).await;
            }
        }
        self.hand_out().await
    }

    /// Tries again to book the parts that had no memory.
    async fn book_stalled(&mut self) -> Result<(), RunError> {
        if self.stalled.is_empty() {
            return Ok(());
        }
        for Stalled { chunk, since, parked } in std::mem::take(&mut self.stalled) {
            drop(parked);
            self.book(chunk, since).await;
        }
        self.hand_out().await
    }

    /// Reserves memory for a part of an answer. If no memory is left, the part waits. If it has waited too long, or
    /// cannot be parked, its request is rejected with the advice to retry. Returns the part if it can be booked now.
    fn make_room(&mut self, chunk: Chunk, since: Instant) -> Option<Chunk> {
        let Chunk::Answer { part, lines, .. } = &chunk else { return Some(chunk) };
        let id = lines.input;
        let Some(request) = self.under_way.get_mut(&id) else { return Some(chunk) };
        let size = size_of(part);
        if request.memory.bytes() + size > MAX_ROWS.min(self.memory.max()) || request.memory.grow_by(size) {
            return Some(chunk);
        }
        let mut parked = self.parked.hold();
        if since.elapsed() < PATIENCE_FOR_MEMORY && parked.grow_by(size) {
            self.stalled.push(Stalled { chunk, since, parked });
            return None;
        }
        if let Some(request) = self.under_way.remove(&id) {
            let message = "other answers take all memory there is for them (--request-memory)".to_owned();
            let _ = request.reply.send(Err(Arc::new(RunError::Overloaded(message))));
        }
        Some(chunk)
    }

    /// Fills the free slots and gives the pool as much work as it has workers for.
    async fn hand_out(&mut self) -> Result<(), RunError> {
        while let Some(id) = self.queue.pop_front() {
            if self.under_way.get(&id).is_some_and(|request| request.reply.is_closed()) {
                self.forget(id);
                continue;
            }
            match self.fill(id) {
                Filled::All => self.answer_if_done(id),
                Filled::Part => self.queue.push_back(id),
                Filled::NoSlot => {
                    self.queue.push_front(id);
                    break;
                }
            }
        }
        self.pool.dispatch().await
    }

    /// Drops the work that no worker has begun, because the client no longer waits for the answer.
    fn forget(&mut self, id: usize) {
        if let Some(request) = self.under_way.get_mut(&id) {
            request.unanswered -= request.rows.events.len() - request.handed;
            request.handed = request.rows.events.len();
            self.answer_if_done(id);
        }
    }

    /// Hands the next events of a request to the pool, as many as fit into one unit.
    fn fill(&mut self, id: usize) -> Filled {
        let Some(request) = self.under_way.get_mut(&id) else { return Filled::All };
        let Some(mut slot) = self.slots.take() else { return Filled::NoSlot };
        let most = self.pool.layout.input_slot;
        let first = request.handed;
        while let Some(row) = request.rows.events.get(request.handed) {
            let size = row.size();
            if row.event.len() > self.limit || size > most {
                if slot.is_empty() {
                    let failure = line_too_long(size.max(row.event.len()) as u64, self.limit);
                    request.fail(request.handed, failure);
                    request.handed += 1;
                }
                break;
            }
            let most_events = request.most_events.min(events_per_unit(self.cost));
            let full = !self.together && (slot.len() >= request.unit || slot.count() >= most_events);
            if full || size > slot.room() {
                break;
            }
            let Rows { body, one_line, .. } = &request.rows;
            row::put(&mut slot, &body[row.event.clone()], &body[row.metadata.clone()], *one_line);
            request.handed += 1;
        }
        let all = request.handed == request.rows.events.len();
        if !slot.is_empty() {
            self.pool.units.add_lines(slot.finish(id, first as u64));
        }
        if all { Filled::All } else { Filled::Part }
    }

    /// Books the results of some events and frees the memory that held them.
    async fn book(&mut self, chunk: Chunk, since: Instant) {
        let Some(chunk) = self.make_room(chunk, since) else { return };
        let id = match chunk {
            Chunk::Answer { part, lines, from, output, worker, generation, .. } => {
                let id = lines.input;
                let slot = part.holds_slot().then_some(part.slot);
                if part.heap > 0 {
                    self.status.heap.store(part.heap, Ordering::Relaxed);
                }
                if part.lines > 0 {
                    let cost = Duration::from_nanos(part.cpu) / part.lines;
                    self.cost = (self.cost * 7 + cost) / 8;
                }
                let start = self.pool.layout.output_start(part.slot as usize);
                let bytes = part.bytes as usize;
                // Only ordered streams store outputs anywhere else.
                let Output::Slot(output) = output else { return };
                if let Some(request) = self.under_way.get_mut(&id) {
                    request.book(part, &lines, from, &output, start, MAX_ROWS.min(self.memory.max()));
                }
                if bytes > LARGE_OUTPUT {
                    output.forget(start, bytes);
                }
                if let Some(slot) = slot {
                    self.pool.free(worker, generation, slot).await;
                }
                id
            }
            Chunk::Blamed { line: LineRef::Short(lines), failure } => {
                if let Some(request) = self.under_way.get_mut(&lines.input) {
                    request.fail(lines.first_line as usize, failure);
                }
                lines.input
            }
            // The pool never gets lines that are too long.
            Chunk::Blamed { line: LineRef::Long(_), .. } => return,
        };
        self.answer_if_done(id);
    }

    fn answer_if_done(&mut self, id: usize) {
        if self.under_way.get(&id).is_some_and(|request| request.unanswered == 0)
            && let Some(mut request) = self.under_way.remove(&id)
        {
            request.known.sort_by_key(|(first, _)| *first);
            request.answer.outcomes = request.known.into_iter().flat_map(|(_, outcomes)| outcomes).collect();
            request.answer.memory = Some(request.memory);
            // The client may have disconnected.
            let _ = request.reply.send(Ok(request.answer));
        }
    }
}

enum Filled {
    All,
    Part,
    NoSlot,
}
