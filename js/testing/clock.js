// The clock of a test: a `Date` that the test can set, and timers that run when the test moves the clock. Installed
// before the lockdown, which freezes `Date`: afterwards only the state in this file can change.
//
// `transform(event)` uses this time too, unless its options set another one.
(() => {
  const Original = Date;
  const MAX_TIMERS = 10_000;
  /** The time that the test has set; undefined while the machine's clock is used. */
  let set;
  /** Replaces `Date.now` while it is spied on. */
  let nowSpy;
  let random = Math.random;

  const now = () => set ?? Original.now();
  const isSet = () => set !== undefined || nowSpy !== undefined;

  const install = () => {
    /** @type {any} */
    const Clocked = function Date(...parts) {
      if (new.target === undefined) return new Original(Clocked.now()).toString();
      const own = parts.length === 0 && set !== undefined ? [set] : parts;
      return Reflect.construct(Original, own, new.target);
    };
    Object.defineProperty(Clocked, 'length', { value: 7 });
    Object.defineProperty(Clocked, 'prototype', { value: Original.prototype, writable: false });
    Object.defineProperty(Clocked.prototype, 'constructor', { value: Clocked, writable: true, configurable: true });
    const dateNow = { now: () => (nowSpy === undefined ? now() : nowSpy.call(Clocked)) }.now;
    for (const [name, value] of Object.entries({ now: dateNow, parse: Original.parse, UTC: Original.UTC })) {
      Object.defineProperty(Clocked, name, { value, writable: true, configurable: true });
    }
    Object.defineProperty(globalThis, 'Date', { value: Clocked, writable: true, configurable: true });
    const original = Math.random;
    random = original;
    Math.random = { random: () => (random === original ? original() : random.call(Math)) }.random;
    // The two properties that tests spy on although the lockdown freezes their objects.
    return [
      { object: Clocked, key: 'now', original: now, replace: (spy) => { nowSpy = spy; } },
      { object: Math, key: 'random', original, replace: (spy) => { random = spy ?? original; } },
    ];
  };

  const toTime = (value) => {
    const time = new Original(value).getTime();
    if (Number.isNaN(time)) throw new TypeError(`setSystemTime: ${String(value)} is not a time`);
    return time;
  };

  // --- timers -------------------------------------------------------------------------------------------------------

  let timers = [];
  let nextId = 1;
  let installed = false;

  const add = (callback, delay, args, every) => {
    if (typeof callback !== 'function') throw new TypeError('a timer takes a function');
    const wait = Math.max(Number(delay) || 0, every ? 1 : 0);
    timers.push({ id: nextId, at: now() + wait, callback, args, every: every ? wait : undefined });
    return nextId++;
  };
  const clear = (id) => { timers = timers.filter((timer) => timer.id !== id); };
  const globals = {
    setTimeout: (callback, delay, ...args) => add(callback, delay, args, false),
    setInterval: (callback, delay, ...args) => add(callback, delay, args, true),
    setImmediate: (callback, ...args) => add(callback, 0, args, false),
    clearTimeout: clear,
    clearInterval: clear,
    clearImmediate: clear,
  };

  /** The timer that is due first, or undefined if none is due by `until`. */
  const first = (until = Infinity) => {
    let found;
    for (const timer of timers) if (timer.at <= until && (found === undefined || timer.at < found.at)) found = timer;
    return found;
  };

  const fire = (timer) => {
    set = Math.max(set, timer.at);
    if (timer.every === undefined) clear(timer.id);
    else timer.at += timer.every;
    timer.callback(...timer.args);
  };

  /** Runs the timers that `next` returns, one per step, until it returns undefined. */
  function* firing(next) {
    for (let count = 0; ; count++) {
      const timer = next();
      if (timer === undefined) return;
      if (count === MAX_TIMERS) throw new Error(`${MAX_TIMERS} timers ran and there are still more: one starts the next`);
      fire(timer);
      yield;
    }
  }

  const need = (what) => {
    if (!installed) throw new Error(`${what} moves timers, and there are none yet: call useFakeTimers() first`);
  };

  /** Lets chains of up to ten promises settle. */
  const settled = async () => {
    for (let turn = 0; turn < 10; turn++) await undefined;
  };

  /** Two functions that move the clock; the `Async` one lets promises settle after each timer. */
  const moving = (name, plan) => ({
    [name]: (...args) => {
      need(name);
      const { next, end } = plan(...args);
      const steps = firing(next);
      while (!steps.next().done);
      end?.();
    },
    [`${name}Async`]: async (...args) => {
      need(name);
      const { next, end } = plan(...args);
      await undefined;
      const steps = firing(next);
      while (!steps.next().done) await settled();
      end?.();
      await settled();
    },
  });

  const by = (milliseconds) => {
    const until = set + Number(milliseconds);
    return { next: () => first(until), end: () => { set = until; } };
  };
  const moves = {
    ...moving('advanceTimersByTime', by),
    ...moving('advanceTimersToNextTimer', (steps = 1) => {
      let left = steps;
      return { next: () => (left-- > 0 ? first() : undefined) };
    }),
    ...moving('runAllTimers', () => ({ next: () => first() })),
    ...moving('runOnlyPendingTimers', () => {
      const pending = [...timers].sort((a, b) => a.at - b.at);
      const next = () => {
        const timer = pending.shift();
        return timer === undefined || timers.includes(timer) ? timer : next();
      };
      return { next };
    }),
  };

  const useFakeTimers = ({ now: at = undefined } = {}) => {
    set = at === undefined ? now() : toTime(at);
    timers = [];
    installed = true;
    for (const [name, value] of Object.entries(globals)) {
      Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
    }
  };
  const useRealTimers = () => {
    set = undefined;
    timers = [];
    installed = false;
    for (const [name, value] of Object.entries(globals)) if (globalThis[name] === value) delete globalThis[name];
  };

  const api = {
    useFakeTimers,
    useRealTimers,
    setSystemTime: (time) => { set = time === undefined ? Original.now() : toTime(time); },
    getMockedSystemTime: () => (set === undefined ? null : new Original(set)),
    getRealSystemTime: () => Original.now(),
    isFakeTimers: () => installed,
    clearAllTimers: () => { timers = []; },
    getTimerCount: () => timers.length,
    runAllTicks: () => {},
    ...moves,
  };
  return { install, isSet, api };
})
