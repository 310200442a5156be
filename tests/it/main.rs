//! Drives the built binary over real pipes. One test program, so that it is linked once.

mod bad_input;
mod bad_lines;
mod chaos;
mod command_line;
mod contract;
mod deploy;
mod endings;
mod example;
mod faults;
mod fuzz;
mod hostile;
mod kill;
mod laws;
mod live;
mod million;
mod network;
mod playground;
mod readme;
mod replay;
mod sandbox;
mod serve;
mod stream;
mod suite;
mod support;
mod trial;
mod web;
