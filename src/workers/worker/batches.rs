//! Batches in flight: the lines of a batch wait together, and are reported one by one like other lines.

use std::cell::OnceCell;
use std::io;

use super::Worker;
use super::in_flight::Finished;
use super::output_format::output_framing;
use crate::wire::frame::Work;
use sluicegate_engine::verdict::Verdict;
use sluicegate_engine::{BatchStep, Event, OutputFraming, Settled, Ticket, Verdicts};

/// The event of a line, and the parts of the line around it.
type FramedEvent<'b> = (Event<'b>, (&'b [u8], &'b [u8]));

impl Worker {
    /// Starts the lines of a batch.
    pub(super) fn start_chunk(&mut self, work: Work, number: u32, lines: &[&'static [u8]]) -> io::Result<()> {
        self.note(work, number);
        let first = self.in_flight.next_place();
        let wholes: Vec<OnceCell<Vec<u8>>> = lines.iter().map(|_| OnceCell::new()).collect();
        let mut events: Vec<(u64, FramedEvent<'_>)> = Vec::with_capacity(lines.len());
        for (index, (&line, whole)) in lines.iter().zip(&wholes).enumerate() {
            let place = first + index as u64;
            self.in_flight.wait(work, number + index as u32, line);
            match self.event(line, whole) {
                Ok(Some(event)) => events.push((place, event)),
                Ok(None) => self.finished(place, Finished::not_run(Verdict::Dropped, true)),
                Err(failure) => self.finished(place, Finished::not_run(failure.into(), false)),
            }
        }
        let ticket = Ticket(work.unit, number);
        self.batch_step(ticket, &events, |worker, events, framing| worker.engine.start_batch(ticket, events, framing));
        // The turn may have settled other events, or the watchdog may have passed it to an event that ran too long.
        self.take_settled()
    }

    /// Formats the results of a batch that no longer waits.
    pub(super) fn finish_batch(&mut self, settled: Settled) {
        let ticket = settled.ticket;
        let Some(place) = self.in_flight.places.remove(&(ticket.0, ticket.1)) else { return };
        self.with_batch(place, |worker, events| {
            worker.batch_step(ticket, events, |worker, events, framing| {
                worker.engine.finish_batch(settled, events, framing)
            });
        });
    }

    /// Runs a batch again, or one line of it alone.
    pub(super) fn run_batch_again(&mut self, place: u64, ticket: Ticket, alone: bool) {
        self.with_batch(place, |worker, events| {
            worker.batch_step(ticket, events, |worker, events, framing| {
                if !alone {
                    return worker.engine.start_batch(ticket, events, framing);
                }
                let Some(verdicts) = worker.engine.run_batch(events, framing) else { return BatchStep::RunAlone };
                verdicts.iter().for_each(|(verdict, _)| worker.acquit_others(verdict));
                BatchStep::Done(verdicts)
            });
        });
    }

    /// Calls `act` with the waiting events of a batch and the places of their lines.
    fn with_batch(&mut self, place: u64, act: impl FnOnce(&mut Self, &[(u64, FramedEvent<'_>)])) {
        let lines = self.in_flight.batch(place);
        let wholes: Vec<OnceCell<Vec<u8>>> = lines.iter().map(|_| OnceCell::new()).collect();
        let mut events: Vec<(u64, FramedEvent<'_>)> = Vec::with_capacity(lines.len());
        for ((place, line), whole) in lines.iter().zip(&wholes) {
            // Lines that are not events already have their verdicts.
            if let Ok(Some(event)) = self.event(line, whole) {
                events.push((*place, event));
            }
        }
        act(self, &events);
    }

    /// Runs one step of the engine on these events and handles the result.
    fn batch_step<'b>(
        &mut self,
        ticket: Ticket,
        events: &[(u64, FramedEvent<'b>)],
        step: impl FnOnce(&mut Self, &[Event<'b>], &mut dyn FnMut(usize) -> OutputFraming<'b>) -> BatchStep,
    ) {
        let (emit, rows) = (self.emit, self.rows);
        let list: Vec<Event<'b>> = events.iter().map(|(_, (event, _))| *event).collect();
        let step = step(self, &list, &mut |index| output_framing(emit, rows, events[index].1.1));
        let mut places = events.iter().map(|(place, _)| *place);
        match step {
            BatchStep::Done(verdicts) => self.finished_batch(places, verdicts),
            BatchStep::RunAlone => {
                for place in places {
                    self.in_flight.waits_with(place, 1);
                    self.in_flight.again.push_back((place, false));
                }
            }
            BatchStep::Waits(faults) => {
                for (index, failure) in faults {
                    self.finished(events[index].0, Finished::not_run(failure.into(), false));
                }
                // The lines before the first waiting line may be reported and then dropped.
                let end = events.last().map_or(0, |(place, _)| place + 1);
                if let Some(place) = places.find(|place| self.in_flight.is_waiting(*place)) {
                    self.in_flight.waits_with(place, (end - place) as u32);
                    self.in_flight.places.insert((ticket.0, ticket.1), place);
                }
            }
        }
    }

    /// Records the verdicts of a batch.
    fn finished_batch(&mut self, places: impl Iterator<Item = u64>, verdicts: Verdicts) {
        // Logs and requests belong to the whole batch; they are reported with its first event.
        let (mut logs, mut requests) = (self.engine.logs().to_vec(), self.engine.requests());
        let mut read = self.engine.unsafe_read();
        for (index, (place, (verdict, text))) in places.zip(verdicts).enumerate() {
            let (logs, requests) = (std::mem::take(&mut logs), std::mem::take(&mut requests));
            let unsafe_read = read.take_if(|read| read.index as usize == index);
            self.finished(place, Finished { verdict, text, logs, blank: false, requests, unsafe_read });
        }
    }
}
