//! A JavaScript transformation in a V8 isolate: source and events in, verdicts out.
//!
//! An [`Engine`] holds a [`Program`] in its own V8 isolate and runs it over events, one at a time. It guarantees that
//! every event gets exactly one [`Verdict`], that no event exceeds its [`Limits`], and that every event gets a working
//! isolate, regardless of the events before it: the isolate is replaced after it hits a time or memory limit, and an
//! event is blamed for memory only if it failed alone in a fresh isolate.
//!
//! It never touches files, flags, the environment, processes or standard output. It cannot survive V8
//! aborting the process (an allocation beyond all limits, a bug in V8): the worker processes of the
//! program `sluicegate` protect against that.
//!
//! ```
//! use sluicegate_engine::{Engine, Options, Program};
//! use sluicegate_engine::verdict::Verdict;
//!
//! let program = Program::new("greet.js", "export function transformEvent(event) { event.seen = true; return event; }");
//! let mut engine = Engine::new(program, Options::default()).unwrap();
//! let mut out = Vec::new();
//! let verdict = engine.transform(br#"{"id":9007199254740993}"#, &mut out);
//! assert_eq!(verdict, Verdict::Ok { outputs: 1 });
//! assert_eq!(out, b"{\"id\":9007199254740993,\"seen\":true}\n");
//! ```

mod help;
mod lazy;
mod library_name;
mod limits;
mod load_error;
mod module_id;
mod program;
mod run;
pub mod testing;
mod typescript;
mod unsafe_reads;
mod v8;
pub mod verdict;

use std::marker::PhantomData;
use std::rc::Rc;

pub use help::{GLOBALS, for_exception as help_for_exception, instead_of};
pub use lazy::Laziness;
pub use limits::Limits;
pub use limits::heap::max_memory;
use limits::watchdog::{Clock, Watch};
pub use limits::watchdog::{start_watchdog, ticks};
pub use load_error::{LoadError, LoadErrorKind};
pub use module_id::ModuleId;
pub use program::{Determinism, Program, SHIPPED_LIBRARIES, handle_of, nearest};
pub use run::batch::{BatchStep, Verdicts};
pub use run::blank_isolate::prepare;
use run::current_stack;
pub use run::event::Step;
use run::fetch;
use run::in_flight::InFlight;
pub use run::in_flight::LostEvent;
pub use run::print_plan::PrintPlanning;
pub use run::requests::{Access, MAX_REQUEST, MAX_UNANSWERED, MAX_UNANSWERED_BYTES, Network, SharedNetwork};
use run::state::EventState;
pub use run::state::LogLine;
use run::ticket::OnTurn;
pub use run::ticket::Ticket;
use run::transform_isolate::{Overrides, TransformIsolate, is_source};
use run::turns;
use run::waiting::DiscardReason;
pub use run::waiting::Settled;
use serde::{Deserialize, Serialize};
pub use sluicegate_json::Sink;
pub use typescript::{DECLARATIONS, TypeScriptError, comments, is_typescript, strip as strip_types};
use unsafe_reads::UnsafeReadReport;
pub use unsafe_reads::{UnsafeIntegers, UnsafeRead};
use v8::errors;
pub use v8::errors::frame_position;
use v8::event_number::NO_EVENT;
pub use v8::inspector::{
    FunctionCoverage, ObserverOptions, RangeCoverage, RunObserver, ScriptCoverage, Variable, Variables,
};
pub use v8::platform::{Protection, initialize, initialize_to_fork, initialize_with, version as v8_version};
use v8::v8_string;

use crate::verdict::{Failure, FailureKind, Verdict};

/// Which of the two functions a transformation exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Export {
    /// `transformEvent(event, metadata)`.
    Event,
    /// `transformBatch(events, metadata)`.
    Batch,
}

/// What is known about a loaded program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// The function that the program exports.
    pub export: Export,
    /// The import names of the libraries that it imports, directly or indirectly, sorted.
    pub libraries: Vec<String>,
}

impl Export {
    /// The function's name.
    pub fn name(self) -> &'static str {
        match self {
            Export::Event => "transformEvent",
            Export::Batch => "transformBatch",
        }
    }
}

/// How an engine runs a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The limits of one event.
    pub limits: Limits,
    /// Whether output of `log` and `console` is recorded. If not, calls cost next to nothing.
    pub logs: bool,
    /// Which network functions work. They also need [`Engine::connect`].
    #[serde(default)]
    pub network: Access,
    /// What happens when the code reads an integer that JavaScript can't hold.
    #[serde(default)]
    pub unsafe_integers: UnsafeIntegers,
}

/// One event, ready to be transformed.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The event, one JSON object.
    pub json: &'a [u8],
    /// The result of `metadata(event)`, as the text of a JSON object. Takes precedence over the program's own metadata.
    pub metadata: Option<&'a [u8]>,
}

/// The bytes written around an event's outputs.
#[derive(Clone, Copy, Debug)]
pub struct OutputFraming<'a> {
    /// Before the first output.
    pub open: &'a [u8],
    /// Before and after each output.
    pub around: (&'a [u8], &'a [u8]),
    /// Between two outputs.
    pub between: &'a [u8],
    /// After the last output.
    pub close: &'a [u8],
    /// Whether an event that failed because of one of its outputs still writes its good ones. Must be false if the
    /// failed event is kept to run again: its outputs would then be written twice.
    pub keep_partial_output: bool,
}

impl OutputFraming<'static> {
    /// One output per line.
    pub const LINES: Self =
        Self { open: b"", around: (b"", b""), between: b"\n", close: b"\n", keep_partial_output: false };
}

/// A program in its own isolate. Bound to the thread that made it.
pub struct Engine {
    program: Program,
    options: Options,
    /// Dropped before the isolate, because it holds handles of it.
    in_flight: InFlight,
    isolate: Option<TransformIsolate>,
    watch: Watch,
    scratch: v8_string::Scratch,
    validator: sluicegate_json::validator::Validator,
    text: Vec<u8>,
    logs: Vec<LogLine>,
    replaced: u64,
    masks: Vec<String>,
    laziness: Laziness,
    tuner: lazy::Tuner,
    print_plan: PrintPlanning,
    network: Option<SharedNetwork>,
    on_turn: Option<OnTurn>,
    observer: Option<Rc<RunObserver>>,
    overrides: Overrides,
    /// Help for a function whose parameters are in the wrong order.
    swapped: Option<&'static str>,
    /// The unsafe numbers that the code has read, see [`Self::unsafe_read`].
    unsafe_read_report: UnsafeReadReport,
    /// Whether isolates stay entered between events.
    held: bool,
    /// V8's isolates belong to a thread.
    _not_send: PhantomData<*mut ()>,
}

impl Engine {
    /// Loads a program. Sets V8 up for embedding (see [`initialize`]), unless that was done before.
    ///
    /// # Errors
    /// If the program cannot be loaded. The error says what, where, and what to do.
    pub fn new(program: Program, options: Options) -> Result<Self, LoadError> {
        Self::load(program, options, None)
    }

    /// Loads a program with an observer. For tests: observed code may run slower.
    ///
    /// # Errors
    /// As for [`Engine::new`].
    pub fn observed(program: Program, options: Options, observer: &Rc<RunObserver>) -> Result<Self, LoadError> {
        Self::load(program, options, Some(observer.clone()))
    }

    fn load(program: Program, options: Options, observer: Option<Rc<RunObserver>>) -> Result<Self, LoadError> {
        initialize(Protection::None);
        let watch = Watch::new(&options.limits);
        let isolate = TransformIsolate::new(&program, &options, &watch, observer.as_ref(), Overrides::default())?;
        // Shorter credentials are not secrets, and masking them would hide half of every text.
        let secrets = program.credentials.values().filter(|secret| secret.len() >= 4);
        let masks = secrets.flat_map(|secret| [vec![secret.clone()], fetch::spellings(secret)].concat()).collect();
        let swapped = help::for_swapped(&program.code);
        Ok(Self {
            program,
            options,
            in_flight: InFlight::default(),
            isolate: Some(isolate),
            watch,
            scratch: v8_string::Scratch::default(),
            validator: sluicegate_json::validator::Validator::default(),
            text: Vec::new(),
            logs: Vec::new(),
            replaced: 0,
            masks,
            laziness: Laziness::default(),
            tuner: lazy::Tuner::default(),
            print_plan: PrintPlanning::default(),
            network: None,
            on_turn: None,
            observer,
            overrides: Overrides::default(),
            swapped,
            unsafe_read_report: UnsafeReadReport::default(),
            held: false,
            _not_send: PhantomData,
        })
    }

    /// Returns the isolate alone, entered, without the program; `None` if it was lost.
    fn into_isolate(mut self) -> Option<(deno_core::v8::OwnedIsolate, Box<limits::heap::HeapGuard>)> {
        self.isolate.take()?.into_isolate(&self.watch)
    }

    /// The function that the program exports.
    pub fn export(&self) -> Export {
        self.isolate.as_ref().map_or(Export::Event, |isolate| isolate.export)
    }

    /// What is known about the program.
    pub fn loaded(&self) -> Loaded {
        let libraries = self.isolate.as_ref().map(|isolate| isolate.libraries.clone()).unwrap_or_default();
        Loaded { export: self.export(), libraries }
    }

    /// Transforms one event and appends its outputs to `out`, a line each.
    pub fn transform(&mut self, event: &[u8], out: &mut dyn Sink) -> Verdict {
        self.transform_event(Event { json: event, metadata: None }, &OutputFraming::LINES, out)
    }

    /// Transforms one event and appends its outputs to `out` with their framing. Appends nothing
    /// unless the verdict is `ok`.
    pub fn transform_event(&mut self, event: Event<'_>, framing: &OutputFraming<'_>, out: &mut dyn Sink) -> Verdict {
        if self.export() == Export::Batch {
            let mut verdict = None;
            self.transform_batch(&[event], &mut |_| *framing, &mut |one, text, _| {
                out.push(&text);
                verdict = Some(one);
            });
            return verdict.expect("a batch gives one verdict per event");
        }
        self.run_alone(event, framing, out)
    }

    /// Runs an attempt, and repeats it in a fresh isolate if it hit the heap limit in an isolate
    /// that had seen other events.
    fn retrying<T: From<Failure>>(&mut self, mut attempt: impl FnMut(&mut Self) -> Attempt<T>) -> T {
        loop {
            let fresh = match self.isolate.as_mut() {
                Some(isolate) => {
                    isolate.events += 1;
                    if self.held {
                        isolate.hold();
                    }
                    isolate.events == 1
                }
                None => match self.replace() {
                    Ok(()) => continue,
                    Err(error) => return Failure::new(FailureKind::Exception, error.to_string()).into(),
                },
            };
            let ended = attempt(self);
            let state = self.isolate.as_mut().and_then(TransformIsolate::state);
            let number = state.map_or(NO_EVENT, |state| state.number());
            match ended {
                Attempt::Done(done) => return done,
                Attempt::OutOfTime => {
                    if let Some(failure) = self.lose(DiscardReason::OutOfTime, Some((number, Ticket::default()))) {
                        return failure.into();
                    }
                    // Another event's turn took too long, and only that event fails. This event is
                    // run again right here.
                    self.in_flight.forget_lost(Ticket::default());
                }
                Attempt::OutOfMemory => {
                    let made = self.of_number(number, |event| event.made);
                    self.lose(DiscardReason::OutOfMemory, None);
                    if fresh {
                        self.in_flight.made = made;
                        return self.out_of_memory().into();
                    }
                    self.in_flight.repeated += u64::from(made);
                }
                Attempt::WantsOverrides => {
                    self.overrides = Overrides::All;
                    self.in_flight.repeated += u64::from(self.of_number(number, |event| event.made));
                    self.lose(DiscardReason::Reload, None);
                    // No limit was hit, so it is not counted as a replacement.
                    if let Err(error) = self.load_again() {
                        return Failure::new(FailureKind::Exception, error.to_string()).into();
                    }
                }
            }
        }
    }

    fn out_of_memory(&self) -> Failure {
        let limit = self.options.limits.heap >> 20;
        Failure::new(FailureKind::Memory, format!("the event needed more than {limit} MiB of heap"))
            .help("keep less at a time; `--heap-limit 256MiB` gives each event more")
    }

    /// The failure of an event, or batch of several events, that hit this limit, with this many unanswered requests.
    fn out_of_time(&self, clock: Clock, unanswered: usize, events: u32) -> Failure {
        let limits = &self.options.limits;
        let what = if events > 1 { format!("the batch of {events} events") } else { "the event".to_owned() };
        let (cpu, wall) = (limits.batch_cpu(events), limits.batch_wall(events));
        let message = match clock {
            Clock::Cpu if self.watch.had_more() => {
                let [limit, all] = [cpu, 2 * cpu].map(humantime::format_duration);
                format!(
                    "{what} took more than {all} of CPU time: its limit of {limit}, and as much again because its heap grew"
                )
            }
            Clock::Cpu => format!("{what} took more than {} of CPU time", humantime::format_duration(cpu)),
            Clock::Wall => {
                let limit = humantime::format_duration(wall);
                let waits = match unanswered {
                    0 => String::new(),
                    1 => ", with a request to the network unanswered".to_owned(),
                    some => format!(", with {some} requests to the network unanswered"),
                };
                format!("{what} took more than {limit} by the clock{waits}")
            }
        };
        let failure = Failure::new(FailureKind::Timeout, message);
        let help = match clock {
            Clock::Cpu => {
                "look for a loop that does not end, or takes long; `--cpu-limit 5s` gives each event more time"
            }
            Clock::Wall => {
                "ask for less at a time, `await Promise.all(…)`; `--wall-limit 30s` gives each event more time"
            }
        };
        let failure = match self.watch.stack().filter(|_| clock == Clock::Cpu) {
            Some(stack) => errors::located(failure, stack, &|file| is_source(&self.program, file)),
            None => failure,
        };
        failure.help(help)
    }

    /// From now on, failures of events that run out of CPU time have a stack and a position, if these can be
    /// determined. The event is interrupted for that when it comes near its limit.
    pub fn locate_timeouts(&mut self) {
        self.watch.locate(current_stack::stack);
    }

    /// The number of unanswered requests of the event whose turn it is, and its number of events.
    fn of_turn(&mut self) -> (u32, u32) {
        let turn = self.isolate.as_mut().and_then(TransformIsolate::state).map_or(NO_EVENT, |state| state.turn());
        self.of_number(turn, |event| (event.unanswered, event.events))
    }

    /// Reads a value of the event with this number; the default if there is no such event.
    fn of_number<T: Default>(&mut self, number: u32, read: impl Fn(&EventState) -> T) -> T {
        let state = self.isolate.as_mut().and_then(TransformIsolate::state);
        state.and_then(|state| state.of(number)).map(|event| read(event)).unwrap_or_default()
    }

    fn replace(&mut self) -> Result<(), LoadError> {
        self.replaced += 1;
        self.load_again()
    }

    fn load_again(&mut self) -> Result<(), LoadError> {
        let observer = self.observer.as_ref();
        self.isolate =
            Some(TransformIsolate::new(&self.program, &self.options, &self.watch, observer, self.overrides)?);
        self.plug_in();
        Ok(())
    }

    /// Resets the program: its variables are as they were after loading. An isolate that has seen no event is kept. If
    /// the program fails to load, the next event tries again, and fails if that fails too.
    pub fn renew(&mut self) {
        if self.isolate.as_ref().is_none_or(|isolate| isolate.events > 0) {
            self.isolate = None;
            let _ = self.load_again();
        }
    }

    /// Connects the network functions that [`Options::network`] allows.
    pub fn connect(&mut self, network: SharedNetwork) {
        self.network = Some(network);
        self.plug_in();
    }

    fn plug_in(&mut self) {
        if let (Some(isolate), Some(network)) = (self.isolate.as_mut(), &self.network) {
            self.watch.set_turns(turns::TURNS);
            isolate.connect(network.clone(), self.on_turn.clone());
        }
    }

    /// The log lines of the last event or batch. Credentials are masked.
    pub fn logs(&self) -> &[LogLine] {
        &self.logs
    }

    /// The first integer that the code has read and that JavaScript cannot represent. Returned once in the engine's
    /// life; after that, reads are not recorded. It belongs to the last event, or to the event at its index in the last
    /// batch. Only with [`UnsafeIntegers::Warn`].
    pub fn unsafe_read(&mut self) -> Option<UnsafeRead> {
        self.unsafe_read_report.take()
    }

    /// The number of times the isolate was replaced because a limit was hit.
    pub fn replacements(&self) -> u64 {
        self.replaced
    }

    /// The current limits.
    pub fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// V8's message about a text that is not JSON. `None` if V8 accepts it, or if there is no isolate. For
    /// hosts whose lines contain an event.
    pub fn why_not_json(&mut self, text: &[u8]) -> Option<String> {
        run::parse::why_not_json(self.isolate.as_mut()?, text, &mut self.scratch)
    }

    /// V8's used heap, in bytes. Walks the heap's spaces, so don't call it for every event.
    pub fn heap_used(&mut self) -> usize {
        match self.isolate.as_mut() {
            Some(isolate) => isolate.enter().isolate.get_heap_statistics().used_heap_size(),
            None => 0,
        }
    }

    /// The values of the variables that outlive an event: those at the top level of the author's modules, those in the
    /// scopes of their functions, and properties added to the global object. Empty unless an observer asks for them.
    pub fn variables(&mut self) -> Variables {
        self.isolate.as_mut().map(TransformIsolate::variables).unwrap_or_default()
    }

    /// Keeps the isolate entered between events until [`Engine::idle`] is called, which saves a little time. Meanwhile
    /// this thread must not use V8 in any other way.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Lets V8 do deferred work. Call it now and then between events.
    pub fn idle(&mut self) {
        self.held = false;
        if let Some(isolate) = self.isolate.as_mut() {
            isolate.release();
            isolate.idle();
        }
    }

    /// Frees memory that is not needed between events, which takes some milliseconds. Call it
    /// when no event is expected soon.
    pub fn trim(&mut self) {
        self.idle();
        self.text = Vec::new();
        if let Some(isolate) = self.isolate.as_mut() {
            isolate.enter().isolate.low_memory_notification();
        }
    }

    /// Sets which events are lazy. The default is [`Laziness::Auto`].
    pub fn set_laziness(&mut self, laziness: Laziness) {
        self.laziness = laziness;
    }

    /// Sets whether events are printed with a print plan. The default is to use one where it pays.
    pub fn set_print_planning(&mut self, planning: PrintPlanning) {
        self.print_plan = planning;
        if let Some(isolate) = self.isolate.as_mut() {
            isolate.enter().plan.restart();
        }
    }

    /// The number of edits that the print plan knows.
    #[cfg(test)]
    pub(crate) fn print_plan_size(&mut self) -> u32 {
        self.isolate.as_mut().map_or(0, |isolate| isolate.enter().plan.size())
    }

    /// Sets the action for an event that cannot be stopped inside the process. It is called on another thread.
    pub fn on_stuck(&self, act: fn()) {
        self.watch.on_stuck(act);
    }

    /// Replaces every credential's value in `text`.
    fn mask(&self, text: &mut String) {
        for secret in &self.masks {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), "***");
            }
        }
    }

    fn mask_failure(&self, failure: &mut Failure) {
        self.mask(&mut failure.message);
        if let Some(name) = failure.name.as_mut() {
            self.mask(name);
        }
        if let Some(stack) = failure.stack.as_mut() {
            self.mask(stack);
        }
    }
}

/// The result of one attempt at an event.
enum Attempt<T> {
    Done(T),
    OutOfTime,
    OutOfMemory,
    /// It failed because it needs [`Overrides::All`], and must be retried in an isolate that has them.
    WantsOverrides,
}
