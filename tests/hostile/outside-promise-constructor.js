// tries: the constructor of a promise; verdict: ok or failed timeout|exception
// `loop` may only ever run inside the event's own time.
let armed = false;
const loop = () => { if (armed) for (;;); };
Object.defineProperty(Promise.prototype, 'constructor', { configurable: true, get() { loop(); return Promise; } });
export function transformEvent(event) {
  armed = false;
  if (!event.hostile) return event;
  armed = true;
  return (async () => event)();
}
