//! One isolate: source in, verdicts out.
//!
//! An [`Engine`] holds a [`Program`] in a V8 isolate of its own and runs it over events, one at a time. It promises that
//! every event gets exactly one [`Verdict`], that no event costs more than its [`Limits`], and that whatever one event
//! does, the next one meets a working isolate: after a time or memory limit was hit the isolate is replaced, and an
//! event is blamed for memory only when it failed alone in a fresh one.
//!
//! It never touches files, flags, the environment, processes or standard output. What it cannot survive is V8 aborting
//! the process (an allocation beyond all limits, a bug in V8): that wall is the worker process, a matter of the program `sluicegate`.
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
pub use run::event::Step;
use run::fetch;
use run::in_flight::InFlight;
pub use run::in_flight::Lost;
use run::located;
pub use run::print_plan::PrintPlanning;
pub use run::requests::{Access, MAX_REQUEST, MAX_UNANSWERED, MAX_UNANSWERED_BYTES, Network, SharedNetwork};
use run::state::EventState;
pub use run::state::LogLine;
use run::ticket::OnTurn;
pub use run::ticket::Ticket;
use run::transform_isolate::{Overrides, TransformIsolate, is_source};
use run::turns;
use run::waiting::Loss;
pub use run::waiting::Settled;
use serde::{Deserialize, Serialize};
pub use sluicegate_json::Sink;
pub use typescript::{DECLARATIONS, TypeScriptError, comments, is_typescript, strip as strip_types};
use unsafe_reads::ToldRead;
pub use unsafe_reads::{UnsafeIntegers, UnsafeRead};
use v8::errors;
pub use v8::errors::frame_position;
use v8::event_number::NO_EVENT;
pub use v8::inspector::{FunctionCoverage, Look, RangeCoverage, RunObserver, ScriptCoverage, Variable, Variables};
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

/// What is known of a program that has been loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// The function that it exports.
    pub export: Export,
    /// The handles of the libraries that it imports, directly or through others, sorted.
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
    /// What one event may cost.
    pub limits: Limits,
    /// Whether `log` and `console` are kept; if not, they cost next to nothing.
    pub logs: bool,
    /// Which of the network functions work; they need [`Engine::connect`] besides.
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
    /// What `metadata(event)` answers, as the text of a JSON object; it wins over the program's own metadata.
    pub metadata: Option<&'a [u8]>,
}

/// What is written around an event's outputs.
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
    /// Whether an event that failed for one of the outputs that belong to it gives its good ones all the same. Where the
    /// event itself is kept, to be run again, they would be there twice.
    pub keep_partial_output: bool,
}

impl OutputFraming<'static> {
    /// One output per line.
    pub const LINES: Self =
        Self { open: b"", around: (b"", b""), between: b"\n", close: b"\n", keep_partial_output: false };
}

/// A program in an isolate of its own. Bound to the thread that made it.
pub struct Engine {
    program: Program,
    options: Options,
    /// Before the isolate: it holds handles of it.
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
    choice: lazy::Tuner,
    print_plan: PrintPlanning,
    network: Option<SharedNetwork>,
    on_turn: Option<OnTurn>,
    observer: Option<Rc<RunObserver>>,
    overrides: Overrides,
    /// What to type where the parameters of the function are in the wrong order.
    swapped: Option<&'static str>,
    /// What the code has read, see [`Self::unsafe_read`].
    told_read: ToldRead,
    /// Whether isolates stay entered from event to event.
    held: bool,
    /// V8's isolates belong to a thread.
    _not_send: PhantomData<*mut ()>,
}

impl Engine {
    /// Loads a program. Sets V8 up for embedding (see [`initialize`]) unless it is set up.
    ///
    /// # Errors
    /// When the program cannot be loaded; the error says what, where, and what to do.
    pub fn new(program: Program, options: Options) -> Result<Self, LoadError> {
        Self::load(program, options, None)
    }

    /// The same with an observer: for tests, whose code may take longer for it.
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
        // Shorter ones would mask half of every text without being secrets.
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
            choice: lazy::Tuner::default(),
            print_plan: PrintPlanning::default(),
            network: None,
            on_turn: None,
            observer,
            overrides: Overrides::default(),
            swapped,
            told_read: ToldRead::default(),
            held: false,
            _not_send: PhantomData,
        })
    }

    /// The isolate alone, entered, without the program; `None` if it was lost.
    fn into_isolate(mut self) -> Option<(deno_core::v8::OwnedIsolate, Box<limits::heap::HeapGuard>)> {
        self.isolate.take()?.into_isolate(&self.watch)
    }

    /// Which function the program exports.
    pub fn export(&self) -> Export {
        self.isolate.as_ref().map_or(Export::Event, |isolate| isolate.export)
    }

    /// What is known of the program.
    pub fn loaded(&self) -> Loaded {
        let libraries = self.isolate.as_ref().map(|isolate| isolate.libraries.clone()).unwrap_or_default();
        Loaded { export: self.export(), libraries }
    }

    /// Transforms one event and appends its outputs to `out`, a line each.
    pub fn transform(&mut self, event: &[u8], out: &mut dyn Sink) -> Verdict {
        self.transform_event(Event { json: event, metadata: None }, &OutputFraming::LINES, out)
    }

    /// Transforms one event and appends its outputs to `out`, rendered as asked. What is appended belongs to the verdict
    /// `ok`; for any other nothing is.
    pub fn transform_event(&mut self, event: Event<'_>, rendering: &OutputFraming<'_>, out: &mut dyn Sink) -> Verdict {
        if self.export() == Export::Batch {
            let mut verdict = None;
            self.transform_batch(&[event], &mut |_| *rendering, &mut |one, text, _| {
                out.push(&text);
                verdict = Some(one);
            });
            return verdict.expect("a batch gives one verdict per event");
        }
        self.run_alone(event, rendering, out)
    }

    /// Runs an attempt; if it hit the heap limit in an isolate that had seen other events, once more in a fresh one.
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
                    if let Some(failure) = self.lose(Loss::OutOfTime, Some((number, Ticket::default()))) {
                        return failure.into();
                    }
                    // Another event's turn took too long. Only that one is among those that wait no more; this one is run
                    // again right here.
                    self.in_flight.forget_lost(Ticket::default());
                }
                Attempt::OutOfMemory => {
                    let made = self.of_number(number, |event| event.made);
                    self.lose(Loss::OutOfMemory, None);
                    if fresh {
                        self.in_flight.made = made;
                        return self.out_of_memory().into();
                    }
                    self.in_flight.repeated += u64::from(made);
                }
                Attempt::WantsOverrides => {
                    self.overrides = Overrides::All;
                    self.in_flight.repeated += u64::from(self.of_number(number, |event| event.made));
                    self.lose(Loss::Reload, None);
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

    /// The failure of an event, or a batch of several, that hit this limit, with this many requests unanswered.
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

    /// From now on an event that runs out of CPU time says where it was, as far as that can be seen: its failure has a stack
    /// and a position. It is interrupted for that when it comes near its limit.
    pub fn locate_timeouts(&mut self) {
        self.watch.locate(located::stack);
    }

    /// How many requests of the event whose turn it is have no answer, and how many events it is.
    fn of_turn(&mut self) -> (u32, u32) {
        let turn = self.isolate.as_mut().and_then(TransformIsolate::state).map_or(NO_EVENT, |state| state.turn());
        self.of_number(turn, |event| (event.unanswered, event.events))
    }

    /// Something about the event with this number.
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

    /// Begins anew: what the code keeps in its variables is what it is after loading. An isolate that has seen no event stays. If
    /// the program does not load this time, the next event tries again, and fails if it has to.
    pub fn renew(&mut self) {
        if self.isolate.as_ref().is_none_or(|isolate| isolate.events > 0) {
            self.isolate = None;
            let _ = self.load_again();
        }
    }

    /// Connects the network functions, as far as [`Options::network`] has them.
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

    /// What the last event (or batch) logged. Credentials are masked.
    pub fn logs(&self) -> &[LogLine] {
        &self.logs
    }

    /// The first integer beyond what JavaScript can hold that the code has read, once in the engine's life: then nothing of the kind
    /// is looked for any more. Its event is the last one, or of the last batch the one at its index. Only with
    /// [`UnsafeIntegers::Warn`].
    pub fn unsafe_read(&mut self) -> Option<UnsafeRead> {
        self.told_read.take()
    }

    /// How many times the isolate was replaced because a limit was hit.
    pub fn replacements(&self) -> u64 {
        self.replaced
    }

    /// The limits that hold.
    pub fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// V8's words for what is wrong with a text that is not JSON; `None` if V8 accepts it, or has no isolate. For hosts whose
    /// lines have an event in them.
    pub fn why_not_json(&mut self, text: &[u8]) -> Option<String> {
        run::parse::why_not_json(self.isolate.as_mut()?, text, &mut self.scratch)
    }

    /// V8's heap in use, in bytes. Walks the heap's spaces: not for every event.
    pub fn heap_used(&mut self) -> usize {
        match self.isolate.as_mut() {
            Some(isolate) => isolate.enter().isolate.get_heap_statistics().used_heap_size(),
            None => 0,
        }
    }

    /// What the variables hold that outlive an event: those at the top level of the author's modules, those that their
    /// functions keep, and those that were put into the global object. Nothing unless an observer looks at them.
    pub fn variables(&mut self) -> Variables {
        self.isolate.as_mut().map(TransformIsolate::variables).unwrap_or_default()
    }

    /// From now on, and until [`Engine::idle`] is called, the isolate stays entered from event to event, which takes a
    /// little less time. Meanwhile this thread must not do anything else with V8.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// To be called now and then between events: lets V8 do what it has put off.
    pub fn idle(&mut self) {
        self.held = false;
        if let Some(isolate) = self.isolate.as_mut() {
            isolate.release();
            isolate.idle();
        }
    }

    /// Gives back what memory is not needed between events, which takes some milliseconds: for when none is to be expected soon.
    pub fn trim(&mut self) {
        self.idle();
        self.text = Vec::new();
        if let Some(isolate) = self.isolate.as_mut() {
            isolate.enter().isolate.low_memory_notification();
        }
    }

    /// Which events are lazy; without this, those for which it pays.
    pub fn set_laziness(&mut self, laziness: Laziness) {
        self.laziness = laziness;
    }

    /// Whether events are printed with a print plan; without this, where it pays.
    pub fn set_print_planning(&mut self, planning: PrintPlanning) {
        self.print_plan = planning;
        if let Some(isolate) = self.isolate.as_mut() {
            isolate.enter().plan.restart();
        }
    }

    /// How many edits the print plan knows of.
    #[cfg(test)]
    pub(crate) fn print_plan_size(&mut self) -> u32 {
        self.isolate.as_mut().map_or(0, |isolate| isolate.enter().plan.size())
    }

    /// What to do when an event can be stopped by no means inside the process. Called on another thread.
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

/// How one attempt at an event ended.
enum Attempt<T> {
    Done(T),
    OutOfTime,
    OutOfMemory,
    /// It failed for want of [`Overrides::All`], and is to be tried again in an isolate that has them.
    WantsOverrides,
}
