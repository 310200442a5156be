// tries: a microtask queued by toJSON of an object beside a BigInt while the result is printed, which changes the next event; verdict: ok
let current;
const late = () => { Promise.resolve().then(() => null).then(() => { current.stolen = true; current.n = 'changed'; }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return { n: 1n, a: { toJSON() { late(); return 1; } } };
}
