// tries: getters for the indices of arrays, read while changed values are taken over; verdict: ok or failed timeout
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
  event.a = { b: 1 }; event.c = { d: [1] }; return event;
}
