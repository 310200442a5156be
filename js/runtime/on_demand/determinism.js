// A fixed clock and fixed random numbers for tests that ask for them, and random numbers for a process that will fork.
// Runs before all other code, so that its replacements are frozen with the other built-ins. Other isolates do not run
// it and have V8's own `Date` and `Math`.
((host) => {
  const { now, seed, fillRandom } = host;
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
    // mulberry32: small, and good enough for tests.
    let state = seed >>> 0;
    const { imul } = Math;
    Math.random = () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = imul(state ^ (state >>> 15), state | 1);
      t ^= t + imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }
  if (seed === undefined && fillRandom !== undefined) {
    // This process will fork. V8's generator keeps its state in the isolate, so it would return the same numbers in
    // each child. This one has no state until the first number is requested.
    const words = new Uint32Array(128);
    const bytes = new Uint8Array(words.buffer);
    let left = 0;
    Math.random = {
      random() {
        if (left === 0) {
          fillRandom(bytes);
          left = words.length;
        }
        return (words[--left] * 2 ** 21 + (words[--left] >>> 11)) / 2 ** 53;
      },
    }.random;
  }
})
