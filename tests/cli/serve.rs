//! `sluicegate serve` over real sockets.

mod backend;
mod bad_requests;
pub mod client;
mod code;
mod drop_in;
mod endpoints;
mod load;
mod play;
mod prepared;
mod tenants;
mod traces;
mod transform;
