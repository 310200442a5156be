//! Flags of `serve`.

use clap::Args;

use crate::cli::settings::{LimitFlags, NetworkFlags, NumberFlags, SandboxFlags, ServeFlags, words};
use crate::cli::values;
use crate::config::LogFormat;

/// `serve`.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the groups say what they are; a doc comment would become part of the help")]
pub struct ServeArgs {
    #[command(flatten)]
    pub serve: ServeFlags,
    /// Worker processes of one transformation, 0 for one per core [default: 0].
    #[arg(short = 'j', long, value_name = "N", value_parser = values::workers)]
    pub workers: Option<usize>,
    /// How messages are written [default: text].
    #[arg(long, value_name = "FORM", value_parser = words::<LogFormat>())]
    pub log_format: Option<LogFormat>,
    #[command(flatten)]
    pub limits: LimitFlags,
    #[command(flatten)]
    pub numbers: NumberFlags,
    #[command(flatten)]
    pub sandbox: SandboxFlags,
    #[command(flatten)]
    pub network: NetworkFlags,
}
