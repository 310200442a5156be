//! Any JSON API: the transformation builds the body.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;

use super::super::config::{Meaning, SinkConfig, WebhookConfig};
use super::super::error::Result;
use super::super::event::Output;
use super::super::row::text;
use super::http::{self, Answer, Endpoint};
use super::{ItemAnswer, Reply};

/// The sink.
pub struct Webhook {
    endpoint: Endpoint,
    config: WebhookConfig,
    /// Whether a body holds a list of items.
    lists: bool,
}

impl Webhook {
    /// Reads the secrets and creates the client.
    pub fn open(config: &WebhookConfig, sink: &SinkConfig, dry: bool) -> Result<Self> {
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let (name, value) = http::header(name, &value.read(dry)?)?;
            headers.insert(name, value);
        }
        if let Some(auth) = &config.auth {
            let auth = auth.read(dry)?;
            let auth = if auth.contains(' ') { auth } else { format!("Bearer {auth}") };
            let (name, value) = http::header(AUTHORIZATION.as_str(), &auth)?;
            headers.insert(name, value);
        }
        let method = Method::from_bytes(config.method.as_bytes()).unwrap_or(Method::POST);
        let endpoint = Endpoint::new(sink, method, http::url(&config.url, "", dry)?, headers)?;
        let lists = sink.pace.batch > 1 || config.wrap.is_some() || config.results;
        Ok(Self { endpoint, config: config.clone(), lists })
    }

    /// Returns the endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the item of an event.
    pub fn item(&self, event: &Output<'_>) -> std::result::Result<Vec<u8>, String> {
        match &self.config.body {
            None => Ok(event.text.as_bytes().to_vec()),
            Some(field) => match event.fields.value(field) {
                Some(body) => Ok(body.get().as_bytes().to_vec()),
                None => Err(format!("the event has no {field}, which is the body of the request (sink.body)")),
            },
        }
    }

    /// Returns the body of a batch.
    pub fn body(&self, items: &[&[u8]]) -> Vec<u8> {
        if !self.lists {
            return items.concat();
        }
        let mut body = Vec::with_capacity(items.iter().map(|item| item.len() + 1).sum::<usize>() + 64);
        if let Some(wrap) = &self.config.wrap {
            body.push(b'{');
            text(&mut body, wrap);
            body.push(b':');
        }
        body.push(b'[');
        body.extend_from_slice(&items.join(&b','));
        body.push(b']');
        if self.config.wrap.is_some() {
            body.push(b'}');
        }
        body
    }

    /// Sends a batch.
    pub async fn send(&self, items: &[&[u8]]) -> Reply {
        match self.endpoint.send(self.body(items)).await {
            Ok(answer) => self.reply(&answer, items.len()),
            Err(reply) => reply,
        }
    }

    fn reply(&self, answer: &Answer, count: usize) -> Reply {
        let shown = answer.shown();
        let reason = format!("it answered {shown}");
        match self.config.statuses.meaning(answer.status) {
            Meaning::Ok if self.config.results => results(answer, count, shown),
            Meaning::Ok => Reply::Items(vec![ItemAnswer::Accepted; count]),
            Meaning::Stop if (300..400).contains(&answer.status) => http::redirect(answer),
            Meaning::Stop => Reply::Stop {
                reason: format!("it refuses this sync: {shown}"),
                help: "see that auth, headers and url of the sink are right".to_owned(),
            },
            Meaning::Reject => Reply::Refused { reason, answer: shown, sure: (400..500).contains(&answer.status) },
            Meaning::Retry => Reply::Later { reason, after: answer.after },
        }
    }
}

/// Parses a list with one object per item, in order: `success`, and the reason in `errors`, `error` or `message`.
fn results(answer: &Answer, count: usize, shown: String) -> Reply {
    let refused = |reason: String| Reply::Refused { reason, answer: shown.clone(), sure: false };
    let Ok(Value::Array(list)) = serde_json::from_str::<Value>(&answer.body) else {
        return refused("its answer is no list of results (sink.results)".to_owned());
    };
    if list.len() != count {
        return refused(format!("its answer has {} results for {count} items", list.len()));
    }
    let mut items = Vec::with_capacity(count);
    for result in &list {
        match result.get("success").and_then(Value::as_bool) {
            Some(true) => items.push(ItemAnswer::Accepted),
            Some(false) => {
                let why = result.get("errors").or_else(|| result.get("error")).or_else(|| result.get("message"));
                let reason = match why {
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => super::cut(&other.to_string()),
                    None => "it gives no reason".to_owned(),
                };
                items.push(ItemAnswer::Rejected { reason, answer: super::cut(&result.to_string()) });
            }
            None => return refused("a result in its answer has no success, true or false".to_owned()),
        }
    }
    Reply::Items(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(more: &str) -> Webhook {
        let text = format!(
            "[source]\nstdin = true\nkey = \"id\"\n[[sink]]\nname = \"sf\"\nkind = \"webhook\"\nurl = \"http://h/\"\n{more}\n"
        );
        let config = super::super::super::config::Config::parse(&text, std::path::Path::new("s.toml")).unwrap();
        let super::super::super::config::SinkKind::Webhook(webhook) = &config.sinks[0].kind else {
            panic!("a webhook")
        };
        Webhook::open(webhook, &config.sinks[0], false).unwrap()
    }

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.to_owned(), ..Answer::default() }
    }

    #[test]
    fn a_body_is_an_event_a_field_of_it_or_a_list() {
        let event = Output::parse(r#"{"type":"x","body":{"Name":"A"}}"#).unwrap();
        let plain = sink("");
        assert_eq!(plain.body(&[&plain.item(&event).unwrap()]), br#"{"type":"x","body":{"Name":"A"}}"#);
        let wrapped = sink("body = \"body\"\nwrap = \"records\"\nbatch = 2");
        let item = wrapped.item(&event).unwrap();
        assert_eq!(wrapped.body(&[&item, &item]), br#"{"records":[{"Name":"A"},{"Name":"A"}]}"#);
        let error = sink("body = \"payload\"").item(&event).unwrap_err();
        assert_eq!(error, "the event has no payload, which is the body of the request (sink.body)");
    }

    #[test]
    fn a_list_of_results_is_about_each_item() {
        let sink = sink("results = \"list\"\nbatch = 2");
        let good = r#"[{"success":true,"id":"1"},{"success":false,"errors":[{"statusCode":"DUP"}]}]"#;
        let Reply::Items(items) = sink.reply(&answer(200, good), 2) else { panic!("items") };
        assert_eq!(items[0], ItemAnswer::Accepted);
        assert!(matches!(&items[1], ItemAnswer::Rejected { reason, .. } if reason.contains("DUP")));
        for bad in ["", "{}", r#"[{"success":true}]"#, r#"[{"success":true},{}]"#] {
            assert!(matches!(sink.reply(&answer(200, bad), 2), Reply::Refused { sure: false, .. }), "{bad}");
        }
    }
}
