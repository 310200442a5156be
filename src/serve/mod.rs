//! The HTTP server: a drop-in replacement for RudderStack's user-transformation service.
//!
//! A typical request brings some hundred events of one source and destination, and is answered with a row for each.
//! Events run through the same workers, sandbox, limits and rules of blame as in a run: a
//! [`crate::workers::ServicePool`] for each program and tenant. This module adds HTTP, the sources of code, and
//! overload handling: an overloaded server rejects a request so that its client retries it, and no event is lost.
//!
//! - [`transform`]: `/customTransform`. [`request`] splits its body (`elements` and `fields` find the parts), [`rows`]
//!   writes the rows of the answer, [`pieces`] sends it.
//! - [`test_run`]: the endpoints that test code before it is saved; `test_token`: who may use them.
//! - [`code`]: the sources of code. [`pool_cache`]: the warm workers; [`reuse`]: which of them stay.
//! - [`body`], [`problem`]: accepting and rejecting requests; `unpack`: compressed bodies. [`metrics`]: the metrics of
//!   all that (`labels`: their labels); [`traces`]: traces for a collector.
//! - [`http`]: connections and shutdown. [`router`]: the handler of each path.
//!
//! No request causes a panic, and no action of an author's code is answered with a 5xx.

pub mod body;
pub mod code;
mod elements;
mod fields;
pub mod http;
mod labels;
pub mod metrics;
pub mod pieces;
pub mod pool_cache;
pub mod problem;
pub mod request;
pub mod reuse;
pub mod router;
pub mod rows;
pub mod test_run;
mod test_token;
pub mod traces;
pub mod transform;
mod unpack;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use self::body::Room;
use self::code::{Backend, Code, Folder, Source};
use self::http::{Connections, MAX_IDLE};
use self::metrics::Metrics;
use self::pool_cache::{PoolCache, PoolOptions};
use self::test_token::TestToken;
use crate::machine_memory;
use crate::workers::{Budget, PreparedProcess, Resources};

/// The divisor for the share of the request memory that answers may additionally occupy while they wait in the workers'
/// memory.
const PARKED: usize = 8;

/// The divisor for the share of all requests that one program must leave to the others.
const LEFT_FOR_OTHERS: usize = 4;

/// The settings of a server.
#[derive(Clone)]
pub struct Config {
    /// The address to listen on.
    pub listen: String,
    /// The source of the code.
    pub code: CodeOrigin,
    /// How the code is run.
    pub pool_options: PoolOptions,
    /// The most units that all workers together may process at a time.
    pub turns: usize,
    /// The most worker processes in total.
    pub max_processes: usize,
    /// The longest request body, in bytes.
    pub body_limit: usize,
    /// How long a client may be silent in the middle of a body, and the minimum time that a body gets.
    pub body_timeout: Duration,
    /// The most requests under way or waiting.
    pub max_requests: usize,
    /// The memory for the bodies, answers and logs of all requests, in bytes.
    pub request_memory: usize,
    /// The value of `X-Instance-ID`.
    pub instance: String,
    /// Whether this server mirrors another one. A mirror sends no network requests, because the other
    /// server sends them.
    pub mirror: bool,
    /// The token that callers need to run or parse code that is not saved; `None` if all callers may.
    pub test_token: Option<String>,
    /// Whether spans are sent to the collector named in the environment.
    pub traces: bool,
}

/// A source of code.
#[derive(Clone, Debug)]
pub enum CodeOrigin {
    /// A folder.
    Folder(PathBuf),
    /// A config backend: its URL and its secret.
    Backend(String, Option<String>),
}

/// The maximum memory of this process besides requests, and the maximum per worker process, in bytes: its code,
/// connection buffers, and the pages of the workers' memory that it has just read.
const BASE: usize = 128 << 20;
const FOR_EACH_WORKER: usize = 5 << 20;

impl Config {
    /// Returns the memory for bodies, answers and logs, in bytes. Whatever the setting, one body and its
    /// answer must fit.
    fn memory(&self) -> usize {
        self.request_memory.max(self.body_limit.saturating_add(self.body_limit / 3))
    }

    /// Returns the maximum memory of this process, in bytes. Its workers have their own limits.
    pub fn memory_bound(&self) -> usize {
        // The pages of idle workers have been released.
        let workers = self.max_processes.min(2 * self.max_requests).saturating_mul(FOR_EACH_WORKER);
        (self.memory() + self.memory() / PARKED).saturating_add(BASE).saturating_add(workers)
    }
}

/// The most idle workers that end per check while memory is short.
const ENDED_AT_A_LOOK: usize = 8;

/// Why a server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The folder with the code cannot be read.
    #[error("cannot read the folder {}: {error}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// No client for the config backend can be created.
    #[error("cannot make a client for the config backend: {0}")]
    Backend(#[from] reqwest::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: String,
        /// The system's error.
        error: std::io::Error,
    },
    /// No client for the trace collector can be created.
    #[error("{0}")]
    Traces(String),
    /// The system refused something else.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// The state shared by all requests.
pub struct App {
    code: Code,
    pools: PoolCache,
    metrics: Metrics,
    /// The memory for bodies and answers.
    memory: Budget,
    room: Room,
    /// Limits how many large bodies are parsed at a time: one per core, because parsing takes additional memory.
    large: Semaphore,
    traces: Option<traces::Traces>,
    instance: axum::http::HeaderValue,
    test_token: Option<TestToken>,
    mirror: bool,
    /// Versions whose code has read a number that JavaScript cannot represent, and for which that was logged.
    warned_versions: Mutex<HashSet<String>>,
}

/// When this many versions are remembered as logged, all are forgotten.
const MAX_WARNED_VERSIONS: usize = 10_000;

impl App {
    /// Returns whether this is the first unsafe read of a version, which is logged.
    fn is_first_read(&self, version: &str) -> bool {
        let mut warned = self.warned_versions.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() >= MAX_WARNED_VERSIONS {
            warned.clear();
        }
        warned.insert(version.to_owned())
    }

    /// Creates everything except the socket.
    ///
    /// # Errors
    /// When the source of the code cannot be opened.
    pub fn new(config: &Config) -> Result<Self, ServeError> {
        let source = match &config.code {
            CodeOrigin::Folder(dir) => {
                Source::Folder(Folder::open(dir).map_err(|error| ServeError::Folder { dir: dir.clone(), error })?)
            }
            CodeOrigin::Backend(url, secret) => Source::Backend(Backend::new(url, secret.clone())?),
        };
        let mut metrics = Metrics::new(config.memory_bound());
        if let Some(client) = &config.pool_options.network {
            metrics.show_network(client.stats());
        }
        let memory = Budget::new(config.memory());
        // The rest is reserved for answers. Otherwise, bodies could use all memory, and no request could be answered.
        let bodies = memory.part(memory.max() / 4 * 3);
        let sandbox = config.pool_options.sandbox;
        let resources = Resources::new(config.turns, config.max_processes)
            .with_memory(memory.clone(), memory.max() / PARKED)
            .with_requests(config.max_requests - config.max_requests / LEFT_FOR_OTHERS)
            .with_prepared(PreparedProcess::new(config.pool_options.options.clone(), sandbox.jitless, |text| {
                tracing::warn!("{text}");
            }));
        Ok(Self {
            code: Code::new(source),
            pools: PoolCache::new(config.pool_options.clone(), resources),
            metrics,
            traces: match config.traces {
                true => Some(traces::Traces::start(&config.instance).map_err(ServeError::Traces)?),
                false => None,
            },
            room: Room::new(config.max_requests, bodies, config.body_limit, config.body_timeout),
            memory,
            mirror: config.mirror,
            warned_versions: Mutex::default(),
            test_token: config.test_token.as_deref().map(TestToken::new),
            large: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
            instance: axum::http::HeaderValue::from_str(&config.instance)
                .unwrap_or(axum::http::HeaderValue::from_static("sluicegate")),
        })
    }
}

/// Serves until a signal ends it: the first SIGTERM or SIGINT lets requests under way finish, a second one does not.
/// `listening` is called with the address. `extra_routes` adds routes to the server's own.
///
/// # Errors
/// When the server cannot be started.
pub fn run(
    config: &Config,
    extra_routes: Option<axum::Router>,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    keep_memory();
    // Handing out work costs far less than the work itself, so a few threads serve many cores.
    let threads = (std::thread::available_parallelism().map_or(1, usize::from) / 4).max(1);
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(threads).enable_all().build()?;
    let app = Arc::new(App::new(config)?);
    let served = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(&config.listen)
            .await
            .map_err(|error| ServeError::Listen { address: config.listen.clone(), error })?;
        listening(listener.local_addr()?);
        if let Some(prepared) = app.pools.resources().prepared() {
            prepared.prepare();
        }
        tokio::spawn(spare_memory(Arc::downgrade(&app)));
        let connections = Connections { max: MAX_IDLE + 2 * config.max_requests, memory: app.memory.clone() };
        http::serve(listener, router::new(app.clone(), extra_routes), connections).await?;
        if app.traces.is_some() {
            // Blocks until the spans are sent.
            let _ = tokio::task::spawn_blocking(move || app.traces.as_ref().map(traces::Traces::end)).await;
        }
        Ok(())
    });
    // A body that is still being parsed no longer belongs to a request.
    runtime.shutdown_background();
    served
}

/// Ends idle workers one by one while memory is short.
async fn spare_memory(app: std::sync::Weak<App>) {
    let mut timer = tokio::time::interval(machine_memory::CHECK_INTERVAL);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let Some(app) = app.upgrade() else { return };
        if machine_memory::is_short() {
            for _ in 0..ENDED_AT_A_LOOK {
                app.pools.evict();
            }
        }
    }
}

/// Makes the allocator keep memory for the next requests. Bodies and answers of some hundred kilobytes are allocated
/// all the time, and released pages would have to be cleared and mapped again. Larger allocations are released at once.
fn keep_memory() {
    #[cfg(target_env = "gnu")]
    for (option, bytes) in [(libc::M_TRIM_THRESHOLD, 16 << 20), (libc::M_MMAP_THRESHOLD, 8 << 20)] {
        // SAFETY: only sets an option of the allocator. A rejected option keeps its value.
        let _ = unsafe { libc::mallopt(option, bytes) };
    }
}
