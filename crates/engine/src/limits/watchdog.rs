//! Time limits without a system call per event.
//!
//! One thread per process looks at all engines every tick (a tenth of the shortest limit, 1 to 20 ms). Each engine
//! owns one word: the number of the current event and a phase. Starting and ending an event is one atomic operation
//! each; the watchdog remembers when it first saw a number and ends the event once it is over its limit. CPU time is
//! read from the engine thread's own clock, so a thread that the machine did not let run is not blamed. While nothing
//! runs, the watchdog sleeps.
//!
//! **The race.** `terminate_execution` is sticky: sent too late, it would kill the next event. So the word decides:
//! the engine ends an event by `RUN → IDLE`, the watchdog claims it by `RUN → KILL`, and only one of them succeeds.
//! Only after it has claimed the event does the watchdog terminate, then it says `KILLED`, for which the engine waits.
//! An isolate that was terminated is never used again, so a repeated termination can do no harm.
//!
//! **Time or memory?** Code that allocates without end hits a short time limit first, while V8 is still collecting
//! garbage, and would be blamed for its time. So an event whose heap grows by an eighth of the heap limit gets its CPU
//! limit a second time: it then either hits the heap limit or is stopped for its time after all. A heap that was large
//! before the event gives no extra time.
//!
//! **Whose turn?** While events wait, code of several of them can run in one turn: all code that awaited the same
//! promise. Another thread cannot see whose code runs. So the watchdog interrupts such a turn at every tick, and V8 is
//! asked on the isolate's own thread ([`Shared::check_turn`]): the turn passes to the event that is found, with that event's
//! number and CPU time, and only there an event is stopped. A turn that ends before the first tick is not interrupted.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use deno_core::v8::{GCCallbackFlags, GCType, Isolate, IsolateHandle, UnsafeRawIsolatePtr};

use crate::limits::{Limits, MAX_BATCH_CPU, MAX_BATCH_WALL, grown};

const PHASE: u64 = 0b11;
const IDLE: u64 = 0;
const RUN: u64 = 1;
const KILL: u64 = 2;
const KILLED: u64 = 3;
const NEXT: u64 = 4;

/// How long an event may ignore its termination before [`Watch::on_stuck`] is called: long enough for every construct
/// that V8 can interrupt, short enough that the process is ended in time for the others.
const STUCK_AFTER: Duration = Duration::from_millis(150);

/// An event is near its CPU limit if less than 1/`NEAR` of the limit is left.
const NEAR: u32 = 3;

/// The engine's side of the watchdog: the word that they share.
pub(crate) struct Watch {
    shared: Arc<Shared>,
}

/// Padded to two cache lines, so that engines on different cores do not slow each other down.
#[repr(align(128))]
struct Word(AtomicU64);

struct Shared {
    word: Word,
    cpu: Limit,
    wall: Limit,
    /// CPU time while the program is loaded.
    load_cpu: Duration,
    loading: AtomicBool,
    /// Whether the last event that ran out of time ran out of wall time.
    by_wall: AtomicBool,
    clock: libc::clockid_t,
    /// The number of events in the current turn: more than one for a batch, whose limits are larger.
    events: AtomicU32,
    /// CPU time, in nanoseconds, that the event used before its current turn.
    used: AtomicU64,
    /// Whether other events wait, so that their code may run in this turn. Then only the isolate's own thread can tell
    /// whose turn it is, see [`Shared::check_turn`].
    others_wait: AtomicBool,
    isolate: Mutex<Option<IsolateHandle>>,
    on_stuck: OnceLock<fn()>,
    turns: OnceLock<Turns>,
    locate: OnceLock<Locate>,
    /// The number of the last event that came near its limit, and its stack at that time.
    stack: Mutex<Option<(u64, String)>>,
    /// An event whose heap grows by this many bytes gets more time.
    growth: usize,
    /// Whether the heap had grown by `growth` bytes in the current turn when the watchdog last looked.
    grown: AtomicBool,
    /// Whether the last event that ran out of CPU time had got more time.
    had_more: AtomicBool,
    /// Bytes of heap in use after the last garbage collection.
    heap: AtomicUsize,
}

/// Whose turn it is, according to V8.
pub(crate) enum Turn {
    /// The turn of the same event as before, with the CPU time that it has used so far.
    Same(Duration),
    /// The turn of another event: its number, the CPU time that it has used, and its number of events if it is a batch.
    Passed { to: u32, used: Duration, events: u32 },
}

/// Returns the stack of the code that runs in an isolate, in V8's format.
pub(crate) type Locate = fn(&mut Isolate) -> Option<String>;

/// Functions to find out whose turn it is, and to pass the turn to another event.
pub(crate) struct Turns {
    pub(crate) find: fn(&mut Isolate, Duration) -> Turn,
    pub(crate) pass: fn(&mut Isolate, u32, Duration),
}

/// A time that can be set between events. Only the watchdog's thread reads it.
struct Limit(AtomicU64);

impl Limit {
    fn new(time: Duration) -> Self {
        let limit = Self(AtomicU64::new(0));
        limit.set(time);
        limit
    }

    fn set(&self, time: Duration) {
        self.0.store(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// V8 calls this after each garbage collection. Records the heap size.
unsafe extern "C" fn gc_ends(isolate: UnsafeRawIsolatePtr, _: GCType, _: GCCallbackFlags, data: *mut c_void) {
    // SAFETY: `guard` passed this pointer, and the target outlives the isolate.
    let shared = unsafe { &*(data as *const Shared) };
    // SAFETY: V8 calls this on the isolate's own thread, with the isolate that it collected.
    let mut isolate = unsafe { Isolate::from_raw_isolate_ptr(isolate) };
    shared.heap.store(isolate.get_heap_statistics().used_heap_size(), Ordering::Relaxed);
}

impl Watch {
    /// Watches the calling thread.
    pub(crate) fn new(limits: &Limits) -> Self {
        let shared = Arc::new(Shared {
            word: Word(AtomicU64::new(IDLE)),
            cpu: Limit::new(limits.cpu),
            wall: Limit::new(limits.wall),
            load_cpu: limits.loading(),
            loading: AtomicBool::new(false),
            by_wall: AtomicBool::new(false),
            clock: own_cpu_clock(),
            events: AtomicU32::new(1),
            used: AtomicU64::new(0),
            others_wait: AtomicBool::new(false),
            isolate: Mutex::new(None),
            on_stuck: OnceLock::new(),
            turns: OnceLock::new(),
            locate: OnceLock::new(),
            stack: Mutex::new(None),
            growth: limits.heap / 8,
            grown: AtomicBool::new(false),
            had_more: AtomicBool::new(false),
            heap: AtomicUsize::new(0),
        });
        Watchdog::get().register(&shared);
        Self { shared }
    }

    /// Sets the isolate to terminate from now on, and tracks its heap. The isolate must be dropped before the watch.
    pub(crate) fn guard(&self, isolate: &mut Isolate) {
        let data = Arc::as_ptr(&self.shared) as *mut c_void;
        isolate.add_gc_epilogue_callback(gc_ends, data, GCType::kGCTypeAll);
        self.shared.heap.store(0, Ordering::Relaxed);
        let handle = isolate.thread_safe_handle();
        *self.shared.isolate.lock().expect("never poisoned: no code panics while it holds this") = Some(handle);
    }

    /// Undoes [`Watch::guard`].
    pub(crate) fn leave(&self, isolate: &mut Isolate) {
        isolate.remove_gc_epilogue_callback(gc_ends, Arc::as_ptr(&self.shared) as *mut c_void);
        *self.shared.isolate.lock().expect("never poisoned: no code panics while it holds this") = None;
    }

    /// Sets the action for an event that even termination cannot stop. It is called on the watchdog's thread.
    pub(crate) fn on_stuck(&self, act: fn()) {
        let _ = self.shared.on_stuck.set(act);
    }

    /// Sets the functions that tell whose turn it is, for isolates in which several events wait.
    pub(crate) fn set_turns(&self, turns: Turns) {
        let _ = self.shared.turns.set(turns);
    }

    /// From now on, records the stack of events that come near their CPU limit.
    pub(crate) fn locate(&self, locate: Locate) {
        let _ = self.shared.locate.set(locate);
    }

    /// The stack of the last event, if that event came near its CPU limit.
    pub(crate) fn stack(&self) -> Option<String> {
        let number = self.shared.word.0.load(Ordering::Relaxed) & !PHASE;
        let noted = self.shared.stack.lock().expect("never poisoned: no code panics while it holds this").take();
        noted.filter(|(of, _)| *of == number).map(|(_, stack)| stack)
    }

    /// Sets the limits for events that begin from now on.
    pub(crate) fn set_limits(&self, cpu: Duration, wall: Duration) {
        self.shared.cpu.set(cpu);
        self.shared.wall.set(wall);
    }

    /// The limit that was hit by the event for which [`Watch::end`] last returned false.
    pub(crate) fn ran_out_of(&self) -> Clock {
        if self.shared.by_wall.load(Ordering::Relaxed) { Clock::Wall } else { Clock::Cpu }
    }

    /// Whether that event had got its CPU limit twice, because its heap grew.
    pub(crate) fn had_more(&self) -> bool {
        self.shared.had_more.load(Ordering::Relaxed)
    }

    /// Starts loading: the loading limits apply until [`Watch::end`].
    pub(crate) fn begin_loading(&self) {
        self.shared.loading.store(true, Ordering::Relaxed);
        self.begin();
    }

    /// Starts an event: its limits apply from here on.
    pub(crate) fn begin(&self) {
        let word = &self.shared.word.0;
        let next = (word.load(Ordering::Relaxed) & !PHASE).wrapping_add(NEXT) | RUN;
        // Sequentially consistent with the watchdog going to sleep: one of the two sees the other.
        word.swap(next, Ordering::SeqCst);
        if Watchdog::get().asleep.load(Ordering::SeqCst) {
            Watchdog::get().wake();
        }
    }

    /// Sets the number of events of the next turn.
    pub(crate) fn set_events(&self, events: u32) {
        self.shared.events.store(events, Ordering::Relaxed);
    }

    /// Starts a turn of an event that has had turns before, or while other events wait.
    pub(crate) fn begin_turn(&self, used: Duration, others_wait: bool) {
        self.shared.used.store(used.as_nanos() as u64, Ordering::Relaxed);
        self.shared.others_wait.store(others_wait, Ordering::Relaxed);
        self.begin();
    }

    /// Ends the turn. Returns whether it was in time; if not, the isolate must be discarded.
    pub(crate) fn end_turn(&self) -> bool {
        let in_time = self.end();
        self.shared.used.store(0, Ordering::Relaxed);
        self.shared.others_wait.store(false, Ordering::Relaxed);
        self.set_events(1);
        in_time
    }

    /// The CPU time of the watched thread.
    pub(crate) fn cpu_time(&self) -> Duration {
        cpu_time(self.shared.clock).unwrap_or_default()
    }

    /// Ends the event. Returns whether it was in time; if not, the isolate must be discarded.
    pub(crate) fn end(&self) -> bool {
        let in_time = self.end_of_word();
        if self.shared.loading.load(Ordering::Relaxed) {
            self.shared.loading.store(false, Ordering::Relaxed);
        }
        in_time
    }

    fn end_of_word(&self) -> bool {
        let word = &self.shared.word.0;
        let now = word.load(Ordering::Relaxed);
        let number = now & !PHASE;
        if word.compare_exchange(number | RUN, number | IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return true;
        }
        while word.load(Ordering::Acquire) & PHASE != KILLED {
            std::hint::spin_loop();
        }
        word.store(number | IDLE, Ordering::Release);
        false
    }
}

/// The two clocks of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// CPU time.
    Cpu,
    /// Wall-clock time.
    Wall,
}

/// The watchdog's ticks while something runs. A clock that is almost free to read, for work to
/// do "every few milliseconds".
pub fn ticks() -> u64 {
    Watchdog::get().ticks.load(Ordering::Relaxed)
}

/// Starts the watchdog's thread unless it runs, for a process that can't start threads later.
pub fn start_watchdog() {
    Watchdog::get().start();
}

/// The clock that counts the CPU time of the calling thread, readable from any thread of the process.
fn own_cpu_clock() -> libc::clockid_t {
    let mut clock = 0;
    // SAFETY: `pthread_self` is always valid, and `clock` is a valid pointer for the result.
    let error = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) };
    assert_eq!(error, 0, "a running thread has a CPU clock");
    clock
}

fn cpu_time(clock: libc::clockid_t) -> Option<Duration> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid pointer for the result. An unknown clock is an error, not undefined behaviour.
    (unsafe { libc::clock_gettime(clock, &mut now) } == 0).then(|| Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
}

/// Runs `what` in a process that must not have a second thread yet. Engines made meanwhile are not watched, and
/// must be dropped before `what` returns.
pub(crate) fn without_thread<R>(what: impl FnOnce() -> R) -> R {
    NO_THREAD.store(true, Ordering::SeqCst);
    let result = what();
    NO_THREAD.store(false, Ordering::SeqCst);
    result
}

/// Whether starting the watchdog's thread is forbidden.
static NO_THREAD: AtomicBool = AtomicBool::new(false);

struct Watchdog {
    asleep: AtomicBool,
    ticks: AtomicU64,
    /// Set when the thread is started.
    thread: OnceLock<Thread>,
    watched: Mutex<Vec<(Weak<Shared>, EngineSnapshot)>>,
}

/// What the watchdog remembers about an engine between two ticks.
#[derive(Default)]
struct EngineSnapshot {
    word: u64,
    cpu_at_first: Duration,
    heap_at_first: usize,
    wall: Duration,
    killed_for: Duration,
    /// How long the event has been over its limit while it is unknown whose turn it is.
    unclear_for: Duration,
}

/// V8 calls this on the isolate's own thread, in the middle of its code.
unsafe extern "C" fn whose_turn(isolate: UnsafeRawIsolatePtr, data: *mut c_void) {
    // SAFETY: `EngineSnapshot::check` passed this pointer, and the target outlives the isolate.
    let shared = unsafe { &*(data as *const Shared) };
    // SAFETY: V8 calls this on the isolate's own thread, with the isolate that it interrupts.
    let mut isolate = unsafe { Isolate::from_raw_isolate_ptr(isolate) };
    shared.check_turn(&mut isolate);
}

/// Like `whose_turn`, but records the stack of the code.
unsafe extern "C" fn where_it_is(isolate: UnsafeRawIsolatePtr, data: *mut c_void) {
    // SAFETY: as in `whose_turn`.
    let shared = unsafe { &*(data as *const Shared) };
    // SAFETY: as in `whose_turn`.
    let mut isolate = unsafe { Isolate::from_raw_isolate_ptr(isolate) };
    let Some(stack) = shared.locate.get().and_then(|locate| locate(&mut isolate)) else { return };
    let number = shared.word.0.load(Ordering::Acquire) & !PHASE;
    *shared.stack.lock().expect("never poisoned: no code panics while it holds this") = Some((number, stack));
}

impl Shared {
    /// The CPU time that the current event may use: its limit, or twice that if `more`.
    fn cpu_limit(&self, more: bool) -> Duration {
        let own = if self.loading.load(Ordering::Relaxed) {
            self.load_cpu
        } else {
            grown(self.cpu.get(), self.events.load(Ordering::Relaxed), MAX_BATCH_CPU)
        };
        if more { 2 * own } else { own }
    }

    /// The wall time that the current event may use.
    fn wall_limit(&self) -> Duration {
        if self.loading.load(Ordering::Relaxed) {
            self.wall.get().max(5 * self.load_cpu)
        } else {
            grown(self.wall.get(), self.events.load(Ordering::Relaxed), MAX_BATCH_WALL)
        }
    }

    /// Finds out whose code runs while several events wait. Passes the turn to that event, or stops the event if it is
    /// over its limit. Runs on the isolate's thread, so nothing changes meanwhile.
    fn check_turn(&self, isolate: &mut Isolate) {
        let word = self.word.0.load(Ordering::Acquire);
        if word & PHASE != RUN || !self.others_wait.load(Ordering::Relaxed) {
            return;
        }
        let number = word & !PHASE;
        let claim =
            |phase| self.word.0.compare_exchange(word, number | phase, Ordering::AcqRel, Ordering::Acquire).is_ok();
        let Some(turns) = self.turns.get() else { return };
        let now = cpu_time(self.clock).unwrap_or_default();
        match (turns.find)(isolate, now) {
            Turn::Same(used) if used >= self.cpu_limit(self.grown.load(Ordering::Relaxed)) && claim(KILL) => {
                self.by_wall.store(false, Ordering::Relaxed);
                isolate.terminate_execution();
                self.word.0.store(number | KILLED, Ordering::Release);
            }
            Turn::Same(_) => {}
            // Idle for a moment, so that the watchdog does not mistake one event's time for another's.
            Turn::Passed { to, used, events } if claim(IDLE) => {
                (turns.pass)(isolate, to, now);
                self.events.store(events, Ordering::Relaxed);
                self.used.store(used.as_nanos() as u64, Ordering::Relaxed);
                self.word.0.swap(number.wrapping_add(NEXT) | RUN, Ordering::SeqCst);
            }
            Turn::Passed { .. } => {}
        }
    }
}

impl Watchdog {
    /// The watchdog of this process.
    fn get() -> &'static Watchdog {
        static ONE: Watchdog = Watchdog {
            asleep: AtomicBool::new(false),
            ticks: AtomicU64::new(0),
            thread: OnceLock::new(),
            watched: Mutex::new(Vec::new()),
        };
        &ONE
    }

    /// Starts the thread unless it runs.
    fn start(&'static self) {
        if NO_THREAD.load(Ordering::SeqCst) {
            return;
        }
        self.thread.get_or_init(|| {
            let thread = std::thread::Builder::new().name("watchdog".into()).spawn(move || self.run());
            thread.expect("a process that cannot start a thread cannot keep its limits").thread().clone()
        });
    }

    fn register(&'static self, shared: &Arc<Shared>) {
        self.start();
        let mut watched = self.watched.lock().expect("never poisoned: no code panics while it holds this");
        watched.retain(|(engine, _)| engine.strong_count() > 0);
        watched.push((Arc::downgrade(shared), EngineSnapshot::default()));
        drop(watched);
        self.wake();
    }

    fn wake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn run(&self) -> ! {
        let mut last = Instant::now();
        let mut idle_ticks = 0;
        loop {
            let now = Instant::now();
            let (tick, busy) = self.check_engines(now - last);
            last = now;
            self.ticks.fetch_add(1, Ordering::Relaxed);
            idle_ticks = if busy { 0 } else { idle_ticks + 1 };
            if idle_ticks < 5 {
                std::thread::park_timeout(tick);
                continue;
            }
            self.asleep.store(true, Ordering::SeqCst);
            // Look once more after the announcement: an engine that began before it saw `asleep` is seen here.
            if self.check_engines(Duration::ZERO).1 {
                self.asleep.store(false, Ordering::SeqCst);
            }
            while self.asleep.load(Ordering::SeqCst) {
                std::thread::park();
            }
            idle_ticks = 0;
            last = Instant::now();
        }
    }

    /// Checks every engine. Returns the time until the next check, and whether anything is running.
    fn check_engines(&self, since_last: Duration) -> (Duration, bool) {
        let mut watched = self.watched.lock().expect("never poisoned: no code panics while it holds this");
        let mut tick = Duration::from_millis(20);
        let mut busy = false;
        for (engine, snapshot) in watched.iter_mut() {
            let Some(engine) = engine.upgrade() else { continue };
            let own = (engine.cpu.get().min(engine.wall.get()) / 10)
                .clamp(Duration::from_millis(1), Duration::from_millis(20));
            tick = tick.min(own);
            // Capped, so that an event does not age while this process is stopped or this thread does not run.
            let moved = snapshot.check(&engine, since_last.min(4 * own));
            busy |= moved;
        }
        (tick, busy)
    }
}

impl EngineSnapshot {
    /// Checks one engine. Returns whether it is at work.
    fn check(&mut self, engine: &Shared, passed: Duration) -> bool {
        let word = engine.word.0.load(Ordering::SeqCst);
        if word & PHASE == IDLE {
            let moved = self.word != word;
            self.word = word;
            return moved;
        }
        if word & !PHASE != self.word & !PHASE || self.word & PHASE == IDLE {
            let cpu_at_first = cpu_time(engine.clock).unwrap_or_default();
            let heap_at_first = engine.heap.load(Ordering::Relaxed);
            *self = EngineSnapshot { word, cpu_at_first, heap_at_first, ..EngineSnapshot::default() };
            return true;
        }
        self.wall += passed;
        match word & PHASE {
            RUN => {
                let used = Duration::from_nanos(engine.used.load(Ordering::Relaxed));
                let cpu = used + cpu_time(engine.clock).unwrap_or_default().saturating_sub(self.cpu_at_first);
                let growth = engine.heap.load(Ordering::Relaxed).saturating_sub(self.heap_at_first);
                let more = growth >= engine.growth;
                let limit = engine.cpu_limit(more);
                engine.grown.store(more, Ordering::Relaxed);
                let over = cpu >= limit || self.wall >= engine.wall_limit();
                if engine.locate.get().is_some() && !over && cpu + limit / NEAR >= limit {
                    let data = std::ptr::from_ref(engine) as *mut c_void;
                    let isolate = engine.isolate.lock().expect("never poisoned");
                    isolate.as_ref().map(|isolate| isolate.request_interrupt(where_it_is, data));
                }
                if engine.others_wait.load(Ordering::Relaxed) && self.unclear_for < STUCK_AFTER {
                    self.unclear_for += if over { passed } else { Duration::ZERO };
                    let data = std::ptr::from_ref(engine) as *mut c_void;
                    let isolate = engine.isolate.lock().expect("never poisoned");
                    isolate.as_ref().map(|isolate| isolate.request_interrupt(whose_turn, data));
                } else if over {
                    engine.by_wall.store(cpu < limit, Ordering::Relaxed);
                    engine.had_more.store(more, Ordering::Relaxed);
                    self.kill(engine, word);
                }
            }
            KILLED => {
                // Code notices the termination only at V8's next check, and some code swallows it before that.
                self.killed_for += passed;
                let isolate = engine.isolate.lock().expect("never poisoned");
                if engine.word.0.load(Ordering::Acquire) == word {
                    isolate.as_ref().map(IsolateHandle::terminate_execution);
                    drop(isolate);
                    // Back to KILL, where the engine waits if the event ends just now: the report of `act` must be
                    // about this event, not the next one.
                    let claim =
                        |from, to| engine.word.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
                    if self.killed_for >= STUCK_AFTER
                        && let Some(act) = engine.on_stuck.get()
                        && claim(word, word & !PHASE | KILL).is_ok()
                    {
                        act();
                        engine.word.0.store(word, Ordering::Release);
                    }
                }
            }
            _ => unreachable!("only this thread is ever between KILL and KILLED"),
        }
        true
    }

    fn kill(&self, engine: &Shared, word: u64) {
        let number = word & !PHASE;
        let claim = engine.word.0.compare_exchange(word, number | KILL, Ordering::AcqRel, Ordering::Acquire);
        if claim.is_ok() {
            let isolate = engine.isolate.lock().expect("never poisoned");
            isolate.as_ref().map(IsolateHandle::terminate_execution);
            engine.word.0.store(number | KILLED, Ordering::Release);
        }
    }
}
