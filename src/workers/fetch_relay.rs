//! What workers ask the network, on the supervisor's side: a request goes from a worker's frame to the client, and its
//! answer from there into a frame to the worker. The supervisor's loop has no part in it.

use super::process::{Frame, Process};
use crate::net::{Client, Lane};
use crate::wire::frame::{Kind, Message};
use sluicegate_engine::MOST_REQUEST;

/// The way to the network for one worker. It ends with whoever reads the worker's frames, and with it what was asked.
pub(super) fn lane(client: &Client, process: &Process) -> Lane {
    let outgoing = process.outgoing();
    client.lane(move |answer| {
        let mut bytes = Vec::with_capacity(answer.text.len() + 16);
        Message { id: answer.id, text: &answer.text }.put(Kind::Answer, &mut bytes);
        outgoing.send(Frame { bytes, with: Some(answer) });
    })
}

/// Takes what a worker says to the network. `false` if the frame is about something else, or the worker may not ask this,
/// or not so much.
pub(super) fn take(lane: Option<&Lane>, kind: Kind, payload: &[u8]) -> bool {
    let Some(lane) = lane else { return false };
    match kind {
        Kind::Ask => Message::get(payload)
            .filter(|message| message.text.len() <= MOST_REQUEST)
            .is_some_and(|message| lane.ask(message.id, message.text)),
        Kind::Forget => {
            lane.forget();
            true
        }
        _ => false,
    }
}
