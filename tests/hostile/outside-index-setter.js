// tries: setters for the indices of arrays, called while the outputs are listed; verdict: ok or failed timeout
// `loop` may only ever run inside the event's own time.
let armed = false;
const loop = () => { if (armed) for (;;); };
for (let i = 0; i < 64; i++) {
  Object.defineProperty(Array.prototype, i, {
    configurable: true,
    get() {},
    set(value) { loop(); Object.defineProperty(this, i, { value, writable: true, enumerable: true, configurable: true }); },
  });
}
export function transformEvent(event) {
  armed = false;
  if (!event.hostile) return event;
  armed = true;
  return [{ a: 1 }, { b: 2 }];
}
