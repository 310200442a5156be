// tries: a microtask queued by the traps of a Proxy while the result is printed, which goes on in an async generator; verdict: ok
let current;
const late = () => { (async function* () { for (;;) { yield; current.n = 'changed'; } })().next(); (async () => { for (let i = 0; i < 3; i++) await i; current.n = 'changed'; })(); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return new Proxy({ a: 1 }, { get(target, key) { late(); return target[key]; }, ownKeys(target) { late(); return Reflect.ownKeys(target); } });
}
