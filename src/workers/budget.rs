//! A memory budget for request bodies, answers, and logs of the code.
//!
//! Code reserves memory before it allocates, and returns it by dropping the reservation. A budget can be part of
//! another budget, so that neither the bodies nor one program can use up all memory.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Memory counts as short for this long after a reservation failed.
const SHORT_FOR: Duration = Duration::from_secs(5);

/// A number of bytes that can be reserved.
#[derive(Clone)]
pub struct Budget(Arc<Inner>);

struct Inner {
    max: usize,
    used: AtomicUsize,
    /// The budget that this one is part of.
    whole: Option<Budget>,
    freed: Notify,
    short: Since,
}

impl Budget {
    /// Creates a budget of `max` bytes.
    pub fn new(max: usize) -> Self {
        Self::inside(max, None)
    }

    /// Creates a budget of at most `max` bytes that is part of this one.
    pub fn part(&self, max: usize) -> Self {
        Self::inside(max.min(self.0.max), Some(self.clone()))
    }

    fn inside(max: usize, whole: Option<Budget>) -> Self {
        Self(Arc::new(Inner { max, used: AtomicUsize::new(0), whole, freed: Notify::new(), short: Since::default() }))
    }

    /// Returns the size of the budget, in bytes.
    pub fn max(&self) -> usize {
        self.0.max
    }

    /// Returns the number of reserved bytes.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Returns whether a reservation failed in the last few seconds.
    pub fn is_short(&self) -> bool {
        self.0.short.is_within(SHORT_FOR)
    }

    /// Returns an empty reservation; see [`Reservation::grow_to`].
    pub fn hold(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }

    /// Waits until bytes are returned to the whole budget. Misses bytes that are returned between a failed reservation
    /// and this call, so call it with a time limit.
    pub async fn freed(&self) {
        self.root().0.freed.notified().await;
    }

    fn root(&self) -> &Budget {
        self.0.whole.as_ref().map_or(self, Budget::root)
    }

    fn take(&self, bytes: usize) -> bool {
        let Inner { max, used, whole, short, .. } = &*self.0;
        let more = |used: usize| used.checked_add(bytes).filter(|sum| sum <= max);
        if used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            short.now();
            return false;
        }
        let fits = whole.as_ref().is_none_or(|whole| whole.take(bytes));
        if !fits {
            used.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        match &self.0.whole {
            Some(whole) => whole.give_back(bytes),
            None => self.0.freed.notify_waiters(),
        }
    }
}

/// Reserved bytes of a [`Budget`]. They are returned when this is dropped.
pub struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Reservation {
    /// Grows the reservation to `bytes`. Returns `false` and changes nothing if too little of the budget is left.
    #[must_use]
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        self.grow_by(bytes.saturating_sub(self.bytes))
    }

    /// Grows the reservation by this many bytes. Returns `false` and changes nothing if too little of
    /// the budget is left.
    #[must_use]
    pub fn grow_by(&mut self, bytes: usize) -> bool {
        let fits = bytes == 0 || self.budget.take(bytes);
        self.bytes += if fits { bytes } else { 0 };
        fits
    }

    /// Returns the number of reserved bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
        }
    }
}

/// The time of the last event, shared by threads: milliseconds since the first call, plus one.
#[derive(Default)]
struct Since(AtomicUsize);

impl Since {
    fn elapsed() -> usize {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed().as_millis() as usize
    }

    fn now(&self) {
        self.0.store(Self::elapsed() + 1, Ordering::Relaxed);
    }

    fn is_within(&self, time: Duration) -> bool {
        let then = self.0.load(Ordering::Relaxed);
        then > 0 && Self::elapsed() <= then + time.as_millis() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_of_a_part_is_taken_of_the_whole_and_comes_back() {
        let all = Budget::new(100);
        let (one, two) = (all.part(60), all.part(80));
        let (mut a, mut b) = (one.hold(), two.hold());
        assert!(a.grow_to(60) && !a.grow_to(61) && a.grow_to(10));
        assert!(b.grow_by(40) && !b.grow_by(1), "the whole is taken, the part is not");
        assert_eq!((one.used(), two.used(), all.used()), (60, 40, 100));
        assert!(all.is_short() && one.is_short() && !two.is_short());
        drop(a);
        assert_eq!((one.used(), all.used()), (0, 40));
        assert!(b.grow_by(40) && !b.grow_by(1), "the part is taken, the whole is not");
        assert_eq!(b.bytes(), 80);
        drop(b);
        assert_eq!(all.used(), 0);
    }
}
