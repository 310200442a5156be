//! Lazy events: large values that the code never reads are neither parsed nor printed.
//!
//! Nearly all of a wide event is text that its transformation never looks at. So such an event is made from a template
//! that V8 keeps per shape (the sequence of top-level keys, and which of them are large): the small values are parsed as
//! ever, the large ones are native data properties whose value is worked out at the first read, from the event's own text,
//! which the object carries in a private property. On the way out, a large value that is still untouched is copied byte
//! for byte from the line.
//!
//! To the author nothing differs: they are own, enumerable, writable, configurable data properties in the line's order.
//! A read or an assignment turns one into an ordinary property for good.
//!
//! Small events pay nothing: laziness is decided by size, and given up for a key that most events' code reads anyway.

use std::ops::Range;

use deno_core::v8;

use super::handover::{self, Scratch};
use super::skeleton::Skeleton;

/// Lines shorter than this are parsed in full, in bytes.
const LEAST_LINE: usize = 1536;

/// Values shorter than this are parsed with the rest, in bytes.
const LEAST_VALUE: usize = 768;

/// At most so many large values of one event are lazy.
const MOST_LAZY: usize = 4;

/// Shapes that are remembered; a stream with more of them gains little.
const MOST_SHAPES: usize = 32;

/// A shape is worth a template when it was seen so often.
const SEEN: u32 = 2;

/// After so many events of a shape, a large value that was read in more than a third of them is lazy no more.
const TRIAL: u32 = 64;

/// What lazy events need of the isolate; lives in a slot of it.
pub(super) struct Lazy {
    /// The private property that holds an event's own text.
    text: v8::Global<v8::Private>,
    /// Private properties for values that could not be put in place (of a frozen event).
    kept: Vec<v8::Global<v8::Private>>,
    /// What the printing reads instead of a value that is still lazy.
    markers: Vec<v8::Global<v8::String>>,
    marker_texts: Vec<Vec<u8>>,
    /// Shared with the driver: the number of the lazy value that it is about to probe, from 1; else 0.
    probe: *const u32,
    /// The event that is being printed.
    printing: Option<v8::Global<v8::Object>>,
    /// Which lazy values of the event in hand were read or assigned, as bits.
    touched: u32,
    skeleton: Skeleton,
}

/// A shape of events.
struct Shape {
    keys: Vec<Box<[u8]>>,
    /// Which keys are lazy, by index into `keys`.
    lazy: Vec<usize>,
    seen: u32,
    reads: [u32; MOST_LAZY],
    made: Option<Made>,
}

/// What V8 keeps for a shape.
struct Made {
    template: v8::Global<v8::ObjectTemplate>,
    /// Copies the small values from the parsed skeleton.
    eager: v8::Global<v8::Array>,
    lazy: v8::Global<v8::Array>,
}

/// The shapes of a realm.
#[derive(Default)]
pub(super) struct Shapes {
    shapes: Vec<Shape>,
    /// Keys that are read so often that laziness does not pay.
    busy: Vec<Box<[u8]>>,
    /// The line without its large values, and where these are in it.
    text: Vec<u8>,
}

/// An event in hand that has lazy values.
pub(super) struct LazyEvent<'s> {
    pub(super) object: v8::Local<'s, v8::Object>,
    pub(super) lazy: v8::Local<'s, v8::Array>,
    shape: usize,
    /// The line's bytes of each lazy value.
    spans: Vec<Range<usize>>,
}

/// A random text that no author can know.
fn nonce() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}{:016x}", RandomState::new().hash_one(0u8), RandomState::new().hash_one(1u8))
}

impl Lazy {
    /// Sets an isolate up. `probe` is the memory that the driver shares.
    pub(super) fn new(scope: &mut v8::PinScope<'_, '_>, probe: *const u32) -> Option<Self> {
        let private = |scope: &mut v8::PinScope<'_, '_>| {
            let private = v8::Private::new(scope, None);
            v8::Global::new(scope, private)
        };
        let nonce = nonce();
        let mut markers = Vec::new();
        let mut marker_texts = Vec::new();
        for index in 0..MOST_LAZY {
            let marker = format!("lazy:{nonce}:{index}");
            let string = v8::String::new(scope, &marker)?;
            markers.push(v8::Global::new(scope, string));
            marker_texts.push(format!("\"{marker}\"").into_bytes());
        }
        Some(Self {
            text: private(scope),
            kept: (0..MOST_LAZY).map(|_| private(scope)).collect(),
            markers,
            marker_texts,
            probe,
            printing: None,
            touched: 0,
            skeleton: Skeleton::default(),
        })
    }
}

impl Shapes {
    /// The event of a line with its large values lazy, or nothing if it is better parsed in full.
    pub(super) fn event<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        fill: &v8::Global<v8::Function>,
        line: &[u8],
        scratch: &mut Scratch,
    ) -> Option<LazyEvent<'s>> {
        if line.len() < LEAST_LINE {
            return None;
        }
        let mut skeleton = std::mem::take(&mut scope.get_slot_mut::<Lazy>()?.skeleton);
        let event = self.from_skeleton(scope, fill, line, &mut skeleton, scratch);
        scope.get_slot_mut::<Lazy>()?.skeleton = skeleton;
        event
    }

    fn from_skeleton<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        fill: &v8::Global<v8::Function>,
        line: &[u8],
        skeleton: &mut Skeleton,
        scratch: &mut Scratch,
    ) -> Option<LazyEvent<'s>> {
        if !skeleton.find(line) {
            return None;
        }
        let index = self.shape(line, skeleton)?;
        let shape = &mut self.shapes[index];
        shape.seen += 1;
        if shape.seen < SEEN {
            return None;
        }
        if shape.made.is_none() {
            shape.made = Some(shape.make(scope)?);
        }
        let made = shape.made.as_ref()?;

        // The skeleton's text: the line with a marker in the place of each large value.
        self.text.clear();
        let mut copied = 0;
        let mut spans = Vec::with_capacity(shape.lazy.len());
        for (number, key) in shape.lazy.iter().enumerate() {
            let span = skeleton.entries[*key].1.clone();
            self.text.extend_from_slice(&line[copied..span.start]);
            self.text.extend_from_slice(&scope.get_slot::<Lazy>()?.marker_texts[number]);
            copied = span.end;
            spans.push(span);
        }
        self.text.extend_from_slice(&line[copied..]);

        let text = handover::to_v8(scope, &self.text, scratch)?;
        // The parts that are not parsed must be text too.
        let source = handover::to_v8(scope, line, scratch)?;
        let parsed = v8::json::parse(scope, text)?;
        let template = v8::Local::new(scope, &made.template);
        let object = template.new_instance(scope)?;
        let private = scope.get_slot::<Lazy>()?.text.clone();
        let private = v8::Local::new(scope, &private);
        object.set_private(scope, private, source.into())?;
        let eager = v8::Local::new(scope, &made.eager);
        let lazy = v8::Local::new(scope, &made.lazy);
        let fill = v8::Local::new(scope, fill);
        let undefined = v8::undefined(scope).into();
        fill.call(scope, undefined, &[object.into(), parsed, eager.into()])?;
        scope.get_slot_mut::<Lazy>()?.touched = 0;
        Some(LazyEvent { object, lazy, shape: index, spans })
    }

    /// The shape of a line, new or known; nothing if no value of it is worth being lazy.
    fn shape(&mut self, line: &[u8], skeleton: &Skeleton) -> Option<usize> {
        let key = |at: usize| &line[skeleton.entries[at].0.clone()];
        let large = |at: usize| {
            let value = &skeleton.entries[at].1;
            value.len() >= LEAST_VALUE && !self.busy.iter().any(|busy| **busy == *key(at))
        };
        let lazy = || (0..skeleton.entries.len()).filter(|at| large(*at)).take(MOST_LAZY);
        lazy().next()?;
        let same = |shape: &Shape| {
            shape.keys.len() == skeleton.entries.len()
                && shape.keys.iter().enumerate().all(|(at, known)| **known == *key(at))
                && shape.lazy.iter().copied().eq(lazy())
        };
        if let Some(index) = self.shapes.iter().position(same) {
            return Some(index);
        }
        if self.shapes.len() >= MOST_SHAPES {
            return None;
        }
        let keys = (0..skeleton.entries.len()).map(|at| key(at).into()).collect();
        let lazy = lazy().collect();
        self.shapes.push(Shape { keys, lazy, seen: 0, reads: [0; MOST_LAZY], made: None });
        Some(self.shapes.len() - 1)
    }

    /// The event is over: learns from what was read.
    pub(super) fn done(&mut self, index: usize, touched: u32) {
        let shape = &mut self.shapes[index];
        for number in 0..shape.lazy.len() {
            shape.reads[number] += touched >> number & 1;
        }
        if shape.seen.is_multiple_of(TRIAL) {
            for (number, key) in shape.lazy.iter().enumerate() {
                if shape.reads[number] > TRIAL / 3 {
                    self.busy.push(shape.keys[*key].clone());
                }
            }
            shape.reads = [0; MOST_LAZY];
        }
    }

    /// The text that the parser was given instead of the last event's line.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }
}

impl Shape {
    fn make(&self, scope: &mut v8::PinScope<'_, '_>) -> Option<Made> {
        let template = v8::ObjectTemplate::new(scope);
        let (mut eager, mut lazy) = (Vec::new(), Vec::new());
        for (at, key) in self.keys.iter().enumerate() {
            let name = v8::String::new_from_one_byte(scope, key, v8::NewStringType::Internalized)?;
            match self.lazy.iter().position(|index| *index == at) {
                Some(number) => {
                    let data = v8::Integer::new(scope, number as i32);
                    let accessor = v8::AccessorConfiguration::new(read).setter(assign).data(data.into());
                    template.set_accessor_with_configuration(name.into(), accessor);
                    lazy.push(name.into());
                }
                None => {
                    let placeholder = v8::undefined(scope);
                    template.set(name.into(), placeholder.into());
                    eager.push(name.into());
                }
            }
        }
        let eager = v8::Array::new_with_elements(scope, &eager);
        let lazy = v8::Array::new_with_elements(scope, &lazy);
        Some(Made {
            template: v8::Global::new(scope, template),
            eager: v8::Global::new(scope, eager),
            lazy: v8::Global::new(scope, lazy),
        })
    }
}

impl<'s> LazyEvent<'s> {
    /// From here on the driver may probe which values are still lazy.
    pub(super) fn begin_printing(&self, scope: &mut v8::PinScope<'s, '_>) {
        let object = v8::Global::new(scope, self.object);
        if let Some(state) = scope.get_slot_mut::<Lazy>() {
            state.printing = Some(object);
        }
    }

    /// Printing is over. Gives back which values were touched.
    pub(super) fn end(&self, scope: &mut v8::PinScope<'s, '_>, shapes: &mut Shapes) {
        if let Some(state) = scope.get_slot_mut::<Lazy>() {
            state.printing = None;
            shapes.done(self.shape, state.touched);
        }
    }

    /// Puts the line's own bytes in the place of the markers in `text`, which the driver printed.
    pub(super) fn splice(&self, scope: &v8::PinScope<'s, '_>, line: &[u8], text: &[u8], out: &mut Vec<u8>) {
        out.clear();
        let Some(state) = scope.get_slot::<Lazy>() else { return };
        let mut found: Vec<(usize, usize)> = self
            .spans
            .iter()
            .enumerate()
            .filter_map(|(number, _)| memchr::memmem::find(text, &state.marker_texts[number]).map(|at| (at, number)))
            .collect();
        found.sort_unstable();
        let mut copied = 0;
        for (at, number) in found {
            out.extend_from_slice(&text[copied..at]);
            out.extend_from_slice(&line[self.spans[number].clone()]);
            copied = at + state.marker_texts[number].len();
        }
        out.extend_from_slice(&text[copied..]);
    }
}

/// The getter of a lazy value.
fn read(
    scope: &mut v8::PinScope<'_, '_>,
    name: v8::Local<v8::Name>,
    args: v8::PropertyCallbackArguments,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    let number = args.data().uint32_value(scope).unwrap_or_default() as usize;
    let holder = args.holder();
    let Some(state) = scope.get_slot::<Lazy>() else { return };
    // SAFETY: the memory belongs to an array buffer that lives as long as the isolate; only this thread uses it.
    let probed = unsafe { state.probe.read_volatile() } as usize;
    let kept = state.kept[number].clone();
    if probed == number + 1 && state.printing.as_ref().is_some_and(|event| *event == holder) {
        let marker = state.markers[number].clone();
        let kept = v8::Local::new(scope, &kept);
        // A value that was read while the event was frozen may have been changed since.
        match holder.get_private(scope, kept) {
            Some(value) if !value.is_undefined() => answer.set(value),
            _ => answer.set(v8::Local::new(scope, &marker).into()),
        }
        return;
    }
    let kept = v8::Local::new(scope, &kept);
    if let Some(value) = holder.get_private(scope, kept)
        && !value.is_undefined()
    {
        answer.set(value);
        return;
    }
    let Some(value) = materialise(scope, holder, name) else { return };
    touch(scope, number);
    settle(scope, holder, name, kept, value);
    answer.set(value);
}

/// The setter of a lazy value: from here on it is an ordinary property.
fn assign(
    scope: &mut v8::PinScope<'_, '_>,
    name: v8::Local<v8::Name>,
    value: v8::Local<v8::Value>,
    args: v8::PropertyCallbackArguments,
    _: v8::ReturnValue<()>,
) {
    let number = args.data().uint32_value(scope).unwrap_or_default() as usize;
    let Some(kept) = scope.get_slot::<Lazy>().map(|state| state.kept[number].clone()) else { return };
    let kept = v8::Local::new(scope, &kept);
    touch(scope, number);
    settle(scope, args.holder(), name, kept, value);
}

fn touch(scope: &mut v8::PinScope<'_, '_>, number: usize) {
    if let Some(state) = scope.get_slot_mut::<Lazy>() {
        state.touched |= 1 << number;
    }
}

/// Makes it an ordinary property; where that is forbidden (a sealed or frozen event), keeps the value aside.
fn settle<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    holder: v8::Local<'s, v8::Object>,
    name: v8::Local<v8::Name>,
    kept: v8::Local<v8::Private>,
    value: v8::Local<'s, v8::Value>,
) {
    if holder.create_data_property(scope, name, value) != Some(true) {
        holder.set_private(scope, kept, value);
    }
}

/// Parses the value of `name` out of the event's own text.
fn materialise<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    holder: v8::Local<'s, v8::Object>,
    name: v8::Local<v8::Name>,
) -> Option<v8::Local<'s, v8::Value>> {
    let private = scope.get_slot::<Lazy>()?.text.clone();
    let private = v8::Local::new(scope, &private);
    let text: v8::Local<v8::String> = holder.get_private(scope, private)?.try_into().ok()?;
    let text = handover::to_string(scope, text);
    let name = v8::Local::<v8::String>::try_from(name).ok()?.to_rust_string_lossy(scope);
    let mut skeleton = Skeleton::default();
    if !skeleton.find(text.as_bytes()) {
        return None;
    }
    let (_, value) = skeleton.entries.iter().find(|(key, _)| text[key.clone()] == name)?;
    let value = handover::to_v8(scope, &text.as_bytes()[value.clone()], &mut Scratch::default())?;
    v8::json::parse(scope, value)
}
