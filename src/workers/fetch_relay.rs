//! What workers ask the network, on the supervisor's side: a request goes from a worker's frame to the client, and its
//! answer from there into a frame to the worker. The supervisor's loop has no part in it.

use super::process::{Frame, Process};
use crate::net::{Client, Lane};
use crate::wire::frame::{Kind, Message};
use sluicegate_engine::MAX_REQUEST;

/// The way to the network for one worker. It ends with the reader of the worker's frames, and with it what was asked.
pub(super) fn session(client: &Client, process: &Process) -> Lane {
    let outgoing = process.outgoing();
    client.session(move |answer| {
        let mut bytes = Vec::with_capacity(answer.text.len() + 16);
        Message { id: answer.id, text: &answer.text }.put(Kind::Answer, &mut bytes);
        outgoing.send(Frame { bytes, with: Some(answer) });
    })
}

/// Takes what a worker says to the network. `false` if the frame is about something else, or the worker may not ask this,
/// or not so much.
pub(super) fn take(session: Option<&Lane>, kind: Kind, payload: &[u8]) -> bool {
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
