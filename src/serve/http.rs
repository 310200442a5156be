//! Accepts connections, serves them with and without keep-alive, and ends them without losing requests under way.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};

use crate::workers::Budget;

/// How long a client may take to send the head of a request, from its first byte.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// How long a client may stop reading its answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// How long a client may stop reading its answer while memory is short.
const SHORT_WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// How often to check whether a client has read some of its answer.
const STALL_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A client that has read this many bytes counts as reading.
const SOME: usize = 64 << 10;

/// The most connections in addition to those whose requests are under way or rejected.
pub const MAX_IDLE: usize = 512;

/// The most bytes that are read ahead from a connection or written to it at a time. A request's head must fit into it.
const MAX_BUFFER: usize = 64 << 10;

/// Settings of all connections.
pub struct Connections {
    /// The most connections. Further connections wait in the kernel.
    pub max: usize,
    /// While this budget is short, clients that do not read lose their connections sooner.
    pub memory: Budget,
}

/// The time that requests under way get when the server ends: the default wait limit of an event and a little more.
const DRAIN: Duration = Duration::from_secs(65);

/// Serves until SIGTERM or SIGINT arrives, then finishes the requests under way. A second signal ends these as well.
///
/// # Errors
/// When signal handlers cannot be installed.
pub async fn serve(listener: TcpListener, router: Router, connections: Connections) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let graceful = GracefulShutdown::new();
    let service = TowerToHyperService::new(router);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(MAX_BUFFER);
    let places = Arc::new(Semaphore::new(connections.max));
    let accept = || async {
        let place = places.clone().acquire_owned().await.expect("it is never closed");
        listener.accept().await.map(|accepted| (accepted, place))
    };
    loop {
        let ((stream, peer), place) = tokio::select! {
            accepted = accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // No file descriptor is left, or the client has disconnected. Other clients wait in the
                    // kernel meanwhile.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        };
        // An answer is written in one piece, so delaying small packets gains nothing.
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
            service.call(request)
        });
        let connection = http.serve_connection(TokioIo::new(Patient::new(stream, connections.memory.clone())), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    // From here on, new clients are refused at once and try another instance.
    drop(listener);
    tracing::info!(connections = graceful.count(), "shutting down: finishing what is under way");
    tokio::select! {
        () = graceful.shutdown() => tracing::info!("everything is answered"),
        () = tokio::time::sleep(DRAIN) => tracing::warn!("some requests are not answered in time"),
        _ = interrupt.recv() => tracing::warn!("a second signal: requests under way are not answered"),
        _ = terminate.recv() => tracing::warn!("a second signal: requests under way are not answered"),
    }
    Ok(())
}

/// A stream that closes when its client stops reading. Otherwise, the client could keep its answer in
/// memory indefinitely.
struct Patient {
    stream: TcpStream,
    memory: Budget,
    stalled: Option<Stalled>,
}

/// A client that has stopped reading, and since when.
struct Stalled {
    since: Instant,
    taken: usize,
    timer: Pin<Box<Sleep>>,
}

impl Patient {
    fn new(stream: TcpStream, memory: Budget) -> Self {
        Self { stream, memory, stalled: None }
    }

    /// Records the result of a write.
    fn watch(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = written {
            let bytes = *result.as_ref().unwrap_or(&0);
            if let Some(stalled) = &mut self.stalled {
                stalled.taken += bytes;
                if stalled.taken >= SOME {
                    self.stalled = None;
                }
            }
            return Poll::Ready(result);
        }
        let stalled = self.stalled.get_or_insert_with(|| {
            let since = Instant::now();
            Stalled { since, taken: 0, timer: Box::pin(tokio::time::sleep_until(since + STALL_CHECK_INTERVAL)) }
        });
        loop {
            ready!(stalled.timer.as_mut().poll(context));
            let patience = if self.memory.is_short() { SHORT_WRITE_PATIENCE } else { WRITE_PATIENCE };
            if stalled.since.elapsed() >= patience {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            stalled.timer.as_mut().reset(Instant::now() + STALL_CHECK_INTERVAL);
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            // Everything has been written.
            self.stalled = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
