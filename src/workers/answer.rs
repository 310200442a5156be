//! The results of a few events as the JSON text that tests and the playground read: verdicts with events, logs and
//! cost. Not for streams.

use rustix::time::{ClockId, clock_gettime};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::line_limit::line_too_long;
use sluicegate_engine::verdict::Verdict;
use sluicegate_engine::{Engine, Event, Export, LogLine, OutputFraming};

/// Outputs as the elements of a JSON array.
const ARRAY: OutputFraming<'static> =
    OutputFraming { open: b"[", around: (b"", b""), between: b",", close: b"]", keep_partial_output: false };

/// Runs events, together if the program takes batches, and returns
/// `{"verdicts":[{"verdict":"ok","events":[…],"logs":[…]},…],"cost":{"cpu":…,"heap":…,"heapUsed":…,"output":…}}`. `cpu`
/// is in nanoseconds. The other costs are in bytes: `heap` is the growth of the heap, `heapUsed` its size afterwards,
/// and `output` the size of all output.
pub fn answer(engine: &mut Engine, events: &[Event<'_>]) -> String {
    let heap = engine.heap_used();
    let before = clock_gettime(ClockId::ThreadCPUTime);
    let mut verdicts = Vec::new();
    let mut output = 0;
    let longest = engine.limits().line;
    if engine.export() == Export::Batch && events.iter().all(|event| event.json.len() <= longest) {
        engine.transform_batch(events, &mut |_| ARRAY, &mut |verdict, text, logs| {
            output += text.len();
            verdicts.push(verdict_json(&verdict, &text, logs));
        });
    } else {
        for event in events {
            let mut text = Vec::new();
            let verdict = if event.json.len() > longest {
                line_too_long(event.json.len() as u64, longest).into()
            } else {
                engine.transform_event(*event, &ARRAY, &mut text)
            };
            output += text.len();
            verdicts.push(verdict_json(&verdict, &text, engine.logs()));
        }
    }
    let after = clock_gettime(ClockId::ThreadCPUTime);
    let cpu = (after.tv_sec - before.tv_sec) * 1_000_000_000 + (after.tv_nsec - before.tv_nsec);
    let used = engine.heap_used();
    let cost = json!({ "cpu": cpu, "heap": used.saturating_sub(heap), "heapUsed": used, "output": output });
    format!("{{\"verdicts\":[{}],\"cost\":{cost}}}", verdicts.join(","))
}

/// Formats one verdict with its events and logs.
pub(super) fn verdict_json(verdict: &Verdict, text: &[u8], logs: &[LogLine]) -> String {
    let (word, mut value) = match verdict {
        Verdict::Ok { .. } => ("ok", json!({})),
        Verdict::Dropped => ("dropped", json!({})),
        Verdict::Failed(failure) => ("failed", serde_json::to_value(failure).unwrap_or(Value::Null)),
    };
    value["verdict"] = json!(word);
    value["logs"] = json!(logs);
    // The events stay text, so their numbers are never converted.
    let events = std::str::from_utf8(text).ok().and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
    let mut out = value.to_string();
    out.pop();
    out.push_str(&format!(",\"events\":{}}}", events.map_or("[]", RawValue::get)));
    out
}
