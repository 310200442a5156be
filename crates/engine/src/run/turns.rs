//! Whose turn it is, for the watchdog: several events' code can run in one turn, see [`crate::limits::watchdog`].

use std::time::Duration;

use deno_core::v8;

use crate::limits::watchdog::{Turn, Turns};
use crate::run::state::State;
use crate::v8::event_number::{self, NO_EVENT};

/// How the watchdog asks.
pub(crate) const TURNS: Turns = Turns { look, pass };

fn look(isolate: &mut v8::Isolate, now: Duration) -> Turn {
    let Some(context) = isolate.get_slot::<State>().and_then(State::context) else { return Turn::Same(Duration::ZERO) };
    let to = {
        v8::scope_with_context!(scope, &mut *isolate, context);
        event_number::current(scope)
    };
    let Some(state) = isolate.get_slot::<State>() else { return Turn::Same(Duration::ZERO) };
    let passed = state.turn_so_far(now);
    // Between two microtasks no event's code runs.
    if to == state.turn() || to == NO_EVENT {
        Turn::Same(state.used(state.turn()) + passed)
    } else {
        Turn::Passed { to, used: state.used(to) + passed, events: state.events(to) }
    }
}

/// What this turn has taken goes to the event that was found: of several in one turn, the longest are found most often.
fn pass(isolate: &mut v8::Isolate, to: u32, now: Duration) {
    if let Some(state) = isolate.get_slot_mut::<State>() {
        state.pass_turn(to, now);
    }
}
