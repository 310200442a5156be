//! The limits on what one event may use. Each limit holds per event, never per batch, so that one event's fault affects
//! no other event.

pub(crate) mod heap;
pub(crate) mod watchdog;

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Maximum CPU time of a batch, regardless of its number of events. A longer limit for one event takes precedence.
const MAX_BATCH_CPU: Duration = Duration::from_secs(10);

/// Maximum wall time of a batch, in the same way.
const MAX_BATCH_WALL: Duration = Duration::from_secs(60);

/// A mebibyte, in bytes.
const MIB: usize = 1 << 20;

/// The limits of one event. The defaults are those of the transformation contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// CPU time of the author's code, counted from the moment it is entered.
    pub cpu: Duration,
    /// Wall time, for code that waits.
    pub wall: Duration,
    /// V8's heap, in bytes, and as much again for `ArrayBuffer`s.
    pub heap: usize,
    /// All output of one event together, in bytes.
    pub output: usize,
    /// One input line, in bytes, without its line end.
    pub line: usize,
    /// Log text of one event, in bytes.
    pub log: usize,
}

impl Limits {
    /// CPU time of a batch of this many events: the sum of their limits, up to 10 s.
    pub fn batch_cpu(&self, events: u32) -> Duration {
        grown(self.cpu, events, MAX_BATCH_CPU)
    }

    /// Wall time of a batch of this many events: the sum of their limits, up to 60 s.
    pub fn batch_wall(&self, events: u32) -> Duration {
        grown(self.wall, events, MAX_BATCH_WALL)
    }

    /// CPU time for loading a program, which may take longer than an event: the program must be compiled and started.
    pub fn loading(&self) -> Duration {
        self.cpu.max(Duration::from_secs(1))
    }
}

/// The limit of one event times `events`, but no more than `most` or the limit of one event, whichever is longer.
fn grown(limit: Duration, events: u32, most: Duration) -> Duration {
    limit.saturating_mul(events.max(1)).min(most.max(limit))
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(1),
            wall: Duration::from_secs(5),
            heap: 128 * MIB,
            output: 16 * MIB,
            line: 16 * MIB,
            log: 64 << 10,
        }
    }
}
