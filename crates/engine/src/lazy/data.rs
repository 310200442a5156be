//! Detects values that are plain data, which can be printed without running the author's code.

use deno_core::v8;

use super::{Tag, has_plain_prototypes};

/// Values with more properties than this, nested ones included, are not examined.
const MAX_PROPERTIES: usize = 256;

/// Whether a value holds only primitive values, and plain objects and arrays of those. May
/// return false where checking is expensive. Runs no code.
pub(crate) fn is_data<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> bool {
    has_plain_prototypes(scope) && all_data(scope, value).is_some_and(|data| data)
}

fn all_data<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Option<bool> {
    if !value.is_object() {
        return Some(!value.is_big_int());
    }
    let object_prototype = v8::Object::new(scope).get_prototype(scope)?;
    let array_prototype = v8::Array::new(scope, 0).get_prototype(scope)?;
    let value_key = v8::String::new(scope, "value")?;
    let to_json = v8::String::new(scope, "toJSON")?;
    let names_of = || v8::GetPropertyNamesArgs {
        mode: v8::KeyCollectionMode::OwnOnly,
        property_filter: v8::PropertyFilter::ALL_PROPERTIES,
        index_filter: v8::IndexFilter::IncludeIndices,
        key_conversion: v8::KeyConversionMode::ConvertToString,
    };
    let mut left = vec![value];
    let mut properties = 0;
    while let Some(value) = left.pop() {
        let Ok(object) = v8::Local::<v8::Object>::try_from(value) else {
            if value.is_big_int() {
                return Some(false);
            }
            continue;
        };
        // A proxy's traps are code, and the values of a lazy object may be anything.
        if object.is_proxy() || object.is_function() || Tag::of(object).is_some() {
            return Some(false);
        }
        let expected = if object.is_array() { array_prototype } else { object_prototype };
        if object.get_prototype(scope)? != expected {
            return Some(false);
        }
        let names = object.get_own_property_names(scope, names_of())?;
        properties += names.length() as usize;
        if properties > MAX_PROPERTIES {
            return Some(false);
        }
        for index in 0..names.length() {
            let name: v8::Local<v8::Name> = names.get_index(scope, index)?.try_into().ok()?;
            if name == to_json {
                return Some(false);
            }
            let descriptor: v8::Local<v8::Object> = object.get_own_property_descriptor(scope, name)?.try_into().ok()?;
            if !descriptor.has_own_property(scope, value_key.into())? {
                return Some(false);
            }
            left.push(descriptor.get(scope, value_key.into())?);
        }
    }
    Some(true)
}
