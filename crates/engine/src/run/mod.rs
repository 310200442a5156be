//! Runs events, alone or in batches: loads and calls the author's code, provides its host functions and prints the
//! results.

pub(crate) mod batch;
pub(crate) mod blank_isolate;
pub(crate) mod call_result;
pub(crate) mod current_stack;
pub(crate) mod declarations;
pub(crate) mod driver_functions;
pub(crate) mod event;
pub(crate) mod fetch;
pub(crate) mod host_functions;
pub(crate) mod in_flight;
pub(crate) mod output;
pub(crate) mod parse;
pub(crate) mod print_plan;
pub(crate) mod requests;
pub(crate) mod row_object;
pub(crate) mod source_scan;
pub(crate) mod state;
pub(crate) mod ticket;
pub(crate) mod tokens;
pub(crate) mod transform_isolate;
pub(crate) mod turns;
pub(crate) mod waiting;
pub(crate) mod web;
pub(crate) mod web_url;
pub(crate) mod window;
