//! The lineage as an OpenLineage event with the columnLineage facet, version 1-2-0.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Shown;
use crate::explore::lineage::report::CONSTANT;
use crate::explore::lineage::{Edge, Kind};
use sluicegate_engine::Program;

/// A package URL: names the program and its version without a domain.
const PRODUCER: &str = concat!("pkg:generic/sluicegate@", env!("CARGO_PKG_VERSION"));
const EVENT_SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const FACET_SCHEMA: &str =
    "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet";
const NAMESPACE: &str = "sluicegate";

/// Returns one event, on one line.
pub(super) fn event(shown: &Shown<'_>, program: &Program) -> String {
    // Runs of the same code get the same id, because nothing else distinguishes them.
    let run = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{PRODUCER}#{}", program.code_hash()).as_bytes()).to_string();
    let (input, output) = (format!("{}/input", shown.name), format!("{}/output", shown.name));
    let mut fields: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for edge in shown.edges.iter().filter(|edge| edge.from != CONSTANT) {
        fields.entry(&edge.to).or_default().push(field(&input, &edge.from, transformation(edge)));
    }
    let fields: Map<String, Value> =
        fields.into_iter().map(|(to, inputs)| (to.to_owned(), json!({ "inputFields": inputs }))).collect();
    let dataset: Vec<Value> = shown
        .report
        .decides
        .iter()
        .filter(|(_, one)| one.drop > 0 || one.fan_out > 0)
        .map(|(from, one)| {
            let description =
                if one.drop > 0 { "decides whether the event is dropped" } else { "decides how many events go out" };
            let how = json!({ "type": "INDIRECT", "subtype": "FILTER", "description": description, "masking": false });
            field(&input, from, how)
        })
        .collect();
    let facet = json!({ "_producer": PRODUCER, "_schemaURL": FACET_SCHEMA, "fields": fields, "dataset": dataset });
    let value = json!({
        "eventType": "COMPLETE",
        "eventTime": now(),
        "run": { "runId": run },
        "job": { "namespace": NAMESPACE, "name": shown.name },
        "inputs": [{ "namespace": NAMESPACE, "name": input }],
        "outputs": [{ "namespace": NAMESPACE, "name": output, "facets": { "columnLineage": facet } }],
        "producer": PRODUCER,
        "schemaURL": EVENT_SCHEMA,
    });
    format!("{value}\n")
}

fn field(dataset: &str, name: &str, how: Value) -> Value {
    json!({ "namespace": NAMESPACE, "name": dataset, "field": name, "transformations": [how] })
}

fn transformation(edge: &Edge) -> Value {
    let (kind, subtype) = match () {
        () if edge.indirect => ("INDIRECT", "CONDITIONAL"),
        () if edge.exact => ("DIRECT", "IDENTITY"),
        () => ("DIRECT", "TRANSFORMATION"),
    };
    let description = match edge.kind {
        Kind::Conditional => "chooses what stands there",
        kind => kind.name(),
    };
    json!({ "type": kind, "subtype": subtype, "description": description, "masking": false })
}

/// Returns the time in the format of ISO 8601.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}
