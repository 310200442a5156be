//! Lazy events: parts of a large event that the code never reads are neither parsed nor printed.
//!
//! Most of a wide event is text that its transformation never reads. Such an event is instantiated from a template that
//! V8 keeps per shape (the sequence of an object's keys): every value is a native data property, computed from the
//! event's text at its first read. Large nested objects are made in the same way. On output, untouched values are
//! copied byte for byte from the line, and only values that were read or assigned are printed.
//!
//! The author's code sees no difference: they are own, enumerable, writable, configurable data
//! properties in the line's order. An object keeps its values and its text in internal fields,
//! so it stays valid for as long as the code refers to it.
//!
//! Events are parsed in full if laziness does not save time (see [`tuner`]), or if the code
//! reads most of every event of their shape.

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

/// Maximum number of lazy properties in one event.
const MAX_ENTRIES: usize = 1000;

/// Maximum number of shapes remembered. A stream with more of them gains little.
const MAX_SHAPES: usize = 64;

/// A shape gets a template once it was seen this many times.
const SEEN: u32 = 2;

/// Whether laziness pays for a shape is decided after this many events of it.
const DECIDE_AFTER: u32 = 32;

/// Minimum number of values of a nested object for it to count as spread when all of them are read.
const MIN_SPREAD: usize = 4;

/// A value read more often than this becomes an ordinary property: a small cost once, and later reads are free.
const MAX_READS: u8 = 8;

/// The internal fields of a lazy object: its event's text, its span in that text, its [`Tag`],
/// and its values (`undefined` until computed).
const TEXT: usize = 0;
const SPAN: i32 = 1;
const TAG: i32 = 2;
const VALUES: usize = 3;

/// The embedder tag of numbers stored in internal fields that hold no value.
const NUMBER: u16 = 1;

/// Which events are lazy. The output never depends on it, only the cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Laziness {
    /// Events for which laziness saves time.
    #[default]
    Auto,
    /// No event: every event is parsed and printed in full.
    Never,
    /// Every event, and every nested object, that can be lazy.
    Always,
    /// Every event that can be lazy, and every nested object of at least this many bytes, unless its shape did not pay.
    From(usize),
}

/// The isolate's state for lazy events, kept in an isolate slot. No JavaScript runs while it is borrowed.
pub(crate) type Shared = Rc<RefCell<State>>;

pub(crate) struct State {
    /// Stored in a field whose value the code has set to `undefined`.
    undefined: v8::Global<v8::Value>,
    /// The start of a marker: the printed form of a value that is still lazy. Three digits and a quote
    /// follow. It is random, so the author's code cannot guess it.
    secret: Finder<'static>,
    /// The strings that printing reads in place of lazy values, by entry. Created on first use.
    markers: Vec<Option<v8::Global<v8::String>>>,
    /// Shared with the driver. First: the position (from 1) of the property that it is about to
    /// probe, else 0. Second: the node.
    probe: *mut [u32; 2],
    /// Whether no shared prototype has a property, such as `toJSON`, that affects printing.
    plain_prototypes: bool,
    /// Nested objects shorter than this, in bytes, are parsed in full at their first read.
    least_object: usize,
    shapes: Vec<Shape>,
    known_shapes: KnownShapes,
    validator: Validator,
    /// For nested objects.
    inner: Validator,
    scratch: Scratch,
    /// The unescaped form of the string read last. Reused memory.
    unescaped: Vec<u8>,
    /// Reused memory for the texts of [`Edits`].
    texts: Vec<u8>,
    /// The number of the current event, or of the last one.
    number: u64,
    /// Whether that event is still being transformed.
    has_event: bool,
    line: Vec<u8>,
    /// Whether the line survives a round trip through V8 unchanged. `None` until asked for.
    clean: Option<bool>,
    /// Whether any object of the line has a duplicate key. `None` until asked for.
    duplicates: Cell<Option<bool>>,
    nodes: Vec<Node>,
    entries: Vec<LazyEntry>,
}

/// A lazy object of the current event. The first one is the event itself.
struct Node {
    shape: usize,
    /// The entry whose value this object is. `None` for the event.
    of: Option<usize>,
    /// The range of this object's entries among the event's.
    entries: Range<usize>,
    /// The position of its closing brace.
    end: usize,
}

/// A value of the current event.
struct LazyEntry {
    entry: Entry,
    /// Whether the value was computed. From then on the code may have changed it or stored it anywhere.
    read: bool,
    assigned: bool,
    /// Number of reads after the first.
    reads: u8,
    /// The node that was made for the value.
    child: Option<usize>,
    /// Whether the value was read but is known to be unchanged.
    same: Cell<bool>,
    /// Whether any object in the value has a duplicate key. `None` until asked for.
    duplicates: Cell<Option<bool>>,
}

/// Identifies a lazy object: the number of its event, and its node in that event.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Tag {
    event: u64,
    node: usize,
}

/// A shape of objects.
struct Shape {
    keys: Vec<Box<[u8]>>,
    /// Whether all keys can be used in a template.
    plain: bool,
    /// Whether laziness was tried and did not pay.
    given_up: bool,
    seen: u32,
    /// Counted until that is decided: the bytes seen and the bytes read; for nested objects, how many
    /// were seen and how many were read entirely.
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

/// The current event, if its values are lazy.
pub(crate) struct LazyEvent<'s> {
    pub(crate) object: v8::Local<'s, v8::Object>,
    /// The names of its properties.
    pub(crate) names: v8::Local<'s, v8::Array>,
}

impl State {
    /// Creates the state for an isolate. `probe` is the memory shared with the driver; it lives as long as the isolate.
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
            has_event: false,
            line: Vec::new(),
            clean: None,
            duplicates: Cell::new(None),
            nodes: Vec::new(),
            entries: Vec::new(),
        })
    }

    /// Sets whether the shared prototypes are free of `toJSON` and the like. They never change afterwards.
    pub(crate) fn set_plain_prototypes(&mut self, plain: bool) {
        self.plain_prototypes = plain;
    }

    /// Whether the current event's line has no white space between its tokens.
    pub(crate) fn is_compact(&self) -> bool {
        self.validator.is_compact()
    }

    /// Finds or creates the shape of these entries, the last ones. `None` if there are too many shapes or keys. They are the
    /// entries of the event, or of the value of the entry `of`.
    fn shape(&mut self, entries: Range<usize>, of: Option<usize>) -> Option<usize> {
        if let Some(known) = self.known_shape(of) {
            return Some(known);
        }
        let index = self.find_shape(entries)?;
        self.known_shapes.set(self.place(of), index);
        Some(index)
    }

    /// Returns the shape of the value of the entry `of`, or of the event, if the line's key skeleton tells it.
    fn known_shape(&self, of: Option<usize>) -> Option<usize> {
        self.known_shapes.get(self.place(of))
    }

    /// Returns the place of an object for [`KnownShapes`]: the event or the value of the entry `of`. Only values of the
    /// event itself have a place. Its entries are the first ones.
    fn place(&self, of: Option<usize>) -> Option<usize> {
        let Some(of) = of else { return Some(0) };
        self.nodes.first().filter(|event| of < event.entries.end).map(|_| 1 + of)
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

    /// Makes a lazy object of the last `entries`, whose text is `line[span]`. `within` is the lazy object that it is a value
    /// of, and the entry of that value; `None` for the event.
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
        if shape.is_parsed_in_full(self.least_object) || self.least_object > 0 && shape.seen < SEEN {
            return None;
        }
        if shape.template.is_none() {
            shape.template = Some(Rc::new(shape.template(scope)?));
        }
        let template = shape.template.clone()?;
        // The text is checked to be UTF-8 here because some of it may never be parsed.
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

    /// Returns the node of `object` if it is a lazy object of the current event.
    fn node(&self, object: v8::Local<v8::Object>) -> Option<usize> {
        self.node_of(Tag::of(object)?)
    }

    fn node_of(&self, tag: Tag) -> Option<usize> {
        (self.has_event && tag.event == self.number && tag.node < self.nodes.len()).then_some(tag.node)
    }
}

/// Makes a lazy event from a line, or returns `None` if it must be parsed in full. Lines with numbers that lose value
/// in JavaScript are always parsed in full: the driver has to know the objects that contained them.
pub(crate) fn event<'s>(scope: &mut v8::PinScope<'s, '_>, line: &[u8], strategy: Strategy) -> Option<LazyEvent<'s>> {
    let Strategy::Lazy(least_object) = strategy else { return None };
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
    state.has_event = true;
    Some(LazyEvent { object, names: v8::Local::new(scope, &template.names) })
}

/// Whether no shared prototype affects printing.
pub(crate) fn has_plain_prototypes(scope: &mut v8::PinScope<'_, '_>) -> bool {
    scope.get_slot::<Shared>().is_some_and(|shared| shared.borrow().plain_prototypes)
}

/// Ends the current event, and learns from the values that were read.
pub(crate) fn finish_event(scope: &mut v8::PinScope<'_, '_>) {
    let Some(shared) = scope.get_slot::<Shared>().cloned() else { return };
    let state = &mut *shared.borrow_mut();
    state.has_event = false;
    for (number, node) in state.nodes.iter().enumerate() {
        let shape = &mut state.shapes[node.shape];
        if shape.seen > DECIDE_AFTER {
            continue;
        }
        let entries = &state.entries[node.entries.clone()];
        let own = |lazy: &&LazyEntry| lazy.read && lazy.child.is_none();
        if number == 0 {
            shape.all += state.line.len();
            shape.read += entries.iter().filter(own).map(|lazy| lazy.entry.value.len()).sum::<usize>();
        } else {
            // A nested object parsed in full must be printed too. That pays only if all of it is
            // read, most likely by a spread.
            let spread = entries.len() >= MIN_SPREAD && entries.iter().all(|lazy| lazy.read);
            shape.all += 1;
            shape.read += usize::from(spread);
        }
        // Reading most of an object lazily costs more than parsing it at once.
        shape.given_up = shape.seen == DECIDE_AFTER && shape.read * 3 >= shape.all * 2;
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
    /// The node is stored in this many lower bits.
    const NODES: u32 = 10;
    /// Two numbers of this many bits fit in a field.
    const HALF: u32 = 31;

    /// Returns the tag of any object, or `None` if it is not lazy.
    fn of(object: v8::Local<v8::Object>) -> Option<Self> {
        (object.internal_field_count() >= VALUES).then(|| Self::of_lazy(object))
    }

    /// Returns the tag of an object made from a lazy template.
    fn of_lazy(object: v8::Local<v8::Object>) -> Self {
        let tag = number(object, TAG);
        Self { event: tag >> Self::NODES, node: (tag & ((1 << Self::NODES) - 1)) as usize }
    }

    fn put(self, object: v8::Local<v8::Object>) {
        set_number(object, TAG, self.event << Self::NODES | self.node as u64);
    }
}

/// Stores a 63-bit number in a field as V8 stores aligned pointers, whose lowest bit is 0.
fn set_number(object: v8::Local<v8::Object>, field: i32, number: u64) {
    object.set_aligned_pointer_in_internal_field(field, std::ptr::without_provenance((number << 1) as usize), NUMBER);
}

/// Reads a number from a field of an object made from a lazy template.
fn number(object: v8::Local<v8::Object>, field: i32) -> u64 {
    // SAFETY: only `set_number` writes to the field, and it has done so when the object was
    // made, before any other code could see the object.
    unsafe { object.get_aligned_pointer_from_internal_field(field, NUMBER) }.addr() as u64 >> 1
}

/// Whether a key can be in a template: ASCII text without escapes that has no special meaning to V8 or the driver.
fn is_plain(key: &[u8]) -> bool {
    key.first().is_some_and(|first| !first.is_ascii_digit())
        && key.is_ascii()
        && !key.contains(&b'\\')
        && !matches!(key, b"__proto__" | b"toJSON" | b"then" | b"constructor")
}

impl Shape {
    /// Returns whether objects of this shape are never lazy, for this [`State::least_object`].
    fn is_parsed_in_full(&self, least_object: usize) -> bool {
        !self.plain || self.given_up && least_object > 0
    }

    fn template(&self, scope: &mut v8::PinScope<'_, '_>) -> Option<Template> {
        let (object, names) = object_template(scope, &self.keys, callbacks::read)?;
        let reference = ShapeReference::new(scope, object, &names);
        let names: Vec<v8::Local<v8::Value>> = names.into_iter().map(Into::into).collect();
        let names = v8::Array::new_with_elements(scope, &names);
        Some(Template { object: v8::Global::new(scope, object), names: v8::Global::new(scope, names), reference })
    }
}

/// Returns a template for objects with these keys, whose values `read` computes, and the keys as names.
fn object_template<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    keys: &[Box<[u8]>],
    read: impl v8::MapFnTo<v8::AccessorNameGetterCallback> + Copy,
) -> Option<(v8::Local<'s, v8::ObjectTemplate>, Vec<v8::Local<'s, v8::Name>>)> {
    let constructor = v8::FunctionTemplate::new(scope, callbacks::construct);
    let object = constructor.instance_template(scope);
    object.set_internal_field_count(VALUES + keys.len());
    let mut names: Vec<v8::Local<v8::Name>> = Vec::new();
    // V8 creates the properties in reverse order of their addition.
    for (number, key) in keys.iter().enumerate().rev() {
        let name = v8::String::new_from_one_byte(scope, key, v8::NewStringType::Internalized)?;
        let data = v8::Integer::new(scope, number as i32);
        let accessor = v8::AccessorConfiguration::new(read).setter(callbacks::assign).data(data.into());
        object.set_accessor_with_configuration(name.into(), accessor);
        names.push(name.into());
    }
    names.reverse();
    // By default, instances of a function template have a prototype of their own.
    let prototype = v8::Object::new(scope).get_prototype(scope)?;
    let key = v8::String::new(scope, "prototype")?;
    constructor.get_function(scope)?.set(scope, key.into(), prototype)?;
    Some((object, names))
}

#[cfg(test)]
mod tests;
