// tries: accessors on String.prototype and Number.prototype by index and toJSON; verdict: ok
let armed = false;
for (const prototype of [String.prototype, Number.prototype, Boolean.prototype]) {
  Object.defineProperty(prototype, 'toJSON', { configurable: true, get() { return armed ? () => ({ forged: 1 }) : undefined; } });
  Object.defineProperty(prototype, 99, { configurable: true, get() { return armed ? '{' : undefined; } });
}
export function transformEvent(event) {
  armed = event.hostile === true;
  if (!event.hostile) return event;
  return [{ a: 'text', b: 1, c: true }, { d: event }];
}
