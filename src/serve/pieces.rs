//! An answer in pieces: the workers' output is sent directly, without being copied into one buffer first.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// Texts shorter than this are joined, because each piece costs about one write.
const SHORT: usize = 16 << 10;

/// The most bytes that a connection gets at a time. The next piece waits until most of the current one is sent.
const MAX_FRAME: usize = 256 << 10;

/// The base time for sending an answer; it gets one more second for every 16 KiB. Without this bound, a client that
/// reads a little from time to time could keep the answer in memory indefinitely.
const PATIENCE: Duration = Duration::from_secs(60);

/// See [`PATIENCE`].
const SLOWEST: usize = 16 << 10;

/// Rows in pieces, each row followed by a comma.
#[derive(Default)]
pub struct Pieces {
    done: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl Pieces {
    /// Returns the buffer for the next row.
    pub fn text(&mut self) -> &mut Vec<u8> {
        &mut self.last
    }

    /// Appends rows.
    pub fn push(&mut self, rows: Vec<u8>) {
        if rows.len() < SHORT {
            self.last.extend_from_slice(&rows);
        } else {
            self.end();
            self.done.push(rows);
        }
    }

    fn end(&mut self) {
        if !self.last.is_empty() {
            self.done.push(std::mem::take(&mut self.last));
        }
    }

    /// Returns a list of all these rows, in order. `guard` is dropped when the client has received it.
    pub fn list(all: impl IntoIterator<Item = Pieces>, guard: &Arc<dyn Any + Send + Sync>) -> Body {
        let mut pieces = vec![b"[".to_vec()];
        for mut one in all {
            one.end();
            pieces.append(&mut one.done);
        }
        let several = pieces.len() > 1;
        if let Some(last) = pieces.last_mut() {
            // Replaces the last comma.
            if several {
                last.pop();
            }
            last.push(b']');
        }
        Body::new(List::new(pieces, guard))
    }
}

/// Returns a text as an answer. `guard` is dropped when the client has received it.
pub fn whole(text: Vec<u8>, guard: &Arc<dyn Any + Send + Sync>) -> Body {
    Body::new(List::new(vec![text], guard))
}

/// A list that is being sent.
struct List {
    pieces: VecDeque<Bytes>,
    left: usize,
    since: Instant,
    gone: usize,
}

impl List {
    fn new(pieces: Vec<Vec<u8>>, guard: &Arc<dyn Any + Send + Sync>) -> Self {
        let left = pieces.iter().map(Vec::len).sum();
        let pieces = pieces.into_iter().map(|piece| Bytes::from_owner(BudgetedPiece(piece, guard.clone()))).collect();
        Self { pieces, left, since: Instant::now(), gone: 0 }
    }
}

/// A piece that holds its request's memory until the client has received it.
struct BudgetedPiece(Vec<u8>, #[expect(dead_code, reason = "only dropped")] Arc<dyn Any + Send + Sync>);

impl AsRef<[u8]> for BudgetedPiece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl HttpBody for List {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(piece) = self.pieces.front_mut() else { return Poll::Ready(None) };
        let frame = piece.split_to(piece.len().min(MAX_FRAME));
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        if self.since.elapsed() > PATIENCE + Duration::from_secs_f64(self.gone as f64 / SLOWEST as f64) {
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        self.left -= frame.len();
        self.gone += frame.len();
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn a_list_is_the_rows_of_all_in_order_and_its_guard_lives_as_long_as_it() {
        let guard: Arc<dyn Any + Send + Sync> = Arc::new(());
        let long = format!("\"{}\",", "x".repeat(SHORT)).into_bytes();
        let one = |rows: &[&[u8]]| {
            let mut pieces = Pieces::default();
            rows.iter().for_each(|rows| pieces.push(rows.to_vec()));
            pieces
        };
        for (all, expected, frames) in [
            (vec![], "[]".to_owned(), 1),
            (vec![one(&[]), one(&[])], "[]".to_owned(), 1),
            (vec![one(&[b"1,", b"2,3,"]), one(&[b"4,"])], "[1,2,3,4]".to_owned(), 3),
            (
                vec![one(&[b"1,", &long, b"2,", b"3,"])],
                format!("[1,{}2,3]", String::from_utf8(long.clone()).unwrap()),
                4,
            ),
        ] {
            let pieces = 1 + all.iter().map(|one| one.done.len() + usize::from(!one.last.is_empty())).sum::<usize>();
            let mut body = Pieces::list(all, &guard);
            assert_eq!(Arc::strong_count(&guard), 1 + pieces);
            assert_eq!(body.size_hint().exact(), Some(expected.len() as u64));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut found = Vec::new();
            while let Some(frame) = runtime.block_on(body.frame()) {
                found.push(frame.unwrap().into_data().unwrap());
            }
            assert_eq!(String::from_utf8(found.concat()).unwrap(), expected);
            assert_eq!(found.len(), frames);
            drop(body);
            assert_eq!(Arc::strong_count(&guard), 1 + pieces);
            drop(found);
            assert_eq!(Arc::strong_count(&guard), 1);
        }
    }
}
