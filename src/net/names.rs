//! Looks up the addresses of names, and caches them.
//!
//! The system's lookup does not report how long an answer is valid, so all answers are cached for the same time. Only
//! the addresses are cached, never the decision whether they are allowed: each use checks them again. Concurrent
//! requests for the same name share one lookup.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

/// How long the addresses of a name are kept.
pub(super) const TTL: Duration = Duration::from_secs(30);

/// How long a failed lookup is kept, so that a burst of events causes only one.
const TTL_OF_NOTHING: Duration = Duration::from_secs(1);

/// The most names that are kept.
const MAX_NAMES: usize = 1024;

/// Resolves names: the system's lookup, except in tests.
pub(super) type Lookup = Arc<dyn Fn(&str) -> std::io::Result<Vec<IpAddr>> + Send + Sync>;

/// The addresses of a name; `None` if the lookup failed.
type Found = Option<Arc<[IpAddr]>>;

/// The names that were looked up.
pub(super) struct Names {
    lookup: Lookup,
    ttl: Duration,
    known: Mutex<HashMap<String, Entry>>,
}

#[derive(Clone)]
struct Entry {
    since: Instant,
    found: Arc<OnceCell<Found>>,
}

impl Entry {
    fn is_good(&self, ttl: Duration) -> bool {
        let ttl = if matches!(self.found.get(), Some(None)) { ttl.min(TTL_OF_NOTHING) } else { ttl };
        self.since.elapsed() < ttl
    }
}

impl Names {
    pub(super) fn new(lookup: Lookup, ttl: Duration) -> Self {
        Self { lookup, ttl, known: Mutex::new(HashMap::new()) }
    }

    /// Returns the addresses of a name, or `None` if the lookup failed.
    pub(super) async fn addresses(&self, name: &str) -> Found {
        let entry = self.entry(name);
        let (lookup, asked) = (self.lookup.clone(), name.to_owned());
        let look = || async move {
            let found = tokio::task::spawn_blocking(move || lookup(&asked)).await;
            found.ok().and_then(Result::ok).map(Into::into)
        };
        entry.found.get_or_init(look).await.clone()
    }

    /// Removes a name from the cache after a connection to it failed, so that the next use looks it up again.
    pub(super) fn forget(&self, name: &str) {
        self.known().remove(name);
    }

    fn entry(&self, name: &str) -> Entry {
        let mut known = self.known();
        if let Some(entry) = known.get(name).filter(|entry| entry.is_good(self.ttl)) {
            return entry.clone();
        }
        if known.len() >= MAX_NAMES {
            known.retain(|_, entry| entry.is_good(self.ttl));
            if known.len() >= MAX_NAMES {
                known.clear();
            }
        }
        let entry = Entry { since: Instant::now(), found: Arc::default() };
        known.insert(name.to_owned(), entry.clone());
        entry
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.known.lock().expect("never poisoned: no code panics while it holds this")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_name_is_looked_up_once_while_it_is_good() {
        let times = Arc::new(AtomicUsize::new(0));
        let lookup = {
            let times = times.clone();
            move |name: &str| {
                times.fetch_add(1, Ordering::SeqCst);
                if name == "none" {
                    Err(std::io::ErrorKind::NotFound.into())
                } else {
                    Ok(vec![IpAddr::from([1, 2, 3, 4])])
                }
            }
        };
        let names = Names::new(Arc::new(lookup), Duration::MAX);
        let (one, two) = tokio::join!(names.addresses("a"), names.addresses("a"));
        assert_eq!((one.clone(), one), (two, Some(Arc::from([IpAddr::from([1, 2, 3, 4])]))));
        assert_eq!((names.addresses("none").await, names.addresses("none").await), (None, None));
        assert_eq!(times.load(Ordering::SeqCst), 2);
        names.forget("a");
        names.addresses("a").await;
        assert_eq!(times.load(Ordering::SeqCst), 3);
        // More names than the cache holds.
        for name in 0..2 * MAX_NAMES {
            names.addresses(&name.to_string()).await;
        }
        assert!(names.known().len() <= MAX_NAMES);
        let forgetful = Names::new(names.lookup.clone(), Duration::ZERO);
        let before = times.load(Ordering::SeqCst);
        forgetful.addresses("a").await;
        forgetful.addresses("a").await;
        assert_eq!(times.load(Ordering::SeqCst) - before, 2);
    }
}
