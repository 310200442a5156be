// A fixed clock and fixed chance, for tests that ask for them. Runs before the lockdown, so that what it puts in place
// is frozen like everything else; without a scene nothing is touched, and the code meets V8's own `Date` and `Math`.
((host) => {
  const { now, seed } = host;
  if (now !== undefined) {
    const Original = Date;
    const Fixed = function Date(...parts) {
      if (new.target === undefined) return new Original(now).toString();
      return Reflect.construct(Original, parts.length === 0 ? [now] : parts, new.target);
    };
    Object.defineProperty(Fixed, 'length', { value: 7 });
    Object.defineProperty(Fixed, 'prototype', { value: Original.prototype, writable: false });
    Object.defineProperty(Fixed.prototype, 'constructor', { value: Fixed, writable: true, configurable: true });
    for (const [name, value] of Object.entries({ now: () => now, parse: Original.parse, UTC: Original.UTC })) {
      Object.defineProperty(Fixed, name, { value, writable: true, configurable: true });
    }
    Object.defineProperty(globalThis, 'Date', { value: Fixed, writable: true, configurable: true });
  }
  if (seed !== undefined) {
    // mulberry32: small, and good enough to choose among things.
    let state = seed >>> 0;
    const { imul } = Math;
    Math.random = () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = imul(state ^ (state >>> 15), state | 1);
      t ^= t + imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }
})
