//! `metadata(event)`: the metadata of the current events, and the objects that the code is given for it.
//!
//! Code mostly reads one or two of the many documented values. So the object is instantiated from a template, like a
//! lazy event: it has all documented names, and each value is computed at its first read. Code that reads most of them
//! gets ordinary objects instead, because printing a lazy one is slow.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use deno_core::v8;
use memchr::memmem::Finder;

use super::{Laziness, SPAN, TEXT, Tag, VALUES, callbacks, object_template, set_number};
use crate::v8::event_number::{self, NO_EVENT};
use crate::v8::v8_string::{self, Scratch};
use sluicegate_json::roundtrip;
use sluicegate_json::validator::Validator;

/// If at least this many values of one object are read, the next objects are made in full.
const MANY_READS: u32 = 16;

/// Number of objects made in full after an object with many reads.
const IN_FULL: u32 = 256;

/// A bit set in the tags of metadata objects: lazy events have smaller numbers.
const METADATA: u64 = 1 << 52;

/// Kept in an isolate slot. No JavaScript runs while it is borrowed.
pub(crate) type SharedMetadata = Rc<RefCell<Metadata>>;

/// The metadata of the events being transformed.
#[derive(Default)]
pub(crate) struct Metadata {
    /// The metadata of the event that was started last. `number` is that event's number.
    texts: Texts,
    number: u32,
    /// The metadata of waiting events, by event number.
    waiting: HashMap<u32, Texts>,
    /// The default metadata, which applies to every event.
    default: Option<Box<[u8]>>,
    pub(crate) laziness: Laziness,
    names: Vec<Name>,
    template: Option<v8::Global<v8::ObjectTemplate>>,
    latest: Latest,
    /// Number of objects still to be made in full.
    in_full: u32,
    scratch: Scratch,
    unescaped: Vec<u8>,
}

/// Concatenated JSON texts and the span of each. They belong to one event or to one batch.
#[derive(Default)]
struct Texts {
    text: Vec<u8>,
    spans: Vec<Option<Range<usize>>>,
}

/// The name of a documented value.
struct Name {
    text: Box<[u8]>,
    /// Finds the name in quotes.
    quoted: Finder<'static>,
}

/// The lazy object made last.
#[derive(Default)]
struct Latest {
    /// Its sequence number, from 1.
    number: u64,
    /// Its text; valid JSON.
    text: Vec<u8>,
    /// Whether the text has neither nested objects nor escapes. `None` until asked for.
    simple: Option<bool>,
    /// Whether the validator found the entries. `None` until asked for.
    outline: Option<bool>,
    validator: Validator,
    reads: u32,
}

impl Metadata {
    /// Sets the default metadata.
    pub(crate) fn set_default(&mut self, text: &str) {
        self.default = Some(text.as_bytes().into());
    }

    /// Sets the metadata of the event with this number, which starts now.
    pub(crate) fn set(&mut self, number: u32, metadata: Option<&[u8]>) {
        self.number = number;
        if metadata.is_none() && self.texts.spans.is_empty() {
            return;
        }
        self.texts.text.clear();
        self.texts.spans.clear();
        if metadata.is_some() {
            self.add(metadata);
        }
    }

    /// Adds the metadata of the next event of a batch.
    pub(crate) fn add(&mut self, metadata: Option<&[u8]>) {
        let Texts { text: all, spans } = &mut self.texts;
        let start = all.len();
        spans.push(metadata.map(|text| {
            all.extend_from_slice(text);
            start..all.len()
        }));
    }

    /// Stores the metadata of the event that was started last, because that event waits.
    pub(crate) fn wait(&mut self) {
        if !self.texts.spans.is_empty() {
            self.waiting.insert(self.number, std::mem::take(&mut self.texts));
        }
        self.number = NO_EVENT;
    }

    /// Drops the metadata of a waiting event that is done.
    pub(crate) fn forget(&mut self, number: u32) {
        self.waiting.remove(&number);
    }

    fn own(&self, number: u32, index: Option<usize>) -> Option<&[u8]> {
        let texts = if number == self.number { &self.texts } else { self.waiting.get(&number)? };
        Some(&texts.text[texts.spans.get(index?)?.clone()?])
    }

    /// Makes a lazy object with the documented names. `None` if it must be made in full.
    fn lazy<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        index: Option<usize>,
    ) -> Option<v8::Local<'s, v8::Object>> {
        if self.laziness != Laziness::Always {
            if self.laziness == Laziness::Never {
                return None;
            }
            if std::mem::take(&mut self.latest.reads) >= MANY_READS {
                self.in_full = IN_FULL;
            }
            if self.in_full > 0 {
                self.in_full -= 1;
                return None;
            }
        }
        let template = v8::Local::new(scope, self.template.as_ref()?);
        // From here on, the previous object can't be served from `latest`, whose text is about to change.
        self.latest.number += 1;
        self.latest.reads = 0;
        let mut kept = std::mem::take(&mut self.latest.text);
        let text = match (self.own(event_number::current(scope), index), &self.default) {
            (Some(text), None) => text,
            (None, Some(text)) => text,
            // No metadata, or an event's own metadata and the default, which must be merged.
            _ => return None,
        };
        kept.clear();
        kept.extend_from_slice(text);
        let latest = &mut self.latest;
        latest.text = kept;
        // V8 judges text that is not an object.
        if latest.text.first() != Some(&b'{') || latest.text.len() >> Tag::HALF != 0 {
            return None;
        }
        (latest.simple, latest.outline) = (None, None);
        let text = v8_string::keep(scope, &latest.text, false)?;
        let object = template.new_instance(scope)?;
        object.set_internal_field(TEXT, text.into());
        set_number(object, SPAN, latest.text.len() as u64);
        Tag { event: METADATA | latest.number, node: 0 }.put(object);
        Some(object)
    }

    /// The value of a documented name in the object made last. `None` if only V8 can tell.
    fn value<'s>(&mut self, scope: &mut v8::PinScope<'s, '_>, name: usize) -> Option<v8::Local<'s, v8::Value>> {
        let span = match self.latest.find(self.names.get(name)?) {
            Found::At(span) => span,
            Found::Nowhere => return Some(v8::undefined(scope).into()),
            Found::Unknown => return None,
        };
        callbacks::meaning(scope, &self.latest.text[span], false, &mut self.scratch, &mut self.unescaped)
    }
}

/// The position of a value.
enum Found {
    At(Range<usize>),
    Nowhere,
    Unknown,
}

impl Latest {
    fn find(&mut self, name: &Name) -> Found {
        let Self { text, simple, outline, validator, .. } = self;
        if *simple.get_or_insert_with(|| memchr::memchr2(b'{', b'\\', &text[1..]).is_none())
            && let Some(span) = name.find(text)
        {
            return Found::At(span);
        }
        if !*outline.get_or_insert_with(|| validator.find(text)) {
            return Found::Unknown;
        }
        // The last duplicate counts.
        let entry = validator.entries().iter().rev().find(|entry| text[entry.key.clone()] == *name.text);
        entry.map_or(Found::Nowhere, |entry| Found::At(entry.value.clone()))
    }
}

impl Name {
    fn new(text: Box<[u8]>) -> Self {
        let quoted = [b"\"", &*text, b"\""].concat();
        Self { text, quoted: Finder::new(&quoted).into_owned() }
    }

    /// Finds the span of this name's value in the text of an object with neither nested objects nor escapes.
    /// `None` if that takes more than a quick look. In such a text the quoted name is a key if a brace or a
    /// comma precedes it and a colon follows.
    fn find(&self, text: &[u8]) -> Option<Range<usize>> {
        // The last duplicate counts.
        let start = self.quoted.find_iter(text).last()?;
        let (before, behind) = (start.checked_sub(1)?, start + self.quoted.needle().len());
        let (b'{' | b',', b':') = (text[before], *text.get(behind)?) else { return None };
        let start = behind + 1;
        let length = match text.get(start)? {
            b'"' => memchr::memchr(b'"', &text[start + 1..])? + 2,
            b'[' | b' ' | b'\t' | b'\r' | b'\n' => return None,
            _ => text[start..].iter().position(|byte| matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n'))?,
        };
        Some(start..start + length)
    }
}

/// `documented(names)`: sets the names of the documented values.
pub(crate) fn documented(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments,
    _: v8::ReturnValue<v8::Value>,
) {
    let Ok(list) = v8::Local::<v8::Array>::try_from(args.get(0)) else { return };
    let mut names: Vec<Box<[u8]>> = Vec::new();
    for index in 0..list.length() {
        let Some(name) = list.get_index(scope, index) else { return };
        names.push(name.to_rust_string_lossy(scope).into_bytes().into());
    }
    let template = object_template(scope, &names, read).map(|(template, _)| v8::Global::new(scope, template));
    if let Some(shared) = scope.get_slot::<SharedMetadata>() {
        let mut state = shared.borrow_mut();
        (state.names, state.template) = (names.into_iter().map(Name::new).collect(), template);
    }
}

/// `lazyMetadata(index)`: returns an object with an event's metadata, or undefined if it must
/// be made from `metadataOf`.
pub(crate) fn lazy_metadata(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    let index = index(scope, &args);
    let Some(shared) = scope.get_slot::<SharedMetadata>().cloned() else { return };
    if let Some(object) = shared.borrow_mut().lazy(scope, index) {
        answer.set(object.into());
    }
}

/// `metadataOf(index)`: returns an event's own metadata, parsed, or as text if a key contains an
/// escape; undefined if there is none.
pub(crate) fn metadata_of(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    let index = index(scope, &args);
    let Some(shared) = scope.get_slot::<SharedMetadata>().cloned() else { return };
    let text = {
        let state = &mut *shared.borrow_mut();
        let mut scratch = std::mem::take(&mut state.scratch);
        let text = state.own(event_number::current(scope), index).and_then(|text| {
            let escaped = roundtrip::has_escaped_key(text);
            Some((v8_string::to_v8(scope, text, &mut scratch)?, escaped))
        });
        state.scratch = scratch;
        text
    };
    if let Some((text, escaped)) = text
        && let Some(value) = v8::json::parse(scope, text)
    {
        answer.set(if escaped { text.into() } else { value });
    }
}

fn index(scope: &mut v8::PinScope<'_, '_>, args: &v8::FunctionCallbackArguments) -> Option<usize> {
    usize::try_from(args.get(0).int32_value(scope)?).ok()
}

/// V8 calls this when a value is read.
fn read<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: v8::Local<'s, v8::Name>,
    args: v8::PropertyCallbackArguments<'s>,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    let number = callbacks::number_of(&args);
    let holder = args.holder();
    let Some(shared) = scope.get_slot::<SharedMetadata>().cloned() else { return };
    let Ok(mut state) = shared.try_borrow_mut() else { return };
    state.latest.reads += 1;
    if let Some(value) = callbacks::field(scope, holder, number) {
        if !callbacks::is_undefined(scope, value) {
            answer.set(value);
        }
        return;
    }
    let is_latest = Tag::of_lazy(holder).event == METADATA | state.latest.number;
    let value = if is_latest { state.value(scope, number) } else { None };
    if let Some(value) = value.or_else(|| callbacks::parse_later(scope, holder, name)) {
        holder.set_internal_field(VALUES + number, value.into());
        answer.set(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// The value found under `sourceName` (`Some(None)` if absent), or `None` if the search gives up.
    fn found(text: &str) -> Option<Option<Value>> {
        let mut latest = Latest { text: text.into(), ..Latest::default() };
        match latest.find(&Name::new(b"sourceName".to_vec().into())) {
            Found::At(span) => Some(Some(serde_json::from_str(&text[span]).expect("a value is JSON"))),
            Found::Nowhere => Some(None),
            Found::Unknown => None,
        }
    }

    /// The value that V8 finds: the last duplicate counts.
    fn expected(text: &str) -> Option<Value> {
        serde_json::from_str::<Value>(text).expect("the text is JSON").get("sourceName").cloned()
    }

    #[test]
    fn values_are_found_by_their_names() {
        for text in [
            "{}",
            r#"{"sourceName":"web"}"#,
            r#"{"a":1,"sourceName":-1.5e3,"b":true}"#,
            r#"{"sourceName":null}"#,
            r#"{"sourceName":"","a":[]}"#,
            r#"{"sourceName":1,"sourceName":2}"#,
            r#"{"sourceName":1, "sourceName":2}"#,
            r#"{"sourceName":1,"sourceName" :2}"#,
            r#"{"a":"sourceName","b":",sourceName:"}"#,
            r#"{"a":["sourceName","b"]}"#,
            r#"{"a":{"sourceName":1}}"#,
            r#"{"a":{"sourceName":1},"sourceName":{"b":"}"}}"#,
            r#"{"sourceName":["a",{"b":1}]}"#,
            r#"{ "sourceName" : "web" }"#,
            r#"{"sourceName": "web"}"#,
            "{\"sourceName\":1\n}",
            r#"{"xsourceName":1}"#,
            r#"{"sourceName":"a\"b","a":1}"#,
            r#"{"sourceName":"{"}"#,
        ] {
            assert_eq!(found(text), Some(expected(text)), "{text}");
        }
        // Keys with escapes are left to V8.
        for text in [r#"{"sourceName":1,"source\u004eame":2}"#, r#"{"a\"sourceName":1}"#] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_is_there(pieces in prop::collection::vec(prop::sample::select(vec![
            r#""sourceName":"#, r#""a":"#, r#""sourceName""#, "1", "null", r#""b,""#, r#""\"sourceName\":""#, r#"[1,"x"]"#,
            r#"{"sourceName":2}"#, ",", ",", " ", "{}",
        ]), 0..9)) {
            let text = format!("{{{}}}", pieces.concat());
            if serde_json::from_str::<Value>(&text).is_ok()
                && let Some(found) = found(&text)
            {
                prop_assert_eq!(found, expected(&text), "{}", text);
            }
        }
    }
}
