//! PoolCache workers: a resident for each program of each tenant, started when it is first asked for and kept until its
//! place is needed more elsewhere.
//!
//! Two requests meet in one resident only if workspace, version, libraries, code and credentials are all the same; so no
//! tenant ever meets another's isolate or process. When there is no place for one more process, that resident ends which is idle
//! and is to be expected again last, see [`super::reuse`].

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

/// Programs that do not load are remembered too, so that a bad one does not cost a process per request.
const MAX_ENTRIES: usize = 4096;

/// The most events that go to transformBatch together, if a request has that many and they fit into one slot.
const MAX_CONCURRENT: usize = 100_000;

/// How long a resident that has to end takes at most, as a rule.
const FAREWELL: Duration = Duration::from_millis(250);

/// How long a request waits for a place.
const PATIENCE: Duration = Duration::from_secs(10);

/// What decides whether two requests may share a worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    workspace: String,
    version: String,
    libraries: Vec<String>,
    code: String,
    credentials: [u8; 32],
}

impl Key {
    /// For a group of events that runs this code.
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

/// Why there are no workers for a request.
#[derive(Debug)]
pub enum AcquireError {
    /// The code cannot be loaded.
    Load(LoadError),
    /// All places are taken by others that are busy, or no process can be started: to be tried again.
    Later(String),
}

/// A resident, or why there is none.
pub struct Entry {
    cell: OnceCell<Result<ServicePool, LoadError>>,
    /// What it is remembered by.
    hash: u64,
}

impl Entry {
    fn is_gone(&self) -> bool {
        matches!(self.cell.get(), Some(Ok(resident)) if resident.is_gone())
    }

    /// The workers.
    ///
    /// # Errors
    /// When the code could not be loaded.
    pub fn resident(&self) -> Result<&ServicePool, AcquireError> {
        match self.cell.get() {
            Some(Ok(resident)) => Ok(resident),
            Some(Err(error)) => Err(AcquireError::Load(error.clone())),
            None => Err(AcquireError::Later("the workers have not been started".to_owned())),
        }
    }
}

/// How workers are started.
#[derive(Clone)]
pub struct PoolOptions {
    /// Limits.
    pub options: Options,
    /// SandboxReport.
    pub sandbox: Sandbox,
    /// Who asks the network for the code, if anybody does.
    pub network: Option<crate::net::Client>,
    /// Workers of one program, at most.
    pub workers: usize,
    /// Whether code begins anew with each request.
    pub fresh_state: bool,
}

/// All residents.
pub struct PoolCache {
    terms: PoolOptions,
    resources: Resources,
    table: Arc<Table>,
}

/// What is kept.
#[derive(Default)]
struct Entries {
    by_key: HashMap<Key, Arc<Entry>>,
    hasher: RandomState,
}

/// All residents, also for those who make room among them.
pub struct Table {
    entries: Mutex<Entries>,
    reuse: Mutex<Reuse<u64>>,
    /// ServicePools that have ended for lack of a place.
    pub evicted: AtomicU64,
    /// ServicePools that have been started.
    pub started: AtomicU64,
    /// Workers that were replaced in residents that are gone, in the order of [`crate::workers::Status::restarts`].
    pub past_restarts: [AtomicU64; 4],
}

impl PoolCache {
    /// None yet.
    pub fn new(terms: PoolOptions, resources: Resources) -> Self {
        let table = Arc::new(Table {
            entries: Mutex::default(),
            reuse: Mutex::new(Reuse::new(resources.max_processes())),
            evicted: AtomicU64::new(0),
            started: AtomicU64::new(0),
            past_restarts: Default::default(),
        });
        // A program that has work for more workers gets them from those that have none.
        let weak = Arc::downgrade(&table);
        resources.on_shortage(move || {
            if let Some(table) = weak.upgrade() {
                table.evict(true);
            }
        });
        Self { terms, resources, table }
    }

    /// What all residents share.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The workers for a program, started if there are none.
    ///
    /// # Errors
    /// When there are none to be had.
    pub async fn get(&self, key: &Key, group: &Group, ready: &Ready) -> Result<Arc<Entry>, AcquireError> {
        let entry = self.entry(key);
        let started = entry
            .cell
            .get_or_try_init(|| async {
                let mut program = ready.program.clone();
                program.credentials.clone_from(&group.credentials);
                self.start(program, self.terms.options.clone(), self.terms.workers).await
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

    /// A pool for this caller alone, whose logs are kept.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn alone(&self, program: Program) -> Result<ServicePool, AcquireError> {
        let options = Options { logs: true, ..self.terms.options.clone() };
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
            sandbox: self.terms.sandbox,
            network: self.terms.network.clone(),
            fresh_state: self.terms.fresh_state,
            ..Job::new(program, options)
        };
        let place = self.place().await?;
        self.table.started.fetch_add(1, Ordering::Relaxed);
        match ServicePool::start(&job, &self.resources, place).await {
            Ok(resident) => Ok(Ok(resident)),
            // What code does while it is loaded can differ from time to time; that it cannot be compiled does not.
            Err(RunError::Load(error)) => match error.kind {
                LoadErrorKind::Syntax | LoadErrorKind::Import | LoadErrorKind::Exports => Ok(Err(error)),
                _ => Err(AcquireError::Load(error)),
            },
            Err(error) => Err(AcquireError::Later(error.to_string())),
        }
    }

    /// Those that answer no more make room for others.
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

    async fn place(&self) -> Result<WorkerPermit, AcquireError> {
        if machine_memory::is_short() {
            self.table.evict(true);
        }
        if let Some(place) = self.resources.place() {
            return Ok(place);
        }
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            self.table.evict(true);
            // An evicted pool takes a moment to end; a busy one may be idle then.
            if let Some(place) = self.resources.place_within(FAREWELL).await {
                return Ok(place);
            }
            if tokio::time::Instant::now() > until {
                return Err(AcquireError::Later("all worker processes are busy with other transformations".to_owned()));
            }
        }
    }

    /// Ends one resident that is idle, if there is one.
    pub fn evict(&self) {
        self.table.evict(true);
    }

    /// Looks at every resident, for the metrics.
    pub fn each(&self, mut look: impl FnMut(&Key, &ServicePool)) {
        for (key, entry) in &self.table.entries().by_key {
            if let Some(Ok(resident)) = entry.cell.get() {
                look(key, resident);
            }
        }
    }

    /// What is counted of all of them.
    pub fn table(&self) -> &Table {
        &self.table
    }
}

impl Table {
    /// Ends one resident, of those that are idle: the one that is to be expected again last.
    fn evict(&self, with_workers: bool) {
        let mut entries = self.entries();
        let last = {
            let reuse = self.reuse();
            let idle = entries.by_key.iter().filter(|(_, entry)| {
                // The table's own is the only one.
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
        if let Some(Ok(resident)) = entry.cell.get() {
            for (past, (_, count)) in self.past_restarts.iter().zip(resident.status().restarts()) {
                past.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().expect("no code panics while it holds this")
    }

    /// To be locked after the entries.
    fn reuse(&self) -> MutexGuard<'_, Reuse<u64>> {
        self.reuse.lock().expect("no code panics while it holds this")
    }
}

impl Key {
    /// The transformation's version.
    pub fn version(&self) -> &str {
        &self.version
    }
}
