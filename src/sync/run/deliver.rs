//! The second half of a run: rows become events, go through the transformation, and are passed to the sinks.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};

use super::super::config::Config;
use super::super::delivery::{Channel, Item, Tracker};
use super::super::detect::Detected;
use super::super::error::{Error, Result};
use super::super::event::{EventBuilder, Output};
use super::super::feed::{Fed, Feeder};
use super::super::ledger::{self, Ledger, Outcome, Results, Settle};
use super::super::report::Report;
use super::super::state::State;
use super::super::transform::{Batch, Entry, InOrder, Transformed, Transformer, with_message_ids};
use super::{Bodies, DryRunRow, Failed, OnDryRunRow, Options, Progress};

/// The second half of a run.
pub(super) struct Delivery<'a> {
    pub(super) config: &'a Arc<Config>,
    pub(super) channels: &'a [Arc<Channel>],
    pub(super) transformer: Arc<Transformer>,
    pub(super) ending: watch::Receiver<bool>,
    pub(super) progress: Arc<Progress>,
    pub(super) show: Mutex<OnDryRunRow>,
}

/// A batch and the results of its entries. The results are empty if the run is ending.
type BatchResult = Result<(Batch, Vec<Transformed>)>;

impl Delivery<'_> {
    pub(super) async fn run(
        &self,
        report: &Report,
        mut state: State,
        detected: Detected,
        code: String,
        options: &Options,
    ) -> std::result::Result<(Fed, Results), Failed> {
        if !options.dry {
            state.forget_problems(&detected.solved, &detected.missing)?;
            if options.filter.only_problems {
                state.reset_tries()?;
            }
        }
        let numbers = state.sinks(self.config)?;
        let reader = state.reader()?;
        let problems = state.problem_keys()?;
        let doubts = state.doubts(&numbers)?;
        let (ledger, writer) = ledger::start(state, numbers.clone(), report.run, code.clone(), options.dry);
        let (to_transform, batches) = mpsc::channel(2);
        let feeder = Feeder {
            config: self.config.clone(),
            run: report.uuid.clone(),
            code: code.clone(),
            state: reader,
            sinks: numbers,
            filter: options.filter.clone(),
            ledger: ledger.clone(),
            ending: self.ending.clone(),
            baseline: options.baseline,
            out: to_transform,
            problems,
            doubts,
        };
        let feeding = tokio::task::spawn_blocking(move || feeder.feed(detected));
        let (mut to_sinks, mut tasks) = (Vec::new(), Vec::new());
        for channel in self.channels {
            // Permits limit the number of items; the queue only passes them on.
            let (sender, receiver) = mpsc::channel::<Item>(1024);
            to_sinks.push(sender);
            tasks.push(tokio::spawn(channel.clone().run(receiver, ledger.clone())));
        }
        let builder = EventBuilder::new(self.config, &report.uuid, &code);
        let passed = self.pass(batches, &builder, &to_sinks, &ledger, options.dry).await;
        drop(to_sinks);
        for task in tasks {
            let _ = task.await;
        }
        drop(ledger);
        let stopped = |what: &str| Error::new(format!("{what} stopped"));
        let fed = feeding.await.map_err(|_| stopped("the reader of changed rows"))?;
        let written = tokio::task::spawn_blocking(move || writer.join()).await.map_err(|_| stopped("the writer"))?;
        let written = written.map_err(|_| stopped("the writer of the state"))?;
        drop(written.state);
        if let Some(error) = written.error {
            return Err(error.into());
        }
        passed?;
        Ok((fed?, written.results))
    }

    /// Transforms batches, several at a time, and passes their outputs to the sinks in order.
    async fn pass(
        &self,
        mut batches: mpsc::Receiver<Batch>,
        builder: &EventBuilder<'_>,
        to_sinks: &[mpsc::Sender<Item>],
        ledger: &Ledger,
        dry: bool,
    ) -> Result<()> {
        let mut under_way: InOrder<BatchResult> = InOrder::new();
        let mut is_open = true;
        while is_open || !under_way.is_empty() {
            tokio::select! {
                batch = batches.recv(), if is_open && under_way.len() < self.transformer.width() => match batch {
                    Some(batch) => under_way.push(self.transform(batch)),
                    None => is_open = false,
                },
                Some(done) = under_way.next(), if !under_way.is_empty() => {
                    let (batch, results) = done??;
                    if dry {
                        self.show(batch, results, builder, ledger).await;
                    } else {
                        self.route(batch, results, builder, to_sinks, ledger).await;
                    }
                }
            }
        }
        Ok(())
    }

    fn transform(&self, mut batch: Batch) -> impl Future<Output = BatchResult> + Send + 'static {
        let (transformer, ending) = (self.transformer.clone(), self.ending.clone());
        async move {
            // Once the run is ending, a batch is left for the next run.
            let results = if *ending.borrow() { Vec::new() } else { transformer.transform(&mut batch).await? };
            Ok((batch, results))
        }
    }

    /// Passes the outputs of a batch to the sinks.
    async fn route(
        &self,
        batch: Batch,
        results: Vec<Transformed>,
        builder: &EventBuilder<'_>,
        to_sinks: &[mpsc::Sender<Item>],
        ledger: &Ledger,
    ) {
        let mut settles = Vec::new();
        let mut results = results.into_iter();
        for entry in batch.entries {
            let sinks: Vec<usize> = (0..to_sinks.len()).filter(|sink| entry.sinks & 1 << sink != 0).collect();
            let mut settle = |sink, outcome| settles.push(Settle { row: entry.row.clone(), sink, outcome });
            let outputs = match results.next() {
                None => {
                    sinks.into_iter().for_each(|sink| settle(sink, Outcome::Pending(None)));
                    continue;
                }
                Some(Transformed::Failed(failure)) => {
                    let reason = failure_words(&failure);
                    let stage = "transformation";
                    for sink in sinks {
                        settle(
                            sink,
                            Outcome::Failed {
                                stage,
                                reason: reason.clone(),
                                answer: failure.stack.clone(),
                                sure: true,
                            },
                        );
                    }
                    continue;
                }
                Some(Transformed::Outputs(outputs)) if outputs.is_empty() => {
                    sinks.into_iter().for_each(|sink| settle(sink, Outcome::Dropped));
                    continue;
                }
                Some(Transformed::Outputs(outputs)) => with_message_ids(builder, &entry, outputs),
            };
            for sink in sinks {
                match bodies(&self.channels[sink], &outputs, &entry.row.key) {
                    Err(reason) => settle(sink, Outcome::Failed { stage: "sink", reason, answer: None, sure: true }),
                    Ok(bodies) if bodies.is_empty() => settle(sink, Outcome::NotForSink),
                    Ok(bodies) => self.hand_over(&entry, sink, bodies, &to_sinks[sink]).await,
                }
            }
        }
        self.progress.done.fetch_add(settles.len() as u64, Ordering::Relaxed);
        ledger.settle(settles).await;
    }

    /// Shows what a batch would send.
    async fn show(&self, batch: Batch, results: Vec<Transformed>, builder: &EventBuilder<'_>, ledger: &Ledger) {
        let mut settles = Vec::new();
        for (entry, result) in batch.entries.into_iter().zip(results) {
            let sinks = (0..self.channels.len()).filter(|sink| entry.sinks & 1 << sink != 0);
            let outputs = match result {
                Transformed::Outputs(outputs) => Ok(with_message_ids(builder, &entry, outputs)),
                Transformed::Failed(failure) => Err(failure_words(&failure)),
            };
            let is_dropped = outputs.as_ref().is_ok_and(Vec::is_empty);
            let mut shown = Vec::new();
            for sink in sinks {
                let bodies = outputs.clone().and_then(|outputs| bodies(&self.channels[sink], &outputs, &entry.row.key));
                let outcome = match &bodies {
                    Err(reason) => {
                        Outcome::Failed { stage: "dry run", reason: reason.clone(), answer: None, sure: true }
                    }
                    Ok(bodies) if !bodies.is_empty() => Outcome::Sent,
                    Ok(_) if is_dropped => Outcome::Dropped,
                    Ok(_) => Outcome::NotForSink,
                };
                settles.push(Settle { row: entry.row.clone(), sink, outcome });
                shown.push((self.channels[sink].config.name.as_str(), bodies));
            }
            if let Ok(mut show) = self.show.lock() {
                show(DryRunRow { row: &entry.row, previous: &entry.previous, sinks: shown, is_dropped });
            }
        }
        ledger.settle(settles).await;
    }

    async fn hand_over(&self, entry: &Entry, sink: usize, bodies: Vec<Vec<u8>>, to_sink: &mpsc::Sender<Item>) {
        let channel = &self.channels[sink];
        let tracker = Tracker::new(entry.row.clone(), sink, bodies.len());
        for (number, body) in bodies.into_iter().enumerate() {
            let item = channel.item(tracker.clone(), number, body).await;
            // The sink's task receives items until the sender is dropped.
            let _ = to_sink.send(item).await;
        }
        self.progress.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the bodies to send to a sink for the outputs of a row; empty if no output is for the sink.
pub(in crate::sync) fn bodies(channel: &Channel, outputs: &[String], key: &str) -> Bodies {
    let mut bodies = Vec::new();
    for output in outputs {
        let event = Output::parse(output)?;
        if event.is_for(&channel.config.integrations) {
            bodies.extend(channel.sink.items(&event, key, bodies.len())?);
        }
    }
    Ok(bodies)
}

/// Formats why the code failed, on one line.
pub(in crate::sync) fn failure_words(failure: &sluicegate_engine::verdict::Failure) -> String {
    let name = failure.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    let place = failure.position.as_ref().map(|at| format!(" ({}:{}:{})", at.file, at.line, at.column));
    format!("{name}{}{}", failure.message, place.unwrap_or_default())
}
