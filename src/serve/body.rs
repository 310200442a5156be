//! Request bodies. A body is accepted only while there is memory for it, whatever its encoding and however
//! slowly it arrives.

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
use crate::workers::{Budget, Reservation};

/// The largest buffer that is allocated before the bytes for it arrive.
const MAX_AHEAD: usize = 1 << 20;

/// The lowest rate of a body, in bytes per second: it gets the base time and one more second for every 16 KiB.
/// Without this bound, a client that sends a byte from time to time would never count as silent and would hold
/// its permit forever.
const SLOWEST: usize = 16 << 10;

/// The task yields to others after this many unpacked bytes.
const UNPACKED_IN_A_TURN: usize = 1 << 20;

/// Limits how many requests are under way and how much memory their bodies take.
pub struct Room {
    requests: Arc<Semaphore>,
    bodies: Budget,
    most_requests: usize,
    body_limit: usize,
    patience: Duration,
}

/// A body, with the reservation of its memory.
pub struct Taken {
    /// The unpacked bytes.
    pub bytes: Vec<u8>,
    /// Returns the memory and the request's permit when it is dropped.
    pub room: TakenRoom,
}

/// A request's permit and the memory that it holds.
pub struct TakenRoom {
    memory: Reservation,
    #[expect(dead_code, reason = "only dropped")]
    place: OwnedSemaphorePermit,
}

impl TakenRoom {
    /// Reserves more memory, up to `bytes` in all.
    ///
    /// # Errors
    /// When there is not enough.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        if self.memory.grow_to(bytes) { Ok(()) } else { Err(no_memory()) }
    }

    /// Turns this into a guard, for owners that only need to drop it.
    pub fn guard(self) -> Arc<dyn Any + Send + Sync> {
        Arc::new(self)
    }
}

/// Returns the answer for when no memory is left.
pub fn no_memory() -> Problem {
    Problem::overloaded("other requests take all memory there is for bodies and answers (--request-memory)")
}

impl Room {
    /// Creates room for a number of requests, with limits on the bytes of all bodies together and of each
    /// body. `patience` is how long a client may be silent in the middle of a body, and the minimum time that
    /// every body gets.
    pub fn new(requests: usize, bodies: Budget, body_limit: usize, patience: Duration) -> Self {
        Self { requests: Arc::new(Semaphore::new(requests)), bodies, most_requests: requests, body_limit, patience }
    }

    /// Returns the number of requests under way or waiting.
    pub fn requests(&self) -> usize {
        self.most_requests - self.requests.available_permits()
    }

    /// Accepts a request.
    ///
    /// # Errors
    /// When there is no room for it, or when its body is not declared as JSON, does not match its encoding, is too
    /// long, is cut off or arrives too slowly.
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
        // Allocates the announced length, up to a bound. Only bytes that have arrived count as used memory.
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
            // A frame that has already arrived is accepted however late it is: this server may have caused the delay.
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

    /// Lets a rejected client finish sending, up to a bound; nothing is unpacked or kept. If its connection were cut,
    /// the client would never see the answer and would mistake a busy server for a broken one.
    async fn let_end(&self, mut body: Body) {
        let mut left = self.body_limit;
        let all = async {
            while let Some(Ok(frame)) = body.frame().await {
                let len = frame.data_ref().map_or(0, |data| data.len());
                let Some(rest) = left.checked_sub(len) else { return };
                left = rest;
            }
        };
        // A client that is slower than this does not get the answer.
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
