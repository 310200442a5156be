//! Runs events through the transformation, in the workers and the
//! sandbox of `run`. Without a transformation, events pass unchanged.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{Error, Result};
use super::event::{EventBuilder, EventRow, Output, Previous};
use super::ledger::RowState;
use super::row::text;
use crate::workers::{Job, Resources, Row, Rows, RunError, ServicePool, UnitResult};
use sluicegate_engine::UnsafeRead;
use sluicegate_engine::verdict::Failure;

/// How long the first worker may wait for its permit; nothing else takes one.
const PATIENCE: Duration = Duration::from_secs(10);

/// An event to transform.
pub struct Entry {
    /// Its row.
    pub row: Arc<RowState>,
    /// The sinks that it is for, one bit each.
    pub sinks: u32,
    /// The row as last acknowledged; part of message ids.
    pub previous: Previous,
    /// The range of the event in the batch's text.
    pub event: Range<usize>,
    metadata: Range<usize>,
}

/// Events that are transformed together.
#[derive(Default)]
pub struct Batch {
    text: Vec<u8>,
    /// The events.
    pub entries: Vec<Entry>,
}

impl Batch {
    /// Returns the size of the batch in bytes.
    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// Adds an event, written by `write`.
    ///
    /// # Errors
    /// The error of `write`. Nothing is added then.
    pub fn add<E>(
        &mut self,
        row: Arc<RowState>,
        sinks: u32,
        previous: Previous,
        write: impl FnOnce(&mut Vec<u8>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let start = self.text.len();
        if let Err(error) = write(&mut self.text) {
            self.text.truncate(start);
            return Err(error);
        }
        let end = self.text.len();
        self.text.extend_from_slice(format!("{{\"jobId\":{},\"recordId\":", self.entries.len()).as_bytes());
        text(&mut self.text, &row.key);
        self.text.push(b'}');
        let metadata = end..self.text.len();
        self.entries.push(Entry { row, sinks, previous, event: start..end, metadata });
        Ok(())
    }

    /// Returns the text of an event.
    pub fn event(&self, entry: &Entry) -> String {
        let text = &self.text[entry.event.clone()];
        // Always UTF-8, because it is made of strings.
        simdutf8::basic::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text).into_owned(), str::to_owned)
    }
}

/// The result of transforming an event.
#[derive(Debug)]
pub enum Transformed {
    /// The outputs; none if the event was dropped.
    Outputs(Vec<String>),
    /// The transformation failed.
    Failed(Box<Failure>),
}

/// The transformation.
pub struct Transformer {
    pool: Option<ServicePool>,
    workers: usize,
    /// Whether the user was warned that the code reads a number that JavaScript can't hold.
    has_warned_of_unsafe_read: AtomicBool,
}

/// A row of the pool's answer.
#[derive(Deserialize)]
struct OutputRow<'a> {
    #[serde(borrow)]
    output: &'a RawValue,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "jobId")]
    job_id: usize,
}

impl Transformer {
    /// Starts the workers, if there is a transformation.
    ///
    /// # Errors
    /// When the transformation does not load, or no worker starts.
    pub async fn start(job: Option<Job>) -> std::result::Result<Self, RunError> {
        let Some(job) = job else {
            return Ok(Self { pool: None, workers: 1, has_warned_of_unsafe_read: AtomicBool::new(false) });
        };
        let resources = Resources::new(2 * job.workers, job.workers);
        let permit = resources.worker_permit_within(PATIENCE).await;
        let permit = permit.ok_or_else(|| RunError::Start("there is no place for it".to_owned()))?;
        let pool = Some(ServicePool::start(&job, &resources, permit).await?);
        Ok(Self { pool, workers: job.workers, has_warned_of_unsafe_read: AtomicBool::new(false) })
    }

    /// Returns how many batches to transform at the same time.
    pub fn width(&self) -> usize {
        2 * self.workers
    }

    /// Transforms a batch; returns one result for each event, in order.
    ///
    /// # Errors
    /// When the workers are gone.
    pub async fn transform(&self, batch: &mut Batch) -> Result<Vec<Transformed>> {
        let Some(pool) = &self.pool else {
            let outputs = batch.entries.iter().map(|entry| Transformed::Outputs(vec![batch.event(entry)]));
            return Ok(outputs.collect());
        };
        let events = batch.entries.iter();
        let events = events.map(|entry| Row { event: entry.event.clone(), metadata: entry.metadata.clone() }).collect();
        let body = Arc::new(std::mem::take(&mut batch.text));
        let rows = Rows { body: body.clone(), events, one_line: true, guard: None };
        let answer = pool.transform(rows).await.map_err(|error| {
            Error::new(format!("the workers of the transformation are gone: {error}"))
                .help("what was not acknowledged is sent by the next sync")
        })?;
        if let Some(read) = &answer.unsafe_read
            && !self.has_warned_of_unsafe_read.swap(true, Ordering::Relaxed)
        {
            let at = read.position.as_ref().map(|at| format!(" at {}:{}:{}", at.file, at.line, at.column));
            tracing::warn!("{}{}; {}", read.message(), at.unwrap_or_default(), UnsafeRead::HELP);
        }
        let mut results: Vec<Transformed> = Vec::with_capacity(batch.entries.len());
        results.resize_with(batch.entries.len(), || Transformed::Outputs(Vec::new()));
        for outcome in answer.outcomes {
            match outcome {
                // A dropped event has no outputs.
                UnitResult::Dropped(_) => {}
                UnitResult::Failed(index, failure) => results[index] = Transformed::Failed(Box::new(failure)),
                UnitResult::Rows(rows) => take_outputs(&rows, &mut results)?,
            }
        }
        if let Some(text) = Arc::into_inner(body) {
            batch.text = text;
        }
        Ok(results)
    }
}

/// Adds each output to the result of its event. `rows` is a list of rows, each followed by a comma.
fn take_outputs(rows: &[u8], results: &mut [Transformed]) -> Result<()> {
    let unreadable = |why: &dyn std::fmt::Display| Error::new(format!("the answer of a worker can't be read: {why}"));
    let rows = std::str::from_utf8(rows).map_err(|error| unreadable(&error))?;
    let list = format!("[{}]", rows.strip_suffix(',').unwrap_or(rows));
    let rows: Vec<OutputRow<'_>> = serde_json::from_str(&list).map_err(|error| unreadable(&error))?;
    for row in rows {
        match results.get_mut(row.metadata.job_id) {
            Some(Transformed::Outputs(outputs)) => outputs.push(row.output.get().to_owned()),
            // A failed event has no outputs.
            Some(Transformed::Failed(_)) => {}
            None => return Err(unreadable(&"it names no event of the batch")),
        }
    }
    Ok(())
}

/// Gives each output a message id of its own, which is the same in a retry.
pub fn with_message_ids(builder: &EventBuilder<'_>, entry: &Entry, outputs: Vec<String>) -> Vec<String> {
    let row = EventRow { key: &entry.row.key, fingerprint: entry.row.fingerprint.as_ref(), previous: &entry.previous };
    let first = builder.message_id(&row, 0);
    let one = |(number, output): (usize, String)| {
        let Ok(parsed) = Output::parse(&output) else { return output };
        let own = parsed.id("messageId");
        if own.as_deref().is_some_and(|own| number == 0 || own != first) {
            return output;
        }
        let id = if number == 0 { first.clone() } else { builder.message_id(&row, number) };
        let mut out = b"{\"messageId\":".to_vec();
        text(&mut out, &id);
        for (name, value) in parsed.fields.0.iter().filter(|(name, _)| name != "messageId") {
            out.push(b',');
            text(&mut out, name);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
        out.push(b'}');
        String::from_utf8(out).unwrap_or(output)
    };
    outputs.into_iter().enumerate().map(one).collect()
}

/// Runs tasks at the same time and returns their results in order.
pub struct InOrder<T>(VecDeque<tokio::task::JoinHandle<T>>);

impl<T: Send + 'static> InOrder<T> {
    /// Creates an empty queue.
    pub fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Returns the number of running tasks.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether no task is running.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Starts a task.
    pub fn push(&mut self, task: impl Future<Output = T> + Send + 'static) {
        self.0.push_back(tokio::spawn(task));
    }

    /// Waits for the oldest task; `None` if there is none. Cancel safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// When the task panicked.
    pub async fn next(&mut self) -> Option<Result<T>> {
        let done = self.0.front_mut()?.await;
        self.0.pop_front();
        Some(done.map_err(|error| Error::new(format!("a part of the sync stopped: {error}"))))
    }
}

impl<T: Send + 'static> Default for InOrder<T> {
    fn default() -> Self {
        Self::new()
    }
}
