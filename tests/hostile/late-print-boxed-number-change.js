// tries: a microtask queued by valueOf of a boxed number while the result is printed, which changes the next event; verdict: ok
let current;
const late = () => { Promise.resolve().then(() => null).then(() => { current.stolen = true; current.n = 'changed'; }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  const box = new Number(1); Object.defineProperty(box, 'valueOf', { value() { late(); return 1; } }); return { box };
}
