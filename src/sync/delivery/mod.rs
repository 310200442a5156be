//! Sends items to one sink: batches, rate, concurrency, retries, and a circuit breaker. A batch that is refused is
//! split until the bad item is alone.

mod accepted_batches;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::batcher::Batcher;
use super::config::{Pace, SinkConfig};
use super::ledger::{Ledger, Outcome, RowState, Settle};
use super::sink::{ItemAnswer, Reply, Sink};
use crate::random::Random;
use accepted_batches::{Accepted, AcceptedBatches, Room};

/// The most bytes of items that wait for a sink or are being sent to it.
const MAX_WAITING: usize = 32 << 20;

/// The number of bytes that one permit stands for.
const PERMIT: usize = 1 << 10;

/// The bytes of a request besides its items.
const AROUND: usize = 64;

/// How often the breaker opens before the sink is given up for this run.
const MAX_OPENS: u32 = 3;

/// The longest pause that a destination may ask for. If it asks for more, it is given up for this run.
const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);

/// After this many rejected rows and no accepted one, the sink is stopped: the rows are probably not to blame.
const MAX_REJECTS: u32 = 20;

/// The outputs of one row at one sink. The row is settled once all of them have a result.
pub struct Tracker {
    row: Arc<RowState>,
    sink: usize,
    remaining: AtomicUsize,
    worst: Mutex<Option<Outcome>>,
}

/// One output that is being sent to a sink.
pub struct Item {
    tracker: Arc<Tracker>,
    /// Its number among the outputs of the row at this sink.
    number: usize,
    body: Vec<u8>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Tracker {
    /// Creates a tracker for this many outputs.
    pub fn new(row: Arc<RowState>, sink: usize, outputs: usize) -> Arc<Self> {
        Arc::new(Self { row, sink, remaining: AtomicUsize::new(outputs), worst: Mutex::new(None) })
    }

    /// The key of its row.
    pub fn key(&self) -> &str {
        &self.row.key
    }

    /// Records the result of one output. Returns the result of the row if it was the last output.
    fn done(&self, outcome: Outcome) -> Option<Settle> {
        let mut worst = self.worst.lock().expect("nothing panics while it holds this");
        let is_worse = match (&*worst, &outcome) {
            (None, _) => true,
            (Some(Outcome::Failed { .. }), _) => false,
            (_, Outcome::Failed { .. }) => true,
            (_, Outcome::Pending(_)) => true,
            _ => false,
        };
        if is_worse {
            *worst = Some(outcome);
        }
        if self.remaining.fetch_sub(1, Ordering::AcqRel) > 1 {
            return None;
        }
        let outcome = worst.take().unwrap_or(Outcome::Pending(None));
        Some(Settle { row: self.row.clone(), sink: self.sink, outcome })
    }
}

/// Counters of a sink.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Requests.
    pub requests: AtomicU64,
    /// Requests that were sent again.
    pub retries: AtomicU64,
    /// Bytes of bodies.
    pub bytes: AtomicU64,
}

/// Why a sink is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Nothing can be sent until the user acts.
    Stopped {
        /// Why.
        reason: String,
        /// What to do.
        help: String,
    },
    /// The destination did not answer for too long.
    GivenUp(String),
}

/// One sink, with the state shared by all tasks that send to it.
pub struct Channel {
    /// The sink.
    pub sink: Sink,
    /// Its config.
    pub config: SinkConfig,
    /// Counters.
    pub traffic: Traffic,
    /// Accepted batches, if the destination reports their results later.
    pub(super) accepted_batches: Option<AcceptedBatches>,
    rate: Option<RateLimiter<NotKeyed, InMemoryState, DefaultClock>>,
    waiting: Arc<Semaphore>,
    state: Mutex<SendState>,
    changed: Notify,
    ending: watch::Receiver<bool>,
}

/// Whether requests may be sent.
struct SendState {
    /// Failed requests since the last successful one.
    failures: u32,
    opens: u32,
    /// No request is sent before this time.
    until: Option<Instant>,
    /// Whether the breaker is open: after the pause, a single request is sent as a probe.
    is_open: bool,
    is_probing: bool,
    rejects: u32,
    accepted: bool,
    closed: Option<Closed>,
    random: Random,
}

impl Channel {
    /// Creates the channel of an open sink. It stops trying once `ending` is true.
    pub fn new(sink: Sink, config: SinkConfig, ending: watch::Receiver<bool>) -> Arc<Self> {
        let rate = config.pace.rate.map(|rate| {
            let count = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
            let each = (rate.per / rate.count).max(Duration::from_nanos(1));
            // A burst is at most a tenth of the requests per period, so no window of that length gets many more.
            let burst = NonZeroU32::new(count.get() / 10).unwrap_or(NonZeroU32::MIN);
            RateLimiter::direct(Quota::with_period(each).expect("it is not zero").allow_burst(burst))
        });
        let state = SendState {
            failures: 0,
            opens: 0,
            until: None,
            is_open: false,
            is_probing: false,
            rejects: 0,
            accepted: false,
            closed: None,
            random: Random::new(uuid::Uuid::new_v4().as_u64_pair().0),
        };
        let accepted_batches = sink.asks_later().map(|_| AcceptedBatches::new());
        Arc::new(Self {
            sink,
            config,
            traffic: Traffic::default(),
            accepted_batches,
            rate,
            waiting: Arc::new(Semaphore::new(MAX_WAITING / PERMIT)),
            state: Mutex::new(state),
            changed: Notify::new(),
            ending,
        })
    }

    fn state(&self) -> MutexGuard<'_, SendState> {
        self.state.lock().expect("nothing panics while it holds this")
    }

    /// Returns why the sink is closed, if it is.
    pub fn closed(&self) -> Option<Closed> {
        self.state().closed.clone()
    }

    /// Waits for room and creates an item. `number` is its number among the items of the row.
    pub async fn item(&self, tracker: Arc<Tracker>, number: usize, body: Vec<u8>) -> Item {
        let permits = body.len().div_ceil(PERMIT).clamp(1, MAX_WAITING / PERMIT);
        // The semaphore is never closed. Without a permit, the item would just not count against the limit.
        let permit = self.waiting.clone().acquire_many_owned(permits as u32).await.ok();
        Item { tracker, number, body, _permit: permit }
    }

    pub(super) fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    /// Waits until `until`, until `changed` completes, or until the run is ending.
    pub(super) async fn pause(&self, until: Instant, changed: impl Future<Output = ()>) {
        let mut ending = self.ending.clone();
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            // The sender lives as long as the run.
            _ = ending.wait_for(|ending| *ending) => {}
            () = changed => {}
        }
    }

    /// Waits until a request may be sent; returns `false` if none may be sent until the end of the run.
    async fn may_send(&self) -> bool {
        loop {
            // Created before the state is read, so that no later change is missed.
            let changed = self.changed.notified();
            let until = {
                let mut state = self.state();
                if state.closed.is_some() || self.is_ending() {
                    return false;
                }
                match state.until {
                    Some(until) if until > Instant::now() => until,
                    _ if !state.is_open => break,
                    _ if !state.is_probing => {
                        state.is_probing = true;
                        break;
                    }
                    _ => Instant::now() + self.config.pace.timeout,
                }
            };
            self.pause(until, changed).await;
        }
        if let Some(rate) = &self.rate {
            let mut ending = self.ending.clone();
            tokio::select! {
                () = rate.until_ready() => {}
                _ = ending.wait_for(|ending| *ending) => {}
            }
        }
        !self.is_ending()
    }

    fn answered(&self) {
        let mut state = self.state();
        (state.failures, state.is_open, state.is_probing) = (0, false, false);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Records a failed request. Returns the pause before the next try.
    fn failed(&self, reason: &str, after: Option<Duration>, attempt: u32) -> Duration {
        let pace = &self.config.pace;
        let mut state = self.state();
        state.failures += 1;
        state.is_probing = false;
        if let Some(after) = after {
            if after > MAX_PAUSE {
                let seconds = after.as_secs();
                state.closed = Some(Closed::GivenUp(format!("{reason}; it asks for a pause of {seconds} s")));
            }
            state.until = state.until.max(Some(Instant::now() + after));
        }
        if state.failures >= pace.breaker {
            state.failures = 0;
            state.opens += 1;
            state.is_open = true;
            state.until = state.until.max(Some(Instant::now() + pace.cooldown));
            if state.opens > MAX_OPENS {
                state.closed = Some(Closed::GivenUp(reason.to_owned()));
            }
        }
        let longest = pace.backoff.saturating_mul(1 << attempt.min(20)).min(pace.max_backoff);
        let part = state.random.between(500, 1000) as u32;
        drop(state);
        self.changed.notify_waiters();
        longest * part / 1000
    }

    pub(super) fn stop(&self, reason: String, help: String) {
        self.state().closed.get_or_insert(Closed::Stopped { reason, help });
        self.changed.notify_waiters();
    }

    pub(super) fn give_up(&self, reason: String) {
        self.state().closed.get_or_insert(Closed::GivenUp(reason));
        self.changed.notify_waiters();
    }

    /// Counts rejected rows, so that a destination that rejects everything is not asked a million times.
    fn note(&self, row: &RowState, outcome: &Outcome) {
        let mut state = self.state();
        match outcome {
            Outcome::Sent => state.accepted = true,
            Outcome::Failed { reason, .. } if !row.is_retry && !state.accepted => {
                state.rejects += 1;
                if state.rejects >= MAX_REJECTS && state.closed.is_none() {
                    state.closed = Some(Closed::Stopped {
                        reason: format!(
                            "it rejected the first {MAX_REJECTS} rows and accepted none; the last: {reason}"
                        ),
                        help:
                            "it may be the config or the code, not the rows: look at one with `sluicegate sync explain`"
                                .to_owned(),
                    });
                }
            }
            _ => {}
        }
    }

    /// Records in the state that these rows are about to be sent; returns `false` if the state could not be written.
    async fn announce(&self, batch: &[Item], ledger: &Ledger) -> bool {
        let state =
            |item: &Item| Settle { row: item.tracker.row.clone(), sink: item.tracker.sink, outcome: Outcome::Sending };
        ledger.settle(batch.iter().map(state).collect()).await;
        !ledger.is_broken()
    }

    /// Waits for room among the batches whose results are reported later; `None` if the sink's answers are final.
    async fn room(&self, events: usize) -> Option<(&AcceptedBatches, Room)> {
        let accepted_batches = self.accepted_batches.as_ref()?;
        Some((accepted_batches, accepted_batches.room(events).await))
    }

    /// Sends a batch until there is an answer or no try is left.
    async fn request(&self, batch: &[Item], ledger: &Ledger) -> Answered<'_> {
        let bodies: Vec<&[u8]> = batch.iter().map(|item| &item.body[..]).collect();
        let room = self.room(batch.len()).await;
        let id = uuid::Uuid::new_v4().to_string();
        let Pace { retries, .. } = self.config.pace;
        let mut last = None;
        for attempt in 0.. {
            if !self.may_send().await || attempt == 0 && !self.announce(batch, ledger).await {
                return Answered::Pending(last);
            }
            self.traffic.requests.fetch_add(1, Ordering::Relaxed);
            self.traffic.retries.fetch_add(u64::from(attempt > 0), Ordering::Relaxed);
            self.traffic.bytes.fetch_add(bodies.iter().map(|body| body.len() as u64).sum(), Ordering::Relaxed);
            match self.sink.send(&bodies, &id).await {
                Reply::Items(items) => {
                    self.answered();
                    if let Some((accepted_batches, room)) = room.filter(|_| accepted_batches::is_accepted(&items)) {
                        return Answered::Accepted { request: id, sends: attempt as u64 + 1, accepted_batches, room };
                    }
                    return Answered::Items { items, sure: last.is_none() };
                }
                Reply::Refused { reason, answer, sure } => {
                    self.answered();
                    return Answered::Refused { reason, answer, sure: sure && last.is_none() };
                }
                Reply::Stop { reason, help } => {
                    self.stop(reason.clone(), help);
                    return Answered::Pending(Some(reason));
                }
                Reply::Later { reason, after } => {
                    tracing::info!(sink = self.config.name, reason, attempt, "to be sent again");
                    let pause = self.failed(&reason, after, attempt);
                    last = Some(reason);
                    if attempt >= retries {
                        break;
                    }
                    let until = Instant::now() + pause;
                    while Instant::now() < until && !self.is_ending() && self.closed().is_none() {
                        self.pause(until, self.changed.notified()).await;
                    }
                }
            }
        }
        Answered::Pending(last)
    }

    /// Sends a batch, and splits it if it is refused.
    async fn deliver(&self, batch: Vec<Item>, ledger: &Ledger) {
        let mut parts = vec![(batch, true)];
        while let Some((mut part, was_sure)) = parts.pop() {
            if ledger.is_broken() {
                self.stop("the state can't be written".to_owned(), String::new());
            }
            let outcomes = match self.request(&part, ledger).await {
                Answered::Accepted { request, sends, accepted_batches, room } => {
                    let events = part.into_iter().map(|item| (item.tracker, item.number)).collect();
                    accepted_batches.push(request, Accepted { events, sends, since: Instant::now(), room });
                    continue;
                }
                Answered::Items { items, sure } => {
                    items.into_iter().map(|item| outcome(item, sure && was_sure)).collect()
                }
                Answered::Refused { sure, .. } if part.len() > 1 => {
                    let tail = part.split_off(part.len() / 2);
                    parts.push((tail, sure && was_sure));
                    parts.push((part, sure && was_sure));
                    continue;
                }
                Answered::Refused { reason, answer, sure } => {
                    let sure = sure && was_sure;
                    vec![Outcome::Failed { stage: "destination", reason, answer: Some(answer), sure }]
                }
                Answered::Pending(reason) => vec![Outcome::Pending(reason); part.len()],
            };
            self.conclude(part.into_iter().map(|item| item.tracker), outcomes, ledger).await;
        }
    }

    /// Records the outcomes of items.
    pub(super) async fn conclude(
        &self,
        items: impl IntoIterator<Item = Arc<Tracker>>,
        outcomes: Vec<Outcome>,
        ledger: &Ledger,
    ) {
        let mut settles = Vec::with_capacity(outcomes.len());
        for (tracker, outcome) in items.into_iter().zip(outcomes) {
            self.note(&tracker.row, &outcome);
            settles.extend(tracker.done(outcome));
        }
        ledger.settle(settles).await;
    }

    /// Receives items until the channel is closed, and sends them.
    pub async fn run(self: Arc<Self>, mut items: mpsc::Receiver<Item>, ledger: Ledger) {
        let places = Arc::new(Semaphore::new(self.config.pace.concurrency));
        let Pace { batch, batch_bytes, .. } = self.config.pace;
        let mut batcher = Batcher::new(batch, batch_bytes.saturating_sub(AROUND));
        let mut tasks = JoinSet::new();
        let settling = self
            .accepted_batches
            .is_some()
            .then(|| tokio::spawn(accepted_batches::settle(self.clone(), ledger.clone())));
        while let Some(item) = items.recv().await {
            let full = match self.sink.is_alone(&item.body) {
                true => vec![vec![item]],
                false => {
                    let (route, bytes) = (self.sink.route(&item.body).to_vec(), item.body.len());
                    batcher.push(&route, bytes, item)
                }
            };
            for batch in full {
                self.clone().start(batch, &places, &mut tasks, &ledger).await;
            }
            while tasks.try_join_next().is_some() {}
        }
        for batch in batcher.rest() {
            self.clone().start(batch, &places, &mut tasks, &ledger).await;
        }
        while tasks.join_next().await.is_some() {}
        if let (Some(accepted_batches), Some(settling)) = (&self.accepted_batches, settling) {
            accepted_batches.finish();
            let _ = settling.await;
        }
    }

    /// Starts sending a batch, once a concurrency permit is free.
    async fn start(
        self: Arc<Self>,
        batch: Vec<Item>,
        places: &Arc<Semaphore>,
        tasks: &mut JoinSet<()>,
        ledger: &Ledger,
    ) {
        let place = places.clone().acquire_owned().await;
        let ledger = ledger.clone();
        tasks.spawn(async move {
            self.deliver(batch, &ledger).await;
            drop(place);
        });
    }
}

/// The answer to a batch. `sure` is false if an earlier try got no answer: the destination may have the rows although
/// it rejects them now.
enum Answered<'a> {
    /// The results of the items are reported later.
    Accepted {
        request: String,
        sends: u64,
        accepted_batches: &'a AcceptedBatches,
        room: Room,
    },
    Items {
        items: Vec<ItemAnswer>,
        sure: bool,
    },
    Refused {
        reason: String,
        answer: String,
        sure: bool,
    },
    Pending(Option<String>),
}

fn outcome(answer: ItemAnswer, sure: bool) -> Outcome {
    match answer {
        ItemAnswer::Accepted => Outcome::Sent,
        ItemAnswer::Rejected { reason, answer } => {
            Outcome::Failed { stage: "destination", reason, answer: Some(answer), sure }
        }
    }
}
