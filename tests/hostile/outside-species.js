// tries: Symbol.species of arrays and promises; verdict: ok or failed timeout
// `loop` may only ever run inside the event's own time.
let armed = false;
const loop = () => { if (armed) for (;;); };
for (const one of [Array, Promise]) Object.defineProperty(one, Symbol.species, { configurable: true, get() { loop(); return one; } });
export function transformEvent(event) {
  armed = false;
  if (!event.hostile) return event;
  armed = true;
  return [{ a: 1 }, { b: 2 }];
}
