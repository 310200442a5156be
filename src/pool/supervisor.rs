//! The supervisor: reader, workers and writer, held together by one loop.
//!
//! The reader and the writer are threads that block; everything else is this loop on one thread, which sees an event
//! per batch and never per line. It hands units to workers, books their answers, lets what is next in the input's order
//! leave, and puts back what a dead worker had not answered.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::output::{Config, Report, Writer, Written};
use super::process::{Process, Ready, Setup, Start, read_frame};
use super::units::{Chunk, Key, Units};
use super::wall::Walls;
use super::worker::line_too_long;
use super::{Ended, Job, OnTick, RunError, Summary, network};
use crate::config::OnError;
use crate::engine::{Limits, LoadError, Loaded};
use crate::verdict::{Failure, FailureKind};
use crate::wire::frame::{self, Kind, Part, Work};
use crate::wire::lines::{FILL, Open, Piece, ReadError, Reader, slot_len};
use crate::wire::shared::{self, Layout, Mapping, note, pages, progress};

/// Units that a worker has at a time: one in hand, one to go on with.
const UNITS_PER_WORKER: usize = 2;

/// How often to look after the workers.
const TICK: Duration = Duration::from_millis(100);

/// How many workers may be killed from outside with an event alone in hand before it is blamed.
const PATIENCE_WITH_KILLS: u32 = 4;

/// Workers that may die in a row before they are ready.
const MOST_FAILED_STARTS: u32 = 3;

/// The same, where somebody else killed them.
const MOST_KILLED_STARTS: u32 = 30;

enum Happening {
    Piece(Piece),
    Read(Result<(), ReadError>),
    Frame { worker: usize, generation: u64, kind: Kind, payload: Vec<u8> },
    Gone { worker: usize, generation: u64 },
    Written(Written),
}

struct Worker {
    process: Process,
    generation: u64,
    ready: bool,
    /// Whether it has answered nothing yet.
    fresh: bool,
    /// Units it has, in order.
    units: VecDeque<u64>,
    /// The unit that it was started for.
    reserved: Option<Key>,
    slots_out: usize,
    events: u64,
    moved: Instant,
    hung: bool,
}

struct Supervisor {
    job: Job,
    layout: Layout,
    input_fd: OwnedFd,
    start: Vec<u8>,
    workers: Vec<Worker>,
    units: Units,
    sender: UnboundedSender<Happening>,
    writer: Option<Sender<Chunk>>,
    stop_reader: OwnedFd,
    summary: Summary,
    frame: Vec<u8>,
    read_done: bool,
    read_error: Option<ReadError>,
    generations: u64,
    failed_starts: u32,
    stopping: bool,
}

/// Transforms what `inputs` hold and writes the outputs to standard output.
///
/// # Errors
/// When it could not be run, or not to its end. What had been read by then has its verdicts.
pub fn run(job: Job, inputs: Vec<Open>, on_tick: &mut OnTick<'_>) -> (Summary, Result<(), RunError>) {
    match runtime() {
        Ok(runtime) => runtime.block_on(async {
            match Supervisor::new(job) {
                Ok((supervisor, memory, happenings)) => supervisor.run(inputs, memory, happenings, on_tick).await,
                Err(error) => (Summary::default(), Err(error)),
            }
        }),
        Err(error) => (Summary::default(), Err(error.into())),
    }
}

pub(super) fn check(job: Job) -> Result<(Loaded, Walls), RunError> {
    runtime()?.block_on(async {
        let (supervisor, ..) = Supervisor::new(job)?;
        let (mut process, mut reader) = Process::spawn(&supervisor.start, &supervisor.layout, &supervisor.input_fd)
            .await
            .map_err(|error| RunError::Start(error.to_string()))?;
        let patience = patience(&supervisor.job.options.limits);
        let Ok(answer) = tokio::time::timeout(patience, read_frame(&mut reader)).await else {
            return Err(supervisor.too_slow_to_load());
        };
        match answer {
            Some((Kind::Ready, payload)) => match serde_json::from_slice(&payload) {
                Ok(Ready::Loaded(loaded, walls)) => {
                    supervisor.job.sandbox.judge(&walls)?;
                    Ok((loaded, walls))
                }
                Ok(Ready::Failed(error)) => Err(error.into()),
                Err(error) => Err(RunError::Start(error.to_string())),
            },
            _ => Err(RunError::Start(format!("it died while loading the code ({})", process.end().await))),
        }
    })
}

/// How long a worker may not move. It keeps the limits itself; this is for one that no longer can.
fn patience(limits: &Limits) -> Duration {
    limits.cpu.max(limits.wall) + Duration::from_secs(1)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

impl Supervisor {
    fn new(job: Job) -> Result<(Self, Arc<Mapping>, UnboundedReceiver<Happening>), RunError> {
        let limits = &job.options.limits;
        let layout = Layout {
            input_slot: slot_len(limits.line),
            // One being filled, one carried over, and what the workers have.
            input_slots: job.workers * UNITS_PER_WORKER + 2,
            // A batch's output, then one event's, then a line passed on as it came, then a failure's account.
            output_slot: pages(FILL + limits.output + limits.line + (1 << 20)),
            output_slots: 4,
        };
        let (input_fd, memory) = shared::create("sluicegate-input", layout.input_len(), true)?;
        let hello = Start {
            program: job.program.clone(),
            options: job.options.clone(),
            emit: job.emit,
            envelope: job.envelope,
            pass: job.on_error == OnError::Pass,
            stop: job.on_error == OnError::Stop,
            line_buffered: job.line_buffered,
            batch_size: job.batch_size.max(1),
        };
        let setup = Setup { layout, heap: limits.heap, jitless: job.sandbox.jitless, network: job.network.is_some() };
        let mut start = Vec::new();
        frame::put(&mut start, Kind::Setup, |out| serde_json::to_writer(out, &setup).expect("plain data"));
        frame::put(&mut start, Kind::Start, |out| serde_json::to_writer(out, &hello).expect("plain data"));
        let stop_reader = eventfd(0, EventfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
        let (sender, receiver) = unbounded_channel();
        let supervisor = Self {
            layout,
            input_fd,
            start,
            workers: Vec::new(),
            units: Units::default(),
            sender,
            writer: None,
            stop_reader,
            summary: Summary::default(),
            frame: Vec::new(),
            read_done: false,
            read_error: None,
            generations: 0,
            failed_starts: 0,
            stopping: false,
            job,
        };
        Ok((supervisor, Arc::new(memory), receiver))
    }

    async fn run(
        mut self,
        inputs: Vec<Open>,
        memory: Arc<Mapping>,
        mut happenings: UnboundedReceiver<Happening>,
        on_tick: &mut OnTick<'_>,
    ) -> (Summary, Result<(), RunError>) {
        let started = Instant::now();
        let names = inputs.iter().map(|input| (input.name != "standard input").then(|| input.name.clone())).collect();
        let config = Config {
            emit: self.job.emit,
            on_error: self.job.on_error,
            errors: self.job.errors.clone(),
            logs: self.job.logs.clone(),
            names,
            code: self.job.program.code_hash(),
            layout: self.layout,
        };
        let writer = match Writer::open(config) {
            Ok(writer) => writer,
            Err((what, error)) => return (self.summary, Err(RunError::Write { what, error })),
        };
        let (chunks, to_write) = channel();
        self.writer = Some(chunks);
        let tell = self.sender.clone();
        let writer = std::thread::spawn(move || {
            writer.run(&to_write, &mut |written| {
                let _ = tell.send(Happening::Written(written));
            })
        });

        let result = self.stream(inputs, memory, &mut happenings, on_tick).await;

        // Workers first: nobody answers any more. Then the writer finishes what it has.
        for mut worker in self.workers.drain(..) {
            worker.process.end().await;
        }
        self.units.clear();
        drop(self.writer.take());
        let report = loop {
            if writer.is_finished() {
                break writer.join().unwrap_or_default();
            }
            // The writer's messages are of no use now, but a full output may still take its time.
            tokio::select! {
                _ = happenings.recv() => {}
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        };
        self.summary.elapsed = started.elapsed();
        self.summary.bytes_out = report.bytes_out;
        let result = result.and_then(|()| self.verdict_on_io(report));
        (self.summary, result)
    }

    fn verdict_on_io(&mut self, mut report: Report) -> Result<(), RunError> {
        if let Some(error) = self.read_error.take() {
            return Err(error.into());
        }
        if let Some(error) = report.out {
            return Err(RunError::Write { what: "standard output".into(), error });
        }
        match report.failed.pop() {
            Some((what, error)) => Err(RunError::Write { what, error }),
            None => Ok(()),
        }
    }

    async fn stream(
        &mut self,
        inputs: Vec<Open>,
        memory: Arc<Mapping>,
        happenings: &mut UnboundedReceiver<Happening>,
        on_tick: &mut OnTick<'_>,
    ) -> Result<(), RunError> {
        self.spawn(None).await?;
        // The code is loaded before the first byte is read: a transformation that does not compile consumes nothing.
        let deadline = tokio::time::Instant::now() + patience(&self.job.options.limits);
        while !self.workers.iter().any(|worker| worker.ready) {
            match tokio::time::timeout_at(deadline, happenings.recv()).await {
                Ok(Some(happening)) => self.take(happening).await?,
                Ok(None) => {}
                Err(_) => return Err(self.too_slow_to_load()),
            }
        }
        let stop = self.stop_reader.try_clone()?;
        let reader = Reader::new(memory, self.layout.input_slot, self.layout.input_slots, stop);
        let sender = self.sender.clone();
        // Detached: a read from a terminal or an idle pipe may never return.
        std::thread::spawn(move || {
            let done = reader.run(inputs, &mut |piece| sender.send(Happening::Piece(piece)).is_ok());
            let _ = sender.send(Happening::Read(done));
        });

        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !(self.stopping || self.read_done && self.units.is_empty()) {
            tokio::select! {
                Some(happening) = happenings.recv() => self.take(happening).await?,
                _ = tick.tick() => {
                    self.look_after_workers();
                    on_tick(&self.summary.tally);
                }
                _ = interrupt.recv() => self.end_early(libc::SIGINT),
                _ = terminate.recv() => self.end_early(libc::SIGTERM),
            }
        }
        Ok(())
    }

    /// A signal: the first one ends reading and lets everything in flight finish, the second one ends everything.
    fn end_early(&mut self, signal: i32) {
        if let Ended::Signal(_) = self.summary.ended {
            self.stopping = true;
        }
        self.summary.ended = Ended::Signal(signal);
        self.stop_reading();
    }

    /// The code is in the middle of something that V8 cannot interrupt.
    fn too_slow_to_load(&self) -> RunError {
        LoadError::too_slow(&self.job.program.name, &self.job.options.limits).into()
    }

    fn stop_reading(&self) {
        let _ = rustix::io::write(&self.stop_reader, &1u64.to_ne_bytes());
    }

    async fn take(&mut self, happening: Happening) -> Result<(), RunError> {
        match happening {
            Happening::Piece(Piece::Lines(lines)) => {
                self.summary.tally.lines_in += lines.count;
                self.summary.bytes_in += lines.len as u64;
                self.units.add_lines(lines);
                self.dispatch().await?;
            }
            Happening::Piece(Piece::Long(long)) => {
                self.summary.tally.lines_in += 1;
                self.summary.bytes_in += long.len + 1;
                let failure = line_too_long(long.len, self.job.options.limits.line);
                self.units.add_long(long, failure);
                self.leave();
            }
            Happening::Read(done) => {
                self.read_done = true;
                self.read_error = done.err();
            }
            Happening::Frame { worker, generation, kind, payload } if self.is_current(worker, generation) => {
                self.frame(worker, kind, &payload).await?;
            }
            Happening::Gone { worker, generation } if self.is_current(worker, generation) => {
                self.bury(worker).await?;
            }
            Happening::Written(Written::Free { worker, generation, slot }) => {
                if self.is_current(worker, generation) {
                    let mut out = std::mem::take(&mut self.frame);
                    out.clear();
                    frame::put(&mut out, Kind::Free, |out| out.extend_from_slice(&slot.to_le_bytes()));
                    self.workers[worker].slots_out -= 1;
                    self.workers[worker].process.send(&out);
                    self.frame = out;
                    self.dispatch().await?;
                }
            }
            Happening::Written(Written::Closed) => {
                self.forget_what_has_no_verdict();
                self.summary.ended = Ended::Closed;
                self.stopping = true;
                self.stop_reading();
            }
            Happening::Written(Written::Failed) => {
                self.stopping = true;
                self.stop_reading();
            }
            // From a worker that has been replaced.
            Happening::Frame { .. } | Happening::Gone { .. } => {}
        }
        Ok(())
    }

    fn is_current(&self, worker: usize, generation: u64) -> bool {
        self.workers.get(worker).is_some_and(|worker| worker.generation == generation)
    }

    async fn frame(&mut self, index: usize, kind: Kind, payload: &[u8]) -> Result<(), RunError> {
        match kind {
            Kind::Ready => match serde_json::from_slice(payload) {
                Ok(Ready::Loaded(_, walls)) => {
                    if self.generations == 1 {
                        self.job.sandbox.judge(&walls)?;
                    }
                    self.failed_starts = 0;
                    self.workers[index].ready = true;
                    self.workers[index].moved = Instant::now();
                    self.dispatch().await
                }
                Ok(Ready::Failed(error)) => Err(error.into()),
                Err(error) => Err(RunError::Start(error.to_string())),
            },
            Kind::Part => {
                let worker = &mut self.workers[index];
                let good = Part::get(payload).filter(|part| {
                    let fits = part.bytes <= self.layout.output_slot as u64
                        && (part.slot as usize) < self.layout.output_slots
                        && worker.slots_out < self.layout.output_slots;
                    fits && worker.units.contains(&part.unit)
                });
                let Some(part) = good else {
                    worker.process.kill();
                    return Ok(());
                };
                let (unit, bytes) = (part.unit, part.bytes);
                if !self.units.answer(part, &worker.process.output, index, worker.generation) {
                    worker.process.kill();
                    return Ok(());
                }
                worker.fresh = false;
                worker.moved = Instant::now();
                if bytes > 0 {
                    worker.slots_out += 1;
                }
                if self.units.is_done(unit) {
                    worker.units.retain(|other| *other != unit);
                }
                self.leave();
                self.dispatch().await
            }
            _ => {
                self.workers[index].process.kill();
                Ok(())
            }
        }
    }

    /// Lets go what may leave, and counts it.
    fn leave(&mut self) {
        for chunk in self.units.leave(self.job.unordered) {
            let chunk = self.count(chunk);
            if let Some(writer) = &self.writer {
                // The writer lives as long as its sender.
                let _ = writer.send(chunk);
            }
            if self.stopping {
                return;
            }
        }
    }

    fn count(&mut self, chunk: Chunk) -> Chunk {
        let stop = self.job.on_error == OnError::Stop;
        let tally = &mut self.summary.tally;
        match &chunk {
            Chunk::Answer { part, .. } => {
                tally.ok += u64::from(part.ok);
                tally.dropped += u64::from(part.dropped);
                tally.blank += u64::from(part.blank);
                tally.events_out += part.events_out;
                for failed in &part.failures {
                    #[derive(serde::Deserialize)]
                    struct OnlyKind {
                        kind: FailureKind,
                    }
                    if self.summary.first_failure.is_none() {
                        self.summary.first_failure = serde_json::from_slice(&failed.failure).ok();
                    }
                    let kind = serde_json::from_slice::<OnlyKind>(&failed.failure);
                    tally.fail(kind.map_or(FailureKind::Crashed, |failure| failure.kind));
                }
                // A worker tells of a failure at once when the run is to stop there: nothing of this part stands behind it.
                if stop && !part.failures.is_empty() {
                    self.end_at_failure();
                }
            }
            Chunk::Blamed { failure, .. } => {
                tally.fail(failure.kind);
                self.summary.first_failure.get_or_insert_with(|| failure.clone());
                if stop {
                    self.end_at_failure();
                }
            }
        }
        chunk
    }

    fn end_at_failure(&mut self) {
        self.forget_what_has_no_verdict();
        self.summary.ended = Ended::Stopped;
        self.stopping = true;
        self.stop_reading();
    }

    /// Where a run ends early on purpose: what was read beyond that place counts as not read.
    fn forget_what_has_no_verdict(&mut self) {
        let tally = &mut self.summary.tally;
        tally.lines_in = tally.ok + tally.dropped + tally.failures();
    }

    /// Gives units to workers that have room, starting more workers as long as there is work for them.
    async fn dispatch(&mut self) -> Result<(), RunError> {
        for index in 0..self.workers.len() {
            let worker = &mut self.workers[index];
            if worker.ready
                && worker.units.is_empty()
                && let Some(key) = worker.reserved.take()
            {
                self.give(index, key).await;
            }
        }
        while let Some(key) = self.units.next_todo() {
            let alone = |worker: &Worker, units: &Units| {
                worker.units.front().and_then(|id| units.get(*id)).is_some_and(|unit| unit.solo)
            };
            // What a dead worker leaves behind stands before what the others have. Output slots are free again when it
            // is their turn to leave, so a unit must not wait behind a later one, nor for slots that later ones hold.
            let in_turn = |worker: &Worker| {
                let last = worker.units.back().and_then(|id| self.units.place(*id));
                worker.slots_out < self.layout.output_slots && last.is_none_or(|last| last < key)
            };
            let free = (0..self.workers.len())
                .filter(|index| {
                    let worker = &self.workers[*index];
                    worker.ready
                        && worker.reserved.is_none()
                        && worker.units.len() < UNITS_PER_WORKER
                        && !alone(worker, &self.units)
                        && in_turn(worker)
                })
                .min_by_key(|index| self.workers[*index].units.len());
            match free {
                Some(index) if self.workers[index].units.is_empty() => self.give(index, key).await,
                _ if self.workers.len() < self.job.workers && self.workers.iter().all(|worker| worker.ready) => {
                    self.spawn(None).await?;
                    if let Some(index) = free {
                        self.give(index, key).await;
                    }
                }
                Some(index) => self.give(index, key).await,
                None => break,
            }
        }
        Ok(())
    }

    async fn give(&mut self, index: usize, key: Key) {
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
        }
        worker.units.push_back(work.unit);
        worker.process.send(&out);
        self.frame = out;
    }

    async fn spawn(&mut self, place: Option<usize>) -> Result<(), RunError> {
        let (process, mut reader) = Process::spawn(&self.start, &self.layout, &self.input_fd)
            .await
            .map_err(|error| RunError::Start(error.to_string()))?;
        self.generations += 1;
        let generation = self.generations;
        let index = place.unwrap_or(self.workers.len());
        let sender = self.sender.clone();
        let lane = self.job.network.as_ref().map(|client| network::lane(client, &process));
        tokio::spawn(async move {
            while let Some((kind, payload)) = read_frame(&mut reader).await {
                if network::take(lane.as_ref(), kind, &payload) {
                    continue;
                }
                if sender.send(Happening::Frame { worker: index, generation, kind, payload }).is_err() {
                    return;
                }
            }
            let _ = sender.send(Happening::Gone { worker: index, generation });
        });
        let worker = Worker {
            process,
            generation,
            ready: false,
            fresh: true,
            units: VecDeque::new(),
            reserved: None,
            slots_out: 0,
            events: 0,
            moved: Instant::now(),
            hung: false,
        };
        match place {
            Some(index) => self.workers[index] = worker,
            None => self.workers.push(worker),
        }
        Ok(())
    }

    /// Kills workers that do not move although they have work and room for its output.
    fn look_after_workers(&mut self) {
        let patience = patience(&self.job.options.limits);
        for worker in &mut self.workers {
            let events = progress(&worker.process.output).events.load(Ordering::Acquire);
            let waits = worker.units.is_empty() && worker.ready || worker.slots_out == self.layout.output_slots;
            if events != worker.events || waits {
                worker.events = events;
                worker.moved = Instant::now();
            } else if worker.moved.elapsed() > patience && !worker.hung {
                worker.hung = true;
                worker.process.kill();
            }
        }
    }

    /// A worker is gone: puts back what it had not answered and starts another one in its place.
    async fn bury(&mut self, index: usize) -> Result<(), RunError> {
        let how = self.workers[index].process.end().await;
        let worker = &mut self.workers[index];
        if !worker.ready {
            self.failed_starts += 1;
            let most = if how.starts_with("killed by signal 9 ") { MOST_KILLED_STARTS } else { MOST_FAILED_STARTS };
            if self.failed_starts >= most {
                return Err(RunError::Start(format!("it died while loading the code ({how})")));
            }
        }
        self.summary.deaths += 1;
        self.summary.hangs += u64::from(worker.hung);
        let page = progress(&worker.process.output);
        let (unit, line) = (page.unit.load(Ordering::Acquire), u64::from(page.line.load(Ordering::Acquire)));
        let stuck = page.note.load(Ordering::Acquire) == note::STUCK;
        // V8's last words; a wrong guess only names the failure differently.
        let out_of_memory = how.contains("out of memory");
        let hung = worker.hung;
        let mut alone = worker.reserved.take();
        let fresh = worker.fresh;
        for (place, id) in std::mem::take(&mut worker.units).into_iter().enumerate() {
            let Some(entry) = self.units.get(id) else { continue };
            let (answered, solo) = (entry.answered, entry.solo);
            // No event can send this signal, or stop the whole process: most likely somebody else did. Only one that
            // meets it time and again is blamed (the kernel may be short of memory because of it).
            let from_outside = !out_of_memory && (hung || how.starts_with("killed by signal 9 "));
            let innocent = from_outside && entry.deaths < PATIENCE_WITH_KILLS;
            // Only the unit in hand can have killed it.
            let hint = if unit == id { Some(line.max(answered)) } else { Some(answered) }.filter(|_| place == 0);
            let limits = &self.job.options.limits;
            let blame = match () {
                () if place > 0 => None,
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
                    format!("the event killed its worker process, twice ({how})"),
                )),
            };
            let suspect = self.units.put_back(id, hint, blame);
            alone = alone.or(suspect);
        }
        self.leave();
        self.spawn(Some(index)).await?;
        self.workers[index].reserved = alone;
        self.dispatch().await
    }
}
