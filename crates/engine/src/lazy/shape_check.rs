//! Detects which template properties of an object are unmodified.
//!
//! V8's API has no cheap way to tell: each property would have to be read. But the structure of an object depends on
//! three of its words: its map, its properties and its elements. Two objects with the same map have the same properties
//! in the same order, and the same accessor functions. So an object is compared with a reference object of the same
//! template that got the same changes. Only the map of an object with a dictionary does not describe its properties. In
//! a dictionary, each property has three words: its name, its value or accessor, and its kind, attributes and position.
//! The property is unmodified if all three words are as the template made them.
//!
//! This module reads V8's heap words directly, for the one version of V8 whose layout [`is_layout_known`] checks. It
//! self-tests every kind of mutation on each template first, and disables itself for the template if it reports one
//! wrongly ([`ShapeReference::new`]). It may report a mutation as unknown. Whenever the result is unknown, the engine
//! takes its slower paths.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use deno_core::v8;

use crate::v8::heap_words::{POINTER, is_layout_known, tagged, words};

/// Maximum number of words of a dictionary. Larger ones are not read.
const MAX_WORDS: usize = 4096;

/// Number of words of a dictionary before its triples. The upper half of the first word is the number of properties.
const PREFIX: usize = 6;

/// Maximum number of times that added properties are examined, per template.
const MAX_LESSONS: u32 = 64;

/// Maximum number of sets of added properties that are remembered, per template and kind of storage.
const MAX_GROWN: usize = 8;

/// Reference objects of a template. Only this module has access to them.
pub(crate) struct ShapeReference {
    template: v8::Global<v8::ObjectTemplate>,
    names: Vec<v8::Global<v8::Name>>,
    object: v8::Global<v8::Object>,
    /// An object with a dictionary, and the index of each property's triple in it.
    slow: v8::Global<v8::Object>,
    places: Vec<usize>,
    /// Objects with added properties, and these properties.
    grown: RefCell<Vec<(v8::Global<v8::Object>, Additions)>>,
    /// Properties that were added to objects with a dictionary, and the third word of each.
    grown_slow: RefCell<Vec<(Vec<usize>, Additions)>>,
    lessons: Cell<u32>,
}

/// An ordinary property that an object has beyond those of its template.
pub(crate) struct Addition {
    pub(crate) name: v8::Global<v8::Name>,
    /// The name as a JSON key, with quotes and a colon.
    pub(crate) key: String,
}

/// All additions of an object, in order. They follow the template's own properties.
pub(crate) type Additions = Rc<[Addition]>;

/// Which properties of an object are unmodified, and which others it has.
pub(crate) struct UnchangedProps {
    /// The unmodified template properties, one bit each, in the template's order.
    pub(crate) own: u64,
    pub(crate) others: Others,
}

/// The properties of an object that are not unmodified template properties.
pub(crate) enum Others {
    /// Ordinary properties.
    Known(Additions),
    /// Only their number is known.
    Unknown(usize),
}

impl Others {
    fn count(&self) -> usize {
        match self {
            Self::Known(additions) => additions.len(),
            Self::Unknown(count) => *count,
        }
    }

    pub(crate) fn none(&self) -> bool {
        self.count() == 0
    }
}

impl ShapeReference {
    /// Creates the reference objects of a template. `None` if the layout is unknown or the self-test fails.
    pub(crate) fn new(
        scope: &mut v8::PinScope<'_, '_>,
        template: v8::Local<v8::ObjectTemplate>,
        names: &[v8::Local<v8::Name>],
    ) -> Option<Self> {
        if !is_layout_known() {
            return None;
        }
        let object = template.new_instance(scope)?;
        let slow = template.new_instance(scope)?;
        with_dictionary(scope, slow)?;
        let places = {
            let words = dictionary(words(slow)[1])?;
            let place = |name: &v8::Local<v8::Name>| {
                (PREFIX..words.len().saturating_sub(2)).step_by(3).find(|at| words[*at] == tagged(*name))
            };
            names.iter().map(place).collect::<Option<_>>()?
        };
        let reference = Self {
            template: v8::Global::new(scope, template),
            names: names.iter().map(|name| v8::Global::new(scope, *name)).collect(),
            object: v8::Global::new(scope, object),
            slow: v8::Global::new(scope, slow),
            places,
            grown: RefCell::default(),
            grown_slow: RefCell::default(),
            lessons: Cell::new(0),
        };
        reference.sees_changes(scope, template, names)?.then_some(reference)
    }

    /// Finds the unmodified properties of `object`, which is of the same template. `None` if they are unknown: for
    /// example, if the object has elements or another prototype, or cannot be extended.
    pub(crate) fn kept<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
    ) -> Option<UnchangedProps> {
        let all = self.all();
        let [map, properties, elements] = words(object);
        let ours = words(v8::Local::new(scope, &self.object));
        if elements != ours[2] {
            return None;
        }
        if map == ours[0] {
            return Some(UnchangedProps { own: all, others: Others::Unknown(0) });
        }
        let slow = words(v8::Local::new(scope, &self.slow));
        if are_alike(map, slow[0]) {
            return self.kept_in(scope, dictionary(slow[1])?, dictionary(properties)?);
        }
        let grown = self.grown.borrow().iter().find_map(|(grown, others)| {
            let same = words(v8::Local::new(scope, grown))[0] == map;
            same.then(|| others.clone())
        });
        if let Some(others) = grown {
            return Some(UnchangedProps { own: all, others: Others::Known(others) });
        }
        Some(UnchangedProps { own: all, others: Others::Known(self.add_transition(scope, object)?) })
    }

    /// Whether an object has all of its template's properties, unmodified, and no others.
    pub(crate) fn keeps_all<'s>(&self, scope: &mut v8::PinScope<'s, '_>, object: v8::Local<'s, v8::Object>) -> bool {
        self.kept(scope, object).is_some_and(|kept| kept.own == self.all() && kept.others.none())
    }

    fn all(&self) -> u64 {
        u64::MAX.checked_shr(u64::BITS - self.names.len() as u32).unwrap_or(0)
    }

    fn kept_in(&self, scope: &v8::PinScope<'_, '_>, ours: &[usize], theirs: &[usize]) -> Option<UnchangedProps> {
        let mut own = 0;
        for (number, at) in self.places.iter().enumerate() {
            let triple = ours.get(*at..at + 3)?;
            // Usually the triple is at the same index.
            let kept = theirs.get(*at..at + 3) == Some(triple)
                || theirs.get(PREFIX..)?.chunks_exact(3).any(|theirs| theirs == triple);
            own |= u64::from(kept) << number;
        }
        let count = theirs.first()? >> 32;
        let count = count.checked_sub(own.count_ones() as usize)?;
        let known = |(thirds, additions): &(Vec<usize>, Additions)| {
            let all = additions.len() == count
                && additions.iter().zip(thirds).all(|(addition, third)| {
                    let name = tagged(v8::Local::new(scope, &addition.name));
                    third_word(theirs, name) == Some(*third)
                });
            all.then(|| additions.clone())
        };
        let known = if count > 0 { self.grown_slow.borrow().iter().find_map(known) } else { None };
        Some(UnchangedProps { own, others: known.map_or(Others::Unknown(count), Others::Known) })
    }

    /// Remembers the additions of an object with a dictionary. They are ordinary properties and follow all others. The
    /// same is true of every other object whose dictionary has the same third words for them.
    pub(crate) fn record_dictionary(
        &self,
        scope: &v8::PinScope<'_, '_>,
        object: v8::Local<v8::Object>,
        additions: &Additions,
    ) -> Option<()> {
        self.count_lesson()?;
        let [map, properties, _] = words(object);
        if !are_alike(map, words(v8::Local::new(scope, &self.slow))[0]) {
            return None;
        }
        let theirs = dictionary(properties)?;
        let thirds = additions.iter().map(|one| third_word(theirs, tagged(v8::Local::new(scope, &one.name))));
        let thirds = thirds.collect::<Option<Vec<_>>>()?;
        keep(&mut self.grown_slow.borrow_mut(), (thirds, additions.clone()));
        Some(())
    }

    /// Adds the properties that `object` has beyond its template's to a new reference object, in the same order. If
    /// both objects then have the same map, remembers and returns the additions. `None` otherwise.
    fn add_transition<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
    ) -> Option<Additions> {
        self.count_lesson()?;
        let names = object.get_own_property_names(scope, v8::GetPropertyNamesArgs::default())?;
        let value_key = v8::String::new(scope, "value")?;
        let grown = v8::Local::new(scope, &self.template).new_instance(scope)?;
        let mut additions = Vec::new();
        for number in 0..names.length() {
            let name: v8::Local<v8::String> = names.get_index(scope, number)?.try_into().ok()?;
            if let Some(known) = self.names.get(number as usize) {
                if *known != v8::Local::<v8::Name>::from(name) {
                    return None;
                }
                continue;
            }
            // Read from the descriptor: reading the property could call an accessor. An accessor leads to another map.
            let descriptor: v8::Local<v8::Object> =
                object.get_own_property_descriptor(scope, name.into())?.try_into().ok()?;
            let value = descriptor.get(scope, value_key.into())?;
            grown.create_data_property(scope, name.into(), value)?;
            additions.push(Addition::new(scope, name)?);
        }
        if additions.is_empty() || words(grown)[0] != words(object)[0] {
            return None;
        }
        let additions = Additions::from(additions);
        keep(&mut self.grown.borrow_mut(), (v8::Global::new(scope, grown), additions.clone()));
        Some(additions)
    }

    fn count_lesson(&self) -> Option<()> {
        let lessons = self.lessons.get();
        self.lessons.set(lessons + 1);
        (lessons < MAX_LESSONS).then_some(())
    }

    /// Self-test: whether each kind of change is reported correctly or as unknown.
    fn sees_changes(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        template: v8::Local<v8::ObjectTemplate>,
        names: &[v8::Local<v8::Name>],
    ) -> Option<bool> {
        let all = self.all();
        let null: v8::Local<v8::Value> = v8::null(scope).into();
        let untouched = template.new_instance(scope)?;
        let element = template.new_instance(scope)?;
        element.set_index(scope, 0, null)?;
        let heir = template.new_instance(scope)?;
        heir.set_prototype(scope, null)?;
        let closed = template.new_instance(scope)?;
        closed.set_integrity_level(scope, v8::IntegrityLevel::Sealed)?;
        let finished = template.new_instance(scope)?;
        finished.set_integrity_level(scope, v8::IntegrityLevel::Frozen)?;
        let mut seen = self.sees(scope, untouched, all, 0) == Some(true)
            && [element, heir, closed, finished].iter().all(|one| self.kept(scope, *one).is_none());
        // Test the same changes with dictionaries. Then test a
        // dictionary whose map is another one with the same content.
        let [element, heir, closed] = [(); 3].map(|()| self.with_dictionary(scope));
        element?.set_index(scope, 0, null)?;
        heir?.set_prototype(scope, null)?;
        closed?.set_integrity_level(scope, v8::IntegrityLevel::Sealed)?;
        seen &= [element, heir, closed].iter().flatten().all(|one| self.kept(scope, *one).is_none());
        let other = v8::Object::new(scope);
        with_dictionary(scope, other)?;
        let again = self.with_dictionary(scope)?;
        seen &= self.sees(scope, again, all, 0) == Some(true);
        // Add so many properties that the dictionary has to grow.
        let [fast, slow] = [template.new_instance(scope)?, template.new_instance(scope)?];
        let first = v8::String::new(scope, "the first one")?;
        for number in 0..2 * names.len() + 8 {
            let key = v8::String::new(scope, &format!("one more {number}"))?;
            for object in [fast, slow] {
                object.create_data_property(scope, key.into(), null)?;
                seen &= self.sees(scope, object, all, number + 1) != Some(false);
            }
            if number == 0 {
                slow.create_data_property(scope, first.into(), null)?;
                slow.delete(scope, key.into())?;
            }
        }
        for (number, name) in names.iter().enumerate() {
            let others = all & !(1 << number);
            let changed = template.new_instance(scope)?;
            changed.delete(scope, (*name).into())?;
            seen &= self.sees(scope, changed, others, 0) != Some(false);
            changed.create_data_property(scope, *name, null)?;
            seen &= self.sees(scope, changed, others, 1) != Some(false);
            let defined = template.new_instance(scope)?;
            defined.define_own_property(scope, *name, null, v8::PropertyAttribute::DONT_ENUM)?;
            seen &= self.sees(scope, defined, others, 1) != Some(false);
        }
        // Discard the additions that the test has recorded.
        self.grown.borrow_mut().clear();
        self.lessons.set(0);
        Some(seen)
    }

    /// Creates an unmodified object that has a dictionary.
    fn with_dictionary<'s>(&self, scope: &mut v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Object>> {
        let object = v8::Local::new(scope, &self.template).new_instance(scope)?;
        with_dictionary(scope, object)?;
        Some(object)
    }

    /// Whether exactly these properties are reported for an object. `None` if the report is unknown.
    fn sees<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
        own: u64,
        others: usize,
    ) -> Option<bool> {
        self.kept(scope, object).map(|kept| kept.own == own && kept.others.count() == others)
    }
}

impl Addition {
    /// `None` if the name has a meaning for the code that prints the event, or cannot be represented in UTF-8.
    pub(crate) fn new(scope: &v8::PinScope<'_, '_>, name: v8::Local<v8::String>) -> Option<Self> {
        let text = name.to_rust_string_lossy(scope);
        if matches!(text.as_str(), "toJSON" | "then") || text.contains('\u{FFFD}') {
            return None;
        }
        let key = format!("{}:", serde_json::to_string(&text).ok()?);
        Some(Self { name: v8::Global::new(scope, v8::Local::<v8::Name>::from(name)), key })
    }
}

/// Appends an item to a list of limited length. Removes the oldest item if the list is full.
fn keep<T>(known: &mut Vec<T>, one: T) {
    if known.len() >= MAX_GROWN {
        known.remove(0);
    }
    known.push(one);
}

/// Finds a property in a dictionary by the address of its name. Returns its third word: kind, attributes and position.
fn third_word(dictionary: &[usize], name: usize) -> Option<usize> {
    let mut triples = dictionary.get(PREFIX..)?.chunks_exact(3);
    triples.find(|triple| triple[0] == name).map(|triple| triple[2])
}

/// Makes V8 store an object's properties in a dictionary, by deleting a property that is not the last one.
fn with_dictionary<'s>(scope: &mut v8::PinScope<'s, '_>, object: v8::Local<'s, v8::Object>) -> Option<()> {
    let null = v8::null(scope).into();
    let [first, second] = ["a property that no event has", "and another"].map(|key| v8::String::new(scope, key));
    object.create_data_property(scope, first?.into(), null)?;
    object.create_data_property(scope, second?.into(), null)?;
    object.delete(scope, first?.into())?;
    object.delete(scope, second?.into())?;
    Some(())
}

/// Whether two maps for dictionaries, given by their addresses plus [`POINTER`], are equivalent. V8 keeps only one such
/// map for all objects with the same prototype. Objects of other shapes replace it, and then V8 creates it again.
fn are_alike(map: usize, other: usize) -> bool {
    // SAFETY: a map is longer than these six words. The first is its own map. The next ones have the sizes, types and
    // flags, followed by its prototype, its constructor and its descriptors.
    let words = |map: usize| unsafe { *((map - POINTER) as *const [usize; 6]) };
    map == other || words(map) == words(other)
}

/// Returns the words of a dictionary, given by its address plus [`POINTER`], without the first two. These are its map
/// and, in the lower half, the number of words that follow. `None` if there is no dictionary or it is too large.
fn dictionary<'a>(tagged: usize) -> Option<&'a [usize]> {
    if tagged & POINTER == 0 {
        return None;
    }
    // SAFETY: this is the address of an object, which has at least two words. In the
    // version of V8 whose layout is known, the object is a dictionary and has as many
    // words as it says. The borrow ends before the garbage collector can run.
    unsafe {
        let start = (tagged - POINTER) as *const usize;
        let length = *start.add(1) & 0xFFFF_FFFF;
        (length <= MAX_WORDS).then(|| std::slice::from_raw_parts(start.add(2), length))
    }
}
