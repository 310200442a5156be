//! A stand-in for Customer.io's Track API, with faults that are switched on for single requests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::web_server::{Asked, Reply, Web};

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is answered with a status, and nothing is done.
    Status(u16),
    /// The same with a header.
    With(u16, &'static str, &'static str),
    /// All of it is done, and answered with a status.
    DoneBut(u16),
    /// All of it is done, and the answer is this, with status 207.
    Says(&'static str),
    /// All of it is done, and the answer is no JSON.
    Garbage,
    /// The process with this id is killed; before it, all is done or nothing.
    Kill {
        /// Whether all of it is done.
        done: bool,
    },
}

#[derive(Default)]
struct Inner {
    persons: BTreeMap<String, Value>,
    objects: BTreeMap<String, Value>,
    /// Items that were done, in order.
    done: Vec<Value>,
    faults: VecDeque<Fault>,
    /// Persons that are rejected, each by itself.
    rejected: BTreeSet<String>,
    /// Persons with which a batch is refused as a whole.
    refused: BTreeSet<String>,
    kill: Option<rustix::process::Pid>,
    /// After how many more requests the process is killed, and whether that request is done.
    kill_at: Option<(usize, bool)>,
}

/// The stand-in.
pub struct Destination {
    pub web: Web,
    inner: Arc<Mutex<Inner>>,
}

impl Destination {
    pub fn start() -> Self {
        let inner: Arc<Mutex<Inner>> = Arc::default();
        let own = inner.clone();
        Self { web: Web::start(move |asked| own.lock().unwrap().answer(asked)), inner }
    }

    pub fn url(&self) -> String {
        self.web.url("")
    }

    pub fn fault(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.lock().unwrap().faults.extend(faults);
    }

    pub fn no_faults(&self) {
        let mut inner = self.inner.lock().unwrap();
        inner.faults.clear();
        inner.rejected.clear();
        inner.refused.clear();
        inner.kill_at = None;
    }

    /// Kills the process with the request after this many others.
    pub fn kill_at(&self, requests: usize, done: bool) {
        self.inner.lock().unwrap().kill_at = Some((requests, done));
    }

    pub fn reject(&self, id: &str) {
        self.inner.lock().unwrap().rejected.insert(id.to_owned());
    }

    pub fn refuse(&self, id: &str) {
        self.inner.lock().unwrap().refused.insert(id.to_owned());
    }

    /// Which process a [`Fault::Kill`] kills.
    pub fn kills(&self, pid: rustix::process::Pid) {
        self.inner.lock().unwrap().kill = Some(pid);
    }

    /// The persons and their attributes.
    pub fn persons(&self) -> BTreeMap<String, Value> {
        self.inner.lock().unwrap().persons.clone()
    }

    pub fn objects(&self) -> BTreeMap<String, Value> {
        self.inner.lock().unwrap().objects.clone()
    }

    /// The items that were done.
    pub fn done(&self) -> Vec<Value> {
        self.inner.lock().unwrap().done.clone()
    }

    pub fn requests(&self) -> usize {
        self.web.asked().len()
    }
}

fn id(item: &Value) -> String {
    let ids = &item["identifiers"];
    let id = ids["id"].as_str().or(ids["object_id"].as_str()).or(ids["email"].as_str());
    id.unwrap_or_default().to_owned()
}

impl Inner {
    fn answer(&mut self, asked: &Asked) -> Reply {
        assert_eq!(asked.header("authorization"), Some("Basic c2l0ZTprZXk="), "the key comes with every request");
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_else(|error| panic!("{error}: {}", asked.body));
        assert!(asked.body.len() <= 500_000, "a request of {} bytes", asked.body.len());
        let batch = body["batch"].as_array().unwrap().clone();
        let mut fault = self.faults.pop_front();
        match &mut self.kill_at {
            Some((0, done)) => fault = Some(Fault::Kill { done: *done }),
            Some((requests, _)) => *requests -= 1,
            None => {}
        }
        match fault {
            Some(Fault::Status(status)) => Reply::new(status, &[], "{\"meta\":{\"error\":\"no\"}}"),
            Some(Fault::With(status, name, value)) => Reply::new(status, &[(name, value)], "{}"),
            Some(Fault::DoneBut(status)) => {
                self.apply(&batch);
                Reply::new(status, &[], "{}")
            }
            Some(Fault::Says(text)) => {
                self.apply(&batch);
                Reply::new(207, &[], text)
            }
            Some(Fault::Garbage) => {
                self.apply(&batch);
                Reply::new(200, &[], "<html>welcome</html>")
            }
            Some(Fault::Kill { done }) => {
                if done {
                    self.apply(&batch);
                }
                if let Some(pid) = self.kill {
                    // It may have ended because of another fault.
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
                Reply::new(503, &[], "{}")
            }
            None if batch.iter().any(|item| self.refused.contains(&id(item))) => {
                Reply::new(400, &[], "{\"meta\":{\"error\":\"malformed\"}}")
            }
            None => {
                let errors = self.apply(&batch);
                let status = if errors.is_empty() { 200 } else { 207 };
                Reply::new(status, &[], json!({ "errors": errors }).to_string())
            }
        }
    }

    fn apply(&mut self, batch: &[Value]) -> Vec<Value> {
        let mut errors = Vec::new();
        for (index, item) in batch.iter().enumerate() {
            let id = id(item);
            if self.rejected.contains(&id) {
                errors
                    .push(json!({ "batch_index": index, "reason": "invalid", "field": "id", "message": "not today" }));
                continue;
            }
            self.done.push(item.clone());
            let place = if item["type"] == "object" { &mut self.objects } else { &mut self.persons };
            match item["action"].as_str() {
                Some("delete") => drop(place.remove(&id)),
                Some("identify") => drop(place.insert(id, item["attributes"].clone())),
                _ => {}
            }
        }
        errors
    }
}
