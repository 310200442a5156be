// tries: Boolean.prototype.toJSON, called when the line is printed once more; verdict: ok or failed timeout|exception
// `loop` may only ever run inside the event's own time.
let armed = false;
const loop = () => { if (armed) for (;;); };
Object.defineProperty(Boolean.prototype, 'toJSON', { configurable: true, writable: true, value: function () { if (armed && calls++ > 1) loop(); return typeof this === 'bigint' ? 1 : this; } });
let calls = 0;
export function transformEvent(event) {
  armed = false;
  if (!event.hostile) return event;
  armed = true;
  calls = 0; event.more = 1; return event;
}
