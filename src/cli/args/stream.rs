//! Flags of `run` and `replay`, and what they share with other commands.

use std::path::PathBuf;

use clap::Args;

use crate::cli::settings::{
    DataFlags, EventFlags, FailureFlags, LibraryFlags, LimitFlags, MessageFlags, NetworkFlags, NumberFlags,
    SandboxFlags,
};

/// What every command takes that runs code in the sandbox.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct CodeFlags {
    #[command(flatten)]
    pub libraries: LibraryFlags,
    #[command(flatten)]
    pub data: DataFlags,
    #[command(flatten)]
    pub limits: LimitFlags,
    #[command(flatten)]
    pub numbers: NumberFlags,
    #[command(flatten)]
    pub sandbox: SandboxFlags,
}

/// What every command takes that runs code over a stream.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "as above")]
pub struct RunFlags {
    #[command(flatten)]
    pub code: CodeFlags,
    #[command(flatten)]
    pub network: NetworkFlags,
    #[command(flatten)]
    pub events: EventFlags,
    #[command(flatten)]
    pub failures: FailureFlags,
    #[command(flatten)]
    pub messages: MessageFlags,
}

/// `run`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct RunArgs {
    /// The transformation, a JavaScript or TypeScript module that exports transformEvent or transformBatch.
    pub transformation: PathBuf,
    /// Files of events, one JSON object a line, read one after the other; `-` is standard input
    /// [default: standard input].
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub flags: RunFlags,
}

/// `replay`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct ReplayArgs {
    /// The dead letter: FILE:LINE, a FILE that holds only one, or `-` for standard input.
    #[arg(value_name = "RECORD", required_unless_present = "all")]
    pub record: Option<PathBuf>,
    /// Run the events of all dead letters in FILE, `-` for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "json"])]
    pub all: Option<PathBuf>,
    /// Run them through this transformation [default: the one that the records name].
    #[arg(long, value_name = "FILE")]
    pub transformation: Option<PathBuf>,
    /// Print the result as one JSON object on standard output [default: for people].
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub flags: RunFlags,
}

impl ReplayArgs {
    /// Converts these arguments to those of `run`.
    pub fn as_run(&self, transformation: PathBuf) -> RunArgs {
        RunArgs { transformation, files: Vec::new(), flags: self.flags.clone() }
    }
}
