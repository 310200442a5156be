//! Limits the number of requests that are under way to one host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use reqwest::Url;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// With this many hosts or more, unused ones are removed.
const MANY_HOSTS: usize = 256;

/// The semaphores of all hosts.
pub(super) struct PerHost {
    max: usize,
    hosts: Mutex<HashMap<(String, u16), Arc<Semaphore>>>,
}

impl PerHost {
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.min(Semaphore::MAX_PERMITS), hosts: Mutex::new(HashMap::new()) }
    }

    /// Waits for a permit for the host of this URL. Permits are granted in the order of the requests.
    pub(super) async fn permit(&self, url: &Url) -> Option<OwnedSemaphorePermit> {
        let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
        let semaphore = self.semaphore((host, url.port_or_known_default()?));
        semaphore.acquire_owned().await.ok()
    }

    fn semaphore(&self, host: (String, u16)) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().expect("never poisoned: no code panics while it holds this");
        if hosts.len() >= MANY_HOSTS {
            // A permit also holds the semaphore.
            hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(self.max))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_has_a_limited_number_of_permits() {
        let hosts = PerHost::new(2);
        let url = |text: &str| Url::parse(text).unwrap();
        let (here, same, other) =
            (url("http://a.example/1"), url("http://A.example.:80/2"), url("http://a.example:81/"));
        let held = (hosts.permit(&here).await, hosts.permit(&same).await, hosts.permit(&other).await);
        let third = hosts.permit(&here);
        tokio::pin!(third);
        assert!(futures_poll(third.as_mut()).await.is_none());
        drop(held);
        assert!(third.await.is_some());
        let kept = hosts.permit(&here).await;
        for port in 1..=2 * MANY_HOSTS {
            hosts.permit(&url(&format!("http://b.example:{port}/"))).await;
        }
        assert!(hosts.hosts.lock().unwrap().len() <= MANY_HOSTS);
        let again = hosts.semaphore(("a.example".to_owned(), 80));
        assert_eq!(again.available_permits(), 1, "a host with a request under way is not forgotten");
        drop(kept);
    }

    /// Returns the result of a future that is ready at once.
    async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
