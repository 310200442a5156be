//! Drives the built binary over real pipes. One test program, so that it is linked once.

mod chaos;
mod contract;
mod hostile;
mod readme;
mod suite;
mod support;
