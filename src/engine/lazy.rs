//! Lazy events: what the code never reads of a large event is neither parsed nor printed.
//!
//! Nearly all of a wide event is text that its transformation never looks at. So such an event is made from a template
//! that V8 keeps per shape (the sequence of its top-level keys): every top-level value is a native data property which is
//! worked out at its first read, from the event's own text, which the object carries in a private property. On the way
//! out, what is still untouched is copied byte for byte from the line.
//!
//! To the author nothing differs: they are own, enumerable, writable, configurable data properties in the line's order. A
//! read or an assignment turns one into an ordinary property for good.
//!
//! Small events pay nothing: laziness is decided by size, and given up for a shape of which the code reads most anyway.

use std::ops::Range;

use deno_core::v8;
use memchr::memmem::Finder;

use super::handover::{self, Scratch};
use super::skeleton::Skeleton;

/// Lines shorter than this are parsed in full, in bytes.
const LEAST_LINE: usize = 1024;

/// Events with more properties than this at the top level are parsed in full.
const MOST_KEYS: usize = 64;

/// Shapes that are remembered; a stream with more of them gains little.
const MOST_SHAPES: usize = 64;

/// A shape is worth a template when it was seen so often.
const SEEN: u32 = 2;

/// After so many events of a shape it is decided whether laziness pays.
const TRIAL: u32 = 32;

/// Which events are lazy. It never makes a difference to what comes out, only to what it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Laziness {
    /// Large events, unless the code reads most of them anyway.
    #[default]
    WhereItPays,
    /// None: every event is parsed and printed in full.
    Never,
    /// Every event that can be.
    Always,
}

/// What lazy events need of the isolate; lives in a slot of it.
pub(super) struct State {
    /// The private property that holds an event's own text.
    text: v8::Global<v8::Private>,
    /// What the printing reads instead of a value that is still lazy. No author can know these.
    markers: Vec<v8::Global<v8::String>>,
    /// The start of each marker, as it is printed; two digits and a quote follow.
    secret: Finder<'static>,
    /// Shared with the driver: the number of the lazy value that it is about to probe, from 1; else 0.
    probe: *const u32,
    /// The event in hand.
    current: Option<v8::Global<v8::Object>>,
    /// Its line; empty when no event is in hand.
    line: Vec<u8>,
    /// Where its values lie in the line.
    spans: Vec<Range<usize>>,
    /// Which of them were read, as bits.
    read: u64,
}

/// A shape of events.
struct Shape {
    keys: Vec<Box<[u8]>>,
    /// Whether its keys can be those of a template.
    plain: bool,
    /// Whether laziness was tried and did not pay.
    given_up: bool,
    seen: u32,
    /// Bytes of the events of the trial, and those of the values that were read of them.
    bytes: (usize, usize),
    template: Option<Template>,
}

/// What V8 keeps for a shape.
struct Template {
    object: v8::Global<v8::ObjectTemplate>,
    names: v8::Global<v8::Array>,
}

/// The shapes that an isolate has met.
#[derive(Default)]
pub(super) struct Shapes {
    shapes: Vec<Shape>,
    /// Of the lazy event in hand.
    skeleton: Skeleton,
    /// The last lazy event's line with markers in the place of the values that nobody read.
    expected: Vec<u8>,
}

/// An event in hand whose values are lazy.
pub(super) struct LazyEvent<'s> {
    pub(super) object: v8::Local<'s, v8::Object>,
    /// The names of its properties.
    pub(super) names: v8::Local<'s, v8::Array>,
    shape: usize,
}

impl State {
    /// Sets an isolate up. `probe` is the memory that the driver shares, which lives as long as the isolate.
    pub(super) fn new(scope: &mut v8::PinScope<'_, '_>, probe: *const u32) -> Option<Self> {
        let text = v8::Private::new(scope, None);
        let mut secret = [0; 8];
        rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty()).ok()?;
        let secret = format!("lazy:{:016x}:", u64::from_ne_bytes(secret));
        let mut markers = Vec::new();
        for number in 0..MOST_KEYS {
            let marker = v8::String::new(scope, &format!("{secret}{number:02}"))?;
            markers.push(v8::Global::new(scope, marker));
        }
        Some(Self {
            text: v8::Global::new(scope, text),
            markers,
            secret: Finder::new(&format!("\"{secret}")).into_owned(),
            probe,
            current: None,
            line: Vec::new(),
            spans: Vec::new(),
            read: 0,
        })
    }
}

impl Shapes {
    /// The event of a line with its values lazy, or nothing if it is better parsed in full.
    pub(super) fn event<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        line: &[u8],
        laziness: Laziness,
        scratch: &mut Scratch,
    ) -> Option<LazyEvent<'s>> {
        let always = laziness == Laziness::Always;
        let large = line.len() >= LEAST_LINE && laziness == Laziness::WhereItPays;
        if !(large || always) || !self.skeleton.find(line) {
            return None;
        }
        let index = self.shape(line)?;
        let shape = &mut self.shapes[index];
        shape.seen = shape.seen.saturating_add(1);
        if !shape.plain || !always && (shape.given_up || shape.seen < SEEN) {
            return None;
        }
        if shape.template.is_none() {
            shape.template = Some(shape.template(scope)?);
        }
        let template = shape.template.as_ref()?;
        // What is never parsed must be text all the same.
        let text = handover::to_v8(scope, line, scratch)?;
        let object = v8::Local::new(scope, &template.object).new_instance(scope)?;
        let names = v8::Local::new(scope, &template.names);
        let current = v8::Global::new(scope, object);
        let state = scope.get_slot_mut::<State>()?;
        state.current = Some(current);
        state.read = 0;
        state.line.clear();
        state.line.extend_from_slice(line);
        state.spans.clear();
        state.spans.extend(self.skeleton.entries.iter().map(|entry| entry.value.clone()));
        let private = state.text.clone();
        let private = v8::Local::new(scope, &private);
        object.set_private(scope, private, text.into())?;
        Some(LazyEvent { object, names, shape: index })
    }

    /// The shape of the line whose skeleton is in hand, new or known; nothing if there are too many.
    fn shape(&mut self, line: &[u8]) -> Option<usize> {
        let entries = &self.skeleton.entries;
        let key = |at: usize| &line[entries[at].key.clone()];
        let same = |shape: &Shape| {
            shape.keys.len() == entries.len() && shape.keys.iter().enumerate().all(|(at, known)| **known == *key(at))
        };
        if let Some(index) = self.shapes.iter().position(same) {
            return Some(index);
        }
        if self.shapes.len() >= MOST_SHAPES || entries.len() > MOST_KEYS {
            return None;
        }
        let keys: Vec<Box<[u8]>> = (0..entries.len()).map(|at| key(at).into()).collect();
        let mut sorted: Vec<_> = keys.iter().collect();
        sorted.sort_unstable();
        let plain = keys.iter().all(|key| is_plain(key)) && sorted.windows(2).all(|pair| pair[0] != pair[1]);
        self.shapes.push(Shape { keys, plain, given_up: false, seen: 0, bytes: (0, 0), template: None });
        Some(self.shapes.len() - 1)
    }

    /// The event is over: learns from what was read of it, and works out what is printed of it if nothing has changed.
    pub(super) fn over(&mut self, scope: &mut v8::PinScope<'_, '_>, event: &LazyEvent<'_>, line: &[u8]) {
        let Some(state) = scope.get_slot_mut::<State>() else { return };
        state.current = None;
        state.line.clear();
        self.expected.clear();
        let (mut copied, mut read) = (0, 0);
        for (number, span) in state.spans.iter().enumerate() {
            if state.read >> number & 1 == 1 {
                read += span.len();
                continue;
            }
            self.expected.extend_from_slice(&line[copied..span.start]);
            self.expected.extend_from_slice(state.secret.needle());
            self.expected.extend([b'0' + (number / 10) as u8, b'0' + (number % 10) as u8, b'"']);
            copied = span.end;
        }
        self.expected.extend_from_slice(&line[copied..]);
        let shape = &mut self.shapes[event.shape];
        if shape.seen <= TRIAL {
            shape.bytes.0 += line.len();
            shape.bytes.1 += read;
            // Reading all of it costs more than having it parsed at once.
            shape.given_up = shape.seen == TRIAL && shape.bytes.1 * 3 >= shape.bytes.0 * 2;
        }
    }

    /// What is printed of the event that is over if nothing of it has changed.
    pub(super) fn expected(&self) -> &[u8] {
        &self.expected
    }

    /// Appends `printed`, which holds a marker for each value that is still lazy, with the bytes of the line instead.
    pub(super) fn splice(&self, scope: &v8::PinScope<'_, '_>, line: &[u8], printed: &[u8], out: &mut dyn super::Sink) {
        let Some(state) = scope.get_slot::<State>() else { return };
        let mut copied = 0;
        for at in state.secret.find_iter(printed) {
            let digits = at + state.secret.needle().len();
            let Some([tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'"']) = printed.get(digits..digits + 3) else {
                continue;
            };
            let Some(span) = state.spans.get(usize::from(tens - b'0') * 10 + usize::from(ones - b'0')) else {
                continue;
            };
            out.push(&printed[copied..at]);
            out.push(&line[span.clone()]);
            copied = digits + 3;
        }
        out.push(&printed[copied..]);
    }
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
        let object = v8::ObjectTemplate::new(scope);
        let mut names = Vec::new();
        // V8 puts what was added last first.
        for (number, key) in self.keys.iter().enumerate().rev() {
            let name = v8::String::new_from_one_byte(scope, key, v8::NewStringType::Internalized)?;
            let data = v8::Integer::new(scope, number as i32);
            // Without a setter of ours, an assignment makes it an ordinary property.
            let accessor = v8::AccessorConfiguration::new(read).data(data.into());
            object.set_accessor_with_configuration(name.into(), accessor);
            names.push(name.into());
        }
        names.reverse();
        let names = v8::Array::new_with_elements(scope, &names);
        Some(Template { object: v8::Global::new(scope, object), names: v8::Global::new(scope, names) })
    }
}

/// The getter of a lazy value.
fn read<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: v8::Local<'s, v8::Name>,
    args: v8::PropertyCallbackArguments<'s>,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    let number = args.data().uint32_value(scope).unwrap_or_default() as usize;
    let holder = args.holder();
    let Some(state) = scope.get_slot_mut::<State>() else { return };
    // SAFETY: the memory belongs to an array buffer that lives as long as the isolate; only this thread uses it.
    let probed = unsafe { state.probe.read_volatile() } as usize == number + 1;
    let current = state.current.as_ref().is_some_and(|event| *event == holder);
    if probed && current {
        let marker = state.markers[number].clone();
        answer.set(v8::Local::new(scope, &marker).into());
    } else if let Some(value) = if current { parse_here(scope, number) } else { parse_later(scope, holder, name) } {
        // An ordinary property from here on.
        holder.create_data_property(scope, name, value);
        answer.set(value);
    }
}

/// Has `Object.freeze` and `Object.seal` read a lazy event first: V8 takes native properties for accessors there, and would
/// call a sealed event frozen, or let what inherits from a frozen one overwrite its properties.
pub(super) fn guard(scope: &mut v8::PinScope<'_, '_>, context: v8::Local<v8::Context>) -> Option<()> {
    let global = context.global(scope);
    let key = v8::String::new(scope, "Object")?;
    let object: v8::Local<v8::Object> = global.get(scope, key.into())?.try_into().ok()?;
    for name in ["freeze", "seal"] {
        let key = v8::String::new(scope, name)?;
        let original = object.get(scope, key.into())?;
        let guarded = v8::Function::builder(read_all_and_call)
            .data(original)
            .length(1)
            .constructor_behavior(v8::ConstructorBehavior::Throw)
            .build(scope)?;
        guarded.set_name(key);
        object.set(scope, key.into(), guarded.into())?;
    }
    Some(())
}

fn read_all_and_call<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    if let Ok(object) = v8::Local::<v8::Object>::try_from(args.get(0))
        && !object.is_proxy()
        && let Some(private) = scope.get_slot::<State>().map(|state| state.text.clone())
        && object.has_private(scope, v8::Local::new(scope, &private)) == Some(true)
        && let Some(names) = object.get_own_property_names(scope, v8::GetPropertyNamesArgs::default())
    {
        for index in 0..names.length() {
            let name = names.get_index(scope, index).and_then(|name| v8::Local::<v8::Name>::try_from(name).ok());
            if let Some(name) = name
                && object.has_real_named_property(scope, name) == Some(true)
            {
                // An accessor of the author's must not be called.
                object.get_own_property_descriptor(scope, name);
            }
        }
    }
    if let Ok(original) = v8::Local::<v8::Function>::try_from(args.data()) {
        let undefined = v8::undefined(scope).into();
        if let Some(value) = original.call(scope, undefined, &[args.get(0)]) {
            answer.set(value);
        }
    }
}

/// Parses a value of the event in hand.
fn parse_here<'s>(scope: &mut v8::PinScope<'s, '_>, number: usize) -> Option<v8::Local<'s, v8::Value>> {
    let state = scope.get_slot_mut::<State>()?;
    state.read |= 1 << number;
    let line = std::mem::take(&mut state.line);
    let text = handover::to_v8(scope, line.get(state_span(scope, number)?)?, &mut Scratch::default());
    scope.get_slot_mut::<State>()?.line = line;
    v8::json::parse(scope, text?)
}

fn state_span(scope: &v8::PinScope<'_, '_>, number: usize) -> Option<Range<usize>> {
    scope.get_slot::<State>()?.spans.get(number).cloned()
}

/// Parses the value `name` of an event that somebody kept, out of the event's own text.
fn parse_later<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    holder: v8::Local<'s, v8::Object>,
    name: v8::Local<'s, v8::Name>,
) -> Option<v8::Local<'s, v8::Value>> {
    let private = scope.get_slot::<State>()?.text.clone();
    let private = v8::Local::new(scope, &private);
    let text: v8::Local<v8::String> = holder.get_private(scope, private)?.try_into().ok()?;
    let text = handover::to_string(scope, text);
    let name = v8::Local::<v8::String>::try_from(name).ok()?.to_rust_string_lossy(scope);
    let mut skeleton = Skeleton::default();
    if !skeleton.find(text.as_bytes()) {
        return None;
    }
    let entry = skeleton.entries.iter().find(|entry| text[entry.key.clone()] == name)?;
    let value = handover::to_v8(scope, &text.as_bytes()[entry.value.clone()], &mut Scratch::default())?;
    v8::json::parse(scope, value)
}

#[cfg(test)]
#[path = "lazy_tests.rs"]
mod tests;
