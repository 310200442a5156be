// tries: a microtask queued by valueOf of a boxed number while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  const box = new Number(1); Object.defineProperty(box, 'valueOf', { value() { late(); return 1; } }); return { box };
}
