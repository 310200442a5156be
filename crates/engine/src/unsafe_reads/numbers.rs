//! The watched numbers of the current events, and the places that have read them.

use std::collections::{HashMap, HashSet};

use deno_core::v8;

use super::number_use::NumberUse;
use super::{UnsafeIntegers, printed};

/// The watched numbers and their reads; a slot of the isolate.
#[derive(Default)]
pub(crate) struct UnsafeReads {
    mode: UnsafeIntegers,
    /// The last number given to an event. Events without a number of their own get one here.
    last: u32,
    /// The number of events or batches started so far.
    begun: u64,
    /// The event being built, and its index in its batch.
    event: u32,
    index: u32,
    /// The current events or batches, by number.
    under_way: HashMap<u32, Watched>,
    /// If there are more entries than this, entries of abandoned events are searched for and removed.
    crowd: usize,
    /// The doubles that were printed without their object, each with the index of its event.
    pub(super) moved: Vec<(u64, u32)>,
    /// What the code does with a number, by place.
    pub(super) uses: HashMap<CodePosition, NumberUse>,
    /// Whether the engine itself is reading.
    pub(super) silent: bool,
}

/// A watched event or batch.
#[derive(Default)]
struct Watched {
    /// Distinguishes events that had the same number.
    begun: u64,
    /// The number of events in it.
    events: u32,
    numbers: Vec<Number>,
    /// The number of `numbers` that belong to the event being built.
    of_event: usize,
    /// Indices of the events with more numbers than are watched.
    overfull: Vec<u32>,
    /// How often the place in the code was looked up.
    asked: u32,
}

/// A watched number.
pub(super) struct Number {
    pub(super) index: u32,
    /// The keys on the path to the number, followed by its digits.
    pub(super) path: v8::Global<v8::Array>,
    pub(super) key: Box<str>,
    pub(super) double: u64,
    pub(super) read: Option<Box<Read>>,
}

/// The reads of a number.
#[derive(Default)]
pub(super) struct Read {
    /// The positions in the code that read or copied it, the stack of the first one, and whether all of them only copy.
    positions: Vec<CodePosition>,
    pub(super) stack: String,
    copied: bool,
    /// Whether a printed text contains the digits of its double.
    in_text: bool,
}

/// Identifies a number; its property carries this.
#[derive(Clone, Copy)]
pub(super) struct Id {
    pub(super) event: u32,
    number: u32,
    begun: u64,
}

/// A place in the code: its script, line and column.
pub(super) type CodePosition = [usize; 3];

/// Maximum number of positions recorded for a number.
const MAX_POSITIONS: usize = 16;

/// Maximum number of watched numbers in an event.
pub(super) const MAX_NUMBERS: usize = 1000;

/// Maximum number of lookups of the place in the code per event, in warning mode. Each one takes a few microseconds.
const MAX_ASKED: u32 = 200;

/// The findings for an event or batch.
pub(super) struct Taken {
    pub(super) reads: Vec<(Number, Read)>,
    pub(super) overfull: Vec<u32>,
    pub(super) was_read_much: bool,
}

/// Starts an event or batch, whose numbers are added next. `number` is the event's own number, if events
/// have numbers. Returns the number that is used here. `is_known` returns whether the event with a
/// number is still running or waiting.
pub(crate) fn begin<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    number: Option<u32>,
    mode: UnsafeIntegers,
    is_known: impl Fn(&mut v8::PinScope<'s, '_>, u32) -> bool,
) -> Option<u32> {
    let reads = scope.get_slot_mut::<UnsafeReads>()?;
    if number.is_some() && reads.under_way.len() > reads.crowd {
        let known: Vec<u32> = reads.under_way.keys().copied().collect();
        let waiting: HashSet<u32> = known.into_iter().filter(|number| is_known(scope, *number)).collect();
        let reads = scope.get_slot_mut::<UnsafeReads>()?;
        reads.under_way.retain(|number, _| waiting.contains(number));
        reads.crowd = 64.max(2 * waiting.len());
    }
    Some(scope.get_slot_mut::<UnsafeReads>()?.begin(number, mode))
}

impl UnsafeReads {
    fn begin(&mut self, number: Option<u32>, mode: UnsafeIntegers) -> u32 {
        // Without numbers, only one event or batch runs at a time.
        if number.is_none() {
            self.under_way.clear();
            self.last = self.last.wrapping_add(1);
        }
        self.mode = mode;
        self.begun += 1;
        (self.event, self.index) = (number.unwrap_or(self.last), 0);
        self.under_way.insert(self.event, Watched { begun: self.begun, events: 1, ..Watched::default() });
        self.event
    }

    /// Starts the next event of a batch, by its index.
    pub(crate) fn begin_in_batch(&mut self, index: u32) {
        self.index = index;
        if let Some(watched) = self.under_way.get_mut(&self.event) {
            watched.of_event = 0;
            watched.events += 1;
        }
    }

    /// Whether any event of this isolate was watched. V8 runs the code a little slower from then on.
    pub(crate) fn is_used(&self) -> bool {
        self.begun > 0
    }

    /// Adds a number of the event being built. `None` if the event has too many.
    pub(super) fn add(&mut self, path: v8::Global<v8::Array>, key: Box<str>, double: u64) -> Option<Id> {
        let watched = self.under_way.get_mut(&self.event)?;
        if watched.of_event >= MAX_NUMBERS {
            if watched.overfull.last() != Some(&self.index) {
                watched.overfull.push(self.index);
            }
            return None;
        }
        watched.of_event += 1;
        let id = Id { event: self.event, number: watched.numbers.len() as u32, begun: watched.begun };
        watched.numbers.push(Number { index: self.index, path, key, double, read: None });
        Some(id)
    }

    /// Returns the number with this id. `None` if its event is over and the code has kept an object of it.
    pub(super) fn number(&mut self, id: Id) -> Option<&mut Number> {
        let watched = self.under_way.get_mut(&id.event).filter(|watched| watched.begun == id.begun)?;
        watched.numbers.get_mut(id.number as usize)
    }

    /// Whether to look up the place in the code that reads a number of this event.
    pub(super) fn may_ask(&mut self, event: u32) -> bool {
        let Some(watched) = self.under_way.get_mut(&event) else { return false };
        watched.asked = watched.asked.saturating_add(1);
        self.mode == UnsafeIntegers::Fail || !watched.was_read_much()
    }

    /// The names of all watched properties.
    pub(super) fn keys(&self) -> HashSet<Box<str>> {
        self.under_way.values().flat_map(|watched| &watched.numbers).map(|number| number.key.clone()).collect()
    }

    pub(super) fn any_read(&self) -> bool {
        self.under_way.values().flat_map(|watched| &watched.numbers).any(|number| number.read.is_some())
    }

    /// Marks the watched numbers whose doubles a printed text contains. `index` is the event's index in its batch.
    /// Without a batch, the event is the one whose turn it is.
    pub(super) fn text_leaves(&mut self, turn: u32, index: u32, text: &str) {
        let event = if self.under_way.contains_key(&turn) { turn } else { self.last };
        let Some(Watched { numbers, .. }) = self.under_way.get_mut(&event) else { return };
        let mut held = HashMap::new();
        let mut holds = |number: &Number| {
            let digits = || text.contains(&printed(f64::from_bits(number.double)));
            number.read.is_some() && *held.entry(number.double).or_insert_with(digits)
        };
        let mut found: Vec<&mut Number> = numbers.iter_mut().filter(|number| holds(number)).collect();
        // The text can contain another event's number only if this event has no number with the same digits.
        let own: HashSet<u64> =
            found.iter().filter(|number| number.index == index).map(|number| number.double).collect();
        found.retain(|number| number.index == index || !own.contains(&number.double));
        for read in found.into_iter().filter_map(|number| number.read.as_mut()) {
            read.in_text = true;
        }
    }

    /// Removes the record of a printed event or batch, and returns the numbers that were read and not only moved.
    pub(super) fn take(&mut self, event: u32, lost: &[f64]) -> Option<Taken> {
        let moved = std::mem::take(&mut self.moved);
        let watched = self.under_way.remove(&event)?;
        let was_read_much = watched.was_read_much();
        let mut positions: HashMap<(u64, u32), usize> = HashMap::new();
        for number in &watched.numbers {
            let read = number.read.as_ref().filter(|read| !read.copied);
            *positions.entry((number.double, number.index)).or_default() += read.map_or(0, |read| read.positions.len());
        }
        let mut left: HashMap<(u64, Option<u32>), usize> = HashMap::new();
        for (double, index) in moved {
            // If this event has no such number, the printed number may belong to any event.
            let index = Some(index).filter(|index| positions.contains_key(&(double, *index)));
            *left.entry((double, index)).or_default() += 1;
        }
        let left = |double, index| left.get(&(double, index)).copied().unwrap_or_default();
        let mut reads = Vec::new();
        for mut number in watched.numbers {
            let Some(read) = number.read.take() else { continue };
            let Number { double, index, .. } = number;
            // If several numbers of an event have the same double, it is unknown which one was moved: all
            // of them count as moved, or none.
            let is_lost = lost.iter().any(|lost| lost.to_bits() == double);
            let has_left = positions[&(double, index)] <= left(double, Some(index)) + left(double, None);
            if is_lost || read.in_text || !read.copied && !has_left {
                reads.push((number, *read));
            }
        }
        Some(Taken { reads, overfull: watched.overfull, was_read_much })
    }
}

impl Watched {
    fn was_read_much(&self) -> bool {
        self.asked > MAX_ASKED.saturating_mul(self.events)
    }
}

impl Read {
    /// Whether a read at this place is recorded already.
    pub(super) fn knows(&self, position: &CodePosition) -> bool {
        self.positions.contains(position)
    }

    pub(super) fn add(&mut self, position: CodePosition, copied: bool, stack: String) {
        if self.positions.is_empty() || self.copied && !copied {
            (self.copied, self.stack) = (copied, stack);
        }
        if self.positions.len() < MAX_POSITIONS {
            self.positions.push(position);
        }
    }
}

impl Id {
    /// The words that the property of a number carries: the id and the double.
    pub(super) fn to_words(self, double: u64) -> [u64; 3] {
        [u64::from(self.event) << 32 | u64::from(self.number), self.begun, double]
    }

    /// The reverse of [`Self::to_words`].
    pub(super) fn from_words([at, begun, double]: [u64; 3]) -> (Self, u64) {
        (Self { event: (at >> 32) as u32, number: at as u32, begun }, double)
    }
}
