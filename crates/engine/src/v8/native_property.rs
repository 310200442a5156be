//! Native data properties: ordinary properties to the code, but a getter of the engine computes their values.

use deno_core::v8;

/// Replaces a native property with an ordinary one. V8 does the same when a native property
/// without a setter is assigned.
pub(crate) fn make_ordinary(
    scope: &mut v8::PinScope<'_, '_>,
    object: v8::Local<v8::Object>,
    name: v8::Local<v8::Name>,
    value: v8::Local<v8::Value>,
) {
    // The author's code may have made it non-enumerable, for example.
    let attributes = object.get_property_attributes(scope, name.into()).unwrap_or(v8::PropertyAttribute::NONE);
    object.set_accessor(scope, name, nothing);
    object.create_data_property(scope, name, value);
    if attributes != v8::PropertyAttribute::NONE {
        object.define_own_property(scope, name, value, attributes);
    }
}

fn nothing<'s>(
    _: &mut v8::PinScope<'s, '_>,
    _: v8::Local<'s, v8::Name>,
    _: v8::PropertyCallbackArguments<'s>,
    _: v8::ReturnValue<v8::Value>,
) {
}
