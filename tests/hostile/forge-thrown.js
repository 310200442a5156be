// tries: other text for the parts of an error; verdict: failed exception
// At load, while prototypes are open: what is appended to any list that has no such element yet comes by here.
const forged = '{"forged":1}\n{"forged":2}\n';
let armed = false;
for (let i = 0; i < 64; i++) {
  Object.defineProperty(Array.prototype, i, {
    configurable: true,
    get() { return armed ? forged : undefined; },
    set(value) {
      if (armed && typeof value === 'string') value = forged;
      Object.defineProperty(this, i, { value, writable: true, enumerable: true, configurable: true });
    },
  });
}

export function transformEvent(event) {
  armed = false;
  if (!event.hostile) return event;
  armed = true;
  throw new Error('thrown');
}
