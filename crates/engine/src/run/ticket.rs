//! What an embedder calls an event that waits.

use std::rc::Rc;

/// What an embedder calls an event: the numbers of a unit and of a line in it, say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket(pub u64, pub u32);

/// Told whose turn it is, see [`crate::Engine::on_turn`].
pub(crate) type OnTurn = Rc<dyn Fn(Ticket)>;
