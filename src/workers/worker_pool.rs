//! The workers of one program, and the units that they are given: started, fed, looked after, buried, replaced.
//!
//! The owner of a pool brings lines and takes away their results; a run does it for one stream ([`super::supervisor`]),
//! a server for as many requests as come ([`super::service_pool`]). Everything that decides over an event's fate lies here:
//! which worker gets it, what a frame may say, and who is blamed when a worker dies.

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

/// From here on an event is slow: a worker is given the next unit when it has done the one before, so that another one
/// can have it.
const SLOW_EVENT: Duration = Duration::from_millis(4);

/// WorkQueue that a worker has at a time: the current one and the next one.
const UNITS_PER_WORKER: usize = 2;

/// Units that a worker has at a time while all its events wait for the network.
const UNITS_OF_WAITING_WORKER: usize = 64;

/// How often to look after the workers.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// What a pool is told by its workers, and has to be handed by its owner.
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
    /// It is this pool's turn to have a worker work.
    Turn(Turn),
}

/// What came of some news.
pub(super) enum PoolEvent {
    /// Nothing that an owner need know.
    Nothing,
    /// A worker has loaded the program.
    Loaded(Box<(Loaded, SandboxReport)>),
    /// Something can leave.
    Answered,
}

/// What pools share that live side by side in one process.
#[derive(Clone)]
pub(super) struct ConcurrencyLimiter {
    /// One for each unit that may be in a worker's hands.
    pub(super) turns: Turns,
    /// One for each worker process.
    pub(super) processes: Arc<Semaphore>,
    /// Where a program's first worker is forked.
    pub(super) prepared: Option<PreparedProcess>,
    /// Makes room for one more.
    pub(super) on_shortage: Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>,
}

/// A unit in a worker's hands.
struct Assigned {
    id: u64,
    /// Given back while all of the worker's events wait.
    turn: Option<Turn>,
}

struct Worker {
    process: Process,
    generation: u64,
    ready: bool,
    /// Whether it has answered nothing yet.
    fresh: bool,
    /// WorkQueue it has, in order.
    units: VecDeque<Assigned>,
    /// All its events wait, and it can start more.
    waits: bool,
    /// The unit that it was started for.
    reserved: Option<Key>,
    slots_out: usize,
    events: u64,
    moved: Instant,
    /// When it last said something that was valid, or was given its first unit.
    told: Instant,
    hung: bool,
    /// It has answered something since it gave something back.
    may_give_back: bool,
    /// It broke a rule: it is being killed, and nothing that it still says counts.
    condemned: bool,
    /// It is gone and not replaced: none could be started, and no event waits for one.
    resting: bool,
    place: Option<OwnedSemaphorePermit>,
    /// Requests that its code has made, as the network's side counts them.
    asked: Arc<AtomicU64>,
    /// Those of them that are accounted for: their events have verdicts, or they are counted as repeated.
    accounted: u64,
}

impl Worker {
    /// Whether it can be given one more unit, of events that cost this much.
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

/// What happened to workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PoolCounters {
    /// Workers that had to be replaced because they died.
    pub(super) deaths: u64,
    /// Those of them that no longer answered.
    pub(super) hangs: u64,
    /// Those that needed more memory than V8 could be held to.
    pub(super) memory: u64,
    /// Those whose code could be stopped only with its process.
    pub(super) stuck: u64,
    /// Requests to the network that were made again.
    pub(super) repeated: u64,
}

/// How a pool tells its owner's loop what has happened; `false` when the owner is gone.
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
    /// What the last of them said of the program.
    load_failure: Option<String>,
    /// Whether a worker has loaded the program.
    loaded_once: bool,
    /// The CPU time of an event, on an average that forgets; nothing until the first ones are answered.
    cost: Option<Duration>,
    /// How many lines go to `transformBatch` together; all of a unit where that is a request.
    batch: Option<u64>,
    export: Export,
    fresh_state: bool,
    /// Whether outputs leave in the order of the input.
    ordered: bool,
    gate: Option<ConcurrencyLimiter>,
    /// What it has used of the workers' time, where it shares that with others.
    account: Option<Account>,
    turn: Option<Turn>,
    asked_for_turn: bool,
    asked_for_place: Option<Instant>,
}

/// How long a worker may not move. It keeps the limits itself, a batch's too; this is for one that no longer can.
fn patience(limits: &Limits, export: Export) -> Duration {
    let events = if export == Export::Batch { u32::MAX } else { 1 };
    limits.batch_cpu(events).max(limits.batch_wall(events)) + Duration::from_secs(1)
}

impl WorkerPool {
    /// A pool without a worker yet, and the region that its input goes into. `rows` says whether lines are rows, see
    /// [`crate::wire::row`]. With a gate, it starts workers and hands out units only as far as the gate allows.
    pub(super) fn new(
        job: &Job,
        rows: bool,
        gate: Option<ConcurrencyLimiter>,
        tell: impl Fn(WorkerEvent) -> bool + Send + Sync + 'static,
    ) -> Result<(Self, Arc<Mapping>), RunError> {
        let limits = &job.options.limits;
        let layout = Layout {
            input_slot: slot_len(limits.line),
            // One being filled, one carried over, and what the workers have.
            input_slots: job.workers * if job.network.is_some() { UNITS_OF_WAITING_WORKER } else { UNITS_PER_WORKER }
                + 2,
            // A batch's output, then one event's, then a line passed on as it came, then a failure's account.
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
            ordered: gate.is_none() && !job.unordered,
            account: gate.as_ref().map(|gate| gate.turns.open()),
            gate,
            turn: None,
            asked_for_turn: false,
            asked_for_place: None,
        };
        Ok((pool, Arc::new(memory)))
    }

    /// Starts the first worker; the caller has counted its process.
    pub(super) async fn start(&mut self, place: Option<OwnedSemaphorePermit>) -> Result<(), RunError> {
        self.spawn(None, place).await
    }

    /// Ends all workers, whatever they are doing.
    pub(super) async fn end(&mut self) {
        for mut worker in self.workers.drain(..) {
            worker.process.end().await;
        }
        self.units.clear();
    }

    /// Until when the first worker has to have loaded the program.
    pub(super) fn loading_ends(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + patience(&self.limits, Export::Event)
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// The code is in the middle of something that V8 cannot interrupt.
    pub(super) fn too_slow_to_load(&self) -> RunError {
        LoadError::too_slow(&self.name, &self.limits).into()
    }

    /// Takes what a worker said. To be followed by [`WorkerPool::dispatch`].
    pub(super) async fn take(&mut self, news: WorkerEvent) -> Result<PoolEvent, RunError> {
        match news {
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
            // From a worker that has been replaced.
            WorkerEvent::Frame { .. } | WorkerEvent::Gone { .. } => Ok(PoolEvent::Nothing),
        }
    }

    /// A worker may use an output slot again. To be followed by [`WorkerPool::dispatch`].
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
