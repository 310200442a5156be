//! Drives the built binary over real pipes. One test program, so that it is linked once.

mod bad_input;
mod bad_lines;
mod chaos;
mod command_line;
mod contract;
mod deploy;
mod early_end;
mod example;
mod explore;
mod faults;
mod fuzz;
mod hostile;
mod hostile_modes;
mod hosts;
mod init;
mod inputs;
mod invariants;
mod kill;
mod lineage;
mod many_events;
mod mistakes;
mod network;
mod pages;
mod playground;
mod readme;
mod reference;
mod replay;
mod reverse_etl;
mod sandbox;
mod serve;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod sync;
mod testing;
mod waiting;
