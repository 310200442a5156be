// tries: a microtask queued by the return value of an async function while the result is printed, which changes the next event; verdict: ok
let current;
const late = () => { Promise.resolve().then(() => null).then(() => { current.stolen = true; current.n = 'changed'; }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return (async () => ({ get a() { late(); return 1; } }))();
}
