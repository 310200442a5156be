//! The isolate in which a test file runs: the author's tests, their imports, and `js/testing` around them.
//!
//! It has the same lockdown as production, so a library that a test calls directly sees the same globals as in
//! production. The transformation under test runs elsewhere: `transform(event)` leaves the isolate through
//! [`TestHost::transform`], whose implementation runs an ordinary [`super::Engine`]. Each test has its own time limit. A
//! test isolate that hit a limit cannot be used again, see [`TestIsolate::run`].

mod answers;
mod api;

use std::rc::Rc;
use std::time::Duration;

pub use answers::Answers;
use deno_core::v8;

use crate::limits::Limits;
use crate::limits::heap::HeapGuard;
use crate::limits::watchdog::Watch;
use crate::load_error::{LoadError, LoadErrorKind};
use crate::run::web;
use crate::v8::inspector::{Inspector, RunObserver, Variables};
use crate::v8::lifecycle::{self, discard, end, namespaces};
pub use crate::v8::modules::Module;
use crate::v8::modules::{self, Author, NotFound, Ready, from_message};
use crate::v8::on_demand::on_demand;
use crate::v8::v8_string;
use crate::verdict::Position;
use crate::{Protection, initialize};

/// Frames of `js/testing` carry this name and are not shown.
pub const TESTING_SCRIPT: &str = "sluicegate:testing";

/// The world outside the isolate, as far as a test file can reach it.
pub trait TestHost {
    /// Returns the module that `importer` means by `specifier`. `form` is the type of the import, e.g. `json`.
    ///
    /// # Errors
    /// If there is no such module. The text says why.
    fn module(&mut self, specifier: &str, importer: &str, form: Option<&str>) -> Result<Module, String>;
    /// Runs the transformation under test; both texts are JSON, see `js/testing/transform.js`. `answers` answers its
    /// network requests.
    fn transform(&mut self, request: &str, answers: Answers) -> String;
    /// Returns the text of a snapshot file, by its path relative to the test file; `None` if it does not exist yet.
    ///
    /// # Errors
    /// If a test may not use that file. The text says why.
    fn file(&mut self, path: &str) -> Result<Option<String>, String>;
}

/// The settings of a test isolate.
#[derive(Clone, Debug)]
pub struct TestIsolateOptions {
    /// The CPU time that one test may take; the wall time limit is ten times as long.
    pub time: Duration,
    /// The heap, in bytes.
    pub heap: usize,
    /// Values for `host` in `js/testing`, as the text of a JSON object: filter, snapshots, update, ci.
    pub host: String,
}

/// Why a test has no result of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It exceeded its time limit.
    Time,
    /// It exceeded its heap limit.
    Heap,
    /// It waits for a promise that nothing can settle.
    NeverSettles,
}

/// An isolate with a loaded test file. Fields are dropped in this order.
pub struct TestIsolate {
    context: v8::Global<v8::Context>,
    list: v8::Global<v8::Function>,
    run: v8::Global<v8::Function>,
    finish: v8::Global<v8::Function>,
    functions: v8::Global<v8::Function>,
    /// The modules that the tests import, and the tests' own file.
    modules: Vec<(String, v8::Global<v8::Module>)>,
    name: String,
    inspector: Option<Inspector>,
    isolate: Option<v8::OwnedIsolate>,
    heap: Box<HeapGuard>,
    watch: Watch,
    /// The time limit of a test that sets none.
    time: Duration,
}

type HostSlot = Option<Box<dyn TestHost>>;

/// The contents of a test file.
pub enum Tests<'a> {
    /// A module that calls `test`.
    Module(&'a Module),
    /// Cases as data, the text of a JSON array, see `js/testing/cases.js`.
    Cases(&'a str),
}

impl TestIsolate {
    /// Creates an isolate and loads the tests into it.
    ///
    /// # Errors
    /// When they cannot be loaded.
    pub fn load(
        tests: &Tests<'_>,
        options: &TestIsolateOptions,
        observer: &Rc<RunObserver>,
        host: Box<dyn TestHost>,
    ) -> Result<Self, LoadError> {
        initialize(Protection::None);
        // A test only computes and waits for its transformation; the long wall limit allows for a busy machine.
        let limits = Limits { cpu: options.time, wall: 10 * options.time, heap: options.heap, ..Limits::default() };
        let watch = Watch::new(&limits);
        let (mut isolate, heap) =
            lifecycle::create(v8::CreateParams::default().heap_limits(0, limits.heap), limits.heap);
        isolate.set_slot::<HostSlot>(Some(host));
        watch.guard(&mut isolate);
        watch.begin();
        let mut inspector = None;
        let loaded = prepare(&mut isolate, tests, &options.host, observer, &mut inspector);
        let in_time = watch.end();
        let failed = |message: String| LoadError::new(LoadErrorKind::Limit, message);
        let error = match loaded {
            _ if !in_time => {
                failed(format!("the tests did not finish loading within {}", humantime::format_duration(options.time)))
            }
            _ if heap.was_hit() => failed("the tests need too much heap to load".to_owned()),
            Err(error) => error,
            Ok(Prepared { context, list, run, finish, functions, modules }) => {
                // SAFETY: it was entered when it was created. Every later use enters it again.
                unsafe { isolate.exit() };
                let name = match tests {
                    Tests::Module(module) => module.name.clone(),
                    Tests::Cases(_) => String::new(),
                };
                let isolate = Some(isolate);
                return Ok(Self {
                    context,
                    list,
                    run,
                    finish,
                    functions,
                    modules,
                    name,
                    inspector,
                    isolate,
                    heap,
                    watch,
                    time: options.time,
                });
            }
        };
        drop(inspector);
        // SAFETY: as above.
        unsafe { isolate.exit() };
        discard(isolate);
        Err(error)
    }

    /// Returns the tests of the file in JSON, as listed by `js/testing/run.js`.
    pub fn list(&mut self) -> Option<String> {
        self.call(TestFunction::List, None).ok()
    }

    /// Runs the test at `index` of the list. After [`Stopped::Time`] and [`Stopped::Heap`] the test isolate must be
    /// dropped.
    ///
    /// The limit is `time` of CPU time, or that of the options.
    ///
    /// # Errors
    /// When the test did not end by itself.
    pub fn run(&mut self, index: usize, time: Option<Duration>) -> Result<String, Stopped> {
        let time = time.unwrap_or(self.time);
        self.watch.set_limits(time, 10 * time);
        let ran = self.call(TestFunction::Run, Some(index));
        self.watch.set_limits(self.time, 10 * self.time);
        ran
    }

    /// The files to be written after all tests have run, from `js/testing/snapshot.js`, in JSON.
    pub fn finish(&mut self) -> Option<String> {
        self.call(TestFunction::Finish, None).ok()
    }

    /// Sets the action for a test that cannot be stopped inside the process.
    pub fn on_stuck(&self, act: fn()) {
        self.watch.on_stuck(act);
    }

    /// The variables that outlive a test, if the observer observes them: those of the test file
    /// and of the modules that it imports.
    pub fn variables(&mut self) -> Variables {
        let (Some(isolate), Some(inspector)) = (self.isolate.as_mut(), self.inspector.as_ref()) else {
            return Variables::new();
        };
        // SAFETY: exited below; a test isolate is not `Send`, so this is its thread.
        unsafe { isolate.enter() };
        let variables = {
            v8::scope_with_context!(scope, &mut *isolate, &self.context);
            let undefined = v8::undefined(scope).into();
            let functions = v8::Local::new(scope, &self.functions).call(scope, undefined, &[]);
            let mut roots: Vec<_> = functions.map(|functions| (self.name.clone(), functions)).into_iter().collect();
            roots.extend(namespaces(scope, &self.modules));
            inspector.variables(scope, &roots)
        };
        // SAFETY: entered above, and the scopes are gone.
        unsafe { isolate.exit() };
        variables
    }

    fn call(&mut self, which: TestFunction, index: Option<usize>) -> Result<String, Stopped> {
        let isolate = self.isolate.as_mut().expect("only taken on drop");
        // SAFETY: exited below; a test isolate is not `Send`, so this is its thread.
        unsafe { isolate.enter() };
        self.watch.begin();
        let answer = {
            v8::scope_with_context!(scope, &mut *isolate, &self.context);
            v8::tc_scope!(let scope, scope);
            let function = v8::Local::new(
                scope,
                match which {
                    TestFunction::List => &self.list,
                    TestFunction::Run => &self.run,
                    TestFunction::Finish => &self.finish,
                },
            );
            let undefined: v8::Local<v8::Value> = v8::undefined(scope).into();
            let index: v8::Local<v8::Value> = v8::Number::new(scope, index.unwrap_or(0) as f64).into();
            let mut result = function.call(scope, undefined, &[index]);
            let mut pending = false;
            if let Some(promise) = result.and_then(|value| v8::Local::<v8::Promise>::try_from(value).ok()) {
                scope.perform_microtask_checkpoint();
                pending = promise.state() == v8::PromiseState::Pending;
                result = (!pending).then(|| promise.result(scope));
            }
            match result.and_then(|value| v8::Local::<v8::String>::try_from(value).ok()) {
                Some(text) => Ok(v8_string::to_string(scope, text)),
                None if pending => Err(Stopped::NeverSettles),
                None => Err(Stopped::Heap),
            }
        };
        let in_time = self.watch.end();
        // SAFETY: entered above, and the scopes are gone.
        unsafe { isolate.exit() };
        match answer {
            _ if !in_time => Err(Stopped::Time),
            _ if self.heap.was_hit() => Err(Stopped::Heap),
            answer => answer,
        }
    }
}

#[derive(Clone, Copy)]
enum TestFunction {
    List,
    Run,
    Finish,
}

impl Drop for TestIsolate {
    fn drop(&mut self) {
        if let Some(isolate) = self.isolate.take() {
            end(isolate, self.inspector.take());
        }
    }
}

/// The parts of a loaded test file that the isolate keeps.
struct Prepared {
    context: v8::Global<v8::Context>,
    list: v8::Global<v8::Function>,
    run: v8::Global<v8::Function>,
    finish: v8::Global<v8::Function>,
    functions: v8::Global<v8::Function>,
    modules: Vec<(String, v8::Global<v8::Module>)>,
}

fn prepare(
    isolate: &mut v8::OwnedIsolate,
    tests: &Tests<'_>,
    host: &str,
    observer: &Rc<RunObserver>,
    inspector: &mut Option<Inspector>,
) -> Result<Prepared, LoadError> {
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    context.set_allow_generation_from_strings(false);
    let scope = &mut v8::ContextScope::new(scope, context);
    *inspector = Inspector::open(scope, context, Some(observer));
    v8::tc_scope!(let scope, scope);
    let Some(api) = install(scope, host) else { return Err(from_message(scope, LoadErrorKind::Limit)) };
    let get = |name: &str| -> v8::Local<'_, v8::Function> {
        let key = v8::String::new(scope, name).expect("short");
        let value = api.get(scope, key.into()).and_then(|value| v8::Local::<v8::Function>::try_from(value).ok());
        value.expect("js/testing/main.js exports it")
    };
    let (add, list, run, finish, describe, functions) =
        (get("addCases"), get("list"), get("run"), get("finish"), get("describe"), get("functions"));
    let modules = match tests {
        Tests::Cases(text) => {
            let text = v8::String::new(scope, text).expect("a file's worth of cases");
            let undefined = v8::undefined(scope).into();
            if add.call(scope, undefined, &[text.into()]).is_none() {
                return Err(from_message(scope, LoadErrorKind::Threw));
            }
            Vec::new()
        }
        Tests::Module(root) => {
            let Ready { module, modules } = modules::link(scope, root, &mut find)?;
            let line = |at: &Position| {
                (at.file == root.name).then(|| root.code.lines().nth(at.line as usize - 1)).flatten().map(str::to_owned)
            };
            let is_source = |file: &str| !file.starts_with("sluicegate:");
            let author = Author { is_source: &is_source, line: &line, when: "while the tests were loaded" };
            modules::evaluate(scope, module, describe, &author)?;
            let others = modules.into_iter().filter(|(name, _)| *name != root.name && is_source(name));
            others.map(|(name, module)| (name, v8::Global::new(scope, module))).collect()
        }
    };
    let global = |function: v8::Local<'_, v8::Function>| v8::Global::new(scope, function);
    let (list, run, finish, functions) = (global(list), global(run), global(finish), global(functions));
    Ok(Prepared { context: v8::Global::new(scope, context), list, run, finish, functions, modules })
}

/// Resolves a test's import: to the test API, or through the host.
fn find(isolate: &mut v8::Isolate, specifier: &str, form: Option<&str>, importer: &Module) -> Result<Module, NotFound> {
    if let Some(found) = api::find(specifier) {
        return found;
    }
    let host = isolate.get_slot_mut::<HostSlot>().and_then(Option::as_mut);
    let found = host.expect("only taken while tests run").module(specifier, &importer.name, form);
    found.map_err(|message| NotFound { message, help: None })
}

fn install<'s>(scope: &mut v8::PinScope<'s, '_>, host: &str) -> Option<v8::Local<'s, v8::Object>> {
    let code = v8::String::new(scope, api::SCRIPTS)?;
    let name = v8::String::new(scope, TESTING_SCRIPT)?;
    let origin = v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, 0, None, false, false, false, None);
    let script = v8::Script::compile(scope, code, Some(&origin))?;
    let main: v8::Local<v8::Function> = script.run(scope)?.try_into().ok()?;
    let host = v8::String::new(scope, host)?;
    let host: v8::Local<v8::Object> = v8::json::parse(scope, host)?.try_into().ok()?;
    let transform = v8::Function::new(scope, transform)?;
    let key = v8::String::new(scope, "transform")?;
    host.set(scope, key.into(), transform.into())?;
    let read = v8::Function::new(scope, read)?;
    let key = v8::String::new(scope, "read")?;
    host.set(scope, key.into(), read.into())?;
    let (on_demand, native) = (v8::Function::new(scope, on_demand)?, v8::Function::new(scope, web::native)?);
    for (name, function) in [("onDemand", on_demand), ("webNative", native)] {
        let key = v8::String::new(scope, name)?;
        host.set(scope, key.into(), function.into())?;
    }
    let undefined = v8::undefined(scope).into();
    main.call(scope, undefined, &[host.into()])?.try_into().ok()
}

/// `host.transform(request, ask)`: runs the transformation in another isolate and returns its result.
fn transform(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    let request = args.get(0).to_rust_string_lossy(scope);
    // Taken out for the call: the transformation creates isolates of its own and must not use this one.
    let Some(mut host) = scope.get_slot_mut::<HostSlot>().and_then(Option::take) else { return };
    let text = match Answers::new(scope, args.get(1)) {
        Some(answers) => host.transform(&request, answers),
        None => String::new(),
    };
    if let Some(slot) = scope.get_slot_mut::<HostSlot>() {
        *slot = Some(host);
    }
    if let Some(text) = v8::String::new(scope, &text) {
        answer.set(text.into());
    }
}

/// `host.read(path)`: the text of a file, or undefined.
fn read(scope: &mut v8::PinScope<'_, '_>, args: v8::FunctionCallbackArguments, mut answer: v8::ReturnValue<v8::Value>) {
    let path = args.get(0).to_rust_string_lossy(scope);
    let Some(host) = scope.get_slot_mut::<HostSlot>().and_then(Option::as_mut) else { return };
    let found = host.file(&path);
    let failed = found.is_err();
    let text = match found {
        Ok(None) => return,
        Ok(Some(text)) | Err(text) => text,
    };
    let Some(text) = v8::String::new(scope, &text) else { return };
    if failed {
        let error = v8::Exception::type_error(scope, text);
        scope.throw_exception(error);
    } else {
        answer.set(text.into());
    }
}
