//! Native functions for the web APIs of `js/web`: URLs, encodings, base64, random bytes and digests.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use deno_core::v8;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::run::web_url::Url;
use crate::v8::v8_string;

/// Decodes like `atob`: padding is optional, and the unused bits of the last character are ignored.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

type Scope<'s, 'i> = v8::PinScope<'s, 'i>;
type Args<'s> = v8::FunctionCallbackArguments<'s>;
type Answer<'s> = v8::ReturnValue<'s, v8::Value>;

/// `webNative()`: the native functions, as one object.
pub(crate) fn native(scope: &mut Scope<'_, '_>, _: Args<'_>, mut answer: Answer<'_>) {
    let object = v8::Object::new(scope);
    macro_rules! functions {
        ($($name:literal: $function:path,)+) => {$(
            let (key, function) = (v8::String::new(scope, $name), v8::Function::new(scope, $function));
            let (Some(key), Some(function)) = (key, function) else { return };
            object.set(scope, key.into(), function.into());
        )+};
    }
    functions! {
        "parseUrl": parse_url,
        "setUrl": set_url,
        "utf8Length": utf8_length,
        "utf8Into": utf8_into,
        "encodingOf": encoding_of,
        "decode": decode,
        "fromBase64": from_base64,
        "toBase64": to_base64,
        "fillRandom": fill_random,
        "digestInto": digest_into,
        "isNoData": is_no_data,
        "isOrdinary": is_ordinary,
    }
    answer.set(object.into());
}

fn text(scope: &mut Scope<'_, '_>, args: &Args<'_>, index: i32) -> String {
    v8::Local::<v8::String>::try_from(args.get(index)).map(|text| v8_string::to_string(scope, text)).unwrap_or_default()
}

/// The bytes of a `Uint8Array` made by one of the engine's scripts.
fn bytes<R>(
    scope: &mut Scope<'_, '_>,
    args: &Args<'_>,
    index: i32,
    use_them: impl FnOnce(&mut [u8]) -> R,
) -> Option<R> {
    let view = v8::Local::<v8::Uint8Array>::try_from(args.get(index)).ok()?;
    let store = view.buffer(scope)?.get_backing_store();
    let (start, len) = (view.byte_offset(), view.byte_length());
    let Some(data) = store.data().filter(|_| start + len <= store.byte_length()) else {
        return Some(use_them(&mut []));
    };
    // SAFETY: the range was just checked to lie in the store, which lives until the end of this function. No other code
    // runs in the isolate meanwhile, and stores are not shared between threads (SharedArrayBuffer does not exist).
    let slice = unsafe { std::slice::from_raw_parts_mut(data.as_ptr().cast::<u8>().add(start), len) };
    Some(use_them(slice))
}

/// The parts of a URL in the order that `js/web/url.js` expects.
fn parts<'s>(scope: &mut Scope<'s, '_>, url: &Url) -> Option<v8::Local<'s, v8::Value>> {
    let mut values = Vec::new();
    for part in url.parts() {
        values.push(v8::String::new(scope, &part)?.into());
    }
    Some(v8::Array::new_with_elements(scope, &values).into())
}

/// `parseUrl(href, base?)`: returns the URL's parts, or `undefined`.
fn parse_url(scope: &mut Scope<'_, '_>, args: Args<'_>, mut answer: Answer<'_>) {
    let href = text(scope, &args, 0);
    let base = if args.length() > 1 { Url::parse(&text(scope, &args, 1), None).map(Some) } else { Ok(None) };
    let Ok(base) = base else { return };
    if let Ok(url) = Url::parse(&href, base.as_ref())
        && let Some(parts) = parts(scope, &url)
    {
        answer.set(parts);
    }
}

/// `setUrl(href, part, value)`: returns the parts of the changed URL.
fn set_url(scope: &mut Scope<'_, '_>, args: Args<'_>, mut answer: Answer<'_>) {
    let (href, part, value) = (text(scope, &args, 0), text(scope, &args, 1), text(scope, &args, 2));
    let Ok(mut url) = Url::parse(&href, None) else { return };
    url.set(&part, &value);
    if let Some(parts) = parts(scope, &url) {
        answer.set(parts);
    }
}

fn utf8_length(scope: &mut Scope<'_, '_>, args: Args<'_>, mut answer: Answer<'_>) {
    if let Ok(text) = v8::Local::<v8::String>::try_from(args.get(0)) {
        answer.set(v8::Number::new(scope, text.utf8_length(scope) as f64).into());
    }
}

fn utf8_into(scope: &mut Scope<'_, '_>, args: Args<'_>, _: Answer<'_>) {
    let text = text(scope, &args, 0);
    bytes(scope, &args, 1, |out| {
        let len = text.len().min(out.len());
        out[..len].copy_from_slice(&text.as_bytes()[..len]);
    });
}

/// `encodingOf(label)`: returns the encoding's name in lower case, or `undefined`.
fn encoding_of(scope: &mut Scope<'_, '_>, args: Args<'_>, mut answer: Answer<'_>) {
    let label = text(scope, &args, 0);
    if let Some(encoding) = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())
        && let Some(name) = v8::String::new(scope, &encoding.name().to_ascii_lowercase())
    {
        answer.set(name.into());
    }
}

/// `decode(encoding, bytes, fatal)`: returns the text, or `undefined` if the bytes are malformed and `fatal` is set.
fn decode(scope: &mut Scope<'_, '_>, args: Args<'_>, mut answer: Answer<'_>) {
    let label = text(scope, &args, 0);
    let Some(encoding) = encoding_rs::Encoding::for_label(label.as_bytes()) else { return };
    let fatal = args.get(2).is_true();
    let decoded = bytes(scope, &args, 1, |bytes| {
        if fatal {
            encoding.decode_without_bom_handling_and_without_replacement(bytes).map(|text| text.into_owned())
        } else {
            Some(encoding.decode_without_bom_handling(bytes).0.into_owned())
        }
    });
    if let Some(Some(text)) = decoded
        && let Some(text) = v8_string::to_v8(scope, text.as_bytes(), &mut v8_string::Scratch::default())
    {
        answer.set(text.into());
    }
}

/// `toBase64(text)`: encodes a text whose characters are bytes.
fn to_base64(scope: &mut Scope<'_, '_>, args: Args<'_>, mut answer: Answer<'_>) {
    let text = text(scope, &args, 0);
    let latin1: Option<Vec<u8>> = text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
    if let Some(encoded) = latin1.and_then(|bytes| v8::String::new(scope, &STANDARD.encode(bytes))) {
        answer.set(encoded.into());
    }
}

/// `fromBase64(text)`: returns a text whose characters are the bytes, or `undefined`.
fn from_base64(scope: &mut Scope<'_, '_>, args: Args<'_>, mut answer: Answer<'_>) {
    let mut text = text(scope, &args, 0);
    text.retain(|letter| !matches!(letter, ' ' | '\t' | '\n' | '\x0c' | '\r'));
    // Padding is valid only where it completes four characters.
    let data = match text.len() % 4 {
        0 => text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(&text),
        _ => &text,
    };
    if data.contains('=') || data.len() % 4 == 1 {
        return;
    }
    if let Ok(bytes) = FORGIVING.decode(data)
        && let Some(text) = v8::String::new_from_one_byte(scope, &bytes, v8::NewStringType::Normal)
    {
        answer.set(text.into());
    }
}

pub(crate) fn fill_random(scope: &mut Scope<'_, '_>, args: Args<'_>, _: Answer<'_>) {
    let filled = bytes(scope, &args, 0, |mut rest| {
        while !rest.is_empty() {
            match rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty()) {
                Ok(n) => rest = &mut rest[n..],
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    });
    if filled != Some(true)
        && let Some(message) = v8::String::new(scope, "the system gives no random bytes")
    {
        let error = v8::Exception::error(scope, message);
        scope.throw_exception(error);
    }
}

/// `digestInto(algorithm, data, out)`: writes a digest into `out`.
fn digest_into(scope: &mut Scope<'_, '_>, args: Args<'_>, _: Answer<'_>) {
    let algorithm = text(scope, &args, 0);
    let digest = bytes(scope, &args, 1, |data| match algorithm.as_str() {
        "SHA-1" => Sha1::digest(data).to_vec(),
        "SHA-256" => Sha256::digest(data).to_vec(),
        "SHA-384" => Sha384::digest(data).to_vec(),
        _ => Sha512::digest(data).to_vec(),
    });
    if let Some(digest) = digest {
        bytes(scope, &args, 2, |out| {
            let len = digest.len().min(out.len());
            out[..len].copy_from_slice(&digest[..len]);
        });
    }
}

/// `isNoData(object)`: whether its kind can't be cloned and JavaScript can't tell it from other objects.
fn is_no_data(_: &mut Scope<'_, '_>, args: Args<'_>, mut answer: Answer<'_>) {
    let value = args.get(0);
    answer.set_bool(
        value.is_proxy()
            || value.is_generator_object()
            || value.is_arguments_object()
            || value.is_map_iterator()
            || value.is_set_iterator()
            || value.is_module_namespace_object(),
    );
}

/// `isOrdinary(object)`: whether it consists only of its properties, without content that only V8 can see.
fn is_ordinary(scope: &mut Scope<'_, '_>, args: Args<'_>, mut answer: Answer<'_>) {
    let value = args.get(0);
    // The other kinds that the serializer supports. It would write their whole content.
    let known = value.is_map() || value.is_set() || value.is_date() || value.is_reg_exp() || value.is_native_error();
    let boxed = value.is_number_object() || value.is_string_object() || value.is_boolean_object();
    let buffer = value.is_array_buffer() || value.is_array_buffer_view() || value.is_array();
    if known || boxed || buffer || value.is_big_int_object() || value.is_symbol_object() {
        return answer.set_bool(false);
    }
    v8::tc_scope!(let scope, scope);
    let context = scope.get_current_context();
    let serializer = v8::ValueSerializer::new(scope, Box::new(KindOnly));
    answer.set_bool(serializer.write_value(context, value).is_some());
}

/// Makes V8's serializer check only an object's kind, not its content.
struct KindOnly;

impl v8::ValueSerializerImpl for KindOnly {
    fn throw_data_clone_error<'s>(&self, scope: &mut v8::PinScope<'s, '_>, message: v8::Local<'s, v8::String>) {
        scope.throw_exception(message.into());
    }

    fn has_custom_host_object(&self, _: &v8::Isolate) -> bool {
        true
    }

    fn is_host_object<'s>(&self, _: &mut v8::PinScope<'s, '_>, _: v8::Local<'s, v8::Object>) -> Option<bool> {
        Some(true)
    }

    fn write_host_object<'s>(
        &self,
        _: &mut v8::PinScope<'s, '_>,
        _: v8::Local<'s, v8::Object>,
        _: &dyn v8::ValueSerializerHelper,
    ) -> Option<bool> {
        Some(true)
    }
}
