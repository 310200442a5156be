// Waits until a condition holds, for `vi.waitFor` and `expect.poll`. It does not wait for real time to pass: promises
// settle, and faked timers run.
((clock) => {
  /** Calls `body` repeatedly until it does not throw. */
  const waitFor = async (body, options = {}) => {
    const { timeout = 1000, interval = 50 } = typeof options === 'number' ? { timeout: options } : options;
    let left = timeout;
    let last;
    // Without faked timers, a hundred turns are enough for the promises of any test.
    for (let turn = 0; turn < 100 || (clock.isFakeTimers() && left > 0); turn++) {
      try {
        return await body();
      } catch (error) {
        last = error;
      }
      if (clock.isFakeTimers() && left > 0) {
        clock.advanceTimersByTime(Math.min(interval, left));
        left -= interval;
      }
      await undefined;
    }
    throw last;
  };
  const waitUntil = (body, options) => waitFor(async () => {
    const value = await body();
    if (!value) throw new Error('waitUntil: the condition does not become true, and no time passes here');
    return value;
  }, options);

  return { waitFor, waitUntil };
})
