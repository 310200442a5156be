//! `sluicegate serve`: hands the config to the server, and says where it listens.

use std::io::Write;
use std::path::Path;
use std::thread;

use clap::Args;
use serde_json::json;
use tracing_subscriber::filter::LevelFilter;

use super::args::Global;
use super::config;
use super::diagnostic::Diagnostic;
use super::layers::{Surroundings, layered};
use super::report::Voice;
use super::settings::{LimitFlags, NetworkFlags, SandboxFlags, ServeFlags, Settings};
use super::values;
use crate::config::{LogFormat, LogLevel};
use crate::net::{Client, Policy};
use crate::serve::warm::Terms;
use crate::serve::{self, Config, From};
use crate::verdict::exit;

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
    #[arg(long, value_name = "FORM", value_parser = super::settings::words::<LogFormat>())]
    pub log_format: Option<LogFormat>,
    #[command(flatten)]
    pub limits: LimitFlags,
    #[command(flatten)]
    pub sandbox: SandboxFlags,
    #[command(flatten)]
    pub network: NetworkFlags,
}

impl ServeArgs {
    /// What the flags say.
    pub fn settings(&self, global: &Global) -> Settings {
        let mut settings = Settings {
            serve: self.serve.clone(),
            limits: self.limits.clone(),
            sandbox: self.sandbox.clone(),
            network: self.network.clone(),
            global: global.settings.clone(),
            ..Settings::default()
        };
        settings.events.workers = self.workers;
        settings.messages.log_format = self.log_format;
        settings
    }
}

/// A server, and how it speaks.
pub struct Resolved {
    /// What it does.
    pub config: Config,
    /// How errors are written.
    pub voice: Voice,
    level: LogLevel,
    network: Policy,
}

/// Resolves `serve`.
///
/// # Errors
/// When anything is wrong with what was typed, set or written.
pub fn resolve(args: &ServeArgs, global: &Global, around: Surroundings<'_>) -> Result<Resolved, Diagnostic> {
    let settings = layered(args.settings(global), global, Path::new(""), around)?;
    let variable = |name: &str| {
        (around.variable)(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty())
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let flags = &settings.serve;
    let backend = match &flags.backend_url {
        Some(url) => Some(url.to_string()),
        None => match variable("CONFIG_BACKEND_URL") {
            Some(url) => Some(values::service(&url).map(|url| url.to_string()).map_err(|reason| {
                Diagnostic::new(format!(
                    "the environment variable CONFIG_BACKEND_URL has an invalid value `{url}`: {reason}"
                ))
            })?),
            None => None,
        },
    };
    // A secret that was read from a file mostly ends with a newline.
    let secret = variable("CONFIG_BACKEND_HOSTED_SECRET").map(|secret| secret.trim().to_owned());
    let secret = secret.filter(|secret| !secret.is_empty());
    let code = match (&flags.dir, backend) {
        (Some(dir), _) => From::Folder(dir.clone()),
        (None, Some(url)) => From::Backend(url, secret),
        (None, None) => {
            return Err(Diagnostic::new("nothing says where the code is")
                .help("name a folder with --dir, or a config backend with --backend-url or CONFIG_BACKEND_URL"));
        }
    };
    let workers = match settings.events.workers.unwrap_or(0) {
        0 => cores,
        workers => workers,
    };
    let config = Config {
        listen: flags.listen.clone().unwrap_or_else(|| "0.0.0.0:9090".to_owned()),
        code,
        terms: Terms {
            options: config::options(&settings),
            network: None,
            sandbox: config::sandbox(&settings),
            workers,
        },
        // Enough that no core waits, few enough that code that is in the middle of something gets its core.
        turns: 2 * cores,
        max_processes: flags.max_processes.unwrap_or(8 + 4 * cores),
        body_limit: flags.body_limit.unwrap_or(200 << 20),
        max_requests: flags.max_requests.unwrap_or(256),
        request_memory: flags.request_memory.unwrap_or(1 << 30),
        instance: variable("INSTANCE_ID").or_else(|| variable("HOSTNAME")).unwrap_or_else(host),
    };
    Ok(Resolved {
        config,
        voice: config::voice(&settings),
        level: flags.log_level.unwrap_or_default(),
        network: config::policy(&settings),
    })
}

fn host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// Serves until a signal ends it; the answer is the exit code.
///
/// # Errors
/// When it cannot be started.
pub fn serve(mut resolved: Resolved) -> anyhow::Result<u8> {
    let level = match resolved.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let format = resolved.voice.format;
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("sluicegate", level);
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(resolved.voice.colored());
    {
        use tracing_subscriber::Layer;
        use tracing_subscriber::layer::SubscriberExt;
        use tracing_subscriber::util::SubscriberInitExt;
        let layer = match format {
            LogFormat::Text => logs.with_filter(filter).boxed(),
            LogFormat::Json => logs.json().flatten_event(true).with_filter(filter).boxed(),
        };
        // A second server in one process speaks with the first one's voice.
        let _ = tracing_subscriber::registry().with(layer).try_init();
    }
    if !resolved.network.is_off() {
        resolved.config.terms.network = Some(Client::start(resolved.network.clone())?);
    }
    serve::run(&resolved.config, None, |address| {
        let url = format!("http://{address}");
        let line = match format {
            LogFormat::Text => format!("listening on {url}"),
            LogFormat::Json => json!({ "level": "INFO", "message": "listening", "url": url }).to_string(),
        };
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    })?;
    Ok(exit::COMPLETE)
}
