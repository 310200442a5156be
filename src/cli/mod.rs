//! The command line: parses the arguments, runs the command and returns the exit code.
//!
//! [`args`] holds the arguments as typed and [`settings`] the table of settings; [`config`] resolves both
//! together with the environment and `sluicegate.toml`. Each command has a file of its own. Logic that
//! another front end would need too (events, workers, verdicts) belongs in the modules outside `cli`.
//!
//! Standard output carries only data and the text that the user asked for (`check`, `completions`,
//! `man`). Errors go to standard error, in one place, [`report`]. No argument causes a panic.

pub mod args;
pub mod bench;
pub mod check;
mod code_checks;
pub mod completions;
pub mod config;
pub mod config_file;
#[cfg(test)]
mod configuration_page;
pub mod diagnostic;
pub mod diff;
pub mod doctor;
mod examples;
mod file_watcher;
mod files;
pub mod fuzz;
#[cfg(test)]
mod golden;
pub mod init;
pub mod lineage;
pub mod manpage;
mod output_file;
pub mod play;
pub mod program;
pub mod replay;
pub mod report;
mod roff;
pub mod run;
mod run_progress;
pub mod serve;
pub mod setting_sources;
pub mod settings;
mod standard_streams;
pub mod sync;
pub mod test;
mod test_coverage;
mod test_import;
mod test_init;
mod test_report;
mod test_watch;
pub mod types;
pub mod values;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;

use self::args::{Cli, Command, OwnProcess};
use self::report::MessageStyle;
use self::setting_sources::Env;
use crate::tally::exit;

/// Runs the program; `main` only calls this function.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = arguments.into_iter().collect();
    if let Some(process) = OwnProcess::read(&words) {
        return ExitCode::from(own_process(process));
    }
    let cli = match Cli::read(words) {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` arrive here too. If the write fails, no data is lost.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::COULD_NOT_RUN } else { exit::COMPLETE });
        }
    };
    let mut message_style = config::early_message_style(&cli.global.typed, Env::here());
    let code = dispatch(cli, &mut message_style).unwrap_or_else(|error| {
        message_style.error(&error);
        exit::COULD_NOT_RUN
    });
    ExitCode::from(code)
}

fn dispatch(cli: Cli, message_style: &mut MessageStyle) -> anyhow::Result<u8> {
    match cli.command {
        Command::Run(args) => {
            let config = config::run(&args, &cli.global, Env::here())?;
            *message_style = config.message_style;
            run::run(config)
        }
        Command::Replay(args) => replay::replay(&args, &cli.global, message_style),
        Command::Check(args) => {
            let mut code = exit::COMPLETE;
            let mut said = Vec::new();
            for config in config::check(&args, &cli.global, Env::here()) {
                let outcome = match config {
                    Ok(config) => check::check(&config, args.json)?,
                    Err(unread) => check::unread(unread, args.json),
                };
                if args.reporter.unwrap_or_default() == args::CheckReporter::Github {
                    print(outcome.annotations().as_bytes())?;
                }
                print(outcome.text.as_bytes())?;
                // A library or a config file with a mistake may belong to several transformations.
                for finding in outcome.findings {
                    if !said.contains(&finding) {
                        message_style.error(&finding.clone().into());
                        said.push(finding);
                    }
                }
                code = code.max(outcome.code);
            }
            Ok(code)
        }
        Command::Bench(args) => {
            let config = config::bench(&args, &cli.global, Env::here())?;
            let outcome = bench::bench(&config)?;
            print(outcome.text.as_bytes())?;
            if let Some(error) = outcome.error {
                message_style.error(&error.into());
            }
            Ok(outcome.code)
        }
        Command::Serve(_) => {
            let resolved = serve::resolve(&cli.global, Env::here())?;
            *message_style = resolved.message_style;
            serve::serve(resolved)
        }
        Command::Sync(args) => sync::sync(&args, &cli.global, message_style),
        Command::Test(args) => test::test(&args, &cli.global, *message_style),
        Command::Play(args) => play::play(&args, &cli.global),
        Command::Fuzz(args) => fuzz::fuzz(&args, &cli.global, *message_style),
        Command::Diff(args) => diff::diff(&args, &cli.global),
        Command::Lineage(args) => lineage::lineage(&args, &cli.global),
        Command::Completions { shell } => print(&completions::completions(shell)),
        Command::Doctor { json } => {
            let (text, code) = doctor::doctor(json)?;
            print(text.as_bytes())?;
            Ok(code)
        }
        Command::Man => print(&manpage::man()),
        Command::Types(_) => print(types::types(&cli.global)?.as_bytes()),
        Command::Init(args) => print(init::init(&args, &cli.global)?.as_bytes()),
    }
}

/// Runs a process that another process of this program has started; returns its exit code.
fn own_process(process: OwnProcess) -> u8 {
    match process {
        OwnProcess::Worker => crate::workers::worker_main(),
        OwnProcess::Prepared => crate::workers::prepared_main(),
        OwnProcess::BenchStep => crate::bench::step::main(),
        OwnProcess::Parse => crate::parser_process::main(),
        OwnProcess::ExploreRun => crate::explore::main(),
        OwnProcess::LineageWorker => crate::explore::lineage::main(),
        OwnProcess::TestWorker => crate::testing::worker_main(),
        OwnProcess::Adbc => crate::sync::adbc::reader::main(),
    }
}

/// Writes what the user asked for to standard output. A closed pipe is not an error.
fn print(bytes: &[u8]) -> anyhow::Result<u8> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(exit::COMPLETE),
    }
}
