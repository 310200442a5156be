//! An isolate without a program: all setup that happens before the author's code is known.
//!
//! The engine's own scripts have run in it: the driver has copied the intrinsics, the global object is emptied, and the
//! functions of the contract are defined. That takes most of a program's startup time, so a process that is going to
//! fork makes one in advance ([`prepare`]), and each child takes it over if it fits the program. The process makes two:
//! in the second one the built-ins are already frozen, for programs that only declare (see
//! [`crate::run::declarations`]), which are the majority.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use deno_core::{serde_v8, v8};

use crate::lazy;
use crate::limits::heap::HeapGuard;
use crate::limits::watchdog;
use crate::load_error::{LoadError, LoadErrorKind};
use crate::program::Program;
use crate::run::current_stack;
use crate::run::host_functions;
use crate::run::print_plan::PrintPlan;
use crate::run::requests::Access;
use crate::run::source_scan;
use crate::run::state::State;
use crate::run::web;
use crate::v8::driver;
use crate::v8::flatness;
use crate::v8::inspector::{Inspector, RunObserver};
use crate::v8::lifecycle::{self, discard};
use crate::v8::override_attempts;
use crate::{Engine, Event, Options, OutputFraming};

/// The young generation consists of three semi-spaces of this size. Nearly all of an event's garbage dies in it. For
/// the measurements of other sizes, see `docs/internals/start.md`.
const SEMI_SPACE: usize = 8 << 20;

/// The initial semi-space size. V8 doubles it while many objects survive. An event leaves nothing behind, so the size
/// rarely grows, nor does the number of pages that a process touches.
const FIRST_SEMI_SPACE: usize = 1 << 20;

thread_local! {
    /// An isolate belongs to the thread that made it.
    static PREPARED: Cell<Vec<ManuallyDrop<BlankIsolate>>> = const { Cell::new(Vec::new()) };
}

/// Everything that affects how the engine's own scripts run. A program gets an isolate of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kind {
    heap: usize,
    log_limit: usize,
    logs: bool,
    network: Access,
    /// See [`source_scan::names_legacy_state`].
    legacy: bool,
    now: Option<f64>,
    seed: Option<u32>,
}

impl Kind {
    pub(crate) fn new(program: &Program, options: &Options) -> Self {
        Self {
            heap: options.limits.heap,
            log_limit: options.limits.log,
            logs: options.logs,
            network: options.network,
            legacy: source_scan::names_legacy_state(program),
            now: program.determinism.now,
            seed: program.determinism.seed,
        }
    }
}

/// An isolate in which only the engine's own scripts have run. Not entered.
pub(crate) struct BlankIsolate {
    kind: Kind,
    pub(crate) installed: Installed,
    pub(crate) inspector: Option<Inspector>,
    pub(crate) isolate: v8::OwnedIsolate,
    pub(crate) heap: Box<HeapGuard>,
}

/// What the scripts of `js/runtime` return to the isolate.
pub(crate) struct Installed {
    pub(crate) context: v8::Global<v8::Context>,
    pub(crate) driver: v8::Global<v8::Object>,
    pub(crate) metadata: v8::Global<v8::Function>,
    pub(crate) freeze: v8::Global<v8::Function>,
    pub(crate) restart: Option<v8::Global<v8::Function>>,
    pub(crate) script: v8::Global<v8::UnboundScript>,
    /// The result of `freeze`, if the built-ins were frozen before the program was known.
    pub(crate) closed: Option<bool>,
    begin: v8::Global<v8::Function>,
}

/// Makes blank isolates for programs with these options, before this process forks. Except for V8's hash seed, they
/// contain no randomness that children must not share.
///
/// # Errors
/// If the engine's own scripts fail to load.
pub fn prepare(options: &Options) -> Result<(), LoadError> {
    watchdog::without_thread(|| {
        let open = warmed(options, false)?;
        let closed = warmed(options, true)?;
        PREPARED.set([open, closed].into_iter().flatten().map(ManuallyDrop::new).collect());
        Ok(())
    })
}

/// Makes a blank isolate in which programs have already been loaded. V8 compiles a function at its
/// first call, and again once it is called often. Both happen here, in contexts that are discarded:
/// compiled code belongs to the isolate.
fn warmed(options: &Options, closed: bool) -> Result<Option<BlankIsolate>, LoadError> {
    let mut warmed = None;
    for _ in 0..ROUNDS {
        PREPARED.set(warmed.take().map(ManuallyDrop::new).into_iter().collect());
        let mut program = Engine::new(Program::new("warm-up.js", WARM_UP), options.clone())?;
        let mut out = Vec::new();
        for _ in 0..EVENTS {
            let event = Event { json: WARM_UP_EVENT, metadata: Some(br#"{"sourceId":"s"}"#) };
            program.transform_event(event, &OutputFraming::LINES, &mut out);
        }
        program.idle();
        let Some((mut isolate, heap)) = program.into_isolate() else { return Ok(None) };
        // Children must not inherit garbage. V8 sweeps collected memory when it next needs room,
        // which is in the next step.
        isolate.low_memory_notification();
        let kind = Kind::new(&Program::default(), options);
        warmed = Some(BlankIsolate::in_isolate(isolate, heap, kind, None, IsolateUse::Forks { closed })?);
    }
    Ok(warmed)
}

/// Number of times a program is loaded, until V8 has compiled everything that loading needs.
const ROUNDS: usize = 4;

/// Number of events per round: enough to reach the print plan's first lesson.
const EVENTS: usize = 20;

/// Does a little of what programs do.
const WARM_UP: &str = "export function transformEvent(event, metadata) { const { sourceId } = metadata(event); \
                       event.properties.price += 1; event.from = sourceId; event.name = `${event.type} ${event.n}`; return event; }";
const WARM_UP_EVENT: &[u8] = br#"{"n":1,"type":"track","properties":{"name":"item","price":0.5}}"#;

/// The purpose of a blank isolate.
#[derive(Clone, Copy, PartialEq)]
enum IsolateUse {
    /// To run the given program.
    Program,
    /// To run programs in children of this process. If `closed`, the built-ins are frozen: only
    /// for programs that only declare.
    Forks { closed: bool },
}

impl BlankIsolate {
    /// Takes an isolate made in advance if one fits, or makes a new one. `may_be_closed` tells whether the program
    /// behaves the same if the built-ins are frozen before it loads.
    pub(crate) fn new(
        program: &Program,
        options: &Options,
        observer: Option<&Rc<RunObserver>>,
        may_be_closed: impl FnOnce() -> bool,
    ) -> Result<Self, LoadError> {
        let kind = Kind::new(program, options);
        let mut prepared = PREPARED.take();
        if prepared.is_empty() {
            return Self::create(kind, observer);
        }
        let may_be_closed = may_be_closed();
        let fits = |blank: &Self| blank.kind == kind && observer.is_none() && (may_be_closed || !blank.is_closed());
        // If both fit, the closed one is used: it is the last.
        match prepared.iter().rposition(|blank| fits(blank)) {
            // The other one is leaked: it is memory shared with the other children, and dropping
            // it would copy that memory.
            Some(at) => Ok(ManuallyDrop::into_inner(prepared.swap_remove(at))),
            None => {
                prepared.into_iter().for_each(|blank| ManuallyDrop::into_inner(blank).discard());
                Self::create(kind, observer)
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.installed.closed.is_some()
    }

    fn create(kind: Kind, observer: Option<&Rc<RunObserver>>) -> Result<Self, LoadError> {
        let params = v8::CreateParams::default()
            .heap_limits(0, kind.heap)
            .set_max_old_generation_size_in_bytes(kind.heap)
            .set_max_young_generation_size_in_bytes(3 * SEMI_SPACE)
            .set_initial_young_generation_size_in_bytes(3 * FIRST_SEMI_SPACE);
        let (mut isolate, heap) = lifecycle::create(params, kind.heap);
        isolate.set_host_import_module_dynamically_callback(refuse_import);
        isolate.set_allow_wasm_code_generation_callback(refuse_wasm);
        override_attempts::watch(&mut isolate);
        Self::in_isolate(isolate, heap, kind, observer, IsolateUse::Program)
    }

    /// Makes an entered isolate blank. Its previous context and everything in it is gone.
    fn in_isolate(
        mut isolate: v8::OwnedIsolate,
        heap: Box<HeapGuard>,
        kind: Kind,
        observer: Option<&Rc<RunObserver>>,
        purpose: IsolateUse,
    ) -> Result<Self, LoadError> {
        isolate.set_slot(State::new(kind.log_limit));
        let (inspector, installed) = {
            v8::scope!(let scope, &mut isolate);
            let context = v8::Context::new(scope, v8::ContextOptions::default());
            context.set_allow_generation_from_strings(false);
            let scope = &mut v8::ContextScope::new(scope, context);
            let known = current_stack::CodeContext(v8::Global::new(scope, context));
            scope.set_slot(known);
            flatness::learn(scope);
            (Inspector::open(scope, context, observer), install(scope, context, &kind, purpose))
        };
        let Some(installed) = installed else {
            drop(inspector);
            // SAFETY: the isolate was entered when it was made.
            unsafe { isolate.exit() };
            discard(isolate);
            return Err(LoadError::new(LoadErrorKind::Limit, "the engine's own scripts did not load"));
        };
        // SAFETY: the isolate was entered when it was made. Its next owner enters it again.
        unsafe { isolate.exit() };
        Ok(Self { kind, installed, inspector, isolate, heap })
    }

    /// Drops the isolate in the order that V8 requires.
    fn discard(self) {
        drop((self.installed, self.inspector));
        discard(self.isolate);
    }
}

/// Runs the engine's own scripts: the driver copies the intrinsics, the lockdown empties the global object, and the
/// functions for the author's code are defined there.
fn install<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    context: v8::Local<'s, v8::Context>,
    kind: &Kind,
    purpose: IsolateUse,
) -> Option<Installed> {
    let script = driver::script(scope)?;
    let function: v8::Local<v8::Function> = script.run(scope)?.try_into().ok()?;
    let host = host_functions::object(scope, kind.logs, kind.network)?;
    for (name, value) in [("now", kind.now), ("seed", kind.seed.map(f64::from))] {
        if let Some(value) = value {
            let (key, value) = (v8::String::new(scope, name)?, v8::Number::new(scope, value));
            host.set(scope, key.into(), value.into())?;
        }
    }
    let (key, legacy) = (v8::String::new(scope, "legacy")?, v8::Boolean::new(scope, kind.legacy));
    host.set(scope, key.into(), legacy.into())?;
    if purpose != IsolateUse::Program {
        let (key, fill) = (v8::String::new(scope, "fillRandom")?, v8::Function::new(scope, web::fill_random)?);
        host.set(scope, key.into(), fill.into())?;
    }
    let undefined = v8::undefined(scope).into();
    let installed: v8::Local<v8::Object> = function.call(scope, undefined, &[host.into()])?.try_into().ok()?;
    lazy::guard(scope, context)?;
    let ready: v8::Local<v8::Function> = get(scope, installed, "ready")?.try_into().ok()?;
    let freeze: v8::Local<v8::Function> = ready.call(scope, undefined, &[])?.try_into().ok()?;
    let driver: v8::Local<v8::Object> = get(scope, installed, "driver")?.try_into().ok()?;
    let metadata: v8::Local<v8::Function> = get(scope, installed, "metadata")?.try_into().ok()?;
    let begin: v8::Local<v8::Function> = get(scope, installed, "begin")?.try_into().ok()?;
    let restart: Option<v8::Local<v8::Function>> = get(scope, installed, "restart")?.try_into().ok();
    let closed = match purpose {
        IsolateUse::Forks { closed: true } => {
            let all = v8::Boolean::new(scope, false).into();
            Some(freeze.call(scope, undefined, &[all])?.is_true())
        }
        _ => None,
    };
    let script = script.get_unbound_script(scope);
    Some(Installed {
        context: v8::Global::new(scope, context),
        driver: v8::Global::new(scope, driver),
        metadata: v8::Global::new(scope, metadata),
        freeze: v8::Global::new(scope, freeze),
        restart: restart.map(|restart| v8::Global::new(scope, restart)),
        script: v8::Global::new(scope, script),
        closed,
        begin: v8::Global::new(scope, begin),
    })
}

impl Installed {
    /// Passes on what depends on the program. Must be called once, before any of the author's code runs.
    pub(crate) fn begin(&self, scope: &mut v8::PinScope<'_, '_>, program: &Program) -> Option<()> {
        let credentials = match program.credentials.is_empty() {
            true => v8::undefined(scope).into(),
            false => serde_v8::to_v8(scope, &program.credentials).ok()?,
        };
        let careful = v8::Boolean::new(scope, !PrintPlan::new(program).may_copy()).into();
        let defaults = match &program.metadata {
            Some(text) => {
                scope.get_slot::<lazy::SharedMetadata>()?.borrow_mut().set_default(text);
                v8::String::new(scope, text)?.into()
            }
            None => v8::undefined(scope).into(),
        };
        let undefined = v8::undefined(scope).into();
        v8::Local::new(scope, &self.begin).call(scope, undefined, &[credentials, careful, defaults])?;
        Some(())
    }
}

pub(crate) fn get<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
    name: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let key = v8::String::new(scope, name)?;
    object.get(scope, key.into())
}

fn refuse_import<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _options: v8::Local<'s, v8::Data>,
    _resource: v8::Local<'s, v8::Value>,
    specifier: v8::Local<'s, v8::String>,
    _attributes: v8::Local<'s, v8::FixedArray>,
) -> Option<v8::Local<'s, v8::Promise>> {
    let resolver = v8::PromiseResolver::new(scope)?;
    let specifier = specifier.to_rust_string_lossy(scope);
    let text = format!("import('{specifier}') failed. Dynamic import is not available; use an import declaration.");
    let text = v8::String::new(scope, &text)?;
    let error = v8::Exception::type_error(scope, text);
    resolver.reject(scope, error);
    Some(resolver.get_promise(scope))
}

unsafe extern "C" fn refuse_wasm(_context: v8::Local<v8::Context>, _source: v8::Local<v8::String>) -> bool {
    false
}
