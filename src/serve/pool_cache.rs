//! A cache of worker pools: one pool for each program of each tenant. A pool starts with its first request and stays
//! until another program needs its processes more.
//!
//! Two requests share a pool only if workspace, version, libraries, code and credentials are all the same, so tenants
//! never share an isolate or a process. When no permit for another process is left, an idle pool is evicted: the one
//! whose next request is expected last, see [`super::reuse`].

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::code::Ready;
use super::request::Group;
use super::reuse::Reuse;
use crate::machine_memory;
use crate::workers::{Job, Resources, RunError, Sandbox, ServicePool, WorkerPermit};
use sluicegate_engine::{LoadError, LoadErrorKind, Options, Program};

/// The most entries. Programs that do not load are cached too, so that a broken program does not start a
/// process per request.
const MAX_ENTRIES: usize = 4096;

/// The most events in one call of `transformBatch`. They must belong to one request and fit into one slot.
const MAX_CONCURRENT: usize = 100_000;

/// How long to wait for an evicted pool to end; most need less.
const FAREWELL: Duration = Duration::from_millis(250);

/// How long a request waits for a permit for a worker process.
const PATIENCE: Duration = Duration::from_secs(10);

/// Decides whether two requests may share a pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    workspace: String,
    version: String,
    libraries: Vec<String>,
    code: String,
    credentials: [u8; 32],
}

impl Key {
    /// Returns the key of a group of events that runs this code.
    pub fn new(group: &Group, libraries: &[String], ready: &Ready) -> Self {
        let mut hash = Sha256::new();
        for text in group.credentials.iter().flat_map(|(key, value)| [key, value]) {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        Self {
            workspace: group.workspace.clone(),
            version: group.version.clone().unwrap_or_default(),
            libraries: libraries.to_vec(),
            code: ready.hash.clone(),
            credentials: hash.finalize().into(),
        }
    }
}

/// Why a request gets no workers.
#[derive(Debug)]
pub enum AcquireError {
    /// The code cannot be loaded.
    Load(LoadError),
    /// Busy pools hold all permits, or no process can be started. The client retries later.
    Later(String),
}

/// A pool, or the reason why there is none.
pub struct Entry {
    cell: OnceCell<Result<ServicePool, LoadError>>,
    /// Its key in the reuse history.
    hash: u64,
}

impl Entry {
    fn is_gone(&self) -> bool {
        matches!(self.cell.get(), Some(Ok(pool)) if pool.is_gone())
    }

    /// Returns the pool.
    ///
    /// # Errors
    /// When the code could not be loaded.
    pub fn pool(&self) -> Result<&ServicePool, AcquireError> {
        match self.cell.get() {
            Some(Ok(pool)) => Ok(pool),
            Some(Err(error)) => Err(AcquireError::Load(error.clone())),
            None => Err(AcquireError::Later("the workers have not been started".to_owned())),
        }
    }
}

/// How pools are started.
#[derive(Clone)]
pub struct PoolOptions {
    /// The limits of the workers.
    pub options: Options,
    /// The sandbox of the workers.
    pub sandbox: Sandbox,
    /// The client that sends the code's network requests, if they are allowed.
    pub network: Option<crate::net::Client>,
    /// The most workers of one program.
    pub workers: usize,
    /// Whether every request starts with fresh state.
    pub fresh_state: bool,
}

/// All pools.
pub struct PoolCache {
    pool_options: PoolOptions,
    resources: Resources,
    table: Arc<Table>,
}

/// The cached pools, by key.
#[derive(Default)]
struct Entries {
    by_key: HashMap<Key, Arc<Entry>>,
    hasher: RandomState,
}

/// The shared part of the cache, through which a pool can evict another one.
pub struct Table {
    entries: Mutex<Entries>,
    reuse: Mutex<Reuse<u64>>,
    /// The number of pools that were evicted.
    pub evicted: AtomicU64,
    /// The number of pools that were started.
    pub started: AtomicU64,
    /// The number of workers replaced in pools that have ended, in the order of [`crate::workers::Status::restarts`].
    pub past_restarts: [AtomicU64; 4],
}

impl PoolCache {
    /// Creates an empty cache.
    pub fn new(pool_options: PoolOptions, resources: Resources) -> Self {
        let table = Arc::new(Table {
            entries: Mutex::default(),
            reuse: Mutex::new(Reuse::new(resources.max_processes())),
            evicted: AtomicU64::new(0),
            started: AtomicU64::new(0),
            past_restarts: Default::default(),
        });
        // A program that needs more workers takes the permits of idle pools.
        let weak = Arc::downgrade(&table);
        resources.on_shortage(move || {
            if let Some(table) = weak.upgrade() {
                table.evict(true);
            }
        });
        Self { pool_options, resources, table }
    }

    /// Returns the limits that all pools share.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Returns the pool of a program. Starts it if there is none.
    ///
    /// # Errors
    /// When no pool is available.
    pub async fn get(&self, key: &Key, group: &Group, ready: &Ready) -> Result<Arc<Entry>, AcquireError> {
        let entry = self.entry(key);
        let started = entry
            .cell
            .get_or_try_init(|| async {
                let mut program = ready.program.clone();
                program.credentials.clone_from(&group.credentials);
                self.start(program, self.pool_options.options.clone(), self.pool_options.workers).await
            })
            .await;
        match started {
            Ok(_) => Ok(entry),
            Err(error) => {
                self.remove(key, &entry);
                Err(error)
            }
        }
    }

    /// Returns a pool for this caller alone, which keeps its logs.
    ///
    /// # Errors
    /// When no pool is available.
    pub async fn alone(&self, program: Program) -> Result<ServicePool, AcquireError> {
        let options = Options { logs: true, ..self.pool_options.options.clone() };
        self.start(program, options, 1).await?.map_err(AcquireError::Load)
    }

    async fn start(
        &self,
        program: Program,
        options: Options,
        workers: usize,
    ) -> Result<Result<ServicePool, LoadError>, AcquireError> {
        // All events of a request go to transformBatch together.
        let job = Job {
            workers,
            batch_size: MAX_CONCURRENT,
            sandbox: self.pool_options.sandbox,
            network: self.pool_options.network.clone(),
            fresh_state: self.pool_options.fresh_state,
            ..Job::new(program, options)
        };
        let permit = self.worker_permit().await?;
        self.table.started.fetch_add(1, Ordering::Relaxed);
        match ServicePool::start(&job, &self.resources, permit).await {
            Ok(pool) => Ok(Ok(pool)),
            // The behavior of code while it loads can change between attempts; a compile error cannot.
            Err(RunError::Load(error)) => match error.kind {
                LoadErrorKind::Syntax | LoadErrorKind::Import | LoadErrorKind::Exports => Ok(Err(error)),
                _ => Err(AcquireError::Load(error)),
            },
            Err(error) => Err(AcquireError::Later(error.to_string())),
        }
    }

    /// Removes a pool that no longer answers.
    pub fn remove(&self, key: &Key, entry: &Arc<Entry>) {
        let mut entries = self.table.entries();
        if entries.by_key.get(key).is_some_and(|other| Arc::ptr_eq(other, entry)) {
            self.table.remember(entry);
            entries.by_key.remove(key);
        }
    }

    fn entry(&self, key: &Key) -> Arc<Entry> {
        let mut entries = self.table.entries();
        let known = entries.by_key.get(key).filter(|entry| !entry.is_gone()).cloned();
        let hash = known.as_ref().map_or_else(|| entries.hasher.hash_one(key), |entry| entry.hash);
        self.table.reuse().asked(hash);
        if let Some(entry) = known {
            return entry;
        }
        let full = entries.by_key.len() >= MAX_ENTRIES;
        let entry = Arc::new(Entry { cell: OnceCell::new(), hash });
        entries.by_key.insert(key.clone(), entry.clone());
        drop(entries);
        if full {
            self.table.evict(false);
        }
        entry
    }

    async fn worker_permit(&self) -> Result<WorkerPermit, AcquireError> {
        if machine_memory::was_short() {
            self.table.evict(true);
        }
        if let Some(permit) = self.resources.worker_permit() {
            return Ok(permit);
        }
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            self.table.evict(true);
            // An evicted pool takes a moment to end. A busy pool may be idle by then.
            if let Some(permit) = self.resources.worker_permit_within(FAREWELL).await {
                return Ok(permit);
            }
            if tokio::time::Instant::now() > until {
                return Err(AcquireError::Later("all worker processes are busy with other transformations".to_owned()));
            }
        }
    }

    /// Ends one idle pool, if there is one.
    pub fn evict(&self) {
        self.table.evict(true);
    }

    /// Visits every pool, for the metrics.
    pub fn each(&self, mut visit: impl FnMut(&Key, &ServicePool)) {
        for (key, entry) in &self.table.entries().by_key {
            if let Some(Ok(pool)) = entry.cell.get() {
                visit(key, pool);
            }
        }
    }

    /// Returns the counters of all pools.
    pub fn table(&self) -> &Table {
        &self.table
    }
}

impl Table {
    /// Evicts one idle pool: the one whose next request is expected last.
    fn evict(&self, with_workers: bool) {
        let mut entries = self.entries();
        let last = {
            let reuse = self.reuse();
            let idle = entries.by_key.iter().filter(|(_, entry)| {
                // No request uses it: only the table holds it.
                Arc::strong_count(entry) == 1 && (!with_workers || matches!(entry.cell.get(), Some(Ok(_))))
            });
            idle.max_by_key(|(_, entry)| reuse.expected_in(&entry.hash)).map(|(key, _)| key.clone())
        };
        if let Some(entry) = last.and_then(|key| entries.by_key.remove(&key)) {
            self.evicted.fetch_add(1, Ordering::Relaxed);
            self.remember(&entry);
        }
    }

    fn remember(&self, entry: &Entry) {
        if let Some(Ok(pool)) = entry.cell.get() {
            for (past, (_, count)) in self.past_restarts.iter().zip(pool.status().restarts()) {
                past.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().expect("no code panics while it holds this")
    }

    /// Locks the reuse history. Lock it after the entries, never before.
    fn reuse(&self) -> MutexGuard<'_, Reuse<u64>> {
        self.reuse.lock().expect("no code panics while it holds this")
    }
}

impl Key {
    /// Returns the transformation's version.
    pub fn version(&self) -> &str {
        &self.version
    }
}
