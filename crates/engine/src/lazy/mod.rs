//! Lazy events: what the code never reads of a large event is neither parsed nor printed.
//!
//! Nearly all of a wide event is text that its transformation never looks at. So such an event is made from a template
//! that V8 keeps per shape (the sequence of an object's keys): every value is a native data property which is worked out
//! at its first read, from the event's own text. An object in it that is large is made in the same way. On the way out,
//! what is still untouched is copied byte for byte from the line, and only what was read or assigned is printed.
//!
//! To the author nothing differs: they are own, enumerable, writable, configurable data properties in the line's order.
//! An object keeps its values in internal fields, and what they are worked out from, so that it lives as long as anybody
//! wants it.
//!
//! Events for which it does not pay are parsed in full, see [`choice`]; so are those of a shape of which the code reads
//! most anyway.

mod callbacks;
mod data;
mod edits;
mod known_shapes;
mod metadata;
mod shape_check;
mod tuner;

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

pub(crate) use callbacks::{guard, part};
pub(crate) use data::is_data;
use deno_core::v8;
pub(crate) use edits::{Edits, edits};
use known_shapes::KnownShapes;
use memchr::memmem::Finder;
pub(crate) use metadata::{SharedMetadata, documented, lazy_metadata, metadata_of};
use shape_check::ShapeReference;
pub(crate) use tuner::{Sample, Strategy, Tuner};

use crate::v8::v8_string::{self, Scratch};
use sluicegate_json::key_skeleton::same_key;
use sluicegate_json::validator::{Entry, Validator};

/// Objects with more properties than this are parsed in full.
const MAX_KEYS: usize = 64;

/// This many properties can be lazy in one event.
const MAX_ENTRIES: usize = 1000;

/// Shapes that are remembered; a stream with more of them gains little.
const MAX_SHAPES: usize = 64;

/// A shape is worth a template when it was seen so often.
const SEEN: u32 = 2;

/// After this many events of a shape it is decided whether laziness pays.
const TRIAL: u32 = 32;

/// An object within of which all values are read, at least this many, is taken for one that is spread.
const MIN_SPREAD: usize = 4;

/// A value that is read more often becomes an ordinary property, which costs a little once and nothing from then on.
const MAX_READS: u8 = 8;

/// The internal fields of a lazy object: its event's text, which part of that it is if it is not all of it, its [`Tag`],
/// and its values, undefined where they have not been worked out.
const TEXT: usize = 0;
const SPAN: i32 = 1;
const TAG: i32 = 2;
const VALUES: usize = 3;

/// What V8 calls our numbers in fields that hold no value.
const NUMBER: u16 = 1;

/// Which events are lazy. It never makes a difference to what comes out, only to what it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Laziness {
    /// Events for which it saves time.
    #[default]
    Auto,
    /// None: every event is parsed and printed in full.
    Never,
    /// Every event and every object in it that can be.
    Always,
    /// Every event that can be, and every object in it that has at least this many bytes, as far as it seems to pay.
    From(usize),
}

/// What lazy events need of the isolate; lives in a slot of it. Nothing that is done while it is borrowed runs code.
pub(crate) type Shared = Rc<RefCell<State>>;

pub(crate) struct State {
    /// What a field holds for a value that the code has made undefined.
    undefined: v8::Global<v8::Value>,
    /// The start of what stands for a value that is still lazy, as it is printed; three digits and a quote follow. No
    /// author can know it.
    secret: Finder<'static>,
    /// What the printing reads instead of a value that is still lazy, where it was needed yet.
    markers: Vec<Option<v8::Global<v8::String>>>,
    /// Shared with the driver: the number of the lazy value that it is about to probe, from 1; else 0. Then the node.
    probe: *mut [u32; 2],
    /// Whether no prototype has anything that printing would have to ask for.
    plain_prototypes: bool,
    /// Objects in the current event that are shorter are parsed in full at their first read, in bytes.
    least_object: usize,
    shapes: Vec<Shape>,
    known_shapes: KnownShapes,
    validator: Validator,
    /// Of an object in the event.
    inner: Validator,
    scratch: Scratch,
    /// What the string read last means.
    unescaped: Vec<u8>,
    /// For the texts of [`Edits`].
    texts: Vec<u8>,
    /// The current event, or the last one.
    number: u64,
    /// Whether it still is.
    in_hand: bool,
    line: Vec<u8>,
    /// Whether V8 prints the line as it stands, if that was asked for.
    clean: Option<bool>,
    /// Whether a key stands twice in any object of the line, if that was asked for.
    duplicates: Cell<Option<bool>>,
    nodes: Vec<Node>,
    entries: Vec<LazyEntry>,
}

/// An object of the current event whose values are lazy; the first one is the event.
struct Node {
    shape: usize,
    /// The entry whose value it is, unless it is the event.
    of: Option<usize>,
    /// Which of the event's entries are its own.
    entries: Range<usize>,
    /// Where its closing brace is.
    end: usize,
}

/// A value of the current event.
struct LazyEntry {
    entry: Entry,
    /// Whether it was worked out, and so what stands in the line may have got anywhere.
    read: bool,
    assigned: bool,
    /// How often it was read after that.
    reads: u8,
    /// The node that its value became.
    child: Option<usize>,
    /// Whether it is sure to be as it came although it was read.
    same: Cell<bool>,
    /// Whether a key stands twice in an object of it, if that was asked for.
    duplicates: Cell<Option<bool>>,
}

/// Says of which event a lazy object is, and which of its nodes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Tag {
    event: u64,
    node: usize,
}

/// A shape of objects.
struct Shape {
    keys: Vec<Box<[u8]>>,
    /// Whether its keys can be those of a template.
    plain: bool,
    /// Whether laziness was tried and did not pay.
    given_up: bool,
    seen: u32,
    /// Of the trial: how much there was, and how much of it was read. In bytes, or for objects within in objects.
    all: usize,
    read: usize,
    template: Option<Rc<Template>>,
}

/// What V8 keeps for a shape.
struct Template {
    object: v8::Global<v8::ObjectTemplate>,
    names: v8::Global<v8::Array>,
    reference: Option<ShapeReference>,
}

/// A current event whose values are lazy.
pub(crate) struct LazyEvent<'s> {
    pub(crate) object: v8::Local<'s, v8::Object>,
    /// The names of its properties.
    pub(crate) names: v8::Local<'s, v8::Array>,
}

impl State {
    /// Sets an isolate up. `probe` is the memory that the driver shares, which lives as long as the isolate.
    pub(crate) fn new(scope: &mut v8::PinScope<'_, '_>, probe: *mut [u32; 2]) -> Option<Self> {
        let mut secret = [0; 8];
        rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty()).ok()?;
        let secret = format!("\"lazy:{:016x}:", u64::from_ne_bytes(secret));
        let undefined: v8::Local<v8::Value> = v8::Symbol::new(scope, None).into();
        Some(Self {
            undefined: v8::Global::new(scope, undefined),
            secret: Finder::new(&secret).into_owned(),
            markers: Vec::new(),
            probe,
            plain_prototypes: false,
            least_object: 0,
            shapes: Vec::new(),
            known_shapes: KnownShapes::default(),
            validator: Validator::default(),
            inner: Validator::default(),
            scratch: Scratch::default(),
            unescaped: Vec::new(),
            texts: Vec::new(),
            number: 0,
            in_hand: false,
            line: Vec::new(),
            clean: None,
            duplicates: Cell::new(None),
            nodes: Vec::new(),
            entries: Vec::new(),
        })
    }

    /// Tells whether the prototypes that all events have are free of `toJSON` and the like; they stay as they are.
    pub(crate) fn set_plain_prototypes(&mut self, plain: bool) {
        self.plain_prototypes = plain;
    }

    /// Whether the current event's line has no white space between its tokens.
    pub(crate) fn is_compact(&self) -> bool {
        self.validator.is_compact()
    }

    /// The shape of the last `entries`, new or known; `None` if there are too many. They are those of the event, or of
    /// the value of the entry `of`.
    fn shape(&mut self, entries: Range<usize>, of: Option<usize>) -> Option<usize> {
        let place = match of {
            None => Some(0),
            // Only the event's own entries have a place: they are the first ones.
            Some(of) => self.nodes.first().filter(|event| of < event.entries.end).map(|_| 1 + of),
        };
        if let Some(known) = self.known_shapes.get(place) {
            return Some(known);
        }
        let index = self.find_shape(entries)?;
        self.known_shapes.set(place, index);
        Some(index)
    }

    fn find_shape(&mut self, entries: Range<usize>) -> Option<usize> {
        let keys = || self.entries[entries.clone()].iter().map(|lazy| &self.line[lazy.entry.key.clone()]);
        let same = |shape: &Shape| {
            shape.keys.len() == entries.len() && shape.keys.iter().zip(keys()).all(|(known, key)| same_key(known, key))
        };
        if let Some(index) = self.shapes.iter().position(same) {
            return Some(index);
        }
        if self.shapes.len() >= MAX_SHAPES || entries.len() > MAX_KEYS {
            return None;
        }
        let keys: Vec<Box<[u8]>> = keys().map(Into::into).collect();
        let mut sorted: Vec<_> = keys.iter().collect();
        sorted.sort_unstable();
        let plain = keys.iter().all(|key| is_plain(key)) && sorted.windows(2).all(|pair| pair[0] != pair[1]);
        self.shapes.push(Shape { keys, plain, given_up: false, seen: 0, all: 0, read: 0, template: None });
        Some(self.shapes.len() - 1)
    }

    /// Makes a lazy object of the last `entries`, whose text is the part `span` of the line. It is a value in another one, or
    /// the event: `within` is that object, and the entry.
    fn object<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        entries: Range<usize>,
        span: Range<usize>,
        within: Option<(v8::Local<'s, v8::Object>, usize)>,
    ) -> Option<(v8::Local<'s, v8::Object>, Rc<Template>)> {
        if span.end >> Tag::HALF != 0 {
            return None;
        }
        let index = self.shape(entries.clone(), within.map(|(_, of)| of))?;
        let shape = &mut self.shapes[index];
        shape.seen = shape.seen.saturating_add(1);
        if !shape.plain || self.least_object > 0 && (shape.given_up || shape.seen < SEEN) {
            return None;
        }
        if shape.template.is_none() {
            shape.template = Some(Rc::new(shape.template(scope)?));
        }
        let template = shape.template.clone()?;
        // What is never parsed must be text all the same.
        let text: v8::Local<v8::Data> = match within {
            Some((within, _)) => within.get_internal_field(scope, TEXT)?,
            None => v8_string::keep(scope, &self.line, self.validator.is_ascii())?.into(),
        };
        let object = v8::Local::new(scope, &template.object).new_instance(scope)?;
        object.set_internal_field(TEXT, text);
        set_number(object, SPAN, (span.start as u64) << Tag::HALF | span.end as u64);
        Tag { event: self.number, node: self.nodes.len() }.put(object);
        self.nodes.push(Node { shape: index, of: None, entries, end: span.end - 1 });
        Some((object, template))
    }

    /// Whether `object` is a lazy one of the current event; which node of it.
    fn node(&self, object: v8::Local<v8::Object>) -> Option<usize> {
        self.node_of(Tag::of(object)?)
    }

    fn node_of(&self, tag: Tag) -> Option<usize> {
        (self.in_hand && tag.event == self.number && tag.node < self.nodes.len()).then_some(tag.node)
    }
}

/// The event of a line with its values lazy, or nothing if it is better parsed in full. A line with a number of which JavaScript
/// loses value always is: the driver has to know the objects that such numbers came in.
pub(crate) fn event<'s>(scope: &mut v8::PinScope<'s, '_>, line: &[u8], way: Strategy) -> Option<LazyEvent<'s>> {
    let Strategy::Lazy(least_object) = way else { return None };
    let shared = scope.get_slot::<Shared>()?.clone();
    let state = &mut *shared.borrow_mut();
    if !state.validator.find(line)
        || state.validator.entries().len() > MAX_ENTRIES
        || state.validator.may_hold_lossy_digits(line)
    {
        return None;
    }
    state.least_object = least_object;
    state.number += 1;
    state.line.clear();
    state.line.extend_from_slice(line);
    state.clean = None;
    state.duplicates.set(None);
    state.nodes.clear();
    state.entries.clear();
    state.known_shapes.start(state.validator.keys());
    state.entries.extend(state.validator.entries().iter().cloned().map(LazyEntry::new));
    let (object, template) = state.object(scope, 0..state.entries.len(), 0..line.len(), None)?;
    state.in_hand = true;
    Some(LazyEvent { object, names: v8::Local::new(scope, &template.names) })
}

/// Whether printing asks no prototype that all events have for anything.
pub(crate) fn has_plain_prototypes(scope: &mut v8::PinScope<'_, '_>) -> bool {
    scope.get_slot::<Shared>().is_some_and(|shared| shared.borrow().plain_prototypes)
}

/// The event is over: learns from what was read of it.
pub(crate) fn finish_event(scope: &mut v8::PinScope<'_, '_>) {
    let Some(shared) = scope.get_slot::<Shared>().cloned() else { return };
    let state = &mut *shared.borrow_mut();
    state.in_hand = false;
    for (number, node) in state.nodes.iter().enumerate() {
        let shape = &mut state.shapes[node.shape];
        if shape.seen > TRIAL {
            continue;
        }
        let entries = &state.entries[node.entries.clone()];
        let own = |lazy: &&LazyEntry| lazy.read && lazy.child.is_none();
        if number == 0 {
            shape.all += state.line.len();
            shape.read += entries.iter().filter(own).map(|lazy| lazy.entry.value.len()).sum::<usize>();
        } else {
            // One within has to be printed, then: that pays where all of it is read, most likely by a spread.
            let spread = entries.len() >= MIN_SPREAD && entries.iter().all(|lazy| lazy.read);
            shape.all += 1;
            shape.read += usize::from(spread);
        }
        // Reading most of it costs more than having it parsed at once.
        shape.given_up = shape.seen == TRIAL && shape.read * 3 >= shape.all * 2;
    }
}

impl LazyEntry {
    fn new(entry: Entry) -> Self {
        Self {
            entry,
            read: false,
            assigned: false,
            reads: 0,
            child: None,
            same: Cell::new(false),
            duplicates: Cell::new(None),
        }
    }

    fn touched(&self) -> bool {
        (self.read || self.assigned) && !self.same.get()
    }
}

impl Tag {
    /// The lower bits have the node.
    const NODES: u32 = 10;
    /// Two numbers of this many bits fit a field.
    const HALF: u32 = 31;

    /// That of any object, if it has one.
    fn of(object: v8::Local<v8::Object>) -> Option<Self> {
        (object.internal_field_count() >= VALUES).then(|| Self::of_lazy(object))
    }

    /// That of an object that is made of a template of ours.
    fn of_lazy(object: v8::Local<v8::Object>) -> Self {
        let tag = number(object, TAG);
        Self { event: tag >> Self::NODES, node: (tag & ((1 << Self::NODES) - 1)) as usize }
    }

    fn put(self, object: v8::Local<v8::Object>) {
        set_number(object, TAG, self.event << Self::NODES | self.node as u64);
    }
}

/// Puts a number of 63 bits into a field, as V8 keeps pointers, whose lowest bit is 0.
fn set_number(object: v8::Local<v8::Object>, field: i32, number: u64) {
    object.set_aligned_pointer_in_internal_field(field, std::ptr::without_provenance((number << 1) as usize), NUMBER);
}

/// The number in a field of an object that is made of a template of ours.
fn number(object: v8::Local<v8::Object>, field: i32) -> u64 {
    // SAFETY: only `set_number` has put anything into the field, and it has done so when the object was made, before
    // anybody else had it.
    unsafe { object.get_aligned_pointer_from_internal_field(field, NUMBER) }.addr() as u64 >> 1
}

/// Whether a key can be in a template: plain text whose property means nothing to the driver.
fn is_plain(key: &[u8]) -> bool {
    key.first().is_some_and(|first| !first.is_ascii_digit())
        && key.is_ascii()
        && !key.contains(&b'\\')
        && !matches!(key, b"__proto__" | b"toJSON" | b"then" | b"constructor")
}

impl Shape {
    fn template(&self, scope: &mut v8::PinScope<'_, '_>) -> Option<Template> {
        let (object, names) = object_template(scope, &self.keys, callbacks::read)?;
        let reference = ShapeReference::new(scope, object, &names);
        let names: Vec<v8::Local<v8::Value>> = names.into_iter().map(Into::into).collect();
        let names = v8::Array::new_with_elements(scope, &names);
        Some(Template { object: v8::Global::new(scope, object), names: v8::Global::new(scope, names), reference })
    }
}

/// A template of objects with such properties, whose values `read` works out, and their names.
fn object_template<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    keys: &[Box<[u8]>],
    read: impl v8::MapFnTo<v8::AccessorNameGetterCallback> + Copy,
) -> Option<(v8::Local<'s, v8::ObjectTemplate>, Vec<v8::Local<'s, v8::Name>>)> {
    let constructor = v8::FunctionTemplate::new(scope, callbacks::construct);
    let object = constructor.instance_template(scope);
    object.set_internal_field_count(VALUES + keys.len());
    let mut names: Vec<v8::Local<v8::Name>> = Vec::new();
    // V8 puts what was added last first.
    for (number, key) in keys.iter().enumerate().rev() {
        let name = v8::String::new_from_one_byte(scope, key, v8::NewStringType::Internalized)?;
        let data = v8::Integer::new(scope, number as i32);
        let accessor = v8::AccessorConfiguration::new(read).setter(callbacks::assign).data(data.into());
        object.set_accessor_with_configuration(name.into(), accessor);
        names.push(name.into());
    }
    names.reverse();
    // Objects with internal fields have a prototype of their own, unless they are told otherwise.
    let prototype = v8::Object::new(scope).get_prototype(scope)?;
    let key = v8::String::new(scope, "prototype")?;
    constructor.get_function(scope)?.set(scope, key.into(), prototype)?;
    Some((object, names))
}

#[cfg(test)]
mod tests;
