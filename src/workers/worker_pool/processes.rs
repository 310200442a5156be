//! Worker processes: starts, monitors and replaces them, and decides which event is blamed when one dies.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;

use super::{Assigned, Worker, WorkerEvent, WorkerPool, patience};
use crate::wire::frame::MAX_PAYLOAD;
use crate::wire::shared::{note, progress};
use crate::workers::process::{Process, read_frame};
use crate::workers::worker_exit::ExitReason;
use crate::workers::{RunError, fetch_relay};
use sluicegate_engine::verdict::{Failure, FailureKind};

/// The number of workers that may be killed from outside while an event runs alone, before that event is blamed.
const PATIENCE_WITH_KILLS: u32 = 4;

/// The most workers that may die in a row before they are ready.
const MAX_FAILED_STARTS: u32 = 3;

/// The same, if they were killed from outside.
const MAX_KILLED_STARTS: u32 = 30;

impl WorkerPool {
    pub(super) async fn spawn(
        &mut self,
        of: Option<usize>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), RunError> {
        // Only a pool's first worker is forked. A replacement for a dead worker needs another address layout. And if
        // there is work for several workers, background optimization of their code pays off, which V8 does not do in
        // a forked process.
        let prepared =
            self.limiter.as_ref().and_then(|limiter| limiter.prepared.as_ref()).filter(|_| self.generations == 0);
        let (process, mut reader) = Process::spawn(&self.start, &self.layout, &self.input_fd, prepared)
            .await
            .map_err(|error| RunError::Start(error.to_string()))?;
        self.generations += 1;
        let generation = self.generations;
        let index = of.unwrap_or(self.workers.len());
        let tell = self.tell.clone();
        let session = self.network.as_ref().map(|client| fetch_relay::session(client, &process));
        let sent_requests = session.as_ref().map(crate::net::Session::sent_requests).unwrap_or_default();
        tokio::spawn(async move {
            while let Some((kind, payload)) = read_frame(&mut reader, MAX_PAYLOAD).await {
                if fetch_relay::take(session.as_ref(), kind, &payload) {
                    continue;
                }
                if !tell(WorkerEvent::Frame { worker: index, generation, kind, payload }) {
                    return;
                }
            }
            tell(WorkerEvent::Gone { worker: index, generation });
        });
        let worker = Worker {
            process,
            generation,
            ready: false,
            fresh: true,
            units: VecDeque::new(),
            waits: false,
            reserved: None,
            slots_out: 0,
            events: 0,
            last_progress: Instant::now(),
            last_report: Instant::now(),
            hung: false,
            may_give_back: false,
            condemned: false,
            resting: false,
            permit,
            sent_requests,
            accounted: 0,
        };
        match of {
            Some(index) => self.workers[index] = worker,
            None => self.workers.push(worker),
        }
        Ok(())
    }

    /// Handles several workers in a row that died before they loaded the code. If a worker has loaded it before, only
    /// the events that waited for this worker fail.
    async fn cannot_start(&mut self, index: usize, message: String) -> Result<(), RunError> {
        if !self.loaded_once {
            return Err(RunError::Start(message));
        }
        self.failed_starts = 0;
        self.losses.deaths += 1;
        let is_last = !self.workers.iter().any(|worker| worker.ready);
        let reserved = self.workers[index].reserved.take();
        if let Some(key) = reserved.or_else(|| self.units.next_todo().filter(|_| is_last)) {
            let message = format!("no worker could be started for the event: {message}");
            self.units.fail(key, &Failure::new(FailureKind::Crashed, message));
        }
        self.workers[index].resting = true;
        self.workers[index].permit = None;
        self.wake_resting().await
    }

    /// Tries again to start the workers that could not be started, if there is work for them.
    pub(super) async fn wake_resting(&mut self) -> Result<(), RunError> {
        for index in 0..self.workers.len() {
            if self.workers[index].resting
                && self.units.next_todo().is_some()
                && let Some(permit) = self.worker_permit()
            {
                self.spawn(Some(index), permit).await?;
            }
        }
        Ok(())
    }

    /// Kills workers that make no progress although they have work and room for its output.
    pub(in crate::workers) fn look_after_workers(&mut self) {
        let patience = patience(&self.limits, self.export);
        for worker in &mut self.workers {
            let events = progress(&worker.process.output).events.load(Ordering::Acquire);
            let waits = worker.units.is_empty() && worker.ready || worker.slots_out == self.layout.output_slots;
            if waits {
                worker.last_report = Instant::now();
            }
            if events != worker.events || waits {
                worker.events = events;
                worker.last_progress = Instant::now();
            }
            // A worker counts its events itself, so a compromised worker could count forever. A correct worker
            // reports its events every few milliseconds, and after each event that takes longer, which is
            // attempted at most twice.
            let silent = worker.last_report.elapsed() > 3 * patience;
            if worker.resting {
                continue;
            }
            if (silent || worker.last_progress.elapsed() > patience) && !worker.hung {
                worker.hung = true;
                worker.process.kill();
            }
        }
    }

    /// Handles the end of a worker: returns its unanswered lines to the queue and starts a replacement.
    pub(super) async fn handle_exit(&mut self, index: usize) -> Result<(), RunError> {
        let exit = self.workers[index].process.end().await;
        // Code that has escaped from V8 controls how its process ends. Only a kill from outside is
        // certainly not its doing.
        let killed = exit.reason == ExitReason::Killed && !self.workers[index].condemned;
        if !killed
            && self.workers[index].process.was_forked()
            && let Some(prepared) = self.limiter.as_ref().and_then(|limiter| limiter.prepared.as_ref())
        {
            prepared.renew();
        }
        let worker = &mut self.workers[index];
        if !worker.ready {
            self.failed_starts += 1;
            let from_outside = exit.reason == ExitReason::Killed && !worker.hung && !worker.condemned;
            let max = if from_outside { MAX_KILLED_STARTS } else { MAX_FAILED_STARTS };
            if self.failed_starts >= max {
                let message = self.load_failure.take().unwrap_or_else(|| exit.while_loading());
                return self.cannot_start(index, message).await;
            }
        }
        self.losses.deaths += 1;
        self.losses.hangs += u64::from(worker.hung);
        let page = progress(&worker.process.output);
        let (unit, line) = (page.unit.load(Ordering::Acquire), u64::from(page.line.load(Ordering::Acquire)));
        let stuck = page.note.load(Ordering::Acquire) == note::STUCK;
        let out_of_memory = exit.reason == ExitReason::OutOfMemory;
        let hung = worker.hung;
        self.losses.memory += u64::from(out_of_memory && !hung);
        self.losses.stuck += u64::from(stuck && !out_of_memory && !hung);
        // Its events without a verdict will send their requests again.
        let open = worker.sent_requests.load(Ordering::Relaxed).saturating_sub(worker.accounted);
        let open = if worker.units.is_empty() { 0 } else { open };
        let mut alone = worker.reserved.take();
        // With waiting events, several units can be under way. If the record names none of them, the first is suspect.
        let suspect_unit = worker.units.iter().position(|assigned| assigned.id == unit).unwrap_or(0);
        let fresh = worker.fresh;
        for (place, Assigned { id, .. }) in std::mem::take(&mut worker.units).into_iter().enumerate() {
            let Some(entry) = self.units.get(id) else { continue };
            let (answered, solo) = (entry.answered, entry.solo);
            // No event can send this signal or stop the whole process, so it most likely came from outside. Only an
            // event that meets it repeatedly is blamed: the kernel may be short of memory because of that event.
            let from_outside = !out_of_memory && (hung || exit.reason == ExitReason::Killed);
            let innocent = from_outside && entry.deaths < PATIENCE_WITH_KILLS;
            // Only the unit with the recorded line can have killed the worker.
            let is_suspect = place == suspect_unit;
            let hint = is_suspect.then(|| if unit == id { line.max(answered) } else { answered });
            let limits = &self.limits;
            let blame = match () {
                () if !is_suspect => None,
                () if stuck && unit == id => Some(Failure::new(
                    FailureKind::Timeout,
                    format!(
                        "the event took more than {} of CPU time and could only be stopped with its process",
                        humantime::format_duration(limits.cpu)
                    ),
                )),
                () if !(solo && fresh) || innocent => None,
                () if hung => Some(Failure::new(
                    FailureKind::Timeout,
                    "the event hung its worker process, every time, and could only be stopped with it",
                )),
                () if out_of_memory => Some(Failure::new(
                    FailureKind::Memory,
                    format!(
                        "the event needed far more than {} MiB of heap: its worker process died",
                        limits.heap >> 20
                    ),
                )),
                () => Some(Failure::new(
                    FailureKind::Crashed,
                    format!("the event killed its worker process, twice ({exit})"),
                )),
            };
            let suspect = self.units.put_back(id, hint, blame);
            alone = alone.or(suspect);
        }
        self.repeat(open);
        let permit = self.workers[index].permit.take();
        self.spawn(Some(index), permit).await?;
        self.workers[index].reserved = alone;
        Ok(())
    }
}
