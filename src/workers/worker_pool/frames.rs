//! Handles and validates the frames of workers.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{PoolEvent, WorkerPool};
use crate::wire::frame::{GivenBack, Kind, Part};
use crate::workers::RunError;
use crate::workers::process::Ready;
use crate::workers::work_queue::Output;
use sluicegate_engine::Export;

impl WorkerPool {
    /// Handles a frame. An invalid frame ends the worker and has no other effect.
    pub(super) fn frame(&mut self, index: usize, kind: Kind, payload: &[u8]) -> Result<PoolEvent, RunError> {
        if self.workers[index].condemned {
            return Ok(PoolEvent::Nothing);
        }
        match kind {
            // Sent once, before any other frame.
            Kind::Ready if !self.workers[index].ready => match serde_json::from_slice(payload) {
                Ok(Ready::Loaded(loaded, report)) => {
                    self.failed_starts = 0;
                    self.loaded_once = true;
                    self.export = loaded.export;
                    self.workers[index].ready = true;
                    self.workers[index].last_progress = Instant::now();
                    self.workers[index].last_report = Instant::now();
                    Ok(PoolEvent::Loaded(Box::new((loaded, report))))
                }
                // The same code has loaded before, so this failure has an external cause, such as too little CPU time.
                Ok(Ready::Failed(error)) if !self.loaded_once => Err(error.into()),
                failed => {
                    self.load_failure = match failed {
                        Ok(Ready::Failed(error)) => Some(error.to_string()),
                        _ => None,
                    };
                    self.workers[index].condemn();
                    Ok(PoolEvent::Nothing)
                }
            },
            Kind::Part => self.part(index, payload),
            Kind::GiveBack => self.given_back(index, payload),
            Kind::Waits => {
                let worker = &mut self.workers[index];
                worker.waits = true;
                worker.units.iter_mut().for_each(|unit| drop(unit.turn.take()));
                Ok(PoolEvent::Nothing)
            }
            _ => {
                self.workers[index].condemn();
                Ok(PoolEvent::Nothing)
            }
        }
    }

    /// Books the lines of a unit that a worker has answered.
    fn part(&mut self, index: usize, payload: &[u8]) -> Result<PoolEvent, RunError> {
        let worker = &mut self.workers[index];
        let good = Part::get(payload).filter(|part| {
            let fits = part.bytes <= self.layout.output_slot as u64
                && (part.slot as usize) < self.layout.output_slots
                && worker.slots_out < self.layout.output_slots;
            fits && worker.units.iter().any(|unit| unit.id == part.unit)
        });
        let Some(part) = good else {
            worker.condemn();
            return Ok(PoolEvent::Nothing);
        };
        let (unit, bytes, holds_slot) = (part.unit, part.bytes, part.holds_slot());
        let (repeated, requests) = (part.repeated, part.requests);
        let cpu = Duration::from_nanos(part.cpu);
        let cost = cpu / part.lines.max(1);
        let memory = &worker.process.output;
        let start = self.layout.output_start(part.slot as usize);
        // A slot whose part has no failures and no logs is freed at once after a copy. A server copies
        // the output itself.
        let alone = bytes > 0 && part.failures.is_empty() && part.logs.is_empty();
        let copy = if alone && self.limiter.is_none() { self.copies.copy(memory, start, bytes as usize) } else { None };
        let fits = self.units.get(unit).is_some_and(|unit| {
            let Some(lines) = &unit.lines else { return false };
            let output = match &copy {
                Some(copy) => copy.bytes(),
                // SAFETY: the range was just checked to lie in the slot. A worker writes to a slot only until it
                // reports it. A compromised worker may write later anyway, see `Writer::answer`.
                None => unsafe { std::slice::from_raw_parts(memory.at(start, bytes as usize), bytes as usize) },
            };
            self.format.fits(&part, lines, unit.answered, output)
        });
        let copied = copy.is_some();
        let (output, slot) = (copy.map_or_else(|| Output::Slot(memory.clone()), Output::Checked), part.slot);
        if !fits || !self.units.answer(part, output, index, worker.generation) {
            worker.condemn();
            return Ok(PoolEvent::Nothing);
        }
        // At most the number of sent requests: the worker's number is not trusted.
        let open = worker.sent_requests.load(Ordering::Relaxed).saturating_sub(worker.accounted);
        let repeated = repeated.min(open);
        worker.accounted += repeated + requests.min(open - repeated);
        worker.fresh = false;
        worker.may_give_back = true;
        worker.last_progress = Instant::now();
        worker.last_report = worker.last_progress;
        self.cost = Some(self.cost.map_or(cost, |before| (before * 7 + cost) / 8));
        if let Some(account) = &self.account {
            // The shortest time that this program needs in one turn.
            let at_once = if self.export == Export::Batch { cpu.max(cost) } else { cost };
            account.charge(cpu, at_once);
        }
        if self.units.is_done(unit) {
            worker.units.retain(|other| other.id != unit);
        }
        if holds_slot {
            worker.slots_out += 1;
            // If an earlier unit turns out to be slow, this worker can take the rest of it only if it has a free slot.
            let short = self.ordered && worker.slots_out + 1 >= self.layout.output_slots;
            if copied || short && self.units.set_aside(unit, &self.layout).is_some() {
                self.tell_free(index, slot);
            }
        }
        self.repeat(repeated);
        Ok(PoolEvent::Answered)
    }

    /// Takes back lines that a worker will not run.
    fn given_back(&mut self, index: usize, payload: &[u8]) -> Result<PoolEvent, RunError> {
        let (worker, units) = (&mut self.workers[index], &mut self.units);
        let may = std::mem::take(&mut worker.may_give_back);
        let list = GivenBack::get(payload).filter(|_| may);
        let good = list.is_some_and(|list| {
            list.iter().all(|GivenBack { unit, from }| {
                let has = worker.units.iter().any(|mine| mine.id == *unit);
                has && units.give_back(*unit, *from)
            })
        });
        if !good {
            worker.condemn();
        }
        worker.units.retain(|unit| !units.is_done(unit.id));
        // Other lines may have been answered meanwhile.
        Ok(PoolEvent::Answered)
    }

    /// Counts requests that are sent again.
    pub(super) fn repeat(&mut self, requests: u64) {
        if requests > 0 {
            self.losses.repeated += requests;
            if let Some(client) = &self.network {
                client.stats().repeated.inc_by(requests);
            }
        }
    }
}
