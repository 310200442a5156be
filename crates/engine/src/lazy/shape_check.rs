//! Which of its properties an object still has as it was made with them.
//!
//! V8's API has no cheap way to ask: each property would have to be read. But what an object is made of hangs on three
//! words of it: its map, its properties and its elements. Two objects of one map have the same properties in the same
//! order, accessors with their functions, so an object is compared with one of the same template that was changed in the
//! same way. Only a map for dictionaries says nothing of what is in them: there each property is three words (its name,
//! what it is, its attributes and place), which are as they were made or not.
//!
//! So this looks at V8's memory, at what stands there in the version that is named below, and believes what it sees of a
//! template's objects only after it has seen each kind of change to them rightly, or not at all ([`ShapeReference::new`]).
//! Where anything is different, nothing is known, and the slower ways are taken.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use deno_core::v8;

use crate::v8::heap_words::{POINTER, is_layout_known, tagged, words};

/// Dictionaries with more words than this are not looked at.
const MAX_WORDS: usize = 4096;

/// How many words of a dictionary stand before its triples; the first is the number of properties, in the upper half.
const PREFIX: usize = 6;

/// Other properties are learned of at most so often per template, and this many ways to have them are kept.
const MAX_LESSONS: u32 = 64;
const MAX_GROWN: usize = 8;

/// Objects of a template that only this module has ever seen.
pub(crate) struct ShapeReference {
    template: v8::Global<v8::ObjectTemplate>,
    names: Vec<v8::Global<v8::Name>>,
    object: v8::Global<v8::Object>,
    /// One with a dictionary, and where in it each property is.
    slow: v8::Global<v8::Object>,
    places: Vec<usize>,
    /// Some with more properties, and which.
    grown: RefCell<Vec<(v8::Global<v8::Object>, Additions)>>,
    /// Properties that objects with a dictionary had more, and the third word of each.
    grown_slow: RefCell<Vec<(Vec<usize>, Additions)>>,
    lessons: Cell<u32>,
}

/// An ordinary property that an object has beyond those of its template.
pub(crate) struct Addition {
    pub(crate) name: v8::Global<v8::Name>,
    /// As it stands in JSON, with quotes and a colon.
    pub(crate) key: String,
}

/// All of an object, in order. They stand behind the template's own.
pub(crate) type Additions = Rc<[Addition]>;

/// What is left of an object's properties.
pub(crate) struct UnchangedProps {
    /// Those that are as they were made, a bit each, in the template's order.
    pub(crate) own: u64,
    pub(crate) others: Others,
}

/// Properties that an object has beyond those that are as they were made.
pub(crate) enum Others {
    /// They are ordinary ones, and these.
    Known(Additions),
    /// This many.
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
    /// The first objects of a template, if changes of its objects are seen.
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

    /// What is left of the properties of `object`, one of the same template. Nothing is known if it has elements, or
    /// another prototype, or cannot be extended.
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

    /// Whether an object has its own properties and no others.
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
            // Mostly it is in the same place.
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

    /// Remembers what properties an object with a dictionary has more. They are ordinary and stand behind all others, and
    /// so do those of any other object in which they have the same third words.
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

    /// Gives an object of our own the properties that `object` has more, in the same order; if that gives it the same map,
    /// they are known from now on.
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
            // Not read: it may be an accessor, which then gives another map.
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

    /// Whether each change is seen rightly, or not at all.
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
        // The same with dictionaries, and then with one that has another map, but one like it.
        let [element, heir, closed] = [(); 3].map(|()| self.with_dictionary(scope));
        element?.set_index(scope, 0, null)?;
        heir?.set_prototype(scope, null)?;
        closed?.set_integrity_level(scope, v8::IntegrityLevel::Sealed)?;
        seen &= [element, heir, closed].iter().flatten().all(|one| self.kept(scope, *one).is_none());
        let other = v8::Object::new(scope);
        with_dictionary(scope, other)?;
        let again = self.with_dictionary(scope)?;
        seen &= self.sees(scope, again, all, 0) == Some(true);
        // This many that a dictionary has to grow for them.
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
        // What was learned on the way is of no use.
        self.grown.borrow_mut().clear();
        self.lessons.set(0);
        Some(seen)
    }

    /// An object as it was made, but with a dictionary.
    fn with_dictionary<'s>(&self, scope: &mut v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Object>> {
        let object = v8::Local::new(scope, &self.template).new_instance(scope)?;
        with_dictionary(scope, object)?;
        Some(object)
    }

    /// Whether so much is seen to be left of an object; nothing, if nothing is known of it.
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
    /// Nothing if it means something to the code that prints the event, or has no name in UTF-8.
    pub(crate) fn new(scope: &v8::PinScope<'_, '_>, name: v8::Local<v8::String>) -> Option<Self> {
        let text = name.to_rust_string_lossy(scope);
        if matches!(text.as_str(), "toJSON" | "then") || text.contains('\u{FFFD}') {
            return None;
        }
        let key = format!("{}:", serde_json::to_string(&text).ok()?);
        Some(Self { name: v8::Global::new(scope, v8::Local::<v8::Name>::from(name)), key })
    }
}

/// Keeps one more; the oldest makes room.
fn keep<T>(known: &mut Vec<T>, one: T) {
    if known.len() >= MAX_GROWN {
        known.remove(0);
    }
    known.push(one);
}

/// The third word of a property in a dictionary, by the address of its name: what it is, its attributes and place.
fn third_word(dictionary: &[usize], name: usize) -> Option<usize> {
    let mut triples = dictionary.get(PREFIX..)?.chunks_exact(3);
    triples.find(|triple| triple[0] == name).map(|triple| triple[2])
}

/// Gives an object a dictionary: one that lost a property that was not its last one has one.
fn with_dictionary<'s>(scope: &mut v8::PinScope<'s, '_>, object: v8::Local<'s, v8::Object>) -> Option<()> {
    let null = v8::null(scope).into();
    let [first, second] = ["a property that no event has", "and another"].map(|key| v8::String::new(scope, key));
    object.create_data_property(scope, first?.into(), null)?;
    object.create_data_property(scope, second?.into(), null)?;
    object.delete(scope, first?.into())?;
    object.delete(scope, second?.into())?;
    Some(())
}

/// Whether two maps for dictionaries, given by their addresses plus the bit, are one as good as the other. V8 keeps one of
/// them for all objects of a prototype, so that objects of other shapes have it made anew.
fn are_alike(map: usize, other: usize) -> bool {
    // SAFETY: a map is longer than that. Its first word is its own map, the next ones have the sizes, types and flags; then
    // come its prototype, its constructor and its descriptors.
    let words = |map: usize| unsafe { *((map - POINTER) as *const [usize; 6]) };
    map == other || words(map) == words(other)
}

/// The words of a dictionary, given by its address plus the bit, behind the first two: its map and, in the lower half, how many follow.
fn dictionary<'a>(tagged: usize) -> Option<&'a [usize]> {
    if tagged & POINTER == 0 {
        return None;
    }
    // SAFETY: it is the address of an object, which is at least two words long, and in the version that this is for it is
    // a dictionary, as long as it says. What is borrowed is used up before the collector can run.
    unsafe {
        let start = (tagged - POINTER) as *const usize;
        let length = *start.add(1) & 0xFFFF_FFFF;
        (length <= MAX_WORDS).then(|| std::slice::from_raw_parts(start.add(2), length))
    }
}
