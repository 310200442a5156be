//! The workers of one program, and the units that they are given: started, fed, looked after, buried, replaced.
//!
//! The owner of a pool brings lines and takes away their results; a run does it for one stream ([`super::supervisor`]),
//! a server for as many requests as come ([`super::service_pool`]). Everything that decides over an event's fate lies here:
//! which worker gets it, what a frame may say, and who is blamed when a worker dies.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::output_check::OutputFormat;
use super::process::{Process, Ready, Setup, Start, read_frame};
use super::sandbox::SandboxReport;
use super::turns::{Account, Turn, Turns};
use super::work_queue::{Key, WorkQueue};
use super::worker_exit::ExitReason;
use super::{Job, RunError, fetch_relay};
use crate::config::OnError;
use crate::wire::frame::{self, GivenBack, Kind, Part, Work};
use crate::wire::lines::{FILL, Lines, slot_len};
use crate::wire::shared::{self, Layout, Mapping, PAGE, note, pages, progress};
use sluicegate_engine::verdict::{Failure, FailureKind};
use sluicegate_engine::{Export, Limits, LoadError, Loaded};

/// About how much of a worker's time a unit takes, by what events took before. Cheap events fill a unit long before.
const UNIT_TIME: Duration = Duration::from_millis(16);

/// What an event is taken to cost where the first ones wait for the network, so that nothing is known.
const USUAL_COST: Duration = Duration::from_micros(32);

/// From here on an event is slow: a worker is given the next unit when it has done the one before, so that another one
/// can have it.
const SLOW_EVENT: Duration = Duration::from_millis(4);

/// Work that is worth one more worker process: starting one takes about as long.
const WORTH_A_WORKER: Duration = Duration::from_millis(15);

/// If nothing was heard for this long, the events must be slow.
const SILENCE: Duration = Duration::from_millis(20);

/// WorkQueue that a worker has at a time: the current one and the next one.
const UNITS_PER_WORKER: usize = 2;

/// Units that a worker has at a time while all its events wait for the network.
const UNITS_OF_WAITING_WORKER: usize = 64;

/// How often to look after the workers.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// How many workers may be killed from outside with an event that runs alone before it is blamed.
const PATIENCE_WITH_KILLS: u32 = 4;

/// Workers that may die in a row before they are ready.
const MAX_FAILED_STARTS: u32 = 3;

/// The same, where they were killed from outside.
const MAX_KILLED_STARTS: u32 = 30;

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

    fn frame(&mut self, index: usize, kind: Kind, payload: &[u8]) -> Result<PoolEvent, RunError> {
        if self.workers[index].condemned {
            return Ok(PoolEvent::Nothing);
        }
        match kind {
            // Said once, before anything else.
            Kind::Ready if !self.workers[index].ready => match serde_json::from_slice(payload) {
                Ok(Ready::Loaded(loaded, walls)) => {
                    self.failed_starts = 0;
                    self.loaded_once = true;
                    self.export = loaded.export;
                    self.workers[index].ready = true;
                    self.workers[index].moved = Instant::now();
                    self.workers[index].told = Instant::now();
                    Ok(PoolEvent::Loaded(Box::new((loaded, walls))))
                }
                // The same code has been loaded before: this one had bad luck, such as too little time.
                Ok(Ready::Failed(error)) if !self.loaded_once => Err(error.into()),
                failed => {
                    self.load_failure = match failed {
                        Ok(Ready::Failed(error)) => Some(error.to_string()),
                        _ => None,
                    };
                    self.workers[index].condemn();
                    Ok(PoolEvent::Nothing)
                }
            },
            Kind::Part => {
                let worker = &mut self.workers[index];
                let good = Part::get(payload).filter(|part| {
                    let fits = part.bytes <= self.layout.output_slot as u64
                        && (part.slot as usize) < self.layout.output_slots
                        && worker.slots_out < self.layout.output_slots;
                    fits && worker.units.iter().any(|unit| unit.id == part.unit)
                });
                let Some(part) = good else {
                    worker.condemn();
                    return Ok(PoolEvent::Nothing);
                };
                let (unit, bytes, holds_slot) = (part.unit, part.bytes, part.holds_slot());
                let (repeated, requests) = (part.repeated, part.requests);
                let cpu = Duration::from_nanos(part.cpu);
                let cost = cpu / part.lines.max(1);
                let fits = self.units.get(unit).is_some_and(|unit| {
                    let Some(lines) = &unit.lines else { return false };
                    let start = self.layout.output_start(part.slot as usize);
                    // SAFETY: the range lies in the slot, as was just checked. A worker writes to a slot only until it
                    // tells of it; one that has been taken over may write all the same, see `Writer::answer`.
                    let output = unsafe {
                        std::slice::from_raw_parts(worker.process.output.at(start, bytes as usize), bytes as usize)
                    };
                    self.format.fits(&part, lines, unit.answered, output)
                });
                if !fits || !self.units.answer(part, &worker.process.output, index, worker.generation) {
                    worker.condemn();
                    return Ok(PoolEvent::Nothing);
                }
                // No more than there were: the worker's word alone does not count.
                let open = worker.asked.load(Ordering::Relaxed).saturating_sub(worker.accounted);
                let repeated = repeated.min(open);
                worker.accounted += repeated + requests.min(open - repeated);
                worker.fresh = false;
                worker.may_give_back = true;
                worker.moved = Instant::now();
                worker.told = worker.moved;
                self.cost = Some(self.cost.map_or(cost, |before| (before * 7 + cost) / 8));
                if let Some(account) = &self.account {
                    // The least that one turn takes.
                    let at_once = if self.export == Export::Batch { cpu.max(cost) } else { cost };
                    account.charge(cpu, at_once);
                }
                if self.units.is_done(unit) {
                    worker.units.retain(|other| other.id != unit);
                }
                if holds_slot {
                    worker.slots_out += 1;
                    // Where an earlier unit turns out to be slow, the rest of it can go to this worker only if it has a slot
                    // for that.
                    if self.ordered
                        && worker.slots_out + 1 >= self.layout.output_slots
                        && let Some(slot) = self.units.set_aside(unit, &self.layout)
                    {
                        self.tell_free(index, slot);
                    }
                }
                self.repeat(repeated);
                Ok(PoolEvent::Answered)
            }
            Kind::GiveBack => {
                let (worker, units) = (&mut self.workers[index], &mut self.units);
                let may = std::mem::take(&mut worker.may_give_back);
                let list = GivenBack::get(payload).filter(|_| may);
                let good = list.is_some_and(|list| {
                    list.iter().all(|GivenBack { unit, from }| {
                        let has = worker.units.iter().any(|mine| mine.id == *unit);
                        has && units.give_back(*unit, *from)
                    })
                });
                if !good {
                    worker.condemn();
                }
                worker.units.retain(|unit| !units.is_done(unit.id));
                // Others may have been done meanwhile.
                Ok(PoolEvent::Answered)
            }
            Kind::Waits => {
                let worker = &mut self.workers[index];
                worker.waits = true;
                worker.units.iter_mut().for_each(|unit| drop(unit.turn.take()));
                Ok(PoolEvent::Nothing)
            }
            _ => {
                self.workers[index].condemn();
                Ok(PoolEvent::Nothing)
            }
        }
    }

    /// Requests are made again.
    fn repeat(&mut self, requests: u64) {
        if requests > 0 {
            self.losses.repeated += requests;
            if let Some(client) = &self.network {
                client.stats().repeated.inc_by(requests);
            }
        }
    }

    /// Gives units to workers that have room, starting more workers as long as there is work for them.
    pub(super) async fn dispatch(&mut self) -> Result<(), RunError> {
        self.wake_resting().await?;
        for index in 0..self.workers.len() {
            let worker = &mut self.workers[index];
            if worker.ready
                && worker.units.is_empty()
                && let Some(key) = worker.reserved.take()
            {
                self.give(index, key, None).await;
            }
        }
        while let Some(key) = self.units.next_todo() {
            let alone = |worker: &Worker, units: &WorkQueue| {
                worker.units.front().and_then(|unit| units.get(unit.id)).is_some_and(|unit| unit.solo)
            };
            // What a dead worker leaves behind stands before what the others have. Output slots are free again when it
            // is their turn to leave, so a unit must not wait behind a later one, nor for slots that later ones hold.
            let in_turn = |worker: &Worker| {
                let last = worker.units.back().and_then(|unit| self.units.place(unit.id));
                worker.slots_out < self.layout.output_slots && last.is_none_or(|last| last < key)
            };
            let free = (0..self.workers.len())
                .filter(|index| {
                    let worker = &self.workers[*index];
                    worker.ready
                        && worker.reserved.is_none()
                        && worker.has_room(self.cost)
                        && !alone(worker, &self.units)
                        && in_turn(worker)
                })
                .min_by_key(|index| self.workers[*index].units.len());
            let Some(turn) = self.turn() else { break };
            let idle = free.is_some_and(|index| self.workers[index].units.is_empty());
            if !idle
                && self.is_pressing(key)
                && self.workers.len() < self.most_workers
                && self.workers.iter().all(|worker| worker.ready)
                && let Some(place) = self.place()
            {
                self.spawn(None, place).await?;
            }
            let Some(index) = free else { break };
            if let Some(most) = self.most_lines(index) {
                self.units.cut(key, most);
            }
            self.give(index, key, turn).await;
        }
        // No worker is free for it: others wait for it.
        self.turn = None;
        Ok(())
    }

    /// How many lines the next unit of a worker has at most, if that is known.
    fn most_lines(&self, index: usize) -> Option<u64> {
        let lines = match self.cost {
            Some(cost) => (UNIT_TIME.as_nanos() / cost.as_nanos().max(1)).clamp(1, u128::from(u32::MAX)) as u64,
            None if self.workers[index].waits => (UNIT_TIME.as_nanos() / USUAL_COST.as_nanos()) as u64,
            // The first unit is small: its events may be slow.
            None => 1,
        };
        match self.export {
            // What the code keeps in variables is of one unit.
            _ if self.fresh_state => None,
            Export::Event => Some(lines),
            Export::Batch => self.batch.map(|batch| lines.next_multiple_of(batch)),
        }
    }

    /// Whether what there is to do is worth a worker process. While nothing is known of the events, they are taken to be
    /// slow if they take long.
    fn is_much(&self) -> bool {
        let silent = self.workers.iter().any(|worker| !worker.units.is_empty() && worker.told.elapsed() >= SILENCE);
        let lines = || u32::try_from(self.units.lines_to_do()).unwrap_or(u32::MAX);
        silent
            || self.units.bytes_to_do() >= FILL / 4
            || self.cost.is_some_and(|cost| cost.saturating_mul(lines()) >= WORTH_A_WORKER)
    }

    /// Whether the unit is worth one more worker, all others being busy. Who shares the processes with others does not start
    /// one for the rest of a request that a worker is working on, unless that is much.
    fn is_pressing(&self, key: Key) -> bool {
        let input = |lines: &Lines| lines.input;
        let next = self.units.at(key).map(input);
        let mut in_hand = self.workers.iter().flat_map(|worker| &worker.units);
        let another =
            in_hand.any(|unit| self.units.get(unit.id).and_then(|unit| unit.lines.as_ref()).map(input) != next);
        match self.gate {
            None => self.is_much(),
            Some(_) => {
                let slow = self.cost.is_some_and(|cost| cost >= SLOW_EVENT);
                another || self.units.bytes_to_do() >= FILL || slow && self.is_much()
            }
        }
    }

    /// Whether one more worker may be started. What comes back is kept with it.
    fn place(&mut self) -> Option<Option<OwnedSemaphorePermit>> {
        let Some(gate) = &self.gate else { return Some(None) };
        let place = gate.processes.clone().try_acquire_owned().ok();
        if place.is_none()
            && self.asked_for_place.is_none_or(|since| since.elapsed() > TICK)
            && let Some(make_room) = gate.on_shortage.get()
        {
            // It takes a moment: the place is found at a later look.
            self.asked_for_place = Some(Instant::now());
            make_room();
        }
        place.map(Some)
    }

    /// Ends workers that have nothing to do, all but the first, which gives back what memory it does not need.
    pub(super) async fn trim(&mut self) {
        while self.workers.len() > 1
            && self.workers.last().is_some_and(|last| last.ready && last.units.is_empty() && last.slots_out == 0)
            && let Some(mut last) = self.workers.pop()
        {
            last.process.end().await;
        }
        let mut out = Vec::new();
        frame::put(&mut out, Kind::Trim, |_| {});
        for worker in self.workers.iter_mut().filter(|worker| worker.ready) {
            worker.process.send(&out);
            worker.process.output.forget(PAGE, self.layout.output_slot * self.layout.output_slots);
        }
    }

    /// Whether one more unit may be handed out. If not, the pool is told when it may.
    fn turn(&mut self) -> Option<Option<Turn>> {
        let Some(account) = &self.account else { return Some(None) };
        if let Some(turn) = self.turn.take().or_else(|| account.try_take()) {
            return Some(Some(turn));
        }
        if !self.asked_for_turn {
            self.asked_for_turn = true;
            let tell = self.tell.clone();
            account.ask(move |turn| {
                tell(WorkerEvent::Turn(turn));
            });
        }
        None
    }

    /// Waits until one more worker may work; nothing where all may.
    pub(super) async fn wait_for_turn(&self) -> Option<Turn> {
        match &self.account {
            Some(account) => account.take().await,
            None => None,
        }
    }

    async fn give(&mut self, index: usize, key: Key, turn: Option<Turn>) {
        let Some(unit) = self.units.take(key) else { return };
        let Some(lines) = &unit.lines else { return };
        let work =
            Work { unit: unit.id, offset: lines.start as u64, len: lines.len as u64, first_line: lines.first_line };
        let mut out = std::mem::take(&mut self.frame);
        out.clear();
        work.put(&mut out);
        let worker = &mut self.workers[index];
        if worker.units.is_empty() {
            worker.moved = Instant::now();
            worker.told = worker.moved;
        }
        worker.waits = false;
        worker.units.push_back(Assigned { id: work.unit, turn });
        worker.process.send(&out);
        self.frame = out;
    }

    async fn spawn(&mut self, of: Option<usize>, place: Option<OwnedSemaphorePermit>) -> Result<(), RunError> {
        let (process, mut reader) = Process::spawn(&self.start, &self.layout, &self.input_fd)
            .await
            .map_err(|error| RunError::Start(error.to_string()))?;
        self.generations += 1;
        let generation = self.generations;
        let index = of.unwrap_or(self.workers.len());
        let tell = self.tell.clone();
        let session = self.network.as_ref().map(|client| fetch_relay::session(client, &process));
        let asked = session.as_ref().map(crate::net::Lane::asked).unwrap_or_default();
        tokio::spawn(async move {
            while let Some((kind, payload)) = read_frame(&mut reader).await {
                if fetch_relay::take(session.as_ref(), kind, &payload) {
                    continue;
                }
                if !tell(WorkerEvent::Frame { worker: index, generation, kind, payload }) {
                    return;
                }
            }
            tell(WorkerEvent::Gone { worker: index, generation });
        });
        let worker = Worker {
            process,
            generation,
            ready: false,
            fresh: true,
            units: VecDeque::new(),
            waits: false,
            reserved: None,
            slots_out: 0,
            events: 0,
            moved: Instant::now(),
            told: Instant::now(),
            hung: false,
            may_give_back: false,
            condemned: false,
            resting: false,
            place,
            asked,
            accounted: 0,
        };
        match of {
            Some(index) => self.workers[index] = worker,
            None => self.workers.push(worker),
        }
        Ok(())
    }

    /// Several workers in a row did not get as far as to load the code. If one has loaded it before, that costs the events that
    /// waited for this one, and not the others.
    async fn cannot_start(&mut self, index: usize, message: String) -> Result<(), RunError> {
        if !self.loaded_once {
            return Err(RunError::Start(message));
        }
        self.failed_starts = 0;
        self.losses.deaths += 1;
        let is_last = !self.workers.iter().any(|worker| worker.ready);
        let reserved = self.workers[index].reserved.take();
        if let Some(key) = reserved.or_else(|| self.units.next_todo().filter(|_| is_last)) {
            let message = format!("no worker could be started for the event: {message}");
            self.units.fail(key, &Failure::new(FailureKind::Crashed, message));
        }
        self.workers[index].resting = true;
        self.workers[index].place = None;
        self.wake_resting().await
    }

    /// Tries again to start workers that could not be started, when there is something to do for them.
    async fn wake_resting(&mut self) -> Result<(), RunError> {
        for index in 0..self.workers.len() {
            if self.workers[index].resting
                && self.units.next_todo().is_some()
                && let Some(place) = self.place()
            {
                self.spawn(Some(index), place).await?;
            }
        }
        Ok(())
    }

    /// Kills workers that do not move although they have work and room for its output.
    pub(super) fn look_after_workers(&mut self) {
        let patience = patience(&self.limits, self.export);
        for worker in &mut self.workers {
            let events = progress(&worker.process.output).events.load(Ordering::Acquire);
            let waits = worker.units.is_empty() && worker.ready || worker.slots_out == self.layout.output_slots;
            if waits {
                worker.told = Instant::now();
            }
            if events != worker.events || waits {
                worker.events = events;
                worker.moved = Instant::now();
            }
            // A worker counts its events itself, and one that has been taken over may count for ever. It tells of its events
            // every few milliseconds, and after each that takes longer: two attempts at one, at most.
            let silent = worker.told.elapsed() > 3 * patience;
            if worker.resting {
                continue;
            }
            if (silent || worker.moved.elapsed() > patience) && !worker.hung {
                worker.hung = true;
                worker.process.kill();
            }
        }
    }

    /// A worker is gone: puts back what it had not answered and starts another one in its place.
    async fn handle_exit(&mut self, index: usize) -> Result<(), RunError> {
        let exit = self.workers[index].process.end().await;
        let worker = &mut self.workers[index];
        if !worker.ready {
            self.failed_starts += 1;
            let from_outside = exit.reason == ExitReason::Killed && !worker.hung && !worker.condemned;
            let max = if from_outside { MAX_KILLED_STARTS } else { MAX_FAILED_STARTS };
            if self.failed_starts >= max {
                let message = self.load_failure.take().unwrap_or_else(|| exit.while_loading());
                return self.cannot_start(index, message).await;
            }
        }
        self.losses.deaths += 1;
        self.losses.hangs += u64::from(worker.hung);
        let page = progress(&worker.process.output);
        let (unit, line) = (page.unit.load(Ordering::Acquire), u64::from(page.line.load(Ordering::Acquire)));
        let stuck = page.note.load(Ordering::Acquire) == note::STUCK;
        let out_of_memory = exit.reason == ExitReason::OutOfMemory;
        let hung = worker.hung;
        self.losses.memory += u64::from(out_of_memory && !hung);
        self.losses.stuck += u64::from(stuck && !out_of_memory && !hung);
        // What its events without a verdict have asked, they will ask again.
        let open = worker.asked.load(Ordering::Relaxed).saturating_sub(worker.accounted);
        let open = if worker.units.is_empty() { 0 } else { open };
        let mut alone = worker.reserved.take();
        // Several units can be under way where events wait. If none of them is named, it was the first.
        let suspect_unit = worker.units.iter().position(|assigned| assigned.id == unit).unwrap_or(0);
        let fresh = worker.fresh;
        for (place, Assigned { id, .. }) in std::mem::take(&mut worker.units).into_iter().enumerate() {
            let Some(entry) = self.units.get(id) else { continue };
            let (answered, solo) = (entry.answered, entry.solo);
            // No event can send this signal, or stop the whole process: most likely it came from outside. Only one that
            // meets it time and again is blamed (the kernel may be short of memory because of it).
            let from_outside = !out_of_memory && (hung || exit.reason == ExitReason::Killed);
            let innocent = from_outside && entry.deaths < PATIENCE_WITH_KILLS;
            // Only the unit whose line was noted can have killed it.
            let is_suspect = place == suspect_unit;
            let hint = is_suspect.then(|| if unit == id { line.max(answered) } else { answered });
            let limits = &self.limits;
            let blame = match () {
                () if !is_suspect => None,
                () if stuck && unit == id => Some(Failure::new(
                    FailureKind::Timeout,
                    format!(
                        "the event took more than {} of CPU time and could only be stopped with its process",
                        humantime::format_duration(limits.cpu)
                    ),
                )),
                () if !(solo && fresh) || innocent => None,
                () if hung => Some(Failure::new(
                    FailureKind::Timeout,
                    "the event hung its worker process, every time, and could only be stopped with it",
                )),
                () if out_of_memory => Some(Failure::new(
                    FailureKind::Memory,
                    format!(
                        "the event needed far more than {} MiB of heap: its worker process died",
                        limits.heap >> 20
                    ),
                )),
                () => Some(Failure::new(
                    FailureKind::Crashed,
                    format!("the event killed its worker process, twice ({exit})"),
                )),
            };
            let suspect = self.units.put_back(id, hint, blame);
            alone = alone.or(suspect);
        }
        self.repeat(open);
        let place = self.workers[index].place.take();
        self.spawn(Some(index), place).await?;
        self.workers[index].reserved = alone;
        Ok(())
    }
}
