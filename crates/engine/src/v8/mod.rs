//! The V8 layer: platform, isolates, the driver, modules, strings, errors and the inspector.

pub(crate) mod driver;
pub(crate) mod errors;
pub(crate) mod event_number;
pub(crate) mod flatness;
pub(crate) mod heap_words;
pub(crate) mod inspector;
pub(crate) mod lifecycle;
pub(crate) mod modules;
pub(crate) mod native_property;
pub(crate) mod on_demand;
pub(crate) mod override_attempts;
pub(crate) mod own_script;
pub(crate) mod platform;
pub(crate) mod v8_string;
