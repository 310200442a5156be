//! The client for the code's requests: connections, HTTP/2, limits.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{numbered, run, web};
use crate::support::Dir;
use crate::support::web_server::{Reply, Web};

/// Starts a server that speaks HTTP/2 and answers with the version and the path. Returns its port and the number of its
/// connections.
fn http2() -> (u16, Arc<AtomicUsize>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = CertificateDer::from_pem_file("tests/fixtures/tls.crt").unwrap();
    let key = PrivateKeyDer::from_pem_file("tests/fixtures/tls.key").unwrap();
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let (port, connections) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = connections.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let answer = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                        let text = format!("\"{:?} {}\"", request.version(), request.uri().path());
                        Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from(text))))
                    });
                    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
    });
    (port, connections)
}

#[test]
fn http_2_is_spoken_where_it_is_offered_over_one_connection() {
    let (port, connections) = http2();
    let code = format!(
        "export async function transformEvent(event) {{
          const first = await fetch('https://localhost:{port}/first');
          const all = await Promise.all([1, 2, 3].map((n) => fetch('https://localhost:{port}/' + n)));
          return {{ first, all }};
        }}"
    );
    let dir = Dir::with(&code);
    let mut command = dir.command(&["run", "t.js", "-j1", "--concurrency", "1", "--allow-net", "localhost"]);
    let certificate = std::fs::canonicalize("tests/fixtures/tls.crt").unwrap();
    command.env("SSL_CERT_FILE", certificate).env("SSL_CERT_DIR", "/nonexistent");
    let done = crate::support::finish(command.spawn().unwrap(), numbered(3).into_bytes());
    let line = "{\"first\":\"HTTP/2.0 /first\",\"all\":[\"HTTP/2.0 /1\",\"HTTP/2.0 /2\",\"HTTP/2.0 /3\"]}";
    assert_eq!(done.lines(), [line; 3], "{}", done.err);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn no_more_than_so_many_requests_are_under_way_to_one_host() {
    // The number of current requests, and the highest number so far. The first one waits for a second.
    let here = Arc::new((Mutex::new((0, 0)), Condvar::new()));
    let seen = here.clone();
    let web = Web::start(move |asked| {
        let mut state = here.0.lock().unwrap();
        state.0 += 1;
        state.1 = state.1.max(state.0);
        here.1.notify_all();
        let mut state = here.1.wait_while(state, |state| state.1 < 2).unwrap();
        state.0 -= 1;
        drop(state);
        Reply::json(&format!("\"{}\"", asked.path))
    });
    let code = "export async function transformEvent(event) { return { got: await fetch('$URL' + event.n) }; }";
    let (_, done) = run(code, &web, &["--requests-per-host", "2"], &numbered(40));
    assert_eq!(done.lines().len(), 40, "{}", done.err);
    assert_eq!(seen.0.lock().unwrap().1, 2);
    assert!(web.connections() <= 2, "connections are kept: there were {}", web.connections());
}

#[test]
fn workers_share_connections() {
    let web = web();
    let code = "export async function transformEvent(event) { return { got: await fetch('$URL' + event.n) }; }";
    let flags = ["--requests-per-host", "1", "-j2"];
    let dir = Dir::with(&code.replace("$URL", &web.url("/")));
    let address = web.address.to_string();
    let done = dir.run(&[&["run", "t.js", "--allow-net", &address], &flags[..]].concat(), numbered(200));
    assert_eq!((done.lines().len(), web.connections()), (200, 1), "{}", done.err);
}
