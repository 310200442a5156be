// tries: setters on Object.prototype for names that an event may get; verdict: ok or failed timeout
// `loop` may only ever run inside the event's own time.
let armed = false;
const loop = () => { if (armed) for (;;); };
for (const name of ['a property that no event has', 'and another', 'one more 0', 'the first one', 'thrown', 'value', 'writable', 'configurable', 'prototype']) Object.defineProperty(Object.prototype, name, { __proto__: null, configurable: true, get() { loop(); }, set() { loop(); } });
export function transformEvent(event) {
  armed = false;
  if (!event.hostile) return event;
  armed = true;
  return [{ ...event }, event];
}
