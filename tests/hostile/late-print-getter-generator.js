// tries: a microtask queued by a getter while the result is printed, which goes on in an async generator; verdict: ok
let current;
const late = () => { (async function* () { for (;;) { yield; current.n = 'changed'; } })().next(); (async () => { for (let i = 0; i < 3; i++) await i; current.n = 'changed'; })(); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return { get a() { late(); return 1; } };
}
