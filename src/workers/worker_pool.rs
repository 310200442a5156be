//! The workers of one program and their units: starts workers, gives them units, monitors them, replaces dead ones.
//!
//! The owner of a pool adds lines and takes their results: [`super::supervisor`] for one stream,
//! [`super::service_pool`] for any number of requests. The pool makes all decisions about an event: which worker gets
//! it, which frames are valid, and which event is blamed when a worker dies.

mod dispatch;
mod frames;
mod processes;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::copies::Copies;
use super::output_check::OutputFormat;
use super::prepared::PreparedProcess;
use super::process::{Process, Setup, Start};
use super::sandbox::SandboxReport;
use super::turns::{Account, Turn, Turns};
use super::work_queue::{Key, WorkQueue};
use super::{Job, RunError};
use crate::config::OnError;
use crate::wire::frame::{self, Kind};
use crate::wire::lines::{FILL, slot_len};
use crate::wire::shared::{self, Layout, Mapping, pages};
use sluicegate_engine::{Export, Limits, LoadError, Loaded};

/// From this cost on, an event is slow: a worker gets its next unit only after it has finished the previous one, so
/// that another worker can take that unit.
const SLOW_EVENT: Duration = Duration::from_millis(4);

/// Units that a worker has at a time: the current one and the next one.
const UNITS_PER_WORKER: usize = 2;

/// Units that a worker has at a time while all its events wait for the network.
const UNITS_OF_WAITING_WORKER: usize = 64;

/// The time between two checks of the workers.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// A message to a pool from one of its workers. The owner passes it to the pool.
pub(super) enum WorkerEvent {
    Frame {
        worker: usize,
        generation: u64,
        kind: Kind,
        payload: Vec<u8>,
    },
    Gone {
        worker: usize,
        generation: u64,
    },
    /// The pool has got a turn for one of its workers.
    Turn(Turn),
}

/// What a [`WorkerEvent`] means for the owner.
pub(super) enum PoolEvent {
    /// Nothing that concerns the owner.
    Nothing,
    /// A worker has loaded the program.
    Loaded(Box<(Loaded, SandboxReport)>),
    /// Some results may be able to leave.
    Answered,
}

/// The limits shared by all pools of a process.
#[derive(Clone)]
pub(super) struct ConcurrencyLimiter {
    /// One turn for each unit that a worker may have.
    pub(super) turns: Turns,
    /// One permit for each worker process.
    pub(super) processes: Arc<Semaphore>,
    /// Forks the first worker of each program.
    pub(super) prepared: Option<PreparedProcess>,
    /// Called to free a permit for another worker.
    pub(super) on_shortage: Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>,
}

/// A unit that a worker has.
struct Assigned {
    id: u64,
    /// Returned while all of the worker's events wait.
    turn: Option<Turn>,
}

struct Worker {
    process: Process,
    generation: u64,
    ready: bool,
    /// Whether it has not answered anything yet.
    fresh: bool,
    /// Its units, in order.
    units: VecDeque<Assigned>,
    /// Whether all its events wait and it can start more.
    waits: bool,
    /// The unit for which it was started.
    reserved: Option<Key>,
    slots_out: usize,
    events: u64,
    last_progress: Instant,
    /// The time of its last valid report, or of its first unit.
    last_report: Instant,
    hung: bool,
    /// Whether it has answered anything since it last returned a unit.
    may_give_back: bool,
    /// Whether it broke a rule. It is being killed, and its frames are ignored.
    condemned: bool,
    /// Whether it ended and was not replaced: no worker could be started, and no event waits for one.
    resting: bool,
    permit: Option<OwnedSemaphorePermit>,
    /// The requests of its code, counted by the network client.
    sent_requests: Arc<AtomicU64>,
    /// The accounted part of these requests: their events have verdicts, or they are counted as repeated.
    accounted: u64,
}

impl Worker {
    /// Returns whether it can get another unit of events with this cost.
    fn has_room(&self, cost: Option<Duration>) -> bool {
        self.units.len()
            < match cost {
                _ if self.waits => UNITS_OF_WAITING_WORKER,
                Some(cost) if cost < SLOW_EVENT => UNITS_PER_WORKER,
                _ => 1,
            }
    }

    fn condemn(&mut self) {
        self.condemned = true;
        self.process.kill();
    }
}

/// Counts of lost workers and repeated requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PoolCounters {
    /// Workers that had to be replaced because they died.
    pub(super) deaths: u64,
    /// The part of these workers that no longer answered.
    pub(super) hangs: u64,
    /// The part in which V8 ran out of memory.
    pub(super) memory: u64,
    /// The part whose code could only be stopped by ending the process.
    pub(super) stuck: u64,
    /// Network requests that were sent again.
    pub(super) repeated: u64,
}

/// Sends an event to the owner's loop. Returns `false` if the owner is gone.
type Tell = Arc<dyn Fn(WorkerEvent) -> bool + Send + Sync>;

/// The workers of one program.
pub(super) struct WorkerPool {
    pub(super) layout: Layout,
    pub(super) units: WorkQueue,
    pub(super) losses: PoolCounters,
    input_fd: OwnedFd,
    start: Vec<u8>,
    name: String,
    limits: Limits,
    pub(super) most_workers: usize,
    network: Option<crate::net::Client>,
    format: OutputFormat,
    workers: Vec<Worker>,
    copies: Copies,
    tell: Tell,
    frame: Vec<u8>,
    generations: u64,
    failed_starts: u32,
    /// The error of the last worker that could not load the program.
    load_failure: Option<String>,
    /// Whether a worker has loaded the program.
    loaded_once: bool,
    /// The CPU time of an event, as a moving average; `None` until the first events are answered.
    cost: Option<Duration>,
    /// The number of lines in a call of `transformBatch`; `None` for all lines of a unit.
    batch: Option<u64>,
    export: Export,
    fresh_state: bool,
    /// Whether outputs leave in the order of the input.
    ordered: bool,
    limiter: Option<ConcurrencyLimiter>,
    /// The account of the used worker time, if that is shared with other pools.
    account: Option<Account>,
    turn: Option<Turn>,
    asked_for_turn: bool,
    last_shortage: Option<Instant>,
}

/// Returns the longest time without progress before a worker is killed. A working worker enforces the limits itself,
/// also those of a batch; this limit is for a worker that no longer can.
fn patience(limits: &Limits, export: Export) -> Duration {
    let events = if export == Export::Batch { u32::MAX } else { 1 };
    limits.batch_cpu(events).max(limits.batch_wall(events)) + Duration::from_secs(1)
}

impl WorkerPool {
    /// Creates a pool without workers, and the region for its input. `rows` says whether lines are rows, see
    /// [`crate::wire::row`]. With a `limiter`, the pool starts workers and hands out units only as far as it allows.
    pub(super) fn new(
        job: &Job,
        rows: bool,
        limiter: Option<ConcurrencyLimiter>,
        tell: impl Fn(WorkerEvent) -> bool + Send + Sync + 'static,
    ) -> Result<(Self, Arc<Mapping>), RunError> {
        let limits = &job.options.limits;
        let layout = Layout {
            input_slot: slot_len(limits.line),
            // One slot that is being filled, one that is carried over, and the units of the workers.
            input_slots: job.workers * if job.network.is_some() { UNITS_OF_WAITING_WORKER } else { UNITS_PER_WORKER }
                + 2,
            // The output of a batch, then of one event, then a line passed on unchanged, then the text of a failure.
            output_slot: pages(FILL + limits.output + limits.line + (1 << 20)),
            output_slots: 4,
        };
        let (input_fd, memory) = shared::create("sluicegate-input", layout.input_len(), true)?;
        let hello = Start {
            program: job.program.clone(),
            options: job.options.clone(),
            emit: job.emit,
            line: job.line.clone(),
            elements: job.elements,
            rows,
            pass: job.on_error == OnError::Pass,
            stop: job.on_error == OnError::Stop,
            line_buffered: job.line_buffered,
            unordered: job.unordered,
            batch_size: job.batch_size.max(1),
            concurrency: job.network.as_ref().map_or(1, |client| client.policy().concurrency),
            measure: job.measure,
            fresh_state: job.fresh_state,
        };
        let setup = Setup { layout, heap: limits.heap, jitless: job.sandbox.jitless, network: job.network.is_some() };
        let mut start = Vec::new();
        frame::put(&mut start, Kind::Setup, |out| serde_json::to_writer(out, &setup).expect("plain data"));
        frame::put(&mut start, Kind::Start, |out| serde_json::to_writer(out, &hello).expect("plain data"));
        let pool = Self {
            layout,
            units: WorkQueue::default(),
            losses: PoolCounters::default(),
            input_fd,
            start,
            name: job.program.name.clone(),
            limits: limits.clone(),
            most_workers: job.workers,
            network: job.network.clone(),
            format: OutputFormat::new(rows, job.emit, job.on_error == OnError::Pass),
            workers: Vec::new(),
            copies: Copies::default(),
            tell: Arc::new(tell),
            frame: Vec::new(),
            generations: 0,
            failed_starts: 0,
            load_failure: None,
            loaded_once: false,
            cost: None,
            batch: (!rows).then_some(job.batch_size.max(1) as u64),
            export: Export::Event,
            fresh_state: job.fresh_state,
            ordered: limiter.is_none() && !job.unordered,
            account: limiter.as_ref().map(|limiter| limiter.turns.open()),
            limiter,
            turn: None,
            asked_for_turn: false,
            last_shortage: None,
        };
        Ok((pool, Arc::new(memory)))
    }

    /// Starts the first worker. The caller has acquired the permit for its process.
    pub(super) async fn start(&mut self, permit: Option<OwnedSemaphorePermit>) -> Result<(), RunError> {
        self.spawn(None, permit).await
    }

    /// Ends all workers at once.
    pub(super) async fn end(&mut self) {
        for mut worker in self.workers.drain(..) {
            worker.process.end().await;
        }
        self.units.clear();
    }

    /// Returns the deadline for the first worker to load the program.
    pub(super) fn loading_ends(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + patience(&self.limits, Export::Event)
    }

    /// Returns the number of workers.
    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Returns the error for code that hangs while it loads, in an operation that V8 cannot interrupt.
    pub(super) fn too_slow_to_load(&self) -> RunError {
        LoadError::too_slow(&self.name, &self.limits).into()
    }

    /// Handles an event from a worker. Call [`WorkerPool::dispatch`] afterwards.
    pub(super) async fn take(&mut self, event: WorkerEvent) -> Result<PoolEvent, RunError> {
        match event {
            WorkerEvent::Frame { worker, generation, kind, payload } if self.is_current(worker, generation) => {
                self.frame(worker, kind, &payload)
            }
            WorkerEvent::Gone { worker, generation } if self.is_current(worker, generation) => {
                self.handle_exit(worker).await?;
                Ok(PoolEvent::Answered)
            }
            WorkerEvent::Turn(turn) => {
                self.asked_for_turn = false;
                self.turn = Some(turn);
                Ok(PoolEvent::Nothing)
            }
            // The event is from a worker that has been replaced.
            WorkerEvent::Frame { .. } | WorkerEvent::Gone { .. } => Ok(PoolEvent::Nothing),
        }
    }

    /// Marks an output slot of a worker as free. Call [`WorkerPool::dispatch`] afterwards.
    pub(super) async fn free(&mut self, worker: usize, generation: u64, slot: u32) {
        if self.is_current(worker, generation) {
            self.tell_free(worker, slot);
        }
    }

    fn tell_free(&mut self, worker: usize, slot: u32) {
        let mut out = std::mem::take(&mut self.frame);
        out.clear();
        frame::put(&mut out, Kind::Free, |out| out.extend_from_slice(&slot.to_le_bytes()));
        self.workers[worker].slots_out -= 1;
        self.workers[worker].process.send(&out);
        self.frame = out;
    }

    fn is_current(&self, worker: usize, generation: u64) -> bool {
        self.workers.get(worker).is_some_and(|worker| worker.generation == generation)
    }
}
