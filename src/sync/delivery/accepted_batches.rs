//! Batches that a destination has accepted and whose results it reports later.
//!
//! Their rows are not settled until the results arrive, so a run that is killed meanwhile leaves them to be sent again.
//! The number of waiting events is limited: at the limit nothing is sent until the destination has reported more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::super::ledger::{Ledger, Outcome};
use super::super::sink::http::Endpoint;
use super::super::sink::rudder::retl::{Failed, MAX_TASKS, Progress, Retl, record_id};
use super::super::sink::{ItemAnswer, Reply};
use super::{Channel, Tracker};

/// The most events that wait for results.
const MAX_EVENTS: usize = 100_000;

/// Batches that wait for results.
pub struct AcceptedBatches {
    room: Arc<Semaphore>,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    /// Batches by request id.
    waiting: HashMap<String, Accepted>,
    /// Whether no more batches come.
    is_last: bool,
}

/// Room for a batch.
pub struct Room(#[expect(dead_code, reason = "it is held")] Option<OwnedSemaphorePermit>);

/// An accepted batch.
pub struct Accepted {
    /// Its events: the tracker of the row, and the number of the output.
    pub events: Vec<(Arc<Tracker>, usize)>,
    /// How often the batch may have arrived. The destination counts each event that many times.
    pub sends: u64,
    /// When it was accepted.
    pub since: Instant,
    /// The room it takes, until it is dropped.
    #[expect(dead_code, reason = "it is held")]
    pub room: Room,
}

impl AcceptedBatches {
    /// Creates an empty set of batches.
    pub fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(MAX_EVENTS)), inner: Mutex::default(), changed: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds this")
    }

    /// Waits for room for this many events.
    pub async fn room(&self, events: usize) -> Room {
        // The semaphore is never closed.
        Room(self.room.clone().acquire_many_owned(events.min(MAX_EVENTS) as u32).await.ok())
    }

    /// Adds a batch that was accepted in the request with this id.
    pub fn push(&self, request: String, accepted: Accepted) {
        self.inner().waiting.insert(request, accepted);
        self.changed.notify_one();
    }

    /// Records that no more batches come.
    pub fn finish(&self) {
        self.inner().is_last = true;
        self.changed.notify_one();
    }

    /// Waits for a batch; returns `false` if there is none and none will come.
    async fn some(&self) -> bool {
        loop {
            {
                let inner = self.inner();
                if !inner.waiting.is_empty() {
                    return true;
                }
                if inner.is_last {
                    return false;
                }
            }
            // A notification sent before this call is stored, so it is not missed.
            self.changed.notified().await;
        }
    }

    fn requests(&self) -> Vec<String> {
        self.inner().waiting.keys().cloned().collect()
    }

    fn events_of(&self, request: &str) -> usize {
        self.inner().waiting.get(request).map_or(0, |accepted| accepted.events.len())
    }

    fn take(&self, request: &str) -> Option<Accepted> {
        self.inner().waiting.remove(request)
    }

    /// Removes and returns the batches for which `is_wanted` holds.
    fn take_all(&self, is_wanted: impl Fn(&Accepted) -> bool) -> Vec<Accepted> {
        self.inner().waiting.extract_if(|_, accepted| is_wanted(accepted)).map(|(_, accepted)| accepted).collect()
    }
}

/// Settles accepted batches until none is left. Batches stay without a result if the run ends, or if the destination
/// does not report in time.
pub async fn settle(channel: Arc<Channel>, ledger: Ledger) {
    let (Some(accepted_batches), Some((retl, endpoint))) = (&channel.accepted_batches, channel.sink.asks_later())
    else {
        return;
    };
    let pace = &channel.config.pace;
    let mut pause = pace.backoff;
    while accepted_batches.some().await {
        let ends = channel.is_ending();
        let asked = ask(&channel, &ledger, accepted_batches, retl, endpoint).await;
        let mut after = None;
        let left = match asked {
            Ok(true) => {
                pause = pace.backoff;
                None
            }
            Ok(false) => None,
            Err(Reply::Stop { reason, help }) => {
                channel.stop(reason.clone(), help);
                pend(&channel, &ledger, accepted_batches.take_all(|_| true), &reason).await;
                continue;
            }
            Err(Reply::Later { reason, after: asks }) => {
                after = asks;
                Some(reason)
            }
            Err(Reply::Refused { reason, .. }) => Some(reason),
            Err(Reply::Items(_)) => None,
        };
        let so_far = left.map(|reason| format!(": {reason}")).unwrap_or_default();
        if ends || ledger.is_broken() {
            let why = format!("the data plane has it; the run ended before it was known what came of it{so_far}");
            pend(&channel, &ledger, accepted_batches.take_all(|_| true), &why).await;
            continue;
        }
        let timeout = retl.status_timeout;
        let late = accepted_batches.take_all(|accepted| accepted.since.elapsed() >= timeout);
        if !late.is_empty() {
            let time = humantime::format_duration(timeout);
            let why = format!("the data plane has it, and did not say within {time} what came of it{so_far}");
            channel.give_up(why.clone());
            pend(&channel, &ledger, late, &why).await;
        }
        if accepted_batches.inner().waiting.is_empty() {
            pause = pace.backoff;
            continue;
        }
        channel
            .pause(Instant::now() + pause.max(after.unwrap_or(Duration::ZERO)).min(timeout), std::future::pending())
            .await;
        pause = (pause * 2).min(pace.max_backoff);
    }
}

/// Records that the rows of these batches have no result.
async fn pend(channel: &Channel, ledger: &Ledger, batches: Vec<Accepted>, why: &str) {
    for batch in batches {
        let outcomes = vec![Outcome::Pending(Some(why.to_owned())); batch.events.len()];
        channel.conclude(batch.rows(), outcomes, ledger).await;
    }
}

/// Asks once about all waiting batches, and settles the complete ones. Returns whether any was settled. If the data
/// plane does not say which records of one request have failed, only that request keeps waiting.
async fn ask(
    channel: &Channel,
    ledger: &Ledger,
    accepted_batches: &AcceptedBatches,
    retl: &Retl,
    endpoint: &Endpoint,
) -> Result<bool, Reply> {
    let requests = accepted_batches.requests();
    let (mut any, mut not_said) = (false, None);
    for requests in requests.chunks(MAX_TASKS) {
        let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
        let progress = retl.progress(endpoint, &requests).await?;
        let mut done = Vec::new();
        for (request, progress) in requests.into_iter().zip(progress).filter(|(_, progress)| progress.is_complete) {
            let failed = match progress.failed + progress.dropped {
                0 => None,
                _ => match retl.failed(endpoint, request, accepted_batches.events_of(request)).await {
                    Ok(failed) => Some(failed),
                    Err(reply @ Reply::Later { .. }) => {
                        not_said.get_or_insert(reply);
                        continue;
                    }
                    Err(reply) => return Err(reply),
                },
            };
            if let Some(batch) = accepted_batches.take(request) {
                let outcomes = outcomes(&batch, progress, failed.as_ref());
                channel.conclude(batch.rows(), outcomes, ledger).await;
            }
            done.push(request);
        }
        if !done.is_empty() && !ledger.is_broken() {
            any = true;
            retl.forget(endpoint, &done).await;
        }
    }
    not_said.map_or(Ok(any), Err)
}

impl Accepted {
    fn rows(self) -> impl Iterator<Item = Arc<Tracker>> {
        self.events.into_iter().map(|(tracker, _)| tracker)
    }
}

/// Returns the outcomes of the events of a complete batch.
fn outcomes(batch: &Accepted, progress: Progress, failed: Option<&Failed>) -> Vec<Outcome> {
    let Some(failed) = failed else { return vec![Outcome::Sent; batch.events.len()] };
    let code_of = |(tracker, number): &(Arc<Tracker>, usize)| match failed {
        Failed::Records(records) => records.get(&*record_id(tracker.key(), *number)).copied(),
        Failed::KeysNotRecorded => None,
    };
    let named = batch.events.iter().filter(|event| code_of(event).is_some()).count() as u64;
    let all_are_named = progress.dropped == 0 && progress.failed <= named * batch.sends;
    let (count, events) = (progress.failed + progress.dropped, batch.events.len());
    let of = |event: &(Arc<Tracker>, usize)| {
        let reason = match code_of(event) {
            Some(0) => "RudderStack could not deliver it to the destination".to_owned(),
            Some(code) => format!("RudderStack could not deliver it: the destination answered {code}"),
            None if all_are_named => return Outcome::Sent,
            None if matches!(failed, Failed::KeysNotRecorded) => format!(
                "RudderStack counts {count} failed events in its request of {events}, and this data plane does not keep which (RSERVER_ROUTER_FAILED_KEYS_ENABLED)"
            ),
            None => format!(
                "RudderStack counts {count} failed events in its request of {events}, and names {named}; it names none that it drops itself, and this may be one"
            ),
        };
        Outcome::Failed { stage: "destination", reason, answer: None, sure: false }
    };
    batch.events.iter().map(of).collect()
}

/// Returns whether the whole batch was accepted and so waits for results.
pub fn is_accepted(items: &[ItemAnswer]) -> bool {
    items.iter().all(|item| *item == ItemAnswer::Accepted)
}
