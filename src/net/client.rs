//! The thread that sends requests, and the limits for each worker.

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

/// The most bytes of unanswered requests that a worker may have. A correct worker stays below this limit: its isolate
/// has half of it, and requests of the previous isolate the other half.
const MAX_WAITING_BYTES: usize = 2 * MAX_UNANSWERED_BYTES;

/// The same limit as a number of requests.
const MAX_WAITING: usize = 2 * MAX_UNANSWERED;

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// The most requests of one worker that are still sent although no event waits for them.
const MAX_ABANDONED: usize = 16;

/// Sends requests that its [`Policy`] allows. Clones share the same client; its thread ends with the last clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    runtime: tokio::runtime::Handle,
    _end: oneshot::Sender<()>,
}

/// Why a client cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot make requests to the network: {0}")]
pub struct StartError(String);

/// An answer on its way to a worker. It counts as under way until it is dropped, so a worker that does not read its
/// answers gets no further ones.
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
    /// When the system cannot start a thread.
    pub fn start(policy: Policy) -> Result<Self, StartError> {
        Self::start_with(policy, Arc::new(Names::new(Arc::new(system_lookup), names::TTL)))
    }

    pub(super) fn start_with(policy: Policy, names: Arc<Names>) -> Result<Self, StartError> {
        let failed = |error: &(dyn std::error::Error + 'static)| StartError(cause(error));
        // Another part of the program may have installed a provider already; both work.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = |lookup: Filter, roots: bool| {
            let builder = reqwest::Client::builder();
            // Without the machine's certificates, no server is trusted.
            let builder = if roots { builder } else { builder.tls_certs_only([]) };
            builder
                // Redirects are followed here, because each hop must be checked.
                .redirect(reqwest::redirect::Policy::none())
                // A proxy from the environment is not the operator's decision on which hosts are allowed.
                .no_proxy()
                .referer(false)
                .http1_max_headers(128)
                .http2_max_header_list_size(MAX_HEADERS as u32)
                // The pool is as large as the number of concurrent requests, so that no connection is closed that the
                // next request needs.
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
        // A machine without certificates, such as a slim container, can still send requests over http.
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
            // A name lookup blocks its thread; a slow name server must not use up threads without bound.
            .max_blocking_threads(16)
            .build()
            .map_err(|error| failed(&error))?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("network".into())
            .spawn(move || {
                let _ = runtime.block_on(ended);
                // A name lookup may still be running; shutdown does not wait for it.
                runtime.shutdown_background();
            })
            .map_err(|error| failed(&error))?;
        Ok(Self(Arc::new(Inner { shared, runtime: handle, _end: end })))
    }

    /// Returns the operator's policy.
    pub fn policy(&self) -> &Policy {
        &self.0.shared.policy
    }

    /// Returns the counts of requests.
    pub fn stats(&self) -> &Stats {
        &self.0.shared.stats
    }

    /// Opens a session for one worker. `answer` is called with each answer, in order of arrival.
    pub fn session(&self, answer: impl Fn(NetAnswer) + Send + Sync + 'static) -> Session {
        let shared = self.0.shared.clone();
        let waiting = Arc::new(WaitingRequests::default());
        let (sender, mut messages) = unbounded_channel::<SessionMessage>();
        let share = move |shared: &Shared| Arc::new(Semaphore::new(shared.policy.at_once));
        let answer = Arc::new(answer);
        self.0.runtime.spawn(async move {
            let mut running = JoinSet::new();
            let mut own = share(&shared);
            // Requests of the current event, and requests that earlier events left.
            let (mut current, mut left) = (Vec::<AbortHandle>::new(), VecDeque::<AbortHandle>::new());
            loop {
                tokio::select! {
                    next = messages.recv() => match next {
                        None => break,
                        Some(SessionMessage::Ask(next)) => {
                            if current.len() == current.capacity() {
                                current.retain(|request| !request.is_finished());
                            }
                            current.push(running.spawn(send_request(shared.clone(), own.clone(), answer.clone(), next)));
                        }
                        Some(SessionMessage::Forget) => {
                            // The next event gets its own semaphore, so it does not wait for requests that
                            // this event left.
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
            // The worker has ended; dropping `running` cancels its requests.
        });
        Session { sender, waiting, _client: self.clone() }
    }
}

/// One worker's session of a [`Client`]. Dropping it cancels its requests.
pub struct Session {
    sender: UnboundedSender<SessionMessage>,
    waiting: Arc<WaitingRequests>,
    _client: Client,
}

#[derive(Default)]
struct WaitingRequests {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    /// The number of all requests.
    sent: Arc<AtomicU64>,
}

/// A message from a worker.
enum SessionMessage {
    Ask(QueuedRequest),
    Forget,
}

struct QueuedRequest {
    id: u64,
    text: String,
    /// Counts the request as waiting until it is dropped.
    _slot: WaitingSlot,
}

struct WaitingSlot(Arc<WaitingRequests>, usize);

impl Drop for WaitingSlot {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
        self.0.bytes.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl Session {
    /// Sends a request. Returns `false` if the worker has more unanswered requests than a correct one could have.
    pub fn ask(&self, id: u64, request: &str) -> bool {
        let requests = self.waiting.requests.fetch_add(1, Ordering::Relaxed);
        let bytes = self.waiting.bytes.fetch_add(request.len(), Ordering::Relaxed);
        let slot = WaitingSlot(self.waiting.clone(), request.len());
        self.waiting.sent.fetch_add(1, Ordering::Relaxed);
        let fits = requests < MAX_WAITING && bytes + request.len() <= MAX_WAITING_BYTES;
        fits && self
            .sender
            .send(SessionMessage::Ask(QueuedRequest { id, text: request.to_owned(), _slot: slot }))
            .is_ok()
    }

    /// Returns the counter of requests sent so far.
    pub fn sent_requests(&self) -> Arc<AtomicU64> {
        self.waiting.sent.clone()
    }

    /// Marks all requests so far as no longer needed by any event. Some may still be sent, but they do not
    /// delay later ones.
    pub fn forget(&self) {
        let _ = self.sender.send(SessionMessage::Forget);
    }
}

async fn send_request(
    shared: Arc<Shared>,
    own: Arc<Semaphore>,
    answer: Arc<impl Fn(NetAnswer) + Send + Sync + 'static>,
    queued: QueuedRequest,
) {
    let waiting = shared.stats.wait();
    let request = fetch::ParsedRequest::read(&queued.text);
    // Acquires the host's permit first: a slow host must not use up the permits of the others.
    let _there = match &request {
        Ok(request) => request.host_permit(&shared).await,
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
    answer(NetAnswer { id: queued.id, text, _share: (mine, of_all) });
}

/// Filters the addresses of a name: only allowed ones may be connected to.
struct Filter {
    names: Arc<Names>,
    /// The rules for addresses; without rules, every address is allowed.
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
            // The port of the URL replaces this one.
            let addresses: Vec<_> = found.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Does not contain the address: the address of a private name is confidential.
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

/// Returns the maximum number of sockets: half of the file descriptors that the system allows. Raises the
/// soft limit first.
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

    /// Starts a server that answers `1` and reports each connection.
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

    /// Returns the client's answer when every name resolves to `address`.
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

    /// The owner of an allowed name can point it to any address, so the address is checked when the connection is made.
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

    /// The same name resolves to another address the second time: first to the allowed address, then to its neighbour.
    /// The first check must not count for the second connection.
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
