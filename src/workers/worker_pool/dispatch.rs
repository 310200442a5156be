//! Decides which worker gets which unit, and when another worker is started.

use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::{Assigned, SLOW_EVENT, TICK, Worker, WorkerEvent, WorkerPool};
use crate::wire::frame::{self, Kind, Work};
use crate::wire::lines::{FILL, Lines};
use crate::wire::shared::PAGE;
use crate::workers::RunError;
use crate::workers::turns::Turn;
use crate::workers::work_queue::{Key, WorkQueue};
use sluicegate_engine::Export;

/// The target time of a unit, estimated from earlier events. Units of cheap events reach other limits first.
const UNIT_TIME: Duration = Duration::from_millis(16);

/// The assumed cost of an event while the first events wait for the network and none is measured.
const USUAL_COST: Duration = Duration::from_micros(32);

/// Work that takes this long justifies another worker process: starting one takes about as long.
const WORTH_A_WORKER: Duration = Duration::from_millis(15);

/// If no worker has answered for this long, the events must be slow.
const SILENCE: Duration = Duration::from_millis(20);

impl WorkerPool {
    /// Gives units to workers that have room, and starts more workers while there is enough work.
    pub(in crate::workers) async fn dispatch(&mut self) -> Result<(), RunError> {
        self.wake_resting().await?;
        for index in 0..self.workers.len() {
            let worker = &mut self.workers[index];
            if worker.ready
                && worker.units.is_empty()
                && let Some(key) = worker.reserved.take()
            {
                self.give(index, key, None).await;
            }
        }
        while let Some(key) = self.units.next_todo() {
            let alone = |worker: &Worker, units: &WorkQueue| {
                worker.units.front().and_then(|unit| units.get(unit.id)).is_some_and(|unit| unit.solo)
            };
            // Lines that a dead worker left come before the units of other workers. Output slots become free in the
            // order of the input, so a unit must not wait behind a later one, nor for slots that later units hold.
            let in_turn = |worker: &Worker| {
                let last = worker.units.back().and_then(|unit| self.units.key(unit.id));
                worker.slots_out < self.layout.output_slots && last.is_none_or(|last| last < key)
            };
            let free = (0..self.workers.len())
                .filter(|index| {
                    let worker = &self.workers[*index];
                    worker.ready
                        && worker.reserved.is_none()
                        && worker.has_room(self.cost)
                        && !alone(worker, &self.units)
                        && in_turn(worker)
                })
                .min_by_key(|index| self.workers[*index].units.len());
            let Some(turn) = self.turn() else { break };
            let idle = free.is_some_and(|index| self.workers[index].units.is_empty());
            if !idle
                && self.is_pressing(key)
                && self.workers.len() < self.most_workers
                && self.workers.iter().all(|worker| worker.ready)
                && let Some(permit) = self.worker_permit()
            {
                self.spawn(None, permit).await?;
            }
            let Some(index) = free else { break };
            if let Some(most) = self.most_lines(index) {
                self.units.cut(key, most);
            }
            self.give(index, key, turn).await;
        }
        // No worker is free for this turn, and other programs may need it.
        self.turn = None;
        Ok(())
    }

    /// Returns the most lines in the next unit of a worker; `None` for no limit.
    fn most_lines(&self, index: usize) -> Option<u64> {
        let lines = match self.cost {
            Some(cost) => (UNIT_TIME.as_nanos() / cost.as_nanos().max(1)).clamp(1, u128::from(u32::MAX)) as u64,
            None if self.workers[index].waits => (UNIT_TIME.as_nanos() / USUAL_COST.as_nanos()) as u64,
            // The first unit is small, because its events may be slow.
            None => 1,
        };
        match self.export {
            // Variables of the code are only kept within one unit.
            _ if self.fresh_state => None,
            Export::Event => Some(lines),
            Export::Batch => self.batch.map(|batch| lines.next_multiple_of(batch)),
        }
    }

    /// Returns whether there is enough work for another worker process. While the cost of the events is unknown, a
    /// worker that does not answer for a while counts as enough work.
    fn is_much(&self) -> bool {
        let silent =
            self.workers.iter().any(|worker| !worker.units.is_empty() && worker.last_report.elapsed() >= SILENCE);
        let lines = || u32::try_from(self.units.lines_to_do()).unwrap_or(u32::MAX);
        silent
            || self.units.bytes_to_do() >= FILL / 4
            || self.cost.is_some_and(|cost| cost.saturating_mul(lines()) >= WORTH_A_WORKER)
    }

    /// Returns whether the unit justifies another worker while all are busy. A pool that shares the processes with
    /// other pools does not start one for the rest of a request that a worker has begun, unless the rest is large.
    fn is_pressing(&self, key: Key) -> bool {
        let input = |lines: &Lines| lines.input;
        let next = self.units.at(key).map(input);
        let mut assigned = self.workers.iter().flat_map(|worker| &worker.units);
        let another =
            assigned.any(|unit| self.units.get(unit.id).and_then(|unit| unit.lines.as_ref()).map(input) != next);
        match self.limiter {
            None => self.is_much(),
            Some(_) => {
                let slow = self.cost.is_some_and(|cost| cost >= SLOW_EVENT);
                another || self.units.bytes_to_do() >= FILL || slow && self.is_much()
            }
        }
    }

    /// Returns whether another worker may be started. The inner permit is kept with the worker.
    pub(super) fn worker_permit(&mut self) -> Option<Option<OwnedSemaphorePermit>> {
        let Some(limiter) = &self.limiter else { return Some(None) };
        let permit = limiter.processes.clone().try_acquire_owned().ok();
        if permit.is_none()
            && self.last_shortage.is_none_or(|since| since.elapsed() > TICK)
            && let Some(make_room) = limiter.on_shortage.get()
        {
            // Freeing a permit takes a moment; a later call will get it.
            self.last_shortage = Some(Instant::now());
            make_room();
        }
        permit.map(Some)
    }

    /// Ends all idle workers except the first, which releases unused memory.
    pub(in crate::workers) async fn trim(&mut self) {
        while self.workers.len() > 1
            && self.workers.last().is_some_and(|last| last.ready && last.units.is_empty() && last.slots_out == 0)
            && let Some(mut last) = self.workers.pop()
        {
            last.process.end().await;
        }
        let mut out = Vec::new();
        frame::put(&mut out, Kind::Trim, |_| {});
        for worker in self.workers.iter_mut().filter(|worker| worker.ready) {
            worker.process.send(&out);
            worker.process.output.forget(PAGE, self.layout.output_slot * self.layout.output_slots);
        }
    }

    /// Returns a turn if another unit may be handed out. If not, the pool receives an event when it may.
    fn turn(&mut self) -> Option<Option<Turn>> {
        let Some(account) = &self.account else { return Some(None) };
        if let Some(turn) = self.turn.take().or_else(|| account.try_take()) {
            return Some(Some(turn));
        }
        if !self.asked_for_turn {
            self.asked_for_turn = true;
            let tell = self.tell.clone();
            account.ask(move |turn| {
                tell(WorkerEvent::Turn(turn));
            });
        }
        None
    }

    /// Waits until another worker may work; `None` if turns are not limited.
    pub(in crate::workers) async fn wait_for_turn(&self) -> Option<Turn> {
        match &self.account {
            Some(account) => account.take().await,
            None => None,
        }
    }

    pub(super) async fn give(&mut self, index: usize, key: Key, turn: Option<Turn>) {
        let Some(unit) = self.units.take(key) else { return };
        let Some(lines) = &unit.lines else { return };
        let work =
            Work { unit: unit.id, offset: lines.start as u64, len: lines.len as u64, first_line: lines.first_line };
        let mut out = std::mem::take(&mut self.frame);
        out.clear();
        work.put(&mut out);
        let worker = &mut self.workers[index];
        if worker.units.is_empty() {
            worker.last_progress = Instant::now();
            worker.last_report = worker.last_progress;
        }
        worker.waits = false;
        worker.units.push_back(Assigned { id: work.unit, turn });
        worker.process.send(&out);
        self.frame = out;
    }
}
