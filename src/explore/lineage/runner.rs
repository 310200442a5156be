//! Runs an event as in production and as often as needed: in an engine with fixed clock, random numbers and network
//! answers, and in one that also records every read.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::LineageSetup;
use super::compare::same;
use super::network::Recorded;
use super::path::{Path, Step};
use sluicegate_engine::verdict::Verdict;
use sluicegate_engine::{
    Determinism, Engine, Event, LoadError, ObserverOptions, OutputFraming, Program, RunObserver, ScriptCoverage,
};

/// The source of the module that is loaded first.
const RECORD: &str = include_str!("../../../js/lineage/record.js");

/// The start of a line of notes from `record.js`.
const MARK: &str = "\u{1}lineage ";

/// The module that contains the author's file.
const AUTHOR: &str = "sluicegate:author";

/// The clock of every run, in milliseconds since 1970, and another one to find the outputs that depend on the clock.
const CLOCKS: [f64; 2] = [1_709_532_000_000.0, 1_741_245_678_912.0];

/// The seed of every run, and another one.
const SEEDS: [u32; 2] = [1, 77];

/// The CPU time limit of a run: many values are tried, and some make the code slow.
const MAX_CPU: Duration = Duration::from_millis(200);

/// The maximum number of engines that are kept.
const MAX_ENGINES: usize = 8;

/// The maximum size of the notes on one event, in bytes.
const NOTES: usize = 64 << 20;

const ARRAY: OutputFraming<'static> =
    OutputFraming { open: b"[", around: (b"", b""), between: b",", close: b"]", keep_partial_output: false };

/// How an event ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ended {
    /// The number of output events.
    Ok(usize),
    Dropped,
    Failed(String),
}

/// The result of an event.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) ended: Ended,
    /// `{"out": […], "log": […], "fetch": {host: […]}}`.
    pub(super) made: Value,
}

impl Outcome {
    pub(super) fn same(&self, other: &Self) -> bool {
        self.ended == other.ended && same(&self.made, &other.made)
    }
}

/// The reads of an event.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    /// Places that were read, with the lines that read them, as `file:line`.
    pub(super) values: BTreeMap<Path, BTreeSet<String>>,
    /// Places that the code looked for and that are missing.
    pub(super) absent: BTreeMap<Path, BTreeSet<String>>,
    /// Objects and arrays whose keys or length were read.
    pub(super) keys: BTreeMap<Path, BTreeSet<String>>,
}

/// The settings that require a separate engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct World {
    pub(super) recording: bool,
    pub(super) other_clock: bool,
    pub(super) other_seed: bool,
    credentials: BTreeMap<String, String>,
}

pub(super) struct Runner {
    setup: LineageSetup,
    engines: VecDeque<(World, Engine)>,
    network: Rc<RefCell<Recorded>>,
    observer: Rc<RunObserver>,
    /// Whether every run gets a new isolate, because the code keeps state.
    pub(super) fresh: bool,
    pub(super) runs: u64,
}

impl Runner {
    pub(super) fn new(setup: LineageSetup) -> Result<Self, LoadError> {
        let network = Recorded::new(setup.answers.clone());
        let mut runner = Self {
            setup,
            engines: VecDeque::new(),
            network: Rc::new(RefCell::new(network)),
            observer: RunObserver::new(ObserverOptions { coverage: true, variables: false }),
            fresh: false,
            runs: 0,
        };
        let engine = runner.make(&World::default())?;
        runner.engines.push_back((World::default(), engine));
        Ok(runner)
    }

    /// Returns the coverage of the recorded runs. Ends the engines.
    pub(super) fn coverage(&mut self) -> Vec<ScriptCoverage> {
        self.engines.clear();
        let mut scripts = self.observer.take_coverage();
        let author = format!("library {AUTHOR}");
        for script in &mut scripts {
            if script.name == author {
                script.name.clone_from(&self.setup.program.name);
            }
        }
        scripts.retain(|script| !script.name.contains("sluicegate:"));
        scripts
    }

    /// Returns the requests without a recorded answer.
    pub(super) fn unanswered(&self) -> BTreeSet<String> {
        self.network.borrow().unanswered.clone()
    }

    fn make(&self, world: &World) -> Result<Engine, LoadError> {
        let LineageSetup { program, options, export, .. } = &self.setup;
        let seed = SEEDS[usize::from(world.other_seed)];
        let host = json!({ "recording": world.recording, "seed": seed, "strict": options.network.strict });
        let function = export.name();
        let run = match world.recording {
            true => "record(author, input, metadata)",
            false => "(repeat(), author(input, metadata))",
        };
        let code = format!(
            "import {{ record, repeat }} from 'sluicegate:record';\nimport {{ {function} as author }} from '{AUTHOR}';\n\
             export const {function} = (input, metadata) => {run};\n"
        );
        let mut libraries = program.libraries.clone();
        libraries.insert("sluicegate:record".to_owned(), format!("const host = {host};\n{RECORD}"));
        libraries.insert(AUTHOR.to_owned(), program.code.clone());
        let wrapped = Program {
            name: "sluicegate:lineage".to_owned(),
            code,
            libraries,
            credentials: world.credentials.clone(),
            // Every event carries its complete metadata. This setting also allows keys that are not documented.
            metadata: program.metadata.as_ref().map(|_| "{}".to_owned()),
            determinism: Determinism { now: Some(CLOCKS[usize::from(world.other_clock)]), seed: Some(seed) },
        };
        let mut options = options.clone();
        options.logs = true;
        options.limits.cpu = options.limits.cpu.min(MAX_CPU);
        (options.network.fetch, options.network.geolocation) = (true, true);
        let mut engine = match world.recording {
            true => {
                // Recording objects are slower than plain ones, and so is code with coverage.
                options.limits.cpu = self.setup.options.limits.cpu.max(Duration::from_secs(2));
                options.limits.wall = options.limits.wall.max(options.limits.cpu);
                options.limits.log = NOTES;
                Engine::observed(wrapped, options, &self.observer)?
            }
            false => Engine::new(wrapped, options)?,
        };
        engine.connect(self.network.clone());
        // If nothing else can stop the event, this ends the process. The supervisor knows which event was running.
        // SAFETY: ends the process at once, takes no pointer, and does not return.
        engine.on_stuck(|| unsafe { libc::_exit(3) });
        Ok(engine)
    }

    /// Runs an input, `{"event": …, "metadata": …, "credential": …,
    /// "network": …}`, and separates the notes from its log lines.
    fn run_in(&mut self, input: &Value, world: World) -> (Outcome, Option<String>) {
        self.runs += 1;
        if self.fresh {
            self.engines.clear();
        }
        let at = match self.engines.iter().position(|(known, _)| *known == world) {
            Some(at) => at,
            None => {
                let engine = match self.make(&world) {
                    Ok(engine) => engine,
                    Err(error) => return (failed(error.to_string()), None),
                };
                if self.engines.len() >= MAX_ENGINES {
                    self.engines.pop_front();
                }
                self.engines.push_back((world, engine));
                self.engines.len() - 1
            }
        };
        self.network.borrow_mut().begin(&input["network"], self.engines[at].0.recording);
        let engine = &mut self.engines[at].1;
        let (event, metadata) = (input["event"].to_string(), input["metadata"].to_string());
        let mut out = Vec::new();
        let event = Event { json: event.as_bytes(), metadata: Some(metadata.as_bytes()) };
        let verdict = engine.transform_event(event, &ARRAY, &mut out);
        let mut notes = None;
        let mut log = Vec::new();
        for line in engine.logs() {
            match line.message.strip_prefix(MARK) {
                Some(text) => notes = Some(text.to_owned()),
                None => log.push(json!(line.message)),
            }
        }
        let mut made = json!({});
        let ended = match verdict {
            Verdict::Ok { .. } => {
                let outputs: Vec<Value> = serde_json::from_slice(&out).unwrap_or_default();
                let count = outputs.len();
                made["out"] = Value::from(outputs);
                Ended::Ok(count)
            }
            Verdict::Dropped => Ended::Dropped,
            Verdict::Failed(failure) => {
                let name = failure.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
                Ended::Failed(format!("{name}{}", failure.message))
            }
        };
        if !log.is_empty() {
            made["log"] = Value::from(log);
        }
        let requests = std::mem::take(&mut self.network.borrow_mut().requests);
        if !requests.is_empty() {
            made["fetch"] = Value::Object(requests);
        }
        (Outcome { ended, made }, notes)
    }

    pub(super) fn run(&mut self, input: &Value) -> Outcome {
        let world = World { credentials: credentials(input), ..World::default() };
        self.run_in(input, world).0
    }

    pub(super) fn run_with_other(&mut self, input: &Value, clock: bool, seed: bool) -> Outcome {
        let credentials = credentials(input);
        self.run_in(input, World { other_clock: clock, other_seed: seed, credentials, ..World::default() }).0
    }

    /// Runs an input and returns its reads.
    pub(super) fn record(&mut self, input: &Value) -> Reads {
        let world = World { recording: true, credentials: credentials(input), ..World::default() };
        let (_, notes) = self.run_in(input, world);
        notes.and_then(|text| reads(&text, &self.setup.program.name)).unwrap_or_default()
    }
}

fn failed(message: String) -> Outcome {
    Outcome { ended: Ended::Failed(message), made: json!({}) }
}

fn credentials(input: &Value) -> BTreeMap<String, String> {
    let known = input["credential"].as_object();
    let texts = known.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    texts.collect()
}

/// Parses the notes on one event, see `js/lineage/record.js`.
fn reads(text: &str, program: &str) -> Option<Reads> {
    #[derive(Deserialize)]
    struct Notes {
        nodes: Vec<(i64, Value)>,
        notes: Vec<(usize, u8, Vec<String>)>,
    }
    let Notes { nodes, notes } = serde_json::from_str(text).ok()?;
    let mut paths: Vec<Path> = Vec::with_capacity(nodes.len());
    for (parent, key) in nodes {
        let mut path = usize::try_from(parent).ok().and_then(|parent| paths.get(parent).cloned()).unwrap_or_default();
        path.push(match key {
            Value::String(key) => Step::Key(key),
            key => Step::Index(key.as_u64()? as usize),
        });
        paths.push(path);
    }
    let author = format!("library {AUTHOR}:");
    let own = |line: String| match line.strip_prefix(&author) {
        Some(line) => format!("{program}:{line}"),
        None => line,
    };
    let mut reads = Reads::default();
    for (node, what, lines) in notes {
        let kind = match what {
            0 => &mut reads.absent,
            1 => &mut reads.values,
            _ => &mut reads.keys,
        };
        let lines = lines.into_iter().filter(|line| !line.is_empty()).map(own);
        kind.entry(paths.get(node)?.clone()).or_default().extend(lines);
    }
    Some(reads)
}
