//! A small web server for tests of the network functions: it gives scripted answers and records requests. It speaks
//! HTTP/1.1 over any stream, keeps connections open, and reads no more than it must.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A recorded request.
#[derive(Clone, Debug, Default)]
pub struct RecordedRequest {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl RecordedRequest {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An answer: the text after the version in the first line and the headers, and a body.
pub struct Reply {
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn new(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let mut head = format!("{status} Whatever\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = body.as_ref().to_vec();
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        Self { head, body }
    }

    pub fn json(text: &str) -> Self {
        Self::new(200, &[("Content-Type", "application/json")], text)
    }

    pub fn redirect(status: u16, to: &str) -> Self {
        Self::new(status, &[("Location", to)], "")
    }
}

/// A server on its own port. It lives as long as the test program.
pub struct Web {
    pub address: SocketAddr,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    /// The number of open connections.
    open: usize,
    /// The addresses of the clients.
    peers: Vec<SocketAddr>,
    requests: Vec<RecordedRequest>,
}

impl Web {
    pub fn start(answer: impl Fn(&RecordedRequest) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).unwrap()
    }

    /// Starts a server with TLS. Its certificate is trusted only with `tests/fixtures/tls.crt`.
    pub fn start_tls(answer: impl Fn(&RecordedRequest) -> Reply + Send + Sync + 'static) -> Self {
        let (listener, web) = Self::listen("127.0.0.1:0").unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificate = CertificateDer::from_pem_file("tests/fixtures/tls.crt").unwrap();
        let key = PrivateKeyDer::from_pem_file("tests/fixtures/tls.key").unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let config = Arc::new(config);
        web.accept(listener, answer, move |stream| {
            StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream)
        });
        web
    }

    pub fn start_at(
        address: &str,
        answer: impl Fn(&RecordedRequest) -> Reply + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let (listener, web) = Self::listen(address)?;
        web.accept(listener, answer, |stream| stream);
        Ok(web)
    }

    fn listen(address: &str) -> std::io::Result<(TcpListener, Self)> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        Ok((listener, Self { address, seen: Arc::default() }))
    }

    fn accept<S: Read + Write>(
        &self,
        listener: TcpListener,
        answer: impl Fn(&RecordedRequest) -> Reply + Send + Sync + 'static,
        wrap: impl Fn(TcpStream) -> S + Send + Sync + 'static,
    ) {
        let (noted, shared) = (self.seen.clone(), Arc::new((answer, wrap)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                {
                    let mut seen = noted.0.lock().unwrap();
                    seen.connections += 1;
                    seen.open += 1;
                    seen.peers.extend(stream.peer_addr());
                }
                noted.1.notify_all();
                let (noted, shared) = (noted.clone(), shared.clone());
                std::thread::spawn(move || {
                    serve(shared.1(stream), &shared.0, &noted);
                    noted.0.lock().unwrap().open -= 1;
                    noted.1.notify_all();
                });
            }
        });
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:PORT` and a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.seen.0.lock().unwrap().requests.clone()
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.seen.0.lock().unwrap().connections
    }

    /// Waits until all connections so far are closed and their requests are handled. For clients that have ended.
    pub fn quiet(&self) {
        // Connections are accepted in order: once this one is, all earlier ones are too.
        let own = TcpStream::connect(self.address).unwrap();
        let address = own.local_addr().unwrap();
        let seen = self.seen.0.lock().unwrap();
        let seen = self.seen.1.wait_while(seen, |seen| !seen.peers.contains(&address)).unwrap();
        drop(own);
        drop(self.seen.1.wait_while(seen, |seen| seen.open > 0).unwrap());
    }

    /// Waits until the server has received this many requests.
    pub fn wait(&self, times: usize) {
        let seen = self.seen.0.lock().unwrap();
        drop(self.seen.1.wait_while(seen, |seen| seen.requests.len() < times).unwrap());
    }
}

fn serve(stream: impl Read + Write, answer: &dyn Fn(&RecordedRequest) -> Reply, noted: &(Mutex<Seen>, Condvar)) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        noted.0.lock().unwrap().requests.push(request.clone());
        noted.1.notify_all();
        let reply = answer(&request);
        let mut out = format!("HTTP/1.1 {}\r\n", reply.head).into_bytes();
        if request.method != "HEAD" {
            out.extend_from_slice(&reply.body);
        }
        // A client that is done closes the connection.
        let stream = reader.get_mut();
        if stream.write_all(&out).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<RecordedRequest> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let mut request = RecordedRequest {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        ..RecordedRequest::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let len = request.header("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}
