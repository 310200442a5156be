//! Shares the workers' time among programs, by the CPU time that each has used.
//!
//! A program needs a turn to hand a unit to a worker. There are just enough turns to keep every core busy. The next
//! free turn goes to the program that has used the least CPU time since it was last idle, so a quick program comes next
//! however much work others have queued. A turn lasts a few milliseconds. If it lasts longer and others wait, it is
//! taken back and goes to the next program, while its worker continues. Then there are more busy workers than cores,
//! and the kernel shares the cores among their processes. The number of these workers is bounded if the waiting
//! programs are slow. A worker whose events all wait returns its turns early.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The duration of a turn while others wait.
pub(super) const SLICE: Duration = Duration::from_millis(5);

/// The time charged when a turn is given; corrected when the real time is known.
const ADVANCE: Duration = Duration::from_millis(1);

/// The maximum number of overdue turns per turn. Beyond it, slow programs have to wait.
const MAX_OVERDUE: usize = 4;

/// The turns of all programs.
#[derive(Clone)]
pub(super) struct Turns(Arc<Mutex<State>>);

/// A program's account of used CPU time. It is closed when this is dropped.
pub(super) struct Account {
    turns: Turns,
    id: u64,
}

/// The right to let a worker process one unit. It is returned when this is dropped.
pub(super) struct Turn {
    turns: Weak<Mutex<State>>,
    id: u64,
    account: u64,
}

/// The callback that receives the turn.
type Take = Box<dyn FnOnce(Turn) + Send>;

struct State {
    free: usize,
    max: usize,
    next: u64,
    accounts: BTreeMap<u64, Used>,
    /// In the order of the requests.
    waiting: VecDeque<Waiting>,
    /// Turns that are in use and have not been taken back, oldest first.
    out: VecDeque<(u64, Instant)>,
    /// Turns that were taken back while their workers continue.
    overdue: usize,
    /// The used time of the program that got the last turn. An account that was idle starts from here.
    now: Duration,
    /// Whether a task watches for turns that last too long.
    watched: bool,
}

struct Used {
    cpu: Duration,
    /// Whether one of its units takes longer than a turn.
    slow: bool,
    busy: usize,
}

struct Waiting {
    account: u64,
    take: Take,
}

/// Turns that were given; their callbacks run after the lock is released.
type Given = Vec<(Take, Turn)>;

impl Turns {
    /// Creates `max` turns.
    pub(super) fn new(max: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: max,
            max,
            next: 0,
            accounts: BTreeMap::new(),
            waiting: VecDeque::new(),
            out: VecDeque::new(),
            overdue: 0,
            now: Duration::ZERO,
            watched: false,
        })))
    }

    /// Opens an account for a program.
    pub(super) fn open(&self) -> Account {
        let mut state = self.lock();
        state.next += 1;
        let id = state.next;
        let cpu = state.now;
        state.accounts.insert(id, Used { cpu, slow: false, busy: 0 });
        Account { turns: self.clone(), id }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds this")
    }

    /// Gives the free turns to the waiting programs.
    fn share(&self, mut state: MutexGuard<'_, State>, now: Instant) {
        let given = state.give(&self.0, now);
        let needed = !state.watched && !state.waiting.is_empty() && !state.out.is_empty();
        // After the runtime has ended, turns may still be returned.
        let watch = needed.then(Handle::try_current).and_then(Result::ok);
        state.watched |= watch.is_some();
        drop(state);
        for (take, turn) in given {
            take(turn);
        }
        if let Some(runtime) = watch {
            runtime.spawn(watch_turns(Arc::downgrade(&self.0)));
        }
    }
}

/// Takes back turns that last too long, while others wait.
async fn watch_turns(turns: Weak<Mutex<State>>) {
    loop {
        let Some(this) = turns.upgrade().map(Turns) else { return };
        let now = Instant::now();
        let next = {
            let mut state = this.lock();
            state.take_back(now);
            let next = state.out.front().map(|(_, since)| *since + SLICE);
            if state.waiting.is_empty() || next.is_none() {
                state.watched = false;
            }
            let over = !state.watched;
            this.share(state, now);
            if over {
                return;
            }
            // A turn that was just given still has time left.
            next.unwrap_or(now).max(now + SLICE / 5)
        };
        drop(this);
        tokio::time::sleep_until(next.into()).await;
    }
}

impl State {
    /// Returns the index of the waiting program that gets the next turn. With `quick`, ignores programs that are slow
    /// and already have a turn: for all others, turns are taken back however many are overdue.
    fn next_in_turn(&self, quick: bool) -> Option<usize> {
        let used = |waiting: &Waiting| self.accounts.get(&waiting.account);
        let may = |waiting: &Waiting| !(quick && used(waiting).is_some_and(|used| used.slow && used.busy > 0));
        let in_turn = self.waiting.iter().enumerate().filter(|(_, waiting)| may(waiting));
        in_turn.min_by_key(|(_, waiting)| used(waiting).map(|used| used.cpu)).map(|(index, _)| index)
    }

    /// Returns whether so many turns are overdue that slow programs have to wait.
    fn are_too_many(&self) -> bool {
        self.overdue >= MAX_OVERDUE * self.max
    }

    fn give(&mut self, turns: &Arc<Mutex<State>>, now: Instant) -> Given {
        let mut given = Vec::new();
        while self.free > 0
            && let Some(index) = self.next_in_turn(self.are_too_many()).or_else(|| self.next_in_turn(false))
            && let Some(Waiting { account, take }) = self.waiting.remove(index)
        {
            given.push((take, self.turn(turns, account, now)));
        }
        given
    }

    fn turn(&mut self, turns: &Arc<Mutex<State>>, account: u64, now: Instant) -> Turn {
        self.free -= 1;
        self.next += 1;
        let id = self.next;
        self.out.push_back((id, now));
        if let Some(used) = self.accounts.get_mut(&account) {
            self.now = self.now.max(used.cpu);
            used.cpu += ADVANCE;
            used.busy += 1;
        }
        Turn { turns: Arc::downgrade(turns), id, account }
    }

    /// Raises the used time of an idle account to the current time, so that idle programs save up no time.
    fn begin(&mut self, account: u64) {
        let now = self.now;
        if let Some(used) = self.accounts.get_mut(&account)
            && used.busy == 0
        {
            used.cpu = used.cpu.max(now);
        }
    }

    /// Takes back turns that have lasted too long, as many as others wait for.
    fn take_back(&mut self, now: Instant) {
        let mut wanted = self.waiting.len().saturating_sub(self.free);
        while wanted > 0
            && let Some((_, since)) = self.out.front()
            && now.saturating_duration_since(*since) >= SLICE
            && self.next_in_turn(self.are_too_many()).is_some()
        {
            self.out.pop_front();
            self.free += 1;
            self.overdue += 1;
            wanted -= 1;
        }
    }

    fn end(&mut self, turn: &Turn) {
        if let Some(used) = self.accounts.get_mut(&turn.account) {
            used.cpu = used.cpu.saturating_sub(ADVANCE);
            used.busy -= 1;
        }
        match self.out.iter().position(|(id, _)| *id == turn.id) {
            Some(index) => {
                self.out.remove(index);
                self.free += 1;
            }
            None => self.overdue -= 1,
        }
    }
}

impl Account {
    /// Takes a turn if one is free and no other program waits for it.
    pub(super) fn try_take(&self) -> Option<Turn> {
        let mut state = self.turns.lock();
        if state.free == 0 || !state.waiting.is_empty() {
            return None;
        }
        state.begin(self.id);
        Some(state.turn(&self.turns.0, self.id, Instant::now()))
    }

    /// Requests a turn; `take` is called with it.
    pub(super) fn ask(&self, take: impl FnOnce(Turn) + Send + 'static) {
        self.ask_at(Instant::now(), Box::new(take));
    }

    fn ask_at(&self, now: Instant, take: Take) {
        let mut state = self.turns.lock();
        state.begin(self.id);
        state.waiting.push_back(Waiting { account: self.id, take });
        state.take_back(now);
        self.turns.share(state, now);
    }

    /// Waits for a turn.
    pub(super) async fn take(&self) -> Option<Turn> {
        if let Some(turn) = self.try_take() {
            return Some(turn);
        }
        let (tell, turn) = oneshot::channel();
        self.ask(move |turn| drop(tell.send(turn)));
        turn.await.ok()
    }

    /// Charges used CPU time. `at_once` is the shortest time that this program needs in one turn.
    pub(super) fn charge(&self, cpu: Duration, at_once: Duration) {
        if let Some(used) = self.turns.lock().accounts.get_mut(&self.id) {
            used.cpu += cpu;
            used.slow = at_once > SLICE;
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        state.accounts.remove(&self.id);
        let (gone, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.waiting).into_iter().partition(|waiting| waiting.account == self.id);
        state.waiting = others.into();
        drop(state);
        // Dropped outside the lock, because the destructor of a callback may run any code.
        drop(gone);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.turns.upgrade().map(Turns) else { return };
        let mut state = turns.lock();
        state.end(self);
        turns.share(state, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    /// Requests a turn at this time, and returns its receiver.
    fn ask(account: &Account, now: Instant) -> Receiver<Turn> {
        let (tell, turn) = channel();
        account.ask_at(now, Box::new(move |turn| drop(tell.send(turn))));
        turn
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[tokio::test]
    async fn the_next_turn_goes_to_the_account_that_has_used_the_least() {
        let start = Instant::now();
        let turns = Turns::new(1);
        let (slow, quick, third) = (turns.open(), turns.open(), turns.open());
        let first = slow.try_take().unwrap();
        slow.charge(ms(40), ms(40));
        let (slow_waits, third_waits, quick_waits) = (ask(&slow, start), ask(&third, start), ask(&quick, start));
        quick.charge(ms(1), ms(1));
        third.charge(ms(2), ms(1));
        drop(first);
        let quick_turn = quick_waits.try_recv().expect("quick has used the least, and asked last");
        assert!(slow_waits.try_recv().is_err() && third_waits.try_recv().is_err());
        drop(quick_turn);
        drop(third_waits.try_recv().expect("third comes next"));
        let slow_turn = slow_waits.try_recv().unwrap();
        // An idle program gains nothing from the time that others used meanwhile, and owes nothing for it.
        assert!(quick.try_take().is_none());
        let (quick_waits, slow_waits) = (ask(&quick, start), ask(&slow, start));
        drop(slow_turn);
        let _turn = quick_waits.try_recv().unwrap();
        assert!(slow_waits.try_recv().is_err());
    }

    /// Returns the numbers of free and of overdue turns.
    fn counts(turns: &Turns) -> (usize, usize) {
        let state = turns.lock();
        (state.free, state.overdue)
    }

    #[tokio::test]
    async fn a_turn_that_lasts_too_long_is_taken_back_while_others_wait() {
        let start = Instant::now();
        let turns = Turns::new(1);
        let (slow, quick) = (turns.open(), turns.open());
        let long = slow.try_take().unwrap();
        let waits = ask(&quick, start);
        assert!(waits.try_recv().is_err(), "it has only begun");
        let late = Instant::now() + SLICE;
        let mut state = turns.lock();
        state.take_back(late);
        turns.share(state, late);
        let turn = waits.try_recv().unwrap();
        assert_eq!(counts(&turns), (0, 1));
        drop(long);
        assert_eq!(counts(&turns), (0, 0), "it had been taken back already");
        drop(turn);
        assert_eq!(turns.lock().free, 1);
        let late = Instant::now() + SLICE;
        let alone = slow.try_take().unwrap();
        turns.lock().take_back(late);
        assert_eq!(turns.lock().overdue, 0, "there is no one to give it to");
        drop(alone);
    }

    #[tokio::test]
    async fn where_many_go_on_too_long_slow_ones_wait_and_quick_ones_do_not() {
        let turns = Turns::new(1);
        let slow = turns.open();
        slow.charge(ms(40), ms(40));
        let start = Instant::now();
        let mut held = Vec::from_iter(slow.try_take());
        let mut now = Instant::now();
        for _ in 0..MAX_OVERDUE {
            let waits = ask(&slow, start);
            now += SLICE;
            let mut state = turns.lock();
            state.take_back(now);
            turns.share(state, now);
            held.push(waits.try_recv().unwrap());
        }
        let (slow_waits, quick) = (ask(&slow, start), turns.open());
        now += SLICE;
        turns.lock().take_back(now);
        assert!(slow_waits.try_recv().is_err());
        let quick_waits = ask(&quick, start);
        let mut state = turns.lock();
        state.take_back(now);
        turns.share(state, now);
        let _turn = quick_waits.try_recv().unwrap();
        assert!(slow_waits.try_recv().is_err());
        drop(slow);
        assert!(slow_waits.recv().is_err(), "who is gone does not wait");
        drop(held);
    }

    #[tokio::test]
    async fn turns_are_taken_back_by_themselves() {
        let turns = Turns::new(1);
        let (slow, quick) = (turns.open(), turns.open());
        let long = slow.try_take().unwrap();
        let turn = quick.take().await.expect("the long one has to make room");
        drop((long, turn));
        assert_eq!(counts(&turns), (1, 0));
    }
}
