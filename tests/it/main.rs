//! Drives the built binary over real pipes. One test program, so that it is linked once.

mod contract;
mod suite;
mod support;
