// tries: a microtask queued by toJSON of an object beside a BigInt while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return { n: 1n, a: { toJSON() { late(); return 1; } } };
}
