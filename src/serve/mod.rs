//! HTTP: a drop-in for RudderStack's user-transformation service.
//!
//! A request brings some hundred events of one source and destination, and is answered with a row for each. Events run
//! through the same workers, walls, limits and rules of blame as in a run: a [`crate::workers::ServicePool`] for each program
//! and tenant. What is here is HTTP, where code comes from, and what to do when there is more of everything than there
//! is room for: then a request is refused in a way that makes its caller send it again, and no event is lost.
//!
//! - [`transform`]: `/customTransform`. [`request`] takes its body apart (`elements` and `fields` find the parts), [`rows`]
//!   writes what answers it, [`pieces`] sends it.
//! - [`test_run`]: the endpoints with which code is tried before it is saved; `test_token`: who may use them.
//! - [`code`]: where code comes from. [`pool_cache`]: workers, kept; [`reuse`]: which of them.
//! - [`body`], [`problem`]: requests that are taken in, and those that are not; `unpack`: bodies that are packed. [`metrics`]: what is told of all that
//!   (`labels`: by which names); [`traces`]: to a collector too.
//! - [`http`]: connections, and the end of them. [`router`]: what answers which path.
//!
//! No request makes it panic, and nothing that an author's code did is answered with a 5xx.

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

/// The part of the memory for requests that may lie in the workers' memory on top of it, read and not taken over yet.
const PARKED: usize = 8;

/// The part of all requests that one program leaves to the others.
const LEFT_FOR_OTHERS: usize = 4;

/// What a server is told to do.
#[derive(Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: String,
    /// Where the code is.
    pub code: From,
    /// How it is run.
    pub terms: PoolOptions,
    /// Units of events in the hands of workers, all together.
    pub turns: usize,
    /// Worker processes, all together.
    pub max_processes: usize,
    /// The longest request body, in bytes.
    pub body_limit: usize,
    /// How long a client may be silent in the middle of a body, and the time that a body has at least.
    pub body_timeout: Duration,
    /// Requests under way or waiting.
    pub max_requests: usize,
    /// Memory for their bodies, their answers and what their code logs, of all of them, in bytes.
    pub request_memory: usize,
    /// What `X-Instance-ID` says.
    pub instance: String,
    /// Whether it is a mirror of another server: then it asks the network nothing a second time.
    pub mirror: bool,
    /// What a caller has to know whose code is run or parsed without being saved; nothing if all may.
    pub test_token: Option<String>,
    /// Whether spans are sent to the collector that the environment names.
    pub traces: bool,
}

/// Where code comes from.
#[derive(Clone, Debug)]
pub enum From {
    /// A folder.
    Folder(PathBuf),
    /// A config backend: its URL and the secret that it wants.
    Backend(String, Option<String>),
}

/// What this process takes beside requests and for each worker process, at most, in bytes: its code, buffers of connections, and
/// what of the workers' memory it has just looked at.
const BASE: usize = 128 << 20;
const FOR_EACH_WORKER: usize = 5 << 20;

impl Config {
    /// Memory for bodies, answers and logs. One body has to fit, whatever was asked for, and its answer.
    fn memory(&self) -> usize {
        self.request_memory.max(self.body_limit.saturating_add(self.body_limit / 3))
    }

    /// The most memory that this process takes, in bytes. Its workers have limits of their own.
    pub fn memory_bound(&self) -> usize {
        // Those that are idle have given back what was looked at.
        let workers = self.max_processes.min(2 * self.max_requests).saturating_mul(FOR_EACH_WORKER);
        (self.memory() + self.memory() / PARKED).saturating_add(BASE).saturating_add(workers)
    }
}

/// Idle workers that end at each look while memory is short.
const ENDED_AT_A_LOOK: usize = 8;

/// Why a server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The folder with the code cannot be read.
    #[error("cannot read the folder {}: {error}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// No client for the config backend can be made.
    #[error("cannot make a client for the config backend: {0}")]
    Backend(#[from] reqwest::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// There is no way to the collector of traces.
    #[error("{0}")]
    Traces(String),
    /// The system refused something else.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// What all requests share.
pub struct App {
    code: Code,
    warm: PoolCache,
    metrics: Metrics,
    /// For bodies and answers.
    memory: Budget,
    room: Room,
    /// For large bodies that are being taken apart: one for each core, as that takes some memory beside them.
    large: Semaphore,
    traces: Option<traces::Traces>,
    instance: axum::http::HeaderValue,
    test_token: Option<TestToken>,
    mirror: bool,
    /// Versions whose code has read a number that JavaScript can't hold, and which that was told of.
    told_reads: Mutex<HashSet<String>>,
}

/// So many versions are remembered to have been told of; then all are forgotten.
const MAX_TOLD: usize = 10_000;

impl App {
    /// Whether something is to be told of a version, which is so once.
    fn is_first_read(&self, version: &str) -> bool {
        let mut told = self.told_reads.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MAX_TOLD {
            told.clear();
        }
        told.insert(version.to_owned())
    }

    /// Everything but a socket.
    ///
    /// # Errors
    /// When the code's place cannot be looked at.
    pub fn new(config: &Config) -> Result<Self, ServeError> {
        let source = match &config.code {
            From::Folder(dir) => {
                Source::Folder(Folder::open(dir).map_err(|error| ServeError::Folder { dir: dir.clone(), error })?)
            }
            From::Backend(url, secret) => Source::Backend(Backend::new(url, secret.clone())?),
        };
        let mut metrics = Metrics::new(config.memory_bound());
        if let Some(client) = &config.terms.network {
            metrics.show_network(client.stats());
        }
        let memory = Budget::new(config.memory());
        // The rest is left for answers: or bodies could take all there is, and none would be answered.
        let bodies = memory.part(memory.max() / 4 * 3);
        let sandbox = config.terms.sandbox;
        let resources = Resources::new(config.turns, config.max_processes)
            .with_memory(memory.clone(), memory.max() / PARKED)
            .with_requests(config.max_requests - config.max_requests / LEFT_FOR_OTHERS)
            .with_prepared(PreparedProcess::new(config.terms.options.clone(), sandbox.jitless, |text| {
                tracing::warn!("{text}");
            }));
        Ok(Self {
            code: Code::new(source),
            warm: PoolCache::new(config.terms.clone(), resources),
            metrics,
            traces: match config.traces {
                true => Some(traces::Traces::start(&config.instance).map_err(ServeError::Traces)?),
                false => None,
            },
            room: Room::new(config.max_requests, bodies, config.body_limit, config.body_timeout),
            memory,
            mirror: config.mirror,
            told_reads: Mutex::default(),
            test_token: config.test_token.as_deref().map(TestToken::new),
            large: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
            instance: axum::http::HeaderValue::from_str(&config.instance)
                .unwrap_or(axum::http::HeaderValue::from_static("sluicegate")),
        })
    }
}

/// Serves until a signal ends it: SIGTERM and SIGINT let what is under way finish, a second one does not.
/// `listening` is told the address. `beside` are routes that stand next to this server's own.
///
/// # Errors
/// When it cannot be started.
pub fn run(
    config: &Config,
    beside: Option<axum::Router>,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    keep_memory();
    // A worker's work is many times what it takes to hand it out: a few threads feed many cores.
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
        if let Some(prepared) = app.warm.resources().prepared() {
            prepared.prepare();
        }
        tokio::spawn(spare_memory(Arc::downgrade(&app)));
        let connections = Connections { max: MAX_IDLE + 2 * config.max_requests, memory: app.memory.clone() };
        http::serve(listener, router::new(app.clone(), beside), connections).await?;
        if app.traces.is_some() {
            // Waits for a thread.
            let _ = tokio::task::spawn_blocking(move || app.traces.as_ref().map(traces::Traces::end)).await;
        }
        Ok(())
    });
    // A body that is being taken apart belongs to no request any more.
    runtime.shutdown_background();
    served
}

/// Ends idle workers while memory is short, one after the other.
async fn spare_memory(app: std::sync::Weak<App>) {
    let mut look = tokio::time::interval(machine_memory::LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let Some(app) = app.upgrade() else { return };
        if machine_memory::is_short() {
            for _ in 0..ENDED_AT_A_LOOK {
                app.warm.evict();
            }
        }
    }
}

/// Has the allocator keep what the next requests want again: bodies and answers of some hundred kilobytes come and go all
/// the time, and pages that were given back have to be cleared and mapped again. Larger ones go back at once.
fn keep_memory() {
    #[cfg(target_env = "gnu")]
    for (option, bytes) in [(libc::M_TRIM_THRESHOLD, 16 << 20), (libc::M_MMAP_THRESHOLD, 8 << 20)] {
        // SAFETY: sets an option of the allocator's; one that it refuses stays as it is.
        let _ = unsafe { libc::mallopt(option, bytes) };
    }
}
