//! Converts bytes to V8 strings and back, with no more conversions than V8's two string representations need.
//!
//! V8 stores a string as Latin-1 or as UTF-16. Its JSON parser is fastest on Latin-1, so a line becomes UTF-16 only if
//! it contains a character outside of Latin-1.

use std::borrow::Cow;

use deno_core::v8;
use v8::simdutf;

use sluicegate_json::sink::Sink;

/// Memory reused from event to event.
#[derive(Default)]
pub(crate) struct Scratch {
    latin1: Vec<u8>,
    utf16: Vec<u16>,
}

/// Makes a V8 string of `bytes`. `None` if they are not UTF-8 or are longer than V8 allows.
pub(crate) fn to_v8<'s>(
    scope: &v8::PinScope<'s, '_, ()>,
    bytes: &[u8],
    scratch: &mut Scratch,
) -> Option<v8::Local<'s, v8::String>> {
    known_to_v8(scope, bytes, false, scratch)
}

/// The same. `ascii` says whether the bytes are known to be ASCII.
pub(crate) fn known_to_v8<'s>(
    scope: &v8::PinScope<'s, '_, ()>,
    bytes: &[u8],
    ascii: bool,
    scratch: &mut Scratch,
) -> Option<v8::Local<'s, v8::String>> {
    if ascii || bytes.is_ascii() {
        return v8::String::new_from_one_byte(scope, bytes, v8::NewStringType::Normal);
    }
    if scratch.latin1.len() < bytes.len() {
        scratch.latin1.resize(bytes.len(), 0);
    }
    // SAFETY: a text in Latin-1 is never longer than in UTF-8, and the buffer is as long as the UTF-8 text.
    let narrow = unsafe { simdutf::convert_utf8_to_latin1_with_errors(bytes, &mut scratch.latin1) };
    if narrow.is_ok() {
        return v8::String::new_from_one_byte(scope, &scratch.latin1[..narrow.count], v8::NewStringType::Normal);
    }
    if scratch.utf16.len() < bytes.len() {
        scratch.utf16.resize(bytes.len(), 0);
    }
    // SAFETY: a text never has more units in UTF-16 than bytes in UTF-8, and the buffer has as many units.
    let wide = unsafe { simdutf::convert_utf8_to_utf16le_with_errors(bytes, &mut scratch.utf16) };
    if wide.is_ok() {
        v8::String::new_from_two_byte(scope, &scratch.utf16[..wide.count], v8::NewStringType::Normal)
    } else {
        None
    }
}

/// Stores `bytes` in a V8 string for [`kept`], one byte per unit, so the string has no meaning to JavaScript. `None` if
/// they are not UTF-8. `ascii` says whether they are known to be ASCII.
pub(crate) fn keep<'s>(
    scope: &v8::PinScope<'s, '_, ()>,
    bytes: &[u8],
    ascii: bool,
) -> Option<v8::Local<'s, v8::String>> {
    if !ascii && !simdutf::validate_utf8(bytes) {
        return None;
    }
    v8::String::new_from_one_byte(scope, bytes, v8::NewStringType::Normal)
}

/// Returns the text that [`keep`] has stored in a string.
pub(crate) fn kept(isolate: &mut v8::Isolate, text: v8::Local<v8::String>) -> Option<String> {
    match v8::ValueView::new(isolate, text).data() {
        v8::ValueViewData::OneByte(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        v8::ValueViewData::TwoByte(_) => None,
    }
}

/// Why a string was not written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    /// Its size in bytes of UTF-8.
    pub(crate) size: usize,
}

/// Appends the UTF-8 of `text` to `sink`, unless it is larger than `limit` bytes.
pub(crate) fn write(
    isolate: &mut v8::Isolate,
    text: v8::Local<v8::String>,
    limit: usize,
    sink: &mut dyn Sink,
) -> Result<(), TooLarge> {
    let view = v8::ValueView::new(isolate, text);
    match view.data() {
        v8::ValueViewData::OneByte(bytes) => {
            if bytes.len() <= limit && bytes.is_ascii() {
                sink.push(bytes);
                return Ok(());
            }
            let size = simdutf::utf8_length_from_latin1(bytes);
            check(size, limit)?;
            sink.append_with(size, &mut |out| {
                assert!(out.len() >= size, "the sink gives as much room as it was asked for");
                // SAFETY: the buffer has at least as many bytes as were computed for this text, as just checked.
                unsafe { simdutf::convert_latin1_to_utf8(bytes, out) }
            });
        }
        v8::ValueViewData::TwoByte(units) => {
            let size = simdutf::utf8_length_from_utf16le(units);
            check(size, limit)?;
            let mut valid = true;
            sink.append_with(size, &mut |out| {
                assert!(out.len() >= size, "the sink gives as much room as it was asked for");
                // SAFETY: as above.
                let result = unsafe { simdutf::convert_utf16le_to_utf8_with_errors(units, out) };
                valid = result.is_ok();
                if valid { result.count } else { 0 }
            });
            if !valid {
                // Lone surrogates. `JSON.stringify` escapes them, so only log text and the like comes here.
                let lossy = String::from_utf16_lossy(units);
                check(lossy.len(), limit)?;
                sink.push(lossy.as_bytes());
            }
        }
    }
    Ok(())
}

fn check(size: usize, limit: usize) -> Result<(), TooLarge> {
    if size <= limit { Ok(()) } else { Err(TooLarge { size }) }
}

/// A V8 string as a Rust string; lone surrogates become U+FFFD.
pub(crate) fn to_string(isolate: &mut v8::Isolate, text: v8::Local<v8::String>) -> String {
    let view = v8::ValueView::new(isolate, text);
    match view.to_cow_lossy() {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    }
}
