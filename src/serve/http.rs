//! Connections: accepted, served with and without keep-alive, and ended without losing what is under way.

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

/// How long a client may take to send a request's head, once it has begun.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// How long a client may take nothing of its answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// The same while memory is short.
const SHORT_WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// How often to look whether a client has taken some of its answer.
const LOOK: Duration = Duration::from_secs(1);

/// A client that has taken this many bytes has taken some of it.
const SOME: usize = 64 << 10;

/// Connections beside those whose requests are under way or refused.
pub const MAX_IDLE: usize = 512;

/// The most that is read of a connection ahead, and written to it at a time: a head has to fit into it.
const MAX_BUFFER: usize = 64 << 10;

/// What holds for all connections.
pub struct Connections {
    /// How many there may be. More wait in the kernel.
    pub max: usize,
    /// Clients that take nothing of their answers lose them sooner while this is short.
    pub memory: Budget,
}

/// How long what is under way may take once the server is to end: as long as an event may wait by default, and a little more.
const DRAIN: Duration = Duration::from_secs(65);

/// Serves until SIGTERM or SIGINT comes, then finishes what is under way; a second signal ends that too.
///
/// # Errors
/// When the system does not tell of signals.
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
                    // Out of descriptors, or a client that is gone already. Others wait in the kernel meanwhile.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        };
        // Answers are written in one piece.
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
    // Who connects from here on is refused at once and tries another instance.
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

/// A stream that gives up on a client that takes nothing of what is written to it: its answer would lie in memory for as
/// long as it likes.
struct Patient {
    stream: TcpStream,
    memory: Budget,
    stalled: Option<Stalled>,
}

/// Since when a client takes next to nothing.
struct Stalled {
    since: Instant,
    taken: usize,
    look: Pin<Box<Sleep>>,
}

impl Patient {
    fn new(stream: TcpStream, memory: Budget) -> Self {
        Self { stream, memory, stalled: None }
    }

    /// Notes the result of an attempt to write.
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
            Stalled { since, taken: 0, look: Box::pin(tokio::time::sleep_until(since + LOOK)) }
        });
        loop {
            ready!(stalled.look.as_mut().poll(context));
            let patience = if self.memory.is_short() { SHORT_WRITE_PATIENCE } else { WRITE_PATIENCE };
            if stalled.since.elapsed() >= patience {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            stalled.look.as_mut().reset(Instant::now() + LOOK);
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
            // All that was to be written is.
            self.stalled = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
