// tries: Object.prototype.messageId, read when a batch is put together; verdict: ok or failed timeout
// `loop` may only ever run inside the event's own time.
let armed = false;
const loop = () => { if (armed) for (;;); };
Object.defineProperty(Object.prototype, 'messageId', { configurable: true, get() { loop(); } });
export function transformEvent(event) {
  armed = false;
  if (!event.hostile) return event;
  armed = true;
  return event;
}
