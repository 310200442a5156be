//! Salesforce: sObject Collections, up to 200 records per request, with a result for each record.
//!
//! The first line of an item is its route: method and path below
//! `/services/data/vN/`. Items of one route are sent together.

mod login;

use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::config::{SalesforceConfig, SinkConfig};
use super::super::error::Result;
use super::super::event::Output;
use super::super::row::{Columns, as_text, text};
use super::http::{self, Answer, Endpoint, Request};
use super::{ItemAnswer, Reply};
use login::{Login, Session};

/// A pause that no run waits for: the daily limit is used up.
const NOT_TODAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// The sink.
pub struct Salesforce {
    endpoint: Endpoint,
    login: Login,
    config: SalesforceConfig,
}

type Words<T> = std::result::Result<T, String>;

/// A record that an event is about.
struct Target {
    object: String,
    /// The field that identifies the record; `None` for the record's own id.
    field: Option<String>,
    id: String,
}

impl Salesforce {
    /// Reads the secrets and creates the client.
    pub fn open(config: &SalesforceConfig, sink: &SinkConfig, dry: bool) -> Result<Self> {
        let url = http::url(&config.url, "", dry)?;
        let login = Login::open(&config.login, &url, sink, dry)?;
        let endpoint = Endpoint::new(sink, Method::POST, url, Default::default())?;
        Ok(Self { endpoint, login, config: config.clone() })
    }

    /// Returns the endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the items of an event: one for each record that it is about.
    pub fn items(&self, event: &Output<'_>) -> Words<Vec<Vec<u8>>> {
        let kind = event.kind();
        let action = event.fields.text("action");
        let fields = match (&*kind, action.as_deref()) {
            ("identify" | "group", _) => "traits",
            ("record", Some("insert" | "update" | "delete")) => "fields",
            ("record", action) => {
                return Err(format!("a record event has the action {}", action.unwrap_or("null")));
            }
            ("", _) => return Err("the event has no type".to_owned()),
            _ => return Err(format!("Salesforce takes identify, group and record; this is a {kind} event")),
        };
        let is_delete = &*kind == "record" && action.as_deref() == Some("delete");
        let targets = self.targets(event)?;
        targets.iter().map(|target| if is_delete { delete(target) } else { upsert(target, event, fields) }).collect()
    }

    /// Returns the records that an event is about: those in its `externalId`, or else the one from the config.
    fn targets(&self, event: &Output<'_>) -> Words<Vec<Target>> {
        #[derive(Default, Deserialize)]
        struct Context<'a> {
            #[serde(borrow, rename = "externalId", default)]
            external_id: Option<Vec<ExternalId<'a>>>,
        }
        #[derive(Deserialize)]
        struct ExternalId<'a> {
            #[serde(rename = "type")]
            kind: String,
            #[serde(borrow)]
            id: Option<&'a RawValue>,
            #[serde(rename = "identifierType")]
            identifier: Option<String>,
        }
        let Context { external_id } = match event.fields.value("context") {
            Some(context) => serde_json::from_str(context.get())
                .map_err(|_| "its context.externalId is no list of objects with type and id".to_owned())?,
            None => Context::default(),
        };
        let mut targets = Vec::new();
        for entry in external_id.unwrap_or_default() {
            let Some((destination, object)) = entry.kind.split_once('-') else { continue };
            if !destination.eq_ignore_ascii_case("salesforce") {
                continue;
            }
            let id = entry.id.map(as_text).filter(|id| !id.is_empty() && id != "null");
            let id = id.ok_or_else(|| format!("its externalId for {} has no id", entry.kind))?.into_owned();
            let field = entry.identifier.filter(|field| !field.eq_ignore_ascii_case("id"));
            targets.push(target(object, field, id)?);
        }
        if !targets.is_empty() {
            return Ok(targets);
        }
        let Some((object, field)) = self.config.object.clone().zip(self.config.external_id.clone()) else {
            return Err("it has no externalId for Salesforce, and the sink has no object and external_id".to_owned());
        };
        let name = if event.kind() == "group" { "groupId" } else { "userId" };
        let id = event.id(name).ok_or_else(|| format!("it has no {name}, which {field} is set to"))?;
        Ok(vec![target(&object, Some(field), id.into_owned())?])
    }

    /// Formats the method and URL of an item, for people.
    pub fn shown(&self, item: &[u8]) -> String {
        let (method, path) = split(item).0.split_once(' ').unwrap_or_default();
        let path = path.split('#').next().unwrap_or_default();
        let base = self.endpoint.shown_url();
        format!("{method} {}/services/data/v{}/{path}", base.trim_end_matches('/'), self.config.api_version)
    }

    /// Sends items of one route.
    pub async fn send(&self, items: &[&[u8]]) -> Reply {
        let mut is_renewed = false;
        loop {
            let session = match self.login.session(&self.endpoint).await {
                Ok(session) => session,
                Err(reply) => return reply,
            };
            let answer = match self.endpoint.ask(self.request(&session, items)).await {
                Ok(answer) => answer,
                Err(reply) => return reply,
            };
            // The token may have expired in the middle of a run.
            if answer.status == 401 && !is_renewed && self.login.renew(&session).await {
                is_renewed = true;
                continue;
            }
            return self.reply(&answer, items);
        }
    }

    fn request(&self, session: &Session, items: &[&[u8]]) -> Request {
        let (route, _) = split(items[0]);
        let (method, path) = route.split_once(' ').unwrap_or(("PATCH", route));
        let path = path.split('#').next().unwrap_or(path);
        let url = format!("{}/services/data/v{}/{path}", session.instance, self.config.api_version);
        let mut url = Url::parse(&url).unwrap_or_else(|_| self.endpoint.url().clone());
        let is_collection = path.starts_with("composite/");
        if method == "PATCH" {
            return Request::json(Method::PATCH, url, body(items)).with_auth(session.token.clone());
        }
        if is_collection {
            let ids: Vec<_> = items.iter().map(|item| String::from_utf8_lossy(split(item).1).into_owned()).collect();
            url.query_pairs_mut().append_pair("ids", &ids.join(",")).append_pair("allOrNone", "false");
        }
        Request::empty(Method::DELETE, url).with_auth(session.token.clone())
    }

    fn reply(&self, answer: &Answer, items: &[&[u8]]) -> Reply {
        let shown = answer.shown();
        let reason = format!("it answered {shown}");
        let is_single_delete = split(items[0]).0.starts_with("DELETE sobjects/");
        match answer.status {
            204 => return Reply::Items(vec![ItemAnswer::Accepted; items.len()]),
            // A record that is already gone need not be deleted.
            404 if is_single_delete => return Reply::Items(vec![ItemAnswer::Accepted]),
            _ => {}
        }
        if let (Some((used, most)), Some(share)) = (answer.usage, self.config.api_limit)
            && used as f64 >= most as f64 * share / 100.0
        {
            self.login.close(format!("{used} of the {most} API calls of the day are used, and api_limit is {share}%"));
        }
        match answer.status {
            200..300 => results(answer, items.len(), shown),
            300..=399 => http::redirect(answer),
            401 => Reply::Stop {
                reason: format!("it refuses the token: {shown}"),
                help: "see that auth or token of the sink is right, and that its user may use the API".to_owned(),
            },
            403 if answer.body.contains("REQUEST_LIMIT_EXCEEDED") => Reply::Later {
                reason: format!("the API calls of the day are used up: {shown}"),
                after: Some(NOT_TODAY),
            },
            403 => Reply::Stop {
                reason: format!("it refuses this sync: {shown}"),
                help: "see that the user of auth or token may use the API and write these objects".to_owned(),
            },
            408 | 425 | 429 | 500.. => Reply::Later { reason, after: answer.after },
            _ => Reply::Refused { reason, answer: shown, sure: true },
        }
    }
}

/// Returns the route of an item.
pub fn route(item: &[u8]) -> &[u8] {
    split(item).0.as_bytes()
}

/// Returns whether an item is sent alone.
pub fn is_alone(item: &[u8]) -> bool {
    split(item).0.starts_with("DELETE sobjects/")
}

/// Splits an item into route and record.
fn split(item: &[u8]) -> (&str, &[u8]) {
    let end = memchr::memchr(b'\n', item).unwrap_or(item.len());
    (std::str::from_utf8(&item[..end]).unwrap_or_default(), item.get(end + 1..).unwrap_or_default())
}

/// Returns the body of a request; for deletes, the ids, which the request has in its URL.
pub fn body(items: &[&[u8]]) -> Vec<u8> {
    let records: Vec<&[u8]> = items.iter().map(|item| split(item).1).collect();
    if items.iter().any(|item| item.starts_with(b"DELETE")) {
        return records.join(&b'\n');
    }
    let mut body = b"{\"allOrNone\":false,\"records\":[".to_vec();
    body.extend_from_slice(&records.join(&b','));
    body.extend_from_slice(b"]}");
    body
}

fn target(object: &str, field: Option<String>, id: String) -> Words<Target> {
    for name in [Some(object), field.as_deref()].into_iter().flatten() {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("`{name}` is no name of an object or a field of Salesforce"));
        }
    }
    Ok(Target { object: object.to_owned(), field, id })
}

fn upsert(target: &Target, event: &Output<'_>, fields: &str) -> Words<Vec<u8>> {
    let Target { object, field, id } = target;
    let mut out = match field {
        Some(field) => format!("PATCH composite/sobjects/{object}/{field}\n"),
        None => format!("PATCH composite/sobjects#{object}\n"),
    }
    .into_bytes();
    let name = field.as_deref().unwrap_or("Id");
    out.extend_from_slice(format!("{{\"attributes\":{{\"type\":\"{object}\"}},\"{name}\":").as_bytes());
    text(&mut out, id);
    let value = event.fields.value(fields).map(|value| serde_json::from_str(value.get()));
    let Columns(columns) = match value {
        Some(Ok(columns)) => columns,
        Some(Err(_)) => return Err(format!("its {fields} are no object")),
        None => Columns(Vec::new()),
    };
    for (column, value) in columns.iter().filter(|(column, _)| !column.eq_ignore_ascii_case(name)) {
        out.push(b',');
        text(&mut out, column);
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
    }
    out.push(b'}');
    Ok(out)
}

fn delete(target: &Target) -> Words<Vec<u8>> {
    let Target { object, field, id } = target;
    match field {
        None => Ok(format!("DELETE composite/sobjects#{object}\n{id}").into_bytes()),
        Some(field) => {
            let mut url = Url::parse("http://host/").map_err(|error| error.to_string())?;
            if let Ok(mut path) = url.path_segments_mut() {
                path.push(id);
            }
            // `.` and `..` are not path segments.
            match &url.path()[1..] {
                "" => Err(format!("a record with {field} `{id}` can't be named in a URL")),
                id => Ok(format!("DELETE sobjects/{object}/{field}/{id}\n").into_bytes()),
            }
        }
    }
}

#[derive(Deserialize)]
struct Outcome<'a> {
    success: bool,
    #[serde(borrow, default)]
    errors: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RecordError {
    #[serde(rename = "statusCode", default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    fields: Vec<String>,
}

/// Parses the results of the records, in order.
fn results(answer: &Answer, count: usize, shown: String) -> Reply {
    let unsure = |reason: String| Reply::Refused { reason, answer: shown.clone(), sure: false };
    let Ok(outcomes) = serde_json::from_str::<Vec<Outcome<'_>>>(&answer.body) else {
        return unsure("its answer is no list of results".to_owned());
    };
    if outcomes.len() != count {
        return unsure(format!("its answer has {} results for {count} records", outcomes.len()));
    }
    let one = |outcome: Outcome<'_>| {
        let errors: Vec<RecordError> =
            outcome.errors.iter().filter_map(|error| serde_json::from_str(error.get()).ok()).collect();
        // A record that is already gone need not be deleted.
        if outcome.success || errors.iter().any(|error| error.code == "ENTITY_IS_DELETED") {
            return ItemAnswer::Accepted;
        }
        let words = |error: &RecordError| {
            let fields =
                if error.fields.is_empty() { String::new() } else { format!(" ({})", error.fields.join(", ")) };
            format!("{}{fields}: {}", error.code, error.message)
        };
        let reason = match errors.is_empty() {
            true => "it gives no reason".to_owned(),
            false => errors.iter().map(words).collect::<Vec<_>>().join("; "),
        };
        let answer: Vec<&str> = outcome.errors.iter().map(|error| error.get()).collect();
        ItemAnswer::Rejected { reason, answer: super::cut(&answer.join(" ")) }
    };
    Reply::Items(outcomes.into_iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::config::{Config, SinkKind};

    fn sink(more: &str) -> Salesforce {
        let text = format!(
            "[source]\nstdin = true\nkey = \"id\"\n[[sink]]\nname = \"sf\"\nkind = \"salesforce\"\n\
             url = \"http://h/\"\ntoken = \"env:PATH\"\n{more}\n"
        );
        let config = Config::parse(&text, std::path::Path::new("s.toml")).unwrap_or_else(|error| panic!("{error}"));
        let SinkKind::Salesforce(own) = &config.sinks[0].kind else { panic!("it is Salesforce") };
        Salesforce::open(own, &config.sinks[0], false).unwrap_or_else(|error| panic!("{error}"))
    }

    fn items(sink: &Salesforce, event: &str) -> Words<Vec<String>> {
        let items = sink.items(&Output::parse(event).unwrap())?;
        Ok(items.into_iter().map(|item| String::from_utf8(item).unwrap()).collect())
    }

    #[test]
    fn an_event_goes_to_the_records_that_its_external_ids_name() {
        let sink = sink("object = \"Contact\"\nexternal_id = \"User__c\"");
        let of = |event: &str| items(&sink, event).unwrap();
        assert_eq!(
            of(
                r#"{"type":"group","context":{"externalId":[{"type":"Salesforce-Account","id":"001A"},{"type":"Salesforce-Lead","id":"u 1","identifierType":"Ext__c"},{"type":"HubSpot-x","id":"1"}]},"traits":{"Name":"A","id":7,"Gone":null}}"#
            ),
            [
                "PATCH composite/sobjects#Account\n{\"attributes\":{\"type\":\"Account\"},\"Id\":\"001A\",\"Name\":\"A\",\"Gone\":null}",
                "PATCH composite/sobjects/Lead/Ext__c\n{\"attributes\":{\"type\":\"Lead\"},\"Ext__c\":\"u 1\",\"Name\":\"A\",\"id\":7,\"Gone\":null}",
            ]
        );
        assert_eq!(
            of(r#"{"type":"identify","userId":"u","traits":{"user__c":"x"}}"#),
            ["PATCH composite/sobjects/Contact/User__c\n{\"attributes\":{\"type\":\"Contact\"},\"User__c\":\"u\"}"]
        );
        assert_eq!(
            of(r#"{"type":"record","action":"delete","userId":"a/b ü","fields":{}}"#),
            ["DELETE sobjects/Contact/User__c/a%2Fb%20%C3%BC\n"]
        );
        assert_eq!(
            of(
                r#"{"type":"record","action":"delete","context":{"externalId":[{"type":"Salesforce-Lead","id":"00Q1"}]}}"#
            ),
            ["DELETE composite/sobjects#Lead\n00Q1"]
        );
    }

    #[test]
    fn what_it_cannot_take_says_why() {
        for (more, event, reason) in [
            ("", r#"{"type":"group","traits":{}}"#, "it has no externalId for Salesforce"),
            ("object = \"A\"\nexternal_id = \"B__c\"", r#"{"type":"group","traits":{}}"#, "it has no groupId"),
            ("", r#"{"type":"track","userId":"u"}"#, "this is a track event"),
            (
                "",
                r#"{"type":"identify","context":{"externalId":[{"type":"Salesforce-Lead","id":null}]}}"#,
                "its externalId for Salesforce-Lead has no id",
            ),
            (
                "",
                r#"{"type":"identify","context":{"externalId":[{"type":"Salesforce-Lead/x","id":"1"}]}}"#,
                "`Lead/x` is no name",
            ),
            ("", r#"{"type":"identify","context":{"externalId":[7]}}"#, "its context.externalId is no list"),
            (
                "object = \"A\"\nexternal_id = \"B__c\"",
                r#"{"type":"record","action":"delete","userId":".."}"#,
                "can't be named in a URL",
            ),
        ] {
            let error = items(&sink(more), event).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn an_answer_is_about_each_record_or_about_the_request() {
        let sink = sink("");
        let reply = |status, body: &str| {
            let answer = Answer { status, body: body.to_owned(), ..Answer::default() };
            let item: &[u8] = b"PATCH composite/sobjects#Lead\n{}";
            sink.reply(&answer, &[item, item])
        };
        let mixed = r#"[{"id":"1","success":true,"errors":[]},{"success":false,"errors":[{"statusCode":"REQUIRED_FIELD_MISSING","message":"missing: [Name]","fields":["Name"]}]}]"#;
        let Reply::Items(items) = reply(200, mixed) else { panic!("items") };
        assert_eq!(items[0], ItemAnswer::Accepted);
        let wanted = "REQUIRED_FIELD_MISSING (Name): missing: [Name]";
        assert!(matches!(&items[1], ItemAnswer::Rejected { reason, .. } if reason == wanted), "{items:?}");
        for body in ["", "{}", r#"[{"success":true}]"#, r#"[{},{}]"#] {
            assert!(matches!(reply(200, body), Reply::Refused { sure: false, .. }), "{body}");
        }
        assert!(matches!(reply(400, "[]"), Reply::Refused { sure: true, .. }));
        assert!(matches!(reply(401, "[]"), Reply::Stop { .. }));
        let limit = reply(403, r#"[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#);
        assert!(matches!(limit, Reply::Later { after: Some(NOT_TODAY), .. }));
        assert!(matches!(reply(403, "[]"), Reply::Stop { .. }));
        assert!(matches!(reply(503, ""), Reply::Later { .. }));
    }
}
