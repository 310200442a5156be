//! An isolate without a program: everything that is done before the author's code is known.
//!
//! The engine's own scripts have run in it: the driver has its copies of the intrinsics, the global is emptied, the functions
//! of the contract are there. That takes most of the time in which a program starts, so a process that is going to fork makes
//! one in advance ([`prepare`]), and each child takes it over, if its program fits. It makes two: in the other one the built-ins
//! are closed already, for programs that only declare (see [`crate::run::declarations`]), which are most.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use deno_core::{serde_v8, v8};

use crate::lazy;
use crate::limits::heap::HeapGuard;
use crate::limits::watchdog;
use crate::load_error::{LoadError, LoadErrorKind};
use crate::program::Program;
use crate::run::host_functions;
use crate::run::located;
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

/// Three semi-spaces of this size are the young generation, in which nearly all of an event's garbage dies. Measured:
/// `docs/benchmarks.md`.
const SEMI_SPACE: usize = 8 << 20;

/// What it starts with. V8 doubles it while much survives; an event leaves nothing behind, so that mostly it stays, and
/// with it the pages that a process has to touch.
const FIRST_SEMI_SPACE: usize = 1 << 20;

thread_local! {
    /// An isolate belongs to the thread that made it.
    static PREPARED: Cell<Vec<ManuallyDrop<BlankIsolate>>> = const { Cell::new(Vec::new()) };
}

/// What decides how the engine's own scripts run. A program gets an isolate of its kind.
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
            now: program.scene.now,
            seed: program.scene.seed,
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

/// What the scripts of `js/runtime` leave behind for the isolate.
pub(crate) struct Installed {
    pub(crate) context: v8::Global<v8::Context>,
    pub(crate) driver: v8::Global<v8::Object>,
    pub(crate) metadata: v8::Global<v8::Function>,
    pub(crate) freeze: v8::Global<v8::Function>,
    pub(crate) restart: Option<v8::Global<v8::Function>>,
    pub(crate) script: v8::Global<v8::UnboundScript>,
    /// What `freeze` has answered, if the built-ins are closed before the program is there.
    pub(crate) closed: Option<bool>,
    begin: v8::Global<v8::Function>,
}

/// Makes blank isolates for programs that run with these options, before this process forks. Nothing in them depends on chance
/// that children must not share, but for V8's hash seed.
///
/// # Errors
/// When the engine's own scripts do not load.
pub fn prepare(options: &Options) -> Result<(), LoadError> {
    watchdog::without_thread(|| {
        let open = warmed(options, false)?;
        let closed = warmed(options, true)?;
        PREPARED.set([open, closed].into_iter().flatten().map(ManuallyDrop::new).collect());
        Ok(())
    })
}

/// A blank isolate in which programs have been loaded. V8 compiles functions when they are first called, and once more when they
/// are called often. All that happens here, in contexts that are discarded: what is compiled belongs to the isolate.
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
        // Children are to have no garbage that isn't theirs. V8 sweeps what it has collected when it next needs room, which
        // is what comes now.
        isolate.low_memory_notification();
        let kind = Kind::new(&Program::default(), options);
        warmed = Some(BlankIsolate::in_isolate(isolate, heap, kind, None, Use::Forks { closed })?);
    }
    Ok(warmed)
}

/// So many times a program is loaded, until what V8 compiles for that is compiled.
const ROUNDS: usize = 4;

/// So many events a round has: enough for the first lesson of the print plan.
const EVENTS: usize = 20;

/// Does a little of what programs do.
const WARM_UP: &str = "export function transformEvent(event, metadata) { const { sourceId } = metadata(event); \
                       event.properties.price += 1; event.from = sourceId; event.name = `${event.type} ${event.n}`; return event; }";
const WARM_UP_EVENT: &[u8] = br#"{"n":1,"type":"track","properties":{"name":"item","price":0.5}}"#;

/// What a blank isolate is made for.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    /// The program that is there.
    Program,
    /// Programs in children of this process; with the built-ins closed, those that only declare.
    Forks { closed: bool },
}

impl BlankIsolate {
    /// One that was made in advance, if there is one that will do; else a new one. `may_be_closed` says that the program is the
    /// same where the built-ins are closed before it is there.
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
        // Of two that fit, the closed one is the last.
        match prepared.iter().rposition(|blank| fits(blank)) {
            // The other one stays as it is, as memory that the children share: to take it apart would copy it.
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
        Self::in_isolate(isolate, heap, kind, observer, Use::Program)
    }

    /// Makes an isolate blank that is entered; what was in it before is gone with its context.
    fn in_isolate(
        mut isolate: v8::OwnedIsolate,
        heap: Box<HeapGuard>,
        kind: Kind,
        observer: Option<&Rc<RunObserver>>,
        purpose: Use,
    ) -> Result<Self, LoadError> {
        isolate.set_slot(State::new(kind.log_limit));
        let (inspector, installed) = {
            v8::scope!(let scope, &mut isolate);
            let context = v8::Context::new(scope, v8::ContextOptions::default());
            context.set_allow_generation_from_strings(false);
            let scope = &mut v8::ContextScope::new(scope, context);
            let known = located::CodeContext(v8::Global::new(scope, context));
            scope.set_slot(known);
            flatness::learn(scope);
            (Inspector::open(scope, context, observer), install(scope, context, &kind, purpose))
        };
        let Some(installed) = installed else {
            drop(inspector);
            // SAFETY: entered when it was made.
            unsafe { isolate.exit() };
            discard(isolate);
            return Err(LoadError::new(LoadErrorKind::Limit, "the engine's own scripts did not load"));
        };
        // SAFETY: entered when it was made; its next owner enters it again.
        unsafe { isolate.exit() };
        Ok(Self { kind, installed, inspector, isolate, heap })
    }

    /// The isolate is dropped in the way that V8 wants it.
    fn discard(self) {
        drop((self.installed, self.inspector));
        discard(self.isolate);
    }
}

/// Runs the engine's own scripts: the driver takes its copies, the lockdown empties the global, the author's functions
/// are put there.
fn install<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    context: v8::Local<'s, v8::Context>,
    kind: &Kind,
    purpose: Use,
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
    if purpose != Use::Program {
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
        Use::Forks { closed: true } => {
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
    /// Hands over what depends on the program. To be called once, before any code of the author's runs.
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
