// tries: a microtask queued by toJSON of a Date while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  const date = new Date(0); Object.defineProperty(date, 'toJSON', { value() { late(); return 'x'; } }); event.date = date; return event;
}
