// tries: a microtask queued by toJSON while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return { toJSON() { late(); return { a: 1 }; } };
}
