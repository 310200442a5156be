//! A stand-in for Customer.io's Track API, a RudderStack data plane or Salesforce's collections, with faults that tests
//! switch on for single requests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::data_plane::DataPlane;
use crate::support::web_server::{RecordedRequest, Reply, Web};

/// The API of a stand-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    #[default]
    Customerio,
    /// Accepts or rejects a batch as a whole.
    Rudder,
    /// Accepts or rejects a batch as a whole, and later reports the result of each event.
    Retl,
    /// Reports a result for each record.
    Salesforce,
}

/// One item of a request.
struct Item {
    id: String,
    is_object: bool,
    /// `None` for a delete.
    attributes: Option<Value>,
    whole: Value,
}

/// A fault of a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers with a status, without processing the request.
    Status(u16),
    /// Answers with a status and a header, without processing the request.
    With(u16, &'static str, &'static str),
    /// Processes the request, and answers with a status.
    DoneBut(u16),
    /// Processes the request, and answers with status 207 and this body.
    Says(&'static str),
    /// Processes the request, and answers with a body that is not JSON.
    Garbage,
    /// Kills the process that [`Destination::kills`] names.
    Kill {
        /// Whether the request is processed before.
        done: bool,
    },
}

#[derive(Default)]
struct Inner {
    api: Api,
    persons: BTreeMap<String, Value>,
    objects: BTreeMap<String, Value>,
    /// Processed items, in order.
    done: Vec<Value>,
    faults: VecDeque<Fault>,
    /// Persons that are rejected individually.
    rejected: BTreeSet<String>,
    /// Persons that make a whole batch fail.
    refused: BTreeSet<String>,
    /// The state of events that were sent to `/internal/v1/retl`.
    plane: DataPlane,
    kill: Option<rustix::process::Pid>,
    /// The number of requests before the one that kills the process, and whether that request is processed.
    kill_at: Option<(usize, bool)>,
}

/// The stand-in.
pub struct Destination {
    pub web: Web,
    inner: Arc<Mutex<Inner>>,
}

impl Destination {
    pub fn start() -> Self {
        Self::of(Api::Customerio)
    }

    pub fn of(api: Api) -> Self {
        let inner = Arc::new(Mutex::new(Inner { api, ..Inner::default() }));
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
        let DataPlane { dropped, is_stuck, keeps_nothing, .. } = &mut inner.plane;
        (*is_stuck, *keeps_nothing) = (false, false);
        dropped.clear();
    }

    /// Changes the state of the data plane.
    pub fn plane<T>(&self, change: impl FnOnce(&mut DataPlane) -> T) -> T {
        change(&mut self.inner.lock().unwrap().plane)
    }

    /// Makes the request after this many others kill the process.
    pub fn kill_at(&self, requests: usize, done: bool) {
        self.inner.lock().unwrap().kill_at = Some((requests, done));
    }

    pub fn reject(&self, id: &str) {
        self.inner.lock().unwrap().rejected.insert(id.to_owned());
    }

    pub fn refuse(&self, id: &str) {
        self.inner.lock().unwrap().refused.insert(id.to_owned());
    }

    /// Sets the process that a [`Fault::Kill`] kills.
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

    /// The processed items.
    pub fn done(&self) -> Vec<Value> {
        self.inner.lock().unwrap().done.clone()
    }

    pub fn requests(&self) -> usize {
        self.web.requests().len()
    }
}

impl Api {
    /// The items of a request. Asserts that the request has the secret.
    fn items(self, asked: &RecordedRequest) -> Vec<Item> {
        let authorization = asked.header("authorization");
        let body =
            || -> Value { serde_json::from_str(&asked.body).unwrap_or_else(|error| panic!("{error}: {}", asked.body)) };
        match self {
            Api::Customerio => {
                assert_eq!(authorization, Some("Basic c2l0ZTprZXk="), "the key comes with every request");
                assert!(asked.body.len() <= 500_000, "a request of {} bytes", asked.body.len());
                let of = |item: &Value| {
                    let ids = &item["identifiers"];
                    let id = ids["id"].as_str().or(ids["object_id"].as_str()).or(ids["email"].as_str());
                    let is_delete = item["action"] == "delete";
                    Item {
                        id: id.unwrap_or_default().to_owned(),
                        is_object: item["type"] == "object",
                        attributes: (!is_delete).then(|| item["attributes"].clone()),
                        whole: item.clone(),
                    }
                };
                body()["batch"].as_array().unwrap().iter().map(of).collect()
            }
            Api::Retl if asked.method != "POST" => Vec::new(),
            Api::Rudder | Api::Retl => {
                let (key, path) = match self {
                    Api::Rudder => (Some("Basic c2l0ZTprZXk6"), "/v1/batch"),
                    _ => (None, "/internal/v1/retl"),
                };
                assert_eq!((authorization, asked.path.as_str()), (key, path));
                let of = |event: &Value| Item {
                    id: event["userId"].as_str().unwrap().to_owned(),
                    is_object: false,
                    attributes: (event["action"] != "delete").then(|| event["traits"].clone()),
                    whole: event.clone(),
                };
                body()["batch"].as_array().unwrap().iter().map(of).collect()
            }
            Api::Salesforce => {
                assert_eq!(authorization, Some("Bearer site:key"), "the token comes with every request");
                let path = asked.path.strip_prefix("/services/data/v62.0/").unwrap();
                if let Some(id) = path.strip_prefix("sobjects/Contact/Key__c/") {
                    assert_eq!(asked.method, "DELETE");
                    let whole = json!({ "deleted": id });
                    return vec![Item { id: id.to_owned(), is_object: false, attributes: None, whole }];
                }
                assert_eq!((asked.method.as_str(), path), ("PATCH", "composite/sobjects/Contact/Key__c"));
                let of = |record: &Value| {
                    let mut attributes = record.as_object().unwrap().clone();
                    attributes.remove("attributes");
                    let id = attributes.remove("Key__c").unwrap().as_str().unwrap().to_owned();
                    Item { id, is_object: false, attributes: Some(attributes.into()), whole: record.clone() }
                };
                body()["records"].as_array().unwrap().iter().map(of).collect()
            }
        }
    }

    /// The answer to a request that was processed except for the rejected items.
    fn answer(self, items: &[Item], rejected: &[usize]) -> Reply {
        match self {
            Api::Customerio => {
                let of =
                    |index| json!({ "batch_index": index, "reason": "invalid", "field": "id", "message": "not today" });
                let errors: Vec<Value> = rejected.iter().map(of).collect();
                let status = if errors.is_empty() { 200 } else { 207 };
                Reply::new(status, &[], json!({ "errors": errors }).to_string())
            }
            Api::Rudder | Api::Retl => Reply::new(200, &[], "OK"),
            Api::Salesforce if items[0].attributes.is_none() => match rejected {
                [] => Reply::new(204, &[], ""),
                _ => Reply::new(400, &[], "[{\"errorCode\":\"DELETE_FAILED\",\"message\":\"not today\"}]"),
            },
            Api::Salesforce => {
                let of = |index: usize| match rejected.contains(&index) {
                    true => {
                        json!({ "success": false, "errors": [{ "statusCode": "LOCKED", "message": "not today", "fields": [] }] })
                    }
                    false => json!({ "id": "x", "success": true, "errors": [] }),
                };
                Reply::json(&(0..items.len()).map(of).collect::<Value>().to_string())
            }
        }
    }
}

impl Inner {
    fn answer(&mut self, asked: &RecordedRequest) -> Reply {
        let items = self.api.items(asked);
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
                self.apply(asked, &items);
                Reply::new(status, &[], "{}")
            }
            Some(Fault::Says(text)) => {
                self.apply(asked, &items);
                Reply::new(207, &[], text)
            }
            Some(Fault::Garbage) => {
                self.apply(asked, &items);
                Reply::new(200, &[], "<html>welcome</html>")
            }
            Some(Fault::Kill { done }) => {
                if done {
                    self.apply(asked, &items);
                }
                if let Some(pid) = self.kill {
                    // The process may already have ended because of another fault.
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
                Reply::new(503, &[], "{}")
            }
            None if items.iter().any(|item| self.refused.contains(&item.id)) => {
                Reply::new(400, &[], "{\"meta\":{\"error\":\"malformed\"}}")
            }
            None if self.api == Api::Retl && asked.method != "POST" => self.plane.answer(asked),
            None => {
                let rejected = self.apply(asked, &items);
                self.api.answer(&items, &rejected)
            }
        }
    }

    /// Processes a request; returns the indexes of rejected items.
    fn apply(&mut self, asked: &RecordedRequest, items: &[Item]) -> Vec<usize> {
        if self.api == Api::Retl {
            if asked.method != "POST" {
                self.plane.answer(asked);
                return Vec::new();
            }
            let users: Vec<&str> = items.iter().map(|item| &*item.id).collect();
            let failed: Vec<&str> = users.iter().copied().filter(|user| self.rejected.contains(*user)).collect();
            self.plane.take(asked, &users, &failed);
        }
        let mut rejected = Vec::new();
        for (index, item) in items.iter().enumerate() {
            // The Rudder API cannot reject a single event.
            let is_dropped = self.api == Api::Retl && self.plane.dropped.contains(&item.id);
            if self.api != Api::Rudder && self.rejected.contains(&item.id) || is_dropped {
                rejected.push(index);
                continue;
            }
            self.done.push(item.whole.clone());
            let place = if item.is_object { &mut self.objects } else { &mut self.persons };
            match &item.attributes {
                None => drop(place.remove(&item.id)),
                Some(attributes) if item.whole["action"] != "event" => {
                    drop(place.insert(item.id.clone(), attributes.clone()));
                }
                Some(_) => {}
            }
        }
        rejected
    }
}
