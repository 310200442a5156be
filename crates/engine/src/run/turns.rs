//! Tells the watchdog whose turn it is: one turn can run code of several events, see [`crate::limits::watchdog`].

use std::time::Duration;

use deno_core::v8;

use crate::limits::watchdog::{Turn, Turns};
use crate::run::state::State;
use crate::v8::event_number::{self, NO_EVENT};

/// The functions that the watchdog calls.
pub(crate) const TURNS: Turns = Turns { find, pass };

fn find(isolate: &mut v8::Isolate, now: Duration) -> Turn {
    let Some(context) = isolate.get_slot::<State>().and_then(State::context) else { return Turn::Same(Duration::ZERO) };
    let to = {
        v8::scope_with_context!(scope, &mut *isolate, context);
        event_number::current(scope)
    };
    let Some(state) = isolate.get_slot::<State>() else { return Turn::Same(Duration::ZERO) };
    let passed = state.turn_so_far(now);
    // Between two microtasks, no event's code runs.
    if to == state.turn() || to == NO_EVENT {
        Turn::Same(state.used(state.turn()) + passed)
    } else {
        Turn::Passed { to, used: state.used(to) + passed, events: state.events(to) }
    }
}

/// Charges the time of this turn to the event found by `find`. If several events share a turn,
/// the longest ones are found most often.
fn pass(isolate: &mut v8::Isolate, to: u32, now: Duration) {
    if let Some(state) = isolate.get_slot_mut::<State>() {
        state.pass_turn(to, now);
    }
}
