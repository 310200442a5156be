// tries: a microtask queued by a then method while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return { then(resolve) { resolve({ get a() { late(); return 1; } }); } };
}
