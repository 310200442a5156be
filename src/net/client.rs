//! The thread that makes requests, and who may put how many on it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use sluicegate_engine::{MAX_UNANSWERED, MAX_UNANSWERED_BYTES};

use super::fetch::{self, MAX_HEADERS};
use super::names::{self, Names};
use super::per_host::PerHost;
use super::shared::{Shared, cause};
use super::{Hosts, PRETENDED, Policy, Stats};

/// Bytes of requests that a worker may have waiting. An honest one stays below what its isolate may ask, and what the
/// isolate before that has left behind.
const MAX_WAITING_BYTES: usize = 2 * MAX_UNANSWERED_BYTES;

/// The same, of requests.
const MAX_WAITING: usize = 2 * MAX_UNANSWERED;

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// The most requests of one worker that are still made although no event waits for them.
const MAX_ABANDONED: usize = 16;

/// Makes requests as its [`Policy`] allows. Clones are the same client; its thread ends with the last of them.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    runtime: tokio::runtime::Handle,
    _end: oneshot::Sender<()>,
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
#[error("cannot make requests to the network: {0}")]
pub struct StartError(String);

/// An answer, on its way to a worker. While it lives, it counts as under way: a worker that does not read what it has
/// asked for gets no more.
pub struct NetAnswer {
    /// The request's number.
    pub id: u64,
    /// See `js/runtime/network.js`.
    pub text: String,
    _share: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Client {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(policy: Policy) -> Result<Self, StartError> {
        Self::start_with(policy, Arc::new(Names::new(Arc::new(system_lookup), names::TTL)))
    }

    pub(super) fn start_with(policy: Policy, names: Arc<Names>) -> Result<Self, StartError> {
        let failed = |error: &(dyn std::error::Error + 'static)| StartError(cause(error));
        // Another part of the program may have installed one; either will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = |lookup: Filter, roots: bool| {
            let builder = reqwest::Client::builder();
            // Without the machine's certificates no server is trusted.
            let builder = if roots { builder } else { builder.tls_certs_only([]) };
            builder
                // Each hop is looked at, so each is followed by hand.
                .redirect(reqwest::redirect::Policy::none())
                // The environment is not the operator's word on who may be asked.
                .no_proxy()
                .referer(false)
                .http1_max_headers(128)
                .http2_max_header_list_size(MAX_HEADERS as u32)
                // As many connections are kept as there may be requests: none is closed that the next one needs.
                .pool_max_idle_per_host(policy.at_once_per_host)
                .pool_idle_timeout(IDLE)
                .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(lookup)
                .build()
        };
        let both = |roots| {
            let hosts = Some(policy.hosts.clone());
            let filtered = client(Filter { names: names.clone(), hosts }, roots)?;
            Ok::<_, reqwest::Error>((filtered, client(Filter { names: names.clone(), hosts: None }, roots)?))
        };
        // A machine without certificates, such as a slim container, can still ask what is near.
        let (no_tls, (filtered, trusted)) = match both(true) {
            Ok(clients) => (None, clients),
            Err(error) => (Some(cause(&error)), both(false).map_err(|error| failed(&error))?),
        };
        let shared = Arc::new(Shared {
            filtered,
            trusted,
            no_tls,
            all: Arc::new(Semaphore::new(policy.at_once_in_all.min(max_sockets()))),
            per_host: PerHost::new(policy.at_once_per_host),
            names,
            stats: Stats::default(),
            policy,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Looking up names blocks; a slow name server must not eat threads without end.
            .max_blocking_threads(16)
            .build()
            .map_err(|error| failed(&error))?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("network".into())
            .spawn(move || {
                let _ = runtime.block_on(ended);
                // A name that is being looked up may take its time; no thread waits for it.
                runtime.shutdown_background();
            })
            .map_err(|error| failed(&error))?;
        Ok(Self(Arc::new(Inner { shared, runtime: handle, _end: end })))
    }

    /// What the operator allows.
    pub fn policy(&self) -> &Policy {
        &self.0.shared.policy
    }

    /// The requests that were made, counted.
    pub fn stats(&self) -> &Stats {
        &self.0.shared.stats
    }

    /// A session for one worker. `answer` is told of every answer, in the order in which they come.
    pub fn session(&self, answer: impl Fn(NetAnswer) + Send + Sync + 'static) -> Lane {
        let shared = self.0.shared.clone();
        let waiting = Arc::new(Waiting::default());
        let (sender, mut said) = unbounded_channel::<Said>();
        let share = move |shared: &Shared| Arc::new(Semaphore::new(shared.policy.at_once));
        let answer = Arc::new(answer);
        self.0.runtime.spawn(async move {
            let mut running = JoinSet::new();
            let mut own = share(&shared);
            // Requests of the current event, and requests that earlier events left behind.
            let (mut current, mut left) = (Vec::<AbortHandle>::new(), VecDeque::<AbortHandle>::new());
            loop {
                tokio::select! {
                    next = said.recv() => match next {
                        None => break,
                        Some(Said::Ask(next)) => {
                            if current.len() == current.capacity() {
                                current.retain(|request| !request.is_finished());
                            }
                            current.push(running.spawn(one(shared.clone(), own.clone(), answer.clone(), next)));
                        }
                        Some(Said::Forget) => {
                            // The next event gets a share of its own: it does not wait behind what this one left.
                            own = share(&shared);
                            left.extend(current.drain(..));
                            left.retain(|request| !request.is_finished());
                            while left.len() > MAX_ABANDONED {
                                left.pop_front().iter().for_each(AbortHandle::abort);
                            }
                        }
                    },
                    Some(_) = running.join_next(), if !running.is_empty() => {}
                }
            }
            // The worker is gone, and with `running` all that it has asked for.
        });
        Lane { sender, waiting, _client: self.clone() }
    }
}

/// One worker's part of a [`Client`]. When it is dropped, what was asked through it is given up.
pub struct Lane {
    sender: UnboundedSender<Said>,
    waiting: Arc<Waiting>,
    _client: Client,
}

#[derive(Default)]
struct Waiting {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    /// All that were made.
    asked: Arc<AtomicU64>,
}

/// What a worker says.
enum Said {
    Ask(Asked),
    Forget,
}

struct Asked {
    id: u64,
    text: String,
    /// Counts it as waiting until it is dropped.
    _place: WaitingSlot,
}

struct WaitingSlot(Arc<Waiting>, usize);

impl Drop for WaitingSlot {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
        self.0.bytes.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl Lane {
    /// Makes a request. `false` if the worker asks for more than any honest one could.
    pub fn ask(&self, id: u64, request: &str) -> bool {
        let requests = self.waiting.requests.fetch_add(1, Ordering::Relaxed);
        let bytes = self.waiting.bytes.fetch_add(request.len(), Ordering::Relaxed);
        let place = WaitingSlot(self.waiting.clone(), request.len());
        self.waiting.asked.fetch_add(1, Ordering::Relaxed);
        let fits = requests < MAX_WAITING && bytes + request.len() <= MAX_WAITING_BYTES;
        fits && self.sender.send(Said::Ask(Asked { id, text: request.to_owned(), _place: place })).is_ok()
    }

    /// How many requests were made, from the first one on.
    pub fn asked(&self) -> Arc<AtomicU64> {
        self.waiting.asked.clone()
    }

    /// No event waits for the requests so far. A little of it may still be made; none of it is in the way of what is
    /// asked from here on.
    pub fn forget(&self) {
        let _ = self.sender.send(Said::Forget);
    }
}

async fn one(
    shared: Arc<Shared>,
    own: Arc<Semaphore>,
    answer: Arc<impl Fn(NetAnswer) + Send + Sync + 'static>,
    asked: Asked,
) {
    let waiting = shared.stats.wait();
    let request = fetch::Asked::read(&asked.text);
    // First a place at the host: a slow one must not take those of the others.
    let _there = match &request {
        Ok(request) => request.place(&shared).await,
        Err(_) => None,
    };
    let (Ok(mine), Ok(of_all)) = (own.acquire_owned().await, shared.all.clone().acquire_owned().await) else { return };
    drop(waiting);
    let text = match shared.policy.pretend {
        Some(latency) => {
            tokio::time::sleep(latency).await;
            PRETENDED.to_owned()
        }
        None => fetch::answer(&shared, request).await,
    };
    answer(NetAnswer { id: asked.id, text, _share: (mine, of_all) });
}

/// Lets only those addresses of a name through that may be connected to.
struct Filter {
    names: Arc<Names>,
    /// Whose addresses are looked at; if there is no list, all are good.
    hosts: Option<Hosts>,
}

impl Resolve for Filter {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, hosts) = (self.names.clone(), self.hosts.clone());
        Box::pin(async move {
            let name = name.as_str().trim_end_matches('.').to_ascii_lowercase();
            let Some(found) = names.addresses(&name).await else { return Err(Unknown(name).into()) };
            let mut found = found.to_vec();
            if let Some(hosts) = hosts {
                found.retain(|address| hosts.found(&name, *address));
                if found.is_empty() {
                    return Err(Refused(name).into());
                }
            }
            // Whatever the URL says about the port replaces it.
            let addresses: Vec<_> = found.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Says nothing about the address: what a private name leads to is not for everybody.
#[derive(Debug, thiserror::Error)]
#[error("{0} has a private address, and those are refused unless --allow-net has them by their number")]
struct Refused(String);

#[derive(Debug, thiserror::Error)]
#[error("unable to resolve IP address for {0}")]
struct Unknown(String);

fn system_lookup(name: &str) -> std::io::Result<Vec<IpAddr>> {
    use std::net::ToSocketAddrs;
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// How many sockets there may be: half of the descriptors that the system allows, which are asked for here.
fn max_sockets() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    current
        .map_or(usize::MAX, |limit| usize::try_from(limit / 2).unwrap_or(usize::MAX))
        .clamp(16, Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::*;

    /// A server that says `1`, and says so when it is connected to.
    fn server() -> (SocketAddr, mpsc::Receiver<()>) {
        server_at("127.0.0.1:0")
    }

    fn server_at(address: &str) -> (SocketAddr, mpsc::Receiver<()>) {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = tell.send(());
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1");
            }
        });
        (address, told)
    }

    /// What the client answers when every name leads to `address`.
    fn ask(hosts: &str, url: &str, address: &'static str) -> String {
        let policy = Policy { hosts: hosts.parse().unwrap(), timeout: Duration::from_secs(60), ..Policy::none() };
        let lookup = move |_: &str| Ok(vec![address.parse().unwrap()]);
        let client = Client::start_with(policy, kept(Duration::MAX, lookup)).unwrap();
        let (tell, told) = mpsc::channel();
        let session = client.session(move |answer| {
            let _ = tell.send(answer.text);
        });
        assert!(session.ask(1, &serde_json::json!({ "url": url, "method": "GET" }).to_string()));
        told.recv().unwrap()
    }

    /// The owner of an allowed name can let it lead anywhere. That is looked at when the connection is made.
    #[test]
    fn a_name_that_leads_to_a_private_address_is_refused() {
        let (server, connected) = server();
        let url = format!("http://rebind.example:{}/", server.port());
        for (hosts, address) in [
            ("rebind.example", "127.0.0.1"),
            ("rebind.example", "::1"),
            ("rebind.example", "::ffff:127.0.0.1"),
            ("rebind.example", "0.0.0.0"),
            ("rebind.example,localhost", "127.0.0.1"),
            ("*", "127.0.0.1"),
            ("*.example", "169.254.169.254"),
            ("rebind.example,127.0.0.1:1", "127.0.0.1"),
        ] {
            let answer = ask(hosts, &url, address);
            assert!(answer.contains("rebind.example has a private address"), "{hosts} {address}: {answer}");
        }
        assert!(connected.try_recv().is_err(), "no connection may have come here");
        for (hosts, name) in [("rebind.example,127.0.0.0/8", "rebind.example"), ("localhost", "localhost")] {
            let answer = ask(hosts, &url.replace("rebind.example", name), "127.0.0.1");
            assert!(answer.contains("\"status\":200"), "{hosts}: {answer}");
            connected.recv().unwrap();
        }
    }

    fn kept(
        ttl: Duration,
        lookup: impl Fn(&str) -> std::io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Arc<Names> {
        Arc::new(Names::new(Arc::new(lookup), ttl))
    }

    /// The same name, looked up for a second time, leads elsewhere: once to the address that is allowed, then to its
    /// neighbour. What was good before counts for nothing.
    #[test]
    fn a_name_that_leads_elsewhere_the_second_time_is_looked_at_again() {
        let (server, connected) = server();
        let (_neighbour, reached) = server_at(&format!("127.0.0.2:{}", server.port()));
        let policy = Policy {
            hosts: "rebind.example,127.0.0.1".parse().unwrap(),
            timeout: Duration::from_secs(60),
            ..Policy::none()
        };
        let times = AtomicUsize::new(0);
        let lookup = move |_: &str| {
            let second = times.fetch_add(1, Ordering::SeqCst) > 0;
            Ok(vec![IpAddr::from([127, 0, 0, if second { 2 } else { 1 }])])
        };
        let client = Client::start_with(policy, kept(Duration::ZERO, lookup)).unwrap();
        let (tell, told) = mpsc::channel();
        let session = client.session(move |answer| {
            let _ = tell.send(answer.text);
        });
        let request =
            serde_json::json!({ "url": format!("http://rebind.example:{}/", server.port()), "method": "GET" });
        assert!(session.ask(1, &request.to_string()));
        assert!(told.recv().unwrap().contains("\"status\":200"));
        connected.recv().unwrap();
        assert!(session.ask(2, &request.to_string()));
        let answer = told.recv().unwrap();
        assert!(answer.contains("rebind.example has a private address"), "{answer}");
        assert!(reached.try_recv().is_err() && connected.try_recv().is_err(), "no connection may have come here");
    }

    #[test]
    fn a_worker_that_asks_for_far_too_much_is_told_so() {
        let policy = Policy { at_once: 0, ..Policy::none() };
        let client = Client::start(policy).unwrap();
        let session = client.session(|_| {});
        assert_eq!((0..2 * MAX_WAITING).filter(|id| session.ask(*id as u64, "{}")).count(), MAX_WAITING);
        let session = client.session(|_| {});
        let large = "x".repeat(MAX_WAITING_BYTES / 2);
        assert_eq!([1, 2, 3].map(|id| session.ask(id, &large)), [true, true, false]);
    }
}
