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
use crate::root_cause::root_cause;

/// Memory is counted in pieces of this size.
const PIECE: usize = 64 << 10;

/// The most that is set aside for a body before it is there.
const MAX_AHEAD: usize = 1 << 20;

/// A body may take its time, and a second more for every 16 KiB. A client that sends a byte now and then is never
/// silent for long, and would keep its place for ever.
const SLOWEST: usize = 16 << 10;

/// How many requests there may be, and how much memory their bodies may take.
pub struct Room {
    requests: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    most_requests: usize,
    most_pieces: usize,
    body_limit: usize,
    patience: Duration,
}

/// A body, and what keeps its room.
pub struct Taken {
    /// The bytes, unpacked.
    pub bytes: Vec<u8>,
    /// Gives the room back when it is dropped.
    pub guard: Arc<dyn Any + Send + Sync>,
}

impl Room {
    /// Room for a number of requests, with bounds on the bytes of all bodies and of each. `patience` is for clients that are
    /// silent in the middle of a body, and the time that a body has at least.
    pub fn new(requests: usize, memory: usize, body_limit: usize, patience: Duration) -> Self {
        // One body has to fit, whatever was asked for.
        let memory = memory.max(body_limit).div_ceil(PIECE).min(u32::MAX as usize);
        Self {
            requests: Arc::new(Semaphore::new(requests)),
            memory: Arc::new(Semaphore::new(memory)),
            most_requests: requests,
            most_pieces: memory,
            body_limit,
            patience,
        }
    }

    /// Requests under way or waiting.
    pub fn requests(&self) -> usize {
        self.most_requests - self.requests.available_permits()
    }

    /// Memory that bodies take, in bytes.
    pub fn memory(&self) -> usize {
        (self.most_pieces - self.memory.available_permits()) * PIECE
    }

    /// Takes a request in.
    ///
    /// # Errors
    /// When there is no room for it, or its body is not JSON by its type, too long, cut off or too slow.
    pub async fn take(&self, request: Request<Body>) -> Result<Taken, Problem> {
        let Ok(permit) = self.requests.clone().try_acquire_owned() else {
            self.let_end(request.into_body()).await;
            return Err(Problem::overloaded(format!("{} requests are under way", self.most_requests)));
        };
        let content_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        if let Some(other) = content_type.filter(|content_type| !is_json(content_type)) {
            let message = format!("the content type is {other}: send application/json");
            return Err(Problem::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let mut memory = self.memory.clone().try_acquire_many_owned(0).ok();
        // As long as the client says, within reason: memory is taken, and counted, with what arrives.
        let said = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let mut bytes = Vec::with_capacity(said.unwrap_or(0).min(MAX_AHEAD));
        let mut body = request.into_body();
        let started = Instant::now();
        loop {
            let all = started + self.patience + Duration::from_secs_f64(bytes.len() as f64 / SLOWEST as f64);
            // What is there already counts, however late it is: it may have waited for this server.
            let frame = tokio::time::timeout_at(all.min(Instant::now() + self.patience), body.frame()).await;
            let frame = frame.map_err(|_| self.too_slow())?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| {
                Problem::request(StatusCode::BAD_REQUEST, format!("the body cannot be read: {}", root_cause(&error)))
            })?;
            let Some(data) = frame.data_ref() else { continue };
            if bytes.len() + data.len() > self.body_limit {
                let message = format!("the body is longer than {} bytes, the limit (--body-limit)", self.body_limit);
                return Err(Problem::request(StatusCode::PAYLOAD_TOO_LARGE, message));
            }
            if let Err(problem) = self.make_room(&mut memory, bytes.len() + data.len()) {
                drop((permit, memory, bytes));
                self.let_end(body).await;
                return Err(problem);
            }
            bytes.extend_from_slice(data);
        }
        Ok(Taken { bytes, guard: Arc::new((permit, memory)) })
    }

    /// Lets a client that is sent away finish what it sends, within reason, and keeps none of it. One that is cut off never
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

    fn make_room(&self, memory: &mut Option<OwnedSemaphorePermit>, len: usize) -> Result<(), Problem> {
        let held = memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = len.div_ceil(PIECE).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let more = u32::try_from(missing).ok().and_then(|n| self.memory.clone().try_acquire_many_owned(n).ok());
        match (more, memory.as_mut()) {
            (Some(more), Some(memory)) => memory.merge(more),
            (Some(more), None) => *memory = Some(more),
            (None, _) => {
                return Err(Problem::overloaded("the bodies of other requests take all memory there is for them"));
            }
        }
        Ok(())
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}
