//! `sluicegate serve`: starts the server and prints its address; also starts a playground, if asked.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::json;
use tracing_subscriber::filter::LevelFilter;

use super::args::Global;
use super::config;
use super::diagnostic::Diagnostic;
use super::play::{SettingsOrigin, playground};
use super::report::MessageStyle;
use super::setting_sources::{Env, merged_settings};
use super::settings::Settings;
use super::values;
use crate::config::{LogFormat, LogLevel};
use crate::machine_memory;
use crate::net::{Client, Policy};
use crate::play::{self, Playground};
use crate::serve::pool_cache::PoolOptions;
use crate::serve::{self, CodeOrigin, Config, traces};
use crate::tally::exit;
use crate::workers::{self, RunError, Sandbox};
use sluicegate_engine::{Options, Program};

/// The settings of a server.
pub struct Resolved {
    /// The server's config.
    pub config: Config,
    /// The format of errors.
    pub message_style: MessageStyle,
    level: LogLevel,
    network: Policy,
    /// The settings for the playground, if there is one.
    play: Option<Settings>,
}

/// The wall limit of an event that may use the network. rudder-server waits ten minutes for an
/// answer. A server that shuts down waits for running requests a little more than a minute.
const WALL_WITH_NETWORK: Duration = Duration::from_secs(60);

/// The memory of an idle worker process, in bytes, with some reserve for busy ones.
const MEMORY_OF_A_PROCESS: u64 = 8 << 20;

/// The default maximum of worker processes. Each also needs threads and file descriptors.
const MAX_WARM_PROCESSES: usize = 2048;

/// The URL path of the playground.
const PLAY: &str = "/play";

/// Resolves the settings of `serve`.
///
/// # Errors
/// When an argument, a variable or the config file is invalid.
pub fn resolve(global: &Global, env: Env<'_>) -> Result<Resolved, Diagnostic> {
    let mut settings = merged_settings(global.typed.clone(), global, Path::new(""), env)?;
    let variable =
        |name: &str| (env.variable)(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mirror = settings.serve.mirror.unwrap_or(false);
    if mirror && settings.network.allow_net.is_some() {
        return Err(Diagnostic::new("--mirror and --allow-net contradict each other")
            .help("what a mirror asked of the network would be asked twice: leave out --allow-net"));
    }
    if !config::policy(&settings).is_off() {
        settings.limits.wall_limit.get_or_insert(WALL_WITH_NETWORK.max(config::limits(&settings).wall));
    }
    let settings = settings;
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
    // Secrets from files often end with a newline.
    let secret = variable("CONFIG_BACKEND_HOSTED_SECRET").map(|secret| secret.trim().to_owned());
    let secret = secret.filter(|secret| !secret.is_empty());
    let code = match (&flags.dir, backend) {
        (Some(dir), _) => CodeOrigin::Folder(dir.clone()),
        (None, Some(url)) => CodeOrigin::Backend(url, secret),
        (None, None) => {
            return Err(Diagnostic::new("no source of code is given")
                .help("name a folder with --dir, or a config backend with --backend-url or CONFIG_BACKEND_URL"));
        }
    };
    let workers = match settings.events.workers.unwrap_or(0) {
        0 => cores,
        workers => workers,
    };
    let play = flags.play.unwrap_or(false);
    if play {
        reachable(flags.dir.is_some(), flags.listen.as_deref())?;
    }
    let config = Config {
        listen: flags.listen.clone().unwrap_or_else(|| "0.0.0.0:9090".to_owned()),
        code,
        pool_options: PoolOptions {
            options: config::options(&settings),
            network: None,
            sandbox: sandbox(&settings)?,
            workers,
            fresh_state: flags.fresh_state.unwrap_or(false),
        },
        // Enough turns to keep every core busy, and so few that a running event gets its core.
        turns: 2 * cores,
        max_processes: flags.max_processes.unwrap_or_else(|| warm_processes(cores)),
        body_limit: flags.body_limit.unwrap_or(200 << 20),
        body_timeout: flags.body_timeout.unwrap_or(Duration::from_secs(30)),
        max_requests: flags.max_requests.unwrap_or(256),
        request_memory: flags.request_memory.unwrap_or(1 << 30),
        mirror,
        test_token: flags.test_token.clone(),
        traces: traces::are_wanted(&variable)
            .map_err(|error| Diagnostic::new(error).help("see docs/server.md, or unset OTEL_EXPORTER_OTLP_ENDPOINT"))?,
        instance: variable("INSTANCE_ID").or_else(|| variable("HOSTNAME")).unwrap_or_else(host),
    };
    Ok(Resolved {
        config,
        message_style: config::message_style(&settings),
        level: flags.log_level.unwrap_or_default(),
        network: config::policy(&settings),
        play: play.then_some(settings),
    })
}

/// Returns the required sandbox: every layer by default, because a server runs the code of many authors.
fn sandbox(settings: &Settings) -> Result<Sandbox, Diagnostic> {
    let allow = settings.serve.allow_missing_sandbox.unwrap_or(false);
    if allow && settings.sandbox.require_sandbox == Some(true) {
        return Err(Diagnostic::new("--allow-missing-sandbox and --require-sandbox contradict each other")
            .help("leave one of them out; a server requires the whole sandbox by itself"));
    }
    Ok(Sandbox { require: !allow, ..config::sandbox(settings) })
}

/// Returns the number of worker processes that fit into half of the memory of the machine or the container.
fn warm_processes(cores: usize) -> usize {
    let memory = machine_memory::total().unwrap_or(0);
    let fit = usize::try_from(memory / 2 / MEMORY_OF_A_PROCESS).unwrap_or(usize::MAX);
    fit.clamp(8 + 4 * cores, MAX_WARM_PROCESSES)
}

/// Rejects a playground that no local browser could open, or that has no folder to show.
fn reachable(folder: bool, listen: Option<&str>) -> Result<(), Diagnostic> {
    if !folder {
        return Err(Diagnostic::new("--play needs --dir: the playground works on a folder of code")
            .help("name the folder with --dir; `sluicegate play DIR` tries code without a server"));
    }
    let Some(listen) = listen else { return Ok(()) };
    // An unknown name is reported when the server starts to listen.
    let addresses = listen.to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    if addresses.iter().any(|address| at_home(*address).is_none()) {
        return Err(Diagnostic::new(format!(
            "the playground answers this machine only, which cannot reach it under --listen {listen}"
        ))
        .help(
            "listen on 127.0.0.1, or on 0.0.0.0: then requests are answered from everywhere, and the playground from here",
        ));
    }
    Ok(())
}

/// Returns the address at which a browser on this machine reaches the playground; `None` if it cannot.
fn at_home(address: SocketAddr) -> Option<SocketAddr> {
    let ip = match address.ip() {
        ip if ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST => ip,
        ip if ip == Ipv4Addr::UNSPECIFIED => Ipv4Addr::LOCALHOST.into(),
        ip if ip == Ipv6Addr::UNSPECIFIED => Ipv6Addr::LOCALHOST.into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, address.port()))
}

/// Returns the playground next to the server, and its token.
fn open_playground(resolved: &Resolved) -> anyhow::Result<Option<(Playground, String)>> {
    let (Some(settings), CodeOrigin::Folder(dir)) = (&resolved.play, &resolved.config.code) else { return Ok(None) };
    let playground = playground(dir, SettingsOrigin::Server(settings.clone()), config::sandbox(settings))?;
    let token = playground.token().as_str().to_owned();
    Ok(Some((playground, token)))
}

fn host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// Raises the limit on file descriptors as far as allowed: workers and connections need them.
fn allow_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // If the kernel refuses, the limit stays unchanged.
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}

/// Starts a worker and checks its sandbox before the first request.
fn check_sandbox(sandbox: Sandbox) -> anyhow::Result<()> {
    let program = Program::new("walls.js", "export const transformEvent = (event) => event;");
    match workers::check(&program, &Options::default(), sandbox) {
        Ok(_) => Ok(()),
        Err(RunError::Sandbox(lacking)) => Err(Diagnostic::new(format!(
            "this kernel lacks a part of the sandbox, and a server asks for all of it: {lacking}"
        ))
        .help("`sluicegate doctor` shows every layer of the sandbox; --allow-missing-sandbox serves without the missing ones")
        .into()),
        Err(error) => Err(error.into()),
    }
}

/// Serves until a signal ends it; returns the exit code.
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
    let format = resolved.message_style.format;
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("sluicegate", level);
    let logs =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(resolved.message_style.colored());
    {
        use tracing_subscriber::Layer;
        use tracing_subscriber::layer::SubscriberExt;
        use tracing_subscriber::util::SubscriberInitExt;
        let layer = match format {
            LogFormat::Text => logs.with_filter(filter).boxed(),
            LogFormat::Json => logs.json().flatten_event(true).with_filter(filter).boxed(),
        };
        // Fails for a second server in one process, which then uses the log settings of the first.
        let _ = tracing_subscriber::registry().with(layer).try_init();
    }
    allow_descriptors();
    check_sandbox(resolved.config.pool_options.sandbox)?;
    // The check has already warned.
    resolved.config.pool_options.sandbox.warn = |_| {};
    if !resolved.network.is_off() && !resolved.config.mirror {
        resolved.config.pool_options.network = Some(Client::start(resolved.network.clone())?);
    }
    let (playground_routes, token) = match open_playground(&resolved)? {
        Some((playground, token)) => (Some(play::router(playground, PLAY)), Some(token)),
        None => (None, None),
    };
    serve::run(&resolved.config, playground_routes, |address| {
        let url = format!("http://{address}");
        let line = match format {
            LogFormat::Text => format!("listening on {url}"),
            LogFormat::Json => {
                let mut object = super::report::object("INFO", "listening");
                object["url"] = json!(url);
                object.to_string()
            }
        };
        let _ = writeln!(std::io::stderr().lock(), "{line}");
        if let (Some(token), Some(home)) = (token, at_home(address)) {
            // Printed, not logged: logs are kept, and this address allows changing the code.
            let _ = super::print(format!("http://{home}{PLAY}/#{token}\n").as_bytes());
        }
    })?;
    Ok(exit::COMPLETE)
}
