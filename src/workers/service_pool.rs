//! A pool that stays: the workers of one program, kept warm for requests that each bring some hundred events.
//!
//! Everything that can become of an event is decided by the same pool as in a run. What differs is where events come
//! from and where verdicts go: requests wait in a queue and take turns, slot by slot, so that a large one does not hold
//! up the small ones behind it; what came of a request is put together in the order of its events, and answered at once
//! when the last one is known. Of who asks, and in which format, nothing is known here.
//!
//! One resident runs one program with one set of credentials. An owner of several gives each program, and each tenant,
//! a resident of its own: they share nothing but the number of processes and of units under way, see [`Resources`].

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::budget::{Budget, Held};
use super::line_limit::line_too_long;
use super::output::unreadable;
use super::turns::{SLICE, Turns};
use super::work_queue::{Chunk, LineRef};
use super::worker_pool::{ConcurrencyLimiter, PoolEvent, TICK, WorkerEvent, WorkerPool};
use super::{Job, RunError};
use crate::tally::Tally;
use crate::wire::frame::Part;
use crate::wire::lines::Lines;
use crate::wire::row;
use crate::wire::shared::Mapping;
use crate::wire::slots::Slots;
use sluicegate_engine::verdict::{Failure, FailureKind};
use sluicegate_engine::{Export, Loaded, LogLine, UnsafeRead};

/// About how much of a worker's time a unit takes, at most: no worker holds so much work that the requests of others wait
/// long. To hand out a unit and take its answer costs as much as to transform some events.
const UNIT_TIME: Duration = Duration::from_millis(4);
const _: () = assert!(UNIT_TIME.as_millis() < SLICE.as_millis());

/// The most events in a unit, whatever they cost, and the bytes that it is filled to.
const MAX_EVENTS: u64 = 256;

/// See [`MAX_EVENTS`].
const MAX_BYTES: usize = 256 << 10;

/// A request that is alone is spread over all workers, as far as that gives units of this many bytes.
const WORTH_A_UNIT: usize = 32 << 10;

/// What an event is taken to cost while nothing is known of the code.
const USUAL_COST: Duration = Duration::from_micros(32);

/// The most bytes of rows that answer one request. Each event's output has a limit of its own; this one keeps a request
/// of many events, each just within it, from taking all memory there is.
const MAX_ROWS: usize = 512 << 20;

/// The part of all memory that the answers of one program may take.
const SHARE_OF_A_PROGRAM: usize = 4;

/// What an event's verdict takes beside its text, in bytes.
const VERDICT_SIZE: usize = 256;

/// The most bytes of logs that are kept of a request.
const MAX_LOGS: usize = 8 << 20;

/// What is said in place of more logs.
const LOGS_END_HERE: &str = "more was logged than is kept of one request: the rest is left out";

/// A program that was asked for nothing for so long keeps one worker, and that one what it needs.
const IDLE: Duration = Duration::from_secs(10);

/// How long an answer waits for memory before its request is sent away. Meanwhile its worker waits too.
const PATIENCE_FOR_MEMORY: Duration = Duration::from_secs(5);

/// An output slot of which more was used than this is not kept in memory here.
const LARGE_OUTPUT: usize = 1 << 20;

/// What all residents of a process share: how many worker processes there may be, and how many units may be under way
/// at a time. Both are handed out in the order in which they are asked for.
#[derive(Clone)]
pub struct Resources {
    gate: ConcurrencyLimiter,
    processes: usize,
    memory: Budget,
    parked: Budget,
    requests: usize,
}

/// A place for one worker process.
pub struct WorkerPermit(OwnedSemaphorePermit);

impl Status {
    /// Why workers were replaced, by a word for each reason.
    pub fn restarts(&self) -> [(&'static str, u64); 4] {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (hung, memory, stuck) = (load(&self.hangs), load(&self.memory), load(&self.stuck));
        let died = load(&self.deaths).saturating_sub(hung + memory + stuck);
        [("died", died), ("hung", hung), ("memory", memory), ("stuck", stuck)]
    }
}

impl Resources {
    /// At most `processes` worker processes, and at most `turns` units in their hands.
    pub fn new(turns: usize, processes: usize) -> Self {
        let gate = ConcurrencyLimiter {
            turns: Turns::new(turns),
            processes: Arc::new(Semaphore::new(processes)),
            on_shortage: Arc::default(),
        };
        Self { gate, processes, memory: Budget::new(usize::MAX), parked: Budget::new(usize::MAX), requests: usize::MAX }
    }

    /// With at most `requests` of one program, waiting or under way.
    #[must_use]
    pub fn with_requests(self, requests: usize) -> Self {
        Self { requests, ..self }
    }

    /// With `memory` for answers and logs. As much as `parked` may lie in workers' memory while there is none left.
    #[must_use]
    pub fn with_memory(self, memory: Budget, parked: usize) -> Self {
        Self { memory, parked: Budget::new(parked), ..self }
    }

    /// What is done when a program has work for one more worker, and there is no place for it; every now and then.
    pub fn on_shortage(&self, act: impl Fn() + Send + Sync + 'static) {
        let _ = self.gate.on_shortage.set(Box::new(act));
    }

    /// Worker processes that there may be.
    pub fn max_processes(&self) -> usize {
        self.processes
    }

    /// A place for a resident's first worker, if there is one.
    pub fn place(&self) -> Option<WorkerPermit> {
        self.gate.processes.clone().try_acquire_owned().ok().map(WorkerPermit)
    }

    /// The same, waiting until one is free.
    pub async fn place_within(&self, time: Duration) -> Option<WorkerPermit> {
        let place = tokio::time::timeout(time, self.gate.processes.clone().acquire_owned()).await;
        place.ok()?.ok().map(WorkerPermit)
    }

    /// Worker processes that there are.
    pub fn processes(&self) -> usize {
        self.processes - self.gate.processes.available_permits()
    }
}

/// Events of one request.
pub struct Rows {
    /// What holds their texts.
    pub body: Arc<Vec<u8>>,
    /// Where they lie in it.
    pub events: Vec<Row>,
    /// Whether it is sure that none of them has a line end in it, nor its metadata.
    pub one_line: bool,
    /// Dropped when nothing of the body is needed any more.
    pub guard: Option<Arc<dyn Any + Send + Sync>>,
}

/// One event.
#[derive(Clone, Debug)]
pub struct Row {
    /// The text of the event, a JSON object.
    pub event: Range<usize>,
    /// The text of its metadata, any JSON; only an object reaches the code.
    pub metadata: Range<usize>,
}

impl Row {
    /// The bytes that it takes in a slot.
    fn size(&self) -> usize {
        self.event.len() + self.metadata.len() + row::OVERHEAD
    }
}

/// The results of the events of a request.
#[derive(Debug, Default)]
pub struct ServiceAnswer {
    /// In the order of the events.
    pub outcomes: Vec<UnitResult>,
    /// The verdicts, added up.
    pub tally: Tally,
    /// CPU time of the workers.
    pub cpu: Duration,
    /// What the code logged, as [`sluicegate_engine::LogLine`]s in JSON, a line each.
    pub logs: Vec<u8>,
    /// A number that the code has read and JavaScript can't hold; each worker tells of one.
    pub unsafe_read: Option<UnsafeRead>,
    /// The memory that all this takes.
    pub memory: Option<Held>,
}

/// The results of some events.
#[derive(Debug)]
pub enum UnitResult {
    /// They went out: rows, a comma after each.
    Rows(Vec<u8>),
    /// The event with this number was dropped.
    Dropped(usize),
    /// The event with this number failed.
    Failed(usize, Failure),
}

/// What can be seen of a resident from outside.
#[derive(Debug, Default)]
pub struct Status {
    /// Worker processes.
    pub workers: AtomicUsize,
    /// Requests that wait or are under way.
    pub requests: AtomicUsize,
    /// Workers that had to be replaced because they died, those below included.
    pub deaths: AtomicU64,
    /// Workers that had to be replaced because they no longer answered.
    pub hangs: AtomicU64,
    /// Workers that had to be replaced because they needed more memory than V8 could be held to.
    pub memory: AtomicU64,
    /// Workers that had to be replaced because their code could be stopped only with them.
    pub stuck: AtomicU64,
    /// The heap of the worker that answered last, in bytes.
    pub heap: AtomicU64,
}

struct ServiceRequest {
    rows: Rows,
    reply: oneshot::Sender<Result<ServiceAnswer, Arc<RunError>>>,
}

/// The warm workers of one program. They end when it is dropped and the last request is answered.
pub struct ServicePool {
    requests: UnboundedSender<ServiceRequest>,
    loaded: Loaded,
    status: Arc<Status>,
}

impl ServicePool {
    /// Starts a worker, waits until it has loaded the program, and keeps it. Of the job's settings those count that are
    /// about the program and its workers.
    ///
    /// # Errors
    /// When the program cannot be loaded, or no worker can be started.
    pub async fn start(job: &Job, resources: &Resources, place: WorkerPermit) -> Result<Self, RunError> {
        let (tell, mut news) = unbounded_channel();
        let gate = resources.gate.clone();
        let (mut pool, memory) = WorkerPool::new(job, true, Some(gate), move |news| tell.send(news).is_ok())?;
        // Starting costs as much as work does. Without a turn, a hundred programs that start at once would each be too
        // slow.
        let turn = pool.wait_for_turn().await;
        pool.start(Some(place.0)).await?;
        let deadline = pool.loading_ends();
        let loaded = loop {
            match tokio::time::timeout_at(deadline, news.recv()).await {
                Ok(Some(said)) => {
                    if let PoolEvent::Loaded(loaded) = pool.take(said).await? {
                        job.sandbox.judge(&loaded.1)?;
                        break loaded.0;
                    }
                }
                Ok(None) => {}
                Err(_) => return Err(pool.too_slow_to_load()),
            }
        };
        drop(turn);
        let (requests, to_answer) = unbounded_channel();
        let status = Arc::new(Status::default());
        status.workers.store(1, Ordering::Relaxed);
        let desk = Desk {
            slots: Slots::new(memory, pool.layout.input_slot, pool.layout.input_slots),
            pool,
            under_way: HashMap::new(),
            queue: VecDeque::new(),
            next: 0,
            together: loaded.export == Export::Batch || job.fresh_state,
            limit: job.options.limits.line,
            cost: USUAL_COST,
            memory: resources.memory.part(resources.memory.max() / SHARE_OF_A_PROGRAM),
            parked: resources.parked.clone(),
            max_requests: resources.requests,
            stalled: Vec::new(),
            status: status.clone(),
        };
        tokio::spawn(desk.run(news, to_answer));
        Ok(Self { requests, loaded, status })
    }

    /// Transforms the events of one request. Giving up waiting also gives up what no worker has begun with.
    ///
    /// # Errors
    /// When no worker can be started any more. Then this resident is of no use, and none of the events is lost that
    /// another one is given.
    pub async fn transform(&self, rows: Rows) -> Result<ServiceAnswer, Arc<RunError>> {
        let (reply, answer) = oneshot::channel();
        let gone = || Arc::new(RunError::Start("the workers of this transformation are gone".to_owned()));
        self.requests.send(ServiceRequest { rows, reply }).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// What is known of the program.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// What can be seen of it from outside.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Whether it answers no more.
    pub fn is_gone(&self) -> bool {
        self.requests.is_closed()
    }
}

/// A request under way.
struct UnderWay {
    rows: Rows,
    /// How many of its events have been handed to the pool.
    handed: usize,
    /// The bytes that its units are filled to: no more than [`MAX_BYTES`], and all about as many.
    unit: usize,
    /// The most events in one of its units.
    most_events: u64,
    unanswered: usize,
    /// What is known, by the number of the first event that it is about.
    known: Vec<(usize, Vec<UnitResult>)>,
    answer: ServiceAnswer,
    /// What is counted of the answer.
    memory: Held,
    /// What the workers have made, whether or not there was room for it.
    made: usize,
    /// Whether logs were left out.
    logs_are_cut: bool,
    reply: oneshot::Sender<Result<ServiceAnswer, Arc<RunError>>>,
}

/// Where requests are taken in and answered.
struct Desk {
    pool: WorkerPool,
    slots: Slots,
    under_way: HashMap<usize, UnderWay>,
    /// Requests with events that have not been handed to the pool.
    queue: VecDeque<usize>,
    next: usize,
    /// Whether the events of a request go to the code together, as far as they fit into a slot.
    together: bool,
    /// The most bytes of an event.
    limit: usize,
    /// The CPU time that an event takes, on an average that forgets.
    cost: Duration,
    /// For the answers of this program.
    memory: Budget,
    /// For those that wait for memory, in slots of workers; of all programs.
    parked: Budget,
    max_requests: usize,
    stalled: Vec<Stalled>,
    status: Arc<Status>,
}

/// A part of an answer that there is no memory for yet. It keeps its slot, so its worker will wait in turn.
struct Stalled {
    chunk: Chunk,
    since: Instant,
    parked: Held,
}

impl Desk {
    async fn run(mut self, mut news: UnboundedReceiver<WorkerEvent>, mut requests: UnboundedReceiver<ServiceRequest>) {
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
                Some(news) = news.recv() => self.take(news).await,
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
        // Nothing that comes from here on would be answered.
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

    async fn take(&mut self, news: WorkerEvent) -> Result<(), RunError> {
        if let PoolEvent::Answered = self.pool.take(news).await? {
            let now = Instant::now();
            for chunk in self.pool.units.leave(true) {
                self.book(chunk, now).await;
            }
        }
        self.hand_out().await
    }

    /// Tries once more what there was no memory for.
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

    /// Takes the memory for a part of an answer. If there is none, the part waits; if it has waited since long ago, or there is
    /// no room to wait in, its request is sent away, to come again. Gives the part back if it can be booked now.
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

    /// Fills what slots are free, and gives the pool what it has workers for.
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

    /// No client waits for the answer: what no worker has begun with is not begun.
    fn forget(&mut self, id: usize) {
        if let Some(request) = self.under_way.get_mut(&id) {
            request.unanswered -= request.rows.events.len() - request.handed;
            request.handed = request.rows.events.len();
            self.answer_if_done(id);
        }
    }

    /// Hands the next events of a request to the pool, as many as one unit has.
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

    /// Notes what came of some events, and frees what held it.
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
            // Lines that are too long are not given to the pool.
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
            // Who asked may have left.
            let _ = request.reply.send(Ok(request.answer));
        }
    }
}

/// What a part of an answer takes once it is taken over, in bytes.
fn size_of(part: &Part) -> usize {
    let failures: usize = part.failures.iter().map(|failed| 2 * failed.failure.len()).sum();
    part.bytes as usize + part.logs.len() + failures + part.lines as usize * VERDICT_SIZE
}

/// How many events of such a cost a unit has at most.
fn events_per_unit(cost: Duration) -> u64 {
    let events = UNIT_TIME.as_nanos() / cost.as_nanos().max(1);
    events.clamp(1, u128::from(MAX_EVENTS)) as u64
}

enum Filled {
    All,
    Part,
    NoSlot,
}

impl UnderWay {
    fn fail(&mut self, index: usize, failure: Failure) {
        self.unanswered -= 1;
        self.answer.tally.fail(failure.kind);
        self.known.push((index, vec![UnitResult::Failed(index, failure)]));
    }

    /// There is no room for the outputs of these events.
    fn too_much(&mut self, part: &Part, first: usize, from: usize, max: usize) {
        let message = format!("the outputs of the request's events together are over the limit of {} MiB", max >> 20);
        for line in from..from + part.lines as usize {
            self.fail(first + line, Failure::new(FailureKind::OutputTooLarge, message.clone()));
        }
    }

    fn log(&mut self, logs: &[u8]) {
        if self.logs_are_cut {
            return;
        }
        let kept = &mut self.answer.logs;
        let whole_lines = &logs[..logs.len().min(MAX_LOGS - kept.len())];
        let whole_lines = memchr::memrchr(b'\n', whole_lines).map_or(0, |end| end + 1);
        kept.extend_from_slice(&logs[..whole_lines]);
        if whole_lines < logs.len() {
            let note = LogLine { level: "warn".into(), message: LOGS_END_HERE.to_owned() };
            serde_json::to_writer(&mut *kept, &note).expect("plain data");
            kept.push(b'\n');
            self.logs_are_cut = true;
        }
    }

    /// A worker's answer about the lines of a unit from number `from` on, with the output in its slot at `start`.
    fn book(&mut self, part: Part, lines: &Lines, from: u64, output: &Mapping, start: usize, max: usize) {
        let first = lines.first_line as usize;
        let bytes = part.bytes as usize;
        // SAFETY: the range was checked against the region when the part was booked; the worker does not write to the
        // slot until it is told that it is free. One that did anyway could only spoil its own output.
        let text: &[u8] = unsafe { std::slice::from_raw_parts(output.at(start, bytes), bytes) };
        self.made += size_of(&part);
        if self.made > max {
            return self.too_much(&part, first, from as usize, max);
        }
        let tally = &mut self.answer.tally;
        tally.ok += u64::from(part.ok);
        tally.dropped += u64::from(part.dropped);
        tally.events_out += part.events_out;
        let mut outcomes = Vec::with_capacity(1 + 2 * part.failures.len() + part.dropped_lines.len());
        outcomes.extend(part.dropped_lines.iter().map(|line| UnitResult::Dropped(first + *line as usize)));
        let mut at = 0;
        let mut rows = |to: usize, outcomes: &mut Vec<UnitResult>| {
            if at < to {
                outcomes.push(UnitResult::Rows(text[at..to].to_vec()));
                at = to;
            }
        };
        for failed in part.failures {
            rows(failed.output_at as usize, &mut outcomes);
            let failure: Failure = serde_json::from_slice(&failed.failure).unwrap_or_else(|_| unreadable());
            tally.fail(failure.kind);
            outcomes.push(UnitResult::Failed(first + failed.line as usize, failure));
        }
        rows(bytes, &mut outcomes);
        self.answer.cpu += Duration::from_nanos(part.cpu);
        self.log(&part.logs);
        if let Some(noted) = part.reads.first()
            && self.answer.unsafe_read.is_none()
        {
            self.answer.unsafe_read = serde_json::from_slice(&noted.note).ok();
        }
        self.unanswered -= part.lines as usize;
        self.known.push((first + from as usize, outcomes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_an_event_costs_the_fewer_are_handed_out_together() {
        let events = |micros| events_per_unit(Duration::from_micros(micros));
        assert_eq!([0, 10, 20, 100, 1000, 4000, 60_000].map(events), [256, 256, 200, 40, 4, 1, 1]);
    }

    #[test]
    fn every_worker_that_was_replaced_has_one_reason() {
        let status = Status::default();
        for (count, value) in [(&status.deaths, 10), (&status.hangs, 1), (&status.memory, 2), (&status.stuck, 3)] {
            count.store(value, Ordering::Relaxed);
        }
        assert_eq!(status.restarts(), [("died", 4), ("hung", 1), ("memory", 2), ("stuck", 3)]);
    }
}
