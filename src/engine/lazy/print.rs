//! What goes out of a lazy event: the line, but for the values that were read or assigned.

use std::ops::Range;

use deno_core::v8;

use super::callbacks::field;
use super::intact::{Addition, Additions, Kept, Others};
use super::{Node, Shared, State, Template};
use crate::engine::glance;
use crate::engine::numbers::may_hold_long;
use crate::engine::sink::Sink;
use crate::engine::skeleton::Skeleton;

/// Longer strings, in characters, are left to V8: of those it is looked at first whether there is room.
const LONGEST_SIMPLE: usize = 16 << 10;

/// A part of a line that is left out, and what comes in its place, if anything does.
pub(in crate::engine) struct Hole<'s> {
    /// The value that stood there, if it is one and not a property that was deleted or added.
    entry: Option<usize>,
    span: Range<usize>,
    /// What goes before the value: a key, if it is a property that was added.
    before: String,
    pub(in crate::engine) value: Option<v8::Local<'s, v8::Value>>,
    /// Its text, if it is known already.
    pub(in crate::engine) text: Option<Vec<u8>>,
}

/// What has changed in the event, in the line's order; nothing if it is not sure that all else is as it was.
pub(in crate::engine) fn holes<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    event: v8::Local<'s, v8::Object>,
) -> Option<Vec<Hole<'s>>> {
    let shared = scope.get_slot::<Shared>()?.clone();
    let state = &mut *shared.borrow_mut();
    // V8 prints no white space, so where a value has changed none may be left around it.
    if !state.plain_prototypes || !state.skeleton.dense {
        return None;
    }
    let holes = state.holes(scope, event);
    if holes.is_none() {
        state.entries.iter().for_each(|lazy| lazy.same.set(false));
    }
    holes
}

impl<'s> Hole<'s> {
    fn with(
        scope: &mut v8::PinScope<'s, '_>,
        entry: Option<usize>,
        span: Range<usize>,
        before: String,
        value: v8::Local<'s, v8::Value>,
    ) -> Self {
        Self { entry, span, before, text: simple_text(scope, value), value: Some(value) }
    }

    /// The value, if its text is not known yet.
    pub(in crate::engine) fn unprinted(&self) -> Option<v8::Local<'s, v8::Value>> {
        self.value.filter(|_| self.text.is_none())
    }

    /// Where the value was that has another one in its place.
    pub(in crate::engine) fn replaces(&self) -> Option<Range<usize>> {
        self.entry.map(|_| self.span.clone())
    }

    /// By how many bytes the line grows, without the value's own.
    pub(in crate::engine) fn growth(&self) -> isize {
        self.before.len().cast_signed() - self.span.len().cast_signed()
    }
}

impl State {
    fn holes<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        event: v8::Local<'s, v8::Object>,
    ) -> Option<Vec<Hole<'s>>> {
        let mut holes = Vec::new();
        self.changes(scope, event, 0, &mut holes)?;
        // Where a property was added, the places of what comes in place of a value are not looked at again: V8 must lose
        // nothing of it. And a number with more digits than a double keeps may have moved there, and they follow it.
        if holes.iter().any(|hole| hole.entry.is_none()) {
            for lazy in self.entries.iter().filter(|lazy| (lazy.read || lazy.assigned) && lazy.child.is_none()) {
                let came = &self.line[lazy.entry.value.clone()];
                if glance::clean(came).is_none() && (!lazy.same.get() || may_hold_long(came)) {
                    return None;
                }
            }
        }
        Some(holes)
    }

    fn changes<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
        node: usize,
        holes: &mut Vec<Hole<'s>>,
    ) -> Option<()> {
        let Node { shape, entries, end, .. } = self.nodes.get(node)?;
        let template = self.shapes[*shape].template.as_ref()?;
        let kept = template.pristine.as_ref()?.kept(scope, object)?;
        // What is undefined is not printed either.
        let mut printed = kept.own;
        for (number, entry) in entries.clone().enumerate() {
            if self.entries[entry].assigned && field(scope, object, number)? == self.undefined {
                printed &= !(1 << number);
            }
        }
        for (number, entry) in entries.clone().enumerate() {
            let lazy = &self.entries[entry];
            if printed >> number & 1 == 0 {
                let span = self.cut(entries, number, printed);
                holes.push(Hole { entry: None, span, before: String::new(), value: None, text: None });
                continue;
            }
            if !lazy.touched() {
                continue;
            }
            let value = field(scope, object, number)?;
            // What is no object cannot have been changed.
            if !lazy.assigned && !value.is_object() {
                lazy.same.set(true);
                continue;
            }
            if let Some(child) = lazy.child
                && let Ok(object) = v8::Local::<v8::Object>::try_from(value)
                && self.node(object) == Some(child)
            {
                self.changes(scope, object, child, holes)?;
            } else {
                let span = lazy.entry.value.clone();
                holes.push(Hole::with(scope, Some(entry), span, String::new(), value));
            }
        }
        if !kept.others.none() {
            self.additions(scope, object, template, &kept, printed != 0, *end, holes)?;
        }
        Some(())
    }

    /// What goes with a property that was deleted: the comma before it, or behind it where nothing is left before it.
    fn cut(&self, entries: &Range<usize>, number: usize, kept: u64) -> Range<usize> {
        let entry = |number: usize| &self.entries[entries.start + number].entry;
        let end = entry(number).value.end;
        if kept & ((1 << number) - 1) != 0 {
            entry(number - 1).value.end..end
        } else if number + 1 < entries.len() {
            entry(number).key.start - 1..entry(number + 1).key.start - 1
        } else {
            entry(number).key.start - 1..end
        }
    }

    /// Properties that the line does not have stand behind all others, if there are any others.
    #[allow(clippy::too_many_arguments)]
    fn additions<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
        template: &Template,
        kept: &Kept,
        mut behind: bool,
        end: usize,
        holes: &mut Vec<Hole<'s>>,
    ) -> Option<()> {
        let additions = match &kept.others {
            Others::Known(additions) => additions.clone(),
            Others::Unknown(count) => self.learn(scope, object, template, kept, *count)?,
        };
        for Addition { name, key } in additions.iter() {
            let name = v8::Local::new(scope, name);
            let value = object.get(scope, name.into())?;
            let plain = value.is_object() && !value.is_function()
                || value.is_string()
                || value.is_number()
                || value.is_boolean()
                || value.is_null();
            if !plain {
                return None;
            }
            let before = [if behind { "," } else { "" }, key].concat();
            holes.push(Hole::with(scope, None, end..end, before, value));
            behind = true;
        }
        Some(())
    }

    /// The properties that the line does not have, if they are ordinary ones and stand behind all others; they are known
    /// from then on.
    fn learn<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
        template: &Template,
        kept: &Kept,
        count: usize,
    ) -> Option<Additions> {
        let names = object.get_own_property_names(scope, v8::GetPropertyNamesArgs::default())?;
        // Symbols, and what is not enumerated, may mean something to whoever prints the event.
        if names.length() as usize != kept.own.count_ones() as usize + count {
            return None;
        }
        let known = v8::Local::new(scope, &template.names);
        let own = (0..known.length()).filter(|number| kept.own >> number & 1 == 1);
        let value_key = v8::String::new(scope, "value")?;
        let mut at = 0;
        for number in own {
            if names.get_index(scope, at)? != known.get_index(scope, number)? {
                return None;
            }
            at += 1;
        }
        let mut additions = Vec::new();
        for number in at..names.length() {
            let name: v8::Local<v8::String> = names.get_index(scope, number)?.try_into().ok()?;
            // An accessor would have to be called.
            let descriptor: v8::Local<v8::Object> =
                object.get_own_property_descriptor(scope, name.into())?.try_into().ok()?;
            descriptor.has_own_property(scope, value_key.into())?.then_some(())?;
            additions.push(Addition::new(scope, name)?);
        }
        let additions = Additions::from(additions);
        template.pristine.as_ref()?.learn(scope, object, &additions);
        Some(additions)
    }

    /// Whether a key may stand twice in an object that was parsed in full.
    pub(in crate::engine) fn may_have_twins(&self, skeleton: &mut Skeleton) -> bool {
        self.entries.iter().filter(|lazy| lazy.touched() && lazy.child.is_none()).any(|lazy| {
            let came = &self.line[lazy.entry.value.clone()];
            matches!(came[0], b'{' | b'[') && skeleton.survey_value(came).is_none_or(|survey| survey.duplicates)
        })
    }

    /// Calls `with` for each value that stands for itself, in the line's order: those that nobody has touched, and those
    /// of `holes`.
    fn parts(&self, node: usize, holes: &mut &[Hole<'_>], with: &mut impl FnMut(usize, bool)) {
        let Some(node) = self.nodes.get(node) else { return };
        for entry in node.entries.clone() {
            if let Some((_, rest)) = holes.split_first().filter(|(hole, _)| hole.entry == Some(entry)) {
                *holes = rest;
                with(entry, true);
            } else if !self.entries[entry].touched() {
                with(entry, false);
            } else if let Some(child) = self.entries[entry].child {
                self.parts(child, holes, with);
            }
        }
    }

    fn put_marker(&self, entry: usize, text: &mut Vec<u8>) {
        text.extend_from_slice(self.secret.needle());
        text.extend([100, 10, 1].map(|unit| b'0' + (entry / unit % 10) as u8));
        text.push(b'"');
    }

    /// The line with a marker for each value that nobody has touched.
    pub(in crate::engine) fn expected(&self, text: &mut Vec<u8>) {
        self.marked(&[], |_| unreachable!("there are no holes"), text);
    }

    /// The same with other texts for the values of `holes`.
    pub(in crate::engine) fn marked<'t>(
        &self,
        mut holes: &[Hole<'_>],
        mut text_of: impl FnMut(usize) -> &'t [u8],
        text: &mut Vec<u8>,
    ) {
        text.clear();
        let (mut copied, mut number) = (0, 0);
        self.parts(0, &mut holes, &mut |entry, hole| {
            let span = &self.entries[entry].entry.value;
            text.extend_from_slice(&self.line[copied..span.start]);
            if hole {
                text.extend_from_slice(text_of(number));
                number += 1;
            } else {
                self.put_marker(entry, text);
            }
            copied = span.end;
        });
        text.extend_from_slice(&self.line[copied..]);
    }

    /// Appends the line with `holes` in it, and in each what `text_of` gives for its number.
    pub(in crate::engine) fn fill<'t>(
        &self,
        holes: &[Hole<'_>],
        mut text_of: impl FnMut(usize) -> &'t [u8],
        out: &mut dyn Sink,
    ) {
        let (mut copied, mut number) = (0, 0);
        for hole in holes {
            out.push(&self.line[copied..hole.span.start]);
            if hole.value.is_some() {
                out.push(hole.before.as_bytes());
                out.push(text_of(number));
                number += 1;
            }
            copied = hole.span.end;
        }
        out.push(&self.line[copied..]);
    }

    /// The parts of `printed`, which holds a marker for each value that is still lazy, with the bytes of the line instead.
    pub(in crate::engine) fn spliced<'t>(&'t self, printed: &'t [u8], mut with: impl FnMut(&'t [u8])) {
        let mut copied = 0;
        for at in self.secret.find_iter(printed) {
            let digits = at + self.secret.needle().len();
            let Some([hundreds, tens, ones, b'"']) = printed.get(digits..digits + 4) else { continue };
            let number =
                [hundreds, tens, ones].iter().fold(0, |all, digit| all * 10 + usize::from(digit.wrapping_sub(b'0')));
            let Some(lazy) = self.entries.get(number) else { continue };
            with(&printed[copied..at]);
            with(&self.line[lazy.entry.value.clone()]);
            copied = digits + 4;
        }
        with(&printed[copied..]);
    }
}

/// The JSON text of a value that is no object, if it is an easy one.
fn simple_text<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Option<Vec<u8>> {
    if let Ok(text) = v8::Local::<v8::String>::try_from(value) {
        if text.length() > LONGEST_SIMPLE {
            return None;
        }
        let view = v8::ValueView::new(scope, text);
        let v8::ValueViewData::OneByte(bytes) = view.data() else { return None };
        let plain = bytes.iter().all(|byte| matches!(byte, b' '..=0x7E) && !matches!(byte, b'"' | b'\\'));
        return plain.then(|| [b"\"", bytes, b"\""].concat());
    }
    if value.is_int32() {
        return Some(value.int32_value(scope)?.to_string().into_bytes());
    }
    if let Ok(number) = v8::Local::<v8::Number>::try_from(value) {
        // Within these bounds JavaScript writes no exponent, and the same digits.
        let number = number.value();
        return (1e-6..1e21).contains(&number.abs()).then(|| number.to_string().into_bytes());
    }
    match () {
        () if value.is_true() => Some(b"true".to_vec()),
        () if value.is_false() => Some(b"false".to_vec()),
        () if value.is_null() => Some(b"null".to_vec()),
        () => None,
    }
}
