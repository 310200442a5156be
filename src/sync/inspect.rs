//! Shows what the state has, about a whole sync and about one key.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::config::Config;
use super::dry_run;
use super::error::{Error, Result};
use super::event::{EventBuilder, EventRow, Previous};
use super::ledger::RowState;
use super::row::{Columns, RowReader, mapped_object};
use super::run::{DryRunRow, Failed, bodies, failure_words};
use super::sink::{Sink, cut};
use super::source::{Source, Stopper};
use super::state::{Settled, State};
use super::transform::{Batch, Transformed, Transformer, with_message_ids};
use super::warehouse::Warehouse;
use crate::workers::Job;

/// The most runs and problems that are listed.
const MAX_LISTED: usize = 20;

/// Returns the status of a sync as JSON.
///
/// # Errors
/// When there is no state, or it cannot be read.
pub fn status(config: &Config) -> Result<Value> {
    let state = State::existing(config)?;
    let numbers = state.sinks(config)?;
    let name = |number: i64| {
        let place = numbers.iter().position(|known| *known == number);
        place
            .map_or_else(|| format!("sink {number}, no longer in the config"), |place| config.sinks[place].name.clone())
    };
    let mut sinks = serde_json::Map::new();
    for sink in &config.sinks {
        sinks.insert(sink.name.clone(), json!({ "settled": {}, "problems": [] }));
    }
    for (number, how, count) in state.settled_counts()? {
        sinks.entry(name(number)).or_insert_with(|| json!({ "settled": {}, "problems": [] }))["settled"][how.name()] =
            json!(count);
    }
    for (number, kind, reason, count) in state.problem_counts()? {
        let sink = sinks.entry(name(number)).or_insert_with(|| json!({ "settled": {}, "problems": [] }));
        if let Some(problems) = sink["problems"].as_array_mut() {
            problems.push(json!({ "kind": kind, "reason": reason, "rows": count }));
        }
    }
    let runs: Vec<Value> = state
        .runs(MAX_LISTED)?
        .into_iter()
        .map(|run| {
            let counts: Value =
                run.counts.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            json!({
                "run": run.id, "run_id": run.uuid, "command": run.command, "started": run.started, "ended": run.ended,
                "result": run.result, "code": run.code, "mapping": run.mapping, "counts": counts,
            })
        })
        .collect();
    let problems: Vec<Value> = state
        .problems(None, MAX_LISTED)?
        .into_iter()
        .map(|problem| {
            json!({
                "key": problem.key, "sink": name(problem.sink), "kind": problem.kind, "stage": problem.stage,
                "reason": problem.reason, "answer": problem.answer, "tries": problem.tries, "run": problem.run,
                "at": problem.at, "is_delete": problem.fingerprint.is_empty(),
                "given_up": problem.tries >= config.changes.max_tries,
            })
        })
        .collect();
    let invalid: Vec<Value> = state
        .invalid(MAX_LISTED)?
        .into_iter()
        .map(|(line, key, reason)| json!({ "line": line, "key": key, "reason": reason }))
        .collect();
    Ok(json!({
        "sync": config.name, "state": config.state, "keys": state.known()?, "sinks": sinks, "problems": problems,
        "invalid": invalid, "runs": runs,
    }))
}

/// Formats the status for people.
pub fn status_text(status: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut out = format!("{}: {} keys, state {}\n", text(&status["sync"]), status["keys"], text(&status["state"]));
    for (name, sink) in status["sinks"].as_object().into_iter().flatten() {
        let settled: Vec<String> =
            sink["settled"].as_object().into_iter().flatten().map(|(how, count)| format!("{count} {how}")).collect();
        let settled = if settled.is_empty() { "nothing yet".to_owned() } else { settled.join(", ") };
        let _ = writeln!(out, "  {name}: {settled}");
        for problem in sink["problems"].as_array().into_iter().flatten() {
            let (kind, reason) = (text(&problem["kind"]), text(&problem["reason"]));
            let _ = writeln!(out, "    {} {kind}: {}", problem["rows"], cut(&reason));
        }
    }
    let problems = status["problems"].as_array().map_or(&[][..], Vec::as_slice);
    if !problems.is_empty() {
        out.push_str("rows that are not settled, the first of them:\n");
        for problem in problems {
            let tries = match (problem["tries"].as_u64(), problem["given_up"].as_bool()) {
                (Some(1), _) => "1 try".to_owned(),
                (tries, Some(true)) => format!("{} tries, given up", tries.unwrap_or(0)),
                (tries, _) => format!("{} tries", tries.unwrap_or(0)),
            };
            let (key, sink, stage) = (text(&problem["key"]), text(&problem["sink"]), text(&problem["stage"]));
            let _ = writeln!(out, "  {key} at {sink} ({stage}, {tries}): {}", cut(&text(&problem["reason"])));
        }
    }
    let invalid = status["invalid"].as_array().map_or(&[][..], Vec::as_slice);
    if !invalid.is_empty() {
        out.push_str("invalid rows of the last run, the first of them:\n");
        for row in invalid {
            let _ = writeln!(out, "  line {}: {}", row["line"], cut(&text(&row["reason"])));
        }
    }
    out.push_str("runs, the last first:\n");
    for run in status["runs"].as_array().into_iter().flatten() {
        let counts = &run["counts"];
        let counted = match counts["read"].as_u64() {
            Some(read) => format!(
                "{read} read, {} to send: {} sent, {} dropped, {} failed, {} pending",
                counts["to_send"], counts["sent"], counts["dropped"], counts["failed"], counts["pending"]
            ),
            None => "no counts".to_owned(),
        };
        let result = run["result"].as_str().unwrap_or("did not end: it runs, or was killed");
        let _ = writeln!(
            out,
            "  {} {} {}: {}; {counted}",
            run["run"],
            text(&run["started"]),
            text(&run["command"]),
            cut(result)
        );
    }
    out
}

/// Describes one key: the row, the previous row, the event, its outputs, the requests, and the last answers. Nothing is
/// sent or written.
///
/// # Errors
/// When the source or the state cannot be read, or the transformation does not load.
pub async fn explain(
    config: &Arc<Config>,
    job: Option<Job>,
    code: &str,
    key: &str,
) -> std::result::Result<String, Failed> {
    let mut out = String::new();
    let state = if config.state.exists() { Some(State::existing(config)?) } else { None };
    let mut settled = Vec::new();
    if let Some(state) = &state {
        state.settled(key, &mut settled)?;
    }
    let (row, fingerprint) = match find(config, key, &mut out)?.as_slice() {
        [] => (None, None),
        [(line, text, fingerprint)] => {
            let _ = writeln!(out, "row (line {line}): {text}");
            (Some(text.clone()), Some(*fingerprint))
        }
        several => {
            let lines: Vec<String> = several.iter().map(|(line, ..)| line.to_string()).collect();
            let _ =
                writeln!(out, "invalid: several rows have the key {key}, in lines {}; none is sent", lines.join(", "));
            (None, None)
        }
    };
    if row.is_none() && settled.is_empty() && out.is_empty() {
        return Err(Error::new(format!("no row has the key {key}, and the state does not know it"))
            .help("keys are matched exactly, letter by letter")
            .into());
    }
    if row.is_none() && out.is_empty() {
        let _ = writeln!(out, "row: the source has none with this key");
    }
    let acknowledged = settled.iter().find_map(|settled| settled.acknowledged);
    let kept = match (&state, acknowledged) {
        (Some(state), Some(fingerprint)) => state.version(key, &fingerprint)?,
        _ => None,
    };
    let previous = Previous { fingerprint: acknowledged, row: kept };
    match &previous.row {
        Some(row) => {
            let _ = writeln!(out, "previous row, as acknowledged: {}", String::from_utf8_lossy(row));
        }
        None if acknowledged.is_some() => out.push_str("previous row: not kept ([changes] previous = true keeps it)\n"),
        None => {}
    }
    if let Some(row) = &row {
        would_send(&mut out, config, job, code, key, row, fingerprint, previous).await?;
    }
    out.push_str(&answers(config, state.as_ref(), key, &settled, fingerprint)?);
    Ok(out)
}

type Found = Vec<(u64, String, super::row::Fingerprint)>;

/// Finds the rows of the source with this key. Reports an invalid one to `out`.
fn find(config: &Config, key: &str, out: &mut String) -> Result<Found> {
    let script = Warehouse::of(config).map(|it| it.query(None)).transpose()?;
    let mut source = Source::open_with(config, Stopper::default(), script)?;
    let mut reader = RowReader::new(config);
    let mut found = Vec::new();
    while let Some(block) = source.next_block()? {
        for (line, text) in (block.first_line..).zip(block.bytes.split(|byte| *byte == b'\n')) {
            match reader.read(text.trim_ascii()) {
                Ok(row) if row.key == key => {
                    found.push((line, String::from_utf8_lossy(text.trim_ascii()).into_owned(), row.fingerprint));
                }
                Err(invalid) if invalid.key() == Some(key) => {
                    let _ = writeln!(out, "invalid (line {line}): {}", invalid.sentence(&config.source.key));
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

#[expect(clippy::too_many_arguments, reason = "it is one step of `explain`, cut out of it")]
async fn would_send(
    out: &mut String,
    config: &Arc<Config>,
    job: Option<Job>,
    code: &str,
    key: &str,
    line: &str,
    fingerprint: Option<super::row::Fingerprint>,
    previous: Previous,
) -> std::result::Result<(), Failed> {
    let builder = EventBuilder::new(config, "explain", code);
    let kept = Columns::parse(line).ok().map(|columns| Arc::from(mapped_object(config, &columns)));
    let state = RowState::new(key, fingerprint, kept, false, 0, 0);
    let mut batch = Batch::default();
    let event = EventRow { key, fingerprint: fingerprint.as_ref(), previous: &previous.clone() };
    if let Err(reason) = batch.add(state, u32::MAX, previous, |out| builder.upsert(out, &event, line, 0)) {
        let _ = writeln!(out, "event: none: {reason}");
        return Ok(());
    }
    let _ = writeln!(out, "event: {}", batch.event(&batch.entries[0]));
    let transformer = Transformer::start(job).await.map_err(Failed::Run)?;
    let result = transformer.transform(&mut batch).await?.pop();
    let entry = &batch.entries[0];
    let outputs = match result {
        Some(Transformed::Outputs(outputs)) => with_message_ids(&builder, entry, outputs),
        Some(Transformed::Failed(failure)) => {
            let stack = failure.stack.as_deref().unwrap_or_default();
            let _ = writeln!(out, "verdict: failed ({}): {}\n{stack}", failure.kind, failure_words(&failure));
            return Ok(());
        }
        None => Vec::new(),
    };
    if outputs.is_empty() {
        out.push_str("verdict: dropped by the transformation\n");
        return Ok(());
    }
    for output in &outputs {
        let _ = writeln!(out, "output: {output}");
    }
    for sink in &config.sinks {
        let (_, ending) = tokio::sync::watch::channel(false);
        let channel = super::delivery::Channel::new(Sink::open(sink, true, "explain")?, sink.clone(), ending);
        match bodies(&channel, &outputs, key) {
            Err(reason) => {
                let _ = writeln!(out, "{}: can't take it: {reason}", sink.name);
            }
            Ok(bodies) if bodies.is_empty() => {
                let _ = writeln!(out, "{}: gets nothing, its integrations do not name it", sink.name);
            }
            Ok(bodies) => {
                let items: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
                for batch in items.chunk_by(|a, b| channel.sink.route(a) == channel.sink.route(b)) {
                    let _ = writeln!(out, "{}: {}", sink.name, channel.sink.shown(batch).trim_end());
                }
            }
        }
    }
    Ok(())
}

/// Formats the last answers of the sinks.
fn answers(
    config: &Config,
    state: Option<&State>,
    key: &str,
    settled: &[Settled],
    fingerprint: Option<super::row::Fingerprint>,
) -> Result<String> {
    let mut out = String::new();
    let Some(state) = state else { return Ok("state: none yet\n".to_owned()) };
    let numbers = state.sinks(config)?;
    let problems = state.problems(Some(key), usize::MAX)?;
    for (sink, number) in config.sinks.iter().zip(numbers) {
        let name = &sink.name;
        match settled.iter().find(|settled| settled.sink == number) {
            None => {
                let _ = writeln!(out, "{name}: never settled");
            }
            Some(settled) => {
                let same = match fingerprint {
                    Some(now) if now == settled.fingerprint => "this row",
                    _ => "another row of this key",
                };
                let _ = writeln!(out, "{name}: {same} settled in run {}: {}", settled.run, settled.how.name());
                match settled.acknowledged {
                    None => {
                        let _ = writeln!(out, "{name}: never got a row of this key");
                    }
                    Some(acknowledged) if acknowledged != settled.fingerprint => {
                        let _ = writeln!(out, "{name}: still has the row that it acknowledged before");
                    }
                    Some(_) => {}
                }
            }
        }
        if let Some(problem) = problems.iter().find(|problem| problem.sink == number) {
            let _ = writeln!(
                out,
                "{name}: {} in run {} at {} ({}, tries: {}): {}",
                problem.kind, problem.run, problem.at, problem.stage, problem.tries, problem.reason
            );
            if let Some(answer) = &problem.answer {
                let _ = writeln!(out, "{name}: last answer: {answer}");
            }
        }
    }
    Ok(out)
}

/// Formats a row in a dry run.
pub fn shown(shown: &DryRunRow<'_>) -> String {
    dry_run::text(shown)
}
