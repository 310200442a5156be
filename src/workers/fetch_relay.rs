//! Relays network requests of workers, on the supervisor's side: a request goes from a worker's frame to the client,
//! and the answer goes back to the worker in a frame. The supervisor's loop is not involved.

use super::process::{Frame, Process};
use crate::net::{Client, Session};
use crate::wire::frame::{Kind, Message};
use sluicegate_engine::MAX_REQUEST;

/// Opens a network session for one worker. The session ends with the reader of the worker's frames, which cancels the
/// requests under way.
pub(super) fn session(client: &Client, process: &Process) -> Session {
    let outgoing = process.outgoing();
    client.session(move |answer| {
        let mut bytes = Vec::with_capacity(answer.text.len() + 16);
        Message { id: answer.id, text: &answer.text }.put(Kind::Answer, &mut bytes);
        outgoing.send(Frame { bytes, with: Some(answer) });
    })
}

/// Handles a worker's frame about the network. Returns `false` if the frame is not about the network, if the worker may
/// not send requests, or if it sends too many.
pub(super) fn take(session: Option<&Session>, kind: Kind, payload: &[u8]) -> bool {
    let Some(session) = session else { return false };
    match kind {
        Kind::Ask => Message::get(payload)
            .filter(|message| message.text.len() <= MAX_REQUEST)
            .is_some_and(|message| session.ask(message.id, message.text)),
        Kind::Forget => {
            session.forget();
            true
        }
        _ => false,
    }
}
