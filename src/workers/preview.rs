//! Code that is still being written, tried on a few events by a worker that stays.
//!
//! The worker is that of a run: the same process, walls, engine and limits. Each trial gets an isolate of its own, so
//! that nothing is left of the code of a moment ago. A worker that dies or hangs is replaced, and the trial is blamed
//! only if it killed a fresh one. A trial that is given up (its future is dropped) takes its worker with it; that is
//! how the latest one wins over a loop that is still busy, and what it had asked the network is given up with it.

use std::cell::RefCell;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{answer, verdict_json};
use super::fetch_relay;
use super::mailbox::Mailbox;
use super::process::{FramesReader, Process, Setup, read_frame};
use super::sandbox::SandboxReport;
use super::worker_exit::{ExitReason, STUCK_CODE, WorkerExit};
use super::{RunError, Sandbox};
use crate::net::{Client, Lane, Policy};
use crate::wire::frame::{self, Kind};
use crate::wire::shared::{self, Layout, PAGE};
use sluicegate_engine::verdict::{Failure, FailureKind};
use sluicegate_engine::{Engine, Event, LoadError, Loaded, Options, Program, SharedNetwork};

/// No bulk data travels with a trial.
const LAYOUT: Layout = Layout { input_slot: PAGE, input_slots: 1, output_slot: PAGE, output_slots: 1 };

/// How much longer than its limits a trial may go without a word.
const GRACE: Duration = Duration::from_secs(1);

/// A program and the events that it is tried on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PreviewJob {
    /// The transformation with its libraries.
    pub program: Program,
    /// Limits, and whether logs are kept.
    pub options: Options,
    /// The events, a JSON text each.
    pub events: Vec<String>,
    /// What `metadata(event)` answers, the text of a JSON object; it wins over the program's own.
    pub metadata: Option<String>,
}

/// What came of a trial whose program could be loaded.
#[derive(Debug)]
pub struct Tried {
    /// What is known of the program.
    pub loaded: Loaded,
    /// How long it took to make an isolate and load the program into it.
    pub load: Duration,
    /// Verdicts and cost, see [`super::answer()`].
    pub answer: Box<RawValue>,
}

/// What the worker says, in this order.
#[derive(Serialize, Deserialize)]
enum Word {
    Failed(Box<LoadError>, SandboxReport),
    Loaded(Loaded, Duration, SandboxReport),
    Ran(String),
}

/// Keeps a worker for trials, one after the other.
pub struct PreviewWorker {
    sandbox: Sandbox,
    input: OwnedFd,
    worker: Option<Worker>,
    warned: bool,
    /// Who asks the network for the code, if anybody may, and whom.
    network: Option<(Policy, Client)>,
}

struct Worker {
    process: Process,
    reader: FramesReader,
    /// What was asked through it is given up when it is dropped.
    session: Option<Lane>,
    /// V8's heap limit cannot change once it runs.
    heap: usize,
    fresh: bool,
}

/// How one attempt ended.
enum Attempt {
    Done(Result<Tried, LoadError>),
    /// The worker died, or had to be killed; what it had loaded by then.
    Lost {
        exit: WorkerExit,
        hung: bool,
        loaded: Option<(Loaded, Duration)>,
    },
}

impl PreviewWorker {
    /// Without a worker yet.
    ///
    /// # Errors
    /// When the system has no memory to share.
    pub fn new(sandbox: Sandbox) -> io::Result<Self> {
        let (input, _) = shared::create("sluicegate-input", LAYOUT.input_len(), true)?;
        Ok(Self { sandbox, input, worker: None, warned: false, network: None })
    }

    /// Runs a trial, whose code may ask what this policy allows.
    ///
    /// # Errors
    /// [`RunError::Load`] when the program does not load; anything else when there can be no worker.
    pub async fn run(&mut self, trial: &PreviewJob, policy: &Policy) -> Result<Tried, RunError> {
        self.allow(policy)?;
        let mut frame = Vec::new();
        frame::put(&mut frame, Kind::Try, |out| serde_json::to_writer(out, trial).expect("plain data"));
        loop {
            let heap = trial.options.limits.heap;
            // Out of `self` while it works: if this future is dropped, the worker goes too.
            let mut worker = match self.worker.take().filter(|worker| worker.heap == heap) {
                Some(worker) => worker,
                None => self.spawn(heap).await?,
            };
            match self.attempt(&mut worker, trial, &frame).await? {
                Attempt::Done(result) => {
                    worker.fresh = false;
                    self.worker = Some(worker);
                    return Ok(result?);
                }
                // Perhaps it was what earlier trials left behind.
                Attempt::Lost { .. } if !worker.fresh => {}
                Attempt::Lost { hung: true, loaded: None, .. } => {
                    return Err(LoadError::too_slow(&trial.program.name, &trial.options.limits).into());
                }
                Attempt::Lost { exit, loaded: None, .. } => {
                    return Err(RunError::Start(exit.while_loading()));
                }
                Attempt::Lost { exit, hung, loaded: Some((loaded, load)) } => {
                    let failure = blame(trial, &exit, hung);
                    let verdict = verdict_json(&failure.into(), b"", &[]);
                    let text = format!("{{\"verdicts\":[{verdict}],\"cost\":null}}");
                    let answer = RawValue::from_string(text).expect("made of JSON");
                    return Ok(Tried { loaded, load, answer });
                }
            }
        }
    }

    /// Another policy than the last trial's wants another client, and a worker that speaks to it.
    fn allow(&mut self, policy: &Policy) -> Result<(), RunError> {
        let known = match &self.network {
            Some((known, _)) => known == policy,
            None => policy.is_off(),
        };
        if !known {
            self.worker = None;
            self.network = match policy.is_off() {
                true => None,
                false => {
                    let client = Client::start(policy.clone()).map_err(|error| RunError::Start(error.to_string()))?;
                    Some((policy.clone(), client))
                }
            };
        }
        Ok(())
    }

    async fn spawn(&self, heap: usize) -> Result<Worker, RunError> {
        let client = self.network.as_ref().map(|(_, client)| client);
        let setup = Setup { layout: LAYOUT, heap, jitless: self.sandbox.jitless, network: client.is_some() };
        let mut frame = Vec::new();
        frame::put(&mut frame, Kind::Setup, |out| serde_json::to_writer(out, &setup).expect("plain data"));
        let (process, reader) = Process::spawn(&frame, &LAYOUT, &self.input, None)
            .await
            .map_err(|error| RunError::Start(error.to_string()))?;
        let session = client.map(|client| fetch_relay::session(client, &process));
        Ok(Worker { process, reader, session, heap, fresh: true })
    }

    async fn attempt(&mut self, worker: &mut Worker, trial: &PreviewJob, frame: &[u8]) -> Result<Attempt, RunError> {
        let limits = &trial.options.limits;
        let events = u32::try_from(trial.events.len()).unwrap_or(u32::MAX).max(1);
        // Both limits of an event, twice if it is tried again for its memory.
        let patience = GRACE + limits.loading() * 2 + (limits.cpu + limits.wall) * 2 * events;
        let deadline = tokio::time::Instant::now() + patience;
        worker.process.send(frame);
        let mut known = None;
        loop {
            let answer = tokio::time::timeout_at(deadline, read_frame(&mut worker.reader)).await;
            let hung = answer.is_err();
            let word = match answer {
                Ok(Some((Kind::Tried, payload))) => serde_json::from_slice::<Word>(&payload).ok(),
                Ok(Some((kind, payload))) if fetch_relay::take(worker.session.as_ref(), kind, &payload) => continue,
                _ => None,
            };
            match word {
                Some(Word::Failed(error, walls)) => {
                    self.judge(&walls)?;
                    return Ok(Attempt::Done(Err(*error)));
                }
                Some(Word::Loaded(loaded, load, walls)) => {
                    self.judge(&walls)?;
                    known = Some((loaded, load));
                }
                Some(Word::Ran(text)) => {
                    if let (Some((loaded, load)), Ok(answer)) = (known.take(), RawValue::from_string(text)) {
                        return Ok(Attempt::Done(Ok(Tried { loaded, load, answer })));
                    }
                    let exit = worker.process.end().await;
                    return Ok(Attempt::Lost { exit, hung, loaded: None });
                }
                None => {
                    let exit = worker.process.end().await;
                    return Ok(Attempt::Lost { exit, hung, loaded: known });
                }
            }
        }
    }

    /// Says what the kernel lacks once, or refuses to go on.
    fn judge(&mut self, walls: &SandboxReport) -> Result<(), RunError> {
        if self.warned && !self.sandbox.require {
            return Ok(());
        }
        self.warned = true;
        self.sandbox.judge(walls)
    }
}

/// What an event is told that takes fresh workers with it, as a run would tell it.
fn blame(trial: &PreviewJob, exit: &WorkerExit, hung: bool) -> Failure {
    let limits = &trial.options.limits;
    if exit.reason == ExitReason::OutOfMemory {
        let heap = limits.heap >> 20;
        let message = format!("the event needed far more than {heap} MiB of heap: its worker process died");
        Failure::new(FailureKind::Memory, message)
    } else if hung || exit.reason == ExitReason::Stuck {
        let limit = humantime::format_duration(limits.cpu);
        let message =
            format!("the event took more than {limit} of CPU time and could be stopped only with its process");
        Failure::new(FailureKind::Timeout, message)
    } else {
        Failure::new(FailureKind::Crashed, format!("the event killed its worker process, twice ({exit})"))
    }
}

/// The worker's side, from the first trial on.
pub(super) fn serve(
    mailbox: Mailbox,
    with_network: bool,
    mut socket: &UnixStream,
    mut payload: Vec<u8>,
    walls: &SandboxReport,
) -> io::Result<()> {
    let mailbox = Rc::new(RefCell::new(mailbox));
    let mut tell = |word: &Word| {
        let mut out = Vec::new();
        frame::put(&mut out, Kind::Tried, |out| serde_json::to_writer(out, word).expect("plain data"));
        socket.write_all(&out)
    };
    loop {
        let trial: PreviewJob = serde_json::from_slice(&payload)?;
        let started = Instant::now();
        match Engine::new(trial.program, trial.options) {
            Err(error) => tell(&Word::Failed(Box::new(error), walls.clone()))?,
            Ok(mut engine) => {
                engine.on_stuck(|| {
                    // Not `exit`: the main thread is in the middle of something, and destructors are not for it.
                    // SAFETY: ends the process, whatever it is doing.
                    unsafe { libc::_exit(STUCK_CODE) }
                });
                engine.locate_timeouts();
                tell(&Word::Loaded(engine.loaded(), started.elapsed(), walls.clone()))?;
                if with_network {
                    let network: SharedNetwork = mailbox.clone();
                    engine.connect(network);
                }
                let metadata = trial.metadata.as_deref().map(str::as_bytes);
                let events: Vec<Event<'_>> =
                    trial.events.iter().map(|event| Event { json: event.as_bytes(), metadata }).collect();
                tell(&Word::Ran(answer(&mut engine, &events)))?;
            }
        }
        loop {
            match mailbox.borrow_mut().read(&mut payload)? {
                Some(Kind::Try) => break,
                // To a trial that is over.
                Some(Kind::Answer) => {}
                _ => return Ok(()),
            }
        }
    }
}
