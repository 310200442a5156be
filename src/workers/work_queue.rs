//! The supervisor's record of all lines: where they are, which are answered, and which leave next.
//!
//! A unit is a run of lines that one worker answers in order. The queue keeps units in the order of the input, by batch
//! number and line within the batch. So a unit can be split when its worker dies, without other modules noticing. This
//! module does no I/O and reads no clock, so it can be tested completely.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::copies::PrivateCopy;
use crate::wire::frame::Part;
use crate::wire::lines::{Lines, Long};
use crate::wire::shared::{Layout, Mapping};
use sluicegate_engine::verdict::Failure;

/// The place of a unit in the input: the batch's number, and the line within it.
pub(super) type Key = (u64, u64);

/// The result of some lines, kept until it may leave.
pub(super) enum Chunk {
    /// A worker's answer about the lines of a unit from number `from` on, counted from 0.
    Answer { part: Part, lines: Lines, from: u64, output: Output, worker: usize, generation: u64 },
    /// A failure that the supervisor found: the line and the reason.
    Blamed { line: LineRef, failure: Failure },
}

/// Where an output is stored.
pub(super) enum Output {
    /// In the part's slot of the worker's memory, where it was checked.
    Slot(Arc<Mapping>),
    /// Copied after its check, because the slot was needed before the output could leave.
    Aside(Vec<u8>),
    /// Copied before its check.
    Checked(PrivateCopy),
}

impl Chunk {
    /// Returns the bytes that it occupies in the supervisor's own memory.
    fn aside(&self) -> usize {
        match self {
            Self::Answer { output: Output::Aside(bytes), .. } => bytes.len(),
            Self::Answer { .. } | Self::Blamed { .. } => 0,
        }
    }
}

/// A line, in the input region or in a file.
#[derive(Clone)]
pub(super) enum LineRef {
    Short(Lines),
    Long(Long),
}

/// Lines that one worker answers in order.
pub(super) struct Unit {
    /// Its number in frames.
    pub(super) id: u64,
    pub(super) lines: Option<Lines>,
    /// The number of its answered lines.
    pub(super) answered: u64,
    /// Whether it is a single line that must run alone in a fresh worker, because it may have killed the previous one.
    pub(super) solo: bool,
    /// The number of workers that died while it ran alone.
    pub(super) deaths: u32,
    chunks: VecDeque<Chunk>,
    done: bool,
}

/// All units that have not left yet.
#[derive(Default)]
pub(super) struct WorkQueue {
    by_key: BTreeMap<Key, Unit>,
    by_id: HashMap<u64, Key>,
    todo: BTreeSet<Key>,
    next_id: u64,
    next_batch: u64,
    /// The bytes of outputs in the supervisor's own memory.
    aside: usize,
}

/// The most bytes of outputs that are copied to the supervisor's own memory.
const MAX_ASIDE: usize = 16 << 20;

impl WorkQueue {
    /// Returns whether everything has left.
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Adds lines from the reader.
    pub(super) fn add_lines(&mut self, lines: Lines) {
        let key = (self.next_batch, 0);
        self.next_batch += 1;
        self.insert(key, lines, false);
    }

    /// Adds a line that is too long to transform.
    pub(super) fn add_long(&mut self, long: Long, failure: Failure) {
        let key = (self.next_batch, 0);
        self.next_batch += 1;
        let chunks = VecDeque::from([Chunk::Blamed { line: LineRef::Long(long), failure }]);
        self.by_key
            .insert(key, Unit { id: u64::MAX, lines: None, answered: 1, solo: false, deaths: 0, chunks, done: true });
    }

    fn insert(&mut self, key: Key, lines: Lines, solo: bool) {
        let id = self.next_id;
        self.next_id += 1;
        let unit = Unit { id, lines: Some(lines), answered: 0, solo, deaths: 0, chunks: VecDeque::new(), done: false };
        self.by_id.insert(id, key);
        self.by_key.insert(key, unit);
        self.todo.insert(key);
    }

    /// Returns the first unit that no worker has. Skips units that must run alone; they are taken by key.
    pub(super) fn next_todo(&self) -> Option<Key> {
        self.todo.iter().find(|key| !self.by_key[*key].solo).copied()
    }

    /// Returns the lines of the unit with this key.
    pub(super) fn at(&self, key: Key) -> Option<&Lines> {
        self.by_key.get(&key)?.lines.as_ref()
    }

    /// Returns the size of all units that no worker has, in bytes.
    pub(super) fn bytes_to_do(&self) -> usize {
        self.todo.iter().filter_map(|key| self.at(*key)).map(|lines| lines.len).sum()
    }

    /// Returns the number of lines in all units that no worker has.
    pub(super) fn lines_to_do(&self) -> u64 {
        self.todo.iter().filter_map(|key| self.at(*key)).map(|lines| lines.count).sum()
    }

    /// Splits a unit that no worker has: it keeps this many lines, and the rest becomes the next unit.
    pub(super) fn cut(&mut self, key: Key, keep: u64) {
        let Some(unit) = self.by_key.get_mut(&key) else { return };
        let Some(lines) = unit.lines.as_ref().filter(|lines| lines.count > keep) else { return };
        let rest = lines.part(keep, lines.count - keep);
        unit.lines = Some(lines.part(0, keep));
        self.insert((key.0, key.1 + keep), rest, false);
    }

    /// Takes back the lines of a unit, starting with number `from`, from its worker. Returns `false` if the worker
    /// does not have them.
    pub(super) fn give_back(&mut self, id: u64, from: u64) -> bool {
        let Some(key) = self.by_id.get(&id).copied() else { return false };
        let Some(unit) = self.by_key.get_mut(&key) else { return false };
        let Some(lines) = unit.lines.clone() else { return false };
        if from < unit.answered || from >= lines.count || unit.solo {
            return false;
        }
        if from == 0 {
            self.by_key.remove(&key);
            self.by_id.remove(&id);
            self.insert(key, lines, false);
            return true;
        }
        unit.lines = Some(lines.part(0, from));
        unit.done = unit.answered == from;
        self.insert((key.0, key.1 + from), lines.part(from, lines.count - from), false);
        true
    }

    /// Gives a unit to a worker.
    pub(super) fn take(&mut self, key: Key) -> Option<&Unit> {
        self.todo.remove(&key).then(|| &self.by_key[&key])
    }

    /// Returns the unit with this number.
    pub(super) fn get(&self, id: u64) -> Option<&Unit> {
        self.by_key.get(self.by_id.get(&id)?)
    }

    /// Returns the key of the unit with this number.
    pub(super) fn key(&self, id: u64) -> Option<Key> {
        self.by_id.get(&id).copied()
    }

    /// Books a worker's answer. Returns `false` if it does not match the unit. The worker then cannot be trusted.
    pub(super) fn answer(&mut self, part: Part, output: Output, worker: usize, generation: u64) -> bool {
        let Some(unit) = self.by_id.get(&part.unit).and_then(|key| self.by_key.get_mut(key)) else { return false };
        let Some(lines) = unit.lines.clone() else { return false };
        let (from, to) = (unit.answered, unit.answered + u64::from(part.lines));
        let inside = |line: u32| (from..to).contains(&u64::from(line));
        if part.lines == 0
            || to > lines.count
            || !part.failures.iter().all(|failed| inside(failed.line))
            || !part.dropped_lines.iter().all(|line| inside(*line))
        {
            return false;
        }
        unit.answered = to;
        unit.done = to == lines.count;
        unit.chunks.push_back(Chunk::Answer { part, lines, from, output, worker, generation });
        true
    }

    /// Copies the latest output of this unit, so that its slot becomes free although the output cannot leave yet.
    /// Returns the slot, or `None` if the output can leave now or too much is copied already. `layout` describes the
    /// worker's memory.
    pub(super) fn set_aside(&mut self, id: u64, layout: &Layout) -> Option<u32> {
        let key = *self.by_id.get(&id)?;
        if self.by_key.first_key_value().is_none_or(|(first, _)| *first == key) {
            return None;
        }
        let Some(Chunk::Answer { part, output, .. }) = self.by_key.get_mut(&key)?.chunks.back_mut() else {
            return None;
        };
        let Output::Slot(memory) = &*output else { return None };
        let bytes = part.bytes as usize;
        if !part.holds_slot() || self.aside + bytes > MAX_ASIDE {
            return None;
        }
        // SAFETY: the range was checked when the part was booked, and the worker does not write to it until it is
        // told that the slot is free. A compromised worker may write to it anyway; the writer therefore counts the
        // lines of its data again.
        let copy =
            unsafe { std::slice::from_raw_parts(memory.at(layout.output_start(part.slot as usize), bytes), bytes) };
        *output = Output::Aside(copy.to_vec());
        self.aside += bytes;
        Some(part.slot)
    }

    /// Returns whether all lines of the unit with this number are answered.
    pub(super) fn is_done(&self, id: u64) -> bool {
        self.get(id).is_none_or(|unit| unit.done)
    }

    /// Returns the unanswered lines of a dead worker's unit to the queue. `suspect` is the current line, if known.
    /// Returns the unit that must run alone, if there is one.
    pub(super) fn put_back(&mut self, id: u64, suspect: Option<u64>, blame: Option<Failure>) -> Option<Key> {
        let key = *self.by_id.get(&id)?;
        let unit = self.by_key.get_mut(&key)?;
        let lines = unit.lines.clone()?;
        let (answered, count) = (unit.answered, lines.count);
        let deaths = if unit.solo { unit.deaths + 1 } else { 0 };
        if answered == count {
            return None;
        }
        // The answered lines stay in their unit. The rest becomes new units directly after it.
        if answered > 0 {
            unit.lines = Some(lines.part(0, answered));
            unit.done = true;
        } else {
            self.by_key.remove(&key);
        }
        self.by_id.remove(&id);
        self.todo.remove(&key);
        let put = |units: &mut Self, from: u64, to: u64, solo: bool| {
            let key = (key.0, key.1 + from);
            if from < to {
                units.insert(key, lines.part(from, to - from), solo);
            }
            key
        };
        let Some(suspect) = suspect.filter(|line| (answered..count).contains(line)) else {
            put(self, answered, count, false);
            return None;
        };
        put(self, answered, suspect, false);
        let alone = put(self, suspect, suspect + 1, true);
        if let Some(unit) = self.by_key.get_mut(&alone) {
            unit.deaths = deaths;
        }
        put(self, suspect + 1, count, false);
        match blame {
            Some(failure) => {
                self.fail(alone, &failure);
                None
            }
            None => Some(alone),
        }
    }

    /// Gives the unanswered lines of a unit the supervisor's own verdict.
    pub(super) fn fail(&mut self, key: Key, failure: &Failure) {
        self.todo.remove(&key);
        if let Some(unit) = self.by_key.get_mut(&key)
            && let Some(lines) = unit.lines.clone()
        {
            for line in lines.each(unit.answered) {
                let line = LineRef::Short(line);
                unit.chunks.push_back(Chunk::Blamed { line, failure: failure.clone() });
            }
            unit.answered = lines.count;
            unit.done = true;
        }
    }

    /// Takes the chunks that may leave now, in the order of the input. With `any_order`, takes all chunks.
    pub(super) fn leave(&mut self, any_order: bool) -> Vec<Chunk> {
        let mut leaving = Vec::new();
        if any_order {
            for unit in self.by_key.values_mut() {
                leaving.extend(unit.chunks.drain(..));
            }
            self.aside = 0;
            let by_id = &mut self.by_id;
            self.by_key.retain(|_, unit| {
                if unit.done {
                    by_id.remove(&unit.id);
                }
                !unit.done
            });
            return leaving;
        }
        while let Some(mut first) = self.by_key.first_entry() {
            let unit = first.get_mut();
            self.aside -= unit.chunks.iter().map(Chunk::aside).sum::<usize>();
            leaving.extend(unit.chunks.drain(..));
            if !unit.done {
                break;
            }
            self.by_id.remove(&unit.id);
            first.remove();
        }
        leaving
    }

    /// Drops everything that has not left.
    pub(super) fn clear(&mut self) {
        self.by_key.clear();
        self.by_id.clear();
        self.todo.clear();
        self.aside = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::shared::{create, pages};
    use crate::wire::slots::Slots;

    /// Returns a queue with one unit of this many lines, numbered from 0.
    fn queue(lines: u64) -> WorkQueue {
        let (_fd, memory) = create("test", pages(4096), true).unwrap();
        let mut slot = Slots::new(Arc::new(memory), pages(4096), 1).take().unwrap();
        for n in 0..lines {
            slot.push(n.to_string().as_bytes());
            slot.end_line();
        }
        let mut queue = WorkQueue::default();
        queue.add_lines(slot.finish(0, 1));
        queue
    }

    #[test]
    fn what_cannot_leave_yet_is_set_aside_and_leaves_in_its_turn() {
        let mut queue = queue(4);
        let first = queue.next_todo().unwrap();
        queue.cut(first, 2);
        let ids = [0, 1].map(|_| {
            let key = queue.next_todo().unwrap();
            queue.take(key).unwrap().id
        });
        let layout = Layout { input_slot: 0, input_slots: 0, output_slot: pages(4096), output_slots: 4 };
        let (_fd, output) = create("test", layout.output_len(), true).unwrap();
        let output = Arc::new(output);
        let part = |unit: u64, slot: u32| {
            let start = layout.output_start(slot as usize);
            // SAFETY: the range lies in the region, and nothing else uses it.
            unsafe { output.at(start, 3).copy_from_nonoverlapping(b"{}\n".as_ptr(), 3) };
            Part { unit, slot, lines: 2, ok: 2, events_out: 1, bytes: 3, ..Part::default() }
        };
        assert!(queue.answer(part(ids[1], 2), Output::Slot(output.clone()), 0, 1));
        assert_eq!(queue.set_aside(ids[1], &layout), Some(2));
        // A slot is copied once, and the first unit's output can leave at once.
        assert_eq!(queue.set_aside(ids[1], &layout), None);
        assert!(queue.answer(part(ids[0], 3), Output::Slot(output.clone()), 0, 1));
        assert_eq!(queue.set_aside(ids[0], &layout), None);
        let leaving = queue.leave(false);
        let aside: Vec<_> = leaving.iter().map(Chunk::aside).collect();
        assert_eq!((aside, queue.aside), (vec![0, 3], 0));
    }

    /// Returns the lines of each unit that no worker has, with the number of its first line.
    fn to_do(queue: &WorkQueue) -> Vec<(u64, String)> {
        let text = |lines: &Lines| String::from_utf8(lines.bytes().to_vec()).unwrap().replace('\n', " ");
        queue.todo.iter().filter_map(|key| queue.at(*key)).map(|lines| (lines.first_line, text(lines))).collect()
    }

    #[test]
    fn a_unit_is_cut_and_what_is_given_back_goes_to_another_worker() {
        let mut queue = queue(6);
        let key = queue.next_todo().unwrap();
        queue.cut(key, 4);
        queue.cut(key, 9);
        assert_eq!(to_do(&queue), [(1, "0 1 2 3 ".to_owned()), (5, "4 5 ".to_owned())]);
        let first = queue.take(key).unwrap().id;
        let second = queue.next_todo().unwrap();
        let second = queue.take(second).unwrap().id;
        assert!(to_do(&queue).is_empty());
        // Returns the rest of one unit and the whole of another.
        assert!(queue.give_back(first, 1) && queue.give_back(second, 0));
        assert_eq!(to_do(&queue), [(2, "1 2 3 ".to_owned()), (5, "4 5 ".to_owned())]);
        // A worker cannot return lines that it does not have.
        for (id, from) in [(first, 1), (second, 0), (first, 7), (99, 0)] {
            assert!(!queue.give_back(id, from), "{id} {from}");
        }
        assert!(!queue.is_done(first) && queue.is_done(second));
        let (_fd, output) = create("test", pages(4096), true).unwrap();
        let part = Part { unit: first, lines: 1, ok: 1, ..Part::default() };
        assert!(queue.answer(part, Output::Slot(Arc::new(output)), 0, 1) && queue.is_done(first));
        assert_eq!((queue.leave(false).len(), queue.lines_to_do()), (1, 5));
        // Each line still exists once, in its place.
        assert_eq!(queue.at(queue.next_todo().unwrap()).unwrap().first_line, 2);
    }
}
