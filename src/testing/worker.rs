//! The worker's side: loads a unit into a fresh isolate, runs its tests one
//! by one, and runs the transformation under test whenever a test calls it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::protocol::{Change, Ended, FromWorker, Job, Subject, TestError, Tests, ToWorker};
use crate::workers::{JsonSocket, answer};
use sluicegate_engine::testing::{
    Answers, Module, Stopped, TestHost, TestIsolate, TestIsolateOptions, Tests as Loaded,
};
use sluicegate_engine::{Determinism, Engine, Event, ModuleId, Network, RunObserver, UnsafeRead, Variable, Variables};

/// The maximum number of engines that are kept for the next events of the same unit.
pub(super) const MAX_ENGINES: usize = 8;

/// The heap of a test file's own isolate, in bytes.
pub(super) const HEAP: usize = 256 << 20;

/// The error of a call if the supervisor has gone and the process is about to end.
const GONE: &str = "the supervisor is gone";

/// The main function of the worker process. Returns its exit code.
pub fn main() -> u8 {
    match serve() {
        Ok(()) => 0,
        Err(_) => 2,
    }
}

/// Sets up the same sandbox as a worker of `run`, then runs one unit after the other.
fn serve() -> io::Result<()> {
    let Some(socket) = JsonSocket::enter_sandbox()? else { return Ok(()) };
    let supervisor = SupervisorSocket(Rc::new(RefCell::new(socket)));
    while let Some(ToWorker::Job(job)) = supervisor.read() {
        run(*job, &supervisor)?;
    }
    Ok(())
}

/// Whether the transformation is running on behalf of the test.
static INSIDE: AtomicBool = AtomicBool::new(false);

/// Ends the process, whatever it is doing. The supervisor knows which test was running.
fn end() {
    // Not `exit`: the main thread is still running, and destructors must not run under it.
    // SAFETY: `_exit` takes no pointer and does not return.
    unsafe { libc::_exit(3) }
}

/// The socket to the supervisor.
#[derive(Clone)]
struct SupervisorSocket(Rc<RefCell<JsonSocket>>);

impl SupervisorSocket {
    fn read(&self) -> Option<ToWorker> {
        self.0.borrow_mut().read()
    }

    fn write(&self, message: &FromWorker) -> io::Result<()> {
        self.0.borrow().write(message)
    }
}

fn run(job: Job, supervisor: &SupervisorSocket) -> io::Result<()> {
    let options = TestIsolateOptions { time: job.time, heap: HEAP, host: job.host.clone() };
    let observer = RunObserver::new(job.look);
    let engines = Rc::new(RefCell::new(Engines {
        subject: job.subject,
        seed: job.seed,
        others: BTreeMap::new(),
        entries: Vec::new(),
        observer: observer.clone(),
        supervisor: supervisor.clone(),
        network: Rc::default(),
        unsafe_read: None,
    }));
    let load = || {
        let tests = match &job.tests {
            Tests::Module(module) => Loaded::Module(module),
            Tests::Cases(text) => Loaded::Cases(text),
        };
        let isolate = TestIsolate::load(&tests, &options, &observer, Box::new(Host(engines.clone())))?;
        isolate.on_stuck(|| {
            // A test that waits for its transformation is not stuck: the transformation has limits of its own.
            if !INSIDE.load(Ordering::SeqCst) {
                end();
            }
        });
        Ok(isolate)
    };
    let mut isolate = match load() {
        Ok(isolate) => isolate,
        Err(error) => return supervisor.write(&FromWorker::LoadFailed(error)),
    };
    let listed: Vec<super::protocol::Listed> =
        isolate.list().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    supervisor.write(&FromWorker::Listed(listed.clone()))?;
    if job.list_only {
        return supervisor.write(&FromWorker::Finished(super::protocol::Finished::default()));
    }
    let mut last_values = isolate.variables();
    let order = job.order.unwrap_or_else(|| (0..listed.len()).collect());
    let is_run = |index: &usize| listed.get(*index).is_some_and(|test| !test.skipped && !test.filtered);
    let mut used = false;
    for index in order.into_iter().filter(is_run).skip(job.from) {
        if job.alone && used {
            engines.borrow_mut().entries.clear();
            drop(isolate);
            isolate = match load() {
                Ok(isolate) => isolate,
                Err(error) => return supervisor.write(&FromWorker::LoadFailed(error)),
            };
            isolate.list();
        }
        used = true;
        supervisor.write(&FromWorker::Started(index))?;
        let started = Instant::now();
        let own = listed.get(index).and_then(|test| test.timeout).map(|millis| Duration::from_secs_f64(millis / 1e3));
        let ran = isolate.run(index, own);
        let millis = started.elapsed().as_secs_f64() * 1e3;
        let result = match &ran {
            Ok(text) => serde_json::from_str(text).unwrap_or_else(|error| {
                let message = format!("the test's result cannot be read: {error}");
                Ended { error: Some(TestError { message, ..TestError::default() }), ..Ended::default() }
            }),
            Err(stopped) => Ended { error: Some(stopped_error(*stopped, own, &options)), ..Ended::default() },
        };
        let over = matches!(ran, Err(Stopped::Time | Stopped::Heap));
        let mut changes = engines.borrow_mut().changes();
        if !over {
            changes.extend(take_changes(&mut last_values, isolate.variables()));
        }
        let unsafe_read = engines.borrow_mut().unsafe_read.take().map(Box::new);
        supervisor.write(&FromWorker::Ended { index, millis, result, changes, unsafe_read })?;
        if over {
            drop(isolate);
            isolate = match load() {
                Ok(isolate) => isolate,
                Err(error) => return supervisor.write(&FromWorker::LoadFailed(error)),
            };
            isolate.list();
            last_values = isolate.variables();
        }
    }
    let finished = isolate.finish().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    if job.look.coverage {
        // Isolates report their coverage when they are dropped.
        drop(isolate);
        engines.borrow_mut().entries.clear();
        supervisor.write(&FromWorker::Coverage(observer.take_coverage()))?;
    }
    supervisor.write(&FromWorker::Finished(finished))
}

/// Returns the variables that have another value than before, and remembers the current values.
fn take_changes(last_values: &mut Variables, now: Variables) -> Vec<Change> {
    let before = std::mem::replace(last_values, now);
    let names: BTreeSet<&Variable> = before.keys().chain(last_values.keys()).collect();
    let changes = names.into_iter().filter(|name| before.get(name) != last_values.get(name)).map(|name| Change {
        variable: name.clone(),
        before: before.get(name).cloned(),
        after: last_values.get(name).cloned(),
    });
    changes.collect()
}

fn stopped_error(stopped: Stopped, own: Option<Duration>, options: &TestIsolateOptions) -> TestError {
    let message = match stopped {
        Stopped::Time => {
            let limit = humantime::format_duration(own.unwrap_or(options.time));
            let whose = if own.is_some() { "its own timeout" } else { "see --test-timeout" };
            format!("the test did not end within {limit} and was stopped ({whose})")
        }
        Stopped::Heap => format!("the test needs more than {} MiB of heap", options.heap >> 20),
        Stopped::NeverSettles => "the test waits for a promise that nothing can settle".to_owned(),
    };
    TestError { message, ..TestError::default() }
}

/// The tests' connection to the outside: modules from the supervisor, and engines for the transformation.
struct Host(Rc<RefCell<Engines>>);

struct Engines {
    subject: Result<Subject, String>,
    seed: Option<u32>,
    others: BTreeMap<String, Result<Subject, String>>,
    /// The engines, each with the key that distinguishes it.
    entries: Vec<EngineEntry>,
    observer: Rc<RunObserver>,
    supervisor: SupervisorSocket,
    /// The network of all engines.
    network: Rc<RefCell<RecordedNetwork>>,
    /// An integer that the transformation has read and that JavaScript cannot hold: the first one of the current test.
    unsafe_read: Option<UnsafeRead>,
}

/// A network whose answers come from the test, at once.
#[derive(Default)]
struct RecordedNetwork {
    source: Option<Answers>,
    answers: VecDeque<(u64, String)>,
}

impl Network for RecordedNetwork {
    fn send(&mut self, id: u64, request: &str) -> Result<(), String> {
        // The test's code runs again now, on the test's time.
        INSIDE.store(false, Ordering::SeqCst);
        let answer = self.source.as_ref().and_then(|source| source.ask(request));
        INSIDE.store(true, Ordering::SeqCst);
        self.answers.push_back((id, answer.ok_or("the test is over")?));
        Ok(())
    }

    fn wait(&mut self, _over: &dyn Fn() -> bool) -> Option<(u64, String)> {
        self.answers.pop_front()
    }

    fn forget(&mut self) {
        self.answers.clear();
    }
}

struct EngineEntry {
    key: EngineKey,
    engine: Engine,
    /// The values of the engine's variables after the last test.
    last_values: Variables,
}

#[derive(Clone, PartialEq)]
struct EngineKey {
    of: Option<String>,
    credentials: Option<BTreeMap<String, String>>,
    determinism: Determinism,
}

/// A call of `js/testing/transform.js`.
#[derive(Deserialize)]
struct TransformCall {
    of: Option<String>,
    events: Vec<String>,
    metadata: Option<String>,
    credentials: Option<BTreeMap<String, String>>,
    now: Option<f64>,
    seed: Option<u32>,
}

impl TestHost for Host {
    fn module(&mut self, specifier: &str, importer: &str, form: Option<&str>) -> Result<Module, String> {
        let engines = self.0.borrow();
        if let Ok(subject) = &engines.subject
            && let Some(code) = subject.program.library(specifier)
        {
            return Ok(Module { name: ModuleId::Library(specifier).to_string(), code: code.to_owned() });
        }
        let (specifier, importer) = (specifier.to_owned(), importer.to_owned());
        let ask = FromWorker::NeedModule { specifier, importer, form: form.map(str::to_owned) };
        match engines.supervisor.write(&ask).ok().and_then(|()| engines.supervisor.read()) {
            Some(ToWorker::Module(module)) => module,
            _ => Err(GONE.to_owned()),
        }
    }

    fn file(&mut self, path: &str) -> Result<Option<String>, String> {
        let engines = self.0.borrow();
        match engines
            .supervisor
            .write(&FromWorker::NeedFile { path: path.to_owned() })
            .ok()
            .and_then(|()| engines.supervisor.read())
        {
            Some(ToWorker::File(text)) => text,
            _ => Err(GONE.to_owned()),
        }
    }

    fn transform(&mut self, request: &str, answers: Answers) -> String {
        INSIDE.store(true, Ordering::SeqCst);
        let answer = serde_json::from_str::<TransformCall>(request)
            .map_err(|error| format!("transform: {error}"))
            .and_then(|request| self.0.borrow_mut().transform(&request, answers));
        INSIDE.store(false, Ordering::SeqCst);
        answer.unwrap_or_else(|error| json!({ "error": error }).to_string())
    }
}

impl Engines {
    fn transform(&mut self, request: &TransformCall, answers: Answers) -> Result<String, String> {
        let key = EngineKey {
            of: request.of.clone(),
            credentials: request.credentials.clone(),
            determinism: Determinism { now: request.now, seed: request.seed.or(self.seed) },
        };
        let at = match self.entries.iter().position(|entry| entry.key == key) {
            Some(at) => at,
            None => {
                let mut engine = self.make(&key)?;
                if self.entries.len() == MAX_ENGINES {
                    self.entries.remove(0);
                }
                let last_values = engine.variables();
                self.entries.push(EngineEntry { key, engine, last_values });
                self.entries.len() - 1
            }
        };
        *self.network.borrow_mut() = RecordedNetwork { source: Some(answers), answers: VecDeque::new() };
        let engine = &mut self.entries[at].engine;
        let metadata = request.metadata.as_deref().map(str::as_bytes);
        let events: Vec<Event<'_>> =
            request.events.iter().map(|event| Event { json: event.as_bytes(), metadata }).collect();
        let answer = answer(engine, &events);
        if let Some(read) = engine.unsafe_read() {
            self.unsafe_read.get_or_insert(read);
        }
        self.network.borrow_mut().source = None;
        Ok(answer)
    }

    /// Returns the changes that the last test left in the transformation's variables.
    fn changes(&mut self) -> Vec<Change> {
        self.entries
            .iter_mut()
            .flat_map(|entry| take_changes(&mut entry.last_values, entry.engine.variables()))
            .collect()
    }

    fn make(&mut self, key: &EngineKey) -> Result<Engine, String> {
        let mut subject = match &key.of {
            None => self.subject.clone()?,
            Some(path) => match self.others.get(path) {
                Some(known) => known.clone()?,
                None => {
                    let ask = FromWorker::NeedSubject { path: path.clone() };
                    let found = match self.supervisor.write(&ask).ok().and_then(|()| self.supervisor.read()) {
                        Some(ToWorker::Subject(subject)) => subject.map(|subject| *subject),
                        _ => Err(GONE.to_owned()),
                    };
                    self.others.insert(path.clone(), found.clone());
                    found?
                }
            },
        };
        subject.program.determinism = key.determinism;
        if let Some(credentials) = &key.credentials {
            subject.program.credentials.clone_from(credentials);
        }
        subject.options.logs = true;
        // A test makes no real requests, so nothing has to be forbidden.
        let network = &mut subject.options.network;
        (network.fetch, network.geolocation) = (true, true);
        let mut engine = Engine::observed(subject.program, subject.options, &self.observer).map_err(|error| {
            let help = error.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
            format!("the transformation does not load: {error}{help}")
        })?;
        engine.connect(self.network.clone());
        engine.on_stuck(|| {
            // The test's function that answers a request may take as long as the test.
            if INSIDE.load(Ordering::SeqCst) {
                end();
            }
        });
        Ok(engine)
    }
}
