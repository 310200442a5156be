// tries: a microtask queued by a getter while the result is printed, which takes all memory; verdict: failed memory|timeout
let current;
const late = () => { Promise.resolve().then(() => { const kept = []; for (;;) kept.push(new Array(1e6).fill(1)); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return { get a() { late(); return 1; } };
}
