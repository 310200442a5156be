//! Salesforce's collections: tokens, results for each record, routes, and the daily limit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{QUICK, numbers, sync};
use crate::support::Dir;
use crate::support::web_server::{RecordedRequest, Reply, Web};

/// The data and the behaviour of the stand-in.
#[derive(Default)]
struct Inner {
    /// The records, by object and id.
    records: BTreeMap<String, Value>,
    tokens: usize,
    /// The number of requests for which a token is accepted.
    token_lives: Option<usize>,
    asked_with_token: usize,
    used: usize,
}

/// The stand-in.
struct Salesforce {
    web: Web,
    inner: Arc<Mutex<Inner>>,
}

impl Salesforce {
    fn start() -> Self {
        let inner: Arc<Mutex<Inner>> = Arc::default();
        let own = inner.clone();
        Self { web: Web::start(move |asked| own.lock().unwrap().answer(asked)), inner }
    }

    fn records(&self) -> BTreeMap<String, Value> {
        self.inner.lock().unwrap().records.clone()
    }

    /// Paths of requests to the API.
    fn paths(&self) -> Vec<String> {
        let asked = self.web.requests().into_iter().filter(|asked| asked.path.starts_with("/services/data/v62.0/"));
        asked.map(|asked| format!("{} {}", asked.method, &asked.path["/services/data/v62.0/".len()..])).collect()
    }
}

impl Inner {
    fn answer(&mut self, asked: &RecordedRequest) -> Reply {
        if asked.path == "/services/oauth2/token" {
            let form = "grant_type=client_credentials&client_id=app&client_secret=s%2F1";
            if asked.body != form {
                return Reply::new(400, &[], "{\"error\":\"invalid_client\"}");
            }
            self.tokens += 1;
            self.asked_with_token = 0;
            return Reply::json(&json!({ "access_token": format!("T{}", self.tokens) }).to_string());
        }
        let is_known = asked.header("authorization") == Some(format!("Bearer T{}", self.tokens).as_str());
        if !is_known || self.token_lives == Some(self.asked_with_token) {
            return Reply::new(401, &[], "[{\"errorCode\":\"INVALID_SESSION_ID\"}]");
        }
        self.asked_with_token += 1;
        self.used += 1;
        let path = asked.path.strip_prefix("/services/data/v62.0/").expect("the version is in the path");
        let answer = match (asked.method.as_str(), path.split_once('?').unwrap_or((path, ""))) {
            ("PATCH", (path, _)) => self.patch(path, &serde_json::from_str(&asked.body).unwrap()),
            ("DELETE", ("composite/sobjects", query)) => {
                let ids = query.strip_prefix("ids=").unwrap().split('&').next().unwrap();
                let gone: Vec<_> = ids.split("%2C").map(|id| json!({ "id": id, "success": true })).collect();
                ids.split("%2C").for_each(|id| self.records.retain(|name, _| !name.ends_with(&format!("/{id}"))));
                Reply::json(&Value::from(gone).to_string())
            }
            ("DELETE", (path, _)) => {
                let mut parts = path.strip_prefix("sobjects/").unwrap().split('/');
                let (object, id) = (parts.next().unwrap(), parts.nth(1).unwrap());
                match self.records.remove(&format!("{object}/{id}")) {
                    Some(_) => Reply::new(204, &[], ""),
                    None => Reply::new(404, &[], "[{\"errorCode\":\"NOT_FOUND\"}]"),
                }
            }
            _ => Reply::new(405, &[], ""),
        };
        let mut answer = answer;
        answer.head.push_str(&format!("Sforce-Limit-Info: api-usage={}/10\r\n", self.used));
        answer
    }

    fn patch(&mut self, path: &str, body: &Value) -> Reply {
        assert_eq!(body["allOrNone"], false);
        let records = body["records"].as_array().unwrap();
        assert!(records.len() <= 200, "{}", records.len());
        let field = path.split('/').nth(3).unwrap_or("Id");
        let mut answers = Vec::new();
        for record in records {
            let object = record["attributes"]["type"].as_str().unwrap();
            if record.get("Bogus__c").is_some() {
                return Reply::new(400, &[], "[{\"errorCode\":\"INVALID_FIELD\",\"message\":\"Bogus__c\"}]");
            }
            if record["Name"].is_null() {
                answers.push(json!({ "success": false, "errors": [
                    { "statusCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing", "fields": ["Name"] },
                ] }));
                continue;
            }
            self.records.insert(format!("{object}/{}", record[field].as_str().unwrap()), record.clone());
            answers.push(json!({ "id": "x", "success": true, "errors": [] }));
        }
        Reply::json(&Value::from(answers).to_string())
    }
}

/// A sync whose sink is Salesforce.
fn contacts(salesforce: &Salesforce, rows: &str, tables: &str, sink: &str) -> Dir {
    let dir = Dir::new();
    dir.file("rows.jsonl", rows);
    dir.file("secret", "app:s/1\n");
    dir.file(
        "sync.toml",
        format!(
            "[source]\nfile = \"rows.jsonl\"\nkey = \"id\"\n{tables}\n[[sink]]\nname = \"sf\"\nkind = \"salesforce\"\n\
             url = \"{}\"\nauth = \"file:secret\"\nobject = \"Contact\"\nexternal_id = \"User__c\"\nconcurrency = 1\n\
             {QUICK}{sink}\n",
            salesforce.web.url("")
        ),
    );
    dir
}

#[test]
fn records_are_upserted_by_an_external_id_and_each_has_its_result() {
    let salesforce = Salesforce::start();
    let rows =
        "{\"id\":\"u1\",\"Name\":\"Ada\"}\n{\"id\":\"u2\",\"Name\":null}\n{\"id\":\"u/3\",\"Name\":\"Cy\",\"Age\":7}\n";
    let dir = contacts(&salesforce, rows, "[changes]\nmode = \"mirror\"\nmax_deletes = 2", "");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (1, [2, 1]), "{}", done.err);
    let wanted = "failed: u2 at sf (destination): REQUIRED_FIELD_MISSING (Name): Required fields are missing\n";
    let said = super::run(&dir, &["sync", "sync.toml"]).err;
    assert!(said.contains(wanted), "{said}");
    assert_eq!(salesforce.records()["Contact/u/3"]["Age"], 7);
    assert!(!said.contains("s/1") && !said.contains("T1"), "secrets are not shown: {said}");
    // Two rows are gone from the source. Salesforce has already lost the record of one of them.
    dir.file("rows.jsonl", "{\"id\":\"u2\",\"Name\":\"Bob\"}\n");
    salesforce.inner.lock().unwrap().records.remove("Contact/u1");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (0, [3, 0]), "{}", done.err);
    let upsert = "PATCH composite/sobjects/Contact/User__c";
    let mut paths = salesforce.paths();
    paths.sort();
    let deletes = ["DELETE sobjects/Contact/User__c/u%2F3", "DELETE sobjects/Contact/User__c/u1"];
    assert_eq!(paths, [&deletes[..], &[upsert; 3]].concat());
}

#[test]
fn external_ids_name_records_and_a_bad_field_fails_its_record_alone() {
    let salesforce = Salesforce::start();
    let rows: String = (0..6).map(|id| format!("{{\"id\":{id},\"Name\":\"N{id}\"}}\n")).collect();
    let dir =
        contacts(&salesforce, &rows, "[event]\ntype = \"group\"\ngroup_id = \"id\"\n[transform]\ncode = \"t.js\"", "");
    dir.file(
        "t.js",
        "export function transformEvent(event) {\n  const { groupId: id, traits: { Name } } = event;\n  const externalId = [{ type: 'Salesforce-Account', id: `001${id}` }];\n  \
         if (id % 2) externalId.push({ type: 'Salesforce-Lead', id: `L${id}`, identifierType: 'Ext__c' });\n  \
         const traits = id === '3' ? { Name, Bogus__c: 1 } : { Name };\n  return { ...event, context: { externalId }, traits };\n}\n",
    );
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "failed"])), (1, [5, 1]), "{}", done.err);
    let wanted = ["Account/0010", "Account/0011", "Account/0012", "Account/0014", "Account/0015", "Lead/L1", "Lead/L5"];
    assert_eq!(salesforce.records().keys().collect::<Vec<_>>(), wanted);
    assert_eq!(salesforce.records()["Lead/L1"]["Ext__c"], "L1");
    let status = super::run(&dir, &["sync", "status", "sync.toml"]);
    assert!(status.text().contains("INVALID_FIELD"), "{}", status.text());
    let explained = super::run(&dir, &["sync", "explain", "1"]);
    for wanted in [
        "/services/data/v62.0/composite/sobjects\n{\"allOrNone\":false,\"records\":[{\"attributes\":{\"type\":\"Account\"},\"Id\":\"0011\"",
        "/services/data/v62.0/composite/sobjects/Lead/Ext__c\n",
    ] {
        assert!(explained.text().contains(wanted), "{wanted}\n{}", explained.text());
    }
}

#[test]
fn a_token_that_expires_in_the_middle_is_replaced() {
    let salesforce = Salesforce::start();
    salesforce.inner.lock().unwrap().token_lives = Some(2);
    let rows: String = (0..5).map(|id| format!("{{\"id\":{id},\"Name\":\"N\"}}\n")).collect();
    let dir = contacts(&salesforce, &rows, "", "batch = 1");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent"])), (0, [5]), "{}", done.err);
    assert_eq!(salesforce.records().len(), 5);
    assert_eq!(salesforce.inner.lock().unwrap().tokens, 3);
    // A rejected secret stops the run with the reason.
    dir.file("secret", "app:wrong");
    dir.file("rows.jsonl", "{\"id\":1,\"Name\":\"M\"}\n");
    let (done, _) = sync(&dir, &[]);
    assert!(
        done.code == 2 && done.err.contains("it gives no token: 400") && !done.err.contains("wrong"),
        "{}",
        done.err
    );
}

#[test]
fn a_share_of_the_calls_of_a_day_is_left_to_others() {
    let salesforce = Salesforce::start();
    let rows: String = (0..20).map(|id| format!("{{\"id\":{id},\"Name\":\"N\"}}\n")).collect();
    let dir = contacts(&salesforce, &rows, "", "batch = 1\napi_limit = \"50%\"");
    let (done, counts) = sync(&dir, &[]);
    assert_eq!((done.code, numbers(&counts, ["sent", "pending"])), (1, [5, 15]), "{}", done.err);
    assert!(done.err.contains("5 of the 10 API calls of the day are used, and api_limit is 50%"), "{}", done.err);
}
