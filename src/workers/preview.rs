//! Runs code that is still being written on a few events, in a worker that stays between previews.
//!
//! The worker is the same as in a run: the same process, sandbox, engine and limits. Each preview gets a new isolate, so
//! nothing remains of the previous version of the code. A worker that dies or hangs is replaced, and the preview is
//! blamed only if it killed a fresh worker. Cancelling a preview (dropping its future) ends its worker and cancels its
//! network requests. So the latest preview can replace one that is stuck in a loop.

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
use crate::net::{Client, Policy, Session};
use crate::wire::frame::{self, Kind, MAX_PREVIEW};
use crate::wire::shared::{self, Layout, PAGE};
use sluicegate_engine::verdict::{Failure, FailureKind};
use sluicegate_engine::{Engine, Event, LoadError, Loaded, Options, Program, SharedNetwork};

/// Previews exchange no bulk data.
const LAYOUT: Layout = Layout { input_slot: PAGE, input_slots: 1, output_slot: PAGE, output_slots: 1 };

/// How long a preview may stay silent beyond its limits.
const GRACE: Duration = Duration::from_secs(1);

/// A program, and the events to run it on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PreviewJob {
    /// The transformation with its libraries.
    pub program: Program,
    /// Limits, and whether logs are kept.
    pub options: Options,
    /// The events, a JSON text each.
    pub events: Vec<String>,
    /// The result of `metadata(event)`, as the text of a JSON object. It overrides the program's own.
    pub metadata: Option<String>,
}

/// The result of a preview whose program was loaded.
#[derive(Debug)]
pub struct PreviewResult {
    /// Properties of the program.
    pub loaded: Loaded,
    /// The time to create an isolate and load the program into it.
    pub load: Duration,
    /// Verdicts and cost, see [`super::answer()`].
    pub answer: Box<RawValue>,
}

/// The messages from the worker, in this order.
#[derive(Serialize, Deserialize)]
enum PreviewMessage {
    Failed(Box<LoadError>, SandboxReport),
    Loaded(Loaded, Duration, SandboxReport),
    Ran(String),
}

/// Keeps a worker for previews, which run one after the other.
pub struct PreviewWorker {
    sandbox: Sandbox,
    input: OwnedFd,
    worker: Option<Worker>,
    warned: bool,
    /// The allowed network requests, and the client that sends them; `None` if no requests are allowed.
    network: Option<(Policy, Client)>,
}

struct Worker {
    process: Process,
    reader: FramesReader,
    /// Dropping it cancels the worker's requests.
    session: Option<Session>,
    /// V8's heap limit cannot change after the start.
    heap: usize,
    fresh: bool,
}

/// How one attempt ended.
enum Attempt {
    Done(Result<PreviewResult, LoadError>),
    /// The worker died or had to be killed; `loaded` is set if it had loaded the program by then.
    Lost {
        exit: WorkerExit,
        hung: bool,
        loaded: Option<(Loaded, Duration)>,
    },
}

impl PreviewWorker {
    /// Creates this without a worker.
    ///
    /// # Errors
    /// When the system cannot create shared memory.
    pub fn new(sandbox: Sandbox) -> io::Result<Self> {
        let (input, _) = shared::create("sluicegate-input", LAYOUT.input_len(), true)?;
        Ok(Self { sandbox, input, worker: None, warned: false, network: None })
    }

    /// Runs a preview. Its code may send the network requests that this policy allows.
    ///
    /// # Errors
    /// [`RunError::Load`] when the program does not load; any other error when no worker can run.
    pub async fn run(&mut self, job: &PreviewJob, policy: &Policy) -> Result<PreviewResult, RunError> {
        self.allow(policy)?;
        let mut frame = Vec::new();
        frame::put(&mut frame, Kind::Preview, |out| serde_json::to_writer(out, job).expect("plain data"));
        loop {
            let heap = job.options.limits.heap;
            // Not in `self` during the preview: if this future is dropped, the worker is dropped too.
            let mut worker = match self.worker.take().filter(|worker| worker.heap == heap) {
                Some(worker) => worker,
                None => self.spawn(heap).await?,
            };
            match self.run_once(&mut worker, job, &frame).await? {
                Attempt::Done(result) => {
                    worker.fresh = false;
                    self.worker = Some(worker);
                    return Ok(result?);
                }
                // Earlier previews may have caused it.
                Attempt::Lost { .. } if !worker.fresh => {}
                Attempt::Lost { hung: true, loaded: None, .. } => {
                    return Err(LoadError::too_slow(&job.program.name, &job.options.limits).into());
                }
                Attempt::Lost { exit, loaded: None, .. } => {
                    return Err(RunError::Start(exit.while_loading()));
                }
                Attempt::Lost { exit, hung, loaded: Some((loaded, load)) } => {
                    let failure = blame(job, &exit, hung);
                    let verdict = verdict_json(&failure.into(), b"", &[]);
                    let text = format!("{{\"verdicts\":[{verdict}],\"cost\":null}}");
                    let answer = RawValue::from_string(text).expect("made of JSON");
                    return Ok(PreviewResult { loaded, load, answer });
                }
            }
        }
    }

    /// Replaces the client and the worker if the policy differs from the last preview's.
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

    async fn run_once(&mut self, worker: &mut Worker, job: &PreviewJob, frame: &[u8]) -> Result<Attempt, RunError> {
        let limits = &job.options.limits;
        let events = u32::try_from(job.events.len()).unwrap_or(u32::MAX).max(1);
        // Both limits for each event, twice in case it is retried for its memory.
        let patience = GRACE + limits.loading() * 2 + (limits.cpu + limits.wall) * 2 * events;
        let deadline = tokio::time::Instant::now() + patience;
        worker.process.send(frame);
        let mut known = None;
        loop {
            let answer = tokio::time::timeout_at(deadline, read_frame(&mut worker.reader, MAX_PREVIEW)).await;
            let hung = answer.is_err();
            let message = match answer {
                Ok(Some((Kind::PreviewReply, payload))) => serde_json::from_slice::<PreviewMessage>(&payload).ok(),
                Ok(Some((kind, payload))) if fetch_relay::take(worker.session.as_ref(), kind, &payload) => continue,
                _ => None,
            };
            match message {
                Some(PreviewMessage::Failed(error, report)) => {
                    self.judge(&report)?;
                    return Ok(Attempt::Done(Err(*error)));
                }
                Some(PreviewMessage::Loaded(loaded, load, report)) => {
                    self.judge(&report)?;
                    known = Some((loaded, load));
                }
                Some(PreviewMessage::Ran(text)) => {
                    if let (Some((loaded, load)), Ok(answer)) = (known.take(), RawValue::from_string(text)) {
                        return Ok(Attempt::Done(Ok(PreviewResult { loaded, load, answer })));
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

    /// Warns once about a missing layer of the sandbox, or fails if the sandbox is required.
    fn judge(&mut self, report: &SandboxReport) -> Result<(), RunError> {
        if self.warned && !self.sandbox.require {
            return Ok(());
        }
        self.warned = true;
        self.sandbox.judge(report)
    }
}

/// Returns the failure of an event that killed fresh workers, with the same message as in a run.
fn blame(job: &PreviewJob, exit: &WorkerExit, hung: bool) -> Failure {
    let limits = &job.options.limits;
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

/// Runs the worker's side, from the first preview on.
pub(super) fn serve(
    mailbox: Mailbox,
    with_network: bool,
    mut socket: &UnixStream,
    mut payload: Vec<u8>,
    report: &SandboxReport,
) -> io::Result<()> {
    let mailbox = Rc::new(RefCell::new(mailbox));
    let mut tell = |message: &PreviewMessage| {
        let mut out = Vec::new();
        frame::put(&mut out, Kind::PreviewReply, |out| serde_json::to_writer(out, message).expect("plain data"));
        socket.write_all(&out)
    };
    loop {
        let job: PreviewJob = serde_json::from_slice(&payload)?;
        let started = Instant::now();
        match Engine::new(job.program, job.options) {
            Err(error) => tell(&PreviewMessage::Failed(Box::new(error), report.clone()))?,
            Ok(mut engine) => {
                engine.on_stuck(|| {
                    // Not `exit`: the main thread is still running, so destructors must not run.
                    // SAFETY: ends the process in any state.
                    unsafe { libc::_exit(STUCK_CODE) }
                });
                engine.locate_timeouts();
                tell(&PreviewMessage::Loaded(engine.loaded(), started.elapsed(), report.clone()))?;
                if with_network {
                    let network: SharedNetwork = mailbox.clone();
                    engine.connect(network);
                }
                let metadata = job.metadata.as_deref().map(str::as_bytes);
                let events: Vec<Event<'_>> =
                    job.events.iter().map(|event| Event { json: event.as_bytes(), metadata }).collect();
                tell(&PreviewMessage::Ran(answer(&mut engine, &events)))?;
            }
        }
        loop {
            match mailbox.borrow_mut().read(&mut payload)? {
                Some(Kind::Preview) => break,
                // The answer belongs to a finished preview.
                Some(Kind::Answer) => {}
                _ => return Ok(()),
            }
        }
    }
}
