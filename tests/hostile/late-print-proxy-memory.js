// tries: a microtask queued by the traps of a Proxy while the result is printed, which takes all memory; verdict: failed memory|timeout
let current;
const late = () => { Promise.resolve().then(() => { const kept = []; for (;;) kept.push(new Array(1e6).fill(1)); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return new Proxy({ a: 1 }, { get(target, key) { late(); return target[key]; }, ownKeys(target) { late(); return Reflect.ownKeys(target); } });
}
