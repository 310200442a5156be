//! Drives the built binary over real pipes. One test program, so that it is linked once.

mod bad_input;
mod bad_lines;
mod command_line;
mod contract;
mod endings;
mod faults;
mod laws;
mod live;
mod million;
mod stream;
mod support;
