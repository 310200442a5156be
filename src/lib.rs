//! sluicegate.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod config;
pub mod engine;
pub mod verdict;
pub use engine::Engine;
