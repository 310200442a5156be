//! One run: reads the source, looks whether it may go on, and delivers.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::config::{Config, Mode};
use super::delivery::{Channel, Closed, Item, Tracker};
use super::detect::{Ask, Detected, RowCounts, detect};
use super::error::{Error, Result};
use super::event::{EventBuilder, Output, Previous};
use super::feed::{Fed, Feeder, Filter};
use super::ledger::{self, Ledger, Outcome, Results, RowState, Settle};
use super::report::{self, Report, SinkReport};
use super::sink::Sink;
use super::source::Stopper;
use super::state::{Lock, State};
use super::transform::{Batch, Entry, InOrder, Transformed, Transformer, with_message_ids};
use crate::workers::{Job, RunError};

/// What is asked of a run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What it is called in the state.
    pub command: &'static str,
    /// Which rows go out.
    pub filter: Filter,
    /// Whether to go on where the run would stop and ask.
    pub yes: bool,
    /// Whether all rows go through the code again.
    pub resync: bool,
    /// Whether rows that were settled by other code stay so.
    pub keep_settled: bool,
    /// Whether rows are only marked as sent.
    pub baseline: bool,
    /// Whether nothing is sent and nothing written: what would go out is shown.
    pub dry: bool,
}

/// A sync that is ready to run.
pub struct Setup {
    /// Its config.
    pub config: Arc<Config>,
    /// The transformation, if there is one.
    pub job: Option<Job>,
    /// The hash of its code.
    pub code: String,
    /// What is asked.
    pub options: Options,
    /// How far it is.
    pub progress: Arc<Progress>,
    /// Where a dry run shows what would go out.
    pub show: Show,
}

/// What is sent of a row to a sink, or why it can't be.
pub type Bodies = std::result::Result<Vec<Vec<u8>>, String>;

/// Is told of each row that would go out.
pub type Show = Box<dyn FnMut(Shown<'_>) + Send>;

/// A row that would go out.
pub struct Shown<'a> {
    /// The row.
    pub row: &'a RowState,
    /// What was acknowledged.
    pub previous: &'a Previous,
    /// Why it would fail, or what would be sent to each sink by its name; nothing if it is dropped or not for it.
    pub sinks: Vec<(&'a str, Bodies)>,
    /// Whether the transformation dropped it.
    pub is_dropped: bool,
}

/// How far a run is, for people who wait.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows read.
    pub read: AtomicU64,
    /// Rows to send; zero while the source is read.
    pub to_send: AtomicU64,
    /// Results at sinks.
    pub done: AtomicU64,
}

/// Why a run could not go on.
#[derive(Debug)]
pub enum Failed {
    /// The transformation, or its workers.
    Run(RunError),
    /// Anything else.
    Sync(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Sync(error)
    }
}

/// Where the temporary files of a sync go: beside its state, where there is room for what it keeps.
pub(super) fn temporary(config: &Config) -> PathBuf {
    match config.state.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Runs a sync to its end.
///
/// # Errors
/// When it could not start, or could not go on. What was acknowledged by then is in the state.
pub async fn run(setup: Setup) -> std::result::Result<Report, Failed> {
    let started = Instant::now();
    if setup.options.dry {
        return dry_run(setup, started).await;
    }
    let config = setup.config.clone();
    let _lock = Lock::take(&config.state)?;
    let state = State::open(&config)?;
    let uuid = uuid::Uuid::new_v4().to_string();
    let (code, mapping) = (&setup.code, config.mapping_hash());
    let run = state.start_run(&uuid, setup.options.command, code, &mapping)?;
    tracing::info!(sync = config.name, run, run_id = uuid, command = setup.options.command, "started");
    let mut report = Report { run, uuid, is_partial: setup.options.filter.is_any(), ..Report::default() };
    let done = steps(setup, state, mapping, &mut report, started).await;
    report.elapsed = started.elapsed();
    // Another connection: the one above may have ended with what was written last.
    let ended = State::open(&config).and_then(|mut state| {
        let rows: Vec<_> = report
            .invalid
            .iter()
            .map(|(line, invalid)| {
                (*line, invalid.key().map(str::to_owned), invalid.name(), invalid.sentence(&config.source.key))
            })
            .collect();
        state.set_invalid(run, &rows)?;
        let is_whole = done.is_ok() && report.signal.is_none() && report.pending() == 0;
        if is_whole {
            state.set_meta(FIRST_SYNC, "done")?;
        }
        state.end_run(run, &result_words(&report, &done), &report::counts(&report).to_string())
    });
    done?;
    ended?;
    Ok(report)
}

/// Does all but to send and to write.
async fn dry_run(mut setup: Setup, started: Instant) -> std::result::Result<Report, Failed> {
    let mut report = Report { is_partial: true, ..Report::default() };
    // A sync that never ran has no state, and gets none.
    let temporary = tempfile::tempdir().map_err(|error| Error::new(error.to_string()))?;
    let state = if setup.config.state.exists() {
        State::existing(&setup.config)?
    } else {
        let config = Config { state: temporary.path().join("state.db"), ..(*setup.config).clone() };
        setup.config = Arc::new(config);
        State::open(&setup.config)?
    };
    report.run = state.runs(1)?.first().map_or(1, |run| run.id + 1);
    report.uuid = uuid::Uuid::new_v4().to_string();
    let mapping = setup.config.mapping_hash();
    steps(setup, state, mapping, &mut report, started).await?;
    report.elapsed = started.elapsed();
    Ok(report)
}

fn result_words(report: &Report, done: &std::result::Result<(), Failed>) -> String {
    match done {
        Err(Failed::Sync(error)) => format!("stopped: {}", error.message),
        Err(Failed::Run(error)) => format!("stopped: {error}"),
        Ok(()) => match (report.signal, report.sinks.iter().find_map(|sink| sink.closed.as_ref())) {
            (Some(signal), _) => format!("ended by signal {signal}"),
            (_, Some(Closed::Stopped { reason, .. })) => format!("refused: {reason}"),
            (_, Some(Closed::GivenUp(reason))) => format!("incomplete: {reason}"),
            _ if report.pending() > 0 => "incomplete".to_owned(),
            _ if report.results.rows.failed + report.rows.invalid > 0 => "complete, with failed rows".to_owned(),
            _ => "complete".to_owned(),
        },
    }
}

async fn steps(
    setup: Setup,
    state: State,
    mapping: String,
    report: &mut Report,
    started: Instant,
) -> std::result::Result<(), Failed> {
    let Setup { config, job, code, options, progress, show } = setup;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Error::new(error.to_string()))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| Error::new(error.to_string()))?;
    // Everything that can fail without the source fails first.
    let channels_of = |ending: &watch::Receiver<bool>| -> Result<Vec<Arc<Channel>>> {
        if options.baseline {
            return Ok(Vec::new());
        }
        config
            .sinks
            .iter()
            .map(|sink| Ok(Channel::new(Sink::open(sink, options.dry)?, sink.clone(), ending.clone())))
            .collect()
    };
    let (end, ending) = watch::channel(false);
    let channels = channels_of(&ending)?;
    let transformer = if options.baseline { None } else { job };
    let transformer = Arc::new(Transformer::start(transformer).await.map_err(Failed::Run)?);

    let ask = Detecting {
        config: config.clone(),
        everything: config.changes.mode == Mode::Full && !options.baseline,
        epoch: epoch(&state, &options, report.run)?,
        stopper: Stopper::default(),
        progress: progress.clone(),
    };
    let stopper = ask.stopper.clone();
    let detecting = tokio::task::spawn_blocking(move || ask.detect(state));
    let (detected, state) = tokio::select! {
        done = detecting => done.map_err(|error| Error::new(format!("the reader of the source stopped: {error}")))??,
        _ = interrupt.recv() => return stopped_early(report, &stopper, libc::SIGINT),
        _ = terminate.recv() => return stopped_early(report, &stopper, libc::SIGTERM),
    };
    report.detecting = started.elapsed();
    report.rows = detected.counts.clone();
    report.forgotten = detected.forgotten;
    report.deletes_held.clone_from(&detected.deletes_held);
    report.invalid.clone_from(&detected.invalid);
    let RowCounts { read, unchanged, new, changed, invalid, deletes } = detected.counts;
    let seconds = report.detecting.as_secs_f64();
    tracing::info!(sync = config.name, read, unchanged, new, changed, invalid, deletes, seconds, "source read");
    let may_go_on = may_go_on(&config, &options, &state, &code, &mapping, &detected)
        .and_then(|()| places_are_known(&options, &state, &channels));
    match may_go_on {
        // What a run would not send, a dry run shows all the more.
        Err(stop) if options.dry => report.would_stop = Some(stop),
        other => other?,
    }
    if !options.dry {
        for channel in &channels {
            state.set_meta(&place_of(channel), &channel.sink.place())?;
        }
        state.set_meta("code", &code)?;
        state.set_meta("mapping", &mapping)?;
        if options.resync {
            state.set_meta("epoch", &report.run.to_string())?;
        }
    }
    report.to_send = to_send(&config, &options, &detected.counts);
    progress.to_send.store(report.to_send, Ordering::Relaxed);

    let delivery =
        Delivery { config: &config, channels: &channels, transformer, ending, progress, show: Mutex::new(show) };
    let mut signal = None;
    let (fed, results) = {
        let deliver = delivery.run(report, state, detected, code, &options);
        tokio::pin!(deliver);
        loop {
            tokio::select! {
                done = &mut deliver => break done?,
                _ = interrupt.recv() => signal = Some(libc::SIGINT),
                _ = terminate.recv() => signal = Some(libc::SIGTERM),
            }
            // What is in flight is finished; nothing else is begun.
            let _ = end.send(true);
        }
    };
    report.signal = signal;
    report.waiting = fed.waiting;
    report.unmatched_key = options.filter.key.clone().filter(|_| fed.rows == 0);
    report.results = results;
    report.sinks = channels.iter().map(|channel| sink_report(channel)).collect();
    Ok(())
}

fn stopped_early(report: &mut Report, stopper: &Stopper, signal: i32) -> std::result::Result<(), Failed> {
    stopper.stop();
    report.signal = Some(signal);
    Ok(())
}

fn sink_report(channel: &Channel) -> SinkReport {
    let traffic = &channel.traffic;
    SinkReport {
        name: channel.config.name.clone(),
        requests: traffic.requests.load(Ordering::Relaxed),
        retries: traffic.retries.load(Ordering::Relaxed),
        bytes: traffic.bytes.load(Ordering::Relaxed),
        closed: channel.closed(),
    }
}

/// The run from which on rows count as settled.
pub(super) fn epoch(state: &State, options: &Options, run: i64) -> Result<i64> {
    if options.resync {
        return Ok(run);
    }
    Ok(state.meta("epoch")?.and_then(|epoch| epoch.parse().ok()).unwrap_or(0))
}

/// How many rows and deletes go out.
pub(super) fn to_send(config: &Config, options: &Options, counts: &RowCounts) -> u64 {
    let unchanged = if config.changes.mode == Mode::Full && !options.baseline { counts.unchanged } else { 0 };
    counts.new + counts.changed + counts.deletes + unchanged
}

/// What reading the source needs, to be moved to a thread.
pub(super) struct Detecting {
    pub(super) config: Arc<Config>,
    pub(super) everything: bool,
    pub(super) epoch: i64,
    pub(super) stopper: Stopper,
    pub(super) progress: Arc<Progress>,
}

impl Detecting {
    pub(super) fn detect(self, state: State) -> Result<(Detected, State)> {
        let temporary = temporary(&self.config);
        let ask = Ask {
            config: &self.config,
            everything: self.everything,
            epoch: self.epoch,
            temporary: &temporary,
            stopper: self.stopper,
            progress: &|read| self.progress.read.store(read, Ordering::Relaxed),
        };
        Ok((detect(&ask, &state)?, state))
    }
}

/// The mark of a state whose sync has once gone through without pending rows.
const FIRST_SYNC: &str = "first_sync";

/// Whether a run with these changes may go on without a look at them.
pub(super) fn may_go_on(
    config: &Config,
    options: &Options,
    state: &State,
    code: &str,
    mapping: &str,
    detected: &Detected,
) -> Result<()> {
    let counts = &detected.counts;
    let known = state.known()?;
    let changed = counts.new + counts.changed;
    let nothing = |message: String| Error::new(format!("{message}; nothing was sent"));
    let is_mirror = config.changes.mode == Mode::Mirror;
    if is_mirror && counts.read == 0 && known > 0 {
        return Err(nothing(format!("the source is empty, and this sync is a mirror of {known} keys"))
            .help("an empty table is mostly a broken one. To delete all keys on purpose, change mode for one run"));
    }
    if known > 0 && !options.resync && !options.baseline {
        code_is_known(options, state, code, mapping, counts)?;
    }
    if options.yes || options.baseline {
        return Ok(());
    }
    // The first sync is all changes, also if it takes several runs.
    let is_first = state.meta(FIRST_SYNC)?.is_none();
    if let Some(max) = config.changes.max_changes.filter(|_| !is_first && !options.resync)
        && config.changes.mode != Mode::Full
        && changed > max.of(known)
    {
        return Err(nothing(format!(
            "{changed} rows are new or changed, and max_changes is {max} of {known} known keys, {} rows",
            max.of(known)
        ))
        .help("look at them with --dry-run; if they are right, go on with --yes"));
    }
    let max = config.changes.max_deletes;
    if is_mirror && counts.deletes > max.of(known) {
        return Err(nothing(format!(
            "{} keys are gone from the source, and max_deletes is {max} of {known} known keys, {} rows",
            counts.deletes,
            max.of(known)
        ))
        .help("a table that is suddenly smaller is mostly a broken one; look with --dry-run; if it is right, go on with --yes"));
    }
    Ok(())
}

/// Under which the state keeps where a sink sends to.
fn place_of(channel: &Channel) -> String {
    format!("place of {}", channel.config.name)
}

/// Whether sinks still send to where they did: to a test server yesterday and to the real one today would be a run that sends
/// nothing, and calls that complete.
fn places_are_known(options: &Options, state: &State, channels: &[Arc<Channel>]) -> Result<()> {
    if options.dry || options.resync || options.keep_settled {
        return Ok(());
    }
    for channel in channels {
        if state.meta(&place_of(channel))?.is_some_and(|before| before != channel.sink.place()) {
            let name = &channel.config.name;
            return Err(Error::new(format!("the sink {name} sends to another place than in the last run; nothing was sent"))
                .help("is it another destination? give the sink a name of its own, and it gets all rows. Is it the same one under another address? go on with --keep-settled"));
        }
    }
    Ok(())
}

/// With other code or another mapping, the user has to say what happens to the rows that are settled.
fn code_is_known(options: &Options, state: &State, code: &str, mapping: &str, counts: &RowCounts) -> Result<()> {
    let is_other = |key: &str, now: &str| Ok::<_, Error>(state.meta(key)?.is_some_and(|before| before != now));
    let plan = format!(
        "{} of {} rows are settled, {} would go out anyway, and nothing was sent",
        counts.unchanged,
        counts.read,
        counts.new + counts.changed
    );
    if is_other("mapping", mapping)? {
        return Err(Error::new(format!("the mapping in [event] or the key is another one than in the last run: {plan}"))
            .help("see what would go out with --dry-run --resync; send all rows in the new form with --resync, or mark them as sent with `sluicegate sync baseline`"));
    }
    if is_other("code", code)? && !options.keep_settled {
        return Err(Error::new(format!("the transformation is another one than in the last run: {plan}"))
            .help("see what would go out with --dry-run --resync; send all rows through the new code with --resync, or use it for rows that change from now on with --keep-settled"));
    }
    Ok(())
}

/// The second half of a run.
struct Delivery<'a> {
    config: &'a Arc<Config>,
    channels: &'a [Arc<Channel>],
    transformer: Arc<Transformer>,
    ending: watch::Receiver<bool>,
    progress: Arc<Progress>,
    show: Mutex<Show>,
}

/// What came of a batch: its entries, and what each became; nothing if the run ends.
type BatchResult = Result<(Batch, Vec<Transformed>)>;

impl Delivery<'_> {
    async fn run(
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
            // Items have permits of their own; the queue only hands them over.
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

    /// Transforms batches, several at a time, and hands their outputs to the sinks in order.
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
            // A batch that comes late is left for the next run.
            let results = if *ending.borrow() { Vec::new() } else { transformer.transform(&mut batch).await? };
            Ok((batch, results))
        }
    }

    /// Hands the outputs of a batch to the sinks.
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
                match bodies(&self.channels[sink], &outputs) {
                    Err(reason) => settle(sink, Outcome::Failed { stage: "sink", reason, answer: None, sure: true }),
                    Ok(bodies) if bodies.is_empty() => settle(sink, Outcome::NotForSink),
                    Ok(bodies) => self.hand_over(&entry, sink, bodies, &to_sinks[sink]).await,
                }
            }
        }
        self.progress.done.fetch_add(settles.len() as u64, Ordering::Relaxed);
        ledger.settle(settles).await;
    }

    /// Shows what would be sent of a batch.
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
                let bodies = outputs.clone().and_then(|outputs| bodies(&self.channels[sink], &outputs));
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
                show(Shown { row: &entry.row, previous: &entry.previous, sinks: shown, is_dropped });
            }
        }
        ledger.settle(settles).await;
    }

    async fn hand_over(&self, entry: &Entry, sink: usize, bodies: Vec<Vec<u8>>, to_sink: &mpsc::Sender<Item>) {
        let channel = &self.channels[sink];
        let tracker = Tracker::new(entry.row.clone(), sink, bodies.len());
        for body in bodies {
            let item = channel.item(tracker.clone(), body).await;
            // The sink's task takes items until the sender is dropped.
            let _ = to_sink.send(item).await;
        }
        self.progress.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is sent of outputs to a sink: nothing if none is for it.
pub(super) fn bodies(channel: &Channel, outputs: &[String]) -> Bodies {
    let mut bodies = Vec::new();
    for output in outputs {
        let event = Output::parse(output)?;
        if event.is_for(&channel.config.integrations) {
            bodies.push(channel.sink.item(&event)?);
        }
    }
    Ok(bodies)
}

/// Why the code failed, in one line.
pub(super) fn failure_words(failure: &sluicegate_engine::verdict::Failure) -> String {
    let name = failure.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    let place = failure.position.as_ref().map(|at| format!(" ({}:{}:{})", at.file, at.line, at.column));
    format!("{name}{}{}", failure.message, place.unwrap_or_default())
}
