//! The embedder's name for a waiting event.

use std::rc::Rc;

/// An embedder's name for an event, for example the numbers of a unit and of a line in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket(pub u64, pub u32);

/// A callback for the event whose turn it is, see [`crate::Engine::on_turn`].
pub(crate) type OnTurn = Rc<dyn Fn(Ticket)>;
