//! The isolate in which a test file runs: the author's tests, what they import, and `js/testing` around them.
//!
//! It has the lockdown of production, so that a library called directly meets the globals that it will meet there. The
//! transformation under test does not live here: `transform(event)` leaves the isolate through [`World::transform`], and
//! its implementation runs an [`super::Engine`] like any other. Each test has a time limit of its own; a harness
//! that hit a limit is of no more use, see [`TestIsolate::run`].

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
use crate::v8::v8_string;
use crate::verdict::Position;
use crate::{Protection, initialize};

/// Frames of `js/testing` carry this name and are not shown.
pub const TESTING_SCRIPT: &str = "sluicegate:testing";

/// What a test file can reach outside its isolate.
pub trait World {
    /// The module that `importer` means by `specifier`; `form` is the type that the import gives, e.g. `json`.
    ///
    /// # Errors
    /// When there is none; the text says why.
    fn module(&mut self, specifier: &str, importer: &str, form: Option<&str>) -> Result<Module, String>;
    /// Runs the transformation under test; both texts are JSON, see `js/testing/transform.js`. What it asks the network,
    /// `answers` knows.
    fn transform(&mut self, request: &str, answers: Answers) -> String;
    /// The text of a file that a snapshot is kept in, by its path from the test file; none if there is none yet.
    ///
    /// # Errors
    /// When a test may not use that file; the text says why.
    fn file(&mut self, path: &str) -> Result<Option<String>, String>;
}

/// What the harness is told, beside the tests themselves.
#[derive(Clone, Debug)]
pub struct TestIsolateOptions {
    /// What one test may take, of CPU time; and ten times as much by the clock on the wall.
    pub time: Duration,
    /// The heap, in bytes.
    pub heap: usize,
    /// Values for `host` in `js/testing`, as the text of a JSON object: filter, snapshots, update, ci.
    pub host: String,
}

/// Why a test has no result of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It took more than its time.
    Time,
    /// It took more than its heap.
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
    /// What the tests import, and the tests' own file.
    modules: Vec<(String, v8::Global<v8::Module>)>,
    name: String,
    inspector: Option<Inspector>,
    isolate: Option<v8::OwnedIsolate>,
    heap: Box<HeapGuard>,
    watch: Watch,
    /// What one test may take that says nothing else.
    time: Duration,
}

type Outside = Option<Box<dyn World>>;

/// What a test file consists of.
pub enum Tests<'a> {
    /// A module that calls `test`.
    Module(&'a Module),
    /// Cases as data, the text of a JSON array, see `js/testing/cases.js`.
    Cases(&'a str),
}

impl TestIsolate {
    /// Makes an isolate and loads the tests into it.
    ///
    /// # Errors
    /// When they cannot be loaded.
    pub fn load(
        tests: &Tests<'_>,
        options: &TestIsolateOptions,
        observer: &Rc<RunObserver>,
        world: Box<dyn World>,
    ) -> Result<Self, LoadError> {
        initialize(Protection::None);
        // A test computes, and waits only for its transformation; a busy machine is not the test's fault.
        let limits = Limits { cpu: options.time, wall: 10 * options.time, heap: options.heap, ..Limits::default() };
        let watch = Watch::new(&limits);
        let (mut isolate, heap) =
            lifecycle::create(v8::CreateParams::default().heap_limits(0, limits.heap), limits.heap);
        isolate.set_slot::<Outside>(Some(world));
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
                // SAFETY: it was entered when it was made; every later use enters it again.
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

    /// The tests of the file, as `js/testing/runner.js` lists them, in JSON.
    pub fn list(&mut self) -> Option<String> {
        self.call(Which::List, None).ok()
    }

    /// Runs the test at `index` of the list. After [`Stopped::Time`] and [`Stopped::Heap`] the harness must be dropped.
    ///
    /// It may take `time` of CPU time, or what the options say.
    ///
    /// # Errors
    /// When the test did not end by itself.
    pub fn run(&mut self, index: usize, time: Option<Duration>) -> Result<String, Stopped> {
        let time = time.unwrap_or(self.time);
        self.watch.set_limits(time, 10 * time);
        let ran = self.call(Which::Run, Some(index));
        self.watch.set_limits(self.time, 10 * self.time);
        ran
    }

    /// What has to be written when all tests have run, as `js/testing/snapshot.js` says it, in JSON.
    pub fn finish(&mut self) -> Option<String> {
        self.call(Which::Finish, None).ok()
    }

    /// What to do when a test can be stopped by no means inside the process.
    pub fn on_stuck(&self, act: fn()) {
        self.watch.on_stuck(act);
    }

    /// What the variables hold that outlive a test, if the observer looks at them: those of the tests' file, and of the
    /// modules that it imports.
    pub fn variables(&mut self) -> Variables {
        let (Some(isolate), Some(inspector)) = (self.isolate.as_mut(), self.inspector.as_ref()) else {
            return Variables::new();
        };
        // SAFETY: exited below; a harness is not `Send`, so this is the isolate's thread.
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

    fn call(&mut self, which: Which, index: Option<usize>) -> Result<String, Stopped> {
        let isolate = self.isolate.as_mut().expect("only taken on drop");
        // SAFETY: exited below; a harness is not `Send`, so this is the isolate's thread.
        unsafe { isolate.enter() };
        self.watch.begin();
        let answer = {
            v8::scope_with_context!(scope, &mut *isolate, &self.context);
            v8::tc_scope!(let scope, scope);
            let function = v8::Local::new(
                scope,
                match which {
                    Which::List => &self.list,
                    Which::Run => &self.run,
                    Which::Finish => &self.finish,
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
enum Which {
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

/// What a loaded test file leaves for the harness.
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

/// What a test's import means: the test API, or what the world says.
fn find(isolate: &mut v8::Isolate, specifier: &str, form: Option<&str>, importer: &Module) -> Result<Module, NotFound> {
    if let Some(found) = api::find(specifier) {
        return found;
    }
    let world = isolate.get_slot_mut::<Outside>().and_then(Option::as_mut);
    let found = world.expect("only taken while tests run").module(specifier, &importer.name, form);
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
    let (group, native) = (v8::Function::new(scope, web::group)?, v8::Function::new(scope, web::native)?);
    for (name, function) in [("webGroup", group), ("webNative", native)] {
        let key = v8::String::new(scope, name)?;
        host.set(scope, key.into(), function.into())?;
    }
    let undefined = v8::undefined(scope).into();
    main.call(scope, undefined, &[host.into()])?.try_into().ok()
}

/// `host.transform(request, ask)`: out of this isolate, into another, and back.
fn transform(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    let request = args.get(0).to_rust_string_lossy(scope);
    // Taken out for the call: what is inside makes isolates of its own, and must not reach for this one.
    let Some(mut world) = scope.get_slot_mut::<Outside>().and_then(Option::take) else { return };
    let text = match Answers::new(scope, args.get(1)) {
        Some(answers) => world.transform(&request, answers),
        None => String::new(),
    };
    if let Some(slot) = scope.get_slot_mut::<Outside>() {
        *slot = Some(world);
    }
    if let Some(text) = v8::String::new(scope, &text) {
        answer.set(text.into());
    }
}

/// `host.read(path)`: the text of a file, or undefined.
fn read(scope: &mut v8::PinScope<'_, '_>, args: v8::FunctionCallbackArguments, mut answer: v8::ReturnValue<v8::Value>) {
    let path = args.get(0).to_rust_string_lossy(scope);
    let Some(world) = scope.get_slot_mut::<Outside>().and_then(Option::as_mut) else { return };
    let found = world.file(&path);
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
