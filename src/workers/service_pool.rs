//! A pool that stays: the workers of one program, kept warm for requests that each bring some hundred events.
//!
//! Everything that can become of an event is decided by the same pool as in a run. What differs is where events come
//! from and where verdicts go: requests wait in a queue and take turns, slot by slot, so that a large one does not hold
//! up the small ones behind it; what came of a request is put together in the order of its events, and answered at once
//! when the last one is known. Of who asks, and in which format, nothing is known here.
//!
//! One resident runs one program with one set of credentials. An owner of several gives each program, and each tenant,
//! a resident of its own: they share nothing but the number of processes and of units under way, see [`Resources`].

mod desk;
mod under_way;

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::budget::{Budget, Held};
use super::prepared::PreparedProcess;
use super::turns::{SLICE, Turns};
use super::worker_pool::{ConcurrencyLimiter, PoolEvent, WorkerPool};
use super::{Job, RunError};
use crate::tally::Tally;
use crate::wire::frame::Part;
use crate::wire::row;
use crate::wire::slots::Slots;
use desk::Desk;
use sluicegate_engine::verdict::Failure;
use sluicegate_engine::{Export, Loaded, UnsafeRead};

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
            prepared: None,
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

    /// With a prepared process, from which each program's first worker is forked.
    #[must_use]
    pub fn with_prepared(mut self, prepared: PreparedProcess) -> Self {
        self.gate.prepared = Some(prepared);
        self
    }

    /// The prepared process, if workers are forked.
    pub fn prepared(&self) -> Option<&PreparedProcess> {
        self.gate.prepared.as_ref()
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
