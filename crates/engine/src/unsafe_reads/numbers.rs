//! The numbers of the events under way, and who has read them.

use std::collections::{HashMap, HashSet};

use deno_core::v8;

use super::sees::Sees;
use super::{UnsafeIntegers, printed};

/// What is known of such numbers and who has read them; a slot of the isolate.
#[derive(Default)]
pub(crate) struct UnsafeReads {
    mode: UnsafeIntegers,
    /// Events that have no number of their own get one here.
    last: u32,
    /// How many events, or batches, were begun.
    begun: u64,
    /// What is being made: the event, and its place in its batch.
    event: u32,
    index: u32,
    /// The events, or batches, under way by their numbers.
    under_way: HashMap<u32, Watched>,
    /// From how many on it is looked which of them were given up.
    crowd: usize,
    /// The doubles that were printed without their object, and leave with their digits; each with the place of its event.
    pub(super) moved: Vec<(u64, u32)>,
    /// What reads at a place in the code see.
    pub(super) sees: HashMap<Place, Sees>,
    /// Whether the engine itself reads.
    pub(super) silent: bool,
}

/// An event, or a batch, that is looked at.
#[derive(Default)]
struct Watched {
    /// Which one it is of those that have had this number.
    begun: u64,
    /// How many events it is.
    events: u32,
    numbers: Vec<Number>,
    /// How many of them are of the event that is being made.
    of_event: usize,
    /// The events that hold more.
    overfull: Vec<u32>,
    /// How many times it was asked where the code is.
    asked: u32,
}

/// A number that is looked at.
pub(super) struct Number {
    pub(super) index: u32,
    /// The keys on the way to it, and at last its digits.
    pub(super) path: v8::Global<v8::Array>,
    pub(super) key: Box<str>,
    pub(super) double: u64,
    pub(super) read: Option<Box<Read>>,
}

/// Who has read a number.
#[derive(Default)]
pub(super) struct Read {
    /// The places where it was read or copied, the stack of the first one, and whether they all copy.
    places: Vec<Place>,
    pub(super) stack: String,
    copied: bool,
    /// Whether a text left with the digits of its double.
    in_text: bool,
}

/// Which number it is; its property carries that.
#[derive(Clone, Copy)]
pub(super) struct Id {
    pub(super) event: u32,
    place: u32,
    begun: u64,
}

/// A place in the code: its script, line and column.
pub(super) type Place = [usize; 3];

/// At most this many places are told apart.
const MAX_PLACES: usize = 16;

/// At most this many numbers are looked at in an event.
pub(super) const MAX_NUMBERS: usize = 1000;

/// To warn, it is asked this many times in an event where the code is, which takes some microseconds.
const MAX_ASKED: u32 = 200;

/// What was found of an event, or batch.
pub(super) struct Taken {
    pub(super) reads: Vec<(Number, Read)>,
    pub(super) overfull: Vec<u32>,
    pub(super) was_read_much: bool,
}

/// The numbers of an event, or batch, are about to be taken in. `number` is the event's own, if events have numbers; the one that
/// counts here is the answer. `is_known` says of a number whether its event is not over.
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
        // Without numbers there is one event, or batch, at a time.
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

    /// The same for one event of a batch, by its place.
    pub(crate) fn begin_in_batch(&mut self, index: u32) {
        self.index = index;
        if let Some(watched) = self.under_way.get_mut(&self.event) {
            watched.of_event = 0;
            watched.events += 1;
        }
    }

    /// Whether any event of this isolate was looked at. V8 runs its code a little slower from then on.
    pub(crate) fn is_used(&self) -> bool {
        self.begun > 0
    }

    /// Takes in a number of the event that is being made, unless it holds too many.
    pub(super) fn add(&mut self, path: v8::Global<v8::Array>, key: Box<str>, double: u64) -> Option<Id> {
        let watched = self.under_way.get_mut(&self.event)?;
        if watched.of_event >= MAX_NUMBERS {
            if watched.overfull.last() != Some(&self.index) {
                watched.overfull.push(self.index);
            }
            return None;
        }
        watched.of_event += 1;
        let id = Id { event: self.event, place: watched.numbers.len() as u32, begun: watched.begun };
        watched.numbers.push(Number { index: self.index, path, key, double, read: None });
        Some(id)
    }

    /// A number, unless its event is over: then an object was kept.
    pub(super) fn number(&mut self, id: Id) -> Option<&mut Number> {
        let watched = self.under_way.get_mut(&id.event).filter(|watched| watched.begun == id.begun)?;
        watched.numbers.get_mut(id.place as usize)
    }

    /// Whether it may be asked where the code is that reads a number of this event.
    pub(super) fn may_ask(&mut self, event: u32) -> bool {
        let Some(watched) = self.under_way.get_mut(&event) else { return false };
        watched.asked = watched.asked.saturating_add(1);
        self.mode == UnsafeIntegers::Fail || !watched.was_read_much()
    }

    /// The names of all properties that are looked at.
    pub(super) fn keys(&self) -> HashSet<Box<str>> {
        self.under_way.values().flat_map(|watched| &watched.numbers).map(|number| number.key.clone()).collect()
    }

    pub(super) fn any_read(&self) -> bool {
        self.under_way.values().flat_map(|watched| &watched.numbers).any(|number| number.read.is_some())
    }

    /// A text is printed of the event at a place of the batch, or of the one event, whose turn it is: which of its numbers'
    /// doubles does it hold?
    pub(super) fn text_leaves(&mut self, turn: u32, index: u32, text: &str) {
        let event = if self.under_way.contains_key(&turn) { turn } else { self.last };
        let Some(Watched { numbers, .. }) = self.under_way.get_mut(&event) else { return };
        let mut held = HashMap::new();
        let mut holds = |number: &Number| {
            let digits = || text.contains(&printed(f64::from_bits(number.double)));
            number.read.is_some() && *held.entry(number.double).or_insert_with(digits)
        };
        let mut found: Vec<&mut Number> = numbers.iter_mut().filter(|number| holds(number)).collect();
        // It may be that of another event only if this one has no such number.
        let own: HashSet<u64> =
            found.iter().filter(|number| number.index == index).map(|number| number.double).collect();
        found.retain(|number| number.index == index || !own.contains(&number.double));
        for read in found.into_iter().filter_map(|number| number.read.as_mut()) {
            read.in_text = true;
        }
    }

    /// An event, or batch, is printed: the numbers of it that were read and not only moved.
    pub(super) fn take(&mut self, event: u32, lost: &[f64]) -> Option<Taken> {
        let moved = std::mem::take(&mut self.moved);
        let watched = self.under_way.remove(&event)?;
        let was_read_much = watched.was_read_much();
        let mut places: HashMap<(u64, u32), usize> = HashMap::new();
        for number in &watched.numbers {
            let read = number.read.as_ref().filter(|read| !read.copied);
            *places.entry((number.double, number.index)).or_default() += read.map_or(0, |read| read.places.len());
        }
        let mut left: HashMap<(u64, Option<u32>), usize> = HashMap::new();
        for (double, index) in moved {
            // One that leaves with an event that has no such number may be that of any.
            let index = Some(index).filter(|index| places.contains_key(&(double, *index)));
            *left.entry((double, index)).or_default() += 1;
        }
        let left = |double, index| left.get(&(double, index)).copied().unwrap_or_default();
        let mut reads = Vec::new();
        for mut number in watched.numbers {
            let Some(read) = number.read.take() else { continue };
            let Number { double, index, .. } = number;
            // Of several numbers of an event with one double it is not known which one has moved: all have, or none.
            let is_lost = lost.iter().any(|lost| lost.to_bits() == double);
            let has_left = places[&(double, index)] <= left(double, Some(index)) + left(double, None);
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
    /// Whether it is known already that the number was read here.
    pub(super) fn knows(&self, place: &Place) -> bool {
        self.places.contains(place)
    }

    pub(super) fn add(&mut self, place: Place, copied: bool, stack: String) {
        if self.places.is_empty() || self.copied && !copied {
            (self.copied, self.stack) = (copied, stack);
        }
        if self.places.len() < MAX_PLACES {
            self.places.push(place);
        }
    }
}

impl Id {
    /// What the property of a number carries: which one it is, and its double.
    pub(super) fn to_words(self, double: u64) -> [u64; 3] {
        [u64::from(self.event) << 32 | u64::from(self.place), self.begun, double]
    }

    /// The same, taken apart.
    pub(super) fn from_words([at, begun, double]: [u64; 3]) -> (Self, u64) {
        (Self { event: (at >> 32) as u32, place: at as u32, begun }, double)
    }
}
