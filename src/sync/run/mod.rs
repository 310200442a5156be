//! One run: reads the source, checks whether the run may go on, and delivers.

mod deliver;
mod guard;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::config::{Config, Mode};
use super::delivery::{Channel, Closed};
use super::detect::{DetectOptions, Detected, RowCounts, detect};
use super::error::{Error, Result};
use super::event::Previous;
use super::feed::Filter;
use super::ledger::RowState;
use super::report::{self, Report, SinkReport};
use super::sink::Sink;
use super::source::Stopper;
use super::state::{Lock, State};
use super::transform::Transformer;
use super::warehouse::Warehouse;
use crate::workers::{Job, RunError};

pub(super) use deliver::{bodies, failure_words};

use deliver::Delivery;
use guard::{FIRST_SYNC, may_go_on, place_of, places_are_known};

/// Options of a run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The command, as the state records it.
    pub command: &'static str,
    /// Which rows are sent.
    pub filter: Filter,
    /// Whether to go on although a limit on changes or deletes is exceeded.
    pub yes: bool,
    /// Whether all rows go through the code again, settled or not.
    pub resync: bool,
    /// Whether settled rows stay settled although the code or a sink's address has changed.
    pub keep_settled: bool,
    /// Whether rows are only marked as sent.
    pub baseline: bool,
    /// Whether this is a dry run: nothing is sent or written; the rows that would be sent are shown.
    pub dry: bool,
}

/// A sync that is ready to run.
pub struct Setup {
    /// Its config.
    pub config: Arc<Config>,
    /// The transformation, if there is one.
    pub job: Option<Job>,
    /// The hash of the code.
    pub code: String,
    /// Options of the run.
    pub options: Options,
    /// Progress counters.
    pub progress: Arc<Progress>,
    /// Called by a dry run with each row that would be sent.
    pub show: OnDryRunRow,
}

/// The bodies to send to a sink for one row, or why the row can't be sent.
pub type Bodies = std::result::Result<Vec<Vec<u8>>, String>;

/// Called with each row that would be sent.
pub type OnDryRunRow = Box<dyn FnMut(DryRunRow<'_>) + Send>;

/// A row that would be sent.
pub struct DryRunRow<'a> {
    /// The row.
    pub row: &'a RowState,
    /// The row as last acknowledged.
    pub previous: &'a Previous,
    /// For each sink, by name: the bodies that would be sent, or why the row would fail. Empty if the row is dropped or
    /// not for the sink.
    pub sinks: Vec<(&'a str, Bodies)>,
    /// Whether the transformation dropped it.
    pub is_dropped: bool,
}

/// How far a run is, for display.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows read.
    pub read: AtomicU64,
    /// Rows to send; zero while the source is read.
    pub to_send: AtomicU64,
    /// Row results at sinks.
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

/// Returns the folder for temporary files: that of the state, because its disk has room for the data of the sync.
pub(super) fn temporary(config: &Config) -> PathBuf {
    match config.state.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Runs a sync to its end.
///
/// # Errors
/// When the run cannot start or cannot go on. Rows acknowledged until then are in the state.
pub async fn run(setup: Setup) -> std::result::Result<Report, Failed> {
    let started = Instant::now();
    if setup.options.dry {
        return dry_run(setup, started).await;
    }
    let config = setup.config.clone();
    let _lock = Lock::take(&config.state)?;
    begin_in_warehouse(&config, setup.options.resync).await?;
    let state = State::open(&config)?;
    let uuid = uuid::Uuid::new_v4().to_string();
    let (code, mapping) = (&setup.code, config.mapping_hash());
    let run = state.start_run(&uuid, setup.options.command, code, &mapping)?;
    tracing::info!(sync = config.name, run, run_id = uuid, command = setup.options.command, "started");
    let mut report = Report { run, uuid, is_partial: setup.options.filter.is_any(), ..Report::default() };
    let done = steps(setup, state, mapping, &mut report, started).await;
    report.elapsed = started.elapsed();
    // `steps` has consumed the first connection, so open another one.
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
    // Acknowledged rows are written back even if the run has failed.
    let written = end_in_warehouse(&config).await;
    done?;
    ended?;
    written?;
    Ok(report)
}

/// Synchronizes a state in the warehouse with its local copy. Does nothing if the state is a file.
async fn begin_in_warehouse(config: &Arc<Config>, resync: bool) -> Result<()> {
    let config = config.clone();
    let begun = tokio::task::spawn_blocking(move || Warehouse::of(&config).map_or(Ok(()), |it| it.begin(resync)));
    begun.await.map_err(|error| Error::new(format!("the reader of the state stopped: {error}")))?
}

async fn end_in_warehouse(config: &Arc<Config>) -> Result<()> {
    let config = config.clone();
    let ended = tokio::task::spawn_blocking(move || Warehouse::of(&config).map_or(Ok(()), |it| it.end()));
    ended.await.map_err(|error| Error::new(format!("the writer of the state stopped: {error}")))?
}

/// Does everything except sending and writing.
async fn dry_run(mut setup: Setup, started: Instant) -> std::result::Result<Report, Failed> {
    let mut report = Report { is_partial: true, ..Report::default() };
    // A sync that never ran has no state, and a dry run must not create it.
    let temporary = tempfile::tempdir().map_err(|error| Error::new(error.to_string()))?;
    let copy = Config { state: temporary.path().join("copy.db"), ..(*setup.config).clone() };
    let (config, into) = (setup.config.clone(), copy.clone());
    let looked = tokio::task::spawn_blocking(move || Warehouse::of(&config).map_or(Ok(false), |it| it.look(&into)));
    if looked.await.map_err(|error| Error::new(error.to_string()))?? {
        setup.config = Arc::new(copy);
    }
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
    // Everything that can fail without the source is started before the source is read.
    let uuid = report.uuid.clone();
    let channels_of = |ending: &watch::Receiver<bool>| -> Result<Vec<Arc<Channel>>> {
        if options.baseline {
            return Ok(Vec::new());
        }
        config
            .sinks
            .iter()
            .map(|sink| Ok(Channel::new(Sink::open(sink, options.dry, &uuid)?, sink.clone(), ending.clone())))
            .collect()
    };
    let (end, ending) = watch::channel(false);
    let channels = channels_of(&ending)?;
    let transformer = if options.baseline { None } else { job };
    let transformer = Arc::new(Transformer::start(transformer).await.map_err(Failed::Run)?);

    let detecting = Detecting {
        config: config.clone(),
        everything: config.changes.mode == Mode::Full && !options.baseline,
        epoch: epoch(&state, &options, report.run)?,
        compares: !options.dry,
        stopper: Stopper::default(),
        progress: progress.clone(),
    };
    let stopper = detecting.stopper.clone();
    let task = tokio::task::spawn_blocking(move || detecting.detect(state));
    let (detected, state) = tokio::select! {
        done = task => done.map_err(|error| Error::new(format!("the reader of the source stopped: {error}")))??,
        _ = interrupt.recv() => return stopped_early(report, &stopper, libc::SIGINT),
        _ = terminate.recv() => return stopped_early(report, &stopper, libc::SIGTERM),
    };
    report.detecting = started.elapsed();
    report.rows = detected.counts.clone();
    report.forgotten = detected.forgotten;
    report.deletes_held.clone_from(&detected.deletes_held);
    report.invalid.clone_from(&detected.invalid);
    report.warnings.clone_from(&detected.warnings);
    let RowCounts { read, unchanged, new, changed, invalid, deletes } = detected.counts;
    let seconds = report.detecting.as_secs_f64();
    tracing::info!(sync = config.name, read, unchanged, new, changed, invalid, deletes, seconds, "source read");
    let may_go_on = may_go_on(&config, &options, &state, &code, &mapping, &detected)
        .and_then(|()| places_are_known(&options, &state, &channels));
    match may_go_on {
        // A dry run goes on and shows the rows that a run would refuse to send.
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
            // Batches in flight are finished; no new one is started.
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

/// Returns the first run whose settled rows count. Rows settled in an earlier run are sent again.
pub(super) fn epoch(state: &State, options: &Options, run: i64) -> Result<i64> {
    if options.resync {
        return Ok(run);
    }
    Ok(state.meta("epoch")?.and_then(|epoch| epoch.parse().ok()).unwrap_or(0))
}

/// Returns how many rows and deletes are to be sent.
pub(super) fn to_send(config: &Config, options: &Options, counts: &RowCounts) -> u64 {
    let unchanged = if config.changes.mode == Mode::Full && !options.baseline { counts.unchanged } else { 0 };
    counts.new + counts.changed + counts.deletes + unchanged
}

/// Everything that is needed to read the source, so that it can move to another thread.
pub(super) struct Detecting {
    pub(super) config: Arc<Config>,
    pub(super) everything: bool,
    pub(super) epoch: i64,
    /// Whether a database that holds the state compares the rows.
    pub(super) compares: bool,
    pub(super) stopper: Stopper,
    pub(super) progress: Arc<Progress>,
}

impl Detecting {
    pub(super) fn detect(self, state: State) -> Result<(Detected, State)> {
        let temporary = temporary(&self.config);
        let is_compared = self.compares && self.config.in_warehouse && !self.everything;
        let script = Warehouse::of(&self.config).map(|it| it.query(is_compared.then_some(self.epoch))).transpose()?;
        let options = DetectOptions {
            script,
            is_compared,
            config: &self.config,
            everything: self.everything,
            epoch: self.epoch,
            temporary: &temporary,
            stopper: self.stopper,
            progress: &|read| self.progress.read.store(read, Ordering::Relaxed),
        };
        Ok((detect(&options, &state)?, state))
    }
}
