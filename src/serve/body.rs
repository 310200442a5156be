//! Request bodies: taken in only as far as there is memory for them, however they are packed and however slowly they
//! come.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::problem::Problem;
use super::unpack::Unpacker;
use crate::root_cause::root_cause;
use crate::workers::{Budget, Held};

/// The most that is made ready for a body before it is there.
const MAX_AHEAD: usize = 1 << 20;

/// A body may take its time, and a second more for every 16 KiB. A client that sends a byte now and then is never
/// silent for long, and would keep its place for ever.
const SLOWEST: usize = 16 << 10;

/// Bodies of which more than this was unpacked let others have a turn.
const UNPACKED_IN_A_TURN: usize = 1 << 20;

/// How many requests there may be, and how much memory their bodies may take.
pub struct Room {
    requests: Arc<Semaphore>,
    bodies: Budget,
    most_requests: usize,
    body_limit: usize,
    patience: Duration,
}

/// A body, and what keeps its room.
pub struct Taken {
    /// The bytes, unpacked.
    pub bytes: Vec<u8>,
    /// Gives the room back when it is dropped.
    pub room: TakenRoom,
}

/// A request's place, and the memory that it takes.
pub struct TakenRoom {
    memory: Held,
    #[expect(dead_code, reason = "only dropped")]
    place: OwnedSemaphorePermit,
}

impl TakenRoom {
    /// Takes more memory, up to `bytes` in all.
    ///
    /// # Errors
    /// When there is no more.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        if self.memory.grow_to(bytes) { Ok(()) } else { Err(no_memory()) }
    }

    /// For those who need only know when it is given back.
    pub fn guard(self) -> Arc<dyn Any + Send + Sync> {
        Arc::new(self)
    }
}

/// All memory is taken.
pub fn no_memory() -> Problem {
    Problem::overloaded("other requests take all memory there is for bodies and answers (--request-memory)")
}

impl Room {
    /// Room for a number of requests, with bounds on the bytes of all bodies and of each. `patience` is for clients that are
    /// silent in the middle of a body, and the time that a body has at least.
    pub fn new(requests: usize, bodies: Budget, body_limit: usize, patience: Duration) -> Self {
        Self { requests: Arc::new(Semaphore::new(requests)), bodies, most_requests: requests, body_limit, patience }
    }

    /// Requests under way or waiting.
    pub fn requests(&self) -> usize {
        self.most_requests - self.requests.available_permits()
    }

    /// Takes a request in.
    ///
    /// # Errors
    /// When there is no room for it, or its body is not JSON by its type, not packed as it says, too long, cut off or too
    /// slow.
    pub async fn take(&self, request: Request<Body>) -> Result<Taken, Problem> {
        let Ok(place) = self.requests.clone().try_acquire_owned() else {
            self.let_end(request.into_body()).await;
            return Err(Problem::overloaded(format!("{} requests are under way", self.most_requests)));
        };
        let content_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        if let Some(other) = content_type.filter(|content_type| !is_json(content_type)) {
            let message = format!("the content type is {other}: send application/json");
            return Err(Problem::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let mut unpacker = Unpacker::new(request.headers())?;
        // As long as the client says, within reason: memory is taken, and counted, with what arrives.
        let said = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let mut bytes = Vec::with_capacity(said.unwrap_or(0).min(MAX_AHEAD));
        let mut memory = self.bodies.hold();
        let mut unpacking = self.bodies.hold();
        let mut unpacked = Vec::new();
        let mut body = request.into_body();
        let started = Instant::now();
        let mut turn_ends = UNPACKED_IN_A_TURN;
        loop {
            let all = started + self.patience + Duration::from_secs_f64(bytes.len() as f64 / SLOWEST as f64);
            // What is there already counts, however late it is: it may have waited for this server.
            let frame = tokio::time::timeout_at(all.min(Instant::now() + self.patience), body.frame()).await;
            let frame = frame.map_err(|_| self.too_slow())?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| unreadable(&root_cause(&error)))?;
            let Some(mut packed) = frame.data_ref().map(|data| &data[..]) else { continue };
            loop {
                let some = unpacker.next(&mut packed, &mut unpacked).map_err(|error| unreadable(&error))?;
                if some.is_empty() && packed.is_empty() {
                    break;
                }
                self.fits(bytes.len() + some.len())?;
                if !(memory.grow_to(bytes.len() + some.len()) && unpacking.grow_to(unpacker.memory())) {
                    drop((place, memory, unpacking, unpacker, bytes));
                    self.let_end(body).await;
                    return Err(no_memory());
                }
                bytes.extend_from_slice(some);
                if bytes.len() > turn_ends {
                    turn_ends = bytes.len() + UNPACKED_IN_A_TURN;
                    tokio::task::yield_now().await;
                }
            }
        }
        let last = unpacker.finish().map_err(|error| unreadable(&error))?;
        self.fits(bytes.len() + last.len())?;
        let mut room = TakenRoom { memory, place };
        room.grow_to(bytes.len() + last.len())?;
        bytes.extend_from_slice(&last);
        Ok(Taken { bytes, room })
    }

    fn fits(&self, len: usize) -> Result<(), Problem> {
        if len <= self.body_limit {
            return Ok(());
        }
        let message = format!("the body is longer than {} bytes, the limit (--body-limit)", self.body_limit);
        Err(Problem::request(StatusCode::PAYLOAD_TOO_LARGE, message))
    }

    /// Lets a client that is sent away finish what it sends, within reason; nothing of it is unpacked or kept. One that is cut off never
    /// sees the answer, and takes a server that is busy for one that is broken.
    async fn let_end(&self, mut body: Body) {
        let mut left = self.body_limit;
        let all = async {
            while let Some(Ok(frame)) = body.frame().await {
                let len = frame.data_ref().map_or(0, |data| data.len());
                let Some(rest) = left.checked_sub(len) else { return };
                left = rest;
            }
        };
        // A client that is slower than that is in no hurry to learn why.
        let _ = tokio::time::timeout(self.patience, all).await;
    }

    fn too_slow(&self) -> Problem {
        let message = format!(
            "the body comes too slowly: nothing for {patience}, or after {patience} less than {} KiB a second on the whole (--body-timeout)",
            SLOWEST >> 10,
            patience = humantime::format_duration(self.patience),
        );
        Problem::request(StatusCode::REQUEST_TIMEOUT, message)
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Problem {
    Problem::request(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}"))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}
