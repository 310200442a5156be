// tries: toString of errors, called for lines that are no JSON; verdict: ok or failed timeout
// `loop` may only ever run inside the event's own time.
let armed = false;
const loop = () => { if (armed) for (;;); };
for (const one of [Error, SyntaxError, Object]) one.prototype.toString = function () { loop(); return 'x'; };
Object.defineProperty(SyntaxError.prototype, 'name', { configurable: true, get() { loop(); return 'SyntaxError'; } });
export function transformEvent(event) {
  armed = false;
  if (!event.hostile) return event;
  armed = true;
  return { kept: event };
}
