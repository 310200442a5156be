// tries: a microtask queued by toJSON of a value while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  event.a = { toJSON() { late(); return 1; } }; return event;
}
