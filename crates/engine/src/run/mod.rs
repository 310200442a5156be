//! Running events: one alone or a batch, what the code can call meanwhile, and how the result is printed.

pub(crate) mod batch;
pub(crate) mod driver_functions;
pub(crate) mod event;
pub(crate) mod fetch;
pub(crate) mod host_functions;
pub(crate) mod output;
pub(crate) mod print_plan;
pub(crate) mod transform_isolate;
pub(crate) mod web;
