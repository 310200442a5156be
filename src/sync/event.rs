//! Makes events of rows, in the format of RudderStack's reverse ETL.

use std::borrow::Cow;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::config::{Config, EventKind};
use super::row::{Columns, Fingerprint, as_text, is_mapped, text};

/// The namespace of message ids. It must not change, because a retry would get another id.
const NAMESPACE: Uuid = Uuid::from_u128(0x4d1c_22a6_6d0f_5f0a_9c63_5a1c_7e0b_4c11);

/// The version in `context.sources`.
const VERSION: &str = concat!("sluicegate/", env!("CARGO_PKG_VERSION"));

/// A row as last acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Previous {
    /// Its fingerprint; `None` if it was never acknowledged.
    pub fingerprint: Option<Fingerprint>,
    /// Its mapped columns, if they are stored.
    pub row: Option<Vec<u8>>,
}

/// A row to make an event of.
pub struct EventRow<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its fingerprint; `None` for a delete.
    pub fingerprint: Option<&'a Fingerprint>,
    /// The row as last acknowledged.
    pub previous: &'a Previous,
}

/// Makes events.
pub struct EventBuilder<'a> {
    config: &'a Config,
    /// The id of the run, in `context.sources`.
    run: String,
    /// The hash of the code, a part of message ids.
    code: String,
    /// Columns that are not traits.
    special: Vec<&'a str>,
}

impl<'a> EventBuilder<'a> {
    /// Creates a builder for the events of one run.
    pub fn new(config: &'a Config, run: &str, code: &str) -> Self {
        let event = &config.event;
        let user = event.user_id.as_deref().unwrap_or(&config.source.key);
        let special = [Some(user), event.anonymous_id.as_deref(), event.timestamp.as_deref()];
        let is_named = |column: &str| {
            event.rename.iter().any(|(name, _)| name == column)
                || event.columns.iter().flatten().any(|name| name == column)
        };
        let special = special.into_iter().flatten().filter(|column| !is_named(column)).collect();
        Self { config, run: run.to_owned(), code: code.to_owned(), special }
    }

    /// Returns the id of message `number` of a row. A retry has the same id.
    pub fn message_id(&self, row: &EventRow<'_>, number: usize) -> String {
        let mut name = Vec::with_capacity(128);
        for part in [self.config.name.as_bytes(), row.key.as_bytes(), self.code.as_bytes()] {
            name.extend_from_slice(&(part.len() as u32).to_le_bytes());
            name.extend_from_slice(part);
        }
        name.extend_from_slice(row.fingerprint.map_or(b"delete", |fingerprint| &fingerprint[..]));
        // A row that changes and changes back becomes another message each time.
        name.extend_from_slice(row.previous.fingerprint.as_ref().map_or(b"new", |fingerprint| &fingerprint[..]));
        name.extend_from_slice(&(number as u32).to_le_bytes());
        Uuid::new_v5(&NAMESPACE, &name).to_string()
    }

    /// Appends the event of a row. `line` is the row as the source
    /// wrote it; `batch` is the number of the batch in the run.
    ///
    /// # Errors
    /// When the row lacks a value that the event needs; the error is a message.
    pub fn upsert(&self, out: &mut Vec<u8>, row: &EventRow<'_>, line: &str, batch: u64) -> Result<(), String> {
        let columns = Columns::parse(line)?;
        let event = &self.config.event;
        let traits = self.traits(&columns)?;
        let kind = match event.kind {
            EventKind::Identify => "identify",
            EventKind::Track => "track",
            EventKind::Group => "group",
            EventKind::Record => "record",
        };
        self.head(out, kind, row);
        self.ids(out, row, &columns)?;
        match event.kind {
            EventKind::Track => {
                out.extend_from_slice(b",\"event\":");
                text(out, event.event.as_deref().unwrap_or_default());
            }
            EventKind::Group => {
                let column = event.group_id.as_deref().unwrap_or_default();
                let id = columns.text(column).ok_or_else(|| format!("its group id, {column}, is null or not there"))?;
                out.extend_from_slice(b",\"groupId\":");
                text(out, &id);
            }
            EventKind::Record => {
                let action = if row.previous.fingerprint.is_none() { "insert" } else { "update" };
                out.extend_from_slice(format!(",\"action\":\"{action}\"").as_bytes());
                self.identifiers(out, row, Some(&columns))?;
            }
            EventKind::Identify => {}
        }
        if let Some(value) = event.timestamp.as_deref().and_then(|column| columns.value(column)) {
            out.extend_from_slice(b",\"timestamp\":");
            out.extend_from_slice(value.get().as_bytes());
        }
        self.context(out, Some(&columns), row, batch)?;
        out.extend_from_slice(match event.kind {
            EventKind::Track => b",\"properties\":{",
            EventKind::Record => b",\"fields\":{".as_slice(),
            _ => b",\"traits\":{",
        });
        object_fields(out, &traits);
        self.pairs(out, &traits, row)?;
        out.extend_from_slice(b"}}");
        Ok(())
    }

    /// Appends the event of a key that is gone. It is always a record, so that code can recognize it by its type.
    ///
    /// # Errors
    /// When the stored row cannot be read; the error is a message.
    pub fn delete(&self, out: &mut Vec<u8>, row: &EventRow<'_>, batch: u64) -> Result<(), String> {
        let previous = row.previous.row.as_deref().map(std::str::from_utf8).transpose().map_err(|e| e.to_string())?;
        let columns = previous.map(Columns::parse).transpose()?;
        self.head(out, "record", row);
        out.extend_from_slice(b",\"action\":\"delete\"");
        match &columns {
            Some(columns) => self.ids(out, row, columns)?,
            None => {
                out.extend_from_slice(b",\"userId\":");
                text(out, row.key);
            }
        }
        self.identifiers(out, row, columns.as_ref())?;
        self.context(out, columns.as_ref(), &EventRow { previous: &Previous::default(), ..*row }, batch)?;
        out.extend_from_slice(b",\"traits\":{");
        if let Some(columns) = &columns {
            object_fields(out, &self.traits(columns)?);
        }
        out.extend_from_slice(b"}}");
        Ok(())
    }

    fn head(&self, out: &mut Vec<u8>, kind: &str, row: &EventRow<'_>) {
        out.extend_from_slice(format!("{{\"type\":\"{kind}\",\"channel\":\"sources\",\"messageId\":").as_bytes());
        text(out, &self.message_id(row, 0));
        out.extend_from_slice(b",\"recordId\":");
        text(out, row.key);
    }

    fn ids(&self, out: &mut Vec<u8>, row: &EventRow<'_>, columns: &Columns<'_>) -> Result<(), String> {
        let event = &self.config.event;
        let anonymous = event.anonymous_id.as_deref().and_then(|column| columns.text(column));
        let user = match event.user_id.as_deref() {
            None => Some(Cow::Borrowed(row.key)),
            Some(column) => match columns.text(column).filter(|user| !user.is_empty()) {
                None if anonymous.is_none() => return Err(format!("its user id, {column}, is null or not there")),
                user => user,
            },
        };
        for (name, id) in [("userId", user), ("anonymousId", anonymous)] {
            if let Some(id) = id {
                out.extend_from_slice(format!(",\"{name}\":").as_bytes());
                text(out, &id);
            }
        }
        Ok(())
    }

    fn identifiers(&self, out: &mut Vec<u8>, row: &EventRow<'_>, columns: Option<&Columns<'_>>) -> Result<(), String> {
        out.extend_from_slice(b",\"identifiers\":{");
        let key = &self.config.source.key;
        let names = if self.config.event.identifiers.is_empty() {
            std::slice::from_ref(key)
        } else {
            &self.config.event.identifiers[..]
        };
        let mut first = true;
        for name in names {
            let value = columns.and_then(|columns| columns.value(name));
            if value.is_none() && name != key {
                if columns.is_some() {
                    return Err(format!("its identifier {name} is null or not there"));
                }
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            text(out, self.renamed(name));
            out.push(b':');
            match value {
                Some(value) => out.extend_from_slice(value.get().as_bytes()),
                None => text(out, row.key),
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn context(
        &self,
        out: &mut Vec<u8>,
        columns: Option<&Columns<'_>>,
        row: &EventRow<'_>,
        batch: u64,
    ) -> Result<(), String> {
        let event = &self.config.event;
        out.extend_from_slice(b",\"context\":{\"sources\":{\"job_id\":");
        text(out, &self.config.name);
        let run = &self.run;
        let ids = format!(",\"job_run_id\":\"{run}\",\"task_run_id\":\"{run}\",\"batch_id\":\"{run}-{batch}\"");
        out.extend_from_slice(ids.as_bytes());
        out.extend_from_slice(format!(",\"version\":\"{VERSION}\"}}").as_bytes());
        let id = event.external_id.as_ref().and_then(|id| Some((id, columns?.text(&id.column)?)));
        if let Some((mapped, id)) = id {
            out.extend_from_slice(b",\"mappedToDestination\":true,\"externalId\":[{\"type\":");
            text(out, &mapped.kind);
            out.extend_from_slice(b",\"id\":");
            text(out, &id);
            if let Some(identifier) = &mapped.identifier {
                out.extend_from_slice(b",\"identifierType\":");
                text(out, identifier);
            }
            out.extend_from_slice(b"}]");
        }
        let in_pairs = event.pairs.as_ref().is_some_and(|pairs| pairs.previous.is_some());
        if let (Some(previous), false) = (&row.previous.row, in_pairs) {
            let previous = std::str::from_utf8(previous).map_err(|error| error.to_string())?;
            out.extend_from_slice(b",\"previous\":{");
            object_fields(out, &self.traits(&Columns::parse(previous)?)?);
            out.push(b'}');
        }
        out.push(b'}');
        if !event.integrations.is_empty() {
            out.extend_from_slice(b",\"integrations\":{");
            for (index, (name, switch)) in event.integrations.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                text(out, name);
                out.extend_from_slice(format!(":{switch}").as_bytes());
            }
            out.push(b'}');
        }
        Ok(())
    }

    fn renamed<'n>(&'n self, column: &'n str) -> &'n str {
        self.config.event.rename.iter().find(|(name, _)| name == column).map_or(column, |(_, name)| name)
    }

    /// Returns the traits of a row, as names and values in the order of its columns.
    fn traits<'r>(&'r self, columns: &'r Columns<'_>) -> Result<Vec<(&'r str, &'r RawValue)>, String> {
        let event = &self.config.event;
        let is_trait = |name: &str| {
            let identifies = event.kind == EventKind::Record
                && (event.identifiers.iter().any(|column| column == name)
                    || event.identifiers.is_empty() && name == self.config.source.key);
            is_mapped(event, name) && !self.special.contains(&name) && !identifies
        };
        let mut traits: Vec<(&str, &RawValue)> = Vec::with_capacity(columns.0.len() + 2);
        for (column, value) in &columns.0 {
            if !is_trait(column) || event.omit_nulls && value.get() == "null" {
                continue;
            }
            let name = self.renamed(column);
            if traits.iter().any(|(other, _)| *other == name) {
                return Err(format!("two of its columns become the trait {name}"));
            }
            traits.push((name, value));
        }
        Ok(traits)
    }

    /// Appends the row and the previous row, each as the text of a list of pairs.
    fn pairs(&self, out: &mut Vec<u8>, traits: &[(&str, &RawValue)], row: &EventRow<'_>) -> Result<(), String> {
        let Some(pairs) = &self.config.event.pairs else { return Ok(()) };
        let mut comma = !traits.is_empty();
        let mut put = |out: &mut Vec<u8>, name: &str, value: Option<String>| {
            if std::mem::replace(&mut comma, true) {
                out.push(b',');
            }
            text(out, name);
            out.push(b':');
            match value {
                Some(value) => text(out, &value),
                None => out.extend_from_slice(b"null"),
            }
        };
        put(out, &pairs.into, Some(pairs_text(traits)));
        if let Some(name) = &pairs.previous {
            let previous = match &row.previous.row {
                None => None,
                Some(previous) => {
                    let previous = std::str::from_utf8(previous).map_err(|error| error.to_string())?;
                    Some(pairs_text(&self.traits(&Columns::parse(previous)?)?))
                }
            };
            put(out, name, previous);
        }
        Ok(())
    }
}

fn object_fields(out: &mut Vec<u8>, traits: &[(&str, &RawValue)]) {
    for (index, (name, value)) in traits.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        text(out, name);
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
    }
}

fn pairs_text(traits: &[(&str, &RawValue)]) -> String {
    let mut out = vec![b'['];
    for (index, (name, value)) in traits.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",[" } else { b"[" });
        text(&mut out, name);
        out.push(b',');
        out.extend_from_slice(value.get().as_bytes());
        out.push(b']');
    }
    out.push(b']');
    String::from_utf8(out).expect("it is made of texts")
}

/// An event returned by the transformation, with the fields that sinks read.
pub struct Output<'a> {
    /// The event.
    pub text: &'a str,
    /// Its fields.
    pub fields: Columns<'a>,
}

impl<'a> Output<'a> {
    /// Parses an event.
    ///
    /// # Errors
    /// When it is not an object; the error is a message.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        Ok(Self { text, fields: Columns::parse(text)? })
    }

    /// Returns the type of the event; empty if there is none.
    pub fn kind(&self) -> Cow<'_, str> {
        self.fields.text("type").unwrap_or_default()
    }

    /// Returns a string or number field as text; `None` if it is missing, empty or of another type.
    pub fn id(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = self.fields.value(name)?;
        let id = as_text(value);
        (!id.is_empty() && !value.get().starts_with(['{', '[', 't', 'f'])).then_some(id)
    }

    /// Returns whether the event is for a sink with these names
    /// in `integrations`. A sink without names gets every event.
    pub fn is_for(&self, names: &[String]) -> bool {
        let integrations =
            self.fields.value("integrations").and_then(|value| serde_json::from_str::<Columns<'_>>(value.get()).ok());
        let Some(Columns(integrations)) = integrations.filter(|_| !names.is_empty()) else { return true };
        let names: Vec<String> = names.iter().map(|name| normal(name)).collect();
        let is_on = |value: &RawValue| !matches!(value.get(), "false" | "null");
        match integrations.iter().find(|(name, _)| names.contains(&normal(name))) {
            Some((_, value)) => is_on(value),
            None => integrations.iter().find(|(name, _)| name == "All").is_none_or(|(_, value)| is_on(value)),
        }
    }
}

/// Removes case and punctuation from a name: `Customer.io` and `customerio` are equal.
fn normal(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(event: &str) -> Config {
        let text = format!(
            "name = \"users\"\n[source]\nstdin = true\nkey = \"user_id\"\n[changes]\nprevious = true\n[event]\n{event}\n\
             [[sink]]\nname = \"o\"\nkind = \"file\"\npath = \"o\"\n"
        );
        Config::parse(&text, Path::new("s.toml")).unwrap_or_else(|error| panic!("{error}"))
    }

    fn event(config: &Config, line: &str, previous: Option<&str>) -> Result<serde_json::Value, String> {
        let builder = EventBuilder::new(config, "RUN", "sha256:0");
        let previous =
            Previous { fingerprint: previous.map(|_| [7; 16]), row: previous.map(|row| row.as_bytes().to_vec()) };
        let row = EventRow { key: "u1", fingerprint: Some(&[1; 16]), previous: &previous };
        let mut out = Vec::new();
        builder.upsert(&mut out, &row, line, 3)?;
        let mut value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert!(value["messageId"].take().is_string());
        value["context"]["sources"].take();
        Ok(value)
    }

    #[test]
    fn an_identify_has_traits_and_pairs() {
        let config = config(
            "rename = { firstname = \"FIRST_NAME\" }\npairs = { into = \"new_truth\", previous = \"old_truth\" }\n\
             external_id = { type = \"Salesforce-Lead\", column = \"sfdc_id\" }",
        );
        let line = r#"{"user_id":"u1","firstname":"Ada","big":9007199254740993,"sfdc_id":"00Q1","gone":null}"#;
        let value = event(&config, line, Some(r#"{"user_id":"u1","firstname":"A"}"#)).unwrap();
        let expected = serde_json::json!({
            "type": "identify", "channel": "sources", "messageId": null, "recordId": "u1", "userId": "u1",
            "context": {
                "sources": null, "mappedToDestination": true, "externalId": [{ "type": "Salesforce-Lead", "id": "00Q1" }],
            },
            "traits": {
                "FIRST_NAME": "Ada", "big": 9_007_199_254_740_993u64, "sfdc_id": "00Q1", "gone": null,
                "new_truth": r#"[["FIRST_NAME","Ada"],["big",9007199254740993],["sfdc_id","00Q1"],["gone",null]]"#,
                "old_truth": r#"[["FIRST_NAME","A"]]"#,
            },
        });
        assert_eq!(value, expected);
        assert_eq!(event(&config, line, None).unwrap()["traits"]["old_truth"], serde_json::Value::Null);
    }

    #[test]
    fn other_types_have_what_they_need() {
        let line = r#"{"user_id":1,"account":"a1","at":"2026-01-02T03:04:05Z","n":1}"#;
        let track = event(&config("type = \"track\"\nevent = \"Order\"\ntimestamp = \"at\""), line, None).unwrap();
        assert_eq!(track["properties"], serde_json::json!({ "account": "a1", "n": 1 }));
        assert_eq!((&track["event"], &track["timestamp"]), (&"Order".into(), &"2026-01-02T03:04:05Z".into()));
        let group = event(&config("type = \"group\"\ngroup_id = \"account\""), line, None).unwrap();
        assert_eq!((&group["groupId"], &group["userId"]), (&"a1".into(), &"u1".into()));
        assert_eq!(group["traits"]["account"], "a1");
        let record = event(&config("type = \"record\""), line, Some("{\"n\":0}")).unwrap();
        assert_eq!(
            (&record["action"], &record["identifiers"]),
            (&"update".into(), &serde_json::json!({ "user_id": 1 }))
        );
        assert_eq!(record["context"]["previous"], serde_json::json!({ "n": 0 }));
        assert_eq!(event(&config("type = \"record\""), line, None).unwrap()["action"], "insert");
    }

    #[test]
    fn what_a_row_lacks_is_named() {
        let error = event(&config("user_id = \"email\""), "{\"user_id\":1,\"email\":null}", None).unwrap_err();
        assert_eq!(error, "its user id, email, is null or not there");
        let error = event(&config("rename = { a = \"b\" }"), "{\"user_id\":1,\"a\":1,\"b\":2}", None).unwrap_err();
        assert_eq!(error, "two of its columns become the trait b");
    }

    #[test]
    fn a_retry_is_the_same_message_and_a_change_back_is_another() {
        let config = config("");
        let builder = EventBuilder::new(&config, "RUN", "c");
        let id = |now: u8, before: u8, number| {
            let previous = Previous { fingerprint: Some([before; 16]), row: None };
            builder.message_id(&EventRow { key: "k", fingerprint: Some(&[now; 16]), previous: &previous }, number)
        };
        assert_eq!(id(1, 2, 0), id(1, 2, 0));
        for other in [id(2, 1, 0), id(1, 3, 0), id(1, 2, 1)] {
            assert_ne!(other, id(1, 2, 0));
        }
    }

    #[test]
    fn integrations_decide_where_an_event_goes() {
        let names = ["crm".to_owned(), "Customer.io".to_owned()];
        for (integrations, is_for) in [
            ("{}", true),
            (r#"{"integrations":{}}"#, true),
            (r#"{"integrations":{"All":false}}"#, false),
            (r#"{"integrations":{"All":false,"CUSTOMERIO":true}}"#, true),
            (r#"{"integrations":{"All":false,"CRM":{"x":1}}}"#, true),
            (r#"{"integrations":{"All":true,"crm":false}}"#, false),
            (r#"{"integrations":{"Salesforce":true}}"#, true),
            (r#"{"integrations":7}"#, true),
        ] {
            assert_eq!(Output::parse(integrations).unwrap().is_for(&names), is_for, "{integrations}");
        }
    }
}
