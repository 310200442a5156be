//! An isolate with the author's code loaded, from its creation to the function that is called per event.
//!
//! Security depends on the order: create the isolate, copy the intrinsics for the driver, empty the global object,
//! define the few functions of the contract (all of that is [`crate::run::blank_isolate`]), evaluate the modules under
//! the time limit, freeze. An isolate that hit a limit is discarded as a whole.

use std::rc::Rc;

use deno_core::v8;

use crate::lazy;
use crate::limits::Limits;
use crate::limits::heap::HeapGuard;
use crate::limits::watchdog::Watch;
use crate::load_error::{LoadError, LoadErrorKind};
use crate::module_id::ModuleId;
use crate::program::{Program, nearest};
use crate::run::blank_isolate::{BlankIsolate, Installed, get};
use crate::run::declarations;
use crate::run::driver_functions::Driver;
use crate::run::host_functions;
use crate::run::print_plan::PrintPlan;
use crate::run::requests::SharedNetwork;
use crate::run::row_object;
use crate::run::state::State;
use crate::run::ticket::OnTurn;
use crate::unsafe_reads::UnsafeReads;
use crate::v8::driver;
use crate::v8::inspector::{Inspector, RunObserver, Variables};
use crate::v8::lifecycle::{discard, end, namespaces};
use crate::v8::modules::{self, Author, Module, Ready};
use crate::v8::platform;
use crate::verdict::{Failure, Position};
use crate::{Export, Options};

/// The intrinsics whose properties can be overridden by objects that inherit them, see `js/runtime/lockdown.js`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Overrides {
    /// The prototypes that nearly all objects inherit from: those of objects, functions and errors.
    #[default]
    Common,
    /// All intrinsics.
    All,
}

impl Overrides {
    /// Whether an event failed because it assigned to a property that its object inherits from an intrinsic.
    /// V8 reports most of these assignments even if the event does not fail (see [`crate::v8::override_attempts`]), but
    /// not those made by `Object.assign`.
    pub(crate) fn were_wanted(failure: &Failure) -> bool {
        failure.message.contains("Cannot assign to read only property")
    }
}

/// An isolate that is ready for events. Fields are dropped in order: handles, isolate, then the
/// data that its callbacks use.
pub(crate) struct TransformIsolate {
    pub(crate) context: v8::Global<v8::Context>,
    pub(crate) transform: v8::Global<v8::Function>,
    pub(crate) driver: Driver,
    pub(crate) export: Export,
    /// The names of the loaded libraries.
    pub(crate) libraries: Vec<String>,
    /// The number of events that this isolate was given. If it is 1, the event is alone in a fresh isolate.
    pub(crate) events: u64,
    plan: PrintPlan,
    /// The engine's own scripts. Held until their code cache is created.
    script: Option<v8::Global<v8::UnboundScript>>,
    /// The author's modules, if an observer needs their variables.
    modules: Vec<(String, v8::Global<v8::Module>)>,
    inspector: Option<Inspector>,
    /// Whether the isolate stays entered between events.
    held: bool,
    isolate: Option<v8::OwnedIsolate>,
    heap: Box<HeapGuard>,
}

impl TransformIsolate {
    /// Makes an isolate and loads `program` into it.
    pub(crate) fn new(
        program: &Program,
        options: &Options,
        watch: &Watch,
        observer: Option<&Rc<RunObserver>>,
        overrides: Overrides,
    ) -> Result<Self, LoadError> {
        let limits = &options.limits;
        let may_be_closed = || overrides == Overrides::Common && declarations::only_declares(program);
        let BlankIsolate { mut isolate, heap, installed, inspector, .. } =
            BlankIsolate::new(program, options, observer, may_be_closed)?;
        // SAFETY: this thread made the isolate. It is exited below.
        unsafe { isolate.enter() };
        watch.guard(&mut isolate);
        let (loaded, in_time) = Self::load(&mut isolate, &installed, program, watch, observer.is_some(), overrides);
        drop(installed);
        let error = match loaded {
            _ if !in_time => LoadError::too_slow(&program.name, limits),
            _ if heap.was_hit() => heap_while_loading(program, limits),
            Err(error) => error,
            Ok(loaded) => {
                // SAFETY: entered above, on this thread. Every later use enters it again (see `Entered`).
                unsafe { isolate.exit() };
                return Ok(Self {
                    context: loaded.context,
                    transform: loaded.transform,
                    driver: loaded.driver,
                    export: loaded.export,
                    libraries: loaded.libraries,
                    events: 0,
                    plan: PrintPlan::new(program),
                    script: loaded.script,
                    modules: loaded.modules,
                    inspector,
                    held: false,
                    isolate: Some(isolate),
                    heap,
                });
            }
        };
        drop(inspector);
        // SAFETY: the isolate was entered above, on this thread. `discard` drops the isolate in
        // the order that V8 requires.
        unsafe { isolate.exit() };
        discard(isolate);
        Err(error)
    }

    /// Loads the program. Also returns whether that was in time; the engine's own scripts are not timed.
    fn load(
        isolate: &mut v8::OwnedIsolate,
        installed: &Installed,
        program: &Program,
        watch: &Watch,
        observed: bool,
        overrides: Overrides,
    ) -> (Result<Loaded, LoadError>, bool) {
        v8::scope_with_context!(scope, isolate, &installed.context);
        if installed.begin(scope, program).is_none() {
            return (Err(LoadError::new(LoadErrorKind::Limit, "the engine's own scripts did not load")), true);
        }
        watch.begin_loading();
        let mut loaded = Self::load_program(scope, installed, program, overrides);
        if let (Ok(loaded), false) = (&mut loaded, observed) {
            loaded.modules.clear();
        }
        scope.perform_microtask_checkpoint();
        (loaded, watch.end())
    }

    /// Compiles and evaluates the author's modules, then freezes the intrinsics.
    fn load_program<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        installed: &Installed,
        program: &Program,
        overrides: Overrides,
    ) -> Result<Loaded, LoadError> {
        let root = Module { name: program.name.clone(), code: program.code.clone() };
        let linked = modules::link(scope, &root, &mut |_, specifier, _, _| modules::library(program, specifier));
        // V8 does not always report where an export is missing.
        let Ready { module, modules } = linked.map_err(|error| match (error.kind, &error.position) {
            (LoadErrorKind::Import, None) if error.help.is_none() => {
                error.help(format!("known libraries: {}", program.handles().join(", ")))
            }
            _ => error,
        })?;
        row_object::prepare(scope, program, &modules);
        let driver = v8::Local::new(scope, &installed.driver);
        let describe = get(scope, driver, "describe").and_then(|f| v8::Local::<v8::Function>::try_from(f).ok());
        let author = Author {
            is_source: &|file| is_source(program, file),
            line: &|at| program.source_line(at),
            when: "while loading",
        };
        modules::evaluate(scope, module, describe.expect("the driver exports this"), &author)?;
        let libraries = modules
            .iter()
            .filter(|(name, _)| *name != root.name)
            .filter_map(|(name, _)| Some(ModuleId::parse(name).library()?.to_owned()))
            .collect();
        let (export, transform) = exported(scope, module, program)?;
        let plain = installed.closed.unwrap_or_else(|| {
            let undefined = v8::undefined(scope).into();
            let all = v8::Boolean::new(scope, overrides == Overrides::All).into();
            let plain = v8::Local::new(scope, &installed.freeze).call(scope, undefined, &[all]);
            plain.is_some_and(|plain| plain.is_true())
        });
        if let Some(lazy) = scope.get_slot::<lazy::Shared>() {
            lazy.borrow_mut().set_plain_prototypes(plain);
        }

        let settled = v8::Function::new(scope, host_functions::note_settled).expect("an isolate can make a function");
        let metadata = v8::Local::new(scope, &installed.metadata);
        let restart = installed.restart.as_ref().map(|restart| v8::Local::new(scope, restart));
        let driver = Driver::new(scope, driver, metadata, restart, settled);
        Ok(Loaded {
            context: installed.context.clone(),
            transform: v8::Global::new(scope, transform),
            driver,
            export,
            libraries,
            script: (!driver::is_kept()).then(|| installed.script.clone()),
            modules: modules.into_iter().map(|(name, module)| (name, v8::Global::new(scope, module))).collect(),
        })
    }

    /// Returns the isolate alone, entered, without the loaded program.
    pub(crate) fn into_isolate(mut self, watch: &Watch) -> Option<(v8::OwnedIsolate, Box<HeapGuard>)> {
        self.release();
        let mut isolate = self.isolate.take()?;
        // SAFETY: the next owner exits it again. Engines are not `Send`, so this is the isolate's thread.
        unsafe { isolate.enter() };
        watch.leave(&mut isolate);
        self.heap.remove(&mut isolate);
        drop(self);
        let heap = HeapGuard::install(&mut isolate);
        Some((isolate, heap))
    }

    /// Enters the isolate on this thread for as long as the guard lives.
    pub(crate) fn enter(&mut self) -> Entered<'_> {
        let isolate = self.isolate.as_mut().expect("only taken on drop");
        if !self.held {
            // SAFETY: `Entered` exits it again; engines are not `Send`, so this is the isolate's thread.
            unsafe { isolate.enter() };
        }
        let handles = (&self.context, &self.transform, &self.driver);
        Entered { isolate, held: self.held, handles, plan: &mut self.plan }
    }

    /// Enters the isolate until it is released or dropped, so that it need not be entered for each event. Meanwhile
    /// this thread must not use V8 in any other way.
    pub(crate) fn hold(&mut self) {
        if let (Some(isolate), false) = (self.isolate.as_mut(), self.held) {
            // SAFETY: `release` exits it again; engines are not `Send`, so this is the isolate's thread.
            unsafe { isolate.enter() };
            self.held = true;
        }
    }

    pub(crate) fn release(&mut self) {
        if let (Some(isolate), true) = (self.isolate.as_mut(), std::mem::take(&mut self.held)) {
            // SAFETY: entered by `hold`, and no `Entered` is left.
            unsafe { isolate.exit() };
        }
    }

    /// Does work that can wait until no event is pending.
    pub(crate) fn idle(&mut self) {
        let script = if driver::is_to_be_kept() { self.script.take() } else { None };
        let entered = self.enter();
        platform::pump(entered.isolate);
        if let Some(script) = script {
            v8::scope_with_context!(scope, &mut *entered.isolate, entered.handles.0);
            driver::keep(v8::Local::new(scope, script));
        }
    }

    /// Connects the network functions.
    pub(crate) fn connect(&mut self, network: SharedNetwork, on_turn: Option<OnTurn>) {
        let context = self.context.clone();
        if let Some(state) = self.state() {
            state.requests.connect(network);
            state.number_events(context, on_turn);
        }
    }

    /// The state that the callbacks share with the engine.
    pub(crate) fn state(&mut self) -> Option<&mut State> {
        self.isolate.as_mut()?.get_slot_mut::<State>()
    }

    /// Whether reads of numbers were recorded in this isolate.
    pub(crate) fn was_watched(&self) -> bool {
        let reads = self.isolate.as_ref().and_then(|isolate| isolate.get_slot::<UnsafeReads>());
        reads.is_some_and(UnsafeReads::is_used)
    }

    /// The values of the variables that outlive an event, if the observer asks for them.
    pub(crate) fn variables(&mut self) -> Variables {
        let (Some(isolate), Some(inspector)) = (self.isolate.as_mut(), self.inspector.as_ref()) else {
            return Variables::new();
        };
        // SAFETY: exited below; engines are not `Send`, so this is the isolate's thread.
        unsafe { isolate.enter() };
        let variables = {
            v8::scope_with_context!(scope, &mut *isolate, &self.context);
            let roots = namespaces(scope, &self.modules);
            inspector.variables(scope, &roots)
        };
        // SAFETY: entered above, and the scopes are gone.
        unsafe { isolate.exit() };
        variables
    }

    /// Whether the heap limit was hit.
    pub(crate) fn heap_was_hit(&self) -> bool {
        self.heap.was_hit()
    }
}

struct Loaded {
    context: v8::Global<v8::Context>,
    transform: v8::Global<v8::Function>,
    driver: Driver,
    export: Export,
    libraries: Vec<String>,
    script: Option<v8::Global<v8::UnboundScript>>,
    modules: Vec<(String, v8::Global<v8::Module>)>,
}

/// An isolate while it is entered.
pub(crate) struct Entered<'a> {
    pub(crate) isolate: &'a mut v8::OwnedIsolate,
    /// Whether the isolate stays entered when this is dropped.
    held: bool,
    pub(crate) handles: (&'a v8::Global<v8::Context>, &'a v8::Global<v8::Function>, &'a Driver),
    pub(crate) plan: &'a mut PrintPlan,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if !self.held {
            // SAFETY: entered by `TransformIsolate::enter`, and scopes inside it are gone.
            unsafe { self.isolate.exit() };
        }
    }
}

impl Drop for TransformIsolate {
    fn drop(&mut self) {
        self.release();
        if let Some(isolate) = self.isolate.take() {
            end(isolate, self.inspector.take());
        }
    }
}

fn heap_while_loading(program: &Program, limits: &Limits) -> LoadError {
    let limit = limits.heap >> 20;
    LoadError::new(LoadErrorKind::Limit, format!("{} needs more than {limit} MiB of heap to load", program.name))
        .help("keep less at the top level of the module, or raise --heap-limit")
}

/// Whether `file` is the name of one of the author's modules in stack traces. Shipped libraries are not the author's:
/// an error in one of them is shown where the author's code called it.
pub(crate) fn is_source(program: &Program, file: &str) -> bool {
    file == program.name || ModuleId::parse(file).library().is_some_and(|handle| program.libraries.contains_key(handle))
}

/// Finds the one exported function that the contract requires.
fn exported<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    module: v8::Local<'s, v8::Module>,
    program: &Program,
) -> Result<(Export, v8::Local<'s, v8::Function>), LoadError> {
    const ENTRIES: [(&str, Export); 2] = [("transformEvent", Export::Event), ("transformBatch", Export::Batch)];
    let namespace: v8::Local<v8::Object> = module.get_module_namespace().cast();
    let names = namespace.get_own_property_names(scope, v8::GetPropertyNamesArgs::default());
    let mut all = Vec::new();
    if let Some(names) = names {
        for index in 0..names.length() {
            if let Some(name) = names.get_index(scope, index) {
                all.push(name.to_rust_string_lossy(scope));
            }
        }
    }
    let mut found = Vec::new();
    for (name, export) in ENTRIES {
        if all.iter().any(|exported| exported == name) {
            let value = get(scope, namespace, name);
            match value.and_then(|value| v8::Local::<v8::Function>::try_from(value).ok()) {
                Some(function) => found.push((export, function)),
                None => {
                    let message =
                        format!("Expected one of transformEvent,transformBatch. Found {name}, which is not a function");
                    return Err(LoadError::new(LoadErrorKind::Exports, message)
                        .help(format!("export a function under this name: `export function {name}(…) {{ … }}`")));
                }
            }
        }
    }
    if let [(export, function)] = found[..] {
        return Ok((export, function));
    }
    let list = match found[..] {
        [] => all.join(","),
        _ => ENTRIES.map(|(name, _)| name).join(","),
    };
    let error = LoadError::new(
        LoadErrorKind::Exports,
        format!("Expected one of transformEvent,transformBatch. Found {list}").trim_end().to_owned(),
    );
    Err(match unexported(&program.code) {
        _ if found.len() > 1 => error.help("export only one of the two; the other can stay as a plain function"),
        Some((line, column, name)) => LoadError {
            end_column: column + name.len() as u32,
            source_line: program.code.lines().nth(line as usize - 1).map(str::to_owned),
            position: Some(Position { file: program.name.clone(), line, column }),
            ..error.help(format!("add `export` before the declaration of {name}"))
        },
        None if all.iter().any(|name| name == "default") => {
            error.help("write `export function transformEvent(event, metadata)`, without `default`")
        }
        None => match all.iter().find(|name| nearest(name, ["transformEvent", "transformBatch"]).is_some()) {
            Some(name) => error.help(format!("call it `transformEvent` or `transformBatch`; it is exported as {name}")),
            None => error.help("add `export function transformEvent(event, metadata) { return event; }`"),
        },
    })
}

/// Finds a declaration of one of the two functions that is not exported. This is only for a
/// hint, so a text search suffices.
fn unexported(code: &str) -> Option<(u32, u32, &'static str)> {
    for (number, line) in code.lines().enumerate() {
        for name in ["transformEvent", "transformBatch"] {
            let declares = ["function ", "const ", "let ", "var "].iter().any(|word| {
                let text = line.trim_start();
                let text = text.strip_prefix("async ").unwrap_or(text);
                text.strip_prefix(word).is_some_and(|rest| rest.trim_start().starts_with(name))
            });
            if declares {
                let column = line.find(name)?;
                return Some((number as u32 + 1, line[..column].encode_utf16().count() as u32 + 1, name));
            }
        }
    }
    None
}
