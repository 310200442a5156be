//! Callbacks for reads and assignments of lazy values, and for printing and freezing lazy objects.

use std::ops::Range;

use deno_core::v8;

use super::{LazyEntry, MAX_ENTRIES, MAX_READS, Node, SPAN, Shared, State, TEXT, Tag, VALUES, number};
use crate::unsafe_reads;
use crate::v8::native_property::make_ordinary;
use crate::v8::v8_string::{self, Scratch};
use sluicegate_json::canonical;
use sluicegate_json::string::unescape;
use sluicegate_json::validator::{Entry, Validator};

/// Values shorter than this, in bytes, are not compared with others: making them again costs less.
const MIN_SHARED: usize = 64;

/// The constructor of lazy objects. V8 instantiates the template without calling it.
pub(crate) fn construct(
    _: &mut v8::PinScope<'_, '_>,
    _: v8::FunctionCallbackArguments<'_>,
    _: v8::ReturnValue<'_, v8::Value>,
) {
}

/// V8 calls this when a lazy value is read.
pub(crate) fn read<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: v8::Local<'s, v8::Name>,
    args: v8::PropertyCallbackArguments<'s>,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    let number = number_of(&args);
    let holder = args.holder();
    // Templates read objects while the state is borrowed, as they test themselves. The values don't matter there.
    let Some(shared) = scope.get_slot::<Shared>().cloned() else { return };
    let Ok(mut state) = shared.try_borrow_mut() else { return };
    let state = &mut *state;
    let entry = state.node_of(Tag::of_lazy(holder)).map(|node| {
        // SAFETY: the memory belongs to an array buffer that lives as long as the isolate, and
        // only this thread uses it.
        let [probed, probed_node] = unsafe { state.probe.read_volatile() };
        (state.nodes[node].entries.start + number, probed as usize == number + 1 && probed_node as usize == node)
    });
    // An untouched property has no value yet.
    let fresh = entry.is_some_and(|(entry, _)| !state.entries[entry].read && !state.entries[entry].assigned);
    if let Some(value) = if fresh { None } else { field(scope, holder, number) } {
        if state.is_undefined(value) {
            return;
        }
        answer.set(value);
        if let Some((entry, false)) = entry {
            let lazy = &mut state.entries[entry];
            lazy.reads = lazy.reads.saturating_add(1);
            if lazy.reads > MAX_READS {
                make_ordinary(scope, holder, name, value);
            }
        }
        return;
    }
    let value = match entry {
        Some((entry, true)) => {
            if let Some(marker) = state.marker(scope, entry) {
                answer.set(marker.into());
            }
            return;
        }
        Some((entry, false)) => state.value(scope, holder, entry),
        None => parse_later(scope, holder, name),
    };
    if let Some(value) = value {
        holder.set_internal_field(VALUES + number, value.into());
        answer.set(value);
    }
}

/// V8 calls this when a lazy value is assigned.
pub(crate) fn assign<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _: v8::Local<'s, v8::Name>,
    value: v8::Local<'s, v8::Value>,
    args: v8::PropertyCallbackArguments<'s>,
    _: v8::ReturnValue<()>,
) {
    let number = number_of(&args);
    let holder = args.holder();
    let Some(shared) = scope.get_slot::<Shared>().cloned() else { return };
    let Ok(mut state) = shared.try_borrow_mut() else { return };
    if let Some(node) = state.node_of(Tag::of_lazy(holder)) {
        let entry = state.nodes[node].entries.start + number;
        state.entries[entry].assigned = true;
    }
    let value = if value.is_undefined() { v8::Local::new(scope, &state.undefined) } else { value };
    holder.set_internal_field(VALUES + number, value.into());
}

/// Returns which of its object's properties a callback is about.
pub(crate) fn number_of(args: &v8::PropertyCallbackArguments<'_>) -> usize {
    // SAFETY: the templates of lazy objects give their accessors an integer as data, and nothing else.
    let number: v8::Local<v8::Integer> = unsafe { v8::Local::cast_unchecked(args.data()) };
    number.value() as usize
}

/// The value stored in a property's field, or `None` if it was not computed yet.
pub(crate) fn field<'s>(
    scope: &v8::PinScope<'s, '_>,
    object: v8::Local<v8::Object>,
    number: usize,
) -> Option<v8::Local<'s, v8::Value>> {
    let field = object.get_internal_field(scope, VALUES + number)?;
    // SAFETY: only values are stored in these fields, and their initial content is undefined, also a value.
    let value: v8::Local<v8::Value> = unsafe { v8::Local::cast_unchecked(field) };
    (!value.is_undefined()).then_some(value)
}

/// Converts a valid JSON text to a value. `ascii` says whether the text is known to be ASCII; `unescaped` is reused memory.
pub(crate) fn meaning<'s>(
    scope: &v8::PinScope<'s, '_>,
    text: &[u8],
    ascii: bool,
    scratch: &mut Scratch,
    unescaped: &mut Vec<u8>,
) -> Option<v8::Local<'s, v8::Value>> {
    Some(match text {
        b"true" => v8::Boolean::new(scope, true).into(),
        b"false" => v8::Boolean::new(scope, false).into(),
        b"null" => v8::null(scope).into(),
        // Rust and V8 both round to the nearest double, ties to even.
        [b'-' | b'0'..=b'9', ..] => v8::Number::new(scope, std::str::from_utf8(text).ok()?.parse().ok()?).into(),
        [b'"', inner @ .., b'"'] if memchr::memchr(b'\\', inner).is_none() => {
            v8_string::known_to_v8(scope, inner, ascii, scratch)?.into()
        }
        [b'"', inner @ .., b'"'] if unescape(inner, unescaped) => v8_string::to_v8(scope, unescaped, scratch)?.into(),
        _ => {
            let text = v8_string::known_to_v8(scope, text, ascii, scratch)?;
            v8::json::parse(scope, text)?
        }
    })
}

/// Whether a stored value stands for undefined.
pub(crate) fn is_undefined(scope: &v8::PinScope<'_, '_>, value: v8::Local<v8::Value>) -> bool {
    scope.get_slot::<Shared>().is_some_and(|shared| shared.borrow().is_undefined(value))
}

impl State {
    /// Whether a stored value stands for undefined. Most values are not symbols, which is the faster check.
    pub(crate) fn is_undefined(&self, value: v8::Local<v8::Value>) -> bool {
        value.is_symbol() && value == self.undefined
    }

    /// Computes a value of the current event.
    fn value<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        holder: v8::Local<'s, v8::Object>,
        entry: usize,
    ) -> Option<v8::Local<'s, v8::Value>> {
        self.entries[entry].read = true;
        let span = self.entries[entry].entry.value.clone();
        if self.line[span.start] == b'{'
            && span.len() >= self.least_object
            && let Some(object) = self.nested(scope, holder, entry)
        {
            return Some(object.into());
        }
        if span.len() >= MIN_SHARED
            && let Some(same) = self.same_string(scope, holder, entry)
        {
            return Some(same);
        }
        let ascii = self.validator.is_ascii();
        meaning(scope, &self.line[span], ascii, &mut self.scratch, &mut self.unescaped)
    }

    /// Returns the value of another property of the same object that was read before and has the
    /// same text, if it is a string.
    fn same_string<'s>(
        &self,
        scope: &v8::PinScope<'s, '_>,
        holder: v8::Local<'s, v8::Object>,
        entry: usize,
    ) -> Option<v8::Local<'s, v8::Value>> {
        let text = &self.line[self.entries[entry].entry.value.clone()];
        let own = self.nodes[self.node(holder)?].entries.clone();
        let other = own.clone().find(|other| {
            let lazy = &self.entries[*other];
            *other != entry
                && lazy.read
                && !lazy.assigned
                && lazy.entry.value.len() == text.len()
                && self.line[lazy.entry.value.clone()] == *text
        })?;
        field(scope, holder, other - own.start).filter(|value| value.is_string())
    }

    /// Makes a lazy object from the value of an entry.
    fn nested<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        holder: v8::Local<'s, v8::Object>,
        entry: usize,
    ) -> Option<v8::Local<'s, v8::Object>> {
        let known = self.known_shape(Some(entry)).map(|shape| &self.shapes[shape]);
        if known.is_some_and(|shape| shape.is_parsed_in_full(self.least_object)) {
            return None;
        }
        let (first, node) = (self.entries.len(), self.nodes.len());
        let span = self.entries[entry].entry.value.clone();
        let entries = &mut self.entries;
        if !self.validator.children(&self.line, &span, |child| entries.push(LazyEntry::new(child))) {
            if !self.inner.find(&self.line[span.clone()]) {
                return None;
            }
            let moved = |part: &Range<usize>| part.start + span.start..part.end + span.start;
            let children = self.inner.entries().iter();
            let children = children.map(|child| Entry { key: moved(&child.key), value: moved(&child.value) });
            entries.extend(children.map(LazyEntry::new));
        }
        let mut made = None;
        if self.entries.len() <= MAX_ENTRIES {
            made = self.object(scope, first..self.entries.len(), span, Some((holder, entry)));
        }
        match made {
            Some((object, _)) => {
                self.entries[entry].child = Some(node);
                self.nodes[node].of = Some(entry);
                Some(object)
            }
            None => {
                self.entries.truncate(first);
                None
            }
        }
    }

    /// Returns the marker of an entry whose value is still lazy.
    fn marker<'s>(&mut self, scope: &mut v8::PinScope<'s, '_>, entry: usize) -> Option<v8::Local<'s, v8::String>> {
        if self.markers.len() <= entry {
            self.markers.resize(entry + 1, None);
        }
        if self.markers[entry].is_none() {
            let secret = String::from_utf8_lossy(&self.secret.needle()[1..]);
            let marker = v8::String::new(scope, &format!("{secret}{entry:03}"))?;
            self.markers[entry] = Some(v8::Global::new(scope, marker));
        }
        self.markers[entry].as_ref().map(|marker| v8::Local::new(scope, marker))
    }
}

/// Parses the value `name` from the object's own text: for objects kept beyond their event, and
/// for texts that only V8 can parse.
pub(crate) fn parse_later<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    holder: v8::Local<'s, v8::Object>,
    name: v8::Local<'s, v8::Name>,
) -> Option<v8::Local<'s, v8::Value>> {
    let text: v8::Local<v8::Value> = holder.get_internal_field(scope, TEXT)?.try_into().ok()?;
    let text = v8_string::kept(scope, text.try_into().ok()?)?;
    let span = number(holder, SPAN);
    let text = &text[(span >> Tag::HALF) as usize..(span & ((1 << Tag::HALF) - 1)) as usize];
    let mut validator = Validator::default();
    if !validator.find(text.as_bytes()) {
        let whole = parse(scope, text)?.try_cast::<v8::Object>().ok()?;
        return if whole.has_own_property(scope, name)? { whole.get(scope, name.into()) } else { None };
    }
    let name = v8::Local::<v8::String>::try_from(name).ok()?.to_rust_string_lossy(scope);
    // An event's keys are distinct. In metadata, the last duplicate counts.
    let entry = validator.entries().iter().rev().find(|entry| text[entry.key.clone()] == name)?;
    parse(scope, &text[entry.value.clone()])
}

fn parse<'s>(scope: &mut v8::PinScope<'s, '_>, text: &str) -> Option<v8::Local<'s, v8::Value>> {
    let text = v8_string::to_v8(scope, text.as_bytes(), &mut Scratch::default())?;
    v8::json::parse(scope, text)
}

/// `part(value, name, node)`: tells the driver how to print `value`, an object that is the property `name` of
/// `node`. For a whole output, `name` is true; for a deeper position, it is undefined. Returns undefined if `value`
/// is not a lazy object of the current event; a marker if it is unchanged; its property names if it must be printed
/// property by property, with its node in the probe memory; or null for the slow path: text that V8 changed is
/// restored only at its place in the line.
pub(crate) fn part<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    let Ok(object) = v8::Local::<v8::Object>::try_from(args.get(0)) else { return };
    let Some(shared) = scope.get_slot::<Shared>().cloned() else { return };
    let state = &mut *shared.borrow_mut();
    let Some(node) = state.node(object) else { return };
    let within = args.get(2).uint32_value(scope).unwrap_or_default() as usize;
    if !state.in_place(scope, node, args.get(1), within) {
        answer.set_null();
    } else if let Some(marker) = state.intact(scope, object, node) {
        answer.set(marker.into());
    } else {
        state.tell_names(scope, node, &mut answer);
    }
}

impl State {
    /// Whether a node is at its original position, or V8 would print the line unchanged. Otherwise the text of a moved
    /// part would depend on the line's text at its new position.
    fn in_place(
        &mut self,
        scope: &v8::PinScope<'_, '_>,
        node: usize,
        name: v8::Local<v8::Value>,
        within: usize,
    ) -> bool {
        let Self { nodes, entries, line, clean, .. } = self;
        let Some(of) = nodes[node].of else { return name.is_true() };
        let in_place = nodes.get(within).is_some_and(|within| within.entries.contains(&of))
            && v8::Local::<v8::String>::try_from(name)
                .is_ok_and(|name| name.to_rust_string_lossy(scope).as_bytes() == &line[entries[of].entry.key.clone()]);
        in_place || *clean.get_or_insert_with(|| canonical::round_trips(line).is_some())
    }

    /// Returns a marker for a node that is unchanged.
    fn intact<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
        node: usize,
    ) -> Option<v8::Local<'s, v8::String>> {
        let Node { shape, of, entries, .. } = &self.nodes[node];
        let entry = (*of)?;
        let touched = self.entries[entries.clone()].iter().any(LazyEntry::touched);
        if !self.plain_prototypes || !self.validator.is_compact() || touched {
            return None;
        }
        let reference = self.shapes[*shape].template.as_ref()?.reference.as_ref()?;
        reference.keeps_all(scope, object).then_some(())?;
        self.marker(scope, entry)
    }

    /// Returns the names of a node's properties, and stores the node in the probe memory.
    fn tell_names(&self, scope: &mut v8::PinScope<'_, '_>, node: usize, answer: &mut v8::ReturnValue<v8::Value>) {
        if let Some(template) = &self.shapes[self.nodes[node].shape].template {
            // SAFETY: as in `read`: the memory lives as long as the isolate, and only this thread uses it.
            unsafe { self.probe.write_volatile([0, node as u32]) };
            answer.set(v8::Local::new(scope, &template.names).into());
        }
    }
}

/// Wraps `Object.freeze` and `Object.seal` so that they first make a lazy object ordinary. V8 treats native data
/// properties as accessors there: it would report a sealed event as frozen, or let objects that inherit from a
/// frozen event overwrite its properties.
pub(crate) fn guard(scope: &mut v8::PinScope<'_, '_>, context: v8::Local<v8::Context>) -> Option<()> {
    let global = context.global(scope);
    let key = v8::String::new(scope, "Object")?;
    let object: v8::Local<v8::Object> = global.get(scope, key.into())?.try_into().ok()?;
    for name in ["freeze", "seal"] {
        let key = v8::String::new(scope, name)?;
        let original = object.get(scope, key.into())?;
        let guarded = v8::Function::builder(settle_and_call)
            .data(original)
            .length(1)
            .constructor_behavior(v8::ConstructorBehavior::Throw)
            .build(scope)?;
        guarded.set_name(key);
        object.set(scope, key.into(), guarded.into())?;
    }
    Some(())
}

fn settle_and_call<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    if let Ok(object) = v8::Local::<v8::Object>::try_from(args.get(0))
        && !object.is_proxy()
    {
        if Tag::of(object).is_some() {
            materialize(scope, object);
        }
        unsafe_reads::unwatch(scope, object);
    }
    if let Ok(original) = v8::Local::<v8::Function>::try_from(args.data()) {
        let undefined = v8::undefined(scope).into();
        if let Some(value) = original.call(scope, undefined, &[args.get(0)]) {
            answer.set(value);
        }
    }
}

/// Makes the lazy properties of an object ordinary. Skips properties that the author's code has redefined, whose
/// attributes V8 keeps right, and accessors, which must not be called.
fn materialize(scope: &mut v8::PinScope<'_, '_>, object: v8::Local<v8::Object>) -> Option<()> {
    let all = v8::GetPropertyNamesArgs { property_filter: v8::PropertyFilter::SKIP_SYMBOLS, ..Default::default() };
    let names = object.get_own_property_names(scope, all)?;
    let [value, writable, configurable] = ["value", "writable", "configurable"].map(|key| v8::String::new(scope, key));
    for index in 0..names.length() {
        // Element indices are not names, and elements are already ordinary.
        let Ok(name) = v8::Local::<v8::Name>::try_from(names.get_index(scope, index)?) else { continue };
        let descriptor: v8::Local<v8::Object> = object.get_own_property_descriptor(scope, name)?.try_into().ok()?;
        let open = [writable?, configurable?]
            .iter()
            .all(|key| descriptor.get(scope, (*key).into()).is_some_and(|value| value.is_true()));
        if open {
            let value = descriptor.get(scope, value?.into())?;
            make_ordinary(scope, object, name, value);
        }
    }
    Some(())
}
