//! The checks of the fuzz targets, one module each: a `check` that takes any bytes and panics when a promise is broken.
//!
//! libFuzzer calls them with coverage (`fuzz/run`); `tests/cli/fuzz.rs` calls the same functions from an ordinary test,
//! with the seeds and with changes of them by a small mutator.

pub mod config;
pub mod fidelity;
pub mod frames;
pub mod lines;
