//! The worker's side: one isolate, which transforms lines from shared memory.
//!
//! The worker is single-threaded, except for the watchdog and V8's helper thread. It reads a frame, transforms the
//! lines that the frame names directly from the input region, writes outputs directly to its output region, and reports
//! to the supervisor in parts: when a slot is full, when the lines are done, and every few milliseconds in between, so
//! that slow code does not delay finished lines. Before each event it records which event it starts. If it dies, only
//! that record remains.

mod batches;
mod events;
mod in_flight;
mod output_format;
mod output_slots;
mod split;

use std::cell::RefCell;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::fd;
use super::mailbox::{self, Mailbox};
use super::process::{Ready, Setup, Start};
use super::worker_exit::STUCK_CODE;
use super::{preview, sandbox};
use crate::config::{Emit, LineFormat};
use crate::wire::frame::{self, GivenBack, Kind, Part, Work};
use crate::wire::shared::{Layout, Mapping, note, progress};
use in_flight::InFlight;
use output_slots::ShmSink;
use sluicegate_engine::{self as engine, Engine, Export, LoadError, LoadErrorKind, Program, Ticket};
use split::Split;

/// Failures and logs are reported at the latest when they reach this size, in bytes.
const MAX_PENDING: usize = 1 << 20;

/// If a unit has used this much CPU time, the rest of it is returned. Units are sized to use less.
const SLOW_UNIT: Duration = Duration::from_millis(24);

/// The worker's only output region, for the watchdog's last note.
static OUTPUT: OnceLock<Mapping> = OnceLock::new();

/// A function that runs after the sandbox is complete and before the author's code; see [`main_with`].
pub type Hook = fn(&Program) -> Result<(), String>;

/// Runs the worker. Returns its exit code.
pub fn main() -> u8 {
    main_with(|_| Ok(()))
}

/// Does the same with a hook, for tests that probe the sandbox from inside. Its error is reported as a load error.
pub fn main_with(hook: Hook) -> u8 {
    match serve(hook) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            2
        }
    }
}

fn serve(hook: Hook) -> io::Result<()> {
    let mut report = sandbox::first();
    // SAFETY: the supervisor starts workers with exactly these descriptors open, and nothing else in this
    // process uses them.
    let (socket, input, output) = unsafe {
        (UnixStream::from_raw_fd(fd::SOCKET), OwnedFd::from_raw_fd(fd::INPUT), OwnedFd::from_raw_fd(fd::OUTPUT))
    };
    // A worker has one socket for its whole life.
    let socket: &'static UnixStream = Box::leak(Box::new(socket));
    let mut payload = Vec::new();
    // Read without a buffer, so that no code enters the process before the sandbox is complete.
    let Some(Kind::Setup) = frame::read(&mut &*socket, &mut payload)? else { return Ok(()) };
    let Setup { layout, heap, jitless, network } = serde_json::from_slice(&payload)?;
    if network {
        mailbox::set_read_timeout(socket)?;
    }
    // V8's memory protection keys must be set up on the first thread, before a second one exists.
    engine::initialize_with(engine::Protection::Keys, jitless);
    engine::start_watchdog();
    let input = Mapping::new(&input, layout.input_len(), false)?;
    let output = OUTPUT
        .get_or_init(|| Mapping::new(&output, layout.output_len(), true).expect("the supervisor made it this large"));
    sandbox::last(&mut report, engine::max_memory(heap), jitless);

    let mut mailbox = Mailbox::new(socket);
    match mailbox.read(&mut payload)? {
        Some(Kind::Start) => {}
        Some(Kind::Preview) => return preview::serve(mailbox, network, socket, payload, &report),
        _ => return Ok(()),
    }
    let start: Start = serde_json::from_slice(&payload)?;
    let answer = |ready: &Ready| -> io::Result<()> {
        let mut out = Vec::new();
        frame::put(&mut out, Kind::Ready, |out| serde_json::to_writer(out, ready).expect("plain data"));
        (&mut &*socket).write_all(&out)
    };
    if let Err(message) = hook(&start.program) {
        return answer(&Ready::Failed(LoadError::new(LoadErrorKind::Threw, message)));
    }
    let mut engine = match Engine::new(start.program, start.options) {
        Ok(engine) => engine,
        Err(error) => return answer(&Ready::Failed(error)),
    };
    engine.on_stuck(|| {
        if let Some(output) = OUTPUT.get() {
            progress(output).note.store(note::STUCK, Ordering::SeqCst);
        }
        // Not `exit`: the main thread is still running, so destructors must not run.
        // SAFETY: ends the process in any state.
        unsafe { libc::_exit(STUCK_CODE) }
    });
    let loaded = engine.loaded();
    answer(&Ready::Loaded(loaded.clone(), report))?;
    mailbox.free = (0..layout.output_slots as u32).collect();
    let mailbox = Rc::new(RefCell::new(mailbox));
    if network {
        engine.connect(mailbox.clone());
        engine.on_turn(|Ticket(unit, line)| {
            let progress = progress(output);
            progress.unit.store(unit, Ordering::Relaxed);
            progress.line.store(line, Ordering::Relaxed);
            progress.events.store(progress.events.load(Ordering::Relaxed) + 1, Ordering::Release);
        });
    }
    let mut worker = Worker {
        engine,
        mailbox,
        socket,
        input,
        output,
        layout,
        emit: start.emit,
        line_format: start.line,
        elements: start.elements,
        rows: start.rows,
        pass: start.pass,
        stop: start.stop,
        line_buffered: start.line_buffered,
        batch_size: start.batch_size,
        concurrency: start.concurrency,
        is_batch: loaded.export == Export::Batch,
        in_flight: InFlight::new(start.rows || start.unordered, start.rows),
        repeated: 0,
        measure: start.measure,
        fresh_state: start.fresh_state,
        sink: ShmSink { start: std::ptr::null_mut(), capacity: 0, len: 0, slot: None },
        part: Part::default(),
        pending: 0,
        report_tick: 0,
        cpu: Duration::ZERO,
        unit_cpu: Duration::ZERO,
        unit_tick: 0,
        may_give_back: false,
        last_report: Instant::now(),
        frame: Vec::new(),
    };
    let waits = network && worker.concurrency > 1 && !worker.stop && !worker.measure;
    if waits { worker.run_in_flight() } else { worker.run() }
}

struct Worker {
    engine: Engine,
    mailbox: Rc<RefCell<Mailbox>>,
    socket: &'static UnixStream,
    input: Mapping,
    output: &'static Mapping,
    layout: Layout,
    emit: Emit,
    line_format: LineFormat,
    /// Whether lines are the elements of a JSON array.
    elements: bool,
    rows: bool,
    pass: bool,
    stop: bool,
    line_buffered: bool,
    batch_size: usize,
    /// The most events that may wait at a time.
    concurrency: usize,
    /// Whether events go to `transformBatch`.
    is_batch: bool,
    in_flight: InFlight,
    /// The number of repeated requests already reported.
    repeated: u64,
    measure: bool,
    fresh_state: bool,
    sink: ShmSink,
    part: Part,
    pending: usize,
    report_tick: u64,
    /// The thread's CPU time at the last report.
    cpu: Duration,
    /// The thread's CPU time at the start of the current unit, and the tick of the last check.
    unit_cpu: Duration,
    unit_tick: u64,
    /// Whether anything was reported since a unit was last returned, and the time of the last report.
    may_give_back: bool,
    last_report: Instant,
    frame: Vec<u8>,
}

impl Worker {
    fn run(&mut self) -> io::Result<()> {
        loop {
            let next = self.mailbox.borrow_mut().waiting.pop_front();
            let work = match next {
                Some(work) => work,
                None => {
                    if !self.receive()? {
                        return Ok(());
                    }
                    continue;
                }
            };
            self.unit(work)?;
            self.engine.idle();
        }
    }

    /// Waits for a frame while there is nothing to do. Returns `false` if the supervisor is gone.
    fn receive(&mut self) -> io::Result<bool> {
        let (goes_on, trim) = {
            let mut mailbox = self.mailbox.borrow_mut();
            let goes_on = mailbox.receive()?;
            let nothing_to_do = mailbox.waiting.is_empty();
            (goes_on, std::mem::take(&mut mailbox.trim) && nothing_to_do)
        };
        if trim {
            self.engine.trim();
        }
        Ok(goes_on)
    }

    fn unit(&mut self, work: Work) -> io::Result<()> {
        if self.fresh_state {
            self.engine.renew();
        }
        let mut lines = self.lines_of(work);
        progress(self.output).unit.store(work.unit, Ordering::Relaxed);
        self.part = Part { unit: work.unit, ..Part::default() };
        self.engine.hold();
        self.report_tick = engine::ticks();
        self.begin_unit();
        let mut number = 0;
        if self.is_batch {
            let mut chunk = Vec::with_capacity(self.batch_size);
            loop {
                chunk.clear();
                chunk.extend(lines.by_ref().take(self.batch_size));
                if chunk.is_empty() {
                    break;
                }
                if self.is_slow() {
                    self.give_back(work, number)?;
                    break;
                }
                self.chunk(work, number, &chunk)?;
                number += chunk.len() as u32;
            }
        } else {
            for line in lines {
                if self.is_slow() {
                    self.give_back(work, number)?;
                    break;
                }
                self.line(work, number, line)?;
                number += 1;
            }
        }
        self.tell()
    }

    /// Records the CPU time used before a unit.
    fn begin_unit(&mut self) {
        self.cpu = thread_cpu();
        self.unit_cpu = self.cpu;
        self.unit_tick = engine::ticks();
    }

    /// Returns whether the current unit has taken far longer than planned, so that a free worker should get the rest of
    /// it. Checked once per tick.
    fn is_slow(&mut self) -> bool {
        let tick = engine::ticks();
        tick != std::mem::replace(&mut self.unit_tick, tick)
            // With a fresh state for each unit, a unit cannot be split: its events share the code's variables.
            && !self.fresh_state
            && (self.may_give_back || self.part.lines > 0)
            && thread_cpu().saturating_sub(self.unit_cpu) >= SLOW_UNIT
    }

    /// Returns the lines of the current unit from number `from` on, and the units queued behind it, to the supervisor.
    fn give_back(&mut self, work: Work, from: u32) -> io::Result<()> {
        self.tell()?;
        self.may_give_back = false;
        let mut mailbox = self.mailbox.borrow_mut();
        mailbox.receive_ready()?;
        let mut list = vec![GivenBack { unit: work.unit, from: u64::from(from) }];
        list.extend(mailbox.waiting.drain(..).map(|work| GivenBack { unit: work.unit, from: 0 }));
        let mut out = Vec::new();
        GivenBack::put(&list, &mut out);
        (&mut &*self.socket).write_all(&out)
    }

    /// Returns the lines of a unit. They do not change until they are reported.
    fn lines_of(&self, work: Work) -> Split<'static> {
        let start = self.input.at(work.offset as usize, work.len as usize);
        // SAFETY: the supervisor fills the range before it names it, and does not change it until it is answered. The
        // mapping lives as long as the worker.
        let bytes: &'static [u8] = unsafe { std::slice::from_raw_parts(start, work.len as usize) };
        Split { rest: bytes, rows: self.rows }
    }

    /// Sends a frame without a payload.
    fn say(&self, kind: Kind) -> io::Result<()> {
        let mut out = Vec::new();
        frame::put(&mut out, kind, |_| {});
        (&mut &*self.socket).write_all(&out)
    }
}

/// Returns the CPU time of this thread so far.
fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
