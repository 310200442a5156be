//! A stand-in for the status API of a RudderStack data plane, for events that were sent to `/internal/v1/retl`. It
//! counts and names events as rudder-server's `services/rsources` does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::web_server::{RecordedRequest, Reply};

/// The events of a request.
#[derive(Default)]
struct Task {
    events: u64,
    /// The number of events that the data plane drops itself: it counts them, but does not name them.
    dropped: u64,
    /// Events that the destination has permanently rejected.
    failed: Vec<String>,
    /// The number of requests for the task's status.
    asked: u64,
}

/// The data plane.
#[derive(Default)]
pub struct DataPlane {
    tasks: BTreeMap<String, Task>,
    /// Users whose events the data plane drops itself.
    pub dropped: BTreeSet<String>,
    /// Whether no task is ever complete.
    pub is_stuck: bool,
    /// A record: requests for the failed records of its task are answered with this status.
    pub says_not: Option<(String, u16)>,
    /// Whether failed records are not kept.
    pub keeps_nothing: bool,
}

/// The maximum number of failed records on a page.
const PAGE: usize = 2;

impl DataPlane {
    /// Accepts the events of a request. The destination rejects the events in `failed`.
    pub fn take(&mut self, asked: &RecordedRequest, users: &[&str], failed: &[&str]) {
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        let header = |name| asked.header(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!((header("x-rudder-source-id"), header("x-rudder-destination-id")), ("src", "dst"));
        let (run, request) = (header("x-rudder-job-run-id"), header("x-rudder-task-run-id"));
        assert_ne!(run, request);
        let mut records = Vec::new();
        for event in body["batch"].as_array().unwrap() {
            let sources = &event["context"]["sources"];
            assert_eq!((&sources["job_run_id"], &sources["task_run_id"]), (&run.into(), &request.into()), "{event}");
            let record = event["recordId"].as_str().unwrap();
            assert!(record.starts_with(event["userId"].as_str().unwrap()), "{event}");
            if let Some(failed) = failed.iter().find(|user| event["userId"] == ***user) {
                let is_dropped = self.dropped.contains(*failed);
                records.extend((!is_dropped).then(|| record.to_owned()));
            }
        }
        let task = self.tasks.entry(request.to_owned()).or_default();
        task.events += users.len() as u64;
        task.dropped += users.iter().filter(|user| self.dropped.contains(**user)).count() as u64;
        task.failed.extend(records);
    }

    /// Whether all tasks have been deleted.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Answers a request for the status of tasks, or a request to delete them.
    pub fn answer(&mut self, asked: &RecordedRequest) -> Reply {
        let url = reqwest::Url::parse(&format!("http://h{}", asked.path)).unwrap();
        assert!(url.path().starts_with("/internal/v2/job-status/"), "{url}");
        assert!(asked.header("content-encoding").is_none(), "there is nothing to unpack");
        let values = |name: &str| -> Vec<String> {
            url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
        };
        assert_eq!(values("source_id"), ["src"]);
        let mut tasks = values("task_run_id");
        let is_records = url.path().ends_with("/failed-records");
        if asked.method == "DELETE" {
            if !is_records {
                tasks.iter().for_each(|task| drop(self.tasks.remove(task)));
            }
            return Reply::new(204, &[], "");
        }
        assert_eq!(asked.method, "GET");
        tasks.retain(|task| self.tasks.contains_key(task));
        match is_records {
            true if let Some(status) = self.says_not_of(&tasks[0]) => Reply::new(status, &[], "status not found\n"),
            true if self.keeps_nothing => Reply::new(400, &[], "rsources: operation not supported\n"),
            true => {
                let start = values("pageToken")[0].parse().unwrap_or(0);
                self.records(&tasks, start, values("pageSize")[0].parse().unwrap())
            }
            false if tasks.is_empty() => Reply::new(404, &[], "status not found\n"),
            false => self.status(&tasks),
        }
    }

    fn says_not_of(&self, task: &str) -> Option<u16> {
        let (record, status) = self.says_not.as_ref()?;
        self.tasks[task].failed.contains(record).then_some(*status)
    }

    fn status(&mut self, tasks: &[String]) -> Reply {
        let is_stuck = self.is_stuck;
        let mut of = |id: &String| {
            let task = self.tasks.get_mut(id).unwrap();
            task.asked += 1;
            // The first status says that the events have been received; later ones, that they have been delivered.
            if task.asked == 1 || is_stuck {
                let stats = json!({ "in": task.events, "out": 0, "failed": 0 });
                let source = json!({ "id": "src", "completed": false, "stats": stats, "destinations": null });
                return json!({ "id": id, "sources": [source] });
            }
            let stats = json!({ "in": task.events + task.dropped, "out": task.events, "failed": task.dropped });
            let (sent, failed) = (task.events - task.dropped, task.failed.len() as u64);
            let there = json!({ "in": sent, "out": sent - failed, "failed": failed });
            let there = json!({ "id": "dst", "completed": true, "stats": there });
            json!({ "id": id, "sources": [{ "id": "src", "completed": true, "stats": stats, "destinations": [there] }] })
        };
        let tasks: Vec<Value> = tasks.iter().map(&mut of).collect();
        Reply::json(&json!({ "id": "run", "tasks": tasks }).to_string())
    }

    fn records(&self, tasks: &[String], start: usize, size: usize) -> Reply {
        let task = &self.tasks[&tasks[0]];
        let end = (start + size.min(PAGE)).min(task.failed.len());
        let record = |user: &String| json!({ "record": user, "code": 422 });
        let records: Vec<Value> = task.failed[start..end].iter().map(record).collect();
        let source = json!({ "id": "src", "records": null, "destinations": [{ "id": "dst", "records": records }] });
        let mut answer = json!({ "id": "run", "tasks": [{ "id": tasks[0], "sources": [source] }] });
        if end < task.failed.len() {
            answer["paging"] = json!({ "size": size, "next": end.to_string() });
        }
        // The real data plane sends no content type here.
        Reply::new(200, &[], answer.to_string())
    }
}
