// tries: Object.prototype.then; verdict: ok or failed timeout|exception|never_settles|bad_return
// `loop` may only ever run inside the event's own time.
let armed = false;
const loop = () => { if (armed) for (;;); };
Object.defineProperty(Object.prototype, 'then', { configurable: true, get() { loop(); } });
export function transformEvent(event) {
  armed = false;
  if (!event.hostile) return event;
  armed = true;
  return (async () => [{ a: 1 }])();
}
