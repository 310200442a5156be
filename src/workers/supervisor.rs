//! The supervisor: one loop that connects reader, workers and writer.
//!
//! The reader and the writer are threads that block. Everything else is this loop on one thread, whose work is per
//! batch and never per line. It hands units to workers, books their answers, releases output in the order of the input,
//! and returns the unanswered lines of a dead worker to the queue.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::line_limit::line_too_long;
use super::output::{Config, Report, Writer, Written};
use super::sandbox::SandboxReport;
use super::work_queue::{Chunk, LineRef};
use super::worker_pool::{PoolEvent, TICK, WorkerEvent, WorkerPool};
use super::{Job, OnTick, ReadAt, RunError, StreamEnd, Summary};
use crate::config::OnError;
use crate::wire::input::Open;
use crate::wire::lines::{Piece, ReadError, Reader};
use crate::wire::shared::Mapping;
use sluicegate_engine::Loaded;
use sluicegate_engine::verdict::FailureKind;

enum RunEvent {
    Piece(Piece),
    Read(Result<(), ReadError>),
    WorkerEvent(WorkerEvent),
    Written(Written),
}

struct Supervisor {
    job: Job,
    pool: WorkerPool,
    sender: UnboundedSender<RunEvent>,
    writer: Option<Sender<Chunk>>,
    stop_reader: OwnedFd,
    summary: Summary,
    read_done: bool,
    read_error: Option<ReadError>,
    stopping: bool,
    /// Whether the output goes to a file.
    to_file: bool,
    /// The names of the inputs; `None` for standard input.
    names: Vec<Option<String>>,
}

/// Transforms the content of `inputs` and writes the outputs to standard output or to the job's file.
///
/// # Errors
/// When the run cannot start or cannot finish. Everything read before the error has its verdict.
pub fn run(job: Job, inputs: Vec<Open>, on_tick: &mut OnTick<'_>) -> (Summary, Result<(), RunError>) {
    match runtime() {
        Ok(runtime) => runtime.block_on(async {
            match Supervisor::new(job) {
                Ok((supervisor, memory, events)) => supervisor.run(inputs, memory, events, on_tick).await,
                Err(error) => (Summary::default(), Err(error)),
            }
        }),
        Err(error) => (Summary::default(), Err(error.into())),
    }
}

pub(super) fn check(job: Job) -> Result<(Loaded, SandboxReport), RunError> {
    runtime()?.block_on(async {
        let (mut supervisor, _, mut events) = Supervisor::new(job)?;
        let loaded = supervisor.load(&mut events).await;
        supervisor.pool.end().await;
        loaded
    })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

impl Supervisor {
    fn new(job: Job) -> Result<(Self, Arc<Mapping>, UnboundedReceiver<RunEvent>), RunError> {
        let stop_reader = eventfd(0, EventfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
        let (sender, receiver) = unbounded_channel();
        let tell = sender.clone();
        let (pool, memory) =
            WorkerPool::new(&job, false, None, move |event| tell.send(RunEvent::WorkerEvent(event)).is_ok())?;
        let supervisor = Self {
            pool,
            sender,
            writer: None,
            stop_reader,
            summary: Summary::default(),
            read_done: false,
            read_error: None,
            stopping: false,
            to_file: job.output.is_some(),
            names: Vec::new(),
            job,
        };
        Ok((supervisor, memory, receiver))
    }

    /// Starts the first worker and waits until it has loaded the program.
    async fn load(&mut self, events: &mut UnboundedReceiver<RunEvent>) -> Result<(Loaded, SandboxReport), RunError> {
        self.pool.start(None).await?;
        let deadline = self.pool.loading_ends();
        loop {
            match tokio::time::timeout_at(deadline, events.recv()).await {
                Ok(Some(RunEvent::WorkerEvent(event))) => {
                    if let PoolEvent::Loaded(loaded) = self.pool.take(event).await? {
                        self.job.sandbox.judge(&loaded.1)?;
                        return Ok(*loaded);
                    }
                }
                Ok(_) => {}
                Err(_) => return Err(self.pool.too_slow_to_load()),
            }
        }
    }

    async fn run(
        mut self,
        inputs: Vec<Open>,
        memory: Arc<Mapping>,
        mut events: UnboundedReceiver<RunEvent>,
        on_tick: &mut OnTick<'_>,
    ) -> (Summary, Result<(), RunError>) {
        let started = Instant::now();
        self.names = inputs.iter().map(|input| (input.name != "standard input").then(|| input.name.clone())).collect();
        let config = Config {
            emit: self.job.emit,
            on_error: self.job.on_error,
            errors: self.job.errors.clone(),
            logs: self.job.logs.clone(),
            truncate: self.job.truncate,
            run: run_id(),
            names: self.names.clone(),
            transformation: self.job.transformation.clone(),
            code: self.job.program.code_hash(),
            line: self.job.line.clone(),
            verdict_detail: self.job.verdict_detail,
            origins: self.job.origins.clone(),
            layout: self.pool.layout,
        };
        let writer = match Writer::open(config, self.job.output.take()) {
            Ok(writer) => writer,
            Err((what, error)) => return (self.summary, Err(RunError::Write { what, error })),
        };
        let (chunks, to_write) = channel();
        self.writer = Some(chunks);
        let tell = self.sender.clone();
        let writer = std::thread::spawn(move || {
            writer.run(&to_write, &mut |written| {
                let _ = tell.send(RunEvent::Written(written));
            })
        });

        let result = self.stream(inputs, memory, &mut events, on_tick).await;

        // The workers end first, so that no more answers come. Then the writer finishes its queue.
        self.pool.end().await;
        (self.summary.deaths, self.summary.hangs) = (self.pool.losses.deaths, self.pool.losses.hangs);
        self.summary.repeated_requests = self.pool.losses.repeated;
        drop(self.writer.take());
        let report = loop {
            if writer.is_finished() {
                break writer.join().unwrap_or_else(|_| {
                    let error = std::io::Error::other("the thread that writes has failed; what it had was not written");
                    Report { out: Some(error), ..Report::default() }
                });
            }
            // The writer's messages are ignored now, but a slow consumer may still delay it.
            tokio::select! {
                _ = events.recv() => {}
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        };
        self.summary.elapsed = started.elapsed();
        self.summary.bytes_out = report.bytes_out;
        self.summary.dead_letters.clone_from(&report.kept);
        self.summary.tally.take_back(&report.unwritten);
        if report.out.is_some() {
            // Lines after the failed write count as not read.
            let tally = &mut self.summary.tally;
            tally.lines_in = tally.ok + tally.dropped + tally.failures() + tally.not_written;
        }
        if self.summary.ended == StreamEnd::Closed {
            // The reader of the output did not accept these lines.
            self.summary.tally.lines_in -= std::mem::take(&mut self.summary.tally.not_written);
        }
        let result = result.and_then(|()| self.verdict_on_io(report));
        (self.summary, result)
    }

    fn verdict_on_io(&mut self, mut report: Report) -> Result<(), RunError> {
        if let Some(error) = self.read_error.take() {
            return Err(error.into());
        }
        if let Some(error) = report.out {
            let what = if self.to_file { "the output" } else { "standard output" };
            return Err(RunError::Write { what: what.into(), error });
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
        events: &mut UnboundedReceiver<RunEvent>,
        on_tick: &mut OnTick<'_>,
    ) -> Result<(), RunError> {
        // The code is loaded before the first byte is read, so a transformation that does not compile consumes no
        // input.
        self.load(events).await?;
        let stop = self.stop_reader.try_clone()?;
        let reader = Reader::new(memory, self.pool.layout.input_slot, self.pool.layout.input_slots, stop);
        let sender = self.sender.clone();
        // The thread is detached: a read from a terminal or an idle pipe may never return.
        std::thread::spawn(move || {
            let done = reader.run(inputs, &mut |piece| sender.send(RunEvent::Piece(piece)).is_ok());
            let _ = sender.send(RunEvent::Read(done));
        });

        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // `nohup` ignores SIGHUP, and this keeps it ignored.
        let mut hangup = if is_ignored(libc::SIGHUP) { None } else { Some(signal(SignalKind::hangup())?) };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !(self.stopping || self.read_done && self.pool.units.is_empty()) {
            tokio::select! {
                Some(event) = events.recv() => self.take(event).await?,
                _ = tick.tick() => {
                    self.pool.look_after_workers();
                    // Slow events may justify another worker.
                    self.pool.dispatch().await?;
                    on_tick(&self.summary);
                }
                _ = interrupt.recv() => self.end_early(libc::SIGINT),
                _ = terminate.recv() => self.end_early(libc::SIGTERM),
                Some(_) = async { hangup.as_mut()?.recv().await } => self.end_early(libc::SIGHUP),
            }
        }
        Ok(())
    }

    /// Handles a signal. The first one stops reading and lets the lines under way finish; the second one
    /// stops everything.
    fn end_early(&mut self, signal: i32) {
        if let StreamEnd::Signal(_) = self.summary.ended {
            self.stopping = true;
        }
        self.summary.ended = StreamEnd::Signal(signal);
        self.stop_reading();
    }

    fn stop_reading(&self) {
        let _ = rustix::io::write(&self.stop_reader, &1u64.to_ne_bytes());
    }

    async fn take(&mut self, event: RunEvent) -> Result<(), RunError> {
        match event {
            RunEvent::Piece(Piece::Lines(lines)) => {
                self.summary.tally.lines_in += lines.count;
                self.summary.bytes_in += lines.len as u64;
                self.pool.units.add_lines(lines);
                self.pool.dispatch().await?;
            }
            RunEvent::Piece(Piece::Long(long)) => {
                self.summary.tally.lines_in += 1;
                self.summary.bytes_in += long.len + 1;
                let failure = line_too_long(long.len, self.job.options.limits.line);
                self.pool.units.add_long(long, failure);
                self.leave();
            }
            RunEvent::Read(done) => {
                self.read_done = true;
                self.read_error = done.err();
            }
            RunEvent::WorkerEvent(event) => {
                if let PoolEvent::Answered = self.pool.take(event).await? {
                    self.leave();
                }
                self.pool.dispatch().await?;
            }
            RunEvent::Written(Written::Free { worker, generation, slot }) => {
                self.pool.free(worker, generation, slot).await;
                self.pool.dispatch().await?;
            }
            RunEvent::Written(Written::Closed) => {
                self.forget_what_has_no_verdict();
                self.summary.ended = StreamEnd::Closed;
                self.stopping = true;
                self.stop_reading();
            }
            RunEvent::Written(Written::Failed) => {
                self.stopping = true;
                self.stop_reading();
            }
        }
        Ok(())
    }

    /// Releases and counts the chunks that may leave.
    fn leave(&mut self) {
        for chunk in self.pool.units.leave(self.job.unordered) {
            let chunk = self.count(chunk);
            if let Some(writer) = &self.writer {
                // A failed send means that the writer has ended; its report says why.
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
        let place = |input: usize, line: u64| match &self.job.origins {
            Some(origins) => origins.get(line as usize - 1).map_or((None, line), |at| (at.file.clone(), at.line)),
            None => (self.names[input].clone(), line),
        };
        match &chunk {
            Chunk::Answer { part, lines, .. } => {
                tally.ok += u64::from(part.ok);
                tally.dropped += u64::from(part.dropped);
                tally.blank += u64::from(part.blank);
                tally.events_out += part.events_out;
                if self.summary.unsafe_read.is_none()
                    && let Some(noted) = part.reads.first()
                    && let Ok(read) = serde_json::from_slice(&noted.note)
                {
                    let (input, line) = place(lines.input, lines.first_line + u64::from(noted.line));
                    self.summary.unsafe_read = Some(ReadAt { read, input, line });
                }
                for failed in &part.failures {
                    #[derive(serde::Deserialize)]
                    struct KindOfFailure {
                        kind: FailureKind,
                    }
                    if self.summary.first_failure.is_none() {
                        self.summary.first_failure = serde_json::from_slice(&failed.failure).ok();
                    }
                    if self.job.group_failures
                        && let Ok(failure) = serde_json::from_slice(&failed.failure)
                    {
                        let line = lines.first_line + u64::from(failed.line);
                        self.summary.failure_groups.add(failure, || place(lines.input, line));
                    }
                    let kind = serde_json::from_slice::<KindOfFailure>(&failed.failure);
                    tally.fail(kind.map_or(FailureKind::Crashed, |failure| failure.kind));
                }
                // With `stop`, a worker reports the first failure at once, so no lines follow it in this part.
                if stop && !part.failures.is_empty() {
                    self.end_at_failure();
                }
            }
            Chunk::Blamed { line, failure } => {
                tally.fail(failure.kind);
                if self.job.group_failures {
                    let (input, line) = match line {
                        LineRef::Short(line) => (line.input, line.first_line),
                        LineRef::Long(line) => (line.input, line.line),
                    };
                    self.summary.failure_groups.add(failure.clone(), || place(input, line));
                }
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
        self.summary.ended = StreamEnd::Stopped;
        self.stopping = true;
        self.stop_reading();
    }

    /// Counts lines without a verdict as not read, for a run that ends early on purpose.
    fn forget_what_has_no_verdict(&mut self) {
        let tally = &mut self.summary.tally;
        tally.lines_in = tally.ok + tally.dropped + tally.failures();
    }
}

/// Returns whether this process was started with this signal ignored.
fn is_ignored(signal: i32) -> bool {
    // SAFETY: the structure is plain data for which zeros are valid. It outlives the call, which only
    // reads the handler.
    let handler = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(signal, std::ptr::null(), &raw mut action) != 0 {
            return false;
        }
        action.sa_sigaction
    };
    handler == libc::SIG_IGN
}

/// Returns an id that differs for each run: its start, in seconds since 1970, and its process id.
fn run_id() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}-{:x}", now.as_secs(), now.subsec_nanos(), std::process::id())
}
