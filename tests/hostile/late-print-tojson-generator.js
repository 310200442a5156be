// tries: a microtask queued by toJSON while the result is printed, which goes on in an async generator; verdict: ok
let current;
const late = () => { (async function* () { for (;;) { yield; current.n = 'changed'; } })().next(); (async () => { for (let i = 0; i < 3; i++) await i; current.n = 'changed'; })(); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return { toJSON() { late(); return { a: 1 }; } };
}
