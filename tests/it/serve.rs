//! `sluicegate serve` over real sockets.

mod backend;
mod bad_requests;
mod client;
mod code;
mod endpoints;
mod load;
mod play;
mod transform;
