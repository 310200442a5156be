// tries: getters for the indices of arrays, read while an error is taken over; verdict: failed exception|timeout
// `loop` may only ever run inside the event's own time.
let armed = false;
const loop = () => { if (armed) for (;;); };
for (let i = 0; i < 64; i++) {
  Object.defineProperty(Array.prototype, i, {
    configurable: true,
    get() { loop(); },
    set(value) { Object.defineProperty(this, i, { value, writable: true, enumerable: true, configurable: true }); },
  });
}
export function transformEvent(event) {
  armed = false;
  if (!event.hostile) return event;
  armed = true;
  throw new Error('x');
}
