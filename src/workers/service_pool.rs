//! A pool for requests: keeps the workers of one program warm. A typical request brings some hundred events.
//!
//! The underlying pool makes all decisions about an event, as in a run. Only the source of events and the target of
//! verdicts differ. Requests wait in a queue and take turns, slot by slot, so that a large request does not delay the
//! small ones behind it. The results of a request are put in the order of its events, and the answer is sent as soon as
//! the last one is known. This module knows neither the client nor the request's format.
//!
//! A service pool runs one program with one set of credentials. An owner of several programs or tenants gives each its
//! own service pool. The pools share only the limits on processes and on units under way, see [`Resources`].

mod pool_task;
mod under_way;

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::budget::{Budget, Reservation};
use super::prepared::PreparedProcess;
use super::turns::{SLICE, Turns};
use super::worker_pool::{ConcurrencyLimiter, PoolEvent, WorkerPool};
use super::{Job, RunError};
use crate::tally::Tally;
use crate::wire::frame::Part;
use crate::wire::row;
use crate::wire::slots::Slots;
use pool_task::PoolTask;
use sluicegate_engine::verdict::Failure;
use sluicegate_engine::{Export, Loaded, UnsafeRead};

/// The target CPU time of a unit. It is short, so that the requests of others do not wait long for a worker. It is not
/// shorter, because handing out a unit and taking its answer costs as much as transforming several events.
const UNIT_TIME: Duration = Duration::from_millis(4);
const _: () = assert!(UNIT_TIME.as_millis() < SLICE.as_millis());

/// The most events in a unit, however cheap they are.
const MAX_EVENTS: u64 = 256;

/// The most bytes in a unit.
const MAX_BYTES: usize = 256 << 10;

/// A single request is spread over all workers, as long as its units have at least this many bytes.
const WORTH_A_UNIT: usize = 32 << 10;

/// The assumed cost of an event before any is measured.
const USUAL_COST: Duration = Duration::from_micros(32);

/// The maximum size of all rows that answer one request, in bytes. Each event's output has its own limit; this one
/// keeps a request with many large outputs from using up all memory.
const MAX_ROWS: usize = 512 << 20;

/// The divisor for the share of all memory that one program's answers may use.
const SHARE_OF_A_PROGRAM: usize = 4;

/// The size of an event's verdict without its text, in bytes.
const VERDICT_SIZE: usize = 256;

/// The maximum size of the logs kept for a request, in bytes.
const MAX_LOGS: usize = 8 << 20;

/// The log line that replaces further logs.
const LOGS_END_HERE: &str = "more was logged than is kept of one request: the rest is left out";

/// A program without requests for this long keeps one worker, which releases the memory it does not need.
const IDLE: Duration = Duration::from_secs(10);

/// How long an answer waits for memory before its request is rejected. Its worker waits as long.
const PATIENCE_FOR_MEMORY: Duration = Duration::from_secs(5);

/// If an output used more bytes of its slot than this, its pages are unmapped from the supervisor afterwards.
const LARGE_OUTPUT: usize = 1 << 20;

/// The limits that all service pools of a process share: the number of worker processes, and the number of units under
/// way at a time. Both are granted in the order in which they are requested.
#[derive(Clone)]
pub struct Resources {
    limiter: ConcurrencyLimiter,
    processes: usize,
    memory: Budget,
    parked: Budget,
    requests: usize,
}

/// A permit for one worker process.
pub struct WorkerPermit(OwnedSemaphorePermit);

impl Status {
    /// Returns the number of replaced workers for each reason.
    pub fn restarts(&self) -> [(&'static str, u64); 4] {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (hung, memory, stuck) = (load(&self.hangs), load(&self.memory), load(&self.stuck));
        let died = load(&self.deaths).saturating_sub(hung + memory + stuck);
        [("died", died), ("hung", hung), ("memory", memory), ("stuck", stuck)]
    }
}

impl Resources {
    /// Allows at most `processes` worker processes, and at most `turns` units under way in them.
    pub fn new(turns: usize, processes: usize) -> Self {
        let limiter = ConcurrencyLimiter {
            turns: Turns::new(turns),
            processes: Arc::new(Semaphore::new(processes)),
            prepared: None,
            on_shortage: Arc::default(),
        };
        Self {
            limiter,
            processes,
            memory: Budget::new(usize::MAX),
            parked: Budget::new(usize::MAX),
            requests: usize::MAX,
        }
    }

    /// Allows at most `requests` of one program, waiting or under way.
    #[must_use]
    pub fn with_requests(self, requests: usize) -> Self {
        Self { requests, ..self }
    }

    /// Sets the memory for answers and logs. When it is used up, at most `parked` bytes may stay in workers' memory.
    #[must_use]
    pub fn with_memory(self, memory: Budget, parked: usize) -> Self {
        Self { memory, parked: Budget::new(parked), ..self }
    }

    /// Sets the prepared process that forks each program's first worker.
    #[must_use]
    pub fn with_prepared(mut self, prepared: PreparedProcess) -> Self {
        self.limiter.prepared = Some(prepared);
        self
    }

    /// Returns the prepared process, if workers are forked.
    pub fn prepared(&self) -> Option<&PreparedProcess> {
        self.limiter.prepared.as_ref()
    }

    /// Sets a callback for when a program has work for another worker and no permit is free. It is called
    /// from time to time.
    pub fn on_shortage(&self, act: impl Fn() + Send + Sync + 'static) {
        let _ = self.limiter.on_shortage.set(Box::new(act));
    }

    /// Returns the maximum number of worker processes.
    pub fn max_processes(&self) -> usize {
        self.processes
    }

    /// Returns a permit for a pool's first worker, if one is free.
    pub fn worker_permit(&self) -> Option<WorkerPermit> {
        self.limiter.processes.clone().try_acquire_owned().ok().map(WorkerPermit)
    }

    /// Waits up to `time` for a permit for a pool's first worker.
    pub async fn worker_permit_within(&self, time: Duration) -> Option<WorkerPermit> {
        let permit = tokio::time::timeout(time, self.limiter.processes.clone().acquire_owned()).await;
        permit.ok()?.ok().map(WorkerPermit)
    }

    /// Returns the number of worker processes.
    pub fn processes(&self) -> usize {
        self.processes - self.limiter.processes.available_permits()
    }
}

/// The events of one request.
pub struct Rows {
    /// The buffer with their texts.
    pub body: Arc<Vec<u8>>,
    /// The positions of the events in the buffer.
    pub events: Vec<Row>,
    /// Whether it is known that no event and no metadata contains a line end.
    pub one_line: bool,
    /// Dropped when the body is no longer needed.
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
    /// Returns the size of the row in a slot, in bytes.
    fn size(&self) -> usize {
        self.event.len() + self.metadata.len() + row::OVERHEAD
    }
}

/// The results of the events of a request.
#[derive(Debug, Default)]
pub struct ServiceAnswer {
    /// In the order of the events.
    pub outcomes: Vec<UnitResult>,
    /// The sum of the verdicts.
    pub tally: Tally,
    /// CPU time of the workers.
    pub cpu: Duration,
    /// The code's logs: [`sluicegate_engine::LogLine`]s as JSON, one per line.
    pub logs: Vec<u8>,
    /// A number read by the code that JavaScript cannot represent. Each worker reports at most one.
    pub unsafe_read: Option<UnsafeRead>,
    /// The memory reserved for this answer.
    pub memory: Option<Reservation>,
}

/// The results of some events.
#[derive(Debug)]
pub enum UnitResult {
    /// The rows of events with output, each followed by a comma.
    Rows(Vec<u8>),
    /// The event with this number was dropped.
    Dropped(usize),
    /// The event with this number failed.
    Failed(usize, Failure),
}

/// The state of a service pool, for its owner.
#[derive(Debug, Default)]
pub struct Status {
    /// Worker processes.
    pub workers: AtomicUsize,
    /// Requests that wait or are under way.
    pub requests: AtomicUsize,
    /// Workers that had to be replaced because they died, including those below.
    pub deaths: AtomicU64,
    /// Workers that had to be replaced because they no longer answered.
    pub hangs: AtomicU64,
    /// Workers that had to be replaced because V8 ran out of memory.
    pub memory: AtomicU64,
    /// Workers that had to be replaced because their code could only be stopped by ending the process.
    pub stuck: AtomicU64,
    /// The heap of the worker that answered last, in bytes.
    pub heap: AtomicU64,
}

struct ServiceRequest {
    rows: Rows,
    reply: oneshot::Sender<Result<ServiceAnswer, Arc<RunError>>>,
}

/// The warm workers of one program. They end when this is dropped and the last request is answered.
pub struct ServicePool {
    requests: UnboundedSender<ServiceRequest>,
    loaded: Loaded,
    status: Arc<Status>,
}

impl ServicePool {
    /// Starts a worker, waits until it has loaded the program, and keeps it. Only the job's settings about the program
    /// and its workers are used.
    ///
    /// # Errors
    /// When the program cannot be loaded, or no worker can be started.
    pub async fn start(job: &Job, resources: &Resources, permit: WorkerPermit) -> Result<Self, RunError> {
        let (tell, mut events) = unbounded_channel();
        let limiter = resources.limiter.clone();
        let (mut pool, memory) = WorkerPool::new(job, true, Some(limiter), move |event| tell.send(event).is_ok())?;
        // The start needs a turn, because it costs as much as other work. Otherwise, if a hundred programs started at
        // once, each would load too slowly.
        let turn = pool.wait_for_turn().await;
        pool.start(Some(permit.0)).await?;
        let deadline = pool.loading_ends();
        let loaded = loop {
            match tokio::time::timeout_at(deadline, events.recv()).await {
                Ok(Some(event)) => {
                    if let PoolEvent::Loaded(loaded) = pool.take(event).await? {
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
        let task = PoolTask {
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
        tokio::spawn(task.run(events, to_answer));
        Ok(Self { requests, loaded, status })
    }

    /// Transforms the events of one request. Dropping the future also drops the work that no worker has begun.
    /// # Errors
    /// When no worker can be started. This pool can then no longer be used. The events are not lost: another pool
    /// can process them.
    pub async fn transform(&self, rows: Rows) -> Result<ServiceAnswer, Arc<RunError>> {
        let (reply, answer) = oneshot::channel();
        let gone = || Arc::new(RunError::Start("the workers of this transformation are gone".to_owned()));
        self.requests.send(ServiceRequest { rows, reply }).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Returns the properties of the program.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Returns the pool's state.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Returns whether the pool can no longer answer.
    pub fn is_gone(&self) -> bool {
        self.requests.is_closed()
    }
}

/// Returns the size of a part of an answer in the supervisor's memory, in bytes.
fn size_of(part: &Part) -> usize {
    let failures: usize = part.failures.iter().map(|failed| 2 * failed.failure.len()).sum();
    part.bytes as usize + part.logs.len() + failures + part.lines as usize * VERDICT_SIZE
}

/// Returns the most events in a unit if each has this cost.
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
