//! The worker's side: one isolate, fed with lines from shared memory.
//!
//! Single-threaded but for the watchdog and V8's own helper. It reads a frame, transforms the lines it names straight
//! from the input region, writes outputs straight into its output region, and tells the supervisor in parts: when a slot
//! is full, when the lines are done, and every few milliseconds in between, so that slow code does not hold back what is
//! finished. Before each event it notes which one it is about to touch; that note is all it leaves if it dies.

mod batches;
mod in_flight;

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::fd;
use super::line_limit::line_too_long;
use super::mailbox::{self, Mailbox};
use super::process::{Ready, Setup, Start};
use super::{Cost, preview, sandbox};
use crate::config::{Emit, LineFormat};
use crate::wire::envelope::{self, Envelope, NoEnvelope};
use crate::wire::frame::{self, Failed, GivenBack, Kind, Noted, Part, Work};
use crate::wire::lines::FILL;
use crate::wire::shared::{Layout, Mapping, note, progress};
use crate::wire::{field, row, verdict_line};
use in_flight::{Finished, InFlight};
use sluicegate_engine::verdict::{Failure, FailureKind, Verdict};
use sluicegate_engine::{
    self as engine, Engine, Event, Export, LoadError, LoadErrorKind, LogLine, OutputFraming, Program, Ticket,
    UnsafeRead,
};
use sluicegate_json::Sink;

/// Failures and logs are told at the latest when they have grown to this size, in bytes.
const MAX_PENDING: usize = 1 << 20;

/// CPU time of a unit from which on the rest of it is given back. Units are made to take less.
const SLOW_UNIT: Duration = Duration::from_millis(24);

/// The output region, for the watchdog's last note; a worker has one.
static OUTPUT: OnceLock<Mapping> = OnceLock::new();

/// Something that runs in a worker between its walls and the author's code; see [`main_with`].
pub type Hook = fn(&Program) -> Result<(), String>;

/// The worker's whole life. Returns its exit code.
pub fn main() -> u8 {
    main_with(|_| Ok(()))
}

/// The same, with a hook for tests that try the walls from within. What it says is told as an error of loading.
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
    let mut walls = sandbox::first();
    // SAFETY: the supervisor starts workers with exactly these descriptors open; nothing else in this process knows them.
    let (socket, input, output) = unsafe {
        (UnixStream::from_raw_fd(fd::SOCKET), OwnedFd::from_raw_fd(fd::INPUT), OwnedFd::from_raw_fd(fd::OUTPUT))
    };
    // A worker has one, for as long as it lives.
    let socket: &'static UnixStream = Box::leak(Box::new(socket));
    let mut payload = Vec::new();
    // Read without a buffer, so that nothing of the code is here before the walls are.
    let Some(Kind::Setup) = frame::read(&mut &*socket, &mut payload)? else { return Ok(()) };
    let Setup { layout, heap, jitless, network } = serde_json::from_slice(&payload)?;
    if network {
        mailbox::glance_while_waiting(socket)?;
    }
    // V8's memory protection keys want the process's first thread, before there is another.
    engine::initialize_with(engine::Protection::Keys, jitless);
    // Starts the watchdog, if it is not there yet.
    engine::ticks();
    let input = Mapping::new(&input, layout.input_len(), false)?;
    let output = OUTPUT
        .get_or_init(|| Mapping::new(&output, layout.output_len(), true).expect("the supervisor made it this large"));
    sandbox::last(&mut walls, engine::max_memory(heap), jitless);

    let mut mailbox = Mailbox::new(socket);
    match mailbox.read(&mut payload)? {
        Some(Kind::Start) => {}
        Some(Kind::Try) => return preview::serve(mailbox, network, socket, payload, &walls),
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
        // Not `exit`: the main thread is in the middle of something, and destructors are not for it.
        // SAFETY: ends the process, whatever it is doing.
        unsafe { libc::_exit(3) }
    });
    let loaded = engine.loaded();
    answer(&Ready::Loaded(loaded.clone(), walls))?;
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
        told_at: 0,
        cpu: Duration::ZERO,
        unit_cpu: Duration::ZERO,
        unit_tick: 0,
        may_give_back: false,
        told: Instant::now(),
        frame: Vec::new(),
    };
    let waits = network && worker.concurrency > 1 && !worker.stop && !worker.measure;
    if waits { worker.run_in_flight() } else { worker.run() }
}

/// An output slot of the shared region as a buffer.
struct ShmSink {
    start: *mut u8,
    capacity: usize,
    len: usize,
    slot: Option<u32>,
}

impl Sink for ShmSink {
    fn len(&self) -> usize {
        self.len
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    fn push(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.capacity - self.len, "an event's output is limited to less than a slot");
        // SAFETY: just checked; the slot is this process's until it is told about.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.add(self.len), bytes.len()) };
        self.len += bytes.len();
    }

    fn append_with(&mut self, max: usize, write: &mut dyn FnMut(&mut [u8]) -> usize) {
        assert!(max <= self.capacity - self.len, "an event's output is limited to less than a slot");
        // SAFETY: as above.
        let wrote = write(unsafe { std::slice::from_raw_parts_mut(self.start.add(self.len), max) });
        debug_assert!(wrote <= max);
        self.len += wrote.min(max);
    }
}

impl ShmSink {
    /// Puts bytes before what stands from `at` on.
    fn insert(&mut self, at: usize, bytes: &[u8]) {
        let end = self.len;
        self.push(bytes);
        // SAFETY: all of it lies in what has been written to the slot, which is this process's until it is told about.
        let written = unsafe { std::slice::from_raw_parts_mut(self.start, end + bytes.len()) };
        written[at..].rotate_right(bytes.len());
    }
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
    rows: bool,
    pass: bool,
    stop: bool,
    line_buffered: bool,
    batch_size: usize,
    /// How many events may wait at a time.
    concurrency: usize,
    /// Whether events go to `transformBatch`.
    is_batch: bool,
    in_flight: InFlight,
    /// Requests made again that were told.
    repeated: u64,
    measure: bool,
    fresh_state: bool,
    sink: ShmSink,
    part: Part,
    pending: usize,
    told_at: u64,
    /// The thread's CPU time when it last told something.
    cpu: Duration,
    /// The same when the current unit was begun, and the tick when it was last looked at.
    unit_cpu: Duration,
    unit_tick: u64,
    /// Whether it has told something since it gave something back, and when it told something last.
    may_give_back: bool,
    told: Instant,
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

    /// Waits for a frame while there is nothing to do; `false` when the supervisor is gone.
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
        self.told_at = engine::ticks();
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

    /// Notes how much CPU time was used before a unit.
    fn begin_unit(&mut self) {
        self.cpu = thread_cpu();
        self.unit_cpu = self.cpu;
        self.unit_tick = engine::ticks();
    }

    /// Whether the current unit has taken far longer than units do, so that the rest of it should go to a free worker.
    /// Looked at once a tick.
    fn is_slow(&mut self) -> bool {
        let tick = engine::ticks();
        tick != std::mem::replace(&mut self.unit_tick, tick)
            // There a unit is a request, and what it keeps in variables is one.
            && !self.fresh_state
            && (self.may_give_back || self.part.lines > 0)
            && thread_cpu().saturating_sub(self.unit_cpu) >= SLOW_UNIT
    }

    /// Gives back the lines of the current unit from this one on, and the units behind it.
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

    /// The lines of a unit. They stay as they are until they are told.
    fn lines_of(&self, work: Work) -> Split<'static> {
        let start = self.input.at(work.offset as usize, work.len as usize);
        // SAFETY: the supervisor fills the range before it names it and leaves it alone until it is answered; the mapping
        // lives as long as the worker.
        let bytes: &'static [u8] = unsafe { std::slice::from_raw_parts(start, work.len as usize) };
        Split { rest: bytes, rows: self.rows }
    }

    /// Notes which line is about to be touched, and sees to it that there is room for its output.
    fn begin(&mut self, number: u32) -> io::Result<()> {
        self.make_room_here()?;
        let progress = progress(self.output);
        progress.line.store(number, Ordering::Relaxed);
        progress.events.store(progress.events.load(Ordering::Relaxed) + 1, Ordering::Release);
        Ok(())
    }

    /// Sees to it that there is room for the output of a line of this unit.
    fn make_room(&mut self, work: Work) -> io::Result<()> {
        if self.part.unit != work.unit {
            self.tell()?;
            self.part = Part { unit: work.unit, ..Part::default() };
        }
        self.make_room_here()
    }

    fn make_room_here(&mut self) -> io::Result<()> {
        let ticks = engine::ticks();
        // The supervisor ends a run at its first failure: nothing may stand behind one in a part.
        let failed = self.stop && !self.part.failures.is_empty();
        let due = self.line_buffered || failed || ticks != self.told_at;
        if self.part.lines > 0 && (due || self.sink.len >= FILL || self.pending + self.part.logs.len() >= MAX_PENDING) {
            self.told_at = ticks;
            self.tell()?;
        }
        while self.sink.slot.is_none() {
            // The one that was given back last may still be in the processor's cache.
            let free = self.mailbox.borrow_mut().free.pop();
            match free {
                Some(slot) => {
                    let start = self.layout.output_start(slot as usize);
                    let capacity = self.layout.output_slot;
                    self.sink = ShmSink { start: self.output.at(start, capacity), capacity, len: 0, slot: Some(slot) };
                }
                None => {
                    if !self.mailbox.borrow_mut().receive()? {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, work: Work, number: u32, line: &[u8]) -> io::Result<()> {
        self.begin(number)?;
        let before = self.sink.len;
        let line = trim(line);
        let whole = OnceCell::new();
        match self.event(line, &whole) {
            Ok(None) => {
                self.part.blank += 1;
                self.settle(number, line, before, Verdict::Dropped);
            }
            Ok(Some((event, around))) => {
                let rendering = rendering(self.emit, self.rows, around);
                let before_cpu = self.measure.then(thread_cpu);
                let verdict = self.engine.transform_event(event, &rendering, &mut self.sink);
                self.part.requests += u64::from(self.engine.requests());
                self.cost(before_cpu);
                if let Some(read) = self.engine.unsafe_read() {
                    self.note_read(number, &read);
                }
                self.render_logs(work, number);
                self.settle(number, line, before, verdict);
            }
            Err(failure) => self.settle(number, line, before, failure.into()),
        }
        Ok(())
    }

    /// Adds what the last event has logged.
    fn render_logs(&mut self, work: Work, number: u32) {
        render_logs(self.engine.logs(), work.first_line + u64::from(number), &mut self.part.logs);
    }

    /// Adds what the code has read in a line.
    fn note_read(&mut self, line: u32, read: &UnsafeRead) {
        let note = serde_json::to_vec(read).expect("plain data");
        self.part.reads.push(Noted { line, note });
    }

    /// Books a line that was finished before its turn.
    fn settle_kept(&mut self, work: Work, number: u32, line: &[u8], finished: Finished) {
        let before = self.sink.len;
        self.sink.push(&finished.text);
        self.part.blank += u32::from(finished.blank);
        self.part.requests += u64::from(finished.requests);
        render_logs(&finished.logs, work.first_line + u64::from(number), &mut self.part.logs);
        if let Some(read) = &finished.unsafe_read {
            self.note_read(number, read);
        }
        self.settle(number, line, before, finished.verdict);
    }

    /// Adds to the logs what was spent since then, if that is asked for.
    fn cost(&mut self, before: Option<Duration>) {
        let Some(before) = before else { return };
        let cpu = thread_cpu().saturating_sub(before).as_nanos() as u64;
        let cost = Cost { cpu, heap: self.engine.heap_used() as u64 };
        serde_json::to_writer(&mut self.part.logs, &cost).expect("plain data");
        self.part.logs.push(b'\n');
    }

    /// Lines that go to `transformBatch` together.
    fn chunk(&mut self, work: Work, first: u32, lines: &[&[u8]]) -> io::Result<()> {
        self.begin(first)?;
        let mut events = Vec::with_capacity(lines.len());
        let mut around = Vec::with_capacity(lines.len());
        let mut settled: Vec<Option<Verdict>> = Vec::with_capacity(lines.len());
        let wholes: Vec<OnceCell<Vec<u8>>> = lines.iter().map(|_| OnceCell::new()).collect();
        for (line, whole) in lines.iter().zip(&wholes) {
            match self.event(trim(line), whole) {
                Ok(Some((event, here))) => {
                    events.push(event);
                    around.push(here);
                    settled.push(None);
                }
                Ok(None) => settled.push(Some(Verdict::Dropped)),
                Err(failure) => settled.push(Some(failure.into())),
            }
        }
        let (emit, rows) = (self.emit, self.rows);
        let mut answers: VecDeque<(Verdict, Vec<u8>, Vec<LogLine>)> = VecDeque::new();
        let before_cpu = self.measure.then(thread_cpu);
        let progress = progress(self.output);
        self.engine.transform_batch(
            &events,
            &mut |index| rendering(emit, rows, around[index]),
            &mut |verdict, text, logs| {
                // If each is tried alone, that can take a while.
                progress.events.store(progress.events.load(Ordering::Relaxed) + 1, Ordering::Release);
                answers.push_back((verdict, text, logs.to_vec()));
            },
        );
        self.part.requests += u64::from(self.engine.requests());
        self.cost(before_cpu);
        let read = self.engine.unsafe_read();
        let mut event = 0;
        for (index, (line, settled)) in lines.iter().zip(settled).enumerate() {
            let number = first + index as u32;
            if index > 0 {
                // Each line's output needs room, and may be told; but which line is the current one stays unknown.
                self.begin(number)?;
            }
            let before = self.sink.len;
            let verdict = match settled {
                Some(verdict) => {
                    // Only a blank line is dropped without being asked. It counts in the part that it is told in.
                    self.part.blank += u32::from(matches!(verdict, Verdict::Dropped));
                    verdict
                }
                None => {
                    let Some((verdict, text, logs)) = answers.pop_front() else { continue };
                    if let Some(read) = read.as_ref().filter(|read| read.index == event) {
                        self.note_read(number, read);
                    }
                    event += 1;
                    self.sink.push(&text);
                    render_logs(&logs, work.first_line + u64::from(number), &mut self.part.logs);
                    verdict
                }
            };
            self.settle(number, trim(line), before, verdict);
        }
        Ok(())
    }

    /// The event in a line and what of the line stands around it; nothing for a blank line. `whole` is room for the line with
    /// each field once, or for an event that the line holds as a string.
    #[allow(clippy::type_complexity, reason = "used twice, right here")]
    fn event<'b>(
        &self,
        line: &'b [u8],
        whole: &'b OnceCell<Vec<u8>>,
    ) -> Result<Option<(Event<'b>, (&'b [u8], &'b [u8]))>, Failure> {
        match self.event_of(line) {
            Err(NoEnvelope::Failed(failure)) => Err(failure),
            Err(NoEnvelope::Elsewhere(event)) => {
                let json = whole.get_or_init(|| event);
                Ok(Some((Event { json, metadata: None }, (b"", b""))))
            }
            Err(NoEnvelope::Duplicates) => {
                let whole = whole.get_or_init(|| envelope::without_duplicates(line));
                let twice = || Failure::new(FailureKind::InvalidJson, "the line has a field twice");
                self.event_of(whole).map_err(|error| match error {
                    NoEnvelope::Failed(failure) => failure,
                    NoEnvelope::Duplicates | NoEnvelope::Elsewhere(_) => twice(),
                })
            }
            Ok(event) => Ok(event),
        }
    }

    /// The same, if no field stands twice in an envelope.
    #[allow(clippy::type_complexity, reason = "used twice, right here")]
    fn event_of<'b>(&self, line: &'b [u8]) -> Result<Option<(Event<'b>, (&'b [u8], &'b [u8]))>, NoEnvelope> {
        if self.rows {
            let broken = || NoEnvelope::Failed(Failure::new(FailureKind::InvalidJson, "the line is not a row"));
            return row::get(line).map(Some).ok_or_else(broken);
        }
        let limit = self.engine.limits().line;
        if line.len() > limit {
            return Err(NoEnvelope::Failed(line_too_long(line.len() as u64, limit)));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        match &self.line_format {
            LineFormat::Event => return Ok(Some((Event { json: line, metadata: None }, (b"", b"")))),
            LineFormat::Field(name) => {
                let event = match field::event(line, name).map_err(NoEnvelope::Failed)? {
                    Cow::Borrowed(event) => event,
                    Cow::Owned(event) => return Err(NoEnvelope::Elsewhere(event)),
                };
                return Ok(Some((Event { json: event, metadata: None }, (b"", b""))));
            }
            LineFormat::Envelope => {}
        }
        let Envelope { message, metadata } = envelope::parse(line)?;
        let start = message.as_ptr() as usize - line.as_ptr() as usize;
        let around = (&line[..start], &line[start + message.len()..]);
        Ok(Some((Event { json: message, metadata }, around)))
    }

    /// Books one line's verdict.
    fn settle(&mut self, number: u32, line: &[u8], before: usize, verdict: Verdict) {
        self.part.lines += 1;
        match verdict {
            Verdict::Ok { outputs } => {
                if self.emit == Emit::Framed {
                    self.sink.insert(before, &verdict_line::ok(outputs));
                }
                self.part.ok += 1;
                self.part.events_out += u64::from(outputs);
            }
            Verdict::Dropped => {
                self.part.dropped += 1;
                if self.rows {
                    self.part.dropped_lines.push(number);
                } else if self.emit.has_verdicts() {
                    let mut text = Vec::new();
                    verdict_line::dropped(self.metadata(line).as_deref(), &mut text);
                    self.sink.push(&text);
                }
            }
            Verdict::Failed(failure) => {
                if self.emit.has_verdicts() {
                    let mut text = Vec::new();
                    verdict_line::failed(&failure, self.metadata(line).as_deref(), &mut text);
                    self.sink.push(&text);
                } else if self.pass {
                    self.sink.push(line);
                    self.sink.push(b"\n");
                }
                let failure = serde_json::to_vec(&*failure).expect("a failure is plain data");
                self.pending += failure.len();
                self.part.failures.push(Failed { line: number, output_at: before as u64, failure });
            }
        }
    }

    /// A frame without anything in it.
    fn say(&self, kind: Kind) -> io::Result<()> {
        let mut out = Vec::new();
        frame::put(&mut out, kind, |_| {});
        (&mut &*self.socket).write_all(&out)
    }

    /// The metadata of a line's envelope, which every verdict says again.
    fn metadata<'b>(&self, line: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        if self.line_format == LineFormat::Envelope { envelope::metadata(line) } else { None }
    }

    /// Tells the supervisor what is settled so far.
    fn tell(&mut self) -> io::Result<()> {
        self.mailbox.borrow_mut().flush()?;
        if self.part.lines == 0 {
            return Ok(());
        }
        let cpu = thread_cpu();
        self.part.cpu = (cpu - self.cpu).as_nanos() as u64;
        self.cpu = cpu;
        if self.rows {
            self.part.heap = self.engine.heap_used() as u64;
        }
        let repeated = self.engine.repeated_requests();
        self.part.repeated = repeated - std::mem::replace(&mut self.repeated, repeated);
        self.part.bytes = self.sink.len as u64;
        if self.part.holds_slot() {
            self.part.slot = self.sink.slot.take().unwrap_or_default();
            self.sink.len = 0;
        }
        let mut out = std::mem::take(&mut self.frame);
        out.clear();
        self.part.put(&mut out);
        self.may_give_back = true;
        self.told = Instant::now();
        let written = (&mut &*self.socket).write_all(&out);
        self.frame = out;
        let unit = self.part.unit;
        self.part = Part { unit, ..Part::default() };
        self.pending = 0;
        written
    }
}

fn rendering<'a>(emit: Emit, rows: bool, around: (&'a [u8], &'a [u8])) -> OutputFraming<'a> {
    if rows {
        return row::rendering(around);
    }
    let base = match emit {
        Emit::Events | Emit::Framed => OutputFraming::LINES,
        Emit::Verdicts => verdict_line::OK,
    };
    OutputFraming { around, ..base }
}

fn render_logs(lines: &[LogLine], line: u64, out: &mut Vec<u8>) {
    #[derive(serde::Serialize)]
    struct Rendered<'a> {
        line: u64,
        #[serde(flatten)]
        log: &'a LogLine,
    }
    for log in lines {
        serde_json::to_writer(&mut *out, &Rendered { line, log }).expect("plain data");
        out.push(b'\n');
    }
}

/// The CPU time of this thread so far.
fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn trim(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Lines without their ends; nothing after the last line end.
struct Split<'a> {
    rest: &'a [u8],
    /// Whether they say themselves how long they are.
    rows: bool,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let said = if self.rows { row::len(self.rest) } else { None };
        let end = match said {
            Some(len) if self.rest.get(len) == Some(&b'\n') => said,
            _ => memchr::memchr(b'\n', self.rest),
        };
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &self.rest[self.rest.len()..]),
        };
        self.rest = rest;
        Some(line)
    }
}
