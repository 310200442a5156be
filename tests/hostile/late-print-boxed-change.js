// tries: a microtask queued by toString of a boxed string while the result is printed, which changes the next event; verdict: ok
let current;
const late = () => { Promise.resolve().then(() => null).then(() => { current.stolen = true; current.n = 'changed'; }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  const box = new String('x'); Object.defineProperty(box, 'toString', { value() { late(); return 'x'; } }); return { box };
}
