//! PoolCache workers: a resident for each program of each tenant, started when it is first asked for and kept until its
//! place is needed more elsewhere.
//!
//! Two requests meet in one resident only if workspace, version, libraries, code and credentials are all the same; so no
//! tenant ever meets another's isolate or process. When there is no place for one more process, the resident that was
//! used least recently, and is idle, ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::code::Ready;
use super::request::Group;
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
    used: AtomicU64,
}

impl Entry {
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
}

/// All residents.
pub struct PoolCache {
    terms: PoolOptions,
    resources: Resources,
    entries: Mutex<HashMap<Key, Arc<Entry>>>,
    clock: AtomicU64,
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
        Self {
            terms,
            resources,
            entries: Mutex::default(),
            clock: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            started: AtomicU64::new(0),
            past_restarts: Default::default(),
        }
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
            ..Job::new(program, options)
        };
        let place = self.place().await?;
        self.started.fetch_add(1, Ordering::Relaxed);
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
        let mut entries = self.table();
        if entries.get(key).is_some_and(|other| Arc::ptr_eq(other, entry)) {
            self.remember(entry);
            entries.remove(key);
        }
    }

    fn entry(&self, key: &Key) -> Arc<Entry> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut entries = self.table();
        if let Some(entry) = entries.get(key)
            && !matches!(entry.cell.get(), Some(Ok(resident)) if resident.is_gone())
        {
            entry.used.store(now, Ordering::Relaxed);
            return entry.clone();
        }
        if entries.len() >= MAX_ENTRIES {
            self.evict(&mut entries, false);
        }
        let entry = Arc::new(Entry { cell: OnceCell::new(), used: AtomicU64::new(now) });
        entries.insert(key.clone(), entry.clone());
        entry
    }

    async fn place(&self) -> Result<WorkerPermit, AcquireError> {
        if let Some(place) = self.resources.place() {
            return Ok(place);
        }
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            self.evict(&mut self.table(), true);
            // An evicted pool takes a moment to end; a busy one may be idle then.
            if let Some(place) = self.resources.place_within(FAREWELL).await {
                return Ok(place);
            }
            if tokio::time::Instant::now() > until {
                return Err(AcquireError::Later("all worker processes are busy with other transformations".to_owned()));
            }
        }
    }

    /// Ends the resident that was used least recently, of those that are idle.
    fn evict(&self, entries: &mut HashMap<Key, Arc<Entry>>, with_workers: bool) {
        let idle = entries.iter().filter(|(_, entry)| {
            // The table's own is the only one.
            Arc::strong_count(entry) == 1 && (!with_workers || matches!(entry.cell.get(), Some(Ok(_))))
        });
        let oldest = idle.min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed)).map(|(key, _)| key.clone());
        if let Some(entry) = oldest.and_then(|key| entries.remove(&key)) {
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

    /// Looks at every resident, for the metrics.
    pub fn each(&self, mut look: impl FnMut(&Key, &ServicePool)) {
        for (key, entry) in self.table().iter() {
            if let Some(Ok(resident)) = entry.cell.get() {
                look(key, resident);
            }
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Entry>>> {
        self.entries.lock().expect("no code panics while it holds this")
    }
}

impl Key {
    /// The transformation's version.
    pub fn version(&self) -> &str {
        &self.version
    }
}
