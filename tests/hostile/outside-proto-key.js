// tries: an accessor for __proto__ while loading; verdict: ok or failed timeout
// `loop` may only ever run inside the event's own time.
let armed = false;
const loop = () => { if (armed) for (;;); };
try { Object.defineProperty(Object.prototype, '__proto__', { configurable: true, get() { loop(); return null; }, set() { loop(); } }); } catch {}
export function transformEvent(event) {
  armed = false;
  if (!event.hostile) return event;
  armed = true;
  event['__proto__'] = 1; return [event, { e: event }];
}
