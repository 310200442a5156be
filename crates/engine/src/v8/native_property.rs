//! Native data properties: to the code they are properties like any other, and a getter of ours works out their values.

use deno_core::v8;

/// Makes an ordinary property of a native one, in its place. V8 does so when a native property without a setter is assigned.
pub(crate) fn make_ordinary(
    scope: &mut v8::PinScope<'_, '_>,
    object: v8::Local<v8::Object>,
    name: v8::Local<v8::Name>,
    value: v8::Local<v8::Value>,
) {
    // The author may have made it one that is not enumerated, say.
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
