//! Drives the built binary over real pipes. One test program, so that it is linked once.

mod chaos;
mod contract;
mod readme;
mod hostile;
mod support;
