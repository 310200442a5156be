//! The binary; everything is in [`sluicegate::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    sluicegate::cli::main(std::env::args_os())
}
