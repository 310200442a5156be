//! Chooses the inputs to run, and draws conclusions from their outputs.
//!
//! Every event runs once as it is and once with its reads recorded. Events with the same shape that the code treats the
//! same way form one kind, and a few events of each kind are studied. Values that the code never reads are all changed
//! at once, each to a unique text, which shows where they go. Values that the code reads are changed one by one. If a
//! change makes the code take another path (a fallback, the other branch of an `if`), the changed event is studied too.

mod classify;
mod explore;
mod found;
mod study;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::LineageSetup;
use super::compare;
use super::findings::Findings;
use super::literals::Literals;
use super::path::{Path, Step, name, value_at};
use super::pii;
use super::runner::{Ended, Outcome, Reads, Runner};
use super::variations::{self, Leaf};
use sluicegate_engine::LoadError;

/// The maximum number of values of other events that are kept for each place.
const MAX_OTHERS: usize = 6;

/// The minimum time for changes, however long it took to read the events.
const MIN_STUDY: Duration = Duration::from_secs(2);

/// The progress of an analysis.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// The event at this line runs next.
    Event(u64),
    /// The number of kinds that were studied, and of all kinds.
    Studied(usize, usize),
}

/// An input to be studied.
struct Base {
    line: u64,
    input: Value,
    outcome: Outcome,
    reads: Reads,
    /// The changes, if it is not an original event.
    given: Vec<String>,
    /// The values that these changes put in.
    invented: Vec<Value>,
    /// Whether to study it in detail: values of other events and literals of the code are tried, too.
    closely: bool,
    /// Whether changed events that result from it are studied too.
    explore: bool,
}

pub(super) struct Analyzer {
    runner: Runner,
    setup: LineageSetup,
    findings: Findings,
    /// Values of other events, by place.
    others: BTreeMap<String, Vec<Value>>,
    literals: Literals,
    /// All keys of events, and all keys of outputs of original events.
    keys: HashSet<String>,
    made_keys: HashSet<String>,
    credentials: BTreeMap<String, String>,
    network: Map<String, Value>,
    explored: HashSet<u64>,
    until: Instant,
}

impl Analyzer {
    pub(super) fn new(setup: LineageSetup) -> Result<Self, LoadError> {
        let sources: Vec<&str> = [setup.program.code.as_str()]
            .into_iter()
            .chain(setup.program.libraries.values().map(String::as_str))
            .collect();
        let body = |answer: &super::Answer| json!({ "status": answer.status.unwrap_or(200), "body": answer.body });
        Ok(Self {
            literals: Literals::of(sources),
            network: setup.answers.iter().map(|(key, answer)| (key.clone(), body(answer))).collect(),
            credentials: setup.program.credentials.clone(),
            runner: Runner::new(setup.clone())?,
            findings: Findings::default(),
            others: BTreeMap::new(),
            keys: HashSet::new(),
            made_keys: HashSet::from(["out".to_owned()]),
            explored: HashSet::new(),
            until: Instant::now() + setup.time,
            setup,
        })
    }

    /// Runs and studies events, each given with its line.
    pub(super) fn run(mut self, events: &[(u64, Value)], tell: &mut dyn FnMut(Progress)) -> Findings {
        let mut kinds: Vec<Vec<Base>> = Vec::new();
        let mut known: HashMap<u64, usize> = HashMap::new();
        for (line, event) in events {
            tell(Progress::Event(*line));
            let (base, kind) = self.first(*line, event);
            let at = *known.entry(kind).or_insert_with(|| {
                kinds.push(Vec::new());
                kinds.len() - 1
            });
            if kinds[at].len() < self.setup.per_kind && !matches!(base.outcome.ended, Ended::Failed(_)) {
                kinds[at].push(base);
            }
        }
        kinds.retain(|kind| !kind.is_empty());
        self.until = self.until.max(Instant::now() + MIN_STUDY.min(self.setup.time));
        let mut queues: Vec<std::vec::IntoIter<Base>> = kinds.into_iter().map(Vec::into_iter).collect();
        let all = queues.len();
        self.findings.kinds = all as u64;
        for round in 0..self.setup.per_kind {
            let mut next = Vec::new();
            for (at, queue) in queues.iter_mut().enumerate() {
                let Some(mut base) = queue.next() else { continue };
                if Instant::now() > self.until {
                    break;
                }
                tell(Progress::Event(base.line));
                tell(Progress::Studied(at, all));
                (base.closely, base.explore) = (round < 2, round < 2);
                self.findings.studied += 1;
                self.findings.kinds_studied += u64::from(round == 0);
                next.push(VecDeque::from(self.study(base)));
            }
            // Changed events come after the original ones, some of each kind in turn.
            self.explore_all(next, tell);
        }
        self.findings.unanswered = self.runner.unanswered();
        self.findings.stateful = self.runner.fresh;
        self.findings.runs = self.runner.runs;
        self.findings.coverage = self.runner.coverage();
        self.findings
    }

    /// Runs an original event and records its result and its reads. Also returns its kind.
    fn first(&mut self, line: u64, event: &Value) -> (Base, u64) {
        let mut input = self.input(event);
        let mut reads = self.runner.record(&input);
        // A credential that the code asks for but that is not given gets a placeholder, so that its flow is seen.
        let asked = |path: &Path| matches!(path.as_slice(), [Step::Key(root), Step::Key(_)] if root == "credential");
        let missing: Vec<Path> = reads.absent.keys().filter(|path| asked(path)).cloned().collect();
        if !missing.is_empty() {
            for path in missing {
                let Some(Step::Key(key)) = path.last() else { continue };
                self.credentials.insert(key.clone(), format!("credential-{key}"));
            }
            input = self.input(event);
            reads = self.runner.record(&input);
        }
        let outcome = self.runner.run(&input);
        self.count(&outcome);
        let mut hash = DefaultHasher::new();
        let root = vec![Step::Key("event".to_owned())];
        let mut came = BTreeSet::new();
        let mut personal = BTreeSet::new();
        for leaf in variations::places(event, &root).0 {
            let Some(value) = &leaf.value else { continue };
            let name = name(&leaf.label);
            let kind = match value {
                Value::Null => 0,
                Value::Bool(_) => 1,
                Value::Number(_) => 2,
                Value::String(_) => 3,
                _ => 4,
            };
            if !leaf.label.contains(&Step::Json) {
                (&name, kind).hash(&mut hash);
            }
            if let Some(kind) = value.as_str().and_then(pii::kind_of) {
                personal.insert((name.clone(), kind));
            }
            let others = self.others.entry(name.clone()).or_default();
            if others.len() < MAX_OTHERS && !others.contains(value) {
                others.push(value.clone());
            }
            for step in &leaf.label {
                if let Step::Key(key) | Step::Pair(key) = step
                    && !self.keys.contains(key)
                {
                    self.keys.insert(key.clone());
                }
            }
            came.insert(name);
        }
        for name in came {
            *self.findings.came.entry(name).or_default() += 1;
        }
        for (name, kind) in personal {
            *self.findings.personal.entry(name).or_default().entry(kind.to_owned()).or_default() += 1;
        }
        self.note_reads(&reads, &mut hash);
        let mut places = Vec::new();
        compare::leaves(&outcome.made, &mut Vec::new(), &mut places);
        for step in places.into_iter().flat_map(|(path, _)| path) {
            if let Step::Key(key) = step {
                self.made_keys.insert(key);
            }
        }
        for (to, value) in self.outputs(&outcome) {
            to.hash(&mut hash);
            self.findings.output(to, &value);
        }
        let base = Base {
            line,
            input,
            outcome,
            reads,
            given: Vec::new(),
            invented: Vec::new(),
            closely: false,
            explore: false,
        };
        (base, hash.finish())
    }

    /// Returns the input for an event: the event with metadata, credentials and answers.
    fn input(&self, event: &Value) -> Value {
        let metadata = match self.setup.program.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok()) {
            Some(metadata) => metadata,
            None => sample_metadata(event),
        };
        json!({ "event": event, "metadata": metadata, "credential": self.credentials, "network": self.network })
    }

    fn count(&mut self, outcome: &Outcome) {
        self.findings.events += 1;
        match &outcome.ended {
            Ended::Ok(_) => self.findings.ok += 1,
            Ended::Dropped => self.findings.dropped += 1,
            Ended::Failed(message) => {
                self.findings.failed += 1;
                self.findings.failure.get_or_insert_with(|| message.clone());
            }
        }
    }

    fn note_reads(&mut self, reads: &Reads, hash: &mut DefaultHasher) {
        let mut sums: BTreeMap<String, (bool, bool, BTreeSet<&String>)> = BTreeMap::new();
        for (places, found) in [(&reads.values, true), (&reads.keys, true), (&reads.absent, false)] {
            for (path, lines) in places {
                let sum = sums.entry(name(path)).or_default();
                sum.0 |= found;
                sum.1 |= !found;
                sum.2.extend(lines);
            }
        }
        for (name, (found, absent, lines)) in sums {
            (&name, found, absent, &lines).hash(hash);
            let read = self.findings.read.entry(name).or_default();
            read.events += u64::from(found);
            read.absent += u64::from(absent && !found);
            for line in lines {
                *read.lines.entry(line.clone()).or_default() += 1;
            }
        }
    }

    /// Returns the places of an outcome that hold a value, each once.
    fn outputs(&self, outcome: &Outcome) -> BTreeMap<String, Value> {
        let mut found = Vec::new();
        compare::leaves(&outcome.made, &mut Vec::new(), &mut found);
        let known = found.into_iter().filter(|(path, _)| path.len() > 1 && self.is_known(path));
        known.map(|(path, value)| (name(&path), value)).collect()
    }

    /// Returns the places of an input to change, and its objects and arrays.
    fn places(&self, base: &Base) -> (Vec<Leaf>, Vec<Leaf>) {
        let mut found = (Vec::new(), Vec::new());
        for root in ["event", "metadata", "network", "credential"] {
            let (leaves, containers) = variations::places(&base.input[root], &vec![Step::Key(root.to_owned())]);
            let deep = |leaf: &Leaf| leaf.path.len() > 1;
            found.0.extend(leaves.into_iter().filter(deep));
            if root == "event" || root == "network" {
                found.1.extend(containers.into_iter().filter(deep));
            }
        }
        let is_there = |path: &Path| value_at(&base.input, path).is_some();
        // A key that consists of an invented value, or of a missing one, is not a field that an author looks for.
        let is_made_up = |path: &Path| match path.last() {
            Some(Step::Key(key)) => study::is_made_up(base, key, &self.literals.words),
            _ => false,
        };
        let absent = base.reads.absent.keys().filter(|path| path.len() > 1 && !is_there(path) && !is_made_up(path));
        found.0.extend(absent.map(|path| Leaf { path: path.clone(), label: path.clone(), value: None }));
        found
    }

    /// Returns whether the keys of a place come from the author's code or from an event, not from invented values.
    fn is_known(&self, path: &[Step]) -> bool {
        let known =
            |key: &String| self.keys.contains(key) || self.made_keys.contains(key) || self.literals.words.contains(key);
        match path {
            [Step::Key(root), ..] if root == "log" || root == "fetch" => true,
            _ => path.iter().all(|step| !matches!(step, Step::Key(key) if !known(key))),
        }
    }
}

/// Returns metadata as a server sends it, for users who give none.
fn sample_metadata(event: &Value) -> Value {
    const KEYS: &[&str] = &[
        "sourceId",
        "sourceName",
        "workspaceId",
        "sourceType",
        "sourceCategory",
        "destinationId",
        "destinationType",
        "destinationName",
        "namespace",
        "originalSourceId",
        "trackingPlanId",
        "jobId",
        "sourceJobId",
        "sourceJobRunId",
        "sourceTaskRunId",
        "recordId",
        "messageId",
        "rudderId",
        "receivedAt",
        "eventName",
        "eventType",
        "sourceDefinitionId",
        "destinationDefinitionId",
        "transformationId",
        "transformationVersionId",
    ];
    let mut metadata: Map<String, Value> =
        KEYS.iter().map(|key| ((*key).to_owned(), json!(format!("{key}-1")))).collect();
    metadata.insert("trackingPlanVersion".to_owned(), json!(1));
    metadata.insert("receivedAt".to_owned(), json!("2024-03-04T06:00:01.000Z"));
    for (key, from) in [("messageId", "messageId"), ("eventName", "event"), ("eventType", "type")] {
        if let Some(value) = event.get(from).filter(|value| value.is_string()) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    Value::Object(metadata)
}
