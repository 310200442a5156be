//! An answer in pieces: what workers wrote goes out as it is, and is not copied together first.

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// Shorter texts are put together: a piece is written in a turn of its own, or nearly so.
const SHORT: usize = 16 << 10;

/// Rows, a comma after each, in pieces.
#[derive(Default)]
pub struct Pieces {
    done: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl Pieces {
    /// Where the next row can be written.
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

    /// The list of the rows of all of these, in order. Its `guard` is dropped when the client has it.
    pub fn list(all: impl IntoIterator<Item = Pieces>, guard: &Arc<dyn Any + Send + Sync>) -> Body {
        let mut pieces = vec![b"[".to_vec()];
        for mut one in all {
            one.end();
            pieces.append(&mut one.done);
        }
        let several = pieces.len() > 1;
        if let Some(last) = pieces.last_mut() {
            // In the place of the last comma.
            if several {
                last.pop();
            }
            last.push(b']');
        }
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Body::new(List { pieces: pieces.into_iter(), left, guard: guard.clone() })
    }
}

/// A list on its way out.
struct List {
    pieces: std::vec::IntoIter<Vec<u8>>,
    left: u64,
    guard: Arc<dyn Any + Send + Sync>,
}

/// A piece that keeps its request's room until the client has it.
struct BudgetedPiece(Vec<u8>, #[expect(dead_code, reason = "only dropped")] Arc<dyn Any + Send + Sync>);

impl AsRef<[u8]> for BudgetedPiece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl HttpBody for List {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(piece) = self.pieces.next() else { return Poll::Ready(None) };
        self.left -= piece.len() as u64;
        let piece = Bytes::from_owner(BudgetedPiece(piece, self.guard.clone()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
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
            let mut body = Pieces::list(all, &guard);
            assert_eq!(body.size_hint().exact(), Some(expected.len() as u64));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut found = Vec::new();
            while let Some(frame) = runtime.block_on(body.frame()) {
                found.push(frame.unwrap().into_data().unwrap());
            }
            assert_eq!(String::from_utf8(found.concat()).unwrap(), expected);
            assert_eq!(found.len(), frames);
            drop(body);
            assert_eq!(Arc::strong_count(&guard), 1 + found.len());
            drop(found);
            assert_eq!(Arc::strong_count(&guard), 1);
        }
    }
}
