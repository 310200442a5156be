// tries: a microtask queued by the return value of an async function while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return (async () => ({ get a() { late(); return 1; } }))();
}
